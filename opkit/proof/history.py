"""A node's history as others can check it: signed heads, one entry, and growth without rewriting.

A head proves what the node said of its journal, and no more: that it showed everybody the same one
takes others who compare heads. Source: ADR 0019; RFC 9162.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError

from opkit.proof import jws, merkle
from opkit.proof.canonical import canonical
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.journal import JOURNAL_START, entry_hash
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.base import Jws, NetworkId, RecordId
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

FIRST_GENERATION = 1
"""The generation that nobody opened."""


def read_head(token: Jws, *, genesis: GenesisView | None) -> JournalHead:
    """Return a head that the node it names has signed.

    Args:
        token: the head.
        genesis: whose network it must belong to; None takes the network that it names.

    Raises:
        ProofError: signature, type, network or shape.
    """
    return read_head_in(token, network=None if genesis is None else genesis.network)


def read_head_in(token: Jws, *, network: NetworkId | None) -> JournalHead:
    """Return the same of a network that is known by its id only. Raises as `read_head`."""
    return jws.verify_by_author(
        token, typ=JOURNAL_HEAD_TYP, author="node", network=network, of=JournalHead
    )


class Rebuilding:
    """A journal hashed anew from its entries, one after another, in bounded memory.

    Attributes:
        hash: the last entry's hash, as it comes out.
        tree: the tree over the entries so far.
        openings: how each later generation was opened, in order.
    """

    def __init__(
        self,
        *,
        cut: JournalCheckpointed | None = None,
        openings: Sequence[GenerationOpened] = (),
    ) -> None:
        """Begin before the first entry, or after those that a checkpoint stands for.

        What stands for them is believed here: it holds if the whole then comes to a signed root.

        Args:
            cut: the journal's last checkpoint, if the entries up to it are gone.
            openings: how the generations before the checkpoint were opened.

        Raises:
            ProofError: the checkpoint's peaks are not those of a tree of its size.
        """
        self.hash: RecordId = JOURNAL_START
        self.tree = Frontier()
        self.openings: list[GenerationOpened] = []
        if cut is not None:
            if len(cut.peaks) != cut.size.bit_count():
                raise ProofError(f"a tree of {cut.size} entries has not {len(cut.peaks)} peaks")
            self.hash = cut.hash
            self.tree = Frontier(cut.size, tuple(_bytes(cut.peaks)))
            self.openings = [each for each in openings if each.after.size < cut.size]

    @property
    def place(self) -> HistoryPlace:
        """Where the journal stands after the entries so far."""
        generation = self.openings[-1].generation if self.openings else FIRST_GENERATION
        root = self.tree.root().hex()
        return HistoryPlace(generation=generation, size=self.tree.size, root=root, hash=self.hash)

    def add(self, entry: JournalEntry) -> None:
        """Add the next entry.

        Raises:
            ProofError: it is not the next one, does not cite the one before, its hash is not that
                of what it says, or it opens a generation and cites another place, in this order.
        """
        if entry.sequence != self.tree.size + 1:
            raise ProofError(f"entry {entry.sequence} comes after {self.tree.size}")
        if entry.previous != self.hash:
            raise ProofError(f"entry {entry.sequence} does not cite the one before")
        stored = _stored(entry)
        if entry_hash(previous=self.hash, stored=stored) != entry.hash:
            raise ProofError(f"entry {entry.sequence} is not what its hash covers")
        if entry.type == GenerationOpened.type:
            self._open(entry)
        self.hash = entry.hash
        self.tree, _ = self.tree.append(leaf_hash(stored))

    def _open(self, entry: JournalEntry) -> None:
        """Go on in the generation that an entry opens."""
        try:
            opened = GenerationOpened.heard(entry.body)
        except ValidationError as bad:
            raise ProofError(f"entry {entry.sequence} opens no generation") from bad
        if opened.after != self.place or opened.generation <= opened.after.generation:
            raise ProofError(f"entry {entry.sequence} opens a generation after another history")
        self.openings.append(opened)


def examine_head(
    name: str, token: Jws, *, genesis: GenesisView | None
) -> tuple[JournalHead | None, list[Check]]:
    """Return a head if it is well signed, and the checks that say so.

    Without a genesis the signature is checked against the key that the head names itself.

    Args:
        name: what the checks call it.
    """
    head, signed = attempt(f"{name}-signature", partial(read_head, token, genesis=genesis))
    if head is None or genesis is None:
        return head, [signed]
    node = genesis.node(head.node)
    known = Check(
        name=f"{name}-node-known",
        ok=node is not None,
        expected="a node of the network",
        actual=node.title if node else f"{head.node} is none",
    )
    return head, [signed, known]


def check_rebuilt(head: JournalHead, rebuilt: Rebuilding) -> list[Check]:
    """Return the checks that a journal's entries are those that its head was signed over."""
    return [
        equal("generation", expected=head.generation, actual=rebuilt.place.generation),
        equal("size", expected=head.size, actual=rebuilt.tree.size),
        equal("root", expected=head.root, actual=rebuilt.tree.root().hex()),
        equal("last-hash", expected=head.hash, actual=rebuilt.hash),
    ]


def examine_cut(
    cut: JournalCheckpointed, late: JournalHead, *, genesis: GenesisView | None
) -> tuple[JournalHead | None, list[Check]]:
    """Return the head that stands for removed entries, and the checks that it may.

    That it is of the same journal is shown by `check_growth` from it to `late`.

    Args:
        late: a head of the journal as it is now, verified.
    """
    head, checks = examine_head("checkpoint-head", cut.head, genesis=genesis)
    if head is not None:
        checks += [
            equal("checkpoint-network", expected=late.network, actual=head.network),
            equal("checkpoint-node", expected=late.node, actual=head.node),
            Check(
                name="checkpoint-covers",
                ok=cut.size <= head.size <= late.size,
                expected=f"a head of {cut.size:,} to {late.size:,} entries",
                actual=f"{head.size:,} entries",
            ),
        ]
    return head, checks


def check_same_journal(
    early: JournalHead, late: JournalHead, *, openings: Sequence[GenerationOpened] = ()
) -> list[Check]:
    """Return the checks that two heads can be of one journal, the second not before the first.

    Args:
        openings: how the journal's later generations were opened: the earlier head may be of a
            generation that ended, and then must not reach beyond its end.
    """
    checks = [
        equal("same-network", expected=early.network, actual=late.network),
        equal("same-node", expected=early.node, actual=late.node),
    ]
    ended = [each for each in openings if each.after.generation == early.generation]
    if ended and early.generation != late.generation:
        return [*checks, _check_kept(early, ended[0])]
    return [
        *checks,
        equal("same-generation", expected=early.generation, actual=late.generation),
        Check(
            name="not-shorter",
            ok=late.size >= early.size,
            expected=f"at least {early.size} entries",
            actual=f"{late.size} entries",
        ),
    ]


def _check_kept(early: JournalHead, opened: GenerationOpened) -> Check:
    """Return the check that a generation, when it ended, still had what a head of it counts."""
    kept = opened.after.size
    lost = max(early.size - kept, 0)
    return Check(
        name="kept-when-generation-ended",
        ok=lost == 0,
        expected=f"all {early.size:,} entries of generation {early.generation}'s head",
        actual=f"{kept:,} when generation {opened.generation} was opened: {lost:,} were lost",
    )


def check_growth(
    early: JournalHead, late: JournalHead, path: Sequence[RecordId], *, name: str = "only-grew"
) -> Check:
    """Return the check that a journal only grew from one head to the next.

    Args:
        path: the node's consistency proof; not read if the earlier journal was empty.
        name: what the check is called.
    """
    if early.size == 0:
        return equal(name, expected=merkle.EMPTY_ROOT.hex(), actual=early.root)
    _, grew = attempt(
        name,
        lambda: merkle.verify_consistency(
            first=early.size,
            first_root=bytes.fromhex(early.root),
            second=late.size,
            second_root=bytes.fromhex(late.root),
            path=_bytes(path),
        ),
    )
    return grew


def verify_entry(proof: EntryProof, *, genesis: GenesisView | None) -> Verdict:
    """Check that an entry is in a journal whose head its node signed; never raises for a bad one.

    Args:
        proof: the entry, the head and the path between them.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    head, checks = examine_head("head", proof.head, genesis=genesis)
    subject = f"journal entry {proof.entry.sequence}"
    if head is not None:
        subject = f"{subject} of generation {head.generation} by {head.node}"
        _, included = attempt(
            "entry-included", partial(check_included, proof.entry, head, proof.path)
        )
        checks.append(included)
    return Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None)


def check_included(entry: ProvenEntry, head: JournalHead, path: Sequence[RecordId]) -> None:
    """Return if an entry is in the journal of a head.

    Raises:
        ProofError: the path does not lead there, or the entry has no canonical spelling.
    """
    merkle.verify_inclusion(
        leaf=leaf_hash(_stored(entry)),
        index=entry.sequence - 1,
        size=head.size,
        path=_bytes(path),
        root=bytes.fromhex(head.root),
    )


def _stored(entry: JournalEntry | ProvenEntry) -> bytes:
    """Return the stored bytes of an entry as it travels.

    Raises:
        ProofError: its body or type has no canonical spelling.
    """
    members = {"at_ms": entry.at_ms, "body": entry.body}
    return canonical({**members, "sequence": entry.sequence, "type": entry.type})


def _bytes(path: Sequence[RecordId]) -> list[bytes]:
    return [bytes.fromhex(each) for each in path]
