"""Evidence: what a marker rests on. `expect` is the only way to get it.

A fact is a value for people and machines to look at; a check is a comparison with its expected and
its actual side; a proof is something that a third party can verify again without the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opkit.proof.checks import Check, Verdict
from opkit.proof.cid import cid_of
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import AuditFile
from opkit.wire.base import Jws, Wire
from opkit.wire.clearing import Evidence as Exchanged
from opkit.wire.compute import ReceiptBundle
from opkit.wire.journal import EntryProof as JournalProof
from opkit.wire.ledger import Entry
from opkit.wire.votes import DecisionFile, SignedBallot

FACTS_MAX = 32
CHECKS_MAX = 64
PROOFS_MAX = 16
FACT_BYTES_MAX = 65_536
SIDE_CHARS_MAX = 512


class NotShown(AssertionError):
    """The story did not show what it promised."""


@dataclass(frozen=True)
class ReceiptProof:
    """A receipt with all that is needed to verify it offline."""

    bundle: ReceiptBundle


@dataclass(frozen=True)
class BlobProof:
    """Bytes that are named by their hash: a module, an input or an output."""

    data: bytes

    @property
    def cid(self) -> str:
        """The content's name."""
        return cid_of(self.data)


@dataclass(frozen=True)
class NameProof:
    """A record of a name: its holder's claim, and the home node's signature over it."""

    record: Jws


@dataclass(frozen=True)
class DecisionProof:
    """A decision with all that it was counted from: whoever holds the genesis counts again."""

    file: DecisionFile


@dataclass(frozen=True)
class OmissionProof:
    """A decision's file that misses a vote, and the ballot with the receipt that says it counts."""

    file: DecisionFile
    ballot: SignedBallot
    receipt: SignedBallot


@dataclass(frozen=True)
class EntryProof:
    """An entry of a ledger, and its place in the signed journal of the node that keeps it."""

    entry: Entry
    journal: JournalProof


@dataclass(frozen=True)
class AgreementProof:
    """An agreement with every party's signature and the decision that each of them cites."""

    file: AgreementFile


@dataclass(frozen=True)
class ExchangeProof:
    """A posted exchange: what was signed of it, and what of it is in the journals of its sides.

    Attributes:
        agreements: those of its legs: they say who rules on it, and in what it counts.
        halves: the entry of each party, with its place in the signed journal of its home; an entry
            by itself is signed by nobody.
    """

    evidence: Exchanged
    agreements: tuple[AgreementFile, ...]
    halves: tuple[EntryProof, ...]


@dataclass(frozen=True)
class AuditProof:
    """All that an auditor gathered: whoever holds the genesis finds the same figures."""

    file: AuditFile


Proof = (
    ReceiptProof
    | BlobProof
    | NameProof
    | DecisionProof
    | OmissionProof
    | EntryProof
    | AgreementProof
    | ExchangeProof
    | AuditProof
)


@dataclass(frozen=True)
class Evidence:
    """Facts, checks and proofs. Obtained from `expect` alone (a tidy test sees to it).

    Raises:
        NotShown: there is no check, or one does not hold; facts alone show nothing.
    """

    facts: Mapping[str, Any]
    checks: tuple[Check, ...]
    proofs: tuple[Proof, ...]

    def __post_init__(self) -> None:
        """Be evidence only if something was checked and all of it holds."""
        failed = [check for check in self.checks if not check.ok]
        if failed:
            raise NotShown(_complaint(failed, self.facts))
        if not self.checks:
            raise NotShown("nothing was checked")


def that(name: str, ok: bool, *, expected: object = "", actual: object = "") -> Check:
    """Return a named check. The two sides are shown to whoever opens it."""
    return Check(name=name, ok=bool(ok), expected=_side(expected), actual=_side(actual))


def same(name: str, *, expected: object, actual: object) -> Check:
    """Return a named check that both sides are equal, and of one type."""
    equal = type(expected) is type(actual) and expected == actual
    return that(name, equal or _same_text(expected, actual), expected=expected, actual=actual)


def expect(*claims: bool | Check | Verdict, proofs: Sequence[Proof] = (), **facts: Any) -> Evidence:
    """Return evidence if every claim holds.

    A `Verdict` holds only if it is anchored: consistent with itself is not enough.

    Args:
        claims: at least one; a bare truth value, a named check, or a verdict with its checks.
        proofs: what a third party can verify again.
        facts: JSON values, wire values, bytes (shown by name and size) or enums.

    Raises:
        NotShown: a claim does not hold; the message names it.
        ValueError: no claim, or more facts, checks or proofs than a marker may carry.
    """
    if not claims:
        raise ValueError("evidence needs at least one claim")
    checks = tuple(check for claim in claims for check in _checks_of(claim))
    if len(facts) > FACTS_MAX or len(checks) > CHECKS_MAX or len(proofs) > PROOFS_MAX:
        raise ValueError("too many facts, checks or proofs for one marker")
    shown = {name: jsonable(value) for name, value in facts.items()}
    return Evidence(facts=shown, checks=checks, proofs=tuple(proofs))


def jsonable(value: Any) -> Any:
    """Return a value as JSON: wire values by their fields, bytes by their name and size.

    Raises:
        ValueError: the value is larger than a fact may be.
        TypeError: not a value that JSON can carry; floats are refused, too.
    """
    plain = _plain(value)
    if len(json.dumps(plain, ensure_ascii=False).encode()) > FACT_BYTES_MAX:
        raise ValueError(f"a fact has at most {FACT_BYTES_MAX} bytes")
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return {"cid": cid_of(value), "size_bytes": len(value)}
    if isinstance(value, Wire):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    raise TypeError(f"a fact of type {type(value).__name__} cannot be shown")


def _checks_of(claim: bool | Check | Verdict) -> tuple[Check, ...]:
    if isinstance(claim, Check):
        return (claim,)
    if isinstance(claim, Verdict):
        anchor = that(
            "verdict, from the genesis",
            claim.status == "verified",
            expected="verified",
            actual=claim.status,
        )
        return (*claim.checks, anchor)
    return (that("as promised", claim, expected=True, actual=claim),)


def _complaint(failed: Sequence[Check], facts: Mapping[str, Any]) -> str:
    said = "; ".join(
        f"{check.name}: expected {check.expected!r}, got {check.actual!r}" for check in failed[:4]
    )
    more = f" (and {len(failed) - 4} more)" if len(failed) > 4 else ""
    return f"{said}{more}; facts: {_side(json.dumps(facts, ensure_ascii=False))}"


def _value_of(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _bytes_side(data: bytes) -> str:
    """Return bytes as the text they are, or else by their name."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return cid_of(data)
    return text if text.replace("\n", "").isprintable() else cid_of(data)


def _same_text(expected: object, actual: object) -> bool:
    return isinstance(expected, str) and isinstance(actual, str) and str(expected) == str(actual)


def _side(value: object) -> str:
    """Return one side of a check as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = _bytes_side(value) if isinstance(value, bytes) else str(_value_of(value))
    return text if len(text) <= SIDE_CHARS_MAX else text[: SIDE_CHARS_MAX - 1] + "…"
