"""What is on screen is what the nodes say, as it happens, whatever breaks in between."""

from __future__ import annotations

import secrets
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.line import line
from bench.network import ROOT
from bench.pages import enter, open_page
from opkit.proof.wasm import add_custom_section
from opkit.story import World
from opkit.wire.compute import GET_TASK, GetTask, TaskView
from opkit.wire.network import NODE, AskNode, NodeInfo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
MARA, HUGO = "river-city-tool-library/mara", "brightworks-cooperative/hugo"


def some_module() -> bytes:
    """Return a module that nobody has seen before."""
    upper = (ROOT / "wasm/upper.wasm").read_bytes()
    return add_custom_section(upper, "test", secrets.token_bytes(16))


async def deploy(world: World, *, name: str) -> str:
    """Have Mara deploy a new module under a name; return its hash."""
    info = await world.client(RIVER, MARA).wasm.deploy(some_module(), name=name)
    return str(info.wasm_hash)


async def run_a_task(world: World, *, name: str) -> tuple[TaskView, str]:
    """Have Hugo run a new module on Harbor's node; return what his node says, and the hash."""
    wasm_hash = await deploy(world, name=name)
    hugo = world.client(BRIGHT, HUGO)
    handle = await hugo.compute.submit(wasm_hash, b"hello", executor=world.node(HARBOR).did)
    await handle.result()
    return await hugo.call(GET_TASK, GetTask(task_id=handle.task_id)), wasm_hash


def words(seen: Visit, card: str) -> str:
    """Return the words in a card."""
    return seen.page.locator(f"[data-card={card}]").first.inner_text()


@pytest.fixture(params=["presenter", "viewer"])
def seen(request, visit, dash: Console) -> Visit:
    """Have somebody who has come in: with a kernel of their own, and without."""
    come = visit()
    enter(come, dash, as_viewer=request.param == "viewer")
    return come


def test_the_network_page_says_what_the_nodes_say(seen: Visit, network, eventually):
    async def ask(world: World) -> dict[str, NodeInfo]:
        return {
            node.org: await world.operator(node.org).call(NODE, AskNode())
            for node in world.genesis.genesis.nodes
        }

    said = network.tell(ask)
    open_page(seen, "Network")
    eventually(lambda: "3 of 3 nodes up" in words(seen, "health"), what="all nodes to be up")
    for org, info in said.items():
        seen.page.locator(f"#node-{org} [data-act=select]").click()
        own = seen.page.locator(f"[data-card=node]:has([data-copy='{info.did}'])")
        own.wait_for()
        shown = own.inner_text()
        assert info.version in shown
        assert info.engine.version in shown
        assert f"number {info.generation}" in shown


def test_the_compute_page_says_what_the_nodes_say_and_checks_it(seen: Visit, network, eventually):
    name = f"checked-{secrets.token_hex(4)}"
    task, wasm_hash = network.tell(lambda world: run_a_task(world, name=name))
    open_page(seen, "Compute")
    row = seen.page.locator(f"[data-card=tasks] #t-{task.task_id}")
    row.get_by_text(name).wait_for()
    eventually(lambda: task.state.value in row.inner_text(), what="how the task ended")
    assert seen.page.locator(f"[data-card=modules] [data-copy='{wasm_hash}']").count() >= 1
    row.locator("[data-act=open]").click()
    opened = seen.page.locator("[data-card=task]")
    opened.locator(f"[data-copy='{task.task_id}']").first.wait_for()
    opened.locator("[data-act=verify]").click()
    opened.get_by_text("holds: ").wait_for()
    assert "verified here" in opened.inner_text()
    assert opened.locator("[class*=failed]").count() == 0


def test_an_event_shows_by_itself(seen: Visit, network):
    name = f"fresh-{secrets.token_hex(4)}"
    open_page(seen, "Compute")
    network.tell(lambda world: deploy(world, name=name))
    seen.page.locator("[data-card=modules]").get_by_text(name).wait_for()


def test_a_killed_node_is_shown_dead_and_comes_back_by_itself(seen: Visit, network, eventually):
    open_page(seen, "Network")
    harbor = seen.page.locator(f"#node-{HARBOR}")
    eventually(lambda: "3 of 3 nodes up" in words(seen, "health"), what="all nodes to be up")
    network.tell(lambda world: world.kill(HARBOR))
    try:
        eventually(lambda: "down since" in harbor.inner_text(), what="Harbor to be shown dead")
        eventually(lambda: "2 of 3 nodes up" in words(seen, "health"), what="the others to be up")
    finally:
        network.tell(lambda world: world.restart(HARBOR))
    eventually(
        lambda: "3 of 3 nodes up" in words(seen, "health") and "down" not in harbor.inner_text(),
        what="Harbor to be back",
    )


def test_a_cut_link_is_shown_as_cut_on_purpose(seen: Visit, network, eventually):
    open_page(seen, "Network")
    network.tell(lambda world: world.cut(RIVER, BRIGHT))
    try:
        seen.page.locator("[data-card=map]").get_by_text("cut on purpose").wait_for()
        assert "cut on purpose" in words(seen, "links")
    finally:
        network.tell(lambda world: world.heal(RIVER, BRIGHT))
    eventually(lambda: "cut on purpose" not in words(seen, "map"), what="the link to be up")


@pytest.mark.parametrize("role", ["presenter", "viewer"])
def test_a_lost_connection_is_said_and_heals(visit, dash: Console, network, eventually, role):
    """What happened meanwhile is there afterwards."""
    name = f"meanwhile-{secrets.token_hex(4)}"
    parts = urlsplit(dash.origin)
    with line(to_port=int(parts.port or 0)) as wire:
        through = replace(
            dash,
            presenter=dash.presenter.replace(f":{parts.port}", f":{wire.port}"),
            viewer=dash.viewer.replace(f":{parts.port}", f":{wire.port}"),
        )
        seen = visit()
        enter(seen, through, as_viewer=role == "viewer")
        open_page(seen, "Compute")
        wire.cut()
        lost = seen.page.get_by_text("onnection lost").first
        lost.wait_for()
        network.tell(lambda world: deploy(world, name=name))
        wire.mend()
        seen.page.locator("[data-card=modules]").get_by_text(name).wait_for()
        eventually(lambda: not lost.is_visible(), what="the bar to go")
        seen.page.goto("about:blank")
