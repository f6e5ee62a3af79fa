"""Names that are markup, on a real network, in a real browser: they are shown, and nothing runs."""

from __future__ import annotations

import secrets

import pytest

from bench.browser import Visit
from bench.console import Console
from bench.network import ROOT
from bench.pages import enter, open_page
from opkit.proof.wasm import add_custom_section
from opkit.story import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
RUN = "window.hacked=1"
NAMES = (
    f'"><img src=x onerror={RUN}>',
    f"'><svg/onload={RUN}>",
    f"</script><script>{RUN}</script>",
    f'" onmouseover={RUN} autofocus onfocus={RUN} x="',
)
FOREIGN = """() => {
  const on = (one) => [...one.attributes].some(({ name }) => name.startsWith("on"));
  const all = [...document.querySelectorAll("*")];
  return all.filter((one) => one.matches("img,iframe,object,embed,base") || on(one)).length;
}"""


async def deploy_and_run(world: World) -> None:
    """Have Mara deploy modules with names that are markup, and Hugo run one of them."""
    upper = (ROOT / "wasm/upper.wasm").read_bytes()
    wasm = world.client(RIVER, f"{RIVER}/mara").wasm
    for name in NAMES:
        code = add_custom_section(upper, "test", secrets.token_bytes(16))
        info = await wasm.deploy(code, name=name)
    compute = world.client(BRIGHT, f"{BRIGHT}/hugo").compute
    handle = await compute.submit(info.wasm_hash, b"hello", executor=world.node(HARBOR).did)
    await handle.result()


@pytest.fixture(params=["presenter", "viewer"])
def seen(request: pytest.FixtureRequest, visit, dash: Console) -> Visit:
    """Have somebody who has come in: with a kernel of their own, and without."""
    come = visit()
    enter(come, dash, as_viewer=request.param == "viewer")
    return come


def test_names_that_are_markup_are_shown_and_run_nothing(seen: Visit, network):
    network.tell(deploy_and_run)
    open_page(seen, "Compute")
    for name in NAMES:
        seen.page.get_by_text(name).first.wait_for(state="attached")
    seen.page.locator("[data-card=tasks] button.opens").first.click()
    seen.page.locator("[data-card=task] .verdict").first.wait_for()
    seen.page.get_by_text("Verify the receipt").first.click()
    seen.page.get_by_text("Verify again").first.wait_for()
    assert seen.page.evaluate(FOREIGN) == 0
    for page in ("Network", "Console"):
        open_page(seen, page)
        assert seen.page.evaluate(FOREIGN) == 0
    assert seen.page.evaluate("window.hacked") is None


def test_what_would_slip_into_a_page_could_not_run(visit, dash: Console):
    """The policy stands behind escaping: no handler, no inline script, no other host's."""
    seen = visit()
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Network")
    broken = seen.page.evaluate(
        """async (run) => {
          const broken = [];
          addEventListener("securitypolicyviolation", (event) =>
            broken.push(event.effectiveDirective));
          const place = document.querySelector("main");
          const add = (html) => {
            const one = document.createRange().createContextualFragment(html);
            place.append(one);
          };
          add(`<img src="data:," onerror="${run}">`);
          add(`<script>${run}</script>`);
          add(`<script src="http://127.0.0.1:9/x.js"></script>`);
          add(`<iframe src="http://127.0.0.1:9/"></iframe>`);
          add(`<img src="http://127.0.0.1:9/x.png">`);
          await fetch("http://127.0.0.1:9/").catch(() => null);
          const until = Date.now() + 30000;
          while (new Set(broken).size < 5 && Date.now() < until)
            await new Promise((go) => setTimeout(go, 20));
          return [...new Set(broken)].sort();
        }""",
        RUN,
    )
    wanted = ["connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem"]
    assert broken == wanted
    assert seen.page.evaluate("window.hacked") is None
