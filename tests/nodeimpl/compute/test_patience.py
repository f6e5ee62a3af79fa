"""A task that was accepted outlasts a store that is busy for a moment: it is not refused for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.compute import holdings, patience
from nodeimpl.compute import store as table
from nodeimpl.compute.offers import Offers
from nodeimpl.compute.patience import until_taken
from nodeimpl.compute.placement import _Live
from nodeimpl.compute.verdicts import manifest_of
from opkit.wire import compute as wire
from opkit.wire.gateway import StoreBusy

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA, HUGO = f"{RIVER}/mara", f"{BRIGHT}/hugo"
InTown = Callable[..., Any]
Module = Callable[[str], bytes]


def busy_first(ask: Callable[..., Any], *, told: list[str], name: str) -> Callable[..., Any]:
    """Return `ask`, which says "busy" the first time it is awaited."""

    async def asked(*args: Any, **kwargs: Any) -> Any:
        if name not in told:
            told.append(name)
            raise StoreBusy(why="the test says so")
        return await ask(*args, **kwargs)

    return asked


def test_a_store_that_is_busy_at_each_step_of_a_task_costs_it_nothing_but_time(
    in_town: InTown, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Any) -> None:
        stdin = b"ab" * 100_000
        await town.deploy(BRIGHT, module("upper"), member_id=HUGO)
        at, told = town.at[RIVER], []
        await town.upload(RIVER, stdin, member_id=MARA)
        manifest = town.manifest(MARA, module("upper"), stdin, aud=at.did)
        parts, write = at.compute.parts, at.store.write
        fetch = parts.network.fetch

        async def fetched(*args: Any, **kwargs: Any) -> Any:
            done = await fetch(*args, **kwargs)
            # The next change is what the member is charged for what was fetched.
            patch.setattr(at.store, "write", busy_first(write, told=told, name="charge"))
            return done

        with monkeypatch.context() as patch:
            for owner, name in (
                (at.compute.supply, "kept"),
                (parts.quotas, "judge_fetch"),
                (parts, "keep"),
            ):
                asked = busy_first(getattr(owner, name), told=told, name=name)
                patch.setattr(type(owner), name, asked_by(asked))
            patch.setattr(type(parts.network), "fetch", asked_by(fetched))
            view = await town.submit(RIVER, manifest, None, member_id=MARA)
            view = await town.result(RIVER, view.task_id, member_id=MARA)
        assert view.state is wire.TaskState.DONE, view.problem
        assert sorted(told) == ["charge", "judge_fetch", "keep", "kept"]
        charged = await at.store.read(lambda tx: holdings.charged(tx, MARA))
        assert charged == len(stdin) * 2 + len(module("upper"))

    in_town(story, RIVER, BRIGHT)


def asked_by(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that asks, for classes whose objects take no attributes of their own."""
    return lambda _self, *args, **kwargs: ask(*args, **kwargs)


def test_a_store_that_stays_busy_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = 0

    async def ask() -> None:
        nonlocal asks
        asks += 1
        raise StoreBusy(why="no room")

    monkeypatch.setattr(patience, "TRIES_MAX", 3)
    with pytest.raises(StoreBusy):
        asyncio.run(until_taken(ask))
    assert asks == 3


def test_a_task_placed_elsewhere_waits_for_a_busy_store_by_the_same_rule(
    in_town: InTown, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Any) -> None:
        at, asks = town.at[RIVER], 0
        placement = at.compute.placement

        async def go_on(_live: Any) -> bool:
            nonlocal asks
            asks += 1
            if asks < 3:
                raise StoreBusy(why="no room")
            return asks == 4

        monkeypatch.setattr(type(placement), "_go_on", asked_by(go_on))
        manifest = town.manifest(MARA, module("upper"), b"", aud=at.did)
        live = _Live(task_id="t", manifest=manifest_of(manifest))
        placement._live["t"] = live
        await placement._drive(live)
        assert (asks, placement.tasks) == (4, 0)
        asks = -10
        placement._live["t"] = live
        monkeypatch.setattr(patience, "TRIES_MAX", 3)
        with pytest.raises(StoreBusy):
            await placement._drive(live)
        assert (asks, placement.tasks) == (-7, 0)

    in_town(story, RIVER)


def nothing(*_: Any, **__: Any) -> None:
    """Leave to others what would be done here."""


def test_a_store_that_is_away_for_longer_than_a_placement_takes_refuses_no_task(
    in_town: InTown, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it comes back at the very moment at which nobody has taken the task in time."""

    async def story(town: Any) -> None:
        await town.deploy(RIVER, module("upper"), member_id=MARA)
        take, away = Offers._take_here, 4

        def taken(*args: Any, **kwargs: Any) -> None:
            nonlocal away
            away -= 1
            if away >= 0:
                raise StoreBusy(why="it is away")
            take(*args, **kwargs)

        monkeypatch.setattr(type(town.at[RIVER].compute), "_take_at_once", nothing)
        monkeypatch.setattr(Offers, "_take_here", taken)
        view = await town.submit(
            RIVER, town.manifest(MARA, module("upper"), b"x"), b"x", member_id=MARA
        )
        view = await town.result(RIVER, view.task_id, member_id=MARA)
        assert view.state is wire.TaskState.DONE, view.problem
        assert away == -1

    in_town(story, RIVER, placement_ms_max=0)


def test_a_store_that_is_busy_while_an_executor_is_given_up_costs_the_task_no_second_one(
    in_town: InTown, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Any) -> None:
        at, silent = town.at[RIVER], town.world.nodes[BRIGHT].did
        placement = at.compute.placement
        monkeypatch.setattr(type(placement), "begin", nothing)
        monkeypatch.setattr(type(at.compute), "_take_at_once", nothing)
        signed = town.manifest(MARA, module("upper"), b"x")
        view = await town.submit(RIVER, signed, b"x", member_id=MARA)
        row = await at.store.read(lambda tx: table.task(tx, view.task_id))
        live = _Live(task_id=view.task_id, manifest=manifest_of(signed))
        with monkeypatch.context() as patch:
            patch.setattr(at.store, "write", busy_first(at.store.write, told=[], name="lose"))
            with pytest.raises(StoreBusy):
                await placement._lose(live, row, silent, why="it is silent")
            assert live.avoid == set()
            await placement._lose(live, row, silent, why="it is still silent")
        row = await at.store.read(lambda tx: table.task(tx, view.task_id))
        assert (row.state, row.executor, row.problem) == (wire.TaskState.ACCEPTED, None, None)
        assert live.avoid == {silent}

    in_town(story, RIVER)
