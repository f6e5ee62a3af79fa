"""One connection to one peer: its questions answered here, and ours asked there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.groups import begin_in
from nodeimpl.kernel.ids import incident_id
from nodeimpl.p2p import frames
from nodeimpl.p2p.casts import CAST_COST_BYTES, Hearing, Hearings, Outlet
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.frames import FrameReader
from nodeimpl.p2p.handlers import Handlers, Streamed, may_refuse
from nodeimpl.p2p.limits import Guard, PeersLimits
from nodeimpl.p2p.transport import Connection, ConnectionEnded, Stream, StreamEnded, TransportError
from opkit.wire.base import Did, Slug, Wire
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError, Fault, Refusal, Unreachable, refusal_from
from opkit.wire.peer import (
    HELLO,
    OPEN_CASTS,
    CastsTaken,
    FrameMalformed,
    Hello,
    MethodUnknown,
    OpenCasts,
    PeerMethod,
    PeerRateExceeded,
    Welcome,
    WrongNetwork,
)

WATCHED_MS_MIN = 5_001
"""A method with at least this deadline is given up when the asker gives its stream up."""

ANSWER_GRACE_MS = 2_000
"""How much longer than the method's deadline an answer may take to leave."""

_log = structlog.get_logger("p2p")

Greet = Callable[["Session", Hello], Awaitable[Welcome]]
"""Judges a hello: returns the welcome, or raises `WrongNetwork`."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all sessions of a node share."""

    network: str
    handlers: Handlers
    hearings: Hearings
    clock: Clock
    limits: PeersLimits
    greet: Greet
    misbehaved: Callable[[Did, str], None]
    """Told of a peer that broke the protocol in a way that no honest program does."""
    relieved: Callable[[Did, str, int], None]
    """Told how many bytes of a kind of casts wait for a peer after some have been sent."""


class Session:
    """A connection and what is under way on it.

    Attributes:
        org: the peer's organisation as it says itself; None before the hello, and for strangers.
        since_ms: when the connection was made.
        used_at: when something was last asked or cast on it, in seconds of the clock's own.
    """

    def __init__(self, connection: Connection, *, guard: Guard, around: Surroundings) -> None:
        """Take over `connection`; nothing happens before `serve`."""
        self.peer = connection.peer
        self.connection = connection
        self.org: Slug | None = None
        self.since_ms = around.clock.now_ms()
        self.used_at = around.clock.monotonic()
        self.over = asyncio.Event()
        self.admitted = asyncio.Event()
        self._guard = guard
        self._around = around
        self._received_bytes = -1
        self._silent_probes = 0
        self._under_way: asyncio.TaskGroup | None = None
        self._outlets: dict[str, Outlet] = {}
        self._hearing: set[str] = set()

    async def serve(self) -> None:
        """Answer the peer until the connection is gone; then end what is still under way."""
        try:
            async with asyncio.TaskGroup() as answers:
                self._under_way = answers
                try:
                    while True:
                        stream = await self.connection.accept_stream()
                        await self._take(stream, answers)
                except ConnectionEnded as gone:
                    _log.debug("connection ended", peer=self.peer, why=gone.why)
                    raise _SessionOver from gone
        except* _SessionOver:
            pass
        finally:
            self.over.set()

    async def check_pulse(self) -> None:
        """Probe a silent link, and end one that stays silent. Call every `probe_ms`."""
        received = self.connection.figures().received_bytes
        if received != self._received_bytes:
            self._received_bytes, self._silent_probes = received, 0
            return
        self._silent_probes += 1
        if self._silent_probes > self._around.limits.silent_probes_max - 1:
            await self.connection.close("the link is silent")
        else:
            self.connection.probe()

    async def greet(self, hello: Hello) -> Welcome:
        """Say hello, as the one who dialled. Raises as `ask` does."""
        welcome = await self.ask(HELLO, hello, deadline_ms=HELLO.deadline_ms)
        self.org = welcome.org
        self.admitted.set()
        return welcome

    def cast(self, kind: str, frame: bytes) -> int | None:
        """Let a frame travel to the peer after those before it; returns at once.

        Returns:
            How many bytes wait to be sent now; None if there was no room, or the connection ends.
        """
        outlet = self._outlets.get(kind)
        if outlet is None:
            if self._under_way is None or self.over.is_set():
                return None
            outlet = Outlet(
                bytes_max=self._around.limits.unsent_bytes_max,
                relieved=lambda unsent: self._around.relieved(self.peer, kind, unsent),
            )
            if begin_in(self._under_way, self._pour(kind, outlet)) is None:
                _log.debug("nothing is cast at the end", peer=self.peer)
                return None
            self._outlets[kind] = outlet
        self.used_at = self._around.clock.monotonic()
        return outlet.unsent_bytes if outlet.put(frame) else None

    async def _pour(self, kind: str, outlet: Outlet) -> None:
        """Send what is cast until the peer reads no more; the next cast then begins anew."""
        try:
            async with self._opened(OPEN_CASTS, OpenCasts(kind=kind)) as stream:
                async with deadline(self._around.clock, OPEN_CASTS.deadline_ms):
                    reader = FrameReader(stream)
                    self._judge_answer(OPEN_CASTS, await self._answer_body(OPEN_CASTS, reader))
                await outlet.pour(stream)
        except (CoopError, TimeoutError) as no:
            why = str(no) or "it did not say that it reads them"
            _log.info("casts were not taken", peer=self.peer, kind=kind, why=why)
        finally:
            del self._outlets[kind]

    async def ask(self, method: PeerMethod[Ask, Answer], ask: Ask, *, deadline_ms: int) -> Answer:
        """Ask the peer one question.

        Raises:
            Refusal: the peer said no; the leaf is one that the method declares.
            Unreachable: no answer in time, or the connection ended.
            Fault: the peer is broken, or answers outside the protocol.
        """
        try:
            async with (
                deadline(self._around.clock, deadline_ms),
                self.exchange(method, ask) as (answer, _),
            ):
                return answer
        except TimeoutError as late:
            raise Unreachable(where=self.peer, why=f"silent for {deadline_ms} ms") from late

    @asynccontextmanager
    async def exchange(
        self, method: PeerMethod[Ask, Answer], ask: Ask
    ) -> AsyncIterator[tuple[Answer, FrameReader]]:
        """Ask, and hold the stream while the caller reads what follows the answer.

        The caller sets the deadline. Raises as `ask` does, except for time.
        """
        async with self._opened(method, ask) as stream:
            await stream.finish()
            reader = FrameReader(stream)
            answer = self._judge_answer(method, await self._answer_body(method, reader))
            yield answer, reader

    @asynccontextmanager
    async def _opened(self, method: PeerMethod[Ask, Any], ask: Ask) -> AsyncIterator[Stream]:
        """Send a question, and hold its stream, which is given up if anything goes wrong.

        Raises:
            Unreachable: the stream or the connection ended.
        """
        self.used_at = self._around.clock.monotonic()
        try:
            stream = await self.connection.open_stream()
        except ConnectionEnded as gone:
            raise Unreachable(where=self.peer, why=gone.why) from gone
        try:
            await stream.send(frames.request(method.name, ask))
            yield stream
        except TransportError as gone:
            await stream.reset()
            raise Unreachable(where=self.peer, why=gone.why) from gone
        except BaseException:
            await stream.reset()
            raise

    async def _answer_body(self, method: PeerMethod[Any, Any], reader: FrameReader) -> bytes:
        try:
            return await reader.body(await reader.length())
        except FrameMalformed as bad:
            why = f"odd answer to {method.name}: {bad.why}"
            raise Fault(where=self.peer, incident="", why=why) from bad

    def _judge_answer(self, method: PeerMethod[Ask, Answer], body: bytes) -> Answer:
        try:
            frame = frames.read_answer(body)
            if frame.ok is not None:
                return frames.strictly(method.answer, frame.ok)
        except ValueError as bad:
            raise Fault(where=self.peer, incident="", why=f"odd answer to {method.name}") from bad
        assert frame.problem is not None, "an answer has one of two forms"
        no = refusal_from(frame.problem)
        if no is not None and may_refuse(method, no):
            raise no
        incident = str(frame.problem.get("incident", ""))[:64]
        raise Fault(where=self.peer, incident=incident, why=f"in answer to {method.name}")

    async def _take(self, stream: Stream, answers: asyncio.TaskGroup) -> None:
        """Answer one stream in a task of its own, if the peer may ask now."""
        try:
            self._guard.ask()
        except PeerRateExceeded as no:
            # Answered before the next stream is taken: who asks too fast waits for this too.
            self._blame(no)
            await self._say(stream, frames.refusal(no))
            return
        self._guard.streams += 1
        task = answers.create_task(self._answer(stream))
        task.add_done_callback(lambda _: self._leave())

    def _leave(self) -> None:
        self._guard.streams -= 1

    async def _answer(self, stream: Stream) -> None:
        """Read one request and answer it; nothing that goes wrong here leaves this stream."""
        method: PeerMethod[Any, Any] | None = None
        try:
            reader = FrameReader(stream)
            method, handler, ask = await self._read(reader)
            if isinstance(ask, OpenCasts):
                await self._hear(ask.kind, stream=stream, reader=reader)
                return
            async with deadline(self._around.clock, method.deadline_ms + ANSWER_GRACE_MS):
                await self._send(stream, await self._work(method, handler(self.peer, ask), stream))
        except Refusal as no:
            if method is None or may_refuse(method, no):
                self._blame(no)
                await self._say(stream, frames.refusal(no))
            else:
                await self._break(stream, method, no)
        except (TransportError, TimeoutError) as gone:
            _log.debug("a stream ended early", peer=self.peer, why=str(gone) or "took too long")
            await stream.reset()
        except asyncio.CancelledError:
            await stream.reset()
            raise
        except Exception as cause:  # noqa: BLE001 - the edge: it stays in this stream, and the log
            await self._break(stream, method, cause)

    def _blame(self, no: Refusal) -> None:
        """Ban a peer that goes on asking what is refused."""
        if self._guard.blame(no):
            self._around.misbehaved(self.peer, f"it goes on asking what is refused: {no.code}")

    async def _break(
        self, stream: Stream, method: PeerMethod[Any, Any] | None, cause: Exception
    ) -> None:
        """Log what broke, and tell the peer only where to find it."""
        incident = incident_id()
        name = method.name if method else ""
        _log.error(
            "a question broke", incident=incident, method=name, peer=self.peer, exc_info=cause
        )
        if method is not None and (method.streams_blob or method.takes_casts):
            # The answer is under way or has been given: nothing that follows could be told from it.
            await stream.reset()
        else:
            await self._say(stream, frames.fault(incident))

    async def _hear(self, kind: str, *, stream: Stream, reader: FrameReader) -> None:
        """Read the casts of one kind until the peer ends them.

        Raises:
            MethodUnknown: nobody hears this kind here.
            PeerRateExceeded: this kind is read of this connection already.
            StreamEnded: the peer sends no more.
        """
        hearing = self._around.hearings.find(kind)
        if hearing is None:
            raise MethodUnknown(method=kind)
        if kind in self._hearing:
            raise PeerRateExceeded(limit=1)
        self._hearing.add(kind)
        try:
            await stream.send(frames.answer(CastsTaken()))
            await stream.finish()
            while True:
                await self._hear_one(hearing, reader)
        except FrameMalformed as bad:
            self._around.misbehaved(self.peer, f"a cast that cannot be read: {bad.why}")
            await stream.reset()
        finally:
            self._hearing.discard(kind)

    async def _hear_one(self, hearing: Hearing[Any], reader: FrameReader) -> None:
        size = await reader.length()
        if reader.holds(size):
            body = await reader.body(size)
        else:
            async with deadline(self._around.clock, self._around.limits.request_ms_max):
                body = await reader.body(size)
        hearing.heard(self.peer, frames.read_cast(hearing.of, body))
        if (wait_s := self._guard.hear(size + CAST_COST_BYTES)) > 0:
            await self._around.clock.sleep(round(1_000 * wait_s))

    async def _read(self, reader: FrameReader) -> tuple[PeerMethod[Any, Any], Any, Wire]:
        """Return what is asked, refusing in the order of `COMMON_REFUSALS`."""
        async with deadline(self._around.clock, self._around.limits.request_ms_max):
            size = await reader.length()
            self._guard.hold_frame(size)
            try:
                frame = frames.read_request(await reader.body(size))
            finally:
                self._guard.frame_bytes -= size
        if frame.method == HELLO.name:
            return HELLO, self._welcome, frames.read_value(Hello, frame.body)
        if frame.method == OPEN_CASTS.name:
            method, handler = OPEN_CASTS, None
        else:
            method, handler = self._around.handlers.find(frame.method)
        ask = frames.read_value(method.ask, frame.body)
        await self._wait_admitted()
        return method, handler, ask

    async def _wait_admitted(self) -> None:
        """Let the peer ask only once both know that they share a network.

        Whoever dialled knows it when the welcome arrives, which questions may overtake.
        """
        if self.admitted.is_set():
            return
        if self.connection.dialled:
            async with deadline(self._around.clock, self._around.limits.hello_ms_max):
                await self.admitted.wait()
            return
        raise WrongNetwork(network=self._around.network)

    async def _welcome(self, _peer: str, hello: Hello) -> Welcome:
        if self.connection.dialled:
            raise FrameMalformed(why="the one who dialled says hello")
        welcome = await self._around.greet(self, hello)
        self.org = hello.org
        self.admitted.set()
        return welcome

    async def _work(
        self, method: PeerMethod[Any, Any], doing: Awaitable[Any], stream: Stream
    ) -> Any:
        """Return what the handler gives; a slow one is given up together with its stream."""
        if method.deadline_ms < WATCHED_MS_MIN or method.streams_blob:
            return await doing
        return await _unless_given_up(doing, stream)

    async def _send(self, stream: Stream, given: Wire | Streamed[Any]) -> None:
        if not isinstance(given, Streamed):
            await stream.send(frames.answer(given))
            await stream.finish()
            return
        async with aclosing(given.pieces):  # type: ignore[type-var]  # generators, in practice
            self._guard.open_blob()
            try:
                await stream.send(frames.answer(given.answer))
                async for piece in given.pieces:
                    await stream.send(piece)
                await stream.finish()
            finally:
                self._guard.blob_streams -= 1

    async def _say(self, stream: Stream, frame: bytes) -> None:
        """Send a last frame; a peer that does not take it loses the stream."""
        try:
            async with deadline(self._around.clock, self._around.limits.request_ms_max):
                await stream.send(frame)
                await stream.finish()
                await stream.ignore()
        except (TransportError, TimeoutError) as gone:
            _log.debug("a refusal was not taken", peer=self.peer, why=str(gone))
            await stream.reset()


class _SessionOver(Exception):
    """Ends a session's task group, cancelling what is under way."""


async def _unless_given_up(doing: Awaitable[Any], stream: Stream) -> Any:
    """Return what `doing` gives; cancel it when the asker resets the stream.

    Raises:
        StreamEnded: the asker gave up.
    """
    working = asyncio.ensure_future(doing)
    watching = asyncio.create_task(stream.unwanted())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise StreamEnded("the asker gave up")
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
