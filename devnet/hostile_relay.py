"""A node that stands between: what is asked at its door it asks another node, and answers that.

It has a key and a signed record of its own, as every node has, and tells no lie in it. Only the
challenge that it shows is another node's: whoever signs that has signed in there, for the relay.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from devnet.hostile_base import (
    ANSWER_MS_MAX,
    Conduct,
    HostilePeer,
    Line,
    Scene,
    Stranger,
    on_transport,
)
from devnet.hostile_messages import carried, gossip, put
from nodeimpl.p2p import frames
from opkit.proof import jws
from opkit.proof.record import make_record
from opkit.wire.base import Did, Jws
from opkit.wire.dht import GET, FindRecords, RecordsFound
from opkit.wire.membership import CHALLENGE, LOGIN_BODY_BYTES_MAX, TOKEN
from opkit.wire.records import HttpEndpoint, NodeValue

TERM_MS: Final = 600_000
"""How long the relay's own record lasts: as long as a story about it may take."""

LOOK_MS: Final = 50
CARRIED_HEADERS: Final = (b"content-type", b"authorization", b"idempotency-key")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Relay:
    """An ASGI app that answers what another node's front door answers."""

    def __init__(self, there: httpx.AsyncClient, tally: Counter[str]) -> None:
        """Pass on to `there`; count how often what was passed on."""
        self._there = there
        self._tally = tally

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        assert scope["type"] == "http", "only requests are passed on"
        headers = [(name, value) for name, value in scope["headers"] if name in CARRIED_HEADERS]
        path = scope["path"]
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("ascii")
        request = self._there.build_request(
            scope["method"], path, headers=headers, content=await _body(receive)
        )
        answer = await self._there.send(request)
        self._count(scope["path"], answer.status_code)
        kind = answer.headers.get("content-type", "application/json").encode("ascii")
        start = {"type": "http.response.start", "status": answer.status_code}
        await send({**start, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": answer.content})

    def _count(self, path: str, status: int) -> None:
        what = {CHALLENGE.path: "challenges", TOKEN.path: "logins"}.get(path, "other asks")
        self._tally[what] += 1
        if path == TOKEN.path and status == 200:
            self._tally["tokens"] += 1


async def _body(receive: Receive) -> bytes:
    """Return the body of a request, or as much of it as a login may have."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > LOGIN_BODY_BYTES_MAX:
            return body


async def front_door(scene: Scene, line: Line, node: Did) -> str:
    """Return where a node is called, by the record of its own that it tells anybody who asks."""
    ask = frames.request(GET.name, FindRecords(namespace="node", name=node))
    while True:
        stream = await line.say(ask)
        async with asyncio.timeout(ANSWER_MS_MAX / 1000):
            reader = frames.FrameReader(stream)
            answer = frames.read_answer(await reader.body(await reader.length()))
        for each in RecordsFound.model_validate_json(json.dumps(answer.ok or {})).records:
            value = NodeValue.model_validate_json(json.dumps(jws.peek(each.jws).payload["value"]))
            if value.endpoints:
                return value.endpoints[0].url
        await scene.clock.sleep(LOOK_MS)


def own_record(scene: Scene, url: str) -> Jws:
    """Return what the relay says of itself, and signs: its key, and where it is called."""
    value = NodeValue(endpoints=(HttpEndpoint(url=url),))
    return make_record(
        scene.identity,
        network=scene.genesis.network,
        namespace="node",
        name=scene.identity.did,
        value=value.model_dump(mode="json"),
        at_ms=scene.clock.now_ms(),
        term_ms=TERM_MS,
    )


@asynccontextmanager
async def relay(scene: Scene) -> AsyncIterator[HostilePeer]:
    """Stand between whoever calls and the first target, at a door that a record names."""
    stranger = Stranger(scene)
    async with on_transport(scene.transport):
        lines = [await stranger.line_to(target) for target in scene.targets]
        async with asyncio.timeout(ANSWER_MS_MAX / 1000):
            where = await front_door(scene, lines[0], scene.targets[0].did)
        there = httpx.AsyncClient(base_url=where, transport=scene.doors.caller(), trust_env=False)
        async with there, scene.doors.serving(Relay(there, stranger.tally)) as url:
            record = carried(own_record(scene, url))
            for line in lines:
                stranger.tally[f"put: {await put(line, record)}"] += 1
                await gossip(line, record)
            yield stranger


CONDUCTS: Mapping[str, Conduct] = {"relay": relay}
"""The one kind here, and what it does."""
