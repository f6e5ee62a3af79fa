"""A chain of proofs, link by link, and what can be done with it: verify again, copy, save."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from opkit.story.states import State
from opkit.views.amounts import counted, moment_html
from opkit.views.cards import pill
from opkit.views.checks import checks_table
from opkit.views.figures import ChainLink
from opkit.views.ledger_figures import ProofFigure
from opkit.views.page import icon
from opkit.views.values import sentence_html


def chain_html(links: Iterable[ChainLink]) -> str:
    """Return the links, first to last, each with what it says and its checks; a bad one is open."""
    return f'<ol class="chain">{"".join(_link(link) for link in links)}</ol>'


def proof_acts(proof: str, *, file: str, again: str) -> str:
    """Return the controls that verify a proof again, copy it, and save it.

    Args:
        proof: the records it rests on, as JSON.
        file: what it is saved as.
        again: markup of the control that verifies it again.
    """
    return (
        f'<div class="acts">{again}'
        f'<button type="button" class="act" data-copy="{escape(proof)}">Copy</button>'
        f'<a class="act" download="{escape(file)}" href="data:application/json,{quote(proof)}">'
        "Save proof</a></div>"
    )


def verify_words(proof: ProofFigure | None) -> str:
    """Return what stands on the control that verifies something."""
    return "Verify it here" if proof is None else "Verify again"


def believed_html(proof: ProofFigure | None, *, again: str, now_ms: int) -> str:
    """Return why something is believed, as it was verified here, with what can be done with it.

    Args:
        proof: what was verified; None before it was.
        again: markup of the control that verifies it, for the first time or again.
        now_ms: what moment it is.
    """
    if proof is None:
        return f'<div class="acts">{again}</div>'
    if not proof.ok:
        verdict = pill(State.FAILED, "it breaks here")
    elif proof.trouble:
        verdict = pill(State.WAITING, "not all of it can be shown")
    else:
        verdict = pill(State.DONE, f"{counted(len(proof.chain), 'link')} verified here")
    trouble = f"<p>{escape(proof.trouble)}</p>" if proof.trouble else ""
    at = moment_html(proof.verified_ms, now_ms=now_ms)
    return (
        f'<p class="verdict">{verdict}<span class="soft">at {at}</span></p>{trouble}'
        f"{chain_html(proof.chain)}{proof_acts(proof.proof, file=proof.file, again=again)}"
    )


def _link(link: ChainLink) -> str:
    held = sum(check.ok for check in link.checks)
    state = State.DONE if link.ok else State.FAILED
    title = link.title[:1].upper() + link.title[1:]
    says = f"<span>{sentence_html(link.says)}</span>" if link.says else ""
    count = f"{held} of {counted(len(link.checks), 'check')}"
    opened = "" if link.ok else " open"
    return (
        f"<li>{icon(state)}<div><b>{escape(title)}</b>{says}"
        f"<details{opened}><summary>{count} {'holds' if held == 1 else 'hold'}"
        f"</summary>{checks_table(link.checks)}</details></div></li>"
    )
