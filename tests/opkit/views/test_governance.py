"""The page of governance: votes against what it takes, who voted, effects and their way."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from opkit.story.report import CheckRecord
from opkit.story.states import State
from opkit.views import governance, governance_effect, governance_vote
from opkit.views.figures import ChainLink
from opkit.views.governance_figures import GovernanceFigures, ProposalFigure, VoteFigure
from opkit.views.ledger_figures import HomeFigure, ProofFigure
from opkit.wire.governance import Assembly, NonceTaken, ProposalView, Treasury, VoidedBy
from opkit.wire.ledger import AccountView
from opkit.wire.votes import DistributionEffect, Elector, Rule, SpendEffect, Tally, TextEffect

COOP = "harbor-homes-cooperative"
NOW = 1_767_225_600_000
DAY = 86_400_000
DID = "did:key:z6Mk" + "a" * 44
HASH = "{:064x}".format
HOMES = (HomeFigure(coop=COOP, title="Harbor Homes Cooperative", org=COOP, state="sound"),)
TITLES = {COOP: "Harbor Homes Cooperative"}
RULE = Rule(
    quorum_percent=60,
    approval_percent=67,
    voting_period_ms=7 * DAY,
    challenge_window_ms=DAY,
    votes_final=False,
    decision=None,
)
NAMES = ("ana", "bo", "chidi", "dora", "emil")
ELECTORS = tuple(
    Elector(member_id=f"{COOP}/{name}", did=DID, sequence=0, link=None) for name in NAMES
)
ASSEMBLY = Assembly(
    coop=COOP,
    home=DID,
    rule=RULE,
    electorate_hash=HASH(1),
    electors=5,
    page=ELECTORS,
    next_after="",
    next_nonce=3,
    decisions=2,
    last_decision=HASH(2),
    world_ms=0,
)
RESERVE = AccountView(
    account=f"{COOP}:reserve",
    unit="usd-cents",
    balance=4_800_000,
    held=0,
    available=4_800_000,
    floor=0,
    closed=False,
    decision=None,
    sequence=1,
)
TREASURY = Treasury(
    coop=COOP,
    next_nonce=3,
    nonces=(
        NonceTaken(nonce=2, proposal_id="roof", proposal=HASH(7), state="open"),
        NonceTaken(nonce=1, proposal_id="paint", proposal=HASH(6), state="rejected"),
    ),
    accounts=(RESERVE,),
    world_ms=0,
)
SPEND = SpendEffect(
    from_account=f"{COOP}:reserve",
    to_account=f"{COOP}:vendor/roof-repair",
    unit="usd-cents",
    amount=1_200_000,
    memo="roof",
)


def tally(yes=0, no=0, abstain=0, delegated=0, electorate=5):
    return Tally(
        electorate=electorate,
        cast=yes + no + abstain,
        yes=yes,
        no=no,
        abstain=abstain,
        delegated=delegated,
    )


def proposal(**changes):
    said = {
        "coop": COOP,
        "proposal_id": "roof",
        "proposal": HASH(7),
        "member_id": f"{COOP}/ana",
        "title": "Mend the roof of building B",
        "kind": "spend",
        "state": "open",
        "treasury_nonce": 2,
        "drafted_ms": NOW - DAY,
        "opened_ms": NOW - DAY,
        "closes_ms": NOW + 6 * DAY,
        "closed_ms": None,
        "challenge_ends_ms": None,
        "executable_until_ms": None,
        "ended_ms": None,
        "tally": tally(2, 1),
        "decision": None,
        "text": "It leaks.\nThe quote is 12,000.00 $.",
        "effect": SPEND,
        "rule": RULE,
        "electorate_hash": HASH(1),
        "electors": 5,
        "signed": "a.b.c",
        "would_be": "rejected",
        "outcome": None,
        "executed_ms": None,
        "entry": None,
        "voided_by": None,
        "world_ms": 0,
    }
    return ProposalView(**{**said, **changes})


CLOSED = {
    "state": "accepted",
    "outcome": "accepted",
    "closed_ms": NOW,
    "closes_ms": NOW - 1,
    "challenge_ends_ms": NOW + DAY,
    "executable_until_ms": NOW + 91 * DAY,
    "ended_ms": NOW,
    "decision": HASH(9),
    "tally": tally(3, 1),
}
DISTRIBUTION = DistributionEffect(
    from_account=f"{COOP}:surplus/2026-q1",
    unit="patronage-credits",
    surplus=3_840,
    lines=tuple(
        {"account": f"{COOP}:member/{name}", "weight": weight, "amount": amount}
        for name, weight, amount in zip(
            NAMES, (120, 115, 104, 98, 87), (879, 843, 762, 718, 638), strict=True
        )
    ),
)


def voted(name, times=1):
    return VoteFigure(
        member_id=f"{COOP}/{name}",
        times=times,
        commitment=HASH(100 + NAMES.index(name)),
        at_ms=NOW,
    )


VOTES = (voted("ana"), voted("bo", 2), voted("chidi"))
SILENT = (f"{COOP}/dora", f"{COOP}/emil")


def told(view=None, votes=VOTES, silent=SILENT, **changes):
    view = view or proposal()
    chosen = ProposalFigure(view=view, votes=votes, silent=silent)
    said = {
        "coop": COOP,
        "assembly": ASSEMBLY,
        "treasury": TREASURY,
        "proposals": (view, proposal(proposal=HASH(6), title="Paint <it>", **REJECTED)),
        "chosen": chosen,
    }
    return GovernanceFigures(**{**said, **changes})


REJECTED = {**CLOSED, "state": "rejected", "outcome": "rejected", "tally": tally(1, 2)}
CHECK = CheckRecord(name="tally-sum", ok=True, expected="4", actual="4")
PROOF = ProofFigure(
    subject=HASH(7),
    ok=True,
    verified_ms=NOW,
    chain=(ChainLink(name="tally", title="decided by 5 members", says="so", checks=(CHECK,)),),
    proof='{"v": "<1>"}',
    file="roof.decision.json",
    trouble="The tally is attested.",
)


def previews():
    """Return what is looked at by eye: pages in several states."""
    all_voted = (*VOTES, voted("dora"))
    done = proposal(**{**CLOSED, "state": "executed", "executed_ms": NOW + 2 * DAY})
    shared = proposal(
        **CLOSED, title="Pay out Q1", kind="distribution", effect=DISTRIBUTION, treasury_nonce=1
    )
    return (
        ("gov-open", told(), None),
        ("gov-executed", told(done, all_voted, SILENT[1:]), PROOF),
        ("gov-distribution", told(shared, all_voted, SILENT[1:]), None),
        ("gov-empty", GovernanceFigures(coop=COOP, assembly=ASSEMBLY, treasury=TREASURY), None),
    )


def drawn(networks, figures, proof=None):
    cards = governance.cards(lambda: networks(3), homes=HOMES, coop=COOP, told=figures, proof=proof)
    return {name: draw() for name, draw in cards.items()}


def vote(figures, *, world_ms=NOW):
    return governance_vote.vote(figures, world_ms=world_ms, now_ms=NOW)


def effect(figures, *, proof=None, world_ms=NOW):
    return governance_effect.effect(figures, TITLES, proof=proof, world_ms=world_ms, now_ms=NOW)


def test_the_frame_has_a_place_for_every_card(networks):
    cards = drawn(networks, told())
    wanted = set(cards) - {"health"}

    assert set(re.findall(r'data-card="([^"]+)"></div>', governance.frame())) == wanted
    assert set(governance.made_of(networks(3), HOMES, told(), None)) == set(cards)


def test_before_anything_is_told_every_card_says_what_is_awaited(networks):
    cards = drawn(networks, None)

    assert cards["trouble"] == "" and "Asking." in cards["proposals"]
    assert "No proposal is chosen" in cards["vote"] and "No proposal is chosen" in cards["effect"]
    for name in ("open", "decided", "electors", "nonce"):
        assert "–" in cards[name], name


def test_an_assembly_without_proposals_says_how_one_comes(networks):
    cards = drawn(networks, GovernanceFigures(coop=COOP, assembly=ASSEMBLY, treasury=TREASURY))

    assert "opkit proposal open" in cards["proposals"]
    assert "no vote now" in cards["open"] and "of 0 that ended" in cards["decided"]


def test_a_silent_home_is_said_to_be(networks):
    cards = drawn(networks, told(trouble="It is <gone>", since_ms=NOW))

    assert "&lt;gone&gt;" in cards["trouble"] and "00:00:00 UTC" in cards["trouble"]
    assert "Mend the roof" in cards["proposals"]


def test_figures_say_what_is_open_decided_and_next(networks):
    cards = drawn(networks, told(ahead_ms=NOW - networks(3).now_ms))

    assert "next closes in 6 days" in cards["open"] and "3 of 5" in cards["open"]
    assert "accepted, of 1 that ended" in cards["decided"] and "rejected" in cards["decided"]
    for words in ("<b>5</b>", "quorum 60 %", "7 days", "1 day", "the charter", "Chidi"):
        assert words in cards["electors"], words
    for words in ("#3", "2 taken", "nonce 1: paint", "reserve", "48,000.00 $"):
        assert words in cards["nonce"], words


def test_a_void_decision_is_a_failure(networks):
    void = proposal(**{**CLOSED, "state": "voided"})
    cards = drawn(networks, told(proposals=(void,)))
    assert "t-failed" in cards["decided"] and "void" in cards["proposals"]


def test_proposals_stand_with_state_turnout_and_end(networks):
    html = drawn(networks, told(more_proposals=True))["proposals"]

    assert "Paint &lt;it&gt;" in html and "There are older ones" in html
    assert "a spend, by Ana, nonce 2" in html
    assert "width:60.0%" in html and 'aria-pressed="true"' in html
    draft = proposal(state="draft", opened_ms=None, closes_ms=None, proposal=HASH(8))
    assert "–" in drawn(networks, told(proposals=(draft,)))["proposals"]


def test_what_it_takes_is_marked_on_the_bars():
    html = vote(told())

    assert "width:60.0%" in html and "left:60%" in html and "left:67%" in html
    assert "quorum 60 %: 3 of 5, reached" in html
    assert "width:66.7%" in html and "66 %" in html, "a share is never rounded up to pass"
    assert "approval 67 %: 3 of 3, not reached" in html
    assert "it would be rejected; voting ends in 6 days" in html


@pytest.mark.parametrize(
    ("counts", "reached"),
    [((2, 0), False), ((2, 1), False), ((3, 0), True), ((67, 33, 0, 0, 100), True)],
)
def test_thresholds_are_judged_by_integers(counts, reached):
    html = vote(told(proposal(tally=tally(*counts))))
    both = html.count(", reached") + html.count(", not reached")
    assert both == 4, "in words and for readers"
    assert (html.count(", reached") == 4) is reached


def test_nobody_but_abstainers_approves_nothing():
    html = vote(told(proposal(tally=tally(abstain=4))))
    assert "nobody yet" in html and "approval 67 %, not reached" in html


def test_who_voted_stands_with_a_commitment_to_the_ballot_and_who_did_not():
    html = vote(told())

    for words in (
        "Ana",
        "changed 1 time",
        HASH(101),
        "3 ballots",
        "Dora",
        "has cast none",
    ):
        assert words in html, words
    assert "Nobody has voted yet" in vote(told(votes=(), silent=()))
    assert "cast none" in vote(told(proposal(**CLOSED)))
    many = tuple(f"{COOP}/m{number}" for number in range(300))
    assert "and 103 more" in vote(told(silent=many))
    through = proposal(tally=tally(3, 1, delegated=1))
    assert "1 vote counted through somebody else" in vote(told(through))


def test_a_draft_has_no_votes_yet():
    html = vote(told(proposal(state="draft", opened_ms=None, closes_ms=None)))
    assert "meter" not in html and "It leaks." in html


def test_a_vote_whose_period_is_over_may_be_closed(networks):
    late = told(proposal(closes_ms=NOW - 1), ahead_ms=NOW - networks(3).now_ms + 60_000)
    assert "may be closed now" in vote(late)
    assert "waits to be counted" in effect(late)
    assert "may be closed now" in drawn(networks, late)["open"]


@pytest.mark.parametrize(
    ("changes", "world_ms", "states", "last"),
    [
        ({"state": "draft", "opened_ms": None, "closes_ms": None}, NOW, "DW", "not open yet"),
        (
            {"state": "cancelled", "opened_ms": None, "ended_ms": NOW},
            NOW,
            "DD",
            "cancelled as a draft",
        ),
        ({}, NOW, "DDRWW", "if it is accepted"),
        (CLOSED, NOW, "DDDRW", "waits for the window"),
        (CLOSED, NOW + 2 * DAY, "DDDDR", "may be executed"),
        ({**CLOSED, "executed_ms": NOW, "state": "executed"}, NOW + 9 * DAY, "DDDDD", "once"),
        ({**CLOSED, "state": "expired"}, NOW + 99 * DAY, "DDDDW", "expired"),
        (REJECTED, NOW + 2 * DAY, "DDDDW", "no effect"),
        ({**CLOSED, "outcome": "cancelled", "state": "cancelled"}, NOW, "DDDW", "no effect"),
        ({**CLOSED, "kind": "text", "effect": TextEffect()}, NOW + 2 * DAY, "DDDD", "missing"),
    ],
)
def test_the_way_of_a_proposal_says_where_it_is(changes, world_ms, states, last):
    view = proposal(**changes)
    way = governance_effect.stages(view, world_ms=world_ms)
    letters = {"D": State.DONE, "W": State.WAITING, "R": State.RUNNING}

    assert [each.state for each in way] == [letters[each] for each in states]
    assert last in way[-1].title
    assert all(each.title in effect(told(view), world_ms=world_ms) for each in way)


def test_a_void_decision_says_whose_vote_was_missing():
    by = VoidedBy(member_id=f"{COOP}/dora", ballot="a.b.c", receipt="a.b.d", voided_ms=NOW)
    view = proposal(**{**CLOSED, "state": "voided", "voided_by": by})
    way = governance_effect.stages(view, world_ms=NOW)

    assert way[-1].state is State.FAILED and "Dora" in way[-1].says


def test_what_it_leads_to_is_said_in_words_and_line_by_line():
    assert "12,000.00 $ go from Reserve to Roof repair." in effect(told())
    html = effect(told(proposal(effect=DISTRIBUTION, kind="distribution")))
    for words in ("3,840 pc of Surplus go to 5 accounts", "weight 120", "879 <i>pc</i>", "Emil"):
        assert words in html, words


def test_a_decision_is_verified_here_on_a_click_and_then_stands_with_its_links():
    closed = told(proposal(**CLOSED))

    assert "There is no decision yet" in effect(told())
    assert "Verify the decision" in effect(closed)
    assert "Verify the decision" in effect(closed, proof=replace(PROOF, subject=HASH(8)))
    html = effect(closed, proof=PROOF)
    for words in ("verified here", "Decided by 5 members", "attested", "Save proof", "&lt;1&gt;"):
        assert words in html, words
    assert "it breaks here" in effect(closed, proof=replace(PROOF, ok=False))
