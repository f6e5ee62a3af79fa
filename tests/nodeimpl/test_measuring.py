"""What a scrape shows of shared objects, agreements and exchanges is what there is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, get_args

from nodeimpl.agreeing import PREFIX, join_agreements
from nodeimpl.clearing import store as tables
from nodeimpl.kernel.metrics import Metrics
from nodeimpl.kernel.timers import Timers
from nodeimpl.measuring import watch_coops
from nodeimpl.sharing.replicating import Replicator
from nodeimpl.sharing.service import Sharing
from opkit.proof import clearing as proof
from opkit.proof.agreement import signing_of
from opkit.proof.terms import agreement_id, spell_terms
from opkit.wire import clearing as wire
from opkit.wire import objects
from opkit.wire.base import Did, Slug
from opkit.wire.errors import Unreachable
from opkit.wire.operations import AddAct
from tests.operations import first_operation
from tests.opkit.proof import pacts
from tests.simulation.town import ARBITER, NETWORK, Home, Town, key_of, terms_of

TWO = terms_of("apple", "birch")


YARD = pacts.key_of("yard-node")


class OnePeer:
    """The connections of a node to one peer, which gives operations, or answers nothing."""

    def __init__(self) -> None:
        self.banned: list[Did] = []
        self.gives: tuple[str, ...] = ()

    def connected(self) -> tuple[Did, ...]:
        return (YARD.did,)

    async def ask(self, peer: Did, method: Any, ask: Any) -> Any:
        del ask
        if self.gives and method in (objects.LACKING, objects.GIVE):
            return objects.OperationsGiven(operations=self.gives, more=False)
        raise Unreachable(where=peer, why="it is gone")

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        del why, ms
        self.banned.append(peer)


class Measured:
    """A home of a town with what is scraped of it; its agreements are told by hand."""

    def __init__(self, town: Town, home: Home) -> None:
        self.home = home
        self.links = OnePeer()
        key = pacts.key_of("mill-node")
        self.sharing = sharing = Sharing(key, network=NETWORK)
        self.agreements = join_agreements(
            key, pacts.genesis_of(), sharing, timers=Timers(store=home.store, clock=town.clock)
        )
        self.replicator = Replicator(sharing, store=home.store, links=self.links, clock=town.clock)
        self.metrics = Metrics()
        watch_coops(
            self.metrics,
            home.store,
            replicator=self.replicator,
            agreements=self.agreements,
            clearing=home.clearing,
        )

    async def shows(self, *lines: str) -> None:
        """Check that a scrape has these lines, without the prefix that all have."""
        text = (await self.metrics.scrape()).decode()
        lacking = {f"opkit_{line}" for line in lines} - set(text.splitlines())
        assert not lacking, f"{lacking} in {text}"

    async def comes_to(self, *lines: str) -> None:
        """Wait until a scrape has these lines; the story's own time is the limit."""
        while True:
            text = (await self.metrics.scrape()).decode().splitlines()
            if {f"opkit_{line}" for line in lines} <= set(text):
                return
            await asyncio.sleep(0.01)


def measured(folder: Path, story: Any, of: Slug) -> None:
    """Tell a story in a fresh town, in which one home is measured."""

    async def main() -> None:
        async with asyncio.timeout(120), Town(folder) as town:
            await story(town, Measured(town, town.homes[of]))

    asyncio.run(main())


def test_exchanges_are_counted_as_they_end_and_those_in_doubt_as_they_stand(tmp_path: Path) -> None:
    async def story(town: Town, birch: Measured) -> None:
        name = town.agreements.add(TWO)
        nothing = [
            f'exchanges_ended_total{{outcome="{each}"}} 0.0' for each in get_args(wire.Ending)
        ]
        await birch.shows(*nothing, "exchanges_in_doubt 0.0", "exchange_errands 0.0")
        await town.offer("apple", "birch", 40, agreement=name)
        town.weather = lambda _: "no-answer"
        await town.offer("apple", "birch", 5, agreement=name, name="x2")
        # Birch accepted, and has to ask its proposer, and in the end the arbiter.
        await birch.shows(
            'exchanges_ended_total{outcome="committed"} 1.0',
            'exchanges_ended_total{outcome="aborted"} 0.0',
            "exchanges_in_doubt 1.0",
            "exchange_errands 2.0",
        )
        town.clock.advance(60_000)
        town.weather = lambda message: "no-ask" if message.method == "clearing.offer" else "pass"
        await town.come_to_rest()
        await birch.shows(
            'exchanges_ended_total{outcome="committed"} 1.0',
            'exchanges_ended_total{outcome="aborted"} 1.0',
            "exchanges_in_doubt 0.0",
            "exchange_errands 0.0",
        )
        # A store that is closed is asked no more; what was seen last stays.
        await birch.home.store.close()
        await birch.shows("exchanges_in_doubt 0.0", 'agreements{state="active"} 0.0')

    measured(tmp_path, story, "birch")


def test_an_errand_that_a_defect_ends_is_counted(tmp_path: Path) -> None:
    async def story(town: Town, birch: Measured) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("apple", "birch", 40, agreement=name)
        await birch.shows("exchange_errands_broken_total 0.0")

        async def broken(_: str, ask: wire.AskOutcome) -> wire.OutcomeTaken:
            raise ZeroDivisionError(ask.offer)

        town.homes["apple"].handlers[wire.ASK_OUTCOME.name] = broken
        town.clock.advance(town.limits.ask_after_ms)
        await town.serve("birch")
        await birch.shows("exchange_errands_broken_total 1.0", "exchanges_in_doubt 1.0")

    measured(tmp_path, story, "birch")


def test_an_arbiters_rulings_are_counted_where_it_gave_them(tmp_path: Path) -> None:
    async def story(town: Town, umpire: Measured) -> None:
        name = town.agreements.add(TWO)
        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("apple", "birch", 40, agreement=name)
        await town.stop("apple")
        town.weather = lambda _: "pass"
        await town.come_to_rest()
        await umpire.shows(
            'exchange_rulings_total{outcome="aborted"} 1.0',
            'exchange_rulings_total{outcome="committed"} 0.0',
            'exchanges_ended_total{outcome="aborted"} 0.0',
        )

    measured(tmp_path, story, ARBITER)


def test_a_proposer_that_says_two_things_is_counted_once_and_kept_as_a_proof(
    tmp_path: Path,
) -> None:
    async def story(town: Town, birch: Measured) -> None:
        name = town.agreements.add(TWO)
        done = await town.offer("apple", "birch", 40, agreement=name)
        store = birch.home.store
        kept = await store.read(lambda tx: tables.get(tx, coop="birch", exchange=done.hash))
        assert kept is not None
        abort = wire.Abort(
            network=NETWORK,
            did=key_of("apple").did,
            coop="apple",
            offer=done.hash,
            why="never",
            decided_ms=town.clock.now_ms(),
        )
        other = kept.evidence.model_copy(
            update={"outcome": proof.sign_outcome(abort, key_of("apple"))}
        )
        for _ in range(2):
            ask = wire.TellOutcome(coop="birch", evidence=other)
            said = await town.hear("birch", wire.TELL_OUTCOME.name, ask)
            assert said.evidence.rival == other.outcome
        await birch.shows(
            "exchange_contradictions_total 1.0", 'exchanges_ended_total{outcome="committed"} 1.0'
        )
        entries = await store.read_journal(after=None, entries_max=1_000)
        assert [each.type for each in entries].count(wire.OutcomesContradict.type) == 1

    measured(tmp_path, story, "birch")


def test_agreements_are_shown_by_the_state_that_was_announced_last(tmp_path: Path) -> None:
    terms = pacts.terms_of(network=NETWORK)

    async def story(_: Town, home: Measured) -> None:
        await home.shows('agreements{state="proposed"} 0.0', 'agreements{state="signed"} 0.0')
        states = []
        for coop in terms.parties:
            signing = signing_of(pacts.signed_by(coop, terms), terms=terms)
            why = await home.home.store.write(
                lambda tx, signing=signing: home.agreements.heard(
                    tx, agreement_id(terms), terms, signing
                )
            )
            assert why == ""
            states.append(await home.home.store.read(home.agreements.by_state))
        # The town's time is long after the agreement's beginning.
        assert states == [{"proposed": 1}, {"active": 1}]
        await home.shows('agreements{state="active"} 1.0', 'agreements{state="proposed"} 0.0')

    measured(tmp_path, story, "apple")


def test_what_passes_between_replicas_and_what_does_not_is_counted(tmp_path: Path) -> None:
    terms = pacts.terms_of(network=NETWORK)
    object_id = PREFIX + agreement_id(terms)

    async def story(town: Town, home: Measured) -> None:
        operation = first_operation(
            YARD,
            AddAct(element=signing_of(pacts.signed_by("yard", terms), terms=terms)),
            network=NETWORK,
            aud=object_id,
            at_ms=town.clock.now_ms(),
        )
        heads = objects.ObjectHeads(aud=object_id, epoch=0, base=None, heads=(operation.id,))
        told = objects.TellHeads(objects=(heads,))
        await home.home.store.write(lambda tx: home.sharing.open(tx, object_id, spell_terms(terms)))
        running = asyncio.create_task(home.replicator.run())
        # It is told of the object once, takes nothing, and gives nothing.
        await home.replicator.heard(YARD.did, told)
        await home.comes_to("shared_pulls_failed_total 1.0", "shared_peers_untold_total 1.0")
        await home.shows("shared_operations_pulled_total 0.0", "shared_lies_total 0.0")
        home.links.gives = (operation.token,)
        await home.replicator.heard(YARD.did, told)
        await home.comes_to(
            "shared_operations_pulled_total 1.0", 'agreements{state="proposed"} 1.0'
        )
        lie = heads.model_copy(update={"aud": f"agreement/{'a' * 64}", "opening": "no terms"})
        await home.replicator.heard(YARD.did, objects.TellHeads(objects=(lie,)))
        assert home.links.banned == [YARD.did]
        await home.shows("shared_lies_total 1.0", "shared_pulls_failed_total 1.0")
        running.cancel()
        await asyncio.wait({running})

    measured(tmp_path, story, "apple")
