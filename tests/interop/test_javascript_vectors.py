"""The peer in JavaScript, which is written from the protocol's page, has the page's vectors too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).with_name("js")
VECTORS = Path(__file__).parents[2] / "docs" / "protocol-vectors.json"
IMPORTS = re.compile(r"""(?:^|\s)(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)""")
SOURCES = sorted({*FOLDER.glob("*.mjs"), *FOLDER.glob("peer/*.mjs")})
FOREIGN = {"@number0/iroh", "jose"}


def expected(vectors: dict[str, Any]) -> dict[str, int]:
    """Return how many vectors there are of each kind, by the name that the checker gives it."""
    counts: dict[str, int] = {}
    for one in vectors["frames"]:
        counts[one["kind"]] = counts.get(one["kind"], 0) + 1
    growth = [
        one for one in vectors["frames"] if (one["kind"], one["on"]) == ("ask", "journal.grow")
    ]
    counts["growth"] = len(growth)
    derived, refused = vectors["derived"], vectors["refused"]
    plural = {name: f"{name}s" for name in ("key", "tree", "cid", "agreement", "exchange")}
    for name in (*plural, "base64url", "canonical", "journal", "merkle", "operations"):
        counts[name] = len(derived[plural.get(name, name)])
    counts["record"] = len(derived["records"]) + len(refused["records_taken"])
    counts["refused frame"] = len(refused["frames"])
    counts["refused record"] = len(refused["records"])
    counts["decision"] = len(derived["decisions"])
    counts["refused decision"] = len(refused["decisions"])
    counts["refused operation"] = len(refused["operations"])
    counts["refused text"] = len(refused["base64url"])
    return counts | {"signed": len(vectors["signed"]), "nearest": 1}


def judged(vectors: dict[str, Any]) -> dict[str, Any]:
    """Return what JavaScript says of vectors: how many agree, by kind, and which are wrong."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")
    ran = subprocess.run(
        [node, str(FOLDER / "peer" / "vectors.mjs")],
        input=json.dumps(vectors),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


@pytest.mark.interop
def test_every_vector_is_what_javascript_makes_of_it() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))
    said = judged(vectors)
    assert said["wrong"] == []
    assert said["checked"] == expected(vectors)


@pytest.mark.interop
def test_a_vector_of_any_kind_that_is_changed_is_noticed() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))
    derived, refused = vectors["derived"], vectors["refused"]
    for kind in ("ask", "answer", "cast", "refusal", "fault"):
        one = next(one for one in vectors["frames"] if one["kind"] == kind)
        one["json"] = one["json"].replace("{", "{ ", 1)
    vectors["signed"][0]["id"] = "0" * 64
    derived["keys"][0]["place"] = derived["keys"][1]["place"]
    derived["records"][0]["item"] = derived["records"][1]["item"]
    derived["nearest"]["nearest"].reverse()
    derived["trees"][-1]["children"] = derived["trees"][0]["children"]
    derived["cids"][0]["cid"] = derived["cids"][1]["cid"]
    derived["base64url"][1]["text"] = "Zh"
    derived["canonical"][1]["sha256"] = "0" * 64
    derived["journal"][0]["previous"] = "1" * 64
    derived["merkle"][-1]["consistency"].pop()
    derived["decisions"][0]["tally"]["yes"] += 1
    refused["decisions"][0]["file"] = derived["decisions"][0]["file"]
    growth = next(
        one
        for one in vectors["frames"]
        if one["on"] == "journal.grow" and one["kind"] == "answer" and one["value"]["ok"]["growths"]
    )
    growth["value"]["ok"]["growths"].pop()
    refused["frames"][1]["json"] = '{"v":1,"method":"dht.ping","body":{"sender":null}}'
    refused["records"][0]["jws"] = refused["records_taken"][0]["jws"]
    refused["base64url"][0] = "YQ"
    derived["operations"][0]["operations"].pop()
    derived["agreements"][0]["agreement"] = derived["exchanges"][0]["id"]
    derived["exchanges"][0]["entry_id"] = "exchange:another"
    refused["operations"][0]["jws"] = derived["operations"][0]["operations"][0]
    said = judged(vectors)
    assert {why.partition(":")[0] for why in said["wrong"]} == set(expected(vectors))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_peer_in_javascript_imports_nothing_else_of_the_repository(path: Path) -> None:
    text = path.read_text("utf-8")
    for named in IMPORTS.findall(text):
        if named.startswith("."):
            assert (path.parent / named).resolve().is_relative_to(FOLDER)
        else:
            assert named.startswith("node:") or named in FOREIGN
    assert not {"import(", "require("} & set(re.findall(r"\b(?:import|require)\(", text))
