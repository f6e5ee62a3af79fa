"""Exchanges: read, mirrored and verified by whoever holds the genesis, without any node.

Each word of an exchange is signed by the home node of the coop that says it, or by the arbiter's
node. What it posts follows from the offer alone, so whoever has the offer knows what must stand in
each ledger, and one coop's half from the other's. Source: ADR 0046.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from opkit.proof import jws
from opkit.proof.agreement import examine_agreement
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.ledger import entry_hash, sums_of
from opkit.wire.agreements import AgreementFile
from opkit.wire.base import SAFE_INT_MAX, Did, Jws, RecordId, Slug
from opkit.wire.clearing import (
    ABORT_TYP,
    ACCEPTANCE_TYP,
    COMMIT_TYP,
    EXCHANGE_ENTRY_PREFIX,
    OFFER_TTL_MS_MAX,
    OFFER_TYP,
    RULING_TYP,
    Abort,
    Acceptance,
    Commit,
    Ending,
    Evidence,
    Leg,
    Offer,
    Ruling,
)
from opkit.wire.ledger import Entry, Posting
from opkit.wire.terms import Terms

GIVEN_FOR = "equity/exchanges"
"""The account that stands for what was given or got for what is owed."""


W = TypeVar("W", Offer, Acceptance, Commit, Abort, Ruling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was signed of an exchange, verified.

    Attributes:
        hash: the offer's record id, which names the exchange.
        acceptances: the record id of each by the coop that gave it.
        outcome: the proposer's commit or abort, if there is one.
        rival: another one that contradicts it.
        ruling: the arbiter's, and its record id.
    """

    hash: RecordId
    offer: Offer
    acceptances: Mapping[Slug, RecordId]
    outcome: Commit | Abort | None
    rival: Commit | Abort | None
    ruling: Ruling | None
    ruling_id: RecordId | None

    @property
    def ending(self) -> Ending | None:
        """How it ended by all of this; None if nothing says so."""
        if self.ruling is not None:
            return self.ruling.ending
        return None if self.outcome is None else ending_of(self.outcome)


def sign_offer(offer: Offer, home: Identity) -> Jws:
    """Return an offer, signed by its proposer's home node."""
    return _sign(offer, OFFER_TYP, home)


def sign_acceptance(acceptance: Acceptance, home: Identity) -> Jws:
    """Return an acceptance, signed by its party's home node."""
    return _sign(acceptance, ACCEPTANCE_TYP, home)


def sign_outcome(outcome: Commit | Abort, home: Identity) -> Jws:
    """Return a commit or an abort, signed by the proposer's home node."""
    return _sign(outcome, COMMIT_TYP if isinstance(outcome, Commit) else ABORT_TYP, home)


def sign_ruling(ruling: Ruling, arbiter: Identity) -> Jws:
    """Return a ruling, signed by the arbiter's node."""
    return _sign(ruling, RULING_TYP, arbiter)


def read_offer(token: Jws, genesis: GenesisView) -> Offer:
    """Return an offer that is one, signed by its proposer's home node.

    Raises:
        ProofError: signature, type, network or shape; then as `check_offer`; then a party whose
            coop has no charter.
    """
    home = _home(jws.peek(token).payload.get("coop"), genesis)
    offer = _verify(token, OFFER_TYP, home, genesis, Offer)
    check_offer(offer)
    for coop in offer.parties:
        _home(coop, genesis)
    return offer


def read_acceptance(token: Jws, told_of: Offer, offer: RecordId, genesis: GenesisView) -> Slug:
    """Return whose acceptance of this offer it is.

    Raises:
        ProofError: signature, type, network or shape; of another offer, or by no other party.
    """
    home = _home(jws.peek(token).payload.get("coop"), genesis)
    said = _verify(token, ACCEPTANCE_TYP, home, genesis, Acceptance)
    if said.offer != offer or said.aud != told_of.coop:
        raise ProofError("it accepts another offer")
    if said.coop not in told_of.parties or said.coop == told_of.coop:
        raise ProofError(f"{said.coop} was not offered it")
    return said.coop


def read_outcome(
    token: Jws,
    told_of: Offer,
    offer: RecordId,
    acceptances: Mapping[Slug, RecordId],
    genesis: GenesisView,
) -> Commit | Abort:
    """Return what the proposer decided of an offer.

    Args:
        token: the commit, or the abort.
        told_of: the offer.
        offer: its record id.
        acceptances: those that verified: a commit must cite one of each other party, and no other.
        genesis: the network's.

    Raises:
        ProofError: signature, type, network or shape; another offer's, or not accepted by all.
    """
    said: Commit | Abort
    if jws.peek(token).typ == COMMIT_TYP:
        said = _verify(token, COMMIT_TYP, told_of.did, genesis, Commit)
    else:
        said = _verify(token, ABORT_TYP, told_of.did, genesis, Abort)
    if said.coop != told_of.coop:
        raise ProofError("another coop than the proposer decides")
    if said.offer != offer:
        raise ProofError("it decides another offer")
    if isinstance(said, Commit):
        others = [coop for coop in told_of.parties if coop != told_of.coop]
        if [acceptances.get(coop) for coop in others] != list(said.acceptances):
            raise ProofError("it commits without the acceptances of all others")
    return said


def read_ruling(token: Jws, told_of: Offer, offer: RecordId, genesis: GenesisView) -> Ruling:
    """Return the arbiter's ruling on an offer.

    Raises:
        ProofError: signature, type, network or shape; another offer's, or not by its arbiter.
    """
    node = genesis.node_of(told_of.arbiter)
    if node is None:
        raise ProofError(f"the arbiter {told_of.arbiter} has no node")
    said = _verify(token, RULING_TYP, node.did, genesis, Ruling)
    if said.offer != offer or said.coop != told_of.arbiter:
        raise ProofError("it rules on another exchange")
    return said


def read_evidence(evidence: Evidence, genesis: GenesisView) -> Told:
    """Return what was signed of an exchange, all of it verified.

    Raises:
        ProofError: something does not verify, is of another exchange, contradicts nothing where it
            is said to, or rules committed what its proposer did not commit.
    """
    offer = read_offer(evidence.offer, genesis)
    name = jws.record_id(evidence.offer)
    acceptances: dict[Slug, RecordId] = {}
    for each in evidence.acceptances:
        coop = read_acceptance(each, offer, name, genesis)
        if coop in acceptances:
            raise ProofError(f"{coop} accepts twice")
        acceptances[coop] = jws.record_id(each)
    outcome, rival = (
        None if token is None else read_outcome(token, offer, name, acceptances, genesis)
        for token in (evidence.outcome, evidence.rival)
    )
    if rival is not None and (outcome is None or ending_of(outcome) == ending_of(rival)):
        raise ProofError("two decisions that agree are no contradiction")
    token = evidence.ruling
    ruling = None if token is None else read_ruling(token, offer, name, genesis)
    stands = ruling is not None and ruling.ending == "committed"
    # An arbiter makes no commit: it says that the one that all accepted stands.
    if stands and not any(isinstance(each, Commit) for each in (outcome, rival)):
        raise ProofError("it rules committed what was not committed")
    return Told(
        hash=name,
        offer=offer,
        acceptances=acceptances,
        outcome=outcome,
        rival=rival,
        ruling=ruling,
        ruling_id=None if token is None else jws.record_id(token),
    )


def check_offer(offer: Offer) -> None:
    """Return if an offer is one, whoever signed it and whatever agreements say.

    Raises:
        ProofError: its parties are not those of its legs; a coop pays itself; its legs sum to more
            than an entry can post; the same leg twice; a netting of fewer than three, or in which a
            coop does not pay what it gets, or owes each other one as much after it as before; not
            one leg for anything else; a settlement by who owes; one without a period, or anything
            else with one; a time that is none.
    """
    coops = {coop for leg in offer.legs for coop in (leg.payer, leg.payee)}
    if list(offer.parties) != sorted(coops) or offer.coop not in coops:
        raise ProofError("its parties are not those of its legs, or not in order")
    for leg in offer.legs:
        if leg.payer == leg.payee:
            raise ProofError(f"{leg.payer} pays itself")
    if sum(leg.amount for leg in offer.legs) > SAFE_INT_MAX:
        raise ProofError("its legs sum to more than can be counted")
    pairs = {(leg.agreement, *sorted((leg.payer, leg.payee))) for leg in offer.legs}
    if len(pairs) != len(offer.legs):
        raise ProofError("two of its legs are of the same two under the same agreement")
    if offer.kind == "netting":
        _check_netting(offer)
    elif len(offer.legs) != 1:
        raise ProofError("it has more than one leg")
    for leg in offer.legs:
        if offer.kind == "settlement" and offer.coop != leg.payer:
            raise ProofError(f"{leg.payer} is owed, and so settles")
    if (offer.period is not None) != (offer.kind == "settlement"):
        raise ProofError("a settlement has a period, and nothing else has")
    if not 0 < offer.expires_ms - offer.offered_ms <= OFFER_TTL_MS_MAX:
        raise ProofError("its time is none, or too long")


def check_agreed(offer: Offer, leg: Leg, terms: Terms) -> None:
    """Return if the agreement of a leg provides for it: an offer alone is its proposer's word.

    Raises:
        ProofError: a side is no party of the agreement; it counts in another unit, or nothing; it
            names another arbiter.
    """
    for coop in (leg.payer, leg.payee):
        if coop not in terms.parties:
            raise ProofError(f"{coop} is no party of the agreement")
    agreed = "nothing" if terms.clearing is None else terms.clearing.unit
    if agreed != offer.unit:
        raise ProofError(f"the agreement counts in {agreed}, the offer in {offer.unit}")
    if terms.arbiter != offer.arbiter:
        raise ProofError(f"the agreement's arbiter is {terms.arbiter}, the offer's {offer.arbiter}")


def _check_netting(offer: Offer) -> None:
    """Return if all pay what they get, and have something to post. Raises `ProofError`."""
    if len(offer.parties) < 3:
        raise ProofError("debts go around among three or more")
    left = [coop for coop, total in net_of(offer.legs).items() if total]
    if left:
        raise ProofError(f"{left[0]} does not pay what it gets")
    idle = [coop for coop in offer.parties if not postings_of(offer, coop)]
    if idle:
        raise ProofError(f"{idle[0]} would have nothing to post")


def net_of(legs: Iterable[Leg]) -> dict[Slug, int]:
    """Return by how much the positions of each coop rise, all legs together."""
    net: dict[Slug, int] = {}
    for leg in legs:
        net[leg.payee] = net.get(leg.payee, 0) + leg.amount
        net[leg.payer] = net.get(leg.payer, 0) - leg.amount
    return net


def ending_of(outcome: Commit | Abort) -> Ending:
    """Return which end a decision is."""
    return "committed" if isinstance(outcome, Commit) else "aborted"


def changes_of(legs: Iterable[Leg], coop: Slug) -> dict[tuple[Slug, RecordId], int]:
    """Return how a coop's positions change, by the other side and the agreement."""
    changes: dict[tuple[Slug, RecordId], int] = {}
    for leg in legs:
        if coop == leg.payee:
            changes[leg.payer, leg.agreement] = leg.amount
        elif coop == leg.payer:
            changes[leg.payee, leg.agreement] = -leg.amount
    return changes


def agreements_of(offer: Offer, coop: Slug) -> tuple[RecordId, ...]:
    """Return the agreements that a coop takes part under, each once."""
    own = (leg.agreement for leg in offer.legs if coop in (leg.payer, leg.payee))
    return tuple(dict.fromkeys(own))


def postings_of(offer: Offer, coop: Slug, *, back: bool = False) -> tuple[Posting, ...]:
    """Return what a coop posts of an exchange; the other side's is the mirror.

    On one hand `due/<other>`, on the other hand what stands for what was given or got.

    Args:
        offer: the exchange's.
        coop: a party.
        back: turned round, as a correction posts it.
    """
    sign = -1 if back else 1
    due: dict[Slug, int] = {}
    for (other, _), change in changes_of(offer.legs, coop).items():
        due[other] = due.get(other, 0) + sign * change
    amounts = {f"due/{other}": amount for other, amount in sorted(due.items())}
    amounts[GIVEN_FOR] = -sum(due.values())
    return tuple(
        Posting(account=f"{coop}:{path}", unit=offer.unit, amount=amount)
        for path, amount in amounts.items()
        if amount
    )


def entry_id_of(offer: RecordId, *, before: int = 0) -> str:
    """Return the id of an exchange's entry; `before` so many other ones of it stand already."""
    return f"{EXCHANGE_ENTRY_PREFIX}{offer}" + (f":{before}" if before else "")


def entry_checks(entry: Entry, *, offer: Offer, hash_: RecordId) -> list[Check]:
    """Return the checks that an entry posts its coop's half of an exchange.

    Args:
        entry: as a ledger answered it.
        offer: the exchange's.
        hash_: the record id of the offer.
    """
    about = f"{entry.coop} entry {entry.sequence}"
    return [
        equal(f"{about}: hash", expected=entry.hash, actual=entry_hash(entry)),
        equal(f"{about}: cause", expected=f"exchange {hash_}", actual=_cause(entry)),
        Check(
            name=f"{about}: postings",
            ok=entry.postings == postings_of(offer, entry.coop),
            expected="what the offer says",
            actual=", ".join(f"{each.account} {each.amount}" for each in entry.postings),
        ),
        equal(f"{about}: sum", expected=0, actual=sum(map(abs, sums_of(entry.postings).values()))),
    ]


def verify_exchange(
    evidence: Evidence,
    *,
    genesis: GenesisView,
    agreements: Iterable[AgreementFile],
    entries: Iterable[Entry] = (),
) -> Verdict:
    """Return what can be said of an exchange from its proofs, and of the entries that post it.

    Args:
        evidence: as a side of it answered.
        genesis: the verifier's own: it says whose node signs for whom.
        agreements: those that its legs are under: without them nobody knows whether the arbiter,
            the unit and the parties are agreed or made up, and a check for each leg says so.
        entries: those by which the sides posted it, from their ledgers; every one that is given
            has to be its half, and of what was committed.
    """
    subject = "an exchange"
    told, read = attempt("signatures", lambda: read_evidence(evidence, genesis))
    if told is None:
        return Verdict(subject=subject, checks=(read,), anchored=True)
    checks = [
        read,
        Check(
            name="ended",
            ok=told.ending is not None,
            expected="a commit, an abort or a ruling",
            actual=told.ending or "in doubt",
        ),
        Check(
            name="one decision",
            ok=told.rival is None,
            expected="one decision of the proposer",
            actual="two that contradict each other" if told.rival else "one",
        ),
        *_agreed_checks(told.offer, agreements, genesis),
    ]
    # It may have been ruled otherwise since: then a correction stands beside the entry.
    committed = any(isinstance(each, Commit) for each in (told.outcome, told.rival))
    signed = "a commit" if committed else "none"
    for entry in entries:
        checks += entry_checks(entry, offer=told.offer, hash_=told.hash)
        about = f"{entry.coop} entry {entry.sequence}"
        checks.append(equal(f"{about}: committed", expected="a commit", actual=signed))
    subject = f"exchange {told.offer.exchange_id} of {told.offer.coop}"
    return Verdict(subject=subject, checks=tuple(checks), anchored=True)


def _agreed_checks(
    offer: Offer, agreements: Iterable[AgreementFile], genesis: GenesisView
) -> Iterable[Check]:
    """Return for each leg the check that its agreement, signed by all, provides for it."""
    files = {each.agreement: each for each in agreements}
    for leg in offer.legs:
        file = files.get(leg.agreement)
        name = f"agreed between {leg.payer} and {leg.payee}"
        if file is None:
            why = "the agreement was not given: arbiter, unit and parties are the proposer's word"
            yield Check(name=name, ok=False, expected=f"agreement {leg.agreement}", actual=why)
            continue
        verdict = examine_agreement(file, genesis=genesis)[0]
        if verdict.ok:
            yield attempt(name, partial(check_agreed, offer, leg, file.terms))[1]
        else:
            yield replace(verdict.failures[0], name=f"{name}, {verdict.failures[0].name}")


def _verify(token: Jws, typ: str, node: Did, genesis: GenesisView, of: type[W]) -> W:
    """Return what a node signed, which names itself in it. Raises `ProofError`."""
    said = jws.verify(token, typ=typ, issuer=node, network=genesis.network, of=of)
    if said.did != node:
        raise ProofError("it names another node than the one that signed it")
    return said


def _sign(said: Offer | Acceptance | Commit | Abort | Ruling, typ: str, node: Identity) -> Jws:
    if said.did != node.did:
        raise ProofError("what is said of an exchange is signed by the node that it names")
    return jws.sign(said, typ=typ, identity=node)


def _home(coop: object, genesis: GenesisView) -> Did:
    """Return the home node of a coop. Raises `ProofError`: it has no charter."""
    charter = genesis.charter(str(coop))
    if charter is None:
        raise ProofError(f"{coop} has no charter")
    return charter.home_node


def _cause(entry: Entry) -> str:
    return "nothing" if entry.cause is None else f"{entry.cause.kind} {entry.cause.id}"
