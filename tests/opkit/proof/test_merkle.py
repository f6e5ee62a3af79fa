"""The Merkle tree: published vectors, a tree written from the definition, and every wrong proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.checks import ProofError
from opkit.proof.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    frontier_of,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS = json.loads(Path(__file__).with_name("merkle_vectors.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
SIZE_MAX = 40
DATA = [f"entry {number}".encode() for number in range(SIZE_MAX)]


def defined_root(data: Sequence[bytes]) -> bytes:
    """Return the tree's root word for word as RFC 9162, section 2.1.1, defines it."""
    if len(data) < 2:
        return leaf_hash(data[0]) if data else EMPTY_ROOT
    k = 1
    while 2 * k < len(data):
        k *= 2
    return node_hash(defined_root(data[:k]), defined_root(data[k:]))


class Log:
    """A tree that keeps all its data and hashes complete subtrees when asked."""

    def __init__(self, data: Sequence[bytes]) -> None:
        self.data = data
        self.root = defined_root(data)

    def subtree(self, level: int, position: int) -> bytes:
        width = 1 << level
        held = self.data[position * width : (position + 1) * width]
        assert len(held) == width, "only complete subtrees are asked for"
        return defined_root(held)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        size = len(self.data) if size is None else size
        return inclusion_path(index=index, size=size, subtree=self.subtree)

    def consistency(self, first: int) -> tuple[bytes, ...]:
        return consistency_path(first=first, second=len(self.data), subtree=self.subtree)


def grown(data: Sequence[bytes]) -> Frontier:
    frontier = Frontier()
    for each in data:
        frontier, _ = frontier.append(leaf_hash(each))
    return frontier


def included(case: dict[str, Any]) -> None:
    verify_inclusion(
        leaf=bytes.fromhex(case["leafHash"]),
        index=case["leafIdx"],
        size=case["treeSize"],
        path=[bytes.fromhex(each) for each in case["proof"]],
        root=bytes.fromhex(case["root"]),
    )


def consistent(case: dict[str, Any]) -> None:
    verify_consistency(
        first=case["size1"],
        first_root=bytes.fromhex(case["root1"]),
        second=case["size2"],
        second_root=bytes.fromhex(case["root2"]),
        path=[bytes.fromhex(each) for each in case["proof"]],
    )


@pytest.mark.parametrize(
    ("check", "case"),
    [
        *(pytest.param(included, case, id=case["case"]) for case in VECTORS["inclusion"]),
        *(pytest.param(consistent, case, id=case["case"]) for case in VECTORS["consistency"]),
    ],
)
def test_published_proofs_hold_or_fail_as_published(check: Any, case: dict[str, Any]) -> None:
    if not case["wantErr"]:
        check(case)
        return
    with pytest.raises(ProofError):
        check(case)


def test_published_roots_and_nodes_come_out() -> None:
    frontier, completed = Frontier(), set()
    assert frontier.root() == ROOTS[0] == EMPTY_ROOT
    for leaf, root in zip(LEAVES, ROOTS[1:], strict=True):
        frontier, new = frontier.append(leaf_hash(leaf))
        completed |= set(new)
        assert frontier.root() == root
    assert completed == {bytes.fromhex(node) for node in VECTORS["nodes"]}


@pytest.mark.parametrize("size", range(SIZE_MAX))
def test_a_frontier_has_the_defined_root_and_can_be_read_back(size: int) -> None:
    log = Log(DATA[:size])
    frontier = grown(log.data)
    assert frontier.root() == log.root
    assert frontier == frontier_of(size, log.subtree)


def test_adding_a_leaf_tells_which_subtrees_it_completed() -> None:
    frontier, log = Frontier(), Log(DATA)
    for at, data in enumerate(DATA, start=1):
        frontier, completed = frontier.append(leaf_hash(data))
        levels = (at & -at).bit_length()
        assert completed == tuple(log.subtree(level, (at >> level) - 1) for level in range(levels))


@pytest.mark.parametrize("size", range(1, SIZE_MAX))
def test_every_leaf_is_shown_at_its_place_and_at_no_other(size: int) -> None:
    log = Log(DATA[:size])
    for index, data in enumerate(log.data):
        path = log.inclusion(index)
        assert len(path) <= (size - 1).bit_length()
        verify_inclusion(leaf=leaf_hash(data), index=index, size=size, path=path, root=log.root)
        for other in {index - 1, index + 1, index ^ 1, size - 1, 0} - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(
                    leaf=leaf_hash(data), index=other, size=size, path=path, root=log.root
                )


@pytest.mark.parametrize("second", range(1, SIZE_MAX))
def test_every_earlier_tree_begins_a_later_one(second: int) -> None:
    log = Log(DATA[:second])
    for first in range(1, second + 1):
        early = defined_root(DATA[:first])
        path = log.consistency(first)
        assert len(path) <= second.bit_length() + 1
        verify_consistency(
            first=first, first_root=early, second=second, second_root=log.root, path=path
        )


sizes = st.integers(1, SIZE_MAX)


@given(sizes.flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_a_changed_inclusion_proof_shows_nothing(place: tuple[int, int], draw: Any) -> None:
    size, index = place
    log = Log(DATA[:size])
    path = list(log.inclusion(index))
    given_leaf = leaf_hash(log.data[index])
    for changed in spoiled(path, draw):
        with pytest.raises(ProofError):
            verify_inclusion(leaf=given_leaf, index=index, size=size, path=changed, root=log.root)
    for leaf, root in ((leaf_hash(b"other"), log.root), (given_leaf, EMPTY_ROOT)):
        with pytest.raises(ProofError, match="another root"):
            verify_inclusion(leaf=leaf, index=index, size=size, path=path, root=root)


@given(sizes.flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))), st.data())
def test_a_changed_consistency_proof_shows_nothing(place: tuple[int, int], draw: Any) -> None:
    second, first = place
    log = Log(DATA[:second])
    path = list(log.consistency(first))
    early = defined_root(DATA[:first])
    sides = {"first": first, "second": second}
    for changed in spoiled(path, draw):
        with pytest.raises(ProofError):
            verify_consistency(first_root=early, second_root=log.root, path=changed, **sides)
    for first_root, second_root in ((EMPTY_ROOT, log.root), (early, EMPTY_ROOT)):
        with pytest.raises(ProofError, match=r"another (first|second) root|different roots"):
            verify_consistency(first_root=first_root, second_root=second_root, path=path, **sides)


def spoiled(path: list[bytes], draw: Any) -> list[list[bytes]]:
    """Return the path with a hash changed, left out, doubled, and with one at each end."""
    more = [[*path, EMPTY_ROOT], [EMPTY_ROOT, *path]]
    if not path:
        return more
    at = draw.draw(st.integers(0, len(path) - 1))
    bit = 1 << draw.draw(st.integers(0, 7))
    byte = draw.draw(st.integers(0, 31))
    hashed = bytearray(path[at])
    hashed[byte] ^= bit
    return [
        *more,
        [*path[:at], bytes(hashed), *path[at + 1 :]],
        [*path[:at], *path[at + 1 :]],
        [*path[: at + 1], *path[at:]],
    ]


@given(sizes, sizes, st.integers(0, SIZE_MAX - 1))
def test_a_rewritten_history_is_not_consistent(one: int, other: int, changed: int) -> None:
    first, second = sorted((one, other))
    changed %= first
    before = defined_root(DATA[:first])
    rewritten = Log([*DATA[:changed], b"rewritten", *DATA[changed + 1 : second]])
    with pytest.raises(ProofError, match=r"another (first|second) root|different roots"):
        verify_consistency(
            first=first,
            first_root=before,
            second=second,
            second_root=rewritten.root,
            path=rewritten.consistency(first),
        )


@pytest.mark.parametrize(
    ("first", "second", "path", "why"),
    [
        (3, 2, [], "not shown to begin"),
        (0, 2, [], "not shown to begin"),
        (2, 2, [EMPTY_ROOT], "longer"),
        (3, 8, [b"short"], "has 32 bytes"),
        (1, 2, [EMPTY_ROOT, EMPTY_ROOT], "longer"),
        (3, 8, [], "ends below"),
        (4, 8, [], "ends below"),
    ],
)
def test_a_consistency_proof_of_another_shape_says_what_is_wrong(
    first: int, second: int, path: list[bytes], why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        verify_consistency(
            first=first, first_root=ROOTS[2], second=second, second_root=ROOTS[2], path=path
        )


@pytest.mark.parametrize(("index", "size"), [(0, 0), (2, 2), (-1, 2), (3, 2)])
def test_no_leaf_is_shown_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="is not in a tree"):
        verify_inclusion(leaf=EMPTY_ROOT, index=index, size=size, path=[], root=EMPTY_ROOT)


def test_a_leaf_never_passes_for_an_inner_node() -> None:
    """Without prefixes, data of 64 bytes that are two hashes would be their parent."""
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert leaf_hash(left + right) != node_hash(left, right)
    with pytest.raises(ProofError):
        verify_inclusion(
            leaf=leaf_hash(left + right), index=0, size=1, path=[], root=node_hash(left, right)
        )


def test_a_leaf_is_not_shown_in_a_smaller_tree_by_a_longer_path() -> None:
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    root = node_hash(left, right)
    verify_inclusion(leaf=right, index=1, size=2, path=[left], root=root)
    with pytest.raises(ProofError, match="longer than the tree is high"):
        verify_inclusion(leaf=right, index=0, size=1, path=[left], root=root)


def test_a_frontier_of_another_size_is_a_programmers_mistake() -> None:
    with pytest.raises(AssertionError, match="a peak for each bit"):
        Frontier(3, (EMPTY_ROOT,))
