"""World time survives a restart, moves after COMMIT only, and is journalled."""

from __future__ import annotations

import asyncio

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.network import rules
from nodeimpl.network.service import About, Network
from opkit.proof import jws
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire import genesis as world
from opkit.wire import network as wire

NETWORK_ID = "b" * 26
OPERATOR = Identity.generate()
NODE = Identity.generate()


def make_genesis(*, devnet: bool) -> GenesisView:
    """Return a genesis of one node and one coop with one founder."""
    ada = Identity.generate()
    founder = world.Founder(
        member_id="coop/ada", name="Ada", title="chair", did=ada.did, roles=("member",)
    )
    charter = world.Charter(
        network=NETWORK_ID,
        coop="coop",
        title="Coop",
        home_node=NODE.did,
        founders=(founder,),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=1,
        challenge_window_ms=1,
    )
    record = world.Genesis(
        network=NETWORK_ID,
        devnet=devnet,
        operator=OPERATOR.did,
        created_ms=0,
        nodes=(world.GenesisNode(org="coop", title="Coop", did=NODE.did, coop="coop"),),
        charters=(sign_charter(charter, {"coop/ada": ada}),),
    )
    return read_genesis(sign_genesis(record, OPERATOR))


class Nobody:
    """No links and no blobs: what this domain asks of the parts below it."""

    def links(self) -> tuple[wire.PeerLink, ...]:
        """Return no link."""
        return ()

    def usage(self) -> tuple[int, int]:
        """Return nothing kept."""
        return (0, 0)


def network_on(store: Store, clock: VirtualClock, *, devnet: bool = True) -> Network:
    """Return the service on a real store."""
    about = About(
        did=NODE.did,
        org="coop",
        version="test",
        engine=wire.EngineId(name="none", version="0", settings="0"),
        started_ms=clock.now_ms(),
    )
    return Network(
        about=about,
        genesis=make_genesis(devnet=devnet),
        store=store,
        clock=clock,
        links=Nobody(),
        blobs=Nobody(),
        waiting_for=lambda: ("peers",),
        limits=rules.Limits(),
    )


def record(*, sequence: int, offset_ms: int, signer: Identity = OPERATOR) -> wire.MoveClock:
    """Return an ask to move world time."""
    said = wire.ClockRecord(
        network=NETWORK_ID, aud="clock", sequence=sequence, offset_ms=offset_ms, issued_at_ms=0
    )
    return wire.MoveClock(record=jws.sign(said, typ=wire.CLOCK_TYP, identity=signer))


def test_world_time_moves_is_journalled_and_survives_a_restart(store_url: str) -> None:
    async def tell() -> None:
        clock = VirtualClock()
        store = await Store.open(url=store_url, clock=clock)
        network = network_on(store, clock)
        ask = record(sequence=1, offset_ms=5_000)

        def move(tx: Tx) -> wire.ClockMovedAnswer:
            return network.move_clock(tx, ask, None, None)

        first = await store.write(move)
        again = await store.write(move)
        entries = await store.read_journal(after=None, entries_max=10)

        assert first == again == wire.ClockMovedAnswer(sequence=1, offset_ms=5_000)
        assert [entry.type for entry in entries] == ["network.clock-moved"]
        assert clock.world_ms() - clock.now_ms() == 5_000
        await store.close()

        later = VirtualClock()
        reopened = await Store.open(url=store_url, clock=later)
        await network_on(reopened, later).restore()
        assert later.offset_ms == 5_000
        await reopened.close()

    asyncio.run(asyncio.wait_for(tell(), 120))


def test_a_node_tells_both_times_of_one_instant(store_url: str) -> None:
    """Whoever looks whether clocks agree takes one from the other."""

    class Hasty(VirtualClock):
        def now_ms(self) -> int:
            self.advance(1)
            return super().now_ms()

        def world_ms(self) -> int:
            return self.now_ms() + self.offset_ms

    async def tell() -> None:
        clock = Hasty()
        store = await Store.open(url=store_url, clock=clock)
        clock.move_world(5_000)
        said = await network_on(store, clock).node(wire.AskNode(), None)
        assert said.world_ms - said.now_ms == 5_000
        await store.close()

    asyncio.run(asyncio.wait_for(tell(), 120))


def test_a_record_by_another_key_or_on_an_ordinary_network_moves_nothing(store_url: str) -> None:
    async def tell() -> None:
        clock = VirtualClock()
        store = await Store.open(url=store_url, clock=clock)
        devnet, ordinary = network_on(store, clock), network_on(store, clock, devnet=False)
        mine = record(sequence=1, offset_ms=5_000, signer=Identity.generate())
        real = record(sequence=1, offset_ms=5_000)

        with pytest.raises(wire.ClockRecordRejected):
            await store.write(lambda tx: devnet.move_clock(tx, mine, None, None))
        with pytest.raises(wire.ClockFixed):
            await store.write(lambda tx: ordinary.move_clock(tx, real, None, None))

        assert clock.offset_ms == 0
        assert store.head().sequence == 0
        await store.close()

    asyncio.run(asyncio.wait_for(tell(), 120))


def test_a_node_says_who_it_is_and_what_it_waits_for(store_url: str) -> None:
    async def tell() -> None:
        clock = VirtualClock()
        store = await Store.open(url=store_url, clock=clock)
        network = network_on(store, clock)

        info = await network.node(wire.AskNode(), None)
        peers = await network.peers(wire.AskPeers(), None)

        assert (info.did, info.network) == (NODE.did, NETWORK_ID)
        assert (peers.links, peers.blobs, peers.blob_bytes) == ((), 0, 0)
        assert peers.journal == store.head()
        assert (await network.live(wire.AskHealth(), None)).status == "ok"
        with pytest.raises(wire.NotReady) as no:
            await network.ready(wire.AskHealth(), None)
        assert no.value.waiting_for == ["peers"]
        await store.close()

    asyncio.run(asyncio.wait_for(tell(), 120))
