"""What an entry must be like, who may debit what, and what an account can bear: pure judgements.

Amounts and balances are whole numbers within ±(2^53 - 1). Source: ADR 0040.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opkit.proof.ledger import sums_of
from opkit.wire import ledger as wire
from opkit.wire.base import SAFE_INT_MAX, MemberId, RecordId, Slug
from opkit.wire.membership import NO_COOP

_OWN_CAUSES = ("receipt", "agreement")
"""What an ordinary entry may be for; decisions and holds post their own."""

_UNITS = frozenset(wire.UNITS)

_BY_THE_NODE = ("decision", "hold", "exchange")
"""Rights by which the node itself posts: what it posts was judged elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one ledger.

    Attributes:
        accounts_max: how many accounts it has, each unit of one counted by itself.
        accounts_per_member_max: how many of them are one member's.
        accounts_cached_max: how many are kept in memory.
        check_every: after how many entries a checkpoint is written.
    """

    accounts_max: int = 100_000
    accounts_per_member_max: int = 64
    accounts_cached_max: int = 20_000
    check_every: int = 5_000


@dataclass(slots=True)
class Account:
    """An account in one unit, as the writer has it in memory.

    Attributes:
        number: what its postings name it by in the database.
        path: with the coop before it, its id.
        held: what holds set aside.
        sequence: the last entry that touched it; 0 if none did.
    """

    number: int
    path: str
    unit: wire.Unit
    balance: int
    held: int
    floor: int
    closed: bool
    decision: RecordId | None
    sequence: int


@dataclass(slots=True, kw_only=True)
class Right:
    """By whose right an entry is posted.

    Attributes:
        by: the member who asks; `-` for the node.
        kind: `own`: a member for themselves; `coop`: one who may post for the coop (`ledger:write`)
            as well; `decision`: what the assembly decided; `hold`: what a hold had set aside;
            `exchange`: what coops exchanged under an agreement.
    """

    by: MemberId | Literal["-"]
    kind: Literal["own", "coop", "decision", "hold", "exchange"]


@dataclass(slots=True, kw_only=True)
class Draft:
    """What is to be posted, before it has a place."""

    coop: Slug
    entry_id: wire.EntryId
    kind: wire.EntryKind
    postings: tuple[wire.Posting, ...]
    memo: str
    cause: wire.Cause | None
    corrects: RecordId | None
    effective_on: str | None

    def says(self, entry: wire.Entry) -> bool:
        """Return whether an entry has the same content, whoever posted it."""
        return (
            entry.kind == self.kind
            and entry.postings == self.postings
            and entry.memo == self.memo
            and entry.cause == self.cause
            and entry.corrects == self.corrects
            and entry.effective_on == self.effective_on
        )


def coop_of(member_id: str) -> str:
    """Return the coop of a member."""
    return member_id.partition("/")[0]


def path_of(account: str) -> str:
    """Return the path of an account without its coop."""
    return account.partition(":")[2]


def member_path(member_id: MemberId) -> str:
    """Return the path of a member's own account."""
    return f"{wire.MEMBER_ROOT}/{member_id.partition('/')[2]}"


def is_under(path: str, root: str) -> bool:
    """Return whether an account is the one at `root`, or belongs to it."""
    return path == root or path.startswith(root + "/")


def judge_poster(coop: Slug, member_id: MemberId) -> None:
    """Return if a member may post to a coop's ledger at all.

    Refuses:
        LedgerNotYours: they are of another coop, or of none.
    """
    if coop_of(member_id) != coop:
        raise wire.LedgerNotYours(coop=coop, member_id=member_id)


def judge_reader(
    coop: Slug,
    member_id: MemberId,
    *,
    whole: bool,
    asks_own: bool,
    auditors: frozenset[Slug] = frozenset(),
) -> None:
    """Return if a member may read what they ask for.

    Args:
        whole: whether their token is for reading the whole ledger.
        asks_own: whether they ask for what concerns themselves.
        auditors: coops whose auditors may read this ledger: only they get such a token here.

    Refuses, in this order:
        LedgerNotYours: they are of another coop, and do not audit this one; who is of none was let
            in to read by the operator.
        LedgerOwnOnly: they may read what concerns themselves, and this is more.
    """
    reader = coop_of(member_id)
    if reader not in (coop, NO_COOP) and not (whole and reader in auditors):
        raise wire.LedgerNotYours(coop=coop, member_id=member_id)
    if not whole and not asks_own:
        raise wire.LedgerOwnOnly(member_id=member_id)


def judge_form(draft: Draft, right: Right) -> None:
    """Return if this is an entry that may be posted by such a right.

    Refuses, in this order:
        UnitUnknown, AccountForeign, Unbalanced, EntryMalformed.
    """
    prefix = f"{draft.coop}:"
    postings = draft.postings
    sums = sums_of(postings)
    if not sums.keys() <= _UNITS:
        raise wire.UnitUnknown(unit=next(each for each in sums if each not in _UNITS))
    for each in postings:
        if not each.account.startswith(prefix):
            raise wire.AccountForeign(account=each.account)
    if any(sums.values()):
        unit, total = next((unit, total) for unit, total in sums.items() if total)
        raise wire.Unbalanced(unit=unit, sum=str(total))
    _judge_own_words(draft, right)


def judge_open(account: Account, *, coop: Slug) -> None:
    """Return if an account is open. Refuses: AccountClosed."""
    if account.closed:
        raise wire.AccountClosed(account=f"{coop}:{account.path}", unit=account.unit)


def judge_funds(account: Account, amount: int, *, coop: Slug) -> None:
    """Return if an account has what it is to give; what it gets, any account takes.

    Refuses:
        Overdrawn: less what holds set aside it would be below its floor.
    """
    if amount < 0 and account.balance + amount - account.held < account.floor:
        raise wire.Overdrawn(
            account=f"{coop}:{account.path}",
            unit=account.unit,
            balance=account.balance,
            held=account.held,
            floor=account.floor,
            amount=amount,
        )


def judge_bounds(account: Account, amount: int, *, coop: Slug) -> None:
    """Return if the balance would be a number that everybody keeps. Refuses: BalanceOutOfBounds."""
    if not -SAFE_INT_MAX <= account.balance + amount <= SAFE_INT_MAX:
        raise wire.BalanceOutOfBounds(account=f"{coop}:{account.path}", unit=account.unit)


def judge_total(positive: int, *, coop: Slug, unit: wire.Unit) -> None:
    """Return if all balances above zero sum to a number that everybody keeps.

    Those below sum to the same, for all of them sum to zero. Refuses: BalanceOutOfBounds.
    """
    if positive > SAFE_INT_MAX:
        raise wire.BalanceOutOfBounds(account=f"{coop}:", unit=unit)


def judge_room(*, accounts: int, of_member: int, limits: Limits) -> None:
    """Return if there is room for one more account.

    Args:
        accounts: how many the ledger has.
        of_member: how many its member has; 0 if it is no member's.

    Refuses:
        AccountsFull: there is none.
    """
    if accounts >= limits.accounts_max:
        raise wire.AccountsFull(limit=limits.accounts_max)
    if of_member >= limits.accounts_per_member_max:
        raise wire.AccountsFull(limit=limits.accounts_per_member_max)


def _judge_own_words(draft: Draft, right: Right) -> None:
    """Return if it posts something, nothing of 0 or twice, and its words are the right's own."""
    if len(draft.postings) < 2:
        raise wire.EntryMalformed(why="fewer than two postings")
    if 0 in [each.amount for each in draft.postings]:
        raise wire.EntryMalformed(why="a posting of 0")
    if len({(each.account, each.unit) for each in draft.postings}) != len(draft.postings):
        raise wire.EntryMalformed(why="an account has two postings in one unit")
    if right.kind in _BY_THE_NODE:
        return
    if draft.entry_id.startswith(wire.RESERVED_IDS):
        raise wire.EntryMalformed(why="ids that begin so are of holds, decisions and exchanges")
    if draft.cause is not None and draft.cause.kind not in _OWN_CAUSES:
        raise wire.EntryMalformed(why=f"an entry for a {draft.cause.kind} is not posted by hand")


def judge_right(coop: Slug, postings: Sequence[wire.Posting], right: Right) -> None:
    """Return if every debit is allowed.

    Refuses, in this order:
        DecisionRequired: one is of the coop's treasury.
        AccountNotYours: one is of another member's account, or of the coop's and they may not post
            for it.
    """
    if right.kind in _BY_THE_NODE:
        return
    debits = [(each.account, path_of(each.account)) for each in postings if each.amount < 0]
    for account, path in debits:
        if path.partition("/")[0] in wire.TREASURY:
            raise wire.DecisionRequired(account=account)
    for account, path in debits:
        _judge_owner(coop, account, path, right)


def _judge_owner(coop: Slug, account: wire.AccountId, path: str, right: Right) -> None:
    """Return if an account is the member's own, or the coop's and they post for it."""
    root, _, rest = path.partition("/")
    if root == wire.MEMBER_ROOT:
        allowed = right.by == f"{coop}/{rest.partition('/')[0]}"
    else:
        allowed = right.kind == "coop"
    if not allowed:
        raise wire.AccountNotYours(account=account, member_id=right.by)


def check_judged_so_far(draft: Draft, right: Right) -> None:
    """Assert what a service ensures before it posts: a kind that the right may post."""
    kinds = {
        "decision": ("decided",),
        "hold": ("bound",),
        "exchange": ("bound", "correction"),
    }
    allowed = kinds.get(right.kind, ("ordinary", "correction"))
    assert draft.kind in allowed, f"{right.kind} posts no {draft.kind} entry"
