"""`opkit clearing net` on real nodes: debts that go around among three coops, taken out at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partialmethod
from itertools import combinations
from typing import Any

import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.launch import launch
from opkit.client.clearing import ClearingCalls
from tests.nodeimpl.clearing.killed import decided, sign, terms_of, until_active

Run = Callable[..., Any]
NAME = "net"
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
LAKES = "fingerlakes-cdn"
COOPS = (BRIGHT, LAKES, RIVER)
OFFICER = {RIVER: "mara", BRIGHT: "hugo", LAKES: "edith"}
OWED = {(RIVER, BRIGHT): 30, (BRIGHT, LAKES): 20, (LAKES, RIVER): 50}
"""How much each owes the next of the circle."""
OWED_MAX = 100
"""What a coop of the demo world may owe another one, by its charter."""
WAIT_S = 120


@pytest.fixture
def tell() -> Iterator[Callable[[Callable[[AttachedWorld], Awaitable[Any]]], Any]]:
    """Hold a network of all five organisations; what is called with it is told of it."""
    launched = launch(name=NAME, profile="federation", seed=7)
    try:
        launched.wait_ready()

        def told(story: Callable[[AttachedWorld], Awaitable[Any]]) -> Any:
            async def done() -> Any:
                world = await open_world(NAME, run_id="net", seed=7)
                try:
                    return await story(world)
                finally:
                    await world.close()

            return asyncio.run(done())

        yield told
    finally:
        launched.down()


async def agreed(world: AttachedWorld) -> dict[frozenset[str], str]:
    """Have any two of the three agree; return the agreements."""
    pairs = tuple(combinations(COOPS, 2))
    terms = [await terms_of(world, pair, f"Between {pair}") for pair in pairs]
    found = {}
    for pair, proposals in zip(pairs, await decided(world, terms), strict=True):
        for coop, proposal in proposals.items():
            found[frozenset(pair)] = await sign(world, coop, proposal)
    for pair, agreement in found.items():
        for coop in pair:
            await until_active(world, coop, agreement)
    return found


class Coops:
    """The three of them, each by an officer's commands at its home node."""

    def __init__(self, run: Run, agreements: Mapping[frozenset[str], str]) -> None:
        self.run, self.agreements = run, agreements

    def say(self, coop: str, *arguments: object) -> Any:
        return self.run(*arguments, "--as", OFFICER[coop], "--node", coop, "--json")

    def good(self, coop: str, *arguments: object) -> Any:
        done = self.say(coop, *arguments)
        assert done.code == 0, done.err
        return done.json

    def give(self, debtor: str, creditor: str, amount: int) -> Any:
        """Have one owe another so much more, under their agreement."""
        under = self.agreements[frozenset((debtor, creditor))]
        parties = ("--agreement", under, "--payer", debtor, "--payee", creditor)
        return self.say(debtor, "exchange", "offer", *parties, "--amount", amount)

    def owe(self, debtor: str, creditor: str, amount: int) -> None:
        """Have one owe another so much more, as both have it in their books."""
        done = self.give(debtor, creditor, amount)
        assert done.code == 0, done.err
        self.come_to_rest(done.json["hash"], debtor, creditor)

    def debts(self) -> dict[tuple[str, str], int]:
        """Return who owes whom; whatever one side says the other says, and nothing is lost."""
        told = {
            (coop, each["other"]): each["balance"]
            for coop in COOPS
            for each in self.good(coop, "clearing", "positions")["positions"]
        }
        assert all(told[other, coop] == -balance for (coop, other), balance in told.items())
        assert sum(told.values()) == 0
        return {pair: -balance for pair, balance in told.items() if balance < 0}

    def come_to_rest(self, exchange: str, *coops: str) -> None:
        """Return once all who are named have posted an exchange, and nobody has any doubt.

        A command tries once; a busy node may answer later than that, and it goes on by itself.
        """
        limit = time.monotonic() + WAIT_S
        for coop in coops:
            while True:
                shown = self.say(coop, "exchange", "show", exchange)
                if shown.code == 0 and shown.json["state"] == "committed":
                    assert not shown.json["in_doubt"] and shown.json["entry"]
                    break
                assert time.monotonic() < limit, shown.err or shown.out


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_debts_that_go_around_are_netted_by_a_command_at_all_three_or_at_none(
    run: Run, tell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    coops = Coops(run, tell(agreed))
    for (debtor, creditor), amount in OWED.items():
        coops.owe(debtor, creditor, amount)
    assert coops.debts() == OWED
    # Charters let each owe so much: more is refused, whatever the agreement allows.
    much = coops.give(RIVER, BRIGHT, OWED_MAX)
    assert much.code == 1 and "overdrawn" in much.err

    around = ("clearing", "net", "--with", BRIGHT, "--with", LAKES, "--id", "around-1")
    done = coops.good(RIVER, *around)
    assert done["kind"] == "netting"
    assert len(done["legs"]) == 3 and {leg["amount"] for leg in done["legs"]} == {20}
    coops.come_to_rest(done["hash"], *COOPS)
    assert coops.debts() == {(RIVER, BRIGHT): 10, (LAKES, RIVER): 30}
    rest = coops.say(RIVER, *around[:-1], "around-2")
    assert rest.code == 2 and "do not go around" in rest.err

    # Each debt said by itself, and one of the three is gone: all of it happens once it is back.
    coops.owe(BRIGHT, LAKES, 15)
    legs = [
        each
        for debtor, creditor in OWED
        for each in (
            "--leg",
            f"{debtor}:{creditor}:10:{coops.agreements[frozenset((debtor, creditor))]}",
        )
    ]
    tell(lambda world: world.kill(LAKES))
    # However long it takes until it is back, the offer stands until then.
    patient = partialmethod(ClearingCalls.net, ttl_ms=WAIT_S * 1_000)
    monkeypatch.setattr(ClearingCalls, "net", patient)
    said = coops.good(BRIGHT, "clearing", "net", *legs, "--id", "around-3")
    assert (said["state"], said["in_doubt"]) == ("offered", True)
    tell(lambda world: world.restart(LAKES))
    coops.come_to_rest(said["hash"], *COOPS)
    assert coops.debts() == {(BRIGHT, LAKES): 5, (LAKES, RIVER): 20}
    for coop in COOPS:
        assert coops.good(coop, "ledger", "audit")["status"] == "verified"
