"""What a set of ids looks like from afar: a tree of fingerprints that two nodes can compare.

The tree has a node for each prefix of hexadecimal digits. A prefix under which at most `LEAF_MAX`
ids stand has the hash over these, in order; another one the hash over the fingerprints of its
sixteen longer prefixes. So the shape and every fingerprint follow from the set alone, whatever the
order in which it came about, and who wants two sets to look alike has to find a collision of
SHA-256: sums and exclusive ors of ids can be steered by chosen ids. Source: ADR 0029; Meyer,
Scherer: Range-Based Set Reconciliation (2023).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterator

LEAF_MAX = 32
"""The most ids whose fingerprint is the hash over themselves."""

FINGERPRINT_BYTES = 24
"""How much of a fingerprint is compared: a collision takes 2^96 tries."""

WAYS = 16
"""How many prefixes continue a prefix by one digit."""

_LEAF, _INNER = b"\x00", b"\x01"
_DIGITS = "0123456789abcdef"


class _Node:
    """One prefix: its ids if they are few, otherwise its sixteen children."""

    __slots__ = ("children", "count", "fingerprint", "ids")

    def __init__(self, ids: list[bytes]) -> None:
        """Begin as a leaf."""
        self.ids = ids
        self.children: list[_Node] | None = None
        self.count = len(ids)
        self.fingerprint: bytes | None = None


def _digit(item: bytes, depth: int) -> int:
    return item[depth >> 1] & 15 if depth & 1 else item[depth >> 1] >> 4


class Fingerprints:
    """A set of ids of equal length, with a fingerprint for every prefix.

    Adding and removing costs the length of one way down, O(log n), and forgets the fingerprints on
    it; they are made again when somebody asks.
    """

    def __init__(self) -> None:
        """Begin without ids."""
        self._root = _Node([])

    def __len__(self) -> int:
        """Return how many ids there are."""
        return self._root.count

    def __contains__(self, item: bytes) -> bool:
        """Return whether an id is among them."""
        node = self._root
        depth = 0
        while node.children is not None:
            node = node.children[_digit(item, depth)]
            depth += 1
        at = bisect_left(node.ids, item)
        return at < len(node.ids) and node.ids[at] == item

    def add(self, item: bytes) -> None:
        """Take an id in; one that is in already changes nothing."""
        if item in self:
            return
        node, depth = self._root, 0
        while True:
            node.fingerprint = None
            node.count += 1
            if node.children is None:
                break
            node = node.children[_digit(item, depth)]
            depth += 1
        insort(node.ids, item)
        if node.count > LEAF_MAX:
            _split(node, depth)

    def discard(self, item: bytes) -> None:
        """Take an id out, if it is in."""
        if item not in self:
            return
        node, depth = self._root, 0
        merging: _Node | None = None
        while True:
            node.fingerprint = None
            node.count -= 1
            if node.children is None:
                break
            if merging is None and node.count <= LEAF_MAX:
                merging = node
            node = node.children[_digit(item, depth)]
            depth += 1
        del node.ids[bisect_left(node.ids, item)]
        if merging is not None:
            merging.ids = list(_walk(merging))
            merging.children = None

    def count(self, prefix: str) -> int:
        """Return how many ids begin with these hexadecimal digits."""
        node, rest = self._find(prefix)
        return node.count if not rest else len(_under(node.ids, prefix))

    def ids(self, prefix: str = "") -> list[bytes]:
        """Return the ids that begin with these digits, in order."""
        node, rest = self._find(prefix)
        return list(_walk(node)) if not rest else _under(node.ids, prefix)

    def fingerprint(self, prefix: str = "") -> bytes:
        """Return the fingerprint of all ids that begin with these digits."""
        node, rest = self._find(prefix)
        return _fingerprint(node) if not rest else _hash_ids(_under(node.ids, prefix))

    def children(self, prefix: str) -> bytes:
        """Return the fingerprints of the sixteen prefixes one digit longer, one after another."""
        node, rest = self._find(prefix)
        if not rest and node.children is not None:
            return b"".join(map(_fingerprint, node.children))
        return b"".join(self.fingerprint(prefix + digit) for digit in _DIGITS)

    def starting(self, start: bytes) -> list[bytes]:
        """Return the ids that begin with these bytes, in order."""
        return self.ids(start.hex())

    def _find(self, prefix: str) -> tuple[_Node, bool]:
        """Return the node of a prefix, or the leaf in which its ids stand among others."""
        node = self._root
        for digit in prefix:
            if node.children is None:
                return node, True
            node = node.children[int(digit, 16)]
        return node, False


def _split(node: _Node, depth: int) -> None:
    """Turn a leaf into an inner node; the ids differ, so it ends before their last digit."""
    parts: list[list[bytes]] = [[] for _ in range(WAYS)]
    for item in node.ids:
        parts[_digit(item, depth)].append(item)
    node.ids = []
    node.children = [_Node(part) for part in parts]
    for child in node.children:
        if child.count > LEAF_MAX:
            _split(child, depth + 1)


def _walk(node: _Node) -> Iterator[bytes]:
    if node.children is None:
        yield from node.ids
        return
    for child in node.children:
        yield from _walk(child)


def _under(ids: list[bytes], prefix: str) -> list[bytes]:
    """Return those of some ids, in order, that begin with these digits."""
    return [item for item in ids if item.hex().startswith(prefix)]


def _hash_ids(ids: list[bytes]) -> bytes:
    return hashlib.sha256(_LEAF + b"".join(ids)).digest()[:FINGERPRINT_BYTES]


def _fingerprint(node: _Node) -> bytes:
    """Return a node's fingerprint, made if it was forgotten."""
    known = node.fingerprint
    if known is None:
        if node.children is None:
            known = _hash_ids(node.ids)
        else:
            parts = b"".join(map(_fingerprint, node.children))
            known = hashlib.sha256(_INNER + parts).digest()[:FINGERPRINT_BYTES]
        node.fingerprint = known
    return known
