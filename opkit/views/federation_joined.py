"""Who belongs to the federation: founders, who vouched for whom, what coops attest each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted, many, moment_html
from opkit.views.cards import card, empty, figure, listed, said_state, scroll
from opkit.views.federation_figures import FederationFigures, HeardFigure, JoinedFigure
from opkit.views.page import icon
from opkit.views.telling import all_of
from opkit.views.values import text_html
from opkit.wire.federation import AttestationView

ATTESTED: Final[Mapping[str, tuple[State, str]]] = {
    "valid": (State.DONE, "until"),
    "early": (State.WAITING, "from"),
    "over": (State.WAITING, "until"),
    "revoked": (State.WAITING, "took it back"),
}
"""How an attestation is drawn, and the word before its time."""


def members(told: FederationFigures | None) -> str:
    """Return how many belong to the federation, as a key figure."""
    question = "Who belongs to it?"
    if told is None:
        return figure(question, "–", "every node is asked")
    inside = [each for each in told.joined if each.standing]
    waiting = sum(not each.standing and not each.expelled for each in told.joined)
    rows = [(each.title, said_state(*standing(each, told.vouches_min))) for each in told.joined]
    words = many(len(inside), "member") + (f", {waiting} waiting" if waiting else "")
    return figure(question, f"{len(inside)}", words, opened=listed(rows))


def standing(each: JoinedFigure, vouches_min: int) -> tuple[State, str]:
    """Return how somebody stands in the federation."""
    if each.standing:
        return State.DONE, "founder" if each.founder else "member"
    if each.expelled:
        return State.REFUSED, "expelled for good"
    lacking = max(1, vouches_min - len(each.vouched_by))
    return State.RUNNING, f"{lacking} more must vouch"


def joined(told: FederationFigures | None, titles: Mapping[str, str], *, world_ms: int) -> str:
    """Return each member with who vouched for it and what is attested of it."""
    question = "Who vouches for whom?"
    if told is None:
        return card(question, empty("Asking.", "Every node tells of the federation's members."))
    if not told.joined:
        hint = "Founders stand in the genesis; others register: opkit federation register."
        return card(question, empty("Nobody belongs to it.", hint))
    shown = "".join(
        _joined(each, titles, vouches_min=told.vouches_min, world_ms=world_ms)
        for each in told.joined
    )
    body = f'<ul class="joined">{shown}</ul>{_heard(told.heard, titles)}'
    return card(question, scroll(body, name="Members"))


def _joined(
    each: JoinedFigure, titles: Mapping[str, str], *, vouches_min: int, world_ms: int
) -> str:
    state, word = standing(each, vouches_min)
    said = [word]
    if each.registered_ms:
        said.append("registered")
    if each.vouched_by:
        said.append(f"vouched for by {all_of(each.vouched_by)}")
    if each.against:
        said.append(f"to be expelled, say {all_of(each.against)}")
    attested = "".join(_attested(one, titles, world_ms=world_ms) for one in each.attested)
    below = f"<ul>{attested}</ul>" if attested else ""
    return (
        f'<li id="j-{escape(each.key)}">{icon(state)}<div><b>{text_html(each.title)}</b>'
        f"<small>{escape(', '.join(said))}</small>{below}</div></li>"
    )


def _attested(one: AttestationView, titles: Mapping[str, str], *, world_ms: int) -> str:
    state, word = ATTESTED[one.state]
    at = one.valid_from_ms if one.state == "early" else one.valid_until_ms
    when = f" {moment_html(at, now_ms=world_ms)}" if at and one.state != "revoked" else ""
    issuer = one.issuer or one.issuer_did
    said = f": {one.statement}" if one.statement else ""
    return (
        f"<li>{icon(state)}<span>{escape(one.type.replace('-', ' '))}{escape(said)}<small>"
        f"{escape(titles.get(issuer, issuer))} {'says so ' if word != 'took it back' else ''}"
        f"{word}{when}</small></span></li>"
    )


def _heard(heard: tuple[HeardFigure, ...], titles: Mapping[str, str]) -> str:
    """Return whether all nodes heard the same of the federation, byte by byte."""
    if not heard:
        return ""
    states = Counter(each.state for each in heard)
    if len(states) == 1:
        return (
            f'<p class="heard">{said_state(State.DONE, "heard by all alike")}<span class="soft">'
            f"{counted(len(heard), 'node')}, {counted(heard[0].operations, 'operation')}</span></p>"
        )
    most = max(heard, key=lambda each: (each.operations, states[each.state])).state
    lines = "".join(
        f"<li>{said_state(*(_SAME if each.state == most else _OTHER))}"
        f"<span>{escape(titles.get(each.org, each.org))}</span>"
        f"<span>{counted(each.operations, 'operation')}</span></li>"
        for each in heard
    )
    return f'<h3>Who has heard it all?</h3><ul class="copies">{lines}</ul>'


_SAME: Final = (State.DONE, "all of it")
_OTHER: Final = (State.RUNNING, "not the same yet")
