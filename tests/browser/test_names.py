"""Names and agents on screen: what a member names is found, with every link of its proofs."""

from __future__ import annotations

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, layout, open_page
from opkit.proof.names import make_claim
from opkit.story import World
from opkit.wire.names import (
    REGISTER_NAME,
    AliasTarget,
    NameTarget,
    RegisterName,
    ServiceEndpoint,
    ServiceTarget,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

RIVER, HARBOR = "river-city-tool-library", "harbor-homes-cooperative"
MARA = f"{RIVER}/mara"
LATHE, SPINDLE = f"lathe.{RIVER}", f"spindle.{RIVER}"


async def named(world: World, name: str, target: NameTarget) -> None:
    """Have Mara hold a name."""
    client = world.client(RIVER, MARA)
    claim = make_claim(
        world.member(MARA),
        network=world.genesis.network,
        name=name,
        member_id=MARA,
        target=target,
        at_ms=client.now_ms(),
        term_ms=3_600_000,
    )
    await client.call(REGISTER_NAME, RegisterName(claim=claim))


@pytest.fixture
def lathe(network) -> None:
    """Have a lathe on River City's node, and another name for it."""

    async def both(world: World) -> None:
        node = world.node(RIVER).did
        target = ServiceTarget(
            type="machine-booking",
            node=node,
            endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
            capabilities=("turning",),
        )
        await named(world, LATHE, target)
        await named(world, SPINDLE, AliasTarget(name=LATHE))

    network.tell(both)


def card(seen: Visit, name: str) -> str:
    """Return the words in a card."""
    return seen.page.locator(f"[data-card={name}]").first.inner_text()


@pytest.mark.parametrize("role", ["presenter", "viewer"])
def test_what_is_named_is_found_proven_and_verified_again(
    visit, dash: Console, role, lathe, eventually, keep, accessible
):
    seen = visit()
    enter(seen, dash, as_viewer=role == "viewer")
    open_page(seen, "Names and agents")
    eventually(
        lambda: "3 of 3" in card(seen, "names") and LATHE in card(seen, "names"),
        what="names on every node",
    )
    eventually(lambda: SPINDLE in card(seen, "found"), what="the alias among what was found")
    eventually(lambda: "River City Tool Library" in card(seen, "cards"), what="its agent's card")

    seen.page.locator("form.find input[name=type]").fill("machine-booking")
    seen.page.locator("form.find input[name=capability]").fill("turning")
    seen.page.locator("form.find select").select_option(HARBOR)
    seen.page.locator("form.find button").click()
    eventually(
        lambda: "Harbor Homes Cooperative was asked" in card(seen, "found"),
        what="an answer of Harbor's",
    )
    assert "linked" in card(seen, "found")

    seen.page.locator("[data-card=found] .opens", has_text=SPINDLE).click()
    eventually(lambda: "every link holds" in card(seen, "found"), what="the proofs")
    links = seen.page.locator(".chain > li")
    assert links.count() == 6, "member, claim, home, node, card, and what was asked for"
    links.nth(2).locator("summary").click()
    assert "home-countersignature" in card(seen, "found")
    verified = seen.page.locator(".verdict time")
    before = verified.get_attribute("title")
    seen.page.get_by_role("button", name="Verify again").click()
    eventually(
        lambda: verified.get_attribute("title") != before, what="proofs that were made again"
    )
    assert "every link holds" in card(seen, "found")
    keep(seen, f"proofs-{role}")
    accessible(seen)
    seen.page.keyboard.press("Escape")
    eventually(
        lambda: SPINDLE in card(seen, "found") and "every link" not in card(seen, "found"),
        what="the list again",
    )


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_open_proofs_fit_the_screen(visit, dash: Console, size, lathe, eventually, keep):
    seen = visit(size=size)
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Names and agents")
    eventually(lambda: LATHE in card(seen, "found"), what="the lathe")
    seen.page.locator("[data-card=found] .opens").first.click()
    eventually(lambda: "every link holds" in card(seen, "found"), what="the proofs")
    for summary in seen.page.locator(".chain summary").all():
        summary.click()
    keep(seen, f"chain-{size}")
    laid = layout(seen)
    assert laid["scrolls"] <= 0 and laid["wide"] == [] and laid["spills"] == [], laid
    assert size == "projector" or laid["small"] == []


def test_nobody_who_was_not_asked_and_nothing_that_is_not_there(
    visit, dash: Console, lathe, eventually
):
    seen = visit()
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Names and agents")
    seen.page.locator("form.find input[name=region]").fill("nowhere at all")
    seen.page.locator("form.find input[name=region]").press("Enter")
    eventually(lambda: "knows no such service" in card(seen, "found"), what="an empty answer")
    assert seen.page.locator("form.find input[name=region]").input_value() == "nowhere at all"
