"""Coops whose homes exchange with each other over a network that a test decides about.

Store, ledger, desk, carrier, hearing and rulings are those of a node; what lies between nodes is
not: each message meets the fate that `weather` gives it. Time is virtual, and nothing happens by
itself, so the same fates give the same story.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from nodeimpl.clearing import checking
from nodeimpl.clearing import outbox_store as outbox
from nodeimpl.clearing import store as tables
from nodeimpl.clearing.carrier import Carrier
from nodeimpl.clearing.desk import Desk
from nodeimpl.clearing.hearing import Hearing
from nodeimpl.clearing.rules import Limits
from nodeimpl.clearing.ruling import Rulings
from nodeimpl.clearing.service import Clearing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.ledger.checking import check
from nodeimpl.ledger.holds_checking import check_holds
from nodeimpl.ledger.service import Ledger
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.terms import agreement_id
from opkit.wire import clearing as wire
from opkit.wire.agreements import AgreementInactive, AgreementUnknown
from opkit.wire.base import SAFE_INT_MAX, Did, RecordId, Slug, TimeMs
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import Refusal, Unreachable
from opkit.wire.genesis import AccountFloor, Charter, Founder, Genesis, GenesisNode
from opkit.wire.ledger import AccountView
from opkit.wire.membership import ROLES
from opkit.wire.peer import PeerMethod
from opkit.wire.terms import ClearingTerms, Terms

NETWORK = "a" * 26
UNIT = "commons-credits"
START_MS = 1_800_000_000_000
COOPS = ("apple", "birch", "cedar")
ARBITER = "umpire"
MOST = 100
DUE_FLOOR = -1_000

LIMITS = Limits(rule_after_ms=20_000, retry_ms_min=250, retry_ms_max=2_000)

Fate = Literal["pass", "no-ask", "no-answer", "late", "twice", "asker-dies", "asked-dies"]
"""`late`: it arrives after its asker gave up, and again after all that came in between; `twice`:
two of it arrive; `asker-dies`, `asked-dies`: once it was heard, before that was answered."""

FATES: tuple[Fate, ...] = (
    "no-ask",
    "no-answer",
    "late",
    "twice",
    "asker-dies",
    "asked-dies",
)


class Died(BaseException):
    """The node that asked is no more; what it was about to do does not happen."""


@cache
def key_of(who: str) -> Identity:
    """Return the key of a node, a member or the operator; simulations alone derive keys."""
    return Identity.from_seed(who.encode().ljust(32, b"."))


def make_genesis(coops: Iterable[Slug] = (*COOPS, ARBITER)) -> GenesisView:
    """Return a network of coops that may owe each other something."""
    names = tuple(coops)
    charters = []
    for coop in names:
        officer, clerk = f"{coop}/officer", f"{coop}/clerk"
        floors = [AccountFloor(account="equity/exchanges", unit=UNIT, floor=-1_000_000)]
        floors += [
            AccountFloor(account=f"due/{other}", unit=UNIT, floor=DUE_FLOOR)
            for other in names
            if other != coop
        ]
        charter = Charter(
            network=NETWORK,
            coop=coop,
            title=coop,
            home_node=key_of(coop).did,
            founders=(
                Founder(
                    member_id=officer,
                    name="officer",
                    title="officer",
                    did=key_of(officer).did,
                    roles=("member", "officer"),
                ),
                Founder(
                    member_id=clerk,
                    name="clerk",
                    title="clerk",
                    did=key_of(clerk).did,
                    roles=("member",),
                ),
            ),
            quorum_percent=60,
            approval_percent=67,
            voting_period_ms=1,
            challenge_window_ms=1,
            floors=tuple(floors),
        )
        charters.append(sign_charter(charter, {who: key_of(who) for who in (officer, clerk)}))
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=key_of("operator").did,
        created_ms=1,
        nodes=tuple(
            GenesisNode(org=coop, title=coop, did=key_of(coop).did, coop=coop) for coop in names
        ),
        charters=tuple(charters),
    )
    return read_genesis(sign_genesis(genesis, key_of("operator")))


GENESIS = make_genesis()


def terms_of(*parties: Slug, title: str = "", most: int = MOST) -> Terms:
    """Return terms by which coops exchange credits."""
    return Terms(
        network=NETWORK,
        parties=tuple(sorted(parties)),
        facilitator=None,
        arbiter=ARBITER,
        title=title or f"An agreement of {' and '.join(parties)}",
        text="",
        starts_ms=0,
        term_days=90,
        renewable=True,
        notice_days=1,
        clearing=ClearingTerms(unit=UNIT, imbalance_max=most, settled="monthly"),
    )


def officer_of(coop: Slug) -> Caller:
    """Return who asks for a coop."""
    member_id = f"{coop}/officer"
    return Caller(
        member_id=member_id,
        did=key_of(member_id).did,
        scopes=frozenset(scope for role in ("member", "officer") for scope in ROLES[role]),
        address="test",
        token_id="0" * 32,
    )


class Adopted:
    """Agreements that coops made elsewhere; a test says which are in force."""

    def __init__(self) -> None:
        self.known: dict[RecordId, Terms] = {}
        self.over: set[RecordId] = set()

    def add(self, terms: Terms) -> RecordId:
        name = agreement_id(terms)
        self.known[name] = terms
        return name

    def active(self, tx: Tx, agreement: str, now_world_ms: TimeMs) -> Terms:
        terms = self.terms(tx, agreement)
        if agreement in self.over:
            raise AgreementInactive(agreement=agreement, state="ended", unsigned=[])
        return terms

    def terms(self, tx: Tx, agreement: str) -> Terms:
        if agreement not in self.known:
            raise AgreementUnknown(agreement=agreement)
        return self.known[agreement]


@dataclass(eq=False)
class Home:
    """A coop's home: all of clearing and its ledger, on a real store.

    Attributes:
        names: what it has of names, if it has any.
    """

    coop: Slug
    store: Store
    ledger: Ledger
    desk: Desk
    carrier: Carrier
    clearing: Clearing
    handlers: dict[str, Callable[[Did, Any], Awaitable[Any]]]
    names: Any = None


@dataclass(frozen=True, slots=True)
class Message:
    """One question on its way, the `number`-th of the story."""

    number: int
    asker: Slug
    asked: Slug
    method: str


@dataclass(eq=False)
class Town:
    """The homes, what lies between them, and time.

    Attributes:
        weather: says what becomes of a message.
        told: every message, in order, with its fate.
        late: messages that arrive when `deliver_late` is called.
        lies: what is answered to an asker by whom, of what method, in place of what is so; once.
        cut: pairs of coops between which nothing passes.
        down: homes that do not run.
    """

    folder: Path
    coops: tuple[Slug, ...] = (*COOPS, ARBITER)
    genesis: GenesisView = GENESIS
    weather: Callable[[Message], Fate] = lambda _: "pass"
    limits: Limits = LIMITS
    agreements: Any = field(default_factory=Adopted)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START_MS))
    homes: dict[Slug, Home] = field(default_factory=dict)
    told: list[tuple[Message, Fate]] = field(default_factory=list)
    late: list[tuple[Message, Any]] = field(default_factory=list)
    lies: dict[tuple[Slug, Slug, str], Any] = field(default_factory=dict)
    cut: set[frozenset[Slug]] = field(default_factory=set)
    down: set[Slug] = field(default_factory=set)
    restarts: int = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.close)
            for coop in self.coops:
                await self.start(coop)
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for coop in list(self.homes):
            await self.stop(coop)

    async def start(self, coop: Slug) -> None:
        """Start a home on what its store holds, once that adds up."""
        url = f"sqlite:///{self.folder}/{coop}.db"
        store = await Store.open(url=url, clock=self.clock)
        try:
            await check(store, coop, network=NETWORK)
            await store.read(lambda tx: check_holds(tx, coop, others=checking.set_aside))
        except BaseException:
            await store.close()
            raise
        identity = key_of(coop)
        ledger = Ledger(own=identity.did, genesis=self.genesis)
        desk = Desk(
            identity=identity,
            genesis=self.genesis,
            ledger=ledger,
            agreements=self.agreements_of(coop, store),
            limits=self.limits,
        )
        nodes = Between(self, coop)
        carrier = Carrier(desk, store=store, clock=self.clock, nodes=nodes)
        hearing = Hearing(desk, store=store)
        rulings = Rulings(desk, store=store, clock=self.clock, nodes=nodes)
        home = Home(
            coop=coop,
            store=store,
            ledger=ledger,
            desk=desk,
            carrier=carrier,
            clearing=Clearing(desk, carrier, store=store),
            handlers={
                wire.OFFER_EXCHANGE.name: hearing.offered,
                wire.TELL_OUTCOME.name: hearing.told,
                wire.ASK_OUTCOME.name: hearing.asked,
                wire.ASK_RULING.name: rulings.rule,
            },
        )
        await self.furnish(home)
        self.homes[coop] = home
        self.down.discard(coop)
        self.started(home)

    def agreements_of(self, coop: Slug, store: Store) -> Any:
        """Return what a home that starts knows of agreements."""
        return self.agreements

    async def furnish(self, home: Home) -> None:
        """Give a home that starts what it has beside its ledger and its exchanges."""

    def started(self, home: Home) -> None:
        """Take note that a home runs."""

    async def serve(self, coop: Slug) -> None:
        """Have a home say what it has to, and do what is due."""
        await self.homes[coop].carrier.serve_due()

    async def stop(self, coop: Slug) -> None:
        """Stop a home; what it had not committed is gone."""
        self.down.add(coop)
        home = self.homes.pop(coop, None)
        if home is not None:
            await home.store.close()

    async def restart(self, coop: Slug) -> None:
        """Stop a home and start it again."""
        self.restarts += 1
        await self.stop(coop)
        await self.start(coop)

    def reaches(self, one: Slug, other: Slug) -> bool:
        """Return whether a message passes between two homes."""
        return (
            other in self.homes
            and other not in self.down
            and frozenset((one, other)) not in self.cut
        )

    async def hear(self, asked: Slug, method: str, ask: Any, *, asker: str = "somebody") -> Any:
        """Have a home answer, by what it would have read from the wire."""
        home = self.homes[asked]
        read = type(ask).model_validate_json(ask.model_dump_json())
        return await home.handlers[method](key_of(asker).did, read)

    async def deliver_late(self) -> None:
        """Have what was late arrive now, the last first; nobody waits for the answers."""
        while self.late:
            message, ask = self.late.pop()
            if message.asked in self.homes:
                try:
                    await self.hear(message.asked, message.method, ask, asker=message.asker)
                except Refusal:
                    continue

    # What members do.

    async def offer(
        self,
        payer: Slug,
        payee: Slug,
        amount: int,
        *,
        by: Slug = "",
        agreement: RecordId,
        name: str = "x1",
        ttl_ms: int = 5_000,
    ) -> wire.Exchange:
        """Propose an exchange."""
        by = by or payer
        ask = wire.PostOffer(
            agreement=agreement,
            exchange_id=name,
            payer=payer,
            payee=payee,
            unit=UNIT,
            amount=amount,
            what="a lathe for a day",
            ttl_ms=ttl_ms,
        )
        return await self.homes[by].clearing.offer(ask, officer_of(by))

    async def settle(self, by: Slug, agreement: RecordId, period: str) -> wire.Exchange:
        """Settle a period."""
        ask = wire.SettlePeriod(agreement=agreement, period=period, ttl_ms=5_000)
        return await self.homes[by].clearing.settle(ask, officer_of(by))

    async def net(self, by: Slug, legs: tuple[wire.Leg, ...], *, name: str = "n1") -> wire.Exchange:
        """Net debts that go around."""
        ask = wire.NetDebts(exchange_id=name, unit=UNIT, legs=legs, ttl_ms=5_000)
        return await self.homes[by].clearing.net(ask, officer_of(by))

    # What is so.

    async def sides(self) -> dict[RecordId, dict[Slug, wire.Exchange]]:
        """Return every exchange as each side of it stands."""
        found: dict[RecordId, dict[Slug, wire.Exchange]] = {}
        for coop, home in self.homes.items():
            before = SAFE_INT_MAX
            while True:
                asked = {"coop": coop, "agreement": "", "doubt": False}
                page = await home.store.read(
                    lambda tx, before=before, asked=asked: tables.page(
                        tx, before=before, count_max=500, **asked
                    )
                )
                for kept in page:
                    found.setdefault(kept.exchange, {})[coop] = tables.view(kept)
                if len(page) < 500:
                    break
                before = page[-1].sequence
        return found

    async def position(self, coop: Slug, other: Slug, agreement: RecordId) -> tables.Position:
        """Return how a coop stands with another."""
        return await self.homes[coop].store.read(
            lambda tx: tables.position(tx, coop=coop, other=other, agreement=agreement, unit=UNIT)
        )

    async def account(self, coop: Slug, path: str) -> AccountView:
        """Return an account."""
        home = self.homes[coop]
        return await home.store.read(
            lambda tx: home.ledger.account(tx, coop=coop, account=f"{coop}:{path}", unit=UNIT)
        )

    async def waiting(self) -> int:
        """Return how many homes have something to say to one that runs, or to do."""
        running = {"", *(key_of(coop).did for coop in self.homes)}
        said = [await home.store.read(outbox.nodes) for home in self.homes.values()]
        return sum(node in running for nodes in said for node, _ in nodes)

    async def come_to_rest(self, *, rounds_max: int = 200) -> None:
        """Let all talk, and time pass, until nobody has anything to say.

        Raises:
            AssertionError: they do not come to an end.
        """
        for _ in range(rounds_max):
            await self.deliver_late()
            for coop in self.coops:
                if coop in self.homes:
                    await self.serve(coop)
            if not await self.waiting():
                return
            self.clock.advance(1_000)
        raise AssertionError(f"{await self.waiting()} homes are not heard")


class Between:
    """What lies between a home and the others."""

    def __init__(self, town: Town, own: Slug) -> None:
        self._town = town
        self._own = own

    async def ask(
        self, node: Did, method: PeerMethod[Ask, Answer], ask: Ask, *, deadline_ms: int
    ) -> Answer:
        """Ask another home, as the weather lets it."""
        town = self._town
        asked = next(coop for coop in town.coops if key_of(coop).did == node)
        if town.reaches(self._own, asked) and (self._own, asked, method.name) in town.lies:
            lie: Answer = town.lies.pop((self._own, asked, method.name))
            return lie
        message = Message(len(town.told), self._own, asked, method.name)
        fate = town.weather(message) if town.reaches(self._own, asked) else "no-ask"
        town.told.append((message, fate))
        if fate == "late":
            town.late.append((message, ask))
        if fate in ("no-ask", "late"):
            raise Unreachable(where=asked, why="the weather")
        said = await self._heard(message, ask)
        if fate == "twice":
            said = await self._heard(message, ask)
        if fate == "asked-dies":
            await town.restart(asked)
            raise Unreachable(where=asked, why="it died")
        if fate == "asker-dies":
            raise Died
        if fate == "no-answer":
            raise Unreachable(where=asked, why="the weather")
        if isinstance(said, Refusal):
            raise said
        read: Answer = method.answer.model_validate_json(said.model_dump_json())
        return read

    async def _heard(self, message: Message, ask: Any) -> Any:
        try:
            return await self._town.hear(message.asked, message.method, ask, asker=message.asker)
        except Refusal as no:
            return no
