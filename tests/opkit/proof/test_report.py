"""Reports: exactly the files that the operator signed, or a failed check that names the file."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError, Verdict
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.report import (
    FILES_MAX,
    REPORT_TYP,
    FileHash,
    ReportStatement,
    file_hash,
    read_report,
    sign_report,
    verify_report,
)

FILES = {"evidence.json": b"{}", "flow_a.html": b"<p>", "blobs/bafkrei": b"\0asm"}


def statement_of(network: str, files: dict[str, bytes]) -> ReportStatement:
    """Return the statement over these files."""
    return ReportStatement(
        network=network,
        run_id="run-1",
        created_ms=1,
        files=tuple(file_hash(path, files[path]) for path in sorted(files)),
    )


def found(files: dict[str, bytes]) -> dict[str, tuple[str, int]]:
    """Return what a reader of the folder finds."""
    hashes = (file_hash(path, data) for path, data in files.items())
    return {file.path: (file.sha256, file.size_bytes) for file in hashes}


@pytest.fixture
def token(network: Any) -> str:
    """The operator's signed statement."""
    return sign_report(statement_of(network.name, FILES), network.operator)


def test_the_files_that_were_signed_verify(network: Any, token: str) -> None:
    verdict = verify_report(token, genesis=network.view, files=found(FILES))
    assert verdict.status == "verified"
    assert len(verdict.checks) == 1 + len(FILES)
    assert verdict.subject == "report run-1"


def test_each_check_shows_what_was_signed_and_what_is_there(network: Any) -> None:
    signed = {"b.txt": b"bb", "a.txt": b"a", "c.txt": b""}
    token = sign_report(statement_of(network.name, signed), network.operator)
    assert jws.peek(token).typ == "opkit-report+jws"
    there = found({"b.txt": b"bb", "c.txt": b"c", "d.txt": b""})
    verdict = verify_report(token, genesis=network.view, files=there)
    empty, full = hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"c").hexdigest()
    a, bb = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"bb").hexdigest()
    by = network.operator.did
    assert verdict.checks == (
        Check(name="statement-signature", ok=True, expected=by, actual="verifies"),
        Check(name="file a.txt", ok=False, expected=f"{a} (1 bytes)", actual="no such file"),
        Check(name="file b.txt", ok=True, expected=f"{bb} (2 bytes)", actual=f"{bb} (2 bytes)"),
        Check(
            name="file c.txt", ok=False, expected=f"{empty} (0 bytes)", actual=f"{full} (1 bytes)"
        ),
        Check(name="file d.txt", ok=False, expected="no such file", actual=f"{empty} (0 bytes)"),
    )


def test_a_statement_that_does_not_verify_is_shown_with_its_reason(network: Any) -> None:
    for genesis, by in (
        (network.view, network.operator.did),
        (None, "the key that the statement names"),
    ):
        torn = Check(name="statement-signature", ok=False, expected=by, actual="not a compact JWS")
        assert verify_report("x", genesis=genesis, files={}) == Verdict(
            subject="report", checks=(torn,), anchored=genesis is not None
        )


def test_without_a_genesis_a_report_is_only_consistent(token: str) -> None:
    verdict = verify_report(token, genesis=None, files=found(FILES))
    assert verdict.status == "consistent, signer unknown"


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({**FILES, "flow_a.html": b"<b>"}, "flow_a.html"),
        ({**FILES, "flow_a.html": b"<p> "}, "flow_a.html"),
        ({**FILES, "more.txt": b""}, "more.txt"),
        ({path: FILES[path] for path in ("evidence.json", "flow_a.html")}, "blobs/bafkrei"),
    ],
)
def test_an_edited_added_or_missing_file_is_named(
    network: Any, token: str, changed: dict[str, bytes], lost: str
) -> None:
    verdict = verify_report(token, genesis=network.view, files=found(changed))
    assert verdict.status == "failed"
    assert [check.name for check in verdict.failures] == [f"file {lost}"]


def test_a_whole_report_forged_with_own_keys_fails_under_the_true_genesis(network: Any) -> None:
    forger = Identity.generate()
    forged = sign_report(statement_of(network.name, FILES), forger)
    verdict = verify_report(forged, genesis=network.view, files=found(FILES))
    assert verdict.status == "failed"
    assert [check.name for check in verdict.failures] == ["statement-signature"]


def test_a_report_signed_by_a_node_instead_of_the_operator_fails(network: Any) -> None:
    signed = sign_report(statement_of(network.name, FILES), network.nodes["tool-library"])
    assert not verify_report(signed, genesis=network.view, files=found(FILES)).ok


def test_a_report_of_an_earlier_network_of_the_same_operator_fails(
    network: Any, rebuilt: Any
) -> None:
    old = sign_report(statement_of(rebuilt.name, FILES), rebuilt.operator)
    assert not verify_report(old, genesis=network.view, files=found(FILES)).ok
    with pytest.raises(ProofError, match="another network"):
        read_report(old, genesis=network.view)


def test_what_is_no_statement_fails_without_raising(network: Any) -> None:
    for token in ("x", network.manifest()):
        for genesis in (network.view, None):
            assert not verify_report(token, genesis=genesis, files={}).ok


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", "a\\b", "a/", "a b", "x" * 129]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        FileHash(path=path, sha256="0" * 64, size_bytes=0)


def test_a_path_has_128_characters_at_most() -> None:
    assert FileHash(path="x" * 128, sha256="0" * 64, size_bytes=0).path == "x" * 128


def test_files_are_listed_once_and_in_order(network: Any) -> None:
    good = statement_of(network.name, FILES)
    for files in (good.files[::-1], good.files * 2, (good.files[0], *good.files)):
        payload = good.model_dump() | {"files": [file.model_dump() for file in files]}
        with pytest.raises(ValidationError, match="once each"):
            ReportStatement.model_validate(payload)
        crafted = jws.sign(
            good.model_copy(update={"files": files}), typ=REPORT_TYP, identity=network.operator
        )
        with pytest.raises(ProofError, match="once each"):
            read_report(crafted, genesis=network.view)


def test_as_many_files_as_may_be_listed_fit_a_signed_object(network: Any) -> None:
    files = {f"blobs/{cid_of(bytes([place % 256]) * place)}": b"x" for place in range(FILES_MAX)}
    assert len(files) == FILES_MAX
    token = sign_report(statement_of(network.name, files), network.operator)
    verdict = verify_report(token, genesis=network.view, files=found(files))
    assert verdict.ok
    assert [check.name for check in verdict.checks[1:]] == [
        f"file {path}" for path in sorted(files)
    ]


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,8}(/[a-z]{1,8})?\Z"), st.binary(max_size=20)))
def test_any_set_of_files_verifies_as_itself(network: Any, files: dict[str, bytes]) -> None:
    token = sign_report(statement_of(network.name, files), network.operator)
    assert verify_report(token, genesis=network.view, files=found(files)).ok
