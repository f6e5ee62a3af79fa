"""What nodes say to each other: methods as values, one stream per question (`docs/protocol.md`).

A stream carries one request frame and one answer frame; a blob's bytes follow its answer frame.
A frame is a four-byte big-endian length and that many bytes of JSON. The peer on the other end is
the key that the transport authenticated, never a field of a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    B64,
    CidText,
    Count,
    Jws,
    MemberIdText,
    NetworkId,
    RecordId,
    Slug,
    Text,
    Wire,
)
from opkit.wire.compute import (
    BLOB_BYTES_MAX,
    INLINE_BYTES_MAX,
    BlobUnknown,
    ExecutorUnavailable,
    HashMalformed,
    LimitsExcessive,
    ManifestExpired,
    ManifestRejected,
    QueueFull,
    QuotaExceeded,
    StorageFull,
    SubmitterNotAccepted,
    TaskConflict,
    TaskUnknown,
    TaskView,
)
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import Denied, Exhausted, Invalid, Refusal
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import EngineId

PROTOCOL = "opkit/1"
"""The one protocol version (the transport's ALPN)."""

FRAME_BYTES_MAX = 1_048_576
"""The greatest frame; a longer announced length ends the stream before a byte of it is read."""

METHODS: dict[str, PeerMethod[Any, Any]] = {}
"""Every method by its name; filled when the value is made."""


@dataclass(frozen=True, kw_only=True)
class PeerMethod(Generic[Ask, Answer]):
    """One question a peer answers; `refuses` in order of precedence.

    `streams_blob` says that the blob's bytes follow the answer frame; `takes_casts` that the asker
    goes on sending frames on the same stream, which nobody answers.
    """

    name: str
    ask: type[Ask]
    answer: type[Answer]
    refuses: tuple[type[Refusal], ...] = ()
    deadline_ms: int = 5_000
    streams_blob: bool = False
    takes_casts: bool = False

    def __post_init__(self) -> None:
        """Register the method under its name."""
        assert self.name not in METHODS, f"two methods share the name {self.name!r}"
        METHODS[self.name] = self


class RequestFrame(Wire):
    """The first frame of a stream."""

    v: Annotated[int, Field(ge=1, le=1)] = 1
    method: Annotated[str, StringConstraints(max_length=64)]
    body: dict[str, Any]


class AnswerFrame(Wire):
    """The second frame: exactly one of `ok` and `problem` is set."""

    v: Annotated[int, Field(ge=1, le=1)] = 1
    ok: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class Hello(Wire):
    """The first question on a connection, asked by the one who dialled."""

    network: NetworkId
    genesis: RecordId
    org: Slug | None
    version: Text


class Welcome(Wire):
    """Who the dialled node is."""

    org: Slug | None
    version: Text


class OpenCasts(Wire):
    """Ask the peer to read casts of one kind from this stream, one frame each, until it ends."""

    kind: Annotated[str, StringConstraints(max_length=64)]


class CastsTaken(Wire):
    """The peer reads them."""


class HaveBlob(Wire):
    """Ask whether the peer keeps these bytes."""

    cid: CidText


class BlobOffer(Wire):
    """`size_bytes` is None if the peer does not keep them."""

    size_bytes: Count | None


class FetchBlob(Wire):
    """Ask for bytes by name, if there are at most `size_bytes_max`."""

    cid: CidText
    size_bytes_max: Annotated[int, Field(ge=0, le=BLOB_BYTES_MAX)]


class BlobHeader(Wire):
    """How many bytes follow: exactly these, then the stream ends."""

    size_bytes: Annotated[int, Field(ge=0, le=BLOB_BYTES_MAX)]


class AskLoad(Wire):
    """Ask how busy a peer's workers are, and whether they would run this submitter's tasks."""

    member_id: MemberIdText


class Load(Wire):
    """How many tasks run and wait, how many may run at once, and on which engine."""

    running: Count
    waiting: Count
    slots: Count
    accepts: bool
    engine: EngineId


class OfferTask(Wire):
    """Ask a peer to run a task. `records` prove the membership of a submitter who is no founder."""

    manifest: Jws
    records: tuple[Jws, ...] = ()
    input_inline: Annotated[B64, Field(max_length=INLINE_BYTES_MAX)] | None = None


class TaskTaken(Wire):
    """The executor has durably taken the task."""

    manifest_hash: RecordId


class AwaitTask(Wire):
    """Ask for a task's result; the answer is held until it is final, or `wait_ms` long."""

    manifest_hash: RecordId
    wait_ms: Annotated[int, Field(ge=0, le=30_000)]


class DropTask(Wire):
    """Ask the executor to cancel a task that this peer offered."""

    manifest_hash: RecordId


@dataclass(eq=False, kw_only=True)
class WrongNetwork(Denied):
    """The peer belongs to another network."""

    code = "wrong-network"
    hint = "compare the genesis of both nodes"
    network: str


@dataclass(eq=False, kw_only=True)
class MethodUnknown(Invalid):
    """There is no such peer method in this protocol version."""

    code = "method-unknown"
    hint = "see docs/protocol.md"
    method: str


@dataclass(eq=False, kw_only=True)
class FrameMalformed(Invalid):
    """The frame is too long, not JSON, or not of the declared shape."""

    code = "frame-malformed"
    hint = "see docs/protocol.md"
    why: str


@dataclass(eq=False, kw_only=True)
class PeerRateExceeded(Exhausted):
    """This peer has too many streams open, or asks too fast."""

    code = "peer-rate-exceeded"
    hint = "slow down"
    limit: int


COMMON_REFUSALS: tuple[type[Refusal], ...] = (
    PeerRateExceeded,
    FrameMalformed,
    MethodUnknown,
    WrongNetwork,
)
"""What any peer question can be refused with, in order, before the method's own refusals."""

HELLO = PeerMethod(name="peer.hello", ask=Hello, answer=Welcome)

OPEN_CASTS = PeerMethod(name="peer.cast", ask=OpenCasts, answer=CastsTaken, takes_casts=True)

HAVE_BLOB = PeerMethod(
    name="blob.have", ask=HaveBlob, answer=BlobOffer, refuses=(HashMalformed,), deadline_ms=2_000
)

FETCH_BLOB = PeerMethod(
    name="blob.fetch",
    ask=FetchBlob,
    answer=BlobHeader,
    refuses=(HashMalformed, BlobUnknown),
    deadline_ms=30_000,
    streams_blob=True,
)

LOAD = PeerMethod(name="compute.load", ask=AskLoad, answer=Load, deadline_ms=2_000)

OFFER_TASK = PeerMethod(
    name="compute.offer",
    ask=OfferTask,
    answer=TaskTaken,
    refuses=(
        ManifestRejected,
        HashMalformed,
        ManifestExpired,
        LimitsExcessive,
        TaskConflict,
        SubmitterNotAccepted,
        QuotaExceeded,
        QueueFull,
        ExecutorUnavailable,
        StorageFull,
        StoreBusy,
    ),
)

AWAIT_TASK = PeerMethod(
    name="compute.await",
    ask=AwaitTask,
    answer=TaskView,
    refuses=(TaskUnknown,),
    deadline_ms=35_000,
)

DROP_TASK = PeerMethod(
    name="compute.drop", ask=DropTask, answer=TaskView, refuses=(TaskUnknown, StoreBusy)
)
