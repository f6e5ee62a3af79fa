"""How votes count: by integers, with delegations, the same for whoever counts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.governance import (
    ABSTAIN,
    ACCEPTED,
    NO,
    NO_QUORUM,
    REJECTED,
    VOTING_ROLES,
    YES,
    Counted,
    Result,
    Voice,
    charter_rule,
    count,
    electorate_hash,
    first_in_circle,
    has_quorum,
    is_approved,
    is_elector,
    result_of,
    settled_result,
    way_of,
)
from opkit.proof.keys import Identity
from opkit.wire.membership import Member
from opkit.wire.votes import Choice, Elector, Rule, Tally
from tests.opkit.proof.assemblies import TOOLS

FIVE = ("h/a", "h/b", "h/c", "h/d", "h/e")
DID = Identity.from_seed(b"\1" * 32).did
OTHER_DID = Identity.from_seed(b"\2" * 32).did
CHOICES: tuple[Choice, ...] = (YES, NO, ABSTAIN)

members = st.sampled_from([f"h/{letter}" for letter in "abcdefgh"])
choices = st.sampled_from(CHOICES)


def tally(said: str, *, electorate: int | None = None, to: dict[str, str] | None = None) -> Counted:
    """Return the tally of ballots `y`, `n`, `a` by the first electors, `-` for none."""
    named = {"y": YES, "n": NO, "a": ABSTAIN}
    electors = [f"h/{number}" for number in range(electorate or len(said))]
    ballots = {who: named[each] for who, each in zip(electors, said, strict=False) if each in named}
    return count(electors, ballots=ballots, delegations=to or {})


def member(**changes: object) -> Member:
    """Return an active member of h who may vote, but for what is changed."""
    said = {
        "member_id": "h/a",
        "coop": "h",
        "name": "A",
        "title": "",
        "did": DID,
        "roles": ("member",),
        "active": True,
        "sequence": 0,
    }
    return Member.model_validate({**said, **changes})


def test_four_of_five_with_one_against() -> None:
    counted = tally("yyyn-")
    assert (counted.yes, counted.no, counted.abstain, counted.cast) == (3, 1, 0, 4)
    assert (counted.direct, counted.delegated, counted.electorate) == (4, 0, 5)
    assert counted.tally == Tally(electorate=5, cast=4, yes=3, no=1, abstain=0, delegated=0)
    assert counted.voices["h/3"] == Voice(choice=NO, voter="h/3")
    assert result_of(counted, quorum_percent=60, approval_percent=67) == ACCEPTED


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ("-----", NO_QUORUM),
        ("yy---", NO_QUORUM),
        ("yyy--", ACCEPTED),
        ("yya--", ACCEPTED),
        ("aaa--", REJECTED),
        ("aan--", REJECTED),
        ("yyn--", REJECTED),  # 200 < 67 * 3
        ("yyyn-", ACCEPTED),  # 300 >= 67 * 4
        ("yynn-", REJECTED),
    ],
)
def test_results_of_five_by_a_charter_of_60_and_67(said: str, result: Result) -> None:
    assert result_of(tally(said), quorum_percent=60, approval_percent=67) == result


def test_choices_and_results_are_the_words_that_are_signed() -> None:
    assert (YES, NO, ABSTAIN) == ("yes", "no", "abstain")
    assert (ACCEPTED, REJECTED, NO_QUORUM) == ("accepted", "rejected", "no-quorum")


def test_a_coops_first_rule_is_its_charters(assembly: Any) -> None:
    charter = assembly.network.view.charter(TOOLS)
    for votes_final in (True, False):
        agreed = charter.model_copy(update={"votes_final": votes_final})
        assert charter_rule(agreed) == Rule(
            quorum_percent=60,
            approval_percent=67,
            voting_period_ms=604_800_000,
            challenge_window_ms=86_400_000,
            votes_final=votes_final,
            decision=None,
        )


@pytest.mark.parametrize(("cast", "met"), [(599, False), (600, True), (601, True)])
def test_quorum_is_met_at_the_very_percentage(cast: int, met: bool) -> None:
    assert has_quorum(tally("a" * cast, electorate=1_000), quorum_percent=60) is met


@pytest.mark.parametrize(
    ("yes", "no", "approved"), [(67, 33, True), (66, 33, False), (66, 32, True)]
)
def test_approval_is_met_at_the_very_percentage(yes: int, no: int, approved: bool) -> None:
    # 6,600 < 67 * 99 = 6,633; 6,600 >= 67 * 98 = 6,566
    counted = tally("y" * yes + "n" * no)
    assert is_approved(counted, approval_percent=67) is approved


def test_nothing_is_approved_by_nobody() -> None:
    assert not is_approved(tally("aaaaa"), approval_percent=1)
    assert result_of(tally("aaaaa"), quorum_percent=100, approval_percent=1) == REJECTED


def test_a_ballot_of_one_who_is_no_elector_does_not_count() -> None:
    counted = count(("h/a",), ballots={"h/a": YES, "h/z": NO}, delegations={"h/a": "h/z"})
    assert (counted.yes, counted.no, counted.cast) == (1, 0, 1)


def test_an_elector_who_is_named_twice_votes_once() -> None:
    counted = count(("h/a", "h/a", "h/b"), ballots={"h/a": YES}, delegations={})
    assert (counted.electorate, counted.yes) == (2, 1)


def test_a_delegation_counts_as_its_delegate_voted() -> None:
    counted = count(FIVE, ballots={"h/a": NO}, delegations={"h/b": "h/a", "h/c": "h/b"})
    assert (counted.no, counted.direct, counted.delegated) == (3, 1, 2)
    assert counted.voices == {
        "h/a": Voice(choice=NO, voter="h/a"),
        "h/b": Voice(choice=NO, voter="h/a", delegate="h/a"),
        "h/c": Voice(choice=NO, voter="h/a", delegate="h/b"),
    }
    assert has_quorum(counted, quorum_percent=60)


def test_a_ballot_of_ones_own_stands_before_ones_delegation() -> None:
    counted = count(FIVE, ballots={"h/a": NO, "h/b": YES}, delegations={"h/b": "h/a", "h/c": "h/b"})
    assert (counted.yes, counted.no, counted.delegated) == (2, 1, 1)
    assert counted.voices["h/b"] == Voice(choice=YES, voter="h/b")


@pytest.mark.parametrize(
    "delegations",
    [
        {"h/b": "h/c", "h/c": "h/b"},
        {"h/b": "h/b"},
        {"h/b": "h/c", "h/c": "h/d", "h/d": "h/c"},
        {"h/b": "h/e"},
        {"h/b": "h/z"},
        {"h/b": "h/z", "h/z": "h/a"},
    ],
)
def test_a_delegation_that_leads_to_no_voter_counts_for_nothing(
    delegations: dict[str, str],
) -> None:
    counted = count(FIVE, ballots={"h/a": YES}, delegations=delegations)
    assert (counted.cast, counted.delegated) == (1, 0)
    assert list(counted.voices) == ["h/a"]


def test_who_delegates_into_a_circle_is_not_in_it_and_still_counts_for_nothing() -> None:
    counted = count(
        FIVE,
        ballots={"h/e": YES},
        delegations={"h/a": "h/b", "h/b": "h/c", "h/c": "h/b", "h/d": "h/e"},
    )
    assert list(counted.voices) == ["h/d", "h/e"]


def test_ten_thousand_delegations_in_a_row_are_followed_once_each() -> None:
    electors = [f"h/{number}" for number in range(10_000)]
    chain = dict(itertools.pairwise(electors))
    counted = count(electors, ballots={electors[-1]: NO}, delegations=chain)
    assert (counted.no, counted.delegated) == (10_000, 9_999)


@given(
    electors=st.frozensets(members, min_size=1),
    ballots=st.dictionaries(members, choices),
    delegations=st.dictionaries(members, members),
)
def test_a_tally_is_what_following_each_delegation_by_itself_gives(
    electors: frozenset[str], ballots: dict[str, Choice], delegations: dict[str, str]
) -> None:
    counted = count(electors, ballots=ballots, delegations=delegations)
    said: dict[str, Choice] = {}
    for elector in electors:
        at: str | None = elector
        for _ in range(10):
            if at is None or at not in electors:
                break
            if at in ballots:
                said[elector] = ballots[at]
                break
            at = delegations.get(at)
    assert {who: voice.choice for who, voice in counted.voices.items()} == said
    assert counted.yes + counted.no + counted.abstain == counted.cast <= counted.electorate
    assert counted.direct == len(electors & ballots.keys())


def test_the_way_of_a_delegation() -> None:
    to = {"h/a": "h/b", "h/b": "h/c", "h/d": "h/e", "h/e": "h/d", "h/f": "h/f"}
    assert way_of("h/a", to) == ["h/b", "h/c"]
    assert way_of("h/c", to) == []
    assert way_of("h/d", to) is None
    assert way_of("h/f", to) is None


def test_a_circle_is_found_wherever_one_begins_to_look() -> None:
    assert first_in_circle({}) is None
    assert first_in_circle({"h/a": "h/b", "h/c": "h/b", "h/b": "h/z"}) is None
    assert first_in_circle({"h/a": "h/b", "h/b": "h/c", "h/c": "h/b"}) == "h/b"
    assert first_in_circle({"h/f": "h/f"}) == "h/f"


def test_of_two_circles_the_same_one_is_found_in_whatever_order_they_come() -> None:
    circles = {"h/d": "h/c", "h/c": "h/d", "h/b": "h/a", "h/a": "h/b"}
    assert first_in_circle(circles) == "h/a"
    assert first_in_circle(dict(reversed(circles.items()))) == "h/a"


class Followed(dict[str, str]):
    """Delegations that note how often one was looked up."""

    times = 0

    def get(self, member_id: str, default: Any = None, /) -> Any:
        self.times += 1
        return super().get(member_id, default)


def test_looking_for_a_circle_each_of_ten_thousand_delegations_is_followed_once() -> None:
    electors = [f"h/{number}" for number in range(10_000)]
    for last in ({}, {electors[-1]: electors[0]}, {electors[-1]: "h/z"}):
        chain = Followed(itertools.pairwise(electors)) | last
        followed = Followed(chain)
        assert (first_in_circle(followed) is None) == (last != {electors[-1]: electors[0]})
        assert followed.times <= len(followed) + 1


@given(delegations=st.dictionaries(members, members))
def test_there_is_a_circle_exactly_where_a_way_leads_into_one(delegations: dict[str, str]) -> None:
    circle = first_in_circle(delegations)
    ways = [way_of(each, delegations) for each in delegations]
    assert (circle is None) == all(way is not None for way in ways)
    assert circle is None or way_of(circle, delegations) is None


def outcomes(said: str, free: int, *, quorum: int, approval: int) -> set[Result]:
    """Return all results that may still come when so many have not voted."""
    found = set()
    for more in itertools.combinations_with_replacement("yna-", free):
        counted = tally(said + "".join(more))
        found.add(result_of(counted, quorum_percent=quorum, approval_percent=approval))
    return found


@given(
    said=st.text("yna", max_size=6),
    free=st.integers(0, 3),
    quorum=st.integers(1, 100),
    approval=st.integers(1, 100),
)
def test_a_result_is_settled_exactly_when_no_vote_to_come_changes_it(
    said: str, free: int, quorum: int, approval: int
) -> None:
    if not said and not free:
        return
    counted = tally(said + "-" * free)
    settled = settled_result(counted, quorum_percent=quorum, approval_percent=approval)
    possible = outcomes(said, free, quorum=quorum, approval=approval)
    assert settled == (possible.pop() if len(possible) == 1 else None)


@pytest.mark.parametrize(
    ("yes", "no", "quorum", "approval", "settled"),
    [
        (599, 0, 60, 1, None),  # One more may be missing for the quorum.
        (600, 0, 60, 1, ACCEPTED),
        (599, 0, 1, 60, None),  # The other 401 may all say no.
        (600, 0, 1, 60, ACCEPTED),
        (600, 0, 60, 60, ACCEPTED),
        (0, 400, 1, 60, None),  # The other 600 may all say yes.
        (0, 401, 1, 60, REJECTED),
        (0, 600, 60, 41, REJECTED),
        (0, 0, 0, 1, None),
        (1_000, 0, 100, 100, ACCEPTED),
        (0, 1_000, 100, 1, REJECTED),
    ],
)
def test_a_result_of_a_thousand_is_settled_at_the_very_percentage(
    yes: int, no: int, quorum: int, approval: int, settled: Result | None
) -> None:
    counted = tally("y" * yes + "n" * no, electorate=1_000)
    assert settled_result(counted, quorum_percent=quorum, approval_percent=approval) == settled


def test_of_a_settled_result_ballots_alone_are_counted() -> None:
    counted = tally("yyn--", to={"h/3": "h/0", "h/4": "h/0"})
    assert result_of(counted, quorum_percent=60, approval_percent=50) == ACCEPTED
    assert settled_result(counted, quorum_percent=60, approval_percent=50) is None
    assert settled_result(counted, quorum_percent=60, approval_percent=40) == ACCEPTED


def test_who_is_counted_by_a_delegation_may_still_vote_themselves() -> None:
    by_delegation = {f"h/{number}": "h/0" for number in range(1, 5)}
    counted = tally("y----", to=by_delegation)
    assert result_of(counted, quorum_percent=60, approval_percent=67) == ACCEPTED
    assert settled_result(counted, quorum_percent=60, approval_percent=67) is None


def elector(member_id: str, **changes: object) -> Elector:
    said: dict[str, object] = {"did": DID, "sequence": 0, "link": None}
    return Elector.model_validate({"member_id": member_id, **said, **changes})


def test_the_electorates_hash_is_over_members_keys_and_places() -> None:
    before: list[Iterable[Elector]] = [
        (),
        (elector("h/a"),),
        (elector("h/b"),),
        (elector("h/a"), elector("h/b")),
        (elector("h/a", did=OTHER_DID),),
        (elector("h/a", sequence=1, link="0" * 64),),
        (elector("h/a", sequence=1, link="1" * 64),),
        (elector("h/a", sequence=2, link="1" * 64),),
    ]
    hashes = [electorate_hash("h", each) for each in before]
    assert len(set(hashes)) == len(hashes)
    assert electorate_hash("i", ()) != electorate_hash("h", ())
    both = (elector("h/a"), elector("h/b"))
    assert electorate_hash("h", both[::-1]) == electorate_hash("h", both)
    linked = elector("h/b", did=OTHER_DID, sequence=2, link="1" * 64)
    lines = f"h\nh/a {DID} 0 -\nh/b {OTHER_DID} 2 {'1' * 64}\n"
    said = hashlib.sha256(lines.encode()).hexdigest()
    assert electorate_hash("h", (linked, elector("h/a"))) == said


def test_electors_are_active_members_of_the_coop_in_a_role_that_votes() -> None:
    assert is_elector(member(), "h")
    assert is_elector(member(roles=("guest", "officer")), "h")
    assert not is_elector(member(roles=("guest",)), "h")
    assert not is_elector(member(roles=("auditor",)), "h")
    assert not is_elector(member(roles=()), "h")
    assert not is_elector(member(active=False), "h")
    assert not is_elector(member(), "i")
    assert not is_elector(member(member_id="-/operator", coop=None, roles=("operator",)), "h")
    assert frozenset({"member", "officer", "operator"}) == VOTING_ROLES
