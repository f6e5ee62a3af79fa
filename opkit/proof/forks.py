"""Two histories of one node: what proves them, and what shows that there is one.

A fork is two heads of one generation that exclude each other: of one size and different, or of two
sizes while the longer one begins with another tree than the shorter one has. The second is seen
from a consistency proof as the node itself made it: from the same hashes follow the root of the
longer tree, which it signed, and a root of the shorter one, which is not the one that it signed.
Whoever holds the two heads and that path needs to believe nobody. Source: ADR 0032; RFC 9162.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from opkit.proof import merkle
from opkit.proof.checks import ProofError
from opkit.proof.history import check_included, read_head_in
from opkit.wire.base import Did, Jws, NetworkId
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalHead
from opkit.wire.witness import FORK_PATH_MAX, ForkValue, Grown, Growth


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A head that its node has signed, as it was signed."""

    token: Jws
    head: JournalHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A proven fork: both heads are signed by the node, and exclude each other."""

    node: Did
    first: JournalHead
    second: JournalHead


def read_seen(token: Jws, *, node: Did, network: NetworkId) -> Seen:
    """Return a head that this very node has signed.

    Raises:
        ProofError: it does not verify for this network, or is another node's.
    """
    head = read_head_in(token, network=network)
    if head.node != node:
        raise ProofError("it is the head of another node")
    return Seen(token=token, head=head)


def read_fork(value: ForkValue, *, node: Did, network: NetworkId) -> Fork:
    """Return the fork of a node that a value proves.

    Raises:
        ProofError: a head is not signed by the node for this network; the heads are of two
            generations or in the wrong order; they do not exclude each other, or the path does not
            show it, in this order.
    """
    first = read_seen(value.first, node=node, network=network).head
    second = read_seen(value.second, node=node, network=network).head
    if first.generation != second.generation:
        raise ProofError("the heads are of two generations")
    if first.size > second.size:
        raise ProofError("the first head is the longer one")
    if first.size == second.size:
        if value.root is not None or value.path:
            raise ProofError("between two heads of one size there is no path")
        if same_place(first, second):
            raise ProofError("both heads say the same")
    else:
        _check_begins_otherwise(first, second, value)
    return Fork(node=node, first=first, second=second)


def _check_begins_otherwise(first: JournalHead, second: JournalHead, value: ForkValue) -> None:
    if value.root is None or value.root == first.root:
        raise ProofError("the longer journal is not shown to begin otherwise")
    merkle.verify_consistency(
        first=first.size,
        first_root=bytes.fromhex(value.root),
        second=second.size,
        second_root=bytes.fromhex(second.root),
        path=[bytes.fromhex(each) for each in value.path],
    )


def same_place(one: JournalHead, other: JournalHead) -> bool:
    """Return whether two heads of one node say the same of it, whenever they were signed."""
    return place_of(one) == place_of(other)


def place_of(head: JournalHead) -> HistoryPlace:
    """Return the place in its history that a head names."""
    return HistoryPlace(generation=head.generation, size=head.size, root=head.root, hash=head.hash)


def fork_of(one: Seen, other: Seen) -> ForkValue | None:
    """Return the proof that two heads of one node are, if they need nothing else to be one."""
    alike = (one.head.generation, one.head.size) == (other.head.generation, other.head.size)
    if not alike or same_place(one.head, other.head):
        return None
    first, second = sorted((one, other), key=lambda seen: seen.token)
    return ForkValue(first=first.token, second=second.token)


def examine_growth(early: Seen, late: Seen, shown: Grown) -> ForkValue | str | None:
    """Judge what a node showed of its growth from a head that it signed before.

    Args:
        early: that head.
        late: the head in the answer, of the same node.
        shown: the answer.

    Returns:
        None if it only grew, or admitted what it lost; the proof of a fork; or why nothing of this
        is shown, which proves nothing.
    """
    if early.head.generation > late.head.generation:
        return (
            f"it is of generation {late.head.generation} again, "
            f"and was of generation {early.head.generation}"
        )
    if early.head.generation == late.head.generation:
        return _within_generation(early, late, shown.growths)
    return _over_generations(early.head, late.head, shown)


def _within_generation(
    early: Seen, late: Seen, growths: Sequence[Growth]
) -> ForkValue | str | None:
    if late.head.size < early.head.size:
        return f"it has {late.head.size} entries, and had {early.head.size}"
    if late.head.size == early.head.size:
        return fork_of(early, late)
    if early.head.size == 0:
        return None
    growth = _shown(growths, late.head, size=early.head.size)
    if isinstance(growth, str):
        return growth
    if growth.root == early.head.root:
        return None
    if len(growth.path) > FORK_PATH_MAX:
        return _begins_otherwise(early.head.size)
    return ForkValue(first=early.token, second=late.token, root=growth.root, path=growth.path)


def _over_generations(early: JournalHead, late: JournalHead, shown: Grown) -> str | None:
    """Judge growth past the end of the generation that the earlier head is of."""
    openings = []
    for each in shown.openings:
        try:
            check_included(each.entry, late, each.path)
            openings.append(GenerationOpened.model_validate(each.entry.body))
        except (ProofError, ValidationError) as bad:
            return f"it does not show how a generation was opened: {bad}"[:400]
        if each.entry.type != GenerationOpened.type:
            return "what it shows in place of an opened generation is another entry"
    if admits_loss(place_of(early), openings):
        return None
    ended = (each.after for each in openings if each.after.generation == early.generation)
    end = next(ended, None)
    if end is None:
        return f"it does not show how generation {early.generation} ended"
    if early.size > end.size:
        return (
            f"generation {early.generation} ended with {end.size} entries, it had signed for "
            f"{early.size}, and none that was opened since cites them"
        )
    if early.size == 0:
        return None
    growth = _shown(shown.growths, late, size=early.size)
    if isinstance(growth, str):
        return growth
    return None if growth.root == early.root else _begins_otherwise(early.size)


def admits_loss(lost: HistoryPlace, openings: Sequence[GenerationOpened]) -> bool:
    """Return whether a generation was opened that cites this place, or one after it, as lost."""
    return any(each.lost is not None and _covers(each.lost, lost) for each in openings)


def _covers(admitted: HistoryPlace, lost: HistoryPlace) -> bool:
    longer = admitted.generation == lost.generation and admitted.size > lost.size
    return admitted == lost or longer


def _shown(growths: Sequence[Growth], late: JournalHead, *, size: int) -> Growth | str:
    """Return the growth that shows which tree a journal began with, or why none does."""
    growth = next((each for each in growths if each.size == size), None)
    if growth is None:
        return f"it shows no growth from its first {size} entries"
    try:
        merkle.verify_consistency(
            first=size,
            first_root=bytes.fromhex(growth.root),
            second=late.size,
            second_root=bytes.fromhex(late.root),
            path=[bytes.fromhex(each) for each in growth.path],
        )
    except ProofError as bad:
        return f"it does not show growth from its first {size} entries: {bad.why}"
    return growth


def _begins_otherwise(size: int) -> str:
    return f"its first {size} entries are others than they were"
