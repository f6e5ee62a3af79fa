"""The Merkle tree of RFC 9162: what a log holds, in one hash, and short proofs about it.

Leaves and inner nodes are hashed under different prefixes, so that neither passes for the other. A
log keeps a `Frontier`: the roots of the complete subtrees that its size consists of, enough to add
leaves and to know the root. Proofs are made from any source of complete subtrees' hashes, and are
verified from nothing but the hashes in them.
Source: RFC 9162, section 2.1 (the same tree as RFC 6962's).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opkit.proof.checks import ProofError

HASH_BYTES = 32

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree: TypeAlias = "Callable[[int, int], bytes]"
"""Returns the root of the complete subtree `(level, position)`: over the `2**level` leaves from
`position * 2**level` on."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to add leaves and to know the root.

    Attributes:
        size: how many leaves there are.
        peaks: the roots of the complete subtrees that `size` consists of, the largest first: one
            for each bit that is set in it.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse peaks that are not those of a tree of this size."""
        assert len(self.peaks) == self.size.bit_count(), "a peak for each bit of the size"

    def append(self, leaf: bytes) -> tuple[Frontier, tuple[bytes, ...]]:
        """Return the frontier with one more leaf, and the roots of the subtrees it completed.

        The completed ones are in the order of their levels, the leaf itself (level 0) first.

        Args:
            leaf: a leaf's hash.
        """
        peaks = list(self.peaks)
        completed = [leaf]
        rest = self.size
        while rest & 1:
            completed.append(node_hash(peaks.pop(), completed[-1]))
            rest >>= 1
        return Frontier(self.size + 1, (*peaks, completed[-1])), tuple(completed)

    def root(self) -> bytes:
        """Return the root of the tree."""
        return _joined(self.peaks) if self.peaks else EMPTY_ROOT


def frontier_of(size: int, subtree: Subtree) -> Frontier:
    """Return the frontier of a tree with so many leaves."""
    return Frontier(size, tuple(subtree(*each) for each in _complete(0, size)))


def inclusion_path(*, index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the hashes that lead from a leaf to the root of the tree's first `size` leaves.

    Args:
        index: which leaf, from 0; less than `size`.

    Source: RFC 9162, section 2.1.3.1.
    """
    assert 0 <= index < size, (index, size)
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_size(end - start)
        if index < middle:
            path.append(_range_root(middle, end, subtree))
            end = middle
        else:
            path.append(_range_root(start, middle, subtree))
            start = middle
    return tuple(reversed(path))


def consistency_path(*, first: int, second: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the hashes that show that a tree's first `first` leaves begin its first `second`.

    The path is empty for equal sizes. An empty tree begins every other, so nothing is to be shown
    about it: `first` is at least 1.

    Source: RFC 9162, section 2.1.4.1.
    """
    assert 1 <= first <= second, (first, second)
    path = []
    start, end = 0, second
    while end != first:
        middle = start + _left_size(end - start)
        if first <= middle:
            path.append(_range_root(middle, end, subtree))
            end = middle
        else:
            path.append(_range_root(start, middle, subtree))
            start = middle
    if start > 0:
        # Otherwise what is left is the whole first tree, whose root the verifier holds.
        path.append(_range_root(start, end, subtree))
    return tuple(reversed(path))


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf is in the tree at its place.

    Args:
        leaf: the leaf's hash.
        index: its place, from 0.
        size: how many leaves the tree has.
        path: what `inclusion_path` returned.
        root: the tree's root, as the verifier trusts it.

    Raises:
        ProofError: the place is not in the tree, something is no hash, the path is too long or too
            short, or it leads to another root, in this order.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    _check_hashes(leaf, root, *path)
    at, last, reached = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofError("the path is longer than the tree is high")
        if at & 1 or at == last:
            reached = node_hash(sibling, reached)
            at, last = _up_to_right_child(at, last)
        else:
            reached = node_hash(reached, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofError("the path ends below the root")
    if reached != root:
        raise ProofError("the path leads to another root")


def verify_consistency(
    *, first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that a tree is an earlier one with leaves added at its end, and nothing else.

    Args:
        first: the earlier tree's size.
        first_root: its root, as the verifier holds it.
        second: the later tree's size.
        second_root: its root, as the verifier holds it.
        path: what `consistency_path` returned.

    Raises:
        ProofError: the earlier tree is empty or the later one smaller, something is no hash, the
            path is too long or too short, or it leads to another root of either, in this order.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 1 <= first <= second:
        raise ProofError(f"a tree of {second} is not shown to begin with {first} leaves")
    if first == second:
        if path:
            raise ProofError("the path is longer than the tree is high")
        if first_root != second_root:
            raise ProofError("two trees of one size have different roots")
        return
    _check_hashes(first_root, second_root, *path)
    # A first tree that is one complete subtree is where the path starts, and is not sent.
    hashes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    reached_first, reached_second = _both_roots(first=first, second=second, hashes=hashes)
    if reached_first != first_root:
        raise ProofError("the path leads to another first root")
    if reached_second != second_root:
        raise ProofError("the path leads to another second root")


def _both_roots(*, first: int, second: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of both trees to which a path leads, its first hash included."""
    if not hashes:
        raise ProofError("the path ends below the root")
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    reached_first = reached_second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError("the path is longer than the tree is high")
        if at & 1 or at == last:
            reached_first = node_hash(sibling, reached_first)
            reached_second = node_hash(sibling, reached_second)
            at, last = _up_to_right_child(at, last)
        else:
            reached_second = node_hash(reached_second, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofError("the path ends below the root")
    return reached_first, reached_second


def _check_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofError(f"a hash has {HASH_BYTES} bytes")


def _up_to_right_child(at: int, last: int) -> tuple[int, int]:
    """Climb the right edge to where the node is a right child, or the root."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _left_size(size: int) -> int:
    """Return how many of `size` leaves (at least 2) are left of the root."""
    return int(1 << ((size - 1).bit_length() - 1))


def _complete(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the complete subtrees that leaves `start` to `end` consist of, from left to right.

    `start` is a place where a subtree of at least `end - start` leaves may begin.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _range_root(start: int, end: int, subtree: Subtree) -> bytes:
    return _joined([subtree(*each) for each in _complete(start, end)])


def _joined(peaks: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees, the largest first."""
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root
