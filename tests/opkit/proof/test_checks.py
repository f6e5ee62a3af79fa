"""A verdict says no more than its checks do."""

from __future__ import annotations

import pytest

from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal

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
    nothing = Verdict(subject="x", checks=(), anchored=True)
    assert (nothing.ok, nothing.status) == (False, "failed")


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


def test_what_is_read_comes_with_the_check_that_it_verifies() -> None:
    good = Check(name="head", ok=True, expected="verifies", actual="verifies")
    assert attempt("head", lambda: 5) == (5, good)


def test_what_does_not_hold_comes_with_the_reason_in_the_check() -> None:
    def read() -> int:
        raise ProofError("it is torn")

    bad = Check(name="head", ok=False, expected="verifies", actual="it is torn")
    assert attempt("head", read) == (None, bad)


def test_a_mistake_of_ours_is_no_verdict() -> None:
    with pytest.raises(ZeroDivisionError):
        attempt("head", lambda: 1 // 0)
