"""What nodes do in a run: sign and publish records, and look for those of others.

Half of the records are notes, which gossip takes to everybody; half say who keeps a blob, which
only the nodes near its name know.
"""

from __future__ import annotations

from functools import partial

from devnet.sim.result import Lookup
from devnet.sim.simulation import Simulation
from devnet.sim.truth import Published
from devnet.sim.world import Peer
from nodeimpl.overlay.node import OverlayNode
from nodeimpl.overlay.search import Outcome
from opkit.proof.cid import cid_of
from opkit.proof.record import sign_record
from opkit.wire.records import Carried, Namespace, RecordBody, RecordName

TERM_MS = 86_400_000
SETTLED_MS = 5_000
"""How long after its publication a record may not yet be found; its owner has to live so long."""

LABELS = 4
"""Under how many names each owner writes notes."""

PUT_AGAIN_MS = 1_000
"""After how long a record that nobody took is put again."""

AGAIN = 0.25
"""The share of provider records that are about a blob that somebody else keeps already."""


class Load:
    """Publishes and looks up, at a steady pace.

    Attributes:
        lookups: those that ended, with whoever asked still up, outside of partitions.
        last: those of them that were begun at the end, in good weather.
    """

    def __init__(self, sim: Simulation) -> None:
        """Do nothing yet."""
        self.lookups: list[Lookup] = []
        self.last: list[Lookup] = []
        self._sim = sim
        self._chance = sim.chance("load")
        self._settled: list[Published] = []
        self._blobs: list[str] = []

    def begin(self, *, from_ms: int, until_ms: int) -> None:
        """Plan all of the load between two times."""
        spec, scheduler = self._sim.spec, self._sim.scheduler
        for per_s, deed in (
            (spec.publish_per_s, self._publish),
            (spec.lookups_per_s, self._look_up),
        ):
            count = int((until_ms - from_ms) * per_s / 1_000)
            for number in range(count):
                scheduler.at(from_ms + int(number * 1_000 / per_s), deed)

    def finish(self, *, from_ms: int, until_ms: int, count: int) -> None:
        """Plan the last lookups, which all have to succeed."""
        for number in range(count):
            at_ms = from_ms + (until_ms - from_ms) * number // count
            self._sim.scheduler.at(at_ms, self._look_up, True)

    def _publish(self) -> None:
        """Have somebody publish something."""
        living = list(self._sim.living())
        if not living:
            return
        peer, node = living[self._chance.randrange(len(living))]
        if self._chance.random() < 0.5:
            name = f"{peer.did}/{self._chance.randrange(LABELS)}"
            self._sign(peer, node, "note", name, {"text": f"said at {self._sim.scheduler.now_ms}"})
        else:
            self._sign(peer, node, "blob", self._blob(), {"size_bytes": 1_024})

    def _blob(self) -> str:
        """Return the name of a blob: the one that sybils surround first, then others."""
        blobs = self._blobs
        if blobs and self._chance.random() < AGAIN:
            return blobs[self._chance.randrange(len(blobs))]
        blobs.append(cid_of(f"blob {len(blobs)}".encode()) if blobs else self._sim.target)
        return blobs[-1]

    def _sign(
        self,
        peer: Peer,
        node: OverlayNode,
        namespace: Namespace,
        name: RecordName,
        value: dict[str, object],
    ) -> None:
        sim = self._sim
        now_ms = sim.world.now_of(peer)
        body = RecordBody(
            network=sim.verifier.genesis.network,
            aud=namespace,
            name=name,
            owner=peer.did,
            sequence=now_ms,
            issued_at_ms=now_ms,
            lapses_at_ms=now_ms + TERM_MS,
            value=value,
        )
        published = Published(
            key=(namespace, name, peer.did),
            carried=Carried(jws=sign_record(body, peer.identity)),
            sequence=now_ms,
            at_ms=sim.scheduler.now_ms,
            up=frozenset((one.index, one.epoch) for one, _ in sim.living()),
            owner=(peer, peer.epoch),
        )
        sim.truth.add(published)
        sim.scheduler.after(SETTLED_MS, self._settle, published)
        told = partial(self._told, published)
        sim.world.act(peer, node.publish, published.carried, told, now_ms)

    def _told(self, published: Published, outcome: Outcome) -> None:
        """Have put again what nobody took, as a node does with what it keeps alive."""
        if not outcome.kept and published.key[0] == "blob":
            self._sim.scheduler.after(PUT_AGAIN_MS, self._put_again, published)

    def _put_again(self, published: Published) -> None:
        peer, _ = published.owner
        if not published.owner_lives():
            return
        node, now_ms = self._sim.nodes[peer.index], self._sim.world.now_of(peer)
        if node.shelf.standing(*published.key) == published.carried:
            told = partial(self._told, published)
            self._sim.world.act(peer, node.dht.put, published.carried, told, now_ms)

    def _settle(self, published: Published) -> None:
        """Expect a record to be found from now on, if its owner has lived and not been cut off."""
        if published.owner_lives() and not self._sim.weather.cut_off:
            self._settled.append(published)

    def _look_up(self, last: bool = False) -> None:
        """Have somebody look for something that should be found."""
        living = list(self._sim.living())
        if not living or not self._settled:
            return
        peer, node = living[self._chance.randrange(len(living))]
        wanted = self._settled[self._chance.randrange(len(self._settled))]
        began_ms, epoch = self._sim.scheduler.now_ms, peer.epoch

        def done(outcome: Outcome) -> None:
            if peer.epoch == epoch and peer.machine is not None:
                self._done(peer, wanted, outcome, began_ms=began_ms, last=last)

        namespace, name, _ = wanted.key
        now_ms = self._sim.world.now_of(peer)
        if namespace == "blob":
            self._sim.world.act(peer, node.dht.providers, name, done, now_ms)
        else:
            self._sim.world.act(peer, node.dht.get, namespace, name, done, now_ms)

    def _done(
        self, peer: Peer, wanted: Published, outcome: Outcome, *, began_ms: int, last: bool
    ) -> None:
        """Judge what a lookup brought: nothing forged, and what was wanted or what came later."""
        sim = self._sim
        for carried in outcome.records:
            sim.watch.believed(peer, carried)
        if sim.weather.cut_off:
            return
        found = [sim.truth.of(carried.jws) for carried in outcome.records]
        ok = any(each is not None and _serves(each, wanted) for each in found)
        took_ms = sim.scheduler.now_ms - began_ms
        lookup = Lookup(at_ms=began_ms, took_ms=took_ms, hops=outcome.hops, ok=ok)
        self.lookups.append(lookup)
        if last:
            self.last.append(lookup)


def _serves(found: Published, wanted: Published) -> bool:
    """Whether a record is what was looked for: any provider of a blob, or a note no older."""
    if wanted.key[0] == "blob":
        return found.key[:2] == wanted.key[:2]
    return found.key == wanted.key and found.sequence >= wanted.sequence
