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
    plural = {"key": "keys", "tree": "trees", "cid": "cids"}
    for name in ("key", "tree", "cid", "base64url", "canonical", "journal", "merkle"):
        counts[name] = len(derived[plural.get(name, name)])
    counts["record"] = len(derived["records"]) + len(refused["records_taken"])
    counts["refused frame"] = len(refused["frames"])
    counts["refused record"] = len(refused["records"])
    counts["refused text"] = len(refused["base64url"])
    return counts | {"signed": len(vectors["signed"]), "nearest": 1}


@pytest.mark.interop
def test_every_vector_is_what_javascript_makes_of_it() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")
    text = VECTORS.read_text("utf-8")
    ran = subprocess.run(
        [node, str(FOLDER / "peer" / "vectors.mjs")],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["wrong"] == []
    assert said["checked"] == expected(json.loads(text))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_peer_in_javascript_imports_nothing_else_of_the_repository(path: Path) -> None:
    text = path.read_text("utf-8")
    for named in IMPORTS.findall(text):
        if named.startswith("."):
            assert (path.parent / named).resolve().is_relative_to(FOLDER)
        else:
            assert named.startswith("node:") or named in FOREIGN
    assert not {"import(", "require("} & set(re.findall(r"\b(?:import|require)\(", text))
