"""The holds of a ledger as its journal tells of them, compared with what the node shows.

What is set aside in an account is the sum of its holds that have begun and not ended: nothing else
keeps money from being spent. Kept meanwhile are the open holds alone. Source: ADR 0040.
"""

from __future__ import annotations

from dataclasses import dataclass

from opkit.proof.checks import Check
from opkit.proof.findings import Findings
from opkit.proof.holds import hold_hash
from opkit.wire.base import RecordId
from opkit.wire.holds import (
    Hold,
    HoldCreated,
    HoldExpired,
    HoldId,
    HoldPosted,
    HoldVoided,
)
from opkit.wire.ledger import AccountId, AccountView, Cause, Entry, Posting, Unit

HoldEnding = HoldPosted | HoldVoided | HoldExpired

_EXPECTED = {
    "holds": "each hold begins once, ends once, and lets go of all that it held",
    "holds-paid": "each entry that posts a hold pays what the hold says, and the journal says so",
    "holds-shown": "each hold that the node shows as open is one, and each open one is shown",
    "held": "what the node has set aside in each account is what its open holds say",
}


@dataclass(frozen=True, slots=True)
class _Open:
    """What is needed of a hold until it ends."""

    hash: RecordId
    from_account: AccountId
    to_account: AccountId
    unit: Unit
    amount: int


class HoldsAudit:
    """The holds of one ledger on their way through the journal.

    Attributes:
        held: what is set aside in each account, as far as the journal tells.
    """

    def __init__(self, *, whole: bool) -> None:
        """Begin before the first hold.

        Args:
            whole: whether the journal tells of every hold; of those that began before it does, the
                node's word is taken.
        """
        self.held: dict[tuple[AccountId, Unit], int] = {}
        self._whole = whole
        self._open: dict[HoldId, _Open] = {}
        self._ended_unseen: set[HoldId] = set()
        self._paid: Entry | None = None
        self._later_holds: set[HoldId] = set()
        self._later_accounts: set[tuple[AccountId, Unit]] = set()
        self._findings = Findings(_EXPECTED)

    def created(self, said: HoldCreated) -> None:
        """Take note of a hold that began."""
        twice = said.hold_id in self._open
        self._tell("holds", said.hold_id, "it began twice" * twice)
        if not twice:
            self._begin(said)

    def ended(self, said: HoldEnding) -> None:
        """Take note of a hold that ended, however it did."""
        entry = None
        if isinstance(said, HoldPosted):
            entry, self._paid = self._paid, None
        hold = self._open.pop(said.hold_id, None)
        if hold is None:
            self._ended_unseen.add(said.hold_id)
            self._tell("holds", said.hold_id, "it ended, and was not open" * self._whole)
            return
        paid = said.amount if isinstance(said, HoldPosted) else 0
        why = ""
        if said.hash != hold.hash:
            why = "it ended as another hold than it began"
        elif paid + said.released != hold.amount:
            why = f"{paid} paid and {said.released} released are not the {hold.amount} held"
        self._tell("holds", said.hold_id, why)
        self._add(hold, -hold.amount)
        if isinstance(said, HoldPosted):
            self._tell("holds-paid", said.hold_id, _why_not_paid(said, hold, entry))

    def entry(self, entry: Entry) -> None:
        """Take note of an announced entry: right after one that posts a hold, that hold ends."""
        self._leave_unpaid()
        if entry.kind == "bound" and entry.cause is not None and entry.cause.kind == "hold":
            self._paid = entry

    def later(self, said: HoldCreated | HoldEnding) -> None:
        """Take note of what happened to a hold after the part that is audited.

        What the node shows of it, and of its account, is then of another moment and not compared.
        """
        hold = said if isinstance(said, HoldCreated) else self._open.get(said.hold_id)
        self._later_holds.add(said.hold_id)
        if hold is not None:
            self._later_accounts.add((hold.from_account, hold.unit))

    def agrees(self, view: AccountView) -> bool:
        """Return whether an account has set aside what its holds say."""
        return view.held == self.held.get((view.account, view.unit), 0)

    def account(self, view: AccountView) -> None:
        """Compare what the node says is set aside in an account."""
        key = (view.account, view.unit)
        if key not in self._later_accounts:
            why = f"the node says {view.held}, its holds {self.held.get(key, 0)}"
            why *= not self.agrees(view)
            self._findings.tell("held", f"{view.account} {view.unit}", why)

    def total(self, unit: Unit, *, held: int) -> None:
        """Compare what the node says is set aside in all accounts."""
        if not self._later_holds:
            made = sum(amount for (_, of), amount in self.held.items() if of == unit)
            why = "" if held == made else f"the node says {held}, all holds {made}"
            self._findings.tell("held", f"all of {unit}", why)

    def knows(self, hold: Hold) -> bool:
        """Return whether a hold that the node shows as open is one, just as it is shown.

        One that may have begun before the journal tells of holds is believed, and known from then.
        """
        older = not self._whole and hold.hold_id not in self._ended_unseen
        if older and hold.hold_id not in self._open:
            self._begin(hold)
        known = self._open.get(hold.hold_id)
        return known is not None and hold_hash(hold) == hold.hash == known.hash

    def shown(self, hold: Hold) -> None:
        """Compare a hold that the node shows as open."""
        if hold.hold_id not in self._later_holds:
            why = "" if self.knows(hold) else "it is not open, or another by the journal"
            self._tell("holds-shown", hold.hold_id, why)

    def not_shown(self, hold_id: HoldId, why: str) -> None:
        """Take note of a hold that is open, and that the node does not show as open."""
        if hold_id not in self._later_holds:
            self._tell("holds-shown", hold_id, why)

    def open_ids(self) -> set[HoldId]:
        """Return the holds that have not ended."""
        return set(self._open)

    def checks(self) -> tuple[Check, ...]:
        """Return what was looked at so far, with the first findings in words."""
        self._leave_unpaid()
        return self._findings.checks()

    def _leave_unpaid(self) -> None:
        """Tell of an entry that says it posts a hold, and after which no hold ended."""
        if self._paid is not None:
            assert self._paid.cause is not None, "only what cites a hold is kept"
            self._tell("holds-paid", self._paid.cause.id, f"entry {self._paid.sequence} posts none")
            self._paid = None

    def _begin(self, said: HoldCreated | Hold) -> None:
        hold = _Open(
            hash=said.hash,
            from_account=said.from_account,
            to_account=said.to_account,
            unit=said.unit,
            amount=said.amount,
        )
        self._open[said.hold_id] = hold
        self._add(hold, hold.amount)

    def _add(self, hold: _Open, change: int) -> None:
        key = (hold.from_account, hold.unit)
        self.held[key] = self.held.get(key, 0) + change

    def _tell(self, name: str, hold_id: HoldId, why: str) -> None:
        self._findings.tell(name, f"hold {hold_id}", why)


def _why_not_paid(said: HoldPosted, hold: _Open, entry: Entry | None) -> str:
    if entry is None or entry.hash != said.entry:
        return "it was paid by no entry"
    wanted = {
        Posting(account=hold.from_account, unit=hold.unit, amount=-said.amount),
        Posting(account=hold.to_account, unit=hold.unit, amount=said.amount),
    }
    cited = entry.cause == Cause(kind="hold", id=said.hold_id)
    same = cited and set(entry.postings) == wanted
    return "" if same else f"entry {entry.sequence} pays something else"
