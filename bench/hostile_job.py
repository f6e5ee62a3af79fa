"""`python -m bench.hostile_job KIND GENESIS DID ADDRESS`: a hostile peer beside what is measured.

Prints a line once it is connected, and what it was told when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from devnet.hostile import hostile_peer
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.genesis import read_genesis
from opkit.proof.keys import Identity


def _end(identity: Identity) -> IrohTransport:
    return IrohTransport(identity=identity, fixed_paths=True)


async def _misbehave(kind: str, genesis: str, did: str, address: str) -> None:
    peer_at_work = hostile_peer(
        kind,
        make=_end,
        genesis=read_genesis(Path(genesis).read_text("ascii")),
        targets=[PeerAddress(did=did, addresses=(address,))],
    )
    async with peer_at_work as peer:
        print(json.dumps({"did": peer.did}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(dict(peer.stats())), flush=True)


if __name__ == "__main__":
    asyncio.run(_misbehave(*sys.argv[1:5]))
