"""What the federation's members say, and how nodes answer who asks about it. Source: ADR 0044."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import PLAIN, Count, Did, Jws, NetworkId, RecordId, Slug, Text, TimeMs, Wire
from opkit.wire.operations import AUTHORS_MAX, VALUE_CHARACTERS_MAX, Act, ObjectId, ObjectKind

FEDERATION = "federation"
"""The object's id, and for whom statements and attestations are."""

COOP_STATEMENT_TYP = "opkit-coop-statement+jws"

ATTESTATION_TYP = "opkit-attestation+jws"

VOUCHES_MIN = 2
"""How many members vouch for who is to be one; as many end a membership."""

ATTESTATION_TERM_MS_MAX = 400 * 24 * 3_600_000
"""For how long an attestation may be valid."""

MEMBERS_SHOWN_MAX = AUTHORS_MAX
ATTESTATIONS_PER_PAGE_MAX = 200
FORKS_SHOWN_MAX = 64
OPERATIONS_PER_PAGE_MAX = 200
OBJECTS_PER_PAGE_MAX = 200

DidText = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]
"""What somebody says is a DID; one that is none is not found."""

SlugText = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]

SignedStatement = Annotated[Jws, Field(max_length=VALUE_CHARACTERS_MAX)]


class CoopStatement(Wire):
    """What a home node says of its coop to all (`opkit-coop-statement+jws`, `did` is the node).

    Attributes:
        coop: the coop's id; one that the genesis has is its own home node's alone.
        charter: SHA-256 of the charter's canonical JSON; None for a coop of no charter here.
        decision: the decision by which the coop joined; None if it did by its charter.
        issued_at_ms: in world time.
    """

    network: NetworkId
    aud: Literal["federation"] = "federation"
    did: Did
    coop: Slug
    title: Text
    charter: RecordId | None
    decision: RecordId | None
    issued_at_ms: TimeMs


class Attestation(Wire):
    """What one coop attests of another (`opkit-attestation+jws`, `did` is the issuer's home node).

    It says what its issuer says, and nothing more: whoever relies on it relies on the issuer.

    Attributes:
        type: what sort of thing, such as `insured`; one of each sort stands between two coops.
        statement: the thing itself, for people.
        valid_from_ms: in world time; `valid_until_ms`: the first moment when it does not hold.
        evidence: the hash of a decision, a receipt or an agreement that it rests on.
    """

    network: NetworkId
    aud: Literal["federation"] = "federation"
    did: Did
    issuer: Slug
    subject: Slug
    type: Slug
    statement: Text
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    evidence: RecordId | None = None
    issued_at_ms: TimeMs


class FederationMember(Wire):
    """Who may speak in the federation, or might.

    Attributes:
        did: the home node.
        coop: as the genesis has it, or as its statement says; None if nothing says so.
        founder: by the genesis.
        standing: whether it is a member; otherwise some have vouched, and not enough.
        vouched_by: home nodes that vouched for it.
        against: home nodes that said that it is to be a member no more.
        statement: what it said of its coop (`CoopStatement`), if that verifies.
        registered_at_ms: when, in world time; None if it said nothing.
    """

    did: Did
    coop: Slug | None
    title: Text
    founder: bool
    standing: bool
    vouched_by: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)] = ()
    against: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)] = ()
    statement: SignedStatement | None = None
    registered_at_ms: TimeMs | None = None


class ListFederation(Wire):
    """Ask who belongs to the federation."""


class FederationMembers(Wire):
    """Who belongs to the federation, by coop, then by key.

    Attributes:
        state: SHA-256 of the object's snapshot: equal on nodes that have heard the same.
        operations: how many operations it has.
        vouches_min: how many vouches make a member.
    """

    members: Annotated[tuple[FederationMember, ...], Field(max_length=MEMBERS_SHOWN_MAX)]
    left_off: Count = 0
    expelled: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)] = ()
    state: RecordId
    operations: Count
    vouches_min: Count


class RegisterCoop(Wire):
    """Say to all that this node's coop belongs to the federation.

    Attributes:
        coop: needed only at a node of no coop; None for the node's own.
        title: as it is to be shown; empty for the charter's.
        proposal: the coop's own accepted proposal, by id or hash, whose decision is cited; empty to
            cite the charter alone.
    """

    coop: Slug | None = None
    title: Text = ""
    proposal: SlugText = ""


class VouchFor(Wire):
    """Vouch for a node's becoming a member, or say that a member is to be one no more."""

    did: Did
    expel: bool = False


class VouchTaken(Wire):
    """What was said, and what became of it.

    Attributes:
        operation: the signed operation's id.
        voices: how many members have said the same; `voices_min` are needed.
        standing: whether it is a member now.
    """

    did: Did
    operation: RecordId
    voices: Count
    voices_min: Count
    standing: bool


class IssueAttestation(Wire):
    """Attest something of a coop, by this node's own coop.

    Attributes:
        valid_ms: for how long from `valid_from_ms`.
        valid_from_ms: in world time; None for now.
    """

    subject: Slug
    type: Slug
    statement: Text
    valid_ms: Annotated[int, Field(ge=1, le=ATTESTATION_TERM_MS_MAX)]
    valid_from_ms: TimeMs | None = None
    evidence: RecordId | None = None


class RevokeAttestation(Wire):
    """Take back what this node's coop attested."""

    subject: Slug
    type: Slug


class AttestationView(Wire):
    """An attestation, and how it stands.

    Attributes:
        token: as it was signed; None once it was revoked.
        state: `early`, `valid` and `over` by world time.
        operation: the operation that it stands by.
    """

    issuer_did: Did
    issuer: Slug | None
    subject: Slug
    type: Slug
    state: Literal["early", "valid", "over", "revoked"]
    statement: Text
    valid_from_ms: TimeMs | None
    valid_until_ms: TimeMs | None
    evidence: RecordId | None
    operation: RecordId
    token: SignedStatement | None


class ListAttestations(Wire):
    """Ask what is attested; empty fields leave nothing out.

    Attributes:
        after: the key of the last one of the page before.
    """

    issuer: SlugText = ""
    subject: SlugText = ""
    type: SlugText = ""
    valid: bool = False
    after: Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)] = ""
    attestations_max: Annotated[int, Field(ge=1, le=ATTESTATIONS_PER_PAGE_MAX)] = 100


class AttestationPage(Wire):
    """Attestations by issuer, subject and type; `next_after` is empty on the last page."""

    attestations: Annotated[
        tuple[AttestationView, ...], Field(max_length=ATTESTATIONS_PER_PAGE_MAX)
    ]
    next_after: str
    world_ms: TimeMs


class ForkShown(Wire):
    """The proof that an author signed two operations under one number."""

    object_id: ObjectId
    did: Did
    coop: Slug | None
    first: Jws
    second: Jws


class ListForks(Wire):
    """Ask which authors are proven to have signed two histories."""


class ForksShown(Wire):
    """Forks, by object and author; `left_off` were too many."""

    forks: Annotated[tuple[ForkShown, ...], Field(max_length=FORKS_SHOWN_MAX)]
    left_off: Count = 0


class ReadLog(Wire):
    """Ask for the operations on a shared object, in the order in which this node took them.

    Attributes:
        after: the number of the last one of the page before.
    """

    object_id: Annotated[str, StringConstraints(max_length=129, pattern=PLAIN)] = FEDERATION
    after: Count = 0
    operations_max: Annotated[int, Field(ge=1, le=OPERATIONS_PER_PAGE_MAX)] = 50


class LogLine(Wire):
    """One operation.

    Attributes:
        number: which one that this node took.
        coop: its author's, as the genesis has it.
        time_ms: its author's clock.
        token: as it was signed.
    """

    number: Count
    operation: RecordId
    did: Did
    coop: Slug | None
    act: Act
    time_ms: TimeMs
    token: Jws


class LogPage(Wire):
    """Operations of the epoch; `next_after` is 0 on the last page."""

    object_id: ObjectId
    epoch: Count
    operations: Annotated[tuple[LogLine, ...], Field(max_length=OPERATIONS_PER_PAGE_MAX)]
    next_after: Count


class SharedObject(Wire):
    """An object of which a node keeps a replica.

    Attributes:
        authors: who may write to it now.
        operations: how many there are since the last checkpoint.
        heads: how many of them nothing follows yet.
        state: SHA-256 of its snapshot: equal on nodes that have heard the same.
        forks: how many authors are proven to have signed two histories.
    """

    object_id: ObjectId
    kind: ObjectKind
    authors: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)]
    epoch: Count
    operations: Count
    heads: Count
    state: RecordId
    forks: Count


class ListObjects(Wire):
    """Ask which objects a node keeps replicas of, in order."""

    after: Annotated[str, StringConstraints(max_length=129, pattern=PLAIN)] = ""
    objects_max: Annotated[int, Field(ge=1, le=OBJECTS_PER_PAGE_MAX)] = 50


class ObjectPage(Wire):
    """Objects in order; `next_after` is empty on the last page."""

    objects: Annotated[tuple[SharedObject, ...], Field(max_length=OBJECTS_PER_PAGE_MAX)]
    next_after: str
