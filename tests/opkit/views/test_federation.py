"""The page of the federation: who belongs, whose copies are equal, who owes whom, who is parted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opkit.story.states import State
from opkit.views import federation, federation_agreements, federation_clearing, federation_parted
from opkit.views.federation import Looked
from opkit.views.federation_figures import (
    FederationFigures,
)
from opkit.views.figures import LastingFigure
from tests.opkit.views.federation_shown import (
    AGREED,
    BRIGHT,
    DONE,
    EVEN,
    HARBOR,
    HASH,
    HEARD,
    HOMES,
    JOINED,
    LAKES,
    NETTED,
    NOW,
    OPEN,
    PROOF,
    PROPOSED,
    RIVER,
    SIGNED,
    TOLD,
    attestation,
    copies,
    drawn,
    exchange,
    moved,
    position,
    side,
)


def test_every_card_answers_its_question_and_none_breaks_before_anything_is_told(networks):
    for told in (None, FederationFigures(), TOLD):
        shown = drawn(networks, told)
        assert shown.keys() == {"health", *federation.CARDS}
        for name in federation.CARDS:
            assert f'data-card="{name}"' in federation.frame()
    empty = drawn(networks, FederationFigures())
    for name, words in (
        ("agreements", "opkit agreement propose"),
        ("agreement", "No agreement is chosen"),
        ("positions", "Nobody owes anybody"),
        ("moved", "opkit exchange offer"),
        ("joined", "opkit federation register"),
    ):
        assert words in empty[name]
    assert empty["wrong"] == drawn(networks, None)["wrong"] == ""
    assert "Asking." in drawn(networks, None)["agreements"]


def test_figures_count_members_what_binds_and_copies(networks):
    shown = drawn(networks)
    assert "<b>2</b><span>members, 1 waiting</span>" in shown["members"]
    assert "<b>1</b><span>of 2 agreements</span>" in shown["binding"]
    assert "<b>4</b><span>of 6 byte-equal</span>" in shown["copies"]
    assert "t-running" in shown["copies"] and "t-failed" not in shown["copies"]
    other = replace(TOLD, agreements=(replace(AGREED, copies=copies("same", "other", "same")),))
    assert "t-failed" in drawn(networks, other)["copies"]
    alike = replace(TOLD, agreements=(AGREED,))
    assert "state" not in drawn(networks, alike)["copies"]


def test_an_agreement_shows_who_signed_because_of_what_and_every_copy(networks):
    html = drawn(networks, looked=Looked(agreement=AGREED.agreement))["agreement"]
    assert "every party signed, because its own assembly decided so" in html
    assert html.count("as its decision") == 2 and HASH(70) in html
    assert html.count("<small>the same</small>") == 3 and html.count(HASH(5)) == 6
    for words in (
        "River City Tool Library gives BrightWorks Cooperative off-peak access",
        "gives River City Tool Library 20 maintenance hours per quarter",
        "for 90 days, renewed of itself until a party gives notice; notice 30 days",
        "Nobody owes more than 100 cc; it is settled monthly",
        "Network facilitates it and keeps a copy",
        "Network rules where an exchange is in doubt",
        "Off-peak means before nine",
    ):
        assert words in html, words
    assert "Verify it here" in html and 'data-act="verify"' in html
    proven = drawn(networks, looked=Looked(agreement=AGREED.agreement), proof=PROOF)["agreement"]
    assert "1 link verified here" in proven and "Verify again" in proven
    assert 'download="agreement-1.json"' in proven
    assert "data-bring" not in proven, "what only came up first scrolls nobody's page"
    picked = Looked(agreement=AGREED.agreement, is_picked=True)
    assert f'data-bring="{AGREED.agreement}"' in drawn(networks, looked=picked)["agreement"]
    other = drawn(networks, looked=Looked(agreement=PROPOSED.agreement), proof=PROOF)["agreement"]
    assert "verified here" not in other, "the proof of another one"


def test_what_lacks_a_signature_says_whose_and_what_follows(networks):
    html = drawn(networks, looked=Looked(agreement=PROPOSED.agreement))["agreement"]
    assert "River City Tool Library has not signed: nobody can use it" in html
    assert "<small>has not signed</small>" in html and "It takes the place of" in html
    assert "behind" in html and "no copy yet" in html
    row = drawn(networks)["agreements"]
    assert "1 of 2" in row and "1 of 3 the same" in row and "3 of 3 the same" in row


def test_a_signature_that_does_not_hold_counts_for_none():
    bad = replace(AGREED, signed=(SIGNED[0], replace(SIGNED[1], why="signature")))
    assert federation_agreements.unsigned(bad) == (RIVER,)
    html = federation_agreements.agreement(bad, {}, proof=None, world_ms=NOW, now_ms=NOW)
    assert "its signature does not hold: signature" in html and "t-failed" in html


def test_a_notice_is_no_signature():
    notice = replace(SIGNED[0], action="end")
    ending = replace(AGREED, state="ending", signed=(*SIGNED, notice))
    html = federation_agreements.agreement(ending, {}, proof=None, world_ms=NOW, now_ms=NOW)
    assert "gave notice" in html and "one party gave notice of 30 days" in html
    only = replace(AGREED, signed=(notice,))
    assert federation_agreements.unsigned(only) == (BRIGHT, RIVER)


@pytest.mark.parametrize(
    "state", ["proposed", "signed", "active", "superseded", "ending", "ended", "lapsed", "new"]
)
def test_every_state_of_an_agreement_has_a_word(state):
    shape, word = federation_agreements.state_of(replace(AGREED, state=state))
    assert word and shape is not State.FAILED
    each = replace(AGREED, state=state)
    html = federation_agreements.agreement(each, {}, proof=None, world_ms=NOW, now_ms=NOW)
    assert word in html


def test_a_sound_position_has_bars_of_one_length_and_says_who_owes(networks):
    html = drawn(networks, replace(TOLD, positions=(EVEN,)))["positions"]
    assert html.count('style="width:40.0%"') == 2 and html.count('class="owes"') == 1
    assert "owes <span" in html and "is owed <span" in html
    assert "both say the same" in html and "at most 100 cc" in html and "not settled yet" in html
    said = 'aria-label="BrightWorks Cooperative owes 40 cc; River City Tool Library is owed 40 cc"'
    assert said in html


def test_doubt_stands_beyond_the_bar_and_a_lie_is_seen(networks):
    doubt = position("doubt", side(BRIGHT, RIVER, 15, doubt_in=20), side(RIVER, BRIGHT, -35))
    html = drawn(networks, replace(TOLD, positions=(doubt,)))["positions"]
    assert '<i class="doubt" style="width:20.0%">' in html and "t-running" in html
    assert "20 cc more may come in: in doubt" in html
    lie = position("other", side(BRIGHT, RIVER, 15), side(RIVER, BRIGHT, -99))
    html = drawn(networks, replace(TOLD, positions=(lie,)))["positions"]
    assert "they do not mirror each other" in html and "t-failed" in html


def test_a_side_that_is_silent_or_tells_of_nothing_is_no_zero(networks):
    silent = position("one", side(BRIGHT, RIVER, -40, settled="2026-01"), None)
    html = drawn(networks, replace(TOLD, positions=(silent,)))["positions"]
    assert "half nothing" in html and "does not answer" in html
    assert "last settled for 2026-01" in html
    early = position("moment", None, side(RIVER, BRIGHT, 40))
    assert "tells of nothing" in drawn(networks, replace(TOLD, positions=(early,)))["positions"]


def test_an_even_position_is_drawn_without_a_bar(networks):
    even = position("equal", side(BRIGHT, RIVER, 0), side(RIVER, BRIGHT, 0, doubt_out=5))
    html = drawn(networks, replace(TOLD, positions=(even,)))["positions"]
    assert html.count("is even") == 4 and '<i style="width:0.0%"></i>' in html
    assert '<i class="doubt" style="width:5.0%">' in html


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, State.DONE, "posted"),
        ({"in_doubt": True}, State.RUNNING, "not posted yet"),
        ({"ruled": True}, State.DONE, "posted, as was ruled"),
        ({"state": "aborted", "entry": None}, State.WAITING, "nothing came of it"),
        ({"state": "aborted", "ruled": True}, State.WAITING, "nothing came of it, as was ruled"),
        ({"state": "accepted", **OPEN}, State.RUNNING, "in doubt"),
        ({"state": "offered", **OPEN}, State.RUNNING, "offered"),
    ],
)
def test_every_way_of_an_exchange_has_a_word(changes, state, words):
    one = exchange(BRIGHT, **changes)
    assert federation_clearing.step_of(one) == (state, words)
    assert federation_clearing.state_of(moved(one, exchange(RIVER))) == (state, words)


def test_an_exchange_opens_to_both_sides_and_their_entries(networks):
    html = drawn(networks)["moved"]
    assert "rests" not in html and f'data-exchange="{DONE.hash}"' in html
    opened = drawn(networks, looked=Looked(moved=DONE.hash))["moved"]
    assert opened.count(f'entry <button type="button" class="hash" data-copy="{HASH(401)}') == 2
    assert "BrightWorks Cooperative owes River City Tool Library" in opened
    assert "run-1:1" in opened and "Verify it here" in opened
    proven = replace(PROOF, subject=DONE.hash)
    seen = drawn(networks, looked=Looked(moved=DONE.hash), moved_proof=proven)["moved"]
    assert "1 link verified here" in seen
    alone = moved(exchange(BRIGHT, 2, state="offered", **OPEN), silent=(RIVER,))
    only = replace(TOLD, moved=(alone,), more=True)
    html = drawn(networks, only, looked=Looked(moved=alone.hash))["moved"]
    assert "does not tell" in html and "no entry" in html and "There are older ones" in html


def test_a_netting_and_a_settlement_are_told_as_such(networks):
    html = drawn(networks, replace(TOLD, moved=(NETTED,)))["moved"]
    assert "netting of debts in a circle" in html and html.count("12 <i>cc</i>") == 3
    settled = moved(exchange(BRIGHT, kind="settlement", period="2026-03", what=""))
    html = drawn(networks, replace(TOLD, moved=(settled,)))["moved"]
    assert "settlement of 2026-03" in html
    many = exchange(BRIGHT, kind="netting", legs=NETTED.sides[0].legs * 2)
    assert ", and 2 more" in drawn(networks, replace(TOLD, moved=(moved(many),)))["moved"]


def test_members_show_their_vouchers_and_what_is_attested(networks):
    html = drawn(networks)["joined"]
    assert "1 more must vouch, vouched for by River City Tool Library" in html
    assert "insured: Tools and members are insured" in html and "says so until" in html
    assert "heard by all alike" in html and "7 operations" in html
    gone = replace(JOINED[2], expelled=True, against=("A", "B"))
    late = replace(HEARD[3], state=HASH(21), operations=5)
    told = replace(TOLD, joined=(gone,), heard=(*HEARD[:3], late))
    html = drawn(networks, told)["joined"]
    assert "expelled for good" in html and "to be expelled, say A and B" in html
    assert "Who has heard it all?" in html and html.count("all of it") == 3
    assert html.count("not the same yet") == 1
    for state, words in (("revoked", "took it back"), ("early", "from"), ("over", "until")):
        one = replace(JOINED[0], attested=(attestation(state),))
        assert words in drawn(networks, replace(TOLD, joined=(one,)))["joined"]


def parted_network(networks, *orgs):
    """Return a network of five in which these nodes hear nobody but each other."""
    whole = networks(5)
    links = tuple(
        replace(each, state="cut") if (each.a in orgs) != (each.b in orgs) else each
        for each in whole.links
    )
    return replace(whole, links=links)


def test_sides_are_who_hears_whom(networks):
    whole = networks(5)
    assert [len(side) for side in federation_parted.sides(whole)] == [5]
    assert federation_parted.verdict(whole) == (State.DONE, "nobody")
    two = parted_network(networks, LAKES, HARBOR)
    assert [[each.org for each in side] for side in federation_parted.sides(two)] == [
        [RIVER, BRIGHT, "unaffiliated"],
        [HARBOR, LAKES],
    ]
    assert federation_parted.verdict(two) == (State.RUNNING, "in 2 parts")
    html = drawn(networks, network=two)["parted"]
    assert html.count('<ul class="side-of') == 2 and html.count("parting") == 1


def test_one_link_that_is_cut_parts_nobody_and_is_told(networks):
    whole = networks(5)
    cut = tuple(
        replace(each, state="cut") if {each.a, each.b} == {RIVER, BRIGHT} else each
        for each in whole.links
    )
    one = replace(whole, links=cut)
    assert len(federation_parted.sides(one)) == 1
    assert federation_parted.verdict(one) == (State.RUNNING, "1 pair without a link")
    html = drawn(networks, network=one)["parted"]
    assert (
        "An exchange between BrightWorks Cooperative and River City Tool Library ends only" in html
    )
    assert html.count("ends only once") == 1, "what only is proposed cannot be used anyway"


def test_nodes_that_are_down_stand_by_themselves(networks, broken):
    assert federation_parted.verdict(broken) == (State.FAILED, "2 nodes silent")
    html = drawn(networks, network=broken)["parted"]
    assert html.count('<ul class="side-of n1">') == 2 and "is-down" in html
    none = replace(networks(3), nodes=(), links=())
    assert "opkit devnet up" in drawn(networks, network=none)["parted"]


def test_only_a_presenter_can_part_and_heal_and_what_lasts_is_told(networks):
    lasting = LastingFigure(number=3, kind="partition", sentence="Parted", ends_ms=NOW + 60_000)
    two = replace(parted_network(networks, LAKES), lasting=(lasting,) * 10)
    html = drawn(networks, network=two)["parted"]
    assert "data-act" not in html and "ends by itself at" in html and "and 2 more" in html
    looked = Looked(may_act=True, deeds="heal")
    html = drawn(networks, network=two, looked=looked)["parted"]
    assert 'data-act="heal"' in html and "Heal everything" in html
    for kind in federation_parted.DEEDS:
        assert f'data-open="{"" if kind == "heal" else kind}"' in html
    assert 'data-open="weather"' not in html and 'data-open="cut"' not in html


def test_what_is_wrong_comes_before_who_is_silent(networks):
    told = replace(TOLD, wrong=("X lies",) * 10, silent=((BRIGHT, "killed"),))
    html = drawn(networks, told)["wrong"]
    assert 'role="alert"' in html and html.count("X lies") == 8 and "and 2 more" in html
    html = drawn(networks, replace(TOLD, silent=((BRIGHT, "killed"), (RIVER, "cut"))))["wrong"]
    assert "2 nodes do not tell" in html and "BrightWorks Cooperative: killed" in html
    assert "1 node does not tell" in drawn(networks, replace(told, wrong=()))["wrong"]


def test_a_card_is_drawn_again_only_for_what_it_shows(networks):
    network = networks(5)
    before = federation.made_of(network, TOLD, HOMES, None, None)
    later = replace(network, now_ms=network.now_ms + 1, tasks=99)
    after = federation.made_of(later, TOLD, HOMES, None, None)
    assert {name for name in before if before[name] != after[name]} == {"health"}
    cut = replace(network, links=parted_network(networks, LAKES).links)
    changed = federation.made_of(cut, TOLD, HOMES, None, None)
    assert {name for name in before if before[name] != changed[name]} == {"health", "parted"}
    proven = federation.made_of(network, TOLD, HOMES, PROOF, None)
    assert {name for name in before if before[name] != proven[name]} == {"agreement"}


def test_who_has_chosen_nothing_sees_the_newest_and_a_choice_that_is_gone_shows_none():
    assert federation.chosen_of(TOLD, "") is PROPOSED
    assert federation.chosen_of(TOLD, AGREED.agreement) is AGREED
    assert federation.chosen_of(TOLD, HASH(99)) is None
    assert federation.chosen_of(None, "") is None


def test_agreements_of_one_title_are_told_apart_by_their_hashes() -> None:
    twin = replace(AGREED, agreement=HASH(77 << 224))
    titles = {BRIGHT: "BrightWorks", RIVER: "River City"}
    told = FederationFigures(agreements=(AGREED, twin, PROPOSED))
    html = federation_agreements.agreements(told, titles, chosen="", world_ms=NOW)
    assert "River City, 00000000</small>" in html and "River City, 0000004d</small>" in html
    assert "River City</small>" in html, "the only one of its title"
