"""Membership chains: the member is the id, the key is what the chain says now."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.membership import (
    OPERATOR_ID,
    RECORDS_MAX,
    apply_record,
    audience_of,
    coop_of,
    fold_member,
    founding_members,
    member_history,
    read_record,
)
from opkit.wire.membership import Member

MIRA = "tool-library/mira"
NEW = "tool-library/ilse"


def test_founders_and_operator_are_members_by_genesis(network: Any) -> None:
    members = founding_members(network.view)
    assert set(members) == {*network.members, OPERATOR_ID}
    mira = members[MIRA]
    assert (mira.coop, mira.did) == ("tool-library", network.members[MIRA].did)
    assert (mira.active, mira.sequence, mira.roles) == (True, 0, ("member",))
    operator = members[OPERATOR_ID]
    assert (operator.coop, operator.did) == (None, network.operator.did)
    assert operator.roles == ("operator",)
    assert (operator.name, operator.title) == ("Operator", "network operator")


@pytest.mark.parametrize(
    ("member_id", "coop", "audience"),
    [(MIRA, "tool-library", "tool-library"), ("-/pilar", None, "-")],
)
def test_the_coop_stands_in_the_member_id(member_id: str, coop: str | None, audience: str) -> None:
    assert coop_of(member_id) == coop
    assert audience_of(member_id) == audience


@pytest.mark.parametrize("member_id", [NEW, "-/pilar"])
def test_the_operators_record_makes_a_member_of_a_coop_or_of_none(
    network: Any, member_id: str
) -> None:
    key = Identity.generate().did
    added = apply_record(network.record(member_id, did=key), genesis=network.view, standing=None)
    assert (added.member_id, added.coop, added.did) == (member_id, coop_of(member_id), key)
    assert added.active
    assert added.sequence == 1


def test_a_founder_gets_another_key_and_other_roles_by_the_next_record(network: Any) -> None:
    key = Identity.generate().did
    record = network.record(MIRA, did=key, sequence=1, roles=("auditor",))
    mira = fold_member(MIRA, genesis=network.view, records=[record])
    assert mira is not None
    assert (mira.did, mira.roles, mira.sequence) == (key, ("auditor",), 1)


def test_revoking_ends_a_membership_and_changes_nothing_else(network: Any) -> None:
    standing = founding_members(network.view)[MIRA]
    record = network.record(MIRA, did=standing.did, action="revoke", name="Other", roles=())
    after = apply_record(record, genesis=network.view, standing=standing)
    assert after == standing.model_copy(update={"active": False, "sequence": 1})


def test_a_revoked_member_is_added_again_only_by_the_record_after_it(network: Any) -> None:
    did = network.members[MIRA].did
    records = [
        network.record(MIRA, did=did, action="revoke"),
        network.record(MIRA, did=did, sequence=2),
    ]
    states = member_history(MIRA, genesis=network.view, records=records)
    assert [state.active for state in states] == [True, False, True]
    with pytest.raises(ProofError, match="does not follow"):
        fold_member(MIRA, genesis=network.view, records=records[1:])


def test_who_was_never_known_is_nobody(network: Any) -> None:
    assert member_history(NEW, genesis=network.view, records=[]) == ()
    assert fold_member(NEW, genesis=network.view, records=[]) is None


def test_the_history_of_a_later_member_begins_with_their_first_record(network: Any) -> None:
    key = Identity.generate().did
    states = member_history(NEW, genesis=network.view, records=[network.record(NEW, did=key)])
    assert [(state.did, state.sequence) for state in states] == [(key, 1)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signer": Identity.generate()}, "signed by"),
        ({"network": "b" * 26}, "another network"),
        ({"aud": "building-yard"}, "is not for"),
        ({"aud": ""}, "is not for"),
        ({"did": "did:key:z6Mk" + "1" * 44}, "key"),
        ({"sequence": 2}, "does not follow"),
        ({"action": "revoke"}, "does not stand"),
    ],
)
def test_records_that_do_not_hold_are_refused(
    network: Any, changes: dict[str, Any], why: str
) -> None:
    record = network.record(NEW, **{"did": Identity.generate().did, **changes})
    with pytest.raises(ProofError, match=why):
        apply_record(record, genesis=network.view, standing=None)


def test_a_record_for_a_coop_without_charter_is_refused(network: Any) -> None:
    record = network.record("nowhere/ilse", did=Identity.generate().did)
    with pytest.raises(ProofError, match="no charter"):
        read_record(record, genesis=network.view)


def test_a_member_cannot_sign_records_about_themselves(network: Any) -> None:
    mira = network.members[MIRA]
    record = network.record(MIRA, did=mira.did, roles=("operator",), signer=mira)
    with pytest.raises(ProofError, match="signed by"):
        fold_member(MIRA, genesis=network.view, records=[record])


def test_a_record_is_applied_to_its_own_member_only(network: Any) -> None:
    standing: Member = founding_members(network.view)["tool-library/ondrej"]
    record = network.record(MIRA, did=Identity.generate().did)
    with pytest.raises(ProofError, match="is about"):
        apply_record(record, genesis=network.view, standing=standing)
    with pytest.raises(ProofError, match="is about"):
        fold_member(NEW, genesis=network.view, records=[record])


def test_revoking_under_another_key_or_twice_is_refused(network: Any) -> None:
    did = network.members[MIRA].did
    other = network.record(MIRA, did=Identity.generate().did, action="revoke")
    twice = [
        network.record(MIRA, did=did, action="revoke", sequence=sequence) for sequence in (1, 2)
    ]
    for records in ([other], twice):
        with pytest.raises(ProofError, match="does not stand"):
            fold_member(MIRA, genesis=network.view, records=records)


def test_a_resigned_copy_of_a_record_is_a_duplicate_and_adds_nothing(network: Any) -> None:
    record = network.record(NEW, did=Identity.generate().did)
    with pytest.raises(ProofError, match="does not follow"):
        fold_member(NEW, genesis=network.view, records=[record, record])


def test_an_endless_chain_is_refused_before_it_is_read(network: Any) -> None:
    with pytest.raises(ProofError, match="longer than"):
        fold_member(NEW, genesis=network.view, records=["x"] * (RECORDS_MAX + 1))
    with pytest.raises(ProofError, match="compact"):
        fold_member(NEW, genesis=network.view, records=["x"] * RECORDS_MAX)


def test_a_record_of_an_earlier_network_of_the_same_people_is_refused(
    network: Any, rebuilt: Any
) -> None:
    record = rebuilt.record(NEW, did=Identity.generate().did)
    assert jws.peek(record).kid == network.operator.did
    with pytest.raises(ProofError, match="another network"):
        read_record(record, genesis=network.view)
