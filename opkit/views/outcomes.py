"""How a task is drawn, under way or ended: the same on a page and in a notebook."""

from __future__ import annotations

from typing import Final

from opkit.story.states import State
from opkit.wire.compute import Outcome, TaskState
from opkit.wire.errors import REFUSALS, Busy, Refusal

TASK_STATES: Final[dict[TaskState, State]] = {
    TaskState.ACCEPTED: State.WAITING,
    TaskState.PLACED: State.WAITING,
    TaskState.FETCHING: State.RUNNING,
    TaskState.RUNNING: State.RUNNING,
    TaskState.DONE: State.DONE,
    TaskState.FAILED: State.FAILED,
    TaskState.CANCELLED: State.WAITING,
    TaskState.REFUSED: State.REFUSED,
}
"""The state whose shape and colour a task has. See `task_state` for those that a limit ended."""

_STOPPED: Final = {
    Outcome.FUEL: "stopped at fuel limit",
    Outcome.TIME: "stopped at time limit",
    Outcome.MEMORY: "stopped at memory limit",
    Outcome.STACK: "stopped at stack limit",
    Outcome.TRAP: "stopped by a trap",
}
"""Outcomes of tasks that their executor stopped: the sandbox held."""


def task_state(state: TaskState, outcome: str = "", code: str = "") -> tuple[State, str]:
    """Return the state that a task is drawn in, and the word for it.

    A task that was stopped at a limit or at a trap did not fail the network: the sandbox held. One
    that nobody could take, because its executor was down or had too much to do, was refused by no
    rule: that is a failure.

    Args:
        state: how far it is.
        outcome: what its receipt says; empty if there is none.
        code: which refusal ended it; empty if none did.
    """
    if state is TaskState.REFUSED and nobody_could(code):
        return State.FAILED, "not run"
    if state is TaskState.FAILED and outcome in _STOPPED:
        return State.REFUSED, _STOPPED[Outcome(outcome)]
    return TASK_STATES[state], state.value


def nobody_could(code: str) -> bool:
    """Return whether a refusal says that somebody could not do it, and not that nobody may."""
    return issubclass(REFUSALS.get(code, Refusal), Busy)


def outcome_state(outcome: Outcome) -> State:
    """Return the state that the outcome of a run is drawn in."""
    if outcome is Outcome.OK:
        return State.DONE
    return State.REFUSED if outcome in _STOPPED else State.WAITING
