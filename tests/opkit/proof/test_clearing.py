"""What was signed of an exchange, believed of its signer alone; what each side posts of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.proof.checks import Check, ProofError, Verdict
from opkit.proof.ledger import sums_of
from opkit.proof.terms import agreement_id
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementFile
from opkit.wire.base import Wire
from opkit.wire.ledger import Entry, Posting
from opkit.wire.terms import Terms
from tests.opkit.proof.agreement_cases import tampered
from tests.opkit.proof.clearing_cases import (
    HALF,
    OFFERS,
    PROVIDED,
    READ,
    UNTRUE_ENTRIES,
    UNTRUE_OFFERS,
    UNTRUE_WORDS,
    VERDICTS,
    WHOLE,
)
from tests.opkit.proof.exchanges import (
    AGREED,
    AGREEMENT,
    OFFERED_MS,
    OTHER,
    RING,
    SAID,
    TO_AND_FRO,
    Said,
    agreed,
    leg,
    offer_of,
    terms_of,
)
from tests.opkit.proof.test_audit import Books
from tests.simulation.town import ARBITER, GENESIS, NETWORK, UNIT, key_of


def test_what_was_signed_says_how_it_ended() -> None:
    assert SAID.read().ending == "committed"
    assert SAID.read(outcome=SAID.abort()).ending == "aborted"
    assert SAID.read(outcome=None).ending is None
    ruled = SAID.read(ruling=SAID.ruling())
    assert (ruled.ending, ruled.hash) == ("aborted", SAID.name)
    assert SAID.read(rival=SAID.abort()).rival is not None
    stands = SAID.ruling(ending="committed")
    assert SAID.read(outcome=SAID.abort(), rival=SAID.commit()).ending == "aborted"
    assert SAID.read(ruling=stands).ending == "committed"
    rivals = {"outcome": SAID.abort(), "rival": SAID.commit()}
    assert SAID.read(**rivals, ruling=stands).ending == "committed"


def payload_of(token: str, of: type[Wire]) -> Any:
    return of.model_validate(jws.peek(token).payload)


def test_all_that_was_signed_is_told_with_its_record_ids() -> None:
    said = {"outcome": SAID.abort(), "rival": SAID.commit(), "ruling": SAID.ruling()}
    assert SAID.read(**said) == proof.Told(
        hash=SAID.name,
        offer=offer_of(),
        acceptances={"birch": jws.record_id(SAID.acceptance())},
        outcome=payload_of(SAID.abort(), wire.Abort),
        rival=payload_of(SAID.commit(), wire.Commit),
        ruling=payload_of(SAID.ruling(), wire.Ruling),
        ruling_id=jws.record_id(SAID.ruling()),
    )
    nothing = SAID.read(acceptances=(), outcome=None)
    assert (nothing.acceptances, nothing.outcome, nothing.rival) == ({}, None, None)
    assert (nothing.ruling, nothing.ruling_id) == (None, None)


@pytest.mark.parametrize(
    ("sign", "token", "of", "typ", "key"),
    [
        (proof.sign_offer, SAID.token, wire.Offer, "opkit-offer+jws", "apple"),
        (
            proof.sign_acceptance,
            SAID.acceptance(),
            wire.Acceptance,
            "opkit-acceptance+jws",
            "birch",
        ),
        (proof.sign_outcome, SAID.commit(), wire.Commit, "opkit-commit+jws", "apple"),
        (proof.sign_outcome, SAID.abort(), wire.Abort, "opkit-abort+jws", "apple"),
        (proof.sign_ruling, SAID.ruling(), wire.Ruling, "opkit-ruling+jws", ARBITER),
    ],
)
def test_each_word_is_signed_as_what_it_is_by_the_node_that_it_names_alone(
    sign: Any, token: str, of: type[Wire], typ: str, key: str
) -> None:
    claimed = jws.peek(token)
    assert (claimed.typ, claimed.kid) == (typ, key_of(key).did)
    said = of.model_validate(claimed.payload)
    assert sign(said, key_of(key)) == token
    with pytest.raises(ProofError, match="signed by the node that it names"):
        sign(said, key_of("cedar"))


@pytest.mark.parametrize(("changes", "why"), UNTRUE_WORDS)
def test_each_word_of_an_exchange_is_believed_of_its_signer_alone(
    changes: Callable[[], dict[str, Any]], why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        SAID.read(**changes())


def test_an_offer_is_believed_of_its_proposers_home_alone() -> None:
    by_birch = offer_of(did=key_of("birch").did)
    with pytest.raises(ProofError, match="signed by"):
        proof.read_offer(proof.sign_offer(by_birch, key_of("birch")), GENESIS)
    unknown = offer_of(leg("apple", "zebra"))
    with pytest.raises(ProofError, match="no charter"):
        proof.read_offer(proof.sign_offer(unknown, key_of("apple")), GENESIS)
    untrue = proof.sign_offer(offer_of(expires_ms=OFFERED_MS), key_of("apple"))
    with pytest.raises(ProofError, match="time is none"):
        proof.read_offer(untrue, GENESIS)
    with pytest.raises(ProofError, match="not a 'opkit-offer"):
        proof.read_offer(SAID.commit(), GENESIS)
    foreign = proof.sign_offer(offer_of(network="b" * 26), key_of("apple"))
    with pytest.raises(ProofError, match="another network"):
        proof.read_offer(foreign, GENESIS)


class Named(Wire):
    """What names its coop by something that is no text."""

    coop: tuple[str, ...]


def test_what_names_its_coop_by_no_text_is_nobodys() -> None:
    nobodys = {
        typ: jws.sign(Named(coop=("apple",)), typ=typ, identity=key_of("apple"))
        for typ in (wire.OFFER_TYP, wire.ACCEPTANCE_TYP)
    }
    with pytest.raises(ProofError, match="has no charter"):
        proof.read_offer(nobodys[wire.OFFER_TYP], GENESIS)
    with pytest.raises(ProofError, match="has no charter"):
        SAID.read(acceptances=(nobodys[wire.ACCEPTANCE_TYP],))


NETTING = Said(offer_of(*RING, kind="netting"))


@pytest.mark.parametrize(
    ("given", "cited", "good"),
    [
        (("birch", "cedar"), ("birch", "cedar"), True),
        (("cedar", "birch"), ("birch", "cedar"), True),
        (("birch", "cedar"), ("cedar", "birch"), False),
        (("birch", "cedar"), ("birch",), False),
        (("birch", "cedar"), ("birch", "cedar", "cedar"), False),
        (("birch",), ("birch",), False),
        (("birch",), ("birch", "cedar"), False),
    ],
)
def test_a_commit_cites_the_acceptance_of_each_other_party_in_order(
    given: tuple[str, ...], cited: tuple[str, ...], good: bool
) -> None:
    words = {coop: NETTING.acceptance(key=coop, coop=coop) for coop in ("birch", "cedar")}
    said = {
        "acceptances": tuple(words[coop] for coop in given),
        "outcome": NETTING.commit(acceptances=tuple(jws.record_id(words[coop]) for coop in cited)),
    }
    if good:
        assert NETTING.read(**said).acceptances.keys() == {"birch", "cedar"}
    else:
        with pytest.raises(ProofError, match="without the acceptances of all others"):
            NETTING.read(**said)


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


@pytest.mark.parametrize(("changes", "checks"), VERDICTS)
def test_what_can_be_said_of_an_exchange_is_said_check_by_check(
    changes: dict[str, Any], checks: tuple[Check, ...]
) -> None:
    shown = WHOLE.model_copy(update=changes)
    assert proof.verify_exchange(shown, genesis=GENESIS, agreements=[AGREEMENT]) == Verdict(
        subject="exchange x1 of apple", checks=checks, anchored=True
    )


def test_of_what_does_not_verify_nothing_else_is_said() -> None:
    shown = WHOLE.model_copy(update={"outcome": SAID.commit(coop="birch")})
    assert proof.verify_exchange(shown, genesis=GENESIS, agreements=[AGREEMENT]) == Verdict(
        subject="an exchange",
        checks=(replace(READ, ok=False, actual="another coop than the proposer decides"),),
        anchored=True,
    )


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
        (terms_of(clearing=None), "counts in nothing, the offer in"),
    ):
        assert why in verified_under(terms, agreed(terms))[name]
    file = agreed(right)
    first, second = file.signatures
    forged = first.model_copy(update={"signature": tampered(first.signature)})
    bad = file.model_copy(update={"signatures": (forged, second)})
    assert list(verified_under(right, bad)) == [f"{name}, apple adopt: agreement-signature"]
    alone = file.model_copy(update={"signatures": file.signatures[:1]})
    assert list(verified_under(right, alone)) == [f"{name}, signed-by-all"]
    # The first check that fails is told: this one is not signed by all either.
    strange = terms_of(facilitator="nobody")
    alone = agreed(strange)
    alone = alone.model_copy(update={"signatures": alone.signatures[:1]})
    why = "nobody has no node in this network"
    assert verified_under(strange, alone) == {f"{name}, terms-in-network": why}


def test_each_leg_of_a_netting_is_held_against_its_own_agreement() -> None:
    """One that is not given, or not agreed, is told; the others are looked at all the same."""
    files = {pair: agreed(terms_of(*pair)) for pair in combinations(("apple", "birch", "cedar"), 2)}
    legs = tuple(
        leg(payer, payee, agreement=files[pair].agreement)
        for payer, payee in (("birch", "apple"), ("cedar", "birch"), ("apple", "cedar"))
        for pair in files
        if {payer, payee} == set(pair)
    )
    said = Said(offer_of(*legs, kind="netting"))
    shown = wire.Evidence(offer=said.token, outcome=said.abort())

    def told(given: list[AgreementFile]) -> list[Check]:
        return list(proof.verify_exchange(shown, genesis=GENESIS, agreements=given).checks[3:])

    names = [f"agreed between {each.payer} and {each.payee}" for each in legs]
    good = [replace(PROVIDED, name=name) for name in names]
    assert told(list(files.values())) == good
    why = "the agreement was not given: arbiter, unit and parties are the proposer's word"
    for at, lacking in enumerate(legs):
        lack = Check(
            name=names[at], ok=False, expected=f"agreement {lacking.agreement}", actual=why
        )
        given = [each for each in files.values() if each.agreement != lacking.agreement]
        assert told(given) == [*good[:at], lack, *good[at + 1 :]]


def test_an_arbiter_commits_nothing_that_not_all_have_accepted() -> None:
    ruled = SAID.ruling(ending="committed")
    for without in ({"acceptances": (), "outcome": None}, {"outcome": None}):
        with pytest.raises(ProofError, match="it rules committed what was not committed"):
            SAID.read(ruling=ruled, **without)
    with pytest.raises(ProofError, match="accept"):
        SAID.read(acceptances=(), ruling=ruled)
    assert SAID.read(ruling=ruled).ending == "committed"
    assert SAID.read(acceptances=(), outcome=None, ruling=SAID.ruling()).ending == "aborted"


def checks_of(entry: Entry, evidence: wire.Evidence = WHOLE) -> list[Check]:
    """Return what is said of an entry in the verdict on the exchange that it posts."""
    args: dict[str, Any] = {"genesis": GENESIS, "agreements": [AGREEMENT]}
    without = proof.verify_exchange(evidence, **args).checks
    checks = proof.verify_exchange(evidence, **args, entries=[entry]).checks
    assert checks[: len(without)] == without
    return list(checks[len(without) :])


def test_an_entry_that_posts_its_coops_half_of_an_exchange_is_held_against_the_offer() -> None:
    books = Books()
    books.post(("member/ada", 1), ("member/bo", -1))
    entry = books.post(**HALF)
    assert checks_of(entry) == [
        Check("apple entry 2: hash", ok=True, expected=entry.hash, actual=entry.hash),
        Check(
            "apple entry 2: cause",
            ok=True,
            expected=f"exchange {SAID.name}",
            actual=f"exchange {SAID.name}",
        ),
        Check(
            "apple entry 2: postings",
            ok=True,
            expected="what the offer says",
            actual="apple:due/birch -40, apple:equity/exchanges 40",
        ),
        Check("apple entry 2: sum", ok=True, expected="0", actual="0"),
        Check("apple entry 2: committed", ok=True, expected="a commit", actual="a commit"),
    ]


@pytest.mark.parametrize(("changes", "wrong"), UNTRUE_ENTRIES)
def test_an_entry_that_is_not_its_coops_half_is_told(
    changes: dict[str, Any], wrong: dict[str, str]
) -> None:
    entry = Books().post(**{**HALF, **changes})
    about = f"{entry.coop} entry 1: "
    failed = {each.name: each.actual for each in checks_of(entry) if not each.ok}
    if "hash" in wrong:
        assert list(failed) == [f"{about}hash"]
    else:
        assert failed == {f"{about}{name}": actual for name, actual in wrong.items()}


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"outcome": None}, False),
        ({"outcome": SAID.abort()}, False),
        ({"outcome": None, "ruling": SAID.ruling()}, False),
        # Who heard of the commit had to post it, whatever else the proposer said, or the arbiter.
        ({"rival": SAID.abort()}, True),
        ({"outcome": SAID.abort(), "rival": SAID.commit()}, True),
        ({"ruling": SAID.ruling()}, True),
    ],
)
def test_what_nobody_committed_is_posted_by_nobody(changes: dict[str, Any], ok: bool) -> None:
    (told,) = [
        each
        for each in checks_of(Books().post(**HALF), WHOLE.model_copy(update=changes))
        if each.name == "apple entry 1: committed"
    ]
    expected = "a commit"
    actual = expected if ok else "none"
    assert told == Check(told.name, ok=ok, expected=expected, actual=actual)


def test_the_halves_of_all_sides_are_looked_at() -> None:
    halves = [
        Books().post(**{**HALF, "coop": coop, "postings": proof.postings_of(offer_of(), coop)})
        for coop in ("apple", "birch")
    ]
    verdict = proof.verify_exchange(WHOLE, genesis=GENESIS, agreements=[AGREEMENT], entries=halves)
    assert verdict.ok
    assert [each.name.partition(" ")[0] for each in verdict.checks[4:]] == ["apple"] * 5 + [
        "birch"
    ] * 5


@pytest.mark.parametrize(("offer", "why"), UNTRUE_OFFERS)
def test_what_contradicts_itself_is_no_offer(offer: wire.Offer, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        proof.check_offer(offer)


@pytest.mark.parametrize("offer", OFFERS)
def test_what_does_not_is_one(offer: wire.Offer) -> None:
    proof.check_offer(offer)


# What each side posts.

UNDER = "8" * 64
"""Another agreement."""

MANY = offer_of(
    leg("cedar", "birch", 3),
    leg("birch", "apple", 5),
    leg("birch", "apple", 2, UNDER),
    leg("apple", "cedar", 4, UNDER),
)
"""Not an offer that anybody may make: birch has two legs with apple, and one with cedar."""


def posted(coop: str, **amounts: int) -> tuple[Posting, ...]:
    """Return postings by the other side's name; `given` stands for what was given or got."""
    paths = {name: "equity/exchanges" if name == "given" else f"due/{name}" for name in amounts}
    return tuple(
        Posting(account=f"{coop}:{paths[name]}", unit=UNIT, amount=amount)
        for name, amount in amounts.items()
    )


@pytest.mark.parametrize(
    ("coop", "expected"),
    [
        ("apple", posted("apple", birch=7, cedar=-4, given=-3)),
        ("birch", posted("birch", apple=-7, cedar=3, given=4)),
        ("cedar", posted("cedar", apple=4, birch=-3, given=-1)),
        ("dogwood", ()),
    ],
)
def test_a_coop_posts_what_each_other_owes_it_and_for_what_in_order(
    coop: str, expected: tuple[Posting, ...]
) -> None:
    assert proof.postings_of(MANY, coop) == expected
    taken_back = proof.postings_of(MANY, coop, back=True)
    assert [each.amount for each in taken_back] == [-each.amount for each in expected]
    assert [each.account for each in taken_back] == [each.account for each in expected]


def test_what_comes_to_nothing_is_not_posted() -> None:
    to_and_fro = offer_of(*TO_AND_FRO)
    assert proof.postings_of(to_and_fro, "apple") == ()
    ring = offer_of(*RING)
    assert proof.postings_of(ring, "apple") == posted("apple", birch=5, cedar=-5)


def test_positions_change_by_the_other_side_and_the_agreement() -> None:
    assert proof.changes_of(MANY.legs, "birch") == {
        ("cedar", AGREED): 3,
        ("apple", AGREED): -5,
        ("apple", UNDER): -2,
    }
    assert proof.changes_of(MANY.legs, "dogwood") == {}
    assert proof.net_of(MANY.legs) == {"apple": 3, "birch": -4, "cedar": 1}


def test_a_coop_takes_part_under_the_agreements_of_its_own_legs_each_once() -> None:
    assert proof.agreements_of(MANY, "birch") == (AGREED, UNDER)
    assert proof.agreements_of(offer_of(*RING), "apple") == (AGREED,)
    apart = offer_of(leg("birch", "apple", 5, UNDER), leg("cedar", "birch", 5))
    assert proof.agreements_of(apart, "apple") == (UNDER,)
    assert proof.agreements_of(apart, "cedar") == (AGREED,)
    assert proof.agreements_of(apart, "dogwood") == ()


def test_an_entry_is_named_by_its_exchange_and_how_many_came_before() -> None:
    assert proof.entry_id_of(OTHER) == f"exchange:{OTHER}"
    assert proof.entry_id_of(OTHER, before=1) == f"exchange:{OTHER}:1"


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
