"""Flows 3 and 4 on real processes: by their notebooks in one run, again, and with rules broken."""

from __future__ import annotations

import asyncio
import importlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devnet.attach import open_world
from devnet.launch import Launched, launch
from devnet.state import OPERATOR, load_identities, load_state_of
from flows import FLOWS
from opkit.proof import keystore
from opkit.proof.genesis import read_genesis
from opkit.runner.network import NetworkFacts, RunEvent, RunResult
from opkit.runner.run import run_flows
from opkit.runner.secrets import secrets_in
from opkit.runner.verify import verify_folder
from opkit.story import Report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.usefixtures("unmeasured_processes"),
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 500
LOST = {"3": "PERIOD_SETTLED", "4": "AUDITOR_WRITE_REFUSED"}
"""One of each, at its end; the others are lost in one process (`test_flow_three`, `_four`)."""

HOMES = {
    "3": ("river-city-tool-library", "brightworks-cooperative"),
    "4": ("river-city-tool-library",),
}
"""Whose nodes break the rule. Flow 3 starts Finger Lakes' again by itself."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Launched]]:
    """Start networks of all five organisations in a state folder of their own, and end them."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(home))
    started: list[Launched] = []

    def begin(**more: Any) -> Launched:
        launched = launch(name="t", profile="federation", seed=7, **more)
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
        seed=11,
        profile="federation",
        parallel=3,
        on_event=on_event,
    )
    return asyncio.run(asyncio.wait_for(running, DEADLINE_S)), seen


def test_one_run_tells_both_by_their_notebooks_and_again_and_its_report_verifies(
    start: Callable[..., Launched], tmp_path: Path
) -> None:
    launched = start()
    network = Running(launched)

    for out, names in ((tmp_path / "one", ("4", "3")), (tmp_path / "two", ("3", "4", "a"))):
        result, seen = run(network, out, *names)

        assert result.ok, [flow.stopped for flow in result.run.flows]
        for told in result.run.flows:
            assert told.shown == FLOWS[told.name].markers
        for name in ("3", "4"):
            begun = seen.index(f"begin {name}")
            assert seen[begun + 1] == f"end {name}", "nobody else tells meanwhile"
        verdict = verify_folder(out, genesis=network.genesis)
        assert verdict.status == "verified", verdict.failures
        assert verify_folder(out, genesis=None).status == "consistent, signer unknown"
        assert secrets_in(out, seeds=seeds_in(launched.folder)) == ()
    check_what_it_holds(tmp_path / "one", network)


def check_what_it_holds(out: Path, network: Running) -> None:
    """Agreement, exchanges and audit are proofs; the report for funders lies beside, and counts."""
    said = [check.name for check in verify_folder(out, genesis=network.genesis).checks]
    for proof in ("agreement, ", "exchange, ", "audit, harbor-homes-cooperative, "):
        assert any(proof in each for each in said), proof
    beside = {path.suffix: path for path in (out / "audit").iterdir()}
    assert set(beside) == {".html", ".csv", ".json"}
    for suffix, path in beside.items():
        before = path.read_bytes()
        path.write_bytes(before.replace(b"250", b"251", 1))
        bad = verify_folder(out, genesis=network.genesis)
        assert bad.status == "failed", suffix
        follows = [each.name for each in bad.failures if "follows from" in each.name]
        assert bool(follows) == (suffix != ".html"), "a page is held to its signature alone"
        path.write_bytes(before)
    assert verify_folder(out, genesis=network.genesis).ok


def tell(name: str, *, run_id: str) -> Report:
    """Start the nodes again whose rule it is, and tell the flow."""

    async def go() -> Report:
        world = await open_world("t", run_id=run_id, seed=7)
        try:
            for org in HOMES[name]:
                await world.restart(org)
            return await FLOWS[name].tell(world).run()
        finally:
            await world.close()

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_nodes_that_break_a_rule_lose_exactly_its_marker(
    start: Callable[..., Launched],
    monkeypatch: pytest.MonkeyPatch,
    sabotage: ModuleType,
    tmp_path: Path,
) -> None:
    assert sabotage.SABOTAGE, "its folder is on the path"
    broken = {
        **importlib.import_module("sabotage_federation").SABOTAGE_FEDERATION,
        **importlib.import_module("sabotage_audit").SABOTAGE_AUDIT,
    }
    to_break = tmp_path / "lost"
    to_break.touch()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("SABOTAGE", str(to_break))
    start(node_module="sabotaged_node")
    for name, lost in LOST.items():
        to_break.write_text(f"{name}:{lost}")
        report = tell(name, run_id=f"{name} without {lost}")
        assert report.stopped is not None, lost
        assert report.stopped.at == lost, report.stopped
        assert re.search(broken[name][lost][1], report.stopped.why), report.stopped.why
        assert report.shown == FLOWS[name].markers[: FLOWS[name].markers.index(lost)]

    to_break.write_text("")
    for name in LOST:
        report = tell(name, run_id=f"{name} with every rule")
        assert report.ok, report.stopped
