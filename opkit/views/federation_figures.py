"""What the page of the federation draws: members, agreements, positions, and who tells what.

Every figure says whose node told it: no node is believed about another, so what two of them say is
kept apart and compared where it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opkit.wire.base import RecordId
from opkit.wire.clearing import ClearingPosition, Exchange
from opkit.wire.federation import AttestationView
from opkit.wire.terms import Action, Terms

Copy = Literal["same", "behind", "other", "none", "silent"]
"""A node's copy of an agreement beside that with most signatures: byte-equal to it, with fewer
signatures under the same terms, anything else, no copy, or no answer."""

Mirror = Literal["equal", "doubt", "moment", "other", "one"]
"""What two sides say of one position: the same with opposite sign; apart by no more than what is
in doubt; apart for a moment; apart; or only one of them tells."""


@dataclass(frozen=True, kw_only=True)
class HeardFigure:
    """How much of the federation one node has heard: equal states are equal, byte by byte."""

    org: str
    state: RecordId
    operations: int


@dataclass(frozen=True, kw_only=True)
class JoinedFigure:
    """A member of the federation, or who might be one, as the node tells it that heard most.

    Attributes:
        key: what tells it from the others: its coop, or its node's key.
        title: its name, or what is left of its key.
        vouched_by: names of those who vouched for it; `against`: who said that it shall go.
        attested: what others attest of it.
    """

    key: str
    title: str
    founder: bool
    standing: bool
    expelled: bool = False
    vouched_by: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    registered_ms: int = 0
    attested: tuple[AttestationView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SignedFigure:
    """A party's signature under an agreement; `why` it does not verify here, if it does not."""

    coop: str
    action: Action
    signed_ms: int
    decision: RecordId
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class CopyFigure:
    """What one node keeps of an agreement: the hash of its file's bytes, and the state it tells."""

    org: str
    copy: Copy
    hash: str = ""
    state: str = ""
    signatures: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class AgreementFigure:
    """An agreement as its holders tell of it, and each holder's copy of it.

    Attributes:
        state: as the node tells it that has most signatures.
        until_ms: when it ends, in world time; 0 if nothing says so yet.
        superseded_by: the agreement that took its place; empty if none did.
        signed: the parties' signatures and notices; parties without one are left out.
        copies: of each that shall have one, in the network's order.
    """

    agreement: RecordId
    terms: Terms
    state: str
    until_ms: int = 0
    superseded_by: str = ""
    signed: tuple[SignedFigure, ...] = ()
    copies: tuple[CopyFigure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PositionFigure:
    """A position under an agreement in one unit, as both of its coops tell of it."""

    agreement: RecordId
    title: str
    unit: str
    coops: tuple[str, str]
    sides: tuple[ClearingPosition | None, ClearingPosition | None]
    mirror: Mirror


@dataclass(frozen=True, kw_only=True)
class MovedFigure:
    """An exchange, a settlement or a netting, as each of its sides tells of it; at least one does.

    Attributes:
        silent: parties that do not tell of it.
    """

    hash: RecordId
    sides: tuple[Exchange, ...]
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FederationFigures:
    """The federation as all nodes tell of it.

    Attributes:
        joined: who belongs to it, or might; `heard` is how much of that each node has heard.
        vouches_min: how many vouches make a member; 0 before anybody said so.
        moved: what passed between coops, newest first; `more` if there is older.
        silent: organisations whose nodes do not answer, with why; what they told is left out.
        wrong: each thing that cannot be if all are honest, in words; empty if there is none.
        ahead_ms: by how much world time runs ahead.
    """

    joined: tuple[JoinedFigure, ...] = ()
    heard: tuple[HeardFigure, ...] = ()
    vouches_min: int = 0
    agreements: tuple[AgreementFigure, ...] = ()
    positions: tuple[PositionFigure, ...] = ()
    moved: tuple[MovedFigure, ...] = ()
    more: bool = False
    silent: tuple[tuple[str, str], ...] = ()
    wrong: tuple[str, ...] = ()
    ahead_ms: int = 0
