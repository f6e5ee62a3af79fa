"""Signed heads, entries shown offline, journals hashed anew, growth told from rewriting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.checks import Check, ProofError
from opkit.proof.history import (
    Rebuilding,
    check_growth,
    check_rebuilt,
    check_same_journal,
    examine_cut,
    read_head,
    verify_entry,
)
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.keys import Identity
from opkit.proof.merkle import Frontier, consistency_path, inclusion_path, leaf_hash
from opkit.wire.base import Jws
from opkit.wire.events import JournalEntry
from opkit.wire.journal import (
    JOURNAL_HEAD_TYP,
    EntryProof,
    GenerationOpened,
    HistoryPlace,
    JournalCheckpointed,
    JournalHead,
    ProvenEntry,
)


def head_of(network: Any, *, signer: Any = None, **changes: Any) -> Jws:
    node = network.nodes["tool-library"]
    fields: dict[str, Any] = {
        "network": network.name,
        "aud": "journal",
        "node": node.did,
        "generation": 1,
        "size": 3,
        "root": "1" * 64,
        "hash": "2" * 64,
        "issued_at_ms": 9,
    }
    head = JournalHead(**{**fields, **changes})
    return jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=signer or node)


def test_a_head_is_read_with_the_genesis_and_without(network: Any) -> None:
    token = head_of(network)
    assert read_head(token, genesis=network.view) == read_head(token, genesis=None)


def test_a_head_that_another_signed_or_of_another_network_is_not_read(
    network: Any, rebuilt: Any
) -> None:
    with pytest.raises(ProofError, match="it is signed by"):
        read_head(head_of(network, signer=network.operator), genesis=network.view)
    with pytest.raises(ProofError, match="another network"):
        read_head(head_of(rebuilt), genesis=network.view)


class Written:
    """A journal of some entries, as a node that signs heads over it would have it."""

    def __init__(
        self, network: Any, count: int, *, changed: int = 0, opens: dict[int, Any] | None = None
    ) -> None:
        self.network = network
        self.entries: list[JournalEntry] = []
        self.trees = [Frontier()]
        previous = JOURNAL_START
        for at in range(1, count + 1):
            body: dict[str, Any] = {"what": "rewritten" if at == changed else f"entry {at}"}
            name = "a.b"
            if opens and at in opens:
                name, body = GenerationOpened.type, self._opening(opens[at], previous)
            stored = stored_bytes(sequence=at, type_name=name, at_ms=at, body=canonical(body))
            digest = entry_hash(previous=previous, stored=stored)
            fields = {"sequence": at, "type": name, "at_ms": at, "body": body}
            self.entries.append(JournalEntry(**fields, previous=previous, hash=digest))
            self.trees.append(self.trees[-1].append(leaf_hash(stored))[0])
            previous = digest
        self.leaves = [leaf_hash(canonical(each)) for each in map(self._leaf, self.entries)]

    def _opening(self, changes: dict[str, Any], previous: str) -> dict[str, Any]:
        size, root = self.trees[-1].size, self.trees[-1].root().hex()
        after = HistoryPlace(generation=1, size=size, root=root, hash=previous)
        changes = {"to": 5, **changes}
        opened = GenerationOpened(generation=5, after=after.model_copy(update=changes))
        return {**opened.model_dump(mode="json"), "generation": changes["to"]}

    def _leaf(self, entry: JournalEntry) -> dict[str, Any]:
        return entry.model_dump(include={"sequence", "type", "at_ms", "body"})

    def _subtree(self, level: int, position: int) -> bytes:
        tree = Frontier()
        for leaf in self.leaves[position << level : (position + 1) << level]:
            tree, _ = tree.append(leaf)
        return tree.root()

    def signed(self, size: int, **changes: Any) -> Jws:
        last = self.entries[size - 1].hash if size else JOURNAL_START
        root = self.trees[size].root().hex()
        return head_of(self.network, **{"size": size, "root": root, "hash": last, **changes})

    def head(self, size: int, **changes: Any) -> JournalHead:
        return read_head(self.signed(size, **changes), genesis=self.network.view)

    def cut(self, size: int, *, signed: int, **changes: Any) -> JournalCheckpointed:
        fields: dict[str, Any] = {
            "size": size,
            "hash": self.entries[size - 1].hash,
            "peaks": tuple(peak.hex() for peak in self.trees[size].peaks),
            "head": self.signed(signed),
        }
        return JournalCheckpointed(**{**fields, **changes})

    def growth(self, first: int, second: int) -> list[str]:
        path = consistency_path(first=first, second=second, subtree=self._subtree)
        return [each.hex() for each in path]

    def proof(self, sequence: int, size: int, **changes: Any) -> EntryProof:
        path = inclusion_path(index=sequence - 1, size=size, subtree=self._subtree)
        entry = ProvenEntry(**self._leaf(self.entries[sequence - 1]))
        fields = {"head": self.signed(size), "entry": entry, "path": [each.hex() for each in path]}
        return EntryProof(**{**fields, **changes})


@pytest.fixture(scope="module")
def written(network: Any) -> Written:
    return Written(network, 13)


def failed(checks: Sequence[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


@pytest.mark.parametrize("sequence", [1, 7, 13])
def test_an_entry_is_verified_offline_with_the_genesis_and_consistent_without(
    written: Written, network: Any, sequence: int
) -> None:
    proof = written.proof(sequence, 13)
    assert verify_entry(proof, genesis=network.view).status == "verified"
    unknown = verify_entry(proof, genesis=None)
    assert unknown.status == "consistent, signer unknown"


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 6},
        {"type": "a.c"},
        {"at_ms": 8},
        {"body": {"what": "other"}},
        {"body": {"what": 1.5}},
    ],
)
def test_a_changed_entry_is_not_in_the_journal(
    written: Written, network: Any, changes: dict[str, Any]
) -> None:
    good = written.proof(7, 13)
    bad = good.model_copy(update={"entry": good.entry.model_copy(update=changes)})
    verdict = verify_entry(bad, genesis=network.view)
    assert [check.name for check in verdict.failures] == ["entry-included"]


def test_a_head_by_a_stranger_or_of_another_tree_proves_no_entry(
    written: Written, network: Any
) -> None:
    stranger = Identity.generate()
    forged = written.signed(13, node=stranger.did, signer=stranger)
    verdict = verify_entry(written.proof(7, 13, head=forged), genesis=network.view)
    assert failed(verdict.checks) == ["head-node-known"]
    other = verify_entry(written.proof(7, 13, head=written.signed(12)), genesis=network.view)
    assert failed(other.checks) == ["entry-included"]
    unsigned = written.proof(7, 13, head=written.signed(13)[:-4] + "AAAA")
    assert failed(verify_entry(unsigned, genesis=network.view).checks) == ["head-signature"]


def shown(checks: Sequence[Check]) -> list[tuple[str, str, str]]:
    """Return what each check is called, expected and found: people read it."""
    return [(check.name, check.expected, check.actual) for check in checks]


def test_a_proof_of_an_entry_shows_what_was_looked_at(written: Written, network: Any) -> None:
    node = network.nodes["tool-library"].did
    verdict = verify_entry(written.proof(7, 13), genesis=network.view)
    assert verdict.subject == f"journal entry 7 of generation 1 by {node}"
    assert isinstance(verdict.checks, tuple)
    assert shown(verdict.checks) == [
        ("head-signature", "verifies", "verifies"),
        ("head-node-known", "a node of the network", "Tool-Library"),
        ("entry-included", "verifies", "verifies"),
    ]
    stranger = Identity.generate()
    forged = written.signed(13, node=stranger.did, signer=stranger)
    unknown = verify_entry(written.proof(7, 13, head=forged), genesis=network.view)
    assert shown(unknown.checks)[1][2] == f"{stranger.did} is none"
    unread = verify_entry(written.proof(7, 13, head="x"), genesis=network.view)
    assert (unread.subject, len(unread.checks)) == ("journal entry 7", 1)


def test_a_head_of_an_earlier_network_of_the_same_nodes_proves_no_entry(
    network: Any, rebuilt: Any
) -> None:
    proof = Written(rebuilt, 3).proof(2, 3)
    assert failed(verify_entry(proof, genesis=network.view).checks) == ["head-signature"]
    assert failed(verify_entry(proof, genesis=None).checks) == []


def test_entries_hash_to_the_head_that_was_signed_over_them(written: Written) -> None:
    rebuilt = Rebuilding()
    for entry in written.entries:
        rebuilt.add(entry)
    assert failed(check_rebuilt(written.head(13), rebuilt)) == []
    assert failed(check_rebuilt(written.head(12), rebuilt)) == ["size", "root", "last-hash"]
    other = written.head(13, generation=2)
    assert failed(check_rebuilt(other, rebuilt)) == ["generation"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sequence": 3}, "comes after"),
        ({"previous": "f" * 64}, "does not cite"),
        ({"body": {"what": "other"}}, "is not what its hash covers"),
    ],
)
def test_an_entry_out_of_place_ends_the_rebuilding(
    written: Written, changes: dict[str, Any], why: str
) -> None:
    rebuilt = Rebuilding()
    rebuilt.add(written.entries[0])
    with pytest.raises(ProofError, match=why):
        rebuilt.add(written.entries[1].model_copy(update=changes))


def test_a_journal_that_grew_is_the_same_and_a_rewritten_one_is_not(
    written: Written, network: Any
) -> None:
    late = written.head(13)
    for size in (1, 8, 12, 13):
        early = written.head(size)
        assert failed(check_same_journal(early, late)) == []
        assert check_growth(early, late, written.growth(size, 13)).ok
        rewritten = Written(network, 13, changed=size)
        grown = check_growth(early, rewritten.head(13), rewritten.growth(size, 13))
        assert not grown.ok
    assert check_growth(written.head(0), late, []).ok
    assert not check_growth(written.head(0, root="f" * 64), late, []).ok


def test_heads_of_other_journals_are_told_apart(written: Written) -> None:
    late = written.head(12)
    assert failed(check_same_journal(written.head(13), late)) == ["not-shorter"]
    assert failed(check_same_journal(written.head(12, generation=2), late)) == ["same-generation"]
    other = written.network.nodes["building-yard"]
    elsewhere = written.head(12, node=other.did, signer=other)
    assert failed(check_same_journal(elsewhere, late)) == ["same-node"]


def test_what_two_heads_have_in_common_is_shown(written: Written, network: Any) -> None:
    node = network.nodes["tool-library"].did
    assert shown(check_same_journal(written.head(12), written.head(13))) == [
        ("same-network", network.name, network.name),
        ("same-node", node, node),
        ("same-generation", "1", "1"),
        ("not-shorter", "at least 12 entries", "13 entries"),
    ]
    assert check_growth(written.head(0), written.head(13), []).name == "only-grew"
    assert check_growth(written.head(1), written.head(13), []).name == "only-grew"


def test_a_head_of_a_generation_that_ended_counts_as_far_as_it_was_kept(network: Any) -> None:
    written = Written(network, 13, opens={8: {}})
    rebuilt = Rebuilding()
    for entry in written.entries:
        rebuilt.add(entry)
    late = written.head(13, generation=5)
    assert failed(check_rebuilt(late, rebuilt)) == []
    for size in (1, 6, 7):
        early = written.head(size)
        assert failed(check_same_journal(early, late, openings=rebuilt.openings)) == []
        assert check_growth(early, late, written.growth(size, 13)).ok
    beyond = check_same_journal(written.head(9), late, openings=rebuilt.openings)
    assert failed(beyond) == ["kept-when-generation-ended"]
    assert beyond[-1].expected == "all 9 entries of generation 1's head"
    assert beyond[-1].actual == "7 when generation 5 was opened: 2 were lost"
    within = check_same_journal(written.head(9), written.head(10), openings=rebuilt.openings)
    assert failed(within) == [], "both are of the generation before it ended"
    same = check_same_journal(written.head(9, generation=5), late, openings=rebuilt.openings)
    assert failed(same) == []
    unknown = check_same_journal(written.head(9, generation=4), late, openings=rebuilt.openings)
    assert failed(unknown) == ["same-generation"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": 6}, "after another history"),
        ({"root": "0" * 64}, "after another history"),
        ({"hash": "0" * 64}, "after another history"),
        ({"generation": 2}, "after another history"),
        ({"to": 1}, "after another history"),
        ({"to": "x"}, "opens no generation"),
    ],
)
def test_a_generation_that_cites_another_place_ends_the_rebuilding(
    network: Any, changes: dict[str, Any], why: str
) -> None:
    written = Written(network, 8, opens={8: changes})
    rebuilt = Rebuilding()
    for entry in written.entries[:7]:
        rebuilt.add(entry)
    with pytest.raises(ProofError, match=why):
        rebuilt.add(written.entries[7])


@pytest.mark.parametrize("size", [1, 2, 6, 8, 9, 12])
def test_a_journal_is_rebuilt_from_a_checkpoint_on(network: Any, size: int) -> None:
    written = Written(network, 13, opens={3: {}, 10: {"generation": 5, "to": 9}})
    openings = [GenerationOpened.model_validate(written.entries[at].body) for at in (2, 9)]
    cut = written.cut(size, signed=12)
    rebuilt = Rebuilding(cut=cut, openings=openings)
    for entry in written.entries[size:]:
        rebuilt.add(entry)
    late = written.head(13, generation=9)
    assert rebuilt.openings == openings
    assert failed(check_rebuilt(late, rebuilt)) == []
    at_cut, checks = examine_cut(cut, late, genesis=network.view)
    assert at_cut is not None
    assert failed(checks) == []
    grown = check_growth(at_cut, late, written.growth(12, 13), name="grew-from-checkpoint")
    assert (grown.name, grown.ok) == ("grew-from-checkpoint", True)


def test_a_checkpoint_that_stands_for_other_entries_comes_to_another_root(network: Any) -> None:
    true, other = Written(network, 13), Written(network, 13, changed=2)
    rebuilt = Rebuilding(cut=true.cut(6, signed=12, peaks=other.cut(6, signed=12).peaks))
    for entry in true.entries[6:]:
        rebuilt.add(entry)
    assert failed(check_rebuilt(true.head(13), rebuilt)) == ["root"]
    with pytest.raises(ProofError, match="has not 1 peaks"):
        Rebuilding(cut=true.cut(6, signed=12, peaks=true.cut(8, signed=12).peaks))
    unlinked = Rebuilding(cut=true.cut(6, signed=12, hash="f" * 64))
    with pytest.raises(ProofError, match="does not cite"):
        unlinked.add(true.entries[6])


@pytest.mark.parametrize("signed", [6, 12])
def test_a_checkpoint_shows_what_its_head_covers(
    written: Written, network: Any, signed: int
) -> None:
    late = written.head(12)
    node = network.nodes["tool-library"].did
    _, checks = examine_cut(written.cut(6, signed=signed), late, genesis=network.view)
    assert failed(checks) == []
    assert shown(checks) == [
        ("checkpoint-head-signature", "verifies", "verifies"),
        ("checkpoint-head-node-known", "a node of the network", "Tool-Library"),
        ("checkpoint-network", network.name, network.name),
        ("checkpoint-node", node, node),
        ("checkpoint-covers", "a head of 6 to 12 entries", f"{signed} entries"),
    ]


def test_a_head_stands_for_removed_entries_only_if_it_is_the_nodes_and_covers_them(
    written: Written, network: Any
) -> None:
    late = written.head(12)
    for signed in (5, 13):
        _, checks = examine_cut(written.cut(6, signed=signed), late, genesis=network.view)
        assert failed(checks) == ["checkpoint-covers"]
    other = network.nodes["building-yard"]
    stranger = written.signed(8, node=other.did, signer=other)
    _, checks = examine_cut(written.cut(6, signed=8, head=stranger), late, genesis=network.view)
    assert failed(checks) == ["checkpoint-node"]
    forged = written.signed(8)[:-4] + "AAAA"
    at_cut, checks = examine_cut(written.cut(6, signed=8, head=forged), late, genesis=network.view)
    assert at_cut is None
    assert failed(checks) == ["checkpoint-head-signature"]
