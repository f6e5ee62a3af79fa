"""The console's cards: sentences with their states, evidence with both sides, controls by right."""

from __future__ import annotations

import html as markup
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from opkit.proof.cid import cid_of
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord, SetupRecord, Stop
from opkit.story.stage import Mode, StageStep, StageView
from opkit.story.states import State
from opkit.views import console, console_controls, console_evidence, header
from opkit.views.figures import (
    ConsoleFigures,
    FlowChoice,
    LastingFigure,
    LinkFigure,
    NetworkFigures,
    NodeFigure,
    Verification,
)

DID = "did:key:z6Mk" + "a" * 44
FLOUR = cid_of(b"flour")
KINDS = {"DOUGH_MADE": "shown", "THIEF_REFUSED": "refused", "BREAD_BAKED": "shown"}


class Controls(HTMLParser):
    """Collects what can be pressed, and sees that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        if "data-act" in given:
            self.found.append(given)
        if "id" in given:
            self.ids.append(given["id"])
        if tag not in {"path", "circle", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"path", "circle"}:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def acts(text: str) -> list[str]:
    return [each["data-act"] for each in Controls(text).found]


def control(text: str, act: str) -> dict[str, str]:
    return next(each for each in Controls(text).found if each["data-act"] == act)


def record(marker: str, *, ok: bool = True) -> MarkerRecord:
    return MarkerRecord(
        name=marker,
        ok=ok,
        kind=KINDS[marker],
        sentence=f"<b>{marker.lower()}</b> is told.",
        evidence={"wasm_hash": FLOUR},
        checks=(
            CheckRecord(name="peer", ok=ok, expected=DID, actual=DID if ok else "<nobody>"),
            CheckRecord(name="weight", ok=True, expected="at most 500", actual="440"),
        ),
        proofs=(BlobRecord(cid=FLOUR, path=f"blobs/{FLOUR}"),),
        at_ms=1,
        took_ms=1_234,
        problem="" if ok else "peer: expected <another>",
    )


def view(told: int = 0, *, running: bool = False, ok: bool = True, **changes) -> StageView:
    steps = []
    for index, marker in enumerate(KINDS):
        done = record(marker, ok=ok or index < told - 1) if index < told else None
        at_work = State.RUNNING if running and index == told else State.WAITING
        steps.append(
            StageStep(
                marker=marker,
                sentence=f"<b>{marker.lower()}</b> is told.",
                kind=KINDS[marker],
                say="Say <this>." if index == 0 else "",
                state=done.state if done else at_work,
                record=done,
            )
        )
    fields = {
        "revision": 3,
        "run_id": "run",
        "flow": "t",
        "title": "Bread <and> butter",
        "story": "A bakery <bakes>.",
        "mode": Mode.WAITING,
        "shown": min(max(told - 1, 0) + running, 2),
        "told": told,
        "began_ms": 1,
        "pace_ms": 3_000,
        "setup": (SetupRecord(sentence="The oven is hot.", ok=True, at_ms=1, took_ms=2),),
        "steps": tuple(steps),
    }
    return StageView(**{**fields, **changes})


def node(org: str, *, health: str = "up") -> NodeFigure:
    return NodeFigure(
        org=org,
        title=f"The <{org}>",
        initials=org[:2].upper(),
        did=DID,
        url="",
        health=health,
        since_ms=1,
        seen_ms=1,
    )


def network(*, cut: bool = False, down: bool = False) -> NetworkFigures:
    return NetworkFigures(
        name="two",
        now_ms=1_763_726_400_000,
        nodes=(node("mill"), node("bakery", health="down" if down else "up")),
        links=(LinkFigure(a="mill", b="bakery", state="cut" if cut else "up", since_ms=1),),
    )


def figures(stage: StageView | None, **changes) -> ConsoleFigures:
    fields = {"network": network(), "flows": (), "stage": stage, "may_act": True}
    return ConsoleFigures(**{**fields, **changes})


BREAD = FlowChoice(name="t", title="Bread", story="A <bakery>.", steps=3)
MOON = FlowChoice(name="u", title="Moon", story="Far.", steps=1, lacking="it needs a <rocket>")


def every_card(now: ConsoleFigures, *, chosen: str = "") -> str:
    return "".join(
        (
            console.story(now, trouble="<silent>", trouble_ms=1_763_726_400_000),
            console_evidence.say(now),
            console_evidence.evidence(now),
            console_controls.transport(now),
            console_controls.deeds(now, chosen=chosen),
        )
    )


ALL = [
    figures(None),
    figures(None, flows=(BREAD, MOON)),
    figures(view()),
    figures(view(1, running=True, mode=Mode.PLAYING)),
    figures(view(3, mode=Mode.ENDED), selected="DOUGH_MADE"),
    figures(view(2, ok=False, mode=Mode.STOPPED, stopped=Stop(at="THIEF_REFUSED", why="<no>"))),
    figures(view(2), network=network(cut=True, down=True)),
]


@pytest.mark.parametrize("now", ALL)
@pytest.mark.parametrize("may_act", [True, False])
@pytest.mark.parametrize("chosen", ["", "cut", "kill", "heal", "<b>"])
def test_every_card_is_whole_markup_in_which_nothing_is_injected(now, may_act, chosen):
    now = ConsoleFigures(**{**vars(now), "may_act": may_act})
    text = every_card(now, chosen=chosen)
    ids = Controls(text).ids
    assert len(ids) == len(set(ids))
    assert not re.search(r"<(?:bakery|and|no|nobody|another|rocket|silent|this|mill)>", text)
    assert "<b>dough" not in text


@pytest.mark.parametrize("now", ALL)
def test_a_viewer_can_look_and_nothing_else(now):
    now = ConsoleFigures(**{**vars(now), "may_act": False})
    assert set(acts(every_card(now, chosen="kill"))) <= {"select", "follow", "verify"}


def test_the_frame_has_a_place_for_every_card():
    places = re.findall(r'data-card="([a-z]+)"', console.frame())
    assert sorted(places) == ["deeds", "evidence", "map", "say", "story", "transport"]


def test_a_flow_that_can_be_told_is_run_or_led_and_another_says_what_it_lacks():
    text = console.story(figures(None, flows=(BREAD, MOON)))
    assert control(text, "run")["data-flow"] == "t"
    assert control(text, "open")["data-flow"] == "t"
    assert len(Controls(text).found) == 2
    assert "it needs a &lt;rocket&gt;" in text


def test_a_viewer_is_told_that_a_story_appears_by_itself():
    text = console.story(figures(None, flows=(BREAD,), may_act=False))
    assert "appears here by itself" in text
    assert "A &lt;bakery&gt;." in text


def test_each_sentence_has_its_state_its_marker_and_how_long_it_took():
    text = console.story(figures(view(1, running=True, mode=Mode.PLAYING)))
    done, running, waiting = re.findall(r'<li id="step-\w+".*?</li>', text)
    assert "DOUGH_MADE" in done and "done" in done and "1.2 s" in done
    assert "is-running" in running and "running" in running
    assert 'aria-current="step"' in running
    assert "waiting" in waiting


def test_an_adversarial_step_is_marked_as_one_before_and_after_it_is_told():
    for told in (0, 2):
        text = console.story(figures(view(told)))
        dough, thief, _ = re.findall(r'<li id="step-\w+".*?</li>', text)
        assert "attack" in thief
        assert "attack" not in dough


def test_a_told_sentence_opens_its_evidence_and_a_waiting_one_is_skipped_to():
    text = console.story(figures(view(1)))
    assert control(text, "select")["data-marker"] == "DOUGH_MADE"
    skips = [each for each in Controls(text).found if each["data-act"] == "skip-to"]
    assert [each["data-marker"] for each in skips] == ["THIEF_REFUSED", "BREAD_BAKED"]


@pytest.mark.parametrize("mode", [Mode.OPENING, Mode.SKIPPING, Mode.STOPPED])
def test_nothing_is_skipped_to_while_that_makes_no_sense(mode):
    assert "skip-to" not in acts(console.story(figures(view(1, mode=mode))))


def test_a_story_that_stopped_says_so_before_anything_else():
    stopped = Stop(at="THIEF_REFUSED", why="peer: expected another")
    now = figures(view(2, ok=False, mode=Mode.STOPPED, stopped=stopped))
    text = console.story(now)
    assert text.index("The story stopped at THIEF_REFUSED") < text.index("<h1>")
    assert "peer: expected another" in text
    early = figures(view(mode=Mode.STOPPED, stopped=Stop(at="", why="no oven")))
    assert "stopped before its first step" in console.story(early)


def test_a_silent_supervisor_is_said_with_its_time():
    text = console.story(figures(view(1)), trouble="no answer", trouble_ms=1_763_726_400_000)
    assert "since 12:00:00 UTC" in text
    assert "no answer" in text


def test_what_is_said_is_the_narration_or_else_the_sentence():
    assert "“Say &lt;this&gt;.”" in console_evidence.say(figures(view(1)))
    assert "thief_refused" in console_evidence.say(figures(view(2)))
    assert "A bakery &lt;bakes&gt;." in console_evidence.say(figures(view(mode=Mode.OPENING)))


def test_evidence_is_that_of_the_step_in_front_or_the_last_told_or_the_chosen():
    def opened(now):
        step = console.opened(now)
        return step.marker if step else ""

    assert opened(figures(view())) == ""
    assert opened(figures(view(2))) == "THIEF_REFUSED"
    assert opened(figures(view(2, shown=0))) == "DOUGH_MADE"
    assert opened(figures(view(1, running=True))) == "DOUGH_MADE"
    assert opened(figures(view(3), selected="DOUGH_MADE")) == "DOUGH_MADE"
    assert opened(figures(view(1), selected="BREAD_BAKED")) == "DOUGH_MADE"


def test_a_check_shows_both_sides_and_one_that_fails_is_seen():
    text = console_evidence.evidence(figures(view(2, ok=False)))
    assert "holds: 1 of 2 checks" in text
    assert "t-failed" in text
    assert "&lt;nobody&gt;" in text
    assert "peer: expected &lt;another&gt;" in text
    assert "at most 500" in text and "440" in text


def test_the_evidence_that_is_copied_is_the_whole_record():
    text = console_evidence.evidence(figures(view(2)))
    said = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert said is not None
    assert MarkerRecord.model_validate(json.loads(said[1])) == record("THIEF_REFUSED")
    assert f'data-from="{console_evidence.EVIDENCE_ID}"' in text


def test_a_receipt_is_saved_from_the_page_itself(receipt_record):
    told = record("DOUGH_MADE").model_copy(update={"proofs": (receipt_record,)})
    base = view(1)
    steps = (base.steps[0].model_copy(update={"record": told}), *base.steps[1:])
    text = console_evidence.evidence(figures(base.model_copy(update={"steps": steps})))
    link = re.search(r'href="data:application/json,([^"]*)"', text)
    assert link is not None
    saved = json.loads(unquote(markup.unescape(link[1])))
    assert saved == receipt_record.bundle.model_dump(mode="json")


@pytest.fixture
def receipt_record():
    from opkit.story.report import ReceiptRecord
    from opkit.wire.compute import ReceiptBundle

    return ReceiptRecord(bundle=ReceiptBundle(receipt="a.b.c", manifest="d.e.f", records=()))


def test_a_verification_shows_beside_the_marker_that_it_is_of():
    found = Verification(
        subject="DOUGH_MADE",
        at_ms=1,
        ok=True,
        verdict="verified",
        checks=record("DOUGH_MADE").checks,
        bundle=None,
    )
    shown = console_evidence.evidence(figures(view(1), again=found))
    assert "Verified again, here, at 00:00:00 UTC" in shown
    assert "<details" in shown
    assert " open>" not in shown
    assert "Verified again" not in console_evidence.evidence(figures(view(2), again=found))


def test_what_can_be_done_with_evidence_and_what_that_found_stand_before_the_long_list_of_checks():
    found = Verification(
        subject="DOUGH_MADE", at_ms=1, ok=False, verdict="failed", checks=(), bundle=None
    )
    shown = console_evidence.evidence(figures(view(1), again=found))
    places = [shown.index(each) for each in ("Verify again", "Verified again", "tell-checks")]
    assert places == sorted(places)
    assert "<details" in shown
    assert " open>" in shown  # What a verification finds wrong is not folded away.


def test_a_failed_step_is_not_narrated_as_if_it_had_been_shown():
    stage = view(1, ok=False)
    assert stage.steps[0].state is State.FAILED
    said = console_evidence.say(figures(stage))
    assert "Say &lt;this&gt;." not in said
    assert "did not hold" in said


def test_why_a_story_stopped_names_organisations_not_keys():
    stage = view(1, ok=False, stopped=Stop(at="DOUGH_MADE", why=f"executor={DID!r}"))
    told = console.story(figures(stage))
    assert DID not in told
    assert "The &lt;mill&gt;" in told
    silent = replace(node("mill"), url="http://127.0.0.1:4")
    why = "no answer from http://127.0.0.1:4: all attempts failed"
    assert console.in_words(why, replace(network(), nodes=(node("bakery"), silent))) == (
        "no answer from The <mill>: all attempts failed"
    )


def test_evidence_that_somebody_chose_is_brought_into_view_and_no_other():
    assert "data-bring" not in console_evidence.evidence(figures(view(2)))
    chosen = console_evidence.evidence(figures(view(2), selected="DOUGH_MADE"))
    assert 'data-bring="DOUGH_MADE"' in chosen


def test_the_transport_offers_what_makes_sense():
    def off(now):
        found = Controls(console_controls.transport(now)).found
        return {each["data-act"] for each in found if "disabled" in each}

    assert off(figures(view())) == {"repeat", "back"}
    assert off(figures(view(2))) == set()
    assert off(figures(view(1, running=True, mode=Mode.PLAYING))) == {"next"}
    assert off(figures(view(3, mode=Mode.ENDED))) == {"next"}
    assert off(figures(view(3, shown=1, mode=Mode.ENDED))) == set()
    assert "again" in acts(console_controls.transport(figures(view(3, mode=Mode.ENDED))))
    assert "pause" in acts(console_controls.transport(figures(view(1, mode=Mode.PLAYING))))


def test_progress_counts_what_was_told():
    text = console_controls.transport(figures(view(2), may_act=False))
    assert '<progress max="3" value="2"' in text
    assert "2 of 3" in text
    assert console_controls.transport(figures(None)) == ""


def test_each_deed_names_what_it_is_done_to_and_what_undoes_it():
    now = figures(None)
    cut = console_controls.deeds(now, chosen="cut")
    assert (control(cut, "cut")["data-a"], control(cut, "cut")["data-b"]) == ("mill", "bakery")
    assert "until you heal it" in cut
    kill = console_controls.deeds(now, chosen="kill")
    assert [c["data-org"] for c in Controls(kill).found if c["data-act"] == "kill"] == [
        "mill",
        "bakery",
    ]
    assert "starts it again" in kill


def test_what_was_done_can_be_undone_and_only_that():
    broken = figures(None, network=network(cut=True, down=True))
    heal = console_controls.deeds(broken, chosen="heal")
    assert control(heal, "heal")["data-a"] == "mill"
    assert control(heal, "restart")["data-org"] == "bakery"
    assert "Heal (2)" in heal
    assert "Nothing is broken" in console_controls.deeds(figures(None), chosen="heal")
    assert "cut" not in acts(console_controls.deeds(broken, chosen="cut"))


def test_bad_links_and_partitions_can_be_chosen():
    weather = console_controls.deeds(figures(None), chosen="weather")
    assert [c["data-permille"] for c in Controls(weather).found if c["data-act"] == "loss"] == [
        "50",
        "200",
    ]
    assert [c["data-ms"] for c in Controls(weather).found if c["data-act"] == "delay"] == [
        "50",
        "200",
    ]
    parts = console_controls.deeds(figures(None), chosen="part")
    assert [c["data-org"] for c in Controls(parts).found if c["data-act"] == "partition"] == [
        "mill",
        "bakery",
    ]


def lasting(**more):
    """Return a partition of the only link, a killed node and a paused one."""
    what = {3: "partition", 4: "kill", 5: "pause"}
    sentences = {3: "The network was parted", 4: "It was killed", 5: "It was paused"}
    each = tuple(
        LastingFigure(
            number=number,
            kind=kind,
            sentence=sentences[number],
            ends_ms=1_763_735_526_420,
            org="" if number == 3 else "bakery" if number == 4 else "mill",
            links=(frozenset(("mill", "bakery")),) if number == 3 else (),
        )
        for number, kind in what.items()
    )
    return replace(network(**more), lasting=each)


def test_what_lasts_is_ended_by_its_number_each_or_all_and_is_listed_once():
    heal = console_controls.deeds(
        figures(None, network=lasting(cut=True, down=True)), chosen="heal"
    )
    ends = [c.get("data-number") for c in Controls(heal).found if c["data-act"] == "heal"]
    assert ends == [None, "3", "5"]
    assert "Heal everything" in heal
    assert control(heal, "restart")["data-org"] == "bakery"
    assert "Heal (3)" in heal


def test_every_page_says_on_top_how_much_is_done_to_the_network():
    assert "disturbance" not in header.health(network())
    told = header.health(lasting())
    assert "3 disturbances" in told
    assert "The network was parted, until" in told
