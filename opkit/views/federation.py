"""The page of the federation: who belongs to it, what was agreed, who owes whom, who is parted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views import (
    federation_agreements,
    federation_clearing,
    federation_joined,
    federation_parted,
    header,
)
from opkit.views.amounts import DAY_MS, count_text, counted
from opkit.views.cards import figure, listed, said_state
from opkit.views.federation_figures import AgreementFigure, FederationFigures
from opkit.views.figures import NetworkFigures
from opkit.views.ledger_figures import ProofFigure
from opkit.views.page import icon

CARDS: Final = (
    "wrong",
    "members",
    "binding",
    "copies",
    "parted",
    "agreements",
    "agreement",
    "positions",
    "moved",
    "joined",
)
"""The ids of the cards, in their order on a phone."""

WRONG_MAX: Final = 8
"""How many things that are wrong are told one by one."""

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What one viewer looks at on the page.

    Attributes:
        agreement: the agreement that is open; empty for the first.
        is_picked: whether they picked it; otherwise it only came up first.
        moved: the key of the exchange that is open; empty for none.
        deeds: the kind of control whose list is open; empty for none.
        may_act: whether they may disturb the network.
    """

    agreement: str = ""
    is_picked: bool = False
    moved: str = ""
    deeds: str = ""
    may_act: bool = False


def frame() -> str:
    """Return the markup around the page's cards."""
    return (
        '<div class="board federation-board"><h1 class="unseen">Federation</h1>'
        + "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in CARDS)
        + "</div>"
    )


def cards(
    network: Callable[[], NetworkFigures],
    *,
    told: FederationFigures | None = None,
    homes: Mapping[str, str] | None = None,
    looked: Looked = Looked(),
    proof: ProofFigure | None = None,
    moved_proof: ProofFigure | None = None,
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        network: returns the network as it is when a card is drawn.
        told: what all nodes tell; None before they were asked.
        homes: each coop's organisation, whose node is its home.
        looked: what this viewer looks at.
        proof: the chosen agreement's file as it was verified; None before.
        moved_proof: what was signed of the open exchange, as it was verified; None before.
    """

    def titles() -> dict[str, str]:
        return titles_of(network(), told)

    def world() -> int:
        return world_ms(network(), told)

    chosen = chosen_of(told, looked.agreement)
    return {
        "health": lambda: header.health(network()),
        "wrong": lambda: wrong(told, titles()),
        "members": lambda: federation_joined.members(told),
        "binding": lambda: binding(told),
        "copies": lambda: copies(told),
        "parted": lambda: federation_parted.parted(
            network(),
            told.agreements if told else (),
            homes=homes or {},
            may_act=looked.may_act,
            chosen=looked.deeds,
        ),
        "agreements": lambda: federation_agreements.agreements(
            told, titles(), chosen=chosen.agreement if chosen else "", world_ms=world()
        ),
        "agreement": lambda: federation_agreements.agreement(
            chosen,
            titles(),
            proof=proof,
            world_ms=world(),
            now_ms=network().now_ms,
            is_picked=looked.is_picked,
        ),
        "positions": lambda: federation_clearing.positions(told, titles()),
        "moved": lambda: federation_clearing.moved(
            told, titles(), opened=looked.moved, proof=moved_proof, now_ms=network().now_ms
        ),
        "joined": lambda: federation_joined.joined(told, titles(), world_ms=world()),
    }


def made_of(
    network: NetworkFigures,
    told: FederationFigures | None,
    homes: Mapping[str, str],
    proof: ProofFigure | None,
    moved_proof: ProofFigure | None,
) -> Mapping[str, object]:
    """Return what of the figures each card shows: while it is the same, so is the card."""
    titles, world = titles_of(network, told), world_ms(network, told)
    shown = dict.fromkeys(CARDS, (told, titles, world, network.now_ms // DAY_MS))
    heard = federation_parted.shown(network)
    return {
        **shown,
        "health": network,
        "parted": (heard, told.agreements if told else (), dict(homes)),
        "agreement": (told, titles, proof, world, network.now_ms // DAY_MS),
        "moved": (told, titles, moved_proof, network.now_ms // DAY_MS),
    }


def titles_of(network: NetworkFigures, told: FederationFigures | None) -> dict[str, str]:
    """Return organisations' and coops' names by their ids."""
    titles = {each.key: each.title for each in (told.joined if told else ())}
    return {**titles, **{each.org: each.title for each in network.nodes}}


def world_ms(network: NetworkFigures, told: FederationFigures | None) -> int:
    """Return world time to the minute: what is drawn by it is drawn again no more often."""
    ahead_ms = told.ahead_ms if told else 0
    return (network.now_ms + ahead_ms) // _MINUTE_MS * _MINUTE_MS


def wrong(told: FederationFigures | None, titles: Mapping[str, str]) -> str:
    """Return what cannot be if all are honest, or who does not tell; nothing if neither is."""
    if told is None or not (told.wrong or told.silent):
        return ""
    if not told.wrong:
        silent = "".join(
            f"<li>{escape(titles.get(org, org))}: {escape(why)}</li>" for org, why in told.silent
        )
        return (
            f'<section class="card silent" role="status"><h2>{icon(State.RUNNING)} '
            f"{counted(len(told.silent), 'node')} {'does' if len(told.silent) == 1 else 'do'} not "
            f"tell</h2><ul>{silent}</ul><p>What the others tell stands here. Silent nodes are "
            "asked again every two seconds.</p></section>"
        )
    found = "".join(f"<li>{escape(each)}</li>" for each in told.wrong[:WRONG_MAX])
    rest = len(told.wrong) - WRONG_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return (
        f'<section class="card broken" role="alert"><h1>{icon(State.FAILED)} '
        f"Somebody is not honest, or broken</h1><ul>{found}{more}</ul>"
        "<p>Exchange nothing more with them. Save the proofs below, and show them to the arbiter "
        "that the agreement names.</p></section>"
    )


def binding(told: FederationFigures | None) -> str:
    """Return how many agreements are active, and how all others stand."""
    question = "What binds now?"
    if told is None:
        return figure(question, "–", "every node is asked")
    ways = Counter(each.state for each in told.agreements)
    rows = [
        (
            each.terms.title,
            said_state(*federation_agreements.state_of(each)),
        )
        for each in told.agreements
    ]
    words = f"of {counted(len(told.agreements), 'agreement')}"
    return figure(question, count_text(ways["active"]), words, opened=listed(rows))


def copies(told: FederationFigures | None) -> str:
    """Return whether all copies of all agreements are the same, byte by byte."""
    question = "Are copies the same?"
    if told is None:
        return figure(question, "–", "every node is asked")
    all_copies = [one for each in told.agreements for one in each.copies]
    if not all_copies:
        return figure(question, "–", "there is no agreement")
    same = sum(one.copy == "same" for one in all_copies)
    rows = [
        (
            each.terms.title,
            f"{federation_agreements.same_copies(each)} of {len(each.copies)}",
        )
        for each in told.agreements
    ]
    tone = None
    if same < len(all_copies):
        other = any(one.copy == "other" for one in all_copies)
        tone = State.FAILED if other else State.RUNNING
    words = f"of {len(all_copies):,} byte-equal"
    return figure(question, count_text(same), words, tone=tone, opened=listed(rows))


def chosen_of(told: FederationFigures | None, agreement: str) -> AgreementFigure | None:
    """Return the chosen agreement; who has chosen none sees the newest."""
    known = told.agreements if told else ()
    first = known[0] if known and not agreement else None
    return next((each for each in known if each.agreement == agreement), first)
