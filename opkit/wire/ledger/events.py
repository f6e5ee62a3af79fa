"""What is journalled of a ledger."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opkit.wire.base import SAFE_INT_MAX, Count, RecordId, Slug
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event
from opkit.wire.ledger.types import AccountId, Cause, EntryId, EntryKind, Postings, Unit


class EntryPosted(Event):
    """An entry stands. The journal's signed heads cover this, and so the ledger's chain.

    Attributes:
        sequence: the entry's place in the ledger.
        hash: the entry's.
    """

    type = "ledger.entry-posted"
    scope = Scope.LEDGER_READ

    coop: Slug
    sequence: Count
    hash: RecordId
    entry_id: EntryId
    kind: EntryKind
    cause: Cause | None
    postings: Postings


class AccountConfigured(Event):
    """A decision set the floor of an account, closed it, or opened it again."""

    type = "ledger.account-configured"
    scope = Scope.LEDGER_READ

    coop: Slug
    account: AccountId
    unit: Unit
    floor: Annotated[int, Field(ge=-SAFE_INT_MAX, le=SAFE_INT_MAX)]
    closed: bool
    decision: RecordId
