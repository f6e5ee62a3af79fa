"""What the console draws: plain values that live state is turned into, and nothing that fetches.

`opkit.live` makes these from what nodes say; `opkit.views.network`, `.compute` and `.console` turn
them into markup. Between the two lies no I/O, so that every picture can be drawn in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from opkit.story.report import CheckRecord
from opkit.story.stage import StageView
from opkit.story.states import State
from opkit.wire.base import Cid, Did
from opkit.wire.compute import ReceiptBundle, TaskState
from opkit.wire.network import LinkAmiss, PeerLink
from opkit.wire.overlay import Overlay
from opkit.wire.services import FindServices, ServiceHealth
from opkit.wire.witness import Witnesses

Health = Literal["up", "starting", "down"]
LinkState = Literal["up", "cut", "lost"]
"""`cut`: on purpose, by the supervisor. `lost`: one of its ends says so, or an end is down."""


@dataclass(frozen=True, kw_only=True)
class NodeFigure:
    """A node as it is now. `since_ms` dates its health; figures of a node that is down are old.

    Attributes:
        initials: two letters for the inside of a circle, which no other node has.
        why: what keeps it from being up, in words; empty if it is.
        seen_ms: when it last answered; 0 if never.
        busy: what it is doing, in a few words; empty if nothing.
        links: its links exactly as it reports them.
    """

    org: str
    title: str
    initials: str
    did: Did
    url: str
    health: Health
    since_ms: int
    seen_ms: int
    why: str = ""
    busy: str = ""
    version: str = ""
    engine: str = ""
    generation: int = 0
    started_ms: int = 0
    world_ms: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    journal_sequence: int = 0
    journal_hash: str = ""
    links: tuple[PeerLink, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LinkFigure:
    """A link between the nodes of two organisations, `a` before `b` in the order of the nodes.

    Byte counts are those that `a` reports, or `b` if `a` is silent; rates are of the last seconds.
    Losses are those of the worse direction: each end counts what it sent itself.
    `recent` holds round trips in microseconds, oldest first, one for each look at the nodes.
    """

    a: str
    b: str
    state: LinkState
    since_ms: int
    round_trip_us: int | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    bytes_per_s: int = 0
    recent: tuple[int, ...] = ()
    lost_permille: int = 0
    amiss: LinkAmiss | None = None


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened, as a sentence. `key` never changes; `entry` is what it rests on.

    Attributes:
        key: `org/sequence` of the journal entry, or `supervisor/number` of a disturbance.
        tone: how it is coloured; a failed state is only for what nobody intended.
        adversarial: it was done on purpose, by the supervisor or a hostile peer.
        entry: the journal entry or disturbance, as JSON values.
    """

    key: str
    at_ms: int
    org: str
    kind: str
    sentence: str
    tone: State
    adversarial: bool = False
    entry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes that just moved from one node to another, for the map: shown while it is recent."""

    source: str
    target: str
    words: str
    tone: State
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class LastingFigure:
    """Something that is done to the network on purpose and lasts; `number` is what ends it.

    Attributes:
        org: whose node it is done to; empty for what is done to links.
        links: the ends of the links that are cut by it.
    """

    number: int
    kind: str
    sentence: str
    ends_ms: int
    org: str = ""
    links: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkFigures:
    """The network now. Happenings are newest first.

    Attributes:
        lasting: what is done to it on purpose now, oldest first.
        trouble: why the supervisor's word is missing or old; empty if it is not.
    """

    name: str
    now_ms: int
    nodes: tuple[NodeFigure, ...]
    links: tuple[LinkFigure, ...]
    happenings: tuple[Happening, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    lasting: tuple[LastingFigure, ...] = ()
    tasks: int = 0
    tasks_failed: int = 0
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class NodeOverlay:
    """What a node knows of the network around it, as it told it last."""

    org: str
    told: Overlay


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """On which node how many records of a namespace are, of all that any of them has.

    Attributes:
        held: organisations with how many their nodes have.
        is_exact: False if nodes differ in so much that not all of it was looked at; then `total` is
            what there is at least.
    """

    namespace: str
    total: int
    held: tuple[tuple[str, int], ...]
    is_exact: bool = True


@dataclass(frozen=True, kw_only=True)
class OverlayFigures:
    """What all nodes tell of records, gossip and repair; organisations in the network's order.

    Attributes:
        coverage: of nodes that are up.
        witnesses: what each node that is up knows of all journals.
    """

    nodes: tuple[NodeOverlay, ...]
    coverage: tuple[Coverage, ...] = ()
    witnesses: tuple[tuple[str, Witnesses], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModuleFigure:
    """A module and who holds it. `titles` of organisations stand in `holders`, home first."""

    wasm_hash: Cid
    name: str
    size_bytes: int
    owner: str
    deployed_ms: int
    holders: tuple[str, ...]
    runs: int


@dataclass(frozen=True, kw_only=True)
class TaskFigure:
    """A task as its submitter's node and its executor journalled it."""

    task_id: str
    member_id: str
    home: str
    wasm_hash: Cid
    module: str
    executor: str
    state: TaskState
    accepted_ms: int
    ended_ms: int = 0
    outcome: str = ""
    fuel_used: int = 0
    fetched_from: str = ""
    code: str = ""
    receipt_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was verified here, with each check and both of its sides.

    Attributes:
        subject: a task by its id, or a sentence of a story by its marker.
        bundle: the receipt that was looked at, if it was one.
        facts: what the receipt says beyond its checks, in words.
    """

    subject: str
    at_ms: int
    ok: bool
    verdict: str
    checks: tuple[CheckRecord, ...]
    bundle: ReceiptBundle | None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ComputeFigures:
    """Modules and tasks of the whole network, newest first."""

    now_ms: int
    modules: tuple[ModuleFigure, ...]
    tasks: tuple[TaskFigure, ...]
    tasks_total: int = 0


@dataclass(frozen=True, kw_only=True)
class FlowChoice:
    """A flow that can be chosen; `lacking` says why it cannot be told here, or is empty."""

    name: str
    title: str
    story: str
    steps: int
    lacking: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsoleFigures:
    """The console now: what can be told, and what is being told (None: nothing yet).

    Attributes:
        selected: the marker whose evidence is open; empty: the one being told, or the last told.
        may_act: whether this viewer may tell flows and disturb the network.
        again: checks of the selected marker's proofs that were run again here, or None.
    """

    network: NetworkFigures
    flows: tuple[FlowChoice, ...]
    stage: StageView | None
    selected: str = ""
    may_act: bool = False
    again: Verification | None = None


@dataclass(frozen=True, kw_only=True)
class NameFigure:
    """A name that somebody holds, by its record, which was verified here.

    Attributes:
        stands_for: what it leads to, in words.
        home: the organisation whose node countersigned it.
        holders: organisations whose nodes have this very record, in the network's order.
        lacking: those that are up and have another one, or none.
        record: the record itself, to be verified again.
        why: why it does not verify; empty if it does.
    """

    name: str
    kind: str
    stands_for: str
    member_id: str
    home: str
    sequence: int
    claim_sequence: int
    issued_ms: int
    lapses_ms: int
    holders: tuple[str, ...]
    lacking: tuple[str, ...]
    record: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class CardFigure:
    """The agent card of a node, which was verified here; `why` says why there is none to show."""

    org: str
    did: Did
    name: str = ""
    description: str = ""
    skills: tuple[str, ...] = ()
    streaming: bool = False
    prices: tuple[str, ...] = ()
    sequence: int = 0
    lapses_ms: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class ChainLink:
    """One link of a chain of proofs: what it is, what it says, and each check of it."""

    name: str
    title: str
    says: str
    checks: tuple[CheckRecord, ...]

    @property
    def ok(self) -> bool:
        """Whether all of it holds."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class FoundFigure:
    """A service that a node named, with the chain of its proofs as it was verified here.

    Attributes:
        chain: link by link; what follows a link that does not hold was not looked at.
        proof: the records it rests on, as JSON, to be kept and verified elsewhere.
    """

    name: str
    ok: bool
    verified_ms: int
    health: ServiceHealth
    chain: tuple[ChainLink, ...]
    proof: str
    service: str = ""
    type: str = ""
    node: str = ""
    urls: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    region: str = ""
    lapses_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerFigure:
    """What a node answered when it was asked for services; `trouble` says why it did not."""

    asked: FindServices
    at: str
    found: tuple[FoundFigure, ...] = ()
    more: bool = False
    took_ms: int = 0
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class NamesFigures:
    """Names and cards of the whole network.

    Attributes:
        more: there are further names, which are not listed.
    """

    names: tuple[NameFigure, ...] = ()
    more: bool = False
    cards: tuple[CardFigure, ...] = ()
