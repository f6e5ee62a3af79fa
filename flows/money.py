"""What the flows about money share: periods of their own, balances, and entries with their proofs.

A story that uses figures up opens accounts for itself, named after the period and the telling, so
that it can be told again at once on the same network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from flows.runs import label_of
from opkit.proof import jws
from opkit.proof.checks import Check, attempt
from opkit.proof.history import read_head
from opkit.proof.ledger import check_entry, entry_hash
from opkit.story import EntryProof, World, same, wait_for_event
from opkit.wire.journal import (
    HEAD,
    INCLUSION,
    AskInclusion,
    AskJournalHead,
    ProvenEntry,
)
from opkit.wire.journal import EntryProof as JournalProof
from opkit.wire.ledger import (
    ENTRIES_PER_PAGE_MAX,
    LEDGER_ACCOUNTS,
    LEDGER_HISTORY,
    LEDGER_POST,
    LEDGER_TRIAL_BALANCE,
    AccountId,
    AskTrialBalance,
    Entry,
    EntryPosted,
    ListAccounts,
    PostEntry,
    Posting,
    ReadHistory,
)
from opkit.wire.votes import DecisionFile

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.base import MemberId, NetworkId, Slug

PERIOD = "2026-q1"
"""The fiscal period that the stories play in."""

OPENED_FROM = "equity/opening"
"""The account that a period's figures come from: its floor stands in the charter."""

_DIGITS = {"usd-cents": 2}
_SIGNS = {"usd-cents": "$", "commons-credits": "cc", "patronage-credits": "pc"}


def said(amount: int, unit: str) -> str:
    """Return an amount as people read it: `36,000.00 $`, `879 pc`."""
    digits = _DIGITS.get(unit, 0)
    whole, rest = divmod(abs(amount), 10**digits)
    point = f".{rest:0{digits}d}" if digits else ""
    minus = "\N{MINUS SIGN}" if amount < 0 else ""
    return f"{minus}{whole:,}{point} {_SIGNS.get(unit, unit)}"


def account_of(world: World, coop: Slug, root: str) -> AccountId:
    """Return an account of this telling's own period, such as its reserve."""
    return f"{coop}:{root}/{PERIOD}/{label_of(world.run_id)}"


def posting(account: AccountId, unit: str, amount: int) -> Posting:
    """Return what one account gets (positive) or gives (negative)."""
    return Posting(account=account, unit=unit, amount=amount)


async def open_period(
    world: World, *, account: AccountId, unit: str, amount: int, by: MemberId
) -> Entry:
    """Open a telling's own account with its figure, by an ordinary entry of an officer."""
    coop = coop_of(account)
    opened = PostEntry(
        coop=coop,
        entry_id=f"period-{label_of(world.run_id)}",
        postings=(
            posting(account, unit, amount),
            posting(f"{coop}:{OPENED_FROM}", unit, -amount),
        ),
        memo=f"Opening of {PERIOD}",
    )
    return await world.client(coop, by).call(LEDGER_POST, opened)


def coop_of(account: AccountId) -> Slug:
    """Return the coop whose home node keeps an account."""
    return account.partition(":")[0]


async def balance_of(client: NodeClient, account: AccountId, unit: str) -> int:
    """Return an account's balance in a unit, as its home node says; 0 for one never used."""
    coop, _, path = account.partition(":")
    page = await client.call(LEDGER_ACCOUNTS, ListAccounts(coop=coop, prefix=path))
    found = [each for each in page.accounts if (each.account, each.unit) == (account, unit)]
    return found[0].balance if found else 0


async def sums_of(client: NodeClient, coop: Slug) -> dict[str, int]:
    """Return what all balances of a ledger come to, by unit: zero each, or it is broken."""
    trial = await client.call(LEDGER_TRIAL_BALANCE, AskTrialBalance(coop=coop))
    return {total.unit: total.sum for total in trial.units}


def got(entry: Entry, account: AccountId) -> int:
    """Return what an entry gives to an account; negative for what it takes."""
    return sum(each.amount for each in entry.postings if each.account == account)


def sums_in(entries: Iterable[Entry]) -> dict[tuple[str, str], int]:
    """Return what entries come to, by account and unit: balances, computed by whoever reads."""
    sums: dict[tuple[str, str], int] = {}
    for entry in entries:
        for each in entry.postings:
            place = (each.account, each.unit)
            sums[place] = sums.get(place, 0) + each.amount
    return sums


def whole(sums: Mapping[str, int]) -> list[Check]:
    """Return the checks that a ledger's balances sum to zero in each unit."""
    return [same(f"sum of all {unit}", expected=0, actual=total) for unit, total in sums.items()]


def caused_by(entry: Entry, file: DecisionFile) -> list[Check]:
    """Return the checks that an entry is a decided one, and names the decision of this file."""
    cause = entry.cause
    return [
        same("the entry is", expected="decided", actual=entry.kind),
        same("because of a", expected="decision", actual=cause.kind if cause else "nothing"),
        same(
            "namely this one",
            expected=jws.record_id(file.decision),
            actual=cause.id if cause else "none",
        ),
        same("its hash, computed here", expected=entry_hash(entry), actual=entry.hash),
    ]


def chained(entries: Sequence[Entry], *, coop: Slug, network: NetworkId) -> Check:
    """Return the check that these are a ledger's entries from the first on, none left out."""

    def follow() -> None:
        after = None
        for entry in entries:
            check_entry(entry, network=network, coop=coop, after=after)
            after = entry

    _, check = attempt("each entry cites the one before and sums to zero", follow)
    return check


async def entries_of(client: NodeClient, coop: Slug, *, account: AccountId = "") -> list[Entry]:
    """Return all entries of a ledger in order, or those that touch an account."""
    entries: list[Entry] = []
    after = 0
    while True:
        ask = ReadHistory(coop=coop, after=after, account=account, entries_max=ENTRIES_PER_PAGE_MAX)
        page = await client.call(LEDGER_HISTORY, ask)
        entries += page.entries
        if not page.next_after:
            return entries
        after = page.next_after


async def proven(client: NodeClient, entry: Entry, *, after: str) -> EntryProof:
    """Return an entry with the proof that its ledger's home stands by it.

    The node's signed head of its journal covers the event that the entry was posted, and that names
    the entry's hash.

    Args:
        client: a client of the home node.
        entry: what it answered.
        after: a cursor of its journal from before the entry was posted.
    """
    _, journalled = await wait_for_event(
        client, EntryPosted, after=after, match=lambda event: event.hash == entry.hash
    )
    head = (await client.call(HEAD, AskJournalHead())).head
    size = read_head(head, genesis=client.genesis).size
    shown = await client.call(INCLUSION, AskInclusion(sequence=journalled.sequence, size=size))
    fields = journalled.model_dump(include=set(ProvenEntry.model_fields))
    journal = JournalProof(head=head, entry=ProvenEntry(**fields), path=shown.path)
    return EntryProof(entry=entry, journal=journal)
