"""A stranger's verifier, written in JavaScript from the documents, judges reports as ours does.

It shares no line with opkit (`tests/interop/js/stranger.mjs`): what it accepts, and what it
refuses, does not rest on our own reading of our formats. Each way to forge a report that is tried
here is refused by both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import make_world
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.genesis import read_genesis
from opkit.proof.grants import task_id_of
from opkit.proof.membership import audience_of
from opkit.proof.names import home_of, make_claim
from opkit.proof.receipt import claimed_receipt
from opkit.proof.record import sign_record
from opkit.runner.folder import EVIDENCE, GENESIS_COPY, INDEX, sign_folder
from opkit.runner.verify import verify_folder
from opkit.story.record import RunRecord
from opkit.story.report import BlobRecord, CheckRecord, NameRecord
from opkit.wire.compute import RECEIPT_TYP, TASK_TYP, Manifest, Outcome, ReceiptBundle
from opkit.wire.grants import GRANT_TYP, GRANTED_TASK_TYP, Grant, GrantedManifest
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.names import NameValue, NodeTarget
from opkit.wire.records import RecordBody

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[3]
VERIFIER = ROOT / "tests/interop/js/stranger.mjs"
ZOE = "-/zoe"


def ask_stranger(genesis: str, folder: Path) -> dict[str, Any]:
    """Return what the JavaScript verifier says of a report, by this genesis."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")
    kept = folder.parent / f"{folder.name}-genesis.jws"
    kept.write_text(genesis)
    ran = subprocess.run(
        [node, str(VERIFIER), str(kept), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said: dict[str, Any] = json.loads(ran.stdout or "{}")
    assert (ran.returncode == 0) == (said.get("status") == "verified"), ran.stderr
    return said


def by_both(genesis: Any, folder: Path) -> str:
    """Return the one verdict that both verifiers give, with the stranger's reason."""
    ours = verify_folder(folder, genesis=genesis)
    theirs = ask_stranger(genesis.token, folder)
    assert theirs["status"] == ours.status, (theirs, [c.name for c in ours.failures])
    return f"{theirs['status']} {theirs['problem']}".strip()


def another_world() -> Any:
    return make_world("three", now_ms=time.time_ns() // 1_000_000)


@pytest.fixture
def folder(tmp_path, made_world, make_receipt, write) -> Path:
    return write(tmp_path / "run", made_world, make_receipt(made_world))


def test_an_honest_report_verifies(folder, made_world):
    assert by_both(made_world.view, folder) == "verified"
    assert ask_stranger(made_world.genesis, folder)["checked"] == {
        "files": 5,
        "markers": 1,
        "receipts": 1,
        "names": 0,
        "blobs": 1,
    }


@pytest.mark.timeout(240)
def test_a_report_of_the_demo_verifies_from_the_genesis_that_its_network_left(tmp_path):
    """Every proof of a real telling, by somebody who has the genesis, the folder and a browser."""
    home = tmp_path / "state"
    told = [sys.executable, "-m", "opkit.cli", "demo", "a", "b", "--out", str(tmp_path / "run")]
    environ = {**os.environ, "OPKIT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        told, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (kept,) = (home / "genesis").glob("*.jws")
    genesis = read_genesis(kept.read_text("ascii").strip())
    assert by_both(genesis, tmp_path / "run") == "verified"
    checked = ask_stranger(genesis.token, tmp_path / "run")["checked"]
    assert checked["markers"] == 27
    assert checked["names"] >= 1
    assert checked["receipts"] >= 4
    assert checked["blobs"] >= 4
    elsewhere = another_world().view
    assert by_both(elsewhere, tmp_path / "run").startswith("failed signed by")


@pytest.mark.parametrize("name", [INDEX, EVIDENCE, GENESIS_COPY, "junit.xml"])
def test_one_edited_file_fails(folder, made_world, name):
    with (folder / name).open("a") as file:
        file.write(" ")
    assert by_both(made_world.view, folder) == f"failed the file {name}"


def test_a_missing_file_and_an_extra_one_fail(folder, made_world):
    (folder / "extra.txt").write_text("more")
    assert by_both(made_world.view, folder).startswith("failed other files")
    (folder / "extra.txt").unlink()
    (folder / "junit.xml").unlink()
    assert by_both(made_world.view, folder).startswith("failed other files")


def test_a_report_forged_whole_with_own_keys_fails(tmp_path, made_world, make_receipt, write):
    forger = another_world()
    forged = write(tmp_path / "forged", forger, make_receipt(forger))
    (forged / GENESIS_COPY).write_text(made_world.genesis)
    assert by_both(made_world.view, forged).startswith("failed signed by")


def changed_run(run: RunRecord, **marker: Any) -> RunRecord:
    """Return the run with its one marker changed."""
    flow = run.flows[0]
    changed = flow.markers[0].model_copy(update=marker)
    return run.model_copy(update={"flows": (flow.model_copy(update={"markers": (changed,)}),)})


def signed_again(bundle: ReceiptBundle, key: Any, **changes: Any) -> ReceiptBundle:
    """Return the bundle with its receipt changed and signed by `key`."""
    receipt = claimed_receipt(bundle.receipt).model_copy(update=changes)
    token = jws.sign(receipt, typ=RECEIPT_TYP, identity=key)
    return bundle.model_copy(update={"receipt": token})


RECEIPTS = {
    "of another manifest": {"manifest_hash": "0" * 64},
    "of another task": {"task_id": "1" * 32},
    "of another module": {"wasm_hash": cid_of(b"other")},
    "of another input": {"input_hash": cid_of(b"other")},
    "for another member": {"aud": "-/mallory"},
    "with an output that it cannot have": {"outcome": Outcome.TRAP},
    "over its fuel": {"fuel_used": 2**52},
    "over its memory": {"memory_peak_bytes": 2**40},
    "over its output": {"output_bytes": 2**40},
    "over its time": {"time_used_us": 2**50},
    "that ends before it starts": {"ended_at_ms": 1},
    "that starts a chain and has a previous": {"previous": "0" * 64},
    "that starts no chain and has no previous": {"sequence": 2},
}
"""Receipts that the executor signed and that do not hold."""


@pytest.mark.parametrize("changes", RECEIPTS.values(), ids=RECEIPTS.keys())
def test_a_receipt_that_does_not_hold_fails_though_everybody_signed(
    tmp_path, made_world, make_receipt, make_run, write, changes
):
    node = next(iter(made_world.nodes.values()))
    bundle = signed_again(make_receipt(made_world), node, **changes)
    forged = write(tmp_path / "forged", made_world, bundle)
    assert by_both(made_world.view, forged).startswith("failed")


def test_a_receipt_by_who_is_no_node_or_for_who_is_no_member_fails(
    tmp_path, made_world, make_receipt, write
):
    mine, stranger = make_receipt(made_world), another_world()
    operator = made_world.operator
    bundles = {
        "world": make_receipt(stranger),
        "executor": signed_again(mine, operator, executor=operator.did),
        "key": signed_again(mine, operator),
        "member": resubmitted(made_world, mine, member_id=ZOE, key=operator, records=()),
    }
    for name, bundle in bundles.items():
        forged = write(tmp_path / name, made_world, bundle)
        assert by_both(made_world.view, forged).startswith("failed"), name


def resubmitted(
    world: Any, bundle: ReceiptBundle, *, member_id: str, key: Any, records: tuple[str, ...]
) -> ReceiptBundle:
    """Return a bundle as if this member had submitted the task, with these membership records."""
    claimed = Manifest.model_validate(jws.peek(bundle.manifest).payload)
    manifest = jws.sign(
        claimed.model_copy(update={"member_id": member_id}), typ=TASK_TYP, identity=key
    )
    node = next(iter(world.nodes.values()))
    cited = {"manifest_hash": jws.record_id(manifest), "aud": member_id}
    whole = bundle.model_copy(update={"manifest": manifest, "records": records})
    return signed_again(whole, node, **cited)


def chain(world: Any, *steps: tuple[str, Any, int]) -> tuple[str, ...]:
    """Return the operator's records about a member of no coop: action, key and sequence of each."""
    return tuple(
        jws.sign(
            MemberRecord(
                network=world.view.network,
                aud=audience_of(ZOE),
                action=action,
                member_id=ZOE,
                name="Zoe",
                title="",
                did=key.did,
                roles=("member",),
                sequence=sequence,
                issued_at_ms=1,
            ),
            typ=MEMBER_TYP,
            identity=world.operator,
        )
        for action, key, sequence in steps
    )


def test_a_members_records_are_followed_as_we_follow_them(
    tmp_path, made_world, make_receipt, write
):
    """No later change undoes a receipt, and no record may be left out, forged or reordered."""
    mine = make_receipt(made_world)
    old, new = (next(iter(another_world().members.values())) for _ in range(2))
    added, rekeyed, revoked = ("add", old, 1), ("add", new, 2), ("revoke", new, 3)
    chains: dict[str, tuple[str, Any, tuple[Any, ...]]] = {
        "added": ("verified", old, (added,)),
        "rekeyed": ("verified", new, (added, rekeyed)),
        "before-rekey": ("verified", old, (added, rekeyed)),
        "revoked-later": ("verified", new, (added, rekeyed, revoked)),
        "too-early": ("failed", new, (added,)),
        "gap": ("failed", new, (rekeyed,)),
        "revokes-another-key": ("failed", old, (added, ("revoke", new, 2))),
    }
    for name, (expected, key, steps) in chains.items():
        records = chain(made_world, *steps)
        bundle = resubmitted(made_world, mine, member_id=ZOE, key=key, records=records)
        folder = write(tmp_path / name, made_world, bundle)
        assert by_both(made_world.view, folder).split()[0] == expected, name


def granted(
    world: Any, bundle: ReceiptBundle, grant: dict[str, Any], task: dict[str, Any], by: int = 0
) -> ReceiptBundle:
    """Return a bundle as if a node had submitted the task under a member's grant, both changed."""
    (member_id, key), nodes = next(iter(world.members.items())), tuple(world.nodes.values())
    claimed = Manifest.model_validate(jws.peek(bundle.manifest).payload)
    given = Grant(
        network=world.view.network,
        aud=nodes[0].did,
        member_id=member_id,
        did=key.did,
        fuel_max=claimed.limits.fuel,
        tasks_max=2,
        issued_at_ms=claimed.issued_at_ms,
        lapses_at_ms=claimed.expires_at_ms,
    ).model_copy(update=grant)
    token = jws.sign(given, typ=GRANT_TYP, identity=key)
    said = {"member_id": member_id, "place": 2, "grant": token}
    said["task_id"] = task_id_of(jws.record_id(token), 2)
    manifest = GrantedManifest.model_validate(claimed.model_dump() | said | task)
    signed = jws.sign(manifest, typ=GRANTED_TASK_TYP, identity=nodes[by])
    cited = {"manifest_hash": jws.record_id(signed), "aud": manifest.member_id}
    return signed_again(
        bundle.model_copy(update={"manifest": signed}),
        nodes[0],
        **cited,
        task_id=manifest.task_id,
    )


def test_a_task_under_a_members_grant_is_judged_as_we_judge_it(
    tmp_path, made_world, make_receipt, write
):
    mine = make_receipt(made_world)
    claimed = Manifest.model_validate(jws.peek(mine.manifest).payload)
    later, other = claimed.issued_at_ms + 1, next(iter(another_world().members.values()))
    cases: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
        "verified": ({}, {}, 0),
        "verified for its module": ({"module": claimed.wasm_hash}, {}, 0),
        "failed: by another node": ({}, {}, 1),
        "failed: another module": ({"module": cid_of(b"other")}, {}, 0),
        "failed: more fuel": ({"fuel_max": claimed.limits.fuel - 1}, {}, 0),
        "failed: a place too many": ({"tasks_max": 1}, {}, 0),
        "failed: another place": ({}, {"place": 1}, 0),
        "failed: for another member": ({}, {"member_id": list(made_world.members)[1]}, 0),
        "failed: before it was granted": ({"issued_at_ms": later}, {}, 0),
        "failed: longer than granted": ({"lapses_at_ms": claimed.expires_at_ms - 1}, {}, 0),
        "failed: another key's": ({"did": other.did}, {}, 0),
    }
    for number, (name, changes) in enumerate(cases.items()):
        bundle = granted(made_world, mine, *changes)
        folder = write(tmp_path / f"{number}", made_world, bundle)
        assert by_both(made_world.view, folder).split()[0] == name.split()[0].rstrip(":"), name


def test_a_name_is_held_by_its_home_alone(tmp_path, made_world, make_receipt, make_run, write):
    bundle = make_receipt(made_world)
    home, other = tuple(made_world.nodes.values())[:2]
    member_id, member = next(iter(made_world.members.items()))
    name = f"lathe.{member_id.partition('/')[0]}"
    claim = make_claim(
        member,
        network=made_world.view.network,
        name=name,
        member_id=member_id,
        target=NodeTarget(node=home.did),
        at_ms=1,
        term_ms=1_000,
    )
    assert home_of(name, genesis=made_world.view) == home.did
    for owner, expected in ((home, "verified"), (other, "failed")):
        body = RecordBody(
            network=made_world.view.network,
            aud="name",
            name=name,
            owner=owner.did,
            sequence=1,
            issued_at_ms=1,
            lapses_at_ms=1_001,
            value=NameValue(claim=claim).model_dump(mode="json"),
        )
        proof = NameRecord(record=sign_record(body, owner))
        run = changed_run(make_run(made_world, bundle), proofs=(proof,))
        folder = write(tmp_path / expected, made_world, bundle, flows=run.flows)
        assert by_both(made_world.view, folder).split()[0] == expected


FALSE_RUNS: dict[str, Callable[[RunRecord], RunRecord]] = {
    "interrupted": lambda run: run.model_copy(update={"interrupted": True}),
    "a marker without evidence": lambda run: changed_run(run, evidence={}, checks=()),
    "a marker that rests on facts alone": lambda run: changed_run(run, checks=()),
    "a marker whose check failed": lambda run: changed_run(
        run, checks=(CheckRecord(name="loaves", ok=False, expected="3", actual="0"),)
    ),
    "a marker that was not shown": lambda run: changed_run(run, ok=False),
    "another marker than planned": lambda run: changed_run(run, name="BREAD_BAKED"),
    "another network": lambda run: run.model_copy(update={"network": "a" * 26}),
    "no flow": lambda run: run.model_copy(update={"flows": ()}),
    "bytes under another name": lambda run: changed_run(
        run, proofs=(BlobRecord(cid=cid_of(b"x"), path=f"blobs/{cid_of(b'flour')}"),)
    ),
    "bytes that are missing": lambda run: changed_run(
        run, proofs=(BlobRecord(cid=cid_of(b"x"), path=f"blobs/{cid_of(b'x')}"),)
    ),
    "a node of another network": lambda run: run.model_copy(
        update={
            "nodes": (run.nodes[0].model_copy(update={"did": another_world().operator.did}),),
        }
    ),
}
"""What a run may claim falsely though the operator signs it."""


@pytest.mark.parametrize("change", FALSE_RUNS.values(), ids=FALSE_RUNS.keys())
def test_a_run_that_claims_what_it_does_not_show_fails_though_it_is_signed(
    tmp_path, made_world, make_receipt, make_run, write, change
):
    bundle = make_receipt(made_world)
    false = change(make_run(made_world, bundle))
    forged = write(
        tmp_path / "run", made_world, bundle, **{name: getattr(false, name) for name in changed()}
    )
    assert by_both(made_world.view, forged).startswith("failed")


def changed() -> tuple[str, ...]:
    """Return the fields of a run that `FALSE_RUNS` change."""
    return ("interrupted", "flows", "network", "nodes")


def test_a_page_that_shows_other_evidence_fails_though_it_is_signed(folder, made_world):
    said = json.loads((folder / EVIDENCE).read_text())
    said["seed"] = 8
    (folder / EVIDENCE).write_text(json.dumps(said))
    sign_folder(folder, RunRecord.model_validate(said), operator=made_world.operator)
    assert by_both(made_world.view, folder) == "failed the page shows another run"


def test_a_genesis_whose_charters_its_founders_did_not_sign_is_none(folder, made_world):
    """The stranger reads the genesis that they keep as carefully as all that rests on it."""
    genesis = made_world.view.genesis
    first, *rest = genesis.charters
    for signatures in (first.signatures[1:], first.signatures[::-1], rest[0].signatures):
        false = first.model_copy(update={"signatures": signatures})
        changed = genesis.model_copy(update={"charters": (false, *rest)})
        token = jws.sign(changed, typ="opkit-genesis+jws", identity=made_world.operator)
        assert ask_stranger(token, folder)["status"] == "failed"
