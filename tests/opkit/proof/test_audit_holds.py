"""An audit of holds finds whatever the journal, the entries and the node do not agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof.audit_holds import HoldsAudit
from opkit.proof.checks import Check
from opkit.proof.holds import hold_hash
from opkit.wire.holds import Hold, HoldBody, HoldCreated, HoldExpired, HoldPosted, HoldVoided
from opkit.wire.ledger import AccountView, Cause, Entry, Posting

NETWORK, COOP = "a" * 26, "yard"
ADA, BO = "yard:member/ada", "yard:member/bo"
OTHER = "5" * 64


def hold(hold_id: str, amount: int = 10, **changes: Any) -> Hold:
    body = HoldBody(
        network=NETWORK,
        coop=COOP,
        hold_id=hold_id,
        from_account=ADA,
        to_account=BO,
        unit="usd-cents",
        amount=amount,
        lapses_at_ms=9,
        by="yard/ada",
        made_world_ms=1,
    )
    said = {"hash": hold_hash(body), "sequence": 1, "state": "held", "made_ms": 1, **changes}
    return Hold(**{**body.model_dump(), **said})


def begun(one: Hold, **changes: Any) -> HoldCreated:
    said = {name: getattr(one, name) for name in HoldCreated.model_fields}
    return HoldCreated(**{**said, **changes})


def voided(one: Hold, **changes: Any) -> HoldVoided:
    said = {"coop": COOP, "hold_id": one.hold_id, "hash": one.hash, "by": "yard/ada"}
    return HoldVoided(**{**said, "released": one.amount, **changes})


def entry(one: Hold, paid: int, **changes: Any) -> Entry:
    said: dict[str, Any] = {
        "network": NETWORK,
        "coop": COOP,
        "entry_id": f"hold:{one.hold_id}",
        "kind": "bound",
        "postings": (
            Posting(account=ADA, unit="usd-cents", amount=-paid),
            Posting(account=BO, unit="usd-cents", amount=paid),
        ),
        "memo": "",
        "cause": Cause(kind="hold", id=one.hold_id),
        "corrects": None,
        "effective_on": None,
        "sequence": 4,
        "recorded_ms": 1,
        "world_ms": 1,
        "by": "yard/ada",
        "previous": OTHER,
        "hash": "7" * 64,
    }
    return Entry(**{**said, **changes})


def posted(one: Hold, paid: int, **changes: Any) -> HoldPosted:
    said: dict[str, Any] = {"coop": COOP, "hold_id": one.hold_id, "hash": one.hash}
    said |= {"by": "yard/ada", "amount": paid, "released": one.amount - paid, "entry": "7" * 64}
    return HoldPosted(**{**said, **changes})


def view(held: int, account: str = ADA, unit: str = "usd-cents") -> AccountView:
    return AccountView(
        account=account,
        unit=unit,
        balance=100,
        held=held,
        available=100 - held,
        floor=0,
        closed=False,
        decision=None,
        sequence=1,
    )


def wrong(audit: HoldsAudit) -> dict[str, str]:
    return {check.name: check.actual for check in audit.checks() if not check.ok}


ONE, TWO, THREE, FOUR = (hold(name) for name in ("one", "two", "three", "four"))


def gone_through() -> HoldsAudit:
    """Return an audit of four holds, of which one is open and the others ended in each way."""
    audit = HoldsAudit(whole=True)
    for each in (ONE, TWO, THREE, FOUR):
        audit.created(begun(each))
    audit.ended(voided(TWO))
    audit.ended(HoldExpired(coop=COOP, hold_id="three", hash=THREE.hash, released=10))
    audit.entry(entry(FOUR, 4))
    audit.ended(posted(FOUR, 4))
    return audit


def test_what_is_set_aside_is_what_open_holds_say() -> None:
    audit = gone_through()
    assert audit.open_ids() == {"one"} and audit.held == {(ADA, "usd-cents"): 10}
    audit.account(view(10))
    audit.account(view(0, BO))
    audit.account(view(0, unit="commons-credits"))
    audit.shown(ONE)
    audit.total("usd-cents", held=10)
    audit.total("commons-credits", held=0)
    assert audit.checks() == tuple(
        Check(name=name, ok=True, expected=expected, actual=f"so in all {count}")
        for name, expected, count in (
            ("holds", "each hold begins once, ends once, and lets go of all that it held", 7),
            (
                "holds-paid",
                "each entry that posts a hold pays what the hold says, and the journal says so",
                1,
            ),
            (
                "holds-shown",
                "each hold that the node shows as open is one, and each open one is shown",
                1,
            ),
            ("held", "what the node has set aside in each account is what its open holds say", 5),
        )
    )


def test_each_account_and_unit_is_added_up_by_itself() -> None:
    audit = HoldsAudit(whole=True)
    audit.created(begun(hold("rent", 7, unit="commons-credits")))
    for name in ("tools", "wood"):
        audit.created(begun(hold(name)))
    audit.created(begun(hold("back", 3, from_account=BO, to_account=ADA)))
    assert audit.held == {
        (ADA, "commons-credits"): 7,
        (ADA, "usd-cents"): 20,
        (BO, "usd-cents"): 3,
    }
    for unit, held in (("usd-cents", 23), ("commons-credits", 7)):
        audit.total(unit, held=held)
    assert audit.agrees(view(20)) and not audit.agrees(view(21))
    assert audit.agrees(view(0, BO, "commons-credits")) and not audit.agrees(view(1, "yard:x"))
    assert wrong(audit) == {}


NOT_OPEN = "it is not open, or another by the journal"

LIES: dict[str, tuple[Callable[[HoldsAudit], None], str, str]] = {
    "begun twice": (lambda a: a.created(begun(ONE)), "holds", "hold one: it began twice"),
    "ended twice": (
        lambda a: a.ended(voided(TWO)),
        "holds",
        "hold two: it ended, and was not open",
    ),
    "ended as another": (
        lambda a: a.ended(voided(ONE, hash=OTHER, released=9)),
        "holds",
        "hold one: it ended as another hold than it began",
    ),
    "released too little": (
        lambda a: a.ended(voided(ONE, released=9)),
        "holds",
        "hold one: 0 paid and 9 released are not the 10 held",
    ),
    "lapsed with too much": (
        lambda a: a.ended(HoldExpired(coop=COOP, hold_id="one", hash=ONE.hash, released=11)),
        "holds",
        "hold one: 0 paid and 11 released are not the 10 held",
    ),
    "paid by no entry": (
        lambda a: a.ended(posted(ONE, 4)),
        "holds-paid",
        "hold one: it was paid by no entry",
    ),
    "paid and not ended": (
        lambda a: a.entry(entry(ONE, 4)),
        "holds-paid",
        "hold one: entry 4 posts none",
    ),
    "more in the account": (
        lambda a: a.account(view(11)),
        "held",
        f"{ADA} usd-cents: the node says 11, its holds 10",
    ),
    "something in another": (
        lambda a: a.account(view(1, BO)),
        "held",
        f"{BO} usd-cents: the node says 1, its holds 0",
    ),
    "more in all": (
        lambda a: a.total("usd-cents", held=11),
        "held",
        "all of usd-cents: the node says 11, all holds 10",
    ),
    "some in another unit": (
        lambda a: a.total("commons-credits", held=1),
        "held",
        "all of commons-credits: the node says 1, all holds 0",
    ),
    "shown once ended": (lambda a: a.shown(TWO), "holds-shown", f"hold two: {NOT_OPEN}"),
    "shown as another": (
        lambda a: a.shown(hold("one", 11)),
        "holds-shown",
        f"hold one: {NOT_OPEN}",
    ),
    "shown with a false hash": (
        lambda a: a.shown(hold("one", hash=OTHER)),
        "holds-shown",
        f"hold one: {NOT_OPEN}",
    ),
    "shown as what the hash is not of": (
        lambda a: a.shown(ONE.model_copy(update={"amount": 11})),
        "holds-shown",
        f"hold one: {NOT_OPEN}",
    ),
    "not shown": (
        lambda a: a.not_shown("one", "it is not there"),
        "holds-shown",
        "hold one: it is not there",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_about_holds_is_found(lie: str) -> None:
    audit = gone_through()
    tell, name, found = LIES[lie]
    tell(audit)
    assert wrong(audit) == {name: found}
    assert wrong(audit) == {name: found}, "it is told once"


def test_a_hold_that_began_twice_is_held_once() -> None:
    audit = HoldsAudit(whole=True)
    audit.created(begun(ONE))
    audit.created(begun(ONE, amount=11))
    assert audit.held == {(ADA, "usd-cents"): 10}


@pytest.mark.parametrize(
    ("paid", "changes", "found"),
    [
        (4, {}, ""),
        (5, {}, "entry 4 pays something else"),
        (4, {"cause": Cause(kind="hold", id="two")}, "entry 4 pays something else"),
        (
            4,
            {
                "postings": (
                    Posting(account=ADA, unit="usd-cents", amount=-4),
                    Posting(account="yard:till", unit="usd-cents", amount=4),
                )
            },
            "entry 4 pays something else",
        ),
        (4, {"hash": OTHER}, "it was paid by no entry"),
        # What is posted for something else is no hold's, whatever it moves.
        (4, {"kind": "ordinary"}, "it was paid by no entry"),
        (4, {"kind": "ordinary", "cause": None}, "it was paid by no entry"),
        (4, {"cause": None}, "it was paid by no entry"),
        (4, {"cause": Cause(kind="agreement", id="one")}, "it was paid by no entry"),
    ],
)
def test_an_entry_pays_what_its_hold_says(paid: int, changes: dict[str, Any], found: str) -> None:
    audit = HoldsAudit(whole=True)
    audit.created(begun(ONE))
    audit.entry(entry(ONE, paid, **changes))
    audit.ended(posted(ONE, 4))
    assert wrong(audit) == ({"holds-paid": f"hold one: {found}"} if found else {})


def test_an_entry_pays_the_hold_that_ends_next_to_it_and_no_other() -> None:
    def begin() -> HoldsAudit:
        audit = HoldsAudit(whole=True)
        for each in (ONE, TWO, THREE):
            audit.created(begun(each))
        return audit

    # What is voided meanwhile does not use up the entry.
    audit = begin()
    audit.entry(entry(ONE, 4))
    audit.ended(voided(TWO))
    audit.ended(posted(ONE, 4))
    assert wrong(audit) == {}
    # An entry pays once.
    audit = begin()
    audit.entry(entry(ONE, 4))
    audit.ended(posted(ONE, 4))
    audit.ended(posted(TWO, 4))
    assert wrong(audit) == {"holds-paid": "hold two: it was paid by no entry"}
    # One that another entry follows has posted none.
    audit = begin()
    audit.entry(entry(ONE, 4))
    audit.entry(entry(TWO, 4, sequence=5))
    audit.ended(posted(TWO, 4))
    audit.entry(entry(THREE, 4, sequence=6, kind="ordinary", cause=None))
    assert wrong(audit) == {"holds-paid": "hold one: entry 4 posts none"}


def test_what_changed_after_the_audited_part_is_not_compared() -> None:
    audit = gone_through()
    new = hold("new", 3)
    audit.later(begun(new))
    audit.later(voided(ONE))
    audit.later(voided(TWO))  # It ended before; there is nothing more to be known of it.
    audit.account(view(3))
    audit.shown(new)
    audit.not_shown("one", "it was voided")
    audit.total("usd-cents", held=3)
    assert wrong(audit) == {}
    audit.account(view(1, BO))
    assert set(wrong(audit)) == {"held"}, "another account is compared all the same"


@pytest.mark.parametrize("later", [begun(hold("new", 3)), voided(ONE)])
def test_the_account_of_what_began_or_ended_later_is_of_another_moment(
    later: HoldCreated | HoldVoided,
) -> None:
    audit = gone_through()
    audit.later(later)
    audit.account(view(99))
    assert wrong(audit) == {}
    audit.account(view(99, unit="commons-credits"))
    assert set(wrong(audit)) == {"held"}, "in another unit it is not"


def test_holds_of_before_the_journal_are_believed_until_they_end() -> None:
    audit = HoldsAudit(whole=False)
    audit.ended(voided(TWO))
    audit.created(begun(THREE))
    for each in (ONE, THREE):
        assert audit.knows(each)
        audit.shown(each)
    assert audit.held == {(ADA, "usd-cents"): 20} and audit.open_ids() == {"one", "three"}
    assert wrong(audit) == {}
    audit.shown(TWO)
    assert set(wrong(audit)) == {"holds-shown"}, "it ended within what the journal tells"
    assert not audit.knows(hold("one", 11)), "it was believed as another"


def test_where_the_journal_tells_of_all_holds_the_nodes_word_is_not_taken() -> None:
    audit = HoldsAudit(whole=True)
    assert not audit.knows(ONE) and audit.held == {}
