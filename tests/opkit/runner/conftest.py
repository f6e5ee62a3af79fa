"""A laboratory for the runner: real kernels, tiny notebooks, a flow that needs no network."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.runner.folder import write_folder
from opkit.runner.network import NetworkFacts, RunEvent, RunResult
from opkit.runner.run import run_flows
from opkit.story.record import FlowRecord, NodeRecord, RunRecord
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, ReceiptRecord
from opkit.wire.compute import (
    RECEIPT_TYP,
    TASK_TYP,
    Manifest,
    Outcome,
    Receipt,
    ReceiptBundle,
    TaskLimits,
)
from opkit.wire.network import EngineId

ENGINE = EngineId(name="wasmtime", version="50", settings="none")
DISTURBING = '''
disturbing = Flow(name="d", title="Cutting", story="", memory=dict, notebook="d.ipynb",
                  disturbs=frozenset({"links"}))

@disturbing.step("LINK_CUT")
async def cut(world, memory):
    """Somebody cuts a link."""
    return expect(True, cut=1)
'''
TINY = '''
"""A flow of three steps in a world of nothing, for the runner's own tests."""
import asyncio, json, os
from opkit.story import BlobProof, Flow, ReceiptProof, expect
from opkit.wire.compute import ReceiptBundle

class World:
    capabilities = frozenset()
    profile = "three"
    def __init__(self, run_id="", seed=7):
        self.run_id, self.seed = run_id, seed
    def disturbances(self):
        return ({"what": "a link was cut", "at_ms": 1},)
    async def close(self):
        pass

async def open_world(name, *, run_id, seed):
    return World(run_id, seed)

flow = Flow(name="t", title="Bread", story="A bakery bakes.", memory=dict, notebook="t.ipynb")

@flow.prepare
async def oven(world, memory):
    """The oven is hot."""

@flow.step("DOUGH_MADE")
async def dough(world, memory):
    """Ana makes the dough."""
    with open(os.environ["TINY_RECEIPT"]) as file:
        bundle = ReceiptBundle.model_validate_json(file.read())
    return expect(True, run=world.run_id, proofs=[BlobProof(b"flour"), ReceiptProof(bundle)])

@flow.step("THIEF_REFUSED", adversarial=True)
async def thief(world, memory):
    """Mallory wants a loaf and gets none."""
    return expect(True, loaves=0)

@flow.step("BREAD_BAKED")
async def bread(world, memory):
    """Ana bakes the bread."""
    assert not os.environ.get("TINY_BURNS"), "burnt"
    return expect(True, loaves=3)
'''
HEAD = "profile = ''\nseed = 0\ndevnet = ''\nrun_id = ''"
OPEN = """from opkit.story.notebook import tell
from tiny_flow import flow, open_world
story = await tell(flow, open_world(devnet, run_id=run_id, seed=seed))"""
STEPS = tuple(f"await story.step('{name}')" for name in ("DOUGH_MADE", "THIEF_REFUSED"))
LAST = "await story.step('BREAD_BAKED')"
CLOSE = "await story.close()"
WHOLE = (OPEN, *STEPS, LAST, CLOSE)


@dataclass
class TinyNetwork:
    """A network of a genesis and nothing else."""

    made: MadeWorld
    name: str = "tiny"

    @property
    def genesis(self) -> GenesisView:
        return self.made.view

    @property
    def operator(self) -> Identity:
        return self.made.operator

    async def facts(self) -> NetworkFacts:
        nodes = tuple(
            NodeRecord(org=org, title=org, did=identity.did, version="0", engine=ENGINE)
            for org, identity in self.made.nodes.items()
        )
        return NetworkFacts(nodes=nodes, clock_moved_ms=0)


@dataclass
class Lab:
    """Write notebooks, run them, look at what came out."""

    folder: Path
    module: ModuleType
    network: TinyNetwork
    events: list[RunEvent] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, *cells: str, name: str = "t.ipynb") -> None:
        """Write a notebook of these code cells, after a cell of parameters."""
        made = [_cell(HEAD, tags=["parameters"]), *map(_cell, cells)]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        said = {"cells": made, "metadata": {"kernelspec": spec}, "nbformat": 4}
        (self.folder / name).write_text(json.dumps({**said, "nbformat_minor": 5}))

    async def go(self, **more: Any) -> RunResult:
        """Run the tiny flow, or the flows that are asked for."""

        @asynccontextmanager
        async def open_network() -> AsyncIterator[TinyNetwork]:
            yield self.network

        asked: dict[str, Any] = {
            "flows": [self.module.flow],
            "open_network": open_network,
            "notebooks": self.folder,
            "out": self.out,
            "run_id": "run",
            "seed": 7,
            "profile": "three",
            "on_event": self.events.append,
            "preload": (),
        }
        return await run_flows(**{**asked, **more})

    def run(self, *cells: str, **more: Any) -> RunResult:
        """Write a notebook of these cells and run it."""
        self.write(*cells)
        return asyncio.run(asyncio.wait_for(self.go(**more), 120))


@pytest.fixture(scope="session")
def made_world() -> MadeWorld:
    """A network's keys and genesis."""
    return make_world("three", now_ms=time.time_ns() // 1_000_000)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_world: MadeWorld) -> Iterator[Lab]:
    """A folder with a flow that kernels can import."""
    (tmp_path / "tiny_flow.py").write_text(TINY + DISTURBING)
    receipt = tmp_path / "receipt.json"
    receipt.write_text(make_bundle(made_world).model_dump_json())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TINY_RECEIPT", str(receipt))
    spec = importlib.util.spec_from_file_location("tiny_flow", tmp_path / "tiny_flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield Lab(folder=tmp_path, module=module, network=TinyNetwork(made_world))
    sys.modules.pop("tiny_flow", None)


@pytest.fixture
def whole() -> tuple[str, ...]:
    """The cells of a notebook that tells the tiny flow whole."""
    return WHOLE


@pytest.fixture
def cells() -> Callable[..., tuple[str, ...]]:
    """Return the cells up to the last step, with others in place of what follows."""

    def until_last(*others: str) -> tuple[str, ...]:
        return (OPEN, *STEPS, *others)

    return until_last


def make_bundle(world: MadeWorld) -> ReceiptBundle:
    """Return a receipt that a node of the world signed for a member's manifest."""
    member_id, member = next(iter(world.members.items()))
    node = next(iter(world.nodes.values()))
    network, data = world.view.network, cid_of(b"data")
    manifest = jws.sign(
        Manifest(
            network=network,
            aud=node.did,
            task_id="0" * 32,
            member_id=member_id,
            wasm_hash=data,
            input_hash=data,
            limits=TaskLimits(),
            issued_at_ms=1_000,
            expires_at_ms=100_000,
        ),
        typ=TASK_TYP,
        identity=member,
    )
    receipt = Receipt(
        network=network,
        aud=member_id,
        executor=node.did,
        generation=1,
        sequence=1,
        previous=None,
        manifest_hash=jws.record_id(manifest),
        task_id="0" * 32,
        wasm_hash=data,
        input_hash=data,
        output_hash=data,
        outcome=Outcome.OK,
        reason="",
        limits=TaskLimits(),
        fuel_used=10,
        time_used_us=10,
        memory_peak_bytes=65_536,
        output_bytes=4,
        engine=ENGINE,
        started_at_ms=1_001,
        ended_at_ms=1_002,
        world_offset_ms=0,
    )
    signed = jws.sign(receipt, typ=RECEIPT_TYP, identity=node)
    return ReceiptBundle(receipt=signed, manifest=manifest)


def _cell(source: str, *, tags: list[str] | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"c{abs(hash(source)) % 10**8}",
        "metadata": {"tags": tags or []},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


@pytest.fixture
def make_receipt() -> Callable[[MadeWorld], ReceiptBundle]:
    """Return what makes a receipt that verifies in a world."""
    return make_bundle


def run_of(world: MadeWorld, bundle: ReceiptBundle, **changes: Any) -> RunRecord:
    """Return a run of one marker in a world, resting on a receipt and on five bytes of flour."""
    flour = cid_of(b"flour")
    marker = MarkerRecord(
        name="DOUGH_MADE",
        ok=True,
        kind="shown",
        sentence="Ana makes the dough.",
        evidence={"loaves": 3},
        checks=(CheckRecord(name="loaves", ok=True, expected="3", actual="3"),),
        proofs=(BlobRecord(cid=flour, path=f"blobs/{flour}"), ReceiptRecord(bundle=bundle)),
        at_ms=1,
        took_ms=2,
    )
    flow = FlowRecord(
        name="t", title="Bread", story="", ok=True, planned=("DOUGH_MADE",), markers=(marker,)
    )
    org, node = next(iter(world.nodes.items()))
    run = RunRecord(
        run_id="run",
        seed=7,
        profile="three",
        network=world.view.network,
        operator=world.operator.did,
        ok=True,
        interrupted=False,
        clock_moved_ms=0,
        created_ms=1,
        took_ms=2,
        versions={"opkit": "0"},
        nodes=(NodeRecord(org=org, title=org, did=node.did, version="0", engine=ENGINE),),
        flows=(flow,),
    )
    return run.model_copy(update=changes)


@pytest.fixture
def make_run() -> Callable[..., RunRecord]:
    """Return what makes the record of a small run: `(world, bundle, **changes)`."""
    return run_of


@pytest.fixture
def write() -> Callable[..., Path]:
    """Return what writes such a run as a signed folder: `(path, world, bundle, **changes)`."""

    def written(path: Path, world: MadeWorld, bundle: ReceiptBundle, **changes: Any) -> Path:
        run = run_of(world, bundle, **changes)
        blobs = {cid_of(b"flour"): b"flour"}
        write_folder(path, run, blobs=blobs, genesis=world.view, operator=world.operator)
        return path

    return written
