"""A verdict says no more than its checks do."""

from __future__ import annotations

from opkit.proof.checks import Check, ProofError, Verdict, equal

GOOD = Check(name="hash", ok=True, expected="1", actual="1")
BAD = Check(name="hash", ok=False, expected="1", actual="2")


def test_an_anchored_verdict_of_good_checks_is_verified() -> None:
    assert Verdict(subject="x", checks=(GOOD,), anchored=True).status == "verified"


def test_without_an_anchor_good_checks_are_only_consistent() -> None:
    verdict = Verdict(subject="x", checks=(GOOD,), anchored=False)
    assert verdict.status == "consistent, signer unknown"
    assert verdict.ok


def test_one_bad_check_fails_the_verdict_and_is_named() -> None:
    verdict = Verdict(subject="x", checks=(GOOD, BAD), anchored=True)
    assert verdict.status == "failed"
    assert verdict.failures == (BAD,)


def test_a_verdict_over_nothing_is_failed() -> None:
    assert Verdict(subject="x", checks=(), anchored=True).status == "failed"


def test_a_verdict_is_shown_as_json() -> None:
    assert Verdict(subject="x", checks=(BAD,), anchored=True).as_json() == {
        "subject": "x",
        "status": "failed",
        "ok": False,
        "anchored": True,
        "checks": [{"name": "hash", "ok": False, "expected": "1", "actual": "2"}],
    }


def test_equality_is_a_check_that_shows_both_sides() -> None:
    assert equal("hash", expected=1, actual=2) == BAD


def test_a_proof_error_says_why() -> None:
    assert ProofError("the hash differs").why == str(ProofError("the hash differs"))
