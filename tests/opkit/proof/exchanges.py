"""Exchanges between coops of the town, to prove things about: signed as said, true or not.

Apple gives and birch gets, or the other way round, under an agreement of both; a test changes one
word of it, or who signs that.
"""

from __future__ import annotations

from typing import Any

from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.proof.agreement import read_agreement_file
from opkit.proof.governance import charter_rule
from opkit.proof.terms import agreement_id
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementFile
from opkit.wire.clearing import Leg
from opkit.wire.terms import ClearingTerms, Terms
from tests.opkit.proof import pacts
from tests.simulation.town import ARBITER, GENESIS, NETWORK, UNIT, key_of


def terms_of(*parties: str, arbiter: str = ARBITER, unit: str = UNIT, **changes: Any) -> Terms:
    """Return terms between coops of the town."""
    said = {"parties": parties or ("apple", "birch"), "arbiter": arbiter, "facilitator": None}
    clearing = ClearingTerms(unit=unit, imbalance_max=100, settled="monthly")
    return pacts.terms_of(**{"provisions": (), "clearing": clearing, **said, **changes})


def agreed(terms: Terms) -> AgreementFile:
    """Return an agreement that the homes of coops of the town have signed."""
    signed = []
    for coop in terms.parties:
        charter = GENESIS.charter(coop)
        assert charter is not None
        end_ms = pacts.START_MS
        decided = {
            "did": charter.home_node,
            "rule": charter_rule(charter),
            "opened_ms": end_ms - 2,
            "closes_ms": end_ms - 1,
            "closed_ms": end_ms - 1,
        }
        signed.append(pacts.signed_by(coop, terms, home=key_of(coop), decision=decided))
    return read_agreement_file(pacts.file_of(terms, *signed))


AGREEMENT = agreed(terms_of())
AGREED = agreement_id(AGREEMENT.terms)
OFFERED_MS = 1_800_000_000_000


def offer_of(*legs: Leg, **changes: Any) -> wire.Offer:
    legs = legs or (Leg(agreement=AGREED, payer="apple", payee="birch", amount=40),)
    said = {
        "network": NETWORK,
        "did": key_of("apple").did,
        "coop": "apple",
        "parties": tuple(sorted({each for leg in legs for each in (leg.payer, leg.payee)})),
        "exchange_id": "x1",
        "kind": "exchange",
        "unit": UNIT,
        "legs": legs,
        "what": "a lathe",
        "period": None,
        "arbiter": ARBITER,
        "sequence": 1,
        "offered_ms": OFFERED_MS,
        "expires_ms": OFFERED_MS + 5_000,
    }
    return wire.Offer(**{**said, **changes})


class Said:
    """All words of an exchange; a test changes one of them, or who signs it."""

    def __init__(self, offer: wire.Offer | None = None) -> None:
        self.token = proof.sign_offer(offer or offer_of(), key_of("apple"))
        self.name = jws.record_id(self.token)

    @property
    def cited(self) -> tuple[str, ...]:
        """The acceptances that the commit cites."""
        return (jws.record_id(self.acceptance()),)

    def acceptance(self, key: str = "birch", **changes: Any) -> str:
        said = {
            "network": NETWORK,
            "did": key_of(key).did,
            "coop": "birch",
            "aud": "apple",
            "offer": self.name,
            "accepted_ms": 1,
        }
        return proof.sign_acceptance(wire.Acceptance(**{**said, **changes}), key_of(key))

    def commit(self, key: str = "apple", **changes: Any) -> str:
        said = {
            "network": NETWORK,
            "did": key_of(key).did,
            "coop": "apple",
            "offer": self.name,
            "acceptances": self.cited,
            "decided_ms": 1,
        }
        return proof.sign_outcome(wire.Commit(**{**said, **changes}), key_of(key))

    def abort(self, key: str = "apple", **changes: Any) -> str:
        said = {
            "network": NETWORK,
            "did": key_of(key).did,
            "coop": "apple",
            "offer": self.name,
            "why": "lapsed",
            "decided_ms": 1,
        }
        return proof.sign_outcome(wire.Abort(**{**said, **changes}), key_of(key))

    def ruling(self, key: str = ARBITER, **changes: Any) -> str:
        said = {
            "network": NETWORK,
            "did": key_of(key).did,
            "coop": ARBITER,
            "offer": self.name,
            "ending": "aborted",
            "ruled_ms": 1,
        }
        return proof.sign_ruling(wire.Ruling(**{**said, **changes}), key_of(key))

    def read(self, **changes: Any) -> proof.Told:
        said: dict[str, Any] = {
            "offer": self.token,
            "acceptances": (self.acceptance(),),
            "outcome": self.commit(),
        }
        return proof.read_evidence(wire.Evidence(**{**said, **changes}), GENESIS)


SAID = Said()
OTHER = jws.record_id(proof.sign_offer(offer_of(sequence=2), key_of("apple")))


def leg(payer: str, payee: str, amount: int = 5, agreement: str = AGREED) -> Leg:
    return Leg(agreement=agreement, payer=payer, payee=payee, amount=amount)


RING = (leg("birch", "apple"), leg("cedar", "birch"), leg("apple", "cedar"))
TO_AND_FRO = tuple(
    leg(payer, payee, agreement=agreement)
    for one, other in (("apple", "birch"), ("birch", "cedar"))
    for payer, payee, agreement in ((one, other, AGREED), (other, one, "8" * 64))
)
"""Debts that go to and fro between two, under two agreements."""


def position(coop: str, other: str, balance: int, **changes: Any) -> wire.ClearingPosition:
    said = {
        "coop": coop,
        "other": other,
        "agreement": AGREED,
        "unit": UNIT,
        "balance": balance,
        "doubt_in": 0,
        "doubt_out": 0,
        "imbalance_max": 100,
        "exchanges": 1,
        "settled": None,
        "changed_ms": 1,
    }
    return wire.ClearingPosition(**{**said, **changes})
