"""The demo world's history, posted to the ledgers by the officers who keep them.

It is told in `devnet/world/history.toml`. Each entry has an id of its own for good, so seeding
again changes nothing: a ledger answers what stands, and refuses an id with other content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from devnet.spec import Opening, Passed, ProfileName, WorldSpec, load_world
from opkit.wire.ledger import (
    LEDGER_ENTRY,
    LEDGER_POST,
    AskEntry,
    Entry,
    EntryUnknown,
    PostEntry,
    Posting,
)

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.base import MemberId, Slug

OPENED_FROM = "equity/opening"
"""The account that opening figures come from."""

EXCHANGED_FOR = "equity/exchanges"
"""The account that stands for what was given or got for what is owed."""


class Seeded(Protocol):
    """A network as seeding needs it: a running one that is attached to, or one in this process."""

    @property
    def profile(self) -> str:
        """Which nodes the network has."""

    def client(self, org: str, member_id: str | None) -> NodeClient:
        """Return a client of an organisation's node that speaks for a member."""


@dataclass(frozen=True, kw_only=True)
class SeededEntry:
    """An entry of the history as it stands in a ledger.

    Attributes:
        fresh: it was posted now; otherwise it stood already.
    """

    entry: Entry
    fresh: bool


def history(profile: ProfileName, *, world: WorldSpec | None = None) -> tuple[PostEntry, ...]:
    """Return what is posted on a network of this profile: each ledger's entries by their days.

    What passed between two coops is there only if both have a node: a ledger has no pair of which
    the other half is nowhere.
    """
    world = world or load_world()
    coops = [org.id for org in world.orgs(profile) if org.coop]
    entries = [_opened(line) for line in world.opening if line.coop in coops]
    for line in world.passed:
        if {line.payer, line.payee} <= set(coops):
            entries += _passed(line)
    # Sorting keeps the order of the file within a day.
    return tuple(sorted(entries, key=lambda each: (coops.index(each.coop), each.effective_on)))


def _opened(line: Opening) -> PostEntry:
    return _entry(
        line.coop, line, gets=line.account, gives=OPENED_FROM, memo=f"Opening: {line.what}"
    )


def _passed(line: Passed) -> Iterable[PostEntry]:
    """Return the two halves: the payer owes the payee then, and the payee has that to come."""
    yield _entry(line.payer, line, gets=EXCHANGED_FOR, gives=f"due/{line.payee}", memo=_said(line))
    yield _entry(line.payee, line, gets=f"due/{line.payer}", gives=EXCHANGED_FOR, memo=_said(line))


def _said(line: Passed) -> str:
    return line.what[:1].upper() + line.what[1:]


def _entry(coop: Slug, line: Opening | Passed, *, gets: str, gives: str, memo: str) -> PostEntry:
    return PostEntry(
        coop=coop,
        entry_id=line.id,
        postings=(
            Posting(account=f"{coop}:{gets}", unit=line.unit, amount=line.amount),
            Posting(account=f"{coop}:{gives}", unit=line.unit, amount=-line.amount),
        ),
        memo=memo,
        effective_on=line.effective_on.isoformat(),
    )


async def seed(network: Seeded) -> tuple[SeededEntry, ...]:
    """Post the history of the demo world to the ledgers of a network; what stands stays.

    Each coop's bookkeeper posts with their own key at their own coop's node, one entry after
    another; the coops at once.

    Returns:
        Every entry as it stands now, ledger by ledger.

    Raises:
        Refusal: a ledger does not take an entry, such as one whose id stands with other content.
        Unreachable: a node does not answer.
    """
    ledgers: dict[Slug, list[PostEntry]] = {}
    for ask in history(cast("ProfileName", network.profile)):
        ledgers.setdefault(ask.coop, []).append(ask)
    organisations = load_world().organisations
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_seed_one(network, asks, by=organisations[coop].bookkeeper))
                for coop, asks in ledgers.items()
            ]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return tuple(entry for task in tasks for entry in task.result())


async def _seed_one(network: Seeded, asks: list[PostEntry], *, by: MemberId) -> list[SeededEntry]:
    done = []
    for ask in asks:
        client = network.client(ask.coop, by)
        try:
            await client.call(LEDGER_ENTRY, AskEntry(coop=ask.coop, entry=ask.entry_id))
        except EntryUnknown:
            fresh = True
        else:
            fresh = False
        # Posted again all the same: only the ledger knows whether it is the very same entry.
        done.append(SeededEntry(entry=await client.call(LEDGER_POST, ask), fresh=fresh))
    return done
