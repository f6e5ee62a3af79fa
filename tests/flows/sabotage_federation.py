"""For each marker of flow 3 one rule that, broken, must take it away; as `sabotage` has.

What is broken is broken where nodes of this process look it up.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nodeimpl.agreements.service
import nodeimpl.clearing.books
import nodeimpl.clearing.rules
import nodeimpl.governance.deciding
import opkit.proof.clearing
from nodeimpl.agreements.service import Agreements
from nodeimpl.sharing.replicating import Replicator
from opkit.proof.agreement import read_agreement_file
from opkit.wire.agreements import AgreementInactive, AgreementInForce, TermsAltered
from opkit.wire.terms import Terms

Patch = Callable[[pytest.MonkeyPatch], None]


def _hashes_other_ballots(patch: pytest.MonkeyPatch) -> None:
    """A home node signs that it counted other ballots than it did."""
    patch.setattr(nodeimpl.governance.deciding, "ids_hash", lambda _: "0" * 64)


def _usable(patch: pytest.MonkeyPatch, when: Callable[[Terms], bool]) -> None:
    """Have agreements of such terms be used although they are not in force."""
    honest = Agreements.use

    def use(self: Agreements, tx: Any, ask: Any, caller: Any, none: Any) -> Any:
        try:
            return honest(self, tx, ask, caller, none)
        except AgreementInactive:
            terms = self._found(tx, ask.agreement).kept.terms
            if not when(terms):
                raise
        return AgreementInForce(
            agreement=ask.agreement, terms=terms, state="active", since_ms=0, until_ms=None
        )

    patch.setattr(Agreements, "use", use)


def _needs_no_second_signature(patch: pytest.MonkeyPatch) -> None:
    """An agreement may be used as soon as anybody has signed it."""
    _usable(patch, lambda _: True)


def _spells_each_copy_in_its_own_way(patch: pytest.MonkeyPatch) -> None:
    """A node writes the file of an agreement with as many spaces as it likes."""
    honest, spaces = nodeimpl.agreements.service._file, itertools.count()
    patch.setattr(
        nodeimpl.agreements.service, "_file", lambda held: honest(held) + b" " * next(spaces)
    )


def _tells_nothing_to_who_was_away(patch: pytest.MonkeyPatch) -> None:
    """Peers are told what changes while they are there: never all, on a link or in a round.

    Nor is a question of before answered once its asker was gone meanwhile.
    """
    honest, gone = Replicator._want, Counter[tuple[Replicator, str]]()
    leave, tell, introduce = Replicator.left, Replicator._tell_heads, Replicator._introduce
    begun = dict[tuple[Replicator, str], int]()

    def want(self: Replicator, peer: str, objects: Any) -> None:
        if objects is not None:
            honest(self, peer, objects)

    def left(self: Replicator, peer: str) -> None:
        gone[self, peer] += 1
        leave(self, peer)

    async def tell_heads(self: Replicator, peer: str, wanted: Any) -> None:
        begun[self, peer] = gone[self, peer]
        await tell(self, peer, wanted)

    async def introduced(self: Replicator, peer: str, unknown: Any) -> None:
        if begun[self, peer] == gone[self, peer]:
            await introduce(self, peer, unknown)

    patch.setattr(Replicator, "_want", want)
    patch.setattr(Replicator, "left", left)
    patch.setattr(Replicator, "_tell_heads", tell_heads)
    patch.setattr(Replicator, "_introduce", introduced)


def _posts_another_amount(patch: pytest.MonkeyPatch) -> None:
    """BrightWorks' home books a credit less than was agreed on."""

    class Less:
        """What exchanges post, but for who is named first."""

        def __getattr__(self, name: str) -> Any:
            return getattr(opkit.proof.clearing, name)

        def postings_of(self, offer: Any, coop: str, **more: Any) -> Any:
            honest = opkit.proof.clearing.postings_of(offer, coop, **more)
            if coop != "brightworks-cooperative":
                return honest
            nearer = (each.amount - (1 if each.amount > 0 else -1) for each in honest)
            return tuple(
                each.model_copy(update={"amount": amount})
                for each, amount in zip(honest, nearer, strict=True)
            )

    patch.setattr(nodeimpl.clearing.books, "proof", Less())


def _lets_them_drift_apart(patch: pytest.MonkeyPatch) -> None:
    """How much one owes the other does not matter."""
    patch.setattr(nodeimpl.clearing.rules, "_judge_balance", lambda *_, **__: None)


def _takes_any_page_for_the_one_signed(patch: pytest.MonkeyPatch) -> None:
    """Whether terms are those that were signed is not looked at."""
    honest = Agreements.prove

    async def prove(self: Agreements, ask: Any, caller: Any) -> Any:
        try:
            return await honest(self, ask, caller)
        except TermsAltered:
            return read_agreement_file(ask.file).terms, ()

    patch.setattr(Agreements, "prove", prove)


def _changes_what_one_wants_changed(patch: pytest.MonkeyPatch) -> None:
    """A change may be used before all have signed it."""
    _usable(patch, lambda terms: terms.amends is not None)


def _settles_as_often_as_asked(patch: pytest.MonkeyPatch) -> None:
    """Whether a month was settled before does not matter."""
    patch.setattr(nodeimpl.clearing.rules, "_judge_not_done", lambda *_, **__: None)
    honest = nodeimpl.clearing.rules.judge_settling

    def judge(stand: Any, **more: Any) -> None:
        honest(replace(stand, done=None), **more)

    patch.setattr(nodeimpl.clearing.rules, "judge_settling", judge)


SABOTAGE_3: dict[str, tuple[Patch, str]] = {
    "BOTH_DECIDED": (_hashes_other_ballots, "counted again here: expected"),
    "AGREEMENT_SIGNED": (_needs_no_second_signature, "'agreement-inactive', but it was allowed"),
    "AGREEMENT_REPLICATED": (_spells_each_copy_in_its_own_way, "different copies: expected '1'"),
    "SURVIVES_FACILITATOR": (
        _tells_nothing_to_who_was_away,
        "1 signatures at fingerlakes-cdn did not come about",
    ),
    "EXCHANGE_RECORDED": (_posts_another_amount, "postings: expected 'what the offer says'"),
    "IMBALANCE_REFUSED": (_lets_them_drift_apart, "'imbalance'.*but got Overdrawn"),
    "TAMPERED_AGREEMENT_REFUSED": (
        _takes_any_page_for_the_one_signed,
        "'terms-altered', but it was allowed",
    ),
    "UNILATERAL_CHANGE_REFUSED": (
        _changes_what_one_wants_changed,
        "'agreement-inactive', but it was allowed",
    ),
    "PERIOD_SETTLED": (_settles_as_often_as_asked, "'settlement-done', but got NothingToSettle"),
}
"""For each marker one rule that, broken, must take it away, and by what the flow notices.

The latter is a regular expression that is found in what the stopped flow says.
"""

SABOTAGE_FEDERATION = {"3": SABOTAGE_3}
"""The same by the flow's name."""
