"""An assembly at work whose home is killed again and again, and what must be so afterwards.

Each round moves world time on by more than a period and a window, so that the round's proposals are
opened and voted on while those before them are closed and those before these executed. Whoever
closes or executes has a rival who asks for the same at the same time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.at_work import at_work
from bench.node import AskedNode
from bench.single import ORG
from devnet.timekeeper import Timekeeper
from opkit.client.auditing import audit_ledger
from opkit.client.governance import CastBallot, GovernanceCalls
from opkit.proof import jws
from opkit.proof.checks import VERIFIED
from opkit.proof.decision import examine_decision
from opkit.proof.keys import Identity
from opkit.proof.omission import verify_omission
from opkit.proof.proposals import make_distribution
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.base import MemberId, RecordId
from opkit.wire.ledger import AccountConfigured
from opkit.wire.membership import LIST_MEMBERS, ListMembers
from opkit.wire.network import MOVE_CLOCK, NODE, AskNode, MoveClock
from opkit.wire.votes import (
    NO_DECISION,
    TREASURY_KINDS,
    AccountChange,
    ConfigurationEffect,
    Effect,
    MembershipEffect,
    SpendEffect,
)

CHAIR = f"{ORG}/mara"
RESERVE, PAID = f"{ORG}:reserve", f"{ORG}:vendor/paid"
STEP_MS = 9 * 86_400_000
"""More than the period and the challenge window of the demo world together."""
FUND, SHARED = 1_000_000, 10
PER_ROUND = 6
ACKNOWLEDGED_MAX = 90
"""A kill comes after so many acknowledgements of a round, or fewer."""
ROUND_S_MAX, CHECK_S_MAX = 120, 120
_ONCE = {
    wire.ProposalOpened.type,
    wire.ProposalClosed.type,
    wire.EffectApplied.type,
    wire.VoteCast.type,
}


class Lost(AssertionError):
    """Something that was acknowledged is not there as it was, or happened twice."""


@dataclass(eq=False)
class Told:
    """What the home has said yes to.

    Attributes:
        opened: the proposals of each round.
        votes: the ballots that it acknowledged, with their receipts.
        closed: the decision on each proposal; `executed` what its effect posted, if it did.
        asked: the ballots that somebody signed, acknowledged or not.
    """

    opened: list[list[str]] = field(default_factory=list)
    votes: list[CastBallot] = field(default_factory=list)
    closed: dict[str, RecordId] = field(default_factory=dict)
    executed: dict[str, RecordId | None] = field(default_factory=dict)
    asked: set[RecordId] = field(default_factory=set)

    def __len__(self) -> int:
        """Return how much was acknowledged."""
        opened = sum(len(each) for each in self.opened)
        return opened + len(self.votes) + len(self.closed) + len(self.executed)


class Killing:
    """One assembly's home, killed so often.

    Attributes:
        told: what it acknowledged.
        taken_s: how long each start after a kill took.
    """

    def __init__(self, node: AskedNode, *, folder: Path, seed: int = 7) -> None:
        """Prepare; the node serves already."""
        self.node = node
        self.told = Told()
        self.taken_s: list[float] = []
        self._chance = random.Random(seed)
        world = node.world
        self._time = Timekeeper(folder=folder, network=world.view.network, operator=world.operator)

    async def run(self, times: int) -> None:
        """Kill the node so often; then finish what was begun, and check all of it.

        Raises:
            Lost: what was acknowledged is not there, or something happened twice.
        """
        async with self.node.client(CHAIR) as chair:
            await chair.ledger(ORG).transfer(
                FUND, from_account="equity/opening", to_account="reserve"
            )
        for number in range(times):
            async with asyncio.timeout(ROUND_S_MAX):
                await self._round(number)
                await self._check_lines()
        async with asyncio.timeout(CHECK_S_MAX):
            await self._finish()
            await self.check()

    async def _round(self, number: int) -> None:
        await self._move_time()
        self.told.opened.append([])
        earlier = [each for some in self.told.opened[:-1] for each in some]
        decided = [each for each in earlier if each in self.told.closed]
        rivals = self.node.members[:2]
        works = [
            self._propose(number),
            *(self._vote(member) for member in self.node.members),
            *(self._close(who, earlier) for who in rivals),
            *(self._execute(who, decided) for who in rivals),
        ]
        async with at_work(works, acknowledged=lambda: len(self.told)) as until:
            await until(self._chance.randint(1, ACKNOWLEDGED_MAX))
            self.node.kill()
        self.taken_s.append(await self.node.started_after_s())

    async def _move_time(self) -> None:
        async with self.node.operator() as operator:
            await operator.call(MOVE_CLOCK, MoveClock(record=self._time.move(STEP_MS)))

    # What members do until the node is gone.

    async def _propose(self, number: int) -> None:
        async with self.node.client(CHAIR) as client:
            assembly = client.governance(ORG)
            for at in range(PER_ROUND):
                name = f"r{number}-{at}"
                await assembly.propose(name, _effect(name, at), title=name)
                self.told.opened[-1].append(name)

    async def _vote(self, member: MemberId) -> None:
        """Vote on one after the other, and again, in favour the last time that counts."""
        async with self.node.client(member) as client:
            assembly = client.governance(ORG)
            while True:
                for name in list(self.told.opened[-1]):
                    proposal = (await assembly.get(name)).proposal
                    ballot = await assembly.ballot(proposal, "yes")
                    self.told.asked.add(jws.record_id(ballot))
                    self.told.votes.append(await assembly.cast(ballot))
                await asyncio.sleep(0)
                if not self.told.opened[-1]:
                    await client.call(NODE, AskNode())

    async def _close(self, who: MemberId, names: Iterable[str]) -> None:
        async with self.node.client(who) as client:
            assembly = client.governance(ORG)
            for name in names:
                if name not in self.told.closed:
                    await self._close_one(assembly, name)

    async def _close_one(self, assembly: GovernanceCalls, name: str) -> None:
        try:
            view = await assembly.close(name)
        except no.ProposalNotOpen:
            view = await assembly.get(name)
        if view.decision is None:
            raise Lost(f"{name} is {view.state}, and nothing was decided")
        self._note(self.told.closed, name, view.decision)

    async def _execute(self, who: MemberId, names: Iterable[str]) -> None:
        async with self.node.client(who) as client:
            assembly = client.governance(ORG)
            for name in names:
                if name not in self.told.executed:
                    await self._execute_one(assembly, name)

    async def _execute_one(self, assembly: GovernanceCalls, name: str) -> None:
        try:
            done = await assembly.execute(name)
        except no.EffectExecuted:
            entry = (await assembly.get(name)).entry
        except no.NotAccepted:
            return  # Too few had voted when the node was killed.
        else:
            posted = done.entry if isinstance(done, wire.EffectDone) else done
            entry = posted.hash if posted else None
        self._note(self.told.executed, name, entry)

    @staticmethod
    def _note(told: dict[str, Any], name: str, said: RecordId | None) -> None:
        """Note what two rivals were answered: the same."""
        if told.setdefault(name, said) != said:
            raise Lost(f"{name}: once {told[name]} was answered, then {said}")

    # What must be so.

    async def _check_lines(self) -> None:
        """Raise `Lost` unless time, decisions and effects stand as they were acknowledged."""
        async with self.node.operator() as operator:
            now = await operator.call(NODE, AskNode())
        if now.world_ms - now.now_ms != self._time.offset_ms:
            raise Lost(f"world time was moved to {self._time.offset_ms}, and is not there")
        async with self.node.client(CHAIR) as client:
            lines = {line.proposal_id: line async for line in client.governance(ORG).list()}
        for name in (each for some in self.told.opened for each in some):
            if name not in lines:
                raise Lost(f"proposal {name} is not there")
        for name, decision in self.told.closed.items():
            if lines[name].decision != decision:
                raise Lost(f"the decision on {name} is not there as it was")
        for name in self.told.executed:
            if lines[name].state != "executed":
                raise Lost(f"{name} was executed, and is {lines[name].state}")

    async def _finish(self) -> None:
        """Close all that is open, also what was never acknowledged, and execute it."""
        for _ in range(2):
            await self._move_time()
            async with self.node.client(CHAIR) as client:
                assembly = client.governance(ORG)
                async for line in assembly.list():
                    if line.state == "open":
                        await self._close_one(assembly, line.proposal_id)
                    elif line.state == "accepted":
                        await self._execute_one(assembly, line.proposal_id)

    async def check(self) -> None:
        """Raise `Lost` unless all that was acknowledged stands, once and whole."""
        await self._check_lines()
        async with self.node.client(CHAIR) as client, self.node.operator() as operator:
            assembly = client.governance(ORG)
            views = [await assembly.get(line.proposal_id) async for line in assembly.list()]
            await self._check_files(assembly, views)
            await self._check_journal([each async for each in _journal(operator)], views)
            await self._check_money(client, views)
            found = await operator.call(LIST_MEMBERS, ListMembers(members_max=200))
        admitted = {each.member_id for each in found.members if "/new-" in each.member_id}
        wanted = {_newcomer(each.proposal_id) for each in views if _had(each, "membership")}
        if admitted != wanted:
            raise Lost(f"{admitted ^ wanted} were admitted, or should have been")

    async def _check_files(self, assembly: GovernanceCalls, views: list[wire.ProposalView]) -> None:
        """Raise `Lost` unless the decisions are one chain, and have every ballot acknowledged."""
        genesis, files, chain = self.node.world.view, {}, {}
        for view in views:
            file = await assembly.decision(view.proposal)
            verdict, seen = examine_decision(file, genesis=genesis)
            if verdict.status != VERIFIED or seen is None:
                raise Lost(f"the decision on {view.proposal_id}: {verdict.failures[0]}")
            files[view.proposal] = file
            chain[seen.decision.sequence] = (seen.decision.previous, seen.hash)
            strangers = {jws.record_id(each.ballot) for each in file.ballots} - self.told.asked
            if strangers:
                raise Lost(f"ballots were counted that nobody signed: {strangers}")
        before = NO_DECISION
        for sequence in range(1, len(views) + 1):
            previous, digest = chain[sequence]
            if previous != before:
                raise Lost(f"decision {sequence} does not follow the one before")
            before = digest
        for vote in self.told.votes:
            shown = verify_omission(
                files[vote.proposal], ballot=vote.ballot, receipt=vote.receipt, genesis=genesis
            )
            if [each.name for each in shown.failures] != ["missing-in-tally"]:
                raise Lost(f"a ballot on {vote.proposal} was acknowledged, and is not counted")

    async def _check_journal(
        self, events: list[tuple[str, dict[str, Any]]], views: list[wire.ProposalView]
    ) -> None:
        """Raise `Lost` unless everything was announced as often as it happened: once."""
        seen = Counter(
            (kind, body["proposal"], body.get("member_id"), body.get("sequence"))
            for kind, body in events
            if kind in _ONCE
        )
        twice = [key for key, count in seen.items() if count != 1]
        if twice:
            raise Lost(f"announced more than once: {twice}")
        said = Counter(kind for kind, *_ in seen)
        executed = sum(view.state == "executed" for view in views)
        if (said[wire.ProposalClosed.type], said[wire.EffectApplied.type]) != (
            len(views),
            executed,
        ):
            raise Lost(f"{len(views)} were closed, {executed} executed, announced {said}")
        cast = said[wire.VoteCast.type]
        if not len(self.told.votes) <= cast <= len(self.told.asked):
            raise Lost(f"{cast} votes were announced")
        configured = Counter(
            body["decision"] for kind, body in events if kind == AccountConfigured.type
        )
        wanted = Counter(each.decision for each in views if _had(each, "configuration"))
        if configured != wanted:
            raise Lost(f"accounts were configured by {configured}, not by {wanted}")

    async def _check_money(self, client: Any, views: list[wire.ProposalView]) -> None:
        """Raise `Lost` unless each accepted payment was made once, and nothing else was paid."""
        audited = await audit_ledger(client, ORG, genesis=self.node.world.view)
        if not audited.verdict.ok:
            raise Lost(f"the audit: {audited.verdict.failures[0]}")
        ledger = client.ledger(ORG)
        entries = {
            entry.cause.id: entry.hash
            async for entry in ledger.history()
            if entry.cause is not None and entry.cause.kind == "decision"
        }
        wanted = {
            view.decision: view.entry
            for view in views
            if any(_had(view, kind) for kind in TREASURY_KINDS)
        }
        if entries != wanted:
            raise Lost("the ledger has other decided entries than were executed")
        for name, entry in self.told.executed.items():
            if entry is not None and entry not in entries.values():
                raise Lost(f"the payment by {name} was acknowledged, and is not there")
        balances = {each.account: each.balance async for each in ledger.accounts()}
        spent = sum(_had(view, "spend") for view in views)
        shared = sum(_had(view, "distribution") for view in views)
        if balances.get(PAID, 0) != spent or balances[RESERVE] != FUND - spent - SHARED * shared:
            raise Lost(f"{spent} spends and {shared} distributions do not make {balances}")


def _had(view: wire.ProposalView, kind: str) -> bool:
    """Return whether an effect of a kind was had."""
    return view.kind == kind and view.state == "executed"


async def _journal(client: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async for page in client.journal():
        for event in page.entries:
            yield event.type, event.body


def _effect(name: str, at: int) -> Effect:
    """Return the effect of one of a round's proposals: of each kind, spends most often."""
    kind = at % PER_ROUND
    if kind == 1:
        weights = {f"{ORG}:member/{who}": 1 + n for n, who in enumerate(("ines", "theo"))}
        return make_distribution(
            from_account=RESERVE, unit="usd-cents", surplus=SHARED, weights=weights
        )
    if kind == 2:
        return MembershipEffect(
            action="admit",
            member_id=_newcomer(name),
            name=name,
            did=Identity.generate().did,
            roles=("auditor",),
        )
    if kind == 3:
        change = AccountChange(account=f"{ORG}:project/{name}", unit="usd-cents", floor=-1)
        return ConfigurationEffect(accounts=(change,))
    return SpendEffect(from_account=RESERVE, to_account=PAID, unit="usd-cents", amount=1)


def _newcomer(name: str) -> MemberId:
    return f"{ORG}/new-{name}"
