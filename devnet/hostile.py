"""Peers that misbehave on purpose, over the same transports as honest ones.

Each does what its kind does, to whom it is told to. Nothing of this is in the node; a node meets
it as it would meet a stranger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from devnet import (
    hostile_messages,
    hostile_names,
    hostile_nodes,
    hostile_providers,
    hostile_relay,
    hostile_streams,
)
from devnet.doors import Doors, LoopbackDoors
from devnet.hostile_base import Conduct, HostilePeer, Scene, strangers
from devnet.spec import HOSTILE_KINDS
from nodeimpl.kernel.clock import Clock, RealClock
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity

KINDS: Mapping[str, Conduct] = {
    **{kind: hostile_providers.provider(kind) for kind in hostile_providers.PIECES},
    **{kind: strangers(hostile_messages.telling(kind)) for kind in hostile_messages.MAKES},
    **hostile_streams.CONDUCTS,
    **hostile_nodes.CONDUCTS,
    **hostile_names.CONDUCTS,
    **hostile_relay.CONDUCTS,
}
"""What each kind does."""
assert tuple(KINDS) == tuple(HOSTILE_KINDS), "the kinds that can be asked for are those there are"


@asynccontextmanager
async def hostile_peer(
    kind: str,
    *,
    make: Callable[[Identity], Transport],
    genesis: GenesisView,
    targets: Sequence[PeerAddress],
    clock: Clock | None = None,
    about: str = "",
    doors: Doors | None = None,
) -> AsyncIterator[HostilePeer]:
    """Run a hostile peer, connected to every target, until the context ends.

    Args:
        kind: one of `KINDS`.
        make: makes a transport for a key, not started yet; some kinds come with many keys.
        targets: whom it connects to.
        clock: the machine's unless given.
        about: the name that it is after, for kinds that are after one.
        doors: where it is called over HTTP, and calls others; this machine's unless given.

    Raises:
        ValueError: genesis calls the network no devnet: this is for networks made to be broken.
            Or it should be after a name, and none is said.
        KeyError: there is no such kind.
        Unreachable: a target did not answer in time.
    """
    if not genesis.devnet:
        raise ValueError("hostile peers exist on devnets only")
    conduct = KINDS[kind]
    identity = Identity.generate()
    scene = Scene(
        kind=kind,
        identity=identity,
        transport=make(identity),
        make=make,
        genesis=genesis,
        targets=targets,
        clock=clock or RealClock(),
        about=about,
        doors=doors or LoopbackDoors(),
    )
    async with conduct(scene) as peer:
        yield peer
