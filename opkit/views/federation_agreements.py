"""Agreements: how each stands, who signed it by which decision, and whether copies are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted, moment_html
from opkit.views.cards import (
    Column,
    Row,
    card,
    control,
    empty,
    pill,
    said_state,
    scroll,
    table,
)
from opkit.views.chains import believed_html, verify_words
from opkit.views.federation_figures import (
    AgreementFigure,
    Copy,
    CopyFigure,
    FederationFigures,
    SignedFigure,
)
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import amount_text
from opkit.views.page import icon
from opkit.views.telling import all_of
from opkit.views.values import text_html
from opkit.wire.terms import Provision

STATES: Final[Mapping[str, tuple[State, str]]] = {
    "proposed": (State.RUNNING, "proposed"),
    "signed": (State.DONE, "signed by all"),
    "active": (State.DONE, "active"),
    "superseded": (State.WAITING, "superseded"),
    "ending": (State.RUNNING, "ending"),
    "ended": (State.WAITING, "ended"),
    "lapsed": (State.WAITING, "lapsed"),
}
"""How each state of an agreement is drawn, and its word."""

COPIES: Final[Mapping[Copy, tuple[State, str]]] = {
    "same": (State.DONE, "the same"),
    "behind": (State.RUNNING, "behind"),
    "other": (State.FAILED, "other bytes"),
    "none": (State.WAITING, "no copy yet"),
    "silent": (State.WAITING, "does not answer"),
}
"""How a node's copy is drawn, and the words for it."""

HEAD: Final = 8
"""So much of an agreement's hash tells it from another one of the same title."""

_NONE: Final = '<span class="soft">–</span>'


def state_of(each: AgreementFigure) -> tuple[State, str]:
    """Return the state that an agreement is drawn in, and its word."""
    return STATES.get(each.state, (State.WAITING, each.state))


def same_copies(each: AgreementFigure) -> int:
    """Return how many nodes have the same copy."""
    return sum(one.copy == "same" for one in each.copies)


def agreements(
    told: FederationFigures | None, titles: Mapping[str, str], *, chosen: str, world_ms: int
) -> str:
    """Return the agreements, newest first. A click asks for `open` with the `agreement`'s hash."""
    question = "What was agreed, and how does it stand?"
    if told is None:
        return card(question, empty("Asking.", "Every node tells of the agreements it keeps."))
    if not told.agreements:
        hint = (
            "An agreement appears when an assembly puts its terms to the vote: opkit agreement "
            "propose, or run flow 3."
        )
        return card(question, empty("Nothing is agreed.", hint))
    columns = (
        Column(title="State"),
        Column(title="Agreement", grows=True),
        Column(title="Signed"),
        Column(title="Copies"),
        Column(title="Ends", number=True),
    )
    often = Counter(each.terms.title for each in told.agreements)
    rows = [
        _row(
            each,
            titles,
            chosen=chosen,
            world_ms=world_ms,
            named=f", {each.agreement[:HEAD]}" if often[each.terms.title] > 1 else "",
        )
        for each in told.agreements
    ]
    return card(question, scroll(table(columns, rows, name="Agreements"), name="Agreements"))


def _row(
    each: AgreementFigure, titles: Mapping[str, str], *, chosen: str, world_ms: int, named: str
) -> Row:
    is_chosen = each.agreement == chosen
    opens = (
        f'<button type="button" class="opens" data-act="open" '
        f'data-agreement="{escape(each.agreement)}" '
        f'aria-pressed="{"true" if is_chosen else "false"}"><b>{escape(each.terms.title)}</b>'
        f"<small>{escape(parties_text(each, titles))}{named}</small></button>"
    )
    parties = len(each.terms.parties)
    return Row(
        key=f"g-{each.agreement[:16]}",
        selected=is_chosen,
        cells=(
            said_state(*state_of(each)),
            opens,
            f"{parties - len(unsigned(each))} of {parties}",
            _copies(each),
            moment_html(each.until_ms, now_ms=world_ms) if each.until_ms else _NONE,
        ),
    )


def _copies(each: AgreementFigure) -> str:
    """Return how many copies are the same, in the state of the worst of them."""
    kinds = {one.copy for one in each.copies}
    state = State.DONE
    for kind in ("silent", "none", "behind", "other"):
        if kind in kinds:
            state = COPIES[kind][0]
    words = f"{same_copies(each)} of {len(each.copies)} the same"
    return said_state(state, words)


def parties_text(each: AgreementFigure, titles: Mapping[str, str]) -> str:
    """Return between whom an agreement is."""
    return all_of([titles.get(coop, coop) for coop in each.terms.parties])


def agreement(
    each: AgreementFigure | None,
    titles: Mapping[str, str],
    *,
    proof: ProofFigure | None,
    world_ms: int,
    now_ms: int,
    is_picked: bool = False,
) -> str:
    """Return one agreement: signatures, copies, what it says, and its file as it verifies here.

    Args:
        each: the agreement; None if there is none to show.
        titles: names of organisations and coops.
        proof: what was verified last, of this one or another.
        world_ms: what time it is in the world of agreements.
        now_ms: what time it is.
        is_picked: whether the viewer picked it: then it is brought before their eyes.
    """
    question = "Who signed it, and is every copy the same?"
    if each is None:
        hint = "Click an agreement: its signatures and all copies of it stand here."
        return card(question, empty("No agreement is chosen.", hint))
    verified = proof if proof is not None and proof.subject == each.agreement else None
    subject = escape(each.agreement)
    bring = f' data-bring="{subject}"' if is_picked else ""
    again = control(verify_words(verified), "verify", kind="main", agreement=each.agreement)
    body = (
        f'<div data-begins="{subject}"{bring}></div><h3>{escape(each.terms.title)}</h3>'
        f'<p class="verdict">{pill(*state_of(each))}'
        f'<span class="soft">{escape(_why_so(each, titles))}</span></p>'
        f'<h3>Whose signatures does it have?</h3><ul class="signed">'
        f"{_signatures(each, titles, world_ms=world_ms)}</ul>"
        f'<h3>Which nodes have it, and the same?</h3><ul class="copies">'
        f"{''.join(_copy(one, titles) for one in each.copies)}</ul>"
        f"{_says(each, titles, world_ms=world_ms)}"
        f"<h3>Why believe it?</h3>{believed_html(verified, again=again, now_ms=now_ms)}"
    )
    return card(question, scroll(body, name="The agreement"))


def _why_so(each: AgreementFigure, titles: Mapping[str, str]) -> str:
    """Return why an agreement is in its state."""
    missing = [titles.get(coop, coop) for coop in unsigned(each)]
    match each.state:
        case "proposed" if missing:
            verb = "has" if len(missing) == 1 else "have"
            return f"{all_of(missing)} {verb} not signed: nobody can use it"
        case "signed":
            return "every party signed; it has not begun"
        case "active":
            return "every party signed, because its own assembly decided so"
        case "superseded":
            return "all parties signed another one in its place"
        case "ending":
            notice = counted(each.terms.notice_days, "day")
            return f"one party gave notice of {notice}; until then all can use it"
        case "ended":
            return "the notice that one party gave is over"
        case "lapsed":
            return "its term is over"
        case _:
            return ""


def unsigned(each: AgreementFigure) -> tuple[str, ...]:
    """Return the parties without a signature that verifies here."""
    good = {one.coop for one in each.signed if one.action == "adopt" and not one.why}
    return tuple(coop for coop in each.terms.parties if coop not in good)


def _signatures(each: AgreementFigure, titles: Mapping[str, str], *, world_ms: int) -> str:
    """Return each party's signature, or that it has not signed, and below it its notice."""
    said = {coop: [one for one in each.signed if one.coop == coop] for coop in each.terms.parties}
    return "".join(
        _signature(one, titles.get(coop, coop), world_ms=world_ms)
        for coop, found in said.items()
        for one in found or (None,)
    )


def _signature(one: SignedFigure | None, title: str, *, world_ms: int) -> str:
    if one is None:
        return (
            f"<li>{icon(State.WAITING)}<span>{escape(title)}<small>has not signed</small></span>"
            "</li>"
        )
    if one.why:
        why = f"<small>its signature does not hold: {escape(one.why)}</small>"
        return f"<li>{icon(State.FAILED)}<span>{escape(title)}{why}</span></li>"
    verb = "signed" if one.action == "adopt" else "gave notice"
    return (
        f"<li>{icon(State.DONE if one.action == 'adopt' else State.WAITING)}"
        f"<span>{escape(title)}<small>{verb} {moment_html(one.signed_ms, now_ms=world_ms)}, as "
        f"its decision {text_html(one.decision)} says</small></span></li>"
    )


def _copy(one: CopyFigure, titles: Mapping[str, str]) -> str:
    state, words = COPIES[one.copy]
    says = f", tells that it is {escape(one.state)}" if one.state else ""
    why = f": {escape(one.why)}" if one.why else ""
    shown = text_html(one.hash) if one.hash else _NONE
    return (
        f"<li>{icon(state)}<span>{escape(titles.get(one.org, one.org))}"
        f"<small>{escape(words)}{says}{why}</small></span>{shown}</li>"
    )


def _says(each: AgreementFigure, titles: Mapping[str, str], *, world_ms: int) -> str:
    """Return the terms as sentences, and the hash that they are named by."""
    terms = each.terms
    lines = [escape(_provision(one, titles)) for one in terms.provisions]
    until = "renewed of itself until a party gives notice" if terms.renewable else "not renewed"
    lines.append(
        f"From {moment_html(terms.starts_ms, now_ms=world_ms)} for "
        f"{counted(terms.term_days, 'day')}, {until}; notice {counted(terms.notice_days, 'day')}"
    )
    if terms.clearing is not None:
        clearing = terms.clearing
        at_most = escape(amount_text(clearing.imbalance_max, clearing.unit))
        lines.append(f"Nobody owes more than {at_most}; it is settled {escape(clearing.settled)}")
    if terms.facilitator is not None:
        facilitator = titles.get(terms.facilitator, terms.facilitator)
        lines.append(f"{escape(facilitator)} facilitates it and keeps a copy")
    arbiter = titles.get(terms.arbiter, terms.arbiter)
    lines.append(f"{escape(arbiter)} rules where an exchange is in doubt")
    if terms.amends is not None:
        lines.append(f"It takes the place of {text_html(terms.amends)}")
    lines.append(f"All of this is named by its hash, {text_html(each.agreement)}")
    said = "".join(f"<li>{line}</li>" for line in lines)
    text = f'<p class="said-text">{escape(terms.text)}</p>' if terms.text else ""
    return f'<h3>What does it say?</h3><ul class="terms">{said}</ul>{text}'


def _provision(one: Provision, titles: Mapping[str, str]) -> str:
    by, to = titles.get(one.by, one.by), titles.get(one.to, one.to)
    much = f"{one.quantity:,} " if one.quantity is not None else ""
    per = f" per {one.per}" if one.per is not None else ""
    return f"{by} gives {to} {much}{one.what}{per}"
