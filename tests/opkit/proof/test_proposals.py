"""Proposals, ballots, delegations and receipts: what each must say, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.governance.effects import postings_of
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.proposals import (
    PEOPLE_TEXT_BYTES_MAX,
    check_configured,
    check_effect,
    check_entry,
    make_distribution,
    read_proposal,
    sign_proposal,
)
from opkit.wire.ledger import FIRST_PREVIOUS, AccountConfigured, Entry
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import (
    PROPOSAL_CHARACTERS_MAX,
    AccountChange,
    ConfigurationEffect,
    DistributionLine,
    MembershipEffect,
    Proposal,
    RuleChange,
    TextEffect,
)
from tests.opkit.proof.assemblies import SPEND, TOOLS

KEY = Identity.from_seed(b"\7" * 32)
SHARES = make_distribution(
    from_account=f"{TOOLS}:surplus",
    unit="usd-cents",
    surplus=10,
    weights={f"{TOOLS}:member/{name}": weight for name, weight in (("ilse", 1), ("jan", 2))},
)
ADMIT: dict[str, Any] = {
    "action": "admit",
    "member_id": f"{TOOLS}/lea",
    "name": "Lea",
    "did": KEY.did,
    "roles": ("member",),
}
REMOVE: dict[str, Any] = {"action": "remove", "member_id": f"{TOOLS}/lea"}
REKEY: dict[str, Any] = {"action": "rekey", "member_id": f"{TOOLS}/lea", "did": KEY.did}
OPEN = AccountChange(account=f"{TOOLS}:reserve", unit="usd-cents", closed=False)
CLOSED = AccountChange(account=f"{TOOLS}:due/yard", unit="usd-cents", floor=-7, closed=True)

GOOD = [
    TextEffect(),
    AgreementEffect(action="end", agreement="5" * 64, terms=None),
    SPEND,
    SHARES,
    MembershipEffect(**ADMIT),
    MembershipEffect(**{**ADMIT, "name": "L" * PEOPLE_TEXT_BYTES_MAX}),
    MembershipEffect(**REMOVE),
    MembershipEffect(**REKEY),
    ConfigurationEffect(rule=RuleChange(votes_final=True)),
    ConfigurationEffect(accounts=(OPEN,)),
]

WRONG: dict[str, Any] = {
    "no terms": AgreementEffect(action="adopt", agreement="5" * 64, terms=None),
    "from another ledger": SPEND.model_copy(update={"from_account": "yard:reserve"}),
    "to another ledger": SPEND.model_copy(update={"to_account": "yard:vendor/x"}),
    "an account pays itself": SPEND.model_copy(update={"to_account": SPEND.from_account}),
    "another split": SHARES.model_copy(
        update={
            "lines": tuple(
                each.model_copy(update={"amount": 10 - each.amount}) for each in SHARES.lines
            )
        }
    ),
    "out of order": SHARES.model_copy(update={"lines": SHARES.lines[::-1]}),
    "a line twice": SHARES.model_copy(update={"lines": (*SHARES.lines, SHARES.lines[-1])}),
    "to where it comes from": make_distribution(
        from_account=f"{TOOLS}:surplus",
        unit="usd-cents",
        surplus=1,
        weights={f"{TOOLS}:surplus": 1},
    ),
    "nobody has a weight": SHARES.model_copy(
        update={"lines": (DistributionLine(account=f"{TOOLS}:x", weight=0, amount=0),)}
    ),
    "a line elsewhere": SHARES.model_copy(
        update={"lines": (DistributionLine(account="yard:x", weight=1, amount=10),)}
    ),
    "another coop's member": MembershipEffect(**{**ADMIT, "member_id": "yard/lea"}),
    "a member of no coop": MembershipEffect(**{**ADMIT, "member_id": "-/lea"}),
    "admitted without key": MembershipEffect(**{**ADMIT, "did": None}),
    "a key that is none": MembershipEffect(**{**ADMIT, "did": f"did:key:z6Mk{'1' * 44}"}),
    "admitted without name": MembershipEffect(**{**ADMIT, "name": ""}),
    "a name that is too long": MembershipEffect(
        **{**ADMIT, "name": "L" * (PEOPLE_TEXT_BYTES_MAX + 1)}
    ),
    "a title that is too long": MembershipEffect(
        **{**ADMIT, "title": "é" * (PEOPLE_TEXT_BYTES_MAX // 2 + 1)}
    ),
    "admitted without roles": MembershipEffect(**{**ADMIT, "roles": ()}),
    "a role twice": MembershipEffect(**{**ADMIT, "roles": ("member", "member")}),
    "the operator's role": MembershipEffect(**{**ADMIT, "roles": ("operator",)}),
    "no role": MembershipEffect(**{**ADMIT, "roles": ("queen",)}),
    "removed with a key": MembershipEffect(**{**REMOVE, "did": KEY.did}),
    "removed with roles": MembershipEffect(**{**REMOVE, "roles": ("member",)}),
    "rekeyed without key": MembershipEffect(**{**REKEY, "did": None}),
    "rekeyed with a name": MembershipEffect(**{**REKEY, "name": "Lea"}),
    "rekeyed with a title": MembershipEffect(**{**REKEY, "title": "Chair"}),
    "nothing changes": ConfigurationEffect(),
    "a rule changes in nothing": ConfigurationEffect(rule=RuleChange(), accounts=(OPEN,)),
    "an account changes in nothing": ConfigurationEffect(
        accounts=(OPEN.model_copy(update={"closed": None}),)
    ),
    "an account twice": ConfigurationEffect(accounts=(OPEN, OPEN)),
    "another coop's account": ConfigurationEffect(
        accounts=(OPEN.model_copy(update={"account": "yard:reserve"}),)
    ),
}


@pytest.mark.parametrize("effect", GOOD, ids=lambda each: str(each.kind))
def test_what_could_be_executed_is_well_formed(effect: Any) -> None:
    check_effect(effect, coop=TOOLS)


@pytest.mark.parametrize("name", WRONG)
def test_what_could_not_be_executed_is_told_before_anybody_votes(name: str) -> None:
    with pytest.raises(ProofError):
        check_effect(WRONG[name], coop=TOOLS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"member_id": "building-yard/ruth"}, "no member of"),
        ({"proposal_id": "a" * 64}, "shape|reads as a hash|proposal_id"),
        ({"treasury_nonce": None}, "nonce"),
        ({"effect": TextEffect()}, "nonce"),
        ({"network": "b" * 26}, "network"),
    ],
)
def test_what_is_no_proposal_is_none(assembly: Any, changes: dict[str, Any], why: str) -> None:
    read_proposal(assembly.proposal(), network=assembly.network.name)
    with pytest.raises(ProofError, match=why):
        read_proposal(assembly.proposal(**changes), network=assembly.network.name)


def test_a_proposal_is_signed_by_the_key_that_it_names(assembly: Any) -> None:
    said = Proposal.model_validate(jws.peek(assembly.proposal()).payload, strict=False)
    with pytest.raises(ProofError, match="the key that it names"):
        sign_proposal(said, KEY)
    again = sign_proposal(said, assembly.keys[f"{TOOLS}/mira"])
    assert jws.record_id(again) == jws.record_id(assembly.proposal())


def test_a_proposal_of_more_characters_than_may_be_is_not_read(assembly: Any) -> None:
    with pytest.raises(ProofError, match="more than a proposal may have"):
        read_proposal("a" * (PROPOSAL_CHARACTERS_MAX + 1), network=assembly.network.name)


def posted(effect: Any) -> Entry:
    """Return the entry that pays what an effect says."""
    return Entry(
        network="a" * 26,
        coop=TOOLS,
        entry_id="decided",
        kind="decided",
        postings=postings_of(effect),
        memo="",
        cause=None,
        corrects=None,
        effective_on=None,
        sequence=1,
        recorded_ms=1,
        world_ms=1,
        by=f"{TOOLS}/kim",
        previous=FIRST_PREVIOUS,
        hash="5" * 64,
    )


@pytest.mark.parametrize("effect", [SPEND, SHARES], ids=lambda each: str(each.kind))
def test_an_entry_is_held_against_what_was_decided(effect: Any) -> None:
    entry = posted(effect)
    check_entry(entry, effect)
    check_entry(entry.model_copy(update={"postings": entry.postings[::-1]}), effect)
    with pytest.raises(ProofError, match="something else than was decided"):
        check_entry(entry.model_copy(update={"postings": entry.postings[:-1]}), effect)
    with pytest.raises(ProofError, match="posts nothing"):
        check_entry(entry, TextEffect())


def test_an_account_is_held_against_what_was_decided_of_it() -> None:
    effect = ConfigurationEffect(accounts=(OPEN.model_copy(update={"floor": -5}), CLOSED))
    said = AccountConfigured(
        coop=TOOLS,
        account=CLOSED.account,
        unit=CLOSED.unit,
        floor=-7,
        closed=True,
        decision="6" * 64,
    )
    check_configured(said, effect)
    for changes in ({"floor": -8}, {"closed": False}):
        with pytest.raises(ProofError, match="something else of"):
            check_configured(said.model_copy(update=changes), effect)
    for other in (ConfigurationEffect(accounts=(OPEN,)), TextEffect()):
        with pytest.raises(ProofError, match="not about"):
            check_configured(said, other)
