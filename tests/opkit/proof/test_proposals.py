"""Proposals: what each must say and by whom, what could be executed, and what was."""

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
from opkit.proof.terms import agreement_id
from opkit.wire.ledger import FIRST_PREVIOUS, AccountConfigured, Entry
from opkit.wire.terms import AgreementEffect, Provision
from opkit.wire.votes import (
    PROPOSAL_CHARACTERS_MAX,
    AccountChange,
    ConfigurationEffect,
    DistributionEffect,
    DistributionLine,
    MembershipEffect,
    Proposal,
    RuleChange,
    TextEffect,
)
from tests.opkit.proof.assemblies import SPEND, TOOLS
from tests.opkit.proof.pacts import terms_of

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
FLOOR = AccountChange(account=f"{TOOLS}:reserve", unit="usd-cents", floor=0)
CLOSED = AccountChange(account=f"{TOOLS}:due/yard", unit="usd-cents", floor=-7, closed=True)

TERMS = terms_of(
    parties=("mill", TOOLS), provisions=(Provision(by="mill", to=TOOLS, what="tools, mended"),)
)

GOOD = [
    TextEffect(),
    AgreementEffect(action="adopt", agreement=agreement_id(TERMS), terms=TERMS),
    AgreementEffect(action="end", agreement="5" * 64, terms=None),
    SPEND,
    SHARES,
    MembershipEffect(**ADMIT),
    MembershipEffect(**{**ADMIT, "name": "L" * PEOPLE_TEXT_BYTES_MAX}),
    MembershipEffect(**REMOVE),
    MembershipEffect(**REKEY),
    ConfigurationEffect(rule=RuleChange(votes_final=True)),
    ConfigurationEffect(accounts=(OPEN,)),
    ConfigurationEffect(accounts=(FLOOR,), rule=RuleChange(quorum_percent=50)),
]

WRONG: list[tuple[str, Any]] = [
    (
        "the terms are those of",
        AgreementEffect(action="adopt", agreement="5" * 64, terms=TERMS),
    ),
    (
        f"{TOOLS} is no party",
        AgreementEffect(action="adopt", agreement="5" * 64, terms=terms_of()),
    ),
    (
        "there are no terms to adopt",
        AgreementEffect(action="adopt", agreement="5" * 64, terms=None),
    ),
    (
        "yard:reserve is in another ledger than tool-library's",
        SPEND.model_copy(update={"from_account": "yard:reserve"}),
    ),
    (
        "yard:vendor/x is in another ledger than tool-library's",
        SPEND.model_copy(update={"to_account": "yard:vendor/x"}),
    ),
    ("an account pays itself", SPEND.model_copy(update={"to_account": SPEND.from_account})),
    (
        "ilse gets 7, and by its weight 3",
        SHARES.model_copy(
            update={
                "lines": tuple(
                    each.model_copy(update={"amount": 10 - each.amount}) for each in SHARES.lines
                )
            }
        ),
    ),
    (
        "not in the order of their accounts, each once",
        SHARES.model_copy(update={"lines": SHARES.lines[::-1]}),
    ),
    (
        "not in the order of their accounts, each once",
        SHARES.model_copy(update={"lines": (*SHARES.lines, SHARES.lines[-1])}),
    ),
    (
        "an account pays itself",
        make_distribution(
            from_account=f"{TOOLS}:surplus",
            unit="usd-cents",
            surplus=1,
            weights={f"{TOOLS}:surplus": 1},
        ),
    ),
    (
        "among those who have a weight, and nobody has",
        SHARES.model_copy(
            update={"lines": (DistributionLine(account=f"{TOOLS}:x", weight=0, amount=0),)}
        ),
    ),
    (
        "yard:x is in another ledger than tool-library's",
        SHARES.model_copy(
            update={"lines": (DistributionLine(account="yard:x", weight=1, amount=10),)}
        ),
    ),
    (
        "yard/lea is no member id of tool-library",
        MembershipEffect(**{**ADMIT, "member_id": "yard/lea"}),
    ),
    ("-/lea is a member of no coop", MembershipEffect(**{**ADMIT, "member_id": "-/lea"})),
    ("there is no key", MembershipEffect(**{**ADMIT, "did": None})),
    (
        "the did:key holds no Ed25519 key",
        MembershipEffect(**{**ADMIT, "did": f"did:key:z6Mk{'1' * 44}"}),
    ),
    ("who is admitted has a name", MembershipEffect(**{**ADMIT, "name": ""})),
    (
        "longer than 512 bytes",
        MembershipEffect(**{**ADMIT, "name": "L" * (PEOPLE_TEXT_BYTES_MAX + 1)}),
    ),
    (
        "longer than 512 bytes",
        MembershipEffect(**{**ADMIT, "title": "é" * (PEOPLE_TEXT_BYTES_MAX // 2 + 1)}),
    ),
    ("gets roles, each once", MembershipEffect(**{**ADMIT, "roles": ()})),
    ("gets roles, each once", MembershipEffect(**{**ADMIT, "roles": ("member", "member")})),
    (
        "'operator' is no role that a coop gives",
        MembershipEffect(**{**ADMIT, "roles": ("operator",)}),
    ),
    ("'queen' is no role that a coop gives", MembershipEffect(**{**ADMIT, "roles": ("queen",)})),
    ("who is removed gets no key", MembershipEffect(**{**REMOVE, "did": KEY.did})),
    (
        "only who is admitted gets a name, a title and roles",
        MembershipEffect(**{**REMOVE, "roles": ("member",)}),
    ),
    ("there is no key", MembershipEffect(**{**REKEY, "did": None})),
    (
        "only who is admitted gets a name, a title and roles",
        MembershipEffect(**{**REKEY, "name": "Lea"}),
    ),
    (
        "only who is admitted gets a name, a title and roles",
        MembershipEffect(**{**REKEY, "title": "Chair"}),
    ),
    ("nothing changes", ConfigurationEffect()),
    ("the rule changes in nothing", ConfigurationEffect(rule=RuleChange(), accounts=(OPEN,))),
    (
        "an account changes in nothing",
        ConfigurationEffect(accounts=(OPEN.model_copy(update={"closed": None}),)),
    ),
    ("an account is changed twice", ConfigurationEffect(accounts=(OPEN, OPEN))),
    (
        "yard:reserve is in another ledger than tool-library's",
        ConfigurationEffect(accounts=(OPEN.model_copy(update={"account": "yard:reserve"}),)),
    ),
]


@pytest.mark.parametrize("effect", GOOD, ids=lambda each: str(each.kind))
def test_what_could_be_executed_is_well_formed(effect: Any) -> None:
    check_effect(effect, coop=TOOLS)


@pytest.mark.parametrize(("why", "effect"), WRONG)
def test_what_could_not_be_executed_is_told_before_anybody_votes(why: str, effect: Any) -> None:
    with pytest.raises(ProofError, match=why):
        check_effect(effect, coop=TOOLS)


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
    token, network = assembly.proposal(), assembly.network.name
    said = read_proposal(token, network=network)
    assert said == Proposal.model_validate(jws.peek(token).payload, strict=False)
    with pytest.raises(ProofError, match="the key that it names"):
        sign_proposal(said, KEY)
    mira = assembly.keys[f"{TOOLS}/mira"]
    assert jws.record_id(sign_proposal(said, mira)) == jws.record_id(token)
    with pytest.raises(ProofError, match="a treasury nonce stands where"):
        sign_proposal(said.model_copy(update={"treasury_nonce": None}), mira)


def test_a_proposal_of_more_characters_than_may_be_is_not_looked_into(assembly: Any) -> None:
    network = assembly.network.name
    with pytest.raises(ProofError, match="not a compact JWS"):
        read_proposal("a" * PROPOSAL_CHARACTERS_MAX, network=network)
    with pytest.raises(ProofError, match="more than a proposal may have"):
        read_proposal("a" * (PROPOSAL_CHARACTERS_MAX + 1), network=network)


@pytest.mark.parametrize("memo", [{}, {"memo": "for 2026"}])
def test_a_surplus_is_paid_out_by_weights_to_the_last_unit(memo: dict[str, str]) -> None:
    weights = {f"{TOOLS}:b": 2, f"{TOOLS}:c": 0, f"{TOOLS}:a": 1}
    made = make_distribution(
        from_account=f"{TOOLS}:surplus", unit="usd-cents", surplus=10, weights=weights, **memo
    )
    assert made == DistributionEffect(
        from_account=f"{TOOLS}:surplus",
        unit="usd-cents",
        surplus=10,
        lines=(
            DistributionLine(account=f"{TOOLS}:a", weight=1, amount=3),
            DistributionLine(account=f"{TOOLS}:b", weight=2, amount=7),
            DistributionLine(account=f"{TOOLS}:c", weight=0, amount=0),
        ),
        memo=memo.get("memo", ""),
    )
    check_effect(made, coop=TOOLS)


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


NONE_FOR_ONE = make_distribution(
    from_account=f"{TOOLS}:surplus",
    unit="usd-cents",
    surplus=1,
    weights={f"{TOOLS}:member/ilse": 1, f"{TOOLS}:member/jan": 0},
)
"""A distribution that posts nothing to one of its accounts."""


@pytest.mark.parametrize("effect", [SPEND, SHARES, NONE_FOR_ONE])
def test_an_entry_posts_what_was_decided_in_whatever_order(effect: Any) -> None:
    entry = posted(effect)
    check_entry(entry, effect)
    check_entry(entry.model_copy(update={"postings": entry.postings[::-1]}), effect)


@pytest.mark.parametrize("effect", [SPEND, SHARES, NONE_FOR_ONE])
def test_an_entry_that_posts_anything_else_is_not_what_was_decided(effect: Any) -> None:
    """Also one that moves more, by postings that stand twice: an entry still sums to zero."""
    right = posted(effect).postings
    first, last = right[0], right[-1]
    for postings in (
        right[:-1],
        (*right, last.model_copy(update={"amount": 0, "account": f"{TOOLS}:x"})),
        (*right[:-1], last.model_copy(update={"amount": last.amount + 1})),
        (*right[:-1], last.model_copy(update={"account": f"{TOOLS}:x"})),
        tuple(each.model_copy(update={"unit": "commons-credits"}) for each in right),
        tuple(each.model_copy(update={"amount": -each.amount}) for each in right),
        (*right, *right),
        (
            first.model_copy(update={"amount": -9_000}),
            last.model_copy(update={"amount": 9_000}),
            *right,
        ),
    ):
        with pytest.raises(ProofError, match="something else than was decided"):
            check_entry(posted(effect).model_copy(update={"postings": postings}), effect)


def test_only_what_moves_the_treasurys_money_posts_anything() -> None:
    for effect in (TextEffect(), MembershipEffect(**REMOVE)):
        with pytest.raises(ProofError, match=f"a {effect.kind} posts nothing"):
            check_entry(posted(SPEND), effect)


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
