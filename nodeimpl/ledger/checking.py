"""Adding up a ledger when the node starts: from the last checkpoint on, every entry and posting.

The chain, the sums, the balance that stands beside each posting, and the accounts themselves: what
does not agree was changed by something else than this node, and the node does not start on it. In
full, from the first entry, the audit does it (`opkit ledger audit`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nodeimpl.kernel.errors import StoreError
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.rules import path_of
from opkit.proof import ledger as proof
from opkit.proof.checks import ProofError
from opkit.wire.base import SAFE_INT_MAX, NetworkId, Slug
from opkit.wire.ledger import Entry, Posting

ENTRIES_AT_ONCE = 200
"""How many entries are read in one snapshot."""


class LedgerDamaged(StoreError):
    """What is kept of a ledger contradicts itself."""

    hint = "something else changed the database: put back a copy that was not changed"


@dataclass(slots=True)
class _Running:
    """One ledger on its way through."""

    coop: Slug
    network: NetworkId
    last: Entry | None = None
    balances: dict[int, int] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)


async def check(store: Store, coop: Slug, *, network: NetworkId) -> int:
    """Add up a ledger from its last checkpoint on, set a new one, and return how many it checked.

    Raises:
        LedgerDamaged: it contradicts itself.
        StoreBusy: the database could not be read, or not written.
    """
    running = _Running(coop, network)
    begun = await store.read(lambda tx: _begin(tx, running))
    while await store.read(lambda tx: _step(tx, running)):
        pass
    await store.read(lambda tx: _end(tx, running))
    done = running.last.sequence if running.last else 0
    if done > begun:
        last = running.last
        assert last is not None, "something was checked"
        await store.write(
            lambda tx: tx.run(tables.PUT_CHECK, coop=coop, sequence=last.sequence, hash=last.hash)
        )
    return done - begun


def _begin(tx: Tx, running: _Running) -> int:
    """Go to the last checkpoint; return up to which entry that was."""
    row = tx.one(tables.GET_CHECK, coop=running.coop)
    if row is None:
        return 0
    sequence, digest = row
    body = tx.one(tables.BY_SEQUENCE, coop=running.coop, sequence=sequence)
    if body is None:
        raise LedgerDamaged(f"the ledger of {running.coop} lacks its entry {sequence}")
    running.last = Entry.model_validate_json(body[0])
    if running.last.hash != digest or proof.entry_hash(running.last) != digest:
        raise LedgerDamaged(f"entry {sequence} of {running.coop} is not the one that was checked")
    return int(sequence)


def _step(tx: Tx, running: _Running) -> bool:
    """Check the next entries; return whether there were any."""
    after = running.last.sequence if running.last else 0
    rows = tx.all(
        tables.ENTRIES[0],
        coop=running.coop,
        after=after,
        before=SAFE_INT_MAX,
        rows_max=ENTRIES_AT_ONCE,
    )
    expected: dict[int, list[tuple[int, int, int]]] = {}
    for _, _, body in rows:
        entry = Entry.model_validate_json(body)
        try:
            proof.check_entry(entry, network=running.network, coop=running.coop, after=running.last)
        except ProofError as bad:
            raise LedgerDamaged(f"the ledger of {running.coop}: {bad.why}") from bad
        for each in entry.postings:
            number = _number(tx, running, each)
            before = running.balances.get(number)
            if before is None:
                before = _balance_before(tx, number, entry.sequence)
            balance = running.balances[number] = before + each.amount
            expected.setdefault(number, []).append((entry.sequence, each.amount, balance))
        running.last = entry
    for number, lines in expected.items():
        found = tx.all(
            tables.POSTINGS,
            account=number,
            after=after,
            before=lines[-1][0] + 1,
            rows_max=len(lines) + 1,
        )
        if [tuple(line) for line in found] != lines:
            raise LedgerDamaged(f"postings of {running.coop} are not those of its entries")
    return bool(rows)


def _end(tx: Tx, running: _Running) -> None:
    """Compare the accounts that were touched, and the sums of all."""
    for (path, unit), number in running.numbers.items():
        row = tx.one(tables.GET_ACCOUNT, coop=running.coop, path=path.encode("ascii"), unit=unit)
        if row is None or tables.account_of(row).balance != running.balances[number]:
            raise LedgerDamaged(f"{running.coop}:{path} has not what its postings sum to")
    for unit, _, positive, negative, _ in tx.all(tables.TOTALS, coop=running.coop):
        if int(positive) + int(negative):
            raise LedgerDamaged(f"the accounts of {running.coop} do not sum to zero in {unit}")


def _number(tx: Tx, running: _Running, posting: Posting) -> int:
    name = (path_of(posting.account), posting.unit)
    found = running.numbers.get(name)
    if found is None:
        row = tx.one(
            tables.GET_ACCOUNT, coop=running.coop, path=name[0].encode("ascii"), unit=name[1]
        )
        if row is None:
            raise LedgerDamaged(f"{posting.account} is not among the accounts")
        found = running.numbers[name] = row[0]
    return found


def _balance_before(tx: Tx, number: int, sequence: int) -> int:
    row = tx.one(tables.BALANCE_BEFORE, account=number, before=sequence)
    return 0 if row is None else int(row[0])
