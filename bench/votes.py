"""A vote of 10,000 members: cast one by one, closed, and its file verified by the command.

Every member has a chain and a key of their own, and every ballot is judged, kept and answered with
a signed receipt as an ask over HTTP has it; a tenth delegate instead. The file is verified by
`opkit decision verify` in a process of its own, its start included.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bench.network import opkit
from bench.node import engines
from bench.rows import Engine, Row, quick, row
from devnet.cluster import running_cluster
from nodeimpl.governance.service import Governance
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.ledger.service import Ledger
from nodeimpl.membership.decided import AssemblyMembers
from nodeimpl.membership.rules import Limits
from nodeimpl.membership.service import Membership
from opkit.proof import jws
from opkit.proof.ballots import make_ballot, make_delegation
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.proposals import sign_proposal
from opkit.wire import governance as wire
from opkit.wire.base import Did, Jws, Slug
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.membership import MEMBER_TYP, ChangeMember, MemberRecord
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import Proposal, TextEffect

COOP = "yard"
NETWORK = "a" * 26
MEMBERS, QUICK_MEMBERS = 10_000, 200
AT_ONCE = 200
PERIOD_MS = 7 * 86_400_000
CHAIR = f"{COOP}/chair"


def votes() -> list[Row]:
    """How long it takes to close a vote of 10,000, to put its file together, and to verify it."""
    return [found for engine in engines() for found in _of_engine(engine)]


def _of_engine(engine: Engine) -> list[Row]:
    members = QUICK_MEMBERS if quick() else MEMBERS
    with _store_url(engine) as url, tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
        took = asyncio.run(_measure(url, members, Path(folder)))
        began = time.perf_counter()
        opkit(
            *("decision", "verify", str(Path(folder) / "decision.json")),
            *("--genesis", str(Path(folder) / "genesis.jws")),
        )
        verified_s = time.perf_counter() - began
    told = f"vote of {members:,} members, {engine}"
    return [
        row(f"{told}, closed", took.close_s, "s", target="<= 5", of=[took.close_s]),
        row(f"{told}, verified offline", verified_s, "s", target="<= 5", of=[verified_s]),
        row(f"{told}, ballots cast", took.cast_per_s, "/s", target="", of=[took.cast_per_s]),
        row(f"{told}, opened", took.open_s, "s", target="", of=[took.open_s]),
        row(f"{told}, file put together", took.file_s, "s", target="", of=[took.file_s]),
        row(f"{told}, file", took.file_mb, "MB", target="", of=[took.file_mb]),
    ]


@contextlib.contextmanager
def _store_url(engine: Engine) -> Iterator[str]:
    """Have an empty database meanwhile."""
    if engine == "PostgreSQL":
        with running_cluster() as cluster:
            yield cluster.create("bench")
    else:
        with tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
            yield f"sqlite:///{folder}/node.db"


@dataclass(frozen=True, kw_only=True)
class _Took:
    """What was measured of one vote."""

    open_s: float
    cast_per_s: float
    close_s: float
    file_s: float
    file_mb: float


async def _measure(url: str, members: int, folder: Path) -> _Took:
    clock = RealClock()
    store = await Store.open(url=url, clock=clock)
    try:
        assembly = _Assembly(store, clock, members)
        await assembly.fill()
        (folder / "genesis.jws").write_text(assembly.genesis.token, "ascii")
        began = time.perf_counter()
        view = await assembly.open()
        open_s = time.perf_counter() - began
        cast_per_s = await assembly.cast(view)
        clock.move_world(clock.offset_ms + PERIOD_MS)
        began = time.perf_counter()
        closed = await assembly.close(view)
        close_s = time.perf_counter() - began
        assert closed.tally.cast == members, closed.tally
        began = time.perf_counter()
        file = await assembly.file(view)
        file_s = time.perf_counter() - began
        (folder / "decision.json").write_bytes(file)
        return _Took(
            open_s=open_s,
            cast_per_s=cast_per_s,
            close_s=close_s,
            file_s=file_s,
            file_mb=len(file) / 1_000_000,
        )
    finally:
        await store.close()


class _Assembly:
    """A home node without its doors, and the keys of all members."""

    def __init__(self, store: Store, clock: RealClock, members: int) -> None:
        self._store = store
        self._clock = clock
        self._operator, self._home, chair = (Identity.generate() for _ in range(3))
        self.genesis = _genesis(operator=self._operator, home=self._home, chair=chair)
        self._keys = {CHAIR: chair}
        self._keys |= {f"{COOP}/m{number:05}": Identity.generate() for number in range(1, members)}
        self._membership = Membership(
            store=store,
            identity=self._home,
            genesis=self.genesis,
            clock=clock,
            limits=Limits(members_max=members + 1),
        )
        self._governance = Governance(
            identity=self._home,
            genesis=self.genesis,
            store=store,
            clock=clock,
            timers=Timers(store=store, clock=clock),
            members=AssemblyMembers(self._membership),
            ledger=Ledger(own=self._home.did, genesis=self.genesis),
            agreements=_Nothing(),
            homes=_Nobody(),
        )

    async def fill(self) -> None:
        """Have the operator add every member but the chair, by a record each."""
        await self._membership.seed()
        await self._at_once(self._add(member_id) for member_id in self._keys if member_id != CHAIR)

    async def open(self) -> wire.ProposalView:
        """Have the chair open a proposal."""
        parts = self._governance
        ask = wire.AskAssembly(coop=COOP)
        state = await self._store.read(lambda tx: parts.assemblies.assembly(tx, ask, None, None))
        proposal = Proposal(
            network=NETWORK,
            aud=COOP,
            did=self._keys[CHAIR].did,
            member_id=CHAIR,
            proposal_id="paint",
            title="Paint",
            text="",
            effect=TextEffect(),
            treasury_nonce=None,
            rule=state.rule,
            electorate_hash=state.electorate_hash,
            electors=state.electors,
            issued_at_ms=self._clock.world_ms(),
        )
        signed = wire.Propose(coop=COOP, proposal=sign_proposal(proposal, self._keys[CHAIR]))
        view: wire.ProposalView = await self._ask(
            parts.proposing.propose, signed, parts.proposing.prove
        )
        return view

    async def cast(self, view: wire.ProposalView) -> float:
        """Have everybody vote, a tenth by a delegation to the chair; return ballots a second."""
        voting = self._governance.voting
        ballots, delegations = [], []
        for number, (member_id, key) in enumerate(self._keys.items()):
            said: dict[str, Any] = {"network": NETWORK, "member_id": member_id, "sequence": 1}
            at_ms = self._clock.world_ms()
            if number % 10 == 9:
                token = make_delegation(key, **said, to=CHAIR, at_ms=at_ms)
                delegations.append(wire.Delegate(coop=COOP, delegation=token))
            else:
                choice: Any = "no" if number % 4 == 3 else "yes"
                token = make_ballot(key, **said, proposal=view.proposal, choice=choice, at_ms=at_ms)
                ballots.append(wire.CastVote(coop=COOP, proposal_id="paint", ballot=token))
        await self._at_once(
            self._ask(voting.delegate, each, voting.prove_delegation) for each in delegations
        )
        began = time.perf_counter()
        await self._at_once(self._ask(voting.cast, each, voting.prove) for each in ballots)
        return len(ballots) / (time.perf_counter() - began)

    async def close(self, view: wire.ProposalView) -> wire.ProposalView:
        """Have the vote closed."""
        ask = wire.CloseProposal(coop=COOP, proposal_id=view.proposal_id)
        closed: wire.ProposalView = await self._ask(self._governance.deciding.close, ask)
        return closed

    async def file(self, view: wire.ProposalView) -> bytes:
        """Return the decision's file."""
        ask = wire.AskDecision(coop=COOP, proposal_id=view.proposal_id)
        return (await self._governance.files.decision(ask, _caller(self._keys[CHAIR].did))).file

    async def _add(self, member_id: str) -> None:
        record = MemberRecord(
            network=NETWORK,
            aud=COOP,
            action="add",
            member_id=member_id,
            name=member_id,
            title="",
            did=self._keys[member_id].did,
            roles=("member",),
            sequence=1,
            issued_at_ms=self._clock.now_ms(),
        )
        ask = ChangeMember(record=jws.sign(record, typ=MEMBER_TYP, identity=self._operator))
        await self._ask(self._membership.change, ask, self._membership.prove_record)

    async def _ask(self, handle: Any, ask: Any, prepare: Any = None) -> Any:
        """Have a change made, as the gateway does."""
        caller = _caller(self._keys[CHAIR].did)
        prepared = await prepare(ask, caller) if prepare else None
        return await self._store.write(lambda tx: handle(tx, ask, caller, prepared))

    @staticmethod
    async def _at_once(asks: Iterable[Any]) -> None:
        """Wait for many, a bounded number at a time."""
        waiting = iter(asks)

        async def work() -> None:
            for each in waiting:
                await each

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())


class _Nobody:
    """No other home: nothing is lodged here."""

    async def pass_ballot(self, home: Did, ask: wire.PassBallot) -> NoReturn:
        raise AssertionError("nothing is lodged here")


class _Nothing:
    """No agreement: all that is voted on here is text."""

    def judge(self, tx: Tx, effect: AgreementEffect, *, coop: Slug) -> NoReturn:
        raise AssertionError("nothing is agreed on here")

    def decided(
        self, tx: Tx, effect: AgreementEffect, *, coop: Slug, decision: Jws, attested: Jws
    ) -> NoReturn:
        raise AssertionError("nothing is agreed on here")


def _caller(did: Did) -> Caller:
    return Caller(member_id=CHAIR, did=did, scopes=frozenset(), address="bench", token_id="0" * 32)


def _genesis(*, operator: Identity, home: Identity, chair: Identity) -> GenesisView:
    founder = Founder(member_id=CHAIR, name="Chair", title="", did=chair.did, roles=("member",))
    charter = Charter(
        network=NETWORK,
        coop=COOP,
        title="Yard",
        home_node=home.did,
        founders=(founder,),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=PERIOD_MS,
        challenge_window_ms=86_400_000,
    )
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=operator.did,
        created_ms=1,
        nodes=(GenesisNode(org=COOP, title="Yard", did=home.did, coop=COOP),),
        charters=(sign_charter(charter, {CHAIR: chair}),),
    )
    return read_genesis(sign_genesis(genesis, operator))
