"""A fresh network's genesis: everybody named, everything signed, nothing derived."""

from __future__ import annotations

import re

import pytest

from devnet.genesis import MadeWorld, make_world
from devnet.spec import ProfileName, load_world
from opkit.proof.checks import ProofError
from opkit.proof.genesis import read_genesis, sign_genesis
from opkit.proof.keys import Identity

NOW_MS = 1_767_225_600_000


@pytest.mark.parametrize(("profile", "nodes", "coops"), [("three", 3, 3), ("federation", 5, 4)])
def test_genesis_names_every_node_and_coop(profile: ProfileName, nodes: int, coops: int) -> None:
    made = make_world(profile, now_ms=NOW_MS)
    genesis = made.view.genesis
    assert len(genesis.nodes) == nodes
    assert len(genesis.charters) == coops
    assert genesis.devnet
    assert genesis.created_ms == NOW_MS
    assert genesis.operator == made.operator.did


def test_the_unaffiliated_node_belongs_to_no_coop() -> None:
    view = make_world("federation", now_ms=NOW_MS).view
    node = view.node_of("unaffiliated")
    assert node is not None
    assert node.coop is None
    assert view.charter("unaffiliated") is None


def test_a_charter_says_what_the_world_says() -> None:
    made = make_world("three", now_ms=NOW_MS)
    charter = made.view.charter("harbor-homes-cooperative")
    assert charter is not None
    assert charter.home_node == made.nodes["harbor-homes-cooperative"].did
    assert (charter.quorum_percent, charter.approval_percent) == (60, 67)
    assert (charter.voting_period_ms, charter.challenge_window_ms) == (604_800_000, 86_400_000)
    assert charter.floors == load_world().organisations["harbor-homes-cooperative"].floors
    assert [founder.name for founder in charter.founders] == [
        "Rosa",
        "Felix",
        "Nadia",
        "Kofi",
        "Silas",
    ]


def test_every_founder_has_signed_the_charter() -> None:
    made = make_world("three", now_ms=NOW_MS)
    for signed in made.view.genesis.charters:
        assert len(signed.signatures) == len(signed.charter.founders)


def test_a_charter_that_one_founder_did_not_sign_makes_no_genesis() -> None:
    made = make_world("three", now_ms=NOW_MS)
    first, *others = made.view.genesis.charters
    short = first.model_copy(update={"signatures": first.signatures[1:]})
    forged = made.view.genesis.model_copy(update={"charters": (short, *others)})
    with pytest.raises(ProofError):
        read_genesis(sign_genesis(forged, made.operator))


def test_another_key_than_the_operators_makes_no_genesis() -> None:
    made = make_world("three", now_ms=NOW_MS)
    with pytest.raises(ProofError):
        read_genesis(sign_genesis(made.view.genesis, Identity.generate()))


def test_two_networks_of_the_same_world_share_no_key_and_no_id() -> None:
    one, other = (make_world("three", now_ms=NOW_MS) for _ in range(2))
    assert one.view.network != other.view.network
    assert not keys(one) & keys(other)


def keys(made: MadeWorld) -> set[str]:
    """Return every DID of a made world."""
    return set(re.findall(r"did:key:z6Mk\w{44}", str(made.view.genesis)))


def test_no_seed_shows_in_what_is_printed() -> None:
    made = make_world("three", now_ms=NOW_MS)
    shown = repr(made) + str(made)
    for identity in (made.operator, *made.nodes.values(), *made.members.values()):
        assert identity.seed.hex() not in shown
        assert repr(identity.seed) not in shown


def test_a_network_id_is_128_bits_in_base32() -> None:
    made = make_world("three", now_ms=NOW_MS)
    assert re.fullmatch(r"[a-z2-7]{26}", made.view.network)
