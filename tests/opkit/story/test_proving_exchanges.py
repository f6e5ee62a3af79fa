"""A posted exchange that a marker rests on: nothing of it is believed that no home signed."""

from __future__ import annotations

from typing import Any

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.clearing import postings_of
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.story.evidence import EntryProof, ExchangeProof
from opkit.story.proving import exchange_record, proof_checks
from opkit.story.report import ExchangeRecord
from opkit.wire.clearing import Evidence
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead, ProvenEntry
from opkit.wire.journal import EntryProof as JournalProof
from opkit.wire.ledger import Cause, Entry, EntryPosted
from tests.opkit.proof.exchanges import AGREEMENT, SAID, offer_of
from tests.opkit.proof.test_audit import Books
from tests.simulation.town import GENESIS, NETWORK, key_of


def half(coop: str, *, signer: str | None = None, of: str | None = None) -> EntryProof:
    """Return a coop's half in the journal of its home, or of another signer."""
    entry = Books().post(
        coop=coop,
        kind="bound",
        postings=postings_of(offer_of(), of or coop),
        cause=Cause(kind="exchange", id=SAID.name),
    )
    return EntryProof(entry=entry, journal=journalled(entry, signer or coop))


def journalled(entry: Entry, signer: str) -> JournalProof:
    """Return the announcement of an entry as the only one of a node's signed journal."""
    event = EntryPosted(**{name: getattr(entry, name) for name in EntryPosted.model_fields})
    told = ProvenEntry(
        sequence=1, type=EntryPosted.type, at_ms=1, body=event.model_dump(mode="json")
    )
    tree, _ = Frontier().append(leaf_hash(canonical(told.model_dump(mode="json"))))
    head = JournalHead(
        network=NETWORK,
        aud="journal",
        node=key_of(signer).did,
        generation=1,
        size=1,
        root=tree.root().hex(),
        hash="1" * 64,
        issued_at_ms=1,
    )
    signed = jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=key_of(signer))
    return JournalProof(head=signed, entry=told, path=())


EVIDENCE = Evidence(offer=SAID.token, acceptances=(SAID.acceptance(),), outcome=SAID.commit())


def record(**changes: Any) -> ExchangeRecord:
    said: dict[str, Any] = {
        "evidence": EVIDENCE,
        "agreements": (AGREEMENT,),
        "halves": (half("apple"), half("birch")),
    }
    return exchange_record(ExchangeProof(**{**said, **changes}))


def failed(shown: ExchangeRecord, *, anchored: bool = True) -> set[str]:
    """Return the names of the checks that do not hold."""
    checks = proof_checks(shown, genesis=GENESIS if anchored else None)
    return {each.name.removeprefix("exchange, ") for each in checks if not each.ok}


def test_an_exchange_holds_with_both_halves_as_their_homes_journalled_them() -> None:
    assert failed(record()) == failed(record(), anchored=False) == set()


def test_a_posted_exchange_needs_a_half_of_each_party() -> None:
    for halves in ((), (half("apple"),), (half("apple"), half("apple"))):
        for anchored in (True, False):
            assert "a half of each party" in failed(record(halves=halves), anchored=anchored)


def test_an_entry_that_its_home_did_not_journal_is_no_half() -> None:
    """Anybody can hash up entries: what counts is whose journal has them."""
    made_up = record(halves=(half("apple", signer="cedar"), half("birch")))
    assert "half of apple, home" in failed(made_up)
    real, other = half("apple"), half("apple", of="birch")
    swapped = EntryProof(entry=other.entry, journal=real.journal)
    for anchored in (True, False):
        bad = record(halves=(swapped, half("birch")))
        assert "half of apple, event-hash" in failed(bad, anchored=anchored)


def test_an_exchange_whose_agreement_is_not_there_or_false_does_not_hold() -> None:
    assert failed(record(agreements=())) == {"agreed between apple and birch"}
    alone = AGREEMENT.model_copy(update={"signatures": AGREEMENT.signatures[1:]})
    for anchored in (True, False):
        names = failed(record(agreements=(alone,)), anchored=anchored)
        assert any(name.endswith("signed-by-all") for name in names)


def test_what_is_no_offer_at_all_fails() -> None:
    bad = record(evidence=EVIDENCE.model_copy(update={"offer": "x"}))
    assert failed(bad) == failed(bad, anchored=False) == {"offer"}
