"""Names: which records of one hold, and which two prove that a home node said two things."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.names import (
    NameView,
    claim_in,
    contradict,
    home_of,
    make_claim,
    read_claim,
    read_name,
    read_takeover,
    stands_before,
)
from opkit.proof.record import make_record
from opkit.wire.base import Jws
from opkit.wire.names import (
    CLAIM_CHARACTERS_MAX,
    NAME_TERM_MS_MAX,
    NAME_TYP,
    AliasTarget,
    NameClaim,
    NameEnd,
    NameValue,
    NodeTarget,
    ServiceEndpoint,
    ServiceTarget,
)

NAME = "lathe.tool-library"
MIRA, ONDREJ, ILSE = "tool-library/mira", "tool-library/ondrej", "tool-library/ilse"
KEY = Identity.from_seed(bytes([7]) * 32)
DAY_MS = 86_400_000
AT = 1_000_000


class Home:
    """Claims by members of a coop, and what its home node makes of them."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.node = network.nodes["tool-library"]
        self.lathe = ServiceTarget(
            type="machine-booking",
            node=self.node.did,
            endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
        )

    def claim(self, member_id: str = MIRA, *, at: int = AT, **changes: Any) -> Jws:
        said = {
            "member": changes.pop("key", None) or self.network.members.get(member_id, KEY),
            "network": self.network.name,
            "name": NAME,
            "target": self.lathe,
            "at_ms": at,
            "term_ms": DAY_MS,
        }
        return make_claim(**{**said, **changes}, member_id=member_id)

    def value(self, claim: Jws, *, member: tuple[Jws, ...] = (), freed: Any = ()) -> Any:
        return NameValue(claim=claim, member=member, freed=freed).model_dump(mode="json")

    def record(self, claim: Jws, *, at: int = AT, **changes: Any) -> Jws:
        """Return the countersigned claim, or what `changes` make of it."""
        said = jws.peek(claim).payload
        gone = said["target"] is None or changes.pop("gone", False)
        value = self.value(claim, member=changes.pop("member", ()), freed=changes.pop("freed", ()))
        fields = {
            "network": self.network.name,
            "namespace": "name",
            "name": said["name"],
            "value": value,
            "at_ms": at,
            "term_ms": NAME_TERM_MS_MAX if gone else said["lapses_at_ms"] - at,
        }
        return make_record(changes.pop("signer", self.node), **{**fields, **changes})

    def read(self, record: Jws) -> NameView:
        return read_name(record, self.network.view)

    def end(self, member_id: str, *, at: int, **changes: Any) -> NameEnd:
        return NameEnd(claim=self.claim(member_id, at=at, target=None, **changes))


@pytest.fixture
def home(network: Any) -> Home:
    return Home(network)


def test_a_countersigned_claim_is_a_name(home: Home) -> None:
    record = home.record(home.claim(), at=AT + 5)
    view = home.read(record)
    assert view == NameView(
        name=NAME,
        coop="tool-library",
        home=home.node.did,
        member_id=MIRA,
        did=home.network.members[MIRA].did,
        target=home.lathe,
        ended=False,
        sequence=AT + 5,
        claim_sequence=AT,
        issued_at_ms=AT + 5,
        lapses_at_ms=AT + DAY_MS,
        id=jws.record_id(record),
        record=record,
        freed=(),
    )
    assert view.held


def test_a_claim_has_a_sequence_of_its_own_or_the_time_of_its_issue(home: Home) -> None:
    assert claim_in(home.claim()).sequence == AT
    claim = home.claim(sequence=3)
    assert claim_in(claim) == read_claim(claim, network=home.network.name)
    view = home.read(home.record(claim))
    assert (view.sequence, view.claim_sequence) == (AT, 3)


def test_a_record_may_leave_out_what_there_is_none_of(home: Home) -> None:
    view = home.read(home.record(home.claim(), value={"claim": home.claim()}))
    assert (view.ended, view.freed) == (False, ())


def test_a_withdrawal_stands_as_long_as_any_record_may(home: Home) -> None:
    view = home.read(home.record(home.claim(target=None)))
    assert view.target is None and not view.held
    assert view.lapses_at_ms == AT + NAME_TERM_MS_MAX


def test_a_member_who_was_added_claims_with_their_chain(home: Home) -> None:
    chain = (home.network.record(ILSE, did=KEY.did),)
    view = home.read(home.record(home.claim(ILSE), member=chain))
    assert (view.member_id, view.did, view.held) == (ILSE, KEY.did, True)


def test_who_was_revoked_holds_it_no_more_and_the_record_shows_it(home: Home) -> None:
    revoked = home.network.record(ILSE, did=KEY.did, sequence=2, action="revoke")
    chain = (home.network.record(ILSE, did=KEY.did), revoked)
    view = home.read(home.record(home.claim(ILSE), member=chain, gone=True))
    assert view.ended and not view.held
    with pytest.raises(ProofError, match="it lapses at"):
        home.read(home.record(home.claim(ILSE), member=chain))


def test_a_coop_without_charter_has_no_home(home: Home) -> None:
    assert home_of(NAME, genesis=home.network.view) == home.node.did
    assert home_of("lathe.nobody", genesis=home.network.view) is None


def signed(home: Home, **changes: Any) -> Jws:
    """Return a claim that no honest program signs."""
    fields = jws.peek(home.claim()).payload | changes
    claim = NameClaim.model_validate(fields, strict=False)
    return jws.sign(claim, typ=NAME_TYP, identity=home.network.members[MIRA])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "building-yard"}, "is not for 'building-yard'"),
        ({"sequence": AT + 1}, "beyond the time of issue"),
        ({"lapses_at_ms": AT}, "before it is issued"),
        ({"target": AliasTarget(name=NAME)}, "does not stand for itself"),
        ({"target": NodeTarget(node="did:key:z6Mk" + "1" * 44)}, "."),
        ({"network": "b" * 26}, "another network"),
    ],
)
def test_what_no_claim_says_is_none(home: Home, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ProofError, match=why):
        read_claim(signed(home, **changes), network=home.network.name)


def test_of_several_things_that_are_wrong_with_a_claim_the_first_is_told(home: Home) -> None:
    wrong: dict[str, Any] = {
        "aud": "building-yard",
        "sequence": AT + 1,
        "lapses_at_ms": AT,
        "target": AliasTarget(name=NAME),
    }
    whys = ("is not for", "beyond the time of issue", "before it is issued", "for itself")
    for field, why in zip(list(wrong), whys, strict=True):
        with pytest.raises(ProofError, match=why):
            read_claim(signed(home, **wrong), network=home.network.name)
        del wrong[field]
    assert read_claim(signed(home), network=home.network.name)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sequence": AT + 1}, "beyond the time of issue"),
        ({"term_ms": 0}, "before it is issued"),
        ({"target": AliasTarget(name=NAME)}, "does not stand for itself"),
    ],
)
def test_nobody_signs_what_no_claim_says(home: Home, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ProofError, match=why):
        home.claim(**changes)


def test_a_claim_is_as_long_as_one_may_be_that_is_handed_on(home: Home) -> None:
    for length, why in (
        (CLAIM_CHARACTERS_MAX, "compact JWS"),
        (CLAIM_CHARACTERS_MAX + 1, "3073 characters are more than a claim may have"),
    ):
        with pytest.raises(ProofError, match=why):
            read_claim("x" * length, network=home.network.name)
    endpoint = ServiceEndpoint(protocol="opkit", path="/" + "x" * 250)
    home.claim(target=home.lathe.model_copy(update={"endpoints": (endpoint,) * 4}))
    with pytest.raises(ProofError, match="more than a claim may have"):
        home.claim(target=home.lathe.model_copy(update={"endpoints": (endpoint,) * 8}))


def test_an_alias_stands_for_another_name(home: Home) -> None:
    target = AliasTarget(name="saw.building-yard")
    assert home.read(home.record(home.claim(target=target))).target == target


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"member_id": "building-yard/ruth"}, "no member of tool-library"),
        ({"member_id": ILSE}, "nothing shows"),
        ({"key": KEY}, "the key of tool-library/mira is another one"),
    ],
)
def test_who_is_no_member_claims_nothing(home: Home, claim: dict[str, Any], why: str) -> None:
    with pytest.raises(ProofError, match=why):
        home.read(home.record(home.claim(**claim)))


def test_a_record_says_what_was_claimed(home: Home) -> None:
    claim = home.claim()
    cases: list[tuple[Jws, str]] = [
        (home.record(claim, name="saw.tool-library"), "the claim is about"),
        (home.record(claim, term_ms=DAY_MS + 1), "it lapses at"),
        (home.record(home.claim(term_ms=NAME_TERM_MS_MAX + 1)), "at most"),
        (home.record(claim, network="b" * 26), "another network"),
        (home.record(home.claim(network="b" * 26)), "another network"),
        (home.record(claim, signer=home.network.nodes["building-yard"]), "not the home node"),
        (home.record(claim, value=None), "no record of a name"),
        (home.record(claim, value={"text": "x"}), "it says nothing of a name: claim: "),
        (home.record(claim, namespace="note"), "no record of a name"),
    ]
    for record, why in cases:
        with pytest.raises(ProofError, match=why):
            home.read(record)


def test_the_end_of_an_earlier_hold_is_proven(home: Home) -> None:
    claim = home.claim(ONDREJ, at=AT + 9)
    freed = home.end(MIRA, at=AT + 5)
    view = home.read(home.record(claim, at=AT + 9, freed=(freed,)))
    assert view.freed == ((MIRA, AT + 5),)
    other = home.end(MIRA, at=AT + 5, name="saw.tool-library")
    cases = [
        ((NameEnd(claim=home.claim()),), "did not give the name back"),
        ((other,), "an end is about"),
        ((home.end(MIRA, at=AT + 5, network="b" * 26),), "another network"),
        ((home.end(MIRA, at=AT + 5, key=KEY),), "the key of tool-library/mira is another one"),
        ((freed, home.end(MIRA, at=AT + 6)), "says twice"),
        ((home.end(ONDREJ, at=AT + 6),), "says twice"),
    ]
    for ends, why in cases:
        with pytest.raises(ProofError, match=why):
            home.read(home.record(claim, at=AT + 9, freed=ends))


def test_a_hold_ended_when_its_member_was_revoked_whatever_they_claimed(home: Home) -> None:
    chain = (
        home.network.record(ILSE, did=KEY.did),
        home.network.record(ILSE, did=KEY.did, sequence=2, action="revoke"),
    )
    held = home.claim(ILSE)
    claim = home.claim(at=AT + 9)
    ended = NameEnd(claim=held, member=chain)
    assert home.read(home.record(claim, at=AT + 9, freed=(ended,))).freed == ((ILSE, AT),)
    standing = NameEnd(claim=held, member=chain[:1])
    with pytest.raises(ProofError, match="tool-library/ilse did not give the name back"):
        home.read(home.record(claim, at=AT + 9, freed=(standing,)))


def test_two_holders_at_once_prove_that_the_home_said_two_things(home: Home) -> None:
    one = home.record(home.claim())
    other = home.record(home.claim(ONDREJ, at=AT + 9), at=AT + 9)
    for earlier, later in permutations((one, other)):
        proof = read_takeover(earlier, later, home.network.view)
        assert (proof.name, proof.home) == (NAME, home.node.did)
        assert (proof.first.member_id, proof.second.member_id) == (ONDREJ, MIRA)


def test_two_records_of_one_sequence_prove_it_too_and_the_lower_id_stands(home: Home) -> None:
    kept = home.record(home.claim(), at=AT + 9)
    given_back = home.record(home.claim(target=None), at=AT + 9)
    proof = read_takeover(kept, given_back, home.network.view)
    assert proof.first.id == min(map(jws.record_id, (kept, given_back)))


def test_what_may_follow_proves_nothing(home: Home) -> None:
    first = home.record(home.claim())
    withdrawn = home.record(home.claim(at=AT + 5, target=None), at=AT + 5)
    freed = (home.end(MIRA, at=AT + 5),)
    others = [
        home.record(home.claim(at=AT + 5), at=AT + 5),
        withdrawn,
        home.record(home.claim(ONDREJ, at=AT + 9), at=AT + 9, freed=freed),
        home.record(home.claim(ONDREJ, at=AT + DAY_MS), at=AT + DAY_MS),
        first,
    ]
    for other in others:
        with pytest.raises(ProofError, match="one may follow"):
            read_takeover(other, first, home.network.view)
    taken = home.record(home.claim(ONDREJ, at=AT + 9), at=AT + 9)
    with pytest.raises(ProofError, match="one may follow"):
        read_takeover(withdrawn, taken, home.network.view)
    named = home.record(home.claim(name="saw.tool-library"))
    with pytest.raises(ProofError, match="of two names"):
        read_takeover(named, first, home.network.view)


def test_a_name_that_was_given_back_before_it_was_held_again_is_not_free(home: Home) -> None:
    again = home.record(home.claim(at=AT + 7), at=AT + 7)
    freed = (home.end(MIRA, at=AT + 5),)
    taken = home.record(home.claim(ONDREJ, at=AT + 9), at=AT + 9, freed=freed)
    assert read_takeover(taken, again, home.network.view).first.member_id == ONDREJ


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({}, True),
        ({"id": "0" * 64}, False),
        ({"sequence": AT}, True),
        ({"sequence": AT, "member_id": MIRA}, True),
        ({"sequence": AT, "issued_at_ms": AT + DAY_MS}, True),
        ({"member_id": MIRA}, False),
        ({"issued_at_ms": AT + DAY_MS - 1}, True),
        ({"issued_at_ms": AT + DAY_MS}, False),
        # Times of the home alone count: a later sequence over an earlier time is of its making.
        ({"issued_at_ms": 1, "lapses_at_ms": AT + 1}, True),
        ({"issued_at_ms": 1, "lapses_at_ms": AT}, False),
        ({"freed": ((MIRA, AT - 1),)}, True),
        ({"freed": ((MIRA, AT),)}, False),
        ({"freed": ((ILSE, AT + 9),)}, True),
        ({"freed": ((ILSE, AT + 9), (MIRA, AT + 1))}, False),
        ({"target": None}, True),
    ],
)
def test_what_of_two_records_proves_that_their_home_said_two_things(
    home: Home, later: dict[str, Any], said: bool
) -> None:
    held = replace(home.read(home.record(home.claim())), id="0" * 64)
    other: dict[str, Any] = {"id": "1" * 64, "member_id": ONDREJ, "sequence": AT + 9}
    assert contradict(replace(held, **{**other, **later}), held) == said


@pytest.mark.parametrize("free", [{"target": None}, {"ended": True}])
def test_a_name_that_nobody_held_is_free(home: Home, free: dict[str, Any]) -> None:
    held = replace(home.read(home.record(home.claim())), id="0" * 64)
    later = replace(held, id="1" * 64, member_id=ONDREJ, sequence=AT + 9)
    assert contradict(later, held) and not contradict(later, replace(held, **free))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_of_any_records_the_same_one_stands_in_any_order(
    home_views: list[NameView], picks: list[int], chance: Any
) -> None:
    views = [home_views[pick % len(home_views)] for pick in picks]
    shuffled = list(views)
    chance.shuffle(shuffled)

    def choose(told: list[NameView]) -> NameView:
        best = told[0]
        for view in told[1:]:
            best = view if stands_before(view, best) else best
        return best

    assert choose(views) == choose(shuffled)


@pytest.fixture(scope="module")
def home_views(network: Any) -> list[NameView]:
    home = Home(network)
    tokens = [
        home.record(home.claim(), at=AT + 9),
        home.record(home.claim(ONDREJ), at=AT + 9),
        home.record(home.claim(at=AT + 3, target=None), at=AT + 10),
        home.record(home.claim(ONDREJ, at=AT + 11), at=AT + 11),
    ]
    return [home.read(token) for token in tokens]
