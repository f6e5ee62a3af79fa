"""What all keepers judge alike of signatures and amendments, whatever they heard first."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from nodeimpl.agreements.rules import Believed, Held, Kept, course, stands_before
from opkit.proof import jws
from opkit.proof.agreement import believe, signing_of, spell_file
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import SignedBy
from opkit.wire.terms import Terms
from tests.opkit.proof.pacts import DAY_MS, START_MS, genesis_of, signed_by, terms_of


def believed(signed: SignedBy, terms: Terms) -> Believed:
    return Believed(
        id=jws.record_id(signed.signature),
        said=believe(signed, terms=terms, genesis=genesis_of()),
        signature=signed.signature,
        decision=signed.decision,
        attested=signed.attested,
    )


def held(terms: Terms, *, at_ms: int = START_MS) -> Held:
    kept = Kept(
        agreement=agreement_id(terms), number=1, terms=terms, told="proposed", file_hash="0" * 64
    )
    signed = (signed_by(coop, terms, at_ms=at_ms) for coop in terms.parties)
    return Held(kept=kept, signatures=tuple(believed(each, terms) for each in signed))


def test_of_two_things_attested_with_one_signature_all_keep_the_same() -> None:
    terms = terms_of()
    told = [
        signed_by("mill", terms, attested=each)
        for each in ({}, {"title": "We agree to it"}, {"commitments": 5})
    ]
    assert len({each.signature for each in told}) == 1
    assert len({signing_of(each, terms=terms) for each in told}) == 3, "each can be shared"
    kept = set()
    for order in permutations(believed(each, terms) for each in told):
        first, *others = order
        for other in others:
            first = other if stands_before(other, first) else first
        kept.add(spell_file(terms, [first.signed]))
    assert len(kept) == 1


@pytest.mark.parametrize("part", ["signature", "decision", "attested"])
def test_what_was_signed_anew_with_another_nonce_is_not_kept_by_who_was_first(part: str) -> None:
    one = believed(signed_by("mill"), terms_of())
    token = getattr(one, part)
    other = replace(one, **{part: f"{token.rpartition('.')[0]}.{'A' * 86}"})
    assert stands_before(one, other) != stands_before(other, one)
    assert not stands_before(one, one)


@pytest.mark.parametrize("term_days", [30, 33, 90])
def test_of_two_amendments_one_is_ever_in_force_also_after_the_end_of_what_they_amend(
    term_days: int,
) -> None:
    old = held(terms_of(renewable=False, term_days=term_days))
    begin_ms = START_MS + 31 * DAY_MS
    first, second = (
        held(
            terms_of(
                amends=old.kept.agreement, starts_ms=begin_ms + days * DAY_MS, text=f"after {days}"
            )
        )
        for days in (1, 5)
    )
    for beside in permutations((first, second)):
        of_first, of_second = (
            course(each, amending=(), amended=old, beside=beside) for each in (first, second)
        )
        assert of_first.state(begin_ms + DAY_MS) == "active"
        assert of_first.state(begin_ms + 9 * DAY_MS) == "active"
        assert of_second.superseded_by == first.kept.agreement
        for days in (1, 5, 9):
            assert of_second.state(begin_ms + days * DAY_MS) == "superseded"
