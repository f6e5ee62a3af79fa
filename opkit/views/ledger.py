"""The page of ledgers: what each account has, what was posted, what is held, and why it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views import header, ledger_accounts, ledger_why
from opkit.views.amounts import DAY_MS, clock_text, count_text, counted, many, moment_text
from opkit.views.cards import (
    Column,
    Row,
    card,
    control,
    empty,
    figure,
    listed,
    said_state,
    scroll,
    table,
)
from opkit.views.coops import chooser
from opkit.views.figures import NetworkFigures
from opkit.views.ledger_entries import because_html, flow_html, moved, when_html
from opkit.views.ledger_figures import HomeFigure, LedgerFigures, ProofFigure
from opkit.views.money import (
    account_html,
    account_name,
    amount_html,
    amount_text,
    figure_text,
    unit_name,
)
from opkit.views.page import icon
from opkit.views.telling import all_of
from opkit.wire.holds import Hold
from opkit.wire.ledger import TREASURY, Entry, UnitTotal

CARDS: Final = (
    "coops",
    "wrong",
    "sums",
    "posted",
    "set-aside",
    "treasury",
    "entries",
    "why",
    "accounts",
    "holds",
)
"""The ids of the cards, in their order on a phone."""

WRONG_MAX: Final = 8
"""How many things that are wrong are told one by one."""


def frame() -> str:
    """Return the markup around the page's cards."""
    return (
        '<div class="board ledger-board"><h1 class="unseen">Ledger</h1>'
        + "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in CARDS)
        + "</div>"
    )


def cards(
    network: Callable[[], NetworkFigures],
    *,
    homes: Sequence[HomeFigure],
    coop: str,
    told: LedgerFigures | None = None,
    opened: Entry | None = None,
    proof: ProofFigure | None = None,
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        network: returns the network as it is when a card is drawn.
        homes: the coops there are.
        coop: whose ledger is shown.
        told: that ledger; None before its home was asked.
        opened: the entry whose reasons are open, if one is.
        proof: those reasons as they were verified; None before.
    """
    titles = {each.coop: each.title for each in homes}
    return {
        "health": lambda: header.health(network()),
        "coops": lambda: chooser("Whose ledger?", homes, chosen=coop),
        "wrong": lambda: wrong(told),
        "sums": lambda: sums(told),
        "posted": lambda: entries_count(told, now_ms=network().now_ms),
        "set-aside": lambda: held(told, titles),
        "treasury": lambda: treasury(told),
        "why": lambda: ledger_why.why(
            titles,
            entry=opened,
            proof=proof,
            account=told.account if told else "",
            now_ms=network().now_ms,
        ),
        "entries": lambda: entries(
            told, titles, opened=opened.hash if opened else "", now_ms=network().now_ms
        ),
        "accounts": lambda: ledger_accounts.accounts(told, titles),
        "holds": lambda: holds(told, titles, now_ms=network().now_ms),
    }


def made_of(
    network: NetworkFigures,
    homes: Sequence[HomeFigure],
    told: LedgerFigures | None,
    opened: Entry | None,
    proof: ProofFigure | None,
) -> Mapping[str, object]:
    """Return what of the figures each card shows: while it is the same, so is the card."""
    day, homes = network.now_ms // DAY_MS, tuple(homes)
    shown = dict.fromkeys(CARDS, (told, homes, day))
    return {
        **shown,
        "health": network,
        "coops": homes,
        "why": (homes, opened, proof, told.account if told else "", day),
    }


def wrong(told: LedgerFigures | None) -> str:
    """Return what is wrong with a ledger, or why it is not told; nothing if nothing is."""
    if told is None or not (told.wrong or told.trouble):
        return ""
    if not told.wrong:
        since = f" What is shown is of {clock_text(told.since_ms)} UTC." if told.since_ms else ""
        return (
            f'<section class="card silent" role="status"><h2>{icon(State.RUNNING)} '
            f"Its home node does not tell</h2><p>{escape(told.trouble)}.{since} It is asked again "
            "every two seconds.</p></section>"
        )
    found = "".join(f"<li>{escape(each)}</li>" for each in told.wrong[:WRONG_MAX])
    rest = len(told.wrong) - WRONG_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return (
        f'<section class="card broken" role="alert"><h1>{icon(State.FAILED)} '
        f"This ledger does not add up</h1><ul>{found}{more}</ul>"
        "<p>Post nothing more to it. Verify it whole with opkit ledger audit: that names the first "
        "entry that is not as it should be.</p></section>"
    )


def sums(told: LedgerFigures | None) -> str:
    """Return the sum of all postings, which must be zero, by unit."""
    question = "What do all accounts add up to?"
    if told is None or told.total is None:
        return figure(question, "–", "its home node is asked")
    bad = [each for each in told.total.units if each.sum]
    words = f"must be zero, in {counted(len(told.total.units), 'unit')}"
    value = amount_text(bad[0].sum, bad[0].unit) if bad else "0"
    tone = State.FAILED if bad or told.wrong else None
    return figure(question, value, words, tone=tone, opened=_units(told.total.units))


def _units(units: Sequence[UnitTotal]) -> str:
    """Return the trial balance: what accounts have, what others owe, and the sum of both."""
    if not units:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{escape(unit_name(each.unit))}</th>"
        f"<td>{figure_text(each.positive, each.unit)}</td>"
        f"<td>{figure_text(each.negative, each.unit)}</td><td>{_sum(each)}</td></tr>"
        for each in units
    )
    return (
        '<table class="trial"><thead><tr><th scope=col>Unit</th><th scope=col>Accounts have</th>'
        f"<th scope=col>Accounts owe</th><th scope=col>Sum</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _sum(each: UnitTotal) -> str:
    state = State.FAILED if each.sum else State.DONE
    return said_state(state, figure_text(each.sum, each.unit))


def entries_count(told: LedgerFigures | None, *, now_ms: int) -> str:
    """Return how many entries there are, and when the last one was posted."""
    question = "How much was posted?"
    if told is None or told.total is None:
        return figure(question, "–", "nothing told yet")
    count, checked = told.total.sequence, told.total.checked_sequence
    last = told.entries[0] if told.entries and not told.account else None
    at = f", last {moment_text(last.recorded_ms, now_ms=now_ms)}" if last else ""
    rows = [
        ("its last entry’s hash", f"<code>{escape(told.total.hash[:16])}…</code>"),
        ("its node added up every posting anew", f"up to entry {checked:,}"),
    ]
    words = f"{'entry' if count == 1 else 'entries'}{at}"
    return figure(question, count_text(count), words, opened=listed(rows) if count else "")


def held(told: LedgerFigures | None, titles: Mapping[str, str]) -> str:
    """Return how many holds are open, and what they set aside."""
    question = "What is set aside?"
    if told is None or told.total is None:
        return figure(question, "–", "nothing told yet")
    worth = [amount_text(each.held, each.unit) for each in told.total.units if each.held]
    more = " or more" if told.more_holds else ""
    words = f"{many(len(told.holds), 'hold')}{more}{', worth ' + all_of(worth) if worth else ''}"
    rows = [
        (f"for {account_name(each.to_account, titles).words}", amount_html(each.amount, each.unit))
        for each in told.holds
    ]
    return figure(question, count_text(len(told.holds)), words, opened=listed(rows))


def treasury(told: LedgerFigures | None) -> str:
    """Return what the coop keeps that only a decision can spend."""
    question = "What can only a decision spend?"
    if told is None or told.total is None:
        return figure(question, "–", "nothing told yet")
    by_unit: dict[str, int] = {}
    for group in told.total.groups:
        if group.group in TREASURY:
            by_unit[group.unit] = by_unit.get(group.unit, 0) + group.balance
    has = [(unit, amount) for unit, amount in by_unit.items() if amount]
    if not has:
        return figure(question, "0", "in reserve and surplus")
    rows = [
        (account_name(each.account, {}).path, amount_html(each.balance, each.unit))
        for each in told.accounts
        if each.account.partition(":")[2].partition("/")[0] in TREASURY
    ]
    words = "".join(f"+ {amount_text(amount, unit)} " for unit, amount in has[1:]).strip()
    unit, amount = has[0]
    return figure(question, amount_text(amount, unit), words, opened=listed(rows))


def entries(
    told: LedgerFigures | None, titles: Mapping[str, str], *, opened: str, now_ms: int
) -> str:
    """Return the entries, newest first. A click asks for `open` with the `entry`."""
    question, beside = "What was posted, and because of what?", ""
    if told is not None and told.account:
        question = f"What was posted to {account_name(told.account, titles).words}?"
        beside = control("All entries", "account", kind="quiet", key="Escape", of="")
    if told is None or not told.entries:
        if told is None or (told.total is None and not told.trouble):
            return card(question, empty("Asking.", "The home node tells of every entry."))
        hint = (
            "An entry appears when somebody posts one: opkit ledger post. "
            "The demo world’s history is posted by opkit devnet seed."
        )
        return card(question, empty("No entry yet.", hint), beside=beside)
    columns = (
        Column(title="#"),
        Column(title="From", grows=True),
        Column(title="To", grows=True),
        Column(title="Amount", number=True),
        Column(title="Because", grows=True),
        Column(title="When", number=True),
    )
    rows = [_entry(each, told, titles, opened=opened, now_ms=now_ms) for each in told.entries]
    more = (
        '<p class="soft">There are older ones: opkit ledger history shows all.</p>'
        if told.more_entries
        else ""
    )
    shown = table(columns, rows, name="Entries") + more
    return card(question, scroll(shown, name="Entries"), beside=beside)


def _entry(
    each: Entry, told: LedgerFigures, titles: Mapping[str, str], *, opened: str, now_ms: int
) -> Row:
    chosen = each.hash == opened
    act = "close" if chosen else "open"
    opens = (
        f'<button type="button" class="opens" data-act="{act}" data-entry="{escape(each.hash)}" '
        f'aria-expanded="{"true" if chosen else "false"}"><b>{each.sequence:,}</b></button>'
    )
    sources, targets = flow_html(each, titles)
    amounts = "<br>".join(amount_html(*each_) for each_ in moved(each, account=told.account))
    return Row(
        key=f"e-{each.hash[:16]}",
        selected=chosen,
        cells=(
            opens,
            sources,
            targets,
            amounts,
            because_html(each),
            when_html(each, now_ms=now_ms),
        ),
    )


def holds(told: LedgerFigures | None, titles: Mapping[str, str], *, now_ms: int) -> str:
    """Return what is held, for whom, and until when."""
    question = "What is held, for whom, until when?"
    if told is None or told.total is None:
        return card(question, empty("Asking.", "The home node tells of its holds."))
    if not told.holds:
        hint = (
            "A hold sets money aside until it is paid, released, or its time is over: "
            "opkit hold create."
        )
        return card(question, empty("Nothing is held.", hint))
    shown = "".join(_hold(each, titles, now_ms=now_ms) for each in told.holds)
    more = '<p class="soft">There are more: opkit hold list.</p>' if told.more_holds else ""
    return card(question, scroll(f'<ul class="holds">{shown}</ul>{more}', name="Holds"))


def _hold(each: Hold, titles: Mapping[str, str], *, now_ms: int) -> str:
    lapses = moment_text(each.lapses_at_ms, now_ms=now_ms)
    memo = f"<p>{escape(each.memo)}</p>" if each.memo else ""
    return (
        f'<li id="h-{escape(each.hash[:16])}" data-new>'
        f"<div>{account_html(each.from_account, titles)}"
        f'<span class="soft">to</span>{account_html(each.to_account, titles)}</div>'
        f"<b>{amount_html(each.amount, each.unit)}</b>{memo}"
        f'<small class="soft">held until {escape(lapses)} of world time</small></li>'
    )
