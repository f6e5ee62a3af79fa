"""Two flows in one run on real processes: each whole, one report, the disturbing one after."""

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
from opkit.runner.network import NetworkFacts, RunEvent
from opkit.runner.run import run_flows
from opkit.runner.secrets import secrets_in
from opkit.runner.verify import verify_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("unmeasured_processes"),
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 150


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


def test_one_run_tells_all_flows_and_its_report_verifies(
    launched: Launched, tmp_path: Path
) -> None:
    network, began, ended = Running(launched), list[str](), list[str]()

    @asynccontextmanager
    async def open_network() -> AsyncIterator[Running]:
        yield network

    def on_event(event: RunEvent) -> None:
        if event.kind == "flow":
            began.append(event.flow)
        elif event.kind == "end":
            ended.append(event.flow)
            assert event.flow == "b" or began == ["a"], "flow B waits until nobody else tells"

    running = run_flows(
        flows=list(reversed(FLOWS.values())),
        open_network=open_network,
        notebooks=ROOT / "notebooks",
        out=tmp_path / "out",
        run_id="run",
        seed=7,
        profile="three",
        on_event=on_event,
    )
    result = asyncio.run(asyncio.wait_for(running, DEADLINE_S))

    assert result.ok, [flow.stopped for flow in result.run.flows]
    assert ended == ["a", "b"]
    assert [flow.name for flow in result.run.flows] == ["b", "a"], "as they were asked for"
    for told in result.run.flows:
        assert told.shown == FLOWS[told.name].markers
    verdict = verify_folder(tmp_path / "out", genesis=network.genesis)
    assert verdict.status == "verified", verdict.failures
    names = [check.name for check in verdict.checks if "countersigned by" in check.name]
    assert len(names) >= 4, "names are proofs of their own"
    assert secrets_in(tmp_path / "out", seeds=seeds_in(launched.folder)) == ()


def test_all_flows_are_told_again_at_once_from_the_command_line(
    launched: Launched, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert command.main(["--devnet", "t"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FLOW_OK")]
    assert [line.split(",")[0] for line in told] == ["FLOW_OK a 14/14", "FLOW_OK b 13/13"] * 2
