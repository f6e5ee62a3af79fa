"""Who is a member now, on every node: links of membership chains, and their coop's word on them.

The node that records a change hands the record on (namespace `member`), the operator's or a decided
one, and every node that hears it adds it to the chain that it keeps. Every minute a coop's home
node says how its chains stand (namespace `standing`), so that a node that was cut off notices that
it no longer knows.
Source: ADR 0038.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opkit.wire.base import Count, Did, Jws, RecordId, Slug, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.events import Event

LINK_CHARACTERS_MAX = 4_096
"""The longest membership record that is handed on."""

LINK_OWNERS_MAX = 8
"""Of how many nodes the word is kept that a link was recorded; one is enough."""

STANDING_MS_MAX = 300_000
"""For how long a node takes tokens of a coop's members without an agreeing word of its home."""

HOMES_SHOWN_MAX = 256
"""Of how many coops one answer tells."""


class MemberValue(Wire):
    """One link of a member's chain, in the namespace `member` under `coop/member/sequence`.

    It is believed for the signature on it, the operator's or the home's, whoever hands it on.
    """

    record: Annotated[Jws, Field(max_length=LINK_CHARACTERS_MAX)]


class StandingValue(Wire):
    """What a coop's home node says of its members, in the namespace `standing` under the coop.

    Attributes:
        members: how many there are, revoked ones included.
        digest: SHA-256 over one line for the coop and one for each (`opkit.proof.standing`).
    """

    members: Count
    digest: RecordId


class AskStanding(Wire):
    """Ask how this node stands with the homes of all coops."""


class HomeStanding(Wire):
    """What a node knows of one coop's members, and since when it does.

    Attributes:
        members: how many members this node knows, revoked ones included.
        agreed_at_ms: when the home said last what this node holds too; None if it never did, or
            the home is this node.
        good_until_ms: until when tokens of these members are taken here if the home stays silent;
            None if the home is this node.
    """

    coop: Slug
    home: Did
    members: Count
    agreed_at_ms: TimeMs | None
    good_until_ms: TimeMs | None


class Standings(Wire):
    """How a node stands with the homes of all coops, by coop."""

    homes: Annotated[tuple[HomeStanding, ...], Field(max_length=HOMES_SHOWN_MAX)]


class HomeUnheard(Event):
    """The home of a coop was not heard for too long: tokens of its members are not taken here."""

    type = "standing.home-unheard"
    scope = Scope.MEMBERS_READ
    coop: Slug
    home: Did
    agreed_at_ms: TimeMs | None


class HomeHeard(Event):
    """The home of a coop is heard again: tokens of its members are taken as before."""

    type = "standing.home-heard"
    scope = Scope.MEMBERS_READ
    coop: Slug
    home: Did


STANDING = Endpoint(
    name="standing.homes",
    method="GET",
    path="/v1/standing",
    ask=AskStanding,
    answer=Standings,
    scope=Scope.NODE_READ,
)
