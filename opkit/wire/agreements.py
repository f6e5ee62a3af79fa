"""Agreements between coops: what homes sign of them, who holds them, and how they stand.

An agreement is named by the hash of its terms. It is in force once the home node of every party has
signed it, each signature citing that coop's own decision; it changes only by another agreement that
amends it, and ends by a party's decided notice. Everything is judged from the terms, the signatures
and world time, so all who hold the same say the same. Source: ADR 0045.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    B64,
    PLAIN,
    Count,
    Did,
    Jws,
    NetworkId,
    RecordId,
    Slug,
    Text,
    TimeMs,
    Wire,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict, Exhausted, Invalid, Missing
from opkit.wire.events import Event
from opkit.wire.terms import PARTIES_MAX, Action, Terms
from opkit.wire.votes import Decision

AGREEMENT_SIGNATURE_TYP = "opkit-agreement-signature+jws"

SIGNATURES_MAX = 2 * PARTIES_MAX
"""The most signatures under one agreement: each party's own, and its notice."""

AGREEMENT_FILE_BYTES_MAX = 262_144
"""The largest file of an agreement."""

AGREEMENTS_PER_PAGE_MAX = 100

AgreementState = Literal["proposed", "signed", "active", "superseded", "ending", "ended", "lapsed"]
"""proposed → signed → active → ending → ended; superseded or lapsed from any of the first four.

Proposed: not all have signed. Signed: all have, and it has not begun. Active and ending are in
force; ending: notice was given. Superseded: all have signed one that amends it. Lapsed: its term
is over, and it is not renewed of itself.
"""

IN_FORCE: tuple[AgreementState, ...] = ("active", "ending")
"""The states in which an agreement may be used."""

SignatureText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{86}$")]
"""The third part of a compact JWS: 64 bytes."""

AgreementText = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]
"""What somebody asks for as an agreement; one that is none is not found."""


class AgreementSignature(Wire):
    """What a party's home node signs (`opkit-agreement-signature+jws`, `did` is the node).

    Attributes:
        aud: the coop that it signs for.
        agreement: the hash of the terms.
        action: whether the coop makes the agreement, or gives notice.
        decision: the hash of the coop's own decision, which the signature executes.
        signed_at_ms: in world time.
    """

    network: NetworkId
    aud: Slug
    did: Did
    agreement: RecordId
    action: Action
    decision: RecordId
    signed_at_ms: TimeMs


class Signing(Wire):
    """A signature, its decision, and the attested one, without what follows from the rest.

    This is what parties share. The three signed objects are spelled from it and the terms, to the
    last byte, and verified as such; together they would be too long for one operation.

    Attributes:
        decision: the payload of the decision.
        decided, attested, signature: what the home node signed the three with.
        title, commitments: what only the attested decision says.
    """

    action: Action
    decision: Decision
    decided: SignatureText
    title: Text
    commitments: Count
    attested: SignatureText
    signed_at_ms: TimeMs
    signature: SignatureText


class SignedBy(Wire):
    """A party's signature with what it cites.

    Attributes:
        signature: an `AgreementSignature`.
        decision: the coop's decision.
        attested: what leaves the coop of it: what was decided, and the tally.
    """

    coop: Slug
    action: Action
    signature: Jws
    decision: Jws
    attested: Jws


class AgreementFile(Wire):
    """An agreement with all that was signed of it: whoever holds the genesis verifies it.

    It has one spelling, so that all who hold the same signatures have the same bytes.

    Attributes:
        agreement: what it is named by: the hash of `terms`.
        signatures: by coop, that of making it before that of its notice.
    """

    v: Annotated[int, Field(ge=1, le=1)] = 1
    agreement: RecordId
    terms: Terms
    signatures: Annotated[tuple[SignedBy, ...], Field(max_length=SIGNATURES_MAX)]


class SignatureLine(Wire):
    """A party's signature, in short."""

    coop: Slug
    action: Action
    did: Did
    decision: RecordId
    signed_at_ms: TimeMs


class AgreementView(Wire):
    """An agreement as a node holds it.

    Attributes:
        serial: which one that this node heard of, counted from 1.
        unsigned: the parties that have not signed.
        since_ms: from when on it is, was, or will be in force; None if not all have signed.
        until_ms: when it ends, ended, or was superseded; None if nothing says so yet.
        superseded_by: the agreement that took its place.
        file_hash: SHA-256 of its file: equal on all that hold the same.
        world_ms: the moment for which `state` is told.
    """

    agreement: RecordId
    serial: Count
    terms: Terms
    state: AgreementState
    signatures: Annotated[tuple[SignatureLine, ...], Field(max_length=SIGNATURES_MAX)]
    unsigned: Annotated[tuple[Slug, ...], Field(max_length=PARTIES_MAX)]
    since_ms: TimeMs | None
    until_ms: TimeMs | None
    superseded_by: RecordId | None
    file_hash: RecordId
    world_ms: TimeMs


class ReadAgreement(Wire):
    """Ask for an agreement."""

    agreement: AgreementText


class ReadAgreementFile(Wire):
    """Ask for the file of an agreement."""

    agreement: AgreementText


class AgreementAnswer(Wire):
    """The file of an agreement, as canonical JSON (`AgreementFile`)."""

    file: Annotated[B64, Field(max_length=AGREEMENT_FILE_BYTES_MAX)]


class UseAgreement(Wire):
    """Ask for the terms of an agreement that is in force now."""

    agreement: AgreementText


class AgreementInForce(Wire):
    """An agreement that is in force.

    Attributes:
        since_ms: since when; `until_ms`: until when, as far as that is known.
    """

    agreement: RecordId
    terms: Terms
    state: AgreementState
    since_ms: TimeMs
    until_ms: TimeMs | None


class ListAgreements(Wire):
    """Ask for the agreements that a node holds, newest first.

    Attributes:
        state: those in this state; empty for all.
        party: those that this coop makes; empty for all.
        before: the serial of the last one of the page before; 0 for the first page.
    """

    state: Literal[
        "", "proposed", "signed", "active", "superseded", "ending", "ended", "lapsed"
    ] = ""
    party: AgreementText = ""
    before: Count = 0
    agreements_max: Annotated[int, Field(ge=1, le=AGREEMENTS_PER_PAGE_MAX)] = 50


class AgreementPage(Wire):
    """Agreements, newest first; `next_before` is 0 on the last page.

    A page may have fewer than were asked for, and others follow, if most were not wanted.
    """

    agreements: Annotated[tuple[AgreementView, ...], Field(max_length=AGREEMENTS_PER_PAGE_MAX)]
    next_before: Count


class BringAgreement(Wire):
    """Hand a node the file of an agreement that names it, with signatures it may not have yet."""

    file: Annotated[B64, Field(max_length=AGREEMENT_FILE_BYTES_MAX)]


@dataclass(eq=False, kw_only=True)
class AgreementRejected(Invalid):
    """This is no file of an agreement, or its terms contradict themselves or the network."""

    code = "agreement-rejected"
    hint = "`opkit agreement show ID --out FILE` writes one"
    why: str


@dataclass(eq=False, kw_only=True)
class TermsAltered(Invalid):
    """The terms are not those that the agreement is named by, or that were signed."""

    code = "terms-altered"
    hint = "terms change by another agreement that amends this one, decided by every party"
    agreement: str
    hash: str


@dataclass(eq=False, kw_only=True)
class SignatureRejected(Invalid):
    """A party's signature does not verify, or does not cite a decision of that coop on this."""

    code = "agreement-signature-rejected"
    hint = "a coop's home node signs, and cites the decision by which the coop adopted these terms"
    coop: str
    why: str


@dataclass(eq=False, kw_only=True)
class AgreementForeign(Missing):
    """The terms name this node neither as a party's home, nor as facilitator's or arbiter's."""

    code = "agreement-foreign"
    hint = "ask the home node of a party"
    agreement: str


@dataclass(eq=False, kw_only=True)
class AgreementUnknown(Missing):
    """This node holds no such agreement."""

    code = "agreement-unknown"
    hint = "`opkit agreement list` shows those that a node holds"
    agreement: str


@dataclass(eq=False, kw_only=True)
class AgreementInactive(Conflict):
    """The agreement is not in force.

    Attributes:
        unsigned: the parties that have not signed it.
    """

    code = "agreement-inactive"
    hint = "it is in force once every party has signed, from its start until its end"
    agreement: str
    state: str
    unsigned: list[str]


@dataclass(eq=False, kw_only=True)
class AlreadySigned(Conflict):
    """The coop has signed the agreement, or given notice of it, by another decision."""

    code = "agreement-signed"
    hint = "a coop signs an agreement once, and gives notice of it once"
    agreement: str
    coop: str
    action: str
    decision: str


@dataclass(eq=False, kw_only=True)
class NotParty(Conflict):
    """The coop does not make this agreement."""

    code = "agreement-not-party"
    hint = "only those whom the terms name as parties sign, give notice, and exchange under it"
    agreement: str
    coop: str


@dataclass(eq=False, kw_only=True)
class AgreementsFull(Exhausted):
    """This node holds as many agreements as it may."""

    code = "agreements-full"
    hint = "give the node a greater limit"
    limit: int


EFFECT_REFUSALS = (
    TermsAltered,
    AgreementUnknown,
    NotParty,
    AlreadySigned,
    AgreementInactive,
    AgreementsFull,
)
"""What governance refuses a proposal about an agreement with, and its execution, in this order."""


class AgreementProposed(Event):
    """The node holds an agreement that it had not heard of."""

    type = "agreements.proposed"
    scope = Scope.AGREEMENTS_READ

    agreement: RecordId
    title: Text
    parties: Annotated[tuple[Slug, ...], Field(max_length=PARTIES_MAX)]
    amends: RecordId | None


class AgreementSigned(Event):
    """A party signed an agreement, or gave notice of it.

    Attributes:
        unsigned: the parties that have not signed it yet.
    """

    type = "agreements.signed"
    scope = Scope.AGREEMENTS_READ

    agreement: RecordId
    title: Text
    coop: Slug
    action: Action
    decision: RecordId
    signed_at_ms: TimeMs
    unsigned: Annotated[tuple[Slug, ...], Field(max_length=PARTIES_MAX)]


class AgreementTurned(Event):
    """An agreement stands otherwise than before.

    Attributes:
        at_world_ms: since when: it may be told later than it was so.
    """

    type = "agreements.turned"
    scope = Scope.AGREEMENTS_READ

    agreement: RecordId
    title: Text
    before: AgreementState
    after: AgreementState
    at_world_ms: TimeMs


LIST_AGREEMENTS = Endpoint(
    name="agreements.list",
    method="GET",
    path="/v1/agreements",
    ask=ListAgreements,
    answer=AgreementPage,
    scope=Scope.AGREEMENTS_READ,
)

READ_AGREEMENT = Endpoint(
    name="agreements.show",
    method="GET",
    path="/v1/agreements/{agreement}",
    ask=ReadAgreement,
    answer=AgreementView,
    scope=Scope.AGREEMENTS_READ,
    refuses=(AgreementUnknown,),
)

READ_AGREEMENT_FILE = Endpoint(
    name="agreements.file",
    method="GET",
    path="/v1/agreements/{agreement}/file",
    ask=ReadAgreementFile,
    answer=AgreementAnswer,
    scope=Scope.AGREEMENTS_READ,
    raw_answer="file",
    refuses=(AgreementUnknown,),
)

USE_AGREEMENT = Endpoint(
    name="agreements.use",
    method="GET",
    path="/v1/agreements/{agreement}/in-force",
    ask=UseAgreement,
    answer=AgreementInForce,
    scope=Scope.AGREEMENTS_READ,
    refuses=(AgreementUnknown, AgreementInactive),
)

BRING_AGREEMENT = Endpoint(
    name="agreements.bring",
    method="POST",
    path="/v1/agreements",
    ask=BringAgreement,
    answer=AgreementView,
    scope=Scope.AGREEMENTS_WRITE,
    changes=True,
    raw_ask="file",
    refuses=(AgreementRejected, TermsAltered, AgreementForeign, SignatureRejected, AgreementsFull),
    body_bytes_max=AGREEMENT_FILE_BYTES_MAX,
)
