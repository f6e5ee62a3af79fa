"""What nodes tell of the federation, put beside each other: what is the same, and what is a lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from opkit.live.examined import EXAMINED_MAX, Examined, Examiner
from opkit.live.federation_agreed import fold_agreements
from opkit.live.federation_cleared import MOVED_MAX, fold_moved, fold_positions, key_of, mirror_of
from opkit.live.federation_fold import apart_of, fold
from opkit.live.federation_told import NodeTold, Places
from opkit.proof.terms import agreement_id
from opkit.views.federation_figures import SignedFigure
from opkit.wire.agreements import AgreementView
from opkit.wire.clearing import ClearingPosition, Exchange, Leg
from opkit.wire.events import JournalEntry
from opkit.wire.federation import (
    AttestationView,
    FederationMember,
    FederationMembers,
    ForkShown,
)
from opkit.wire.terms import ClearingTerms, Terms

NETWORK = "a" * 26
NOW = 1_763_735_526_420
HASH = "{:064x}".format
A, B, C = "alder", "birch", "cedar"
DIDS = {org: "did:key:z6Mk" + letter * 44 for org, letter in ((A, "a"), (B, "b"), (C, "c"))}
PLACES = Places(
    homes={A: A, B: B, C: C},
    titles={A: "Alder", B: "Birch", C: "Cedar"},
    orgs={did: org for org, did in DIDS.items()},
)


@dataclass
class Node:
    org: str


@dataclass
class Charter:
    home_node: str


class Genesis:
    """As much of a genesis as tells who keeps an agreement."""

    network = NETWORK

    def charter(self, coop: str) -> Charter | None:
        return Charter(DIDS[coop]) if coop in DIDS else None

    def node(self, did: str) -> Any:
        org = PLACES.orgs.get(did)
        return None if org is None else Node(org)

    def node_of(self, org: str) -> Any:
        return None if org not in DIDS else type("At", (), {"did": DIDS[org]})()


GENESIS: Any = Genesis()
TERMS = Terms(
    network=NETWORK,
    parties=(A, B),
    facilitator=C,
    arbiter=C,
    title="Wood",
    text="",
    starts_ms=NOW,
    term_days=90,
    renewable=True,
    notice_days=30,
    clearing=ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
)
WOOD = agreement_id(TERMS)


def signed(*coops: str, why: str = "") -> tuple[SignedFigure, ...]:
    return tuple(
        SignedFigure(coop=coop, action="adopt", signed_ms=NOW, decision=HASH(7), why=why)
        for coop in coops
    )


def file(number: int, *coops: str, **changes: Any) -> Examined:
    said = {
        "hash": HASH(number),
        "agreement": WOOD,
        "terms": TERMS,
        "signed": signed(*coops),
    }
    return Examined(**{**said, **changes})


def view(state: str = "active", **changes: Any) -> AgreementView:
    said = {
        "agreement": WOOD,
        "serial": 1,
        "terms": TERMS,
        "state": state,
        "signatures": (),
        "unsigned": (),
        "since_ms": NOW,
        "until_ms": None,
        "superseded_by": None,
        "file_hash": HASH(1),
        "world_ms": 0,
    }
    return AgreementView(**{**said, **changes})


def keeps(held: Examined | None, state: str = "active", **changes: Any) -> NodeTold:
    """Return what a node tells that keeps this file."""
    if held is None:
        return NodeTold(**changes)
    return NodeTold(agreements=(view(state),), files={WOOD: held}, **changes)


WHOLE, HALF = file(1, A, B), file(2, A)


def test_copies_are_the_same_behind_missing_or_silent_and_none_of_it_is_wrong() -> None:
    tells = {
        A: keeps(WHOLE),
        B: keeps(HALF, "proposed"),
        C: keeps(None),
    }
    (one,), wrong = fold_agreements(tells, PLACES, GENESIS)
    assert [each.copy for each in one.copies] == ["same", "behind", "none"]
    assert one.copies[1].why == "1 of 2 signatures" and one.state == "active" and wrong == []
    assert [each.coop for each in one.signed] == [A, B]
    silent = {**tells, B: replace(tells[B], trouble="killed")}
    (one,), wrong = fold_agreements(silent, PLACES, GENESIS)
    assert [each.copy for each in one.copies] == ["same", "silent", "none"]
    assert one.copies[1].why == "killed" and wrong == []


def test_who_keeps_other_bytes_is_named_and_the_others_are_believed() -> None:
    forged = file(3, A, B, why="terms-named: other, not this")
    (one,), wrong = fold_agreements(
        {A: keeps(WHOLE), B: keeps(WHOLE), C: keeps(forged)}, PLACES, GENESIS
    )
    assert [each.copy for each in one.copies] == ["same", "same", "other"]
    assert wrong == ["Cedar keeps other bytes of “Wood”: terms-named: other, not this"]


def test_two_signatures_of_one_party_are_told() -> None:
    again = file(4, A, B)
    (one,), wrong = fold_agreements(
        {A: keeps(WHOLE), B: keeps(WHOLE), C: keeps(again)}, PLACES, GENESIS
    )
    assert [each.copy for each in one.copies] == ["same", "same", "other"]
    assert "another signature of the same party" in wrong[0]


def test_what_is_in_force_without_all_signatures_is_told() -> None:
    told = {A: keeps(HALF, "active"), B: keeps(HALF, "proposed"), C: keeps(HALF, "proposed")}
    (_,), wrong = fold_agreements(told, PLACES, GENESIS)
    assert wrong == ["Alder takes “Wood” to be active, and Birch did not sign it"]
    bad = file(5, signed=(*signed(A), *signed(B, why="signature")))
    assert bad.unsigned == (B,)


def test_who_tells_another_hash_than_its_file_has_is_named() -> None:
    told = {A: keeps(WHOLE, unlike=frozenset({WOOD})), B: keeps(WHOLE), C: keeps(WHOLE)}
    _, wrong = fold_agreements(told, PLACES, GENESIS)
    assert wrong == ["Alder tells another hash of “Wood” than its own file has"]


def test_terms_that_are_not_the_agreements_own_make_none() -> None:
    other = view(terms=TERMS.model_copy(update={"title": "Gold"}))
    found, wrong = fold_agreements({A: NodeTold(agreements=(other,))}, PLACES, GENESIS)
    assert found == () and "Alder tells of an agreement by terms that are not its own" in wrong
    named = NodeTold(agreements=(view("proposed"),))
    (one,), wrong = fold_agreements({A: named, B: NodeTold()}, PLACES, GENESIS)
    assert one.signed == () and wrong == [], "nobody handed a file over yet"


def test_an_agreement_about_somebody_who_is_not_there_is_kept_by_whoever_tells_of_it() -> None:
    terms = TERMS.model_copy(update={"parties": (A, "nobody")})
    name = agreement_id(terms)
    held = file(6, A, agreement=name, terms=terms)
    told = NodeTold(agreements=(view(agreement=name, terms=terms),), files={name: held})
    (one,), _ = fold_agreements({A: told, B: NodeTold()}, PLACES, GENESIS)
    assert [each.org for each in one.copies] == [A]


def position(coop: str, other: str, balance: int, **changes: Any) -> ClearingPosition:
    said = {
        "coop": coop,
        "other": other,
        "agreement": WOOD,
        "unit": "commons-credits",
        "balance": balance,
        "doubt_in": 0,
        "doubt_out": 0,
        "imbalance_max": 100,
        "exchanges": 1,
        "settled": None,
        "changed_ms": NOW,
    }
    return ClearingPosition(**{**said, **changes})


@pytest.mark.parametrize(
    ("one", "other", "is_late", "mirror"),
    [
        (position(A, B, -40), position(B, A, 40), False, "equal"),
        (position(A, B, 0), None, False, "equal"),
        (position(A, B, -40), position(B, A, 35, doubt_in=5), False, "doubt"),
        (position(A, B, -40), position(B, A, 35, doubt_in=4), False, "moment"),
        (position(A, B, -40, doubt_out=3), position(B, A, 45, doubt_out=2), False, "doubt"),
        (position(A, B, -40), position(B, A, 41), True, "other"),
        (position(A, B, -40), None, True, "other"),
        (None, position(B, A, 4, doubt_out=4), True, "doubt"),
    ],
)
def test_two_sides_mirror_each_other_as_far_as_doubt_lets_them(
    one: Any, other: Any, is_late: bool, mirror: str
) -> None:
    assert mirror_of(one, other, is_late=is_late) == mirror
    assert mirror_of(other, one, is_late=is_late) == mirror


def test_a_home_is_heard_about_its_own_coop_alone() -> None:
    tells = {
        A: NodeTold(positions=(position(A, B, -40), position(B, A, 99), position(A, A, 5))),
        B: NodeTold(positions=(position(B, A, 40),)),
    }
    agreements, _ = fold_agreements({A: keeps(WHOLE)}, PLACES, GENESIS)
    (one,), wrong = fold_positions(tells, PLACES, agreements, late=())
    assert [side.balance for side in one.sides if side] == [-40, 40] and one.mirror == "equal"
    assert one.title == "Wood" and wrong == []


def test_sides_that_stay_apart_and_limits_that_are_broken_are_told() -> None:
    tells = {
        A: NodeTold(positions=(position(A, B, -140),)),
        B: NodeTold(positions=(position(B, A, 40),)),
    }
    agreements, _ = fold_agreements({A: keeps(WHOLE)}, PLACES, GENESIS)
    (one,), wrong = fold_positions(tells, PLACES, agreements, late=())
    assert one.mirror == "moment"
    assert wrong == ["Alder is 140 cc apart from Birch, and “Wood” lets it be 100 cc"]
    (late,), wrong = fold_positions(tells, PLACES, agreements, late={key_of(one)})
    assert late.mirror == "other" and "Alder and Birch tell other positions" in wrong[0]
    silent = {**tells, B: replace(tells[B], trouble="cut")}
    (one,), _ = fold_positions(silent, PLACES, agreements, late={key_of(one)})
    assert one.mirror == "one", "who is silent is no liar"


def exchange(coop: str, number: int = 1, **changes: Any) -> Exchange:
    said = {
        "coop": coop,
        "hash": HASH(100 + number),
        "exchange_id": f"x-{number}",
        "proposer": A,
        "role": "proposer" if coop == A else "responder",
        "kind": "exchange",
        "unit": "commons-credits",
        "legs": (Leg(agreement=WOOD, payer=A, payee=B, amount=40),),
        "what": "",
        "period": None,
        "state": "committed",
        "in_doubt": False,
        "ruled": False,
        "untold": 0,
        "why": "",
        "entry": HASH(9),
        "correction": None,
        "sequence": number,
        "offered_ms": NOW + number,
        "expires_ms": NOW + 30_000,
        "ended_ms": NOW + number,
    }
    return Exchange(**{**said, **changes})


def test_an_exchange_has_the_sides_that_tell_of_it_its_proposer_first() -> None:
    tells = {
        B: NodeTold(exchanges=(exchange(B), exchange(A, 2))),
        A: NodeTold(exchanges=(exchange(A), exchange(A, 3))),
    }
    found, more, wrong = fold_moved(tells, PLACES)
    assert [[side.coop for side in each.sides] for each in found] == [[A], [A, B]]
    assert [each.silent for each in found] == [(B,), ()] and not more and wrong == []
    many = {A: NodeTold(exchanges=tuple(exchange(A, 1 + n) for n in range(MOVED_MAX + 1)))}
    found, more, _ = fold_moved(many, PLACES)
    assert len(found) == MOVED_MAX and more and found[0].sides[0].sequence == MOVED_MAX + 1


def test_one_side_that_posted_what_the_other_gave_up_is_told_unless_it_was_ruled() -> None:
    did, not_ = exchange(A), exchange(B, state="aborted", entry=None)
    tells = {A: NodeTold(exchanges=(did,)), B: NodeTold(exchanges=(not_,))}
    _, _, wrong = fold_moved(tells, PLACES)
    assert wrong == ["Alder posted exchange x-1, and Birch says that nothing came of it"]
    ruled = not_.model_copy(update={"ruled": True})
    tells = {A: NodeTold(exchanges=(did,)), B: NodeTold(exchanges=(ruled,))}
    assert fold_moved(tells, PLACES)[2] == []


def member(org: str, **changes: Any) -> FederationMember:
    said = {"did": DIDS[org], "coop": org, "title": "", "founder": True, "standing": True}
    return FederationMember(**{**said, **changes})


def members(*those: FederationMember, state: int = 1, **changes: Any) -> FederationMembers:
    said = {"members": those, "state": HASH(state), "operations": 3, "vouches_min": 2}
    return FederationMembers(**{**said, **changes})


def test_nothing_is_drawn_before_anybody_told_anything() -> None:
    assert fold({}, PLACES, GENESIS) is None
    assert fold({A: NodeTold(trouble="down")}, PLACES, GENESIS) is None
    assert apart_of(None) == set()


def test_members_are_as_the_node_tells_them_that_heard_most() -> None:
    stranger = member(
        C, coop=None, founder=False, standing=False, vouched_by=(DIDS[A],), title="Copse"
    )
    attested = AttestationView(
        issuer_did=DIDS[A],
        issuer=A,
        subject=B,
        type="insured",
        state="valid",
        statement="",
        valid_from_ms=NOW,
        valid_until_ms=NOW + 1,
        evidence=None,
        operation=HASH(3),
        token=None,
    )
    more = members(stranger, member(B), member(A), operations=9, state=2)
    told = fold(
        {
            A: NodeTold(members=members(member(A))),
            B: NodeTold(members=more, attested=(attested,), ahead_ms=20_000),
        },
        PLACES,
        GENESIS,
    )
    assert told is not None
    assert [(each.key, each.title) for each in told.joined] == [
        (A, "Alder"),
        (B, "Birch"),
        (DIDS[C], "Copse"),
    ]
    assert told.joined[1].attested == (attested,) and told.joined[2].vouched_by == ("Alder",)
    assert [(each.org, each.operations) for each in told.heard] == [(A, 3), (B, 9)]
    assert told.vouches_min == 2 and told.ahead_ms == 20_000


def test_two_histories_and_two_ends_are_told_once() -> None:
    fork = ForkShown(object_id="federation", did=DIDS[C], coop=None, first="a.b.c", second="a.b.d")
    of_one = fork.model_copy(update={"object_id": f"agreement/{WOOD}", "coop": B})
    entry = JournalEntry(
        sequence=1,
        type="clearing.contradicted",
        at_ms=NOW,
        body={"by": A, "exchange_id": "x-1", "exchange": WOOD},
        previous=HASH(0),
        hash=HASH(1),
    )
    said = NodeTold(members=members(member(A)), forks=(fork, of_one), trouble="")
    told = fold({A: said, B: said}, PLACES, GENESIS, contradicted=[entry])
    assert told is not None
    assert told.wrong == (
        "The node of Cedar signed two histories of federation",
        f"The node of Birch signed two histories of agreement {WOOD[:12]}",
        "Alder signed that exchange x-1 is posted, and that nothing comes of it",
    )


def test_a_file_that_is_none_is_examined_all_the_same_and_few_are_remembered() -> None:
    examiner = Examiner()
    bad = examiner.examine(b"no file", genesis=GENESIS)
    assert not bad.ok and bad.why and bad.terms is None and bad.unsigned == ()
    assert examiner.examine(b"no file", genesis=GENESIS) is bad
    for number in range(EXAMINED_MAX + 5):
        examiner.examine(b"%d" % number, genesis=GENESIS)
    assert len(examiner._known) == EXAMINED_MAX
