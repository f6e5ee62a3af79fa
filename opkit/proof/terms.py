"""The terms of an agreement: what they are named by, whether they hold, and who keeps them.

What can be said of terms by themselves is judged here, for the node that opens a vote on them, for
whoever keeps them, and for whoever verifies an agreement alike. Source: ADR 0045.
"""

from __future__ import annotations

from opkit.proof.canonical import canonical_of, sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.wire.base import SAFE_INT_MAX, Did, RecordId, Slug
from opkit.wire.ledger import UNITS
from opkit.wire.terms import TERMS_CHARACTERS_MAX, AgreementEffect, Provision, Terms

DAY_MS = 86_400_000


class TermsDiffer(ProofError):
    """The terms are not those that the agreement is named by: somebody altered one of the two."""

    def __init__(self, agreement: RecordId, actual: RecordId) -> None:
        """Say which agreement was named, and what the terms are named by."""
        super().__init__(f"the terms are those of {actual}, and not of {agreement}")
        self.agreement = agreement
        self.actual = actual


def spell_terms(terms: Terms) -> str:
    """Return the one spelling of terms, whose hash names the agreement.

    Raises:
        ProofError: they have none.
    """
    return canonical_of(terms).decode()


def agreement_id(terms: Terms) -> RecordId:
    """Return what an agreement is named by: SHA-256 of its terms' canonical JSON.

    Raises:
        ProofError: they have none.
    """
    return sha256_hex(spell_terms(terms).encode())


def read_terms(spelled: str) -> Terms:
    """Return terms from their one spelling.

    Raises:
        ProofError: it is another spelling, or they do not hold (`check_terms`).
    """
    if len(spelled) > TERMS_CHARACTERS_MAX:
        raise ProofError(f"the terms are longer than {TERMS_CHARACTERS_MAX} characters")
    try:
        terms = Terms.model_validate_json(spelled.encode())
    except ValueError as bad:
        raise ProofError("these are no terms of an agreement") from bad
    if spell_terms(terms) != spelled:  # What is only taken for something else is spelled otherwise.
        raise ProofError("the terms are not in their one spelling")
    check_terms(terms)
    return terms


def check_terms(terms: Terms) -> None:
    """Return if terms hold, as far as they say so themselves.

    Raises:
        ProofError: too long; parties out of order or twice; a party is also to facilitate or to
            rule; something is given by or to none of the parties, or by one to itself; nothing is
            counted in the unit that is cleared; the term ends after all times.
    """
    if len(spell_terms(terms)) > TERMS_CHARACTERS_MAX:
        raise ProofError(f"the terms are longer than {TERMS_CHARACTERS_MAX} characters")
    parties = terms.parties
    if list(parties) != sorted(set(parties)):
        raise ProofError("the parties are not in order, each once")
    for org in _between(terms):
        if org in parties:
            raise ProofError(f"{org} is a party, and cannot stand between them")
    for each in terms.provisions:
        _check_provision(each, parties)
    if terms.clearing is not None and terms.clearing.unit not in UNITS:
        raise ProofError(f"nothing is counted in {terms.clearing.unit}")
    if terms.starts_ms + (terms.term_days + terms.notice_days) * DAY_MS > SAFE_INT_MAX:
        raise ProofError("the term ends after all times")


def _check_provision(each: Provision, parties: tuple[Slug, ...]) -> None:
    for coop in (each.by, each.to):
        if coop not in parties:
            raise ProofError(f"{coop} is no party, and something is given by it or to it")
    if each.by == each.to:
        raise ProofError(f"{each.by} gives something to itself")
    if each.quantity is None and each.per is not None:
        raise ProofError("what is not counted has no time in which it is given")


def check_named(terms: Terms, genesis: GenesisView) -> None:
    """Return if all that terms name is in a network.

    Raises:
        ProofError: they are for another network; a party has no charter; facilitator or arbiter
            has no node.
    """
    if terms.network != genesis.network:
        raise ProofError("the terms are for another network")
    for coop in terms.parties:
        if genesis.charter(coop) is None:
            raise ProofError(f"{coop} is no coop of this network")
    for org in _between(terms):
        if genesis.node_of(org) is None:
            raise ProofError(f"{org} has no node in this network")


def keepers(terms: Terms, genesis: GenesisView) -> frozenset[Did]:
    """Return the nodes that keep an agreement: each party's home, facilitator's and arbiter's.

    Raises:
        ProofError: something is not in the network (`check_named`).
    """
    check_named(terms, genesis)
    homes = {charter.home_node for coop in terms.parties if (charter := genesis.charter(coop))}
    between = {node.did for org in _between(terms) if (node := genesis.node_of(org))}
    return frozenset(homes | between)


def _between(terms: Terms) -> list[Slug]:
    """Return the organisations that stand between the parties."""
    facilitator = [] if terms.facilitator is None else [terms.facilitator]
    return [*facilitator, terms.arbiter]


def check_agreement_effect(effect: AgreementEffect, *, coop: Slug) -> None:
    """Return if an effect makes or ends an agreement as a coop can.

    Raises:
        ProofError: it adopts no terms, terms that do not hold, or that do not name the coop as a
            party; or it gives notice and states terms.
        TermsDiffer: it adopts other terms than those that it names; all else is in order.
    """
    terms = effect.terms
    if effect.action == "end":
        if terms is not None:
            raise ProofError("a notice names the agreement, and states no terms")
        return
    if terms is None:
        raise ProofError("there are no terms to adopt")
    check_terms(terms)
    if coop not in terms.parties:
        raise ProofError(f"{coop} is no party")
    actual = agreement_id(terms)
    if actual != effect.agreement:
        raise TermsDiffer(effect.agreement, actual)
