"""Who is who in flow 2, what its figures are, and what its people do more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.money import got, said
from opkit.proof.checks import Check
from opkit.story import same, that
from opkit.wire.ledger import LEDGER_POSITION, AskPosition, Entry, Position
from opkit.wire.votes import Ballot

if TYPE_CHECKING:
    from opkit.client import NodeClient

BRIGHT = "brightworks-cooperative"
CDN = "fingerlakes-cdn"
HUGO, LEILA, BRAM, YUKI, GWEN = (
    f"{BRIGHT}/{name}" for name in ("hugo", "leila", "bram", "yuki", "gwen")
)

UNIT = "patronage-credits"
SURPLUS = 3_840
HOURS = {HUGO: 120, LEILA: 115, BRAM: 104, YUKI: 98, GWEN: 87}
SHARES = {HUGO: 879, LEILA: 843, BRAM: 762, YUKI: 718, GWEN: 638}
"""Who worked how long in the quarter, and what that comes to: exactly the surplus."""


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What the books begin with: an entry's id and day, and what it gave to which account."""

    entry_id: str
    day: str
    path: str
    unit: str
    amount: int

    @property
    def account(self) -> str:
        """The account that it gave to, or took from."""
        return f"{BRIGHT}:{self.path}"


HISTORY = (
    Seeded(
        entry_id="2026-01-15-maintenance",
        day="2026-01-15",
        path="due/river-city-tool-library",
        unit="commons-credits",
        amount=40,
    ),
    Seeded(
        entry_id="2026-01-20-equipment",
        day="2026-01-20",
        path="due/river-city-tool-library",
        unit="commons-credits",
        amount=-40,
    ),
    Seeded(
        entry_id="2026-02-10-dues",
        day="2026-02-10",
        path=f"due/{CDN}",
        unit="usd-cents",
        amount=-20_000,
    ),
    Seeded(
        entry_id="2026-03-31-surplus",
        day="2026-03-31",
        path="surplus",
        unit=UNIT,
        amount=SURPLUS,
    ),
)
"""What was seeded into BrightWorks' ledger; dues only where Finger Lakes has a node."""


def own(member_id: str) -> str:
    """Return a member's own account."""
    return f"{BRIGHT}:member/{member_id.split('/')[1]}"


def name_of(member_id: str) -> str:
    """Return a member's name as it is said."""
    return member_id.split("/")[1].capitalize()


def seeded_checks(line: Seeded, entry: Entry | None) -> list[Check]:
    """Return the checks that an entry of the history stands as it was seeded."""
    if entry is None:
        return [that(line.entry_id, False, expected="an entry", actual="none")]
    return [
        same(f"{line.entry_id}: day", expected=line.day, actual=entry.effective_on),
        same(
            f"{line.entry_id}: {line.path}",
            expected=said(line.amount, line.unit),
            actual=said(got(entry, line.account), line.unit),
        ),
    ]


async def position(client: NodeClient, who: str) -> Position:
    """Return how a member stands at BrightWorks, by their id or key."""
    return await client.call(LEDGER_POSITION, AskPosition(coop=BRIGHT, did=who))


def credits_in(stands: Position) -> int:
    """Return how many patronage credits a position has in the member's own account."""
    return sum(
        each.balance
        for each in stands.accounts
        if (each.account, each.unit) == (own(stands.member_id), UNIT)
    )


def for_it(ballots: Sequence[Ballot]) -> list[str]:
    """Return who voted yes."""
    return [each.member_id for each in ballots if each.choice == "yes"]


def why_chain(
    stands: Position, entry: Entry, *, line_of: tuple[int, int], votes: Sequence[Ballot]
) -> list[dict[str, Any]]:
    """Return the links from a balance back to the votes, as people read them."""
    weight, amount = line_of
    cause = entry.cause.id if entry.cause else ""
    return [
        {
            "link": "position",
            "says": f"Leila has {said(credits_in(stands), UNIT)}",
            "of": own(LEILA),
        },
        {
            "link": "entry",
            "says": f"entry {entry.sequence} gave her {said(got(entry, own(LEILA)), UNIT)}",
            "of": entry.hash,
        },
        {"link": "decision", "says": "because the assembly had decided it", "of": cause},
        {
            "link": "proposal",
            "says": f"for {weight} of {sum(HOURS.values())} hours,"
            f" {said(amount, UNIT)} of {said(SURPLUS, UNIT)}",
            "of": votes[0].proposal,
        },
        *(
            {"link": "vote", "says": f"{name_of(each.member_id)}: {each.choice}", "of": each.did}
            for each in votes
        ),
    ]
