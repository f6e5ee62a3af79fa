"""Wherever a presenter stands and whatever they ask, the stage stays where it can be."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.story.lead import Lead, Mode, StageRefused
from opkit.story.pace import OPENING_MS_MAX, PAUSE_MS_MAX, PAUSE_MS_MIN, Pace

STEPS = 4
ASKS = ["next", "back", "play", "pause", "again", *(f"skip {index}" for index in range(STEPS))]
HAPPENS = ["opened", "began", "ended", "failed", "paced"]


def lead(**more) -> Lead:
    return Lead(**{"steps": STEPS, "opening": False, **more})


def ask(one: Lead, what: str) -> Lead:
    """Do what a presenter asks, and return where they stand then."""
    name, _, index = what.partition(" ")
    if name == "skip":
        one.skip_to(int(index))
    elif name == "again":
        return one.again()
    else:
        getattr(one, name)()
    return one


def happen(one: Lead, what: str) -> None:
    """Let happen what can happen to a stage that stands here."""
    if what == "opened":
        one.opening = False
    elif what in {"ended", "failed"} and one.running:
        one.ended(ok=what == "ended")
    elif one.over or one.opening or one.running:
        return
    elif what == "began" and one.goes_on and not one.shows_again:
        one.began()
    elif what == "paced" and one.playing and one.shows_again:
        one.shown += 1
    elif what == "paced" and one.playing:
        one.began()


@given(st.lists(st.sampled_from(ASKS + HAPPENS), max_size=60))
def test_no_order_of_asks_and_events_leads_astray(asked):
    one = Lead(steps=STEPS)
    for what in asked:
        before = one.told
        if what in HAPPENS:
            happen(one, what)
        else:
            with suppress(StageRefused):
                one = ask(one, what)
        assert 0 <= one.shown < STEPS
        assert one.shown <= one.told
        assert one.told in {before, before + 1, 0}
        assert 0 <= one.told + one.running <= STEPS
        assert 0 <= one.target <= STEPS
        assert one.mode is not Mode.SKIPPING or one.target > one.told
        assert not (one.playing and one.skipping)


@pytest.mark.parametrize(
    ("where", "what", "why"),
    [
        (lead(), "back", "first step"),
        (lead(running=True), "next", "being told"),
        (lead(target=1), "next", "being told"),
        (lead(told=STEPS, shown=STEPS - 1), "next", "over"),
        (lead(told=STEPS, shown=0), "play", "over"),
        (lead(told=2, shown=1, stopped=True), "skip 3", "over"),
        (lead(playing=True), "play", "plays already"),
        (lead(), "pause", "waits already"),
        (lead(), "again", "nothing has been told"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_hint(where, what, why):
    with pytest.raises(StageRefused, match=why) as no:
        ask(where, what)
    assert no.value.hint


def test_next_after_back_shows_what_was_told_and_then_tells():
    one = lead(told=3, shown=2)
    one.back()
    one.back()
    assert one.shown == 0
    one.next()
    one.next()
    assert (one.shown, one.goes_on) == (2, False)
    one.next()
    assert one.goes_on


def test_play_goes_on_at_once_but_lets_the_story_be_read_first():
    one = lead(told=1)
    one.play()
    assert one.goes_on
    opening = Lead(steps=STEPS)
    opening.play()
    assert not opening.goes_on
    telling = lead(told=1, shown=1, running=True)
    telling.play()
    telling.ended(ok=True)
    assert not telling.goes_on


def test_back_pauses_what_plays_and_a_step_that_is_told_does_not_pull_the_audience_along():
    one = lead(told=2, shown=1, playing=True)
    one.began()
    one.back()
    assert one.mode is Mode.WAITING
    one.ended(ok=True)
    assert (one.shown, one.told) == (1, 3)


def test_skipping_waits_at_its_marker_and_pause_ends_it_early():
    one = lead()
    one.skip_to(2)
    for _ in range(2):
        assert one.mode is Mode.SKIPPING
        one.began()
        one.ended(ok=True)
    assert (one.mode, one.shown, one.told) == (Mode.WAITING, 2, 2)
    one.skip_to(3)
    one.pause()
    assert (one.mode, one.goes_on) == (Mode.WAITING, False)


def test_skipping_to_what_was_told_shows_it_and_tells_nothing():
    one = lead(told=3, shown=2)
    one.skip_to(0)
    assert (one.shown, one.goes_on, one.mode) == (0, False, Mode.WAITING)


def test_a_failure_while_skipping_is_what_is_shown():
    one = lead()
    one.skip_to(3)
    one.began()
    one.ended(ok=False)
    assert (one.mode, one.shown) == (Mode.STOPPED, 0)


def test_again_comes_back_to_where_the_presenter_stood():
    assert lead(told=3, shown=1).again() == Lead(steps=STEPS, target=2, rest=1, skipping=True)
    assert lead(told=2, shown=2).again() == Lead(steps=STEPS, target=2, rest=2, skipping=True)
    assert lead(running=True).again() == Lead(steps=STEPS, target=1, rest=0, skipping=True)


@given(
    words=st.integers(0, 400),
    said=st.integers(0, 400),
    checks=st.integers(0, 64),
    more=st.booleans(),
)
def test_a_pause_is_bounded_and_never_shorter_for_more_to_read(words, said, checks, more):
    pace = Pace()
    pause = pace.pause_ms(read="word " * words, spoken="word " * said, checks=checks)
    assert PAUSE_MS_MIN <= pause <= PAUSE_MS_MAX
    longer = pace.pause_ms(read="word " * (words + more), spoken="word " * said, checks=checks + 1)
    assert longer >= pause
    assert Pace(factor=0.5).pause_ms(read="word " * words) * 2 == pace.pause_ms(
        read="word " * words
    )
    assert Pace(factor=0).pause_ms(read="word " * words) == 0


def test_a_long_story_does_not_hold_up_its_first_step_and_a_short_one_is_not_stretched():
    assert Pace().opening_ms("word " * 400) == OPENING_MS_MAX
    assert Pace(factor=2).opening_ms("word " * 400) == 2 * OPENING_MS_MAX
    assert Pace().opening_ms("word " * 3) == PAUSE_MS_MIN
    assert Pace(factor=0).opening_ms("word " * 400) == 0


@pytest.mark.parametrize("factor", [-0.1, 10.1, float("nan"), float("inf")])
def test_a_pace_is_one_that_a_room_can_bear(factor):
    with pytest.raises(ValueError, match="between"):
        Pace(factor=factor)
