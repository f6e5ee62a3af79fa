"""A whole ledger gone through, entry after entry, by whoever may read it.

What is kept meanwhile is a balance for each account, and never an entry, so that a ledger of any
length is audited in the same memory. What cannot be decided from the entries alone (whether a cited
decision gives the right, whether a corrected entry is there) the caller finds out and tells.
Source: ADR 0040.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opkit.proof.checks import Check
from opkit.proof.findings import Findings
from opkit.proof.ledger import entry_hash
from opkit.wire.base import SAFE_INT_MAX, NetworkId, RecordId, Slug
from opkit.wire.ledger import (
    FIRST_PREVIOUS,
    MEMBER_ROOT,
    TREASURY,
    UNITS,
    AccountConfigured,
    AccountId,
    AccountView,
    Entry,
    EntryPosted,
    Posting,
    Unit,
)

_EXPECTED = {
    "chain": "each entry cites the one before, and its hash is that of what it says",
    "balanced": "the postings of each entry sum to zero in each unit",
    "well-formed": "each posting is of this coop's accounts, of a known unit, and once",
    "times": "no entry is recorded before an earlier one",
    "rights": "a treasury is debited by decision, a member's account by the member or by decision",
    "floors": "no debit takes an account below its floor, and nothing is posted to a closed one",
    "bounds": "no balance is beyond 2^53 - 1",
    "causes": "each decided, bound or correcting entry cites what it is for",
    "decisions": "each cited decision verifies and says exactly this",
    "corrections": "each corrected entry is there",
    "journal": "the journal has each entry with this very hash",
    "accounts": "each account has what its entries make",
}
"""What each check looks for, by its name, in the order in which they are told."""

Balances = dict[tuple[AccountId, Unit], int]
Floors = dict[tuple[AccountId, Unit], int]


@dataclass(frozen=True, slots=True)
class AuditedTotal:
    """All balances of one unit, as the entries make them."""

    accounts: int
    positive: int
    negative: int

    @property
    def sum(self) -> int:
        """Both together: zero."""
        return self.positive + self.negative


class LedgerAudit:
    """One ledger on its way through.

    Attributes:
        sequence: how many entries were added.
        hash: the last one's.
        balances: what each account has in each unit, by the entries alone.
        floors: those that are not zero, or were set: first those of the charter.
    """

    def __init__(self, *, network: NetworkId, coop: Slug) -> None:
        """Begin before the first entry."""
        self.sequence = 0
        self.hash: RecordId = FIRST_PREVIOUS
        self.balances: Balances = {}
        self._network = network
        self._coop = coop
        self.floors: Floors = {}
        self._closed: set[tuple[AccountId, Unit]] = set()
        self._recorded_ms = self._world_ms = 0
        self._findings = Findings(_EXPECTED)

    def add(self, entry: Entry) -> None:
        """Look at the next entry; what is wrong with it is in `checks`."""
        self._look_at_chain(entry)
        self._look_at_form(entry)
        self._look_at_right(entry)
        for posting in entry.postings:
            self._post(entry, posting)
        self.sequence, self.hash = entry.sequence, entry.hash
        self._recorded_ms, self._world_ms = entry.recorded_ms, entry.world_ms

    def configured(self, said: AccountConfigured) -> None:
        """Take note of a floor that was set, or of a closing, between two entries."""
        key = (said.account, said.unit)
        self.floors[key] = said.floor
        (self._closed.add if said.closed else self._closed.discard)(key)

    def announced(self, said: EntryPosted, entry: Entry) -> None:
        """Compare an entry with what the journal says of it."""
        same = (
            said.sequence == entry.sequence
            and said.hash == entry.hash
            and said.postings == entry.postings
        )
        self._tell("journal", entry.sequence, "" if same else "the journal has another entry")

    def unannounced(self, sequence: int) -> None:
        """Take note that the journal lacks an entry that the ledger has."""
        self._tell("journal", sequence, "the journal does not have it")

    def missing(self, sequence: int) -> None:
        """Take note that the ledger lacks an entry that the journal has."""
        self._tell("journal", sequence, "the journal has it, and the ledger does not")

    def decided(self, sequence: int, *, why_not: str = "") -> None:
        """Take note of whether the decision that an entry cites gives the right to it."""
        self._tell("decisions", sequence, why_not)

    def corrected(self, entry: Entry, other: Entry | None) -> None:
        """Take note of the entry that one corrects, or that there is none."""
        why = ""
        if other is None or other.hash != entry.corrects or entry_hash(other) != other.hash:
            why = "what it corrects is not there"
        elif other.sequence >= entry.sequence:
            why = "what it corrects came later"
        self._tell("corrections", entry.sequence, why)

    def shown(self, view: AccountView) -> None:
        """Compare an account as the node shows it, unless an entry to come touched it."""
        if view.sequence > self.sequence:
            return
        made = self.balances.get((view.account, view.unit), 0)
        why = "" if view.balance == made else f"the node says {view.balance}, its entries {made}"
        self._findings.tell("accounts", f"{view.account} {view.unit}", why)

    def not_shown(self, account: AccountId, unit: Unit) -> None:
        """Take note that the node shows no such account, which has entries."""
        self._findings.tell("accounts", f"{account} {unit}", "the node does not show it")

    def totals(self) -> dict[Unit, AuditedTotal]:
        """Return each unit's balances added up."""
        return {
            unit: _total(balance for (_, of), balance in self.balances.items() if of == unit)
            for unit in sorted({unit for _, unit in self.balances})
        }

    def checks(self) -> tuple[Check, ...]:
        """Return what was looked at so far, with the first findings in words."""
        sums = {unit: total.sum for unit, total in self.totals().items()}
        zero = Check(
            name="sum-zero",
            ok=not any(sums.values()),
            expected="0 in each unit",
            actual=", ".join(f"{unit} {total}" for unit, total in sums.items()) or "nothing posted",
        )
        return (*self._findings.checks(), zero)

    def _look_at_chain(self, entry: Entry) -> None:
        why = ""
        if (entry.network, entry.coop) != (self._network, self._coop):
            why = f"it is of {entry.coop} in network {entry.network}"
        elif entry.sequence != self.sequence + 1:
            why = f"it comes after {self.sequence}"
        elif entry.previous != self.hash:
            why = "it does not cite the one before"
        elif entry_hash(entry) != entry.hash:
            why = "its hash is not that of what it says"
        self._tell("chain", entry.sequence, why)
        back = entry.recorded_ms < self._recorded_ms or entry.world_ms < self._world_ms
        self._tell("times", entry.sequence, "it was recorded before the one before" if back else "")

    def _look_at_form(self, entry: Entry) -> None:
        sums: dict[Unit, int] = {}
        seen: set[tuple[AccountId, Unit]] = set()
        wrong = ""
        for posting in entry.postings:
            sums[posting.unit] = sums.get(posting.unit, 0) + posting.amount
            if posting.unit not in UNITS:
                wrong = f"unit {posting.unit}"
            elif posting.account.partition(":")[0] != self._coop:
                wrong = f"account {posting.account}"
            elif posting.amount == 0 or (posting.account, posting.unit) in seen:
                wrong = f"nothing, or twice, for {posting.account}"
            seen.add((posting.account, posting.unit))
        self._tell("well-formed", entry.sequence, wrong)
        left = [f"{unit} {total}" for unit, total in sums.items() if total]
        self._tell("balanced", entry.sequence, ", ".join(left))

    def _look_at_right(self, entry: Entry) -> None:
        cause = "" if entry.cause is None else entry.cause.kind
        lacks = {
            "decided": cause != "decision",
            "bound": cause not in {"hold", "receipt", "agreement", "exchange"},
            "correction": entry.corrects is None,
            "ordinary": entry.corrects is not None
            or cause in {"decision", "hold", "exchange", "ruling"},
        }[entry.kind]
        self._tell("causes", entry.sequence, f"{entry.kind}, for {cause or 'nothing'}" * lacks)
        if entry.kind == "decided":
            return
        why = ""
        for posting in entry.postings:
            if posting.amount < 0 and not _may_debit(entry, posting.account):
                why = f"{entry.by} debits {posting.account}"
        self._tell("rights", entry.sequence, why)

    def _post(self, entry: Entry, posting: Posting) -> None:
        key = (posting.account, posting.unit)
        balance = self.balances.get(key, 0) + posting.amount
        self.balances[key] = balance
        floor = self.floors.get(key, 0)
        why = ""
        if key in self._closed:
            why = f"{posting.account} is closed"
        elif posting.amount < 0 and balance < floor:
            why = f"{posting.account} has {balance} {posting.unit}, its floor is {floor}"
        self._tell("floors", entry.sequence, why)
        beyond = abs(balance) > SAFE_INT_MAX
        self._tell("bounds", entry.sequence, f"{posting.account} has {balance}" * beyond)

    def _tell(self, name: str, sequence: int, why: str) -> None:
        self._findings.tell(name, f"entry {sequence}", why)


def _may_debit(entry: Entry, account: AccountId) -> bool:
    """Return whether an entry that no decision covers may debit an account, as far as it shows."""
    root, _, rest = account.partition(":")[2].partition("/")
    if root != MEMBER_ROOT or entry.kind == "bound":
        return root not in TREASURY
    return entry.by == f"{entry.coop}/{rest.partition('/')[0]}"


def _total(balances: Iterable[int]) -> AuditedTotal:
    accounts = positive = negative = 0
    for balance in balances:
        accounts += 1
        positive += max(balance, 0)
        negative += min(balance, 0)
    return AuditedTotal(accounts=accounts, positive=positive, negative=negative)
