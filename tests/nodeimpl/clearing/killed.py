"""Coops at work with each other whose nodes are killed again and again, and what must be so then.

Three coops with an agreement between any two, each with a process of its own. Members of all
propose without end; a node, or several, are killed in the middle of it, and started again. Then it
is waited until nothing is in doubt, and all that any node ever said yes to is looked for.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations, count

from bench.at_work import at_work
from devnet.attach import AttachedWorld
from opkit.client import NodeClient
from opkit.client.auditing import audit_ledger
from opkit.client.clearing import ClearingCalls
from opkit.proof.circles import circle_of
from opkit.proof.clearing import changes_of, verify_exchange
from opkit.wire import clearing as wire
from opkit.wire.base import RecordId, Slug
from opkit.wire.clearing import Exchange, Leg
from opkit.wire.deciding import EffectExecuted
from opkit.wire.errors import Refusal, Unreachable
from opkit.wire.network import NODE, AskNode
from opkit.wire.terms import ClearingTerms, Terms
from opkit.wire.votes import AccountChange, ConfigurationEffect

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
LAKES = "fingerlakes-cdn"
COOPS = (BRIGHT, LAKES, RIVER)
PAIRS = tuple(combinations(COOPS, 2))
UNIT = "commons-credits"
VOTES = 4
TTL_MS = 600_000
"""Longer than any test: whoever was killed comes back in time, and nothing is aborted for it."""
MOST = 100_000
ACKNOWLEDGED_MAX = 12
MOMENT_S = 0.15
"""A kill comes at most so long after settling or netting began: before, in, or after it."""
PAUSE_S = 0.05
WITHIN_S = 240


class Lost(AssertionError):
    """Something that was acknowledged is not there as it was, or happened twice."""


def people(world: AttachedWorld, coop: Slug) -> list[str]:
    """Return a coop's members; the first is an officer."""
    charter = world.genesis.charter(coop)
    assert charter is not None, f"{coop} has a charter"
    return [founder.member_id for founder in charter.founders]


def officer(world: AttachedWorld, coop: Slug) -> NodeClient:
    """Return an officer's client at their coop's home node."""
    return world.client(coop, people(world, coop)[0])


async def terms_of(world: AttachedWorld, parties: tuple[Slug, ...], title: str) -> Terms:
    """Return terms that parties may adopt."""
    now = await world.client(parties[0], None).call(NODE, AskNode())
    return Terms(
        network=world.genesis.network,
        parties=parties,
        facilitator=HARBOR,
        arbiter=HARBOR,
        title=title,
        text="",
        starts_ms=now.world_ms,
        term_days=365,
        renewable=True,
        notice_days=30,
        clearing=ClearingTerms(unit=UNIT, imbalance_max=MOST, settled="monthly"),
    )


async def decided(world: AttachedWorld, every: Iterable[Terms]) -> list[dict[Slug, str]]:
    """Have the parties of each terms vote for them; return their proposals, to be executed."""
    found: list[dict[Slug, str]] = []
    for terms in every:
        proposals = {}
        for coop in terms.parties:
            view = await officer(world, coop).agreements.propose(coop, terms)
            proposals[coop] = view.proposal_id
            for who in people(world, coop)[:VOTES]:
                await world.client(coop, who).governance(coop).vote(view.proposal_id, "yes")
        found.append(proposals)
    await world.pass_time(days=7)
    for proposals in found:
        for coop, proposal in proposals.items():
            await officer(world, coop).governance(coop).close(proposal)
    await world.pass_time(days=1)
    return found


async def sign(world: AttachedWorld, coop: Slug, proposal: str) -> RecordId:
    """Have a coop sign what it decided, unless it did before; return the agreement's id."""
    assembly = officer(world, coop).governance(coop)
    with suppress(EffectExecuted):
        await assembly.execute(proposal)
    view = await assembly.get(proposal)
    assert view.state == "executed", view.state
    for name in [each.agreement async for each in officer(world, coop).agreements.list()]:
        shown = await officer(world, coop).agreements.get(name)
        cited = {each.coop: each.decision for each in shown.signatures}
        if cited.get(coop) == view.decision:
            return name
    raise Lost(f"{coop} executed {proposal}, and no agreement has its signature")


async def until_active(world: AttachedWorld, org: Slug, agreement: RecordId) -> None:
    """Return once a node says that an agreement is in force."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(Refusal):
                await officer(world, org).agreements.use(agreement)
                return
            await asyncio.sleep(PAUSE_S)


class Killing:
    """Coops at work, and whoever kills their nodes.

    Attributes:
        agreements: by the two that made each.
        told: the last that a proposer's node said of an exchange.
        asked: what was proposed, acknowledged or not.
        settled: the periods of which a node said that they were settled.
    """

    def __init__(self, world: AttachedWorld, *, seed: int = 7) -> None:
        """Prepare; nothing is agreed yet."""
        self.world = world
        self.agreements: dict[tuple[Slug, Slug], RecordId] = {}
        self.told: dict[tuple[Slug, str], Exchange] = {}
        self.asked: set[tuple[Slug, str]] = set()
        self.settled: dict[tuple[RecordId, str], RecordId] = {}
        self._chance = random.Random(seed)
        self._numbers = count(1)

    async def agree(self) -> None:
        """Have any two of them vote for an agreement, and sign it; each may owe the others."""
        floors = {coop: await self._propose_floors(coop) for coop in COOPS}
        terms = [await terms_of(self.world, pair, f"Between {pair}") for pair in PAIRS]
        for pair, proposals in zip(PAIRS, await decided(self.world, terms), strict=True):
            for coop, proposal in proposals.items():
                self.agreements[pair] = await sign(self.world, coop, proposal)
        for coop, proposal in floors.items():
            await officer(self.world, coop).governance(coop).close(proposal)
        await self.world.pass_time(days=1)
        for coop, proposal in floors.items():
            await officer(self.world, coop).governance(coop).execute(proposal)
        for pair, agreement in self.agreements.items():
            for coop in pair:
                await until_active(self.world, coop, agreement)

    async def _propose_floors(self, coop: Slug) -> str:
        """Have a coop vote on how much it may owe; return the proposal."""
        owing = [f"due/{other}" for other in COOPS if other != coop]
        changes = tuple(
            AccountChange(account=f"{coop}:{each}", unit=UNIT, floor=-MOST)
            for each in ("equity/exchanges", *owing)
        )
        effect = ConfigurationEffect(accounts=changes)
        await officer(self.world, coop).governance(coop).propose("floors", effect, title="Floors")
        for who in people(self.world, coop)[:VOTES]:
            await self.world.client(coop, who).governance(coop).vote("floors", "yes")
        return "floors"

    def calls(self, coop: Slug) -> ClearingCalls:
        """Return an officer's calls of clearing."""
        return officer(self.world, coop).clearing

    # What they do, and who is killed meanwhile.

    async def exchange(self, victims: Sequence[Slug]) -> None:
        """Have all propose to all until some nodes are gone; then start those again."""
        works = [self._go_on(by, pair) for pair in PAIRS for by in pair]
        async with at_work(works, acknowledged=lambda: len(self.told)) as until:
            await until(self._chance.randint(1, ACKNOWLEDGED_MAX))
            await self._kill(victims)
        await self._start(victims)

    async def settle(self, pair: tuple[Slug, Slug], period: str, victims: Sequence[Slug]) -> None:
        """Have who is owed settle twice at once, while nodes are killed; then again, and both."""
        await self.rest()
        owes, owed = pair
        await self._owe(owes, owed, pair, 50)
        twice = [self._settle(owed, pair, period) for _ in range(2)]
        await self._in_the_middle(twice, victims)
        for by in (owed, owes):
            # What was proposed may be under way yet; who owes is told how it ended.
            await self.rest()
            await self._settle(by, pair, period)
        if (self.agreements[pair], period) not in self.settled:
            raise Lost(f"{period} is settled by nobody")

    async def net(self, by: Slug, victims: Sequence[Slug], *, before: Sequence[Slug] = ()) -> None:
        """Have one net a circle of debts, in the middle of which nodes are killed.

        Args:
            before: those that are gone already when it begins.
        """
        await self.rest()
        legs = await self._circle()
        await self._kill(before)
        name = self._name(by)
        await self._in_the_middle([self._net(by, legs, name)], victims)
        await self._start(before)
        await self.rest()

    async def rest(self) -> None:
        """Return once no node has anything in doubt, or to tell."""
        async with asyncio.timeout(WITHIN_S):
            for coop in COOPS:
                while [each async for each in self.calls(coop).list(doubt=True)]:
                    await asyncio.sleep(PAUSE_S)
            for coop in COOPS:
                while any([each.untold async for each in self.calls(coop).list()]):
                    await asyncio.sleep(PAUSE_S)

    async def _in_the_middle(self, works: Iterable[object], victims: Sequence[Slug]) -> None:
        doing = [asyncio.ensure_future(each) for each in works]
        await asyncio.wait(doing, timeout=self._chance.uniform(0, MOMENT_S))
        await self._kill(victims)
        for end in await asyncio.gather(*doing, return_exceptions=True):
            if isinstance(end, BaseException) and not isinstance(end, Unreachable):
                raise end
        await self._start(victims)

    async def _kill(self, victims: Sequence[Slug]) -> None:
        await asyncio.gather(*(self.world.kill(org) for org in victims))

    async def _start(self, victims: Sequence[Slug]) -> None:
        await asyncio.gather(*(self.world.restart(org) for org in victims))

    async def _go_on(self, by: Slug, pair: tuple[Slug, Slug]) -> None:
        while True:
            await self.offer(by, pair, payer=pair[self._chance.randrange(2)])

    async def offer(self, by: Slug, pair: tuple[Slug, Slug], *, payer: Slug) -> None:
        """Have one of two propose that something passes, to the other or to them."""
        name = self._name(by)
        payee = pair[1 - pair.index(payer)]
        self.told[by, name] = await self.calls(by).offer(
            self.agreements[pair],
            payer=payer,
            payee=payee,
            amount=self._chance.randint(1, 9),
            exchange_id=name,
            ttl_ms=TTL_MS,
        )

    def _name(self, by: Slug) -> str:
        name = f"x{next(self._numbers)}"
        self.asked.add((by, name))
        return name

    async def _settle(self, by: Slug, pair: tuple[Slug, Slug], period: str) -> None:
        agreement = self.agreements[pair]
        try:
            said = await self.calls(by).settle(agreement, period, ttl_ms=TTL_MS)
        except wire.SettlementDone as done:
            self._note_settled(agreement, period, done.exchange)
        except wire.InDoubt:
            return  # It settles at the same time.
        else:
            self.told[by, said.exchange_id] = said
            if said.state == "committed":
                self._note_settled(agreement, period, said.hash)

    def _note_settled(self, agreement: RecordId, period: str, exchange: RecordId) -> None:
        if self.settled.setdefault((agreement, period), exchange) != exchange:
            raise Lost(f"{period} was settled twice")

    async def _circle(self) -> tuple[Leg, ...]:
        """Have three owe each other in a circle; return the legs that take most of it out."""
        for payer, payee in zip(COOPS, (*COOPS[1:], COOPS[0]), strict=True):
            await self._owe(payer, payee, (min(payer, payee), max(payer, payee)), 50)
        found = [each for coop in COOPS for each in await self.calls(coop).positions()]
        legs = circle_of(found, UNIT)
        if len(legs) < 3:
            raise Lost(f"debts go around, and are not seen to: {found}")
        return legs

    async def _owe(self, payer: Slug, payee: Slug, pair: tuple[Slug, Slug], amount: int) -> None:
        """Have one owe another so much, whatever that one owes it now, and both know it."""
        positions = await self.calls(payer).positions(agreement=self.agreements[pair])
        owed = max(0, positions[0].balance) if positions else 0
        name = self._name(payer)
        self.told[payer, name] = await self.calls(payer).offer(
            self.agreements[pair],
            payer=payer,
            payee=payee,
            amount=amount + owed,
            exchange_id=name,
            ttl_ms=TTL_MS,
        )
        # The other side is slow at times, and accepts what it is offered once more.
        await self.rest()

    async def _net(self, by: Slug, legs: tuple[Leg, ...], name: str) -> None:
        self.told[by, name] = await self.calls(by).net(legs, exchange_id=name, ttl_ms=TTL_MS)

    # What must be so.

    async def check(self) -> None:
        """Raise `Lost` unless all that was acknowledged stands, on all sides, once and whole."""
        await self.rest()
        sides = {coop: await self._sides(coop) for coop in COOPS}
        self._check_told(sides)
        self._check_equal(sides)
        for coop in COOPS:
            await self._check_books(coop, sides[coop])
            await self._check_journal(coop, sides[coop])
        await self._check_proofs(sides)

    async def _sides(self, coop: Slug) -> dict[RecordId, Exchange]:
        return {each.hash: each async for each in self.calls(coop).list()}

    def _check_told(self, sides: dict[Slug, dict[RecordId, Exchange]]) -> None:
        for (coop, name), said in self.told.items():
            now = sides[coop].get(said.hash)
            if now is None:
                raise Lost(f"{coop} acknowledged {name}, and has it no more")
            if said.state in ("committed", "aborted") and now.state != said.state:
                raise Lost(f"{name} was {said.state}, and is {now.state}")
        for coop, kept in sides.items():
            for each in kept.values():
                known = (each.proposer, each.exchange_id) in self.asked
                if not known and each.kind != "settlement":
                    raise Lost(f"{coop} has {each.exchange_id}, and nobody proposed it")

    @staticmethod
    def _check_equal(sides: dict[Slug, dict[RecordId, Exchange]]) -> None:
        for coop, kept in sides.items():
            for each in kept.values():
                parties = {one for leg in each.legs for one in (leg.payer, leg.payee)} - {coop}
                for other in parties:
                    theirs = sides[other].get(each.hash)
                    if theirs is None and each.state == "aborted":
                        continue  # It was never asked.
                    if theirs is None or theirs.state != each.state:
                        raise Lost(f"{each.exchange_id} is {each.state} at {coop} alone")

    async def _check_books(self, coop: Slug, kept: dict[RecordId, Exchange]) -> None:
        """Raise `Lost` unless ledger and positions have each exchange once, and nothing else."""
        client = officer(self.world, coop)
        done = [each for each in kept.values() if each.state == "committed"]
        posted: Counter[str] = Counter()
        async for entry in client.ledger(coop).history():
            if entry.cause is not None and entry.cause.kind in ("exchange", "ruling"):
                posted[entry.cause.id] += 1
        if posted != Counter(each.hash for each in done):
            raise Lost(f"the ledger of {coop} has other exchanges than were committed")
        audited = await audit_ledger(client, coop, genesis=self.world.genesis)
        if not audited.verdict.ok:
            raise Lost(f"the audit of {coop}: {audited.verdict.failures[0]}")
        wanted: Counter[tuple[Slug, RecordId]] = Counter()
        for each in done:
            wanted.update(changes_of(each.legs, coop))
        for at in await client.clearing.positions():
            if (at.balance, at.doubt_in, at.doubt_out) != (wanted[at.other, at.agreement], 0, 0):
                raise Lost(f"the position of {coop} with {at.other} is {at}")

    async def _check_journal(self, coop: Slug, kept: dict[RecordId, Exchange]) -> None:
        """Raise `Lost` unless each exchange was announced as often as it happened: once."""
        said: Counter[str] = Counter()
        async for page in self.world.operator(coop).journal():
            for event in page.entries:
                if event.type == wire.ExchangeCommitted.type:
                    said[event.body["exchange"]] += 1
        if said != Counter(each.hash for each in kept.values() if each.state == "committed"):
            raise Lost(f"{coop} announced other exchanges than it committed, or one twice")

    async def _check_proofs(self, sides: dict[Slug, dict[RecordId, Exchange]]) -> None:
        """Raise `Lost` unless what was acknowledged last verifies, with both sides' entries."""
        for (coop, name), said in list(self.told.items())[-20:]:
            shown = await self.calls(coop).get(said.hash)
            entries = []
            for other, kept in sides.items():
                side = kept.get(said.hash)
                if side is not None and side.entry is not None:
                    ledger = officer(self.world, other).ledger(other)
                    entries.append(await ledger.entry(side.entry))
            verdict = verify_exchange(
                shown.evidence,
                genesis=self.world.genesis,
                agreements=[
                    await officer(self.world, leg.payer).agreements.file(leg.agreement)
                    for leg in shown.exchange.legs
                ],
                entries=entries,
            )
            if not verdict.ok:
                raise Lost(f"{name}: {verdict.failures[0]}")
