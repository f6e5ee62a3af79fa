"""Operations and checkpoints: what of them can be judged by whoever holds them, without the log.

That an author was one in an operation's causal past is for whoever holds that past (`nodeimpl`'s
log of operations); what is here needs the signed text and, for checkpoints, the one before.
Source: ADR 0043.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from opkit.proof import jws
from opkit.proof.canonical import canonical, sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Jws, NetworkId, RecordId
from opkit.wire.operations import (
    AUTHORS_MAX,
    CHECKPOINT_CHARACTERS_MAX,
    CHECKPOINT_TYP,
    OPERATION_CHARACTERS_MAX,
    OPERATION_TYP,
    AdmitAct,
    AssignAct,
    Checkpoint,
    ExpelAct,
    ObjectId,
    Operation,
    RemoveAct,
)


@dataclass(frozen=True, slots=True)
class ReadOperation:
    """An operation whose signature holds, with its id and as it was signed."""

    id: RecordId
    operation: Operation
    token: Jws


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Proof that an author signed two operations under one number: two histories of their own."""

    did: Did
    aud: ObjectId
    epoch: int
    sequence: int
    first: ReadOperation
    second: ReadOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an epoch begins with: a checkpoint as more than half of the members signed it.

    Attributes:
        id: the checkpoint's; None at the object's beginning.
        time_ms: what follows has a later time.
        state: SHA-256 of the snapshot; None at the beginning, where there is none.
    """

    epoch: int
    id: RecordId | None
    authors: frozenset[Did]
    expelled: frozenset[Did]
    time_ms: int = 0
    state: RecordId | None = None


def beginning(founders: Iterable[Did]) -> Base:
    """Return the base of an object that its founders alone may begin.

    Raises:
        ProofError: there is none, or there are more than an object has.
    """
    authors = frozenset(founders)
    if not 1 <= len(authors) <= AUTHORS_MAX:
        raise ProofError(f"an object has 1 to {AUTHORS_MAX} founders, not {len(authors)}")
    return Base(epoch=0, id=None, authors=authors, expelled=frozenset())


def sign_operation(operation: Operation, author: Identity) -> ReadOperation:
    """Return an operation signed by the author whom it names.

    Raises:
        ProofError: nobody would take it (`read_operation`).
    """
    if author.did != operation.did:
        raise ProofError("an operation is signed by the author whom it names")
    _check(operation)
    token = jws.sign(operation, typ=OPERATION_TYP, identity=author)
    _check_length(token)
    return ReadOperation(jws.record_id(token), operation, token)


def read_operation(token: Jws, *, network: NetworkId, aud: ObjectId) -> ReadOperation:
    """Return an operation on an object that the author whom it names has signed.

    Raises:
        ProofError: length, signature, type, network or shape; another object; a base or a number
            that does not fit its epoch or what it follows; citations that are not in order, or
            the same twice; an act about a key that is none.
    """
    _check_length(token)
    operation = jws.verify_by_author(
        token, typ=OPERATION_TYP, author="did", network=network, of=Operation
    )
    if operation.aud != aud:
        raise ProofError(f"it is an operation on {operation.aud}, not on {aud}")
    _check(operation)
    return ReadOperation(jws.record_id(token), operation, token)


def reread_operation(token: Jws) -> ReadOperation:
    """Return an operation that was read and kept before; its signature is not looked at again."""
    operation = Operation.model_validate(jws.reread(token))
    return ReadOperation(jws.record_id(token), operation, token)


def _check_length(token: Jws) -> None:
    if len(token) > OPERATION_CHARACTERS_MAX:
        raise ProofError("the operation is longer than any may be")


def _check(operation: Operation) -> None:
    """Raise `ProofError` if an operation contradicts itself."""
    if (operation.base is None) != (operation.epoch == 0):
        raise ProofError("the beginning has no checkpoint, every other epoch has one")
    if (operation.previous is None) != (operation.sequence == 1):
        raise ProofError("an author's first operation has none before it, every other one has")
    _check_ordered(operation.parents, "operations that it follows")
    if operation.previous in operation.parents:
        raise ProofError("it cites the author's previous operation twice")
    act = operation.act
    if isinstance(act, AdmitAct | ExpelAct):
        public_key_of(act.did)
        if isinstance(act, ExpelAct) and act.fork is not None:
            _check_ordered(act.fork, "operations of a fork")
    elif isinstance(act, RemoveAct | AssignAct):
        _check_ordered(act.over, "operations that it is over")


def _check_ordered(ids: Sequence[RecordId], what: str) -> None:
    if any(one >= other for one, other in pairwise(ids)):
        raise ProofError(f"the {what} are not in order, or one stands there twice")


def read_fork(one: Jws, other: Jws, *, network: NetworkId, aud: ObjectId) -> Fork:
    """Return the proof that two operations are, in whatever order they are given.

    Raises:
        ProofError: one of them does not verify, or they do not contradict each other.
    """
    first, second = sorted(
        (read_operation(token, network=network, aud=aud) for token in (one, other)),
        key=lambda read: read.id,
    )
    if first.id == second.id:
        raise ProofError("it is one operation")
    if place_of(first.operation) != place_of(second.operation):
        raise ProofError("the operations stand at two places")
    said = first.operation
    return Fork(
        did=said.did,
        aud=aud,
        epoch=said.epoch,
        sequence=said.sequence,
        first=first,
        second=second,
    )


def place_of(operation: Operation) -> tuple[Did, int, RecordId | None, int]:
    """Return the place at which an honest author signs one operation only."""
    return operation.did, operation.epoch, operation.base, operation.sequence


def checkpoint_id(checkpoint: Checkpoint) -> RecordId:
    """Return the id of a checkpoint: the same for all who sign it, for `did` is left out."""
    said = checkpoint.model_dump(mode="json", exclude={"did"})
    return sha256_hex(b"opkit checkpoint 1\n" + canonical(said))


def sign_checkpoint(checkpoint: Checkpoint, member: Identity) -> Jws:
    """Return a member's signature under a checkpoint; its `did` becomes theirs.

    Raises:
        ProofError: nobody would take it (`read_checkpoint`).
    """
    own = checkpoint.model_copy(update={"did": member.did})
    _check_checkpoint(own)
    return jws.sign(own, typ=CHECKPOINT_TYP, identity=member)


def read_checkpoint(token: Jws, *, network: NetworkId, aud: ObjectId) -> Checkpoint:
    """Return a checkpoint of an object as one member signed it, whoever that is.

    Raises:
        ProofError: length, signature, type, network or shape; another object; a base that does not
            fit its epoch; lists that are not in order; somebody who stands and is expelled at once.
    """
    if len(token) > CHECKPOINT_CHARACTERS_MAX:
        raise ProofError("the checkpoint is longer than any may be")
    checkpoint = jws.verify_by_author(
        token, typ=CHECKPOINT_TYP, author="did", network=network, of=Checkpoint
    )
    if checkpoint.aud != aud:
        raise ProofError(f"it is a checkpoint of {checkpoint.aud}, not of {aud}")
    _check_checkpoint(checkpoint)
    return checkpoint


def _check_checkpoint(checkpoint: Checkpoint) -> None:
    if (checkpoint.base is None) != (checkpoint.epoch == 1):
        raise ProofError("the first checkpoint follows none, every other one follows one")
    for ids, what in (
        (checkpoint.heads, "heads"),
        (checkpoint.authors, "authors"),
        (checkpoint.expelled, "expelled"),
    ):
        _check_ordered(ids, what)
    if set(checkpoint.authors) & set(checkpoint.expelled):
        raise ProofError("somebody stands and is expelled at once")
    for did in (*checkpoint.authors, *checkpoint.expelled):
        public_key_of(did)


def read_next(
    tokens: Sequence[Jws], *, base: Base, network: NetworkId, aud: ObjectId
) -> tuple[Base, Checkpoint]:
    """Return what the epoch after `base` begins with, if the members agree on it.

    More than half of those who stood at `base` have to sign one and the same: two such halves have
    a member in common, so two checkpoints for one epoch need somebody who signed both.

    Raises:
        ProofError: a signature does not verify, they are of two checkpoints, somebody signed twice
            or stood not at `base`; it does not follow `base`, or brings back who was expelled;
            or they are too few.
    """
    if not 1 <= len(tokens) <= AUTHORS_MAX:
        raise ProofError(f"{len(tokens)} signatures are none, or more than there are members")
    read = [read_checkpoint(token, network=network, aud=aud) for token in tokens]
    ids = {checkpoint_id(checkpoint) for checkpoint in read}
    if len(ids) != 1:
        raise ProofError("the signatures are under two checkpoints")
    signers = [checkpoint.did for checkpoint in read]
    if any(one >= other for one, other in pairwise(signers)):
        raise ProofError("the signatures are not in order of their keys, or one is there twice")
    if not base.authors.issuperset(signers):
        raise ProofError("somebody signed who did not stand at the checkpoint before")
    if 2 * len(signers) <= len(base.authors):
        raise ProofError(f"{len(signers)} of {len(base.authors)} members are not more than half")
    said = read[0]
    if (said.epoch, said.base) != (base.epoch + 1, base.id):
        raise ProofError("it does not follow the checkpoint before")
    if not base.expelled <= set(said.expelled):
        raise ProofError("it brings back somebody who was expelled")
    if said.time_ms < base.time_ms:
        raise ProofError("its time lies before that of the checkpoint before")
    return (
        Base(
            epoch=said.epoch,
            id=ids.pop(),
            authors=frozenset(said.authors),
            expelled=frozenset(said.expelled),
            time_ms=said.time_ms,
            state=said.state,
        ),
        said,
    )
