"""The ledger's endpoints as values, their refusals in order of precedence."""

from __future__ import annotations

from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.ledger.refusals import (
    POST_REFUSALS,
    READ_REFUSALS,
    AccountUnknown,
    EntryUnknown,
    LedgerElsewhere,
    LedgerNotYours,
)
from opkit.wire.ledger.types import (
    ENTRY_BODY_BYTES_MAX,
    AccountPage,
    AskEntry,
    AskPosition,
    AskStatement,
    AskTrialBalance,
    Entry,
    HistoryPage,
    ListAccounts,
    Position,
    PostEntry,
    ReadHistory,
    Statement,
    TrialBalance,
)
from opkit.wire.membership import MemberMissing

LEDGER_POST = Endpoint(
    name="ledger.post",
    method="POST",
    path="/v1/ledger/{coop}/entries",
    ask=PostEntry,
    answer=Entry,
    scope=Scope.LEDGER_WRITE_OWN,
    changes=True,
    refuses=POST_REFUSALS,
    body_bytes_max=ENTRY_BODY_BYTES_MAX,
)

LEDGER_ENTRY = Endpoint(
    name="ledger.entry",
    method="GET",
    path="/v1/ledger/{coop}/entries/{entry}",
    ask=AskEntry,
    answer=Entry,
    scope=Scope.LEDGER_READ_OWN,
    refuses=(*READ_REFUSALS, EntryUnknown),
)

LEDGER_HISTORY = Endpoint(
    name="ledger.history",
    method="GET",
    path="/v1/ledger/{coop}/history",
    ask=ReadHistory,
    answer=HistoryPage,
    scope=Scope.LEDGER_READ_OWN,
    refuses=READ_REFUSALS,
)

LEDGER_POSITION = Endpoint(
    name="ledger.position",
    method="GET",
    path="/v1/ledger/{coop}/position/{did}",
    ask=AskPosition,
    answer=Position,
    scope=Scope.LEDGER_READ_OWN,
    refuses=(*READ_REFUSALS, MemberMissing),
)

LEDGER_ACCOUNTS = Endpoint(
    name="ledger.accounts",
    method="GET",
    path="/v1/ledger/{coop}/accounts",
    ask=ListAccounts,
    answer=AccountPage,
    scope=Scope.LEDGER_READ,
    refuses=(LedgerElsewhere, LedgerNotYours),
)

LEDGER_TRIAL_BALANCE = Endpoint(
    name="ledger.trial-balance",
    method="GET",
    path="/v1/ledger/{coop}/trial-balance",
    ask=AskTrialBalance,
    answer=TrialBalance,
    scope=Scope.LEDGER_READ,
    refuses=(LedgerElsewhere, LedgerNotYours),
)

LEDGER_STATEMENT = Endpoint(
    name="ledger.statement",
    method="GET",
    path="/v1/ledger/{coop}/statement",
    ask=AskStatement,
    answer=Statement,
    scope=Scope.LEDGER_READ_OWN,
    raw_answer="csv",
    refuses=(*READ_REFUSALS, AccountUnknown),
)
