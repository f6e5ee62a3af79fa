"""The box in which services are looked for, and what was found, each with its chain of proofs."""

from __future__ import annotations

from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import count_text, counted, moment_html, round_trip_text
from opkit.views.cards import (
    Column,
    Row,
    card,
    control,
    empty,
    figure,
    listed,
    pill,
    said_state,
    scroll,
    table,
)
from opkit.views.chains import chain_html, proof_acts
from opkit.views.figures import AnswerFigure, FoundFigure, NetworkFigures
from opkit.views.values import text_html
from opkit.wire.services import FindServices, ServiceHealth

FIELDS: Final = (
    ("type", "What is it?", "any type"),
    ("capability", "What can it?", "any capability"),
    ("region", "Where is it?", "anywhere"),
)
"""What can be asked for: its name, its label, and what stands in a field that is empty."""

_NONE: Final = '<span class="soft">–</span>'

Question = tuple[str, FindServices]
"""Whose node is asked, by its organisation (empty: any), and what for."""

ANYTHING: Final[Question] = ("", FindServices())
"""What is asked for by who has not said anything yet."""


def offered(answer: AnswerFigure | None) -> str:
    """Return how many services were found and proven."""
    question = "How many services are proven?"
    if answer is None or answer.trouble:
        return figure(question, "–", "nobody answered yet")
    good = [each for each in answer.found if each.ok]
    bad = [each for each in answer.found if not each.ok]
    rows = [
        (each.name, said_state(State.DONE, "proven") if each.ok else _lost(each))
        for each in answer.found
    ]
    return figure(
        question,
        count_text(len(good)),
        f"of {len(answer.found)} answered",
        tone=State.FAILED if bad else None,
        opened=listed(rows),
    )


def find(network: NetworkFigures, asked: Question) -> str:
    """Return the box in which is asked; it asks for `find` with what was typed."""
    org, words = asked
    fields = "".join(
        f"<label><span>{escape(label)}</span>"
        f'<input name="{name}" value="{escape(getattr(words, name))}" maxlength="64" '
        f'placeholder="{escape(empty_)}" autocomplete="off" spellcheck="false"></label>'
        for name, label, empty_ in FIELDS
    )
    nodes = "".join(
        f'<option value="{escape(node.org)}"{" selected" if node.org == org else ""}>'
        f"{escape(node.title)}</option>"
        for node in network.nodes
    )
    body = (
        f'<form class="find" data-act="find">{fields}<label><span>Who is asked?</span>'
        f'<select name="at"><option value="">Any node</option>{nodes}</select></label>'
        '<button type="submit" class="act main">Find</button></form>'
    )
    return card("Which service do you look for?", body)


def found(network: NetworkFigures, answer: AnswerFigure | None, *, opened: str = "") -> str:
    """Return what was found; `open`, `close` and `verify` are asked with the `service`."""
    question = "What was found, and why should I believe it?"
    if answer is None:
        return card(question, empty("Asking.", "The answer comes with all its proofs."))
    if answer.trouble:
        hint = "Ask another node, or wait: it is asked again every two seconds."
        said = f'<p class="verdict">{pill(State.FAILED, "no answer")}</p>'
        return card(question, said + empty(answer.trouble, hint))
    if not answer.found:
        hint = (
            "A service appears when a member names one: opkit name register, or run flow B. "
            "Fewer words find more."
        )
        return card(question, empty(f"{answer.at} knows no such service.", hint))
    chosen = next((each for each in answer.found if each.name == opened), None)
    if chosen is not None:
        back = control("All services", "close", kind="quiet", key="Escape")
        proofs = scroll(_proofs(chosen, network), name=f"Proofs of {chosen.name}")
        return card(f"Why should I believe {chosen.name}?", proofs, beside=back)
    columns = (
        Column(title="Service", grows=True),
        Column(title="What it is"),
        Column(title="On", grows=True),
        Column(title="Its node"),
        Column(title="Proofs"),
        Column(title="Until", number=True),
    )
    rows = [_found(each, network) for each in answer.found]
    more = " There are more: say what you look for." if answer.more else ""
    note = (
        f'<p class="soft">{escape(answer.at)} was asked. It is not believed: each answer is '
        f"verified here, from the genesis that this machine keeps.{more}</p>"
    )
    return card(question, scroll(note + table(columns, rows, name="Services"), name="Services"))


def _found(each: FoundFigure, network: NetworkFigures) -> Row:
    is_alias = each.service not in ("", each.name)
    alias = f"<small>is {escape(each.service)}</small>" if is_alias else ""
    opens = (
        f'<button type="button" class="opens" data-act="open" data-service="{escape(each.name)}">'
        f"<b>{escape(each.name)}</b>{alias}</button>"
    )
    where = f"{text_html(each.node)}<small>{escape(', '.join(each.urls))}</small>"
    can = ", ".join((*each.capabilities, *((each.region,) if each.region else ())))
    what = f"{escape(each.type)}<small>{escape(can)}</small>" if each.ok else _NONE
    checks = sum(len(link.checks) for link in each.chain)
    proofs = said_state(State.DONE, counted(checks, "check")) if each.ok else _lost(each)
    return Row(
        key=f"f-{each.name}",
        cells=(
            opens,
            what,
            where if each.ok else _NONE,
            _health(each.health, now_ms=network.now_ms),
            proofs,
            moment_html(each.lapses_ms, now_ms=network.now_ms) if each.ok else _NONE,
        ),
    )


def _proofs(each: FoundFigure, network: NetworkFigures) -> str:
    """Return the chain of proofs of a service, link by link, and what can be done with it."""
    tone, words = (State.DONE, "every link holds") if each.ok else (State.FAILED, "it breaks here")
    at = moment_html(each.verified_ms, now_ms=network.now_ms)
    again = control("Verify again", "verify", kind="main", service=each.name)
    acts = proof_acts(each.proof, file=f"{each.name}.service.json", again=again)
    return (
        f'<div data-begins="{escape(each.name)}" data-bring="{escape(each.name)}"></div>'
        f'<p class="verdict">{pill(tone, words)}{_health(each.health, now_ms=network.now_ms)}'
        f'<span class="soft">verified here at {at}</span></p>{chain_html(each.chain)}{acts}'
    )


def _lost(each: FoundFigure) -> str:
    """Return which check of a service does not hold."""
    bad = [check.name for link in each.chain for check in link.checks if not check.ok]
    return said_state(State.FAILED, f"not proven: {bad[0]}" if bad else "not proven")


def _health(health: ServiceHealth, *, now_ms: int) -> str:
    if health.state == "here":
        return said_state(State.DONE, "the asked one")
    if health.state == "live":
        trip = round_trip_text(health.round_trip_us)
        return f"{said_state(State.DONE, 'linked')}<small>{trip}</small>"
    words = "not linked now" if health.state == "silent" else "never linked"
    heard = moment_html(health.heard_ms or 0, now_ms=now_ms)
    return f"{said_state(State.WAITING, words)}<small>heard {heard}</small>"
