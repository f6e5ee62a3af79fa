"""Runs to look at: one told whole, one that stopped, one that was interrupted."""

from __future__ import annotations

import pytest

from opkit.proof.cid import cid_of
from opkit.story.record import CellFailure, FlowRecord, NodeRecord, RunRecord
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, SetupRecord, Stop
from opkit.wire.network import EngineId

DID = "did:key:z6Mk" + "a" * 44
FLOUR = cid_of(b"flour")


def _marker(name: str, kind: str, *, ok: bool = True) -> MarkerRecord:
    return MarkerRecord(
        name=name,
        ok=ok,
        kind=kind,
        sentence=f"<b>{name.lower()}</b> is told.",
        evidence={"wasm_hash": FLOUR, "count": 1234567, "none": None, "list": [1, True], "d": {}},
        checks=(CheckRecord(name="peer", ok=ok, expected=DID, actual=DID if ok else "nobody"),),
        proofs=(BlobRecord(cid=FLOUR, path=f"blobs/{FLOUR}"),),
        at_ms=1,
        took_ms=12_345,
        problem="" if ok else "peer: expected another",
    )


@pytest.fixture
def run() -> RunRecord:
    """A run of one flow of three markers, told whole."""
    flow = FlowRecord(
        name="t",
        title="Bread",
        story="A bakery <bakes>.",
        ok=True,
        planned=("DOUGH_MADE", "THIEF_REFUSED", "BREAD_BAKED"),
        setup=(SetupRecord(sentence="The oven is hot.", ok=True, at_ms=1, took_ms=2),),
        markers=(
            _marker("DOUGH_MADE", "shown"),
            _marker("THIEF_REFUSED", "refused"),
            _marker("BREAD_BAKED", "shown"),
        ),
        disturbances=({"what": "a link was cut", "at_ms": 1},),
        notebook="notebooks/t.ipynb",
        took_ms=1,
    )
    engine = EngineId(name="wasmtime", version="50", settings="none")
    return RunRecord(
        run_id="run",
        seed=7,
        profile="three",
        network="a" * 26,
        operator=DID,
        ok=True,
        interrupted=False,
        clock_moved_ms=0,
        created_ms=1_763_726_400_000,
        took_ms=2_345,
        versions={"opkit": "0"},
        nodes=(NodeRecord(org="bakery", title="Bakery", did=DID, version="0", engine=engine),),
        flows=(flow,),
    )


@pytest.fixture
def stopped(run: RunRecord) -> RunRecord:
    """The same run, stopped at its second marker by a cell that failed."""
    flow = run.flows[0]
    failure = CellFailure(
        cell=4, cells=9, source="await <x>", error="NotShown: no", output="hot\n", traceback="tb"
    )
    changed = flow.model_copy(
        update={
            "ok": False,
            "markers": (flow.markers[0], _marker("THIEF_REFUSED", "refused", ok=False)),
            "stopped": Stop(at="THIEF_REFUSED", why="peer: expected another"),
            "failure": failure,
        }
    )
    return run.model_copy(update={"ok": False, "flows": (changed,)})
