"""A name that a marker rests on is verified again from the genesis, whoever shows it."""

from __future__ import annotations

import pytest

from devnet.genesis import MadeWorld, make_world
from opkit.proof.keys import Identity
from opkit.proof.names import make_claim
from opkit.proof.record import make_record
from opkit.story import NameProof, expect, that
from opkit.story.proving import name_checks
from opkit.wire.base import Jws
from opkit.wire.names import NameValue, NodeTarget

RIVER, MARA = "river-city-tool-library", "river-city-tool-library/mara"
NAME = f"lathe.{RIVER}"
NOW_MS, HOUR_MS = 1_800_000_000_000, 3_600_000


@pytest.fixture(scope="module")
def made() -> MadeWorld:
    """A world of three coops."""
    return make_world("three", now_ms=1)


def record(made: MadeWorld, *, home: Identity | None = None, member: Identity | None = None) -> Jws:
    """Return the record of a name, by its home node and its member unless others are said."""
    home = home or made.nodes[RIVER]
    claim = make_claim(
        member or made.members[MARA],
        network=made.view.network,
        name=NAME,
        member_id=MARA,
        target=NodeTarget(node=home.did),
        at_ms=NOW_MS,
        term_ms=HOUR_MS,
    )
    return make_record(
        home,
        network=made.view.network,
        namespace="name",
        name=NAME,
        value=NameValue(claim=claim).model_dump(mode="json"),
        at_ms=NOW_MS,
        term_ms=HOUR_MS,
    )


def test_a_name_is_verified_from_the_genesis(made: MadeWorld) -> None:
    checks = name_checks(record(made), genesis=made.view)

    assert [check.ok for check in checks] == [True, True]
    assert [check.actual for check in checks] == [MARA, made.nodes[RIVER].did]


def test_a_name_that_its_home_did_not_sign_is_none(made: MadeWorld) -> None:
    (check,) = name_checks(record(made, home=Identity.generate()), genesis=made.view)
    assert not check.ok
    assert "is not the home node" in check.actual


def test_a_name_that_its_member_did_not_sign_is_none(made: MadeWorld) -> None:
    (check,) = name_checks(record(made, member=Identity.generate()), genesis=made.view)
    assert not check.ok


def test_without_a_genesis_only_the_signer_of_the_record_is_said(made: MadeWorld) -> None:
    stranger = Identity.generate()
    (check,) = name_checks(record(made, home=stranger), genesis=None)
    assert check.ok
    assert check.actual == stranger.did
    assert "home" not in check.name
    (broken,) = name_checks("a.b.c", genesis=None)
    assert not broken.ok


def test_a_marker_carries_the_record_as_it_is(made: MadeWorld) -> None:
    (proof,) = expect(that("held", True), proofs=[NameProof(record(made))]).proofs
    assert isinstance(proof, NameProof)
