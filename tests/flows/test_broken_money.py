"""On real processes, too, markers of flows 1, 2 and C are lost when their rule is broken.

One network for all: its nodes end and start again before each telling, now without this rule, now
without that one, and at last with all of them.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from devnet.attach import open_world
from devnet.launch import launch
from flows import FLOWS
from opkit.story import Report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("unmeasured_processes"),
]

LOST = {"1": "SPEND_EXECUTED", "2": "DOUBLE_SETTLE_REFUSED", "c": "USED_NONCE_REFUSED"}
"""One of each: what a decision pays, who is paid twice, and which number is taken again. The
others are lost in one process (`test_money_flows`)."""

HOMES = {
    "1": "harbor-homes-cooperative",
    "2": "brightworks-cooperative",
    "c": "harbor-homes-cooperative",
}
DEADLINE_S = 120


@pytest.fixture
def told_to_break(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A network whose nodes look into the returned file, when they start, for what to break."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    lost = home / "lost"
    lost.touch()
    monkeypatch.setenv("OPKIT_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("SABOTAGE", str(lost))
    launched = launch(name="t", profile="three", seed=7, node_module="sabotaged_node")
    try:
        launched.wait_ready()
        yield lost
    finally:
        launched.down()
        shutil.rmtree(home)


def tell(name: str, *, run_id: str) -> Report:
    """Start the node of the flow's coop again, and tell the flow."""

    async def go() -> Report:
        world = await open_world("t", run_id=run_id, seed=7)
        try:
            await world.restart(HOMES[name])
            return await FLOWS[name].tell(world).run()
        finally:
            await world.close()

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_nodes_that_break_a_rule_about_money_lose_exactly_its_marker(
    told_to_break: Path, sabotage: ModuleType
) -> None:
    assert sabotage.SABOTAGE, "its folder is on the path"
    broken = importlib.import_module("sabotage_money").SABOTAGE_MONEY
    for name, lost in LOST.items():
        told_to_break.write_text(f"{name}:{lost}")
        report = tell(name, run_id=f"{name} without {lost}")
        assert report.stopped is not None, lost
        assert report.stopped.at == lost, report.stopped
        assert re.search(broken[name][lost][1], report.stopped.why), report.stopped.why
        markers = FLOWS[name].markers
        assert report.shown == markers[: markers.index(lost)]

    told_to_break.write_text("")
    for name in LOST:
        report = tell(name, run_id=f"{name} with every rule")
        assert report.ok, report.stopped
