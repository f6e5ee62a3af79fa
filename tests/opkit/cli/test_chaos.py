"""Harm on purpose from the command line: said before it is done, and undone again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devnet.launch import launch

Run = Callable[..., Any]

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("unmeasured_processes")
def test_harm_is_said_done_and_undone(run: Run) -> None:
    """One network for all commands: starting one costs seconds."""
    launched = launch(name="t", profile="three", seed=7)
    try:
        launched.wait_ready()
        check_kill_and_restart(run)
        check_cut_and_heal(run)
        check_hostile(run)
        check_refusals(run)
    finally:
        launched.down()


def states(run: Run) -> dict[str, str]:
    """Return the state of each node."""
    nodes = run("devnet", "status", "--json").json["nodes"]
    return {node["org"]: node["state"] for node in nodes}


def cut_links(run: Run) -> list[set[str]]:
    """Return the links that are cut."""
    links = run("devnet", "status", "--json").json["links"]
    return [{link["a"], link["b"]} for link in links if link["cut"]]


def check_kill_and_restart(run: Run) -> None:
    killed = run("devnet", "kill", "harb")
    assert killed.code == 0
    assert f"t: kill Harbor Homes Cooperative ({HARBOR}) without warning …" in killed.err
    undo = f"opkit devnet restart {HARBOR} --devnet t"
    assert f"done; undo: {undo}" in killed.out
    assert states(run)[HARBOR] == "killed"
    restarted = run(*undo.split()[1:], "--json")
    assert restarted.code == 0
    assert (restarted.json["what"], restarted.json["undo"], restarted.err) == ("restart", "", "")
    assert set(states(run).values()) == {"ready"}


def check_cut_and_heal(run: Run) -> None:
    cut = run("devnet", "cut", "bright", "harbor", "--json").json
    assert {cut["a"], cut["b"]} == {BRIGHT, HARBOR}
    assert cut_links(run) == [{BRIGHT, HARBOR}]
    assert run(*cut["undo"].split()[1:]).code == 0
    assert cut_links(run) == []
    for other in (BRIGHT, HARBOR):
        assert run("devnet", "cut", "river", other).code == 0
    healed = run("devnet", "heal")
    river = "The link between River City Tool Library and"
    assert f"{river} BrightWorks Cooperative was mended" in healed.out
    assert f"{river} Harbor Homes Cooperative was mended" in healed.out
    assert cut_links(run) == []
    assert "nothing is disturbed" in run("devnet", "heal").out


def check_hostile(run: Run) -> None:
    begun = run("devnet", "hostile", "silent", "harbor", "bright", "harbor", "--json").json
    assert begun["against"] == [HARBOR, BRIGHT]
    assert begun["undo"] == f"opkit devnet stop-hostile {begun['number']} --devnet t"
    assert f"hostile peer {begun['number']}: silent" in run("devnet", "status").out
    assert run(*begun["undo"].split()[1:]).code == 0
    named = ("name-stale", "harbor", "--about", "lathe.river-city-tool-library", "--json")
    begun = run("devnet", "hostile", *named).json
    assert begun["about"] == "lathe.river-city-tool-library"
    assert run(*begun["undo"].split()[1:]).code == 0
    assert "hostile peer" not in run("devnet", "status").out


def check_refusals(run: Run) -> None:
    for arguments, why, hint in (
        (("kill", "nobody"), "no node of 'nobody'", HARBOR),
        (("kill", ""), "no node of ''", HARBOR),
        (("cut", "river", "river"), "is named twice", "name each node once"),
        (("stop-hostile", "77"), "no hostile peer 77", "opkit devnet status"),
        (("hostile", "name-stale", "harbor"), "name-stale is after a name", "--about NAME"),
        (("hostile", "silent", "harbor", "--about", "x.y"), "silent is after no name", "--about"),
        (("kill", "harbor", "--devnet", "none"), "no devnet called 'none'", "opkit devnet up"),
    ):
        refused = run("devnet", *arguments)
        assert refused.code == 1
        assert why in refused.err
        assert hint in refused.err
        assert refused.out == ""
