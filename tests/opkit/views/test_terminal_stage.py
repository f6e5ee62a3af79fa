"""A stage in a terminal: read from the last row, on any terminal, and never steered by a node."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from opkit.story.report import CheckRecord, MarkerRecord, SetupRecord, Stop
from opkit.story.stage import Mode, StageStep, StageView
from opkit.story.states import State
from opkit.views.terminal import theme
from opkit.views.terminal_stage import (
    KEYS,
    end_line,
    evidence_block,
    foot,
    help_block,
    now_line,
    setup_line,
    skipped_line,
    stage_head,
    step_block,
    stop_block,
    telling_line,
)

CID = "bafkrei" + "a" * 52


def printed(*things, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, theme=theme(), color_system=None)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def record(*checks: CheckRecord, ok: bool = True, problem: str = "", **facts) -> MarkerRecord:
    return MarkerRecord(
        name="DOUGH_MADE",
        ok=ok,
        kind="shown",
        sentence="Ana makes the dough.",
        evidence=facts,
        checks=checks,
        at_ms=1_767_225_600_000,
        took_ms=1_234,
        problem=problem,
    )


def check(name: str, *, ok: bool = True, expected: str = "3", actual: str = "3") -> CheckRecord:
    return CheckRecord(name=name, ok=ok, expected=expected, actual=actual)


def view(mode: Mode = Mode.WAITING, *, told: MarkerRecord | None = None, **more) -> StageView:
    state = State.WAITING if told is None else told.state
    steps = (
        StageStep(
            marker="DOUGH_MADE",
            sentence="Ana makes the dough.",
            kind="shown",
            say="Watch her hands.",
            state=state,
            record=told,
        ),
        StageStep(
            marker="THIEF_REFUSED",
            sentence="Mallory wants a loaf.",
            kind="refused",
            state=State.WAITING,
        ),
    )
    said = {
        "revision": 1,
        "run_id": "0123456789abcdef",
        "flow": "t",
        "title": "Bread",
        "story": "A bakery bakes.",
        "mode": mode,
        "shown": 0,
        "told": 0 if told is None else 1,
        "began_ms": 1_767_225_600_000,
        "pace_ms": 12_000,
        "steps": steps,
    }
    return StageView(**{**said, **more})


def test_the_head_says_what_is_told_and_under_which_run():
    text = printed(stage_head(view()), telling_line(view()))
    assert "Flow T: Bread" in text
    assert "A bakery bakes." in text
    assert "0123456789abcdef" in text


def test_a_step_has_its_sentence_first_then_word_narration_and_checks():
    text = printed(step_block(view(told=record(check("loaves"))), 0))
    places = [
        text.index(part)
        for part in ("Ana makes the dough.", "DOUGH_MADE  done  1.2 s", "“Watch her", "loaves")
    ]
    assert places == sorted(places)
    assert "expected" not in text, "one side is enough where both are equal"


def test_checks_that_fail_come_first_with_both_sides_and_the_rest_is_counted():
    checks = [check(f"check {number}") for number in range(8)]
    bad = check("weight", ok=False, expected="900", actual="800")
    lines = printed(step_block(view(told=record(*checks, bad)), 0)).splitlines()
    first = next(line for line in lines if "✓" in line[2:] or "✗" in line)
    assert "weight" in first
    assert "800  expected 900" in first
    assert any("and 3 more" in line for line in lines)


def test_all_checks_and_facts_stand_in_the_evidence_and_long_names_are_shortened_in_checks():
    checks = [check(f"check {number}", expected=CID, actual=CID) for number in range(9)]
    one = view(told=record(*checks, module={"name": "bread"}, loaves=3))
    text = printed(evidence_block(one.steps[0]))
    assert text.count("check ") == 9
    assert CID not in text
    assert '{"name": "bread"}' in text
    assert "rests on nothing yet" in printed(evidence_block(one.steps[1]))


@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        (Mode.OPENING, {}, "the network is opened"),
        (Mode.WAITING, {}, "next: Ana makes the dough."),
        (Mode.PLAYING, {}, "(after 12.0 s)"),
        (Mode.STOPPED, {}, "stopped; a tells it again"),
        (Mode.ENDED, {}, "told whole; a tells it again"),
    ],
)
def test_the_lower_lines_say_what_is_going_on(mode, more, said):
    assert said in printed(foot(view(mode, **more)))


def test_an_attack_is_announced_as_one():
    assert now_line(view(told=record())).plain == "○ next: an attack: Mallory wants a loaf."


def test_the_lower_lines_name_the_keys_and_p_is_pause_while_it_plays():
    assert all(what in printed(foot(view())) for _, what in KEYS)
    assert "p pause" in printed(foot(view(Mode.PLAYING)))


def test_what_is_typed_and_why_a_key_did_nothing_take_the_place_of_the_next_step():
    assert "go to step 1_" in printed(foot(view(), typed="1"))
    assert "go to step _" in printed(foot(view(), typed=""))
    assert "it waits already" in printed(foot(view(), notice="it waits already"))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_lower_lines_never_wrap(width):
    assert len(printed(foot(view()), width=width).splitlines()) == 3


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal_or_than_can_be_read_aloud(width):
    one = view(told=record(check("loaves")), setup=(setup(),))
    drawn = (
        stage_head(one),
        step_block(one, 0),
        skipped_line(one.steps[0]),
        setup_line(one.setup[0]),
        evidence_block(one.steps[0]),
        help_block(),
    )
    longest = max(len(line.rstrip()) for line in printed(*drawn, width=width).splitlines())
    assert longest <= min(width, 110)


def setup(*, ok: bool = True) -> SetupRecord:
    return SetupRecord(sentence="The oven is hot.", ok=ok, at_ms=1, took_ms=5)


def test_terminals_that_know_ascii_only_are_given_ascii_only():
    one = view(told=record(check("loaves")))
    drawn = (
        foot(one, ascii_only=True),
        skipped_line(one.steps[0], ascii_only=True),
        setup_line(setup(ok=False), ascii_only=True),
        now_line(one, ascii_only=True),
    )
    assert printed(*drawn).isascii()


def test_why_it_stopped_is_said_once():
    before = view(Mode.STOPPED, stopped=Stop(at="", why="it is stopped; start it"))
    assert "it is stopped; start it" in printed(stop_block(before))
    failed = record(ok=False, problem="burnt")
    told = view(Mode.STOPPED, told=failed, stopped=Stop(at="DOUGH_MADE", why="burnt"))
    assert printed(stop_block(told)).strip() == ""
    assert "burnt" in printed(step_block(told, 0))
    assert printed(stop_block(view())).strip() == ""


def test_the_last_line_says_how_it_ended_or_where_it_was_left():
    assert end_line(view(told=record())).plain == "left  1 of 2 markers"
    ended = view(Mode.ENDED, told=record(), setup=(setup(),))
    assert end_line(ended).plain == "FLOW_OK t  1 of 2 markers, 1 set-up"
    stopped = view(Mode.STOPPED, stopped=Stop(at="", why="no\x1b[2Jwater"))
    assert end_line(stopped).plain.splitlines() == [
        "FLOW_FAILED t  0 of 2 markers",
        "  stopped before the first step: no\N{REPLACEMENT CHARACTER}[2Jwater",
    ]


def test_what_nodes_say_cannot_steer_the_terminal():
    evil = "\x1b[2J\x9b31m\a"
    bad = check(evil, ok=False, expected=evil, actual=evil + "!")
    one = view(told=record(bad, ok=False, problem=evil, fact=evil, more={"deep": evil}))
    text = printed(step_block(one, 0), evidence_block(one.steps[0]), foot(one, notice=evil))
    assert not {"\x1b", "\x9b", "\a"} & set(text)
