"""Bad messages over real connections: refused as the protocol says, kept and passed on by nobody.

Each test has its sabotage: with the rule broken, the same story notices.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from devnet.hostile_messages import MAKES, Scribe, anywhere, gossiped, push, put
from nodeimpl.kernel.clock import RealClock
from nodeimpl.overlay import namespaces
from nodeimpl.overlay.shelf import Shelf
from nodeimpl.p2p import frames
from nodeimpl.p2p.company import Company
from nodeimpl.p2p.transport import TransportError
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.record import Record, Verifier
from opkit.wire.base import b64decode
from opkit.wire.peer import RequestFrame
from opkit.wire.records import RecordBody

SHORT_S = 1.0
"""How long a sabotaged node is waited for."""

MALFORMED, REJECTED = "frame-malformed", "signed-record-rejected"

SAID = {
    "unsigned": (REJECTED, REJECTED),
    "forged": (REJECTED, REJECTED),
    "stale": ("record-lapsed", "ok"),
    "replayed": ("record-outdated", "ok"),
    "future": (REJECTED, "ok"),
    "oversized": (MALFORMED, MALFORMED),
    "nested": (MALFORMED, MALFORMED),
    "undecodable": (MALFORMED, MALFORMED),
}
"""What is said to each when it is put, and when it is pushed: there `ok` is that it is declined."""

ENDURED = {"unsigned": 20, "forged": 20, "stale": 240, "replayed": 2_400, "future": 240}
"""How many of each in gossip end the connection; one of the others does."""

FRAME = 240
"""How many messages a stranger puts into one frame of gossip."""


async def story(net: Any, kind: str, **options: Any) -> None:
    """Send bad messages in every way, and expect that nothing comes of any."""
    async with net(3, **options) as network:
        liar = Identity.generate()
        scribe = Scribe(liar, network=network.genesis.network, clock=RealClock())
        make = MAKES[kind]()
        async with network.stranger(liar) as line:
            right = set()
            if kind == "replayed":
                later = make(scribe)
                assert await put(line, later) == "ok"
                right = {json.loads(later)["jws"]}
            assert await put(line, make(scribe)) == SAID[kind][0]
            assert await push(line, make(scribe)) == SAID[kind][1]
            told = await anywhere(line, make(scribe))
            assert MALFORMED in told <= {MALFORMED, "method-unknown"}
            await gossip_until_banned(network, line, [make(scribe) for _ in range(FRAME)], kind)
            await network.eventually(lambda: liar.did in network.victim.peers.banned())
        for each in network.nodes:
            assert set(each.keeps(scribe.name)) <= right, "kept by nobody"
            assert set(each.delivered) <= right, "believed by nobody, not for a moment"
            assert right or not each.overlay.gossip.counts.forwarded, "passed on by nobody"
        await network.works()


async def gossip_until_banned(network: Any, line: Any, made: list[bytes], kind: str) -> None:
    """Announce as many as nobody endures."""
    count = ENDURED.get(kind, 1)
    with suppress(TransportError):  # It is cut off somewhere on the way.
        stream = await line.casts()
        while count > 0:
            await stream.send(gossiped(made[:count]))
            count -= FRAME
        async with asyncio.timeout(network.patience_s):
            await line.connection.ended()


@pytest.mark.parametrize("kind", sorted(MAKES))
def test_a_bad_message_is_refused_in_every_way_and_its_sender_cut_off(net: Any, kind: str) -> None:
    asyncio.run(story(net, kind))


def believe(_verifier: Verifier, token: str) -> Record:
    """Read a record without a look at its signature."""
    body = RecordBody.model_validate_json(b64decode(token.split(".")[1]))
    return Record(token, body, bytes.fromhex(jws.record_id(token)))


def parse_all(body: bytes) -> RequestFrame:
    """Read JSON as the standard library does, which follows it however deep it is."""
    return RequestFrame.model_validate(json.loads(body))


def never(*_: Any, **__: Any) -> bool:
    return False


BROKEN = {
    "unsigned": (Verifier, "read", believe),
    "forged": (Verifier, "read", believe),
    "stale": (namespaces, "is_lapsed", never),
    "replayed": (Shelf, "_compare", never),
    "future": (namespaces, "is_ahead", never),
    "oversized": (Company, "ban", never),
    "nested": (frames, "read_request", parse_all),
    "undecodable": (frames, "read_cast", lambda of, _body: of()),
}
"""For each kind the rule without which the story goes wrong, and what stands in its place."""
assert BROKEN.keys() == MAKES.keys(), "each has a sabotage"


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_without_its_rule_each_bad_message_is_noticed(
    net: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BROKEN[kind])
    with pytest.raises((AssertionError, TimeoutError)):
        asyncio.run(story(net, kind, patience_s=SHORT_S))
