"""Finding each other by multicast DNS, on the loopback interface; and what is not believed."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Coroutine, Iterable
from types import SimpleNamespace
from typing import Any, Self

import pytest
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from nodeimpl.p2p import lan as module
from nodeimpl.p2p.lan import SERVICE, Lan, LanUnavailable, read_service, told_addresses
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.keys import Identity

NETWORK, OTHER = "a" * 26, "b" * 26
HERE = "127.0.0.1"
ANA, BEN, CAT = (Identity.generate().did for _ in range(3))


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


class Ears:
    """A node's voice and ears, and whom it found."""

    def __init__(
        self, did: str, *, network: str = NETWORK, ports: Iterable[int] = (7_001,)
    ) -> None:
        self.heard: list[PeerAddress] = []
        self.lan = Lan(
            did=did,
            network=network,
            addresses=["[::1]:9", *(f"{HERE}:{port}" for port in ports)],
            interfaces=(HERE,),
            found=self.heard.append,
        )
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.lan.open()
        self._running = asyncio.create_task(self.lan.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def hears(self, *dids: str) -> None:
        while {peer.did for peer in self.lan.found()} != set(dids):
            await asyncio.sleep(0.01)


def test_nodes_of_a_network_find_each_other_and_notice_who_leaves() -> None:
    async def story() -> None:
        async with Ears(ANA) as ana:
            async with Ears(BEN, ports=(7_002,)) as ben:
                await ana.hears(BEN)
                await ben.hears(ANA)
            assert ana.heard == [PeerAddress(did=BEN, addresses=(f"{HERE}:7002",))]
            assert ben.heard == [PeerAddress(did=ANA, addresses=(f"{HERE}:7001",))]
            await ana.hears()

    run(story())


def test_a_node_of_another_network_is_none() -> None:
    async def story() -> None:
        async with Ears(ANA) as ana, Ears(CAT, network=OTHER), Ears(BEN) as ben:
            await ana.hears(BEN)
            await ben.hears(ANA)
            assert [peer.did for peer in ana.heard] == [BEN]

    run(story())


def test_each_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Ears(ANA, ports=(7_001, 7_003)), Ears(BEN) as ben:
            while len(ben.heard) < 2:
                await asyncio.sleep(0.01)
            told = sorted(address for peer in ben.heard for address in peer.addresses)
            assert told == [f"{HERE}:7001", f"{HERE}:7003"]

    run(story())


def service(name: str, **said: str | bytes) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE, f"{name}.{SERVICE}", parsed_addresses=[HERE], port=9, properties=said
    )


def test_more_nodes_than_are_remembered_are_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the wire can invent nodes."""
    monkeypatch.setattr(module, "FOUND_MAX", 3)

    async def story() -> None:
        wire = AsyncZeroconf(interfaces=[HERE], ip_version=IPVersion.V4Only)
        async with Ears(ANA) as ana:
            for number in range(6):
                did = Identity.generate().did
                liar = service(f"liar{number}", v="1", did=did, network=NETWORK)
                await wire.async_register_service(liar, cooperating_responders=True)
            asked = service("last", v="1", did=ANA, network=NETWORK)
            await wire.async_register_service(asked, cooperating_responders=True)
            while len(ana.heard) < 3:
                await asyncio.sleep(0.01)
            await wire.async_close()
            await ana.hears()
            assert len(ana.heard) == 3

    run(story())


def test_who_leaves_while_it_is_asked_where_it_is_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        ana, asked, answered = Ears(ANA), asyncio.Event(), asyncio.Event()

        async def request(*_: object) -> bool:
            asked.set()
            await answered.wait()
            return True

        info = SimpleNamespace(
            async_request=request, parsed_addresses=lambda: [HERE], port=7_002, properties=GOOD
        )
        monkeypatch.setattr("zeroconf.asyncio.AsyncServiceInfo", lambda *_: info)
        wire: Any = None  # Nobody looks at it.
        for change in (ServiceStateChange.Added, ServiceStateChange.Removed):
            ana.lan._changed(wire, SERVICE, f"ben.{SERVICE}", change)
            await asked.wait()
        answered.set()
        while ana.lan._asking:
            await asyncio.sleep(0)
        assert (ana.heard, ana.lan.found()) == ([], ())

    run(story())


GOOD = {b"v": b"1", b"did": BEN.encode(), b"network": NETWORK.encode()}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {**GOOD, b"v": b"2"},
        {**GOOD, b"v": None},
        {**GOOD, b"network": OTHER.encode()},
        {**GOOD, b"did": None},
        {**GOOD, b"did": b"\xff\xfe"},
        {**GOOD, b"did": b"did:key:zNotAKey"},
    ],
    ids=["nothing", "newer", "no-version", "network", "no-did", "bytes", "no-key"],
)
def test_a_service_that_is_no_node_of_the_network_is_none(said: dict[bytes, bytes | None]) -> None:
    assert read_service(GOOD, ["1.2.3.4:5"], network=NETWORK) == PeerAddress(
        did=BEN, addresses=("1.2.3.4:5",)
    )
    assert read_service(said, ["1.2.3.4:5"], network=NETWORK) is None
    assert read_service(GOOD, [], network=NETWORK) is None


def test_who_listens_on_no_such_interface_is_told() -> None:
    lan = Lan(
        did=ANA,
        network=NETWORK,
        addresses=["[::1]:9", "127.0.0.9:9"],
        interfaces=(HERE,),
        found=lambda _: None,
    )
    with pytest.raises(LanUnavailable, match=r"listens nowhere on 127\.0\.0\.1") as told:
        asyncio.run(lan.open())
    assert "p2p.advertise" in told.value.hint


def test_who_has_not_installed_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any, **named: Any) -> Any:
        if name.startswith("zeroconf"):
            raise ModuleNotFoundError(name)
        return real(name, *others, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LanUnavailable, match="needs zeroconf") as told:
        asyncio.run(Ears(ANA).lan.open())
    assert "opkit[lan]" in told.value.hint


def test_a_node_says_what_it_was_told_to_else_where_it_listens() -> None:
    bound = ("0.0.0.0:7001", "[::]:7001", "127.0.0.1:7001", "[::1]:7001")
    assert told_addresses(("10.0.0.7:7001",), bound) == ("10.0.0.7:7001",)
    assert told_addresses((), bound) == ("127.0.0.1:7001", "[::1]:7001")
