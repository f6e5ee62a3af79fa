"""A client that signs nothing for whom it did not dial: the only end of such a step that counts."""

from __future__ import annotations

import pytest

from opkit.client import WrongNode
from opkit.story import NotShown, nothing_signed
from opkit.wire.errors import Unreachable
from opkit.wire.gateway import TokenMissing

RELAY, RIVER, OTHER = "did:key:relay", "did:key:river", "did:key:other"


def wrong(*, dialled: str = RELAY, answered: str = RIVER) -> WrongNode:
    """Return what a client raises that met another node."""
    return WrongNode(
        url="http://127.0.0.1:1",
        expected=dialled,
        found=answered,
        expected_network="a" * 26,
        found_network="a" * 26,
    )


def test_a_client_that_saw_anothers_challenge_is_a_check_with_both_sides() -> None:
    with nothing_signed(dialled=RELAY, answered=RIVER) as no:
        raise wrong()

    assert no.check.ok
    assert no.check.expected == f"dialled {RELAY}"
    assert no.check.actual == f"answered {RIVER}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (wrong(answered=OTHER), f"by {RIVER}, but got"),
        (wrong(dialled=OTHER), f"by {RIVER}, but got"),
        (TokenMissing(), "but got TokenMissing"),
        (Unreachable(where="there", why="silent"), "but got Unreachable"),
    ],
)
def test_any_other_end_of_the_call_shows_nothing(said: Exception, why: str) -> None:
    with (
        pytest.raises(NotShown, match=why) as lost,
        nothing_signed(dialled=RELAY, answered=RIVER),
    ):
        raise said
    assert lost.value.__cause__ is said


def test_a_call_that_went_through_shows_nothing() -> None:
    with (
        pytest.raises(NotShown, match="a call went through"),
        nothing_signed(dialled=RELAY, answered=RIVER),
    ):
        pass


def test_a_mistake_of_the_story_is_nobodys_refusal() -> None:
    with pytest.raises(KeyError), nothing_signed(dialled=RELAY, answered=RIVER):
        raise KeyError("x")


def test_there_is_no_check_before_the_block_is_left() -> None:
    with pytest.raises(AssertionError, match="not been left"):
        _ = nothing_signed(dialled=RELAY, answered=RIVER).check
