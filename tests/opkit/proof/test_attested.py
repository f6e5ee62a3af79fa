"""What leaves a coop of its decisions, their files, and the links that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, ProofError
from opkit.proof.decision import (
    ATTESTED,
    check_decided_member,
    decision_hash,
    examine_attested,
    examine_decision,
    read_file,
    verify_attested,
)
from opkit.proof.keys import Identity
from opkit.proof.membership import read_decided
from opkit.wire.votes import (
    DECISION_FILE_BYTES_MAX,
    MembershipEffect,
    Tally,
    TextEffect,
)
from tests.opkit.proof.assemblies import TOOLS, good, good_rule, tampered

STRANGER = Identity.from_seed(b"\7" * 32)


# What leaves the coop.


def attested(assembly: Any, said: str = "yyny-", **changes: Any) -> Any:
    """Return an attested decision, but for the `changes`."""
    return assembly.attested(good(assembly, said), **changes)


def test_what_leaves_the_coop_is_attested_and_says_that_it_is_not_recounted(assembly: Any) -> None:
    file = good(assembly)
    verdict, said = examine_attested(assembly.attested(file), genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    assert verdict.subject.endswith(f"({ATTESTED})")
    assert said is not None and said.decision == decision_hash(file)
    assert "yes" not in jws.peek(assembly.attested(file).attested).payload["title"]
    assert verify_attested(assembly.attested(file), genesis=None).status == CONSISTENT


def test_an_attested_decision_of_another_network_is_none_here(assembly: Any, rebuilt: Any) -> None:
    verdict, said = examine_attested(attested(assembly), genesis=rebuilt.view)
    assert said is None and verdict.status == FAILED


def commitments_swapped(assembly: Any) -> Any:
    file = attested(assembly)
    first, second, *rest = file.commitments
    return file.model_copy(update={"commitments": (second, first, *rest)})


def commitment_lost(assembly: Any) -> Any:
    file = attested(assembly)
    return file.model_copy(update={"commitments": file.commitments[1:]})


def tallied(**changes: int) -> Tally:
    counts = {"electorate": 5, "cast": 4, "yes": 3, "no": 1, "abstain": 0, "delegated": 0}
    return Tally(**{**counts, **changes})


ATTESTED_BREAKS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "a forged one": (
        lambda a: attested(a).model_copy(update={"attested": tampered(attested(a).attested)}),
        {"attestation-signature"},
    ),
    "another node's": (
        lambda a: attested(a, signer=a.network.nodes["building-yard"]),
        {"home-node"},
    ),
    "a rule of its own": (
        lambda a: attested(a, rule={**good_rule(a), "quorum_percent": 20}),
        {"rule-chartered"},
    ),
    "commitments out of order": (commitments_swapped, {"commitments-root"}),
    "a commitment lost": (commitment_lost, {"commitments-root", "commitments-counted"}),
    "another root": (lambda a: attested(a, commitments_root="0" * 64), {"commitments-root"}),
    "more ballots than committed to": (
        lambda a: attested(a, tally=tallied(cast=5, yes=4)),
        {"ballots-committed"},
    ),
    "choices that are not all": (lambda a: attested(a, tally=tallied(yes=4)), {"tally-sum"}),
    "more than may vote": (lambda a: attested(a, tally=tallied(electorate=3)), {"tally-within"}),
    "the other outcome": (lambda a: attested(a, outcome="rejected"), {"outcome"}),
    "an effect on itself": (
        lambda a: attested(a, effect=self_paying(a)),
        {"effect-well-formed"},
    ),
    "another end": (lambda a: attested(a, closes_ms=1), {"closes-after-period"}),
    "closed before it was opened": (
        lambda a: attested(a, closed_ms=5, challenge_ends_ms=86_400_005),
        {"closed-after-opening"},
    ),
    "another window": (lambda a: attested(a, challenge_ends_ms=1), {"challenge-window"}),
}


def self_paying(assembly: Any) -> Any:
    effect: dict[str, Any] = jws.peek(assembly.proposal()).payload["effect"]
    return {**effect, "to_account": effect["from_account"]}


@pytest.mark.parametrize("name", ATTESTED_BREAKS)
def test_each_check_of_an_attested_one_fails_for_what_it_is_about(assembly: Any, name: str) -> None:
    make, expected = ATTESTED_BREAKS[name]
    verdict = verify_attested(make(assembly), genesis=assembly.network.view)
    assert {check.name for check in verdict.failures} == expected


def test_every_check_of_an_attested_one_is_broken_by_something(assembly: Any) -> None:
    verdict = verify_attested(attested(assembly), genesis=assembly.network.view)
    broken = set().union(*(names for _, names in ATTESTED_BREAKS.values()))
    assert {check.name for check in verdict.checks} == broken


# Files.


def test_a_file_is_read_back_as_it_was_written(assembly: Any) -> None:
    for file in (good(assembly), attested(assembly)):
        assert read_file(file.model_dump_json().encode()) == file


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "decision"),
        (b'{"attested": 1}', "attested"),
        (b"not JSON", "JSON"),
        (b" " * (DECISION_FILE_BYTES_MAX + 1), "are more than"),
    ],
    ids=["empty", "no-token", "no-json", "too-large"],
)
def test_what_is_no_file_is_refused_with_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        read_file(data)


# Links that cite a decision.


def admitting(assembly: Any, said: str = "yyny-", **changes: Any) -> Any:
    """Return what is known of a decision about Lea."""
    fields = {"action": "admit", "name": "Lea", "did": STRANGER.did, "roles": ("member",)}
    effect = MembershipEffect(member_id=f"{TOOLS}/lea", **{**fields, **changes})
    proposal = assembly.proposal(effect=effect, treasury_nonce=None)
    verdict, view = examine_decision(
        good(assembly, said, proposal=proposal), genesis=assembly.network.view
    )
    assert verdict.ok, verdict.failures
    assert view is not None
    return view


def link_of(assembly: Any, view: Any, **changes: Any) -> Any:
    fields = {
        "name": "Lea",
        "did": STRANGER.did,
        "proposal": view.decision.proposal,
        "decision": view.hash,
        **changes,
    }
    member_id = fields.pop("member_id", f"{TOOLS}/lea")
    token = assembly.decided(member_id, **fields)
    return read_decided(token, genesis=assembly.network.view)


def test_a_link_is_what_its_decision_makes_of_the_member(assembly: Any) -> None:
    admitted = admitting(assembly)
    check_decided_member(link_of(assembly, admitted), admitted)
    gone = admitting(assembly, action="remove", name="", did=None, roles=())
    check_decided_member(link_of(assembly, gone, action="revoke", title="x"), gone)
    rekeyed = admitting(assembly, action="rekey", name="", roles=())
    check_decided_member(link_of(assembly, rekeyed, title="x", roles=("officer",)), rekeyed)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"decision": "0" * 64}, "another decision"),
        ({"proposal": "0" * 64}, "another decision"),
        ({"member_id": f"{TOOLS}/kim"}, "another member"),
        ({"action": "revoke"}, "another change"),
        ({"did": Identity.from_seed(b"\1" * 32).did}, "another key"),
        ({"name": "Leo"}, "another name"),
        ({"title": "chair"}, "another name, title"),
        ({"roles": ("member", "officer")}, "roles"),
    ],
)
def test_a_link_that_says_something_else_is_told_apart(
    assembly: Any, changes: dict[str, Any], why: str
) -> None:
    view = admitting(assembly)
    with pytest.raises(ProofError, match=why):
        check_decided_member(link_of(assembly, view, **changes), view)


def test_a_link_cites_a_decision_about_members_that_was_accepted(assembly: Any) -> None:
    rejected = admitting(assembly, "yynn-")
    with pytest.raises(ProofError, match="is rejected"):
        check_decided_member(link_of(assembly, rejected), rejected)
    text = assembly.proposal(effect=TextEffect(), treasury_nonce=None)
    _, view = examine_decision(good(assembly, proposal=text), genesis=assembly.network.view)
    with pytest.raises(ProofError, match="about a text"):
        check_decided_member(link_of(assembly, view), view)
