"""Findings: all are counted, a few are told in words, and what nobody looked at is not told."""

from __future__ import annotations

import pytest

from opkit.proof.checks import Check
from opkit.proof.findings import SHOWN_MAX, Findings

EXPECTED = {"sums": "zero", "times": "none goes back", "rights": "whoever may"}


def test_what_was_looked_at_is_told_in_the_order_of_the_table() -> None:
    findings = Findings(EXPECTED)
    assert findings.checks() == ()
    for name in ("times", "sums", "times"):
        findings.tell(name, "entry 1", "")
    assert findings.checks() == (
        Check(name="sums", ok=True, expected="zero", actual="so in all 1"),
        Check(name="times", ok=True, expected="none goes back", actual="so in all 2"),
    )


@pytest.mark.parametrize(
    ("wrong", "more"),
    [
        (1, ""),
        (SHOWN_MAX, ""),
        (SHOWN_MAX + 1, "; and 1 more"),
        (SHOWN_MAX + 1_234, "; and 1,234 more"),
    ],
)
def test_the_first_findings_are_told_in_words_and_the_others_counted(wrong: int, more: str) -> None:
    findings = Findings(EXPECTED)
    findings.tell("sums", "entry 0", "")
    for number in range(1, wrong + 1):
        findings.tell("sums", f"entry {number}", f"{number} left")
        findings.tell("sums", f"entry {number}", "")
    told = "; ".join(f"entry {each}: {each} left" for each in range(1, min(wrong, SHOWN_MAX) + 1))
    assert findings.checks() == (Check(name="sums", ok=False, expected="zero", actual=told + more),)


def test_a_thousand_that_are_right_are_counted_with_their_comma() -> None:
    findings = Findings(EXPECTED)
    for number in range(1_000):
        findings.tell("rights", f"entry {number}", "")
    assert findings.checks()[0].actual == "so in all 1,000"


def test_who_tells_of_a_check_that_is_not_in_the_table_is_mistaken() -> None:
    with pytest.raises(KeyError, match="colours"):
        Findings(EXPECTED).tell("colours", "entry 1", "")
