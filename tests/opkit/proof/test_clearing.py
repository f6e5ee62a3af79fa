"""What was signed of an exchange, believed of its signer alone; what each side posts of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.proof.agreement import read_agreement_file
from opkit.proof.checks import ProofError
from opkit.proof.governance import charter_rule
from opkit.proof.ledger import sums_of
from opkit.proof.terms import agreement_id
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementFile
from opkit.wire.clearing import Leg
from opkit.wire.ledger import Cause
from opkit.wire.terms import PARTIES_MAX, ClearingTerms, Terms
from tests.opkit.proof import pacts
from tests.opkit.proof.test_agreement import tampered
from tests.opkit.proof.test_audit import Books
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
            "acceptances": (jws.record_id(self.acceptance()),),
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


def test_what_was_signed_says_how_it_ended() -> None:
    assert SAID.read().ending == "committed"
    assert SAID.read(outcome=SAID.abort()).ending == "aborted"
    assert SAID.read(outcome=None).ending is None
    ruled = SAID.read(ruling=SAID.ruling())
    assert (ruled.ending, ruled.hash) == ("aborted", SAID.name)
    assert SAID.read(rival=SAID.abort()).rival is not None
    stands = SAID.ruling(ending="committed")
    assert SAID.read(ruling=stands).ending == "committed"
    rivals = {"outcome": SAID.abort(), "rival": SAID.commit()}
    assert SAID.read(**rivals, ruling=stands).ending == "committed"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (lambda: {"acceptances": (SAID.acceptance(key="cedar"),)}, "signed by"),
        (lambda: {"acceptances": (SAID.acceptance(offer=OTHER),)}, "another offer"),
        (lambda: {"acceptances": (SAID.acceptance(aud="cedar"),)}, "another offer"),
        (lambda: {"acceptances": (SAID.acceptance(network="b" * 26),)}, "another network"),
        (lambda: {"acceptances": (SAID.acceptance(key="cedar", coop="cedar"),)}, "not offered"),
        (lambda: {"acceptances": (SAID.acceptance(), SAID.acceptance())}, "accepts twice"),
        (lambda: {"acceptances": ()}, "without the acceptances"),
        (lambda: {"outcome": SAID.commit(key="birch")}, "signed by"),
        (lambda: {"outcome": SAID.commit(offer=OTHER)}, "another offer"),
        (lambda: {"outcome": SAID.commit(coop="birch")}, "another coop"),
        (lambda: {"outcome": SAID.commit(acceptances=(OTHER,))}, "without the acceptances"),
        (lambda: {"outcome": SAID.abort(key="birch")}, "signed by"),
        (lambda: {"outcome": SAID.abort(offer=OTHER)}, "another offer"),
        (lambda: {"rival": SAID.commit(decided_ms=2)}, "no contradiction"),
        (lambda: {"outcome": None, "rival": SAID.abort()}, "no contradiction"),
        (lambda: {"ruling": SAID.ruling(key="birch")}, "signed by"),
        (lambda: {"ruling": SAID.ruling(offer=OTHER)}, "another exchange"),
        (lambda: {"ruling": SAID.ruling(coop="apple")}, "another exchange"),
        (lambda: {"outcome": SAID.acceptance()}, "not a"),
        (lambda: {"outcome": None, "ruling": SAID.ruling(ending="committed")}, "not committed"),
        (
            lambda: {"outcome": SAID.abort(), "ruling": SAID.ruling(ending="committed")},
            "not committed",
        ),
    ],
)
def test_each_word_of_an_exchange_is_believed_of_its_signer_alone(
    changes: Callable[[], dict[str, Any]], why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        SAID.read(**changes())


def test_an_offer_is_believed_of_its_proposers_home_alone() -> None:
    by_birch = offer_of(did=key_of("birch").did)
    with pytest.raises(ProofError, match="signed by"):
        proof.read_offer(proof.sign_offer(by_birch, key_of("birch")), GENESIS)
    unknown = offer_of(Leg(agreement=AGREED, payer="apple", payee="zebra", amount=1))
    with pytest.raises(ProofError, match="no charter"):
        proof.read_offer(proof.sign_offer(unknown, key_of("apple")), GENESIS)
    with pytest.raises(ProofError, match="the node that it names"):
        proof.sign_offer(by_birch, key_of("apple"))


def test_who_signs_for_another_node_is_not_believed() -> None:
    said = wire.Acceptance(
        network=NETWORK,
        did=key_of("cedar").did,
        coop="birch",
        aud="apple",
        offer=SAID.name,
        accepted_ms=1,
    )
    token = jws.sign(said, typ=wire.ACCEPTANCE_TYP, identity=key_of("birch"))
    with pytest.raises(ProofError, match="another node"):
        SAID.read(acceptances=(token,))


def test_an_arbiter_that_is_no_node_rules_nothing() -> None:
    nobodys = offer_of(arbiter="zebra")
    token = proof.sign_offer(nobodys, key_of("apple"))
    with pytest.raises(ProofError, match="has no node"):
        proof.read_ruling(SAID.ruling(), nobodys, jws.record_id(token), GENESIS)


def test_what_can_be_said_of_an_exchange_is_said_check_by_check() -> None:
    whole = wire.Evidence(offer=SAID.token, acceptances=(SAID.acceptance(),), outcome=SAID.commit())
    shown = proof.verify_exchange(whole, genesis=GENESIS, agreements=[AGREEMENT])
    assert shown.ok and shown.subject == "exchange x1 of apple"
    for changes, failed in (
        ({"outcome": None}, "ended"),
        ({"rival": SAID.abort()}, "one decision"),
        ({"outcome": SAID.commit(key="birch")}, "signatures"),
    ):
        verdict = proof.verify_exchange(
            whole.model_copy(update=changes), genesis=GENESIS, agreements=[AGREEMENT]
        )
        assert [each.name for each in verdict.failures] == [failed]


def verified_under(terms: Terms, *shown: AgreementFile, arbiter: str = ARBITER) -> dict[str, str]:
    """Return what fails of an offer under these terms that was accepted and committed."""
    said = Said(offer_of(leg("apple", "birch", agreement=agreement_id(terms)), arbiter=arbiter))
    whole = wire.Evidence(offer=said.token, acceptances=(said.acceptance(),), outcome=said.commit())
    verdict = proof.verify_exchange(whole, genesis=GENESIS, agreements=shown)
    return {each.name: each.actual for each in verdict.failures}


def test_arbiter_unit_and_parties_are_those_of_the_agreement_and_not_the_proposers_word() -> None:
    name = "agreed between apple and birch"
    right = terms_of()
    assert verified_under(right, agreed(right)) == {}
    assert "not given" in verified_under(right)[name]
    assert "not given" in verified_under(right, agreed(terms_of("apple", "cedar")))[name]
    assert "arbiter is umpire" in verified_under(right, agreed(right), arbiter="cedar")[name]
    for terms, why in (
        (terms_of("apple", "cedar"), "birch is no party"),
        (terms_of("birch", "cedar"), "apple is no party"),
        (terms_of(unit="usd-cents"), "counts in usd-cents"),
        (terms_of(clearing=None), "counts in nothing"),
    ):
        assert why in verified_under(terms, agreed(terms))[name]
    file = agreed(right)
    first, second = file.signatures
    forged = first.model_copy(update={"signature": tampered(first.signature)})
    bad = file.model_copy(update={"signatures": (forged, second)})
    assert list(verified_under(right, bad)) == [f"{name}, apple adopt: agreement-signature"]


def test_an_arbiter_commits_nothing_that_not_all_have_accepted() -> None:
    ruled = SAID.ruling(ending="committed")
    for without in ({"acceptances": (), "outcome": None}, {"outcome": None}):
        with pytest.raises(ProofError, match="it rules committed what was not committed"):
            SAID.read(ruling=ruled, **without)
    with pytest.raises(ProofError, match="accept"):
        SAID.read(acceptances=(), ruling=ruled)
    assert SAID.read(ruling=ruled).ending == "committed"
    assert SAID.read(acceptances=(), outcome=None, ruling=SAID.ruling()).ending == "aborted"


def test_an_entry_that_posts_an_exchange_is_its_coops_half_of_it_or_told() -> None:
    whole = wire.Evidence(offer=SAID.token, acceptances=(SAID.acceptance(),), outcome=SAID.commit())
    first, second = proof.postings_of(offer_of(), "apple")
    half: dict[str, Any] = {
        "coop": "apple",
        "kind": "bound",
        "postings": (first, second),
        "cause": Cause(kind="exchange", id=SAID.name),
    }
    less = first.model_copy(update={"amount": first.amount - 1})
    other = {"postings": proof.postings_of(offer_of(), "birch")}
    cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
        ({}, []),
        ({"cause": None}, ["cause"]),
        ({"cause": Cause(kind="exchange", id=OTHER)}, ["cause"]),
        (other, ["postings"]),
        ({"postings": (less, second)}, ["postings", "sum"]),
        ({"coop": "cedar"}, ["postings"]),
        ({"hash": OTHER}, ["hash"]),
    )
    for changes, failed in cases:
        entry = Books().post(**{**half, **changes})
        verdict = proof.verify_exchange(
            whole, genesis=GENESIS, agreements=[AGREEMENT], entries=[entry]
        )
        about = f"{entry.coop} entry 1"
        assert [each.name for each in verdict.failures] == [f"{about}: {name}" for name in failed]


def leg(payer: str, payee: str, amount: int = 5, agreement: str = AGREED) -> Leg:
    return Leg(agreement=agreement, payer=payer, payee=payee, amount=amount)


RING = (leg("birch", "apple"), leg("cedar", "birch"), leg("apple", "cedar"))
TO_AND_FRO = tuple(
    leg(payer, payee, agreement=agreement)
    for one, other in (("apple", "birch"), ("birch", "cedar"))
    for payer, payee, agreement in ((one, other, AGREED), (other, one, "8" * 64))
)
"""Debts that go to and fro between two, under two agreements."""


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (offer_of(parties=("apple", "cedar")), "parties"),
        (offer_of(parties=("birch", "apple")), "parties"),
        (offer_of(coop="cedar"), "parties"),
        (offer_of(leg("apple", "apple"), parties=("apple", "birch")), "parties"),
        (offer_of(leg("apple", "apple"), leg("apple", "birch"), kind="netting"), "pays itself"),
        (offer_of(*RING), "more than one leg"),
        (offer_of(leg("apple", "birch"), leg("birch", "apple"), kind="netting"), "same two"),
        (
            offer_of(
                leg("apple", "birch"), leg("birch", "apple", agreement="8" * 64), kind="netting"
            ),
            "three or more",
        ),
        (offer_of(*RING[:2], kind="netting"), "does not pay what it gets"),
        (offer_of(*TO_AND_FRO, kind="netting"), "apple would have nothing to post"),
        (offer_of(period="2026-01"), "has a period"),
        (offer_of(kind="settlement"), "has a period"),
        (
            offer_of(leg("birch", "apple"), kind="settlement", period="2026-01"),
            "birch is owed",
        ),
        (offer_of(expires_ms=OFFERED_MS), "time is none"),
        (offer_of(expires_ms=OFFERED_MS + wire.OFFER_TTL_MS_MAX + 1), "too long"),
    ],
)
def test_what_contradicts_itself_is_no_offer(offer: wire.Offer, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        proof.check_offer(offer)


AMOUNTS = st.integers(min_value=1, max_value=10**9)


@given(amount=AMOUNTS, back=st.booleans())
def test_both_halves_of_an_exchange_sum_to_zero_and_mirror_each_other(
    amount: int, back: bool
) -> None:
    offer = offer_of(leg("apple", "birch", amount))
    one, other = (proof.postings_of(offer, coop, back=back) for coop in offer.parties)
    assert sums_of(one) == sums_of(other) == {UNIT: 0}
    assert sorted(each.amount for each in one) == sorted(-each.amount for each in other)
    assert proof.postings_of(offer, "cedar") == ()


@given(amount=AMOUNTS)
def test_a_netting_gives_nobody_anything(amount: int) -> None:
    legs = tuple(each.model_copy(update={"amount": amount}) for each in RING)
    offer = offer_of(*legs, kind="netting")
    proof.check_offer(offer)
    for coop in offer.parties:
        postings = proof.postings_of(offer, coop)
        assert {each.account.partition(":")[2].partition("/")[0] for each in postings} == {"due"}
        assert sums_of(postings) == {UNIT: 0}
    assert set(proof.net_of(offer.legs).values()) == {0}


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


def test_debts_that_go_around_are_found_and_lowered_by_the_least() -> None:
    ring = [
        position("apple", "birch", -30),
        position("birch", "cedar", -20),
        position("apple", "cedar", 25),
    ]
    mirrored = [
        position(each.other, each.coop, -each.balance, agreement=each.agreement) for each in ring
    ]
    for known in (ring, mirrored, ring + mirrored):
        legs = proof.circle_of(known, UNIT)
        assert {(each.payee, each.payer, each.amount) for each in legs} == {
            ("apple", "birch", 20),
            ("birch", "cedar", 20),
            ("cedar", "apple", 20),
        }
        assert set(proof.net_of(legs).values()) == {0}
    assert proof.circle_of(ring[:2], UNIT) == ()
    assert proof.circle_of(ring, "usd-cents") == ()
    in_doubt = ring[0].model_copy(update={"doubt_in": 1})
    assert proof.circle_of([in_doubt, *ring[1:]], UNIT) == ()


def test_a_circle_of_too_many_is_left_alone_and_one_beside_the_start_is_found() -> None:
    names = [f"coop-{number:02}" for number in range(PARTIES_MAX + 1)]
    after = [*names[1:], names[0]]
    large = [position(one, other, -5) for one, other in zip(names, after, strict=True)]
    assert proof.circle_of(large, UNIT) == ()
    # Apple owes birch, and is owed nothing: whoever follows its debt comes back to birch.
    beside = [
        position("apple", "birch", -9),
        position("birch", "cedar", -5),
        position("cedar", "dogwood", -5),
        position("birch", "dogwood", 5),
    ]
    legs = proof.circle_of(beside, UNIT)
    assert {each.payee for each in legs} == {"birch", "cedar", "dogwood"}
