"""Strangers that are after one name: they send the nodes records of it that nobody should believe.

Each first asks a node for the record that stands, as anybody may, and makes of it what it sends:
put into the hash table, pushed while two nodes compare, and announced in gossip. Each message goes
to each node once in each way; then the stranger stays and says nothing more, so that whoever looks
on can tell what came of it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from devnet.hostile_base import (
    ANSWER_MS_MAX,
    Attack,
    Conduct,
    HostilePeer,
    Line,
    Scene,
    asking,
    strangers,
)
from devnet.hostile_messages import carried, gossip, put
from nodeimpl.p2p import frames
from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.wire.base import Jws, b64encode
from opkit.wire.dht import GET, FindRecords, RecordsFound
from opkit.wire.reconcile import PUSH
from opkit.wire.records import RECORD_TYP, Namespace, RecordBody

LOOK_MS: Final = 50
"""How long a stranger waits before it asks again whether another record stands."""

NAMESPACE: Final[Namespace] = "name"
HEADER: Final = b'{"alg":"Ed25519","kid":"%b","typ":"%b"}'

Make = Callable[[Scene, Line], Awaitable[list[Jws]]]
"""Returns what is to be sent to the node at the other end of a line."""


async def standing(scene: Scene, line: Line, *, but: Jws = "") -> Jws:
    """Return the record of the name that stands at a node, once one does that is not `but`.

    Raises:
        TransportError: the connection ended before there was an answer.
    """
    ask = frames.request(GET.name, FindRecords(namespace=NAMESPACE, name=scene.about))
    while True:
        stream = await line.say(ask)
        async with asyncio.timeout(ANSWER_MS_MAX / 1000):
            reader = frames.FrameReader(stream)
            answer = frames.read_answer(await reader.body(await reader.length()))
        found = RecordsFound.model_validate_json(json.dumps(answer.ok or {})).records
        if found and found[0].jws != but:
            return found[0].jws
        await scene.clock.sleep(LOOK_MS)


def later(scene: Scene, record: Jws, **changed: Any) -> dict[str, Any]:
    """Return what a record says, as if it was said anew now, with some of it changed."""
    now_ms = scene.clock.now_ms()
    fresh = {"sequence": now_ms, "issued_at_ms": now_ms}
    return {**jws.peek(record).payload, **fresh, **changed}


async def unsigned(scene: Scene, line: Line) -> list[Jws]:
    """Say that the home node signed a later record, without its signature."""
    record = await standing(scene, line)
    header = HEADER % (jws.peek(record).kid.encode(), RECORD_TYP.encode())
    body = b64encode(canonical(later(scene, record)))
    return [f"{b64encode(header)}.{body}."]


async def forged(scene: Scene, line: Line) -> list[Jws]:
    """Sign a later record with the stranger's own key: in the home's name, then in its own."""
    record = await standing(scene, line)
    return [
        jws.sign(RecordBody(**said), typ=RECORD_TYP, identity=scene.identity)
        for said in (later(scene, record), later(scene, record, owner=scene.identity.did))
    ]


async def stale(scene: Scene, line: Line) -> list[Jws]:
    """Wait until another record stands, then say again what stood before: signed by the home."""
    first = await standing(scene, line)
    await standing(scene, line, but=first)
    return [first]


async def push(line: Line, message: bytes) -> str:
    """Offer a record to a node that compares, and return what it says. Raises `TransportError`."""
    return await line.ask(asking(PUSH.name, b'{"namespace":"name","records":[%b]}' % message))


def after_a_name(make: Make) -> Conduct:
    """Return a conduct: a stranger that sends each target, once in each way, what `make` returns.

    Its figures say how often it was told what when it put and pushed, how many records it
    announced, and how many nodes it was through with.
    """

    def attack(scene: Scene, tally: Counter[str]) -> Attack:
        async def tell(line: Line) -> None:
            for record in await make(scene, line):
                message = carried(record)
                tally[f"put: {await put(line, message)}"] += 1
                tally[f"pushed: {await push(line, message)}"] += 1
                await gossip(line, message)
                tally["announced"] += 1
            tally["through with"] += 1
            await asyncio.get_running_loop().create_future()  # Until somebody ends it.

        return tell

    at_work = strangers(attack)

    @asynccontextmanager
    async def conduct(scene: Scene) -> AsyncIterator[HostilePeer]:
        if not scene.about:
            raise ValueError(f"{scene.kind} is after a name: say which one")
        async with at_work(scene) as stranger:
            yield stranger

    return conduct


CONDUCTS: Mapping[str, Conduct] = {
    "name-unsigned": after_a_name(unsigned),
    "name-forged": after_a_name(forged),
    "name-stale": after_a_name(stale),
}
"""Each kind of stranger here, and what it does."""
