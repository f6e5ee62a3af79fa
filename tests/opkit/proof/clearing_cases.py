"""Cases of exchanges, one to a line: words, offers and entries, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from opkit.proof.checks import Check
from opkit.proof.clearing import postings_of
from opkit.wire import clearing as wire
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.ledger import Cause
from tests.opkit.proof.exchanges import (
    AGREED,
    OFFERED_MS,
    OTHER,
    RING,
    SAID,
    TO_AND_FRO,
    leg,
    offer_of,
)
from tests.simulation.town import ARBITER

UNTRUE_WORDS: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"acceptances": (SAID.acceptance(key="apple", coop="apple"),)}, "not offered"),
    (lambda: {"acceptances": (SAID.acceptance(coop="zebra"),)}, "zebra has no charter"),
    (lambda: {"acceptances": (SAID.commit(),)}, "not a 'opkit-acceptance"),
    (lambda: {"outcome": SAID.commit(acceptances=SAID.cited * 2)}, "without the acceptances"),
    (lambda: {"outcome": SAID.commit(network="b" * 26)}, "another network"),
    (lambda: {"outcome": SAID.abort(network="b" * 26)}, "another network"),
    (lambda: {"outcome": SAID.abort(coop="birch")}, "another coop"),
    (lambda: {"rival": SAID.abort(offer=OTHER)}, "decides another offer"),
    (lambda: {"outcome": SAID.abort(), "rival": SAID.abort(why="")}, "no contradiction"),
    (lambda: {"ruling": SAID.ruling(network="b" * 26)}, "another network"),
    (lambda: {"ruling": SAID.abort(key=ARBITER)}, "not a 'opkit-ruling"),
    (lambda: {"acceptances": (SAID.acceptance(key="cedar"),)}, "signed by"),
    (lambda: {"acceptances": (SAID.acceptance(offer=OTHER),)}, "another offer"),
    (lambda: {"acceptances": (SAID.acceptance(aud="cedar"),)}, "another offer"),
    (lambda: {"acceptances": (SAID.acceptance(network="b" * 26),)}, "another network"),
    (lambda: {"acceptances": (SAID.acceptance(key="cedar", coop="cedar"),)}, "not offered"),
    (lambda: {"acceptances": (SAID.acceptance(), SAID.acceptance())}, "accepts twice"),
    (lambda: {"acceptances": ()}, "without the acceptances"),
    (lambda: {"outcome": SAID.commit(key="birch")}, "signed by"),
    (lambda: {"outcome": SAID.commit(offer=OTHER)}, "decides another offer"),
    (lambda: {"outcome": SAID.commit(coop="birch")}, "another coop"),
    (lambda: {"outcome": SAID.commit(acceptances=(OTHER,))}, "without the acceptances"),
    (lambda: {"outcome": SAID.abort(key="birch")}, "signed by"),
    (lambda: {"outcome": SAID.abort(offer=OTHER)}, "decides another offer"),
    (lambda: {"rival": SAID.commit(decided_ms=2)}, "no contradiction"),
    (lambda: {"outcome": None, "rival": SAID.abort()}, "no contradiction"),
    (lambda: {"outcome": None, "rival": SAID.commit()}, "no contradiction"),
    (lambda: {"ruling": SAID.ruling(key="birch")}, "signed by"),
    (lambda: {"ruling": SAID.ruling(offer=OTHER)}, "another exchange"),
    (lambda: {"ruling": SAID.ruling(coop="apple")}, "another exchange"),
    (lambda: {"outcome": SAID.acceptance()}, "not a 'opkit-abort"),
    (lambda: {"outcome": None, "ruling": SAID.ruling(ending="committed")}, "not committed"),
    (
        lambda: {"outcome": SAID.abort(), "ruling": SAID.ruling(ending="committed")},
        "not committed",
    ),
]
"""What stands otherwise in the evidence of an exchange, and why that is refused."""


def circles_of(total: int) -> wire.Offer:
    """Return a netting whose legs sum to this: four of them are small, and three are the rest."""
    small = next(amount for amount in (1, 2, 3) if (total - 4 * amount) % 3 == 0)
    great = (total - 4 * small) // 3
    names = (("apple", "birch", "cedar"), ("dogwood", "elm", "fir", "grape"))
    return offer_of(
        *(
            leg(payer, payee, amount)
            for around, amount in zip(names, (great, small), strict=True)
            for payer, payee in pairwise((*around, around[0]))
        ),
        kind="netting",
    )


OFFERS: list[wire.Offer] = [
    offer_of(),
    offer_of(leg("birch", "apple")),
    offer_of(leg("apple", "birch"), kind="settlement", period="2026-01"),
    offer_of(*RING, kind="netting"),
    offer_of(*RING, kind="netting", coop="cedar"),
    circles_of(SAFE_INT_MAX),
    offer_of(expires_ms=OFFERED_MS + 1),
    offer_of(expires_ms=OFFERED_MS + wire.OFFER_TTL_MS_MAX),
]

UNTRUE_OFFERS: list[tuple[wire.Offer, str]] = [
    (offer_of(parties=("apple", "cedar")), "parties"),
    (offer_of(parties=("birch", "apple")), "parties"),
    (offer_of(coop="cedar"), "parties"),
    (offer_of(leg("apple", "apple"), parties=("apple", "birch")), "parties"),
    (offer_of(leg("apple", "apple"), leg("apple", "birch"), kind="netting"), "pays itself"),
    (offer_of(*RING), "more than one leg"),
    (offer_of(leg("apple", "birch"), leg("birch", "apple"), kind="netting"), "same two"),
    (
        offer_of(leg("apple", "birch"), leg("birch", "apple", agreement="8" * 64), kind="netting"),
        "three or more",
    ),
    (circles_of(SAFE_INT_MAX + 1), "more than can be counted"),
    # So is not even looked at what a ledger cannot post: twice the greatest amount at once.
    (
        offer_of(
            *(
                leg(each.payer, each.payee, SAFE_INT_MAX, agreement)
                for each in RING
                for agreement in (AGREED, "8" * 64)
            ),
            kind="netting",
        ),
        "more than can be counted",
    ),
    (offer_of(*RING[:2], kind="netting"), "apple does not pay what it gets"),
    (offer_of(*TO_AND_FRO, kind="netting"), "apple would have nothing to post"),
    (offer_of(period="2026-01"), "has a period"),
    (offer_of(kind="settlement"), "has a period"),
    (
        offer_of(leg("birch", "apple"), kind="settlement", period="2026-01"),
        "birch is owed",
    ),
    (offer_of(*RING, kind="netting", period="2026-01"), "has a period"),
    (offer_of(expires_ms=OFFERED_MS), "time is none"),
    (offer_of(expires_ms=OFFERED_MS + wire.OFFER_TTL_MS_MAX + 1), "too long"),
]

HALF: dict[str, Any] = {
    "coop": "apple",
    "kind": "bound",
    "postings": postings_of(offer_of(), "apple"),
    "cause": Cause(kind="exchange", id=SAID.name),
}
"""What an entry says that posts apple's half of the exchange."""

FIRST, SECOND = HALF["postings"]
LESS, MORE = (FIRST.model_copy(update={"amount": amount}) for amount in (-41, -39))
ELSEWHERE = {"unit": "usd-cents", "amount": 1}

UNTRUE_ENTRIES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"cause": None}, {"cause": "nothing"}),
    ({"cause": Cause(kind="exchange", id=OTHER)}, {"cause": f"exchange {OTHER}"}),
    ({"cause": Cause(kind="ruling", id=SAID.name)}, {"cause": f"ruling {SAID.name}"}),
    (
        {"postings": postings_of(offer_of(), "birch")},
        {"postings": "birch:due/apple 40, birch:equity/exchanges -40"},
    ),
    (
        {"postings": postings_of(offer_of(), "apple", back=True)},
        {"postings": "apple:due/birch 40, apple:equity/exchanges -40"},
    ),
    (
        {"postings": (SECOND, FIRST)},
        {"postings": "apple:equity/exchanges 40, apple:due/birch -40"},
    ),
    (
        {"postings": (LESS, SECOND)},
        {"postings": "apple:due/birch -41, apple:equity/exchanges 40", "sum": "1"},
    ),
    (
        {"postings": (LESS, SECOND, FIRST.model_copy(update=ELSEWHERE))},
        {
            "postings": "apple:due/birch -41, apple:equity/exchanges 40, apple:due/birch 1",
            "sum": "2",
        },
    ),
    ({"coop": "cedar"}, {"postings": "apple:due/birch -40, apple:equity/exchanges 40"}),
    ({"hash": OTHER}, {"hash": ""}),
]
"""What stands otherwise in an entry, and what is said of it: each check that fails."""

WHOLE = wire.Evidence(offer=SAID.token, acceptances=(SAID.acceptance(),), outcome=SAID.commit())
READ = Check(name="signatures", ok=True, expected="verifies", actual="verifies")
ENDED = Check(name="ended", ok=True, expected="a commit, an abort or a ruling", actual="committed")
ONE = Check(name="one decision", ok=True, expected="one decision of the proposer", actual="one")
PROVIDED = Check(
    name="agreed between apple and birch", ok=True, expected="verifies", actual="verifies"
)

VERDICTS: list[tuple[dict[str, Any], tuple[Check, ...]]] = [
    ({}, (READ, ENDED, ONE, PROVIDED)),
    (
        {"outcome": SAID.abort()},
        (READ, replace(ENDED, actual="aborted"), ONE, PROVIDED),
    ),
    (
        {"outcome": None},
        (READ, replace(ENDED, ok=False, actual="in doubt"), ONE, PROVIDED),
    ),
    (
        {"rival": SAID.abort()},
        (
            READ,
            ENDED,
            replace(ONE, ok=False, actual="two that contradict each other"),
            PROVIDED,
        ),
    ),
]
"""What stands otherwise in evidence that verifies, and all that is said of it."""
