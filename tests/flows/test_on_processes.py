"""Flow A on real processes: by its notebook with a report, and again from the command line."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.launch import Launched, launch
from devnet.state import OPERATOR, load_identities, load_state_of
from flows import __main__ as command
from flows.a import flow
from opkit.proof import keystore
from opkit.proof.genesis import read_genesis
from opkit.runner.network import NetworkFacts
from opkit.runner.run import run_flows
from opkit.runner.secrets import secrets_in
from opkit.runner.verify import verify_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 250


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Launched]]:
    """Start devnets in a state folder of their own, and end them all."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(home))
    started: list[Launched] = []

    def begin(**more: Any) -> Launched:
        launched = launch(name="t", profile="three", seed=7, **more)
        started.append(launched)
        launched.wait_ready()
        return launched

    yield begin
    for launched in started:
        launched.down()
    shutil.rmtree(home)


class Running:
    """A running devnet as the runner sees it."""

    def __init__(self, launched: Launched) -> None:
        state = load_state_of(launched.folder)
        self.name = launched.name
        self.genesis = read_genesis(state.genesis.read_text().strip())
        self.operator = load_identities(state)[OPERATOR]

    async def facts(self) -> NetworkFacts:
        return NetworkFacts(nodes=(), clock_moved_ms=0)


def seeds_in(folder: Path) -> list[bytes]:
    """Return every private key of a devnet: the members', the operator's, the nodes'."""
    state = load_state_of(folder)
    seeds = {identity.seed for identity in load_identities(state).values()}
    for path in folder.rglob("keystore.json"):
        secret = path.with_suffix(".key").read_bytes()
        seeds |= set(keystore.unseal(path.read_bytes(), secret=secret).values())
    return sorted(seeds)


def test_the_notebook_tells_it_whole_and_the_report_verifies(start, tmp_path):
    launched = start()
    network = Running(launched)

    @asynccontextmanager
    async def open_network() -> AsyncIterator[Running]:
        yield network

    running = run_flows(
        flows=[flow],
        open_network=open_network,
        notebooks=ROOT / "notebooks",
        out=tmp_path / "out",
        run_id="run",
        seed=7,
        profile="three",
    )
    result = asyncio.run(asyncio.wait_for(running, DEADLINE_S))

    assert result.ok, result.run.flows[0].stopped
    verdict = verify_folder(tmp_path / "out", genesis=network.genesis)
    assert verdict.status == "verified", verdict.failures
    seeds = seeds_in(launched.folder)
    assert len(seeds) >= 3 + 15 + 1
    assert secrets_in(tmp_path / "out", seeds=seeds) == ()


def test_it_is_told_again_at_once_from_the_command_line(start, capsys):
    start()

    for _ in range(2):
        assert command.main(["a", "--devnet", "t"]) == 0
    assert capsys.readouterr().out.count("FLOW_OK a 14/14") == 2
