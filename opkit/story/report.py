"""What was told, as values: the shape of a marker in a notebook, and of a flow in `evidence.json`.

These values leave the kernel for the runner and the runner for a file, so they are wire types:
frozen, closed against unknown fields, checked when they are read back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opkit.story.states import State, state_of
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import AuditFile
from opkit.wire.base import Cid, Count, Jws, TimeMs, Wire
from opkit.wire.clearing import LEGS_MAX
from opkit.wire.clearing import Evidence as Exchanged
from opkit.wire.compute import ReceiptBundle
from opkit.wire.journal import EntryProof as JournalProof
from opkit.wire.ledger import Entry
from opkit.wire.terms import PARTIES_MAX
from opkit.wire.votes import DecisionFile, SignedBallot

MarkerName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{2,63}$")]
"""A marker's name, such as `MODULE_FETCHED`."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=400)]
"""One step in one or two short sentences."""

Problem = Annotated[str, StringConstraints(max_length=8_192)]
"""Why a step was not shown."""

Kind = Literal["shown", "refused"]
"""`refused`: the step shows that an attack fails."""


class CheckRecord(Wire):
    """One comparison, with both sides."""

    name: Annotated[str, StringConstraints(max_length=256)]
    ok: bool
    expected: Annotated[str, StringConstraints(max_length=4_096)]
    actual: Annotated[str, StringConstraints(max_length=4_096)]


class ReceiptRecord(Wire):
    """A receipt that can be verified offline."""

    kind: Literal["receipt"] = "receipt"
    bundle: ReceiptBundle


class BlobRecord(Wire):
    """Bytes kept beside the report under their name, for replay."""

    kind: Literal["blob"] = "blob"
    cid: Cid
    path: Annotated[str, StringConstraints(pattern=r"^blobs/bafkrei[a-z2-7]{52}$")]


class NameRecord(Wire):
    """A record of a name (`opkit-record+jws`), which anybody verifies who has the genesis."""

    kind: Literal["name"] = "name"
    record: Jws


class DecisionRecord(Wire):
    """A decision with every vote, which anybody counts again who has the genesis."""

    kind: Literal["decision"] = "decision"
    file: DecisionFile


class OmissionRecord(Wire):
    """A decision's file that misses a vote, and what shows that it was taken."""

    kind: Literal["omission"] = "omission"
    file: DecisionFile
    ballot: SignedBallot
    receipt: SignedBallot


class EntryRecord(Wire):
    """An entry of a ledger in the signed journal of its coop's home node."""

    kind: Literal["entry"] = "entry"
    entry: Entry
    journal: JournalProof


class AgreementRecord(Wire):
    """An agreement, which anybody verifies who has the genesis."""

    kind: Literal["agreement"] = "agreement"
    file: AgreementFile


class ExchangeRecord(Wire):
    """What was signed of an exchange, what it is under, and each party's entry as journalled."""

    kind: Literal["exchange"] = "exchange"
    evidence: Exchanged
    agreements: Annotated[tuple[AgreementFile, ...], Field(max_length=LEGS_MAX)]
    halves: Annotated[tuple[EntryRecord, ...], Field(max_length=PARTIES_MAX)]


class AuditRecord(Wire):
    """What an auditor gathered: its figures follow from it alone."""

    kind: Literal["audit"] = "audit"
    file: AuditFile


SignedRecord = (
    ReceiptRecord
    | NameRecord
    | DecisionRecord
    | OmissionRecord
    | EntryRecord
    | AgreementRecord
    | ExchangeRecord
    | AuditRecord
)
"""What somebody signed: it is verified by itself, from the genesis."""

ProofRecord = Annotated[SignedRecord | BlobRecord, Field(discriminator="kind")]
"""Something a third party can verify again."""


class MarkerRecord(Wire):
    """A told step: what it says, what it rests on, when and how long."""

    name: MarkerName
    ok: bool
    kind: Kind
    sentence: Sentence
    evidence: Annotated[dict[str, Any], Field(default_factory=dict, max_length=32)]
    checks: Annotated[tuple[CheckRecord, ...], Field(max_length=64)] = ()
    proofs: Annotated[tuple[ProofRecord, ...], Field(max_length=16)] = ()
    at_ms: TimeMs
    took_ms: Count
    problem: Problem = ""

    @property
    def state(self) -> State:
        """Done, refused as promised, or failed."""
        return state_of(ok=self.ok, kind=self.kind)


class SetupRecord(Wire):
    """A step that shows nothing but must have worked: counted, never a marker."""

    sentence: Sentence
    ok: bool
    at_ms: TimeMs
    took_ms: Count
    problem: Problem = ""


class Stop(Wire):
    """Where and why a story ended before its end. `at` is a marker, or empty before the first."""

    at: str
    why: Problem


class Report(Wire):
    """A flow as it was told.

    `ok` needs every planned marker, in order, each with checks that hold: a story that stops early,
    skips a step or has none is not ok.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,16}$")]
    title: str
    story: str
    ok: bool
    planned: tuple[MarkerName, ...]
    setup: tuple[SetupRecord, ...] = ()
    markers: tuple[MarkerRecord, ...] = ()
    stopped: Stop | None = None
    disturbances: tuple[dict[str, Any], ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The markers that were shown, in the order of telling."""
        return tuple(marker.name for marker in self.markers if marker.ok)

    @property
    def verdict(self) -> str:
        """`FLOW_OK name n/n`, or `FLOW_FAILED name n/m at MARKER: why`."""
        count = f"{len(self.shown)}/{len(self.planned)}"
        setup = f", {len(self.setup)} set-up" if self.setup else ""
        if self.ok:
            return f"FLOW_OK {self.name} {count}{setup}"
        stop = self.stopped
        where = f" at {stop.at or 'the start'}: {stop.why}" if stop else ""
        return f"FLOW_FAILED {self.name} {count}{setup}{where}"

    @property
    def consistent(self) -> bool:
        """Whether `ok` follows from the rest."""
        return self.ok == judge(
            planned=self.planned, markers=self.markers, setup=self.setup, stopped=self.stopped
        )


def judge(
    *,
    planned: tuple[str, ...],
    markers: tuple[MarkerRecord, ...],
    setup: tuple[SetupRecord, ...],
    stopped: Stop | None,
) -> bool:
    """Return whether a story was told whole: every planned marker, in order, nothing else.

    A marker counts by its checks, not by what it says of itself: there are some, and all hold.
    """
    told = tuple(marker.name for marker in markers)
    worked = all(
        marker.ok and marker.checks and all(check.ok for check in marker.checks)
        for marker in markers
    )
    return (
        bool(planned)
        and told == planned
        and worked
        and all(step.ok for step in setup)
        and stopped is None
    )
