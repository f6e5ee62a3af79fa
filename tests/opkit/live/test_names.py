"""The page of names and agents over a real network: what is held, what is found, what is proven."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from opkit.live.live import Live
from opkit.live.names import NamesPage
from opkit.live.ports import PageRefused
from opkit.live.registry import QUESTIONS_MAX, Registry
from opkit.live.session import Cards
from opkit.proof.names import make_claim
from opkit.wire.names import (
    REGISTER_NAME,
    AliasTarget,
    NameTarget,
    RegisterName,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.services import FIND_SERVICES, FindServices, ServicePage

RIVER = "river-city-tool-library"
HARBOR = "harbor-homes-cooperative"
LATHE = f"lathe.{RIVER}"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nodes asked more often than people need it."""
    monkeypatch.setattr("opkit.live.registry.EVERY_MS", 100)


def shown(page: Any) -> dict[str, str]:
    patch = Cards(page).patch()
    assert patch is not None
    return dict(patch["cards"])


async def name(held: Any, label: str, target: NameTarget | None = None) -> None:
    """Have Mara register a name; one of a service at River City's node unless told otherwise."""
    client = held.world.client(RIVER, f"{RIVER}/mara")
    lathe = ServiceTarget(
        type="machine-booking",
        node=held.world.node(RIVER).did,
        endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
        capabilities=("turning",),
        region="north",
    )
    claim = make_claim(
        held.world.member(f"{RIVER}/mara"),
        network=held.world.genesis.network,
        name=f"{label}.{RIVER}",
        member_id=f"{RIVER}/mara",
        target=target or lathe,
        at_ms=client.now_ms(),
        term_ms=3_600_000,
    )
    await client.call(REGISTER_NAME, RegisterName(claim=claim))


async def until(held: Any, page: NamesPage, card: str, words: str) -> str:
    """Return a card once it says something, as somebody sees it who goes on looking."""
    with held.live.watched():
        async with asyncio.timeout(100):
            while words not in (html := shown(page)[card]):
                await asyncio.sleep(0.05)
    return html


def verified_ms(page: NamesPage) -> int:
    """Return when the first service of an answer was verified here."""
    answer = page._registry._answers[page._question]
    assert answer is not None
    return answer.found[0].verified_ms


def test_before_anybody_named_anything_it_says_what_to_do(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = NamesPage(held.live)
        assert "Asking." in shown(page)["found"]
        assert "opkit name register" in await until(held, page, "names", "No name is held")
        assert "knows no such service" in await until(held, page, "found", "knows no such")

    tell(story)


def test_names_are_shown_with_their_owner_and_on_which_nodes_they_are(tell: Any) -> None:
    async def story(held: Any) -> None:
        await name(held, "lathe")
        await name(held, "spindle", AliasTarget(name=LATHE))
        page = NamesPage(held.live)
        for words in ("3 of 3", LATHE, "machine-booking at River City", "mara", "another name"):
            await until(held, page, "names", words)
        assert "of 2 names everywhere" in await until(held, page, "everywhere", "of 2 names")
        for words in ("Harbor Homes", "River City Tool Library", "verified here"):
            await until(held, page, "cards", words)
        await held.world.kill(HARBOR)
        assert await until(held, page, "names", "2 of 2")

    tell(story)


def test_cards_that_nobody_could_be_asked_for_are_asked_for_once_somebody_can(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opkit.live.registry.CARDS_EVERY", 1_000_000)

    async def story(held: Any) -> None:
        orgs = list(held.live.followed)
        for org in orgs:
            await held.world.kill(org)
        for org in orgs:
            await held.eventually(lambda org=org: held.node(org).health == "down")
        page = NamesPage(held.live)
        await until(held, page, "found", "No node is up that could be asked")
        assert "No card was found yet" in shown(page)["cards"]
        for org in orgs:
            await held.world.restart(org)
        for words in ("Harbor Homes", "River City Tool Library", "verified here"):
            await until(held, page, "cards", words)

    tell(story)


def test_what_is_found_opens_to_its_chain_and_is_verified_again(tell: Any) -> None:
    async def story(held: Any) -> None:
        await name(held, "lathe")
        page = NamesPage(held.live)
        await until(held, page, "found", LATHE)
        with held.live.watched():
            await page.act(
                "find", {"type": " Machine-Booking ", "capability": "", "region": "north"}
            )
        assert LATHE in shown(page)["found"]
        await page.act("open", {"service": LATHE})
        opened = shown(page)["found"]
        for words in (
            "The member&#x27;s chain",
            "countersigned that as number",
            "is called at http://localhost:",
            "every link holds",
            "home-countersignature",
            "asked-region",
        ):
            assert words in opened, words
        before = verified_ms(page)
        async with asyncio.timeout(30):
            while verified_ms(page) == before:
                await page.act("verify", {"service": LATHE})
        assert "every link holds" in shown(page)["found"]
        await page.act("close", {})
        assert "every link holds" not in shown(page)["found"]
        await page.act("find", {"type": "bakery", "at": HARBOR})
        assert "Harbor Homes Cooperative knows no such service" in shown(page)["found"]
        with pytest.raises(PageRefused, match="not among the answers"):
            await page.act("verify", {"service": LATHE})

    tell(story)


def test_a_node_that_lies_is_shown_to_lie(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(held: Any) -> None:
        await name(held, "lathe")
        page = NamesPage(held.live)
        await until(held, page, "found", LATHE)
        honest = held.live.call

        async def lying(org: str, endpoint: Any, ask: Any) -> Any:
            said = await honest(org, endpoint, ask)
            if endpoint is not FIND_SERVICES:
                return said
            other = said.services[0].model_copy(update={"name": f"saw.{RIVER}"})
            return ServicePage(services=(other,), next_after="")

        monkeypatch.setattr(held.live, "call", lying)
        await page.act("find", {"type": "machine-booking"})
        cards = shown(page)
        assert "not proven: home-name" in cards["found"] and "of 1 answered" in cards["offered"]
        await page.act("open", {"service": f"saw.{RIVER}"})
        assert "it breaks here" in shown(page)["found"]

    tell(story)


def test_who_does_not_answer_is_said_not_to_and_what_nobody_can_ask_is_refused(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = NamesPage(held.live)
        with pytest.raises(PageRefused, match="64 letters"):
            await page.act("find", {"type": "x" * 65})
        with pytest.raises(PageRefused, match="no such node"):
            await page.act("find", {"at": "nowhere"})
        with pytest.raises(PageRefused, match="knows no 'kill'"):
            await page.act("kill", {})
        await held.world.kill(HARBOR)
        await page.act("find", {"at": HARBOR})
        assert "Harbor Homes Cooperative does not answer" in shown(page)["found"]

    tell(story)


def test_of_many_questions_the_oldest_are_let_go() -> None:
    registry = Registry(cast("Live", SimpleNamespace(source=SimpleNamespace(genesis=None))))
    for number in range(QUESTIONS_MAX + 5):
        registry.want(("", FindServices(type=f"t{number}")))
    assert len(registry._answers) == len(registry._asked_at) == QUESTIONS_MAX
    assert ("", FindServices(type="t0")) not in registry._answers
