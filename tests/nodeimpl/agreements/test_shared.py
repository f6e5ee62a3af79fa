"""Agreements as shared objects: their keepers add signatures that verify, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.agreeing import PREFIX, join_agreements
from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.timers import Timers
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharingLimits
from opkit.proof.agreement import signing_of
from opkit.proof.operations import ReadOperation
from opkit.proof.terms import agreement_id, spell_terms
from opkit.wire import agreements as wire
from opkit.wire.objects import OpeningRejected
from opkit.wire.operations import (
    Act,
    AddAct,
    AdmitAct,
    ExpelAct,
    OperationRejected,
    RemoveAct,
    SetAct,
)
from opkit.wire.terms import AgreementEffect, Terms
from tests.opkit.proof.pacts import NETWORK, START_MS, genesis_of, key_of, signed_by, terms_of

TERMS = terms_of()
AGREEMENT = agreement_id(TERMS)
OBJECT = PREFIX + AGREEMENT


class Keeper:
    """A node's agreements and its shared objects, on one store, without peers."""

    def __init__(self, store: Store, clock: VirtualClock, name: str, most: int) -> None:
        self.store = store
        self.key = key_of(f"{name}-node")
        self.sharing = Sharing(self.key, network=NETWORK, limits=SharingLimits(objects_max=most))
        self.agreements: Agreements = join_agreements(
            self.key, genesis_of(), self.sharing, timers=Timers(store=store, clock=clock)
        )
        self.said: list[ReadOperation] = []
        self.sharing.changed(PREFIX, lambda _tx, _id, read: self.said.append(read))

    async def open(self, object_id: str = OBJECT, opening: str = spell_terms(TERMS)) -> bool:
        return await self.store.write(lambda tx: self.sharing.open(tx, object_id, opening))

    async def say(self, act: Act) -> str:
        return await self.store.write(lambda tx: self.sharing.say(tx, OBJECT, act))

    async def decided(self, terms: Terms = TERMS) -> None:
        cited = signed_by("mill", terms)
        effect = AgreementEffect(action="adopt", agreement=agreement_id(terms), terms=terms)
        await self.store.write(
            lambda tx: self.agreements.decided(
                tx, effect, coop="mill", decision=cited.decision, attested=cited.attested
            )
        )

    async def show(self) -> wire.AgreementView:
        ask = wire.ReadAgreement(agreement=AGREEMENT)
        return await self.store.read(lambda tx: self.agreements.show(tx, ask, None))


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., None]:
    """Tell a story of one keeper."""

    def run(
        story: Callable[[Keeper], Awaitable[None]], *, name: str = "mill", most: int = 4
    ) -> None:
        async def main() -> None:
            clock = VirtualClock(start_ms=START_MS)
            store = await Store.open(url=f"sqlite:///{tmp_path}/{name}.db", clock=clock)
            try:
                await story(Keeper(store, clock, name, most))
            finally:
                await store.close()

        asyncio.run(asyncio.wait_for(main(), 60))

    return run


def shared(coop: str, **changes: Any) -> str:
    return signing_of(signed_by(coop, TERMS, **changes), terms=TERMS)


def test_what_was_decided_is_said_once_and_kept(told: Callable[..., None]) -> None:
    async def story(mill: Keeper) -> None:
        await mill.decided()
        (read,) = mill.said
        assert read.operation.act == AddAct(element=shared("mill"))
        assert [each.coop for each in (await mill.show()).signatures] == ["mill"]

    told(story)


def test_whoever_shares_a_signature_that_verifies_is_believed(told: Callable[..., None]) -> None:
    async def story(hall: Keeper) -> None:
        await hall.open()
        with pytest.raises(wire.AgreementUnknown):
            await hall.show()
        for coop in ("yard", "mill"):
            await hall.say(AddAct(element=shared(coop)))
        view = await hall.show()
        assert (view.state, view.unsigned) == ("active", ())

    told(story, name="hall")


@pytest.mark.parametrize(
    "make",
    [
        lambda first: AddAct(element="x"),
        lambda first: AddAct(element=shared("yard", at_ms=START_MS - 1)),
        lambda first: AddAct(element=shared("yard").replace("We agree", "We do")),
        lambda first: AddAct(element=shared("wharf")),
        lambda first: RemoveAct(over=(first,)),
        lambda first: SetAct(value="x"),
        lambda first: AdmitAct(did=key_of("wharf-node").did),
        lambda first: ExpelAct(did=key_of("yard-node").did),
    ],
)
def test_nothing_else_is_ever_said_of_an_agreement(
    told: Callable[..., None], make: Callable[[str], Act]
) -> None:
    async def story(mill: Keeper) -> None:
        await mill.decided()
        with pytest.raises(OperationRejected):
            await mill.say(make(mill.said[0].id))
        assert len(mill.said) == 1
        assert [each.coop for each in (await mill.show()).signatures] == ["mill"]

    told(story)


@pytest.mark.parametrize(
    ("object_id", "opening"),
    [
        (PREFIX + "0" * 64, spell_terms(TERMS)),
        (OBJECT, spell_terms(terms_of(notice_days=1))),
        (OBJECT, "x"),
        (OBJECT, spell_terms(TERMS) + " "),
        (
            PREFIX + agreement_id(terms_of(arbiter="nobody")),
            spell_terms(terms_of(arbiter="nobody")),
        ),
    ],
)
def test_an_agreement_is_opened_with_exactly_the_terms_that_it_is_named_by(
    told: Callable[..., None], object_id: str, opening: str
) -> None:
    async def story(mill: Keeper) -> None:
        with pytest.raises(OpeningRejected):
            await mill.open(object_id, opening)

    told(story)


def test_who_stands_nowhere_between_keeps_nothing(told: Callable[..., None]) -> None:
    async def story(wharf: Keeper) -> None:
        with pytest.raises(OpeningRejected):
            await wharf.open()

    told(story, name="wharf")


def test_where_there_is_no_room_to_share_nothing_is_signed(told: Callable[..., None]) -> None:
    async def story(mill: Keeper) -> None:
        await mill.decided(terms_of(text="another"))
        with pytest.raises(wire.AgreementsFull):
            await mill.decided()
        with pytest.raises(wire.AgreementUnknown):
            await mill.show()

    told(story, most=1)
