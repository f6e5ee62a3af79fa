"""Grants: a node speaks for a member within what the member signed, and nobody believes more."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.grants import (
    claimed_manifest,
    grant_checks,
    read_grant,
    read_manifest,
    task_id_of,
    verify_grant,
)
from opkit.proof.receipt import verify_manifest
from opkit.wire.base import Wire
from opkit.wire.compute import TASK_TYP, TaskLimits
from opkit.wire.grants import GRANT_TYP, GRANTED_TASK_TYP, Grant, GrantedManifest
from tests.opkit.proof.grant_cases import (
    CHECKS,
    MIRA,
    MODULE,
    ONDREJ,
    STRANGER,
    grant_by,
    mira_of,
    sabotaged,
    task_under,
)


def test_a_grant_is_believed_by_its_members_current_key_alone(network: Any) -> None:
    token = grant_by(network)
    grant = verify_grant(token, network=network.name, member=mira_of(network))
    assert grant == read_grant(token, network=network.name)
    assert grant == Grant.model_validate(jws.peek(token).payload)
    assert grant.did == network.members[MIRA].did


@pytest.mark.parametrize(
    ("token", "member", "why"),
    [
        (grant_by, {"active": False}, "no active member"),
        (lambda n: grant_by(n, signer=STRANGER), {}, "it is signed by"),
        (grant_by, {"did": STRANGER.did}, "it is signed by"),
        (lambda n: grant_by(n, did=STRANGER.did), {}, "names another key"),
        (lambda n: grant_by(n, lapses_at_ms=5), {}, "lapses before it was issued"),
        (lambda n: grant_by(n, network="b" * 26), {}, "another network"),
        (
            lambda n: grant_by(n, member_id=ONDREJ, signer=n.members[MIRA]),
            {},
            "signed a grant of tool-library/ondrej",
        ),
        (lambda n: n.manifest(), {}, "it is a 'opkit-task"),
        (lambda n: "no token", {}, "not a compact JWS"),
    ],
)
def test_a_grant_of_anything_else_is_refused(
    network: Any, token: Any, member: dict[str, Any], why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        verify_grant(token(network), network=network.name, member=mira_of(network, **member))


def test_a_node_submits_in_the_name_of_who_granted_it(network: Any) -> None:
    token = task_under(network, grant_by(network), place=3)
    manifest = verify_manifest(token, genesis=network.view, member=mira_of(network))
    assert isinstance(manifest, GrantedManifest)
    assert (manifest.member_id, manifest.place) == (MIRA, 3)
    assert claimed_manifest(token) == manifest


def test_a_members_own_manifest_is_read_as_before(network: Any) -> None:
    read = read_manifest(network.manifest(), network=network.name)
    assert (read.key, read.grant, grant_checks(read)) == (network.members[MIRA].did, None, [])
    assert claimed_manifest(network.manifest()) == read.manifest


def test_a_manifest_is_read_for_the_key_that_is_asked_for_alone(network: Any) -> None:
    mira = network.members[MIRA].did
    for token in (network.manifest(), task_under(network, grant_by(network))):
        assert read_manifest(token, network=network.name, key=mira).key == mira
        with pytest.raises(ProofError, match=f"^it is signed by {mira}, not by {STRANGER.did}$"):
            read_manifest(token, network=network.name, key=STRANGER.did)


@pytest.mark.parametrize(("module", "shown"), [(MODULE, MODULE), (None, "any")])
def test_each_check_shows_what_the_grant_allows_and_what_was_asked(
    network: Any, module: str | None, shown: str
) -> None:
    grant = grant_by(network, module=module)
    read = read_manifest(task_under(network, grant, place=2), network=network.name)
    task_id = task_id_of(jws.record_id(grant), 2)
    assert {each.name: (each.expected, each.actual) for each in grant_checks(read)} == {
        "grant-member": (MIRA, MIRA),
        "grant-module": (shown, shown),
        "grant-fuel": ("at most 1000", "1000"),
        "grant-tasks": ("at most 3", "2"),
        "grant-task-id": (task_id, task_id),
        "grant-begun": ("at most 10", "5"),
        "grant-term": ("at most 30", "20"),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"place": 3},
        {"issued_at_ms": 5},
        {"expires_at_ms": 30},
        {"limits": TaskLimits(fuel=1)},
    ],
)
def test_exactly_at_its_bounds_a_grant_still_covers_a_task(network: Any, changes: Any) -> None:
    read = read_manifest(task_under(network, grant_by(network), **changes), network=network.name)
    assert [each.name for each in grant_checks(read) if each.ok] == list(CHECKS)


def test_a_task_id_is_a_hash_of_grant_and_place() -> None:
    hashed = hashlib.sha256(b"opkit-granted-task\0" + b"a" * 64 + b"\x0012").hexdigest()
    assert task_id_of("a" * 64, 12) == hashed[:32]


class Odd(Wire):
    """What somebody signs as a grant, or as a task under one, whose names are no texts."""

    network: str
    did: tuple[int, ...] = (1,)
    grant: tuple[int, ...] = (2,)


def test_what_names_its_key_or_its_grant_by_no_text_is_refused_like_any_other(network: Any) -> None:
    odd = Odd(network=network.name)
    with pytest.raises(ProofError, match="it is signed by"):
        read_grant(jws.sign(odd, typ=GRANT_TYP, identity=STRANGER), network=network.name)
    with pytest.raises(ProofError, match="not a compact JWS"):
        read_manifest(jws.sign(odd, typ=GRANTED_TASK_TYP, identity=STRANGER), network=network.name)


@pytest.mark.parametrize("lost", CHECKS)
def test_what_goes_beyond_a_grant_is_refused_by_the_node_and_every_executor(
    network: Any, lost: str
) -> None:
    with pytest.raises(ProofError, match=f"^{lost} is "):
        verify_manifest(sabotaged(network)[lost], genesis=network.view, member=mira_of(network))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda n: task_under(n, grant_by(n), signer=STRANGER), "it is signed by"),
        (lambda n: task_under(n, grant_by(n), signer=n.nodes["building-yard"]), "it is signed by"),
        (lambda n: task_under(n, grant_by(n, signer=STRANGER)), "it is signed by"),
        (lambda n: task_under(n, n.manifest()), "it is a 'opkit-task"),
        (lambda n: task_under(n, "no.grant.x"), "JWS|JSON|header"),
        (lambda n: task_under(n, grant_by(n, network="b" * 26)), "another network"),
        (lambda n: task_under(n, grant_by(n), network="b" * 26), "another network"),
        (lambda n: task_under(n, grant_by(n), expires_at_ms=10), "ends before it was issued"),
    ],
)
def test_a_task_that_nobody_granted_to_its_signer_is_refused(
    network: Any, make: Any, why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        verify_manifest(make(network), genesis=network.view, member=mira_of(network))


def test_a_grant_ends_with_the_membership_and_with_the_key(network: Any) -> None:
    token = task_under(network, grant_by(network))
    for changed in ({"active": False}, {"did": STRANGER.did}):
        with pytest.raises(ProofError):
            verify_manifest(token, genesis=network.view, member=mira_of(network, **changed))


def test_a_plain_manifest_cannot_carry_a_grant_nor_a_granted_one_go_without(network: Any) -> None:
    """The type decides how it is read: neither passes for the other."""
    granted = GrantedManifest.model_validate(
        jws.peek(task_under(network, grant_by(network))).payload
    )
    for typ, signer in (
        (TASK_TYP, network.members[MIRA]),
        (TASK_TYP, network.nodes["tool-library"]),
    ):
        token = jws.sign(granted, typ=typ, identity=signer)
        with pytest.raises(ProofError):
            verify_manifest(token, genesis=network.view, member=mira_of(network))
    plain = claimed_manifest(network.manifest())
    token = jws.sign(plain, typ=GRANTED_TASK_TYP, identity=network.members[MIRA])
    with pytest.raises(ProofError):
        verify_manifest(token, genesis=network.view, member=mira_of(network))


@given(st.integers(min_value=1, max_value=1_000_000), st.integers(min_value=1, max_value=1_000_000))
def test_each_place_of_each_grant_has_a_task_id_of_its_own(one: int, other: int) -> None:
    first, second = "0" * 64, "0" * 63 + "1"
    assert (task_id_of(first, one) == task_id_of(first, other)) == (one == other)
    assert task_id_of(first, one) != task_id_of(second, one)


@settings(max_examples=60)
@given(st.data())
def test_no_change_of_a_byte_gets_past(draw: st.DataObject) -> None:
    """A fuzzed granted task is refused, never a crash, and never believed."""
    token, member, view = FIXED.value()
    at = draw.draw(st.integers(min_value=0, max_value=len(token) - 1))
    letter = draw.draw(st.sampled_from("ABCz019_-."))
    changed = token[:at] + letter + token[at + 1 :]
    if changed == token:
        return
    with pytest.raises(ProofError):
        verify_manifest(changed, genesis=view, member=member)


class _Fixed:
    """One granted task for the fuzzer, which may not take a function's fixture."""

    made: tuple[Any, Any, Any] | None = None

    def value(self) -> tuple[Any, Any, Any]:
        assert self.made is not None, "the fixture below makes it"
        return self.made


FIXED = _Fixed()


@pytest.fixture(autouse=True)
def _made(network: Any) -> None:
    FIXED.made = (task_under(network, grant_by(network)), mira_of(network), network.view)
