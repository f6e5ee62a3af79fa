"""What the pieces of computing share: the parts they are given, and who is waiting for what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from nodeimpl.compute.holdings import Quotas
from nodeimpl.compute.rules import Limits, Policy
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Cid, CidText, Did, Jws, MemberId
from opkit.wire.compute import Fetched, TaskState
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.membership import Member
from opkit.wire.peer import PeerMethod


class Members(Protocol):
    """What computing asks of membership."""

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member as they stand now."""
        ...

    def records(self, tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
        """Return the chain of a member's records, for those who know only the genesis."""
        ...


class Network(Protocol):
    """What computing asks of the peer-to-peer layer."""

    async def ask(
        self,
        peer: Did,
        method: PeerMethod[Ask, Answer],
        ask: Ask,
        *,
        deadline_ms: int | None = None,
    ) -> Answer:
        """Ask a connected peer one question."""
        ...

    async def fetch(
        self, cid: CidText, *, size_max: int, blobs: BlobStore, judge: Callable[[int], None]
    ) -> Fetched:
        """Fetch bytes by name from connected peers, checked, into `blobs`.

        Args:
            judge: told how many bytes will come, before they do; refuses what does not fit.
        """
        ...

    def provide(self, cid: Cid, size_bytes: int) -> None:
        """Say in the network that this node keeps a blob."""
        ...

    def connected(self) -> tuple[Did, ...]:
        """Return the peers that can be asked now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What computing is made of; `node.py` gives it."""

    store: Store
    blobs: BlobStore
    sandbox: Sandbox
    network: Network
    members: Members
    identity: Identity
    genesis: GenesisView
    clock: Clock
    limits: Limits
    policy: Policy
    quotas: Quotas

    @property
    def me(self) -> Did:
        """This node's DID."""
        return self.identity.did

    async def keep(self, content: bytes, *, cid: Cid, member_id: MemberId) -> None:
        """Keep bytes of this name, counted for a member until they are charged or collected.

        Raises:
            StorageQuotaExceeded: they do not fit what the member may fill.
            StorageFull: they do not fit.
        """
        is_kept = self.blobs.size(cid) is not None
        async with self.quotas.keeping(member_id, cid, len(content), is_kept=is_kept):
            await self.blobs.put(content, cid=cid)


class Progress:
    """Who waits for the end of what, and what passing state it is in.

    Passing states (fetching, running) are not worth a commit: they live here, and a restart begins
    them again anyway. `under_way` has the members of tasks that were accepted since the start, and
    of whose end no commit has told: so who waits for one need not look at what stands first.
    """

    def __init__(self, *, waiters_max: int) -> None:
        """Hold at most `waiters_max` asks open; one more is answered at once."""
        self.states: dict[str, TaskState] = {}
        self.under_way: dict[str, MemberId] = {}
        self._waiters_max = waiters_max
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0

    def register(self, key: str) -> asyncio.Future[None] | None:
        """Return what is done when `key` ends, or None if too many wait already.

        Register first, read then: an end between the two is not missed.
        """
        if self._count >= self._waiters_max:
            return None
        self._count += 1
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(waiter)
        return waiter

    async def wait(self, waiter: asyncio.Future[None], *, wait_ms: int) -> None:
        """Return once `waiter` is done, or so much later."""
        late = asyncio.get_running_loop().call_later(wait_ms / 1000, _set, waiter)
        try:
            await waiter
        finally:
            late.cancel()

    def unregister(self, key: str, waiter: asyncio.Future[None]) -> None:
        """Stop waiting."""
        self._count -= 1
        waiter.cancel()
        kept = self._waiting.get(key)
        if kept is not None:
            kept.discard(waiter)
            if not kept:
                del self._waiting[key]

    def end_all(self) -> None:
        """Have everybody who waits look once more at what there is, and wait no longer."""
        for key in tuple(self._waiting):
            self._wake(key)

    def end(self, key: str) -> None:
        """Say that `key` reached a final state."""
        self.states.pop(key, None)
        self.under_way.pop(key, None)
        self._wake(key)

    def _wake(self, key: str) -> None:
        for waiter in self._waiting.get(key, ()):
            _set(waiter)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Crew:
    """Work that runs side by side, each piece in a task of its own, all of one owner.

    Once the owner ends, or a piece failed and so takes the owner with it, nothing new begins: what
    commits from then on begins with the next start.
    """

    def __init__(self) -> None:
        """Begin nothing before `run`."""
        self._group: asyncio.TaskGroup | None = None

    @property
    def runs(self) -> bool:
        """Whether new work begins."""
        return self._group is not None

    async def run(self, first: Callable[[], Awaitable[None]]) -> None:
        """Own the work until cancelled; `first` begins what was left by the last stop."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await first()
                await asyncio.Event().wait()
            finally:
                self._group = None

    def rest(self) -> None:
        """Begin nothing new; what was begun goes on."""
        self._group = None

    def begin(
        self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str
    ) -> asyncio.Task[None]:
        """Begin a piece of work; ask `runs` before."""
        assert self._group is not None, "nothing begins that nobody owns"
        task = self._group.create_task(work(), name=name)
        # Called before anything else can begin work: the group takes no more after a failure.
        task.add_done_callback(self._end_if_failed)
        return task

    def _end_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._group = None


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return once they are over: nobody's task is left behind."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            # Whoever wants its failure has asked for it; nobody else needs to hear of it.
            task.exception()
