"""Why an entry stands: from what was posted down to the decision or receipt that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from opkit.story.states import State
from opkit.views.amounts import counted, moment_html
from opkit.views.cards import card, control, empty, pill, scroll
from opkit.views.chains import chain_html, proof_acts
from opkit.views.ledger_entries import day_text, question_of
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import account_name, amount_html
from opkit.views.values import values_table
from opkit.wire.ledger import Entry, Posting

POSTINGS_MAX = 60
"""How many postings of an entry are listed."""


def why(
    titles: Mapping[str, str],
    *,
    entry: Entry | None,
    proof: ProofFigure | None,
    account: str,
    now_ms: int,
) -> str:
    """Return the reasons of one entry, link by link; `verify` and `close` are asked.

    Args:
        titles: organisations' names by their ids.
        entry: which one is open; None shows how to choose one.
        proof: its reasons as they were verified last; those of another entry are not shown.
        account: of which of its accounts one asks why; empty: of all that got something.
        now_ms: the time, for dates.
    """
    if entry is None:
        hint = (
            "Click an entry. What it rests on is then fetched from its home node and verified "
            "here, link by link, with both sides of every check."
        )
        return card("Why does an entry stand?", empty("No entry is chosen.", hint))
    back = control("Close", "close", kind="quiet", key="Escape")
    mine = proof if proof is not None and proof.subject == entry.hash else None
    subject = escape(entry.hash)
    body = (
        f'<div data-begins="{subject}" data-bring="{subject}"></div>'
        f"{_chain(entry, mine, now_ms=now_ms)}{_postings(entry, titles)}"
        f"<h3>What it says, to the letter</h3>{values_table(_facts(entry))}"
    )
    question = question_of(entry, titles, account=account)
    return card(question, scroll(body, name="Why the entry stands"), beside=back)


def _chain(entry: Entry, proof: ProofFigure | None, *, now_ms: int) -> str:
    if proof is None:
        return f'<p class="verdict">{pill(State.RUNNING, "verifying")}</p>'
    if proof.trouble:
        verdict = pill(State.WAITING, "not all could be looked at")
    elif proof.ok:
        verdict = pill(State.DONE, f"{counted(len(proof.chain), 'link')} verified here")
    else:
        verdict = pill(State.FAILED, "it breaks here")
    again = control("Verify again", "verify", kind="main", entry=entry.hash)
    trouble = f"<p>{escape(proof.trouble)}</p>" if proof.trouble else ""
    at = moment_html(proof.verified_ms, now_ms=now_ms)
    return (
        f'<p class="verdict">{verdict}<span class="soft">at {at}</span></p>{trouble}'
        f"{chain_html(proof.chain)}{proof_acts(proof.proof, file=proof.file, again=again)}"
    )


def _postings(entry: Entry, titles: Mapping[str, str]) -> str:
    lines = "".join(_posting(each, titles) for each in entry.postings[:POSTINGS_MAX])
    rest = len(entry.postings) - POSTINGS_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return f'<h3>What it moves</h3><ul class="postings">{lines}{more}</ul>'


def _posting(each: Posting, titles: Mapping[str, str]) -> str:
    words, path = account_name(each.account, titles)
    return (
        f'<li><span title="{escape(each.account)}">{escape(words)}<small>{escape(path)}</small>'
        f"</span><b>{amount_html(each.amount, each.unit)}</b></li>"
    )


def _facts(entry: Entry) -> dict[str, object]:
    facts: dict[str, object] = {
        "number": entry.sequence,
        "id": entry.entry_id,
        "kind": entry.kind,
        "memo": entry.memo or None,
        "for the day": day_text(entry.effective_on) if entry.effective_on else None,
        "posted by": "the node itself" if entry.by == "-" else entry.by,
        "recorded_at_ms": entry.recorded_ms,
        "world time at_ms": entry.world_ms,
        "corrects": entry.corrects,
        "hash": entry.hash,
        "follows": entry.previous,
    }
    if entry.cause is not None:
        facts[f"cause, a {entry.cause.kind}"] = entry.cause.id
    return {name: said for name, said in facts.items() if said is not None}
