"""The federation as all nodes tell of it, asked while somebody looks.

A node is asked at once when it journals something of a domain, and all of them now and then. What
they tell is compared and verified here (`opkit.live.federation_fold`); no node is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from opkit.live.asking import EVERY_MS, SILENT, Asking
from opkit.live.examined import Examined, Examiner
from opkit.live.federation_cleared import Apart
from opkit.live.federation_fold import apart_of, fold
from opkit.live.federation_told import NodeTold, Places
from opkit.live.homes import homes_of
from opkit.live.live import Live
from opkit.views.federation_figures import FederationFigures
from opkit.wire.agreements import (
    LIST_AGREEMENTS,
    READ_AGREEMENT_FILE,
    AgreementView,
    ListAgreements,
    ReadAgreementFile,
)
from opkit.wire.clearing import LIST_EXCHANGES, LIST_POSITIONS, ListExchanges, ListPositions
from opkit.wire.federation import (
    LIST_ATTESTATIONS,
    LIST_FEDERATION,
    LIST_FORKS,
    ListAttestations,
    ListFederation,
    ListForks,
)

AGREEMENTS_MAX: Final = 30
"""How many agreements of a node are shown: the newest."""

EXCHANGES_MAX: Final = 50
"""How many exchanges of a node are shown: the newest."""

ATTESTATIONS_MAX: Final = 200

APART_MS: Final = 10_000
"""For how long two sides of a position may tell other than each other for no reason."""

AHEAD_STEP_MS: Final = 10_000
"""To so much it is told by how much world time runs ahead: answers take their time."""

DOMAINS: Final = {
    "federation": ("federation", "objects"),
    "agreements": ("agreements",),
    "clearing": ("clearing",),
}
"""Which events, by the first word of their type, make which questions worth asking."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A node's copy of an agreement: the hash it told, and the file it handed over for it."""

    claimed: str
    file: Examined
    unlike: int = 0


class Federations(Asking):
    """The federation. Satisfies `Runs`: one for all pages of a `Live`.

    Attributes:
        figures: what was told last; None before all nodes were asked once.
    """

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        super().__init__(live)
        self.figures: FederationFigures | None = None
        self._told: dict[str, NodeTold] = {}
        self._held: dict[tuple[str, str], _Held] = {}
        self._examiner = Examiner()
        self._seen: dict[tuple[str, str], int] = {}
        self._asked_at: dict[tuple[str, str], float] = {}
        self._apart: dict[Apart, float] = {}

    def want(self) -> FederationFigures | None:
        """Return what is known, and have it kept up to date for a while."""
        self._want()
        return self.figures

    def file(self, org: str, agreement: str) -> Examined | None:
        """Return the file of an agreement that a node handed over last, as it was examined."""
        held = self._held.get((org, agreement))
        return held.file if held is not None else None

    def _count(self) -> int:
        heard = self._live.book.heard
        return sum(heard[domain] for domains in DOMAINS.values() for domain in domains)

    async def look(self) -> None:
        """Ask every node what it has not told since it journalled something."""
        orgs = list(self._live.followed)
        await asyncio.gather(*(self._ask(org) for org in orgs))
        self._fold(orgs)

    def _fold(self, orgs: list[str]) -> None:
        now = time.monotonic()
        told = {org: self._told[org] for org in orgs if org in self._told}
        late = {one for one, since in self._apart.items() if now - since > APART_MS / 1000}
        figures = fold(
            told,
            places_of(self._live),
            self._live.source.genesis,
            late=late,
            contradicted=self._live.book.contradicted.values(),
        )
        self._apart = {one: self._apart.get(one, now) for one in apart_of(figures)}
        if figures != self.figures:
            self.figures = figures
            self._live.touch_soon()

    async def _ask(self, org: str) -> None:
        before = self._told.get(org, NodeTold())
        followed = self._live.followed[org]
        if followed.health != "up":
            self._told[org] = replace(before, trouble=followed.why or "it does not answer")
            self._forget_turns(org)
            return
        try:
            told = replace(before, trouble="")
            for name, ask in self._questions():
                if self._is_due(org, name):
                    told = await ask(org, told)
        except SILENT as no:
            self._told[org] = replace(before, trouble=str(no) or type(no).__name__)
            self._forget_turns(org)
        else:
            self._told[org] = told

    def _questions(self) -> tuple[tuple[str, Callable[[str, NodeTold], Awaitable[NodeTold]]], ...]:
        return (
            ("federation", self._ask_members),
            ("agreements", self._ask_agreements),
            ("clearing", self._ask_clearing),
        )

    def _is_due(self, org: str, name: str) -> bool:
        """Return whether a node has something new to tell, or was not asked for a while."""
        turn, now = (org, name), time.monotonic()
        heard = sum(self._live.book.heard_from[org, domain] for domain in DOMAINS[name])
        late = now - self._asked_at.get(turn, -1e9) > 0.9 * EVERY_MS / 1000
        if self._seen.get(turn) == heard and not late:
            return False
        self._seen[turn], self._asked_at[turn] = heard, now
        return True

    def _forget_turns(self, org: str) -> None:
        """Have a node that told only a part of it asked for all of it."""
        for name in DOMAINS:
            self._asked_at.pop((org, name), None)

    async def _ask_members(self, org: str, told: NodeTold) -> NodeTold:
        call = self._live.call
        members = await call(org, LIST_FEDERATION, ListFederation())
        page = await call(
            org, LIST_ATTESTATIONS, ListAttestations(attestations_max=ATTESTATIONS_MAX)
        )
        forks = await call(org, LIST_FORKS, ListForks())
        steps = round((page.world_ms - self._live.now_ms()) / AHEAD_STEP_MS)
        return replace(
            told,
            members=members,
            attested=page.attestations,
            forks=forks.forks,
            ahead_ms=max(0, steps) * AHEAD_STEP_MS,
        )

    async def _ask_agreements(self, org: str, told: NodeTold) -> NodeTold:
        ask = ListAgreements(agreements_max=AGREEMENTS_MAX)
        page = await self._live.call(org, LIST_AGREEMENTS, ask)
        for view in page.agreements:
            await self._ask_file(org, view)
        # What time it is there is another one at each answer, and no news.
        views = tuple(each.model_copy(update={"world_ms": 0}) for each in page.agreements)
        held = {each.agreement: self._held[org, each.agreement] for each in page.agreements}
        for gone in [key for key in self._held if key[0] == org and key[1] not in held]:
            del self._held[gone]
        return replace(
            told,
            agreements=views,
            files={name: one.file for name, one in held.items()},
            unlike=frozenset(name for name, one in held.items() if one.unlike > 1),
            more_agreements=bool(page.next_before),
        )

    async def _ask_file(self, org: str, view: AgreementView) -> None:
        """Have the file of an agreement, unless the node says that it is the one it handed over."""
        key = (org, view.agreement)
        held = self._held.get(key)
        if held is not None and held.claimed == view.file_hash == held.file.hash:
            return
        ask = ReadAgreementFile(agreement=view.agreement)
        answer = await self._live.call(org, READ_AGREEMENT_FILE, ask)
        file = await asyncio.to_thread(
            self._examiner.examine, answer.file, genesis=self._live.source.genesis
        )
        # It may have got another signature in between; a node that lies tells so again and again.
        again = held is not None and held.claimed == view.file_hash
        unlike = 0 if file.hash == view.file_hash else 1 + (held.unlike if held and again else 0)
        self._held[key] = _Held(claimed=view.file_hash, file=file, unlike=unlike)

    async def _ask_clearing(self, org: str, told: NodeTold) -> NodeTold:
        call = self._live.call
        positions = await call(org, LIST_POSITIONS, ListPositions())
        page = await call(org, LIST_EXCHANGES, ListExchanges(exchanges_max=EXCHANGES_MAX))
        return replace(
            told,
            positions=positions.positions,
            exchanges=page.exchanges,
            more_exchanges=bool(page.next_before),
        )


def places_of(live: Live) -> Places:
    """Return who is where in a network that is followed."""
    genesis, homes = live.source.genesis, homes_of(live)
    nodes = genesis.genesis.nodes
    titles = {node.org: node.title for node in nodes}
    return Places(
        homes={home.coop: home.org for home in homes},
        titles={home.coop: home.title for home in homes} | titles,
        orgs={node.did: node.org for node in nodes},
    )
