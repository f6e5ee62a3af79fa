"""Homes that share objects: a store, a key and a replica each, on one clock."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.crdt.pull import Pull
from nodeimpl.kernel.store import Store, StoredEntry, Tx
from nodeimpl.sharing.exchange import Exchange, Heard, Question
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharedSpec, SharingLimits
from opkit.proof.keys import Identity
from opkit.wire.objects import AskOperations, ObjectHeads, OpeningRejected, OperationsGiven
from opkit.wire.operations import AddAct, ObjectKind, SetAct

NETWORK = "a" * 26
TOOLS = "pool/tools"
BOARD = "board"
NAMES = ("ada", "ben", "cy")


@cache
def key_of(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


def judge_pool(object_id: str, opening: str) -> SharedSpec:
    """Judge a set; its opening names its founders."""
    if not opening:
        raise OpeningRejected(object_id=object_id, why="it has no founders")
    dids = frozenset(key_of(name).did for name in opening.split())
    return SharedSpec(kind=ObjectKind.OR_SET, founders=dids, expulsions_min=2)


def judge_board(object_id: str, opening: str) -> SharedSpec:
    """Judge a map in which each author has keys of their own, and dee reads."""
    del object_id, opening
    return SharedSpec(
        kind=ObjectKind.LWW_MAP,
        founders=frozenset(key_of(name).did for name in NAMES),
        readers=frozenset([key_of("dee").did]),
        permits=lambda did, act: not isinstance(act, SetAct) or act.key.endswith(did),
    )


class Home:
    """A node's shared objects, without the node."""

    def __init__(
        self, name: str, store: Store, limits: SharingLimits | None, generation: int
    ) -> None:
        self.identity = key_of(name)
        self.did = self.identity.did
        self.store = store
        self.sharing = Sharing(self.identity, network=NETWORK, generation=generation, limits=limits)
        self.exchange = Exchange(self.sharing)
        self.sharing.opener("pool/", judge_pool)
        self.sharing.opener(BOARD, judge_board)

    async def open(self, object_id: str = TOOLS, opening: str = " ".join(NAMES)) -> bool:
        return await self.store.write(lambda tx: self.sharing.open(tx, object_id, opening))

    async def add(self, *elements: str, object_id: str = TOOLS) -> None:
        def work(tx: Tx) -> None:
            for each in elements:
                self.sharing.say(tx, object_id, AddAct(element=each))

        await self.store.write(work)

    async def elements(self, object_id: str = TOOLS) -> tuple[str, ...]:
        """What a reader finds, as of the last commit; the writer finds the same."""
        read = await self.store.read(lambda tx: self.sharing.elements(tx, object_id))
        assert read == await self.store.write(lambda tx: self.sharing.elements(tx, object_id))
        return read

    async def state(self, object_id: str = TOOLS) -> str:
        return await self.store.write(lambda tx: self.sharing.state(tx, object_id))

    async def pull(self, other: Home, object_id: str = TOOLS) -> str:
        """Take what this home lacks of what another has, as nodes do; return what was a lie."""
        pull, question = await self.store.write(lambda tx: self.exchange.begin(tx, object_id))
        while question is not None:
            question = await self._ask(other, pull, question)
        return pull.lied

    async def _ask(self, other: Home, pull: Pull, question: Question) -> Question | None:
        def answer(tx: Tx) -> OperationsGiven:
            if isinstance(question, AskOperations):
                return other.exchange.give(tx, self.did, question)
            return other.exchange.lacking(tx, self.did, question)

        given = await other.store.write(answer)
        came = self.exchange.read(pull, given)
        return await self.store.write(
            lambda tx: self.exchange.step(tx, other.did, pull, came, more=given.more)
        )

    async def hear(self, other: Home, *, introduced: bool = False) -> Heard:
        """Hear what another home has."""

        def heads(tx: Tx) -> tuple[ObjectHeads, ...]:
            told, _ = other.exchange.heads(tx, self.did, None)
            ids = [each.aud for each in told]
            return other.exchange.introduced(tx, self.did, ids) if introduced else told

        told = await other.store.read(heads)
        return await self.store.write(lambda tx: self.exchange.hear(tx, other.did, told))

    async def events(self) -> list[StoredEntry]:
        return await self.store.read_journal(after=None, entries_max=1000)


@pytest.fixture
def key() -> Callable[[str], Identity]:
    return key_of


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def home_at(clock: VirtualClock) -> Callable[..., Any]:
    """Open a home at a database's address: `async with home_at(url, "ada") as ada`."""

    @asynccontextmanager
    async def at(
        url: str, name: str = "ada", limits: SharingLimits | None = None, generation: int = 1
    ) -> AsyncIterator[Home]:
        store = await Store.open(url=url, clock=clock)
        try:
            yield Home(name, store, limits, generation)
        finally:
            await store.close()

    return at


@pytest.fixture
def url_of(tmp_path: Path) -> Callable[[str], str]:
    return lambda name: f"sqlite:///{tmp_path}/{name}.db"


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run an async test, bounded in time."""

    async def main() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(main())


@pytest.fixture
def within() -> Callable[[Callable[[], Awaitable[None]]], None]:
    return run
