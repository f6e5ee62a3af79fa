"""What the pages of ledgers and of governance draw, beside wire values; nothing here fetches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opkit.views.figures import ChainLink
from opkit.wire.base import RecordId
from opkit.wire.holds import Hold
from opkit.wire.ledger import AccountView, Entry, TrialBalance

Soundness = Literal["unasked", "sound", "wrong", "silent"]
"""How a coop's books are: nobody asked yet, all adds up, something does not, no answer comes."""


@dataclass(frozen=True, kw_only=True)
class HomeFigure:
    """A coop, and the organisation whose node keeps its ledger and its assembly."""

    coop: str
    title: str
    org: str
    state: Soundness = "unasked"
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class LedgerFigures:
    """A ledger as its home node tells of it, and what was found wrong with that here.

    Attributes:
        total: all balances, by unit; None before the first answer.
        accounts: with their balances; `more_accounts` if there are further ones.
        entries: newest first; of the chosen account only, if one is chosen.
        holds: those that hold something, newest first.
        wrong: each thing that does not add up here, in words; empty if all does.
        trouble: why the last answer is missing; what is shown is then older.
        since_ms: when the node answered last; 0 if it never did.
    """

    coop: str
    total: TrialBalance | None = None
    accounts: tuple[AccountView, ...] = ()
    more_accounts: bool = False
    account: str = ""
    entries: tuple[Entry, ...] = ()
    more_entries: bool = False
    holds: tuple[Hold, ...] = ()
    more_holds: bool = False
    wrong: tuple[str, ...] = ()
    trouble: str = ""
    since_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class ProofFigure:
    """Why something stands, link by link, as it was verified here.

    Attributes:
        subject: an entry's hash, or a proposal's.
        proof: the records it rests on, as JSON; `file` is the name to keep them under.
        trouble: why a link could not be looked at: who had to hand it over did not.
    """

    subject: RecordId
    ok: bool
    verified_ms: int
    chain: tuple[ChainLink, ...]
    proof: str
    file: str
    trouble: str = ""
