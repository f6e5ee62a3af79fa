"""Names and agents: what is held by whom and where, what is proven and how, and what is not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from opkit.story.report import CheckRecord
from opkit.views import discovery, names
from opkit.views.figures import (
    AnswerFigure,
    CardFigure,
    ChainLink,
    FoundFigure,
    NameFigure,
    NamesFigures,
)
from opkit.wire.services import FindServices, ServiceHealth

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
LATHE = f"lathe.{RIVER}"
NOW = 1_767_225_600_000
DID = "did:key:z6Mk" + "a" * 44
GOOD = CheckRecord(name="home-node", ok=True, expected=DID, actual=DID)
BAD = CheckRecord(name="home-node", ok=False, expected=DID, actual="<b>other</b>")
LIVE = ServiceHealth(state="live", round_trip_us=1_500)


def held(**changes):
    said = {
        "name": LATHE,
        "kind": "service",
        "stands_for": "machine-booking at River City Tool Library",
        "member_id": f"{RIVER}/mara",
        "home": "River City Tool Library",
        "sequence": NOW,
        "claim_sequence": 1,
        "issued_ms": NOW,
        "lapses_ms": NOW + 3_600_000,
        "holders": (RIVER, BRIGHT, HARBOR),
        "lacking": (),
        "record": "a.b.c",
    }
    return NameFigure(**{**said, **changes})


def found(**changes):
    chain = (ChainLink(name="home", title="the countersignature", says="says", checks=(GOOD,)),)
    said = {
        "name": LATHE,
        "ok": True,
        "verified_ms": NOW,
        "health": LIVE,
        "chain": chain,
        "proof": '{"name": "<lathe>"}',
        "service": LATHE,
        "type": "machine-booking",
        "node": "River City Tool Library",
        "urls": ("http://127.0.0.1:4001",),
        "capabilities": ("turning",),
        "region": "north",
        "lapses_ms": NOW + 3_600_000,
    }
    return FoundFigure(**{**said, **changes})


def lied():
    chain = (ChainLink(name="home", title="the countersignature", says="", checks=(GOOD, BAD)),)
    return found(ok=False, chain=chain, type="", node="", urls=(), capabilities=())


def answered(*services, **changes):
    said = {"asked": FindServices(), "at": "Harbor Homes Cooperative", "found": services}
    return AnswerFigure(**{**said, **changes})


TOLD = NamesFigures(
    names=(held(), held(name=f"saw.{RIVER}", holders=(RIVER,), lacking=(BRIGHT, HARBOR))),
    cards=(
        CardFigure(
            org=RIVER,
            did=DID,
            name="River City",
            description="Runs programs.",
            skills=("Run a program",),
            streaming=True,
            prices=("0.5 eur per task",),
            sequence=1,
            lapses_ms=NOW + 1,
        ),
        CardFigure(org=HARBOR, did=DID, why="No card of it is found now."),
    ),
)


def test_the_frame_has_a_place_for_every_card(networks):
    drawn = names.cards(lambda: networks(3), told=TOLD, answer=answered(found()))
    wanted = set(drawn) - {"health"}

    assert set(re.findall(r'data-card="([^"]+)"></div>', names.frame())) == wanted
    assert set(names.made_of(networks(3), TOLD, None)) == set(drawn)
    assert all(draw() for draw in drawn.values())


@pytest.mark.parametrize("told", [None, NamesFigures()])
def test_what_is_not_there_yet_says_how_it_comes(networks, told):
    drawn = {name: draw() for name, draw in names.cards(lambda: networks(3), told=told).items()}
    assert "opkit name register" in drawn["names"]
    assert "publishes it" in drawn["cards"]
    assert "Asking." in drawn["found"]
    assert "nobody answered yet" in drawn["offered"]
    assert "no name yet" in drawn["everywhere"]


def test_names_stand_with_owner_number_lapse_and_nodes(networks):
    html = names.names(networks(3), TOLD)

    assert html.count("<tr id=") == 2
    assert "3 of 3" in html and "1 of 3" in html
    assert "countersigned by River City Tool Library" in html
    assert f'title="{NOW:,}"' in html
    assert "There are more" in names.names(networks(3), replace(TOLD, more=True))
    assert "and more" in names.held(replace(TOLD, more=True))


def test_a_name_that_is_not_everywhere_is_told_with_who_lacks_it(networks):
    html = names.everywhere(networks(3), TOLD)

    assert "of 2 names everywhere" in html
    assert "not yet at BrightWorks Cooperative and Harbor Homes Cooperative" in html
    assert "t-failed" not in html


def test_a_record_that_does_not_verify_is_a_failure(networks):
    bad = replace(TOLD, names=(held(why="the signature is wrong", kind="", home=""),))

    assert "does not verify" in names.names(networks(3), bad)
    assert "t-failed" in names.everywhere(networks(3), bad)


def test_a_card_says_what_its_agent_can_and_who_has_none(networks):
    html = names.agent_cards(networks(3), TOLD)

    for words in ("Run a program", "answers in a stream", "asks 0.5 eur per task", "verified here"):
        assert words in html
    assert "no card" in html and "No card of it is found now." in html
    assert "of 3 nodes" in names.agents(networks(3), TOLD)


def test_the_box_keeps_what_was_typed(networks):
    html = discovery.find(networks(3), (HARBOR, FindServices(type='"x"', region="north")))

    assert 'name="type" value="&quot;x&quot;"' in html and 'value="north"' in html
    assert f'<option value="{HARBOR}" selected>' in html
    assert 'data-act="find"' in html


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (ServiceHealth(state="here"), "the asked one"),
        (LIVE, "1.5 ms"),
        (ServiceHealth(state="silent", heard_ms=NOW), "not linked now"),
        (ServiceHealth(state="unknown"), "never linked"),
    ],
)
def test_how_a_services_node_does_is_told(networks, health, words):
    assert words in discovery.found(networks(3), answered(found(health=health)))


def test_what_is_proven_opens_to_its_chain(networks):
    answer = answered(found(service=f"mill.{RIVER}"), more=True)
    closed = discovery.found(networks(3), answer)
    opened = discovery.found(networks(3), answer, opened=LATHE)

    assert f"is mill.{RIVER}" in closed and "There are more" in closed
    assert 'data-act="open"' in closed and "every link holds" not in closed
    assert 'data-act="close"' in opened and "Why should I believe lathe." in opened
    assert "<tr id=" in discovery.found(networks(3), answer, opened="gone"), "all are shown again"
    for words in ("every link holds", "Verify again", "Save proof", "The countersignature", "says"):
        assert words in opened, words
    assert "<lathe>" not in opened and "&lt;lathe&gt;" in opened
    assert "1 of 1 check holds" in opened


def test_what_is_not_proven_shows_where_it_breaks(networks):
    html = discovery.found(networks(3), answered(lied()), opened=LATHE)

    assert "not proven: home-node" in discovery.found(networks(3), answered(lied()))
    assert "it breaks here" in html
    assert "1 of 2 checks hold" in html.replace("holds", "hold")
    assert "<b>other</b>" not in html
    assert "t-failed" in discovery.offered(answered(found(), lied()))
    assert "of 2 answered" in discovery.offered(answered(found(), lied()))


def test_no_answer_and_no_service_are_two_things(networks):
    silent = discovery.found(networks(3), answered(trouble="Harbor does not answer: <x>"))
    nothing = discovery.found(networks(3), answered())

    assert "no answer" in silent and "&lt;x&gt;" in silent
    assert "knows no such service" in nothing and "Fewer words find more" in nothing
