"""What a home node countersigns, and what it refuses first."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from nodeimpl.naming import rules
from nodeimpl.naming.rules import CLOCK_BACK_MS, Claimant, Countersign, Limits, Used
from opkit.proof.membership import founding_member
from opkit.proof.record import SKEW_MS
from opkit.wire import names as wire
from opkit.wire.errors import Refusal

DAY_MS = 86_400_000
TERM_MS = wire.NAME_TERM_MS_MAX


def test_a_free_name_is_countersigned_by_the_homes_own_time(home: Any) -> None:
    home.now_ms += 1_000
    effect = home.judge(home.claim(at_ms=home.now_ms - 1_000))
    assert effect.state == "held"
    assert effect.issued_at_ms == home.now_ms
    assert effect.lapses_at_ms == effect.until_ms == home.now_ms - 1_000 + DAY_MS


def test_the_very_same_claim_is_countersigned_once(home: Any) -> None:
    claim = home.claim()
    home.hand_in(claim)
    home.now_ms += 10 * SKEW_MS
    assert home.judge(claim) is None


def test_its_holder_renews_a_name_and_lets_it_stand_for_something_else(home: Any) -> None:
    first = home.hand_in(home.claim())
    home.now_ms += 1
    second = home.hand_in(home.claim(target=wire.AliasTarget(name="plane.yard")))
    assert second.sequence > first.sequence
    assert second.lapses_at_ms == first.lapses_at_ms + 1


def test_after_a_clock_went_back_the_next_sequence_is_higher_all_the_same(home: Any) -> None:
    first = home.hand_in(home.claim())
    home.now_ms -= 50
    second = home.hand_in(home.claim(at_ms=home.now_ms + 100))
    assert second.sequence == first.sequence + 1


def test_a_shorter_renewal_frees_nothing_that_was_countersigned_before(home: Any) -> None:
    first = home.hand_in(home.claim(term_ms=10 * DAY_MS))
    home.now_ms += 1
    second = home.hand_in(home.claim(term_ms=DAY_MS))
    assert (second.lapses_at_ms, second.until_ms) == (home.now_ms + DAY_MS, first.until_ms)
    home.now_ms += 5 * DAY_MS
    with pytest.raises(wire.NameTaken) as no:
        home.judge(home.claim("b"))
    assert no.value.lapses_at_ms == first.until_ms


def test_a_name_is_free_once_its_time_is_over(home: Any) -> None:
    first = home.hand_in(home.claim())
    home.now_ms = first.until_ms - 1
    with pytest.raises(wire.NameTaken):
        home.judge(home.claim("b"))
    home.now_ms += 1
    assert home.judge(home.claim("b")).value.freed == ()


@pytest.mark.parametrize("back_ms", [1, DAY_MS])
def test_after_a_clock_went_back_a_time_that_was_over_is_not_over_for_others(
    home: Any, back_ms: int
) -> None:
    first = home.hand_in(home.claim(term_ms=2 * DAY_MS, sequence=1))
    home.now_ms = first.until_ms
    home.lapse_if_due()
    assert home.standing.state == "lapsed"
    home.now_ms -= back_ms
    with pytest.raises(wire.NameTaken) as no:
        home.judge(home.claim("b"))
    assert no.value.lapses_at_ms == first.until_ms
    assert home.judge(home.claim(target=None)).state == "withdrawn"
    home.now_ms = first.until_ms + DAY_MS - 1
    home.lapse_if_due()
    assert home.standing is not None
    home.now_ms += 1
    home.lapse_if_due()
    assert home.standing is None


def test_a_withdrawn_name_passes_on_with_the_word_of_who_had_it(home: Any) -> None:
    home.hand_in(home.claim(term_ms=TERM_MS))
    home.now_ms += 10
    gone = home.hand_in(home.claim(target=None))
    assert gone.state == "withdrawn"
    assert gone.lapses_at_ms == home.now_ms + TERM_MS
    home.now_ms += 10
    held = home.hand_in(home.claim("b", term_ms=1_000))
    assert [end.claim for end in held.value.freed] == [gone.value.claim]
    home.now_ms += 1_000
    home.lapse_if_due()
    assert home.standing.state == "lapsed"
    later = home.hand_in(home.claim("c", term_ms=1_000))
    assert later.value.freed == held.value.freed
    home.now_ms += TERM_MS + CLOCK_BACK_MS
    home.lapse_if_due()
    home.lapse_if_due()
    assert home.standing is None


def test_who_comes_back_needs_no_word_of_their_own(home: Any) -> None:
    for who, target in (("a", ...), ("a", None), ("b", ...), ("b", None), ("a", ...)):
        home.now_ms += 10
        home.hand_in(home.claim(who) if target is ... else home.claim(who, target=None))
    (end,) = home.standing.value.freed
    assert rules.claim_in(end.claim).member_id == "yard/b"


@pytest.mark.parametrize("term_ms", [10, TERM_MS])
def test_who_comes_back_holds_the_name_until_all_is_over_that_was_theirs_before(
    home: Any, term_ms: int
) -> None:
    """Their word that it was free is in none of the records that follow."""
    home.hand_in(home.claim(term_ms=TERM_MS))
    home.now_ms += 10
    home.hand_in(home.claim(target=None))
    over_ms = home.now_ms + SKEW_MS + TERM_MS
    home.hand_in(home.claim("b", term_ms=SKEW_MS + 20))
    home.now_ms += SKEW_MS + 20
    home.lapse_if_due()
    back = home.hand_in(home.claim(term_ms=term_ms))
    assert back.value.freed == ()
    assert back.lapses_at_ms == home.now_ms + term_ms
    assert back.until_ms == max(over_ms, back.lapses_at_ms)
    home.now_ms = back.until_ms - 1
    home.lapse_if_due()
    with pytest.raises(wire.NameTaken) as no:
        home.judge(home.claim("c"))
    assert no.value.lapses_at_ms == back.until_ms
    home.now_ms += 1
    home.lapse_if_due()
    assert home.hand_in(home.claim("c")).value.freed == ()


def test_an_old_claim_of_an_earlier_holder_is_stale(home: Any) -> None:
    home.hand_in(home.claim())
    old = home.claim(sequence=home.now_ms - 5)
    home.now_ms += 10
    home.hand_in(home.claim(target=None))
    home.now_ms += 10
    home.hand_in(home.claim("b"))
    home.now_ms += 10
    home.hand_in(home.claim("b", target=None))
    with pytest.raises(wire.ClaimStale):
        home.judge(old)


def revoked(home: Any, *, chain: Any, now_ms: int) -> Any:
    member = founding_member("yard/a", genesis=home.genesis).model_copy(update={"active": False})
    return rules.end_hold(home.standing, member=member, chain=chain, now_ms=now_ms)


@pytest.mark.parametrize("later_ms", [-50, 0, 1, DAY_MS])
def test_a_revoked_member_holds_nothing_and_the_record_shows_why(home: Any, later_ms: int) -> None:
    held = home.hand_in(home.claim())
    at_ms = max(held.sequence + 1, held.sequence + later_ms)
    assert revoked(home, chain=("r" * 500,), now_ms=held.sequence + later_ms) == Countersign(
        issued_at_ms=at_ms,
        lapses_at_ms=at_ms + TERM_MS,
        until_ms=held.until_ms,
        keep_until_ms=at_ms + TERM_MS + CLOCK_BACK_MS,
        state="revoked",
        value=wire.NameValue(claim=held.value.claim, member=("r" * 500,)),
    )


def test_what_was_of_use_for_longer_is_so_after_a_revocation_too(home: Any) -> None:
    home.hand_in(home.claim())
    home.standing = replace(home.standing, keep_until_ms=home.now_ms + 2 * TERM_MS)
    ended = revoked(home, chain=("r",), now_ms=home.now_ms)
    assert ended.keep_until_ms == home.now_ms + 2 * TERM_MS


def test_a_hold_goes_on_while_its_end_cannot_be_shown(home: Any) -> None:
    held = home.hand_in(home.claim())
    member = founding_member("yard/a", genesis=home.genesis)
    for stands in (member, None):
        assert rules.end_hold(held, member=stands, chain=(), now_ms=home.now_ms) is None
    for chain in (("r",) * (wire.CHAIN_MAX + 1), ("r" * 3_000,) * 2):
        assert revoked(home, chain=chain, now_ms=home.now_ms) is None
    assert revoked(home, chain=("r",) * wire.CHAIN_MAX, now_ms=home.now_ms)


def test_a_name_passes_on_from_a_revoked_member_with_the_chain_that_shows_it(home: Any) -> None:
    held = home.hand_in(home.claim())
    home.standing = home.sign(revoked(home, chain=("r.r.r",), now_ms=home.now_ms))
    home.now_ms += 2
    (end,) = home.judge(home.claim("b")).value.freed
    assert (end.claim, end.member) == (held.value.claim, ("r.r.r",))


def refusing(home: Any, genesis: Any) -> dict[type[Refusal], dict[str, Any]]:
    """Return for each refusal what to change so that it applies; the name is another one's."""
    member = founding_member("yard/b", genesis=genesis)
    other = member.model_copy(update={"did": genesis.operator})
    return {
        wire.ClaimRejected: {"at_ms": home.now_ms - 10, "term_ms": 10},
        wire.CoopUnknown: {"charter": False},
        wire.ClaimNotMembers: {"claimant": Claimant(member=other, chain=())},
        wire.ClaimClockSkewed: {"at_ms": home.now_ms - SKEW_MS - 1},
        wire.NameTermTooLong: {"term_ms": TERM_MS + 2 * SKEW_MS},
        wire.AliasTooDeep: {"alias_depth": wire.ALIAS_DEPTH_MAX + 1},
        wire.NamesExhausted: {"used": Used(member=10**6, coop=10**6)},
    }


CLAIMED = {"at_ms", "term_ms"}


def ask(home: Any, who: str, changes: dict[str, Any]) -> Any:
    claim = {name: value for name, value in changes.items() if name in CLAIMED}
    judged = {name: value for name, value in changes.items() if name not in CLAIMED}
    return home.judge(home.claim(who, **claim), **judged)


def test_of_two_refusals_the_first_in_order_is_given(home: Any, genesis: Any) -> None:
    faults = refusing(home, genesis)
    order = [each for each in wire.CLAIM_REFUSALS if each in faults]
    assert order == list(faults)
    for first, second in combinations(order, 2):
        with pytest.raises(first):
            ask(home, "b", faults[second] | faults[first])
    for refusal, changes in faults.items():
        with pytest.raises(refusal) as no:
            ask(home, "b", changes)
        assert no.value.details() == said_of(home)[refusal]


def said_of(home: Any) -> dict[type[Refusal], dict[str, Any]]:
    """Return what each refusal says it is about."""
    skewed_ms = home.now_ms - SKEW_MS - 1
    return {
        wire.ClaimRejected: {"why": "its term is over"},
        wire.CoopUnknown: {"coop": "yard"},
        wire.ClaimNotMembers: {"member_id": "yard/b", "why": "the member's key is another one"},
        wire.ClaimClockSkewed: {
            "issued_at_ms": skewed_ms,
            "now_ms": home.now_ms,
            "skew_ms_max": SKEW_MS,
        },
        wire.NameTermTooLong: {"term_ms": TERM_MS + 2 * SKEW_MS, "term_ms_max": TERM_MS},
        wire.AliasTooDeep: {"name": "saw.yard", "depth_max": wire.ALIAS_DEPTH_MAX},
        wire.NamesExhausted: {"limit": Limits().names_per_member_max},
    }


def test_who_holds_the_name_is_looked_at_between_times_and_room(home: Any, genesis: Any) -> None:
    home.hand_in(home.claim())
    faults = refusing(home, genesis)
    at = wire.CLAIM_REFUSALS.index(wire.NameTaken)
    for refusal, changes in faults.items():
        earlier = wire.CLAIM_REFUSALS.index(refusal) < at
        with pytest.raises(refusal if earlier else wire.NameTaken):
            ask(home, "b", changes)
        if not earlier:
            with pytest.raises(wire.ClaimStale):
                home.judge(home.claim("a", sequence=5), **changes)
            with pytest.raises(wire.ClaimStale):
                home.judge(home.claim("a", sequence=5, target=None), **changes)


def test_a_name_that_is_taken_says_whose_it_is_and_for_how_long(home: Any) -> None:
    held = home.hand_in(home.claim())
    for target in ({}, {"target": None}):
        with pytest.raises(wire.NameTaken) as no:
            home.judge(home.claim("b", **target))
        said = {"name": "saw.yard", "member_id": "yard/a", "lapses_at_ms": held.until_ms}
        assert no.value.details() == said


@pytest.mark.parametrize("sequence", [1, 6, 7])
def test_a_member_claims_with_a_higher_sequence_than_before(home: Any, sequence: int) -> None:
    home.hand_in(home.claim(sequence=7))
    with pytest.raises(wire.ClaimStale) as no:
        home.judge(home.claim(sequence=sequence, term_ms=DAY_MS + 1))
    assert no.value.details() == {"name": "saw.yard", "standing_sequence": 7}
    assert home.judge(home.claim(sequence=8))


def test_a_member_claims_with_a_later_time_than_before_whatever_the_sequence(home: Any) -> None:
    home.hand_in(home.claim(sequence=7))
    home.now_ms -= 1
    for target in ({}, {"target": None}):
        with pytest.raises(wire.ClaimStale) as no:
            home.judge(home.claim(sequence=8, **target))
        assert no.value.details() == {"name": "saw.yard", "standing_sequence": 7}
        assert home.judge(home.claim(sequence=8, at_ms=home.now_ms + 1, **target))
    home.now_ms += 1
    home.hand_in(home.claim(sequence=8, target=None))
    home.hand_in(home.claim("b", sequence=1, at_ms=home.now_ms - 1))
    home.hand_in(home.claim("b", sequence=2, at_ms=home.now_ms - 1, target=None))
    with pytest.raises(wire.ClaimStale) as no:
        home.judge(home.claim(sequence=9, at_ms=home.now_ms - 1))
    assert no.value.details() == {"name": "saw.yard", "standing_sequence": 8}
    assert home.judge(home.claim(sequence=9))


def test_any_sequence_is_the_first(home: Any) -> None:
    assert home.judge(home.claim(sequence=1))
    home.hand_in(home.claim("b", sequence=7))
    home.hand_in(home.claim("b", sequence=8, target=None))
    assert home.judge(home.claim(sequence=1))


def test_the_sequence_of_an_earlier_holder_goes_on_where_theirs_ended(home: Any) -> None:
    for who, first in (("a", 20), ("b", 40), ("c", 30)):
        home.now_ms += 10
        home.hand_in(home.claim(who, sequence=first))
        home.now_ms += 10
        home.hand_in(home.claim(who, sequence=first + 1, target=None))
    for who, last in (("a", 21), ("b", 41), ("c", 31)):
        with pytest.raises(wire.ClaimStale) as no:
            home.judge(home.claim(who, sequence=last))
        assert no.value.standing_sequence == last
        assert home.judge(home.claim(who, sequence=last + 1))


def test_what_nobody_holds_is_not_withdrawn(home: Any) -> None:
    with pytest.raises(wire.NameNotHeld) as no:
        home.judge(home.claim(target=None))
    assert no.value.details() == {"name": "saw.yard"}
    home.hand_in(home.claim())
    home.now_ms += 1
    home.hand_in(home.claim(target=None))
    home.now_ms += 1
    for who in ("a", "b"):
        with pytest.raises(wire.NameNotHeld):
            home.judge(home.claim(who, target=None))


def test_a_withdrawal_stands_for_the_longest_term_whatever_it_says_itself(home: Any) -> None:
    held = home.hand_in(home.claim())
    home.now_ms += 100
    for said in ({"at_ms": home.now_ms - 50, "term_ms": 50}, {"term_ms": TERM_MS + 2 * SKEW_MS}):
        claim = home.claim(target=None, **said)
        assert home.judge(claim) == Countersign(
            issued_at_ms=home.now_ms,
            lapses_at_ms=home.now_ms + TERM_MS,
            until_ms=held.until_ms,
            keep_until_ms=home.now_ms + TERM_MS + CLOCK_BACK_MS,
            state="withdrawn",
            value=wire.NameValue(claim=claim),
        )


def test_a_claim_whose_term_is_over_is_none(home: Any) -> None:
    claim = home.claim(term_ms=50)
    home.now_ms += 49
    assert home.judge(claim).lapses_at_ms == home.now_ms + 1
    home.now_ms += 1
    with pytest.raises(wire.ClaimRejected, match="its term is over"):
        home.judge(claim)


@pytest.mark.parametrize("back_ms", [0, SKEW_MS])
def test_a_name_is_held_for_the_longest_term_from_now_at_most(home: Any, back_ms: int) -> None:
    """From now, also where a clock went back and the record is of a later time.

    How long the end of a hold is shown counts on it: a home that forgets too soon whose time is
    not over countersigns the name for somebody else, and proves itself a liar.
    """
    home.hand_in(home.claim(at_ms=home.now_ms - SKEW_MS, sequence=1))
    home.now_ms -= back_ms
    assert home.judge(home.claim(term_ms=TERM_MS)).lapses_at_ms == home.now_ms + TERM_MS
    with pytest.raises(wire.NameTermTooLong) as no:
        home.judge(home.claim(term_ms=TERM_MS + 1))
    assert no.value.details() == {"term_ms": TERM_MS + 1, "term_ms_max": TERM_MS}


def test_the_first_countersignature_is_of_what_time_it_is(home: Any) -> None:
    assert home.judge(home.claim(at_ms=1), now_ms=0).issued_at_ms == 0


@pytest.mark.parametrize("skew_ms", [-300_000, -SKEW_MS - 1, SKEW_MS + 1, 300_000])
def test_a_claim_from_another_time_has_a_refusal_of_its_own(home: Any, skew_ms: int) -> None:
    with pytest.raises(wire.ClaimClockSkewed) as no:
        home.judge(home.claim(at_ms=home.now_ms + skew_ms))
    assert no.value.issued_at_ms - no.value.now_ms == skew_ms
    for within_ms in (-SKEW_MS, SKEW_MS):
        assert home.judge(home.claim(at_ms=home.now_ms + within_ms))


def test_only_an_active_member_of_the_coop_claims(home: Any, genesis: Any) -> None:
    member = founding_member("yard/a", genesis=genesis)
    cases: list[tuple[Any, str]] = [
        (None, "no member of the coop has this id"),
        (
            Claimant(member=member.model_copy(update={"coop": "other"}), chain=()),
            "no member of the coop has this id",
        ),
        (
            Claimant(member=member.model_copy(update={"active": False}), chain=()),
            "the membership has ended",
        ),
        (
            Claimant(member=member, chain=("x",) * (wire.CHAIN_MAX + 1)),
            "the chain is longer than may travel",
        ),
    ]
    for claimant, why in cases:
        with pytest.raises(wire.ClaimNotMembers) as no:
            home.judge(home.claim(), claimant=claimant)
        assert no.value.details() == {"member_id": "yard/a", "why": why}
    chain = ("x.x.x",) * wire.CHAIN_MAX
    claimant = Claimant(member=member, chain=chain)
    assert home.judge(home.claim(), claimant=claimant).value.member == chain


def test_an_alias_leads_over_as_many_aliases_as_anybody_follows(home: Any) -> None:
    assert home.judge(home.claim(), alias_depth=wire.ALIAS_DEPTH_MAX)
    with pytest.raises(wire.AliasTooDeep):
        home.judge(home.claim(), alias_depth=wire.ALIAS_DEPTH_MAX + 1)


LIMITS = Limits(names_per_member_max=3, names_per_coop_max=5)


@pytest.mark.parametrize(
    ("member", "coop", "limit"), [(2, 4, None), (3, 3, 3), (4, 4, 3), (0, 5, 5), (3, 5, 3)]
)
def test_a_name_that_is_new_takes_room_of_its_member_and_its_coop(
    home: Any, member: int, coop: int, limit: int | None
) -> None:
    used = Used(member=member, coop=coop)
    if limit is None:
        assert home.judge(home.claim(), used=used, limits=LIMITS)
    else:
        with pytest.raises(wire.NamesExhausted) as no:
            home.judge(home.claim(), used=used, limits=LIMITS)
        assert no.value.details() == {"limit": limit}


def test_a_name_that_is_known_takes_the_room_that_it_has(home: Any) -> None:
    held = home.hand_in(home.claim(term_ms=10))
    home.now_ms += 10
    assert home.judge(home.claim(), used=Used(member=3, coop=5), limits=LIMITS)
    assert home.judge(home.claim("b"), used=Used(member=2, coop=5), limits=LIMITS)
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim("b"), used=Used(member=3, coop=5), limits=LIMITS)
    assert no.value.limit == 3
    assert held.until_ms == home.now_ms


def test_a_record_has_room_for_so_many_characters_of_claims_and_chains(
    home: Any, genesis: Any
) -> None:
    sizes = {"claim": 3_000, "member": 1_400, "end": 500, "ended": 500}
    assert sum(sizes.values()) == rules.VALUE_CHARACTERS_MAX
    assert rules.fits(value_of(**sizes))
    for part, characters in sizes.items():
        assert not rules.fits(value_of(**{**sizes, part: characters + 1}))
    member = founding_member("yard/a", genesis=genesis)
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim(), claimant=Claimant(member=member, chain=("x" * 2_500,) * 2))
    assert no.value.details() == {"limit": rules.VALUE_CHARACTERS_MAX}


def value_of(*, claim: int, member: int, end: int, ended: int) -> wire.NameValue:
    """Return a value of texts so long; both chains have two links."""
    freed = wire.NameEnd.model_construct(claim="c" * end, member=("c" * (ended - 200), "c" * 200))
    return wire.NameValue.model_construct(
        claim="c" * claim, member=("c" * (member - 200), "c" * 200), freed=(freed,)
    )


def test_a_name_passes_on_so_often_and_no_more_until_times_are_over(home: Any) -> None:
    for who in "abcde":
        home.now_ms += 10
        home.hand_in(home.claim(who))
        home.now_ms += 10
        home.hand_in(home.claim(who, target=None))
    home.now_ms += 10
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim("f"))
    assert no.value.details() == {"limit": wire.FREED_MAX}


def test_an_end_is_shown_strictly_before_all_is_over_that_it_ended(home: Any) -> None:
    home.hand_in(home.claim())
    home.now_ms += 1
    gone = home.hand_in(home.claim(target=None))
    over_ms = home.now_ms + SKEW_MS + TERM_MS
    home.hand_in(home.claim("b", term_ms=TERM_MS))
    home.now_ms = over_ms - 1
    assert [end.claim for end in home.judge(home.claim("b")).value.freed] == [gone.value.claim]
    home.now_ms = over_ms
    assert home.judge(home.claim("b")).value.freed == ()
