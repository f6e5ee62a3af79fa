"""Genesis: where trust in a network starts.

The record names the network, the operator, the nodes and each coop's charter. Whoever verifies
anything starts from a genesis that they hold themselves, never from one inside the thing verified.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opkit.wire.base import Did, Jws, MemberId, NetworkId, PeriodMs, Slug, Text, TimeMs, Wire

GENESIS_TYP = "opkit-genesis+jws"
CHARTER_TYP = "opkit-charter+jws"


class Founder(Wire):
    """A founding member of a coop. Votes and accounts belong to `member_id`, never to the key."""

    member_id: MemberId
    name: Text
    title: Text
    did: Did
    roles: tuple[Slug, ...]


class AccountFloor(Wire):
    """The lowest balance an account may have, in the unit's smallest step."""

    account: Text
    unit: Slug
    floor: Annotated[int, Field(ge=-(2**53 - 1), le=0)]


class Charter(Wire):
    """What a coop's founders agreed on. Each founder signs it (`SignedCharter`).

    Attributes:
        votes_final: whether a vote cannot be changed; only then is voting closed early.
        auditors: coops of the network whose auditors may read here what this one keeps about
            itself (ADR 0047).
    """

    network: NetworkId
    coop: Slug
    title: Text
    home_node: Did
    founders: Annotated[tuple[Founder, ...], Field(min_length=1, max_length=64)]
    quorum_percent: Annotated[int, Field(ge=1, le=100)]
    approval_percent: Annotated[int, Field(ge=1, le=100)]
    voting_period_ms: PeriodMs
    challenge_window_ms: PeriodMs
    floors: tuple[AccountFloor, ...] = ()
    votes_final: bool = False
    auditors: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()


class SignedCharter(Wire):
    """A charter and one compact JWS per founder over it, ordered by founder DID.

    Each JWS has the charter itself as payload; they differ in `kid` and signature only.
    """

    charter: Charter
    signatures: tuple[Jws, ...]


class GenesisNode(Wire):
    """A node that belongs to the network: `coop` is None for the unaffiliated one."""

    org: Slug
    title: Text
    did: Did
    coop: Slug | None


class Genesis(Wire):
    """The payload of the genesis record, which the operator signs."""

    network: NetworkId
    devnet: bool
    operator: Did
    created_ms: TimeMs
    nodes: tuple[GenesisNode, ...]
    charters: tuple[SignedCharter, ...]
