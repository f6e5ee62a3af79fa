"""Judgements about other nodes' journals, and about what others hold of this node's: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opkit.proof.forks import Seen, admits_loss, examine_growth, place_of
from opkit.wire.base import Did, RecordId, TimeMs
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalHead
from opkit.wire.witness import SEEN_MAX, ForkValue, Grown

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the domain.

    Attributes:
        ask_ms: how often each connected node is asked.
        ask_ms_min: how soon again, if there is a reason.
        announce_ms: how often one kind of event about one node is journalled at most.
        publish_ms: how often a countersignature is published at most.
        publish_ms_a_node: the same for each node of the genesis; the longer one counts.
        renew_ms: after how long one is published again that says nothing new.
        silences_max: after how many questions without any answer that is noted.
        grace_ms: how long the node lets answers leave, and hears of more, before it ends.
        checked_max: how many heads of one node are remembered as checked.
    """

    ask_ms: int = 60_000
    ask_ms_min: int = 5_000
    announce_ms: int = HOUR_MS
    publish_ms: int = 60_000
    publish_ms_a_node: int = 6_000
    renew_ms: int = 3 * DAY_MS
    silences_max: int = 3
    grace_ms: int = 3_000
    checked_max: int = 256


@dataclass(frozen=True, kw_only=True)
class Known:
    """What this node knows of another one's journal.

    Attributes:
        seen: the last head from which growth was seen; None before the first.
        asked_at_ms: when that was.
        announced_at_ms: when it was journalled last that this was witnessed; 0 if never.
        unproven: why growth was not shown the last time; None if it was.
        told_at_ms: when that was journalled last; 0 if never.
    """

    node: Did
    seen: Seen | None = None
    asked_at_ms: TimeMs = 0
    announced_at_ms: TimeMs = 0
    unproven: str | None = None
    told_at_ms: TimeMs = 0


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What an answer shows.

    Attributes:
        forks: proofs that the node has two histories.
        unproven: why it does not show that its journal only grew; None if it does.
        checked: heads of the question from which it showed growth.
    """

    forks: tuple[ForkValue, ...]
    unproven: str | None
    checked: tuple[Seen, ...]

    @property
    def sound(self) -> bool:
        """Whether the journal grew from all heads that were asked about, as far as is shown."""
        return self.unproven is None and not self.forks


def judge_answer(seen: Sequence[Seen], late: Seen, shown: Grown) -> Judged:
    """Return what an answer shows of each head of the question.

    Args:
        seen: those heads, all of the node that was asked.
        late: the head in the answer, verified to be that node's.
        shown: the answer.
    """
    forks: list[ForkValue] = []
    checked: list[Seen] = []
    unproven: str | None = None
    for each in seen:
        found = examine_growth(each, late, shown)
        if found is None:
            checked.append(each)
        elif isinstance(found, ForkValue):
            forks.append(found)
        elif unproven is None:
            unproven = found
    return Judged(forks=tuple(forks), unproven=unproven, checked=tuple(checked))


def choose_seen(last: Seen | None, heard: Iterable[Seen]) -> tuple[Seen, ...]:
    """Return with which heads a node is asked: the last one seen, and some of what others saw.

    Of these the longest, the shortest and one between: whatever lies beyond the place where two
    histories part tells one from the other.
    """
    rest = sorted(
        {each.token: each for each in heard if last is None or each.token != last.token}.values(),
        key=lambda each: (each.head.generation, each.head.size, each.token),
    )
    picked = [] if last is None else [last]
    if len(rest) > SEEN_MAX - 1:
        rest = [rest[-1], rest[0], rest[len(rest) // 2]]
    return tuple(picked + rest)


def find_forks(heads: Sequence[Seen]) -> list[tuple[Seen, Seen]]:
    """Return pairs of heads that exclude each other by themselves, of each place one pair."""
    places: dict[tuple[int, int], Seen] = {}
    pairs: dict[tuple[int, int], tuple[Seen, Seen]] = {}
    for each in heads:
        place = (each.head.generation, each.head.size)
        other = places.setdefault(place, each)
        if place_of(other.head) != place_of(each.head):
            pairs.setdefault(place, (other, each))
    return list(pairs.values())


def find_own_fault(
    head: JournalHead,
    *,
    stands: HistoryPlace,
    root_there: RecordId | None,
    openings: Sequence[GenerationOpened],
) -> str | None:
    """Return why this node's own journal is not the one that it signed a head of; None if it is.

    Args:
        head: signed by this node's key.
        stands: where its journal stands now.
        root_there: the root of its first so many entries as the head counts; None if there are
            fewer.
        openings: how its generations were opened, oldest first.

    Source: ADR 0032.
    """
    if admits_loss(place_of(head), openings):
        return None
    kept = stands.size
    if head.generation != stands.generation:
        ends = (each.after for each in openings if each.after.generation == head.generation)
        end = next(ends, None)  # A generation ends once.
        if end is None:
            return (
                f"this node has signed for generation {head.generation}, "
                "of which its database knows nothing"
            )
        kept = end.size
    if head.size > kept:
        return (
            f"this node has signed for {head.size:,} journal entries, and its database "
            f"has {kept:,} of generation {head.generation}: it is an old one"
        )
    if root_there != head.root:
        return (
            f"this node has signed for other first {head.size:,} journal entries than its "
            "database has: it is of another history, or this key is used twice"
        )
    return None


def wants_announcing(known: Known, head: JournalHead, *, now_ms: TimeMs, limits: Limits) -> bool:
    """Return whether it is journalled that a head was witnessed."""
    if known.seen is None or known.seen.head.generation != head.generation:
        return True
    return now_ms - known.announced_at_ms >= limits.announce_ms


def wants_telling(known: Known, *, now_ms: TimeMs, limits: Limits) -> bool:
    """Return whether it is journalled that growth was not shown."""
    return known.told_at_ms == 0 or now_ms - known.told_at_ms >= limits.announce_ms


def wants_publishing(
    head: JournalHead,
    *,
    standing: JournalHead | None,
    published_at_ms: TimeMs,
    now_ms: TimeMs,
    nodes: int,
    limits: Limits,
) -> bool:
    """Return whether a head is to be countersigned now.

    Args:
        head: what this node has seen.
        standing: what stands of its word; None if nothing does.
        published_at_ms: when that was published.
        nodes: how many nodes the genesis names.
    """
    if standing is None:
        return True
    age_ms = now_ms - published_at_ms
    if age_ms < max(limits.publish_ms, nodes * limits.publish_ms_a_node):
        return False
    return place_of(standing) != place_of(head) or age_ms >= limits.renew_ms
