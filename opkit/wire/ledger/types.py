"""What a ledger consists of, and what is asked of it and answered."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from opkit.wire.base import (
    B64,
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    MemberId,
    MemberIdText,
    NetworkId,
    RecordId,
    Slug,
    TimeMs,
    Wire,
)

UNITS = ("usd-cents", "commons-credits", "patronage-credits")
"""What is counted here, each in its smallest step."""

FIRST_PREVIOUS = "0" * 64
"""What the first entry of a ledger cites as the one before it."""

TREASURY = ("reserve", "surplus")
"""First parts of the paths of accounts that nothing but a decision debits."""

MEMBER_ROOT = "member"
"""First part of the paths of members' own accounts: `member/<name>`."""

POSTINGS_MAX = 1_000
"""The most postings of an entry."""

ENTRIES_PER_PAGE_MAX = 500
"""The most entries of a page; one with many postings ends it earlier."""

POSTINGS_PER_PAGE_MAX = 4_000
"""After so many postings a page ends."""

ACCOUNTS_PER_PAGE_MAX = 1_000

STATEMENT_LINES_MAX = 2_000
"""The most lines of a statement; `after` goes on behind the last one's sequence."""

ENTRY_BODY_BYTES_MAX = 524_288
"""The greatest body of an entry: as many postings as there may be, with long names."""

_PART = r"[a-z0-9][a-z0-9._-]{0,62}"
_PATH = rf"{_PART}(?:/{_PART}){{0,3}}"
_COOP = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"

Unit = Slug
"""What is counted; one that is not among `UNITS` is refused by a refusal of its own."""

AccountPath = Annotated[str, StringConstraints(pattern=rf"^{_PATH}$")]
"""An account within its coop, such as `reserve/2026-q1`, `member/hugo` or `equity/opening`."""

AccountId = Annotated[str, StringConstraints(pattern=rf"^{_COOP}:{_PATH}$")]
"""`coop:path`: the coop's home node is the only one that posts to it."""

AccountText = Annotated[str, StringConstraints(max_length=330, pattern=PLAIN)]
"""What somebody asks for as an account; one that is none is not found."""

Amount = Annotated[int, Field(strict=True, ge=-SAFE_INT_MAX, le=SAFE_INT_MAX)]
"""A number of a unit's smallest steps, either way; never rounded, so never a float."""

Balance = Amount
"""The sum of an account's postings in one unit. Positive: the account has; negative: it owes."""

EntryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
"""The caller's permanent id of an entry: it names one entry of a ledger, for good."""

CauseId = EntryId
"""What an entry is for: the hash of a decision, receipt, exchange or ruling, the id of an agreement
or hold."""

RESERVED_IDS = ("hold:", "decision:", "exchange:")
"""How ids begin of entries that holds, decisions and exchanges post; nobody else's may, or they
could be kept from being posted."""

Memo = Annotated[str, StringConstraints(max_length=512, pattern=PLAIN)]
"""What an entry is about, for people."""


def real_day(text: str) -> str:
    """Return the day as it is written.

    Raises:
        ValueError: no calendar has it.
    """
    date.fromisoformat(text)
    return text


Day = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(real_day)
]
"""A day of the calendar, `2026-01-15`."""

EntryKind = Literal["ordinary", "correction", "decided", "bound"]
"""By whose right an entry stands: its poster's, the same for an earlier entry's sake, a decision's,
or that of a hold that the account's owner made, or of an exchange that the coop agreed to."""

CauseKind = Literal["decision", "receipt", "agreement", "hold", "exchange", "ruling"]


class Posting(Wire):
    """What one account gets (positive) or gives (negative) in one unit."""

    account: AccountId
    unit: Unit
    amount: Amount


Postings = Annotated[tuple[Posting, ...], Field(min_length=2, max_length=POSTINGS_MAX)]
"""They sum to zero in each unit, none is of nothing, and no account has two in one unit."""


class Cause(Wire):
    """What an entry is for.

    Attributes:
        id: of a decision its record id (the proposal's hash names what was decided; this names the
            decision), of a receipt, an exchange's offer or an arbiter's ruling its record id, of an
            agreement or a hold its own id.
    """

    kind: CauseKind
    id: CauseId


class EntryBody(Wire):
    """What an entry says, whoever records it when.

    Attributes:
        corrects: the hash of the entry that this one puts right.
        effective_on: the day to which it belongs, if that is not the day on which it is recorded.
    """

    network: NetworkId
    coop: Slug
    entry_id: EntryId
    kind: EntryKind
    postings: Postings
    memo: Memo
    cause: Cause | None
    corrects: RecordId | None
    effective_on: Day | None


class Entry(EntryBody):
    """An entry as it stands in a ledger, for good.

    Attributes:
        sequence: its place, from 1.
        recorded_ms: real time; like `world_ms`, never before that of an earlier entry.
        by: who asked for it; `-` if the node did, such as for a hold that lapsed.
        previous: the hash of the entry before, `FIRST_PREVIOUS` for the first.
        hash: SHA-256 over the canonical JSON of all the rest, behind a prefix
            (`opkit.proof.ledger.entry_hash`).
    """

    sequence: Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
    recorded_ms: TimeMs
    world_ms: TimeMs
    by: MemberId | Literal["-"]
    previous: RecordId
    hash: RecordId


class PostEntry(Wire):
    """Ask to post an entry: an ordinary one, or with `corrects` a correction.

    Its id makes it happen once: the same id with the same content answers the entry that stands.
    """

    coop: Slug
    entry_id: EntryId
    postings: Postings
    memo: Memo = ""
    cause: Cause | None = None
    corrects: RecordId | None = None
    effective_on: Day | None = None


class SettleLine(Wire):
    """What one account gets of a distribution."""

    account: AccountId
    amount: Annotated[int, Field(strict=True, ge=1, le=SAFE_INT_MAX)]


class Settle(Wire):
    """Ask to execute a decided distribution, repeating what was decided: one entry, many lines.

    Attributes:
        proposal: the proposal's hash.
        lines: exactly those of the decision, none of nothing, in its order.
    """

    coop: Slug
    proposal: RecordId
    from_account: AccountId
    unit: Unit
    lines: Annotated[tuple[SettleLine, ...], Field(min_length=1, max_length=POSTINGS_MAX - 1)]


class AskEntry(Wire):
    """Ask for one entry by its hash, or by its caller's id."""

    coop: Slug
    entry: Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]


class ReadHistory(Wire):
    """Ask for entries in order; all filters that are given have to fit.

    A page may be shorter than `entries_max`, or empty, and not the last: who wants all goes on
    while `next_after` is not 0.

    Attributes:
        after: `next_after` of the page before; 0 for the beginning (or, newest first, the end).
        member: entries that touch an account of this member.
        account: entries that touch this account.
        cause: entries for this cause's id.
        from_ms: entries of this world time or later.
        to_ms: entries of before this world time.
    """

    coop: Slug
    after: Count = 0
    entries_max: Annotated[int, Field(ge=1, le=ENTRIES_PER_PAGE_MAX)] = 100
    newest_first: bool = False
    member: MemberIdText = ""
    account: AccountText = ""
    cause: Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)] = ""
    unit: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)] = ""
    from_ms: TimeMs = 0
    to_ms: TimeMs = SAFE_INT_MAX


class HistoryPage(Wire):
    """Entries in order.

    Attributes:
        next_after: where the next page begins; 0 if there is none.
        sequence: how many entries the ledger has now.
        hash: the last one's hash.
    """

    coop: Slug
    entries: Annotated[tuple[Entry, ...], Field(max_length=ENTRIES_PER_PAGE_MAX)]
    next_after: Count
    sequence: Count
    hash: RecordId


class AccountView(Wire):
    """An account in one unit, as it stands.

    Attributes:
        held: what is set aside by holds; it is still in the balance.
        available: what can be spent: `balance - held - floor`, and never less than 0.
        floor: the lowest balance that it may have.
        closed: nothing is posted to it any more.
        decision: the decision that set its floor, or closed it; None if none did.
        sequence: the last entry that touched it; 0 if none did.
    """

    account: AccountId
    unit: Unit
    balance: Balance
    held: Count
    available: Count
    floor: Annotated[int, Field(ge=-SAFE_INT_MAX, le=SAFE_INT_MAX)]
    closed: bool
    decision: RecordId | None
    sequence: Count


class ListAccounts(Wire):
    """Ask for the accounts of a ledger, by id and unit.

    Attributes:
        prefix: with what their paths begin, such as `member/`.
        after: `next_after` of the page before.
    """

    coop: Slug
    prefix: AccountText = ""
    after: Annotated[str, StringConstraints(max_length=400, pattern=PLAIN)] = ""
    accounts_max: Annotated[int, Field(ge=1, le=ACCOUNTS_PER_PAGE_MAX)] = 200


class AccountPage(Wire):
    """Accounts in order; `next_after` is empty on the last page."""

    coop: Slug
    accounts: Annotated[tuple[AccountView, ...], Field(max_length=ACCOUNTS_PER_PAGE_MAX)]
    next_after: str


class AskPosition(Wire):
    """Ask how a member stands: by their id, their key, or a key that was theirs before."""

    coop: Slug
    did: MemberIdText


class Position(Wire):
    """How a member stands.

    Attributes:
        did: their key now.
        accounts: theirs, by path and unit.
        sequence: how many entries the ledger had when this was so.
        hash: the last one's hash.
    """

    coop: Slug
    member_id: MemberId
    did: Did
    accounts: Annotated[tuple[AccountView, ...], Field(max_length=ACCOUNTS_PER_PAGE_MAX)]
    sequence: Count
    hash: RecordId


class AskTrialBalance(Wire):
    """Ask for the sums of a whole ledger."""

    coop: Slug


class UnitTotal(Wire):
    """All balances of one unit.

    Attributes:
        accounts: how many accounts have it, or had it.
        positive: the sum of all balances above zero.
        negative: the sum of all below.
        sum: of both: zero, or the ledger is broken.
        held: what holds set aside.
    """

    unit: Unit
    accounts: Count
    positive: Count
    negative: Annotated[int, Field(ge=-SAFE_INT_MAX, le=0)]
    sum: Balance
    held: Count


class GroupTotal(Wire):
    """All balances of one unit in accounts whose paths begin with the same part.

    Attributes:
        accounts: how many of them have it, or had it.
    """

    group: Annotated[str, StringConstraints(pattern=rf"^{_PART}$")]
    unit: Unit
    accounts: Count
    balance: Balance


class TrialBalance(Wire):
    """The sums of a whole ledger as of its last entry.

    Attributes:
        units: each unit's total, computed from all accounts; `sum` must read zero.
        groups: the same by first part of the path (`member`, `reserve`, …), at most 1,000.
        sequence: how many entries it has.
        hash: the last one's hash.
        checked_sequence: up to which entry the node last added up every posting anew.
    """

    coop: Slug
    units: tuple[UnitTotal, ...]
    groups: Annotated[tuple[GroupTotal, ...], Field(max_length=ACCOUNTS_PER_PAGE_MAX)]
    sequence: Count
    hash: RecordId
    checked_sequence: Count


class AskStatement(Wire):
    """Ask for an account's statement in one unit, as CSV; times are of world time."""

    coop: Slug
    account: AccountText
    unit: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)]
    after: Count = 0
    lines_max: Annotated[int, Field(ge=1, le=STATEMENT_LINES_MAX)] = STATEMENT_LINES_MAX
    from_ms: TimeMs = 0
    to_ms: TimeMs = SAFE_INT_MAX


STATEMENT_COLUMNS = (
    "sequence",
    "recorded_at",
    "effective_on",
    "entry_id",
    "kind",
    "memo",
    "amount",
    "balance",
    "cause_kind",
    "cause_id",
    "hash",
)
"""The header of a statement. `balance` is the account's after the entry."""


class Statement(Wire):
    """A statement: CSV in UTF-8 with a header, oldest first (RFC 4180)."""

    csv: B64
