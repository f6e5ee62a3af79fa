"""What becomes of the federation, as each of its nodes hears of it. Source: ADR 0044."""

from __future__ import annotations

from opkit.wire.base import Count, Did, RecordId, Slug, Text, TimeMs
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event


class CoopRegistered(Event):
    """A home node said that its coop belongs to the federation."""

    type = "federation.registered"
    scope = Scope.FEDERATION_READ

    did: Did
    coop: Slug
    title: Text
    operation: RecordId


class MemberVouched(Event):
    """A member said that somebody is to be a member, or is to be one no more."""

    type = "federation.vouched"
    scope = Scope.FEDERATION_READ

    did: Did
    by: Did
    expel: bool
    voices: Count
    operation: RecordId


class MemberJoined(Event):
    """Enough members have vouched: somebody is a member now."""

    type = "federation.joined"
    scope = Scope.FEDERATION_READ

    did: Did


class MemberExpelled(Event):
    """Enough members have said so, or a fork proves it: somebody is a member no more, for good."""

    type = "federation.expelled"
    scope = Scope.FEDERATION_READ

    did: Did


class AttestationIssued(Event):
    """A coop attested something of another."""

    type = "federation.attested"
    scope = Scope.FEDERATION_READ

    issuer: Slug
    subject: Slug
    kind: Slug
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    operation: RecordId


class AttestationRevoked(Event):
    """A coop took back what it had attested."""

    type = "federation.revoked"
    scope = Scope.FEDERATION_READ

    issuer: Did
    subject: Slug
    kind: Slug
    operation: RecordId
