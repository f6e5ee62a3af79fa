"""The vectors beside the protocol's page: of everything one, and each as this program has it."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.overlay.namespaces import judge
from nodeimpl.p2p import frames
from opkit import wire
from opkit.proof import jws
from opkit.proof.genesis import read_genesis
from opkit.proof.record import Verifier
from opkit.wire.casts import CASTS
from opkit.wire.errors import refusal_from
from opkit.wire.peer import COMMON_REFUSALS, METHODS
from opkit.wire.records import NAMESPACES

for module in pkgutil.walk_packages(wire.__path__, f"{wire.__name__}."):
    importlib.import_module(module.name)

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs" / "protocol-vectors.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "protocol.md").read_text("utf-8")
HOW = "has no vector: `scripts/make-protocol-vectors --help` says where one is added"


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in VECTORS["frames"] if one["kind"] == kind]


def named(one: dict[str, Any]) -> str:
    return str(one["name"])


def test_the_vectors_and_the_table_of_values_are_what_the_contract_says() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make-protocol-vectors"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


FORGOTTEN = """
import sys
sys.path[:0] = ["scripts", "."]
import vectors_types
vectors_types.load_contract()
from opkit.wire.base import Wire
from opkit.wire.peer import PeerMethod
PeerMethod(name="weather.ask", ask=Wire, answer=Wire)
import vectors_frames
list(vectors_frames.all_frames())
"""


def test_whoever_adds_a_method_is_told_where_its_vector_goes() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORGOTTEN],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "method without vector" in ran.stderr
    assert "weather.ask" in ran.stderr
    assert "scripts/vectors_frames.py" in ran.stderr


@pytest.mark.parametrize("kind", ["ask", "answer"])
def test_every_method_has_a_question_and_an_answer(kind: str) -> None:
    missing = set(METHODS) - {one["on"] for one in of_kind(kind)}
    assert not missing, f"{', '.join(sorted(missing))} {HOW}"


def test_every_kind_of_cast_has_a_message() -> None:
    missing = set(CASTS) - {one["on"] for one in of_kind("cast")}
    assert not missing, f"{', '.join(sorted(missing))} {HOW}"


def test_every_refusal_between_peers_has_its_document() -> None:
    wanted = {leaf.code for leaf in COMMON_REFUSALS}
    wanted |= {leaf.code for method in METHODS.values() for leaf in method.refuses}
    missing = wanted - {one["code"] for one in of_kind("refusal")}
    assert not missing, f"{', '.join(sorted(missing))} {HOW}"


def test_every_signed_type_of_the_page_has_an_object() -> None:
    told = set(re.findall(r"^\| `(opkit-[\w-]+\+jws)` \|", PAGE, re.MULTILINE))
    missing = told - {one["typ"] for one in VECTORS["signed"]} - {"opkit-record+jws"}
    assert len(told) >= 12
    assert not missing, f"{', '.join(sorted(missing))} {HOW}"


def test_every_namespace_has_a_record() -> None:
    missing = set(NAMESPACES) - {one["value"]["aud"] for one in VECTORS["derived"]["records"]}
    assert not missing, f"{', '.join(sorted(missing))} {HOW}"


@pytest.mark.parametrize("one", VECTORS["frames"], ids=named)
def test_a_frame_is_read_as_what_it_says_and_written_as_it_was(one: dict[str, Any]) -> None:
    body = one["json"].encode()
    whole = bytes.fromhex(one["length"]) + body
    assert int(one["length"], 16) == len(body)
    if one["kind"] == "ask":
        asked = frames.read_request(body)
        method = METHODS[asked.method]
        assert (method.name, method.ask.__name__) == (one["on"], one["type"])
        assert frames.request(method.name, frames.read_value(method.ask, asked.body)) == whole
    elif one["kind"] == "cast":
        cast = CASTS[one["on"]]
        assert frames.cast(frames.read_cast(cast.message, body)) == whole
    elif one["kind"] == "answer":
        answered = frames.read_answer(body).ok
        assert answered is not None
        method = METHODS[one["on"]]
        assert frames.answer(method.answer.model_validate(answered)) == whole
    else:
        problem = frames.read_answer(body).problem
        assert problem is not None
        no = refusal_from(problem)
        assert (no is None) == (one["kind"] == "fault")
        assert no is None or frames.refusal(no) == whole


@pytest.mark.parametrize("one", VECTORS["signed"], ids=lambda one: one["typ"])
def test_a_signed_object_verifies_under_its_type_and_no_other(one: dict[str, Any]) -> None:
    claimed = jws.peek(one["jws"])
    assert claimed.typ == one["typ"]
    assert claimed.payload == one["value"]
    assert jws.record_id(one["jws"]) == one["id"]


def test_records_verify_and_have_the_sponsors_that_the_genesis_shows() -> None:
    genesis = read_genesis(VECTORS["genesis"])
    verifier = Verifier(genesis)
    for one in VECTORS["derived"]["records"]:
        record = verifier.read(one["jws"])
        assert record.id.hex() == one["id"]
        judge(record, genesis=genesis, now_ms=VECTORS["clock_ms"])
        assert verifier.sponsor(record.body.owner, tuple(one["proof"])) == one["sponsor"]
    sponsors = {one["sponsor"] for one in VECTORS["derived"]["records"]}
    assert sponsors >= {None, "-", "river-tools", "bright-works"}
