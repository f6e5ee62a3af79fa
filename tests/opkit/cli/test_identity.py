"""Identities: made once, sealed, shown by their DID only."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_new_identity_is_sealed_and_opens_by_its_key_file(run: Run, own_home: Path) -> None:
    made = run("identity", "new", "ada", "--json")
    assert made.code == 0
    file, key = Path(made.json["file"]), Path(made.json["key_file"])
    assert file.parent == own_home / "identities"
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(key.stat().st_mode) == 0o600
    assert run("identity", "show", "ada", "--json").json["did"] == made.json["did"]
    assert run("identity", "show", file, "--json").json["did"] == made.json["did"]


def test_an_identity_is_never_overwritten(run: Run) -> None:
    run("identity", "new", "ada")
    again = run("identity", "new", "ada")
    assert again.code == 2
    assert "exists already" in again.err


def test_a_did_is_printed_as_it_is(run: Run) -> None:
    """Text for people must not take `:key:` for a picture of one."""
    made = run("identity", "new", "ada", "--json").json
    assert made["did"] in run("identity", "show", "ada").out


def test_a_passphrase_seals_and_opens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPKIT_PASSPHRASE", "four words make it")
    made = run("identity", "new", "eve", "--passphrase", "--json")
    assert "key_file" not in made.json
    assert run("identity", "show", "eve", "--json").json["did"] == made.json["did"]
    monkeypatch.setenv("OPKIT_PASSPHRASE", "another")
    wrong = run("identity", "show", "eve")
    assert wrong.code == 1
    assert "Traceback" not in wrong.err


def test_a_file_that_is_no_identity_is_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}", "utf-8")
    file.with_suffix(".key").write_bytes(bytes(32))
    said = run("identity", "show", file)
    assert said.code == 1
    assert said.err.startswith("opkit: ")
