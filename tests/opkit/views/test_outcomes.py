"""What a task came to has one shape and one word, wherever it is drawn."""

from __future__ import annotations

import pytest

from opkit.story.states import State
from opkit.views import compute, reprcompute
from opkit.views.outcomes import TASK_STATES, outcome_state, task_state
from opkit.wire.compute import Outcome, TaskState


def test_every_state_of_a_task_has_a_shape():
    assert set(TASK_STATES) == set(TaskState)


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        ("fuel", State.REFUSED, "stopped at fuel limit"),
        ("memory", State.REFUSED, "stopped at memory limit"),
        ("trap", State.REFUSED, "stopped by a trap"),
        ("", State.FAILED, "failed"),
    ],
)
def test_a_sandbox_that_held_is_no_failure(outcome, state, words):
    assert task_state(TaskState.FAILED, outcome) == (state, words)


@pytest.mark.parametrize("code", ["executor-unavailable", "queue-full"])
def test_a_task_that_nobody_could_run_wears_no_shield(code):
    assert task_state(TaskState.REFUSED, code=code) == (State.FAILED, "not run")


@pytest.mark.parametrize("code", ["", "module-unknown", "quota-exceeded", "what-is-newer-than-us"])
def test_a_task_that_a_rule_refused_wears_the_shield(code):
    assert task_state(TaskState.REFUSED, code=code) == (State.REFUSED, "refused")


@pytest.mark.parametrize("outcome", Outcome)
def test_a_run_and_its_task_look_alike(outcome):
    ended = {Outcome.OK: TaskState.DONE, Outcome.CANCELLED: TaskState.CANCELLED}

    state, _ = task_state(ended.get(outcome, TaskState.FAILED), outcome)

    assert outcome_state(outcome) is state


def test_a_page_and_a_notebook_draw_a_task_by_the_same_rule():
    assert compute.task_state is reprcompute.task_state is task_state
