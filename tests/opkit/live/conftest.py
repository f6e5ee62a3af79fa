"""A page whose cards are what a test writes on it, and something that changes when it says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from devnet.passes import SCOPES
from flows.modules import stamped
from opkit.client import NodeClient, Patience
from opkit.live.live import Live
from opkit.live.ports import ControlRefused, Draw, NodeAt, PageRefused
from opkit.views.figures import NodeFigure
from opkit.wire.base import NetworkId
from opkit.wire.errors import CoopError

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"

TELL_S_MAX = 240
"""How long a whole story may take; what hangs in it has a limit of its own."""

FRAME = '<div class="board"><div data-card="one"></div><div data-card="two"></div></div>'


@dataclass
class Ticker:
    """Counts changes, as a `Live` does."""

    revision: int = 0
    watching: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self) -> None:
        """Say that something changed."""
        self.revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_change(self, after: int) -> int:
        """Return the revision once it is greater than `after`."""
        while self.revision <= after:
            await self._changed.wait()
        return self.revision

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Count who looks."""
        self.watching += 1
        try:
            yield
        finally:
            self.watching -= 1


@dataclass
class Slate:
    """A page of two cards; a card written as an exception cannot be drawn."""

    written: dict[str, str | Exception] = field(
        default_factory=lambda: {"one": "<p>1</p>", "two": "<p>2</p>"}
    )
    around: str = FRAME
    acts: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    holding: asyncio.Event | None = None
    draws: int = 0
    name: str = "slate"
    title: str = "Slate"

    def frame(self) -> str:
        """Return the markup around the cards."""
        return self.around

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card."""
        return {name: lambda name=name: self._draw(name) for name in self.written}

    def _draw(self, name: str) -> str:
        self.draws += 1
        said = self.written[name]
        if isinstance(said, Exception):
            raise said
        return said

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Note the act; some are refused, break, or last until the test lets them end."""
        self.acts.append((act, dict(arguments)))
        match act:
            case "refused":
                raise PageRefused("not today")
            case "control-refused":
                raise ControlRefused("the supervisor said no", hint="ask again")
            case "broken":
                raise ZeroDivisionError("by nothing")
            case "long":
                assert self.holding is not None
                await self.holding.wait()
            case _:
                self.written["one"] = f"<p>{act}</p>"


@pytest.fixture
def slate() -> Slate:
    """A page that shows what is written on it."""
    return Slate()


@pytest.fixture
def ticker() -> Ticker:
    """Something that changes when it says so."""
    return Ticker()


class WorldSource:
    """A network in this process as a source; its disturbances are the world's own notes."""

    def __init__(self, world: InProcessWorld) -> None:
        self.name = "in-process"
        self.world = world
        self.genesis = world.genesis
        self.network = world.genesis.network
        self.may_act = True
        self.refusing = ""
        self.tokens_given: list[str] = []
        self.ttl_ms = 600_000

    async def nodes(self) -> tuple[NodeAt, ...]:
        self._refuse()
        members = [self.world.node(one.org) for one in self.genesis.genesis.nodes]
        return tuple(
            NodeAt(org=one.org, title=one.title, did=one.did, url=one.url) for one in members
        )

    async def token(self, org: str, *, instead_of: str | None = None) -> str:
        self._refuse()
        try:
            granted = await self.world.operator(org).login(scopes=SCOPES, ttl_ms=self.ttl_ms)
        except CoopError as failed:
            raise ControlRefused(str(failed), hint="ask again") from failed
        self.tokens_given.append(org)
        return granted.token

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self._refuse()
        if do == "status":
            return {"links": [{"a": a, "b": b, "cut": True} for a, b in self.cut()]}
        lines = self._lines(arguments["after"])
        while arguments["wait_ms"] and not lines:
            await asyncio.sleep(0.02)
            self._refuse()
            lines = self._lines(arguments["after"])
        return {"lines": lines, "next": lines[-1]["number"] if lines else arguments["after"]}

    def _lines(self, after: int) -> list[dict[str, Any]]:
        noted = enumerate(self.world.disturbances(), start=1)
        return [{**line, "number": number} for number, line in noted if number > after]

    def cut(self) -> set[tuple[str, str]]:
        cut: set[tuple[str, str]] = set()
        for line in self.world.disturbances():
            if line["what"] == "cut":
                cut.add((line["a"], line["b"]))
            elif line["what"] == "heal":
                cut.discard((line["a"], line["b"]))
        return cut

    def _refuse(self) -> None:
        if self.refusing:
            raise ControlRefused(self.refusing, hint="start it")

    async def close(self) -> None:
        return

    def make(self, at: NodeAt, *, network: NetworkId) -> NodeClient:
        """Make a client that reaches a node of this process, and asks once."""
        known = self.world.client(at.org, None)
        return NodeClient(
            url=at.url,
            node=at.did,
            network=network,
            http=known.http,
            events=known._events,
            patience=Patience(attempts_max=1),
        )


@dataclass
class Following:
    """A network in this process and the `Live` that follows it."""

    world: InProcessWorld
    source: WorldSource
    live: Live
    running: asyncio.Task[None]

    async def eventually(self, holds: Callable[[], object]) -> None:
        """Return once something holds; a `Live` that ended says why."""
        async with asyncio.timeout(100):
            while not holds():
                if self.running.done():
                    self.running.result()
                await asyncio.sleep(0.01)

    def node(self, org: str) -> NodeFigure:
        """Return the figure of an organisation's node."""
        return next(one for one in self.live.network_figures().nodes if one.org == org)

    def sentences(self) -> list[str]:
        """Return what happened, newest first."""
        return [one.sentence for one in self.live.network_figures().happenings]

    async def deploy(self, name: str = "upper") -> str:
        """Have Mara deploy a module that is named so, and return its hash."""
        client = self.world.client(RIVER, f"{RIVER}/mara")
        return (await client.wasm.deploy(stamped("upper", name), name=name)).wasm_hash

    async def run_task(self, wasm_hash: str) -> str:
        """Have Hugo ask for a run on Harbor's node, wait for its end, and return the task's id."""
        client = self.world.client(BRIGHT, f"{BRIGHT}/hugo")
        executor = self.world.node(HARBOR).did
        handle = await client.compute.submit(wasm_hash, b"hello", executor=executor)
        await handle.result()
        return handle.task_id


@pytest.fixture
def following() -> Callable[[], AbstractAsyncContextManager[Following]]:
    """Hold a network of three nodes in this process, and follow it."""

    @asynccontextmanager
    async def hold() -> AsyncIterator[Following]:
        async with inprocess_world() as world:
            source = WorldSource(world)
            live = Live(source, make=source.make)
            running = asyncio.get_running_loop().create_task(live.run())
            held = Following(world, source, live, running)
            try:
                with live.watched():
                    await held.eventually(lambda: live.followed)
                    await held.eventually(
                        lambda: all(one.health == "up" for one in live.followed.values())
                    )
                    yield held
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    return hold


@pytest.fixture
def tell(
    following: Callable[[], AbstractAsyncContextManager[Following]],
) -> Callable[[Callable[[Following], Awaitable[None]]], None]:
    """Follow a network in this process and tell a story on it."""

    def go(story: Callable[[Following], Awaitable[None]]) -> None:
        async def within() -> None:
            async with asyncio.timeout(TELL_S_MAX), following() as held:
                await story(held)

        asyncio.run(within())

    return go
