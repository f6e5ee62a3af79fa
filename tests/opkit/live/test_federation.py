"""The page of the federation over a real network: agreements, copies, positions, and partitions."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.exchanging import _Nodes as Exchanging
from opkit.live.federation import FederationPage
from opkit.live.federations import DOMAINS, Federations
from opkit.live.ports import PageRefused
from opkit.live.session import Cards
from opkit.proof.agreement import agreement_id
from opkit.wire.agreements import LIST_AGREEMENTS, READ_AGREEMENT_FILE
from opkit.wire.clearing import (
    ASK_OUTCOME,
    LIST_POSITIONS,
    POST_OFFER,
    READ_EXCHANGE,
    SETTLE_PERIOD,
    TELL_OUTCOME,
    Exchange,
    PostOffer,
    SettlePeriod,
)
from opkit.wire.errors import Unreachable
from opkit.wire.terms import ClearingTerms, Provision, Terms

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
PARTIES = (BRIGHT, RIVER)


def shown(page: Any) -> dict[str, str]:
    patch = Cards(page).patch()
    assert patch is not None
    return dict(patch["cards"])


async def until(held: Any, page: FederationPage, card: str, words: str) -> str:
    """Return a card once it says something, as somebody sees it who goes on looking."""
    with held.live.watched():
        try:
            async with asyncio.timeout(100):
                while words not in (html := shown(page)[card]):
                    await held.live.wait_change(held.live.revision)
        except TimeoutError:
            raise AssertionError(f"{words!r} never stood in {card}: {shown(page)[card]}") from None
    return html


def people(held: Any, coop: str) -> list[str]:
    return [one.member_id for home, one in held.world.genesis.founders() if home == coop]


def officer(held: Any, coop: str) -> str:
    return next(
        one.member_id
        for home, one in held.world.genesis.founders()
        if home == coop and "officer" in one.roles
    )


def client(held: Any, coop: str) -> Any:
    return held.world.client(coop, officer(held, coop))


def terms_of(held: Any, **changes: Any) -> Terms:
    said: dict[str, Any] = {
        "network": held.world.genesis.network,
        "parties": PARTIES,
        "facilitator": HARBOR,
        "arbiter": HARBOR,
        "title": "Machines for maintenance",
        "text": "",
        "provisions": (
            Provision(by=BRIGHT, to=RIVER, what="maintenance hours", quantity=20, per="quarter"),
        ),
        "starts_ms": held.world.clock.world_ms(),
        "term_days": 90,
        "renewable": True,
        "notice_days": 30,
        "clearing": ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
    }
    return Terms(**{**said, **changes})


async def later(held: Any, *, days: int) -> None:
    """Move world time; the console shares the operator's clients here, which only read by it."""
    for org in held.live.followed:
        await held.world.operator(org).login()
    await held.world.pass_time(days=days)


async def decide(held: Any, terms: Terms) -> dict[str, str]:
    """Have both parties decide on terms; nobody has signed yet."""
    proposals = {}
    for coop in PARTIES:
        view = await client(held, coop).agreements.propose(coop, terms)
        proposals[coop] = view.proposal_id
        for who in people(held, coop):
            await held.world.client(coop, who).governance(coop).vote(view.proposal_id, "yes")
    await later(held, days=7)
    for coop, proposal in proposals.items():
        await client(held, coop).governance(coop).close(proposal)
    await later(held, days=1)
    return proposals


async def agree(held: Any, **changes: Any) -> str:
    """Have both parties agree; return the agreement once it is in force at both."""
    terms = terms_of(held, **changes)
    for coop, proposal in (await decide(held, terms)).items():
        await client(held, coop).agreements.sign(coop, proposal)
    agreement = agreement_id(terms)
    async with asyncio.timeout(100):
        for coop in PARTIES:
            while not await is_active(held, coop, agreement):
                await asyncio.sleep(0.02)
    return agreement


async def is_active(held: Any, coop: str, agreement: str) -> bool:
    async for each in client(held, coop).agreements.list(state="active"):
        if each.agreement == agreement:
            return True
    return False


async def give(held: Any, agreement: str, amount: int, name: str) -> Exchange:
    """Have River City do something for BrightWorks, which owes for it."""
    ask = PostOffer(
        agreement=agreement,
        exchange_id=name,
        payer=BRIGHT,
        payee=RIVER,
        unit="commons-credits",
        amount=amount,
        what="hours at the lathe",
    )
    told: Exchange = await client(held, BRIGHT).call(POST_OFFER, ask, idempotency_key=name)
    return told


def test_an_agreement_shows_signature_by_signature_and_copy_by_copy(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        assert "Nothing is agreed" in await until(held, page, "agreements", "Nothing is agreed")
        assert "nobody</span>" in await until(held, page, "parted", "nobody")
        proposals = await decide(held, terms_of(held))
        await client(held, RIVER).agreements.sign(RIVER, proposals[RIVER])
        await until(held, page, "agreements", "3 of 3 the same")
        html = await until(held, page, "agreement", "has not signed: nobody can use it")
        assert "proposed" in html and html.count("<small>the same") == 3
        await client(held, BRIGHT).agreements.sign(BRIGHT, proposals[BRIGHT])
        html = await until(held, page, "agreement", "every party signed")
        await until(held, page, "agreements", "2 of 2")
        assert "<b>1</b><span>of 1 agreement" in await until(held, page, "binding", "<b>1</b>")
        assert "<b>3</b><span>of 3 byte-equal" in await until(held, page, "copies", "<b>3</b>")
        agreement = page._chosen().agreement
        await page.act("verify", {"agreement": agreement})
        html = shown(page)["agreement"]
        for words in ("4 links verified here", "signed-in-time", "copy of Harbor Homes"):
            assert words in html, words
        assert page._proof is not None and page._proof.ok
        assert json.loads(page._proof.proof)["agreement"] == agreement
        assert not shown(page)["wrong"]

    tell(story)


def test_an_exchange_is_mirrored_settled_and_proved_by_both_sides(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        agreement = await agree(held)
        assert "Nobody owes anybody" in await until(held, page, "positions", "Nobody owes")
        done = await give(held, agreement, 40, "lathe-1")
        html = await until(held, page, "positions", "both say the same")
        assert html.count('style="width:40.0%"') == 2 and "at most 100 cc" in html
        html = await until(held, page, "moved", "posted")
        assert "hours at the lathe" in html and "BrightWorks Cooperative → River City" in html
        await page.act("moved", {"exchange": done.hash})
        html = shown(page)["moved"]
        for words in ("3 links verified here", "posted its half", "postings", "lathe-1"):
            assert words in html, words
        assert (proof := page._moved_proof()) is not None and proof.ok
        assert len(json.loads(proof.proof)["entries"]) == 2
        ask = SettlePeriod(agreement=agreement, period="2026-03")
        await client(held, RIVER).call(SETTLE_PERIOD, ask)
        assert "is even" in await until(held, page, "positions", "last settled for 2026-03")
        assert "ettlement of 2026-03" in await until(held, page, "moved", "ettlement")
        await page.act("moved", {"exchange": ""})
        assert "rests" not in shown(page)["moved"] and not shown(page)["wrong"]

    tell(story)


def test_an_open_exchange_is_proved_again_when_the_other_side_posts(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened between acceptance and posting: nobody clicks again, and both halves are proved."""
    honest, heard = Exchanging.ask, asyncio.Event()

    async def deaf(self: Any, node: Any, method: Any, ask: Any, *, deadline_ms: int) -> Any:
        if method in (TELL_OUTCOME, ASK_OUTCOME) and not heard.is_set():
            raise Unreachable(where=node, why="no word of how it ended gets through")
        return await honest(self, node, method, ask, deadline_ms=deadline_ms)

    monkeypatch.setattr(Exchanging, "ask", deaf)

    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        done = await give(held, await agree(held), 40, "lathe-3")
        await until(held, page, "moved", "in doubt")
        await page.act("moved", {"exchange": done.hash})
        first = page._moved_proof()
        assert first is not None and first.ok
        assert [each["coop"] for each in json.loads(first.proof)["entries"]] == [BRIGHT]
        assert "3 links verified here" not in shown(page)["moved"]
        heard.set()
        html = await until(held, page, "moved", "3 links verified here")
        assert "River City Tool Library posted its half" in html
        again = page._moved_proof()
        assert again is not None and again.ok and again.verified_ms >= first.verified_ms
        assert len(json.loads(again.proof)["entries"]) == 2 and not again.trouble
        # It is told otherwise, and nobody hands it over: what stands says when it was so.
        call = held.live.call

        async def silent(org: str, endpoint: Any, ask: Any) -> Any:
            if endpoint is READ_EXCHANGE:
                raise Unreachable(where=org, why="it says nothing")
            return await call(org, endpoint, ask)

        monkeypatch.setattr(held.live, "call", silent)
        figure = page._moved_figure(done.hash)
        assert figure is not None
        page._moved.want(replace(figure, silent=(HARBOR,)))
        html = await until(held, page, "moved", "as it verified before")
        assert "not all of it can be shown" in html and html.count("posted its half") == 2
        with pytest.raises(PageRefused, match="No side"):
            await page.act("moved", {"exchange": done.hash})

    tell(story)


def test_a_facilitator_that_is_down_is_told_and_the_others_go_on(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        agreement = await agree(held)
        await until(held, page, "agreements", "3 of 3 the same")
        await held.world.kill(HARBOR)
        await until(held, page, "parted", "down since")
        await until(held, page, "wrong", "1 node does not tell")
        html = await until(held, page, "agreements", "2 of 3 the same")
        assert "active" in html
        await give(held, agreement, 5, "alone")
        await until(held, page, "positions", "both say the same")
        await page.act("verify", {"agreement": agreement})
        html = shown(page)["agreement"]
        assert "Harbor Homes Cooperative did not hand a copy over" in html
        assert page._proof is not None and page._proof.ok and page._proof.trouble
        await held.world.restart(HARBOR)
        await until(held, page, "agreements", "3 of 3 the same")

    tell(story)


def test_parties_without_a_link_are_told_what_waits(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        await agree(held)
        await until(held, page, "agreements", "active")
        await held.world.cut(BRIGHT, RIVER)
        html = await until(held, page, "parted", "1 pair without a link")
        assert "What waits for that" in html and "each still reads its own copy" in html
        await held.world.cut(RIVER, HARBOR)
        html = await until(held, page, "parted", "in 2 parts")
        assert html.count('<ul class="side-of') == 2
        await held.world.heal(BRIGHT, RIVER)
        await held.world.heal(RIVER, HARBOR)
        await until(held, page, "parted", "nobody</span>")

    tell(story)


def test_nodes_that_lie_about_copies_and_positions_are_shown_to(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        agreement = await agree(held)
        await give(held, agreement, 40, "lathe-2")
        await until(held, page, "positions", "both say the same")
        honest = held.live.call

        async def lying(org: str, endpoint: Any, ask: Any) -> Any:
            said = await honest(org, endpoint, ask)
            if org == HARBOR and endpoint is READ_AGREEMENT_FILE:
                forged = said.file.replace(b"Machines", b"Machinas")
                return said.model_copy(update={"file": forged})
            if org == HARBOR and endpoint is LIST_AGREEMENTS:
                other = [
                    each.model_copy(update={"file_hash": "1" * 64}) for each in said.agreements
                ]
                return said.model_copy(update={"agreements": tuple(other)})
            if org == RIVER and endpoint is LIST_POSITIONS:
                more = [each.model_copy(update={"balance": 140}) for each in said.positions]
                return said.model_copy(update={"positions": tuple(more)})
            return said

        monkeypatch.setattr(held.live, "call", lying)
        monkeypatch.setattr("opkit.live.federations.APART_MS", 500)
        html = await until(held, page, "wrong", "Harbor Homes Cooperative keeps other bytes")
        assert "not honest, or broken" in html
        await until(held, page, "wrong", "tells another hash of")
        await until(held, page, "wrong", "tell other positions under")
        await until(held, page, "wrong", "is 140 cc apart from BrightWorks")
        assert "they do not mirror each other" in shown(page)["positions"]
        assert "2 of 3 the same" in shown(page)["agreements"]
        await page.act("verify", {"agreement": agreement})
        assert page._proof is not None and not page._proof.ok
        assert "it breaks here" in shown(page)["agreement"]

    tell(story)


def test_what_is_not_there_is_refused(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = FederationPage(held.live)
        await until(held, page, "agreements", "Nothing is agreed")
        for act, arguments, why in (
            ("open", {"agreement": "0" * 64}, "not shown any more"),
            ("moved", {"exchange": "0" * 64}, "not shown any more"),
            ("verify", {"agreement": "0" * 64}, "not open"),
            ("deeds", {"open": "weather"}, "no such control"),
            ("loss", {"permille": "200"}, "knows no 'loss'"),
            ("cut", {"a": BRIGHT, "b": RIVER}, "knows no 'cut'"),
            ("partition", {}, "lacks its org"),
        ):
            with pytest.raises(PageRefused, match=why):
                await page.act(act, arguments)
        held.source.may_act = False
        viewer = FederationPage(held.live)
        for act, arguments in (
            ("partition", {"org": BRIGHT}),
            ("kill", {"org": BRIGHT}),
            ("restart", {"org": BRIGHT}),
            ("heal", {}),
        ):
            with pytest.raises(PageRefused, match="only the presenter"):
                await viewer.act(act, arguments)
        assert "data-act" not in shown(viewer)["parted"]

    tell(story)


def test_a_presenter_parts_the_network_by_the_supervisor(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(held: Any) -> None:
        asked: list[tuple[str, dict[str, Any]]] = []
        honest = held.source.ask

        async def ask(do: str, **arguments: Any) -> dict[str, Any]:
            if do in ("partition", "heal", "kill"):
                asked.append((do, arguments))
                return {}
            told: dict[str, Any] = await honest(do, **arguments)
            return told

        monkeypatch.setattr(held.source, "ask", ask)
        page = FederationPage(held.live)
        await page.act("deeds", {"open": "part"})
        assert "Where shall the network be parted?" in shown(page)["parted"]
        await page.act("partition", {"org": BRIGHT})
        assert "Where shall" not in shown(page)["parted"]
        await page.act("kill", {"org": HARBOR})
        await page.act("heal", {"number": "7"})
        assert asked == [
            ("partition", {"groups": [[BRIGHT]]}),
            ("kill", {"org": HARBOR}),
            ("heal", {"id": 7}),
        ]

    tell(story)


def test_a_node_is_asked_again_only_for_what_it_journalled(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(held: Any) -> None:
        federations = held.live.shared(Federations, Federations)
        orgs = list(held.live.followed)
        # What nodes journal of themselves while they are asked is no part of this.
        monkeypatch.setattr(held.live.book, "take", lambda *_: None)
        asked: list[tuple[str, str]] = []
        honest = held.live.call

        async def call(org: str, endpoint: Any, ask: Any) -> Any:
            asked.append((org, endpoint.name.partition(".")[0]))
            return await honest(org, endpoint, ask)

        def news() -> set[tuple[str, str]]:
            """Return whose events of which questions' domains no look has seen yet."""
            heard = held.live.book.heard_from
            return {
                turn
                for turn, seen in federations._seen.items()
                if seen != sum(heard[turn[0], domain] for domain in DOMAINS[turn[1]])
            }

        monkeypatch.setattr(held.live, "call", call)
        monkeypatch.setattr("opkit.live.federations.EVERY_MS", 3_600_000)
        await federations.look()
        assert {org for org, _ in asked} == set(orgs) and federations.figures is not None
        held.live.book.heard_from[BRIGHT, "clearing"] += 1
        expected = news()
        assert (BRIGHT, "clearing") in expected
        asked.clear()
        await federations.look()
        assert set(asked) == expected

    tell(story)
