"""What the page of the federation is shown in tests: copies, positions, exchanges, members."""

from __future__ import annotations

from opkit.story.report import CheckRecord
from opkit.views import federation
from opkit.views.federation_figures import (
    AgreementFigure,
    CopyFigure,
    FederationFigures,
    HeardFigure,
    JoinedFigure,
    MovedFigure,
    PositionFigure,
    SignedFigure,
)
from opkit.views.figures import ChainLink
from opkit.views.ledger_figures import ProofFigure
from opkit.wire.clearing import ClearingPosition, Exchange, Leg
from opkit.wire.federation import AttestationView
from opkit.wire.terms import ClearingTerms, Provision, Terms

RIVER, BRIGHT, HARBOR, LAKES = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
    "fingerlakes-cdn",
)
NOW = 1_763_735_526_420
DAY = 86_400_000
HASH = "{:064x}".format
DID = "did:key:z6Mk" + "a" * 44
HOMES = {coop: coop for coop in (RIVER, BRIGHT, HARBOR, LAKES)}
TERMS = Terms(
    network="a" * 26,
    parties=(BRIGHT, RIVER),
    facilitator=LAKES,
    arbiter=LAKES,
    title="Machines for maintenance",
    text="Off-peak means before nine and after six.",
    provisions=(
        Provision(by=RIVER, to=BRIGHT, what="off-peak access to lathe, drill press and bandsaw"),
        Provision(by=BRIGHT, to=RIVER, what="maintenance hours", quantity=20, per="quarter"),
    ),
    starts_ms=NOW - DAY,
    term_days=90,
    renewable=True,
    notice_days=30,
    clearing=ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
)
SIGNED = tuple(
    SignedFigure(coop=coop, action="adopt", signed_ms=NOW - 60_000, decision=HASH(70 + place))
    for place, coop in enumerate((BRIGHT, RIVER))
)


def copies(*kinds):
    """Return copies of these kinds at River City, BrightWorks and Finger Lakes."""
    return tuple(
        CopyFigure(org=org, copy=kind, hash=HASH(5) if kind in ("same", "other") else "")
        for org, kind in zip((RIVER, BRIGHT, LAKES), kinds, strict=False)
    )


AGREED = AgreementFigure(
    agreement=HASH(1),
    terms=TERMS,
    state="active",
    signed=SIGNED,
    copies=copies("same", "same", "same"),
)
PROPOSED = AgreementFigure(
    agreement=HASH(2),
    terms=TERMS.model_copy(update={"title": "Roof tools", "amends": HASH(1)}),
    state="proposed",
    until_ms=NOW + 90 * DAY,
    signed=SIGNED[:1],
    copies=copies("behind", "same", "none"),
)


def side(coop, other, balance, **changes):
    """Return what one coop says of its position."""
    said = {
        "coop": coop,
        "other": other,
        "agreement": HASH(1),
        "unit": "commons-credits",
        "balance": balance,
        "doubt_in": 0,
        "doubt_out": 0,
        "imbalance_max": 100,
        "exchanges": 3,
        "settled": None,
        "changed_ms": NOW,
    }
    return ClearingPosition(**{**said, **changes})


def position(mirror, one, other, **changes):
    """Return a position of two coops."""
    return PositionFigure(
        agreement=HASH(1),
        title=TERMS.title,
        unit="commons-credits",
        coops=changes.pop("coops", (BRIGHT, RIVER)),
        sides=(one, other),
        mirror=mirror,
        **changes,
    )


EVEN = position("equal", side(BRIGHT, RIVER, -40), side(RIVER, BRIGHT, 40))


def exchange(coop, number=1, **changes):
    """Return an exchange as one side tells it: River City worked for BrightWorks."""
    said = {
        "coop": coop,
        "hash": HASH(300 + number),
        "exchange_id": f"run-1:{number}",
        "proposer": BRIGHT,
        "role": "proposer" if coop == BRIGHT else "responder",
        "kind": "exchange",
        "unit": "commons-credits",
        "legs": (Leg(agreement=HASH(1), payer=BRIGHT, payee=RIVER, amount=40),),
        "what": "8 hours at the lathe",
        "period": None,
        "state": "committed",
        "in_doubt": False,
        "ruled": False,
        "untold": 0,
        "why": "",
        "entry": HASH(400 + number),
        "correction": None,
        "sequence": number,
        "offered_ms": NOW - 5_000 * number,
        "expires_ms": NOW + 25_000,
        "ended_ms": NOW - 5_000 * number + 90,
    }
    return Exchange(**{**said, **changes})


def moved(*sides, silent=()):
    """Return an exchange as these sides tell it."""
    return MovedFigure(hash=sides[0].hash, sides=sides, silent=silent)


DONE = moved(exchange(BRIGHT), exchange(RIVER))
OPEN = {"entry": None, "ended_ms": None, "in_doubt": True}
DOUBTFUL = moved(
    exchange(BRIGHT, 2, state="offered", **OPEN), exchange(RIVER, 2, state="accepted", **OPEN)
)
NETTED = moved(
    *(
        exchange(
            coop,
            3,
            kind="netting",
            what="",
            legs=tuple(
                Leg(agreement=HASH(9), payer=payer, payee=payee, amount=12)
                for payer, payee in ((BRIGHT, RIVER), (RIVER, HARBOR), (HARBOR, BRIGHT))
            ),
        )
        for coop in (BRIGHT, HARBOR, RIVER)
    )
)


def attestation(state="valid", **changes):
    """Return what Finger Lakes attests of River City."""
    said = {
        "issuer_did": DID,
        "issuer": LAKES,
        "subject": RIVER,
        "type": "insured",
        "state": state,
        "statement": "Tools and members are insured",
        "valid_from_ms": NOW - DAY,
        "valid_until_ms": NOW + 200 * DAY,
        "evidence": None,
        "operation": HASH(11),
        "token": None,
    }
    return AttestationView(**{**said, **changes})


JOINED = (
    JoinedFigure(
        key=RIVER,
        title="River City Tool Library",
        founder=True,
        standing=True,
        registered_ms=NOW - DAY,
        attested=(attestation(),),
    ),
    JoinedFigure(key=BRIGHT, title="BrightWorks Cooperative", founder=True, standing=True),
    JoinedFigure(
        key=DID,
        title="Sunny Side Bakery",
        founder=False,
        standing=False,
        vouched_by=("River City Tool Library",),
    ),
)
HEARD = tuple(
    HeardFigure(org=org, state=HASH(20), operations=7) for org in (RIVER, BRIGHT, HARBOR, LAKES)
)
TOLD = FederationFigures(
    joined=JOINED,
    heard=HEARD,
    vouches_min=2,
    agreements=(PROPOSED, AGREED),
    positions=(
        EVEN,
        position(
            "doubt",
            side(BRIGHT, HARBOR, 15, doubt_in=20),
            side(HARBOR, BRIGHT, -35),
            coops=(BRIGHT, HARBOR),
        ),
    ),
    moved=(DOUBTFUL, DONE, NETTED),
)
GOOD = CheckRecord(name="terms-named", ok=True, expected=HASH(1), actual=HASH(1))
PROOF = ProofFigure(
    subject=AGREED.agreement,
    ok=True,
    verified_ms=NOW,
    chain=(ChainLink(name="terms", title="the terms", says="Their hash.", checks=(GOOD,)),),
    proof='{"agreement": "<1>"}',
    file="agreement-1.json",
)


def drawn(networks, told=TOLD, count=4, **changes):
    """Return all cards of the page."""
    network = changes.pop("network", None) or networks(count)
    cards = federation.cards(lambda: network, told=told, homes=HOMES, **changes)
    return {name: draw() for name, draw in cards.items()}
