"""One endpoint at the gateway: admit, read, run, answer; and every failure in its declared form."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Any

from nodeimpl.gateway.admit import Admission, Admitted
from nodeimpl.gateway.asks import AskReader
from nodeimpl.gateway.body import Body, ClientGone, Room
from nodeimpl.gateway.faults import confess
from nodeimpl.gateway.figures import Figures
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.replies import (
    BYTES,
    JSON,
    PIECE_BYTES,
    Headers,
    Receive,
    Scope,
    Send,
    reply,
    reply_fault,
    reply_refusal,
)
from nodeimpl.gateway.request import Head
from nodeimpl.gateway.unread import Unread
from nodeimpl.kernel.binding import Caller, Route
from nodeimpl.kernel.ending import WHY, Ending
from nodeimpl.kernel.errors import StoreClosed
from nodeimpl.kernel.idempotency import KEPT_MS, remember
from nodeimpl.kernel.log import bound
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from nodeimpl.membership.service import Membership
from opkit.wire.base import Wire
from opkit.wire.errors import Busy, Refusal
from opkit.wire.gateway import (
    BodyOversize,
    IdempotencyKeyMissing,
    Malformed,
    RateExceeded,
    StoreBusy,
    all_refusals,
)

CROWDED_RETRY_MS = 1_000

_KEY = re.compile(rb"[\x21-\x7e]{1,128}")
_KEPT = (b"idempotency-kept-ms", str(KEPT_MS).encode())
_REPLAYED = (b"idempotency-replayed", b"true")
_CLOSE = (b"connection", b"close")


class Crowd:
    """How many asks are in hand at one node."""

    def __init__(self, *, asks_max: int) -> None:
        """Begin with none."""
        self.inside = 0
        self._asks_max = asks_max

    def __enter__(self) -> None:
        """Let one more in.

        Raises:
            RateExceeded: as many are in hand as may be.
        """
        if self.inside >= self._asks_max:
            raise RateExceeded(retry_after_ms=CROWDED_RETRY_MS)
        self.inside += 1

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self.inside -= 1


class Door:
    """Answers one endpoint."""

    def __init__(
        self,
        route: Route,
        *,
        store: Store,
        membership: Membership,
        admission: Admission,
        room: Room,
        crowd: Crowd,
        unread: Unread,
        figures: Figures,
        limits: GatewayLimits,
        ending: Ending,
    ) -> None:
        """Work out once what every ask of this endpoint needs."""
        endpoint = route.endpoint
        assert route.handle is None or route.direct is None, f"{endpoint.name} is bound twice"
        assert route.handle or route.direct, f"{endpoint.name} is bound to nothing"
        remembers = endpoint.changes and endpoint.stores_answer
        assert not (remembers and route.direct), f"{endpoint.name} needs a transaction to remember"
        self.route = route
        self.endpoint = endpoint
        self._store = store
        self._membership = membership
        self._admission = admission
        self._room = room
        self._crowd = crowd
        self._unread = unread
        self._figures = figures
        self._limits = limits
        self._ending = ending
        self._remembers = remembers
        self._reader = AskReader(endpoint)
        self._declared = frozenset(all_refusals(endpoint))
        self._body_max = min(endpoint.body_bytes_max, limits.body_bytes_max)
        self._costs = endpoint.method != "GET"

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, *, head: Head, in_path: tuple[str, ...]
    ) -> None:
        """Answer one request; nothing is raised but what ends the process."""
        began = self._figures.began()
        with bound(request_id=head.request_id, endpoint=self.endpoint.name):
            status = await self._answer(scope, receive, send, head=head, in_path=in_path)
        self._figures.asked(self.endpoint.name, status=status, began=began)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, *, head: Head, in_path: tuple[str, ...]
    ) -> int:
        body = Body(
            receive,
            length=head.length,
            chunked=head.chunked,
            limit=self._body_max,
            limits=self._limits,
        )
        try:
            with self._crowd:
                content, extra = await self._served(scope, body, head=head, in_path=in_path)
        except ClientGone:
            return 499
        except Refusal as refusal:
            return await self._refuse(send, refusal, body=body, head=head)
        except StoreClosed as closing:
            busy = StoreBusy(why=str(closing))
            return await self._refuse(send, busy, body=body, head=head)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, it is told by an id
            incident = confess(error, endpoint=self.endpoint.name)
            await reply_fault(send, incident=incident, request_id=head.request_id)
            return 500
        if len(content) <= PIECE_BYTES:
            return await self._reply(send, content, head=head, extra=extra)
        try:
            with self._unread.held(head.asker, len(content)):
                return await self._reply(send, content, head=head, extra=extra)
        except RateExceeded as refusal:
            return await self._refuse(send, refusal, body=body, head=head)

    async def _reply(self, send: Send, content: bytes, *, head: Head, extra: Headers) -> int:
        kind = BYTES if self.endpoint.raw_answer else JSON
        await reply(
            send, status=200, body=content, kind=kind, request_id=head.request_id, extra=extra
        )
        return 200

    async def _served(
        self, scope: Scope, body: Body, *, head: Head, in_path: tuple[str, ...]
    ) -> tuple[bytes, Headers]:
        """Return the answer's bytes and headers, or raise what the contract says, in its order."""
        body.check_declared()
        try:
            admitted = await self._admission.admit(head, self.endpoint.scope, costs=self._costs)
        except Refusal:
            if await body.overflows():
                raise BodyOversize(limit_bytes=self._body_max) from None
            raise
        if admitted.caller is not None:
            head.asker = admitted.caller.member_id
        if head.coded:
            raise Malformed(field="Content-Encoding", why="bodies travel as they are")
        content = await body.read(self._room) if body.waits else b""
        query: bytes = scope["query_string"]
        ask = self._reader.read(
            in_path=in_path, query=query, body=content, content_type=head.content_type
        )
        key = self._key(head)
        if self.endpoint.changes and self._ending.begun:
            raise StoreBusy(why=WHY)
        async with asyncio.timeout(self._limits.answer_ms_max / 1000):
            if not self._remembers:
                return await self._run(ask, admitted), ()
            ask_hash = _hash(scope, query, content)
            del content
            said, again = await self._run_once(ask, admitted, key=key, ask_hash=ask_hash)
        return said, (_KEPT, _REPLAYED) if again else (_KEPT,)

    def _key(self, head: Head) -> str:
        if not self.endpoint.changes:
            return ""
        if head.idempotency_key is None:
            raise IdempotencyKeyMissing()
        if not _KEY.fullmatch(head.idempotency_key):
            raise Malformed(field="Idempotency-Key", why="1 to 128 visible ASCII characters")
        return head.idempotency_key.decode("ascii")

    async def _run(self, ask: Wire, admitted: Admitted) -> bytes:
        """Run what is bound to the endpoint and return its answer as bytes."""
        caller = admitted.caller
        direct = self.route.direct
        if direct is not None:
            if self._stale(admitted):
                await self._store.read(lambda tx: self._confirm(tx, admitted))
            said = self._bytes(await direct(ask, caller))
            if self._stale(admitted):
                # Who was revoked while they waited does not get what they waited for.
                await self._store.read(lambda tx: self._confirm(tx, admitted))
            return said
        prepared = await self._prepare(ask, caller)
        transact = self._store.write if self.route.writes else self._store.read
        return await transact(lambda tx: self._handle(tx, ask, admitted, prepared))

    async def _run_once(
        self, ask: Wire, admitted: Admitted, *, key: str, ask_hash: str
    ) -> tuple[bytes, bool]:
        """Run the change, or return what the same key was answered before.

        A refusal of the preparation waits for the transaction: that the key is remembered, or
        belongs to another ask, is told first. Only that the node is busy is told at once: it says
        that nothing is remembered, and the queue that is full is no place to wait for it.
        """
        caller = admitted.caller
        principal = caller.member_id if caller else ""
        prepared: Any = None
        refused: Refusal | None = None
        try:
            prepared = await self._prepare(ask, caller)
        except Busy:
            raise
        except Refusal as no:
            refused = no

        def make(tx: Tx) -> bytes:
            if refused is not None:
                raise refused
            return self._handle(tx, ask, admitted, prepared)

        def work(tx: Tx) -> tuple[bytes, bool]:
            self._confirm(tx, admitted)
            return remember(
                tx,
                principal=principal,
                endpoint=self.endpoint.name,
                key=key,
                ask_hash=ask_hash,
                make=lambda: make(tx),
                keys_max=self._limits.keys_max,
            )

        return await self._store.write(work)

    async def _prepare(self, ask: Wire, caller: Caller | None) -> Any:
        return None if self.route.prepare is None else await self.route.prepare(ask, caller)

    def _handle(self, tx: Tx, ask: Wire, admitted: Admitted, prepared: Any) -> bytes:
        assert self.route.handle is not None, "a route has a handle or answers directly"
        self._confirm(tx, admitted)
        return self._bytes(self.route.handle(tx, ask, admitted.caller, prepared))

    def _stale(self, admitted: Admitted) -> bool:
        return admitted.caller is not None and self._membership.revision != admitted.revision

    def _confirm(self, tx: Tx, admitted: Admitted) -> None:
        """Refuse a caller whose token ended since they were admitted."""
        if self._stale(admitted):
            assert admitted.caller is not None, "only a caller can be stale"
            self._membership.confirm(tx, admitted.caller)

    def _bytes(self, answer: Any) -> bytes:
        """Return the answer as it travels; another type than the declared one is a defect."""
        if not isinstance(answer, self.endpoint.answer):
            raise TypeError(f"{self.endpoint.name} was answered with a {type(answer).__name__}")
        if self.endpoint.raw_answer is not None:
            raw: bytes = getattr(answer, self.endpoint.raw_answer)
            return raw
        said: bytes = self.endpoint.answer.__pydantic_serializer__.to_json(answer)
        return said

    async def _refuse(self, send: Send, refusal: Refusal, *, body: Body, head: Head) -> int:
        """Tell a refusal, or a fault if the endpoint does not declare it."""
        try:
            reusable = await body.settle()
        except ClientGone:
            return 499
        if type(refusal) not in self._declared:
            incident = confess(refusal, endpoint=self.endpoint.name)
            await reply_fault(send, incident=incident, request_id=head.request_id)
            return 500
        extra = () if reusable else (_CLOSE,)
        await reply_refusal(send, refusal, request_id=head.request_id, extra=extra)
        return refusal.status


def _hash(scope: Scope, query: bytes, content: bytes) -> str:
    """Return the hash of a whole ask: the same bytes at the same place are the same ask."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    digest = hashlib.sha256(b"%d %b\n%d %b\n" % (len(path), path, len(query), query))
    digest.update(content)
    return digest.hexdigest()
