"""What a node may be asked about the federation, and to say in it. Source: ADR 0044."""

from __future__ import annotations

from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Refusal
from opkit.wire.federation.refusals import (
    AttestationSelf,
    AttestationsFull,
    AttestationUnknown,
    CoopNotYours,
    DecisionNotFound,
    MemberAlready,
    NotAMember,
    NotCoopsHome,
    NotFederated,
    StatementTooLong,
    VouchRepeated,
)
from opkit.wire.federation.types import (
    AttestationPage,
    AttestationView,
    FederationMember,
    FederationMembers,
    ForksShown,
    IssueAttestation,
    ListAttestations,
    ListFederation,
    ListForks,
    ListObjects,
    LogPage,
    ObjectPage,
    ReadLog,
    RegisterCoop,
    RevokeAttestation,
    VouchFor,
    VouchTaken,
)
from opkit.wire.objects import ObjectUnknown
from opkit.wire.operations import LogFull, OperationClockAhead, OperationRejected

UNSAID_REFUSALS: tuple[type[Refusal], ...] = (OperationClockAhead, LogFull)
"""What is refused to whoever says something that no replica takes now."""

LIST_FEDERATION = Endpoint(
    name="federation.members",
    method="GET",
    path="/v1/federation/members",
    ask=ListFederation,
    answer=FederationMembers,
    scope=Scope.FEDERATION_READ,
)

LIST_ATTESTATIONS = Endpoint(
    name="federation.attestations",
    method="GET",
    path="/v1/federation/attestations",
    ask=ListAttestations,
    answer=AttestationPage,
    scope=Scope.FEDERATION_READ,
)

LIST_FORKS = Endpoint(
    name="federation.forks",
    method="GET",
    path="/v1/federation/forks",
    ask=ListForks,
    answer=ForksShown,
    scope=Scope.FEDERATION_READ,
)

READ_LOG = Endpoint(
    name="federation.log",
    method="GET",
    path="/v1/federation/log",
    ask=ReadLog,
    answer=LogPage,
    scope=Scope.FEDERATION_READ,
    refuses=(ObjectUnknown,),
)

LIST_OBJECTS = Endpoint(
    name="federation.objects",
    method="GET",
    path="/v1/federation/objects",
    ask=ListObjects,
    answer=ObjectPage,
    scope=Scope.FEDERATION_READ,
)

REGISTER_COOP = Endpoint(
    name="federation.register",
    method="POST",
    path="/v1/federation/register",
    ask=RegisterCoop,
    answer=FederationMember,
    scope=Scope.FEDERATION_WRITE,
    changes=True,
    refuses=(
        NotCoopsHome,
        NotFederated,
        CoopNotYours,
        DecisionNotFound,
        StatementTooLong,
        *UNSAID_REFUSALS,
    ),
    body_bytes_max=8_192,
)

VOUCH = Endpoint(
    name="federation.vouch",
    method="POST",
    path="/v1/federation/vouch",
    ask=VouchFor,
    answer=VouchTaken,
    scope=Scope.FEDERATION_WRITE,
    changes=True,
    refuses=(
        NotCoopsHome,
        NotFederated,
        NotAMember,
        MemberAlready,
        VouchRepeated,
        OperationRejected,
        *UNSAID_REFUSALS,
    ),
    body_bytes_max=8_192,
)

ATTEST = Endpoint(
    name="federation.attest",
    method="POST",
    path="/v1/federation/attest",
    ask=IssueAttestation,
    answer=AttestationView,
    scope=Scope.FEDERATION_WRITE,
    changes=True,
    refuses=(
        NotCoopsHome,
        NotFederated,
        AttestationSelf,
        NotAMember,
        AttestationsFull,
        StatementTooLong,
        *UNSAID_REFUSALS,
    ),
    body_bytes_max=8_192,
)

REVOKE_ATTESTATION = Endpoint(
    name="federation.revoke",
    method="POST",
    path="/v1/federation/revoke",
    ask=RevokeAttestation,
    answer=AttestationView,
    scope=Scope.FEDERATION_WRITE,
    changes=True,
    refuses=(NotCoopsHome, NotFederated, AttestationUnknown, *UNSAID_REFUSALS),
    body_bytes_max=8_192,
)
