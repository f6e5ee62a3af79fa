"""What a notebook draws: whole, escaped, asking for nothing, in either theme."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from flows import FLOWS
from opkit.client import NodeClient, TaskHandle, TaskResult
from opkit.proof import jws
from opkit.proof.checks import Check, Verdict
from opkit.proof.cid import cid_of
from opkit.proof.genesis import read_genesis, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.story.report import CheckRecord, MarkerRecord, Report, Stop
from opkit.views.reproverlay import Reached
from opkit.views.reprs import ROWS_MAX, html_of
from opkit.views.reprstyle import TEXT_CHARS_MAX, bytes_html, lab_css, name_html
from opkit.views.tokens import DARK, LIGHT
from opkit.wire.compute import (
    RECEIPT_TYP,
    TASK_TYP,
    Fetched,
    Manifest,
    ModuleInfo,
    ModulePage,
    Outcome,
    Receipt,
    ReceiptBundle,
    TaskLimits,
    TaskState,
    TaskView,
)
from opkit.wire.dht import ContactText
from opkit.wire.events import Cursor, JournalEntry, JournalPage
from opkit.wire.genesis import Genesis, GenesisNode
from opkit.wire.membership import Member, MemberPage
from opkit.wire.network import EngineId, NodeInfo, NodeStarted, PeerLink, Peers
from opkit.wire.overlay import Counted, FoundRecords, MeshLink, Overlay, Room, Route
from opkit.wire.records import Carried

MEMBER, NODE, OPERATOR = Identity.generate(), Identity.generate(), Identity.generate()
NETWORK = "a" * 26
HASH = "0" * 64
MARCH_MS = 1_772_323_200_000
EVIL = "<script>alert(1)</script>"
ENGINE = EngineId(name="wasmtime", version="50", settings=EVIL)
FLOUR, BREAD = cid_of(b"flour"), cid_of(b"bread")

LINK = PeerLink(
    did=NODE.did, org="bakery", round_trip_us=800, sent_bytes=1, received_bytes=2, since_ms=MARCH_MS
)
INFO = NodeInfo(
    did=NODE.did,
    org="bakery",
    network=NETWORK,
    version=EVIL,
    engine=ENGINE,
    generation=1,
    started_ms=MARCH_MS,
    now_ms=MARCH_MS,
    world_ms=MARCH_MS + 86_400_000,
)


def note(value: dict[str, str] | None) -> Carried:
    """Return a note of the member's."""
    token = make_record(
        MEMBER,
        network=NETWORK,
        namespace="note",
        name=f"{MEMBER.did}/hours",
        value=value,
        at_ms=MARCH_MS,
        term_ms=86_400_000,
    )
    return Carried(jws=token)


NOTE, GONE = note({"text": EVIL}), note(None)
WHO = Member(
    member_id="bakery/ana",
    coop="bakery",
    name=EVIL,
    title="baker",
    did=MEMBER.did,
    roles=("member",),
    active=True,
    sequence=0,
)
MODULE = ModuleInfo(
    wasm_hash=FLOUR, owner="bakery/ana", name=EVIL, size_bytes=23_000, deployed_at_ms=MARCH_MS
)
ASKED = Manifest(
    network=NETWORK,
    aud="any",
    task_id="1" * 32,
    member_id="bakery/ana",
    wasm_hash=FLOUR,
    input_hash=BREAD,
    limits=TaskLimits(),
    issued_at_ms=MARCH_MS,
    expires_at_ms=MARCH_MS + 1,
)
MANIFEST = jws.sign(ASKED, typ=TASK_TYP, identity=MEMBER)


def receipt(*, outcome: Outcome = Outcome.OK, reason: str = "") -> Receipt:
    return Receipt(
        network=NETWORK,
        aud="bakery/ana",
        executor=NODE.did,
        generation=1,
        sequence=1,
        previous=None,
        manifest_hash=jws.record_id(MANIFEST),
        task_id="1" * 32,
        wasm_hash=FLOUR,
        input_hash=BREAD,
        output_hash=BREAD if outcome is Outcome.OK else None,
        outcome=outcome,
        reason=reason,
        limits=TaskLimits(),
        fuel_used=1_234_567,
        time_used_us=1_500,
        memory_peak_bytes=65_536,
        output_bytes=5 if outcome is Outcome.OK else 0,
        engine=ENGINE,
        started_at_ms=MARCH_MS,
        ended_at_ms=MARCH_MS,
        world_offset_ms=0,
    )


def signed(said: Receipt) -> ReceiptBundle:
    token = jws.sign(said, typ=RECEIPT_TYP, identity=NODE)
    return ReceiptBundle(receipt=token, manifest=MANIFEST)


BUNDLE = signed(receipt())


def view(state: TaskState = TaskState.DONE, **more: Any) -> TaskView:
    given = {
        "task_id": "1" * 32,
        "state": state,
        "member_id": "bakery/ana",
        "manifest": MANIFEST,
        "manifest_hash": HASH,
        "executor": NODE.did,
        "accepted_at_ms": MARCH_MS,
    }
    return TaskView(**(given | more))


def entry(number: int = 1) -> JournalEntry:
    return JournalEntry(
        sequence=number,
        type="compute.module-deployed",
        at_ms=MARCH_MS,
        body={"wasm_hash": FLOUR, "owner": "bakery/ana", "size_bytes": 5, "more": EVIL},
        previous=HASH,
        hash=HASH,
    )


def marker(name: str, *, ok: bool = True) -> MarkerRecord:
    return MarkerRecord(
        name=name,
        ok=ok,
        kind="shown",
        sentence=EVIL,
        evidence={"loaves": EVIL},
        checks=(CheckRecord(name="weight", ok=ok, expected="1", actual=EVIL),),
        at_ms=1,
        took_ms=2,
        problem="" if ok else EVIL,
    )


GENESIS = read_genesis(
    sign_genesis(
        Genesis(
            network=NETWORK,
            devnet=True,
            operator=OPERATOR.did,
            created_ms=MARCH_MS,
            nodes=(GenesisNode(org="bakery", title=EVIL, did=NODE.did, coop=None),),
            charters=(),
        ),
        OPERATOR,
    )
)
REPORT = Report(
    name="t",
    title=EVIL,
    story="",
    ok=False,
    planned=("A_B", "B_C"),
    markers=(marker("A_B"), marker("B_C", ok=False)),
    stopped=Stop(at="B_C", why=EVIL),
)
JOURNAL = Cursor(generation=1, sequence=7, hash=HASH)
CLIENT = NodeClient(url="http://127.0.0.1:1", node=NODE.did, network=NETWORK)

DRAWN: dict[str, tuple[Any, str]] = {
    "node": (INFO, "bakery"),
    "nodes": ([INFO, INFO], "bakery"),
    "peers": (Peers(links=(LINK,), blobs=1, blob_bytes=9, journal=JOURNAL), "Connected to 1 peer"),
    "alone": (Peers(links=(), blobs=0, blob_bytes=0, journal=JOURNAL), "the only node"),
    "peer": (LINK, "0.80 ms"),
    "links": ((LINK, LINK), "0.80 ms"),
    "member": (WHO, "baker"),
    "revoked member": (WHO.model_copy(update={"active": False}), "revoked"),
    "members": (MemberPage(members=(WHO,), next_after=""), "bakery/ana"),
    "module": (MODULE, "23,000 bytes"),
    "modules": (ModulePage(modules=(MODULE,), next_after=""), "23 kB"),
    "manifest": (ASKED, "as its submitter signed it"),
    "receipt": (receipt(), "1,234,567 of 1,000,000,000"),
    "stopped receipt": (receipt(outcome=Outcome.TRAP, reason=EVIL), "trap"),
    "bundle": (BUNDLE, "checks hold: consistent, signer unknown"),
    "bundles": ([BUNDLE], "1,234,567"),
    "forged bundle": (
        BUNDLE.model_copy(update={"manifest": jws.sign(
            ASKED.model_copy(update={"task_id": "2" * 32}), typ=TASK_TYP, identity=MEMBER)}),
        "failed",
    ),
    "handle": (TaskHandle(client=CLIENT, task_id="1" * 32, manifest=MANIFEST), "was submitted"),
    "waiting task": (view(TaskState.ACCEPTED, executor=None), "accepted"),
    "done task": (
        view(
            receipt=BUNDLE.receipt,
            output_inline=EVIL.encode(),
            fetched=Fetched(peer=NODE.did, size_bytes=5, took_us=900),
        ),
        "done",
    ),
    "refused task": (view(TaskState.REFUSED, problem={"code": EVIL}), "refused because"),
    "tasks": ([view(receipt=BUNDLE.receipt), view(TaskState.RUNNING)], "running"),
    "result": (
        TaskResult(view=view(), output=b"bread", receipt=receipt(), bundle=BUNDLE),
        "ended: ok",
    ),
    "entry": (entry(), "compute.module-deployed"),
    "journal": (JournalPage(entries=(entry(),), passed_through=0, cursor=JOURNAL), "put a program"),
    "event": (NodeStarted(version=EVIL, generation=1), "node.started"),
    "genesis": (GENESIS, "signatures verified"),
    "route": (
        Route(contacts=(ContactText(did=NODE.did),), hops=1, asked=2, silent=1, took_ms=9),
        "1 node nearest to the name",
    ),
    "records": (
        FoundRecords(records=(NOTE, GONE), hops=1, asked=2, silent=0, took_ms=9),
        "taken back",
    ),
    "no records": (
        FoundRecords(records=(), hops=1, asked=2, silent=0, took_ms=9),
        "Nothing stands under this name",
    ),
    "overlay": (
        Overlay(
            contacts=2,
            records=(Counted(name=EVIL, count=3),),
            rooms=(Room(sponsor=None, records=1, bytes=2), Room(sponsor="x", records=0, bytes=0)),
            mesh=(MeshLink(topic="t", did=NODE.did, in_mesh=True, score_milli=7, slow=True),),
            banned=(MEMBER.did,),
            counts=(),
        ),
        "nobody vouches",
    ),
    "meshes": (
        [MeshLink(topic="t", did=NODE.did, in_mesh=False, score_milli=7, slow=False)],
        "told by name",
    ),
    "reached": (
        [
            Reached(org="x", title=EVIL, after_us=12_345),
            Reached(org="y", title="y", after_us=None),
        ],
        "not yet",
    ),
    "verdict": (
        Verdict(subject=EVIL, checks=(Check("a", True, EVIL, "b"),), anchored=True),
        "verified",
    ),
    "failed verdict": (
        Verdict(subject="x", checks=(Check("a", False, "1", "2"),), anchored=True),
        "failed",
    ),
    "marker": (marker("A_B"), "A_B"),
    "report": (REPORT, "1 of 2 shown"),
    "flow": (FLOWS["a"], "14 steps"),
}  # fmt: skip


class Outline(HTMLParser):
    """Reads markup: whether every element is closed, and what it would ask for."""

    VOID = frozenset({"br", "path", "circle", "input"})

    def __init__(self, drawn: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.asks: list[str] = []
        self.feed(drawn)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.asks += [str(v) for k, v in attrs if k in {"src", "href"} or k.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(params=DRAWN, name="case")
def _case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A picture and what must be read in it."""
    value, words = DRAWN[request.param]
    drawn = html_of(value)
    assert drawn is not None
    return drawn, words


def test_a_picture_says_what_the_value_does(case):
    drawn, words = case
    assert words in drawn


def test_whatever_a_value_says_is_text(case):
    outline = Outline(case[0])
    assert outline.open == []
    assert "script" not in outline.tags


def test_a_picture_asks_for_nothing(case):
    assert Outline(case[0]).asks == []
    assert "url(" not in case[0]
    assert "@import" not in case[0]


def test_a_picture_carries_its_style(case):
    assert case[0].startswith('<div class="opkit-lab"><style>')
    assert case[0].count("<style>") == 1


def test_a_name_is_whole_in_the_markup_and_selected_by_a_click():
    drawn = name_html(NODE.did)
    assert "".join(re.findall(r">([^<]*)<", drawn)) == NODE.did
    assert "user-select:all" in lab_css()
    assert "text-overflow:ellipsis" in lab_css()
    assert name_html("short") == "<code>short</code>"
    assert "none" in name_html(None)


def test_the_style_holds_both_themes():
    css = lab_css()
    assert all(value in css for value in [*LIGHT.values(), *DARK.values()])
    assert "[data-jp-theme-light=false]" in css
    assert "prefers-color-scheme:dark" in css


def test_what_fails_stands_first():
    checks = tuple(Check(name, ok=name != "c", expected="1", actual="1") for name in "abc")
    drawn = html_of(Verdict(subject="", checks=checks, anchored=True))
    assert re.findall(r"<td>([abc])</td>", drawn) == ["c", "a", "b"]


def test_a_long_list_is_cut_and_counted():
    drawn = html_of([LINK] * (ROWS_MAX + 7))
    assert drawn.count("<tr>") == ROWS_MAX + 1
    assert "and 7 more" in drawn


@pytest.mark.parametrize("value", [3, "text", [], (), [1, 2], [INFO, LINK], {"a": 1}, None])
def test_anything_else_has_no_picture(value):
    assert html_of(value) is None


def test_an_output_is_shown_as_text_if_it_is_and_never_whole_if_it_is_long():
    assert bytes_html(b"bread") == "<pre>bread</pre>"
    assert bytes_html(b"\xff\x00") == "<pre>ff 00</pre>"
    assert len(bytes_html(b"x" * 10_000)) < TEXT_CHARS_MAX + 40
    assert "…" in bytes_html(b"x" * 10_000)
