"""Clearing: positions as mirrored bars, told by both sides, and what passed between coops.

A bar grows from the middle to the side of the coop that tells it. Both sides of a sound position
are of one length: what one owes the other is owed. What is in doubt stands hatched beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import moment_html
from opkit.views.cards import Column, Row, card, control, empty, pill, said_state, scroll, table
from opkit.views.chains import believed_html, verify_words
from opkit.views.federation_agreements import HEAD
from opkit.views.federation_figures import (
    FederationFigures,
    Mirror,
    MovedFigure,
    PositionFigure,
)
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import amount_html, amount_text
from opkit.views.values import text_html
from opkit.wire.clearing import ClearingPosition, Exchange

MIRRORS: Final[Mapping[Mirror, tuple[State, str]]] = {
    "equal": (State.DONE, "both say the same"),
    "doubt": (State.RUNNING, "apart by what is in doubt"),
    "moment": (State.RUNNING, "one side has not heard yet"),
    "other": (State.FAILED, "they do not mirror each other"),
    "one": (State.WAITING, "only one side tells"),
}
"""How two sides of a position stand to each other, and the words for it."""

LEGS_MAX: Final = 4
"""How many legs of a netting are told in its row; all of them in what it opens to."""

_CONCERN: Final = (State.FAILED, State.RUNNING, State.REFUSED, State.WAITING, State.DONE)
"""Of two sides that differ the one stands for the exchange that is of more concern."""


def positions(told: FederationFigures | None, titles: Mapping[str, str]) -> str:
    """Return every position as a bar on either side of the middle."""
    question = "Who owes whom, and do both say so?"
    if told is None:
        return card(question, empty("Asking.", "Both sides of every position are asked."))
    if not told.positions:
        hint = (
            "A position appears with the first exchange under an agreement: opkit exchange offer, "
            "or run flow 3."
        )
        return card(question, empty("Nobody owes anybody.", hint))
    rows = "".join(_position(each, titles) for each in told.positions)
    return card(question, scroll(f'<ul class="mirrors">{rows}</ul>', name="Positions"))


def _position(each: PositionFigure, titles: Mapping[str, str]) -> str:
    known = [side for side in each.sides if side is not None]
    limit = max((side.imbalance_max for side in known), default=0)
    top = max(1, limit, *(abs(side.balance) + _outward(side) for side in known))
    names = [titles.get(coop, coop) for coop in each.coops]
    told = [_side_text(side, each.unit, each.mirror) for side in each.sides]
    said = f"{names[0]} {told[0]}; {names[1]} {told[1]}"
    settled = max((side.settled for side in known if side.settled), default="")
    notes = [
        f"{each.title} {each.agreement[:HEAD]}",
        f"at most {amount_text(limit, each.unit)}" if limit else "",
    ]
    notes.append(f"last settled for {settled}" if settled else "not settled yet")
    key = f"m-{each.agreement[:16]}-{each.unit}-{'-'.join(each.coops)}"
    halves = "".join(_half(side, top) for side in each.sides)
    sides = "".join(_side(side, each.unit, each.mirror) for side in each.sides)
    return (
        f'<li id="{escape(key)}"><div class="mirror-who"><b>{escape(names[0])}</b>'
        f'<b>{escape(names[1])}</b></div><div class="mirror" role="img" '
        f'aria-label="{escape(said)}">{halves}</div><div class="mirror-who">{sides}</div>'
        f'<p class="mirror-said">{pill(*MIRRORS[each.mirror])}<small class="soft">'
        f"{escape(', '.join(note for note in notes if note))}</small></p></li>"
    )


def _outward(side: ClearingPosition) -> int:
    """Return by how much a position may get further from zero by what is in doubt."""
    if not side.balance:
        return max(side.doubt_in, side.doubt_out)
    return side.doubt_in if side.balance > 0 else side.doubt_out


def _half(side: ClearingPosition | None, top: int) -> str:
    if side is None:
        return '<span class="half nothing"></span>'
    owes = ' class="owes"' if side.balance < 0 else ""
    beyond = _outward(side)
    doubt = f'<i class="doubt" style="width:{100 * beyond / top:.1f}%"></i>' if beyond else ""
    return (
        f'<span class="half"><i{owes} style="width:{100 * abs(side.balance) / top:.1f}%"></i>'
        f"{doubt}</span>"
    )


def _side(side: ClearingPosition | None, unit: str, mirror: Mirror) -> str:
    if side is None:
        return f'<span class="soft">{_untold(mirror)}</span>'
    doubts = [
        f"{amount_text(amount, unit)} more may {word}"
        for amount, word in ((side.doubt_in, "come in"), (side.doubt_out, "go out"))
        if amount
    ]
    doubt = f"<small>{escape(', '.join(doubts))}: in doubt</small>" if doubts else ""
    if not side.balance:
        return f"<span>is even{doubt}</span>"
    verb = "owes" if side.balance < 0 else "is owed"
    return f"<span>{verb} {amount_html(abs(side.balance), unit)}{doubt}</span>"


def _side_text(side: ClearingPosition | None, unit: str, mirror: Mirror) -> str:
    if side is None:
        return _untold(mirror)
    if not side.balance:
        return "is even"
    return f"{'owes' if side.balance < 0 else 'is owed'} {amount_text(abs(side.balance), unit)}"


def _untold(mirror: Mirror) -> str:
    """Return why a side says nothing: its home does not answer, or has heard of nothing."""
    return "does not answer" if mirror == "one" else "tells of nothing"


def moved(
    told: FederationFigures | None,
    titles: Mapping[str, str],
    *,
    opened: str,
    proof: ProofFigure | None,
    now_ms: int,
) -> str:
    """Return what passed, newest first; a click asks for `moved` with the `exchange`'s hash."""
    question = "What passed between coops?"
    if told is None:
        return card(question, empty("Asking.", "Both sides of every exchange are asked."))
    if not told.moved:
        hint = (
            "An exchange is offered by one coop, accepted by the other, and posted by both: opkit "
            "exchange offer."
        )
        return card(question, empty("Nothing passed yet.", hint))
    columns = (
        Column(title="State"),
        Column(title="From and to", grows=True),
        Column(title="Amount", number=True),
        Column(title="When", number=True),
    )
    rows = [
        _moved(each, titles, proof=proof, now_ms=now_ms, is_open=each.hash == opened)
        for each in told.moved
    ]
    more = '<p class="soft">There are older ones: opkit exchange list.</p>' if told.more else ""
    return card(question, scroll(table(columns, rows, name="Passed") + more, name="Passed"))


def _moved(
    each: MovedFigure,
    titles: Mapping[str, str],
    *,
    proof: ProofFigure | None,
    now_ms: int,
    is_open: bool,
) -> Row:
    one = each.sides[0]
    legs = one.legs[:LEGS_MAX]
    flows = "<br>".join(
        escape(f"{titles.get(leg.payer, leg.payer)} → {titles.get(leg.payee, leg.payee)}")
        for leg in legs
    )
    rest = len(one.legs) - len(legs)
    more = f", and {rest:,} more" if rest > 0 else ""
    opens = (
        f'<button type="button" class="opens" data-act="moved" '
        f'data-exchange="{"" if is_open else escape(each.hash)}" '
        f'aria-expanded="{"true" if is_open else "false"}"><b>{flows}</b>'
        f"<small>{escape(_what(one) + more)}</small></button>"
    )
    return Row(
        key=f"x-{each.hash[:16]}",
        selected=is_open,
        cells=(
            said_state(*state_of(each)),
            opens,
            "<br>".join(amount_html(leg.amount, one.unit) for leg in legs),
            moment_html(one.ended_ms or one.offered_ms, now_ms=now_ms),
        ),
        opened=_opened(each, titles, proof, now_ms=now_ms) if is_open else "",
    )


def _what(one: Exchange) -> str:
    """Return what an exchange is about."""
    kinds = {
        "settlement": f"settlement of {one.period}",
        "netting": "netting of debts in a circle",
    }
    return one.what or kinds.get(one.kind, "an exchange")


def state_of(each: MovedFigure) -> tuple[State, str]:
    """Return how an exchange is drawn: as the side that is of most concern tells it."""
    return min((step_of(one) for one in each.sides), key=lambda step: _CONCERN.index(step[0]))


def step_of(one: Exchange) -> tuple[State, str]:
    """Return how far an exchange is on one side."""
    by = ", as was ruled" if one.ruled else ""
    if one.state == "committed" and one.in_doubt:
        return State.RUNNING, "not posted yet"
    if one.state == "committed":
        return State.DONE, f"posted{by}"
    if one.state == "aborted":
        return State.WAITING, f"nothing came of it{by}"
    return State.RUNNING, "in doubt" if one.state == "accepted" else "offered"


def _opened(
    each: MovedFigure, titles: Mapping[str, str], proof: ProofFigure | None, *, now_ms: int
) -> str:
    """Return what each side says of an exchange, the entry it posted, and why to believe that."""
    lines = "".join(_line(one, titles) for one in each.sides)
    lines += "".join(
        f"<li>{said_state(State.WAITING, 'does not tell')}<span>{escape(titles.get(coop, coop))}"
        "</span></li>"
        for coop in each.silent
    )
    one = each.sides[0]
    legs = "".join(
        f"<li>{escape(titles.get(leg.payer, leg.payer))} owes "
        f"{escape(titles.get(leg.payee, leg.payee))} {amount_html(leg.amount, one.unit)} more, "
        f"under agreement {text_html(leg.agreement)}</li>"
        for leg in one.legs
    )
    verified = proof if proof is not None and proof.subject == each.hash else None
    again = control(verify_words(verified), "moved", kind="main", exchange=each.hash)
    return (
        f'<div class="rests"><ul class="copies">{lines}</ul><ul class="terms">{legs}'
        f"<li>Proposed by {escape(titles.get(one.proposer, one.proposer))} as "
        f"{escape(one.exchange_id)}: {text_html(each.hash)}</li></ul>"
        f"{believed_html(verified, again=again, now_ms=now_ms)}</div>"
    )


def _line(one: Exchange, titles: Mapping[str, str]) -> str:
    why = f"<small>{escape(one.why.replace('-', ' '))}</small>" if one.why else ""
    entries = [("entry", one.entry), ("put right by", one.correction)]
    said = ", ".join(f"{word} {text_html(entry)}" for word, entry in entries if entry)
    return (
        f"<li>{said_state(*step_of(one))}<span>{escape(titles.get(one.coop, one.coop))}{why}"
        f"</span><span>{said or '<i class=soft>no entry</i>'}</span></li>"
    )
