"""A node at work, and backups of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history.backup import Made, Source, back_up
from nodeimpl.history.restoring import Restored, examine, restore
from nodeimpl.kernel.clock import RealClock
from opkit.proof.wasm import add_custom_section

MODULE = (Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm").read_bytes()
RIVER = "river-city-tool-library"
LARGE_BYTES = 80_000
"""More than fits a row: such inputs and outputs are blobs."""


def source_of(world: Any, **changes: Any) -> Source:
    one = world.node(RIVER)
    fields = {
        "url": one.config.store_url(),
        "folder": one.config.node.folder,
        "identity": world.made.nodes[RIVER],
        "genesis": world.genesis,
        "version": "1",
        "clock": RealClock(),
    }
    return Source(**{**fields, **changes})


@asynccontextmanager
async def world_at_work() -> AsyncIterator[Any]:
    """A network of three, whose makings a test may see."""
    async with inprocess_world("three") as world:
        world.made = world._made
        yield world


async def made_backup(world: Any, to: Path, **changes: Any) -> Made:
    return await asyncio.to_thread(back_up, source_of(world, **changes), to)


async def put_back(world: Any, backup: Path, *, replace: bool = True) -> Restored:
    statement, verdict = examine(backup, genesis=world.genesis, clock=world.clock)
    assert verdict.status == "verified", verdict.failures
    assert statement is not None
    return await asyncio.to_thread(
        restore,
        backup,
        folder=world.node(RIVER).config.node.folder,
        created_at_ms=statement.created_at_ms,
        clock=world.clock,
        replace=replace,
    )


class Work:
    """Members who deploy modules and have tasks run, one after another, until told to stop."""

    def __init__(self, world: Any) -> None:
        self._client = world.client(RIVER, f"{RIVER}/mara")
        self.modules: dict[str, bytes] = {}
        self.results: dict[str, tuple[Any, bytes]] = {}
        self.bundles: list[Any] = []
        self._stop = asyncio.Event()

    async def go_on(self, first: int) -> None:
        for number in range(first, 100_000, 2):
            if self._stop.is_set():
                return
            await self.once(number)

    async def once(self, number: int) -> None:
        mine = add_custom_section(MODULE, "number", str(number).encode() * LARGE_BYTES)
        info = await self._client.wasm.deploy(mine, name=f"m{number}")
        self.modules[info.wasm_hash] = mine
        input_ = str(number).encode() if number % 2 else str(number).encode() * LARGE_BYTES
        handle = await self._client.compute.submit(info.wasm_hash, input_)
        done = await handle.result()
        self.results[handle.task_id] = (handle.manifest, done.output)
        self.bundles.append(done.bundle)

    def stop(self) -> None:
        self._stop.set()

    def acknowledged(self) -> tuple[dict[str, bytes], dict[str, tuple[Any, bytes]]]:
        return dict(self.modules), dict(self.results)


@pytest.fixture(scope="session")
def kit() -> Any:
    """What the tests of backups share."""
    return SimpleNamespace(
        Work=Work,
        world_at_work=world_at_work,
        made_backup=made_backup,
        put_back=put_back,
        source_of=source_of,
    )


@pytest.fixture(scope="session")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A backup of a node with modules and tasks, its genesis, and the identities in its world."""
    folder = tmp_path_factory.mktemp("backed-up")
    kept: dict[str, Any] = {}

    async def main() -> None:
        async with world_at_work() as world:
            work = Work(world)
            await work.once(1)
            await work.once(2)
            await made_backup(world, folder / "backup")
            kept.update(genesis=world.genesis, made=world.made)

    asyncio.run(asyncio.wait_for(main(), 120))
    return folder / "backup", kept["genesis"], kept["made"]
