"""A node that keeps agreements: its store and its deadlines, told what others sign."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nodeimpl.agreements.rules import Limits
from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.timers import Timers
from opkit.proof.agreement import signing_of
from opkit.proof.terms import agreement_id
from opkit.wire import agreements as wire
from opkit.wire.endpoint import Scope
from opkit.wire.terms import Action, AgreementEffect, Terms
from tests.nodeimpl.agreements.told import Told
from tests.opkit.proof.pacts import START_MS, genesis_of, key_of, signed_by, terms_of

TEST_S_MAX = 60


class Keeper:
    """A node's agreements on a real store, asked as governance, peers and the gateway ask them."""

    def __init__(
        self, store: Store, clock: VirtualClock, *, node: str, limits: Limits | None
    ) -> None:
        self.store, self.clock = store, clock
        self.told = Told()
        self.timers = Timers(store=store, clock=clock)
        self.agreements = Agreements(
            identity=key_of(f"{node}-node"),
            genesis=genesis_of(),
            timers=self.timers,
            shared=self.told,
            limits=limits,
        )
        self.caller = Caller(
            member_id=f"{node}/ann",
            did=key_of(f"{node}/ann").did,
            scopes=frozenset(Scope),
            address="test",
            token_id="0" * 32,
        )

    async def decided(
        self, terms: Terms, coop: str = "mill", action: Action = "adopt", **changes: Any
    ) -> str:
        """Have the coop's home sign what it decided."""
        effect = AgreementEffect(
            action=action,
            agreement=changes.pop("agreement", agreement_id(terms)),
            terms=terms if action == "adopt" else None,
        )
        cited = signed_by(coop, terms, action)
        return await self.store.write(
            lambda tx: self.agreements.decided(
                tx, effect, coop=coop, decision=cited.decision, attested=cited.attested
            )
        )

    async def heard(self, terms: Terms, coop: str, action: Action = "adopt", **changes: Any) -> str:
        """Hear of a signature; return why it is not kept."""
        signing = signing_of(signed_by(coop, terms, action, **changes), terms=terms)
        agreement = agreement_id(terms)
        return await self.store.write(
            lambda tx: self.agreements.heard(tx, agreement, terms, signing)
        )

    async def signed(self, terms: Terms, *coops: str, **changes: Any) -> str:
        """Hear of the signatures of all parties, or of some."""
        for coop in coops or terms.parties:
            assert await self.heard(terms, coop, **changes) == ""
        return agreement_id(terms)

    async def bring(self, data: bytes) -> wire.AgreementView:
        ask = wire.BringAgreement(file=data)
        proven = await self.agreements.prove(ask, self.caller)
        return await self.store.write(
            lambda tx: self.agreements.bring(tx, ask, self.caller, proven)
        )

    async def show(self, agreement: str) -> wire.AgreementView:
        ask = wire.ReadAgreement(agreement=agreement)
        return await self.store.read(lambda tx: self.agreements.show(tx, ask, self.caller))

    async def state(self, terms: Terms) -> str:
        return (await self.show(agreement_id(terms))).state

    async def file(self, agreement: str) -> bytes:
        ask = wire.ReadAgreementFile(agreement=agreement)
        return (await self.store.read(lambda tx: self.agreements.file(tx, ask, self.caller))).file

    async def use(self, agreement: str) -> wire.AgreementInForce:
        ask = wire.UseAgreement(agreement=agreement)
        return await self.store.read(lambda tx: self.agreements.use(tx, ask, self.caller))

    async def active(self, agreement: str, world_ms: int | None = None) -> Terms:
        at_ms = self.clock.world_ms() if world_ms is None else world_ms
        return await self.store.read(lambda tx: self.agreements.active(tx, agreement, at_ms))

    async def page(self, **ask: Any) -> wire.AgreementPage:
        asked = wire.ListAgreements(**ask)
        return await self.store.read(lambda tx: self.agreements.list(tx, asked, self.caller))

    async def judge(self, effect: AgreementEffect, coop: str = "mill") -> None:
        await self.store.write(lambda tx: self.agreements.judge(tx, effect, coop=coop))

    async def pass_time(self, ms: int) -> None:
        """Let time pass, and have done what is due."""
        self.clock.advance(ms)
        await self.store.write(self.timers.catch_up)

    async def events(self, type_: str) -> list[dict[str, Any]]:
        """Return what was journalled of one type."""
        entries = await self.store.read_journal(after=None, entries_max=1_000)
        return [json.loads(each.body) for each in entries if each.type == type_]


@dataclass(frozen=True)
class Made:
    """What makes keepers in a test."""

    url: str

    def run(
        self,
        story: Callable[[Keeper], Awaitable[None]],
        *,
        node: str = "mill",
        limits: Limits | None = None,
    ) -> None:
        """Tell a story on a fresh node; it is the moment at which terms begin."""

        async def main() -> None:
            clock = VirtualClock(start_ms=START_MS)
            store = await Store.open(url=self.url, clock=clock)
            try:
                await story(Keeper(store, clock, node=node, limits=limits))
            finally:
                await store.close()

        asyncio.run(asyncio.wait_for(main(), TEST_S_MAX))


@pytest.fixture
def made(store_url: str) -> Made:
    """Return what makes keepers on an engine."""
    return Made(url=store_url)


@pytest.fixture
def made_once(tmp_path: Any) -> Made:
    """Return what makes keepers where the engine makes no difference."""
    return Made(url=f"sqlite:///{tmp_path}/node.db")


@pytest.fixture
def terms() -> Terms:
    """Return terms between mill and yard."""
    return terms_of()
