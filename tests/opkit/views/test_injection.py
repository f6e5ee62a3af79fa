"""Whatever a node, a member, a module or a story says, a page has the elements that views draw.

Every text in every figure is poisoned in turn with markup that would end an attribute, an element,
a comment or a script. What is drawn is parsed again: no element, no attribute, no address, no style
and no act may stand in it that a view did not write itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from opkit.dash import pages
from opkit.live.session import broken_card
from opkit.story.lead import Mode
from opkit.story.report import CheckRecord, MarkerRecord, Stop
from opkit.story.stage import StageStep, StageView
from opkit.views import (
    compute,
    console,
    console_controls,
    console_evidence,
    header,
    names,
    network,
)
from opkit.views.figures import (
    AnswerFigure,
    CardFigure,
    ChainLink,
    ConsoleFigures,
    FlowChoice,
    FoundFigure,
    LastingFigure,
    NameFigure,
    NamesFigures,
)
from opkit.views.replay import Change, Moment, Patch, Recording, ReplayPage, replay_html
from opkit.views.report import report_html
from opkit.views.topology import topology
from opkit.wire.services import FindServices, ServiceHealth

MARK = "zzevil"
PIECES = (
    f'"><{MARK} onload=1>',
    f"'><{MARK}>",
    f'" {MARK}=1 onmouseover=1 style=position:fixed x="',
    f"' {MARK}=1 '",
    f"</script><script>{MARK}</script>",
    f"--><{MARK}>",
    f"</style><{MARK}>",
    f"</title></textarea></svg><{MARK}>",
    f"]]><{MARK}>",
    f"<svg/onload={MARK}>",
    f"<!--<script>{MARK}",
    f"javascript:{MARK}",
    f"x;background:url({MARK})",
    "&quot;&#34;&lt;",
    "\u2028\x0c\x00\x1b[31m\u202e",
    "`${1}`{{7*7}}\\",
)
poisons = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join) | st.text(
    alphabet="<>\"'&=/ a\x00-!", min_size=1, max_size=40
).map(lambda text: f"{text}{MARK}")

FIXED = frozenset({"health", "state", "mode", "tone", "kind", "outcome"})
"""Fields whose texts are not free: types allow a few words."""

NAMED = {"name", "planned", "marker", "path", "cid", "notebook", "files"}
"""Fields of a run's record whose texts are held to a pattern when the record is read."""

TAGS = re.compile(
    "a|article|b|body|br|button|circle|code|datalist|d[dlt]|details|div|em|footer|form|g|h[1-3]"
    "|head|header|html|i|input|label|li|line|link|main|meta|nav|noscript|ol|option|output|p|path"
    "|poly(gon|line)|pre|progress|script|section|select|small|span|strong|style|summary|svg|table"
    "|tbody|t[dhr]|thead|time|title|ul"
)
STYLE = re.compile(r"(?:(?:left|top|width):-?[0-9.]+%;?)*")
ADDRESS = re.compile(
    r"(?:/[\w./-]*|blobs/\w+|notebooks/\w+\.html|#[\w-]*|data:application/json,[\w%./-]*)"
)
OURS = ("class", "data-act", "data-card", "data-key", "data-from", "data-board", "src", "action")
"""Attributes whose values are ours alone."""


class Drawn(HTMLParser):
    """Looks at every element and attribute for what no view would draw."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert TAGS.fullmatch(tag), tag
        for name, value in attrs:
            said = value or ""
            assert re.fullmatch(r"[a-zA-Z0-9-]+", name), (tag, name)
            assert not name.startswith("on"), (tag, name)
            assert MARK not in name, (tag, name)
            if name in OURS:
                assert MARK not in said, (tag, name, said)
            if name == "style":
                assert STYLE.fullmatch(said), (tag, said)
            if name == "href":
                assert ADDRESS.fullmatch(said), (tag, said)


def poisoned(value: Any, text: str, *, name: str = "", spared: frozenset[str] = FIXED) -> Any:
    """Return the same value with `text` before every free text in it, however deep it lies."""
    if isinstance(value, Enum) or name in spared:
        return value
    if isinstance(value, str):
        return f"{text}{value}"
    if isinstance(value, BaseModel):
        changed = {key: poisoned(part, text, name=key, spared=spared) for key, part in value}
        return value.model_copy(update=changed)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
        changed = {
            key: poisoned(part, text, name=key, spared=spared) for key, part in parts.items()
        }
        return replace(value, **changed)
    if isinstance(value, Mapping):
        return {
            poisoned(key, text): poisoned(part, text, spared=spared) for key, part in value.items()
        }
    if isinstance(value, tuple | list):
        return type(value)(poisoned(part, text, spared=spared) for part in value)
    return value


def stage_of(told: tuple[MarkerRecord, ...]) -> StageView:
    steps = [
        StageStep(
            marker=one.name,
            sentence=one.sentence,
            kind=one.kind,
            say="Say this.",
            state=one.state,
            record=one,
        )
        for one in told
    ]
    waiting = steps[0].model_copy(update={"record": None})
    return StageView(
        revision=1,
        run_id="run",
        flow="a",
        title="Bread",
        story="A bakery bakes.",
        mode=Mode.WAITING,
        shown=0,
        told=len(steps),
        began_ms=1,
        pace_ms=1,
        steps=(*steps, waiting),
        stopped=Stop(at="DOUGH_MADE", why="no flour"),
    )


SETTINGS = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(text=poisons)
def test_no_text_on_the_networks_page_becomes_markup(networks, broken, text):
    for figures in (networks(3), broken):
        evil = poisoned(figures, text)
        for chosen in ("", evil.nodes[0].org):
            opened = evil.happenings[0].key
            drawn = network.cards(lambda evil=evil: evil, selected=chosen, opened=opened)
            for draw in drawn.values():
                Drawn(draw())


@SETTINGS
@given(text=poisons)
def test_no_text_on_the_compute_page_becomes_markup(computing, networks, verifications, text):
    evil, around = poisoned(computing, text), poisoned(networks(3), text)
    for chosen in evil.tasks[:10]:
        verified = poisoned(verifications("", ok=False), text)
        drawn = compute.cards(
            lambda: evil,
            lambda: around,
            selected=chosen.task_id,
            verification=replace(verified, subject=chosen.task_id),
        )
        for draw in drawn.values():
            Drawn(draw())


@SETTINGS
@given(text=poisons)
def test_no_text_on_the_page_of_names_becomes_markup(networks, text):
    check = CheckRecord(name="home-node", ok=False, expected="a", actual="b")
    found = FoundFigure(
        name="lathe",
        ok=True,
        verified_ms=1,
        health=ServiceHealth(state="live"),
        chain=(ChainLink(name="home", title="the home", says="so", checks=(check,)),),
        proof="{}",
        service="mill",
        type="booking",
        node="River",
        urls=("http://127.0.0.1:1",),
        capabilities=("turning",),
        region="north",
    )
    held = NameFigure(
        name="lathe",
        kind="service",
        stands_for="booking",
        member_id="river/mara",
        home="River",
        sequence=1,
        claim_sequence=1,
        issued_ms=1,
        lapses_ms=1,
        holders=("river",),
        lacking=("harbor",),
        record="a.b.c",
    )
    agent = CardFigure(org="river", did="x", name="River", skills=("run",), prices=("1 eur",))
    told = NamesFigures(
        names=(held, replace(held, why="no")), cards=(agent, replace(agent, why="no"))
    )
    around, asked = poisoned(networks(3), text), FindServices()
    answers = (
        AnswerFigure(asked=asked, at="River", found=(found, replace(found, ok=False)), more=True),
        AnswerFigure(asked=asked, at="River"),
        AnswerFigure(asked=asked, at="River", trouble="silent"),
    )
    for answer in poisoned(answers, text):
        for opened in ("", answer.found[0].name if answer.found else text):
            drawn = names.cards(
                lambda: around,
                told=poisoned(told, text),
                answer=answer,
                asked=(text, FindServices.model_construct(type=text, capability=text, region=text)),
                opened=opened,
            )
            for draw in drawn.values():
                Drawn(draw())


@SETTINGS
@given(text=poisons)
def test_no_text_on_the_consoles_page_becomes_markup(run, stopped, broken, verifications, text):
    told = (*run.flows[0].markers, *stopped.flows[0].markers)
    flow = FlowChoice(name="a", title="Bread", story="It bakes.", steps=2, lacking="flour")
    for stage in (None, stage_of(told)):
        figures = ConsoleFigures(
            network=broken,
            flows=(flow, replace(flow, lacking="")),
            stage=stage,
            selected=told[0].name,
            may_act=True,
            again=verifications(told[0].name, ok=False),
        )
        evil = poisoned(figures, text)
        Drawn(console.story(evil, trouble=text, trouble_ms=1))
        Drawn(console_evidence.say(evil))
        Drawn(console_evidence.evidence(evil))
        Drawn(console_controls.transport(evil))
        Drawn(topology(evil.network))
        bad = LastingFigure(number=1, kind=text, sentence=text, ends_ms=1)
        disturbed = replace(evil, network=replace(evil.network, lasting=(bad, bad)))
        Drawn(header.health(disturbed.network))
        for chosen in ("", "cut", "kill", "weather", "part", "heal", text):
            Drawn(console_controls.deeds(disturbed, chosen=chosen))


@SETTINGS
@given(text=poisons)
def test_no_text_on_the_pages_around_becomes_markup(text):
    site = pages.Site(base="/", network=text, version="1")
    Drawn(pages.login(site, after=text, passwords=True, problem=text))
    Drawn(pages.notice(site, title=text, text=text, links=((text, "/x"),)))
    Drawn(pages.landing(site, viewer=False, state="", health="", invitation=text))
    Drawn(pages.watch(site, name="network", title=text, first="", health=""))
    Drawn(broken_card(RuntimeError(text), since_ms=1))


@SETTINGS
@given(text=poisons)
def test_no_text_in_a_report_or_a_replay_becomes_markup(run, stopped, text):
    page = ReplayPage(name="console", title=text, frame="<div></div>")
    change = Change(page=0, card=text, head=0, tail=0, middle=text)
    recording = Recording(
        network=text,
        length_ms=2,
        added_ms=1,
        pages=(page,),
        patches=(Patch(at_ms=0, changes=(change,)),),
        moments=(Moment(at_ms=1, marker=text),),
    )
    for each in (run, stopped):
        evil = poisoned(each, text, spared=FIXED | NAMED)
        Drawn(report_html(evil))
        Drawn(replay_html(evil, recording, blobs={text: b"x"}))


def test_what_looks_at_pages_sees_what_no_view_draws():
    for html in (
        f"<{MARK}>",
        "<p onclick=x>",
        "<img src=x>",
        f'<p class="{MARK}">',
        '<p style="position:fixed">',
        '<a href="javascript:1">x</a>',
        "<script src=//evil></script>" + f"<b data-act={MARK}>",
    ):
        with pytest.raises(AssertionError):
            Drawn(html)
