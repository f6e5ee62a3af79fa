"""How links do: looked at once a second, told when one turns bad or good again, and counted.

The transport counts; the rules judge. Figures for scrapes add up over connections, so that they
only grow although connections come and go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from nodeimpl.kernel.clock import Clock
from nodeimpl.network.rules import LinkLimits, LinkSeen, LinkState, judge_link
from opkit.wire.base import Did, Slug
from opkit.wire.errors import CoopError
from opkit.wire.events import Event
from opkit.wire.network import LinkRecovered, LinkWorsened, PeerLink

HEARD_MAX = 1_024
"""Of how many peers whose link is gone it is remembered when it was seen last."""

OTHERS = "other"
"""Whose links are counted together: peers of no organisation that the genesis names."""

_log = structlog.get_logger("network")


class Links(Protocol):
    """What this domain asks of the peer-to-peer layer."""

    def links(self) -> tuple[PeerLink, ...]:
        """Return the connected peers with the transport's figures."""
        ...


@dataclass(slots=True)
class _Sums:
    """What went over all links to one organisation since the node started."""

    sent_bytes: int = 0
    received_bytes: int = 0
    sent_packets: int = 0
    lost_packets: int = 0

    def add(self, before: PeerLink | None, now: PeerLink) -> None:
        """Count what a connection carried since it was looked at last."""
        for name in self.__slots__:
            said = getattr(now, name) - (0 if before is None else getattr(before, name))
            setattr(self, name, getattr(self, name) + max(0, said))


class LinkWatch:
    """Watches the links of one node. Satisfies `Links`, with how each link does."""

    def __init__(
        self,
        links: Links,
        *,
        orgs: Mapping[Did, Slug],
        clock: Clock,
        announce: Callable[[Event], Awaitable[None]],
        limits: LinkLimits | None = None,
    ) -> None:
        """Know nothing yet.

        Args:
            links: whose figures are read.
            orgs: the organisations of the network's nodes, whose links have figures of their own.
            announce: journals that a link turned bad or good.
        """
        self._links = links
        self._clock = clock
        self._announce = announce
        self._limits = limits = limits or LinkLimits()
        self._orgs = dict(list(orgs.items())[: limits.named_max])
        self._states: dict[tuple[Did, int], LinkState] = {}
        self._seen: dict[tuple[Did, int], PeerLink] = {}
        self._sums: dict[str, _Sums] = {OTHERS: _Sums()}
        self._told_ms: deque[int] = deque()
        self._heard: dict[Did, int] = {}

    async def run(self) -> None:
        """Look at all links once a second, until cancelled."""
        while True:
            await self._clock.sleep(self._limits.pulse_ms)
            for event in self.look():
                await self._tell(event)

    def look(self) -> list[LinkWorsened | LinkRecovered]:
        """Look at all links now, and return which of them turned bad or good again."""
        at_ms = self._clock.now_ms()
        states: dict[tuple[Did, int], LinkState] = {}
        seen: dict[tuple[Did, int], PeerLink] = {}
        turned: list[LinkWorsened | LinkRecovered] = []
        for link in self._links.links():
            key = link.did, link.since_ms
            before = self._states.get(key)
            states[key] = now = judge_link(before, _seen(link, at_ms), self._limits)
            seen[key] = link
            self._sums.setdefault(self._name(link), _Sums()).add(self._seen.get(key), link)
            if before is not None and (before.amiss is None) != (now.amiss is None):
                turned.append(_turned(link, before, now, at_ms=at_ms))
        for did, _ in self._seen.keys() - seen.keys():
            self._note_gone(did, at_ms)
        self._states, self._seen = states, seen
        return turned

    def heard_ms(self, did: Did) -> int | None:
        """Return when the last link to a peer went, if there was one since the node started."""
        return self._heard.get(did)

    def links(self) -> tuple[PeerLink, ...]:
        """Return the connected peers with the transport's figures and how their links do."""
        return tuple(self._with_state(link) for link in self._links.links())

    def metrics(self) -> Iterable[Metric]:
        """Return what a scrape shows: of each organisation the worst of its links."""
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterable[Metric]:
        label = ("org",)
        slow = GaugeMetricFamily("opkit_link_round_trip_seconds", "Round trips.", labels=label)
        lost = GaugeMetricFamily("opkit_link_lost_ratio", "Packets lost lately.", labels=label)
        bad = GaugeMetricFamily("opkit_links_bad", "Links that do badly.", labels=label)
        found: dict[str, list[tuple[PeerLink, LinkState]]] = {OTHERS: []}
        for key, link in self._seen.items():
            found.setdefault(self._name(link), []).append((link, self._states[key]))
        for org, links in found.items():
            trips = [link.round_trip_us / 1_000_000 for link, _ in links]
            slow.add_metric((org,), max(trips, default=0))
            lost.add_metric((org,), max((one.lost_permille for _, one in links), default=0) / 1_000)
            bad.add_metric((org,), sum(one.amiss is not None for _, one in links))
        return slow, lost, bad

    def _counters(self) -> Iterable[Metric]:
        families = {
            name: CounterMetricFamily(f"opkit_link_{name}", help_text, labels=("org",))
            for name, help_text in (
                ("sent_bytes", "Bytes sent over links."),
                ("received_bytes", "Bytes received over links."),
                ("sent_packets", "Packets sent over links."),
                ("lost_packets", "Those of them that were lost."),
            )
        }
        for org, sums in self._sums.items():
            for name, family in families.items():
                family.add_metric((org,), getattr(sums, name))
        return families.values()

    def _note_gone(self, did: Did, at_ms: int) -> None:
        """Remember that a link is gone; who went longest ago is forgotten first."""
        self._heard.pop(did, None)
        if len(self._heard) >= HEARD_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[did] = at_ms

    def _name(self, link: PeerLink) -> str:
        """Return under whose name a link is counted: never under one that a peer gives itself."""
        return self._orgs.get(link.did, OTHERS)

    def _with_state(self, link: PeerLink) -> PeerLink:
        state = self._states.get((link.did, link.since_ms))
        if state is None:
            return link
        return link.model_copy(update={"lost_permille": state.lost_permille, "amiss": state.amiss})

    async def _tell(self, event: LinkWorsened | LinkRecovered) -> None:
        """Journal a change, unless links change so often that nobody could read it."""
        now_ms, limits = self._clock.now_ms(), self._limits
        while self._told_ms and not 0 <= now_ms - self._told_ms[0] < limits.told_ms:
            self._told_ms.popleft()
        if len(self._told_ms) >= limits.told_max:
            _log.warning("links change too often to be told", peer=event.peer, told=event.type)
            return
        self._told_ms.append(now_ms)
        try:
            await self._announce(event)
        except CoopError as no:
            _log.error("an event is not journalled", event_type=event.type, why=str(no))


def _seen(link: PeerLink, at_ms: int) -> LinkSeen:
    return LinkSeen(
        at_ms=at_ms,
        round_trip_us=link.round_trip_us,
        sent_packets=link.sent_packets,
        lost_packets=link.lost_packets,
    )


def _turned(
    link: PeerLink, before: LinkState, now: LinkState, *, at_ms: int
) -> LinkWorsened | LinkRecovered:
    """Return the event that says how a link changed."""
    if now.amiss is None:
        return LinkRecovered(
            peer=link.did,
            org=link.org,
            bad_ms=max(0, at_ms - before.amiss_ms),
            lost_permille=now.lost_permille,
            round_trip_us=link.round_trip_us,
        )
    return LinkWorsened(
        peer=link.did,
        org=link.org,
        amiss=now.amiss,
        lost_permille=now.lost_permille,
        round_trip_us=link.round_trip_us,
        best_round_trip_us=now.best_us,
    )
