"""One session with one peer: find where two nodes differ, fetch what lacks here, push the rest.

A session asks one question after the other and judges each answer. It is bounded in questions,
prefixes and records, whatever the peer says, and believes nothing but records that verify: all it
learns of the peer is where to look. Source: ADR 0029.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from nodeimpl.overlay.fingerprints import FINGERPRINT_BYTES, LEAF_MAX, WAYS
from nodeimpl.overlay.namespaces import RECONCILED
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.record import is_ahead
from opkit.wire.base import Did, Wire
from opkit.wire.reconcile import (
    CHARACTERS_MAX,
    DEPTH_MAX,
    FETCHED_MAX,
    ID_BYTES,
    PREFIXES_MAX,
    PUSHED_MAX,
    RANGE_IDS_MAX,
    RANGE_IDS_MIN,
    Compare,
    Compared,
    Fetch,
    Push,
    Pushed,
    Range,
    ReconciledNamespace,
    RecordsGiven,
    Root,
)
from opkit.wire.records import (
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

_DIGITS = "0123456789abcdef"
_BLAMELESS = (RecordLapsed, RecordOutdated, RecordsExhausted)


class Lied(Exception):
    """The peer said what no honest peer says."""

    def __init__(self, why: str) -> None:
        """Say what it was."""
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one session may cost.

    Attributes:
        undelivered_max: how many ids a peer may have listed and not give; a few are honest:
            records are replaced and lapse while a session runs.
    """

    questions_max: int = 8_192
    prefixes_max: int = 16_384
    records_max: int = 131_072
    undelivered_max: int = 16


class Declined:
    """Ids that were not kept here, or not by a peer: left alone for a while, within bounds."""

    def __init__(self, *, ids_max: int, keep_ms: int) -> None:
        """Begin without any."""
        assert ids_max > 0
        self._max = ids_max
        self._keep_ms = keep_ms
        self._until_ms: dict[tuple[Did, bytes], int] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._until_ms)

    def add(self, whose: Did, item: bytes, now_ms: int) -> None:
        """Leave an id alone; `whose` is the peer that declined it, or empty for this node."""
        if len(self._until_ms) >= self._max:
            del self._until_ms[next(iter(self._until_ms))]
        self._until_ms[whose, item] = now_ms + self._keep_ms

    def forget(self, peer: Did) -> None:
        """Forget what a peer declined: when it comes back, it may have started anew."""
        for key in [key for key in self._until_ms if key[0] == peer]:
            del self._until_ms[key]

    def has(self, whose: Did, item: bytes, now_ms: int) -> bool:
        """Return whether an id is to be left alone."""
        until_ms = self._until_ms.get((whose, item))
        return until_ms is not None and until_ms > now_ms


class Session:
    """The walk over one peer's trees.

    Attributes:
        kept: how many records came that are new here.
        pushed: how many the peer kept.
        spent: whether it ended because a bound was reached.
    """

    def __init__(
        self,
        peer: Did,
        *,
        shelf: Shelf,
        declined: Declined,
        bounds: Bounds,
        together: bool = False,
    ) -> None:
        """Begin with the first namespace's whole tree, or `together` with the roots of all."""
        self.peer = peer
        self.kept = 0
        self.pushed = 0
        self.questions = 0
        self.spent = False
        self._shelf = shelf
        self._declined = declined
        self._bounds = bounds
        self._left: list[ReconciledNamespace] = list(reversed(RECONCILED))
        self._namespace: ReconciledNamespace = self._left[-1]
        self._rooted = not together
        self._few: list[str] = []
        self._many: list[str] = []
        self._wanted: list[bytes] = []
        self._surplus: list[bytes] = []
        self._prefixes = 0
        self._records = 0
        self._undelivered = 0
        self._asked: Wire | None = None
        self._items: list[bytes] = []

    def question(self) -> Wire | None:
        """Return the next question, or None if there is nothing more to ask."""
        if self.questions >= self._bounds.questions_max:
            self.spent = True
        if self.spent:
            return None
        self.questions += 1
        self._asked = self._next()
        return self._asked

    def take(self, answer: Wire, now_ms: int) -> None:
        """Judge the answer to the last question and act on it.

        Raises:
            Lied: no honest peer would have said it.
        """
        asked = self._asked
        if isinstance(asked, Compare) and isinstance(answer, Compared):
            self._take_compared(asked, answer, now_ms)
        elif isinstance(asked, Fetch) and isinstance(answer, RecordsGiven):
            self._take_fetched(answer, now_ms)
        elif isinstance(asked, Push) and isinstance(answer, Pushed):
            self._take_pushed(asked, answer, now_ms)
        else:
            raise Lied("it answers another question")

    def refused(self, why: str, now_ms: int) -> bool:
        """Return whether to go on after a refusal: if it was of what was pushed, without that."""
        if not isinstance(self._asked, Push):
            return False
        if why not in {SignedRecordRejected.code, RecordNotOwners.code}:
            return False
        for item in self._items:
            self._declined.add(self.peer, item[:ID_BYTES], now_ms)
        return True

    def held(self) -> int:
        """Return how many prefixes and ids wait."""
        prefixes = len(self._few) + len(self._many)
        return prefixes + len(self._wanted) + len(self._surplus) + len(self._items)

    def _next(self) -> Wire | None:
        """Return what to ask next: records as soon as a question is full of them."""
        while True:
            looking = self._few or self._many
            if self._wanted and (not looking or len(self._wanted) >= FETCHED_MAX):
                return self._fetch()
            if self._surplus and (not looking or len(self._surplus) >= PUSHED_MAX):
                push = self._push()
                if push is not None:
                    return push
            elif looking:
                return self._compare()
            elif self._left:
                self._namespace = self._left.pop()
                self._look_at([""])
            else:
                return None

    def _look_at(self, prefixes: Iterable[str]) -> None:
        """Have prefixes compared, those with few ids here apart: there the peer lists its own."""
        tree = self._shelf.ids(self._namespace)
        for prefix in prefixes:
            self._prefixes += 1
            if self._prefixes > self._bounds.prefixes_max:
                self.spent = True
                return
            (self._few if tree.count(prefix) <= LEAF_MAX else self._many).append(prefix)

    def _compare(self) -> Compare:
        waiting, ids_max = self._many, RANGE_IDS_MIN
        if not waiting:
            waiting, ids_max = self._few, RANGE_IDS_MAX
        prefixes = tuple(waiting[-PREFIXES_MAX:])
        del waiting[-PREFIXES_MAX:]
        return Compare.model_construct(
            namespace=self._namespace, prefixes=prefixes, ids_max=ids_max, roots=self._roots()
        )

    def _roots(self) -> tuple[Root, ...]:
        """Return, for the first question, what the other namespaces look like."""
        if self._rooted:
            return ()
        self._rooted = True
        tree = self._shelf.ids
        return tuple(
            Root.model_construct(namespace=name, fingerprint=tree(name).fingerprint())
            for name in reversed(self._left)
        )

    def _leave_out(self, asked: Compare, differ: tuple[ReconciledNamespace, ...]) -> None:
        """Look no further at namespaces that are alike on both sides."""
        named = {root.namespace for root in asked.roots}
        if not named or not named.issuperset(differ):
            raise Lied("it compares namespaces that were not asked")
        self._left = [name for name in self._left if name in differ]

    def _fetch(self) -> Fetch:
        self._items = self._wanted[-FETCHED_MAX:]
        del self._wanted[-FETCHED_MAX:]
        return Fetch.model_construct(namespace=self._namespace, ids=b"".join(self._items))

    def _push(self) -> Push | None:
        """Return what to push; None if all that lacked there is gone here too."""
        self._items = []
        records: list[Carried] = []
        left = CHARACTERS_MAX
        while self._surplus and len(records) < PUSHED_MAX:
            carried = self._shelf.by_item(self._surplus[-1])
            if carried is not None:
                left -= characters_of(carried)
                if left < 0 and records:
                    break
                records.append(carried)
                self._items.append(self._surplus[-1])
            self._surplus.pop()
        if not records:
            return None
        return Push.model_construct(namespace=self._namespace, records=tuple(records))

    def _take_compared(self, asked: Compare, answer: Compared, now_ms: int) -> None:
        ranges = answer.ranges
        if not 1 <= len(ranges) <= len(asked.prefixes):
            raise Lied("it answers no prefix, or more than were asked")
        if answer.differ is not None:
            self._leave_out(asked, answer.differ)
        for prefix, said in zip(asked.prefixes, ranges, strict=False):
            if (said.children is None) == (said.ids is None):
                raise Lied("it says both or neither of a prefix")
            if said.children is not None:
                self._take_children(prefix, said.children)
            else:
                self._take_ids(prefix, said.ids or b"", asked.ids_max, now_ms)
        waiting = self._many if asked.ids_max == RANGE_IDS_MIN else self._few
        waiting += asked.prefixes[len(ranges) :]

    def _take_children(self, prefix: str, theirs: bytes) -> None:
        if len(theirs) != WAYS * FINGERPRINT_BYTES or len(prefix) >= DEPTH_MAX:
            raise Lied("the fingerprints are not sixteen, or below the last digit")
        ours = self._shelf.ids(self._namespace).children(prefix)
        if theirs == ours:
            return
        size = FINGERPRINT_BYTES
        self._look_at(
            prefix + digit
            for digit, at in zip(_DIGITS, range(0, WAYS * size, size), strict=True)
            if theirs[at : at + size] != ours[at : at + size]
        )

    def _take_ids(self, prefix: str, said: bytes, ids_max: int, now_ms: int) -> None:
        if len(said) % ID_BYTES or len(said) > ids_max * ID_BYTES:
            raise Lied("the ids are cut off, or too many")
        theirs = [said[at : at + ID_BYTES] for at in range(0, len(said), ID_BYTES)]
        if any(first >= second for first, second in pairwise(theirs)):
            raise Lied("the ids are not in order")
        if any(not item.hex().startswith(prefix) for item in (*theirs[:1], *theirs[-1:])):
            raise Lied("an id does not begin with its prefix")
        ours = {item[:ID_BYTES]: item for item in self._shelf.ids(self._namespace).ids(prefix)}
        there = set(theirs)
        has = self._declined.has
        lacking = [i for i in theirs if i not in ours and not has("", i, now_ms)]
        surplus = [
            item
            for cut, item in ours.items()
            if cut not in there and not has(self.peer, cut, now_ms)
        ]
        self._records += len(lacking) + len(surplus)
        if self._records > self._bounds.records_max:
            self.spent = True
            return
        self._wanted += lacking
        self._surplus += surplus

    def _take_fetched(self, answer: RecordsGiven, now_ms: int) -> None:
        items = self._items
        if not 1 <= answer.upto <= len(items) or len(answer.records) > answer.upto:
            raise Lied("it gives no answer to any id, or to more than were asked")
        lacking = set(items[: answer.upto])
        for carried in answer.records:
            lacking.discard(self._take_record(carried, lacking, now_ms))
        for item in lacking:
            self._declined.add("", item, now_ms)
        self._undelivered += len(lacking)
        if self._undelivered > self._bounds.undelivered_max:
            raise Lied("it lists records that it does not give")
        self._wanted += items[answer.upto :]

    def _take_record(self, carried: Carried, lacking: set[bytes], now_ms: int) -> bytes:
        """Offer a record to the shelf; return its id as it was asked for.

        Raises:
            Lied: it does not verify, was not asked for, or no node would keep it.
        """
        try:
            item = self._shelf.item(carried)
            if item[:ID_BYTES] not in lacking:
                raise Lied("it gives a record that was not asked for")
            self._shelf.offer(carried, now_ms)
        except _BLAMELESS:
            if item not in self._shelf.ids(self._namespace):
                self._declined.add("", item[:ID_BYTES], now_ms)
                return item[:ID_BYTES]
        except (SignedRecordRejected, RecordNotOwners) as no:
            if is_blamed(self._shelf, carried, now_ms):
                raise Lied(f"it gives a record that is refused: {no.code}") from no
            self._declined.add("", item[:ID_BYTES], now_ms)
            return item[:ID_BYTES]
        self.kept += 1
        return item[:ID_BYTES]

    def _take_pushed(self, asked: Push, answer: Pushed, now_ms: int) -> None:
        if answer.kept > len(asked.records):
            raise Lied("it kept more than was pushed")
        for place in answer.declined:
            if place >= len(self._items):
                raise Lied("it declines what was not pushed")
            self._declined.add(self.peer, self._items[place][:ID_BYTES], now_ms)
        self.pushed += answer.kept


def answer_compare(shelf: Shelf, asked: Compare, *, ids_max: int) -> Compared:
    """Return what this node has below the first prefixes of a question.

    Args:
        shelf: what is kept here.
        asked: the question.
        ids_max: how many ids the answer may have; the first prefix is answered in any case.
    """
    tree = shelf.ids(asked.namespace)
    ranges: list[Range] = []
    for prefix in asked.prefixes:
        count = tree.count(prefix)
        if count > asked.ids_max:
            ranges.append(Range.model_construct(children=tree.children(prefix), ids=None))
            continue
        if ranges and count > ids_max:
            break
        ids_max -= count
        ids = b"".join(item[:ID_BYTES] for item in tree.ids(prefix))
        ranges.append(Range.model_construct(children=None, ids=ids))
    differ = None
    if asked.roots:
        each = ((root, shelf.ids(root.namespace)) for root in asked.roots)
        differ = tuple(
            root.namespace for root, tree in each if tree.fingerprint() != root.fingerprint
        )
    return Compared.model_construct(ranges=tuple(ranges), differ=differ)


def answer_fetch(shelf: Shelf, asked: Fetch) -> RecordsGiven:
    """Return the records of the first ids of a question, as many as one answer holds."""
    tree = shelf.ids(asked.namespace)
    records: list[Carried] = []
    left = CHARACTERS_MAX
    upto = 0
    for at in range(0, len(asked.ids), ID_BYTES):
        items = tree.starting(asked.ids[at : at + ID_BYTES])
        carried = shelf.by_item(items[0]) if items else None
        if carried is not None:
            left -= characters_of(carried)
            if left < 0 and records:
                break
            records.append(carried)
        upto += 1
    return RecordsGiven.model_construct(records=tuple(records), upto=upto)


def answer_push(shelf: Shelf, asked: Push, now_ms: int) -> Pushed:
    """Keep what was pushed, as far as it may be; return what was not.

    Refuses, in this order, and then keeps none of it:
        SignedRecordRejected: a record does not verify, or is not what its namespace takes.
        RecordNotOwners: a name is not its owner's to write.
    """
    for carried in asked.records:
        try:
            shelf.check(carried, now_ms)
        except RecordLapsed:
            continue
        except (SignedRecordRejected, RecordNotOwners):
            if is_blamed(shelf, carried, now_ms):
                raise
    kept = 0
    declined = []
    for place, carried in enumerate(asked.records):
        try:
            shelf.offer(carried, now_ms)
            kept += 1
        except (*_BLAMELESS, SignedRecordRejected):
            if shelf.item(carried) not in shelf.ids(asked.namespace):
                declined.append(place)
    return Pushed.model_construct(kept=kept, declined=tuple(declined))


def is_blamed(shelf: Shelf, carried: Carried, now_ms: int) -> bool:
    """Return whether whoever hands on a refused record should have known.

    They need not if it is the time that is against it: their clock may be the right one.
    """
    try:
        return not is_ahead(shelf.read(carried).body, now_ms=now_ms)
    except SignedRecordRejected:
        return True


def characters_of(carried: Carried) -> int:
    """Return how many characters a record on its way has, with what travels with it."""
    return len(carried.jws) + sum(map(len, carried.proof))
