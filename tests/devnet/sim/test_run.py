"""Whole runs: equal for equal seeds, and every rule is one that can be seen to break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from devnet.sim.report import fitted, report_page
from devnet.sim.spec import Partition, Spec
from devnet.sim.varied import varied


def figures(result):
    said = result.as_json()
    del said["machine"]
    return said


def test_a_small_network_in_good_weather_holds(run_of, small) -> None:
    shares = []
    result = run_of(small, progress=shares.append)
    assert result.ok, result.as_json()
    assert result.found == 100 and result.covered == 100
    assert shares == sorted(shares) and shares[-1] == 1
    assert result.messages > 500 and len(result.lookups) > 80
    assert 90 < result.hit_rate < 100
    assert result.kept_max["shelf: records"] > 5


def test_a_sabotage_is_noticed_and_says_which_rule_where_and_when(sabotage, run_of) -> None:
    node_of, spec, said = sabotage
    result = run_of(spec, node_of=node_of)
    assert not result.ok
    broken = result.violation
    if broken is None:
        assert any(said in each for each in result.missing)
    else:
        assert broken.rule == said, broken
        assert broken.seed == spec.seed and broken.step > 0 and broken.at_ms > 0
        assert run_of(spec, node_of=node_of).violation.as_json() == broken.as_json()


@pytest.mark.slow
def test_the_same_runs_without_sabotage_hold(sabotage, run_of) -> None:
    _, spec, _ = sabotage
    result = run_of(spec)
    assert result.ok, result.as_json()


@pytest.mark.slow
def test_everything_at_once_is_survived(run_of, small) -> None:
    spec = replace(
        small,
        nodes=10,
        seed=3,
        loss=0.1,
        reorder=0.1,
        duplicate=0.1,
        churn=0.3,
        partition=Partition(share=0.4, from_s=1, until_s=3),
        liars=(("flood", 0.1), ("wrong", 0.1)),
        skew_ms=5_000,
    )
    result = run_of(spec)
    assert result.ok, result.as_json()
    assert result.counts["messages lost"] > 10


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("seed", range(6))
def test_what_a_node_remembers_to_be_due_is_what_it_would_reckon_anew(
    seed, run_of, doubting
) -> None:
    result = run_of(varied(seed), node_of=doubting)
    assert result.ok, result.as_json()


PROGRAM = """\
import json, sys
from devnet.sim.run import run
from devnet.sim.varied import varied
said = run(varied(int(sys.argv[1]))).as_json()
del said["machine"]
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize("seed", [2, 3])
def test_one_seed_is_one_run_in_whatever_process_it_runs(seed) -> None:
    """Sets of text are iterated in another order by each process that does not say which."""
    told = []
    for hashes in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hashes}
        command = [sys.executable, "-c", PROGRAM, str(seed)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        told.append(done.stdout)
    assert told[0] == told[1]
    assert json.loads(told[0])["messages"] > 100


def test_equal_specs_are_equal_runs_and_another_seed_is_another(run_of, small) -> None:
    short = replace(small, seconds=2, settle_s=2, loss=0.1, churn=0.3)
    first, second = run_of(short), run_of(short)
    assert figures(first) == figures(second)
    assert run_of(replace(short, seed=8)).trace != first.trace


def test_a_page_shows_hops_coverage_and_lookups(run_of, small) -> None:
    short = replace(small, seconds=2, settle_s=8)
    html = report_page(run_of(replace(short, loss=0.05)), [run_of(replace(short, nodes=12))])
    assert html.count('<section class="card">') == 3
    assert "6 nodes in 5 % loss" in html


def test_a_line_is_fitted_by_least_squares() -> None:
    assert fitted([(0, 1), (1, 3), (2, 5)]) == (2, 1)
    assert fitted([(3, 1), (3, 3)]) == (0, 2)


SEEDS = int(os.environ.get("OPKIT_SIM_SEEDS", "200"))
"""How many seeds are run; `make soak` runs more."""

NODES = int(os.environ.get("OPKIT_SIM_NODES", "60"))
"""How many nodes the large network has; `make soak` has one of 500."""

SHARES = 8


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("share", range(SHARES))
def test_many_seeds_hold_each_in_weather_of_its_own(share, run_of) -> None:
    failed = []
    for seed in range(share, SEEDS, SHARES):
        result = run_of(varied(seed))
        if not result.ok:
            failed.append((seed, result.violation, result.missing, result.spec.command()))
    assert not failed, "\n".join(map(str, failed))


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.timeout(3_600)
def test_a_large_network_in_bad_weather_holds(run_of) -> None:
    spec = Spec(nodes=NODES, seconds=10, settle_s=15, loss=0.1, churn=0.2, lookups_per_s=40.0)
    result = run_of(spec)
    assert result.ok, result.as_json()
    assert result.found >= 99.5 and result.covered == 100


FROZEN = """
from devnet.sim.run import run
from devnet.sim.spec import Spec
print(gc.get_freeze_count() > 0)
during = []
spec = Spec(nodes=4, seconds=1, settle_s=1)
run(spec, progress=lambda _: during.append(gc.get_freeze_count() > 0))
print(bool(during) and all(during), gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.usefixtures("unmeasured_processes")
def test_what_garbage_is_not_looked_for_among_is_as_before_a_run(before: bool) -> None:
    """A process that passes over all that it holds goes on doing so."""
    said = subprocess.run(
        [sys.executable, "-c", "import gc\n" + "gc.freeze()\n" * before + FROZEN],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert said.stdout.split() == [str(before), "True", str(before)], said.stderr
