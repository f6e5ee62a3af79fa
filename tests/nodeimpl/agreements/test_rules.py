"""What all keepers judge alike of agreements, whatever they heard first and whoever asks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import pytest

from nodeimpl.agreements import rules
from nodeimpl.agreements.rules import Believed, Held, Limits, course, stands_before
from opkit.proof import jws
from opkit.proof.agreement import signing_of, spell_file
from opkit.proof.agreement_states import Course
from opkit.proof.terms import agreement_id
from opkit.wire import agreements as wire
from opkit.wire.errors import Refusal
from opkit.wire.terms import Terms
from tests.nodeimpl.agreements.courses import (
    COURSES,
    NAME,
    OTHER,
    OVER,
    TERMS,
    believed,
    held,
    stands,
)
from tests.nodeimpl.judged import judged
from tests.opkit.proof.pacts import (
    DAY_MS,
    START_MS,
    TERM_MS,
    key_of,
    signed_by,
    terms_of,
)


def inactive(agreement: str, state: str) -> wire.AgreementInactive:
    unsigned = list(COURSES[state].unsigned)
    return wire.AgreementInactive(agreement=agreement, state=state, unsigned=unsigned)


def test_the_courses_here_are_what_they_are_called() -> None:
    assert {state: each.state(START_MS) for state, each in COURSES.items()} == {
        state: state for state in COURSES
    }


# Making an agreement.

OLD = held(terms_of(text="What was agreed first."))
"""What `AMENDING` amends."""
OF_OTHERS = held(terms_of(parties=("mill", "wharf"), provisions=()))
AMENDING = terms_of(amends=OLD.kept.agreement)
NEW = agreement_id(AMENDING)
FEWER = terms_of(amends=OF_OTHERS.kept.agreement)
BRIEF = terms_of(renewable=False)
SIGNED = signed_by("mill")
SIGNED_BEFORE = wire.AlreadySigned(
    agreement=NAME,
    coop="mill",
    action="adopt",
    decision=jws.record_id(SIGNED.decision),
)


def adopt(refusal: Refusal | None, terms: Terms = TERMS, **changes: Any) -> None:
    """Have it judged whether the mill adopts terms at their beginning, but for the changes."""
    named = agreement_id(terms)
    said: dict[str, Any] = {
        "agreement": named,
        "actual": named,
        "coop": "mill",
        "held": None,
        "amended": None,
        "kept": 0,
        "world_ms": START_MS,
        "limits": Limits(agreements_max=2),
    }
    judged(lambda: rules.judge_adopt(terms, **{**said, **changes}), refusal=refusal)


@pytest.mark.parametrize(
    ("terms", "changes", "refusal"),
    [
        # Each row is wrong in what comes later in the order, too.
        (
            AMENDING,
            {"actual": OTHER, "coop": "wharf"},
            wire.TermsAltered(agreement=NEW, hash=OTHER),
        ),
        (AMENDING, {"coop": "wharf"}, wire.AgreementUnknown(agreement=OLD.kept.agreement)),
        (
            FEWER,
            {"coop": "wharf", "amended": (OF_OTHERS, COURSES["ended"])},
            wire.NotParty(agreement=agreement_id(FEWER), coop="wharf"),
        ),
        (
            FEWER,
            {"held": (held(FEWER), COURSES["ended"]), "amended": (OF_OTHERS, COURSES["ended"])},
            wire.NotParty(agreement=OF_OTHERS.kept.agreement, coop="wharf"),
        ),
        (TERMS, {"coop": "wharf", "kept": 2}, wire.NotParty(agreement=NAME, coop="wharf")),
        (TERMS, {"held": (held(), COURSES["ended"])}, SIGNED_BEFORE),
        (
            AMENDING,
            {
                "held": (held(AMENDING, by=()), COURSES["lapsed"]),
                "amended": (OLD, COURSES["ended"]),
            },
            inactive(NEW, "lapsed"),
        ),
        (
            AMENDING,
            {"amended": (OLD, COURSES["ended"]), "kept": 2},
            inactive(OLD.kept.agreement, "ended"),
        ),
        (TERMS, {"kept": 2}, wire.AgreementsFull(limit=2)),
    ],
)
def test_terms_that_cannot_be_adopted_are_refused_for_the_first_reason(
    terms: Terms, changes: dict[str, Any], refusal: Refusal
) -> None:
    adopt(refusal, terms, **changes)


def test_a_party_adopts_what_it_has_not_signed() -> None:
    adopt(None)
    adopt(None, coop="yard")
    adopt(None, held=(held(by=()), COURSES["proposed"]))
    adopt(None, held=(held(by=["yard"]), COURSES["proposed"]))
    adopt(SIGNED_BEFORE, held=(held(by=["mill"]), COURSES["proposed"]))
    # Notice is no signature of the same thing.
    adopt(None, held=(held(by=(), ended_by=["mill"]), COURSES["proposed"]))


@pytest.mark.parametrize("state", COURSES)
def test_what_is_over_is_not_adopted(state: str) -> None:
    refusal = inactive(NAME, state) if state in OVER else None
    adopt(refusal, held=(held(by=["yard"]), COURSES[state]))


def test_what_nobody_has_heard_of_may_be_over_too() -> None:
    end_ms = START_MS + TERM_MS
    adopt(None, BRIEF, world_ms=end_ms - 1)
    over = wire.AgreementInactive(
        agreement=agreement_id(BRIEF), state="lapsed", unsigned=["mill", "yard"]
    )
    adopt(over, BRIEF, world_ms=end_ms)
    # As it is here it was given up before.
    adopt(
        inactive(agreement_id(BRIEF), "ended"),
        BRIEF,
        held=(held(BRIEF, by=()), COURSES["ended"]),
        world_ms=end_ms,
    )


@pytest.mark.parametrize("state", COURSES)
def test_what_all_have_signed_and_is_not_over_is_amended(state: str) -> None:
    may = state in ("signed", "active", "ending")
    refusal = None if may else inactive(OLD.kept.agreement, state)
    adopt(refusal, AMENDING, amended=(OLD, COURSES[state]))


@pytest.mark.parametrize(
    ("parties", "names"),
    [
        (("mill", "yard"), None),
        (("mill", "wharf", "yard"), "wharf"),
        (("mill", "wharf"), "wharf"),
        (("hall", "mill"), "hall"),
    ],
)
def test_an_amendment_has_the_parties_of_what_it_amends(
    parties: tuple[str, ...], names: str | None
) -> None:
    before = Held(kept=replace(OLD.kept, terms=terms_of(parties=parties)), signatures=())
    refusal = names and wire.NotParty(agreement=OLD.kept.agreement, coop=names)
    adopt(refusal or None, AMENDING, amended=(before, COURSES["active"]))


def test_there_is_room_for_so_many_agreements() -> None:
    full = wire.AgreementsFull(limit=2)
    adopt(None, kept=1)
    adopt(full, kept=2)
    adopt(full, kept=3)
    adopt(None, kept=2, held=(held(by=()), COURSES["proposed"]))


# Giving it up, and using it.

NOTICE = wire.AlreadySigned(
    agreement=NAME,
    coop="mill",
    action="end",
    decision=jws.record_id(signed_by("mill", TERMS, "end").decision),
)


@pytest.mark.parametrize(
    ("coop", "known", "refusal"),
    [
        ("wharf", None, wire.AgreementUnknown(agreement=NAME)),
        ("wharf", (held(), COURSES["ended"]), wire.NotParty(agreement=NAME, coop="wharf")),
        ("mill", (held(ended_by=["mill"]), COURSES["ended"]), NOTICE),
        ("mill", (held(by=(), ended_by=["mill"]), COURSES["ended"]), NOTICE),
        ("mill", (held(ended_by=["yard"]), COURSES["ending"]), None),
        *(("mill", (held(), COURSES[each]), inactive(NAME, each)) for each in OVER),
        *(("mill", (held(), COURSES[each]), None) for each in COURSES if each not in OVER),
        ("mill", (held(by=["mill"]), COURSES["proposed"]), None),
        ("mill", (held(by=["yard"]), COURSES["proposed"]), inactive(NAME, "proposed")),
        ("yard", (held(by=["mill"]), COURSES["proposed"]), inactive(NAME, "proposed")),
    ],
)
def test_a_party_gives_notice_once_of_what_it_signed_and_is_not_over(
    coop: str, known: tuple[Held, Course] | None, refusal: Refusal | None
) -> None:
    judged(
        lambda: rules.judge_end(NAME, coop=coop, held=known, world_ms=START_MS),
        refusal=refusal,
    )


@pytest.mark.parametrize("state", COURSES)
def test_what_is_in_force_is_used(state: str) -> None:
    refusal = None if state in ("active", "ending") else inactive(NAME, state)
    judged(lambda: rules.judge_use(NAME, COURSES[state], world_ms=START_MS), refusal=refusal)


def test_an_agreement_is_used_until_it_ends_and_no_longer() -> None:
    ending = COURSES["ending"]
    judged(lambda: rules.judge_use(NAME, ending, world_ms=START_MS), refusal=None)
    over = wire.AgreementInactive(agreement=NAME, state="ended", unsigned=[])
    judged(lambda: rules.judge_use(NAME, ending, world_ms=START_MS + 1), refusal=over)


def test_a_node_keeps_what_names_it() -> None:
    mill, yard = key_of("mill-node").did, key_of("yard-node").did
    judged(lambda: rules.judge_kept(NAME, own=mill, keepers=[yard, mill]), refusal=None)
    judged(
        lambda: rules.judge_kept(NAME, own=mill, keepers=[yard]),
        refusal=wire.AgreementForeign(agreement=NAME),
    )


# What is told of it.


def test_a_signature_is_found_by_who_gave_it_and_for_what() -> None:
    known = held(by=["mill", "yard"], ended_by=["yard"])
    adopted_by_mill, adopted_by_yard, notice = known.signatures
    assert known.by("mill", "adopt") is adopted_by_mill
    assert known.by("yard", "adopt") is adopted_by_yard
    assert known.by("yard", "end") is notice
    assert known.by("mill", "end") is None
    assert known.by("wharf", "adopt") is None


def test_a_signature_is_told_in_short_and_filed_whole() -> None:
    signed = signed_by("yard", TERMS, "end", at_ms=START_MS + 5)
    told = believed(signed)
    assert told.signed == signed
    assert told.line == wire.SignatureLine(
        coop="yard",
        action="end",
        did=key_of("yard-node").did,
        decision=jws.record_id(signed.decision),
        signed_at_ms=START_MS + 5,
    )


def test_a_view_says_how_an_agreement_stands_at_a_moment() -> None:
    known = held(by=["mill"])
    course_ = stands(
        unsigned=("yard",),
        since_ms=START_MS + 1,
        end_ms=START_MS + 9,
        end="superseded",
        superseded_by=OTHER,
    )
    assert rules.view(known, course_, world_ms=START_MS) == wire.AgreementView(
        agreement=NAME,
        serial=7,
        terms=TERMS,
        state="signed",
        signatures=(known.signatures[0].line,),
        unsigned=("yard",),
        since_ms=START_MS + 1,
        until_ms=START_MS + 9,
        superseded_by=OTHER,
        file_hash="0" * 64,
        world_ms=START_MS,
    )


@pytest.mark.parametrize(
    ("state", "party", "is_wanted"),
    [
        ("", "", True),
        ("active", "", True),
        ("signed", "", False),
        ("", "mill", True),
        ("", "yard", True),
        ("", "wharf", False),
        ("active", "mill", True),
        ("signed", "mill", False),
        ("active", "wharf", False),
    ],
)
def test_a_list_has_what_stands_so_and_is_of_that_party(
    state: str, party: str, is_wanted: bool
) -> None:
    seen = rules.view(held(), COURSES["active"], world_ms=START_MS)
    assert rules.wanted(seen, state=state, party=party) is is_wanted


# Of several signatures one.


def test_of_two_signatures_the_earlier_is_kept_then_that_of_the_lower_id() -> None:
    one, later = (believed(signed_by("mill", at_ms=START_MS + ms)) for ms in (0, 1))
    for id_ in ("0" * 64, "f" * 64):
        assert stands_before(replace(one, id=id_), replace(later, id="8" * 64))
        assert not stands_before(replace(later, id="8" * 64), replace(one, id=id_))
    same = [replace(one, id=id_, attested=id_) for id_ in ("1" * 64, "2" * 64, "3" * 64)]
    for order in permutations(same):
        assert sorted(order, key=rules._rank) == same
    assert stands_before(same[0], same[1]) and not stands_before(same[1], same[0])


def test_of_two_spellings_of_one_signature_that_of_the_lower_hash_is_kept() -> None:
    one = believed(signed_by("mill"))
    spelled = [replace(one, attested=f"{one.attested}{number}") for number in range(8)]

    def hash_of(each: Believed) -> str:
        tokens = f"{each.signature}\n{each.decision}\n{each.attested}"
        return hashlib.sha256(tokens.encode()).hexdigest()

    in_order = sorted(spelled, key=hash_of)
    for before, after in pairwise(in_order):
        assert stands_before(before, after) and not stands_before(after, before)


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


# Amendments.

BEGIN_MS = START_MS + 31 * DAY_MS


def amendment(days: int = 0, **changes: Any) -> Terms:
    """Return terms that amend `TERMS`, and begin so many days after the first might."""
    begins_ms = BEGIN_MS + days * DAY_MS
    return terms_of(**{"amends": NAME, "starts_ms": begins_ms, **changes})


@pytest.mark.parametrize(
    ("amending", "since_ms"),
    [
        ([], None),
        ([held(amendment())], BEGIN_MS),
        ([held(amendment(5)), held(amendment(2))], BEGIN_MS + 2 * DAY_MS),
        ([held(amendment(), by=["mill"]), held(amendment(5))], BEGIN_MS + 5 * DAY_MS),
        ([held(amendment(parties=("mill", "wharf"), provisions=()))], None),
        # Given up before it had begun: it never takes anything's place.
        ([held(amendment(notice_days=0), ended_by=["yard"])], None),
    ],
)
def test_the_first_that_all_the_same_parties_signed_takes_the_place_of_what_it_amends(
    amending: list[Held], since_ms: int | None
) -> None:
    found = course(held(), amending=amending, amended=None, beside=())
    assert found.since_ms == START_MS
    assert found.end_ms == since_ms
    assert found.end == ("superseded" if since_ms else None)
    winners = [each for each in amending if each.kept.terms.starts_ms == since_ms]
    assert found.superseded_by == (winners[0].kept.agreement if winners else None)


def test_an_amendment_is_barred_by_another_of_the_same_alone() -> None:
    first, second = held(amendment(1)), held(amendment(5))
    beside = (first, second)

    def barred_by(each: Held, amended: Held | None) -> str | None:
        return course(each, amending=(), amended=amended, beside=beside).superseded_by

    assert barred_by(second, held()) == first.kept.agreement
    assert barred_by(first, held()) is None
    assert barred_by(second, None) is None, "nobody knows what they amend"
    theirs = held(amendment(1, parties=("mill", "wharf"), provisions=()))
    found = course(second, amending=(), amended=OF_OTHERS, beside=(theirs, second))
    assert found.superseded_by is None, "it can take the place of nothing of others"
    waiting = held(amendment(1), by=["mill"])
    alone = course(waiting, amending=(), amended=held(), beside=(waiting,))
    assert (alone.unsigned, alone.superseded_by) == (("yard",), None)


def test_a_course_follows_from_what_was_signed() -> None:
    known = held(at_ms=START_MS + 3, ended_by=["mill"])
    found = course(known, amending=(), amended=None, beside=())
    assert found == known.alone
    assert (found.signed_ms, found.notice_ms) == (START_MS + 3, START_MS + 3)
