"""What becomes of agreements: pure judgements over terms, signatures and world time.

A node signs only what may still be in force, and believes only what verifies; everything that it
says of an agreement follows from what it holds (`opkit.proof.agreement_states`). Source: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opkit.proof.agreement import given_of
from opkit.proof.agreement_states import Course, Given, Successor, course_of, first_of
from opkit.proof.canonical import sha256_hex
from opkit.wire import agreements as wire
from opkit.wire.base import Did, Jws, RecordId, Slug, TimeMs
from opkit.wire.terms import Action, Terms

ENDED: tuple[wire.AgreementState, ...] = ("superseded", "ended", "lapsed")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a node keeps of agreements at most.

    Attributes:
        agreements_max: how many, whatever became of them.
        scanned_max: of how many a page of a filtered list is picked.
    """

    agreements_max: int = 10_000
    scanned_max: int = 500


@dataclass(frozen=True, kw_only=True)
class Believed:
    """A party's signature that verified with all that it cites.

    Attributes:
        id: the signature's record id.
        signature, decision, attested: the tokens.
    """

    id: RecordId
    said: wire.AgreementSignature
    signature: Jws
    decision: Jws
    attested: Jws

    @property
    def line(self) -> wire.SignatureLine:
        """It in short."""
        said = self.said
        return wire.SignatureLine(
            coop=said.aud,
            action=said.action,
            did=said.did,
            decision=said.decision,
            signed_at_ms=said.signed_at_ms,
        )

    @property
    def signed(self) -> wire.SignedBy:
        """It whole, as files have it."""
        return wire.SignedBy(
            coop=self.said.aud,
            action=self.said.action,
            signature=self.signature,
            decision=self.decision,
            attested=self.attested,
        )


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An agreement as a node keeps it.

    Attributes:
        number: which one that the node heard of.
        told: the state that was announced last.
        file_hash: SHA-256 of its file.
    """

    agreement: RecordId
    number: int
    terms: Terms
    told: wire.AgreementState
    file_hash: RecordId


@dataclass(frozen=True, kw_only=True)
class Held:
    """An agreement with the signatures under it."""

    kept: Kept
    signatures: tuple[Believed, ...]

    @property
    def given(self) -> tuple[Given, ...]:
        """What counts of its signatures."""
        return tuple(given_of(each.said) for each in self.signatures)

    @property
    def alone(self) -> Course:
        """Its course as if nothing amended anything."""
        return course_of(self.kept.terms, self.given)

    def by(self, coop: Slug, action: Action) -> Believed | None:
        """Return a party's signature."""
        for each in self.signatures:
            if (each.said.aud, each.said.action) == (coop, action):
                return each
        return None


def course(
    held: Held,
    *,
    amending: Sequence[Held],
    amended: Held | None,
    beside: Sequence[Held],
) -> Course:
    """Return the course of an agreement among those that amend it, and that it amends.

    Args:
        amending: all that say that they amend it.
        amended: the one that it says it amends, if that is here.
        beside: all that say that they amend that one, itself among them.
    """
    terms = held.kept.terms
    followed = successors(held, amending)
    barred_by = None
    if amended is not None and amended.kept.terms.parties == terms.parties:
        # Also if the one that they amend ended before any of them begins.
        first = first_of(successors(amended, beside))
        if first is not None and first.agreement != held.kept.agreement:
            barred_by = first
    return course_of(terms, held.given, successors=followed, barred_by=barred_by)


def successors(held: Held, amending: Iterable[Held]) -> list[Successor]:
    """Return those that may take the place of an agreement: signed by all of the same parties."""
    found = []
    for each in amending:
        alone = each.alone
        same = each.kept.terms.parties == held.kept.terms.parties
        if same and alone.holds:
            assert alone.since_ms is not None, "what holds has begun"
            found.append(Successor(agreement=each.kept.agreement, since_ms=alone.since_ms))
    return found


def judge_adopt(
    terms: Terms,
    *,
    agreement: RecordId,
    actual: RecordId,
    coop: Slug,
    held: tuple[Held, Course] | None,
    amended: tuple[Held, Course] | None,
    kept: int,
    world_ms: TimeMs,
    limits: Limits,
) -> None:
    """Return if a coop may decide on terms, and its home may sign them, at this moment.

    Args:
        agreement: what they are said to be named by; `actual` what they are.
        held: the agreement as it is here, and its course; None if it is not.
        amended: the one that the terms amend, if they do and it is here.
        kept: how many agreements are here.

    Refuses, in this order:
        TermsAltered: they are not those that the agreement is named by.
        AgreementUnknown: the one that they amend is not here.
        NotParty: the coop is no party, or the one that is amended has other parties.
        AlreadySigned: the coop has signed it.
        AgreementInactive: it is over, or the one that it amends is over or not signed by all.
        AgreementsFull: there is no room for one more.
    """
    if agreement != actual:
        raise wire.TermsAltered(agreement=agreement, hash=actual)
    if terms.amends is not None and amended is None:
        raise wire.AgreementUnknown(agreement=terms.amends)
    _judge_parties(terms, agreement=agreement, coop=coop, amended=amended)
    if held is not None:
        _judge_first(held[0], coop, "adopt")
    stands = course_of(terms, ()) if held is None else held[1]
    if stands.state(world_ms) in ENDED:
        raise inactive(agreement, stands, world_ms=world_ms)
    if amended is not None:
        before, its_course = amended
        if its_course.state(world_ms) not in ("signed", *wire.IN_FORCE):
            raise inactive(before.kept.agreement, its_course, world_ms=world_ms)
    if held is None and kept >= limits.agreements_max:
        raise wire.AgreementsFull(limit=limits.agreements_max)


def _judge_parties(
    terms: Terms, *, agreement: RecordId, coop: Slug, amended: tuple[Held, Course] | None
) -> None:
    if coop not in terms.parties:
        raise wire.NotParty(agreement=agreement, coop=coop)
    if amended is not None:
        before = amended[0].kept
        other = set(terms.parties) ^ set(before.terms.parties)
        if other:
            raise wire.NotParty(agreement=before.agreement, coop=min(other))


def judge_end(
    agreement: RecordId, *, coop: Slug, held: tuple[Held, Course] | None, world_ms: TimeMs
) -> None:
    """Return if a coop may decide to give notice, and its home may sign that, at this moment.

    Args:
        held: the agreement as it is here, and its course; None if it is not.

    Refuses, in this order:
        AgreementUnknown: it is not here.
        NotParty: the coop is no party.
        AlreadySigned: it gave notice before.
        AgreementInactive: it is over, or the coop has not signed it.
    """
    if held is None:
        raise wire.AgreementUnknown(agreement=agreement)
    known, stands = held
    if coop not in known.kept.terms.parties:
        raise wire.NotParty(agreement=agreement, coop=coop)
    _judge_first(known, coop, "end")
    if stands.state(world_ms) in ENDED or known.by(coop, "adopt") is None:
        raise inactive(agreement, stands, world_ms=world_ms)


def _judge_first(held: Held, coop: Slug, action: Action) -> None:
    known = held.by(coop, action)
    if known is not None:
        raise wire.AlreadySigned(
            agreement=held.kept.agreement,
            coop=coop,
            action=action,
            decision=known.said.decision,
        )


def judge_use(agreement: RecordId, stands: Course, *, world_ms: TimeMs) -> None:
    """Return if an agreement is in force.

    Refuses:
        AgreementInactive: it is not.
    """
    if stands.state(world_ms) not in wire.IN_FORCE:
        raise inactive(agreement, stands, world_ms=world_ms)


def inactive(agreement: RecordId, stands: Course, *, world_ms: TimeMs) -> wire.AgreementInactive:
    """Return the refusal of an agreement that is not in force, or not as it must be."""
    return wire.AgreementInactive(
        agreement=agreement, state=stands.state(world_ms), unsigned=list(stands.unsigned)
    )


def judge_kept(agreement: RecordId, *, own: Did, keepers: Iterable[Did]) -> None:
    """Return if a node is among those that keep an agreement.

    Refuses:
        AgreementForeign: it is not.
    """
    if own not in keepers:
        raise wire.AgreementForeign(agreement=agreement)


def stands_before(one: Believed, other: Believed) -> bool:
    """Return whether of two signatures of one coop for one action the first is the one to keep.

    A home that signed twice is believed once, by everybody the same: the earlier, of two of one
    moment that with the lower id, and of two spellings of one that with the lower hash.
    """
    return _rank(one) < _rank(other)


def _rank(each: Believed) -> tuple[TimeMs, RecordId, RecordId]:
    # An id covers neither how it was signed nor what was attested beside it; the file has both.
    tokens = f"{each.signature}\n{each.decision}\n{each.attested}"
    return each.said.signed_at_ms, each.id, sha256_hex(tokens.encode())


def view(held: Held, stands: Course, *, world_ms: TimeMs) -> wire.AgreementView:
    """Return an agreement as it is told at a moment of world time."""
    kept = held.kept
    return wire.AgreementView(
        agreement=kept.agreement,
        serial=kept.number,
        terms=kept.terms,
        state=stands.state(world_ms),
        signatures=tuple(each.line for each in held.signatures),
        unsigned=stands.unsigned,
        since_ms=stands.since_ms,
        until_ms=stands.end_ms,
        superseded_by=stands.superseded_by,
        file_hash=kept.file_hash,
        world_ms=world_ms,
    )


def wanted(view: wire.AgreementView, *, state: str, party: str) -> bool:
    """Return whether a list asks for an agreement; empty stands for any."""
    return state in ("", view.state) and (not party or party in view.terms.parties)
