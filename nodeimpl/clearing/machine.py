"""One side of an exchange, as a machine: what was heard in, what is to be done out.

The proposer alone decides, once: a commit when all have accepted, an abort before that. Who
accepted is in doubt until it hears which, or a ruling of the arbiter; a ruling stands over either.
No step forgets anything, so whatever is lost, repeated or heard in another order, sides that heard
the same stand the same. A crash between two steps loses only what was to be said, and `untold` has
it said again. Pure: a step costs no time, and the same step twice changes nothing.
Source: ADR 0046; Gray and Lamport: Consensus on Transaction Commit (2006), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from opkit.wire.base import RecordId, Slug
from opkit.wire.clearing import Ending, ExchangeState, Role

Act = Literal["post", "correct"]
"""What the side's ledger has to do: post the exchange, or turn round the last entry of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """How one side of an exchange stands.

    Attributes:
        others: the other sides.
        awaited: the proposer's: who has not accepted yet.
        outcome: what the proposer decided, as far as it is known here.
        rival: whether the proposer was heard to have decided the other way, too.
        ruling: the arbiter's ruling, if there is one: its ending and its record id.
        rival_ruling: whether the arbiter was heard to have ruled otherwise, too.
        accepted: whether this side has set something aside for it.
        entries: how many its ledger has of it: the first posts it, each other turns the last round.
        untold: who was not heard yet to know how it ended, or what this side heard of that.
    """

    role: Role
    others: frozenset[Slug]
    awaited: frozenset[Slug] = frozenset()
    outcome: Ending | None = None
    rival: bool = False
    ruling: tuple[Ending, RecordId] | None = None
    rival_ruling: bool = False
    accepted: bool = False
    entries: int = 0
    untold: frozenset[Slug] = frozenset()

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is in doubt."""
        return self.outcome if self.ruling is None else self.ruling[0]

    @property
    def state(self) -> ExchangeState:
        """The same in one word."""
        if self.ending is not None:
            return self.ending
        return "offered" if self.role == "proposer" else "accepted"

    @property
    def posted(self) -> bool:
        """Whether it stands in this side's ledger, all entries considered."""
        return self.entries % 2 == 1

    @property
    def is_owing(self) -> bool:
        """Whether the ledger does not have yet what has to stand in it."""
        return self.ending is not None and self.posted != (self.ending == "committed")

    @property
    def in_doubt(self) -> bool:
        """Whether it counts against the greatest imbalance: not ended, or not posted yet."""
        return self.ending is None or self.is_owing

    @property
    def is_pleading(self) -> bool:
        """Whether the arbiter is to rule: the proposer is silent, or said one thing and another."""
        if self.role == "proposer" or self.ruling is not None:
            return False
        return self.rival or (self.accepted and self.outcome is None)


def offered(others: frozenset[Slug]) -> Side:
    """Return the proposer's side once its offer is journalled."""
    return Side(role="proposer", others=others, awaited=others, accepted=True)


def accepted(others: frozenset[Slug]) -> Side:
    """Return a responder's side once its acceptance is journalled."""
    return Side(role="responder", others=others, accepted=True)


def overheard(others: frozenset[Slug]) -> Side:
    """Return a responder's side that hears of the end before it saw the offer."""
    return Side(role="responder", others=others)


def hear_acceptance(side: Side, coop: Slug) -> Side:
    """Return the proposer's side after a responder's acceptance.

    When it was the last that was awaited the caller may `decide` to commit.
    """
    assert side.role == "proposer" and coop in side.others, f"{coop} was not asked"
    return replace(side, awaited=side.awaited - {coop})


def may_commit(side: Side) -> bool:
    """Return whether the proposer may commit now: all have accepted, and nothing was decided."""
    return side.role == "proposer" and not side.awaited and side.ending is None


def may_abort(side: Side) -> bool:
    """Return whether the proposer may abort now: nothing was decided."""
    return side.role == "proposer" and side.ending is None


def decide(side: Side, ending: Ending) -> Side:
    """Return the proposer's side after its decision; it is journalled before anybody is told."""
    assert may_commit(side) if ending == "committed" else may_abort(side), f"{side} decided"
    return replace(side, outcome=ending, untold=side.others)


def hear_outcome(side: Side, outcome: Ending, *, proposer: Slug) -> Side:
    """Return a side after hearing what the proposer decided.

    The first that is heard stands; another one is kept as proof that the proposer contradicts
    itself, and it is for the arbiter to say which stands. Responders do not hear each other's
    proposer, so whoever hears of a commit hands it on to the others: one that was told of an abort
    has both then. An abort needs no handing on, as who heard nothing else posted nothing.

    Args:
        proposer: who decided it, and so knows it.
    """
    if side.outcome is not None:
        return replace(side, rival=side.rival or side.outcome != outcome)
    heard = replace(side, outcome=outcome)
    if outcome == "aborted" or side.ruling is not None:
        return heard
    return replace(heard, untold=side.others - {proposer})


def hear_ruling(side: Side, ending: Ending, ruling: RecordId, *, by: Slug | None = None) -> Side:
    """Return a side after hearing a ruling.

    An arbiter rules once. Of two rulings by one that does not, everybody takes the one of the lower
    id, so that sides that heard both stand the same.

    Args:
        by: which side said so, if one did: it need not be told.
    """
    if side.ruling is not None and side.ruling[1] != ruling:
        side = replace(side, rival_ruling=True)
    if side.ruling is not None and side.ruling[1] <= ruling:
        known = side.ruling[1] == ruling and by is not None
        return replace(side, untold=side.untold - {by}) if known and by else side
    told = frozenset() if by is None else frozenset({by})
    return replace(side, ruling=(ending, ruling), untold=side.others - told)


def hear_told(side: Side, coop: Slug) -> Side:
    """Return a side after it heard that another one knows how it ended, or all that it knows."""
    return replace(side, untold=side.untold - {coop})


def act_of(side: Side) -> Act | None:
    """Return what the ledger has to do so that it has what it should, if anything."""
    if not side.is_owing:
        return None
    return "correct" if side.entries else "post"


def did_act(side: Side) -> Side:
    """Return a side once its ledger has done what `act_of` said."""
    assert side.is_owing, "the ledger had nothing to do"
    return replace(side, entries=side.entries + 1)
