"""An audit of holds finds whatever the journal, the entries and the node do not agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof.audit_holds import HoldsAudit
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


def view(held: int, account: str = ADA) -> AccountView:
    return AccountView(
        account=account,
        unit="usd-cents",
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
    audit.shown(ONE)
    audit.total("usd-cents", held=10)
    assert wrong(audit) == {}
    assert {check.name for check in audit.checks()} == {
        "holds",
        "holds-paid",
        "holds-shown",
        "held",
    }


LIES: dict[str, tuple[Callable[[HoldsAudit], None], str]] = {
    "begun twice": (lambda a: a.created(begun(ONE)), "holds"),
    "ended twice": (lambda a: a.ended(voided(TWO)), "holds"),
    "ended as another": (lambda a: a.ended(voided(ONE, hash=OTHER)), "holds"),
    "released too little": (lambda a: a.ended(voided(ONE, released=9)), "holds"),
    "paid by no entry": (lambda a: a.ended(posted(ONE, 4)), "holds-paid"),
    "paid and not ended": (lambda a: a.entry(entry(ONE, 4)), "holds-paid"),
    "more in the account": (lambda a: a.account(view(11)), "held"),
    "something in another": (lambda a: a.account(view(1, BO)), "held"),
    "more in all": (lambda a: a.total("usd-cents", held=11), "held"),
    "none in another unit": (lambda a: a.total("commons-credits", held=1), "held"),
    "shown once ended": (lambda a: a.shown(TWO), "holds-shown"),
    "shown as another": (lambda a: a.shown(hold("one", 11)), "holds-shown"),
    "shown with a false hash": (lambda a: a.shown(hold("one", hash=OTHER)), "holds-shown"),
    "not shown": (lambda a: a.not_shown("one", "it is not there"), "holds-shown"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_about_holds_is_found(lie: str) -> None:
    audit = gone_through()
    tell, name = LIES[lie]
    tell(audit)
    assert set(wrong(audit)) == {name}


@pytest.mark.parametrize(
    ("paid", "changes"),
    [
        (5, {}),
        (4, {"cause": Cause(kind="hold", id="two")}),
        (4, {"hash": OTHER}),
        (4, {"kind": "ordinary", "cause": None}),
    ],
)
def test_an_entry_that_pays_something_else_than_its_hold_is_found(
    paid: int, changes: dict[str, Any]
) -> None:
    audit = HoldsAudit(whole=True)
    audit.created(begun(ONE))
    audit.entry(entry(ONE, paid, **changes))
    audit.ended(posted(ONE, 4))
    assert set(wrong(audit)) == {"holds-paid"}


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


def test_holds_of_before_the_journal_are_believed_until_they_end() -> None:
    audit = HoldsAudit(whole=False)
    audit.ended(voided(TWO))
    audit.created(begun(THREE))
    for each in (ONE, THREE):
        assert audit.knows(each)
        audit.shown(each)
    assert audit.held == {(ADA, "usd-cents"): 20}
    assert wrong(audit) == {}
    audit.shown(TWO)
    assert set(wrong(audit)) == {"holds-shown"}, "it ended within what the journal tells"
