"""`opkit ledger`: a coop's double-entry ledger: read it, post to it, check all of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.address import Address, addressed
from opkit.cli.failing import Mistake
from opkit.cli.ledgers import ROWS_MAX, Coop, Unit, call, day_ms, path_of
from opkit.cli.listing import first

if TYPE_CHECKING:
    from opkit.client.ledger import LedgerCalls, StatementLine
    from opkit.wire.ledger import AccountView, Entry, Position, TrialBalance

MEMO_SHOWN = 48

app = out.group(
    """A coop's ledger: entries that sum to zero, kept by its home node and by no other.

    An account is a path within its coop: member/theo, reserve, due/brightworks-cooperative. Amounts
    are whole numbers of a unit's smallest step: 12000 usd-cents is 120.00 $. An entry is never
    altered; `post --corrects` puts one right by another.

    Examples:

      opkit ledger history

      opkit ledger position theo

      opkit ledger audit
    """
)

EntryArgument = Annotated[str, typer.Argument(help="The entry's id, or its hash.")]


@app.command()
@addressed
def history(
    address: Address,
    *,
    member: Annotated[str, typer.Option(help="Only what touches accounts of this member.")] = "",
    account: Annotated[str, typer.Option(help="Only what touches this account.")] = "",
    cause: Annotated[
        str, typer.Option(help="Only what this decision, hold … caused: its id.")
    ] = "",
    unit: Annotated[str, typer.Option(help="Only entries of this unit.")] = "",
    since: Annotated[str, typer.Option(help="From the beginning of this day, 2026-01-31.")] = "",
    until: Annotated[str, typer.Option(help="Up to the end of this day.")] = "",
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest first.")] = False,
    entries_max: Annotated[int, typer.Option("--max", min=1, max=ROWS_MAX, help="How many.")] = 50,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """List entries, the newest first.

    Examples:
      opkit ledger history --max 10

      opkit ledger history --member theo --unit commons-credits --since 2026-01-01

      opkit ledger history --account equity/opening --oldest --json
    """

    async def read(ledger: LedgerCalls) -> list[Entry]:
        entries = ledger.history(
            member=_member_of(member, ledger.coop),
            account=account,
            cause=cause,
            unit=unit,
            newest_first=not oldest,
            page=min(entries_max, 500),
            **({"from_ms": day_ms(since)} if since else {}),
            **({"to_ms": day_ms(until, after=True)} if until else {}),
        )
        return await first(entries, entries_max)

    entries = call(address, coop, read)
    none = "no such entry: opkit ledger accounts shows what there is"
    out.show(
        {"entries": [entry.model_dump(mode="json") for entry in entries]},
        as_json=as_json,
        human=lambda on: _show_entries(on, entries, none=none),
    )
    return exits.DONE


@app.command()
@addressed
def entry(
    address: Address, named: EntryArgument, coop: Coop = "", as_json: out.Json = False
) -> int:
    """Show one entry with all of its postings, and what it is for.

    Example: opkit ledger entry fee
    """
    found = call(address, coop, lambda ledger: ledger.entry(named))

    def human(on: Any) -> None:
        _show_entries(on, [found])
        out.facts(on, _entry_facts(found))

    out.show(found.model_dump(mode="json"), as_json=as_json, human=human)
    return exits.DONE


@app.command()
@addressed
def position(
    address: Address,
    member: Annotated[str, typer.Argument(help="A member's id or key; default: yours.")] = "",
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Show what a member has, and what of it holds set aside. An old key finds its member too.

    Examples:
      opkit ledger position

      opkit ledger position theo --json
    """

    async def read(ledger: LedgerCalls) -> Position:
        return await ledger.position(_member_of(member, ledger.coop) or await ledger.member_id())

    found = call(address, coop, read)

    def human(on: Any) -> None:
        out.facts(on, {"member": found.member_id, "key": found.did})
        _show_accounts(on, found.accounts, none="nothing was ever posted to this member's accounts")
        out.facts(on, {"as of entry": found.sequence})

    out.show(found.model_dump(mode="json"), as_json=as_json, human=human)
    return exits.DONE


@app.command()
@addressed
def accounts(
    address: Address,
    prefix: Annotated[str, typer.Option(help="How their paths begin, such as `member/`.")] = "",
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """List accounts: balance, what is held, what is available, and their floors.

    Examples:
      opkit ledger accounts

      opkit ledger accounts --prefix member/
    """

    async def read(ledger: LedgerCalls) -> list[AccountView]:
        return await first(ledger.accounts(prefix=prefix), ROWS_MAX)

    found = call(address, coop, read)
    out.show(
        {"accounts": [each.model_dump(mode="json") for each in found]},
        as_json=as_json,
        human=lambda on: _show_accounts(
            on, found, none="nothing was posted there yet: opkit ledger post --help"
        ),
    )
    return exits.DONE


@app.command("trial-balance")
@addressed
def trial_balance(address: Address, coop: Coop = "", as_json: out.Json = False) -> int:
    """Add up all accounts: the sum of each unit must read zero, else exit code 1.

    Example: opkit ledger trial-balance
    """
    found = call(address, coop, lambda ledger: ledger.trial_balance())

    def human(on: Any) -> None:
        _show_balance(on, found)

    out.show(found.model_dump(mode="json"), as_json=as_json, human=human)
    return exits.FAILED if any(each.sum for each in found.units) else exits.DONE


@app.command()
@addressed
def statement(
    address: Address,
    account: Annotated[str, typer.Argument(help="The account's path, such as member/theo.")],
    unit: Unit = "usd-cents",
    since: Annotated[str, typer.Option(help="From the beginning of this day, 2026-01-31.")] = "",
    until: Annotated[str, typer.Option(help="Up to the end of this day.")] = "",
    to: Annotated[Path | None, typer.Option("--out", help="Write it as CSV to this file.")] = None,
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Show an account's statement, oldest first, with the balance after each entry; or write it.

    Examples:
      opkit ledger statement member/theo

      opkit ledger statement equity/opening --out opening.csv
    """
    asked: dict[str, Any] = {"unit": unit}
    if since:
        asked["from_ms"] = day_ms(since)
    if until:
        asked["to_ms"] = day_ms(until, after=True)
    if to is not None:
        size = call(address, coop, lambda ledger: _write(ledger, account, asked, to))
        said = {"written to": str(to), "size": f"{size:,} bytes"}
        document = {"file": str(to), "size_bytes": size}
        out.show(document, as_json=as_json, human=lambda on: out.facts(on, said))
        return exits.DONE
    lines = call(address, coop, lambda ledger: ledger.statement(account, **asked))
    out.show(
        {"lines": [vars(line) for line in lines]},
        as_json=as_json,
        human=lambda on: _show_statement(on, lines, unit),
    )
    return exits.DONE


@app.command()
@addressed
def post(
    address: Address,
    entry_id: Annotated[
        str, typer.Argument(help="The entry's id, for good: posting it again posts nothing twice.")
    ],
    *,
    line: Annotated[
        list[str] | None,
        typer.Option(help="account=amount, once for each; they sum to zero. Or --from and --to."),
    ] = None,
    from_account: Annotated[str, typer.Option("--from", help="The account that gives.")] = "",
    to_account: Annotated[str, typer.Option("--to", help="The account that gets.")] = "",
    amount: Annotated[int, typer.Option(min=0, help="How much, in the unit's smallest step.")] = 0,
    unit: Unit = "usd-cents",
    memo: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    corrects: Annotated[str, typer.Option(help="The id or hash of the entry it puts right.")] = "",
    on_day: Annotated[str, typer.Option("--on", help="The day to which it belongs.")] = "",
    coop: Coop = "",
    as_json: out.Json = False,
) -> int:
    """Post an entry. Your own account you may debit; those of the coop an officer; none a treasury.

    Examples:
      opkit ledger post fee --from equity/opening --to member/theo --amount 12000

      opkit ledger post tea --line member/theo=-300 --line income=300 --as theo
    """
    amounts = _amounts(line or [], from_account, to_account, amount)

    async def do(ledger: LedgerCalls) -> Entry:
        right = (await ledger.entry(corrects)).hash if corrects else None
        return await ledger.post(
            amounts,
            entry_id=entry_id,
            unit=unit,
            memo=memo,
            corrects=right,
            effective_on=on_day or None,
        )

    posted = call(address, coop, do)

    def human(on: Any) -> None:
        _show_entries(on, [posted])
        out.facts(on, {"hash": posted.hash})

    out.show(posted.model_dump(mode="json"), as_json=as_json, human=human)
    return exits.DONE


@app.command()
@addressed
def audit(
    address: Address,
    coop: Coop = "",
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Read a whole ledger and check it: hashes, sums, floors, rights, decisions, and the journal.

    The last entry is tied to the journal's head, which the home node signs: what was audited cannot
    be altered afterwards without a proof of it. Exit code 4 if all holds but no genesis says whose
    ledger it is.

    Examples:
      opkit ledger audit

      opkit ledger audit --coop brightworks-cooperative --as hugo --verbose
    """
    from opkit.client.auditing import audit_ledger

    if coop and address.url is None and address.org is None:
        address = replace(address, org=coop)
    target = address.resolve(default_speaker="operator" if address.token is None else None)
    genesis = anchors.anchor(address.genesis, network=target.network)

    async def run() -> Any:
        async with target.client() as client:
            client.genesis = genesis
            whose = coop or _coop_of(target.did, genesis) or (await client.member_id())
            return await audit_ledger(client, whose.partition("/")[0], genesis=genesis)

    audited = asyncio.run(run())
    about: dict[str, object] = {"entries": f"{audited.sequence:,}", "last hash": audited.hash}
    about |= {
        unit: f"{total.accounts:,} accounts, sum {total.sum}"
        for unit, total in audited.totals.items()
    }
    return anchors.answer(audited.verdict, as_json=as_json, verbose=verbose, about=about)


def _coop_of(did: str, genesis: Any) -> str:
    """Return the coop whose node this is, as far as is known here."""
    node = None if genesis is None else genesis.node(did)
    return "" if node is None or node.coop is None else str(node.coop)


def _member_of(named: str, coop: str) -> str:
    """Return a member's id: a name alone is one of the coop's."""
    plain = not named or "/" in named or named.startswith("did:")
    return named if plain else f"{coop}/{named}"


def _amounts(lines: list[str], from_account: str, to_account: str, amount: int) -> dict[str, int]:
    """Return what each account gets or gives.

    Raises:
        Mistake: it is said in neither way, or in both.
    """
    moves = bool(from_account or to_account or amount)
    if moves == bool(lines) or (moves and not (from_account and to_account and amount)):
        raise Mistake(
            "an entry has --from, --to and --amount, or a --line for each account",
            hint="--line account=amount, negative for who gives",
        )
    if moves:
        return {from_account: -amount, to_account: amount}
    amounts: dict[str, int] = {}
    for line in lines:
        account, _, said = line.rpartition("=")
        digits = said.removeprefix("-")
        if not account or not (digits.isascii() and digits.isdigit()) or account in amounts:
            raise Mistake(f"{line!r} is no line", hint="account=amount, each account once")
        amounts[account] = int(said)
    return amounts


async def _write(ledger: LedgerCalls, account: str, asked: dict[str, Any], to: Path) -> int:
    """Write a statement page by page; return how long it is, in bytes."""
    size = 0
    pages = ledger.statement_pages(account, **asked)
    first = await anext(pages)  # A file is made only if there is something to write.
    with to.open("wb") as file:
        size += file.write(first)
        async for page in pages:
            size += file.write(page)
    return size


def _show_entries(on: Any, entries: list[Entry], *, none: str = "") -> None:
    from opkit.views.money import amount_text

    rows = []
    for each in entries:
        for number, posting in enumerate(each.postings):
            first = number == 0
            rows.append(
                (
                    str(each.sequence) if first else "",
                    out.moment(each.world_ms)[:16] if first else "",
                    out.plain(each.entry_id) if first else "",
                    out.plain(path_of(posting.account)),
                    amount_text(posting.amount, posting.unit),
                    _about(each) if first else "",
                )
            )
    headings = ("entry", "recorded", "id", "account", "amount", "about")
    out.table(on, headings, rows, none=none)


def _about(entry: Entry) -> str:
    memo = out.plain(entry.memo)
    short = memo if len(memo) <= MEMO_SHOWN else f"{memo[: MEMO_SHOWN - 1]}…"
    kind = "" if entry.kind == "ordinary" else f"[{entry.kind}] "
    return f"{kind}{short}"


def _entry_facts(entry: Entry) -> dict[str, object]:
    cause = "" if entry.cause is None else f"{entry.cause.kind} {entry.cause.id}"
    return {
        "kind": entry.kind,
        "by": entry.by,
        "memo": entry.memo,
        "cause": cause,
        "corrects": entry.corrects,
        "effective on": entry.effective_on,
        "recorded_at_ms": entry.recorded_ms,
        "hash": entry.hash,
        "previous": entry.previous,
    }


def _show_accounts(on: Any, accounts: Any, *, none: str) -> None:
    from opkit.views.money import amount_text, unit_name

    rows = [
        (
            out.plain(path_of(each.account)) + (" (closed)" if each.closed else ""),
            unit_name(each.unit),
            amount_text(each.balance, each.unit),
            amount_text(each.held, each.unit) if each.held else "",
            amount_text(each.available, each.unit),
            amount_text(each.floor, each.unit) if each.floor else "0",
        )
        for each in accounts
    ]
    headings = ("account", "unit", "balance", "held", "available", "floor")
    out.table(on, headings, rows, none=none)


def _show_balance(on: Any, found: TrialBalance) -> None:
    from opkit.views.money import amount_text

    groups = [
        (out.plain(each.group), f"{each.accounts:,}", amount_text(each.balance, each.unit))
        for each in found.groups
    ]
    out.table(on, ("accounts", "how many", "balance"), groups, none="nothing was posted yet")
    for each in found.units:
        told = "" if each.sum == 0 else ": THE LEDGER IS BROKEN"
        gets, gives = amount_text(each.positive, each.unit), amount_text(each.negative, each.unit)
        on.print(
            f"{each.unit}: {gets} and {gives}, sum {amount_text(each.sum, each.unit)}{told}",
            markup=False,
        )
    out.facts(on, {"as of entry": found.sequence, "all added up to": found.checked_sequence})


def _show_statement(on: Any, lines: list[StatementLine], unit: str) -> None:
    from opkit.views.money import amount_text

    rows = [
        (
            str(line.sequence),
            out.plain(line.recorded_at),
            out.plain(line.entry_id),
            amount_text(line.amount, unit),
            amount_text(line.balance, unit),
            out.plain(line.memo),
        )
        for line in lines
    ]
    headings = ("entry", "recorded", "id", "amount", "balance", "about")
    out.table(on, headings, rows, none="no entry in that time")
