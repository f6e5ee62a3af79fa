"""What a home node decides about claims: pure judgements over a claim and what stands.

Time and the verdict of every signature are arguments. A name passes to another member only when no
time is left that was countersigned for the last one, or with that one's own word that it is free:
otherwise the home node would prove itself a liar. Source: ADR 0035.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from opkit.proof.names import claim_in
from opkit.proof.record import SKEW_MS
from opkit.wire.base import Jws, MemberId, RecordId, TimeMs
from opkit.wire.membership import Member
from opkit.wire.names import (
    ALIAS_DEPTH_MAX,
    CHAIN_MAX,
    FREED_MAX,
    NAME_TERM_MS_MAX,
    AliasTooDeep,
    ClaimClockSkewed,
    ClaimNotMembers,
    ClaimRejected,
    ClaimStale,
    CoopUnknown,
    MemberChain,
    NameClaim,
    NameEnd,
    NameNotHeld,
    NamesExhausted,
    NameTaken,
    NameTermTooLong,
    NameText,
    NameValue,
)

State = Literal["held", "withdrawn", "revoked", "lapsed"]
"""What became of a name that was countersigned."""

VALUE_CHARACTERS_MAX = 5_400
"""How much of claims and chains fits the longest record of a name."""

CLOCK_BACK_MS = 86_400_000
"""How far a home's clock may go back: for so long it knows what it countersigned, once it is over.

One that forgot at once would countersign the same time for somebody else.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a home node keeps at most; less than its room for records is.

    Attributes:
        names_per_member_max: names that one member holds, or held and that take room still.
        names_per_coop_max: of all members of a coop.
        events_burst, events_per_s: how many events of other homes' names are journalled at once,
            and from then on; the others are only counted.
    """

    names_per_member_max: int = 10_240
    names_per_coop_max: int = 12_288
    events_burst: int = 128
    events_per_s: int = 2


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A claim that verified, and what it says."""

    token: Jws
    id: RecordId
    payload: NameClaim


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """The member whom a claim names, as the longest chain says that is known here."""

    member: Member
    chain: MemberChain


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What this node countersigned last under a name.

    Attributes:
        sequence: of the record; claim_sequence: of the claim in it.
        until_ms: until when a record of this holder may last that was countersigned ever: the last
            one may lapse earlier than one before it.
        keep_until_ms: until when what is known of the name is of any use.
    """

    name: NameText
    member_id: MemberId
    state: State
    sequence: int
    claim_sequence: int
    claim_id: RecordId
    lapses_at_ms: TimeMs
    until_ms: TimeMs
    keep_until_ms: TimeMs
    value: NameValue
    record: Jws


@dataclass(frozen=True, kw_only=True)
class Used:
    """How much room is taken that the claim needs: rows of its member, and of its coop."""

    member: int
    coop: int


@dataclass(frozen=True, kw_only=True)
class Countersign:
    """What the home node is to sign: `issued_at_ms` is the sequence as well."""

    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    until_ms: TimeMs
    keep_until_ms: TimeMs
    state: State
    value: NameValue


def judge_claim(
    claim: Signed,
    *,
    charter: bool,
    claimant: Claimant | None,
    standing: Standing | None,
    alias_depth: int,
    used: Used,
    now_ms: TimeMs,
    limits: Limits,
) -> Countersign | None:
    """Return what to countersign; None if this very claim was countersigned last.

    Args:
        claim: it verified.
        charter: whether its coop has one.
        claimant: the member it names; None if nobody is known by that id.
        standing: what this node countersigned under the name before.
        alias_depth: how many aliases one follows from the target on, itself included.
        used: how much room is taken.

    Refuses, in this order:
        ClaimRejected: its term is over.
        CoopUnknown: no such coop has a charter.
        ClaimNotMembers: its key is not that of an active member of the coop.
        ClaimClockSkewed: it was issued at another time than it is.
        NameTermTooLong: it wants the name for longer than a name may be held.
        NameTaken: another member holds the name.
        ClaimStale: a claim of this member with this or a higher sequence, or of a later time, was
            countersigned.
        NameNotHeld: it withdraws what the member does not hold.
        AliasTooDeep: it leads over too many aliases, or in a circle.
        NamesExhausted: the member, the coop or the name's record has no room.
    """
    said = claim.payload
    issued_at_ms = now_ms if standing is None else max(now_ms, standing.sequence + 1)
    if said.target is not None and said.lapses_at_ms <= issued_at_ms:
        raise ClaimRejected(why="its term is over")
    claimant = _claimant(said, charter=charter, claimant=claimant)
    if standing is not None and standing.claim_id == claim.id:
        return None
    _judge_times(said, now_ms=now_ms)
    _judge_holder(said, standing, now_ms=now_ms)
    if alias_depth > ALIAS_DEPTH_MAX:
        raise AliasTooDeep(name=said.name, depth_max=ALIAS_DEPTH_MAX)
    _judge_room(said, standing, used=used, limits=limits)
    freed = _freed(said.member_id, standing, now_ms=now_ms)
    if len(freed) > FREED_MAX:
        raise NamesExhausted(limit=FREED_MAX)
    value = NameValue(claim=claim.token, member=claimant.chain, freed=freed)
    if not fits(value):
        raise NamesExhausted(limit=VALUE_CHARACTERS_MAX)
    return _countersign(value, said=said, standing=standing, issued_at_ms=issued_at_ms)


def end_hold(
    standing: Standing, *, member: Member | None, chain: MemberChain, now_ms: TimeMs
) -> Countersign | None:
    """Return what to countersign if the membership of a holder has ended, or None.

    What cannot be shown in a record stays as it is, and lapses.

    Args:
        standing: what they hold.
        member: who that is now.
        chain: their chain, which ends with the revocation if there was one.
        now_ms: when that is asked.
    """
    if member is None or member.active or len(chain) > CHAIN_MAX:
        return None
    value = standing.value.model_copy(update={"member": chain})
    if not fits(value):
        return None
    issued_at_ms = max(now_ms, standing.sequence + 1)
    lapses_at_ms = issued_at_ms + NAME_TERM_MS_MAX
    return Countersign(
        issued_at_ms=issued_at_ms,
        lapses_at_ms=lapses_at_ms,
        until_ms=standing.until_ms,
        keep_until_ms=max(lapses_at_ms + CLOCK_BACK_MS, standing.keep_until_ms),
        state="revoked",
        value=value,
    )


def lapse(standing: Standing) -> Standing:
    """Return a name as it is when its time is over."""
    return replace(standing, state="lapsed")


def fits(value: NameValue) -> bool:
    """Return whether a value fits a record."""
    size = len(value.claim) + sum(map(len, value.member))
    size += sum(len(end.claim) + sum(map(len, end.member)) for end in value.freed)
    return size <= VALUE_CHARACTERS_MAX


def _claimant(said: NameClaim, *, charter: bool, claimant: Claimant | None) -> Claimant:
    if not charter:
        raise CoopUnknown(coop=said.aud)
    if claimant is None or claimant.member.coop != said.aud:
        raise ClaimNotMembers(member_id=said.member_id, why="no member of the coop has this id")
    if not claimant.member.active:
        raise ClaimNotMembers(member_id=said.member_id, why="the membership has ended")
    if claimant.member.did != said.did:
        raise ClaimNotMembers(member_id=said.member_id, why="the member's key is another one")
    if len(claimant.chain) > CHAIN_MAX:
        raise ClaimNotMembers(member_id=said.member_id, why="the chain is longer than may travel")
    return claimant


def _judge_times(said: NameClaim, *, now_ms: TimeMs) -> None:
    """Judge the claim's times by what time it is, also where a record is of a later one.

    After a clock went back, a term from the record's time on would outlast what `_is_needed` shows.
    """
    if abs(said.issued_at_ms - now_ms) > SKEW_MS:
        raise ClaimClockSkewed(issued_at_ms=said.issued_at_ms, now_ms=now_ms, skew_ms_max=SKEW_MS)
    term_ms = said.lapses_at_ms - now_ms
    if said.target is not None and term_ms > NAME_TERM_MS_MAX:
        raise NameTermTooLong(term_ms=term_ms, term_ms_max=NAME_TERM_MS_MAX)


def _judge_holder(said: NameClaim, standing: Standing | None, *, now_ms: TimeMs) -> None:
    held = standing if standing is not None and _lasts(standing, now_ms=now_ms) else None
    if held is not None and held.member_id != said.member_id:
        raise NameTaken(name=said.name, member_id=held.member_id, lapses_at_ms=held.until_ms)
    last = _last_claim(said.member_id, standing)
    if last is not None and _is_stale(said, last):
        raise ClaimStale(name=said.name, standing_sequence=last.sequence)
    if said.target is None and held is None:
        raise NameNotHeld(name=said.name)


def _lasts(standing: Standing, *, now_ms: TimeMs) -> bool:
    """Return whether a hold lasts, or does again: its time was over before a clock went back."""
    return standing.state in {"held", "lapsed"} and now_ms < standing.until_ms


def _judge_room(said: NameClaim, standing: Standing | None, *, used: Used, limits: Limits) -> None:
    own = standing is not None and standing.member_id == said.member_id
    if not own and used.member >= limits.names_per_member_max:
        raise NamesExhausted(limit=limits.names_per_member_max)
    if standing is None and used.coop >= limits.names_per_coop_max:
        raise NamesExhausted(limit=limits.names_per_coop_max)


def _freed(
    member_id: MemberId, standing: Standing | None, *, now_ms: TimeMs
) -> tuple[NameEnd, ...]:
    """Return what shows that no time is left of whoever held the name before this member."""
    if standing is None:
        return ()
    ends = list(standing.value.freed)
    if standing.state in {"withdrawn", "revoked"}:
        ends.append(NameEnd(claim=standing.value.claim, member=standing.value.member))
    return tuple(end for end in ends if _is_needed(end, member_id, now_ms=now_ms))


def _is_needed(end: NameEnd, member_id: MemberId, *, now_ms: TimeMs) -> bool:
    """Return whether somebody else's time may last that ended by this."""
    claim = claim_in(end.claim)
    return claim.member_id != member_id and now_ms < _over_ms(claim)


def _over_ms(last: NameClaim) -> TimeMs:
    """Return when all time is over that was countersigned for a member, by their last claim.

    Nothing that was countersigned for them was claimed later (`_is_stale`), or lasts longer than
    the longest term from then on.
    """
    return last.issued_at_ms + SKEW_MS + NAME_TERM_MS_MAX


def _last_claim(member_id: MemberId, standing: Standing | None) -> NameClaim | None:
    """Return a member's last claim that was countersigned; None if none is known.

    A member has one end in a record at most.
    """
    if standing is None:
        return None
    if standing.member_id == member_id:
        return claim_in(standing.value.claim)
    ends = (claim_in(end.claim) for end in standing.value.freed)
    return next((end for end in ends if end.member_id == member_id), None)


def _is_stale(said: NameClaim, last: NameClaim) -> bool:
    """Return whether a claim comes too late, whatever sequences its member counts by.

    After clocks went back, a claim that is of an earlier time would end a hold, and the end be
    forgotten before all is over that it ended (`_is_needed`).
    """
    return said.sequence <= last.sequence or said.issued_at_ms < last.issued_at_ms


def _countersign(
    value: NameValue, *, said: NameClaim, standing: Standing | None, issued_at_ms: TimeMs
) -> Countersign:
    """Return what to countersign.

    Whoever takes a name again that they had given back shows the end of their earlier holds no
    more: a record says once how a member stands. So their time is over when that of those is.
    """
    held = said.target is not None
    lapses_at_ms = said.lapses_at_ms if held else issued_at_ms + NAME_TERM_MS_MAX
    until_ms, keep_until_ms = lapses_at_ms if held else issued_at_ms, lapses_at_ms + CLOCK_BACK_MS
    if standing is not None:
        keep_until_ms = max(keep_until_ms, standing.keep_until_ms)
        last = _last_claim(said.member_id, standing)
        if standing.member_id == said.member_id:
            until_ms = max(until_ms, standing.until_ms)
        elif last is not None:
            until_ms = max(until_ms, _over_ms(last))
    return Countersign(
        issued_at_ms=issued_at_ms,
        lapses_at_ms=lapses_at_ms,
        until_ms=until_ms,
        keep_until_ms=keep_until_ms,
        state="held" if held else "withdrawn",
        value=value,
    )
