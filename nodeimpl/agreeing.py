"""A node that keeps agreements: joins what is signed of them with what nodes share.

An agreement is a set of signatures, shared among the home nodes of its parties, its facilitator's
and its arbiter's. Nothing enters that set but signatures that verify with all that they cite, so
who hands on anything else has lied, and nobody takes one out again. Source: ADR 0045.
"""

from __future__ import annotations

import structlog

from nodeimpl.agreements.rules import Limits
from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharedSpec
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation
from opkit.proof.terms import agreement_id, keepers, read_terms, spell_terms
from opkit.wire.agreements import AgreementsFull
from opkit.wire.base import Did, RecordId
from opkit.wire.gateway import StoreBusy
from opkit.wire.objects import ObjectsFull, OpeningRejected
from opkit.wire.operations import (
    Act,
    AddAct,
    LogFull,
    ObjectId,
    ObjectKind,
    OperationClockAhead,
)
from opkit.wire.terms import Terms

PREFIX = "agreement/"
"""How the ids of agreements begin as objects; the rest is the agreement's own id."""

SIGNATURES_OF_KEEPER_MAX = 32
"""How often each keeper shares a signature: of eight parties each to adopt and to end, and as many
again, for a home that signed twice. No keeper's room is another's."""

_log = structlog.get_logger("agreements")


def join_agreements(
    identity: Identity,
    genesis: GenesisView,
    sharing: Sharing,
    *,
    timers: Timers,
    limits: Limits | None = None,
) -> Agreements:
    """Return a node's part in agreements, which it shares with their keepers."""
    agreements = Agreements(
        identity=identity,
        genesis=genesis,
        timers=timers,
        shared=_Shared(sharing),
        limits=limits,
    )
    heard = _Heard(agreements, sharing=sharing, genesis=genesis)
    sharing.opener(PREFIX, heard.judge)
    sharing.changed(PREFIX, heard.changed)
    sharing.when_caught_up(PREFIX, heard.caught_up)
    return agreements


class _Shared:
    """Shared objects, as agreements."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing

    def share(self, tx: Tx, agreement: RecordId, terms: Terms) -> None:
        """Have the keepers share an agreement from now on, if they do not already.

        Refuses:
            AgreementsFull: there is no room for one more object.
        """
        try:
            self._sharing.open(tx, PREFIX + agreement, spell_terms(terms))
        except ObjectsFull as full:
            raise AgreementsFull(limit=full.limit) from full

    def add(self, tx: Tx, agreement: RecordId, signing: str) -> None:
        """Tell the keepers of a signature, once the transaction is committed.

        After a loss they are told once another one has told what this node had said before.

        Refuses:
            AgreementsFull: somebody filled the object.
            StoreBusy: this node's clock is behind what it has heard.
        """
        if not self._sharing.may_say(tx, PREFIX + agreement):
            return
        try:
            self._sharing.say(tx, PREFIX + agreement, AddAct(element=signing))
        except LogFull as full:
            raise AgreementsFull(limit=full.limit) from full
        except OperationClockAhead as ahead:
            raise StoreBusy(why="the clock is behind what was heard of the agreement") from ahead


class _Heard:
    """What of shared objects is an agreement, and who is told when one changes."""

    def __init__(self, agreements: Agreements, *, sharing: Sharing, genesis: GenesisView) -> None:
        self._agreements = agreements
        self._sharing = sharing
        self._genesis = genesis

    def judge(self, object_id: ObjectId, opening: str) -> SharedSpec:
        """Return who keeps an agreement, and what they may say of it.

        Refuses:
            OpeningRejected: the opening is none of terms, or not those that the id names.
        """
        try:
            terms = read_terms(opening)
            kept_by = keepers(terms, self._genesis)
        except ProofError as bad:
            raise OpeningRejected(object_id=object_id, why=bad.why) from bad
        if object_id != PREFIX + agreement_id(terms):
            raise OpeningRejected(object_id=object_id, why="these are the terms of another one")

        def permits(_author: Did, act: Act) -> bool:
            return isinstance(act, AddAct) and self._agreements.believable(terms, act.element)

        return SharedSpec(
            kind=ObjectKind.OR_SET,
            founders=kept_by,
            permits=permits,
            of_author_max=SIGNATURES_OF_KEEPER_MAX,
        )

    def caught_up(self, tx: Tx, object_id: ObjectId) -> None:
        """Tell the keepers of the signatures that are here and that they have not."""
        shared = set(self._sharing.elements(tx, object_id))
        agreement = object_id.removeprefix(PREFIX)
        for signing in self._agreements.signings(tx, agreement):
            if signing in shared:
                continue
            try:
                self._sharing.say(tx, object_id, AddAct(element=signing))
            except (LogFull, OperationClockAhead) as no:
                # What came may not be undone for it. Its file goes by hand to another keeper.
                _log.warning("a signature is not shared", agreement=agreement, why=str(no))

    def changed(self, tx: Tx, object_id: ObjectId, read: ReadOperation) -> None:
        """Keep a signature that was shared; whoever shared it first."""
        act = read.operation.act
        assert isinstance(act, AddAct), "nothing else is permitted"
        terms = read_terms(self._sharing.row(tx, object_id).opening)
        agreement = object_id.removeprefix(PREFIX)
        if why := self._agreements.heard(tx, agreement, terms, act.element):
            _log.warning("a signature is not kept", agreement=agreement, why=why)
