"""An entry that a marker rests on: verified again from the genesis, by its own bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.keys import Identity
from opkit.proof.ledger import entry_hash
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.story.proving import proof_checks
from opkit.story.report import EntryRecord
from opkit.wire.journal import JOURNAL_HEAD_TYP, EntryProof, JournalHead, ProvenEntry
from opkit.wire.ledger import FIRST_PREVIOUS, Cause, Entry, EntryPosted, Posting

HARBOR = "harbor-homes-cooperative"
NOW_MS = 1_800_000_000_000
DECISION = "d" * 64


@pytest.fixture(scope="module")
def made() -> MadeWorld:
    """A world of three coops."""
    return make_world("three", now_ms=1)


def entry(made: MadeWorld, **changed: Any) -> Entry:
    """Return a payment by decision as the first entry of a ledger, hashed as it is."""
    unhashed = Entry(
        network=made.view.network,
        coop=HARBOR,
        entry_id="roof",
        kind="decided",
        postings=(
            Posting(account=f"{HARBOR}:reserve", unit="usd-cents", amount=-1_200_000),
            Posting(account=f"{HARBOR}:vendor/roof", unit="usd-cents", amount=1_200_000),
        ),
        memo="Roof repair",
        cause=Cause(kind="decision", id=DECISION),
        corrects=None,
        effective_on=None,
        sequence=1,
        recorded_ms=NOW_MS,
        world_ms=NOW_MS,
        by=f"{HARBOR}/felix",
        previous=FIRST_PREVIOUS,
        hash="0" * 64,
    ).model_copy(update=changed)
    return unhashed.model_copy(update={"hash": entry_hash(unhashed)})


def kept(
    made: MadeWorld, stands: Entry, *, home: Identity | None = None, **said: Any
) -> EntryRecord:
    """Return an entry with its place in the journal of a node, of which it is the only entry.

    Args:
        made: the network.
        stands: the entry.
        home: who signs the journal's head; the coop's home node unless said.
        said: fields in which the journal's event tells something else.
    """
    home = home or made.nodes[HARBOR]
    event = EntryPosted(**{name: getattr(stands, name) for name in EntryPosted.model_fields} | said)
    told = ProvenEntry(
        sequence=1, type=EntryPosted.type, at_ms=NOW_MS, body=event.model_dump(mode="json")
    )
    leaf = leaf_hash(canonical(told.model_dump(mode="json")))
    tree, _ = Frontier().append(leaf)
    head = JournalHead(
        network=made.view.network,
        aud="journal",
        node=home.did,
        generation=1,
        size=1,
        root=tree.root().hex(),
        hash="1" * 64,
        issued_at_ms=NOW_MS,
    )
    signed = jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=home)
    return EntryRecord(entry=stands, journal=EntryProof(head=signed, entry=told, path=()))


def failures(record: EntryRecord, made: MadeWorld) -> list[str]:
    """Return the names of the checks that do not hold."""
    return [check.name for check in proof_checks(record, genesis=made.view) if not check.ok]


def test_an_entry_that_its_home_has_journalled_holds(made: MadeWorld) -> None:
    checks = proof_checks(kept(made, entry(made)), genesis=made.view)
    assert not [check for check in checks if not check.ok]
    assert {check.name for check in checks} >= {
        "entry, hash",
        "entry, sum-usd-cents",
        "entry, event-hash",
        "entry, head-signature",
        "entry, entry-included",
        "entry, home",
    }


def test_without_a_genesis_nothing_is_said_of_the_home(made: MadeWorld) -> None:
    stranger = kept(made, entry(made), home=Identity.generate())
    checks = proof_checks(stranger, genesis=None)
    assert all(check.ok for check in checks)
    assert "entry, home" not in {check.name for check in checks}


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda stands: {"memo": "Yacht"}, "entry, hash"),
        (lambda stands: {"cause": None}, "entry, hash"),
        (lambda stands: {"sequence": 2}, "entry, event-sequence"),
        (lambda stands: {"postings": stands.postings[:1] * 2}, "entry, sum-usd-cents"),
    ],
)
def test_an_entry_that_was_changed_afterwards_is_found_out(
    made: MadeWorld, spoil: Callable[[Entry], dict[str, Any]], found: str
) -> None:
    honest = kept(made, entry(made))
    changed = honest.entry.model_copy(update=spoil(honest.entry))
    assert found in failures(honest.model_copy(update={"entry": changed}), made)


def test_another_whole_entry_does_not_pass_for_the_journalled_one(made: MadeWorld) -> None:
    honest, other = kept(made, entry(made)), entry(made, memo="Yacht")
    shown = honest.model_copy(update={"entry": other})
    assert failures(shown, made) == ["entry, event-hash"]


def test_a_journal_of_another_node_than_the_home_shows_nothing(made: MadeWorld) -> None:
    other = made.nodes["river-city-tool-library"]
    assert failures(kept(made, entry(made), home=other), made) == ["entry, home"]
    stranger = failures(kept(made, entry(made), home=Identity.generate()), made)
    assert set(stranger) == {"entry, head-node-known", "entry, home"}


def test_an_event_that_is_not_in_the_journal_is_found_out(made: MadeWorld) -> None:
    honest = kept(made, entry(made))
    told = honest.journal.entry.model_copy(update={"at_ms": NOW_MS + 1})
    journal = honest.journal.model_copy(update={"entry": told})
    assert failures(honest.model_copy(update={"journal": journal}), made) == [
        "entry, entry-included"
    ]


def test_an_entry_of_another_network_is_none_of_ours(made: MadeWorld) -> None:
    elsewhere = make_world("three", now_ms=1)
    record = kept(elsewhere, entry(elsewhere))
    assert "entry, network" in failures(record, made)
