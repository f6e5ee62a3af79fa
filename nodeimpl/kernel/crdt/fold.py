"""What a set of operations adds up to, and its one spelling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from nodeimpl.kernel.crdt.authority import Authority, Standing
from nodeimpl.kernel.crdt.hlc import Hlc
from nodeimpl.kernel.crdt.log import Entry, Log
from nodeimpl.kernel.crdt.states import STATES, AnyState, spelled
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.operations import Base
from opkit.wire.base import Did, NetworkId, RecordId
from opkit.wire.operations import HEADS_MAX, Act, Checkpoint, ObjectId, ObjectKind

Permits: TypeAlias = "Callable[[Did, Act], bool]"
"""Whether an author may say something of an object: by the two alone, so that all say the same."""


def permit_all(_did: Did, _act: Act) -> bool:
    """Let every author say whatever the object's kind knows."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """Which object, of which kind, and how many voices it takes to change its authors.

    With more dishonest authors than the least number of voices less one, they admit and expel whom
    they like.

    Attributes:
        permits: what an author may say; anything else was never an operation on this object.
        of_author_max: how many operations each author has room for; None if all share one room.
            Who has a room of their own cites nobody else, so no other's operations are waited for.
    """

    network: NetworkId
    aud: ObjectId
    kind: ObjectKind
    admissions_min: int = 1
    expulsions_min: int = 1
    permits: Permits = permit_all
    of_author_max: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """What some operations and their past add up to, on what the epoch began with."""

    state: AnyState
    standing: Standing
    last: Hlc


def snapshot_of(spec: ObjectSpec, state: AnyState, standing: Standing) -> bytes:
    """Return the one spelling of a value and of who stands: equal bytes say equal replicas."""
    return spelled(
        {
            "aud": spec.aud,
            "authors": sorted(standing.authors),
            "expelled": sorted(standing.expelled),
            "kind": spec.kind.value,
            "network": spec.network,
            "state": state.rows(),
        }
    )


def read_snapshot(data: bytes, *, spec: ObjectSpec, base: Base) -> AnyState:
    """Return the value that a checkpoint stands for.

    Raises:
        ProofError: the bytes are not those that the members signed, or no snapshot of the object.
    """
    if sha256_hex(data) != base.state:
        raise ProofError("it is not the snapshot that the members signed")
    try:
        state = STATES[spec.kind].of_rows(json.loads(data)["state"])
    except (ValueError, KeyError, TypeError) as bad:
        raise ProofError("it is no snapshot") from bad
    if snapshot_of(spec, state, Standing(base.authors, base.expelled)) != data:
        raise ProofError("it is the snapshot of another object, or spelled otherwise")
    return state


def cut_of(
    spec: ObjectSpec, base: Base, begun: AnyState, log: Log, heads: Iterable[RecordId]
) -> Cut:
    """Return what operations and their past add up to, whatever else is in the log."""
    within = log.past(heads)
    authority = Authority(
        base, log, admissions_min=spec.admissions_min, expulsions_min=spec.expulsions_min
    )
    entries = [entry for each, entry in log.entries.items() if each in within]
    for entry in entries:
        if entry.about_authors:
            authority.voice(entry)
    state = begun.copy()
    apply_all(state, entries, authority)
    last = max((entry.said.at for entry in entries), default=Hlc(base.time_ms))
    return Cut(state=state, standing=authority.standing, last=last)


def apply_all(state: AnyState, entries: Iterable[Entry], authority: Authority) -> None:
    """Take into a value what counts of some operations."""
    for entry in entries:
        if not entry.about_authors and not authority.is_void(entry):
            state.apply(entry.said, entry.act)  # type: ignore[arg-type]  # judged at the door


def checkpoint_of(spec: ObjectSpec, base: Base, cut: Cut, heads: Iterable[RecordId]) -> Checkpoint:
    """Return what ends an epoch with these operations, for a member to sign.

    Raises:
        ProofError: it would tell of more heads or authors than a checkpoint has.
    """
    ordered = tuple(sorted(heads))
    if len(ordered) > HEADS_MAX:
        raise ProofError(f"{len(ordered)} operations are followed by none: more than {HEADS_MAX}")
    standing = cut.standing
    if not standing.authors:
        raise ProofError("nobody stands who could go on")
    authors = tuple(sorted(standing.authors))
    return Checkpoint(
        network=spec.network,
        aud=spec.aud,
        did=authors[0],
        epoch=base.epoch + 1,
        base=base.id,
        heads=ordered,
        authors=authors,
        expelled=tuple(sorted(standing.expelled)),
        state=sha256_hex(snapshot_of(spec, cut.state.compacted(), standing)),
        time_ms=max(cut.last.time_ms, base.time_ms),
    )
