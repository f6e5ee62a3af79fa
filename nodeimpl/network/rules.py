"""Judgements about world time and about links: pure, as the operator's auditor would read them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opkit.wire.network import (
    ClockBackwards,
    ClockFixed,
    ClockRecord,
    ClockRecordRejected,
    LinkAmiss,
)


@dataclass(frozen=True)
class WorldTime:
    """How far world time runs ahead of real time, and by which of the operator's records."""

    sequence: int = 0
    offset_ms: int = 0


@dataclass(frozen=True)
class Limits:
    """Bounds of the domain: world time runs at most ten years ahead."""

    offset_ms_max: int = 10 * 366 * 86_400_000


def judge_clock(
    record: ClockRecord | None,
    standing: WorldTime,
    *,
    why_rejected: str,
    devnet: bool,
    limits: Limits,
) -> WorldTime:
    """Adopt the operator's clock record, or refuse it.

    The very record that stands already is adopted again without effect, so that an operator whose
    answer was lost may repeat it to every node.

    Args:
        record: the record whose signature verified against the operator, or None.
        standing: the world time kept until now.
        why_rejected: why there is no verified record; empty if there is one.
        devnet: whether genesis calls this network a devnet.
        limits: bounds of the domain.

    Refuses, in this order:
        ClockFixed: the network is no devnet.
        ClockRecordRejected: the record does not verify, or its offset is out of bounds.
        ClockBackwards: sequence or offset would not grow.

    Source: ADR 0014 (two clocks).
    """
    if not devnet:
        raise ClockFixed()
    if record is None:
        raise ClockRecordRejected(why=why_rejected)
    if record.offset_ms > limits.offset_ms_max:
        raise ClockRecordRejected(why=f"the offset exceeds {limits.offset_ms_max} ms")
    asked = WorldTime(sequence=record.sequence, offset_ms=record.offset_ms)
    if asked == standing:
        return standing
    if asked.sequence <= standing.sequence or asked.offset_ms <= standing.offset_ms:
        raise ClockBackwards(
            standing_offset_ms=standing.offset_ms, standing_sequence=standing.sequence
        )
    return asked


@dataclass(frozen=True, kw_only=True)
class LinkLimits:
    """When a link counts as bad, and when as good again.

    Attributes:
        window_ms: over how long losses are counted. Shorter than `bad_ms`, so that packets which
            were lost at one moment make no bad link.
        lost_permille_bad: from this share on it loses too much; fewer than `lost_packets_min`
            lost packets say nothing.
        lost_permille_good: below this share a bad link may be good again.
        slower_bad: how many times longer than at its best a round trip of a bad link takes.
        slower_good: below how many times it may be good again.
        best_us_min: a best round trip counts as at least so long: below, what a busy machine needs
            to answer outweighs the link.
        bad_ms: how long a link does badly before that is said.
        good_ms: how long it does well before that is said.
        told_max: how many changes of links are told in `told_ms`, over all links.
        named_max: how many organisations' links have figures of their own for a scrape.
    """

    pulse_ms: int = 1_000
    window_ms: int = 5_000
    lost_permille_bad: int = 50
    lost_permille_good: int = 20
    lost_packets_min: int = 3
    slower_bad: int = 10
    slower_good: int = 5
    best_us_min: int = 10_000
    bad_ms: int = 6_000
    good_ms: int = 6_000
    told_max: int = 30
    told_ms: int = 60_000
    named_max: int = 32


@dataclass(frozen=True, kw_only=True)
class LinkSeen:
    """A link as it was at one moment."""

    at_ms: int
    round_trip_us: int
    sent_packets: int
    lost_packets: int


@dataclass(frozen=True, kw_only=True)
class LinkState:
    """What is known of a link.

    Attributes:
        window: what was seen lately, oldest first, at least once.
        best_us: the shortest round trip.
        lost_permille: which share of packets was lost within the window.
        amiss: what is wrong with it, if that has been said.
        amiss_ms: since when; 0 if nothing is.
        differs_ms: since when it has been otherwise than was said; 0 if it is as was said.
    """

    window: tuple[LinkSeen, ...]
    best_us: int
    lost_permille: int = 0
    amiss: LinkAmiss | None = None
    amiss_ms: int = 0
    differs_ms: int = 0


def judge_link(standing: LinkState | None, seen: LinkSeen, limits: LinkLimits) -> LinkState:
    """Return what is known of a link after it was seen once more.

    It becomes bad, or good again, once it has done so for a while without a break.

    Args:
        standing: what was known before; None: it is seen for the first time.
        seen: the link now.
        limits: what counts as bad.
    """
    if standing is None:
        return LinkState(window=(seen,), best_us=seen.round_trip_us)
    begins_ms = seen.at_ms - limits.window_ms
    window = (*(one for one in standing.window if begins_ms <= one.at_ms <= seen.at_ms), seen)
    sent = seen.sent_packets - window[0].sent_packets
    lost = seen.lost_packets - window[0].lost_packets
    now = LinkState(
        window=window,
        best_us=min(standing.best_us, seen.round_trip_us),
        lost_permille=max(0, min(1_000, 1_000 * lost // sent)) if sent > 0 else 0,
        amiss=standing.amiss,
        amiss_ms=standing.amiss_ms,
    )
    finding = _finding(now, lost=lost, limits=limits)
    if (finding is None) == (now.amiss is None):
        return now
    since_ms = standing.differs_ms or seen.at_ms
    if seen.at_ms - since_ms < (limits.good_ms if finding is None else limits.bad_ms):
        return replace(now, differs_ms=since_ms)
    return replace(now, amiss=finding, amiss_ms=0 if finding is None else seen.at_ms)


def _finding(now: LinkState, *, lost: int, limits: LinkLimits) -> LinkAmiss | None:
    """Return what is wrong at this moment; a link that was called bad has to do better than that.

    Args:
        lost: how many packets were lost within the window.
    """
    was_bad = now.amiss is not None
    too_much = limits.lost_permille_good if was_bad else limits.lost_permille_bad
    if now.lost_permille >= too_much and lost >= limits.lost_packets_min:
        return "loss"
    slower = limits.slower_good if was_bad else limits.slower_bad
    if now.window[-1].round_trip_us >= slower * max(now.best_us, limits.best_us_min):
        return "delay"
    return None
