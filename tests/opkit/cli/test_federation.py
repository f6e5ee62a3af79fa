"""`opkit federation` on real nodes: said by one process, heard by all, through kills and cuts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devnet.launch import launch
from opkit.cli import federation as command
from opkit.wire.operations import AddAct, CountAct, SetAct

Run = Callable[..., Any]
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
LAKES = "fingerlakes-cdn"
LONE = "unaffiliated"
WAIT_S = 100


def test_what_was_done_is_told_in_words() -> None:
    assert command._what(SetAct(key="coop/x", value="y")) == "says coop/x"
    assert command._what(SetAct(key="coop/x", value=None)) == "takes back coop/x"
    assert command._what(AddAct(element="abc")) == "adds 3 characters"
    assert command._what(CountAct(up=1)) == "count"


@pytest.fixture
def ready() -> Iterator[None]:
    """Hold the network of five nodes that is ready."""
    launched = launch(name="coops", profile="federation", seed=7)
    try:
        launched.wait_ready()
        yield
    finally:
        launched.down()


def ok(run: Run, *arguments: object) -> Any:
    """Run a command that is to be done; return what it printed as JSON."""
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran.err
    return ran.json


def federation(run: Run, *arguments: object, at: str = RIVER) -> Any:
    return ok(run, "federation", *arguments, "--node", at)


def states(run: Run, *orgs: str, operations: int) -> set[str]:
    """Return the states of nodes, once each has so many operations."""
    until = time.monotonic() + WAIT_S
    while True:
        found = [federation(run, "members", at=org) for org in orgs]
        if all(each["operations"] == operations for each in found):
            return {each["state"] for each in found}
        assert time.monotonic() < until, [each["operations"] for each in found]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ready")
def test_coops_speak_and_hear_each_other_through_kills_and_cuts(run: Run) -> None:
    said = ok(run, "federation", "register", "--title", "Tools of River City", "--as", "mara")
    assert (said["coop"], said["standing"]) == (RIVER, True)
    vouched = ok(run, "federation", "vouch", LONE, "--as", "mara")
    assert (vouched["voices"], vouched["standing"]) == (1, False)
    assert len(states(run, RIVER, BRIGHT, LAKES, LONE, operations=2)) == 1

    # SIGKILL: what was said is there, and what was said meanwhile comes.
    ok(run, "devnet", "kill", LAKES)
    attested = ("federation", "attest", BRIGHT, "insured", "Insured until May.", "--as", "mara")
    ok(run, *attested, "--days", 30)
    ok(run, "devnet", "kill", RIVER)
    ok(run, "devnet", "restart", RIVER)
    ok(run, "devnet", "restart", LAKES)
    assert len(states(run, RIVER, BRIGHT, LAKES, LONE, operations=3)) == 1

    ok(run, "devnet", "cut", RIVER, BRIGHT)
    ok(run, "devnet", "chaos", "partition", BRIGHT)
    assert ok(run, "federation", "vouch", LONE, "--as", "hugo")["standing"]
    ok(run, "federation", "revoke", BRIGHT, "insured", "--as", "mara")
    ok(run, "devnet", "chaos", "heal")
    ok(run, "devnet", "heal")
    assert len(states(run, RIVER, BRIGHT, LAKES, LONE, operations=5)) == 1

    shown = federation(run, "attestations", "--subject", BRIGHT, at=LONE)["attestations"]
    assert [(each["issuer"], each["state"]) for each in shown] == [(RIVER, "revoked")]
    assert not federation(run, "forks", at=LAKES)["forks"]
    log = federation(run, "log", at=LAKES)["operations"]
    assert sorted(line["act"]["kind"] for line in log) == ["admit", "admit", "set", "set", "set"]
    human = run("federation", "members", "--node", LAKES)
    assert human.code == 0 and "Tools of River City" in human.out and "founder" in human.out
    for each in ("attestations", "log", "objects", "forks"):
        assert run("federation", each, "--node", LAKES).code == 0
    check_mistakes(run)


def check_mistakes(run: Run) -> None:
    ran = run("federation", "vouch", "nobody", "--as", "mara")
    assert ran.code == 2 and "no organisation" in ran.err
    ran = run("federation", "attest", "No Coop", "x", "y", "--as", "mara")
    assert ran.code == 2 and "no id" in ran.err
    ran = run("federation", "attest", BRIGHT, "x", "y", "--evidence", "z", "--as", "mara")
    assert ran.code == 2 and "no hash" in ran.err
    ran = run("federation", "revoke", BRIGHT, "x", "--as", "mara")
    assert ran.code == 1 and "attestation-unknown" in ran.err + ran.out
