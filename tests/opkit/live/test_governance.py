"""The page of governance over a real network: proposals, votes as they are cast, decisions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from opkit.live.assemblies import VIEWS_MAX, Assemblies, Seat
from opkit.live.governance import GovernancePage
from opkit.live.ports import PageRefused
from opkit.live.session import Cards
from opkit.wire.governance import READ_DECISION
from opkit.wire.votes import Choice, SpendEffect, TextEffect

HARBOR = "harbor-homes-cooperative"
RIVER = "river-city-tool-library"
ROOF = SpendEffect(
    from_account=f"{HARBOR}:reserve",
    to_account=f"{HARBOR}:vendor/roof",
    unit="usd-cents",
    amount=1_200_000,
)


def shown(page: Any) -> dict[str, str]:
    patch = Cards(page).patch()
    assert patch is not None
    return dict(patch["cards"])


async def until(held: Any, page: GovernancePage, card: str, words: str) -> str:
    """Return a card once it says something, as somebody sees it who goes on looking."""
    with held.live.watched():
        async with asyncio.timeout(100):
            while words not in (html := shown(page)[card]):
                await held.live.wait_change(held.live.revision)
    return html


def members(held: Any) -> list[Any]:
    return [one for coop, one in held.world.genesis.founders() if coop == HARBOR]


def assembly(held: Any, number: int = 0) -> Any:
    return held.world.client(HARBOR, members(held)[number].member_id).governance(HARBOR)


async def vote(held: Any, proposal: str, choices: Sequence[Choice]) -> None:
    for number, choice in enumerate(choices):
        await assembly(held, number).vote(proposal, choice)


async def later(held: Any, *, days: int) -> None:
    """Move world time; the console shares the operator's clients here, which only read by it."""
    for org in held.live.followed:
        await held.world.operator(org).login()
    await held.world.pass_time(days=days)


async def page_of(held: Any) -> GovernancePage:
    page = GovernancePage(held.live)
    await page.act("coop", {"of": HARBOR})
    return page


def test_a_vote_shows_as_it_is_cast_against_what_it_takes(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = await page_of(held)
        assert "Nothing is proposed" in shown(page)["proposals"]
        assert "quorum 60 %, approval 67 %" in shown(page)["electors"]
        await assembly(held).propose("roof", ROOF, title="Mend the roof")
        await until(held, page, "proposals", "Mend the roof")
        assert "Nobody has voted" not in shown(page)["vote"], "all who may vote are named"
        await vote(held, "roof", ("yes", "no", "yes"))
        # Ballots are counted as they are journalled, the tally as the node is asked.
        await until(held, page, "vote", "3 ballots")
        html = await until(held, page, "vote", "quorum 60 %: 3 of 5, reached")
        for words in (
            "2 yes, 1 no",
            "not reached",
            "has cast none",
        ):
            assert words in html, words
        assert "it would be rejected" in html
        await assembly(held, 1).vote("roof", "yes")
        assert "changed 1 time" in await until(held, page, "vote", "changed 1 time")
        assert "it would be accepted" in await until(held, page, "vote", "it would be accepted")
        assert "next closes in " in shown(page)["open"]
        assert "go from Reserve to Roof" in shown(page)["effect"]

    tell(story)


def test_a_decision_is_verified_here_and_its_effect_shows(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = await page_of(held)
        view = await assembly(held).propose("roof", ROOF, title="Mend the roof")
        await vote(held, "roof", ("yes", "yes", "yes", "no"))
        await until(held, page, "vote", "4 ballots")
        with pytest.raises(PageRefused, match="no decision yet"):
            await page.act("verify", {"proposal": view.proposal})
        await later(held, days=7)
        await assembly(held).close("roof")
        assert "accepted" in await until(held, page, "effect", "Voting closed: accepted")
        await page.act("verify", {"proposal": view.proposal})
        html = shown(page)["effect"]
        for words in (
            "Decided by 5 members: 3 for, 1 against",
            "votes-journalled",
            "attested, not recounted",
            "Its home node signed it",
        ):
            assert words in html, words
        assert page._proof is not None and page._proof.ok
        assert "attested" in json.loads(page._proof.proof)
        await later(held, days=2)
        await assembly(held).execute("roof")
        assert "executed, once" in await until(held, page, "effect", "executed, once")
        assert "nonce 1: roof" in await until(held, page, "nonce", "nonce 1: roof")

    tell(story)


def test_what_came_up_first_stays_and_another_is_chosen_by_a_click(tell: Any) -> None:
    async def story(held: Any) -> None:
        first = await assembly(held).propose("one", TextEffect(), title="The first")
        page = await page_of(held)
        await until(held, page, "vote", "The first")
        second = await assembly(held, 1).propose("two", TextEffect(), title="The second")
        await until(held, page, "proposals", "The second")
        assert "The first" in shown(page)["vote"]
        await page.act("open", {"proposal": second.proposal})
        assert "The second" in shown(page)["vote"]
        with pytest.raises(PageRefused, match="not open"):
            await page.act("verify", {"proposal": first.proposal})

    tell(story)


def test_a_home_that_hands_over_what_is_no_decision_is_not_believed(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(held: Any) -> None:
        view = await assembly(held).propose("oven", TextEffect(), title="An oven")
        await vote(held, "oven", ("yes", "yes", "yes"))
        await later(held, days=7)
        await assembly(held).close("oven")
        page = await page_of(held)
        await until(held, page, "effect", "Verify the decision")
        honest = held.live.call
        instead = [b"{}"]

        async def lying(org: str, endpoint: Any, ask: Any) -> Any:
            said = await honest(org, endpoint, ask)
            if endpoint is not READ_DECISION:
                return said
            instead.append(said.file)
            return said.model_copy(update={"file": instead[0]})

        monkeypatch.setattr(held.live, "call", lying)
        with pytest.raises(PageRefused, match="no decision"):
            await page.act("verify", {"proposal": view.proposal})
        file = json.loads(instead[1])
        file["commitments"] = file["commitments"][1:]
        instead[0] = json.dumps(file).encode()
        await page.act("verify", {"proposal": view.proposal})
        assert page._proof is not None and not page._proof.ok
        assert "it breaks here" in shown(page)["effect"]

    tell(story)


def test_a_home_that_is_down_is_said_to_be(tell: Any) -> None:
    async def story(held: Any) -> None:
        await assembly(held).propose("one", TextEffect(), title="The first")
        page = await page_of(held)
        await until(held, page, "vote", "The first")
        await held.world.kill(HARBOR)
        assert "does not answer" in await until(held, page, "trouble", "does not answer")
        assert "The first" in shown(page)["proposals"]
        assert "does not answer" in await until(held, page, "coops", "does not answer")

    tell(story)


def test_what_is_not_there_is_refused(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = GovernancePage(held.live)
        with pytest.raises(PageRefused, match="no such coop"):
            await page.act("coop", {"of": "nowhere"})
        with pytest.raises(PageRefused, match="not shown any more"):
            await page.act("open", {"proposal": "0" * 64})
        with pytest.raises(PageRefused, match="not open"):
            await page.act("verify", {"proposal": "0" * 64})
        with pytest.raises(PageRefused, match="knows no 'vote'"):
            await page.act("vote", {})

    tell(story)


def test_of_many_seats_the_oldest_are_let_go(tell: Any) -> None:
    async def story(held: Any) -> None:
        assemblies = held.live.shared(Assemblies, Assemblies)
        for number in range(VIEWS_MAX + 5):
            assemblies.want(Seat(RIVER, f"{number:064x}"))
        assert len(assemblies._asked_at) == VIEWS_MAX

    tell(story)
