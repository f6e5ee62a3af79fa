"""Two histories of one node are proven, and an honest one that grew never looks like two."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.forks import (
    Fork,
    Seen,
    admits_loss,
    examine_growth,
    fork_of,
    place_of,
    read_fork,
    read_seen,
    same_place,
)
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import Frontier, consistency_path, inclusion_path, leaf_hash
from opkit.wire.journal import (
    JOURNAL_HEAD_TYP,
    GenerationOpened,
    HistoryPlace,
    JournalHead,
    ProvenEntry,
)
from opkit.wire.witness import ForkValue, Grown, Growth, OpeningShown


class Journal:
    """A node's journal, of which heads and proofs are made as the node would."""

    def __init__(self, network: Any, words: str, *, openings: dict[int, Any] | None = None) -> None:
        """Write an entry for each letter; `openings` open a generation in place of one."""
        self.network, self.node = network, network.nodes["tool-library"]
        self.generation, self.hash = 1, JOURNAL_START
        self.trees, self.hashes, self.entries, self.leaves = [Frontier()], [JOURNAL_START], [], []
        for at, word in enumerate(words, 1):
            name, body = "a.b", {"what": word}
            if openings and at in openings:
                name, body = GenerationOpened.type, self._open(openings[at])
            stored = stored_bytes(sequence=at, type_name=name, at_ms=at, body=canonical(body))
            self.hash = entry_hash(previous=self.hash, stored=stored)
            self.hashes.append(self.hash)
            self.leaves.append(leaf_hash(stored))
            self.trees.append(self.trees[-1].append(self.leaves[-1])[0])
            self.entries.append(ProvenEntry(sequence=at, type=name, at_ms=at, body=body))

    def _open(self, lost: HistoryPlace | None) -> dict[str, Any]:
        size = self.trees[-1].size
        after = self.place(size)
        self.generation += 1
        opened = GenerationOpened(generation=self.generation, after=after, lost=lost)
        return opened.model_dump(mode="json")

    def place(self, size: int) -> HistoryPlace:
        return HistoryPlace(
            generation=self.generation,
            size=size,
            root=self.trees[size].root().hex(),
            hash=self.hashes[size],
        )

    def subtree(self, level: int, position: int) -> bytes:
        tree = Frontier()
        for leaf in self.leaves[position << level : (position + 1) << level]:
            tree, _ = tree.append(leaf)
        return tree.root()

    def head(self, size: int, **changes: Any) -> Seen:
        fields = self.place(size).model_dump() | {"issued_at_ms": 9} | changes
        head = JournalHead(network=self.network.name, aud="journal", node=self.node.did, **fields)
        token = jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=self.node)
        return read_seen(token, node=self.node.did, network=self.network.name)

    def growth(self, first: int, second: int) -> Growth:
        path: tuple[bytes, ...] = ()
        if 0 < first < second:
            path = consistency_path(first=first, second=second, subtree=self.subtree)
        root = self.trees[first].root().hex()
        return Growth(size=first, root=root, path=tuple(each.hex() for each in path))

    def grown(self, *firsts: int, to: int, opened: tuple[int, ...] = ()) -> Grown:
        shown = [
            OpeningShown(
                entry=self.entries[at - 1],
                path=tuple(
                    each.hex()
                    for each in inclusion_path(index=at - 1, size=to, subtree=self.subtree)
                ),
            )
            for at in opened
        ]
        return Grown(
            head=self.head(to).token,
            growths=tuple(self.growth(first, to) for first in firsts),
            openings=tuple(shown),
        )


def prove(one: Journal, other: Journal, first: int, second: int) -> ForkValue | str | None:
    """Return what a node that had shown `one` says of itself by going on with `other`."""
    early, late = one.head(first), other.head(second)
    return examine_growth(early, late, other.grown(first, to=second))


def read(value: ForkValue, journal: Journal) -> Any:
    return read_fork(value, node=journal.node.did, network=journal.network.name)


def test_a_journal_that_grew_looks_like_one_at_every_pair_of_sizes(network: Any) -> None:
    journal = Journal(network, "abcdefghijklmnopq")
    for first in range(len(journal.trees)):
        for second in range(first, len(journal.trees)):
            assert prove(journal, journal, first, second) is None


def test_two_histories_prove_themselves_at_every_pair_of_sizes(network: Any) -> None:
    one, other = Journal(network, "abcdefghijklm"), Journal(network, "abXdefghijklm")
    for first in range(3, 14):
        for second in range(first, 14):
            value = prove(one, other, first, second)
            assert isinstance(value, ForkValue)
            fork = read(value, one)
            assert (fork.first.size, fork.second.size) == (first, second)
            assert fork.node == one.node.did
    assert prove(one, other, 2, 13) is None, "what they have in common is no fork"


def test_what_both_histories_have_in_common_proves_nothing(network: Any) -> None:
    one, other = Journal(network, "abcd"), Journal(network, "abXd")
    growth = other.growth(2, 4)
    value = ForkValue(
        first=one.head(2).token, second=other.head(4).token, root=growth.root, path=growth.path
    )
    for root in (growth.root, None):
        with pytest.raises(ProofError, match="not shown to begin otherwise"):
            read(value.model_copy(update={"root": root}), one)


def test_a_path_that_somebody_made_up_proves_no_fork(network: Any) -> None:
    journal = Journal(network, "abcdefgh")
    honest = journal.growth(5, 8)
    forged = [
        (journal.head(5), honest.model_copy(update={"root": "0" * 64})),
        (journal.head(5), honest.model_copy(update={"root": "0" * 64, "path": ()})),
        (journal.head(4), journal.growth(4, 8).model_copy(update={"root": "0" * 64})),
        (
            journal.head(5),
            honest.model_copy(update={"root": "0" * 64, "path": ("1" * 64, *honest.path[1:])}),
        ),
    ]
    for early, growth in forged:
        late = journal.head(8)
        value = ForkValue(first=early.token, second=late.token, root=growth.root, path=growth.path)
        with pytest.raises(ProofError):
            read(value, journal)
        shown = Grown(head=late.token, growths=(growth,))
        assert isinstance(examine_growth(early, late, shown), str)


def test_two_heads_of_one_size_need_nothing_else(network: Any) -> None:
    one, other = Journal(network, "abc"), Journal(network, "abX")
    value = fork_of(one.head(3), other.head(3))
    assert value is not None and value == fork_of(other.head(3), one.head(3))
    assert (value.root, value.path) == (None, ())
    first, second = sorted((one.head(3), other.head(3)), key=lambda seen: seen.token)
    assert read(value, one) == Fork(node=one.node.did, first=first.head, second=second.head)
    with pytest.raises(ProofError, match="there is no path"):
        read(value.model_copy(update={"root": "1" * 64}), one)
    with pytest.raises(ProofError, match="there is no path"):
        read(value.model_copy(update={"path": ("1" * 64,)}), one)
    with pytest.raises(ProofError, match="say the same"):
        read(value.model_copy(update={"second": value.first}), one)


def test_two_heads_of_one_size_exclude_each_other_by_root_or_by_hash(network: Any) -> None:
    journal = Journal(network, "abc")
    head = journal.head(3)
    for other in (journal.head(3, root="1" * 64), journal.head(3, hash="1" * 64)):
        assert not same_place(head.head, other.head)
        value = fork_of(head, other)
        assert value is not None and read(value, journal).node == journal.node.did
    for other in (
        journal.head(3, issued_at_ms=77),
        journal.head(2),
        Journal(network, "aX").head(2),
        journal.head(3, generation=2),
        journal.head(3, generation=2, root="1" * 64),
    ):
        assert fork_of(head, other) is None


def test_a_place_is_all_that_a_head_says_of_the_history(network: Any) -> None:
    journal = Journal(network, "abc")
    head = journal.head(2).head
    assert place_of(head) == journal.place(2)
    assert same_place(head, journal.head(2, issued_at_ms=77).head)


def test_a_head_is_its_nodes_and_of_this_network(network: Any) -> None:
    journal = Journal(network, "abc")
    seen = journal.head(3)
    assert read_seen(seen.token, node=journal.node.did, network=network.name) == seen
    with pytest.raises(ProofError, match="another node"):
        read_seen(seen.token, node=network.operator.did, network=network.name)
    with pytest.raises(ProofError, match="another network"):
        read_seen(seen.token, node=journal.node.did, network="b" * 26)


def test_heads_that_belong_to_no_fork_are_refused_in_this_order(network: Any, rebuilt: Any) -> None:
    one, other = Journal(network, "abc"), Journal(network, "aXc")
    value = fork_of(one.head(3), other.head(3))
    assert value is not None
    with pytest.raises(ProofError, match="another node"):
        read_fork(value, node=network.operator.did, network=network.name)
    with pytest.raises(ProofError, match="another network"):
        read_fork(value, node=one.node.did, network="b" * 26)
    elsewhere = Journal(rebuilt, "aXc").head(3).token
    for update in ({"first": elsewhere}, {"second": elsewhere}):
        with pytest.raises(ProofError, match="another network"):
            read(value.model_copy(update=update), one)
    broken = value.second[:-6] + "AAAAAA"
    with pytest.raises(ProofError, match="signature"):
        read(value.model_copy(update={"second": broken, "root": "1" * 64}), one)
    for first, second, why in (
        (one.head(3), other.head(2, generation=2), "two generations"),
        (one.head(2), other.head(3, generation=0), "two generations"),
        (one.head(3), other.head(2), "the longer one"),
    ):
        with pytest.raises(ProofError, match=why):
            read(ForkValue(first=first.token, second=second.token, path=("1" * 64,)), one)


def test_a_node_that_does_not_show_growth_proves_nothing(network: Any) -> None:
    journal = Journal(network, "abcdef")
    early, late = journal.head(3), journal.head(6)
    nothing = "it shows no growth from its first 3 entries"
    assert examine_growth(early, late, journal.grown(to=6)) == nothing
    assert examine_growth(early, late, journal.grown(2, 4, to=6)) == nothing
    assert examine_growth(late, early, journal.grown(6, to=6)) == "it has 3 entries, and had 6"
    short = journal.growth(3, 6).model_copy(update={"path": ()})
    shown = Grown(head=late.token, growths=(journal.growth(2, 6), short))
    assert examine_growth(early, late, shown) == (
        "it does not show growth from its first 3 entries: the path ends below the root"
    )


def test_a_node_goes_back_to_no_earlier_generation(network: Any) -> None:
    journal = Journal(network, "abcdef")
    newer, older = journal.head(3, generation=4), journal.head(6)
    assert examine_growth(newer, older, journal.grown(3, to=6)) == (
        "it is of generation 1 again, and was of generation 4"
    )


def test_a_fork_in_a_huge_journal_is_told_though_it_cannot_be_passed_on(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What verifies is short enough to pass on, unless a journal has 2^31 entries."""
    one, other = Journal(network, "abcdefg"), Journal(network, "aXcdefg")
    path = other.growth(3, 7).path
    monkeypatch.setattr("opkit.proof.forks.FORK_PATH_MAX", len(path))
    assert prove(one, other, 3, 7) == ForkValue(
        first=one.head(3).token,
        second=other.head(7).token,
        root=other.growth(3, 7).root,
        path=path,
    )
    monkeypatch.setattr("opkit.proof.forks.FORK_PATH_MAX", len(path) - 1)
    assert prove(one, other, 3, 7) == "its first 3 entries are others than they were"


def opened(network: Any, *, lost: HistoryPlace | None = None, words: str = "abcOef") -> Journal:
    """Return a journal whose fourth entry opens generation 2 after three."""
    return Journal(network, words, openings={4: lost})


def test_a_generation_that_lost_nothing_goes_on(network: Any) -> None:
    before, after = Journal(network, "abc"), opened(network)
    for size in range(4):
        shown = after.grown(size, to=6, opened=(4,))
        assert examine_growth(before.head(size), after.head(6), shown) is None
    nothing = after.grown(to=6, opened=(4,))
    assert examine_growth(before.head(0), after.head(6), nothing) is None
    for size in (1, 2, 3):
        assert examine_growth(before.head(size), after.head(6), nothing) == (
            f"it shows no growth from its first {size} entries"
        )


def test_a_generation_that_does_not_show_how_it_was_opened_is_not_believed(network: Any) -> None:
    before, after = Journal(network, "abc"), opened(network)
    early, late = before.head(2), after.head(6)
    unshown = "it does not show how generation 1 ended"
    assert examine_growth(early, late, after.grown(2, to=6)) == unshown
    shown = after.grown(2, to=6, opened=(4,))
    moved = shown.openings[0].model_copy(update={"path": ("1" * 64,) * 3})
    spoilt = shown.model_copy(update={"openings": (moved,)})
    assert examine_growth(early, late, spoilt) == (
        "it does not show how a generation was opened: the path leads to another root"
    )


def test_what_is_wrong_with_an_opening_is_told_and_no_longer_than_it_may_be(network: Any) -> None:
    before, after = Journal(network, "abc"), opened(network, words="w" * 6)
    said = examine_growth(before.head(2), after.head(6), after.grown(2, to=6, opened=(5,)))
    assert isinstance(said, str)
    assert said.startswith("it does not show how a generation was opened: 3 validation errors")
    assert len(said) == 400


def test_the_generation_after_which_another_was_opened_ended_there(network: Any) -> None:
    """A later opening says how its own generation began, nothing of those before."""
    after = Journal(network, "abcOeOg", openings={4: None, 6: None})
    early, late = after.head(5, generation=2), after.head(7)
    assert examine_growth(early, late, after.grown(5, to=7, opened=(4, 6))) is None
    assert examine_growth(early, late, after.grown(5, to=7, opened=(4,))) == (
        "it does not show how generation 2 ended"
    )
    first = Journal(network, "abcd")
    assert examine_growth(first.head(3), late, after.grown(3, to=7, opened=(4, 6))) is None
    assert examine_growth(first.head(4), late, after.grown(4, to=7, opened=(4, 6))) == (
        "generation 1 ended with 3 entries, it had signed for 4,"
        " and none that was opened since cites them"
    )


def test_another_entry_that_says_the_same_opens_no_generation(network: Any) -> None:
    real = opened(network)
    body = real.entries[3].body
    stored = stored_bytes(sequence=1, type_name="a.c", at_ms=1, body=canonical(body))
    tree, _ = Frontier().append(leaf_hash(stored))
    late = real.head(1, generation=2, root=tree.root().hex())
    entry = ProvenEntry(sequence=1, type="a.c", at_ms=1, body=body)
    shown = Grown(head=late.token, openings=(OpeningShown(entry=entry, path=()),))
    said = examine_growth(Journal(network, "abc").head(1), late, shown)
    assert said == "what it shows in place of an opened generation is another entry"


def test_a_generation_that_begins_otherwise_is_not_believed(network: Any) -> None:
    before, after = Journal(network, "aXc"), opened(network)
    said = examine_growth(before.head(2), after.head(6), after.grown(2, to=6, opened=(4,)))
    assert said == "its first 2 entries are others than they were"


def test_what_was_lost_must_be_cited_itself_or_a_longer_one_of_its_generation(
    network: Any,
) -> None:
    before = Journal(network, "abcdefg")
    cases = [
        (before.place(5), True),
        (before.place(6), True),
        (before.place(4), False),
        (before.place(5).model_copy(update={"root": "1" * 64}), False),
        (before.place(6).model_copy(update={"generation": 9}), False),
        (None, False),
    ]
    uncited = (
        "generation 1 ended with 3 entries, it had signed for 5,"
        " and none that was opened since cites them"
    )
    for lost, admitted in cases:
        after = opened(network, lost=lost)
        shown = after.grown(to=6, opened=(4,))
        said = examine_growth(before.head(5), after.head(6), shown)
        assert said == (None if admitted else uncited), lost


def test_a_later_opening_may_cite_what_the_first_did_not(network: Any) -> None:
    before = Journal(network, "abcdefg")
    after = Journal(network, "abcOeOg", openings={4: None, 6: before.place(5)})
    shown = after.grown(to=7, opened=(4, 6))
    assert examine_growth(before.head(5), after.head(7), shown) is None
    openings = [GenerationOpened.model_validate(after.entries[at - 1].body) for at in (4, 6)]
    assert admits_loss(before.place(5), openings)
    assert not admits_loss(before.place(5), openings[:1])
