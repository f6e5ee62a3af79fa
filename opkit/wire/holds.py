"""Holds: money that is set aside in its account until it is paid, released, or its time is over.

A hold moves nothing. What it sets aside cannot be spent otherwise (`available = balance - held -
floor`). It ends exactly once: posted (in part or whole, the rest is free again), voided, or lapsed,
at its moment of world time. Source: ADR 0040.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    PLAIN,
    SAFE_INT_MAX,
    Count,
    MemberId,
    NetworkId,
    RecordId,
    Slug,
    TimeMs,
    Wire,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed, Missing
from opkit.wire.events import Event
from opkit.wire.ledger import (
    READ_REFUSALS,
    AccountClosed,
    AccountForeign,
    AccountId,
    AccountNotYours,
    AccountsFull,
    AccountText,
    BalanceOutOfBounds,
    DecisionRequired,
    LedgerElsewhere,
    LedgerNotYours,
    Memo,
    Overdrawn,
    Unit,
    UnitUnknown,
)

HOLD_TERM_MS_MAX = 400 * 24 * 3_600_000
"""For how long money may be set aside, in world time: a year, and a month to settle it in."""

HOLDS_PER_PAGE_MAX = 500

HoldId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,119}$")]
"""What the caller names a hold by, for ever: asking again with it holds nothing twice."""

HOLD_ENTRY_PREFIX = "hold:"
"""How the id of an entry begins that posts a hold; nobody else may give an entry such an id
(`opkit.wire.ledger.RESERVED_IDS`)."""

HoldIdText = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
"""What somebody asks for as a hold; one that is none is not found."""

HoldState = Literal["held", "posted", "voided", "lapsed"]

Held = Annotated[int, Field(strict=True, ge=1, le=SAFE_INT_MAX)]
"""An amount that is set aside, in the unit's smallest step."""


class HoldBody(Wire):
    """What was agreed when a hold was made; its hash is what an entry cites that it caused.

    Attributes:
        coop: whose ledger keeps it.
        hold_id: what its entry has as its cause, and after `hold:` as its own id.
        from_account: where the money is, and stays until the hold is posted.
        to_account: where it goes then; an account of the same ledger.
        lapses_at_ms: from this moment of world time on it holds nothing.
        made_world_ms: when it was made, in world time.
        by: the member who made it.
    """

    network: NetworkId
    coop: Slug
    hold_id: HoldId
    from_account: AccountId
    to_account: AccountId
    unit: Unit
    amount: Held
    lapses_at_ms: TimeMs
    memo: Memo = ""
    by: MemberId
    made_world_ms: TimeMs


class Hold(HoldBody):
    """A hold and what became of it.

    Attributes:
        hash: of its `HoldBody` (`opkit.proof.holds.hold_hash`).
        sequence: which hold of this ledger it is, counted from 1.
        posted: how much of it was paid; the rest, or all of it, is free again once it has ended.
        entry: the hash of the entry that paid it.
        ended_world_ms: when it was posted or voided, or the moment at which it lapsed.
        ended_by: who posted or voided it.
    """

    hash: RecordId
    sequence: Count
    state: HoldState
    posted: Count = 0
    entry: RecordId | None = None
    made_ms: TimeMs
    ended_world_ms: TimeMs | None = None
    ended_by: MemberId | None = None


class CreateHold(Wire):
    """Ask to set money aside; whoever may debit the account may."""

    coop: Slug
    hold_id: HoldId
    from_account: AccountId
    to_account: AccountId
    unit: Unit
    amount: Held
    lapses_at_ms: TimeMs
    memo: Memo = ""


class PostHold(Wire):
    """Ask to pay what is held, or `amount` of it; the rest is free again.

    Who may debit the account may do so. Asked again with the same amount, it is answered as before.
    """

    coop: Slug
    hold_id: HoldIdText
    amount: Held | None = None


class VoidHold(Wire):
    """Ask to release what is held.

    Who may debit either account may do so: who pays, and who would be paid.
    """

    coop: Slug
    hold_id: HoldIdText


class GetHold(Wire):
    """Ask for one hold."""

    coop: Slug
    hold_id: HoldIdText


class ListHolds(Wire):
    """Ask for a ledger's holds, newest first.

    Attributes:
        state: those in this state; empty for all.
        account: those from or to this account; empty for all.
        before: the sequence of the last one of the page before; 0 for the first page.
    """

    coop: Slug
    state: Literal["", "held", "posted", "voided", "lapsed"] = ""
    account: AccountText = ""
    before: Count = 0
    holds_max: Annotated[int, Field(ge=1, le=HOLDS_PER_PAGE_MAX)] = 100


class HoldPage(Wire):
    """Holds, newest first; `next_before` is 0 on the last page."""

    holds: Annotated[tuple[Hold, ...], Field(max_length=HOLDS_PER_PAGE_MAX)]
    next_before: Count


@dataclass(eq=False, kw_only=True)
class HoldConflict(Conflict):
    """There is a hold of this id, and it is about something else."""

    code = "hold-conflict"
    hint = "give another hold another id"
    hold_id: str


@dataclass(eq=False, kw_only=True)
class HoldMalformed(Invalid):
    """A hold is not from an account to itself."""

    code = "hold-malformed"
    hint = "name another account to pay to"
    why: str


@dataclass(eq=False, kw_only=True)
class HoldTermWrong(Invalid):
    """The hold would lapse at once, or later than a hold may."""

    code = "hold-term-wrong"
    hint = "world time counts, which may run ahead of the clock on the wall"
    lapses_at_ms: int
    world_ms: int
    term_ms_max: int


@dataclass(eq=False, kw_only=True)
class HoldUnknown(Missing):
    """There is no such hold."""

    code = "hold-unknown"
    hint = "`opkit hold list` shows the holds of a ledger"
    hold_id: str


@dataclass(eq=False, kw_only=True)
class HoldNotYours(Denied):
    """The member may not end this hold."""

    code = "hold-not-yours"
    hint = "who may spend the money posts a hold; who is to get it may void it too"
    hold_id: str


@dataclass(eq=False, kw_only=True)
class HoldEnded(Conflict):
    """The hold was posted or voided before, and a hold ends once."""

    code = "hold-ended"
    hint = "make another hold, or an entry"
    hold_id: str
    state: str
    posted: int


@dataclass(eq=False, kw_only=True)
class HoldLapsed(Lapsed):
    """The hold's time is over: it holds nothing any more."""

    code = "hold-lapsed"
    hint = "make another hold, or an entry"
    hold_id: str
    lapses_at_ms: int


@dataclass(eq=False, kw_only=True)
class HoldExceeded(Conflict):
    """More was to be posted than is held."""

    code = "hold-exceeded"
    hint = "post at most what is held"
    hold_id: str
    held: int
    amount: int


@dataclass(eq=False, kw_only=True)
class HoldsExhausted(Exhausted):
    """The account has as many holds that have not ended as it may."""

    code = "holds-exhausted"
    hint = "post, void or await some"
    account: str
    limit: int


class HoldCreated(Event):
    """Money was set aside."""

    type = "ledger.hold-created"
    scope = Scope.LEDGER_READ

    coop: Slug
    hold_id: HoldId
    hash: RecordId
    from_account: AccountId
    to_account: AccountId
    unit: Unit
    amount: Held
    lapses_at_ms: TimeMs
    by: MemberId


class HoldPosted(Event):
    """What was held was paid, `amount` of it; the rest is free again."""

    type = "ledger.hold-posted"
    scope = Scope.LEDGER_READ

    coop: Slug
    hold_id: HoldId
    hash: RecordId
    amount: Held
    released: Count
    entry: RecordId
    by: MemberId


class HoldVoided(Event):
    """What was held was released."""

    type = "ledger.hold-voided"
    scope = Scope.LEDGER_READ

    coop: Slug
    hold_id: HoldId
    hash: RecordId
    released: Held
    by: MemberId


class HoldExpired(Event):
    """The time of a hold was over, and what it held is free again."""

    type = "ledger.hold-lapsed"
    scope = Scope.LEDGER_READ

    coop: Slug
    hold_id: HoldId
    hash: RecordId
    released: Held


CREATE_HOLD = Endpoint(
    name="ledger.hold-create",
    method="POST",
    path="/v1/ledger/{coop}/holds",
    ask=CreateHold,
    answer=Hold,
    scope=Scope.LEDGER_WRITE_OWN,
    changes=True,
    refuses=(
        LedgerElsewhere,
        LedgerNotYours,
        HoldConflict,
        UnitUnknown,
        AccountForeign,
        HoldMalformed,
        HoldTermWrong,
        DecisionRequired,
        AccountNotYours,
        AccountClosed,
        Overdrawn,
        AccountsFull,
        HoldsExhausted,
    ),
    body_bytes_max=8_192,
)

POST_HOLD = Endpoint(
    name="ledger.hold-post",
    method="POST",
    path="/v1/ledger/{coop}/holds/{hold_id}/post",
    ask=PostHold,
    answer=Hold,
    scope=Scope.LEDGER_WRITE_OWN,
    changes=True,
    refuses=(
        LedgerElsewhere,
        LedgerNotYours,
        HoldUnknown,
        HoldNotYours,
        HoldEnded,
        HoldLapsed,
        HoldExceeded,
        AccountClosed,
        Overdrawn,
        BalanceOutOfBounds,
        AccountsFull,
    ),
    body_bytes_max=4_096,
)

VOID_HOLD = Endpoint(
    name="ledger.hold-void",
    method="POST",
    path="/v1/ledger/{coop}/holds/{hold_id}/void",
    ask=VoidHold,
    answer=Hold,
    scope=Scope.LEDGER_WRITE_OWN,
    changes=True,
    refuses=(LedgerElsewhere, LedgerNotYours, HoldUnknown, HoldNotYours, HoldEnded, HoldLapsed),
    body_bytes_max=4_096,
)

GET_HOLD = Endpoint(
    name="ledger.hold",
    method="GET",
    path="/v1/ledger/{coop}/holds/{hold_id}",
    ask=GetHold,
    answer=Hold,
    scope=Scope.LEDGER_READ_OWN,
    refuses=(*READ_REFUSALS, HoldUnknown),
)

LIST_HOLDS = Endpoint(
    name="ledger.holds",
    method="GET",
    path="/v1/ledger/{coop}/holds",
    ask=ListHolds,
    answer=HoldPage,
    scope=Scope.LEDGER_READ_OWN,
    refuses=READ_REFUSALS,
)
