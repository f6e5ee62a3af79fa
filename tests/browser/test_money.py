"""Ledgers and governance on screen: what is posted and voted shows as it happens, with proofs."""

from __future__ import annotations

import secrets

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, layout, open_page
from opkit.story import World
from opkit.wire.votes import TextEffect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

BRIGHT, HARBOR = "brightworks-cooperative", "harbor-homes-cooperative"
HUGO = f"{BRIGHT}/hugo"


def card(seen: Visit, name: str) -> str:
    """Return the words in a card."""
    return seen.page.locator(f"[data-card={name}]").first.inner_text()


async def post(world: World, *, memo: str) -> str:
    """Have Hugo post an entry; return its hash."""
    ledger = world.client(BRIGHT, HUGO).ledger(BRIGHT)
    entry = await ledger.post({"equity/opening": -1_250, "cash": 1_250}, memo=memo)
    return str(entry.hash)


async def propose(world: World, *, name: str) -> None:
    """Have a member of Harbor Homes propose a text."""
    who = next(one.member_id for coop, one in world.genesis.founders() if coop == HARBOR)
    assembly = world.client(HARBOR, who).governance(HARBOR)
    await assembly.propose(name, TextEffect(), title=f"Paint {name}")


async def vote(world: World, *, name: str, members: int) -> None:
    """Have so many members of Harbor Homes vote for it."""
    all_of_them = [one.member_id for coop, one in world.genesis.founders() if coop == HARBOR]
    for who in all_of_them[:members]:
        await world.client(HARBOR, who).governance(HARBOR).vote(name, "yes")


@pytest.mark.parametrize("role", ["presenter", "viewer"])
def test_an_entry_shows_by_itself_and_its_reasons_are_verified_here(
    visit, dash: Console, network, role, eventually, keep, accessible
):
    memo = f"sold-{secrets.token_hex(4)}"
    seen = visit()
    enter(seen, dash, as_viewer=role == "viewer")
    open_page(seen, "Ledger")
    seen.page.locator(f"[data-act=coop][data-of={BRIGHT}]").click()
    entry = network.tell(lambda world: post(world, memo=memo))
    eventually(lambda: memo in card(seen, "entries"), what="the entry")
    assert "must be zero" in card(seen, "sums")
    seen.page.locator(f"[data-card=entries] [data-entry='{entry}']").click()
    eventually(lambda: "links verified here" in card(seen, "why"), what="the reasons")
    links = seen.page.locator("[data-card=why] .chain > li")
    assert links.count() == 4, "the entry, its poster's right, its place, the journal"
    links.nth(3).locator("summary").click()
    assert "entry-included" in card(seen, "why")
    verified = seen.page.locator("[data-card=why] .verdict time")
    before = verified.get_attribute("title")
    seen.page.get_by_role("button", name="Verify again").click()
    eventually(
        lambda: verified.get_attribute("title") != before, what="reasons that were verified again"
    )
    keep(seen, f"reasons-{role}")
    accessible(seen)
    seen.page.keyboard.press("Escape")
    eventually(lambda: "No entry is chosen" in card(seen, "why"), what="the reasons to close")


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_vote_shows_as_it_is_cast_and_fits_the_screen(
    visit, dash: Console, network, size, eventually, keep, accessible
):
    name = f"stairs-{secrets.token_hex(4)}"
    network.tell(lambda world: propose(world, name=name))
    seen = visit(size=size)
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Governance")
    seen.page.locator(f"[data-act=coop][data-of={HARBOR}]").click()
    eventually(lambda: name in card(seen, "proposals"), what="the proposal")
    seen.page.locator("[data-card=proposals] tr", has_text=name).locator(".opens").click()
    eventually(lambda: name in card(seen, "vote"), what="its votes")
    network.tell(lambda world: vote(world, name=name, members=3))
    eventually(lambda: "3 ballots" in card(seen, "vote"), what="three votes")
    # Ballots are counted as they are journalled, the tally as the node is asked.
    reached = "quorum 60 %: 3 of 5, reached"
    eventually(lambda: reached in card(seen, "vote"), what="a tally of all three")
    mark = seen.page.locator(".meter .mark").first
    assert mark.evaluate("each => each.style.left") == "60%"
    keep(seen, f"votes-{size}")
    accessible(seen)
    laid = layout(seen)
    assert laid["scrolls"] <= 0 and laid["wide"] == [] and laid["spills"] == [], laid
    assert size == "projector" or laid["small"] == []


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_open_reasons_fit_the_screen(visit, dash: Console, network, size, eventually, keep):
    memo = f"bought-{secrets.token_hex(4)}"
    entry = network.tell(lambda world: post(world, memo=memo))
    seen = visit(size=size)
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Ledger")
    seen.page.locator(f"[data-act=coop][data-of={BRIGHT}]").click()
    eventually(lambda: memo in card(seen, "entries"), what="the entry")
    seen.page.locator(f"[data-card=entries] [data-entry='{entry}']").click()
    eventually(lambda: "links verified here" in card(seen, "why"), what="the reasons")
    for summary in seen.page.locator("[data-card=why] .chain summary").all():
        summary.click()
    keep(seen, f"why-{size}")
    laid = layout(seen)
    assert laid["scrolls"] <= 0 and laid["wide"] == [] and laid["spills"] == [], laid
    assert size == "projector" or laid["small"] == []
