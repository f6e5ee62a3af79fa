"""Agreements as a node holds them, and how they may stand: built without a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nodeimpl.agreements.rules import Believed, Held, Kept
from opkit.proof import jws
from opkit.proof.agreement import believe
from opkit.proof.agreement_states import Course
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import SignedBy
from opkit.wire.terms import Terms
from tests.opkit.proof.pacts import START_MS, genesis_of, signed_by, terms_of

TERMS = terms_of()
NAME = agreement_id(TERMS)
OTHER = "e" * 64
"""An agreement by which nothing here goes."""


def believed(signed: SignedBy, terms: Terms = TERMS) -> Believed:
    """Return a party's signature that verified."""
    return Believed(
        id=jws.record_id(signed.signature),
        said=believe(signed, terms=terms, genesis=genesis_of()),
        signature=signed.signature,
        decision=signed.decision,
        attested=signed.attested,
    )


def held(
    terms: Terms = TERMS,
    *,
    at_ms: int = START_MS,
    by: Sequence[str] | None = None,
    ended_by: Sequence[str] = (),
) -> Held:
    """Return an agreement that all its parties have signed, or some, and that some gave up."""
    kept = Kept(
        agreement=agreement_id(terms), number=7, terms=terms, told="proposed", file_hash="0" * 64
    )
    signed = [signed_by(each, terms, at_ms=at_ms) for each in (terms.parties if by is None else by)]
    signed += [signed_by(each, terms, "end", at_ms=at_ms) for each in ended_by]
    return Held(kept=kept, signatures=tuple(believed(each, terms) for each in signed))


def stands(**changes: Any) -> Course:
    """Return the course of an agreement that begins now, but for the changes."""
    said = {
        "unsigned": (),
        "signed_ms": START_MS,
        "since_ms": START_MS,
        "notice_ms": None,
        "end_ms": None,
        "end": None,
        "superseded_by": None,
    }
    return Course(**{**said, **changes})


COURSES = {
    "proposed": stands(unsigned=("yard",), signed_ms=None, since_ms=None),
    "signed": stands(since_ms=START_MS + 1),
    "active": stands(),
    "ending": stands(notice_ms=START_MS, end_ms=START_MS + 1, end="ended"),
    "superseded": stands(end_ms=START_MS, end="superseded", superseded_by=OTHER),
    "ended": stands(end_ms=START_MS, end="ended", unsigned=("mill", "yard")),
    "lapsed": stands(end_ms=START_MS, end="lapsed", unsigned=("yard",)),
}
"""One for each way in which an agreement may stand at its beginning."""
OVER = ("superseded", "ended", "lapsed")
