"""What a look over a devnet finds, and that each finding can be lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet import checkup
from devnet.checkup import Finding, available_bytes, look_over, same_builds
from devnet.genesis import make_world
from devnet.spec import DevnetSpec
from devnet.state import DevnetState, NodeState, write_world
from opkit import home
from opkit.wire.network import EngineId, NodeInfo

NOW_MS = 1_767_225_600_000
DAY_MS = 86_400_000

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def state() -> DevnetState:
    """Write the folder of a devnet of three."""
    folder = home.devnet_folder("t")
    return write_world(
        folder,
        spec=DevnetSpec(name="t", profile="three"),
        made=make_world("three", now_ms=NOW_MS),
        socket=folder / "control.sock",
    )


def status_of(state: DevnetState) -> dict[str, Any]:
    """Return the status of a devnet that is well."""
    orgs = [node.org for node in state.nodes]
    return {
        "state": "ready",
        "nodes": [
            {
                "org": org,
                "state": "ready",
                "answers": True,
                "connected": [other for other in orgs if other != org],
            }
            for org in orgs
        ],
        "links": [{"a": orgs[0], "b": orgs[1], "cut": False}],
        "hostile": [],
        "stage": None,
        "world_offset_ms": 0,
    }


def info_of(node: NodeState, **changed: Any) -> NodeInfo:
    """Return what a node says of itself."""
    said = NodeInfo(
        did=node.did,
        org=node.org,
        network="n" * 26,
        version="1.0",
        engine=EngineId(name="wasmtime", version="1", settings="x"),
        generation=1,
        started_ms=NOW_MS,
        now_ms=NOW_MS,
        world_ms=NOW_MS,
    )
    return said.model_copy(update=changed)


@pytest.fixture
def look(state: DevnetState, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """Return the findings about a devnet that is well but for what is changed."""

    def find(
        change: Change | None = None, *, infos: list[NodeInfo] | None = None
    ) -> dict[str, Finding]:
        import asyncio

        status = status_of(state)
        if change is not None:
            change(status)
        said = infos if infos is not None else [info_of(node) for node in state.nodes]

        async def ask(_: Path, do: str) -> dict[str, Any]:
            assert do == "status"
            return status

        async def facts(_: DevnetState) -> tuple[list[tuple[NodeState, NodeInfo]], int]:
            return list(zip(state.nodes, said, strict=False)), 0

        monkeypatch.setattr(checkup, "ask_supervisor", ask)
        monkeypatch.setattr(checkup, "network_facts", facts)
        monkeypatch.setattr(checkup, "_now_ms", lambda: NOW_MS)
        return {finding.name: finding for finding in asyncio.run(look_over(state))}

    return find


def test_a_network_that_is_well_has_nothing_against_it(
    look: Callable[..., dict[str, Finding]],
) -> None:
    found = look()
    assert len(found) == 8
    assert [finding.name for finding in found.values() if not finding.ok] == []


@pytest.mark.parametrize(
    ("change", "lost", "seen"),
    [
        (
            lambda said: said["nodes"][0].update(state="crashed"),
            "every node is ready and answers",
            "crashed",
        ),
        (
            lambda said: said["nodes"][1].update(answers=False),
            "every node is ready and answers",
            "no answer",
        ),
        (
            lambda said: said.update(state="starting"),
            "every node is ready and answers",
            "the network: starting",
        ),
        (
            lambda said: said["nodes"][0].update(connected=["did:key:stranger"]),
            "all nodes are linked and no link is cut",
            "0 of 2 peers",
        ),
        (
            lambda said: said["links"][0].update(cut=True),
            "all nodes are linked and no link is cut",
            "cut",
        ),
        (
            lambda said: said["hostile"].append({"number": 3, "kind": "silent"}),
            "nobody hostile is connected",
            "peer 3: silent",
        ),
        (
            lambda said: said.update(stage={"flow": "a", "mode": "waiting"}),
            "the stage is free",
            "flow a: waiting",
        ),
        (lambda said: said.update(world_offset_ms=DAY_MS), "clocks agree", "0 ms ahead"),
    ],
)
def test_what_is_not_well_is_found_and_nothing_else(
    look: Callable[..., dict[str, Finding]], change: Change, lost: str, seen: str
) -> None:
    found = look(change)
    (bad,) = [finding for finding in found.values() if not finding.ok]
    assert bad.name == lost
    assert seen in bad.seen
    assert bad.hint


@pytest.mark.parametrize("mode", ["ended", "stopped"])
def test_a_stage_whose_story_is_over_is_free(
    look: Callable[..., dict[str, Finding]], mode: str
) -> None:
    found = look(lambda said: said.update(stage={"flow": "a", "mode": mode}))
    assert found["the stage is free"].ok


@pytest.mark.parametrize("wrong_ms", [-1_001, 1_001])
def test_a_clock_that_goes_wrong_is_named(
    look: Callable[..., dict[str, Finding]], state: DevnetState, wrong_ms: int
) -> None:
    right, wrong, other = state.nodes
    shifted = {"now_ms": NOW_MS + wrong_ms, "world_ms": NOW_MS + wrong_ms}
    found = look(infos=[info_of(right), info_of(wrong, **shifted), info_of(other)])
    assert found["clocks agree"].seen == f"{wrong.org}: {wrong_ms:+d} ms"
    assert not found["clocks agree"].ok


def test_where_no_node_answers_nothing_is_said_to_agree(
    look: Callable[..., dict[str, Finding]],
) -> None:
    found = look(infos=[])
    assert not found["clocks agree"].ok
    assert not found["one version and one engine everywhere"].ok


def test_builds_are_compared_by_version_and_engine(state: DevnetState) -> None:
    one, other, third = state.nodes
    engine = EngineId(name="wasmtime", version="2", settings="x")
    assert same_builds([(one, info_of(one)), (other, info_of(other))]).ok
    for changed in ({"version": "2.0"}, {"engine": engine}):
        mixed = same_builds([(one, info_of(one)), (third, info_of(third, **changed))], name="n")
        assert (mixed.name, mixed.ok) == ("n", False)
        assert " / " in mixed.seen


def test_without_room_nothing_is_well(
    look: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "DISK_BYTES_MIN", 1 << 60)
    monkeypatch.setattr(checkup, "MEMORY_BYTES_MIN", 1 << 60)
    ill = [name for name, finding in look().items() if not finding.ok]
    assert ill == ["there is room on disk", "there is room in memory"]


def test_memory_is_what_the_kernel_says_programs_can_get() -> None:
    assert available_bytes("MemTotal: 9 kB\nMemAvailable:     2048 kB\n") == 2_097_152
    assert available_bytes("MemTotal: 9 kB\n") == 0
