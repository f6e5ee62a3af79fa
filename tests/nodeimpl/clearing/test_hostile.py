"""What others say, or keep to themselves, costs a side no more than its limit and its patience.

One side, or the arbiter, is not honest here, or something breaks; the other keeps what it promises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from nodeimpl.clearing import store as tables
from opkit.proof import clearing as proof
from opkit.proof import jws
from opkit.wire import clearing as wire
from opkit.wire.base import Jws, Slug
from opkit.wire.clearing import Leg
from opkit.wire.errors import refusal_from
from opkit.wire.ledger import Overdrawn
from tests.simulation.story import tell_in
from tests.simulation.town import ARBITER, LIMITS, NETWORK, START_MS, UNIT, Town, key_of, terms_of
from tests.simulation.truths import at_rest

TWO = terms_of("apple", "birch")
TTL_MS = 5_000


def in_town(folder: Path, story: Callable[[Town], Awaitable[None]]) -> None:
    """Tell a story in a fresh town."""
    tell_in(Town(folder), story, within_s=60)


def offered(agreement: str, **changes: Any) -> Jws:
    """Return an offer by which birch would owe apple, that apple signed without keeping it."""
    said = {
        "network": NETWORK,
        "did": key_of("apple").did,
        "coop": "apple",
        "parties": ("apple", "birch"),
        "exchange_id": "unkept",
        "kind": "exchange",
        "unit": UNIT,
        "legs": (Leg(agreement=agreement, payer="birch", payee="apple", amount=40),),
        "what": "nothing",
        "period": None,
        "arbiter": ARBITER,
        "sequence": 1,
        "offered_ms": START_MS,
        "expires_ms": START_MS + TTL_MS,
    }
    return proof.sign_offer(wire.Offer.model_validate(said | changes), key_of("apple"))


def committed(token: Jws, *acceptances: Jws, ms: int = 1) -> Jws:
    """Return apple's commit."""
    commit = wire.Commit(
        network=NETWORK,
        did=key_of("apple").did,
        coop="apple",
        offer=jws.record_id(token),
        acceptances=tuple(map(jws.record_id, acceptances)),
        decided_ms=ms,
    )
    return proof.sign_outcome(commit, key_of("apple"))


def aborted(token: Jws) -> Jws:
    """Return apple's abort."""
    abort = wire.Abort(
        network=NETWORK,
        did=key_of("apple").did,
        coop="apple",
        offer=jws.record_id(token),
        why="rethought",
        decided_ms=START_MS,
    )
    return proof.sign_outcome(abort, key_of("apple"))


def ruled(token: Jws, ending: wire.Ending, ms: int) -> Jws:
    """Return a ruling."""
    ruling = wire.Ruling(
        network=NETWORK,
        did=key_of(ARBITER).did,
        coop=ARBITER,
        offer=jws.record_id(token),
        ending=ending,
        ruled_ms=ms,
    )
    return proof.sign_ruling(ruling, key_of(ARBITER))


async def tell(town: Town, evidence: wire.Evidence, coop: Slug = "birch") -> wire.OutcomeTaken:
    """Tell a coop how an exchange ended; return how it stands there then."""
    ask = wire.TellOutcome(coop=coop, evidence=evidence)
    taken: wire.OutcomeTaken = await town.hear(coop, wire.TELL_OUTCOME.name, ask)
    return taken


async def accepted(town: Town, token: Jws, coop: Slug = "birch") -> Jws:
    """Have a coop accept an offer; return its acceptance."""
    ask = wire.OfferExchange(offer=token, coop=coop)
    said: wire.OfferAccepted = await town.hear(coop, wire.OFFER_EXCHANGE.name, ask)
    return said.acceptance


async def evidence_of(town: Town, exchange: str, coop: Slug = "birch") -> wire.Evidence:
    """Return what a side keeps of an exchange."""
    kept = await town.homes[coop].store.read(partial(tables.get, coop=coop, exchange=exchange))
    assert kept is not None
    return kept.evidence


async def side_of(town: Town, token: Jws, coop: Slug = "birch") -> wire.Exchange:
    """Return how a side stands."""
    return (await town.sides())[jws.record_id(token)][coop]


async def pass_time(town: Town, ms: int, *coops: Slug, step_ms: int = 1_000) -> None:
    """Let some homes say what they have to while time passes."""
    for _ in range(ms // step_ms):
        for coop in coops:
            await town.serve(coop)
        town.clock.advance(step_ms)


def test_an_arbiter_that_names_a_time_far_off_is_asked_again_soon(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        token = offered(town.agreements.add(TWO))
        await accepted(town, token)
        await town.stop("apple")
        umpire = town.homes[ARBITER].handlers
        honest = umpire[wire.ASK_RULING.name]
        far = refusal_from(wire.RulingEarly(until_ms=10**30).problem())
        asked: list[int] = []

        async def put_off(peer: str, ask: Any) -> Any:
            del peer, ask
            asked.append(town.clock.now_ms())
            raise far

        umpire[wire.ASK_RULING.name] = put_off
        await pass_time(town, TTL_MS + 4 * LIMITS.rule_after_ms, "birch")
        waited = [later - before for before, later in pairwise(asked)]
        assert len(asked) >= 3 and max(waited) <= LIMITS.rule_after_ms + LIMITS.retry_ms_max
        umpire[wire.ASK_RULING.name] = honest
        await pass_time(town, 2 * LIMITS.rule_after_ms, "birch")
        side = await side_of(town, token)
        assert (side.state, side.ruled) == ("aborted", True)

    in_town(tmp_path, story)


def test_a_defect_costs_the_errand_that_met_it_and_is_seen(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        first, second = offered(name), offered(name, exchange_id="other")
        for token in (first, second):
            await accepted(town, token)
        apple = town.homes["apple"].handlers

        async def answer(peer: str, ask: wire.AskOutcome) -> wire.OutcomeTaken:
            del peer
            if ask.offer == first:
                raise ZeroDivisionError
            ended = wire.Evidence(offer=second, outcome=aborted(second))
            return wire.OutcomeTaken(state="aborted", evidence=ended)

        honest, apple[wire.ASK_OUTCOME.name] = apple[wire.ASK_OUTCOME.name], answer
        town.clock.advance(LIMITS.ask_after_ms)
        with capture_logs() as logged:
            await town.serve("birch")
        assert (await side_of(town, second)).state == "aborted"
        assert (await side_of(town, first)).in_doubt
        broke = [each for each in logged if each["event"] == "an errand broke"]
        assert [(each["log_level"], each["task"], each["exchange"]) for each in broke] == [
            ("error", "ask", jws.record_id(first))
        ]
        assert isinstance(broke[0]["exc_info"], ZeroDivisionError)
        assert town.homes["birch"].clearing.counts.broken == 1
        # It is tried again, and not at once.
        await town.serve("birch")
        assert town.homes["birch"].clearing.counts.broken == 1
        town.clock.advance(LIMITS.retry_ms_max)
        await town.serve("birch")
        assert town.homes["birch"].clearing.counts.broken == 2
        apple[wire.ASK_OUTCOME.name] = honest
        await town.come_to_rest()
        assert (await side_of(town, first)).state == "aborted"

    in_town(tmp_path, story)


def test_a_proposer_that_answers_and_never_decides_is_ruled_on(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        token = offered(name)
        await accepted(town, token)

        async def shrug(peer: str, ask: Any) -> wire.OutcomeTaken:
            del peer, ask
            return wire.OutcomeTaken(state="offered", evidence=wire.Evidence(offer=token))

        town.homes["apple"].handlers[wire.ASK_OUTCOME.name] = shrug
        await pass_time(town, TTL_MS + 2 * LIMITS.rule_after_ms, "birch", ARBITER)
        # Until then it may still decide.
        assert (await side_of(town, token)).in_doubt
        await pass_time(town, LIMITS.rule_after_ms, "birch", ARBITER)
        side = await side_of(town, token)
        assert (side.state, side.ruled, side.in_doubt) == ("aborted", True, False)
        assert (await town.account("birch", "due/apple")).held == 0
        assert (await town.position("birch", "apple", name)).doubt_out == 0

    in_town(tmp_path, story)


def test_no_exchange_is_hidden_by_one_whose_id_is_its_hash(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        first = await town.offer("apple", "birch", 10, agreement=name)
        second = await town.offer("birch", "apple", 1, agreement=name, name=first.hash)
        apple = town.homes["apple"]

        async def asked(exchange: str, coop: str = "") -> wire.Exchange:
            ask = wire.AskClearing(exchange=exchange, coop=coop)
            answer = await apple.store.read(lambda tx: apple.clearing.exchange(tx, ask, None))
            return answer.exchange

        for coop in ("", "apple"):
            assert (await asked(first.hash, coop)).hash == first.hash
            assert (await asked(second.hash, coop)).hash == second.hash
            assert (await asked("x1", coop)).hash == first.hash
        # Of two proposers' exchanges of one id, the newest.
        third = await town.offer("birch", "apple", 1, agreement=name)
        assert (await asked("x1")).hash == third.hash
        for unknown, coop in (("x9", ""), (first.hash, "birch"), ("x1", "birch")):
            with pytest.raises(wire.ExchangeUnknown):
                await asked(unknown, coop)

    in_town(tmp_path, story)


def test_whatever_decisions_are_heard_in_whatever_order_what_is_kept_verifies(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        birch = town.homes["birch"].store
        leg = Leg(agreement=name, payer="birch", payee="apple", amount=1)
        for number, (one, other) in enumerate(product(range(7), repeat=2)):
            token = offered(name, exchange_id=f"x{number}", legs=(leg,))
            mine, exchange = await accepted(town, token), jws.record_id(token)
            # Birch's key signed another acceptance before, in a store that is lost.
            said = wire.Acceptance.model_validate(jws.reread(mine), strict=False)
            lost = proof.sign_acceptance(
                said.model_copy(update={"accepted_ms": 1}), key_of("birch")
            )
            commits = {mine: committed(token, mine), lost: committed(token, lost, ms=2)}
            abort = aborted(token)
            heard = [wire.Evidence(offer=token, outcome=abort)]
            for acceptance, commit in commits.items():
                for outcome, rival in ((commit, None), (commit, abort), (abort, commit)):
                    heard.append(
                        wire.Evidence(
                            offer=token, acceptances=(acceptance,), outcome=outcome, rival=rival
                        )
                    )
            for evidence in (heard[one], heard[other]):
                proof.read_evidence(evidence, town.genesis)
                await tell(town, evidence)
                kept = await birch.read(partial(tables.get, coop="birch", exchange=exchange))
                assert kept is not None
                told = proof.read_evidence(kept.evidence, town.genesis)
                assert (told.ending, told.rival is not None) == (kept.side.ending, kept.side.rival)
            first, *more = [
                jws.peek(each).typ
                for evidence in (heard[one], heard[other])
                for each in (evidence.outcome, evidence.rival)
                if each is not None
            ]
            assert kept.side.ending == ("committed" if first == wire.COMMIT_TYP else "aborted")
            assert kept.side.rival == bool({*more} - {first})

    in_town(tmp_path, story)


def test_an_arbiter_that_ruled_twice_is_announced_once_however_often_it_is_said(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        token = offered(town.agreements.add(TWO))
        mine = await accepted(town, token)
        said = wire.Evidence(offer=token, acceptances=(mine,), outcome=committed(token, mine))
        rulings = (ruled(token, "committed", 1), ruled(token, "aborted", 2))
        stands = min(rulings, key=jws.record_id)
        for number in range(8):
            ruling = rulings[number % 2]
            taken = await tell(town, said.model_copy(update={"ruling": ruling}))
            if number % 4 == 3:
                await town.restart("birch")
            assert taken.evidence.ruling == (stands if number else ruling)
        entries = await town.homes["birch"].store.read_journal(after=None, entries_max=1_000)
        assert [each.type for each in entries].count(wire.OutcomesContradict.type) == 1

    in_town(tmp_path, story)


def test_what_is_set_aside_stays_so_while_the_ledger_cannot_post(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        birch = town.homes["birch"]

        async def configure(**changes: Any) -> None:
            await birch.store.write(
                lambda tx: birch.ledger.configure(
                    tx,
                    coop="birch",
                    account="birch:due/apple",
                    unit=UNIT,
                    decision="0" * 64,
                    **changes,
                )
            )

        town.weather = lambda message: "no-ask" if message.method == "clearing.settled" else "pass"
        await town.offer("birch", "apple", 60, agreement=name, by="apple")
        town.weather = lambda _: "pass"
        for stuck, why, mended in (
            ({"floor": -50}, "overdrawn", {"floor": -1_000}),
            ({"closed": True}, "account-closed", {"closed": False}),
        ):
            await configure(**stuck)
            await pass_time(town, 10_000, "apple", "birch")
            (sides,) = (await town.sides()).values()
            assert (sides["apple"].state, sides["apple"].in_doubt) == ("committed", False)
            assert (sides["birch"].in_doubt, sides["birch"].why) == (True, why)
            account = await town.account("birch", "due/apple")
            assert (account.held, account.balance) == (60, 0)
            await configure(**mended)
        # Nothing else takes it in the meantime, and a restart finds it.
        with pytest.raises(Overdrawn):
            await birch.store.write(
                lambda tx: birch.ledger.set_aside(
                    tx, coop="birch", account="birch:due/apple", unit=UNIT, change=941
                )
            )
        await town.restart("birch")
        await town.come_to_rest()
        await at_rest(town)
        account = await town.account("birch", "due/apple")
        assert (account.held, account.balance) == (0, -60)

    in_town(tmp_path, story)


def test_what_was_set_aside_is_let_go_of_when_a_ruling_ends_what_could_not_be_posted(
    tmp_path: Path,
) -> None:
    async def story(town: Town) -> None:
        token = offered(town.agreements.add(TWO))
        mine = await accepted(town, token)
        birch = town.homes["birch"]
        await birch.store.write(
            lambda tx: birch.ledger.configure(
                tx, coop="birch", account="birch:due/apple", unit=UNIT, decision="0" * 64, floor=0
            )
        )
        said = wire.Evidence(offer=token, acceptances=(mine,), outcome=committed(token, mine))
        await tell(town, said)
        assert (await town.account("birch", "due/apple")).held == 40
        await tell(town, said.model_copy(update={"ruling": ruled(token, "aborted", 1)}))
        side, account = await side_of(town, token), await town.account("birch", "due/apple")
        assert (side.state, side.in_doubt, account.held) == ("aborted", False, 0)
        await town.restart("birch")

    in_town(tmp_path, story)


def test_a_settlement_that_a_ruling_takes_back_is_settled_no_more(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)

        async def settled(coop: Slug) -> tuple[str | None, int]:
            at = await town.position(coop, "birch" if coop == "apple" else "apple", name)
            return at.settled, at.balance

        for period in ("2026-02", "2026-01"):
            await town.offer("apple", "birch", 30, agreement=name, name=period)
            done = await town.settle("birch", name, period)
            for coop in ("apple", "birch"):
                assert await settled(coop) == (period, 0)
        token = (await evidence_of(town, done.hash)).offer
        taken_back = wire.Evidence(offer=token, ruling=ruled(token, "aborted", 1))
        for coop in ("apple", "birch"):
            await tell(town, taken_back, coop)
        assert (await settled("apple"), await settled("birch")) == (
            ("2026-02", -30),
            ("2026-02", 30),
        )
        await town.come_to_rest()
        await at_rest(town)
        with pytest.raises(wire.SettlementDone):
            await town.settle("birch", name, "2026-02")
        assert (await town.settle("birch", name, "2026-01")).state == "committed"
        assert (await settled("apple"), await settled("birch")) == (("2026-01", 0), ("2026-01", 0))

    in_town(tmp_path, story)


def test_the_first_settlement_taken_back_leaves_none(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        name = town.agreements.add(TWO)
        await town.offer("apple", "birch", 30, agreement=name)
        done = await town.settle("birch", name, "2026-01")
        token = (await evidence_of(town, done.hash)).offer
        await tell(town, wire.Evidence(offer=token, ruling=ruled(token, "aborted", 1)))
        assert (await town.position("birch", "apple", name)).settled is None

    in_town(tmp_path, story)


async def asleep(town: Town) -> None:
    """Return once what runs in a town waits for time to pass."""
    while not town.clock.sleepers():
        await asyncio.sleep(0)


def test_what_is_to_be_said_next_is_not_slept_through(tmp_path: Path) -> None:
    async def story(town: Town) -> None:
        token = offered(town.agreements.add(TWO))
        heard = asyncio.Event()
        honest = dict(town.homes["apple"].handlers)

        def listen(method: str) -> None:
            heard.clear()

            async def answer(peer: str, ask: Any) -> Any:
                heard.set()
                return await honest[method](peer, ask)

            town.homes["apple"].handlers[method] = answer

        listen(wire.ASK_OUTCOME.name)
        running = asyncio.create_task(town.homes["birch"].carrier.run())
        await asleep(town)
        acceptance = await accepted(town, token)
        await asleep(town)
        town.clock.advance(LIMITS.ask_after_ms)
        await heard.wait()
        running.cancel()
        await asyncio.wait({running})

        # A ruling is told at once.
        town.clock.advance(TTL_MS + 2 * LIMITS.rule_after_ms)
        listen(wire.TELL_OUTCOME.name)
        running = asyncio.create_task(town.homes[ARBITER].carrier.run())
        await asleep(town)
        evidence = wire.Evidence(offer=token, acceptances=(acceptance,))
        ask = wire.AskRuling(coop="birch", evidence=evidence)
        await town.hear(ARBITER, wire.ASK_RULING.name, ask)
        await heard.wait()
        running.cancel()
        await asyncio.wait({running})

    in_town(tmp_path, story)
