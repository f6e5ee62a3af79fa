"""What a home node countersigns, what it refuses first, and that it never proves itself a liar."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.naming import rules
from nodeimpl.naming.rules import Claimant, Limits, Signed, Used
from opkit.proof.membership import founding_member
from opkit.proof.names import contradict, read_name
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
    home.now_ms += TERM_MS + SKEW_MS + 10
    home.lapse_if_due()
    home.lapse_if_due()
    assert home.standing is None


def test_who_comes_back_needs_no_word_of_their_own(home: Any) -> None:
    for who, target in (("a", ...), ("a", None), ("b", ...), ("b", None), ("a", ...)):
        home.now_ms += 10
        home.hand_in(home.claim(who) if target is ... else home.claim(who, target=None))
    (end,) = home.standing.value.freed
    assert rules.claim_in(end.claim).member_id == "yard/b"


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


def test_a_revoked_member_holds_nothing_and_the_record_shows_why(home: Any, genesis: Any) -> None:
    held = home.hand_in(home.claim())
    member = founding_member("yard/a", genesis=genesis)
    assert rules.end_hold(held, member=member, chain=(), now_ms=home.now_ms) is None
    assert rules.end_hold(held, member=None, chain=(), now_ms=home.now_ms) is None
    revoked = member.model_copy(update={"active": False})
    ended = rules.end_hold(held, member=revoked, chain=("r" * 500,), now_ms=home.now_ms)
    assert ended.state == "revoked" and ended.value.member == ("r" * 500,)
    assert ended.issued_at_ms == held.sequence + 1
    for chain in (("r",) * 9, ("r" * 3_000,) * 2):
        assert rules.end_hold(held, member=revoked, chain=chain, now_ms=home.now_ms) is None


def refusing(home: Any, genesis: Any) -> dict[type[Refusal], dict[str, Any]]:
    """Return for each refusal what to change so that it applies; the name is another one's."""
    member = founding_member("yard/b", genesis=genesis)
    other = member.model_copy(update={"did": genesis.operator})
    return {
        wire.ClaimRejected: {"signed": Signed(token="x", why="it does not verify")},
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
        with pytest.raises(refusal):
            ask(home, "b", changes)


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


def test_what_nobody_holds_is_not_withdrawn(home: Any) -> None:
    with pytest.raises(wire.NameNotHeld):
        home.judge(home.claim(target=None))
    home.hand_in(home.claim())
    home.now_ms += 1
    home.hand_in(home.claim(target=None))
    home.now_ms += 1
    for who in ("a", "b"):
        with pytest.raises(wire.NameNotHeld):
            home.judge(home.claim(who, target=None))


def test_a_claim_whose_term_is_over_is_none(home: Any) -> None:
    claim = home.claim(term_ms=50)
    home.now_ms += 50
    with pytest.raises(wire.ClaimRejected, match="its term is over"):
        home.judge(claim)


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
        (None, "no member"),
        (Claimant(member=member.model_copy(update={"coop": "other"}), chain=()), "no member"),
        (Claimant(member=member.model_copy(update={"active": False}), chain=()), "has ended"),
        (Claimant(member=member, chain=("x",) * 9), "longer than may travel"),
    ]
    for claimant, why in cases:
        with pytest.raises(wire.ClaimNotMembers, match=why):
            home.judge(home.claim(), claimant=claimant)


def test_room_is_bounded_by_member_by_coop_and_by_record(home: Any, genesis: Any) -> None:
    limits = Limits(names_per_member_max=3, names_per_coop_max=5)
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim(), used=Used(member=3, coop=3), limits=limits)
    assert no.value.limit == 3
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim(), used=Used(member=0, coop=5), limits=limits)
    assert no.value.limit == 5
    member = founding_member("yard/a", genesis=genesis)
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim(), claimant=Claimant(member=member, chain=("x" * 2_500,) * 2))
    assert no.value.limit == rules.VALUE_CHARACTERS_MAX
    home.hand_in(home.claim())
    home.now_ms += 1
    assert home.judge(home.claim(), used=Used(member=3, coop=5), limits=limits)


def test_a_name_passes_on_so_often_and_no_more_until_times_are_over(home: Any) -> None:
    for who in "abcde":
        home.now_ms += 10
        home.hand_in(home.claim(who))
        home.now_ms += 10
        home.hand_in(home.claim(who, target=None))
    home.now_ms += 10
    with pytest.raises(wire.NamesExhausted) as no:
        home.judge(home.claim("f"))
    assert no.value.limit == wire.FREED_MAX


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from(("hold", "hold", "withdraw")),
        st.integers(1, 40) | st.sampled_from((10 * DAY_MS, TERM_MS - 2, TERM_MS)),
        st.integers(1, 60) | st.sampled_from((DAY_MS, 12 * DAY_MS, TERM_MS)),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_two_records_of_an_honest_home_ever_contradict_each_other(
    make_home: Any, steps: Any
) -> None:
    """Whatever is asked of it, in whatever order, by whomever: each record verifies as well."""
    home, views = make_home(), []
    for who, what, term_ms, wait_ms in steps:
        target = {"target": None} if what == "withdraw" else {}
        try:
            standing = home.hand_in(home.claim(who, term_ms=term_ms, **target))
        except Refusal:
            pass
        else:
            views.append(read_name(standing.record, home.genesis))
        home.now_ms += wait_ms
        home.lapse_if_due()
    for first, second in combinations(sorted(views, key=lambda it: it.sequence), 2):
        assert not contradict(second, first)
