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
from opkit.wire.terms import (
    TERMS_CHARACTERS_MAX,
    AgreementEffect,
    ClearingTerms,
    Provision,
    Terms,
)
from tests.opkit.proof.pacts import HALL, LONER, genesis_of, key_of, terms_of


def test_terms_are_named_by_the_hash_of_their_one_spelling() -> None:
    terms = terms_of()
    spelled = spell_terms(terms)
    assert agreement_id(terms) == hashlib.sha256(spelled.encode()).hexdigest()
    assert read_terms(spelled) == terms
    assert agreement_id(terms_of(notice_days=31)) != agreement_id(terms)


@pytest.mark.parametrize(
    "spell",
    [
        json.dumps,
        lambda said: "x",
        lambda said: json.dumps([said]),
        lambda said: "{}",
        lambda said: " " * (TERMS_CHARACTERS_MAX + 1),
    ],
)
def test_another_spelling_of_terms_is_refused(spell: Any) -> None:
    with pytest.raises(ProofError):
        read_terms(spell(json.loads(spell_terms(terms_of()))))


def test_what_leaves_out_what_is_none_is_another_spelling() -> None:
    said = json.loads(spell_terms(terms_of()))
    del said["amends"]
    spelled = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with pytest.raises(ProofError, match="leave out"):
        read_terms(spelled)


BAD: dict[str, dict[str, Any]] = {
    "out of order": {"parties": ("yard", "mill")},
    "one twice": {"parties": ("mill", "mill")},
    "a facilitating party": {"facilitator": "mill"},
    "a ruling party": {"arbiter": "yard"},
    "given by a stranger": {"provisions": (Provision(by="wharf", to="mill", what="x"),)},
    "given to a stranger": {"provisions": (Provision(by="mill", to="wharf", what="x"),)},
    "given to oneself": {"provisions": (Provision(by="mill", to="mill", what="x"),)},
    "uncounted per week": {"provisions": (Provision(by="mill", to="yard", what="x", per="week"),)},
    "an unknown unit": {
        "clearing": ClearingTerms(unit="pearls", imbalance_max=1, settled="monthly")
    },
    "too long": {"text": "x" * 1_600, "provisions": terms_of().provisions * 12},
    "beyond all times": {"starts_ms": 2**53 - 1},
}


@pytest.mark.parametrize("name", BAD)
def test_terms_that_could_not_be_kept_are_refused(name: str) -> None:
    with pytest.raises(ProofError):
        check_terms(terms_of(**BAD[name]))


def test_good_terms_hold_up_to_their_greatest_length() -> None:
    check_terms(terms_of())
    room = TERMS_CHARACTERS_MAX - len(spell_terms(terms_of(text="")))
    provisions = terms_of().provisions
    wide = terms_of(text="é" * 1_600, provisions=provisions)
    check_terms(wide)
    assert room > 1_600, "the text's own limit is the nearer one"


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "b" * 26},
        {"parties": ("mill", "nowhere"), "provisions": ()},
        {"facilitator": "nobody"},
        {"arbiter": "nobody"},
        {"parties": ("loner", "mill"), "provisions": ()},
    ],
)
def test_terms_that_name_nobody_of_the_network_are_refused(changes: Any) -> None:
    with pytest.raises(ProofError):
        check_named(terms_of(**changes), genesis_of())


def test_homes_of_parties_and_who_stands_between_them_keep_an_agreement() -> None:
    nodes = {key_of(f"{who}-node").did for who in ("mill", "yard", HALL)}
    assert keepers(terms_of(), genesis_of()) == nodes
    assert keepers(terms_of(facilitator=None), genesis_of()) == nodes
    lone = keepers(terms_of(facilitator=LONER), genesis_of())
    assert lone == nodes | {key_of("loner-node").did}


def effect(terms: Terms | None, **changes: Any) -> AgreementEffect:
    said: dict[str, Any] = {
        "action": "adopt",
        "agreement": agreement_id(terms or terms_of()),
        "terms": terms,
    }
    return AgreementEffect(**{**said, **changes})


def test_a_party_adopts_terms_by_their_name_and_ends_them_by_it_alone() -> None:
    check_agreement_effect(effect(terms_of()), coop="mill")
    check_agreement_effect(effect(None, action="end"), coop="anybody")
    for bad, coop in (
        (effect(None), "mill"),
        (effect(terms_of(), action="end"), "mill"),
        (effect(terms_of()), "wharf"),
        (effect(terms_of(parties=("yard", "mill"))), "mill"),
    ):
        with pytest.raises(ProofError):
            check_agreement_effect(bad, coop=coop)


def test_altered_terms_are_told_apart_from_bad_ones() -> None:
    altered = effect(terms_of(notice_days=1), agreement=agreement_id(terms_of()))
    with pytest.raises(TermsDiffer) as differs:
        check_agreement_effect(altered, coop="yard")
    assert differs.value.agreement == agreement_id(terms_of())
    assert differs.value.actual == agreement_id(terms_of(notice_days=1))
