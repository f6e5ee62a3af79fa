"""A thousand events a second to fifty subscribers: all, in order, how late, and at what cost."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.announcing import EVENTS_PER_S
from bench.asking import program
from bench.network import ROOT
from bench.node import AskedNode
from bench.rows import Row, percentile, quick, row
from opkit.proof import jws
from opkit.wire.events import EVENTS_PATH, Cursor
from opkit.wire.journal import HEAD, AskJournalHead, JournalHead

SUBSCRIBERS = 50
ALONE_S, HEARD_S = 5.0, 15.0
QUICK_S = 3.0
SETTLE_S = 2.0
"""How long subscribers get to open their streams."""

_PLANNED = struct.Struct("=II")
_RECORD = struct.Struct("=IIQQQ")


class AnnouncingProcess(AskedNode):
    """A node that journals events by itself."""

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bench.announcing", str(self.folder / "node.toml")]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the subscribers heard: places in the journal by subscriber, and all latencies."""

    places: dict[int, list[int]]
    late_ms: list[float]


def fanout() -> list[Row]:
    """Latency from announcing to the subscriber's socket, and the node's processor time."""
    alone_s, heard_s = (QUICK_S, QUICK_S) if quick() else (ALONE_S, HEARD_S)
    with TemporaryDirectory(prefix="opkit-bench-") as folder:
        node = AnnouncingProcess(Path(folder))
        try:
            asyncio.run(node.start())
            tokens = [token for _, token in asyncio.run(node.tokens(SUBSCRIBERS))]
            alone = _share(node, alone_s)
            place = asyncio.run(_end_of_journal(node))
            listening = Listening(
                tokens,
                after=place,
                port=node.port,
                seconds=SETTLE_S + heard_s,
                folder=Path(folder),
            )
            time.sleep(SETTLE_S)
            settled_us = time.monotonic_ns() // 1000
            heard_share = _share(node, heard_s)
            heard = listening.heard(since_us=settled_us)
        finally:
            node.kill()
    check_whole(heard, subscribers=SUBSCRIBERS, after=place.sequence)
    name = f"{EVENTS_PER_S} events/s to {SUBSCRIBERS}"
    late = heard.late_ms
    return [
        row(f"{name}, P95", percentile(late, 0.95), "ms", target="<= 10", of=late),
        row(f"{name}, P50", percentile(late, 0.5), "ms", target="", of=late),
        row(f"{name}, node", heard_share, "% core", target="<= 25", of=[heard_share]),
        row(f"{name}, node without them", alone, "% core", target="", of=[alone]),
    ]


async def _end_of_journal(node: AskedNode) -> Cursor:
    """Return where the journal ends: what lies before it is no news and would only be caught up."""
    async with node.operator() as operator:
        signed = await operator.call(HEAD, AskJournalHead())
    head = JournalHead.model_validate(jws.peek(signed.head).payload)
    return Cursor(generation=head.generation, sequence=head.size, hash=head.hash)


def _share(node: AskedNode, seconds: float) -> float:
    """Return how much of one core the node takes over so long, in percent."""
    spent, began = node.processor_s(), time.perf_counter()
    time.sleep(seconds)
    return (node.processor_s() - spent) / (time.perf_counter() - began) * 100


class Listening:
    """Subscribers that listen beside what else is measured; `heard` waits for their end."""

    def __init__(
        self, tokens: list[str], *, after: Cursor, port: int, seconds: float, folder: Path
    ) -> None:
        """Open a stream with each token, from this place on."""
        self._out = folder / "heard"
        self._seconds = seconds
        command = [program("hearing"), str(port), str(seconds), str(self._out)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert self._process.stdin is not None, "it was asked for"
        with self._process.stdin as plan:
            for number, token in enumerate(tokens):
                said = _handshake(token, after=after)
                plan.write(_PLANNED.pack(number, len(said)) + said)

    def heard(self, *, since_us: int) -> Heard:
        """Return what was heard, and how late was what began after this moment.

        Raises:
            RuntimeError: a subscriber was refused.
        """
        if self._process.wait(self._seconds + 30):
            raise RuntimeError("a subscriber was refused")
        places: dict[int, list[int]] = defaultdict(list)
        late_ms = []
        for stream, _, sequence, began_us, came_us in _RECORD.iter_unpack(self._out.read_bytes()):
            places[stream].append(sequence)
            if began_us >= since_us:
                late_ms.append((came_us - began_us) / 1000)
        return Heard(places=places, late_ms=late_ms)


def check_whole(heard: Heard, *, subscribers: int, after: int) -> None:
    """Return if every subscriber heard every event after this one, in order, once.

    Raises:
        RuntimeError: one did not.
    """
    if len(heard.places) != subscribers:
        raise RuntimeError(f"{len(heard.places)} of {subscribers} subscribers heard anything")
    for stream, places in heard.places.items():
        if places != list(range(after + 1, after + len(places) + 1)):
            raise RuntimeError(f"subscriber {stream} did not hear every event once and in order")


def _handshake(token: str, *, after: Cursor) -> bytes:
    """Return an opening handshake. Source: RFC 6455, section 4.1, with its example's key."""
    lines = (
        f"GET {EVENTS_PATH}?after={after} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")
