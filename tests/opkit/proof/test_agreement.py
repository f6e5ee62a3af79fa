"""Agreements' files: each check fails for what it is about, and what is shared is spelled again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.agreement import (
    believe,
    examine_agreement,
    read_agreement_file,
    read_signing,
    sign_agreement,
    signing_of,
    spell_file,
    verify_agreement,
)
from opkit.proof.agreement_states import course_of
from opkit.proof.canonical import canonical
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, ProofError
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import (
    AGREEMENT_FILE_BYTES_MAX,
    AgreementFile,
    AgreementSignature,
    SignedBy,
)
from opkit.wire.base import PERIOD_MS_MAX
from opkit.wire.operations import VALUE_CHARACTERS_MAX
from opkit.wire.terms import AgreementEffect, Terms
from opkit.wire.votes import Tally
from tests.opkit.proof.pacts import (
    DAY_MS,
    START_MS,
    file_of,
    genesis_of,
    key_of,
    signed_by,
    terms_of,
)

GENESIS = genesis_of()


def tampered(token: str) -> str:
    head, body, last = token.split(".")
    return f"{head}.{body}.{'B' if last[0] == 'A' else 'A'}{last[1:]}"


def test_an_agreement_verifies_for_whoever_holds_the_genesis() -> None:
    file = read_agreement_file(file_of())
    verdict, facts = examine_agreement(file, genesis=GENESIS)
    assert verdict.status == VERIFIED, verdict.failures
    assert facts is not None and facts.agreement == agreement_id(terms_of())
    assert course_of(facts.terms, facts.given).state(START_MS) == "active"
    assert verify_agreement(file, genesis=None).status == CONSISTENT
    assert verify_agreement(file, genesis=genesis_of("b" * 26)).status == FAILED


def test_the_same_signatures_are_the_same_bytes_in_whatever_order_they_came() -> None:
    one, other = signed_by("mill"), signed_by("yard")
    assert spell_file(terms_of(), [one, other]) == spell_file(terms_of(), [other, one])


def test_a_notice_verifies_beside_the_signature_that_it_ends() -> None:
    terms = terms_of()
    notice = signed_by("yard", terms, "end", at_ms=START_MS + DAY_MS)
    file = read_agreement_file(
        spell_file(terms, [signed_by("mill", terms), signed_by("yard", terms), notice])
    )
    verdict, facts = examine_agreement(file, genesis=GENESIS)
    assert verdict.ok, verdict.failures
    assert facts is not None
    assert course_of(facts.terms, facts.given).state(START_MS + DAY_MS) == "ending"


def changed(coop: str = "yard", **changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which a party signed something else."""

    def make() -> AgreementFile:
        other = "mill" if coop == "yard" else "yard"
        return read_agreement_file(file_of(None, signed_by(other), signed_by(coop, **changes)))

    return make


def replaced(**changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which the yard's line has something else."""

    def make() -> AgreementFile:
        file = read_agreement_file(file_of())
        lines = (file.signatures[0], file.signatures[1].model_copy(update=changes))
        return file.model_copy(update={"signatures": lines})

    return make


def with_terms(**changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which somebody altered the terms, and nothing else."""

    def make() -> AgreementFile:
        return read_agreement_file(file_of()).model_copy(update={"terms": terms_of(**changes)})

    return make


def only(*coops: str) -> Callable[[], AgreementFile]:
    def make() -> AgreementFile:
        return read_agreement_file(file_of(None, *(signed_by(coop) for coop in coops)))

    return make


def reversed_lines() -> AgreementFile:
    file = read_agreement_file(file_of())
    return file.model_copy(update={"signatures": file.signatures[::-1]})


def doubled() -> AgreementFile:
    file = read_agreement_file(file_of())
    return file.model_copy(update={"signatures": (*file.signatures, file.signatures[1])})


def noticed_alone() -> AgreementFile:
    mill, notice = signed_by("mill"), signed_by("yard", action="end")
    return read_agreement_file(file_of(None, mill, notice))


def about_itself(**changes: Any) -> AgreementEffect:
    said: dict[str, Any] = {
        "action": "adopt",
        "agreement": agreement_id(terms_of()),
        "terms": terms_of(),
    }
    return AgreementEffect(**{**said, **changes})


STRANGER = key_of("wharf-node")
REJECTED = Tally(electorate=5, cast=4, yes=1, no=3, abstain=0, delegated=0)

BREAKS: dict[str, tuple[Callable[[], AgreementFile], set[str]]] = {
    "altered terms": (
        with_terms(notice_days=1),
        {
            "terms-named",
            *(
                f"{coop} adopt: {name}"
                for coop in ("mill", "yard")
                for name in ("agreement", "decided-terms", "attested-decision")
            ),
        },
    ),
    "one signature": (only("mill"), {"signed-by-all"}),
    "signatures out of order": (reversed_lines, {"signatures-in-order"}),
    "a signature twice": (doubled, {"signatures-in-order"}),
    "notice by who did not sign": (noticed_alone, {"signed-by-all", "notice-by-signers"}),
    "a forged signature": (
        replaced(signature=tampered(signed_by("yard").signature)),
        {"yard adopt: agreement-signature", "signed-by-all"},
    ),
    "another coop's signature": (
        replaced(signature=signed_by("wharf").signature),
        {
            f"yard adopt: {name}"
            for name in (
                "signed-for",
                "party",
                "decision-cited",
                "decision-of",
                "decided-at-home",
            )
        }
        | {"signed-by-all"},
    ),
    "signed by another node": (
        changed(home=STRANGER, decision={"did": STRANGER.did}),
        {"yard adopt: home-node"},
    ),
    "signed by another node than decided": (
        changed(signer=STRANGER),
        {"yard adopt: decided-at-home"},
    ),
    "a forged decision": (
        replaced(decision=tampered(signed_by("yard").decision)),
        {"yard adopt: decision-signature"},
    ),
    "a forged attestation": (
        replaced(attested=tampered(signed_by("yard").attested)),
        {"yard adopt: attested-signature"},
    ),
    "another decision": (
        changed(signature={"decision": "6" * 64}),
        {"yard adopt: decision-cited"},
    ),
    "a decision of another coop": (
        changed(decision={"aud": "mill"}),
        {"yard adopt: decision-of", "yard adopt: home-node"},
    ),
    "a rejected decision": (
        changed(decision={"outcome": "rejected", "tally": REJECTED}),
        {"yard adopt: accepted"},
    ),
    "a decision that was lost by its own tally": (
        changed(decision={"tally": REJECTED}),
        {"yard adopt: outcome"},
    ),
    "a decision on a spend": (changed(decision={"kind": "spend"}), {"yard adopt: decided-about"}),
    "a decision on other terms": (
        changed(attested={"effect": about_itself(terms=terms_of(notice_days=1))}),
        {"yard adopt: decided-terms", "yard adopt: attested-decision"},
    ),
    "a decision to end it": (
        changed(attested={"effect": about_itself(action="end", terms=None)}),
        {"yard adopt: decided-terms", "yard adopt: attested-decision"},
    ),
    "an attestation that says other": (
        changed(attested={"proposal_id": "other"}),
        {"yard adopt: attested-decision"},
    ),
    "signed within the challenge window": (
        changed(at_ms=START_MS - 1),
        {"yard adopt: signed-in-time"},
    ),
    "signed after the decision expired": (
        changed(at_ms=START_MS + 90 * DAY_MS),
        {"yard adopt: signed-in-time"},
    ),
    "a decision that its home lets be executed for ever": (
        changed(decision={"executable_until_ms": 2**53 - 1}, at_ms=START_MS + 900 * DAY_MS),
        {"yard adopt: executable-until"},
    ),
    "a decision that expires early": (
        changed(decision={"executable_until_ms": START_MS + DAY_MS}),
        {"yard adopt: executable-until"},
    ),
    "bad terms": (
        lambda: read_agreement_file(file_of(terms_of(arbiter="mill"))),
        {"terms-well-formed"},
    ),
    "terms that name a stranger": (
        lambda: read_agreement_file(file_of(terms_of(facilitator="nobody"))),
        {"terms-in-network"},
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_check_of_an_agreement_fails_for_what_it_is_about(name: str) -> None:
    make, expected = BREAKS[name]
    verdict = verify_agreement(make(), genesis=GENESIS)
    assert {check.name for check in verdict.failures} == expected


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"at_ms": START_MS - 1}, "signed-in-time"),
        ({"decision": {"executable_until_ms": 2**53 - 1}}, "executable-until"),
        ({"decision": {"kind": "text"}}, "decided-about"),
        ({"signature": {"decision": "6" * 64}}, "decision-cited"),
    ],
)
def test_a_node_believes_no_signature_of_which_a_check_fails(change: Any, why: str) -> None:
    believe(signed_by("yard"), terms=terms_of(), genesis=GENESIS)
    with pytest.raises(ProofError, match=why):
        believe(signed_by("yard", **change), terms=terms_of(), genesis=GENESIS)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps(json.loads(file_of())).encode(),
        file_of() + b" ",
        b" " * (AGREEMENT_FILE_BYTES_MAX + 1),
        file_of().replace(b'"v":1', b'"v":2'),
        file_of().replace(b'"v":1', b'"v":1,"w":1'),
        file_of().replace(b'"term_days":90', b'"term_days":"90"'),
    ],
)
def test_what_is_no_file_in_its_one_spelling_is_refused(bad: bytes) -> None:
    with pytest.raises(ProofError):
        read_agreement_file(bad)


# What parties share of a signature.


def test_terms_that_have_no_spelling_are_those_of_no_agreement() -> None:
    terms = terms_of().model_copy(update={"title": "\ud800"})
    bad = read_agreement_file(file_of()).model_copy(update={"terms": terms})
    verdict, facts = examine_agreement(bad, genesis=GENESIS)
    assert facts is None and verdict.status == FAILED
    assert [check.name for check in verdict.failures] == ["terms-named"]


@pytest.mark.parametrize("action", ["adopt", "end"])
def test_what_is_shared_spells_the_three_signed_objects_again(action: Any) -> None:
    terms = terms_of()
    signed = signed_by("yard", terms, action)
    shared = signing_of(signed, terms=terms)
    assert read_signing(shared, terms=terms) == signed
    assert len(shared) < len(signed.signature) + len(signed.decision)


def longest_signed(terms: Terms) -> SignedBy:
    """Return a signature in which all is as long as it can be."""
    big = 2**53 - 1
    numbers = Tally(electorate=big, cast=big, yes=big, no=big, abstain=big, delegated=big)
    rule = {"quorum_percent": 100, "approval_percent": 100, "decision": "7" * 64}
    times = ("opened_ms", "closes_ms", "closed_ms", "challenge_ends_ms", "executable_until_ms")
    plain = signed_by("yard", terms)
    decision = jws.peek(plain.decision).payload
    signed = signed_by(
        "yard",
        terms,
        at_ms=big,
        decision={
            "aud": "y" * 64,
            "proposal_id": "p" * 64,
            "sequence": big,
            "treasury_nonce": big,
            "outcome": "cancelled",
            "kind": "configuration",
            "tally": numbers,
            "rule": {**decision["rule"], **rule, "voting_period_ms": PERIOD_MS_MAX}
            | {"challenge_window_ms": PERIOD_MS_MAX},
            **dict.fromkeys(times, big),
        },
        attested={"title": "\x01" * 200, "commitments": big},
        signature={"aud": "y" * 64},
    )
    return signed.model_copy(update={"coop": "y" * 64})


def test_the_longest_signature_finds_room_where_it_is_shared() -> None:
    terms = terms_of()
    assert len(signing_of(longest_signed(terms), terms=terms)) <= VALUE_CHARACTERS_MAX


def test_what_does_not_follow_from_the_rest_cannot_be_shared() -> None:
    terms = terms_of()
    signed = signed_by("yard", terms, attested={"proposal_id": "other"})
    with pytest.raises(ProofError, match="more than can be shared"):
        signing_of(signed, terms=terms)


@pytest.mark.parametrize("bad", ["", "x", "{}", "[]", "null"])
def test_what_is_no_signature_is_none(bad: str) -> None:
    with pytest.raises(ProofError):
        read_signing(bad, terms=terms_of())


def test_a_shared_signature_that_somebody_changed_does_not_verify() -> None:
    terms = terms_of()
    said = json.loads(signing_of(signed_by("yard", terms), terms=terms))
    for path, value in (
        (("title",), "Another"),
        (("commitments",), 3),
        (("signed_at_ms",), START_MS + 1),
        (("action",), "end"),
        (("decision", "proposal_id"), "other"),
        (("decision", "did"), key_of("mill-node").did),
    ):
        changed_one = json.loads(json.dumps(said))
        at = changed_one
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value
        signed = read_signing(canonical(changed_one).decode(), terms=terms)
        with pytest.raises(ProofError):
            believe(signed, terms=terms, genesis=GENESIS)


def test_only_the_node_that_it_names_signs() -> None:
    said = AgreementSignature.model_validate(jws.peek(signed_by("yard").signature).payload)
    assert sign_agreement(said, key_of("yard-node")) == signed_by("yard").signature
    with pytest.raises(ProofError):
        sign_agreement(said, key_of("mill-node"))
