"""Agreements as shared objects: their keepers add signatures that verify, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.agreeing import PREFIX, SIGNATURES_OF_KEEPER_MAX, join_agreements
from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.kernel.timers import Timers
from nodeimpl.sharing.exchange import Exchange
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharingLimits
from opkit.proof.agreement import signing_of
from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation, sign_operation
from opkit.proof.terms import agreement_id, spell_terms
from opkit.wire import agreements as wire
from opkit.wire.objects import ObjectHeads, OpeningRejected, OperationsGiven
from opkit.wire.operations import (
    Act,
    AddAct,
    AdmitAct,
    ExpelAct,
    LogFull,
    Operation,
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

    def __init__(
        self, store: Store, clock: VirtualClock, name: str, most: int, generation: int
    ) -> None:
        self.store = store
        self.key = key_of(f"{name}-node")
        limits = SharingLimits(objects_max=most)
        self.sharing = Sharing(self.key, network=NETWORK, limits=limits, generation=generation)
        self.exchange = Exchange(self.sharing)
        self.agreements: Agreements = join_agreements(
            self.key, genesis_of(), self.sharing, timers=Timers(store=store, clock=clock)
        )
        self.said: list[ReadOperation] = []
        self.sharing.changed(PREFIX, lambda _tx, _id, read: self.said.append(read))

    async def open(self, object_id: str = OBJECT, opening: str = spell_terms(TERMS)) -> bool:
        return await self.store.write(lambda tx: self.sharing.open(tx, object_id, opening))

    async def say(self, act: Act) -> str:
        return await self.store.write(lambda tx: self.sharing.say(tx, OBJECT, act))

    async def hear(self, *said: ReadOperation) -> None:
        """Take what another keeper says."""

        def work(tx: Tx) -> None:
            for each in said:
                self.sharing.replica(tx, OBJECT).take_read(each, tx.now_ms)
            self.sharing.keep(tx, OBJECT)

        await self.store.write(work)

    async def pull(self, told: ObjectHeads, *said: ReadOperation) -> None:
        """Hear of what each other keeper has, and take it, as nodes do."""
        tokens = tuple(each.token for each in said)
        for name in ("yard-node", "hall-node"):
            await self._pull(key_of(name).did, told, tokens)

    async def _pull(self, peer: str, told: ObjectHeads, tokens: tuple[str, ...]) -> None:
        heard = await self.store.write(lambda tx: self.exchange.hear(tx, peer, [told]))
        if not heard.lacking:
            return
        pull, question = await self.store.write(lambda tx: self.exchange.begin(tx, OBJECT))
        while question is not None:
            came = self.exchange.read(pull, OperationsGiven(operations=tokens, more=False))
            tokens = ()
            question = await self.store.write(
                lambda tx, came=came: self.exchange.step(tx, peer, pull, came, more=False)
            )

    async def heads(self) -> tuple[str, ...]:
        """What nothing follows, as the replica has it that was read from the operations."""
        return await self.store.write(lambda tx: self.sharing.replica(tx, OBJECT).frontier().heads)

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
        story: Callable[[Keeper], Awaitable[None]],
        *,
        name: str = "mill",
        most: int = 4,
        generation: int = 1,
    ) -> None:
        async def main() -> None:
            clock = VirtualClock(start_ms=START_MS)
            store = await Store.open(url=f"sqlite:///{tmp_path}/{name}.db", clock=clock)
            try:
                await story(Keeper(store, clock, name, most, generation))
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


def history(author: Identity, *signings: str, tick: int = 0) -> list[ReadOperation]:
    """Return what a keeper says of the agreement, beside whatever else it said of it."""
    said: list[ReadOperation] = []
    for number, signing in enumerate(signings, 1):
        operation = Operation(
            network=NETWORK,
            aud=OBJECT,
            did=author.did,
            epoch=0,
            base=None,
            sequence=number,
            previous=said[-1].id if said else None,
            parents=(),
            time_ms=START_MS,
            tick=tick + number,
            act=AddAct(element=signing),
        )
        said.append(sign_operation(operation, author))
    return said


def test_a_keeper_that_fills_its_room_takes_nobodys_and_all_is_there_after_a_restart(
    told: Callable[..., None],
) -> None:
    most = SIGNATURES_OF_KEEPER_MAX
    arbiter, yard = key_of("hall-node"), key_of("yard-node")
    one, other, third = (
        history(arbiter, *[shared("yard")] * (most + 1), tick=tick) for tick in (0, 100, 200)
    )
    heads: list[tuple[str, ...]] = []

    async def story(mill: Keeper) -> None:
        await mill.open()
        await mill.hear(*one[:most], other[0])
        for full in (one[most], other[1], third[0]):
            with pytest.raises(LogFull) as no:
                await mill.hear(full)
            assert no.value.limit == most
        assert len(mill.said) == most + 1, "and one that proves two histories"
        ((_, forked, _, _),) = await mill.store.read(mill.sharing.forks)
        assert forked == arbiter.did
        await mill.decided()
        await mill.hear(*history(yard, shared("yard", action="end")))
        assert (await mill.show()).state == "ending"
        heads.append(await mill.heads())

    async def again(mill: Keeper) -> None:
        assert await mill.heads() == heads[0]
        assert (await mill.show()).state == "ending"
        with pytest.raises(LogFull):
            await mill.hear(third[0])

    told(story)
    told(again)


def test_where_there_is_no_room_to_share_nothing_is_signed(told: Callable[..., None]) -> None:
    async def story(mill: Keeper) -> None:
        await mill.decided(terms_of(text="another"))
        with pytest.raises(wire.AgreementsFull):
            await mill.decided()
        with pytest.raises(wire.AgreementUnknown):
            await mill.show()

    told(story, most=1)


def test_a_home_whose_own_room_is_full_signs_nothing(told: Callable[..., None]) -> None:
    async def story(mill: Keeper) -> None:
        await mill.open()
        for _ in range(SIGNATURES_OF_KEEPER_MAX):
            await mill.say(AddAct(element=shared("yard")))
        with pytest.raises(wire.AgreementsFull) as full:
            await mill.decided()
        assert full.value.limit == SIGNATURES_OF_KEEPER_MAX
        assert [each.coop for each in (await mill.show()).signatures] == ["yard"]

    told(story)


def having(*heads: str) -> ObjectHeads:
    return ObjectHeads(aud=OBJECT, epoch=0, base=None, heads=heads)


def test_what_is_decided_after_a_loss_is_told_under_the_next_number_once_that_is_known(
    told: Callable[..., None],
) -> None:
    (before,) = history(key_of("mill-node"), shared("yard"))

    async def story(mill: Keeper) -> None:
        await mill.decided()
        assert not mill.said, "nobody has said yet what this home had said"
        assert [each.coop for each in (await mill.show()).signatures] == ["mill"]

    async def again(mill: Keeper) -> None:
        await mill.pull(having(before.id), before)
        first, second = mill.said
        assert first.id == before.id
        assert (second.operation.sequence, second.operation.previous) == (2, before.id)
        assert second.operation.act == AddAct(element=shared("mill"))
        assert (await mill.show()).state == "active"
        assert not await mill.store.read(mill.sharing.forks)
        await mill.pull(having(second.id))
        assert len(mill.said) == 2, "it is told once"

    told(story, generation=2)
    told(again, generation=2)


def test_what_was_decided_and_told_before_a_loss_is_not_told_again(
    told: Callable[..., None],
) -> None:
    (before,) = history(key_of("mill-node"), shared("mill"))

    async def story(mill: Keeper) -> None:
        await mill.decided()
        await mill.pull(having(before.id), before)
        assert [each.id for each in mill.said] == [before.id]

    told(story, generation=2)


def test_what_is_agreed_on_for_the_first_time_after_a_loss_is_told_once_another_has_nothing_of_it(
    told: Callable[..., None],
) -> None:
    async def story(mill: Keeper) -> None:
        await mill.decided()
        assert not mill.said
        await mill.pull(having())
        (read,) = mill.said
        assert (read.operation.sequence, read.operation.act) == (1, AddAct(element=shared("mill")))

    told(story, generation=2)


def test_what_finds_no_room_after_a_loss_undoes_nothing_that_came(
    told: Callable[..., None],
) -> None:
    filled = history(key_of("mill-node"), *[shared("yard")] * SIGNATURES_OF_KEEPER_MAX)

    async def story(mill: Keeper) -> None:
        await mill.decided()
        await mill.pull(having(filled[-1].id), *filled)
        assert len(mill.said) == SIGNATURES_OF_KEEPER_MAX
        assert (await mill.show()).state == "active"

    told(story, generation=2)
