"""`opkit ledger` and `opkit hold` on real nodes: posted, held, read, and all of it audited."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.launch import launch
from opkit.cli import ledger as command
from opkit.cli.failing import Mistake
from opkit.cli.ledgers import day_ms, path_of
from opkit.wire.ledger import STATEMENT_COLUMNS

Run = Callable[..., Any]
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"


def test_an_entry_is_said_by_two_accounts_or_by_lines() -> None:
    assert command._amounts([], "a", "b", 5) == {"a": -5, "b": 5}
    assert command._amounts(["a=-5", "b=5"], "", "", 0) == {"a": -5, "b": 5}
    for lines, giver, getter, amount in [
        ([], "", "", 0),
        (["a=1"], "a", "b", 1),
        ([], "a", "", 5),
        ([], "a", "b", 0),
    ]:
        with pytest.raises(Mistake, match="--line"):
            command._amounts(lines, giver, getter, amount)
    for line in ("a", "=5", "a=", "a=1.5", "a=--5", "a=٣"):
        with pytest.raises(Mistake, match="no line"):
            command._amounts([line], "", "", 0)
    with pytest.raises(Mistake, match="no line"):
        command._amounts(["a=1", "a=-1"], "", "", 0)


def test_days_begin_and_end_in_utc() -> None:
    assert day_ms("1970-01-02") == 86_400_000
    assert day_ms("1970-01-02", after=True) == 2 * 86_400_000
    with pytest.raises(Mistake, match="no day"):
        day_ms("yesterday")


def test_accounts_are_shown_by_their_paths() -> None:
    assert path_of(f"{RIVER}:member/theo") == "member/theo"
    assert path_of("member/theo") == "member/theo"


@pytest.fixture
def ready() -> Iterator[None]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name="money", profile="three", seed=7)
    try:
        launched.wait_ready()
        yield
    finally:
        launched.down()


def ok(run: Run, *arguments: object) -> Any:
    """Run a command that is to be done; return what it printed as JSON."""
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran.err
    return ran.json


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ready")
def test_money_is_posted_held_paid_read_and_audited(run: Run, tmp_path: Path) -> None:
    post, theo = ("ledger", "post"), ("--from", "member/theo")
    fee = ok(run, *post, "fee", "--from", "equity/opening", "--to", "member/theo", "--amount", 900)
    again = ok(
        run, *post, "fee", "--from", "equity/opening", "--to", "member/theo", "--amount", 900
    )
    assert again == fee, "the same id and content is answered by what stands"
    other = run(*post, "fee", "--from", "equity/opening", "--to", "member/theo", "--amount", 901)
    assert other.code == 1 and "entry-conflict" in other.err
    not_his = run(*post, "x", *theo, "--to", "income", "--amount", 1, "--as", "ines")
    assert not_his.code == 1 and "account-not-yours" in not_his.err
    too_much = run(*post, "x", *theo, "--to", "income", "--amount", 901, "--as", "theo")
    assert too_much.code == 1 and "overdrawn" in too_much.err
    elsewhere = run("ledger", "accounts", "--node", BRIGHT, "--as", "operator", "--coop", RIVER)
    assert elsewhere.code == 1 and "ledger-elsewhere" in elsewhere.err

    hold = ("hold", "create", "h1", *theo, "--to", "income", "--amount", 500, "--as", "theo")
    held = ok(run, *hold)
    assert held["state"] == "held"
    assert ok(run, *hold) == held, "asked again, it is the same hold"
    position = ok(run, "ledger", "position", "theo")["accounts"][0]
    assert (position["balance"], position["held"], position["available"]) == (900, 500, 400)
    paid = ok(run, "hold", "post", "h1", "--amount", 300, "--as", "theo")
    assert (paid["state"], paid["posted"]) == ("posted", 300)
    twice = run("hold", "void", "h1", "--as", "theo")
    assert twice.code == 1 and "hold-ended" in twice.err
    assert ok(run, "hold", "show", "h1") == paid
    assert [each["hold_id"] for each in ok(run, "hold", "list")["holds"]] == ["h1"]
    entry = ok(run, "ledger", "entry", paid["entry"])
    assert entry["cause"] == {"kind": "hold", "id": "h1"} and entry["kind"] == "bound"

    fix = ("--from", "income", "--to", "member/theo", "--amount", 300, "--corrects", "hold:h1")
    assert ok(run, *post, "sorry", *fix)["corrects"] == paid["entry"]
    entries = ok(run, "ledger", "history", "--member", "theo", "--oldest")["entries"]
    assert [each["entry_id"] for each in entries] == ["fee", "hold:h1", "sorry"]
    assert ok(run, "ledger", "trial-balance")["units"][0]["sum"] == 0
    for told in (("ledger", "history"), ("ledger", "accounts"), ("hold", "list")):
        assert run(*told).code == 0
    assert "sum 0.00 $" in run("ledger", "trial-balance").out
    check_statement(run, tmp_path / "theo.csv")
    check_audit(run)


def check_statement(run: Run, file: Path) -> None:
    lines = ok(run, "ledger", "statement", "member/theo")["lines"]
    assert [(line["amount"], line["balance"]) for line in lines] == [
        (900, 900),
        (-300, 600),
        (300, 900),
    ]
    written = ok(run, "ledger", "statement", "member/theo", "--out", file)
    assert written["size_bytes"] == file.stat().st_size
    with file.open(newline="", encoding="utf-8") as read:
        header, *rows = list(csv.reader(read))
    assert tuple(header) == STATEMENT_COLUMNS and len(rows) == len(lines)
    nothing = run("ledger", "statement", "nobody", "--out", file.with_name("none.csv"))
    assert nothing.code == 1 and "account-unknown" in nothing.err
    assert not file.with_name("none.csv").exists()


def check_audit(run: Run) -> None:
    verdict = ok(run, "ledger", "audit")
    assert verdict["status"] == "verified"
    names = {check["name"] for check in verdict["checks"]}
    assert names >= {"chain", "balanced", "floors", "rights", "journal", "tied-to-journal"}
    assert names >= {"trial-balance", "sum-zero", "journal-head-signature", "home-signed"}
    as_member = run("ledger", "audit", "--as", "ines")
    assert as_member.code == 0 and "entries: verified" in as_member.out, as_member.err
