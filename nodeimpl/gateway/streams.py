"""Event streams: the journal as it grows, batched, filtered by scope, ended with the token.

A stream holds a place in the journal and nothing else. A reader who is slow makes the sending wait,
and the journal keeps what they have not read; no queue grows. Source: ADR 0005, ADR 0009.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from pydantic import ValidationError
from uvicorn.protocols.utils import ClientDisconnected

from nodeimpl.gateway.admit import Admission
from nodeimpl.gateway.asks import malformed
from nodeimpl.gateway.faults import confess
from nodeimpl.gateway.figures import Figures
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.pulse import Pulse, Take
from nodeimpl.gateway.replies import (
    PROBLEM,
    Receive,
    Scope,
    Send,
    problem_bytes,
)
from nodeimpl.gateway.request import is_called, read_head
from nodeimpl.gateway.sockets import TAKES
from nodeimpl.gateway.tail import Tail
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ending import WHY, Ending
from nodeimpl.kernel.errors import StoreClosed
from nodeimpl.kernel.store import Store
from nodeimpl.membership.service import Membership, Revoked
from opkit.wire.base import Slug, TimeMs
from opkit.wire.errors import Refusal
from opkit.wire.events import (
    EVENTS_PATH,
    READ_JOURNAL,
    Cursor,
    JournalDiverged,
    ReadJournal,
    StreamEnd,
)
from opkit.wire.gateway import Malformed, RateExceeded, RouteUnknown, StoreBusy

STREAM_NAME = "events.stream"
FULL_RETRY_MS = 5_000
PATH_CHARACTERS_MAX = 200


@dataclass(slots=True, eq=False)
class Stream:
    """One open stream: whose it is, and why it must end once it must.

    Attributes:
        take: what sends a whole message at once, where the server has it.
        sending_since_s: since when a message waits to be taken, by the loop's clock; None if none.
    """

    caller: Caller
    revision: int
    expires_at_ms: TimeMs
    take: Take | None = None
    sending_since_s: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""

    def end(self, why: str) -> None:
        """Have the stream closed as rejected."""
        self.why = self.why or why
        self.ended.set()


@dataclass(frozen=True, slots=True)
class Close:
    """How a stream ends."""

    code: StreamEnd
    reason: str


class Streams:
    """All event streams of one node."""

    def __init__(
        self,
        *,
        store: Store,
        membership: Membership,
        admission: Admission,
        tail: Tail,
        clock: Clock,
        figures: Figures,
        limits: GatewayLimits,
        ending: Ending,
    ) -> None:
        """Begin with none, and hear of every revocation."""
        self._store = store
        self._membership = membership
        self._admission = admission
        self._tail = tail
        self._pulse = Pulse(
            store,
            tail=tail,
            every_ms=limits.stream_batch_ms,
            entries_max=limits.stream_entries_max,
            sent=figures.pages.inc,
        )
        self._clock = clock
        self._figures = figures
        self._limits = limits
        self._ending = ending
        self._open: set[Stream] = set()
        self._held: Counter[str] = Counter()
        membership.on_revoked(self._revoked)
        membership.on_doubted(self._doubted)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one WebSocket: a stream, or a problem document instead of the handshake."""
        connect = await receive()
        if connect["type"] != "websocket.connect":
            return
        try:
            stream, place = await self._admitted(scope)
            with self._counted(stream), self._ending.heard():
                close = await self._run(stream, place, receive, send)
                if close is not None and self._ending.is_over:
                    # Here, while it is waited for: the server would close it without a reason.
                    await _close(send, close)
                    return
        except Refusal as refusal:
            await _deny(send, status=refusal.status, body=problem_bytes(refusal))
            return
        except ClientDisconnected:
            return  # The reader left, or the server stops, while something was sent.
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, it is told by an id
            close = Close(StreamEnd.FAULT, f"incident {confess(error, endpoint=STREAM_NAME)}")
        if close is not None:
            await _close(send, close)

    def _revoked(self, revoked: Revoked) -> None:
        for stream in self._open:
            same_token = revoked.token_id in (None, stream.caller.token_id)
            if stream.caller.member_id == revoked.member_id and same_token:
                stream.end("it was revoked")

    def _doubted(self, coop: Slug) -> None:
        for stream in self._open:
            if stream.caller.member_id.startswith(f"{coop}/"):
                stream.end("the home of its member's coop is not heard")

    async def _admitted(self, scope: Scope) -> tuple[Stream, Cursor | None]:
        """Return whose stream it is and where it begins, or refuse."""
        head = read_head(scope)
        path: str = scope["path"]
        if path != EVENTS_PATH or not is_called(head.host, self._limits.names):
            raise RouteUnknown(path=path[:PATH_CHARACTERS_MAX])
        admitted = await self._admission.admit(head, READ_JOURNAL.scope)
        assert admitted.caller is not None, "a scope asks for a caller"
        place = _place(scope["query_string"])
        take = scope.get("extensions", {}).get(TAKES, {}).get("take")
        caller, revision = admitted.caller, admitted.revision
        return Stream(caller, revision, admitted.expires_at_ms, take), place

    @contextlib.contextmanager
    def _counted(self, stream: Stream) -> Iterator[None]:
        """Count the stream while it is open.

        Raises:
            RateExceeded: the member, or the node, has as many open as may be.
        """
        member_id = stream.caller.member_id
        full = len(self._open) >= self._limits.streams_max
        if full or self._held[member_id] >= self._limits.streams_per_principal_max:
            raise RateExceeded(retry_after_ms=FULL_RETRY_MS)
        self._open.add(stream)
        self._held[member_id] += 1
        self._figures.streams.inc()
        try:
            yield
        finally:
            self._open.discard(stream)
            self._held[member_id] -= 1
            if not self._held[member_id]:
                del self._held[member_id]
            self._figures.streams.dec()

    async def _run(
        self, stream: Stream, place: Cursor | None, receive: Receive, send: Send
    ) -> Close | None:
        """Send until somebody ends it; None if the reader left."""
        if self._membership.revision != stream.revision:
            # The stream is counted now, so a later revocation finds it; one that came before is
            # found here.
            await self._store.read(lambda tx: self._membership.confirm(tx, stream.caller))
        await send({"type": "websocket.accept"})
        parts = [
            asyncio.ensure_future(self._send_pages(stream, place, send)),
            asyncio.ensure_future(self._stall(stream)),
            asyncio.ensure_future(self._watch(stream)),
            asyncio.ensure_future(_listen(receive)),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            return next(part for part in parts if part in done).result()
        except JournalDiverged as diverged:
            await send({"type": "websocket.send", "text": problem_bytes(diverged).decode()})
            return Close(StreamEnd.DIVERGED, diverged.code)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _send_pages(self, stream: Stream, place: Cursor | None, send: Send) -> Close:
        """Send what the journal has after `place`, and then what comes, in batches."""
        scopes, entries_max = stream.caller.scopes, self._limits.stream_entries_max
        loop = asyncio.get_running_loop()
        try:
            while True:
                page = await self._tail.page(place, scopes=scopes, entries_max=entries_max)
                if page is not None:
                    place = page.cursor
                    stream.sending_since_s = loop.time()
                    await send({"type": "websocket.send", "text": page.text, "frame": page.frame})
                    stream.sending_since_s = None
                    self._figures.pages.inc()
                if page is not None and page.entries == entries_max:
                    continue
                if place is None or stream.take is None:
                    await self._pulse.after(place.sequence if place else 0)
                else:
                    place = await self._pulse.ride(place, scopes=scopes, take=stream.take)
        except (StoreBusy, StoreClosed):
            return Close(StreamEnd.RESTART, "the store is not there now")

    async def _stall(self, stream: Stream) -> Close:
        """Return once a message has waited for too long for a reader who does not read.

        One timer looks again and again, for one that is set and taken back with each message costs
        as much as sending it.
        """
        loop, limit_s = asyncio.get_running_loop(), self._limits.stream_stall_ms_max / 1000
        while True:
            since_s = stream.sending_since_s
            left_s = limit_s if since_s is None else since_s + limit_s - loop.time()
            if left_s <= 0:
                return Close(StreamEnd.SLOW, "nothing was read for too long")
            await asyncio.sleep(left_s)

    async def _watch(self, stream: Stream) -> Close:
        """Return when the stream must end: its token expired or was revoked, or the node ends."""
        waiting = (
            asyncio.ensure_future(self._expiry(stream)),
            asyncio.ensure_future(stream.ended.wait()),
            asyncio.ensure_future(self._ending.over()),
        )
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if self._ending.is_over and not stream.ended.is_set():
            return Close(StreamEnd.RESTART, WHY)
        return Close(StreamEnd.REJECTED, stream.why or "it has expired")

    async def _expiry(self, stream: Stream) -> None:
        """Return when the token expires; how long that is, is asked when the waiting begins."""
        await self._clock.sleep(stream.expires_at_ms - self._clock.now_ms())


async def _listen(receive: Receive) -> Close | None:
    """Return when the reader leaves, or says something: a stream goes one way."""
    message = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    return Close(StreamEnd.ONE_WAY, "nothing is read here")


def _place(query: bytes) -> Cursor | None:
    """Return where the query says that the stream begins.

    Raises:
        Malformed: the query has other fields, or no cursor in its field.
    """
    fields = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=8))
    if fields.keys() - {"after"}:
        raise Malformed(field=min(fields.keys() - {"after"})[:64], why="unknown")
    return cursor_of(fields.get("after", ""))


def cursor_of(text: str) -> Cursor | None:
    """Return the cursor that a query spells; None for the beginning.

    Raises:
        Malformed: it spells none.
    """
    try:
        return Cursor.parse(text) if ReadJournal(after=text).after else None
    except ValidationError as bad:
        raise malformed(bad) from bad


async def _deny(send: Send, *, status: int, body: bytes) -> None:
    """Answer the handshake with a response. Source: ASGI, WebSocket denial response."""
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [(b"content-type", PROBLEM), (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})


async def _close(send: Send, close: Close) -> None:
    """Close a socket; one whose reader has just left needs no closing."""
    with contextlib.suppress(OSError, RuntimeError):
        await send({"type": "websocket.close", "code": close.code, "reason": close.reason[:120]})
