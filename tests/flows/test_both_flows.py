"""Several flows in one run on real processes: each whole, one report, disturbing ones after."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.launch import Launched, launch
from devnet.state import OPERATOR, load_identities, load_state_of
from flows import FLOWS
from flows import __main__ as command
from opkit.proof import keystore
from opkit.proof.genesis import read_genesis
from opkit.runner.network import NetworkFacts, RunEvent, RunResult
from opkit.runner.run import run_flows
from opkit.runner.secrets import secrets_in
from opkit.runner.verify import verify_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("unmeasured_processes"),
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 400


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launched]:
    """Hold a devnet of three nodes in a state folder of its own."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(home))
    started = launch(name="t", profile="three", seed=7)
    try:
        started.wait_ready()
        yield started
    finally:
        started.down()
        shutil.rmtree(home)


class Running:
    """A running devnet as the runner sees it."""

    def __init__(self, launched: Launched) -> None:
        state = load_state_of(launched.folder)
        self.name = launched.name
        self.genesis = read_genesis(state.genesis.read_text().strip())
        self.operator = load_identities(state)[OPERATOR]

    async def facts(self) -> NetworkFacts:
        """Say nothing of the nodes."""
        return NetworkFacts(nodes=(), clock_moved_ms=0)


def seeds_in(folder: Path) -> list[bytes]:
    """Return every private key of a devnet: the members', the operator's, the nodes'."""
    seeds = {identity.seed for identity in load_identities(load_state_of(folder)).values()}
    for path in folder.rglob("keystore.json"):
        secret = path.with_suffix(".key").read_bytes()
        seeds |= set(keystore.unseal(path.read_bytes(), secret=secret).values())
    return sorted(seeds)


def run(network: Running, out: Path, *names: str) -> tuple[RunResult, list[str]]:
    """Tell flows in one run, three at once; return the result, and what began and ended in turn."""
    seen = list[str]()

    @asynccontextmanager
    async def open_network() -> AsyncIterator[Running]:
        yield network

    def on_event(event: RunEvent) -> None:
        if event.kind in ("flow", "end"):
            seen.append(f"{'begin' if event.kind == 'flow' else 'end'} {event.flow}")

    running = run_flows(
        flows=[FLOWS[name] for name in names],
        open_network=open_network,
        notebooks=ROOT / "notebooks",
        out=out,
        run_id=out.name,
        seed=7,
        profile="three",
        parallel=3,
        on_event=on_event,
    )
    return asyncio.run(asyncio.wait_for(running, DEADLINE_S)), seen


def test_one_run_tells_all_flows_and_its_report_verifies(
    launched: Launched, tmp_path: Path
) -> None:
    network, names = (
        Running(launched),
        [name for name in reversed(FLOWS) if "three" in FLOWS[name].profiles],
    )

    result, seen = run(network, tmp_path / "out", *names)

    assert result.ok, [flow.stopped for flow in result.run.flows]
    assert seen[:2] == ["begin a", "end a"], "the others wait until nobody else tells"
    assert [flow.name for flow in result.run.flows] == names, "as they were asked for"
    for told in result.run.flows:
        assert told.shown == FLOWS[told.name].markers
    verdict = verify_folder(tmp_path / "out", genesis=network.genesis)
    assert verdict.status == "verified", verdict.failures
    said = [check.name for check in verdict.checks]
    assert sum("countersigned by" in each for each in said) >= 4, "names are proofs of their own"
    for proof in ("decision, tally-recounted", "omission, missing-in-tally", "entry, home"):
        assert any(proof in each for each in said), proof
    assert secrets_in(tmp_path / "out", seeds=seeds_in(launched.folder)) == ()


def test_who_moves_time_does_so_alone_and_who_tells_beside_others_is_told_whole(
    launched: Launched, tmp_path: Path
) -> None:
    """Flows A, B and 1 in one run, three at once, and again: nobody's names or votes lapse."""
    network = Running(launched)
    for place in range(2):
        result, seen = run(network, tmp_path / f"out-{place}", "1", "b", "a")

        assert result.ok, [flow.stopped for flow in result.run.flows]
        for name in ("b", "1"):
            begun = seen.index(f"begin {name}")
            assert seen[begun + 1] == f"end {name}", "nobody else tells meanwhile"


def test_all_flows_are_told_again_at_once_from_the_command_line(
    launched: Launched, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"a": 14, "b": 13, "1": 12, "2": 10, "c": 7}
    assert list(counts) == [name for name in FLOWS if "three" in FLOWS[name].profiles]
    for _ in range(3):
        assert command.main([*counts, "--devnet", "t"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FLOW_OK")]
    assert [line.split(",")[0] for line in told] == [
        f"FLOW_OK {name} {count}/{count}" for name, count in counts.items()
    ] * 3
