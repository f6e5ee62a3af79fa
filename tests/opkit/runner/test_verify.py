"""A run folder is verified on any machine, and every way to change it is noticed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time

import pytest

from devnet.genesis import make_world
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.runner import verify
from opkit.runner.folder import EVIDENCE, GENESIS_COPY, INDEX, SIGNATURE, sign_folder
from opkit.runner.secrets import secrets_in
from opkit.runner.verify import SIGNATURE_BYTES_MAX, verify_folder
from opkit.story.record import RunRecord
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.membership import TOKEN_TYP, TokenClaims

FLOUR = b"flour"


@pytest.fixture
def folder(tmp_path, made_world, make_receipt, write):
    """A small run folder of a real network, signed by its operator."""
    return write(tmp_path / "run", made_world, make_receipt(made_world))


def failures(verdict) -> str:
    return "; ".join(check.name for check in verdict.failures)


def test_an_honest_folder_verifies(folder, made_world):
    verdict = verify_folder(folder, genesis=made_world.view)

    assert verdict.status == "verified", failures(verdict)
    names = {check.name for check in verdict.checks}
    assert "t DOUGH_MADE: bytes" in names
    assert any(name.startswith("t DOUGH_MADE: receipt, ") for name in names)


def test_without_a_genesis_it_is_consistent_at_most(folder):
    assert verify_folder(folder, genesis=None).status == "consistent, signer unknown"


def test_a_folder_on_another_machine_verifies_by_the_genesis_alone(folder, made_world, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)

    assert verify_folder(moved, genesis=made_world.view).ok


def test_a_report_forged_whole_with_own_keys_fails(tmp_path, made_world, make_receipt, write):
    forger = make_world("three", now_ms=time.time_ns() // 1_000_000)
    forged = write(tmp_path / "forged", forger, make_receipt(forger))

    assert verify_folder(forged, genesis=forger.view).ok
    assert verify_folder(forged, genesis=made_world.view).status == "failed"


def test_a_forged_report_with_the_true_genesis_copied_into_it_fails(
    tmp_path, made_world, make_receipt, write
):
    forger = make_world("three", now_ms=time.time_ns() // 1_000_000)
    forged = write(tmp_path / "forged", forger, make_receipt(forger))
    (forged / GENESIS_COPY).write_text(made_world.genesis)

    assert verify_folder(forged, genesis=made_world.view).status == "failed"


@pytest.mark.parametrize("name", [INDEX, EVIDENCE, GENESIS_COPY, "junit.xml"])
def test_one_edited_file_fails_and_is_named(folder, made_world, name):
    with (folder / name).open("a") as file:
        file.write(" ")

    verdict = verify_folder(folder, genesis=made_world.view)

    assert verdict.status == "failed"
    assert failures(verdict).split("; ")[0] == f"file {name}"


def test_a_missing_file_and_an_extra_one_fail(folder, made_world):
    (folder / "junit.xml").unlink()
    (folder / "extra.txt").write_text("more")

    names = failures(verify_folder(folder, genesis=made_world.view))

    assert "file junit.xml" in names
    assert "file extra.txt" in names


def test_a_link_in_the_folder_fails(folder, made_world):
    (folder / "link").symlink_to(folder / INDEX)

    assert verify_folder(folder, genesis=made_world.view).status == "failed"


def test_a_folder_without_a_signature_or_evidence_fails(folder, made_world, tmp_path):
    assert verify_folder(tmp_path / "nothing", genesis=made_world.view).status == "failed"
    (folder / EVIDENCE).unlink()
    assert "evidence" in failures(verify_folder(folder, genesis=made_world.view))
    (folder / SIGNATURE).unlink()
    assert verify_folder(folder, genesis=made_world.view).status == "failed"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda path: None, "it holds no report.jws", id="nothing"),
        pytest.param(lambda path: path.mkdir(), "report.jws is no file", id="a folder"),
        pytest.param(os.mkfifo, "report.jws is no file", id="a pipe"),
        pytest.param(
            lambda path: path.symlink_to(INDEX), "report.jws is no file", id="a link to another"
        ),
        pytest.param(
            lambda path: path.write_bytes(b"a" * (SIGNATURE_BYTES_MAX + 1)),
            "report.jws is longer than a statement can be",
            id="too long",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\xff"),
            "report.jws is no signed statement",
            id="no text",
        ),
    ],
)
def test_what_stands_in_a_signatures_place_is_told_in_words(folder, made_world, spoil, said):
    (folder / SIGNATURE).unlink()
    spoil(folder / SIGNATURE)

    verdict = verify_folder(folder, genesis=made_world.view)

    assert [(one.name, one.actual) for one in verdict.failures] == [("readable", said)]


def test_what_the_system_refuses_is_told_in_words(folder, made_world, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path / EVIDENCE))

    monkeypatch.setattr(verify, "files_of", refuse)

    (failed,) = verify_folder(folder, genesis=made_world.view).failures
    assert failed.actual == "evidence.json: Permission denied"


def test_evidence_that_does_not_add_up_fails_although_it_is_signed(
    tmp_path, made_world, make_receipt, write, make_run
):
    bundle = make_receipt(made_world)
    flow = make_run(made_world, bundle).flows[0].model_copy(update={"markers": ()})

    path = write(tmp_path / "run", made_world, bundle, flows=(flow,))

    assert "evidence adds up" in failures(verify_folder(path, genesis=made_world.view))


def test_evidence_of_a_newer_version_is_refused_by_its_number(folder, made_world):
    said = json.loads((folder / EVIDENCE).read_text())
    assert said["version"] == 1
    (folder / EVIDENCE).write_text(json.dumps(said | {"version": 2, "more": 1}))
    sign_folder(folder, RunRecord.model_validate(said), operator=made_world.operator)

    (failed,) = verify_folder(folder, genesis=made_world.view).failures

    assert failed.name == "evidence"
    assert failed.actual.startswith("it is of version 2, and this opkit knows up to 1 (run the")


def test_a_page_that_shows_other_evidence_fails_although_it_is_signed(folder, made_world):
    said = json.loads((folder / EVIDENCE).read_text())
    said["seed"] = 8
    (folder / EVIDENCE).write_text(json.dumps(said))
    run = RunRecord.model_validate(said)
    sign_folder(folder, run, operator=made_world.operator)

    assert failures(verify_folder(folder, genesis=made_world.view)) == (
        "index.html shows this evidence"
    )


def test_a_receipt_of_a_stranger_fails_although_the_folder_is_signed(
    tmp_path, made_world, make_receipt, write
):
    stranger = make_world("three", now_ms=time.time_ns() // 1_000_000)

    path = write(tmp_path / "run", made_world, make_receipt(stranger))

    assert "receipt" in failures(verify_folder(path, genesis=made_world.view))


def test_bytes_under_a_wrong_name_fail_although_the_folder_is_signed(folder, made_world):
    (folder / "blobs" / cid_of(FLOUR)).write_bytes(b"sawdust")
    run = RunRecord.model_validate_json((folder / EVIDENCE).read_bytes())
    sign_folder(folder, run, operator=made_world.operator)

    assert failures(verify_folder(folder, genesis=made_world.view)) == "t DOUGH_MADE: bytes"


def test_nodes_that_are_not_of_the_network_fail(
    tmp_path, made_world, make_receipt, write, make_run
):
    stranger = make_world("three", now_ms=time.time_ns() // 1_000_000)
    nodes = make_run(stranger, make_receipt(stranger)).nodes

    path = write(tmp_path / "run", made_world, make_receipt(made_world), nodes=nodes)

    assert failures(verify_folder(path, genesis=made_world.view)) == "nodes are of the network"


def test_the_search_for_secrets_finds_them_in_every_spelling(tmp_path, made_world):
    from opkit.proof import jws

    seed = made_world.operator.seed
    member_id, member = next(iter(made_world.members.items()))
    claims = TokenClaims(
        network=made_world.view.network,
        aud=member.did,
        member_id=member_id,
        did=member.did,
        scopes=(),
        issued_at_ms=1,
        expires_at_ms=2,
        token_id="0" * 32,
    )
    (tmp_path / "raw").write_bytes(b"x" + seed + b"x")
    (tmp_path / "hex").write_text(seed.hex())
    (tmp_path / "token").write_text(jws.sign(claims, typ=TOKEN_TYP, identity=member))
    (tmp_path / "clean").write_text(made_world.genesis)

    found = secrets_in(tmp_path, seeds=[seed])

    assert [each.split(":")[0] for each in found] == ["hex", "raw", "token"]
    assert seed.hex() not in "".join(found)
    assert secrets_in(tmp_path, tokens=["nothing"]) == (f"token: an object of type {TOKEN_TYP}",)


def test_a_report_counts_the_witnesses_of_each_journal_and_none_that_is_none(
    tmp_path, made_world, make_receipt, make_run, write
):
    bundle = make_receipt(made_world)
    (node,) = make_run(made_world, bundle).nodes
    others = {org: who for org, who in made_world.nodes.items() if org != node.org}
    one, other = others.values()
    words = (witness_of(made_world, one, node.did), witness_of(made_world, other, node.did))
    seen = node.model_copy(update={"witnessed": words})
    honest = write(tmp_path / "honest", made_world, bundle, nodes=(seen,))

    assert verify_folder(honest, genesis=made_world.view).ok
    assert "2 witnesses of its journal" in (honest / INDEX).read_text("utf-8")

    strangers = (witness_of(made_world, Identity.generate(), node.did), words[0], words[0])
    for number, claimed in enumerate((strangers[:2], strangers[1:])):
        update = {"witnessed": claimed}
        nodes = (node.model_copy(update=update),)
        forged = write(tmp_path / f"forged{number}", made_world, bundle, nodes=nodes)
        verdict = verify_folder(forged, genesis=made_world.view)
        assert failures(verdict) == f"{node.org}: witnesses of its journal"


def witness_of(world, owner, node):
    """Return a record by which somebody countersigns a head of a node's journal."""
    (signer,) = [who for who in world.nodes.values() if who.did == node]
    head = JournalHead(
        network=world.view.network,
        aud="journal",
        node=node,
        generation=1,
        size=3,
        root="1" * 64,
        hash="2" * 64,
        issued_at_ms=5,
    )
    return make_record(
        owner,
        network=world.view.network,
        namespace="head",
        name=node,
        value={"head": jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=signer)},
        at_ms=9,
        term_ms=1_000,
    )
