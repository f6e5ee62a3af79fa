"""What a verifier says: named checks, and one verdict over them.

A verdict never says more than it looked at: without a genesis that the reader holds themselves the
best it can say is that a thing is consistent with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Status = Literal["verified", "consistent, signer unknown", "failed"]

VERIFIED: Status = "verified"
CONSISTENT: Status = "consistent, signer unknown"
FAILED: Status = "failed"


class ProofError(ValueError):
    """A proof does not hold. `why` is a sentence fragment fit for people, without secrets."""

    def __init__(self, why: str) -> None:
        """Say why; the text is also what `str()` gives."""
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what it should be, and what it is."""

    name: str
    ok: bool
    expected: str
    actual: str


@dataclass(frozen=True)
class Verdict:
    """All checks over one subject.

    Attributes:
        subject: what was verified, in words (`receipt 3 of did:key:…`).
        checks: in the order they were made.
        anchored: whether they started from a genesis that the verifier held.
    """

    subject: str
    checks: tuple[Check, ...]
    anchored: bool

    @property
    def ok(self) -> bool:
        """Whether something was checked and all of it holds."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def status(self) -> Status:
        """The verdict in words; only an anchored one can be `verified`."""
        if not self.ok:
            return FAILED
        return VERIFIED if self.anchored else CONSISTENT

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.ok)

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "subject": self.subject,
            "status": self.status,
            "ok": self.ok,
            "anchored": self.anchored,
            "checks": [vars(check) for check in self.checks],
        }


def equal(name: str, *, expected: object, actual: object) -> Check:
    """Return the check that two values are the same."""
    return Check(name=name, ok=expected == actual, expected=str(expected), actual=str(actual))


def attempt(name: str, read: Callable[[], T]) -> tuple[T | None, Check]:
    """Return what `read` gives, if it does not raise a `ProofError`, and the check that says so."""
    try:
        value = read()
    except ProofError as bad:
        return None, Check(name=name, ok=False, expected="verifies", actual=bad.why)
    return value, Check(name=name, ok=True, expected="verifies", actual="verifies")
