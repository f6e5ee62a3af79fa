"""What coops sign and say of an exchange, by the keys in `vectors_people`.

Each method has its question and answer; `derived` has what each party posts of an exchange.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_people as people

from opkit.proof import jws
from opkit.proof.clearing import (
    check_offer,
    entry_id_of,
    postings_of,
    sign_acceptance,
    sign_offer,
    sign_outcome,
    sign_ruling,
)
from opkit.wire import clearing
from opkit.wire.base import Jws, Wire
from opkit.wire.clearing import Leg

OTHER, THIRD = "yard", "bakery"
HOMES = {people.COOP: "node-1", OTHER: "node-2", THIRD: "node-3"}
ARBITER = "harbor-homes"
AGREED = "7" * 64
LEGS = {
    "exchange": (Leg(agreement=AGREED, payer=people.COOP, payee=OTHER, amount=40),),
    "settlement": (Leg(agreement=AGREED, payer=people.COOP, payee=OTHER, amount=40),),
    "netting": (
        Leg(agreement=AGREED, payer=OTHER, payee=people.COOP, amount=20),
        Leg(agreement="8" * 64, payer=THIRD, payee=OTHER, amount=20),
        Leg(agreement="9" * 64, payer=people.COOP, payee=THIRD, amount=20),
    ),
}


@cache
def offer(kind: clearing.ExchangeKind = "exchange") -> clearing.Offer:
    """Return what the first coop proposes."""
    legs = LEGS[kind]
    made = clearing.Offer(
        network=people.NETWORK,
        did=people.did("node-1"),
        coop=people.COOP,
        parties=tuple(sorted({each for leg in legs for each in (leg.payer, leg.payee)})),
        exchange_id=f"{kind}-1",
        kind=kind,
        unit="commons-credits",
        legs=legs,
        what="a lathe for a day, 8 h à 5",
        period="2026-01" if kind == "settlement" else None,
        arbiter=ARBITER,
        sequence=1,
        offered_ms=people.CLOCK_MS,
        expires_ms=people.CLOCK_MS + 30_000,
    )
    check_offer(made)
    return made


@cache
def evidence() -> clearing.Evidence:
    """Return all that can be signed of an exchange: also what contradicts it."""
    home = people.identity("node-1")
    token = sign_offer(offer(), home)
    said: dict[str, Any] = {"network": people.NETWORK, "offer": jws.record_id(token)}
    decided: dict[str, Any] = {
        **said,
        "did": home.did,
        "coop": people.COOP,
        "decided_ms": people.CLOCK_MS + 20,
    }
    acceptance = sign_acceptance(
        clearing.Acceptance(
            **said,
            did=people.did("node-2"),
            coop=OTHER,
            aud=people.COOP,
            accepted_ms=people.CLOCK_MS + 10,
        ),
        people.identity("node-2"),
    )
    commit = clearing.Commit(**decided, acceptances=(jws.record_id(acceptance),))
    ruling = clearing.Ruling(
        **said,
        did=people.did("node-3"),
        coop=ARBITER,
        ending="committed",
        ruled_ms=people.CLOCK_MS + 700_000,
    )
    return clearing.Evidence(
        offer=token,
        acceptances=(acceptance,),
        outcome=sign_outcome(commit, home),
        rival=sign_outcome(clearing.Abort(**decided, why="lapsed"), home),
        ruling=sign_ruling(ruling, people.identity("node-3")),
    )


def signed() -> dict[Jws, str]:
    """Return one signed object of each type, with the name of who signed it."""
    said = evidence()
    assert said.outcome and said.rival and said.ruling, "all of them are made"
    return {
        said.offer: "node-1",
        said.acceptances[0]: "node-2",
        said.outcome: "node-1",
        said.rival: "node-1",
        said.ruling: "node-3",
    }


def asked() -> dict[str, tuple[Wire, Wire]]:
    """Return a question and its answer for each method."""
    whole = evidence()
    open_yet = whole.model_copy(update={"outcome": None, "rival": None, "ruling": None})
    ended = open_yet.model_copy(update={"outcome": whole.outcome})
    taken = clearing.OutcomeTaken(state="committed", evidence=ended)
    return {
        "clearing.offer": (
            clearing.OfferExchange(offer=whole.offer, coop=OTHER),
            clearing.OfferAccepted(acceptance=whole.acceptances[0]),
        ),
        "clearing.settled": (clearing.TellOutcome(coop=OTHER, evidence=ended), taken),
        "clearing.ask": (clearing.AskOutcome(coop=people.COOP, offer=whole.offer), taken),
        "clearing.rule": (
            clearing.AskRuling(coop=OTHER, evidence=open_yet),
            clearing.Ruled(evidence=whole),
        ),
    }


def derived() -> Iterator[dict[str, Any]]:
    """Yield what each party posts of an exchange, and under which id."""
    kinds: tuple[clearing.ExchangeKind, ...] = ("exchange", "settlement", "netting")
    for kind in kinds:
        made = offer(kind)
        name = jws.record_id(sign_offer(made, people.identity("node-1")))
        yield {
            "name": kind,
            "offer": made.model_dump(mode="json"),
            "id": name,
            "entry_id": entry_id_of(name),
            "posted": {
                coop: [each.model_dump(mode="json") for each in postings_of(made, coop)]
                for coop in made.parties
            },
        }
