"""Runs and networks to look at: told whole and stopped, sound and broken, small and large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from opkit.proof.cid import cid_of
from opkit.story.record import CellFailure, FlowRecord, NodeRecord, RunRecord
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, SetupRecord, Stop
from opkit.story.states import State
from opkit.views.figures import (
    ComputeFigures,
    Coverage,
    Happening,
    LinkFigure,
    ModuleFigure,
    NetworkFigures,
    NodeFigure,
    NodeOverlay,
    OverlayFigures,
    TaskFigure,
    Traffic,
    Verification,
)
from opkit.wire.compute import ReceiptBundle, TaskState
from opkit.wire.network import EngineId, PeerLink
from opkit.wire.overlay import Counted, MeshLink, Overlay, Room
from opkit.wire.witness import WitnessedNode, Witnesses

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


NOW = 1_763_735_526_420
ORGS = (
    ("river-city-tool-library", "River City Tool Library", "RC"),
    ("brightworks-cooperative", "BrightWorks Cooperative", "BW"),
    ("harbor-homes-cooperative", "Harbor Homes Cooperative", "HH"),
    ("fingerlakes-cdn", "Finger Lakes Cooperative Development Network", "FL"),
    ("unaffiliated", "Unaffiliated node", "UN"),
    *((f"coop-{number}", f"Cooperative {number}", f"C{number}") for number in range(6, 13)),
)


def _did(org: str) -> str:
    return f"did:key:z6Mk{(org.replace('-', '').replace('l', 'L').replace('0', 'Z') * 12)[:44]}"


def _node(number: int, count: int) -> NodeFigure:
    org, title, initials = ORGS[number]
    others = [ORGS[other] for other in range(count) if other != number]
    return NodeFigure(
        org=org,
        title=title,
        initials=initials,
        did=_did(org),
        url=f"http://127.0.0.1:{4_410 + number}",
        health="up",
        since_ms=NOW - 600_000,
        seen_ms=NOW - 300,
        busy="running, 3.1 M fuel" if number == 2 else "",
        version="0.1.0",
        engine="wasmtime 36.0.2",
        generation=1,
        started_ms=NOW - 601_000,
        world_ms=NOW - 300,
        blobs=4 + number,
        blob_bytes=22_985 * (4 + number),
        journal_sequence=1_042 + 17 * number,
        journal_hash=f"{number:x}a94f".ljust(64, "7"),
        links=tuple(
            PeerLink(
                did=_did(other[0]),
                org=other[0],
                round_trip_us=900 + 120 * place,
                sent_bytes=184_220 + place,
                received_bytes=91_044 * (1 + place),
                since_ms=NOW - 590_000,
            )
            for place, other in enumerate(others)
        ),
    )


def _link(place: int, a: NodeFigure, b: NodeFigure) -> LinkFigure:
    recent = tuple(850 + 90 * place + 160 * ((7 * place + 3 * n) % 5) for n in range(40))
    return LinkFigure(
        a=a.org,
        b=b.org,
        state="up",
        since_ms=NOW - 590_000,
        round_trip_us=recent[-1],
        sent_bytes=184_220 * (1 + place),
        received_bytes=91_044 * (1 + place),
        bytes_per_s=(0, 3_410, 812)[place % 3],
        recent=recent,
    )


def _happening(number: int, at_ms: int, sentence: str, tone: State) -> Happening:
    org = ORGS[number % 3][0]
    return Happening(
        key=f"{org}/{1_100 - number}",
        at_ms=at_ms,
        org=org,
        kind="compute.task-started",
        sentence=sentence,
        tone=tone,
        adversarial="killed" in sentence,
        entry={"type": "compute.task-started", "sequence": 1_100 - number, "at_ms": at_ms},
    )


SENTENCES = (
    ("Harbor Homes Cooperative runs the task", State.RUNNING),
    ("Harbor Homes fetched patronage from River City and checked it, 23 kB", State.DONE),
    ("Harbor Homes asked a stranger for bytes, got others, and refused them", State.REFUSED),
    ("Hugo of BrightWorks Cooperative asked to have patronage run", State.RUNNING),
    ("Mara put patronage on River City Tool Library’s node, 23 kB", State.DONE),
    ("The node of Harbor Homes Cooperative was killed", State.RUNNING),
    ("BrightWorks Cooperative lost its link to Harbor Homes Cooperative", State.WAITING),
    ("BrightWorks Cooperative has no result of its task: executor unavailable", State.FAILED),
)


def network_of(count: int) -> NetworkFigures:
    """Return a network of so many nodes in which all is well and something just moved."""
    nodes = tuple(_node(number, count) for number in range(count))
    links = tuple(_link(place, a, b) for place, (a, b) in enumerate(combinations(nodes, 2)))
    moved = (
        Traffic(
            source=ORGS[0][0],
            target=ORGS[2][0],
            words="23 kB verified",
            tone=State.RUNNING,
            at_ms=NOW - 900,
        ),
    )
    happened = tuple(
        _happening(number, NOW - 700 - 4_100 * number, *SENTENCES[number % len(SENTENCES)])
        for number in range(60)
    )
    return NetworkFigures(
        name=f"{count} nodes on this machine",
        now_ms=NOW,
        nodes=nodes,
        links=links,
        happenings=happened if count else (),
        traffic=moved if count >= 3 else (),
        tasks=12 if count else 0,
    )


def broken_network() -> NetworkFigures:
    """Return five nodes: one dead, one starting, one link cut, the dead one's links lost."""
    sound = network_of(5)
    nodes = list(sound.nodes)
    nodes[1] = replace(nodes[1], health="down", since_ms=NOW - 64_000, why="killed", links=())
    nodes[3] = replace(nodes[3], health="starting", since_ms=NOW - 2_000, why="store", links=())
    dead = nodes[1].org
    links = [
        replace(link, state="lost", round_trip_us=None, bytes_per_s=0, recent=())
        if dead in (link.a, link.b)
        else link
        for link in sound.links
    ]
    links[1] = replace(links[1], state="cut", since_ms=NOW - 9_000)
    return replace(sound, nodes=tuple(nodes), links=tuple(links), tasks_failed=2)


STRANGER = "did:key:z6Mk" + "S" * 44


def _overlay(place: int, figures: NetworkFigures) -> NodeOverlay:
    """Return what one node tells: the last of twelve lacks some, one peer of each is slow."""
    node = figures.nodes[place]
    others = [other for other in figures.nodes if other is not node]
    return NodeOverlay(
        org=node.org,
        told=Overlay(
            contacts=len(others),
            records=(
                Counted(name="blob", count=3),
                Counted(name="node", count=len(figures.nodes)),
                Counted(name="note", count=1_204),
            ),
            rooms=(
                Room(sponsor=None, records=2, bytes=1_204),
                *(
                    Room(sponsor=other.org, records=7, bytes=20_480 * (1 + each))
                    for each, other in enumerate(figures.nodes)
                ),
            ),
            mesh=tuple(
                MeshLink(
                    topic="records",
                    did=other.did,
                    in_mesh=each < 6,
                    score_milli=1_500 - 700 * each,
                    slow=each == 7,
                )
                for each, other in enumerate(others)
            ),
            banned=(STRANGER,) if place == 2 else (),
            counts=(
                Counted(name="reconcile: sessions begun", count=41 + place),
                Counted(name="reconcile: records kept", count=1_204),
                Counted(name="reconcile: records given", count=37),
                Counted(name="reconcile: lies", count=2 if place == 2 else 0),
            ),
            repaired_ms=NOW - 61_000 if place else None,
        ),
    )


def overlay_of(figures: NetworkFigures) -> OverlayFigures:
    """Return what the nodes of a network that are up tell of records, gossip and journals."""
    up = [place for place, node in enumerate(figures.nodes) if node.health == "up"]
    orgs = [figures.nodes[place].org for place in up]
    count = len(figures.nodes)
    lacking = {orgs[-1]: 3} if count > 4 else {}
    return OverlayFigures(
        nodes=tuple(_overlay(place, figures) for place in up),
        coverage=(
            Coverage(namespace="node", total=count, held=tuple((org, count) for org in orgs)),
            Coverage(
                namespace="note",
                total=1_204,
                held=tuple((org, 1_204 - lacking.get(org, 0)) for org in orgs),
            ),
            Coverage(namespace="fork", total=0, held=tuple((org, 0) for org in orgs)),
        ),
        witnesses=tuple(
            (
                org,
                Witnesses(
                    nodes=tuple(
                        WitnessedNode(
                            node=node.did,
                            head=None,
                            generation=1,
                            size=node.journal_sequence - 3,
                            asked_at_ms=NOW - 20_000,
                            witnesses=max(0, count - 1),
                            forks=int(count > 4 and place == 1),
                            unproven="it is shorter" if count > 4 and place == 3 else None,
                        )
                        for place, node in enumerate(figures.nodes)
                    )
                ),
            )
            for org in orgs
        ),
    )


TASK_ENDS = (
    (TaskState.RUNNING, "", ""),
    (TaskState.DONE, "ok", ""),
    (TaskState.FAILED, "fuel", ""),
    (TaskState.ACCEPTED, "", ""),
    (TaskState.FAILED, "trap", ""),
    (TaskState.REFUSED, "", "executor-unavailable"),
    (TaskState.CANCELLED, "cancelled", ""),
    (TaskState.FAILED, "", "module-unknown"),
    (TaskState.FETCHING, "", ""),
    (TaskState.PLACED, "", ""),
)


def _task(number: int) -> TaskFigure:
    state, outcome, code = TASK_ENDS[number % len(TASK_ENDS)]
    ended = state in {TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.REFUSED}
    asked = NOW - 1_200 - 7_300 * number
    return TaskFigure(
        task_id=f"{number:032x}",
        member_id="brightworks-cooperative/hugo",
        home=ORGS[1][1],
        wasm_hash=cid_of(b"patronage"),
        module="" if number == 4 else "patronage",
        executor=ORGS[2][1] if outcome or state is TaskState.RUNNING else "",
        state=state,
        accepted_ms=asked,
        ended_ms=asked + 44 + number if ended else 0,
        outcome=outcome,
        fuel_used=3_104_220 + number if outcome else 0,
        fetched_from=ORGS[0][1] if outcome == "ok" else "",
        code=code,
        receipt_hash=f"{number:x}f3c".ljust(64, "a") if outcome else "",
    )


def compute_of(*, modules: int, tasks: int) -> ComputeFigures:
    """Return so many modules and tasks, in every state there is."""
    names = ("patronage", "endless", "greedy", "quorum", "echo")
    return ComputeFigures(
        now_ms=NOW,
        modules=tuple(
            ModuleFigure(
                wasm_hash=cid_of(f"module {number}".encode()),
                name=names[number % len(names)],
                size_bytes=22_985 // (number + 1),
                owner="river-city-tool-library/mara",
                deployed_ms=NOW - 1_500 - 61_000 * number,
                holders=tuple(title for _, title, _ in ORGS[: number % 3 + 1]),
                runs=11 * number,
            )
            for number in range(modules)
        ),
        tasks=tuple(_task(number) for number in range(tasks)),
        tasks_total=tasks,
    )


def verification_of(task_id: str, *, ok: bool) -> Verification:
    """Return a receipt's verification in which every check holds, or all but one."""
    executor = _did(ORGS[2][0])
    checks = (
        CheckRecord(name="receipt-signature", ok=True, expected="verifies", actual="verifies"),
        CheckRecord(name="executor-known", ok=True, expected=executor, actual=executor),
        CheckRecord(name="manifest-signature", ok=True, expected="verifies", actual="verifies"),
        CheckRecord(
            name="fuel-within-limit", ok=ok, expected="at most 20,000,000", actual="3,104,221"
        ),
    )
    return Verification(
        subject=task_id,
        at_ms=NOW - 5_000,
        ok=ok,
        verdict="The receipt is verified from the genesis that this machine keeps."
        if ok
        else "The receipt does not hold.",
        checks=checks,
        bundle=ReceiptBundle(receipt="a.b.c", manifest="d.e.f"),
        facts={"executor": ORGS[2][1], "output": cid_of(b"output")},
    )


@pytest.fixture
def networks() -> Callable[[int], NetworkFigures]:
    """Makes a sound network of so many nodes."""
    return network_of


@pytest.fixture
def overlays() -> Callable[[NetworkFigures], OverlayFigures]:
    """Makes what the nodes of a network tell of the overlay."""
    return overlay_of


@pytest.fixture
def broken() -> NetworkFigures:
    """A network in trouble of every kind."""
    return broken_network()


@pytest.fixture
def computing() -> ComputeFigures:
    """Modules, and tasks in every state."""
    return compute_of(modules=5, tasks=24)


@pytest.fixture
def verifications() -> Callable[..., Verification]:
    """Makes a verification of a task's receipt that holds, or does not."""
    return verification_of
