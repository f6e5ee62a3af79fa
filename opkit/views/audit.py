"""The report for those who fund coops: each figure opens to all that it rests on, in one page.

It is drawn from an audit alone (`opkit.proof.audited`), asks for nothing, and opens offline. Each
figure links to its evidence further down; what was not shown is said first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Final

from opkit.proof.audited import AuditView
from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.figures import coops_of, figures_of
from opkit.proof.genesis import GenesisView
from opkit.story.report import CheckRecord
from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.audit_pieces import anchor, pieces
from opkit.views.checks import checks_table
from opkit.views.money import amount_html
from opkit.views.page import icon, page
from opkit.views.values import text_html, values_table
from opkit.wire.audit import Figure, Gap, Standing
from opkit.wire.base import Slug, TimeMs

STANDINGS: Final[Mapping[Standing, tuple[State, str]]] = {
    "verified": (State.DONE, "verified"),
    "attested": (State.DONE, "attested, not recounted"),
    "gap": (State.WAITING, "proof not shown"),
    "refuted": (State.FAILED, "does not verify"),
}
"""The shape and the words of each standing: none is told by colour alone."""

_CSS: Final = (
    ".money i{font-style:normal;font-weight:400;font-size:.6em;color:var(--opkit-soft)}"
    "main a{color:inherit;text-decoration-color:var(--opkit-soft);text-underline-offset:.2em}"
    ".figure summary,.people summary{gap:.6rem}.links summary{padding:.45rem 0;min-height:44px;"
    "display:grid;grid-template-columns:auto minmax(0,1fr) auto;gap:.6rem}"
    ".figure summary .took{display:inline-flex;align-items:center;gap:.35rem}"
    ".gaps li{padding:.45rem 0}.gaps li,.figure a,.people span{overflow-wrap:anywhere}"
    "@media (max-width:34rem){.figure summary{flex-wrap:wrap}}"
)
"""What this page has beside what all reports have."""

REASONS: Final = {
    "not-shown": "nobody showed it",
    "no-genesis": "without a genesis nobody knows whose homes signed it",
    "not-mirrored": "the other side's books lack their half",
    "unreachable": "the node did not answer",
    "too-many": "there is more than an audit keeps",
    "fault": "the node answered nothing that makes sense",
}
"""Why something was not shown, for people; any other reason is the code of a node's refusal."""

CHECKS_SHOWN_MAX = 400
"""The most checks of a coop that are listed; those that fail come first, all are counted."""


def audit_html(view: AuditView, *, genesis: GenesisView | None, file: str) -> str:
    """Return the report as a page.

    Args:
        view: the audit, verified.
        genesis: for the coops' names; None names them by their ids.
        file: what the audit's file is called that lies beside the page.
    """
    figures = figures_of(view)
    titles = {coop: _title(coop, genesis) for coop in view.coops}
    books = "".join(_coop(coop, figures, titles) for coop in coops_of(figures))
    evidence = "".join(
        f'<section class="card flow"><h2>What did {escape(titles[coop.coop])} show?</h2>'
        f"{_gathered(coop)}{pieces(coop)}</section>"
        for coop in view.coops.values()
    )
    side = f"{_how_many(figures)}{_links(view, titles)}{_check_it(view, file)}"
    body = (
        f"<style>{_CSS}</style>{_header(view)}<main>{_missing(view, titles)}"
        f'<div>{books}{evidence}</div><div class="side">{side}</div></main>'
    )
    return page(title=f"Audit of {counted(len(view.file.coops), 'coop')}", body=body)


def _title(coop: Slug, genesis: GenesisView | None) -> str:
    charter = None if genesis is None else genesis.charter(coop)
    return coop if charter is None else charter.title


def _header(view: AuditView) -> str:
    when = _time(view.file.gathered_ms)
    shown = counted(len(view.file.coops), "coop")
    return (
        f"<header><strong>opkit</strong><span class=soft>what {shown} "
        f"showed to {escape(view.file.auditor)}</span>{_pill(view)}<span class=soft>{when}</span>"
        '<button type="button" id="theme" class="act">Light or dark</button></header>'
    )


def _gathered(coop: AuditedCoop) -> str:
    """Return when a coop was asked, which may be long before others were."""
    at_ms = coop.evidence.gathered_ms
    return "" if at_ms is None else f"<p class=soft>Asked on {_time(at_ms)}.</p>"


def _time(at_ms: TimeMs) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _pill(view: AuditView) -> str:
    if not view.verdict.ok:
        return f'<span class="pill t-failed">{icon(State.FAILED)}something does not verify</span>'
    if view.gaps:
        said = counted(len(view.gaps), "proof") + " not shown"
        return f'<span class="pill t-running">{icon(State.WAITING)}{said}</span>'
    return f'<span class="pill t-done">{icon(State.DONE)}all shown</span>'


def _missing(view: AuditView, titles: Mapping[Slug, str]) -> str:
    """Return what was not shown, before anything else; nothing if all was."""
    if not view.gaps:
        return ""
    rows = "".join(f"<li>{_gap(gap, titles)}</li>" for gap in view.gaps)
    return (
        '<section class="card wide" id="gaps"><h2>What was not shown?</h2>'
        "<p>Nothing is filled in for it. What was posted on it stands in figures of its own, and "
        "in balances, which then say that a proof was not shown.</p>"
        f'<ul class="people gaps">{rows}</ul></section>'
    )


def _gap(gap: Gap, titles: Mapping[Slug, str]) -> str:
    what = f"{gap.kind} {text_html(gap.named)}" if gap.named else f"the {gap.kind}"
    cited = ""
    if gap.cited_by is not None:
        link = anchor("ledger", gap.cited_by)
        cited = f', which <a href="#{link}">this entry</a> rests on'
    whose = escape(titles.get(gap.coop, gap.coop))
    why = REASONS.get(gap.why, f"refused: {gap.why}")
    return f"{icon(State.WAITING)} {whose}: {what}{cited} ({escape(why)})"


def _coop(coop: Slug, figures: Iterable[Figure], titles: Mapping[Slug, str]) -> str:
    rows = "".join(_figure(each, titles) for each in figures if each.coop == coop)
    return (
        f'<section class="card flow" id="books-{coop}">'
        f"<h1>{escape(titles[coop])}</h1><h2>What do the books come to?</h2>{rows}</section>"
    )


def _figure(figure: Figure, titles: Mapping[Slug, str]) -> str:
    state, words = STANDINGS[figure.standing]
    amount = f"{figure.amount:,}" if figure.unit == "-" else amount_html(figure.amount, figure.unit)
    links = "".join(
        f'<li><a href="#{anchor(ref.kind, ref.hash)}">{ref.kind} {ref.hash[:8]}…</a>'
        f"<span>{escape(titles.get(ref.coop, ref.coop))}</span></li>"
        for ref in figure.rests_on
    )
    lacks = "".join(f"<li>{_gap(gap, titles)}</li>" for gap in figure.lacks)
    nothing = "" if links or lacks else "<li>nothing: there is none</li>"
    return (
        f'<details class="figure" id="figure-{figure.coop}-{figure.name.replace("/", "-")}">'
        f"<summary><b>{amount}</b>{escape(_label(figure, titles))}"
        f'<span class="took">{icon(state)} {words}</span></summary>'
        f"<ul>{links}{lacks}{nothing}</ul></details>"
    )


def _label(figure: Figure, titles: Mapping[Slug, str]) -> str:
    """Return what a figure is, with the other coop by its name for people."""
    for coop, title in titles.items():
        if figure.label.endswith(f" {coop}"):
            return f"{figure.label.removesuffix(coop)}{title}"
    return figure.label


def _how_many(figures: Iterable[Figure]) -> str:
    rows = [
        (counted(sum(each.standing == standing for each in figures), "figure"), standing)
        for standing in STANDINGS
    ]
    shown = "".join(
        f"<li><span>{STANDINGS[standing][1]}</span><span>{count}</span></li>"
        for count, standing in rows
    )
    return (
        f'<section class="card figure"><h2>How do the figures stand?</h2><ul>{shown}</ul></section>'
    )


def _links(view: AuditView, titles: Mapping[Slug, str]) -> str:
    rows = "".join(_checks(coop, titles[coop.coop]) for coop in view.coops.values())
    return f'<section class="card links"><h2>Which links were followed?</h2>{rows}</section>'


def _checks(coop: AuditedCoop, title: str) -> str:
    checks = sorted(coop.checks, key=lambda check: check.ok)
    held = sum(check.ok for check in checks)
    state = State.DONE if held == len(checks) else State.FAILED
    shown = checks_table(
        CheckRecord(
            name=each.name[:256], ok=each.ok, expected=each.expected[:512], actual=each.actual[:512]
        )
        for each in checks[:CHECKS_SHOWN_MAX]
    )
    return (
        f"<details><summary>{icon(state)}<span>{escape(title)}: {held:,} of {len(checks):,} checks "
        f'hold</span><span class="took"></span></summary>{shown}</details>'
    )


def _check_it(view: AuditView, file: str) -> str:
    command = f"opkit audit verify {file} --genesis GENESIS"
    facts = {"network": view.file.network, "auditor": view.file.auditor}
    return (
        '<section class="card"><h2>How can I check this myself?</h2>'
        f'<p>Everything on this page follows from <a href="{escape(file)}">{escape(file)}</a>, '
        "which the coops' homes signed link by link. Use the genesis that you keep yourself.</p>"
        f'<pre>{escape(command)}</pre><button type="button" class="act" '
        f'data-copy="{escape(command)}">Copy the command</button>{values_table(facts)}</section>'
    )
