"""The page of governance: what is proposed, who voted, whether it passes, what it leads to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views import governance_effect, governance_vote, header
from opkit.views.amounts import DAY_MS, clock_text, count_text, counted, moment_html
from opkit.views.cards import (
    Column,
    Row,
    card,
    empty,
    figure,
    listed,
    said_state,
    scroll,
    table,
)
from opkit.views.coops import chooser
from opkit.views.figures import NetworkFigures
from opkit.views.governance_figures import GovernanceFigures
from opkit.views.ledger_figures import HomeFigure, ProofFigure
from opkit.views.money import account_name, amount_text
from opkit.views.page import icon
from opkit.views.proposals import (
    KINDS,
    STATES,
    member_name,
    percent_text,
    share,
    term_text,
    until_text,
)
from opkit.wire.governance import NonceTaken, ProposalLine

CARDS: Final = (
    "coops",
    "trouble",
    "open",
    "decided",
    "electors",
    "nonce",
    "proposals",
    "vote",
    "effect",
)
"""The ids of the cards, in their order on a phone."""

_MINUTE_MS: Final = 60_000


def frame() -> str:
    """Return the markup around the page's cards."""
    return (
        '<div class="board governance-board"><h1 class="unseen">Governance</h1>'
        + "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in CARDS)
        + "</div>"
    )


def cards(
    network: Callable[[], NetworkFigures],
    *,
    homes: Sequence[HomeFigure],
    coop: str,
    told: GovernanceFigures | None = None,
    proof: ProofFigure | None = None,
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        network: returns the network as it is when a card is drawn.
        homes: the coops there are.
        coop: whose assembly is shown.
        told: that assembly; None before its home was asked.
        proof: the chosen proposal's decision as it was verified; None before.
    """
    titles = {each.coop: each.title for each in homes}

    def world() -> int:
        return world_ms(network(), told)

    return {
        "health": lambda: header.health(network()),
        "coops": lambda: chooser("Whose assembly?", homes, chosen=coop),
        "trouble": lambda: trouble(told),
        "open": lambda: open_votes(told, world_ms=world()),
        "decided": lambda: decided(told),
        "electors": lambda: electors(told),
        "nonce": lambda: nonce(told),
        "proposals": lambda: proposals(told, world_ms=world()),
        "vote": lambda: governance_vote.vote(told, world_ms=world(), now_ms=network().now_ms),
        "effect": lambda: governance_effect.effect(
            told, titles, proof=proof, world_ms=world(), now_ms=network().now_ms
        ),
    }


def world_ms(network: NetworkFigures, told: GovernanceFigures | None) -> int:
    """Return world time to the minute: what is drawn by it is drawn again no more often."""
    ahead_ms = told.ahead_ms if told else 0
    return (network.now_ms + ahead_ms) // _MINUTE_MS * _MINUTE_MS


def made_of(
    network: NetworkFigures,
    homes: Sequence[HomeFigure],
    told: GovernanceFigures | None,
    proof: ProofFigure | None,
) -> Mapping[str, object]:
    """Return what of the figures each card shows: while it is the same, so is the card."""
    homes, world = tuple(homes), world_ms(network, told)
    shown = dict.fromkeys(CARDS, (told, homes, world, network.now_ms // DAY_MS))
    return {**shown, "health": network, "coops": homes, "effect": (told, homes, proof, world)}


def trouble(told: GovernanceFigures | None) -> str:
    """Return why an assembly is not told of; nothing if it is."""
    if told is None or not told.trouble:
        return ""
    since = f" What is shown is of {clock_text(told.since_ms)} UTC." if told.since_ms else ""
    return (
        f'<section class="card silent" role="status"><h2>{icon(State.RUNNING)} '
        f"Its home node does not tell</h2><p>{escape(told.trouble)}.{since} It is asked again "
        "every two seconds.</p></section>"
    )


def open_votes(told: GovernanceFigures | None, *, world_ms: int) -> str:
    """Return how many proposals are being voted on, and when the next vote closes."""
    question = "What is being voted on?"
    if told is None or told.assembly is None:
        return figure(question, "–", "its home node is asked")
    running = [each for each in told.proposals if each.state == "open"]
    ends = sorted(each.closes_ms or 0 for each in running)
    if not ends:
        words = "no vote now"
    elif ends[0] > world_ms:
        words = f"next closes {until_text(ends[0], now_ms=world_ms)}"
    else:
        words = "may be closed now"
    rows = [(each.title, _turnout(each)) for each in running]
    return figure(question, count_text(len(running)), words, opened=listed(rows))


def decided(told: GovernanceFigures | None) -> str:
    """Return how many proposals were accepted, and how the others ended."""
    question = "What was decided?"
    if told is None or told.assembly is None:
        return figure(question, "–", "nothing told yet")
    over = [each for each in told.proposals if each.state not in ("draft", "open")]
    passed = [each for each in over if each.state in ("accepted", "executed", "expired")]
    ways = Counter(each.state for each in over)
    bad = ways["voided"]
    rows = [
        (counted(count, "proposal"), said_state(*STATES[state]))
        for state, count in ways.most_common()
    ]
    return figure(
        question,
        count_text(len(passed)),
        f"accepted, of {len(over)} that ended",
        tone=State.FAILED if bad else None,
        opened=listed(rows),
    )


def electors(told: GovernanceFigures | None) -> str:
    """Return how many may vote, and by which rule votes are counted."""
    question = "Who may vote, and what does it take?"
    if told is None or told.assembly is None:
        return figure(question, "–", "nothing told yet")
    assembly = told.assembly
    rule = assembly.rule
    rows = [
        ("take part, of all who may", f"{rule.quorum_percent} %"),
        ("say yes, of yes and no", f"{rule.approval_percent} %"),
        ("a vote lasts", term_text(rule.voting_period_ms)),
        ("an effect waits for challenges", term_text(rule.challenge_window_ms)),
        ("a vote may be changed", "no" if rule.votes_final else "until it closes"),
        ("the rule is from", "a decision" if rule.decision else "the charter"),
        *((member_name(each.member_id), "may vote") for each in assembly.page),
    ]
    words = f"quorum {rule.quorum_percent} %, approval {rule.approval_percent} %"
    return figure(question, count_text(assembly.electors), words, opened=listed(rows))


def nonce(told: GovernanceFigures | None) -> str:
    """Return the treasury's next nonce, which of them were taken, and what the treasury has."""
    question = "Which spend of the treasury is next?"
    if told is None or told.treasury is None:
        return figure(question, "–", "nothing told yet")
    rows = [_account(each.account, each.balance, each.unit) for each in told.treasury.accounts]
    rows += [_nonce(each) for each in told.treasury.nonces]
    used = told.treasury.next_nonce - 1
    words = f"treasury nonce, {used:,} taken"
    return figure(question, f"#{told.treasury.next_nonce:,}", words, opened=listed(rows))


def _account(account: str, balance: int, unit: str) -> tuple[str, str]:
    return account_name(account, {}).path, escape(amount_text(balance, unit))


def _nonce(each: NonceTaken) -> tuple[str, str]:
    return f"nonce {each.nonce}: {each.proposal_id}", said_state(*STATES[each.state])


def proposals(told: GovernanceFigures | None, *, world_ms: int) -> str:
    """Return the proposals, newest first. A click asks for `open` with the `proposal`'s hash."""
    question = "What is proposed, and how does it stand?"
    if told is None or (told.assembly is None and not told.trouble):
        return card(question, empty("Asking.", "The home node tells of every proposal."))
    if not told.proposals:
        hint = (
            "A proposal appears when a member opens one: opkit proposal open, or run flow 1, 2 "
            "or C."
        )
        return card(question, empty("Nothing is proposed.", hint))
    columns = (
        Column(title="State"),
        Column(title="Proposal", grows=True),
        Column(title="Took part"),
        Column(title="Voting ends", number=True),
    )
    rows = [_proposal(each, told, world_ms=world_ms) for each in told.proposals]
    more = (
        '<p class="soft">There are older ones: opkit proposal list shows all.</p>'
        if told.more_proposals
        else ""
    )
    return card(question, scroll(table(columns, rows, name="Proposals") + more, name="Proposals"))


def _proposal(each: ProposalLine, told: GovernanceFigures, *, world_ms: int) -> Row:
    chosen = told.chosen is not None and told.chosen.view.proposal == each.proposal
    about = f"{KINDS[each.kind]}, by {member_name(each.member_id)}"
    nonce_ = f", nonce {each.treasury_nonce}" if each.treasury_nonce is not None else ""
    opens = (
        f'<button type="button" class="opens" data-act="open" '
        f'data-proposal="{escape(each.proposal)}" aria-pressed="{"true" if chosen else "false"}">'
        f"<b>{escape(each.title)}</b><small>{escape(about)}{nonce_}</small></button>"
    )
    none = '<span class="soft">–</span>'
    return Row(
        key=f"p-{each.proposal[:16]}",
        selected=chosen,
        cells=(
            said_state(*STATES[each.state]),
            opens,
            _turnout(each) if each.opened_ms is not None else none,
            moment_html(each.closes_ms, now_ms=world_ms) if each.closes_ms else none,
        ),
    )


def _turnout(each: ProposalLine) -> str:
    """Return how many took part, as a number with a small bar below it."""
    cast, whole = each.tally.cast, each.tally.electorate
    return (
        f'<span class="turnout" title="{escape(percent_text(cast, whole))}">{cast:,} of {whole:,}'
        f'<i class="gauge" aria-hidden="true"><i style="width:{share(cast, whole):.1f}%"></i></i>'
        "</span>"
    )
