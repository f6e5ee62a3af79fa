"""Terms: one spelling, one name, and nothing in them that could not be kept."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from opkit.proof.checks import ProofError
from opkit.proof.terms import (
    TermsDiffer,
    agreement_id,
    check_agreement_effect,
    check_named,
    check_terms,
    keepers,
    read_terms,
    spell_terms,
)
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.terms import (
    TERMS_CHARACTERS_MAX,
    AgreementEffect,
    ClearingTerms,
    Provision,
    Terms,
)
from tests.opkit.proof.pacts import DAY_MS, HALL, LONER, genesis_of, key_of, terms_of


def test_terms_are_named_by_the_hash_of_their_one_spelling() -> None:
    terms = terms_of()
    spelled = spell_terms(terms)
    assert agreement_id(terms) == hashlib.sha256(spelled.encode()).hexdigest()
    assert read_terms(spelled) == terms
    assert agreement_id(terms_of(notice_days=31)) != agreement_id(terms)


WRONG = "not in their one spelling"
NONE = "no terms of an agreement"
LONG = f"longer than {TERMS_CHARACTERS_MAX} characters"
SPELLED = spell_terms(terms_of())


@pytest.mark.parametrize(
    ("spelled", "why"),
    [
        ("", NONE),
        ("x", NONE),
        ("{}", NONE),
        (f"[{SPELLED}]", NONE),
        ("\ud800", NONE),
        ("[" * TERMS_CHARACTERS_MAX, NONE),
        (" " * TERMS_CHARACTERS_MAX, NONE),
        (" " * (TERMS_CHARACTERS_MAX + 1), LONG),
        (json.dumps(json.loads(SPELLED)), WRONG),
        (json.dumps(dict(reversed(json.loads(SPELLED).items())), separators=(",", ":")), WRONG),
        (SPELLED.replace('"amends":null,', ""), WRONG),
        (SPELLED.replace('"amends":null', '"amends":null,"amends":null'), WRONG),
        (SPELLED.replace('"renewable":true', '"renewable":"true"'), WRONG),
        (SPELLED.replace("maintenance", "m\\u0061intenance"), WRONG),
        (SPELLED.replace('"arbiter":"hall"', '"arbiter":"mill"'), "mill is a party"),
    ],
)
def test_another_spelling_of_terms_is_refused(spelled: str, why: str) -> None:
    assert spelled != SPELLED
    with pytest.raises(ProofError, match=why):
        read_terms(spelled)


def given(by: str, to: str, **changes: Any) -> dict[str, Any]:
    return {"provisions": (*terms_of().provisions, Provision(by=by, to=to, what="x", **changes))}


LAST_MS = SAFE_INT_MAX - (90 + 30) * DAY_MS
"""When terms may start at last that end, with their notice, at the end of all times."""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clearing": None},
        {"facilitator": None},
        {"parties": ("mill", "wharf", "yard")},
        {"parties": ("mill", "yard"), "provisions": ()},
        given("yard", "mill"),
        given("mill", "yard", quantity=1),
        given("mill", "yard", quantity=1, per="week"),
        {"starts_ms": LAST_MS},
    ],
)
def test_good_terms_hold(changes: Any) -> None:
    check_terms(terms_of(**changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parties": ("yard", "mill")}, "not in order, each once"),
        ({"parties": ("mill", "mill", "yard")}, "not in order, each once"),
        ({"facilitator": "mill"}, "mill is a party"),
        ({"arbiter": "yard"}, "yard is a party"),
        (given("wharf", "mill"), "wharf is no party"),
        (given("mill", "wharf"), "wharf is no party"),
        (given("mill", "mill"), "mill gives something to itself"),
        (given("mill", "yard", per="week"), "no time in which it is given"),
        (
            {"clearing": ClearingTerms(unit="pearls", imbalance_max=1, settled="monthly")},
            "nothing is counted in pearls",
        ),
        ({"starts_ms": LAST_MS + 1}, "ends after all times"),
        # Of several the first is told.
        ({"parties": ("yard", "mill"), "arbiter": "yard"}, "not in order"),
        ({"arbiter": "yard", **given("mill", "mill")}, "yard is a party"),
        (given("wharf", "wharf", per="week"), "wharf is no party"),
        (given("mill", "mill", per="week"), "gives something to itself"),
        ({"starts_ms": LAST_MS + 1, **given("mill", "mill")}, "gives something to itself"),
    ],
)
def test_terms_that_could_not_be_kept_are_refused(changes: Any, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        check_terms(terms_of(**changes))


def long_terms(characters: int) -> Terms:
    """Return terms whose spelling has so many characters."""
    provisions = terms_of().provisions * 10
    room = characters - len(spell_terms(terms_of(provisions=provisions, text="")))
    return terms_of(provisions=provisions, text="\u00e9" * room)


def test_terms_are_counted_in_characters_of_their_spelling() -> None:
    longest = long_terms(TERMS_CHARACTERS_MAX)
    check_terms(longest)
    assert read_terms(spell_terms(longest)) == longest
    too_long = long_terms(TERMS_CHARACTERS_MAX + 1)
    with pytest.raises(ProofError, match=LONG):
        check_terms(too_long)
    with pytest.raises(ProofError, match=LONG):
        read_terms(spell_terms(too_long))
    with pytest.raises(ProofError, match=LONG):
        check_terms(too_long.model_copy(update={"parties": ("yard", "mill")}))


STRANGERS: list[tuple[dict[str, Any], str]] = [
    ({"network": "b" * 26}, "for another network"),
    ({"parties": ("mill", "nowhere"), "provisions": ()}, "nowhere is no coop"),
    ({"parties": ("loner", "mill"), "provisions": ()}, "loner is no coop"),
    ({"facilitator": "nobody"}, "nobody has no node"),
    ({"arbiter": "nobody"}, "nobody has no node"),
    ({"arbiter": "nobody", "facilitator": None}, "nobody has no node"),
]


@pytest.mark.parametrize(("changes", "why"), STRANGERS)
def test_terms_that_name_nobody_of_the_network_are_refused(changes: Any, why: str) -> None:
    for judge in (check_named, keepers):
        with pytest.raises(ProofError, match=why):
            judge(terms_of(**changes), genesis_of())


def test_homes_of_parties_and_who_stands_between_them_keep_an_agreement() -> None:
    nodes = frozenset(key_of(f"{who}-node").did for who in ("mill", "yard", HALL))
    loner = key_of("loner-node").did
    for changes, who in (
        ({}, nodes),
        ({"facilitator": None}, nodes),
        ({"facilitator": LONER}, nodes | {loner}),
        ({"arbiter": LONER}, nodes | {loner}),
        ({"arbiter": LONER, "facilitator": None}, nodes - {key_of("hall-node").did} | {loner}),
    ):
        check_named(terms_of(**changes), genesis_of())
        # Nobody adds one afterwards.
        assert {keepers(terms_of(**changes), genesis_of())} == {who}


def effect(terms: Terms | None, **changes: Any) -> AgreementEffect:
    said: dict[str, Any] = {
        "action": "adopt",
        "agreement": agreement_id(terms or terms_of()),
        "terms": terms,
    }
    return AgreementEffect(**{**said, **changes})


def test_a_party_adopts_terms_by_their_name_and_ends_them_by_it_alone() -> None:
    for coop in ("mill", "yard"):
        check_agreement_effect(effect(terms_of()), coop=coop)
    check_agreement_effect(effect(None, action="end"), coop="anybody")


@pytest.mark.parametrize(
    ("bad", "coop", "why"),
    [
        (effect(None), "mill", "no terms to adopt"),
        (effect(terms_of(), action="end"), "mill", "states no terms"),
        (effect(terms_of()), "wharf", "wharf is no party"),
        (effect(terms_of(parties=("yard", "mill"))), "mill", "not in order"),
        # What is wrong with terms is told before whose they are, and both before their name.
        (effect(terms_of(parties=("yard", "mill"))), "wharf", "not in order"),
        (effect(terms_of(), agreement="0" * 64), "wharf", "wharf is no party"),
    ],
)
def test_what_a_coop_cannot_decide_about_an_agreement_is_told(
    bad: AgreementEffect, coop: str, why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        check_agreement_effect(bad, coop=coop)


def test_altered_terms_are_told_apart_from_bad_ones() -> None:
    named, actual = agreement_id(terms_of()), agreement_id(terms_of(notice_days=1))
    altered = effect(terms_of(notice_days=1), agreement=named)
    with pytest.raises(TermsDiffer) as differs:
        check_agreement_effect(altered, coop="yard")
    assert (differs.value.agreement, differs.value.actual) == (named, actual)
    assert differs.value.why == f"the terms are those of {actual}, and not of {named}"
