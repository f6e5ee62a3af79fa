"""Who is a member now, on every node: links of chains are handed on, and folded where they come.

A link is the operator's word, so it is folded whoever hands it on. Once a minute a home says how
its coop's chains stand. That is compared with what is held here; without an agreeing word for too
long, tokens of that coop's members are not taken here. Source: ADR 0038.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

import structlog

from nodeimpl.kernel.binding import Caller, Route, answer
from nodeimpl.kernel.metrics import Figure
from nodeimpl.kernel.store import StoreFailed
from nodeimpl.membership.chains import Chains, Chosen
from nodeimpl.membership.homes import Homes
from nodeimpl.membership.routes import routes as membership_routes
from nodeimpl.membership.service import Membership
from nodeimpl.outside import Outside, next_record
from nodeimpl.overlay.namespaces import RULES
from nodeimpl.p2p.deadline import set_or_passed
from opkit.proof import jws
from opkit.proof.standing import choose_links, link_name
from opkit.wire import standing as wire
from opkit.wire.base import Jws, MemberId, Slug, TimeMs, Wire
from opkit.wire.errors import CoopError, Refusal
from opkit.wire.events import Event
from opkit.wire.records import Carried, Namespace, RecordBody, RecordName

SAY_MS = 60_000
"""How often a home says how its coop's members stand."""

SAY_MS_MIN = 500
"""How soon it says so again, if something changed."""

SWEEP_MS = 600_000
"""How often it is looked whether each link stands in some node's record."""

FOLD_MAX = 64
"""How many chains are folded in one transaction."""

PUBLISH_MAX = 64
"""How many links are handed on in a row before others have their turn."""

BUSY_MS = 1_000
"""How long until the store is tried again that took nothing."""

V = TypeVar("V", bound=Wire)

_log = structlog.get_logger("membership")


def join_standing(membership: Membership, outside: Outside, *, visitors: bool) -> Standings:
    """Return a node's part in who is a member; it runs with `outside`.

    Args:
        visitors: whether members of other coops may log in.
    """
    homes = Homes(
        node=membership.identity.did,
        genesis=membership.genesis,
        started_ms=membership.clock.now_ms(),
    )
    standings = Standings(membership, homes=homes, outside=outside)
    membership.believe(homes, visitors=visitors)
    membership.on_changed(standings.changed)
    for name in outside.overlay.shelf.names("member"):
        standings.heard("member", name)
    for name in outside.overlay.shelf.names("standing"):
        standings.heard("standing", name)
    outside.overlay.shelf.on_kept.append(lambda kept: standings.heard(kept.namespace, kept.name))
    outside.run_too(standings.run)
    return standings


class Standings:
    """Hands on, folds, says and compares.

    Attributes:
        counts: how often what happened.
    """

    def __init__(self, membership: Membership, *, homes: Homes, outside: Outside) -> None:
        """Use `join_standing`."""
        self.counts: Counter[str] = Counter()
        self._identity = membership.identity
        self._genesis = membership.genesis
        self._homes = homes
        self._chains = Chains(membership)
        self._membership = membership
        self._outside = outside
        self._shelf = outside.overlay.shelf
        self._store = membership.store
        self._clock = membership.clock
        self._wake = asyncio.Event()
        self._unfolded: dict[MemberId, None] = {}
        self._unpublished: dict[MemberId, None] = {}
        self._held: dict[Slug, wire.StandingValue] = {}
        self._changes = 0
        self._compared: set[Slug] = set()
        self._said: dict[Slug, tuple[TimeMs, wire.StandingValue]] = {}
        self._doubted: set[Slug] = set()
        self._swept_ms: TimeMs | None = None

    # What is noticed.

    def heard(self, namespace: Namespace, name: RecordName) -> None:
        """Learn that a record is here that was not before."""
        if namespace == "member":
            self._unfolded[name.rpartition("/")[0]] = None
        elif namespace == "standing":
            self._compared.discard(name)
        else:
            return
        self._wake.set()

    def changed(self, member_id: MemberId) -> None:
        """Learn that a member's chain is another one here."""
        coop = member_id.partition("/")[0]
        self._changes += 1
        self._held.pop(coop, None)
        self._compared.discard(coop)
        self._unpublished[member_id] = None
        self._wake.set()

    # What runs by itself.

    async def run(self) -> None:
        """Do what is due, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        while True:
            self._wake.clear()
            wait_ms = 0
            try:
                await self._sweep()
                await self._publish()
                await self._fold()
                await self._say()
                await self._compare()
                await self._watch()
                wait_ms = self._wait_ms()
            except StoreFailed:
                raise
            except CoopError as busy:
                _log.warning("who is a member is not looked at now", why=str(busy))
                wait_ms = BUSY_MS
            if wait_ms:
                await set_or_passed(self._wake, clock=self._clock, ms=wait_ms)

    def _wait_ms(self) -> int:
        """Return how long there is nothing to do."""
        if self._unfolded or self._unpublished:
            return 0
        now_ms = self._clock.now_ms()
        due = [self._say_at(coop, self._held.get(coop)) for coop in self._homes.own]
        due += [
            self._homes.good_until_ms(coop)
            for coop in self._homes.others
            if coop not in self._doubted
        ]
        due.append((self._swept_ms or 0) + SWEEP_MS)
        return max(1, min(due) - now_ms)

    async def _sweep(self) -> None:
        """Find links that stand in no node's record, or in this node's alone and not for long."""
        now_ms = self._clock.now_ms()
        if self._swept_ms is not None and now_ms < self._swept_ms + SWEEP_MS:
            return
        self._swept_ms = now_ms
        at: tuple[str, int] = ("", 0)
        while found := await self._chains.after(*at, count_max=1_024):
            for member_id, sequence, _ in found:
                if self._lacks(link_name(member_id, sequence), now_ms):
                    self._unpublished[member_id] = None
            at = found[-1][:2]

    def _lacks(self, name: RecordName, now_ms: TimeMs) -> bool:
        """Return whether nobody hands a link on, or this node alone and not for long any more."""
        standing = self._shelf.get("member", name)
        if not standing:
            return True
        own = self._shelf.standing("member", name, self._identity.did)
        if own is None:
            return False
        half_ms = RULES["member"].term_ms_max // 2
        return self._shelf.read(own).body.lapses_at_ms < now_ms + half_ms

    async def _publish(self) -> None:
        """Hand on what nobody does."""
        members = _some(self._unpublished, PUBLISH_MAX)
        if not members:
            return
        now_ms = self._clock.now_ms()
        for member_id, chain in (await self._chains.of(members)).items():
            del self._unpublished[member_id]
            for sequence, token in enumerate(chain, 1):
                name = link_name(member_id, sequence)
                # What was recorded before there was a limit may be longer, and stays here.
                if len(token) <= wire.LINK_CHARACTERS_MAX and self._lacks(name, now_ms):
                    self._tell("member", name, wire.MemberValue(record=token), now_ms)

    async def _fold(self) -> None:
        """Let stand here what others hand on."""
        members = _some(self._unfolded, FOLD_MAX)
        if not members:
            return
        chosen: dict[MemberId, Chosen] = {}
        for member_id, chain in (await self._chains.of(members)).items():
            del self._unfolded[member_id]
            one = self._choose(member_id, chain)
            if one is not None:
                chosen[member_id] = one
        if chosen:
            again = await self._chains.let_stand(chosen)
            self._unfolded |= dict.fromkeys(again)
            self.counts["folded"] += len(chosen) - len(again)

    def _choose(self, member_id: MemberId, before: tuple[Jws, ...]) -> Chosen | None:
        """Return the chain that is to stand of all that is known; None if it stands already."""
        known = {sequence: {token} for sequence, token in enumerate(before, 1)}
        for sequence in range(1, self._membership.limits.records_per_member_max + 1):
            heard = self._links(link_name(member_id, sequence))
            if not heard and sequence not in known:
                break
            known.setdefault(sequence, set()).update(heard)
        chain, member = choose_links(member_id, genesis=self._genesis, known=known)
        if member is None or chain == before:
            return None
        return Chosen(before=before, chain=chain, member=member)

    def _links(self, name: RecordName) -> set[Jws]:
        values = (_value(each, wire.MemberValue) for each in self._shelf.get("member", name))
        return {value.record for value in values if value is not None}

    async def _say(self) -> None:
        """Say how the members of this node's coops stand, if it is time to."""
        for coop in self._homes.own:
            now_ms, held = self._clock.now_ms(), await self._holds(coop)
            if now_ms >= self._say_at(coop, held):
                self._tell("standing", coop, held, now_ms)
                self._said[coop] = (now_ms, held)

    def _say_at(self, coop: Slug, held: wire.StandingValue | None) -> TimeMs:
        """Return when it is time to say how a coop's members stand."""
        said_ms, said = self._said.get(coop, (0, None))
        return said_ms + (SAY_MS if said == held else SAY_MS_MIN)

    async def _compare(self) -> None:
        """Compare what homes said with what is held here."""
        for coop in sorted(self._homes.others.keys() - self._compared):
            self._compared.add(coop)
            carried = self._shelf.standing("standing", coop, self._homes.others[coop])
            said = None if carried is None else _value(carried, wire.StandingValue)
            if carried is None or said is None or said != await self._holds(coop):
                continue
            issued_at_ms = self._shelf.read(carried).body.issued_at_ms
            self._homes.agree(coop, min(issued_at_ms, self._clock.now_ms()))

    async def _watch(self) -> None:
        """Notice whose home was not heard for too long, and whose is heard again."""
        now_ms = self._clock.now_ms()
        for coop, home in self._homes.others.items():
            stale, agreed_at_ms = self._is_stale(coop, now_ms), self._homes.agreed_at_ms(coop)
            if stale and coop not in self._doubted:
                self._doubted.add(coop)
                self._membership.doubt(coop)
                _log.warning("the home of a coop is not heard", coop=coop, home=home)
                await self._announce(
                    wire.HomeUnheard(coop=coop, home=home, agreed_at_ms=agreed_at_ms)
                )
            elif not stale and coop in self._doubted:
                self._doubted.discard(coop)
                _log.info("the home of a coop is heard again", coop=coop, home=home)
                await self._announce(wire.HomeHeard(coop=coop, home=home))

    def _is_stale(self, coop: Slug, now_ms: TimeMs) -> bool:
        return now_ms >= self._homes.good_until_ms(coop)

    # What it shows.

    def routes(self) -> list[Route]:
        """Return membership's endpoints, and the one that tells how this node stands with homes."""
        return [*membership_routes(self._membership), answer(wire.STANDING, self._show)]

    async def _show(self, ask: wire.AskStanding, caller: Caller | None) -> wire.Standings:
        coops = sorted((*self._homes.own, *self._homes.others))[: wire.HOMES_SHOWN_MAX]
        return wire.Standings(homes=tuple([await self._shown(coop) for coop in coops]))

    async def _shown(self, coop: Slug) -> wire.HomeStanding:
        home = self._homes.others.get(coop)
        return wire.HomeStanding(
            coop=coop,
            home=home or self._identity.did,
            members=(await self._holds(coop)).members,
            agreed_at_ms=self._homes.agreed_at_ms(coop),
            good_until_ms=None if home is None else self._homes.good_until_ms(coop),
        )

    def figures(self) -> tuple[Figure, ...]:
        """Return what a scrape shows."""
        return (
            ("homes_elsewhere", "Coops whose home is another node.", len(self._homes.others)),
            ("homes_unheard", "Those not heard for too long.", len(self._doubted)),
            ("member_chains_folded", "Chains taken from others.", self.counts["folded"]),
        )

    async def _holds(self, coop: Slug) -> wire.StandingValue:
        """Return how a coop's members stand here."""
        known = self._held.get(coop)
        if known is not None:
            return known
        changes = self._changes
        found = await self._chains.standing_of(coop)
        if changes == self._changes:
            self._held[coop] = found
        return found

    async def _announce(self, event: Event) -> None:
        await self._store.write(lambda tx: tx.announce(event))

    def _tell(self, namespace: Namespace, name: RecordName, value: Wire, now_ms: TimeMs) -> None:
        """Say something to everybody; what finds no room here is said to nobody."""
        said = next_record(
            self._identity,
            network=self._genesis.network,
            shelf=self._shelf,
            namespace=namespace,
            name=name,
            value=value.model_dump(mode="json"),
            now_ms=now_ms,
        )
        try:
            self._shelf.offer(said, now_ms)
        except Refusal as no:
            self.counts["refused"] += 1
            _log.warning("what is said of members finds no room", name=name, why=str(no))
        self._outside.driver.touch()


def _value(carried: Carried, kind: type[V]) -> V | None:
    """Return what a record says that was verified when it was kept; None for a tombstone."""
    body = RecordBody.model_validate(jws.peek(carried.jws).payload)
    return None if body.value is None else kind.model_validate(body.value, strict=False)


def _some(waiting: Iterable[MemberId], count_max: int) -> list[MemberId]:
    return list(islice(waiting, count_max))
