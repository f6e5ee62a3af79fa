"""Why a ledger says no, and in which order of precedence."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Missing


@dataclass(eq=False, kw_only=True)
class LedgerElsewhere(Missing):
    """This node does not keep that coop's ledger."""

    code = "ledger-elsewhere"
    hint = "ask the coop's home node"
    coop: str
    home: str


@dataclass(eq=False, kw_only=True)
class LedgerNotYours(Denied):
    """The caller is no member of the coop whose ledger it is, nor audits it."""

    code = "ledger-not-yours"
    hint = "a coop's own members post to its ledger"
    coop: str
    member_id: str


@dataclass(eq=False, kw_only=True)
class LedgerOwnOnly(Denied):
    """The caller may read what concerns themselves, and this is more."""

    code = "ledger-own-only"
    hint = "ask for your own position or history, or for a token with ledger:read"
    member_id: str


@dataclass(eq=False, kw_only=True)
class EntryConflict(Conflict):
    """An entry with this id and other content stands."""

    code = "entry-conflict"
    hint = "an id names one entry for good: read it, or use a fresh id"
    entry_id: str
    standing: str


@dataclass(eq=False, kw_only=True)
class UnitUnknown(Invalid):
    """Nothing is counted in that unit."""

    code = "unit-unknown"
    hint = "usd-cents, commons-credits, patronage-credits"
    unit: str


@dataclass(eq=False, kw_only=True)
class AccountForeign(Invalid):
    """The account is another coop's: only its home node posts to it."""

    code = "account-foreign"
    hint = "book what passes between coops against due/<other coop> on each side"
    account: str


@dataclass(eq=False, kw_only=True)
class Unbalanced(Invalid):
    """The postings do not sum to zero."""

    code = "unbalanced"
    hint = "what some accounts get, others give, in each unit"
    unit: str
    sum: str


@dataclass(eq=False, kw_only=True)
class EntryMalformed(Invalid):
    """The entry is not one: a posting of nothing, an account twice, a cause that is not its own."""

    code = "entry-malformed"
    hint = "each account once per unit, no posting of 0; decisions and holds post their own entries"
    why: str


@dataclass(eq=False, kw_only=True)
class CorrectionUnknown(Invalid):
    """The entry that this one corrects is not in this ledger."""

    code = "correction-unknown"
    hint = "cite the hash of an entry of this ledger"
    corrects: str


@dataclass(eq=False, kw_only=True)
class DecisionRequired(Denied):
    """Nothing but a decision of the assembly debits this account."""

    code = "decision-required"
    hint = "open a proposal (`opkit proposal open`)"
    account: str


@dataclass(eq=False, kw_only=True)
class AccountNotYours(Denied):
    """The caller may not debit this account."""

    code = "account-not-yours"
    hint = "a member debits their own account; those of the coop need ledger:write"
    account: str
    member_id: str


@dataclass(eq=False, kw_only=True)
class AccountClosed(Conflict):
    """The account is closed: nothing is posted to it."""

    code = "account-closed"
    hint = "a decision closed it"
    account: str
    unit: str


@dataclass(eq=False, kw_only=True)
class Overdrawn(Conflict):
    """The account has not so much to give, what is held and its floor considered."""

    code = "overdrawn"
    hint = "see its balance, held and floor; a decision can lower a floor"
    account: str
    unit: str
    balance: int
    held: int
    floor: int
    amount: int


@dataclass(eq=False, kw_only=True)
class BalanceOutOfBounds(Conflict):
    """A balance, or the total of a unit, would be beyond 2^53 - 1."""

    code = "balance-out-of-bounds"
    hint = "no balance and no total is beyond what every JSON reader keeps"
    account: str
    unit: str


@dataclass(eq=False, kw_only=True)
class AccountsFull(Exhausted):
    """The ledger, or the member, has as many accounts as it may."""

    code = "accounts-full"
    hint = "post to accounts that there are"
    limit: int


@dataclass(eq=False, kw_only=True)
class EntryUnknown(Missing):
    """The ledger has no entry with that hash or id."""

    code = "entry-unknown"
    hint = "`opkit ledger history` shows what there is"
    entry: str


@dataclass(eq=False, kw_only=True)
class AccountUnknown(Missing):
    """Nothing was ever posted to that account in that unit."""

    code = "account-unknown"
    hint = "`GET /v1/ledger/{coop}/accounts` lists them"
    account: str
    unit: str


POST_REFUSALS = (
    LedgerElsewhere,
    LedgerNotYours,
    EntryConflict,
    UnitUnknown,
    AccountForeign,
    Unbalanced,
    EntryMalformed,
    CorrectionUnknown,
    DecisionRequired,
    AccountNotYours,
    AccountClosed,
    Overdrawn,
    BalanceOutOfBounds,
    AccountsFull,
)
"""What an entry is refused with, in order of precedence."""

SETTLE_REFUSALS = (
    EntryConflict,
    UnitUnknown,
    AccountForeign,
    Unbalanced,
    EntryMalformed,
    AccountClosed,
    Overdrawn,
    BalanceOutOfBounds,
    AccountsFull,
)
"""What the ledger refuses a decided entry with: a decision gives the right, not the money."""

READ_REFUSALS = (LedgerElsewhere, LedgerNotYours, LedgerOwnOnly)
"""What reading is refused with."""
