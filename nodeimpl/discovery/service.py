"""Finding services: what names say, joined with what their nodes say, told with every record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Protocol

from nodeimpl.discovery import rules
from nodeimpl.discovery.index import Index, Shelf
from nodeimpl.discovery.rules import Heard, Limits, Match, Named
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from opkit.proof import jws
from opkit.wire.base import Did, Jws, TimeMs
from opkit.wire.cards import ResolvedCard
from opkit.wire.errors import Busy, Refusal
from opkit.wire.network import PeerLink
from opkit.wire.services import FindServices, FoundService, ServiceHealth, ServicePage


class Cards(Protocol):
    """What this domain asks about agent cards."""

    async def resolve(self, did: Did) -> ResolvedCard:
        """Return the card of an agent, wherever it is kept; refuses if none is found."""


class Links(Protocol):
    """What this domain asks about the node's connections."""

    def links(self) -> tuple[PeerLink, ...]:
        """Return the connected peers with the transport's figures."""

    def heard_ms(self, did: Did) -> TimeMs | None:
        """Return when the last link to a peer went; None if there was none since the start."""


class Discovery:
    """Answers members which services there are."""

    def __init__(
        self,
        *,
        own: Did,
        shelf: Shelf,
        cards: Cards,
        links: Links,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        """Know no name yet: whoever keeps records says which have changed (`index.changed`).

        Args:
            own: the node's key.
            shelf: what is kept of records here.
        """
        self.index = Index(shelf)
        self._own = own
        self._shelf = shelf
        self._cards = cards
        self._links = links
        self._clock = clock
        self._limits = limits or Limits()
        self._cardless: dict[Did, TimeMs] = {}

    async def find(self, ask: FindServices, caller: Caller | None) -> ServicePage:
        """Find services. Each is told with the records that prove it."""
        await self.index.refresh()
        now_ms = self._clock.now_ms()
        healths = _Healths(own=self._own, links=self._links, shelf=self._shelf, now_ms=now_ms)
        matches, unsure = self._matches(ask, now_ms)
        found = await self._resolve(_nodes(unsure)[: self._limits.cards_asked_max])
        matches += [match for match in unsure if _can_by_card(match, ask, found)]
        told, next_after = rules.page(
            matches, healths=healths.of, after=ask.after, services_max=ask.services_max
        )
        found |= await self._resolve([did for did in _nodes(told) if did not in found])
        services = (self._tell(match, healths, found) for match in told)
        return ServicePage(
            services=tuple(one for one in services if one is not None), next_after=next_after
        )

    def _matches(self, ask: FindServices, now_ms: TimeMs) -> tuple[list[Match], list[Match]]:
        """Return what fits by names alone, and what does if its node's card says so."""
        sure: list[Match] = []
        unsure: list[Match] = []
        for match in self._reached(ask, now_ms):
            (sure if rules.can(match.service, ask) else unsure).append(match)
        return sure, unsure

    def _reached(self, ask: FindServices, now_ms: TimeMs) -> Iterator[Match]:
        """Return the services of the type and the region, also those to which an alias leads."""
        lead = partial(rules.follow, look_up=self.index.get, now_ms=now_ms)
        ways = (lead(named) for named in _both(self.index, ask))
        return (way for way in ways if way is not None and rules.fits(way.service, ask))

    async def _resolve(self, nodes: list[Did]) -> dict[Did, ResolvedCard]:
        """Return the cards of nodes that have one which is found in time."""
        now_ms, limits = self._clock.now_ms(), self._limits
        wanted = [did for did in nodes if self._cardless.get(did, 0) <= now_ms]
        found: dict[Did, ResolvedCard] = {}
        free = asyncio.Semaphore(limits.cards_at_once)

        async def resolve(did: Did) -> None:
            async with free:
                try:
                    found[did] = await self._cards.resolve(did)
                except Refusal as no:
                    if not isinstance(no, Busy):
                        self._note_cardless(did, until_ms=now_ms + limits.cardless_ms)

        try:
            async with asyncio.timeout(limits.cards_ms / 1000), asyncio.TaskGroup() as tasks:
                for did in wanted:
                    tasks.create_task(resolve(did))
        except TimeoutError:
            # Services are told without the cards that nobody gave in time.
            return found
        return found

    def _note_cardless(self, did: Did, *, until_ms: TimeMs) -> None:
        """Have a node without a card asked for again only later: each answer would wait for it."""
        self._cardless.pop(did, None)
        if len(self._cardless) >= self._limits.cardless_max:
            del self._cardless[next(iter(self._cardless))]
        self._cardless[did] = until_ms

    def _tell(
        self, match: Match, healths: _Healths, cards: dict[Did, ResolvedCard]
    ) -> FoundService | None:
        """Return a service with its records; None if one of its names changed meanwhile."""
        records = [self._record(named) for named in match.way]
        if None in records:
            return None
        *aliases, name_record = (record for record in records if record is not None)
        service = match.service
        node = self._shelf.standing("node", service.node, service.node)
        card = cards.get(service.node)
        return FoundService(
            name=match.name,
            aliases=tuple(aliases),
            name_record=name_record,
            node_record=None if node is None or _is_tombstone(node.jws) else node.jws,
            card_record=None if card is None else card.record.jws,
            card=None if card is None or _has_card(card.record.jws) else card.card,
            health=healths.of(service.node),
        )

    def _record(self, named: Named) -> Jws | None:
        carried = self._shelf.standing("name", named.name, named.home)
        return None if carried is None else carried.jws


class _Healths:
    """How nodes do at one moment, each looked at once."""

    def __init__(self, *, own: Did, links: Links, shelf: Shelf, now_ms: TimeMs) -> None:
        self._own = own
        self._links = links
        self._shelf = shelf
        self._now_ms = now_ms
        self._linked = {link.did: link.round_trip_us for link in links.links()}
        self._told: dict[Did, ServiceHealth] = {}

    def of(self, node: Did) -> ServiceHealth:
        """Return how a node does."""
        if node not in self._told:
            self._told[node] = rules.health(self._heard(node), now_ms=self._now_ms)
        return self._told[node]

    def _heard(self, node: Did) -> Heard:
        own = self._shelf.standing("node", node, node)
        signed_ms = None if own is None else int(jws.peek(own.jws).payload["issued_at_ms"])
        return Heard(
            here=node == self._own,
            round_trip_us=self._linked.get(node),
            lost_ms=self._links.heard_ms(node),
            signed_ms=signed_ms,
        )


def _both(index: Index, ask: FindServices) -> Iterator[Named]:
    yield from index.services(ask.type)
    yield from index.aliases()


def _nodes(matches: Iterable[Match]) -> list[Did]:
    """Return the nodes of services, each once."""
    return list(dict.fromkeys(match.service.node for match in matches))


def _can_by_card(match: Match, ask: FindServices, cards: dict[Did, ResolvedCard]) -> bool:
    """Return whether the card of a service's node says that it can what is asked for."""
    card = cards.get(match.service.node)
    return card is not None and ask.capability in skills_of(card)


def skills_of(card: ResolvedCard) -> set[str]:
    """Return the ids and tags of the skills on a card, which was verified when it was resolved."""
    skills = card.card.get("skills", [])
    return {word for skill in skills for word in (skill["id"], *skill.get("tags", []))}


def _is_tombstone(record: Jws) -> bool:
    return jws.peek(record).payload["value"] is None


def _has_card(record: Jws) -> bool:
    """Return whether a card stands in its record, so that it need not come beside it."""
    value = jws.peek(record).payload["value"]
    return value is not None and value["card"] is not None
