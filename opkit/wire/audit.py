"""What an auditor gathers of the coops of a network, and keeps: evidence, and what was not shown.

Nothing in it is believed for being in it. Whoever holds the network's genesis verifies it again and
finds the same figures; what is missing stays missing, and is named. Source: ADR 0048.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.agreements import AgreementFile
from opkit.wire.base import PLAIN, Count, Did, MemberId, NetworkId, RecordId, Slug, TimeMs, Wire
from opkit.wire.clearing import Evidence
from opkit.wire.compute import ReceiptBundle
from opkit.wire.endpoint import Scope
from opkit.wire.journal import EntryProof
from opkit.wire.kept import Kept
from opkit.wire.ledger import AccountConfigured, Amount, Entry, Unit
from opkit.wire.votes import AttestedFile

AUDIT_SCOPES = (
    Scope.NODE_READ,
    Scope.EVENTS_READ,
    Scope.LEDGER_READ_OWN,
    Scope.LEDGER_READ,
    Scope.GOVERNANCE_READ,
    Scope.AGREEMENTS_READ,
    Scope.CLEARING_READ,
)
"""All that an auditor's token is for: none of them changes anything."""

COOPS_MAX = 64
"""The most coops of one audit."""

ENTRIES_MAX = 20_000
"""The most entries of one ledger that are kept with their proofs; a longer one is not cut short,
but refused: `opkit ledger audit` goes through ledgers of any length, and keeps nothing."""

DECISIONS_MAX = 2_000
AGREEMENTS_MAX = 500
EXCHANGES_MAX = 10_000
RECEIPTS_MAX = 1_000
CHANGES_MAX = 2_000
GAPS_MAX = 1_000

LACKS_MAX = 2 * ENTRIES_MAX + CHANGES_MAX + DECISIONS_MAX + GAPS_MAX + 1
"""The most that one figure lacks: for each entry of both sides, each change of an account and each
decision a proof, whatever was not shown, and the tie to the journal."""

AUDIT_FILE_BYTES_MAX = 128 * 2**20
"""The largest file of an audit that is read."""

ProofKind = Literal["ledger", "journal", "decision", "agreement", "exchange", "receipt"]
"""What a figure can rest on, and what can be missing."""

GapName = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
"""What is missing, as whatever cites it names it; empty for all of its kind."""

GapWhy = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9-]+$")]
"""Why it is: the code of the refusal, `unreachable`, or `not-shown` where nobody could be asked."""


class Gap(Wire):
    """A proof that should be there and is not. It is told, and never filled in.

    Attributes:
        coop: whose books lack it.
        cited_by: the hash of the entry that rests on it; None if nothing that was gathered does.
    """

    coop: Slug
    kind: ProofKind
    named: GapName
    cited_by: RecordId | None
    why: GapWhy


class ChangeAfter(Wire):
    """A change of an account by decision, and after which entry of the ledger it came."""

    after: Count
    said: AccountConfigured


class CoopEvidence(Wire):
    """What the home node of a coop showed to an auditor.

    Attributes:
        home: who was asked.
        gathered_ms: when, in real time; None if nobody was, or nobody says.
        tie: the last entry's announcement, proven to be in the journal that the node signed: with
            it, by the chain of hashes, all entries before it.
        entries: the whole ledger, from the first.
        changes: floors that decisions set, and accounts that they closed.
        decisions: what left the coop of each decision: attested, not recounted.
        receipts: of work that entries were posted for, as the coop handed them over.
        unshown: what was asked for and not shown.
    """

    coop: Slug
    home: Did
    gathered_ms: TimeMs | None = None
    tie: EntryProof | None = None
    entries: Annotated[tuple[Entry, ...], Field(max_length=ENTRIES_MAX)] = ()
    changes: Annotated[tuple[ChangeAfter, ...], Field(max_length=CHANGES_MAX)] = ()
    decisions: Annotated[tuple[AttestedFile, ...], Field(max_length=DECISIONS_MAX)] = ()
    agreements: Annotated[tuple[AgreementFile, ...], Field(max_length=AGREEMENTS_MAX)] = ()
    exchanges: Annotated[tuple[Evidence, ...], Field(max_length=EXCHANGES_MAX)] = ()
    receipts: Annotated[tuple[ReceiptBundle, ...], Field(max_length=RECEIPTS_MAX)] = ()
    unshown: Annotated[tuple[Gap, ...], Field(max_length=GAPS_MAX)] = ()


class AuditFile(Kept):
    """What was gathered of all coops: all that the figures of a report rest on.

    Attributes:
        auditor: who gathered it.
        gathered_ms: when the last of it was, in real time; each coop's evidence says its own.
    """

    network: NetworkId
    auditor: MemberId
    gathered_ms: TimeMs
    coops: Annotated[tuple[CoopEvidence, ...], Field(max_length=COOPS_MAX)]


class EvidenceRef(Wire):
    """One piece of evidence, by its hash: of an entry, a decision, an agreement, an offer."""

    kind: ProofKind
    coop: Slug
    hash: RecordId


Standing = Literal["verified", "attested", "gap", "refuted"]
"""How a figure stands, the weakest of all that it rests on. Verified: each link was followed here.
Attested: the last link is a home node's word on votes that nobody outside counts again. Gap: a
proof that it rests on was not shown. Refuted: something that it rests on does not verify."""


class Figure(Wire):
    """A number of the report, and all that it rests on.

    Attributes:
        name: what it is, stable, within the coop.
        label: the same for people.
        rests_on: what it was computed from, and the decisions and agreements that gave the right.
        lacks: what it rests on that was not shown.
    """

    coop: Slug
    name: Annotated[
        str,
        StringConstraints(max_length=128, pattern=r"^[a-z0-9-]{1,64}(?:/[a-z0-9-]{1,64}){0,3}$"),
    ]
    label: Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
    unit: Unit | Literal["-"]
    amount: Amount
    standing: Standing
    rests_on: Annotated[tuple[EvidenceRef, ...], Field(max_length=2 * ENTRIES_MAX)]
    lacks: Annotated[tuple[Gap, ...], Field(max_length=LACKS_MAX)] = ()
