"""Exchanges on real nodes in one process: under an agreement that two coops voted for."""

from __future__ import annotations

import asyncio

import pytest

from devnet.inprocess import InProcessWorld
from opkit.client.clearing import ClearingCalls
from opkit.proof.clearing import read_evidence, verify_exchange
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementUnknown
from opkit.wire.gateway import ScopeMissing
from tests.nodeimpl.agreements.test_nodes import (
    BRIGHT,
    LAKES,
    PARTIES,
    RIVER,
    WAIT_S,
    agree,
    people,
    run,
    terms_of,
)

UNIT = "commons-credits"


def calls(world: InProcessWorld, coop: str) -> ClearingCalls:
    """Return an officer's calls at their coop's home node."""
    return world.client(coop, people(world, coop)[0]).clearing


async def balances(world: InProcessWorld, agreement: str) -> tuple[int, ...]:
    """Return how each party stands with the other."""
    found = []
    for coop in PARTIES:
        positions = await calls(world, coop).positions(agreement=agreement)
        found.append(positions[0].balance if positions else 0)
    return tuple(found)


async def until_equal(world: InProcessWorld, exchange: str) -> str:
    """Return how an exchange ended, once both sides say that it did, and nothing is in doubt."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                sides = [(await calls(world, coop).get(exchange)).exchange for coop in PARTIES]
            except wire.ExchangeUnknown:
                sides = []
            if sides and not any(side.in_doubt or side.untold for side in sides):
                assert len({side.state for side in sides}) == 1, sides
                return sides[0].state
            await asyncio.sleep(0.02)


async def entry_of(world: InProcessWorld, coop: str, exchange: str) -> object:
    client = world.client(coop, people(world, coop)[0])
    side = (await client.clearing.get(exchange)).exchange
    assert side.entry is not None
    return await client.ledger(coop).entry(side.entry)


def test_an_exchange_stands_in_both_ledgers_and_is_settled_once() -> None:
    async def story(world: InProcessWorld) -> None:
        agreement = await agree(world, terms_of(world))
        done = await calls(world, BRIGHT).offer(
            agreement, payer=RIVER, payee=BRIGHT, amount=40, what="eight hours at the lathe"
        )
        assert (done.state, done.in_doubt, done.untold) == ("committed", False, 0)
        assert await balances(world, agreement) == (40, -40)
        evidence = (await calls(world, RIVER).get(done.hash)).evidence
        entries = [await entry_of(world, coop, done.hash) for coop in PARTIES]
        file = await world.client(RIVER, people(world, RIVER)[0]).agreements.file(agreement)
        verdict = verify_exchange(
            evidence, genesis=world.genesis, agreements=[file], entries=entries
        )
        assert verdict.ok, verdict.failures
        for coop in PARTIES:
            with pytest.raises(wire.Imbalance):
                await calls(world, coop).offer(agreement, payer=RIVER, payee=BRIGHT, amount=61)
        with pytest.raises(wire.ClearingNotYours):
            await calls(world, LAKES).offer(agreement, payer=RIVER, payee=BRIGHT, amount=1)
        with pytest.raises(AgreementUnknown):
            await calls(world, BRIGHT).offer("0" * 64, payer=RIVER, payee=BRIGHT, amount=1)
        member = world.client(BRIGHT, people(world, BRIGHT)[1])
        with pytest.raises(ScopeMissing):
            await member.clearing.settle(agreement, "2026-01")
        assert len(await member.clearing.positions()) == 1
        with pytest.raises(wire.ExchangeMalformed, match=f"{BRIGHT} is owed"):
            await calls(world, RIVER).settle(agreement, "2026-01")
        settled = await calls(world, BRIGHT).settle(agreement, "2026-01")
        assert (settled.state, settled.period) == ("committed", "2026-01")
        assert await balances(world, agreement) == (0, 0)
        for coop in PARTIES:
            with pytest.raises(wire.SettlementDone):
                await calls(world, coop).settle(agreement, "2026-01")
        listed = [each.kind async for each in calls(world, BRIGHT).list(agreement=agreement)]
        assert listed == ["settlement", "exchange"]

    run(story)


def test_a_side_that_was_killed_in_between_finishes_when_it_is_back() -> None:
    async def story(world: InProcessWorld) -> None:
        agreement = await agree(world, terms_of(world))
        await world.kill(RIVER)
        half = await calls(world, BRIGHT).offer(
            agreement, payer=BRIGHT, payee=RIVER, amount=30, ttl_ms=600_000
        )
        assert (half.state, half.in_doubt) == ("offered", True)
        (position,) = await calls(world, BRIGHT).positions(agreement=agreement)
        assert (position.balance, position.doubt_out) == (0, 30)
        await world.kill(BRIGHT)
        await world.restart(BRIGHT)
        await world.restart(RIVER)
        assert await until_equal(world, half.hash) == "committed"
        assert await balances(world, agreement) == (-30, 30)
        told = read_evidence((await calls(world, RIVER).get(half.hash)).evidence, world.genesis)
        assert told.ending == "committed"

    run(story)


def test_what_is_not_accepted_in_time_is_aborted_and_who_never_saw_it_keeps_nothing() -> None:
    async def story(world: InProcessWorld) -> None:
        agreement = await agree(world, terms_of(world))
        world.network.cut(world.node(BRIGHT).did, world.node(RIVER).did)
        half = await calls(world, BRIGHT).offer(
            agreement, payer=BRIGHT, payee=RIVER, amount=30, ttl_ms=1_000
        )
        async with asyncio.timeout(WAIT_S):
            while (await calls(world, BRIGHT).get(half.hash)).exchange.in_doubt:
                await asyncio.sleep(0.02)
        world.network.heal(world.node(BRIGHT).did, world.node(RIVER).did)
        async with asyncio.timeout(WAIT_S):
            while (await calls(world, BRIGHT).get(half.hash)).exchange.untold:
                await asyncio.sleep(0.02)
        assert (await calls(world, BRIGHT).get(half.hash)).exchange.state == "aborted"
        with pytest.raises(wire.ExchangeUnknown):
            await calls(world, RIVER).get(half.hash)
        assert await balances(world, agreement) == (0, 0)

    run(story)
