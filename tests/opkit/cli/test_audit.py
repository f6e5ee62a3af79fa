"""`opkit audit` on real nodes: gathered with one node dead, verified, altered, reported on."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import open_world
from devnet.launch import launch
from devnet.state import load_state_of
from opkit.cli import audit as command
from opkit.proof import jws
from opkit.wire.audit import AuditFile
from opkit.wire.compute import ReceiptBundle
from opkit.wire.ledger import LEDGER_POST, Cause, PostEntry, Posting

Run = Callable[..., Any]
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
LAKES = "fingerlakes-cdn"
COOPS = {RIVER, BRIGHT, HARBOR, LAKES}


def test_what_is_none_is_a_mistake_that_says_who_writes_one(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for text in ("{}", "[", '{"version": 9}'):
        file.write_text(text, "utf-8")
        for what in ("verify", "report"):
            done = run("audit", what, file)
            assert done.code == 2 and "opkit audit gather" in done.err, done.err
    os.truncate(file, command.RECEIPT_BYTES_MAX + 1)
    done = run("audit", "gather", "--out", tmp_path / "a.json", "--receipt", file)
    assert done.code != 0 and not (tmp_path / "a.json").exists()


@pytest.fixture
def genesis() -> Iterator[Path]:
    """Hold a network of all five organisations; return its genesis."""
    launched = launch(name="audited", profile="federation", seed=7)
    try:
        launched.wait_ready()
        yield load_state_of(launched.folder).genesis
    finally:
        launched.down()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_audit_is_gathered_verified_and_reported_on(
    run: Run, genesis: Path, tmp_path: Path
) -> None:
    file = tmp_path / "audit.json"
    done = run("audit", "gather", "--as", "zuri", "--out", file, "--json")
    assert done.code == 0, done.out + done.err
    gathered = AuditFile.model_validate_json(file.read_bytes())
    assert gathered.auditor == f"{LAKES}/zuri"
    assert {each.coop for each in gathered.coops} == COOPS
    assert not [gap for each in gathered.coops for gap in each.unshown]
    assert sum(len(each.entries) for each in gathered.coops) == 10, "the demo world's history"

    check_alone_and_altered(run, file, genesis, tmp_path)
    check_report(run, file, genesis, tmp_path)
    check_receipts(run, tmp_path)
    check_one_dead(run, file, tmp_path)
    check_by_a_stranger(run, tmp_path)


def check_alone_and_altered(run: Run, file: Path, genesis: Path, folder: Path) -> None:
    """The file verifies against its genesis alone; one digit of it, and it does not."""
    assert run("audit", "verify", file, "--genesis", genesis).code == 0
    said = json.loads(file.read_text("utf-8"))
    posting = said["coops"][0]["entries"][0]["postings"][0]
    posting["amount"] += 1
    changed = folder / "changed.json"
    changed.write_text(json.dumps(said), "utf-8")
    done = run("audit", "verify", changed, "--genesis", genesis)
    assert done.code == 1 and "chain" in done.out
    assert run("audit", "report", changed, "--out", folder / "changed").code == 1
    assert "does not verify" in (folder / "changed" / "report.html").read_text("utf-8")


def check_report(run: Run, file: Path, genesis: Path, folder: Path) -> None:
    """Page, figures and evidence; made again they are the same bytes."""
    made = []
    for name in ("first", "second"):
        to = folder / name
        assert run("audit", "report", file, "--out", to, "--genesis", genesis).code == 0
        made.append({each.name: each.read_bytes() for each in to.iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"report.html", "figures.csv", "audit.json"}
    rows = list(csv.DictReader(made[0]["figures.csv"].decode().splitlines()))
    assert {row["coop"] for row in rows} == COOPS
    assert all(row["evidence"] or row["amount"] == "0" for row in rows)
    assert run("audit", "verify", folder / "first" / "audit.json").code == 0


def check_receipts(run: Run, folder: Path) -> None:
    """A receipt that no entry cites is not taken in."""
    module, receipt = folder / "a.wasm", folder / "receipt.json"
    module.write_bytes((Path(__file__).parents[3] / "wasm" / "patronage.wasm").read_bytes())
    hash_ = run("wasm", "deploy", module, "--as", "mara", "--json").json["wasm_hash"]
    submitted = ("--input", '{"surplus":1,"hours":{"a":1}}', "--receipt", receipt, "--as", "mara")
    run("compute", "submit", hash_, *submitted, "--json")
    assert receipt.exists()
    asked = ("--as", "zuri", "--coop", RIVER, "--receipt", receipt, "--out", folder / "no.json")
    done = run("audit", "gather", *asked)
    assert done.code == 2 and "no entry cites" in done.err
    assert not (folder / "no.json").exists()
    named = jws.record_id(ReceiptBundle.model_validate_json(receipt.read_bytes()).receipt)
    asyncio.run(post_bill(named))
    gap = run("audit", "gather", "--as", "zuri", "--coop", RIVER, "--out", folder / "gap.json")
    assert gap.code == 0 and f"receipt {named[:16]} (not-shown)" in gap.out
    assert run("audit", "gather", *asked).code == 0
    handed = run("audit", "verify", folder / "no.json").out
    assert f"receipt {named[:16]}" not in handed
    assert f"{HARBOR}: ledger  (not-shown)" in handed, "of whom nothing was gathered is a gap"


async def post_bill(receipt: str) -> None:
    """Have Theo book a bill for work that a receipt is of."""
    world = await open_world("audited", run_id="bill", seed=7)
    try:
        ask = PostEntry(
            coop=RIVER,
            entry_id="bill",
            postings=(
                Posting(account=f"{RIVER}:vendor/computing", unit="usd-cents", amount=25_000),
                Posting(account=f"{RIVER}:equity/opening", unit="usd-cents", amount=-25_000),
            ),
            cause=Cause(kind="receipt", id=receipt),
        )
        await world.client(RIVER, f"{RIVER}/theo").call(LEDGER_POST, ask)
    finally:
        await world.close()


def check_one_dead(run: Run, file: Path, folder: Path) -> None:
    """What a dead node would have shown is a gap with its reason; the others' books are whole."""
    assert run("devnet", "kill", "harbor").code == 0
    after = folder / "after.json"
    done = run("audit", "gather", "--as", "zuri", "--out", after)
    assert done.code == 0 and "ledger  (unreachable)" in done.out, done.out
    found = {each.coop: each for each in AuditFile.model_validate_json(after.read_bytes()).coops}
    assert {gap.why for gap in found[HARBOR].unshown} == {"unreachable"}
    assert not found[HARBOR].entries and found[BRIGHT].entries
    added = ("--coop", BRIGHT, "--add", file, "--out", after)
    assert run("audit", "gather", "--as", "zuri", *added).code == 0
    coops = AuditFile.model_validate_json(after.read_bytes()).coops
    assert {each.coop for each in coops if each.entries} >= {BRIGHT, HARBOR}, "that of before stays"
    asked = {each.coop: each.gathered_ms for each in coops}
    before = {each.coop: each for each in AuditFile.model_validate_json(file.read_bytes()).coops}
    assert asked[HARBOR] == before[HARBOR].gathered_ms, "and says when it was"
    assert (asked[BRIGHT] or 0) > (before[BRIGHT].gathered_ms or 0)


def check_by_a_stranger(run: Run, folder: Path) -> None:
    """Who is no auditor is shown nothing of another coop, and told by what refusal."""
    to = folder / "stranger.json"
    run("audit", "gather", "--as", "theo", "--coop", BRIGHT, "--out", to)
    (coop,) = AuditFile.model_validate_json(to.read_bytes()).coops
    assert {gap.why for gap in coop.unshown} == {"role-insufficient"}
    assert run("audit", "gather", "--as", "zuri", "--coop", "nobody", "--out", to).code != 0
