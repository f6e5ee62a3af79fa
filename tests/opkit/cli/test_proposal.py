"""`opkit proposal` on real nodes: what members put to the vote, and who sees how they voted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devnet.launch import launch
from opkit.proof import jws
from opkit.proof.ballots import read_ballot

Run = Callable[..., Any]
RIVER = "river-city-tool-library"


@pytest.fixture
def ready() -> Iterator[None]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name="votes", profile="three", seed=7)
    try:
        launched.wait_ready()
        yield
    finally:
        launched.down()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ready")
def test_members_see_by_name_how_they_voted_and_nobody_else_does(run: Run) -> None:
    mara = ("--node", RIVER, "--as", "mara")
    assert run("proposal", "open", "paint", "--title", "Paint the hall", *mara).code == 0
    assert "nobody has voted" in run("proposal", "votes", "paint", *mara).out
    for who, choice in (("ines", "yes"), ("mara", "no"), ("mara", "yes"), ("pavel", "no")):
        voted = run("proposal", "vote", "paint", choice, "--node", RIVER, "--as", who)
        assert voted.code == 0, voted.err
    assert run("proposal", "delegate", "ines", "--node", RIVER, "--as", "theo").code == 0
    stands = run("proposal", "show", "paint", *mara).out
    assert "3 yes, 1 no, 0 abstain, of 5" in stands and "Being accepted is all" in stands

    found = run("proposal", "votes", "paint", *mara, "--json")
    votes = found.json["votes"]
    said = [(each["member_id"].rpartition("/")[2], each["choice"]) for each in votes]
    assert said == [("ines", "yes"), ("mara", "yes"), ("pavel", "no"), ("theo", "yes")]
    assert [each["through"] for each in votes] == [None, None, None, f"{RIVER}/ines"]
    for each in votes:
        signed = jws.peek(each["ballot"]).payload
        assert read_ballot(each["ballot"], network=signed["network"]).choice == each["choice"]
    assert len(run("proposal", "votes", "paint", *mara, "--max", 2, "--json").json["votes"]) == 2
    shown = run("proposal", "votes", "paint", *mara).out
    assert "through" in shown and f"{RIVER}/theo" in shown

    refused = run("proposal", "votes", "paint", "--as", "operator", "--coop", RIVER)
    assert refused.code == 1 and "roll-call-not-yours" in refused.err
    unknown = run("proposal", "votes", "no-such", *mara)
    assert unknown.code == 1 and "proposal-unknown" in unknown.err
