"""Evidence that an auditor gathered, to prove things about: it is as it is said, true or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opkit.proof import jws
from opkit.proof.audited import AuditView, examine_audit
from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.canonical import canonical
from opkit.proof.checks import Check
from opkit.proof.clearing import postings_of
from opkit.proof.genesis import GenesisView
from opkit.proof.jws import record_id
from opkit.proof.keys import Identity
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import AuditFile, ChangeAfter, CoopEvidence, Gap
from opkit.wire.clearing import Evidence, Leg
from opkit.wire.journal import JOURNAL_HEAD_TYP, EntryProof, JournalHead, ProvenEntry
from opkit.wire.ledger import AccountConfigured, Cause, EntryPosted, Posting
from opkit.wire.votes import AccountChange, ConfigurationEffect
from tests.opkit.proof.assemblies import TOOLS, good
from tests.opkit.proof.test_agreement import tampered
from tests.opkit.proof.test_audit import NETWORK, Books
from tests.opkit.proof.test_clearing import AGREEMENT, SAID, Said, agreed, offer_of, terms_of
from tests.simulation import town

OFFER = offer_of()
RULING = SAID.ruling()
UNIT = "usd-cents"
NO_HASH = "5" * 64


def view_of(*shown: CoopEvidence, genesis: GenesisView | None, **changes: Any) -> AuditView:
    """Return an audit of this evidence, verified."""
    said = {"network": NETWORK, "auditor": "apple/zuri", "gathered_ms": 1, "coops": shown}
    return examine_audit(AuditFile(**{**said, **changes}), genesis=genesis)


def evidence_of(genesis: GenesisView, coop: str, books: Books, **shown: Any) -> CoopEvidence:
    """Return what the home of a coop showed."""
    charter = genesis.charter(coop)
    assert charter is not None
    said = {"coop": coop, "home": charter.home_node, "entries": tuple(books.entries)}
    return CoopEvidence(**{**said, **shown})


def audited(genesis: GenesisView, coop: str, books: Books, **shown: Any) -> AuditedCoop:
    """Return the evidence of one coop, verified; nothing ties its ledger to a journal."""
    return view_of(evidence_of(genesis, coop, books, **shown), genesis=genesis).coops[coop]


def failures(of: AuditedCoop) -> dict[str, str]:
    """Return what is, where something else should be, by the name of the check."""
    return {check.name: check.actual for check in of.checks if not check.ok}


def named(of: AuditedCoop, name: str) -> Check:
    """Return the one check of this name."""
    (found,) = (check for check in of.checks if check.name == name)
    return found


def is_so(name: str, value: str) -> Check:
    """Return the check that found what it looked for."""
    return Check(name=name, ok=True, expected=value, actual=value)


def cited(of: AuditedCoop) -> list[str]:
    """Return what kinds of proofs entries and changes rest on that are not there."""
    return [gap.kind for gap in of.gaps.values()]


def gap(kind: str, missing: str = "", *, coop: str = "apple", **changes: Any) -> Gap:
    said = {"coop": coop, "kind": kind, "named": missing, "cited_by": None, "why": "not-shown"}
    return Gap.model_validate({**said, **changes})


def evidence(**changes: Any) -> Evidence:
    """Return what was signed of the exchange between apple and birch, which was committed."""
    said = {"offer": SAID.token, "acceptances": (SAID.acceptance(),), "outcome": SAID.commit()}
    return Evidence(**{**said, **changes})


def half(
    coop: str = "apple", *, back: bool = False, of: str = "apple", ruling: str = ""
) -> dict[str, Any]:
    """Return what an entry says that posts a coop's half of the exchange, or takes it back."""
    cause = Cause(kind="exchange", id=SAID.name)
    if back or ruling:
        cause = Cause(kind="ruling", id=record_id(ruling or RULING))
    return {
        "coop": coop,
        "kind": "bound",
        "postings": postings_of(OFFER, of, back=back),
        "cause": cause,
    }


COMMITTED = SAID.ruling(ending="committed")
NOT_COMMITTED = "nothing says that it was committed"
SOMETHING_ELSE = "it posts something else than was offered"

HALVES: list[tuple[dict[str, Any], Evidence, str | None]] = [
    (half(), evidence(), None),
    (half(), evidence(ruling=COMMITTED), None),
    (half(), evidence(outcome=SAID.abort(), rival=SAID.commit(), ruling=COMMITTED), None),
    (half(), evidence(outcome=SAID.abort(), rival=SAID.commit()), NOT_COMMITTED),
    (half(), evidence(ruling=RULING), None),
    (half(), evidence(outcome=None), NOT_COMMITTED),
    (half(), evidence(outcome=SAID.abort()), NOT_COMMITTED),
    (half(), evidence(outcome=SAID.abort(), ruling=RULING), NOT_COMMITTED),
    (half(ruling=COMMITTED), evidence(ruling=COMMITTED), None),
    (half(back=True, ruling=COMMITTED), evidence(ruling=COMMITTED), SOMETHING_ELSE),
    (half(back=True), evidence(ruling=RULING), None),
    (half(back=True), evidence(ruling=RULING, outcome=None), None),
    (half(ruling=RULING), evidence(ruling=RULING), SOMETHING_ELSE),
    ({**half(), "postings": half(back=True)["postings"]}, evidence(), SOMETHING_ELSE),
    (half("cedar"), evidence(), "cedar takes no part in it"),
    (half(of="birch"), evidence(), SOMETHING_ELSE),
]
"""What an entry posts of the exchange, what was signed of that, and why it is not that half."""


def exchanged(books: Books, shown: Evidence, coop: str = "apple") -> AuditedCoop:
    return audited(town.GENESIS, coop, books, exchanges=(shown,), agreements=(AGREEMENT,))


def moved(payer: str, payee: str, amount: int = 5, *, coop: str = TOOLS) -> tuple[Posting, ...]:
    return (
        Posting(account=f"{coop}:{payer}", unit=UNIT, amount=-amount),
        Posting(account=f"{coop}:{payee}", unit=UNIT, amount=amount),
    )


def tied(books: Books, home: Identity, *, network: str = NETWORK, **changes: Any) -> EntryProof:
    """Return the proof that the last entry was announced in the journal that a home signed.

    Of the announcement's type and body, of the head and of the proof all may be changed.
    """
    last = books.entries[-1]
    body = {"coop": last.coop, "sequence": last.sequence, "hash": last.hash}
    body = {name: changes.pop(name, said) for name, said in body.items()}
    type_name = changes.pop("type", EntryPosted.type)
    before, entry = (
        ProvenEntry(sequence=number, type=name, at_ms=number, body=said)
        for number, (name, said) in enumerate((("a.b", {}), (type_name, body)), 1)
    )
    tree = Frontier()
    leaves = [leaf_hash(canonical(each.model_dump())) for each in (before, entry)]
    for leaf in leaves:
        tree, _ = tree.append(leaf)
    head = JournalHead(
        network=network,
        aud="journal",
        node=home.did,
        generation=1,
        size=2,
        root=tree.root().hex(),
        hash="2" * 64,
        issued_at_ms=9,
    )
    signed = jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=home)
    return EntryProof(**{"head": signed, "entry": entry, "path": (leaves[0].hex(),), **changes})


def _halved() -> Books:
    books = Books()
    books.post(**half())
    return books


_HOMES = [town.key_of(coop).did for coop in ("apple", "birch")]

OTHER_TIES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"head": "x"}, "journal-head", "verifies", "not a compact JWS"),
    ({"network": "b" * 26}, "journal-head", "verifies", "it belongs to another network"),
    ({"home": town.key_of("birch")}, "journal-of-home", *_HOMES),
    ({"path": ("1" * 64,)}, "tied-to-journal", "verifies", "the path leads to another root"),
    ({"type": "ledger.hold-posted"}, "announced", "ledger.entry-posted", "ledger.hold-posted"),
    ({"coop": "birch"}, "announced-coop", "apple", "birch"),
    ({"sequence": 2}, "announced-place", "1", "2"),
    ({"hash": NO_HASH}, "announced-hash", _halved().entries[0].hash, NO_HASH),
]
"""How apple's tie to its journal may be changed, and what check then says what instead of what."""


def floored(prefix: str) -> GenesisView:
    """Return the town's genesis with the accounts in apple's charter beginning so."""
    genesis = town.GENESIS.genesis
    charters = []
    for signed in genesis.charters:
        floors = tuple(
            each.model_copy(update={"account": f"{prefix}{each.account}"})
            for each in signed.charter.floors
        )
        charter = signed.charter.model_copy(update={"floors": floors})
        is_apple = charter.coop == "apple"
        charters.append(signed.model_copy(update={"charter": charter}) if is_apple else signed)
    changed = genesis.model_copy(update={"charters": tuple(charters)})
    return replace(town.GENESIS, genesis=changed)


def unsigned(file: AgreementFile) -> AgreementFile:
    """Return an agreement that one of its parties has not signed after all."""
    first, *rest = file.signatures
    forged = first.model_copy(update={"signature": tampered(first.signature)})
    return file.model_copy(update={"signatures": (forged, *rest)})


OTHERS = agreed(terms_of("birch", "cedar"))
OWN = [agreed(terms_of(*pair)) for pair in (("apple", "birch"), ("apple", "cedar"))]


def netted(*agreements: AgreementFile) -> tuple[AuditedCoop, str]:
    """Audit the books of apple, which nets its debts with two others; return also the entry."""
    legs = [
        Leg(agreement=file.agreement, payer=payer, payee=payee, amount=5)
        for file, payer, payee in zip(
            (OWN[0], OTHERS, OWN[1]),
            ("birch", "cedar", "apple"),
            ("apple", "birch", "cedar"),
            strict=True,
        )
    ]
    offer = offer_of(*legs, kind="netting")
    said = Said(offer)
    accepted = tuple(said.acceptance(key=coop, coop=coop) for coop in ("birch", "cedar"))
    commit = said.commit(acceptances=tuple(record_id(each) for each in accepted))
    shown = Evidence(offer=said.token, acceptances=accepted, outcome=commit)
    books = Books()
    entry = books.post(
        coop="apple",
        kind="bound",
        postings=postings_of(offer, "apple"),
        cause=Cause(kind="exchange", id=said.name),
    )
    seen = audited(town.GENESIS, "apple", books, exchanges=(shown,), agreements=agreements)
    return seen, entry.hash


def numbered(assembly: Any, *numbers: int) -> tuple[Any, ...]:
    """Return the decisions with these numbers, as they left the coop."""
    files = [good(assembly, "yyny-", sequence=number) for number in numbers]
    return tuple(assembly.attested(file) for file in files)


TILL = f"{TOOLS}:till"


def closing(assembly: Any, said: str = "yyny-") -> tuple[Any, str]:
    """Return the decision that closes the till, as it left the coop, and its hash."""
    effect = ConfigurationEffect(
        accounts=(AccountChange(account=TILL, unit=UNIT, floor=None, closed=True),)
    )
    proposal = assembly.proposal(effect=effect, treasury_nonce=None)
    file = good(assembly, said, proposal=proposal)
    return assembly.attested(file), record_id(file.decision)


def closed(assembly: Any, *, said: str = "yyny-", false: bool = False, **changes: Any) -> Any:
    """Audit a ledger whose second entry pays into the till, closed after the first."""
    shown, decision = closing(assembly, said)
    if false:
        shown = shown.model_copy(update={"commitments": ()})
    books = Books()
    for number in (1, 2, 3):
        books.post(coop=TOOLS, postings=moved("rent", "till", number))
    account = {"coop": TOOLS, "account": TILL, "unit": UNIT, "floor": 0, "closed": True}
    configured = AccountConfigured(**{**account, "decision": decision, **changes})
    opened = configured.model_copy(update={"decision": NO_HASH})
    after = [ChangeAfter(after=2, said=opened), ChangeAfter(after=1, said=configured)]
    seen = {}
    for number in (1, 3):
        after[1] = after[1].model_copy(update={"after": number})
        seen[number] = audited(
            assembly.network.view, TOOLS, books, decisions=(shown,), changes=tuple(after)
        )
        found = seen[number].gaps.pop(NO_HASH)
        assert found == gap("decision", NO_HASH, coop=TOOLS), "whoever opens it again"
    return seen[1], seen[3], decision


def told(of: AuditedCoop) -> tuple[str | None, bool]:
    """Return what is wrong with decisions, and whether the till was closed at the second entry."""
    found = failures(of)
    return found.get("decisions"), f"entry 2: {TILL} is closed" in found["floors"]
