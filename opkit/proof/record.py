"""Signed records: what of one can be judged by whoever holds it, whoever handed it on.

A record is signed by the owner that it names. Of one owner's records under one name the one with
the higher sequence stands, at the same sequence the one with the lower hash: so any two readers
who saw the same records believe the same one. Two records of one sequence are proof that their
owner said two things. Source: ADR 0028, ADR 0029.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.membership import coop_of, member_history
from opkit.wire.base import Did, Jws, NetworkId, Slug, TimeMs
from opkit.wire.membership import NO_COOP
from opkit.wire.records import (
    RECORD_CHARACTERS_MAX,
    RECORD_TYP,
    Namespace,
    RecordBody,
    RecordName,
    Sequence,
)

SKEW_MS = 120_000
"""How far ahead of the reader's clock the time of issue may lie."""

OWN_MAX = 64
"""Of how many records that were signed here it is remembered that they verify."""

VERDICTS_MAX = 4_096
"""How many verdicts a `Verifier` remembers of each kind, unless it is told otherwise."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose signature was verified: `id` is SHA-256 of its signing input."""

    token: Jws
    body: RecordBody
    id: bytes


def sign_record(body: RecordBody, owner: Identity) -> Jws:
    """Return the record, signed by the owner that it names.

    Raises:
        ProofError: `owner` is another key, the record is too long, or no reader would take it.
    """
    if owner.did != body.owner:
        raise ProofError("a record is signed by the owner that it names")
    token = jws.sign(body, typ=RECORD_TYP, identity=owner)
    _check_length(token)
    _OWN.keep(token, _checked(jws.read_own(token, of=RecordBody)))
    return token


def make_record(
    owner: Identity,
    *,
    network: NetworkId,
    namespace: Namespace,
    name: RecordName,
    value: dict[str, Any] | None,
    at_ms: TimeMs,
    term_ms: int,
    sequence: Sequence | None = None,
) -> Jws:
    """Return a record of one's own, signed.

    Args:
        owner: whose word it is.
        network: where it holds.
        namespace: what it is about; with `name` and `value` as the namespace takes them.
        name: what in the namespace it is about.
        value: what it says; None takes back what was said before.
        at_ms: when it is issued.
        term_ms: how long it lasts from then on; a tombstone, as long as its namespace allows.
        sequence: its place among those under the name; as the time of issue unless it is said.

    Raises:
        ProofError: the record is too long, or no reader would take it.
    """
    body = RecordBody(
        network=network,
        aud=namespace,
        name=name,
        owner=owner.did,
        sequence=at_ms if sequence is None else sequence,
        issued_at_ms=at_ms,
        lapses_at_ms=at_ms + term_ms,
        value=value,
    )
    return sign_record(body, owner)


def read_record(token: Jws, *, network: NetworkId) -> RecordBody:
    """Return the body of a record that its own owner signed for this network.

    Nothing here depends on the time: `check_term`, `is_ahead` and `is_lapsed` say that.

    Raises:
        ProofError: length, signature, type, network or shape; a sequence beyond the time of
            issue; a lapse that is not after it.
    """
    _check_length(token)
    body = jws.verify_by_author(
        token, typ=RECORD_TYP, author="owner", network=network, of=RecordBody
    )
    return _checked(body)


def _check_length(token: Jws) -> None:
    if len(token) > RECORD_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than a record may have")


def _checked(body: RecordBody) -> RecordBody:
    """Return a body whose times can be."""
    if body.sequence > body.issued_at_ms:
        raise ProofError("the sequence lies beyond the time of issue")
    if body.lapses_at_ms <= body.issued_at_ms:
        raise ProofError("it lapses before it is issued")
    return body


def check_term(body: RecordBody, *, term_ms_max: int) -> None:
    """Return if a record lasts as long as one of its namespace may.

    A tombstone lasts exactly so long. Then it lapses after all that was issued before it, which
    every reader sees by itself, whether or not they ever saw what it takes back.

    Raises:
        ProofError: it lapses too late, or is a tombstone that lapses too soon.
    """
    term_ms = body.lapses_at_ms - body.issued_at_ms
    if term_ms > term_ms_max:
        raise ProofError(f"it lasts {term_ms} ms, and at most {term_ms_max} are allowed")
    if body.value is None and term_ms < term_ms_max:
        raise ProofError(f"a tombstone lasts {term_ms_max} ms, not {term_ms}")


def is_ahead(body: RecordBody, *, now_ms: int) -> bool:
    """Return whether a record was issued in the reader's future, beyond what clocks may differ."""
    return body.issued_at_ms > now_ms + SKEW_MS


def is_lapsed(body: RecordBody, *, now_ms: int) -> bool:
    """Return whether a record's time is over."""
    return body.lapses_at_ms <= now_ms


def outranks(first: tuple[Sequence, bytes], second: tuple[Sequence, bytes]) -> bool:
    """Return whether the first of two records of one owner and name stands before the second.

    Args:
        first: sequence and id of a record.
        second: those of another one.
    """
    return first[0] > second[0] or (first[0] == second[0] and first[1] < second[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocation:
    """Proof that an owner signed two records of one sequence; `first` is the one that stands."""

    owner: Did
    namespace: Namespace
    name: RecordName
    sequence: Sequence
    first: Jws
    second: Jws


def read_equivocation(one: Jws, other: Jws, *, network: NetworkId) -> Equivocation:
    """Return the proof that two records are, in whatever order they are given.

    Raises:
        ProofError: one of them does not verify; they are of two owners, names or sequences, or
            are one record.
    """
    bodies = [read_record(token, network=network) for token in (one, other)]
    told = {(body.owner, body.aud, body.name, body.sequence) for body in bodies}
    if len(told) > 1:
        raise ProofError("the records are of two owners, names or sequences")
    first, second = sorted((one, other), key=jws.record_id)
    if jws.record_id(first) == jws.record_id(second):
        raise ProofError("it is one record, twice")
    ((owner, namespace, name, sequence),) = told
    return Equivocation(
        owner=owner,
        namespace=namespace,
        name=name,
        sequence=sequence,
        first=first,
        second=second,
    )


def sponsor_of(owner: Did, *, proof: tuple[Jws, ...], genesis: GenesisView) -> Slug | None:
    """Return who vouches for a key, or None: keys cost nothing, so room is given by sponsor.

    A node of the genesis is vouched for by its coop, or by its organisation if it has none; a
    founder by their coop; a member by the coop whose records in `proof` show that the key is
    theirs and active. `-` stands for the operator, who vouches for members of no coop.

    Args:
        owner: the key.
        proof: a whole chain of membership records, oldest first; one that does not hold shows
            nothing, but is no fault of the owner's: it is not under their signature.
        genesis: the network's genesis.
    """
    node = genesis.node(owner)
    if node is not None:
        return node.coop or node.org
    if owner == genesis.operator:
        return NO_COOP
    for coop, founder in genesis.founders():
        if founder.did == owner:
            return coop
    return _member_sponsor(owner, proof=proof, genesis=genesis)


def _member_sponsor(owner: Did, *, proof: tuple[Jws, ...], genesis: GenesisView) -> Slug | None:
    if not proof:
        return None
    try:
        member_id = str(jws.peek(proof[0]).payload.get("member_id"))
        member = member_history(member_id, genesis=genesis, records=proof)[-1]
    except ProofError:
        return None
    if not member.active or member.did != owner:
        return None
    return coop_of(member_id) or NO_COOP


class _Own:
    """The records that this process signed last: who made a signature needs not check it."""

    def __init__(self, records_max: int) -> None:
        """Remember so many."""
        self._kept: OrderedDict[Jws, RecordBody] = OrderedDict()
        self._max = records_max
        self._turn = Lock()

    def keep(self, token: Jws, body: RecordBody) -> None:
        """Remember a record; the oldest goes."""
        with self._turn:
            self._kept[token] = body
            if len(self._kept) > self._max:
                self._kept.popitem(last=False)

    def get(self, token: Jws, *, network: NetworkId) -> RecordBody | None:
        """Return the body of a record that was signed here for this network, to the letter."""
        body = self._kept.get(token)
        return body if body is not None and body.network == network else None


_OWN = _Own(OWN_MAX)


class Verifier:
    """Reads the records of one network, and remembers what it found, within bounds.

    A verdict depends on nothing but what was read, so any number of readers may share one: in a
    simulation each signature is checked once, not once a node. What verifies and what does not
    are remembered apart, so that nobody drives out good verdicts with bad records.

    Attributes:
        hits: how many questions were answered from memory.
        misses: how many were not.
    """

    def __init__(self, genesis: GenesisView, *, verdicts_max: int = VERDICTS_MAX) -> None:
        """Read for the network of `genesis`; remember so many verdicts of each kind."""
        assert verdicts_max > 0
        self.hits = 0
        self.misses = 0
        self._genesis = genesis
        self._max = verdicts_max
        self._good: dict[Jws, Record] = {}
        self._bad: dict[bytes, str] = {}
        self._sponsors: dict[bytes, Slug | None] = {}

    @property
    def genesis(self) -> GenesisView:
        """The genesis of the network that is read for."""
        return self._genesis

    def __len__(self) -> int:
        """Return how many verdicts are remembered, of all kinds."""
        return len(self._good) + len(self._bad) + len(self._sponsors)

    def read(self, token: Jws) -> Record:
        """Return a record that verifies, as `read_record`.

        Raises:
            ProofError: it does not.
        """
        # By the whole token: its owner stands in it, and another signature is another one.
        known = self._good.get(token)
        if known is not None:
            self.hits += 1
            return known
        why = self._bad.get(_digest(token)) if self._bad else None
        if why is not None:
            self.hits += 1
            raise ProofError(why)
        self.misses += 1
        try:
            network = self._genesis.network
            body = _OWN.get(token, network=network) or read_record(token, network=network)
        except ProofError as bad:
            self._remember(self._bad, _digest(token), bad.why)
            raise
        signing_input = token[: token.rindex(".")].encode("ascii")
        record = Record(token, body, hashlib.sha256(signing_input).digest())
        self._remember(self._good, token, record)
        return record

    def sponsor(self, owner: Did, proof: tuple[Jws, ...]) -> Slug | None:
        """Return who vouches for a key, as `sponsor_of`."""
        digest = _digest("\n".join((owner, *proof)))
        if digest in self._sponsors:
            self.hits += 1
            return self._sponsors[digest]
        self.misses += 1
        sponsor = sponsor_of(owner, proof=proof, genesis=self._genesis)
        self._remember(self._sponsors, digest, sponsor)
        return sponsor

    def _remember(self, where: dict[K, T], key: K, verdict: T) -> None:
        if len(where) >= self._max:
            del where[next(iter(where))]
        where[key] = verdict


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
