"""Agreements' files: each check fails for what it is about, and what is shared is spelled again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.agreement import (
    AgreementFacts,
    believe,
    effect_of,
    examine_agreement,
    read_agreement_file,
    read_signing,
    sign_agreement,
    signing_of,
    spell_file,
    verify_agreement,
)
from opkit.proof.agreement_states import Given, course_of
from opkit.proof.canonical import canonical, canonical_of
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, Check, ProofError, Verdict
from opkit.proof.decision import said_checks
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import (
    AGREEMENT_FILE_BYTES_MAX,
    AgreementFile,
    AgreementSignature,
    SignedBy,
)
from opkit.wire.base import PERIOD_MS_MAX
from opkit.wire.operations import VALUE_CHARACTERS_MAX
from opkit.wire.terms import Terms
from opkit.wire.votes import EXECUTE_WITHIN_MS, Tally
from tests.opkit.proof.agreement_cases import (
    BREAKS,
    ELSEWHERE,
    STRANGER,
    about_itself,
    changed,
    replaced,
    tampered,
)
from tests.opkit.proof.pacts import (
    DAY_MS,
    NETWORK,
    START_MS,
    decision_of,
    file_of,
    genesis_of,
    key_of,
    signed_by,
    terms_of,
)

GENESIS = genesis_of()


def signature_of(signed: SignedBy) -> AgreementSignature:
    """Return what a party's signature says."""
    return AgreementSignature.model_validate(jws.peek(signed.signature).payload)


def test_an_agreement_verifies_for_whoever_holds_the_genesis() -> None:
    file = read_agreement_file(file_of())
    verdict, facts = examine_agreement(file, genesis=GENESIS)
    assert verdict.status == VERIFIED, verdict.failures
    assert facts == AgreementFacts(
        agreement=agreement_id(terms_of()),
        terms=terms_of(),
        signatures=(signature_of(signed_by("mill")), signature_of(signed_by("yard"))),
    )
    assert facts.given == (
        Given(coop="mill", action="adopt", at_ms=START_MS),
        Given(coop="yard", action="adopt", at_ms=START_MS),
    )
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


@pytest.mark.parametrize("name", BREAKS)
def test_each_check_of_an_agreement_fails_for_what_it_is_about(name: str) -> None:
    make, expected = BREAKS[name]
    verdict, facts = examine_agreement(make(), genesis=GENESIS)
    assert {check.name for check in verdict.failures} == expected
    assert verdict.anchored and verdict.status == FAILED
    assert (facts is None) == any("agreement-signature" in each for each in expected)


def same(name: str, what: object) -> Check:
    return Check(name=name, ok=True, expected=str(what), actual=str(what))


def checks_of(coop: str) -> list[Check]:
    """Return all that is said of a party's good signature."""
    signed, decision = signed_by(coop), decision_of(coop)
    until_ms = START_MS + EXECUTE_WITHIN_MS
    effect = hashlib.sha256(canonical_of(about_itself())).hexdigest()
    told = [
        same("agreement-signature", "verifies"),
        same("signed-for", (coop, "adopt")),
        same("agreement", agreement_id(terms_of())),
        Check("party", ok=True, expected="mill or yard", actual=coop),
        same("decision-signature", "verifies"),
        same("attested-signature", "verifies"),
        same("decision-cited", jws.record_id(signed.decision)),
        same("decision-of", coop),
        same("decided-at-home", key_of(f"{coop}-node").did),
        *said_checks(decision, genesis=GENESIS),
        same("decided-about", "agreement"),
        same("accepted", "accepted"),
        same("decided-terms", effect),
        same("attested-decision", "says what the decision says"),
        same("executable-until", until_ms),
        Check(
            "signed-in-time",
            ok=True,
            expected=f"from {START_MS} and before {until_ms}",
            actual=str(START_MS),
        ),
    ]
    return [replace(each, name=f"{coop} adopt: {each.name}") for each in told]


def test_all_that_is_looked_at_is_said_of_a_good_agreement() -> None:
    named = agreement_id(terms_of())
    assert verify_agreement(read_agreement_file(file_of()), genesis=GENESIS) == Verdict(
        subject=f"agreement {named[:12]}",
        checks=(
            same("terms-named", named),
            same("terms-well-formed", "verifies"),
            same("terms-in-network", "verifies"),
            *checks_of("mill"),
            *checks_of("yard"),
            same("signatures-in-order", [("mill", "adopt"), ("yard", "adopt")]),
            same("signed-by-all", ["mill", "yard"]),
            same("notice-by-signers", []),
        ),
        anchored=True,
    )


@pytest.mark.parametrize(
    ("make", "failed", "expected", "actual"),
    [
        (changed(attested={"proposal_id": "x"}), "attested-decision", None, "says other"),
        (changed(at_ms=START_MS - 1), "signed-in-time", None, str(START_MS - 1)),
        (replaced(signature=signed_by("wharf").signature), "party", "mill or yard", "wharf"),
        (replaced(action="end"), "signed-for", "('yard', 'end')", "('yard', 'adopt')"),
    ],
)
def test_a_check_that_fails_says_what_should_be_and_what_is(
    make: Callable[[], AgreementFile], failed: str, expected: str | None, actual: str
) -> None:
    checks = verify_agreement(make(), genesis=GENESIS).failures
    told = {check.name.rpartition(": ")[2]: check for check in checks}[failed]
    assert expected in (None, told.expected)
    assert told.actual == actual


LAST_MS = START_MS + EXECUTE_WITHIN_MS - 1


@pytest.mark.parametrize("at_ms", [START_MS, LAST_MS])
def test_a_signature_is_given_while_the_decision_can_be_executed(at_ms: int) -> None:
    for of, good in ((at_ms, True), (at_ms - 1, at_ms > START_MS), (at_ms + 1, at_ms < LAST_MS)):
        verdict = verify_agreement(changed(at_ms=of)(), genesis=GENESIS)
        assert verdict.ok is good


def test_a_coop_decides_the_terms_that_it_adopts_and_no_terms_for_a_notice() -> None:
    adopted = signature_of(signed_by("yard"))
    assert effect_of(adopted, terms_of()) == about_itself()
    ended = signature_of(signed_by("yard", action="end"))
    assert effect_of(ended, terms_of()) == about_itself(action="end", terms=None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"at_ms": START_MS - 1},
            f"signed-in-time: {START_MS - 1}, not from {START_MS} and before {LAST_MS + 1}",
        ),
        (
            {"decision": {"executable_until_ms": 2**53 - 1}},
            f"executable-until: {2**53 - 1}, not {LAST_MS + 1}",
        ),
        ({"decision": {"kind": "text"}}, "decided-about: text, not agreement"),
        (
            {"home": STRANGER, "decision": {"did": STRANGER.did}},
            f"home-node: {STRANGER.did}, not {key_of('yard-node').did}",
        ),
        # Of several that fail the first is told.
        (
            {"signature": {"decision": "6" * 64}, "at_ms": START_MS - 1},
            f"decision-cited: {jws.record_id(signed_by('yard').decision)}, not {'6' * 64}",
        ),
        (
            {"signature": {"network": ELSEWHERE}},
            "agreement-signature: it belongs to another network, not verifies",
        ),
    ],
)
def test_a_node_believes_no_signature_of_which_a_check_fails(change: Any, why: str) -> None:
    good = signed_by("yard")
    assert believe(good, terms=terms_of(), genesis=GENESIS) == signature_of(good)
    with pytest.raises(ProofError) as refused:
        believe(signed_by("yard", **change), terms=terms_of(), genesis=GENESIS)
    assert refused.value.why == why


def test_a_node_believes_no_forged_signature() -> None:
    good = signed_by("yard")
    forged = good.model_copy(update={"signature": tampered(good.signature)})
    with pytest.raises(ProofError, match="agreement-signature: the signature does not"):
        believe(forged, terms=terms_of(), genesis=GENESIS)


SPELLED = file_of()
SPELLING = "not in its one spelling"
NO_FILE = "no agreement's file"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", f"{NO_FILE}: Invalid JSON: "),
        (b"\xff", f"{NO_FILE}: Invalid JSON: "),
        (b"[]", f"{NO_FILE}: Input should be an object"),
        (b"{}", f"{NO_FILE}: agreement: Field required"),
        (b" " * AGREEMENT_FILE_BYTES_MAX, f"{NO_FILE}: Invalid JSON: "),
        (b" " * (AGREEMENT_FILE_BYTES_MAX + 1), "262145 bytes are more than 262144"),
        (SPELLED.replace(b'"v":1', b'"v":2'), f"{NO_FILE}: v: "),
        (SPELLED.replace(b'"v":1', b'"v":1,"w":1'), f"{NO_FILE}: w: "),
        (SPELLED.replace(b'"term_days":90', b'"term_days":"90"'), f"{NO_FILE}: terms.term_days: "),
        (SPELLED.replace(b'"renewable":true', b'"renewable":"true"'), SPELLING),
        (SPELLED.replace(b'"v":1', b'"v":1,"v":1'), SPELLING),
        (SPELLED.replace(b',"v":1', b""), SPELLING),
        (json.dumps(json.loads(SPELLED)).encode(), SPELLING),
        (SPELLED + b" ", SPELLING),
    ],
)
def test_what_is_no_file_in_its_one_spelling_is_refused(bad: bytes, why: str) -> None:
    assert bad != SPELLED
    with pytest.raises(ProofError, match=why):
        read_agreement_file(bad)


# What parties share of a signature.


def test_terms_that_have_no_spelling_are_those_of_no_agreement() -> None:
    terms = terms_of().model_copy(update={"title": "\ud800"})
    bad = read_agreement_file(file_of()).model_copy(update={"terms": terms})
    verdict, facts = examine_agreement(bad, genesis=GENESIS)
    why = "no canonical JSON: a lone surrogate"
    assert facts is None
    assert verdict == Verdict(
        subject="agreement",
        checks=(Check("terms-named", ok=False, expected="verifies", actual=why),),
        anchored=True,
    )
    assert not verify_agreement(bad, genesis=None).anchored


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


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": {"network": ELSEWHERE}},
        {"decision": {"network": ELSEWHERE}, "attested": {"network": NETWORK}},
        {"attested": {"network": ELSEWHERE}},
    ],
)
def test_what_is_for_another_network_cannot_be_shared(changes: Any) -> None:
    with pytest.raises(ProofError, match="belongs to another network"):
        signing_of(signed_by("yard", **changes), terms=terms_of())


SHARED = signing_of(signed_by("yard"), terms=terms_of())


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "{}",
        "[]",
        "null",
        SHARED.replace(f'"signed_at_ms":{START_MS}', f'"signed_at_ms":"{START_MS}"'),
        SHARED.replace('"commitments":4', '"commitments":4,"more":1'),
    ],
)
def test_what_is_no_signature_is_none(bad: str) -> None:
    assert bad != SHARED
    with pytest.raises(ProofError, match="this is no signature of an agreement"):
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
    said = signature_of(signed_by("yard"))
    assert sign_agreement(said, key_of("yard-node")) == signed_by("yard").signature
    with pytest.raises(ProofError, match="signed by the node that the signature names"):
        sign_agreement(said, key_of("mill-node"))
