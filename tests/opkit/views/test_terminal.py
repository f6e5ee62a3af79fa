"""What a run looks like in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from opkit.runner.network import RunEvent
from opkit.runner.progress import Progress
from opkit.story.report import Stop
from opkit.story.states import State
from opkit.views.terminal import closing, marker_table, step_line, theme


def printed(*things, width=120):
    console = Console(file=io.StringIO(), width=width, theme=theme(), color_system=None)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_the_table_has_every_planned_marker_with_its_word(run, stopped):
    assert "refused as promised" in printed(marker_table(run.flows))
    text = printed(marker_table(stopped.flows))
    assert [word for word in ("done", "failed", "waiting") if word in text] == [
        "done",
        "failed",
        "waiting",
    ]


def test_the_last_line_says_whether_it_was_told_whole(run, stopped):
    assert "FLOW_OK t  3 of 3 markers, 1 set-up" in printed(closing(run))
    text = printed(closing(stopped))
    assert "FLOW_FAILED t  1 of 3 markers" in text
    assert "stopped at THIEF_REFUSED: peer: expected another" in text
    assert "in cell 4: await <x>" in text


def test_progress_prints_one_line_a_step_and_the_table_at_the_end(run):
    console = Console(file=io.StringIO(), width=120, color_system=None)

    with Progress(console) as progress:
        progress(RunEvent(kind="opening"))
        progress(RunEvent(kind="network", title="net"))
        progress(RunEvent(kind="flow", flow="t", title="Bread", total=3))
        for state in (State.RUNNING, State.DONE):
            progress(
                RunEvent(
                    kind="step",
                    flow="t",
                    marker="DOUGH_MADE",
                    sentence="Ana makes the dough.",
                    state=state,
                    took_ms=5 if state is State.DONE else None,
                )
            )
        progress(RunEvent(kind="end", flow="t"))
        progress(RunEvent(kind="report", run=run))

    text = console.file.getvalue()
    assert text.count("Ana makes the dough.") == 1
    assert "FLOW_OK t" in text
    assert "THIEF_REFUSED" in text


def test_a_live_terminal_shows_what_is_running():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)

    with Progress(console) as progress:
        progress(RunEvent(kind="flow", flow="t", title="Bread", total=3))
        progress(RunEvent(kind="step", flow="t", marker="M", sentence="Busy.", state=State.RUNNING))

    assert "Busy." in console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_sentence_is_squeezed(run, width):
    sentence = "Harbor Homes gets the bytes from River City's node and checks them."
    marker = run.flows[0].markers[0].model_copy(update={"sentence": sentence})
    flow = run.flows[0].model_copy(update={"markers": (marker, *run.flows[0].markers[1:])})
    text = printed(marker_table([flow]), width=width)
    assert sentence in text
    assert max(map(len, text.splitlines())) <= width
    assert "THIEF_REFUSED" in text


def test_a_running_step_has_its_sentence_on_one_line_at_80_columns():
    sentence = "Harbor Homes gets the bytes and checks them against the hash."
    text = printed(step_line(State.DONE, sentence, "MODULE_FETCHED", took_ms=1_234), width=80)
    assert sentence in text
    assert "1.2 s" in text


def test_an_interrupted_flow_says_so_and_blames_nothing(run):
    stop = Stop(at="DOUGH_MADE", why="cell 0 of 0: RuntimeError: Kernel died")
    cut = run.flows[0].model_copy(update={"ok": False, "markers": (), "stopped": stop})
    text = printed(
        closing(run.model_copy(update={"ok": False, "interrupted": True, "flows": (cut,)}))
    )
    assert "interrupted before its first step, DOUGH_MADE" in text
    assert "Kernel died" not in text
