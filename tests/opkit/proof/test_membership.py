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
    founding_member,
    founding_members,
    is_decided,
    member_history,
    read_decided,
    read_link,
    read_record,
)
from opkit.wire.membership import MEMBER_TYP, DecidedMember, Member, MemberRecord
from tests.opkit.proof.decided import KEY, NEW, OTHER, decided

MIRA = "tool-library/mira"


def test_founders_and_operator_are_members_by_genesis(network: Any) -> None:
    members = founding_members(network.view)
    assert OPERATOR_ID == "-/operator"
    assert set(members) == {*network.members, OPERATOR_ID}
    assert members[MIRA] == Member(
        member_id=MIRA,
        coop="tool-library",
        name="Mira",
        title="member",
        did=network.members[MIRA].did,
        roles=("member",),
        active=True,
        sequence=0,
    )
    assert members[OPERATOR_ID] == Member(
        member_id=OPERATOR_ID,
        coop=None,
        name="Operator",
        title="network operator",
        did=network.operator.did,
        roles=("operator",),
        active=True,
        sequence=0,
    )
    assert founding_member(NEW, genesis=network.view) is None


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
    assert added == Member(
        member_id=member_id,
        coop=coop_of(member_id),
        name="Ilse",
        title="member",
        did=key,
        roles=("member",),
        active=True,
        sequence=1,
    )


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
    with pytest.raises(
        ProofError, match=r"^link 1 of tool-library/ilse is about tool-library/mira"
    ):
        fold_member(NEW, genesis=network.view, records=[record])


def test_of_several_reasons_not_to_apply_a_record_the_first_is_told(network: Any) -> None:
    founders = founding_members(network.view)
    mira, ondrej = founders[MIRA], founders["tool-library/ondrej"]
    wrong = network.record(MIRA, did=KEY.did, sequence=9, action="revoke")
    next_one = network.record(MIRA, did=KEY.did, sequence=1, action="revoke")
    for record, standing, decided_before, why in (
        (wrong, ondrej, True, "operator no longer says who is a member of tool-library"),
        (wrong, ondrej, False, f"the record is about {MIRA}, not tool-library/ondrej"),
        (wrong, mira, False, f"record 9 of {MIRA} does not follow: 1 would"),
        (next_one, mira, False, f"{MIRA} does not stand with that key"),
    ):
        with pytest.raises(ProofError, match=why):
            apply_record(record, genesis=network.view, standing=standing, decided=decided_before)


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
    with pytest.raises(ProofError, match=r"^link 2 of tool-library/ilse: record 1 .* not follow"):
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


def test_a_decided_link_makes_a_member_as_the_operators_does(network: Any) -> None:
    token = decided(network)
    ilse = apply_record(token, genesis=network.view, standing=None)
    record = network.record(NEW, did=KEY.did)
    assert ilse == apply_record(record, genesis=network.view, standing=None)
    link = read_link(token, genesis=network.view)
    assert isinstance(link, DecidedMember)
    assert (link.decision, link.node) == ("2" * 64, network.nodes["tool-library"].did)
    assert is_decided(token) and not is_decided(record)
    assert type(read_link(record, genesis=network.view)) is MemberRecord


def test_a_founder_is_rekeyed_and_removed_by_decision(network: Any) -> None:
    rekey = decided(network, MIRA, name="Mira", did=OTHER.did)
    gone = decided(network, MIRA, name="Mira", did=OTHER.did, sequence=2, action="revoke")
    states = member_history(MIRA, genesis=network.view, records=[rekey, gone])
    assert [(state.did, state.active) for state in states] == [
        (network.members[MIRA].did, True),
        (OTHER.did, True),
        (OTHER.did, False),
    ]


def test_decided_links_follow_the_operators_and_none_of_those_follows_them(network: Any) -> None:
    first = network.record(NEW, did=KEY.did)
    second = decided(network, sequence=2, did=OTHER.did)
    third = network.record(NEW, did=KEY.did, sequence=3)
    fourth = decided(network, sequence=3)
    ilse = fold_member(NEW, genesis=network.view, records=[first, second, fourth])
    assert ilse is not None and ilse.did == KEY.did
    with pytest.raises(ProofError, match="operator no longer"):
        fold_member(NEW, genesis=network.view, records=[first, second, third])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signer": KEY}, "signed by"),
        ({"signer": KEY, "node": KEY.did}, "is not the home node"),
        ({"network": "b" * 26}, "another network"),
        ({"typ": "opkit-ballot+jws"}, "it is a"),
        ({"aud": "building-yard"}, "is not for 'building-yard'"),
        ({"member_id": "-/ilse", "aud": "-"}, "no DecidedMember|is not for"),
        ({"member_id": "bakery/ilse", "aud": "bakery"}, "no charter"),
        ({"member_id": "building-yard/ilse", "aud": "building-yard"}, "is not the home node"),
        ({"did": "did:key:z6Mk" + "1" * 44}, "."),
    ],
)
def test_what_the_home_did_not_say_is_no_decided_link(
    network: Any, changes: dict[str, Any], why: str
) -> None:
    token = decided(network, **changes)
    with pytest.raises(ProofError, match=why):
        read_decided(token, genesis=network.view)
    with pytest.raises(ProofError):
        fold_member(NEW, genesis=network.view, records=[token])


def test_another_coops_home_decides_nothing_here(network: Any) -> None:
    yard = network.nodes["building-yard"]
    with pytest.raises(ProofError, match="is not the home node"):
        read_decided(decided(network, signer=yard, node=yard.did), genesis=network.view)


def test_neither_kind_of_link_passes_for_the_other(network: Any) -> None:
    with pytest.raises(ProofError, match="not a"):
        read_record(decided(network), genesis=network.view)
    with pytest.raises(ProofError, match="not a"):
        read_decided(
            jws.sign(
                read_decided(decided(network), genesis=network.view),
                typ=MEMBER_TYP,
                identity=network.nodes["tool-library"],
            ),
            genesis=network.view,
        )
    by_operator = decided(network, signer=network.operator, typ=MEMBER_TYP)
    with pytest.raises(ProofError, match="no MemberRecord"):
        read_record(by_operator, genesis=network.view)
