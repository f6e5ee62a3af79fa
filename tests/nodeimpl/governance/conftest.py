"""A coop's home node with its store, members, ledger and assembly, and a node beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from sqlalchemy import bindparam, delete

from nodeimpl.governance.ballots_store import ballots
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.service import Governance
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, sql
from nodeimpl.kernel.timers import Timers
from nodeimpl.ledger.service import Ledger
from nodeimpl.membership.decided import AssemblyMembers
from nodeimpl.membership.service import Membership
from opkit.proof.ballots import make_ballot, make_delegation
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.proposals import make_distribution, sign_proposal
from opkit.wire import governance as wire
from opkit.wire.base import Did, Jws
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Unreachable
from opkit.wire.genesis import AccountFloor, Charter, Founder, Genesis, GenesisNode
from opkit.wire.ledger import Entry, PostEntry, Posting, Settle, SettleLine
from opkit.wire.votes import (
    EXECUTE_WITHIN_MS,
    Choice,
    DistributionEffect,
    Effect,
    Proposal,
    ProposalState,
    SpendEffect,
    TextEffect,
)
from tests.nodeimpl.agreements.told import alone

NETWORK, COOP = "a" * 26, "yard"
DAY_MS = 86_400_000
PERIOD_MS, WINDOW_MS = 7 * DAY_MS, DAY_MS
TEST_S_MAX = 60
Form = Literal["full", "attested"]

RESERVE = f"{COOP}:reserve"
SURPLUS = f"{COOP}:surplus"
ROOFER = f"{COOP}:vendor/roofer"
SPEND = SpendEffect(
    from_account=RESERVE, to_account=ROOFER, unit="usd-cents", amount=1_200_000, memo="roof"
)


def key_of(who: str) -> Identity:
    return Identity.from_seed(who.encode().ljust(32, b"."))


def founder_of(name: str, *, coop: str = COOP) -> Founder:
    return Founder(
        member_id=f"{coop}/{name}",
        name=name,
        title="member",
        did=key_of(f"{coop}/{name}").did,
        roles=("officer",),
    )


def charter_of(coop: str, *, home: str, names: str, **changes: Any) -> Charter:
    said: dict[str, Any] = {
        "network": NETWORK,
        "coop": coop,
        "title": coop,
        "home_node": key_of(home).did,
        "founders": tuple(founder_of(name, coop=coop) for name in names),
        "quorum_percent": 60,
        "approval_percent": 67,
        "voting_period_ms": PERIOD_MS,
        "challenge_window_ms": WINDOW_MS,
        "floors": tuple(
            AccountFloor(account="equity/opening", unit=unit, floor=-(2**53 - 1))
            for unit in ("usd-cents", "patronage-credits")
        ),
    }
    return Charter(**{**said, **changes})


def make_genesis(**changes: Any) -> GenesisView:
    """Return a network with a coop of five founders, another of two, and a node of none."""
    charters = [
        charter_of(COOP, home="home", names="abcde", **changes),
        charter_of("mill", home="mill-node", names="xy"),
    ]
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=key_of("operator").did,
        created_ms=1,
        nodes=(
            GenesisNode(org=COOP, title="Yard", did=key_of("home").did, coop=COOP),
            GenesisNode(org="mill", title="Mill", did=key_of("mill-node").did, coop="mill"),
            GenesisNode(org="loner", title="Loner", did=key_of("loner").did, coop=None),
        ),
        charters=tuple(
            sign_charter(each, {one.member_id: key_of(one.member_id) for one in each.founders})
            for each in charters
        ),
    )
    return read_genesis(sign_genesis(genesis, key_of("operator")))


@dataclass
class Net:
    """Nodes that hand each other ballots, unless the way is cut."""

    nodes: dict[Did, Governance] = field(default_factory=dict)
    cut: bool = False

    async def pass_ballot(self, home: Did, ask: wire.PassBallot) -> wire.BallotPassed:
        if self.cut:
            raise Unreachable(where=home, why="cut")
        return await self.nodes[home].lodging.passed("", ask)


@dataclass(frozen=True)
class Known:
    """A proposal, and a ballot on it with the home's receipt."""

    view: wire.ProposalView
    ballot: Jws
    receipt: Jws


_DROP_BALLOT = sql(
    delete(ballots).where(
        ballots.c.proposal == bindparam("which"), ballots.c.member_id == bindparam("who")
    )
)


class Coop:
    """A home node's governance on a real store, asked as the gateway asks it."""

    def __init__(
        self,
        *,
        store: Store,
        clock: VirtualClock,
        genesis: GenesisView,
        node: str = "home",
        net: Net | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.genesis = genesis
        identity = key_of(node)
        self.membership = Membership(store=store, identity=identity, genesis=genesis, clock=clock)
        self.ledger = Ledger(own=identity.did, genesis=genesis)
        self.timers = Timers(store=store, clock=clock)
        self.net = net or Net()
        self.agreements, self.shared = alone(identity, genesis, self.timers)
        self.governance = Governance(
            identity=identity,
            genesis=genesis,
            store=store,
            clock=clock,
            timers=self.timers,
            members=AssemblyMembers(self.membership),
            ledger=self.ledger,
            agreements=self.agreements,
            homes=self.net,
            limits=limits,
        )
        self.net.nodes[identity.did] = self.governance
        self.keys: dict[str, Identity] = {}
        self.proposals = 0
        self.write, self.read = store.write, store.read

    def key(self, name: str) -> Identity:
        """Return a member's key as it is now."""
        return self.keys.get(name) or key_of(name if "/" in name else f"{COOP}/{name}")

    def caller(self, name: str) -> Caller:
        member_id = name if "/" in name else f"{COOP}/{name}"
        return Caller(
            member_id=member_id,
            did=self.key(name).did,
            scopes=frozenset(Scope),
            address="test",
            token_id="0" * 32,
        )

    def pass_time(self, ms: int) -> None:
        self.clock.advance(ms)

    async def ask(self, handle: Any, ask: Any, who: str, prepare: Any = None) -> Any:
        """Have a change made, as the gateway does."""
        caller = self.caller(who)
        prepared = await prepare(ask, caller) if prepare else None
        return await self.store.write(lambda tx: handle(tx, ask, caller, prepared))

    async def fund(
        self, account: str = RESERVE, amount: int = 4_800_000, unit: str = "usd-cents"
    ) -> Entry:
        entry = PostEntry(
            coop=COOP,
            entry_id=f"opening/{account.partition(':')[2]}/{unit}",
            postings=(
                Posting(account=f"{COOP}:equity/opening", unit=unit, amount=-amount),
                Posting(account=account, unit=unit, amount=amount),
            ),
        )
        return await self.ask(self.ledger.post, entry, "a")

    async def balance(self, account: str, unit: str = "usd-cents") -> int:
        return await self.write(lambda tx: self.ledger.balance(tx, COOP, account, unit))

    async def assembly(self, electors_max: int = 0) -> wire.Assembly:
        ask = wire.AskAssembly(coop=COOP, electors_max=electors_max)
        return await self.read(lambda tx: self.governance.assemblies.assembly(tx, ask, None, None))

    async def sign(self, effect: Effect | None = None, by: str = "a", **changes: Any) -> Jws:
        """Return a proposal that states the assembly as it is."""
        effect = effect or TextEffect()
        state = await self.assembly()
        treasury = effect.kind in ("spend", "distribution")
        self.proposals += 1
        said: dict[str, Any] = {
            "network": NETWORK,
            "aud": COOP,
            "did": self.key(by).did,
            "member_id": f"{COOP}/{by}",
            "proposal_id": f"p-{self.proposals}",
            "title": "A proposal",
            "text": "why",
            "effect": effect,
            "treasury_nonce": state.next_nonce if treasury else None,
            "rule": state.rule,
            "electorate_hash": state.electorate_hash,
            "electors": state.electors,
            "issued_at_ms": self.clock.world_ms(),
        }
        return sign_proposal(Proposal(**{**said, **changes}), self.key(by))

    async def propose(
        self, effect: Effect | None = None, by: str = "a", *, open_now: bool = True, **changes: Any
    ) -> wire.ProposalView:
        token = await self.sign(effect, by, **changes)
        return await self.put(token, by=by, open_now=open_now)

    async def put(
        self, token: Jws, *, by: str = "a", open_now: bool = True, coop: str = COOP
    ) -> wire.ProposalView:
        parts = self.governance.proposing
        ask = wire.Propose(coop=coop, proposal=token, open_now=open_now)
        return await self.ask(parts.propose, ask, by, parts.prove)

    async def open(self, proposal: str, by: str = "a") -> wire.ProposalView:
        ask = wire.OpenProposal(coop=COOP, proposal_id=proposal)
        return await self.ask(self.governance.proposing.open, ask, by)

    def ballot(
        self,
        view: wire.ProposalView,
        who: str,
        choice: Choice = "yes",
        sequence: int = 1,
        key: Identity | None = None,
        **changes: Any,
    ) -> Jws:
        said: dict[str, Any] = {
            "network": NETWORK,
            "member_id": who if "/" in who else f"{COOP}/{who}",
            "proposal": view.proposal,
            "choice": choice,
            "sequence": sequence,
            "at_ms": self.clock.world_ms(),
        }
        return make_ballot(key or self.key(who), **{**said, **changes})

    async def vote(
        self,
        view: wire.ProposalView,
        who: str,
        choice: Choice = "yes",
        sequence: int = 1,
        **changes: Any,
    ) -> wire.VoteCounted:
        return await self.hand_in(view, self.ballot(view, who, choice, sequence, **changes), by=who)

    async def hand_in(
        self, view: wire.ProposalView, ballot: Jws, by: str = "a"
    ) -> wire.VoteCounted:
        voting = self.governance.voting
        ask = wire.CastVote(coop=COOP, proposal_id=view.proposal_id, ballot=ballot)
        return await self.ask(voting.cast, ask, by, voting.prove)

    async def votes(
        self, view: wire.ProposalView, yes: str = "", no: str = "", abstain: str = ""
    ) -> None:
        for names, choice in ((yes, "yes"), (no, "no"), (abstain, "abstain")):
            for name in names:
                await self.vote(view, name, choice)  # type: ignore[arg-type]  # one of the three

    async def delegate(
        self, who: str, to: str | None, sequence: int = 1, **changes: Any
    ) -> wire.DelegationView:
        said: dict[str, Any] = {
            "network": NETWORK,
            "member_id": f"{COOP}/{who}",
            "to": to and f"{COOP}/{to}",
            "sequence": sequence,
            "at_ms": self.clock.world_ms(),
        }
        token = make_delegation(changes.pop("key", None) or self.key(who), **{**said, **changes})
        voting = self.governance.voting
        ask = wire.Delegate(coop=COOP, delegation=token)
        return await self.ask(voting.delegate, ask, who, voting.prove_delegation)

    async def close(self, view: wire.ProposalView, by: str = "a") -> wire.ProposalView:
        ask = wire.CloseProposal(coop=COOP, proposal_id=view.proposal_id)
        return await self.ask(self.governance.deciding.close, ask, by)

    async def cancel(self, view: wire.ProposalView, by: str = "a") -> wire.ProposalView:
        ask = wire.CancelProposal(coop=COOP, proposal_id=view.proposal_id)
        return await self.ask(self.governance.deciding.cancel, ask, by)

    async def decide(
        self, effect: Effect | None = None, *, yes: str = "abcd", no: str = "", **changes: Any
    ) -> wire.ProposalView:
        """Propose, vote and close; the challenge window is open then."""
        view = await self.propose(effect, **changes)
        await self.votes(view, yes=yes, no=no)
        self.pass_time(PERIOD_MS)
        return await self.close(view)

    async def execute(
        self, view: wire.ProposalView, by: str = "a", **changes: Any
    ) -> wire.EffectDone:
        said: dict[str, Any] = {
            "coop": COOP,
            "proposal_id": view.proposal_id,
            "effect": view.effect,
            "treasury_nonce": view.treasury_nonce,
        }
        ask = wire.ExecuteProposal(**{**said, **changes})
        return await self.ask(self.governance.executing.execute, ask, by)

    async def settle(self, view: wire.ProposalView, by: str = "a", **changes: Any) -> Entry:
        effect = view.effect
        said: dict[str, Any] = {"coop": COOP, "proposal": view.proposal}
        if isinstance(effect, DistributionEffect):
            said |= {
                "from_account": effect.from_account,
                "unit": effect.unit,
                "lines": tuple(
                    SettleLine(account=line.account, amount=line.amount)
                    for line in effect.lines
                    if line.amount
                ),
            }
        ask = Settle(**{**said, **changes})
        return await self.ask(self.governance.executing.settle, ask, by)

    async def challenge(
        self, view: wire.ProposalView, *, ballot: Jws, receipt: Jws, by: str = "a"
    ) -> wire.ProposalView:
        deciding = self.governance.deciding
        ask = wire.ChallengeDecision(
            coop=COOP, proposal_id=view.proposal_id, ballot=ballot, receipt=receipt
        )
        return await self.ask(deciding.challenge, ask, by, deciding.prove_missed)

    async def drop_ballot(self, view: wire.ProposalView, who: str) -> None:
        """Have the home forget a ballot that it acknowledged: what a dishonest one does."""
        await self.write(lambda tx: tx.run(_DROP_BALLOT, which=view.proposal, who=f"{COOP}/{who}"))

    async def in_state(self, state: ProposalState, effect: Effect | None = None) -> Known:
        """Return a proposal that was brought into a state, with a ballot and its receipt."""
        effect = effect or SPEND
        view = await self.propose(effect, open_now=False)
        if state == "draft":
            return Known(view, "", "")
        view = await self.open(view.proposal_id)
        ballot = self.ballot(view, "b")
        receipt = (await self.hand_in(view, ballot)).receipt
        if state == "open":
            return Known(view, ballot, receipt)
        if state == "cancelled":
            return Known(await self.cancel(view), ballot, receipt)
        await self.votes(view, **({"no": "ac"} if state == "rejected" else {"yes": "ac"}))
        if state == "no-quorum":
            await self.drop_ballot(view, "a")
        if state == "voided":
            await self.drop_ballot(view, "b")
            await self.vote(view, "d")
        self.pass_time(PERIOD_MS)
        view = await self.close(view)
        if state == "voided":
            view = await self.challenge(view, ballot=ballot, receipt=receipt)
        if state in ("executed", "expired"):
            self.pass_time(WINDOW_MS)
        if state == "executed":
            await self.execute(view)
        if state == "expired":
            self.pass_time(EXECUTE_WITHIN_MS)
            await self.write(self.timers.catch_up)
        return Known(await self.show(view), ballot, receipt)

    async def show(self, view: wire.ProposalView) -> wire.ProposalView:
        ask = wire.ReadProposal(coop=COOP, proposal_id=view.proposal_id)
        return await self.read(lambda tx: self.governance.proposing.show(tx, ask, None, None))

    async def treasury(self) -> wire.Treasury:
        ask = wire.AskTreasury(coop=COOP)
        return await self.read(lambda tx: self.governance.assemblies.treasury(tx, ask, None, None))

    async def file(self, view: wire.ProposalView, form: Form = "full", by: str = "a") -> bytes:
        ask = wire.AskDecision(coop=COOP, proposal_id=view.proposal_id, form=form)
        return (await self.governance.files.decision(ask, self.caller(by))).file

    async def told(self, type_: str) -> list[dict[str, Any]]:
        """Return what was journalled of one type."""
        entries = await self.store.read_journal(after=None, entries_max=1_000)
        return [json.loads(each.body) for each in entries if each.type == type_]


def distribution(surplus: int = 3_840) -> DistributionEffect:
    """Return the effect that pays a surplus to the five members by their hours."""
    hours = dict(zip("abcde", (120, 115, 104, 98, 87), strict=True))
    return make_distribution(
        from_account=SURPLUS,
        unit="patronage-credits",
        surplus=surplus,
        weights={f"{COOP}:member/{name}": weight for name, weight in hours.items()},
    )


@dataclass(frozen=True)
class Made:
    """What makes coops in a test."""

    url: str
    more: Callable[[], str]

    def run(self, story: Callable[[Coop], Awaitable[None]], **changes: Any) -> None:
        """Tell a story on a fresh home node."""
        limits = changes.pop("limits", None)

        async def main() -> None:
            clock = VirtualClock()
            store = await Store.open(url=self.url, clock=clock)
            try:
                coop = Coop(
                    store=store, clock=clock, genesis=make_genesis(**changes), limits=limits
                )
                await coop.membership.seed()
                await story(coop)
            finally:
                await store.close()

        asyncio.run(asyncio.wait_for(main(), TEST_S_MAX))

    def run_two(self, story: Callable[[Coop, Coop], Awaitable[None]]) -> None:
        """Tell a story on a fresh home node and a node that is home of nothing."""

        async def main() -> None:
            clock, net, genesis = VirtualClock(), Net(), make_genesis()
            stores = [await Store.open(url=url, clock=clock) for url in (self.url, self.more())]
            try:
                home, other = (
                    Coop(store=store, clock=clock, genesis=genesis, node=node, net=net)
                    for store, node in zip(stores, ("home", "loner"), strict=True)
                )
                await home.membership.seed()
                await other.membership.seed()
                await story(home, other)
            finally:
                for store in stores:
                    await store.close()

        asyncio.run(asyncio.wait_for(main(), TEST_S_MAX))


@pytest.fixture
def made(store_url: str, tmp_path: Any) -> Made:
    """Return what makes coops on an engine; further nodes are on SQLite."""
    return Made(url=store_url, more=lambda: f"sqlite:///{tmp_path}/other.db")


@pytest.fixture
def made_once(tmp_path: Any) -> Made:
    """Return what makes coops where the engine makes no difference."""
    return Made(url=f"sqlite:///{tmp_path}/node.db", more=lambda: f"sqlite:///{tmp_path}/other.db")
