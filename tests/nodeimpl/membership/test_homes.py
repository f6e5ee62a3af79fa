"""Homes: until when members of coops elsewhere are believed."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.membership.homes import Homes
from opkit.wire.standing import STANDING_MS_MAX

STARTED_MS = 1_000_000


@pytest.fixture
def homes(doorstep: Any) -> Homes:
    people = doorstep.people
    return Homes(node=people.mill.did, genesis=people.genesis, started_ms=STARTED_MS)


@pytest.fixture
def store_engine() -> str:
    """Nothing is stored here."""
    return "sqlite"


def test_each_coop_is_at_home_here_or_elsewhere(homes: Homes, doorstep: Any) -> None:
    assert homes.own == ("mill",)
    assert homes.others == {"far": doorstep.people.far.did}


def test_who_is_at_home_here_or_has_no_home_is_not_away(homes: Homes) -> None:
    for member_id in ("mill/ana", "-/operator", "none/eve"):
        assert homes.away(member_id) is None


def test_before_a_home_was_heard_it_counts_from_the_nodes_start(homes: Homes) -> None:
    away = homes.away("far/eve")
    assert away is not None
    assert away.good_until_ms == STARTED_MS + STANDING_MS_MAX
    assert homes.agreed_at_ms("far") is None


def test_a_home_that_agreed_is_believed_from_then_on(homes: Homes) -> None:
    homes.agree("far", STARTED_MS + 10)
    homes.agree("far", STARTED_MS + 5)
    assert homes.agreed_at_ms("far") == STARTED_MS + 10
    assert homes.good_until_ms("far") == STARTED_MS + 10 + STANDING_MS_MAX


def test_an_old_word_shortens_nothing(homes: Homes) -> None:
    homes.agree("far", STARTED_MS - STANDING_MS_MAX)
    assert homes.agreed_at_ms("far") == STARTED_MS - STANDING_MS_MAX
    assert homes.good_until_ms("far") == STARTED_MS + STANDING_MS_MAX
