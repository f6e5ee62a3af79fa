"""Keys and networks that follow from a seed."""

from __future__ import annotations

from devnet.sim.keys import COOPS, identities_near, identity_of, network_of
from nodeimpl.overlay.port import key_id, node_id


def test_the_same_seed_gives_the_same_network_and_another_one_another() -> None:
    def network(seed):
        return network_of(seed, [identity_of(seed, "node", number) for number in range(8)])

    assert network(1).token == network(1).token != network(2).token
    assert {node.coop for node in network(1).genesis.nodes} == {f"coop-{n}" for n in range(COOPS)}


def test_a_network_of_two_is_one_too() -> None:
    network = network_of(1, [identity_of(1, "node", number) for number in range(2)])
    assert len(network.genesis.charters) == 2


def test_whoever_surrounds_a_place_is_nearer_to_it_than_others() -> None:
    place = key_id("note", "x")
    near = [node_id(one.did) ^ place for one in identities_near(3, place, 20)]
    others = [node_id(identity_of(3, "node", number).did) ^ place for number in range(50)]
    assert near == sorted(near)
    assert max(near) < 2**256 // 12
    assert sum(each < max(near) for each in others) < 15
