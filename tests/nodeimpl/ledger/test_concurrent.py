"""Many ask at once: what an account has is spent once, and all that was acknowledged adds up."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nodeimpl.kernel.store import StoreLimits
from opkit.wire.errors import Refusal
from opkit.wire.gateway import StoreBusy
from opkit.wire.ledger import Overdrawn
from tests.nodeimpl.ledger.desk import COOP, DAY_MS, OPENING, Desk, at_desk, open_desk
from tests.nodeimpl.ledger.test_stateful import Ask, Model, entries_of

TRIES = 1_000
CLIENTS, ASKS_EACH = 16, 40
FILLED_AT_ONCE = 100


async def fill(desk: Desk, count: int, amount: int) -> None:
    """Give so many accounts of the coop's something to begin with."""
    for first in range(0, count, FILLED_AT_ONCE):
        pots = {f"pot/{n}": amount for n in range(first, min(first + FILLED_AT_ONCE, count))}
        await desk.move(f"fill-{first}", {OPENING: -sum(pots.values()), **pots})


@pytest.mark.parametrize("kinds", [("spend", "spend"), ("spend", "hold"), ("hold", "hold")])
@pytest.mark.timeout(600)
def test_of_two_who_want_80_of_100_at_once_exactly_one_gets_it(
    store_url: str, kinds: tuple[str, str]
) -> None:
    """A thousand times: alone in their commit, and among others in one."""

    async def want(desk: Desk, number: int, kind: str, which: int) -> bool:
        name, pot = f"want-{number}-{which}", f"pot/{number}"
        try:
            if kind == "spend":
                await desk.move(name, {pot: -80, f"vendor/{which}": 80})
            else:
                await desk.hold(name, 80, by="cleo", payer=pot, payee=f"vendor/{which}")
        except Overdrawn as no:
            return (no.account, no.balance - no.held) != (f"{COOP}:{pot}", 20)
        return True

    async def story(desk: Desk) -> None:
        await fill(desk, TRIES, 100)
        # As many at once as there happen to be, from one pair to a hundred.
        chance, done = random.Random(7), 0
        while done < TRIES:
            batch = range(done, min(done + chance.choice([1, 2, 10, 100]), TRIES))
            got = await asyncio.gather(
                *(want(desk, n, kind, which) for n in batch for which, kind in enumerate(kinds))
            )
            pairs = list(zip(got[::2], got[1::2], strict=True))
            assert [sorted(pair) for pair in pairs] == [[False, True]] * len(batch)
            done = batch.stop
        for number in range(TRIES):
            pot = await desk.account(f"pot/{number}")
            assert pot.available == 20 and pot.balance - pot.held == 20

    at_desk(store_url, story)


def test_what_many_clients_were_told_is_what_the_ledger_did_in_its_own_order(
    store_url: str,
) -> None:
    """Asks mix as they come; the journal says in which order, and the model agrees with it."""

    async def client(desk: Desk, number: int, told: dict[str, str]) -> None:
        chance = random.Random(number)
        for step in range(ASKS_EACH):
            ask = some_ask(chance, f"c{number}-{step}")
            told[f"{ask.what} {ask.id}"] = await answer(desk, ask)

    async def story(desk: Desk) -> None:
        for number in range(4):
            await desk.move(f"fill-{number}", {OPENING: -500, f"pot/{number}": 500})
        told: dict[str, str] = {}
        await asyncio.gather(*(client(desk, number, told) for number in range(CLIENTS)))
        model, done = Model(), await journalled(desk)
        for ask in done:
            assert model.ask(ask) == "done", f"{ask} could not be at its place"
        acknowledged = {name for name, said in told.items() if said == "done"}
        mine = {f"{ask.what} {ask.id}" for ask in done if ask.id.startswith("c")}
        assert acknowledged == mine, "each is there that was told, once, and no other"
        for number in range(4):
            pot = await desk.account(f"pot/{number}")
            assert pot.balance == model.balance(f"pot/{number}", "usd-cents")
            assert pot.held == model.held(f"pot/{number}", "usd-cents")
        assert sum(model.balances.values()) == 0
        assert len(await entries_of(desk)) == model.count

    at_desk(store_url, story)


def test_a_ledger_that_is_asked_more_than_waits_refuses_and_forgets(store_url: str) -> None:
    async def main() -> None:
        async with open_desk(store_url, limits=StoreLimits(waiting_max=8)) as desk:
            await fill(desk, 1, 1_000)
            asks = [desk.move(f"e{n}", {"pot/0": -1, "vendor/x": 1}) for n in range(64)]
            got = await asyncio.gather(*asks, return_exceptions=True)
            busy = [each for each in got if isinstance(each, StoreBusy)]
            assert busy and len(busy) < 64
            assert not [each for each in got if isinstance(each, Exception) and each not in busy]
            assert (await desk.account("vendor/x")).balance == 64 - len(busy)
            # Whoever was told so asks again with the same id; who was not too, and pays nothing.
            for number in range(64):
                await desk.move(f"e{number}", {"pot/0": -1, "vendor/x": 1})
            assert (await desk.account("vendor/x")).balance == 64

    asyncio.run(main())


def some_ask(chance: random.Random, name: str) -> Ask:
    """Return something to ask: mostly about few accounts, so that they are in each other's way."""
    giver, getter = chance.sample([f"pot/{n}" for n in range(4)], 2)
    what = chance.choice(["post", "post", "hold", "pay", "void"])
    if what in {"pay", "void"}:
        name = f"{name.partition('-')[0]}-{chance.randrange(ASKS_EACH)}"
    return Ask(what, name, "cleo", giver, getter, amount=chance.randint(1, 400))


async def answer(desk: Desk, ask: Ask) -> str:
    """Ask, and return `done` or the code of the refusal."""
    doing: dict[str, Callable[[], Awaitable[Any]]] = {
        "post": lambda: desk.move(ask.id, {ask.giver: -ask.amount, ask.getter: ask.amount}),
        "hold": lambda: desk.hold(
            ask.id, ask.amount, by="cleo", payer=ask.giver, payee=ask.getter, term_ms=DAY_MS
        ),
        "pay": lambda: desk.post_hold(ask.id, ask.amount, by="cleo"),
        "void": lambda: desk.void_hold(ask.id, by="cleo"),
    }
    try:
        await doing[ask.what]()
    except Refusal as no:
        return no.code
    return "done"


async def journalled(desk: Desk) -> list[Ask]:
    """Return what the journal says was done, in its order, as it would be asked for."""
    done: list[Ask] = []
    after = None
    while page := await desk.store.read_journal(after=after, entries_max=1000):
        for entry in page:
            done += asked_by(entry.type, json.loads(entry.body))
        after = page[-1].cursor(desk.store.generation)
    return done


def asked_by(kind: str, said: dict[str, Any]) -> list[Ask]:
    """Return what led to an event, if it is one of the ledger's."""
    if kind == "ledger.entry-posted" and said["kind"] != "bound":
        lines = {each["account"].partition(":")[2]: each["amount"] for each in said["postings"]}
        giver, getter = sorted(lines, key=lambda path: lines[path])
        return [Ask("post", said["entry_id"], "cleo", giver, getter, amount=lines[getter])]
    if kind == "ledger.hold-created":
        paths = (said["from_account"].partition(":")[2], said["to_account"].partition(":")[2])
        return [Ask("hold", said["hold_id"], "cleo", *paths, amount=said["amount"])]
    if kind == "ledger.hold-posted":
        return [Ask("pay", said["hold_id"], "cleo", amount=said["amount"])]
    return [Ask("void", said["hold_id"], "cleo")] if kind == "ledger.hold-voided" else []
