"""The federation on screen: what coops sign and exchange, and the network that parts and heals."""

from __future__ import annotations

import secrets

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, layout, open_page
from opkit.proof.terms import agreement_id
from opkit.story import World
from opkit.wire.clearing import POST_OFFER, PostOffer
from opkit.wire.network import NODE, AskNode
from opkit.wire.terms import ClearingTerms, Provision, Terms

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
PARTIES = (BRIGHT, RIVER)
UNIT = "commons-credits"
RUN = "window.hacked=1"
MARKUP = f'"><img src=x onerror={RUN}><script>{RUN}</script>'
FOREIGN = """() => {
  const on = (one) => [...one.attributes].some(({ name }) => name.startsWith("on"));
  const all = [...document.querySelectorAll("*")];
  return all.filter((one) => one.matches("img,iframe,object,embed,base") || on(one)).length;
}"""


def card(seen: Visit, name: str) -> str:
    """Return the words in a card."""
    return seen.page.locator(f"[data-card={name}]").first.inner_text()


def come(visit, dash: Console, *, as_viewer: bool = False, size: str = "projector") -> Visit:
    """Come in, and open the page of the federation."""
    seen: Visit = visit(size=size)
    enter(seen, dash, as_viewer=as_viewer)
    open_page(seen, "Federation")
    return seen


def people(world: World, coop: str, role: str = "") -> list[str]:
    """Return a coop's founding members, or those of them with a role."""
    founders = [one for home, one in world.genesis.founders() if home == coop]
    return [one.member_id for one in founders if not role or role in one.roles]


def officer(world: World, coop: str):
    """Return the client of an officer at their own node."""
    return world.client(coop, people(world, coop, "officer")[0])


async def decide(world: World, *, title: str, text: str = "") -> tuple[str, dict[str, str]]:
    """Have both assemblies decide on terms that nobody has signed; return what they are called."""
    said = await officer(world, RIVER).call(NODE, AskNode())
    terms = Terms(
        network=world.genesis.network,
        parties=PARTIES,
        facilitator=HARBOR,
        arbiter=HARBOR,
        title=title,
        text=text,
        provisions=(Provision(by=BRIGHT, to=RIVER, what=f"hours of {title}"),),
        starts_ms=said.world_ms,
        term_days=365,
        renewable=True,
        notice_days=30,
        clearing=ClearingTerms(unit=UNIT, imbalance_max=100, settled="monthly"),
    )
    proposals = {}
    for coop in PARTIES:
        view = await officer(world, coop).agreements.propose(coop, terms)
        proposals[coop] = view.proposal_id
        for who in people(world, coop):
            await world.client(coop, who).governance(coop).vote(view.proposal_id, "yes")
    await world.pass_time(days=7)
    for coop, proposal in proposals.items():
        await officer(world, coop).governance(coop).close(proposal)
    await world.pass_time(days=1)
    return agreement_id(terms), proposals


async def sign(world: World, coop: str, proposals: dict[str, str]) -> None:
    """Have a coop's home sign what the coop decided."""
    await officer(world, coop).agreements.sign(coop, proposals[coop])


async def agree(world: World, *, title: str, text: str) -> str:
    """Have both coops decide and sign; return what the agreement is called."""
    agreement, proposals = await decide(world, title=title, text=text)
    for coop in PARTIES:
        await sign(world, coop, proposals)
    return agreement


async def give(world: World, agreement: str, *, amount: int, what: str) -> str:
    """Have River City do something for BrightWorks, which owes for it; return its hash."""
    name = secrets.token_hex(8)
    ask = PostOffer(
        agreement=agreement,
        exchange_id=name,
        payer=BRIGHT,
        payee=RIVER,
        unit=UNIT,
        amount=amount,
        what=what,
    )
    told = await officer(world, BRIGHT).call(POST_OFFER, ask, idempotency_key=name)
    return str(told.hash)


def pick(seen: Visit, agreement: str) -> None:
    """Open an agreement; it is verified as it opens."""
    seen.page.locator(f"[data-card=agreements] [data-agreement='{agreement}']").click()


@pytest.fixture(scope="module")
def agreed(network) -> str:
    """Have an agreement that both parties signed; return what it is called."""
    return str(network.tell(lambda world: agree(world, title="Machines", text="Off-peak hours.")))


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_where_nothing_is_agreed_the_page_says_so_and_what_would_change_it(
    visit, dash: Console, size, eventually, readable, settled
):
    """First of all here: on this network nobody has agreed on anything yet."""
    seen = come(visit, dash, as_viewer=True, size=size)
    eventually(lambda: "Nothing is agreed" in card(seen, "agreements"), what="no agreement")
    assert "opkit agreement propose" in card(seen, "agreements")
    assert "Nobody owes anybody" in card(seen, "positions")
    assert "Nothing passed yet" in card(seen, "moved")
    assert "No agreement is chosen" in card(seen, "agreement")
    eventually(lambda: "heard by all alike" in card(seen, "joined"), what="all nodes to tell")
    assert seen.page.locator("[data-card=parted] [data-act]").count() == 0, "a viewer looks on"
    readable(seen, size=size, name=f"federation-empty-{size}")
    settled(seen, dash)


@pytest.mark.parametrize("role", ["presenter", "viewer"])
def test_signatures_copies_and_exchanges_show_by_themselves_and_are_verified_here(
    visit, dash: Console, network, role, eventually, keep, accessible
):
    seen = come(visit, dash, as_viewer=role == "viewer")
    title = f"Lathe {secrets.token_hex(4)}"
    agreement, proposals = network.tell(lambda world: decide(world, title=title))
    network.tell(lambda world: sign(world, RIVER, proposals))
    row = seen.page.locator("[data-card=agreements] tr", has_text=title)
    eventually(lambda: row.count() and "3 of 3 the same" in row.inner_text(), what="three copies")
    assert "proposed" in row.inner_text() and "1 of 2" in row.inner_text()
    pick(seen, agreement)
    eventually(lambda: "nobody can use it" in card(seen, "agreement"), what="who has not signed")
    network.tell(lambda world: sign(world, BRIGHT, proposals))
    eventually(lambda: "active" in row.inner_text(), what="an agreement in force")
    eventually(lambda: "every party signed" in card(seen, "agreement"), what="both signatures")
    done = network.tell(lambda world: give(world, agreement, amount=40, what="eight hours"))
    bar = seen.page.locator(f"[data-card=positions] #m-{agreement[:16]}-{UNIT}-{BRIGHT}-{RIVER}")
    eventually(lambda: bar.count() and "is owed 40 cc" in bar.inner_text(), what="a position")
    eventually(lambda: "both say the same" in bar.inner_text(), what="a mirrored position")
    assert "owes 40 cc" in bar.inner_text()
    halves = bar.locator(".half > i").evaluate_all("all => all.map(each => each.style.width)")
    assert halves == ["40%", "40%"]
    verified = seen.page.locator("[data-card=agreement] .verdict time")
    seen.page.locator("[data-card=agreement] [data-act=verify]").click()
    eventually(lambda: "links verified here" in card(seen, "agreement"), what="verified links")
    before = verified.get_attribute("title")
    seen.page.locator("[data-card=agreement] [data-act=verify]").click()
    eventually(lambda: verified.get_attribute("title") != before, what="links verified again")
    seen.page.locator(f"[data-card=moved] [data-exchange='{done}']").click()
    eventually(lambda: "3 links verified here" in card(seen, "moved"), what="a verified exchange")
    assert card(seen, "moved").count("posted its half") == 2
    keep(seen, f"federation-{role}")
    accessible(seen)
    eventually(lambda: not card(seen, "wrong").strip(), what="all nodes to tell, and honestly")


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_network_parts_and_heals_and_the_page_shows_both(
    visit, dash: Console, network, agreed, size, eventually, readable, keep, accessible, settled
):
    presenter = come(visit, dash, size=size)
    viewer = come(visit, dash, as_viewer=True, size=size)
    everybody = (presenter, viewer)
    try:
        for seen in everybody:
            eventually(lambda seen=seen: "nobody" in card(seen, "parted"), what="nobody parted")
        press(presenter, "deeds", open="part")
        eventually(
            lambda: "Where shall the network be parted?" in card(presenter, "parted"),
            what="the list of sides",
        )
        # The list lies over the cards below for as long as it is open.
        keep(presenter, f"federation-part-{size}")
        accessible(presenter)
        laid = layout(presenter)
        assert laid["scrolls"] <= 0 and laid["wide"] == [], laid
        press(presenter, "partition", org=BRIGHT)
        for seen in everybody:
            eventually(lambda seen=seen: "in 2 parts" in card(seen, "parted"), what="two parts")
            eventually(
                lambda seen=seen: "What waits for that" in card(seen, "parted"), what="what waits"
            )
            assert seen.page.locator("[data-card=parted] .side-of").count() == 2
            assert "each still reads its own copy" in card(seen, "parted")
        readable(viewer, size=size, name=f"federation-parted-{size}")
        press(presenter, "deeds", open="heal")
        press(presenter, "heal")
        for seen in everybody:
            eventually(lambda seen=seen: "nobody" in card(seen, "parted"), what="one network")
            assert seen.page.locator("[data-card=parted] .side-of").count() == 1
            assert "What waits" not in card(seen, "parted")
    finally:
        network.tell(heal_all)
    for seen in everybody:
        settled(seen, dash)


def press(seen: Visit, act: str, **arguments: str) -> None:
    """Press the control that does this."""
    given = "".join(f'[data-{name}="{value}"]' for name, value in arguments.items())
    seen.page.locator(f'[data-card=parted] [data-act="{act}"]{given}').first.click()


async def heal_all(world: World) -> None:
    """Undo whatever is done to the network."""
    await world.ask("heal")


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_node_that_is_killed_is_told_and_its_copy_comes_back(
    visit, dash: Console, network, agreed, size, eventually, keep
):
    seen = come(visit, dash, as_viewer=True, size=size)
    pick(seen, agreed)
    network.tell(lambda world: world.kill(HARBOR))
    try:
        eventually(lambda: "1 node does not tell" in card(seen, "wrong"), what="a silent node")
        eventually(lambda: "does not answer" in card(seen, "agreement"), what="a silent copy")
        eventually(lambda: "down since" in card(seen, "parted"), what="a node that is down")
        keep(seen, f"federation-killed-{size}")
        laid = layout(seen)
        assert laid["scrolls"] <= 0 and laid["wide"] == [] and laid["spills"] == [], laid
    finally:
        network.tell(lambda world: world.restart(HARBOR))
    eventually(lambda: not card(seen, "wrong").strip(), what="nobody silent")
    eventually(lambda: card(seen, "agreement").count("the same, tells") == 3, what="three copies")


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_open_proofs_fit_the_screen_and_markup_in_them_is_only_shown(
    visit, dash: Console, network, size, eventually, readable
):
    title = f"{MARKUP} {secrets.token_hex(4)}"

    agreement = network.tell(lambda world: agree(world, title=title, text=MARKUP * 4))
    seen = come(visit, dash, as_viewer=True, size=size)
    eventually(lambda: title in card(seen, "agreements"), what="the agreement")
    pick(seen, agreement)
    told = "the same, tells that it is active"
    eventually(lambda: card(seen, "agreement").count(told) == 3, what="an agreement in force")
    done = network.tell(lambda world: give(world, agreement, amount=9, what=MARKUP))
    eventually(lambda: "links verified here" in card(seen, "agreement"), what="its proof")
    # As it was when it was opened, so is its proof: not before both sides have posted.
    bar = seen.page.locator(f"[data-card=positions] #m-{agreement[:16]}-{UNIT}-{BRIGHT}-{RIVER}")
    eventually(lambda: bar.count() and "is owed 9 cc" in bar.inner_text(), what="a position")
    eventually(lambda: "both say the same" in bar.inner_text(), what="a mirrored position")
    seen.page.locator(f"[data-card=moved] [data-exchange='{done}']").click()
    eventually(lambda: "3 links verified here" in card(seen, "moved"), what="the exchange's proof")
    for summary in seen.page.locator(":is([data-card=agreement],[data-card=moved]) summary").all():
        summary.click()
    assert MARKUP in card(seen, "agreement") and MARKUP in card(seen, "moved")
    assert title in card(seen, "positions")
    readable(seen, size=size, name=f"federation-open-{size}")
    assert seen.page.evaluate(FOREIGN) == 0
    assert seen.page.evaluate("window.hacked") is None
