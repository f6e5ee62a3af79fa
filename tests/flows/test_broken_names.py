"""On real processes, too, a marker of flow B is lost when its rule is broken, and only then.

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
from flows.b import flow
from flows.b_acts import ALL
from opkit.story import Report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("unmeasured_processes"),
]

LOST = ("FORGED_IGNORED", "FOREIGN_WITHDRAWAL_REFUSED", "NAME_WITHDRAWN")
"""What a peer sends over a connection, what a member asks for, and what a node forgets by itself:
the others are lost in one process (`test_flow_b`)."""

DEADLINE_S = 180


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


def tell(run_id: str) -> Report:
    """Start every node again, and tell the flow."""

    async def go() -> Report:
        world = await open_world("t", run_id=run_id, seed=7)
        try:
            for org in ALL:
                await world.restart(org)
            return await flow.tell(world).run()
        finally:
            await world.close()

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_nodes_that_break_a_rule_about_names_lose_exactly_its_marker(
    told_to_break: Path, sabotage: ModuleType
) -> None:
    assert sabotage.SABOTAGE, "its folder is on the path"
    broken = importlib.import_module("sabotage_b").SABOTAGE_B
    for lost in LOST:
        told_to_break.write_text(lost)
        report = tell(f"without {lost}")
        assert report.stopped is not None, lost
        assert report.stopped.at == lost, report.stopped
        assert re.search(broken[lost][1], report.stopped.why), report.stopped.why
        assert report.shown == flow.markers[: flow.markers.index(lost)]

    told_to_break.write_text("")
    report = tell("with every rule")
    assert report.ok, report.stopped
    assert report.shown == flow.markers
