"""Evidence comes from `expect` alone, and a refusal counts only by its exact type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opkit.proof.checks import Check, Verdict
from opkit.story import BlobProof, NotShown, expect, refused, same, that
from opkit.story.evidence import FACT_BYTES_MAX, Evidence
from opkit.wire.compute import HashMalformed, ModuleUnknown, TaskLimits
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Fault, Missing, Unreachable
from opkit.wire.gateway import ScopeMissing, TokenMissing


def test_facts_are_kept_as_json_values():
    evidence = expect(
        True, limits=TaskLimits(), scope=Scope.NODE_READ, data=b"bytes", seen={2, 1}, row=(1, "a")
    )

    assert evidence.facts["limits"]["time_ms"] == 5_000
    assert evidence.facts["scope"] == "node:read"
    assert evidence.facts["data"]["size_bytes"] == 5
    assert evidence.facts["data"]["cid"].startswith("bafkrei")
    assert evidence.facts["seen"] == [1, 2]
    assert evidence.facts["row"] == [1, "a"]


def test_one_false_claim_is_not_shown_and_named():
    with pytest.raises(NotShown, match="sum: expected '4', got '5'"):
        expect(that("kept", True), same("sum", expected=4, actual=5), a=1)


def test_the_sides_of_a_check_read_as_people_say_them():
    check = same("held before", expected=False, actual=True)
    assert (check.expected, check.actual) == ("no", "yes")


def test_equal_values_of_other_types_are_not_the_same():
    assert not same("count", expected=1, actual=True).ok
    assert not same("count", expected=1, actual="1").ok
    assert same("scope", expected="node:read", actual=Scope.NODE_READ).ok


def test_a_verdict_must_be_anchored():
    checks = (Check(name="signature", ok=True, expected="good", actual="good"),)

    assert len(expect(Verdict(subject="receipt", checks=checks, anchored=True)).checks) == 2
    with pytest.raises(NotShown, match="verdict"):
        expect(Verdict(subject="receipt", checks=checks, anchored=False))


def test_a_verdict_with_a_failed_check_is_not_shown():
    checks = (Check(name="signature", ok=False, expected="good", actual="bad"),)

    with pytest.raises(NotShown, match="signature"):
        expect(Verdict(subject="receipt", checks=checks, anchored=True))


def test_evidence_without_a_claim_is_a_mistake():
    with pytest.raises(ValueError, match="at least one claim"):
        expect(loaves=3)


@pytest.mark.parametrize("checks", [(), (that("baked", True), that("eaten", False))])
def test_there_is_no_evidence_without_checks_that_hold_whoever_makes_it(checks):
    with pytest.raises(NotShown):
        Evidence(facts={"loaves": 3}, checks=checks, proofs=())
    shown = expect(that("baked", True))
    with pytest.raises(NotShown):
        replace(shown, checks=checks)


@pytest.mark.parametrize("bad", [1.5, object()])
def test_a_fact_that_json_cannot_carry_exactly_is_a_mistake(bad):
    with pytest.raises(TypeError):
        expect(True, fact=bad)


def test_facts_and_proofs_are_bounded():
    with pytest.raises(ValueError, match="too many"):
        expect(True, **{f"fact{n}": n for n in range(33)})
    with pytest.raises(ValueError, match="at most"):
        expect(True, fact="x" * FACT_BYTES_MAX)
    with pytest.raises(ValueError, match="too many"):
        expect(True, proofs=[BlobProof(b"x")] * 17)


def test_exactly_the_promised_refusal_counts():
    with refused(ScopeMissing, needs="compute:submit") as no:
        raise ScopeMissing(needs="compute:submit", has=[])

    assert no.refusal.needs == "compute:submit"
    assert no.problem["code"] == "scope-missing"
    assert expect(no.check).checks[0].actual == "scope-missing"


def test_being_allowed_fails():
    with pytest.raises(NotShown, match="allowed"), refused(TokenMissing):
        pass


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(HashMalformed(value="x"), id="another-code"),
        pytest.param(Unreachable(where="node", why="timeout"), id="silence"),
        pytest.param(Fault(where="node", incident="1"), id="a-broken-node"),
    ],
)
def test_anything_else_fails(other):
    promised = "promised the refusal 'module-unknown'"
    with pytest.raises(NotShown, match=promised), refused(ModuleUnknown):
        raise other


def test_a_field_of_another_value_fails():
    promised = "needs='compute:submit'"
    with pytest.raises(NotShown, match=promised), refused(ScopeMissing, needs="compute:submit"):
        raise ScopeMissing(needs="wasm:read", has=[])


def test_a_programmers_mistake_passes_through():
    with pytest.raises(KeyError), refused(TokenMissing):
        raise KeyError("typo")


def test_a_family_is_not_a_promise():
    with pytest.raises(AssertionError, match="family"):
        refused(Missing)
