"""Holds on a real store, both engines: money is set aside, and every hold ends once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from nodeimpl.ledger import holds_store as table
from nodeimpl.ledger.checking import LedgerDamaged
from nodeimpl.ledger.holds_checking import check_holds
from opkit.proof.holds import hold_hash
from opkit.wire import holds as wire
from opkit.wire.endpoint import Scope
from opkit.wire.events import EVENTS
from opkit.wire.ledger import (
    AccountNotYours,
    DecisionRequired,
    LedgerElsewhere,
    LedgerNotYours,
    LedgerOwnOnly,
    Overdrawn,
)
from tests.nodeimpl.ledger.desk import (
    COOP,
    DAY_MS,
    OPENING,
    START_MS,
    Desk,
    at_desk,
    caller,
)

Story = Callable[[Desk], Awaitable[None]]


async def told(desk: Desk) -> list[tuple[str, dict[str, object]]]:
    """Return what the journal says of holds and their entries."""
    entries = await desk.store.read_journal(after=None, entries_max=1000)
    return [
        (entry.type, EVENTS[entry.type].model_validate_json(entry.body).model_dump())
        for entry in entries
    ]


def test_what_is_held_stays_and_cannot_be_spent_otherwise(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        hold = await desk.hold("h1", 80)
        assert (hold.state, hold.sequence, hold.by) == ("held", 1, "yard/ada")
        assert hold.hash == hold_hash(hold)
        view = await desk.account("member/ada")
        assert (view.balance, view.held, view.available) == (100, 80, 20)
        with pytest.raises(Overdrawn) as no:
            await desk.post("e1", by="ada", member__ada=-21, member__bo=21)
        assert (no.value.balance, no.value.held) == (100, 80)
        with pytest.raises(Overdrawn):
            await desk.hold("h2", 21)
        await desk.post("e2", by="ada", member__ada=-20, member__bo=20)
        assert (await desk.account("member/ada")).available == 0
        assert await desk.hold("h1", 80) == hold, "the very same ask makes no second one"
        with pytest.raises(wire.HoldConflict):
            await desk.hold("h1", 79)

    at_desk(store_url, story)


def test_a_part_is_paid_by_an_entry_that_cites_the_hold_and_the_rest_is_free(
    store_url: str,
) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.hold("h1", 80)
        paid = await desk.post_hold("h1", 30)
        assert (paid.state, paid.posted, paid.ended_by) == ("posted", 30, "yard/ada")
        ada, bo = await desk.account("member/ada"), await desk.account("member/bo")
        assert (ada.balance, ada.held, ada.available, bo.balance) == (70, 0, 70, 30)
        assert await desk.post_hold("h1", 30) == paid, "paid once, answered again"
        with pytest.raises(wire.HoldEnded):
            await desk.post_hold("h1", 31)
        with pytest.raises(wire.HoldEnded):
            await desk.void_hold("h1")
        events = await told(desk)
        assert [name for name, _ in events][-2:] == ["ledger.entry-posted", "ledger.hold-posted"]
        posted, ended = events[-2][1], events[-1][1]
        assert posted["cause"] == {"kind": "hold", "id": "h1"}
        assert (posted["kind"], posted["entry_id"]) == ("bound", "hold:h1")
        assert (ended["entry"], ended["amount"], ended["released"]) == (posted["hash"], 30, 50)
        assert paid.entry == posted["hash"]

    at_desk(store_url, story)


def test_what_is_voided_is_free_again_for_either_side(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        for number, who in enumerate(("ada", "bo")):
            await desk.hold(f"h{number}", 100)
            voided = await desk.void_hold(f"h{number}", by=who)
            assert (voided.state, voided.ended_by, voided.posted) == ("voided", f"yard/{who}", 0)
            assert await desk.void_hold(f"h{number}", by=who) == voided
            assert (await desk.account("member/ada")).available == 100
        await desk.hold("h3", 1)
        with pytest.raises(wire.HoldNotYours):
            await desk.void_hold("h3", by="dan")
        with pytest.raises(wire.HoldUnknown):
            await desk.void_hold("nothing")

    at_desk(store_url, story)


def test_a_hold_lapses_at_its_moment_of_world_time_by_its_timer(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.hold("late", 40, term_ms=2 * DAY_MS)
        await desk.hold("soon", 60, term_ms=DAY_MS)
        desk.clock.move_world(DAY_MS)
        await desk.catch_up()
        assert (await desk.get_hold("soon")).state == "lapsed"
        assert (await desk.get_hold("late")).state == "held"
        assert (await desk.account("member/ada")).held == 40
        desk.clock.move_world(9 * DAY_MS)
        await desk.catch_up()
        late = await desk.get_hold("late")
        assert (late.state, late.ended_world_ms) == ("lapsed", START_MS + 2 * DAY_MS)
        assert (await desk.account("member/ada")).available == 100
        with pytest.raises(wire.HoldLapsed):
            await desk.post_hold("late")
        lapsed = [body for name, body in await told(desk) if name == "ledger.hold-lapsed"]
        assert [body["hold_id"] for body in lapsed] == ["soon", "late"]

    at_desk(store_url, story)


def test_a_hold_whose_moment_has_come_holds_nothing_whoever_looks_first(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.hold("h1", 100)
        desk.clock.move_world(DAY_MS)
        seen = await desk.get_hold("h1")
        assert (seen.state, seen.ended_world_ms) == ("lapsed", START_MS + DAY_MS)
        assert not (await desk.list_holds(state="held")).holds
        with pytest.raises(wire.HoldLapsed):
            await desk.post_hold("h1")
        assert (await desk.hold("h2", 100)).state == "held", "what the first one held is free"
        await desk.void_hold("h2")
        await desk.hold("h3", 100)
        desk.clock.move_world(2 * DAY_MS)
        await desk.post("e1", by="ada", member__ada=-100, member__bo=100)
        assert (await desk.account("member/ada")).held == 0

    at_desk(store_url, story)


def test_who_may_not_spend_may_not_hold(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        with pytest.raises(AccountNotYours):
            await desk.hold("h1", 1, by="bo")
        with pytest.raises(AccountNotYours):
            await desk.hold("h1", 1, by="ada", payer=OPENING)
        with pytest.raises(DecisionRequired):
            await desk.hold("h1", 1, by="cleo", payer="reserve")
        assert (await desk.hold("h1", 50, by="cleo", payer=OPENING)).by == "yard/cleo"
        await desk.post_hold("h1", by="cleo")
        assert (await desk.account("member/bo")).balance == 50
        await desk.hold("h2", 10)
        with pytest.raises(wire.HoldNotYours):
            await desk.post_hold("h2", by="bo")

    at_desk(store_url, story)


def test_a_hold_of_elsewhere_or_of_others_is_refused(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        elsewhere = wire.VoidHold(coop="shed", hold_id="h1")
        with pytest.raises(LedgerElsewhere):
            await desk.store.write(lambda tx: desk.holds.void(tx, elsewhere, caller("ada")))
        stranger = wire.VoidHold(coop=COOP, hold_id="h1")
        foreign = replace(caller("ada"), member_id="shed/ada")
        with pytest.raises(LedgerNotYours):
            await desk.store.write(lambda tx: desk.holds.void(tx, stranger, foreign))

    at_desk(store_url, story)


def test_an_undone_change_leaves_nothing_held(store_url: str) -> None:
    """What is kept in memory beside the database is undone with it."""

    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)

        def hold_and_refuse(tx: object) -> None:
            ask = wire.CreateHold(
                coop=COOP,
                hold_id="h1",
                from_account=f"{COOP}:member/ada",
                to_account=f"{COOP}:member/bo",
                unit="usd-cents",
                amount=100,
                lapses_at_ms=START_MS + 1,
            )
            desk.holds.create(tx, ask, caller("ada"))  # type: ignore[arg-type]  # It is one.
            raise wire.HoldUnknown(hold_id="h1")

        with pytest.raises(wire.HoldUnknown):
            await desk.store.write(hold_and_refuse)
        await desk.hold("h1", 100)
        assert (await desk.account("member/ada")).held == 100

    at_desk(store_url, story)


def test_holds_are_listed_newest_first_by_state_and_account_in_pages(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.give("dan", 100)
        for number in range(5):
            await desk.hold(f"a{number}", 1)
        await desk.hold("d0", 1, by="dan", payer="member/dan", payee="income")
        await desk.post_hold("a1")
        await desk.void_hold("a2")
        everything = await desk.list_holds()
        assert [hold.hold_id for hold in everything.holds] == ["d0", "a4", "a3", "a2", "a1", "a0"]
        first = await desk.list_holds(holds_max=4)
        rest = await desk.list_holds(holds_max=4, before=first.next_before)
        assert (*first.holds, *rest.holds) == everything.holds and rest.next_before == 0
        held = await desk.list_holds(state="held", account=f"{COOP}:member/ada")
        assert [hold.hold_id for hold in held.holds] == ["a4", "a3", "a0"]
        to_income = await desk.list_holds(account=f"{COOP}:income")
        assert [hold.hold_id for hold in to_income.holds] == ["d0"]

    at_desk(store_url, story)


def test_who_reads_only_their_own_sees_no_other_s_holds(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.hold("h1", 1)
        one, everything = wire.GetHold(coop=COOP, hold_id="h1"), wire.ListHolds(coop=COOP)
        for who, sees in (("ada", True), ("bo", True), ("dan", False)):
            reader = replace(caller(who), scopes=frozenset({Scope.LEDGER_READ_OWN}))
            own = wire.ListHolds(coop=COOP, account=f"{COOP}:member/{who}")
            listed = await desk.store.read(partial(desk.holds.list, ask=own, caller=reader))
            assert len(listed.holds) == int(sees)
            with pytest.raises(LedgerOwnOnly):
                await desk.store.read(partial(desk.holds.list, ask=everything, caller=reader))
            look = partial(desk.holds.get, ask=one, caller=reader)
            if sees:
                assert (await desk.store.read(look)).hold_id == "h1"
            else:
                with pytest.raises(LedgerOwnOnly):
                    await desk.store.read(look)

    at_desk(store_url, story)


def test_a_closed_account_and_a_raised_floor_are_minded_when_a_hold_is_posted(
    store_url: str,
) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        await desk.hold("h1", 80)
        decision = {"coop": COOP, "unit": "usd-cents", "decision": "5" * 64}

        def raise_floor(floor: int) -> Awaitable[None]:
            account = f"{COOP}:member/ada"
            return desk.store.write(
                lambda tx: desk.ledger.configure(tx, account=account, floor=floor, **decision)
            )

        await raise_floor(50)
        with pytest.raises(Overdrawn):
            await desk.post_hold("h1")
        assert (await desk.account("member/ada")).held == 80, "it is still held"
        assert (await desk.post_hold("h1", 50)).posted == 50

    at_desk(store_url, story)


def test_what_is_set_aside_is_compared_with_the_holds_when_a_node_starts(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        look = partial(check_holds, coop=COOP)
        await desk.store.read(look)
        await desk.give("ada", 100)
        for hold_id, amount in (("h1", 10), ("h2", 20), ("h3", 30)):
            await desk.hold(hold_id, amount)
        await desk.void_hold("h1")
        await desk.post_hold("h2", 5)
        await desk.store.read(look)
        lost = wire.Hold.model_copy(await desk.get_hold("h3"), update={"state": "voided"})
        await desk.store.write(lambda tx: table.end(tx, lost))
        with pytest.raises(LedgerDamaged, match="has 30 usd-cents set aside, and its holds say 0"):
            await desk.store.read(look)

    at_desk(store_url, story)


def test_a_hold_ends_once_also_in_the_database(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 100)
        hold = await desk.hold("h1", 1)
        ended = hold.model_copy(update={"state": "voided", "ended_world_ms": 1})
        await desk.void_hold("h1")
        with pytest.raises(AssertionError, match="second time"):
            await desk.store.write(lambda tx: table.end(tx, ended))

    at_desk(store_url, story)
