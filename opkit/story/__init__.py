"""The story kit: flows that are told against a world, one sentence and one marker at a time.

A marker is shown only on top of evidence. The same flow runs in a notebook cell, in a test and on
the command line; it may import this package, `opkit.proof` and `opkit.wire`, and nothing else.
"""

from opkit.story.evidence import (
    AgreementProof,
    AuditProof,
    BlobProof,
    DecisionProof,
    EntryProof,
    Evidence,
    ExchangeProof,
    NameProof,
    NotShown,
    OmissionProof,
    Proof,
    ReceiptProof,
    expect,
    same,
    that,
)
from opkit.story.flow import Flow, NotApplicable, PlannedStep
from opkit.story.hold import Held
from opkit.story.refusing import nothing_signed, refused
from opkit.story.report import MarkerRecord, Report, SetupRecord, Stop
from opkit.story.states import State
from opkit.story.telling import Telling, Told
from opkit.story.waiting import journal_head, until, wait_for_event
from opkit.story.world import HostileHandle, NodeHandle, World

__all__ = [
    "AgreementProof",
    "AuditProof",
    "BlobProof",
    "DecisionProof",
    "EntryProof",
    "Evidence",
    "ExchangeProof",
    "Flow",
    "Held",
    "HostileHandle",
    "MarkerRecord",
    "NameProof",
    "NodeHandle",
    "NotApplicable",
    "NotShown",
    "OmissionProof",
    "PlannedStep",
    "Proof",
    "ReceiptProof",
    "Report",
    "SetupRecord",
    "State",
    "Stop",
    "Telling",
    "Told",
    "World",
    "expect",
    "journal_head",
    "nothing_signed",
    "refused",
    "same",
    "that",
    "until",
    "wait_for_event",
]
