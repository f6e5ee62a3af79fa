"""A fresh network: random id, random keys, charters signed by founders, genesis by the operator.

Nothing here comes from the seed number: keys are random for each devnet, so that no devnet can
speak for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devnet.spec import DAY_MS, Organisation, ProfileName, WorldSpec, load_world
from nodeimpl.kernel.ids import network_id
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.base import Jws, MemberId, NetworkId, Slug, TimeMs
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode, SignedCharter


@dataclass(frozen=True, kw_only=True)
class MadeWorld:
    """A new network and every secret of it; `Identity` keeps its seed out of its `repr`."""

    profile: ProfileName
    genesis: Jws
    view: GenesisView
    operator: Identity
    nodes: Mapping[Slug, Identity]
    members: Mapping[MemberId, Identity]


def make_world(profile: ProfileName, *, now_ms: TimeMs) -> MadeWorld:
    """Return a fresh network of the demo world's organisations.

    The genesis is read back with the verifier that everybody else uses before it is handed out.

    Args:
        profile: which organisations take part.
        now_ms: real time, which the genesis carries as its birthday.
    """
    world = load_world()
    orgs = world.orgs(profile)
    network = network_id()
    operator = Identity.generate()
    nodes = {org.id: Identity.generate() for org in orgs}
    coops = frozenset(org.id for org in orgs if org.coop)
    members = {org.member_id(member): Identity.generate() for org in orgs for member in org.members}
    genesis = Genesis(
        network=network,
        devnet=True,
        operator=operator.did,
        created_ms=now_ms,
        nodes=tuple(_node(org, nodes[org.id]) for org in orgs),
        charters=tuple(
            _charter(org, world, network=network, home=nodes[org.id], members=members, coops=coops)
            for org in orgs
            if org.coop
        ),
    )
    token = sign_genesis(genesis, operator)
    return MadeWorld(
        profile=profile,
        genesis=token,
        view=read_genesis(token),
        operator=operator,
        nodes=nodes,
        members=members,
    )


def _node(org: Organisation, identity: Identity) -> GenesisNode:
    return GenesisNode(
        org=org.id, title=org.title, did=identity.did, coop=org.id if org.coop else None
    )


def _charter(
    org: Organisation,
    world: WorldSpec,
    *,
    network: NetworkId,
    home: Identity,
    members: Mapping[MemberId, Identity],
    coops: frozenset[Slug],
) -> SignedCharter:
    founders = tuple(
        Founder(
            member_id=org.member_id(member),
            name=member.name,
            title=member.title,
            did=members[org.member_id(member)].did,
            roles=member.roles,
        )
        for member in org.members
    )
    charter = Charter(
        network=network,
        coop=org.id,
        title=org.title,
        home_node=home.did,
        founders=founders,
        quorum_percent=world.assembly.quorum_percent,
        approval_percent=world.assembly.approval_percent,
        voting_period_ms=world.assembly.voting_period_days * DAY_MS,
        challenge_window_ms=world.assembly.challenge_window_days * DAY_MS,
        floors=org.floors,
        auditors=tuple(coop for coop in org.audited_by if coop in coops),
    )
    return sign_charter(charter, {one.member_id: members[one.member_id] for one in founders})
