"""For each marker of flow 4 one rule that, broken, must take it away; as `sabotage` has.

What is broken is broken where nodes, and the auditor's own code, look it up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import nodeimpl.governance.deciding
import nodeimpl.ledger.reading
import opkit.proof.audited
import opkit.proof.figures
from nodeimpl.gateway.admit import Admission, Admitted
from opkit.wire.endpoint import Scope

Patch = Callable[[pytest.MonkeyPatch], None]


def _leaves_an_entry_out(patch: pytest.MonkeyPatch) -> None:
    """A page of the history lacks its first entry."""
    honest = nodeimpl.ledger.reading._page

    def page(*asked: Any) -> Any:
        entries, next_after = honest(*asked)
        return entries[1:], next_after

    patch.setattr(nodeimpl.ledger.reading, "_page", page)


def _attests_another_tally(patch: pytest.MonkeyPatch) -> None:
    """What leaves a coop of a payment says that one more took part than the votes come to."""
    honest = nodeimpl.governance.deciding.attested_of

    def attested(*said: Any, **more: Any) -> Any:
        true = honest(*said, **more)
        if true.effect.kind != "spend":
            return true
        tally = true.tally.model_copy(update={"cast": true.tally.cast + 1})
        return true.model_copy(update={"tally": tally})

    patch.setattr(nodeimpl.governance.deciding, "attested_of", attested)


def _takes_receipts_for_granted(patch: pytest.MonkeyPatch) -> None:
    """The auditor believes what an entry names without having seen it."""
    honest = opkit.proof.audited._judge_cause

    def judge(audited: Any, ledger: Any, entry: Any) -> None:
        honest(audited, ledger, entry)
        audited.gaps.pop(entry.hash, None)

    patch.setattr(opkit.proof.audited, "_judge_cause", judge)


def _names_evidence_that_there_is_not(patch: pytest.MonkeyPatch) -> None:
    """A figure of the report leads nowhere."""
    honest = opkit.proof.figures._decisions

    def decisions(coop: Any) -> Any:
        figure = honest(coop)
        lost = tuple(ref.model_copy(update={"hash": "0" * 64}) for ref in figure.rests_on)
        return figure.model_copy(update={"rests_on": lost})

    patch.setattr(opkit.proof.figures, "_decisions", decisions)


def leaves_entries_out_of(patch: pytest.MonkeyPatch, begins: str) -> None:
    """Figures of such a name are of their last entry alone, and agree with themselves."""
    honest = opkit.proof.figures._figure

    def figure(coop: Any, name: str, label: str, *, unit: str, amount: int, entries: Any) -> Any:
        few = list(entries)
        if name.startswith(begins):
            few = few[-1:]
            amount = honest_amount(few[0], name, unit)
        return honest(coop, name, label, unit=unit, amount=amount, entries=few)

    def honest_amount(entry: Any, name: str, unit: str) -> int:
        what, _, of = name.partition("/")
        if what == "has":
            return sum(each.amount for each in opkit.proof.figures._within(entry, unit, of))
        if what in {"charged-to", "charged-by"}:
            return abs(opkit.proof.figures._moved(entry, f"{entry.coop}:due/{of}", unit))
        return opkit.proof.figures._gained(entry, unit)

    patch.setattr(opkit.proof.figures, "_figure", figure)


def counts_fewer_decisions(patch: pytest.MonkeyPatch, _: str) -> None:
    """Of what was accepted the last is not counted, and not named."""
    honest = opkit.proof.figures._decisions

    def decisions(coop: Any) -> Any:
        figure = honest(coop)
        less = {"amount": max(0, figure.amount - 1), "rests_on": figure.rests_on[:-1]}
        return figure.model_copy(update=less)

    patch.setattr(opkit.proof.figures, "_decisions", decisions)


def leaves_figures_out(patch: pytest.MonkeyPatch, begins: str) -> None:
    """A report has no figure of such a name."""
    honest = opkit.proof.figures._of_coop

    def of_coop(*asked: Any) -> Any:
        return (each for each in honest(*asked) if not each.name.startswith(begins))

    patch.setattr(opkit.proof.figures, "_of_coop", of_coop)


SHORT = {
    "has": (leaves_entries_out_of, "has/"),
    "charged": (leaves_entries_out_of, "charged-"),
    "paid": (leaves_entries_out_of, "paid-by-decision"),
    "unproven": (leaves_entries_out_of, "unproven/"),
    "decisions": (counts_fewer_decisions, "decisions-accepted"),
    "none": (leaves_figures_out, "has/"),
}
"""Figures that are short of something and lead to evidence none the less, and how they begin."""


def lets_readers_write(patch: pytest.MonkeyPatch, scope: Scope = Scope.LEDGER_WRITE_OWN) -> None:
    """A token to read is good for a scope to write, as it is for posting to the ledger."""
    honest = Admission.admit

    async def admit(self: Admission, head: Any, needs: Any, **more: Any) -> Admitted:
        asked = Scope.NODE_READ if needs is scope else needs
        return await honest(self, head, asked, **more)

    patch.setattr(Admission, "admit", admit)


SABOTAGE_4: dict[str, tuple[Patch, str]] = {
    "EVIDENCE_GATHERED": (_leaves_an_entry_out, "entries by its own books: expected"),
    "CHAINS_VERIFIED": (_attests_another_tally, "decision 1, tally-sum"),
    "GAP_REPORTED": (_takes_receipts_for_granted, "gaps at this entry: expected '1', got '0'"),
    "FIGURES_LINKED": (_names_evidence_that_there_is_not, "each leads to evidence .*: expected"),
    "AUDITOR_WRITE_REFUSED": (lets_readers_write, "'scope-missing'.*but got LedgerNotYours"),
}
"""For each marker one rule that, broken, must take it away, and by what the flow notices.

The latter is a regular expression that is found in what the stopped flow says.
"""

SABOTAGE_AUDIT = {"4": SABOTAGE_4}
"""The same by the flow's name."""
