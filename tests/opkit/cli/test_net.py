"""`opkit net sim`: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from functools import partial

import pytest

from devnet.sim import run as running
from devnet.sim.simulation import honest_node
from nodeimpl.overlay.node import OverlayNode

SHORT = ("net", "sim", "--nodes", "5", "--seconds", "2", "--settle", "8")


class Failing(OverlayNode):
    """Fails as soon as it keeps something."""

    def tick(self, now_ms):
        super().tick(now_ms)
        assert not self.shelf.held()["records"], "it keeps something"


def failing(parts):
    return Failing(
        contact=parts.contact,
        verifier=parts.verifier,
        outbox=parts.outbox,
        chance=parts.chance,
        limits=honest_node(parts).limits,
    )


@pytest.fixture
def sabotaged(monkeypatch):
    monkeypatch.setattr(running, "run", partial(running.run, node_of=failing))


def test_one_run_is_shown_as_a_table(run) -> None:
    said = run(*SHORT)
    assert said.code == 0, said.err
    for word in ("messages", "lookups", "gossip", "repairs", "signatures", "all rules held"):
        assert word in said.out


def test_one_run_is_printed_as_json_with_how_to_see_it_again(run) -> None:
    said = run(*SHORT, "--loss", "0.05", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["ok"] is True and told["spec"]["loss"] == 0.05
    assert told["again"].startswith("opkit net sim --nodes 5 --seed 7 --seconds 2 --settle 8")
    again = run(*told["again"].split()[1:], "--json")
    assert json.loads(again.out)["trace"] == told["trace"]


def test_a_seed_that_fails_is_told_with_rule_and_step_and_ends_with_1(run, sabotaged) -> None:
    said = run(*SHORT, "--seed", "11")
    assert said.code == 1
    assert "seed 11 failed" in said.out
    assert "no machine raises: node" in said.out and "it keeps something" in said.out
    assert "see it again: opkit net sim --nodes 5 --seed 11" in said.out


def test_many_seeds_are_counted_and_those_that_fail_are_told(run, sabotaged) -> None:
    said = run(*SHORT, "--seeds", "3")
    assert said.code == 1
    assert [f"seed {seed} failed" in said.out for seed in (7, 8, 9)] == [True] * 3
    assert "0 of 3 seeds held" in said.out


def test_many_seeds_that_hold_end_with_0(run) -> None:
    said = run(*SHORT, "--seeds", "2", "--json")
    assert said.code == 0
    assert [each["spec"]["seed"] for each in json.loads(said.out)] == [7, 8]


def test_a_page_with_figures_is_written(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("opkit.cli.net.PLOTTED", (4, 8))
    path = tmp_path / "out.html"
    said = run(*SHORT, "--plot", str(path))
    assert said.code == 0, said.err
    assert str(path) in said.out
    assert "How do hops grow with the network?" in path.read_text("utf-8")


def test_a_page_compares_the_sizes_that_are_named(run, tmp_path) -> None:
    path = tmp_path / "out.html"
    said = run(*SHORT, "--plot", str(path), "--sizes", "4,9")
    assert said.code == 0, said.err
    assert path.read_text(encoding="utf-8").count('class="dot') == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--nodes", "1"), "nodes is 1; it may be 2 to 5000"),
        (("--loss", "2"), "loss is 2"),
        (("--latency", "fast"), "'fast' is no latency"),
        (("--partition", "0.5"), "'0.5' is no partition"),
        (("--liars", "bad:0.1"), "'bad:0.1' is no kind of liars"),
        (("--sizes", "10-20"), "'10-20' are no sizes of networks"),
        (("--plot", "/nowhere/at/all.html"), "there is no folder /nowhere/at"),
    ],
)
def test_what_is_no_run_is_a_mistake_of_the_command_line(run, options, told) -> None:
    said = run("net", "sim", *options)
    assert said.code == 2
    assert told in said.err
