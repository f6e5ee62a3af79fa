"""A network, a console and a browser for the tests of what people see."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from bench import browser as bench_browser
from bench.browser import PATIENCE_MS, Picture, Size, Theme, Visit, picture
from bench.console import Console, console
from bench.network import ROOT, opkit
from bench.pages import layout
from devnet.attach import open_world
from opkit.story import World

T = TypeVar("T")

ARTEFACTS = ROOT / "build" / "browser" / os.environ.get("PYTEST_XDIST_WORKER", "")
"""Where screenshots are kept, under the names of their tests; each process has a folder."""
NETWORK = "t"
DEADLINE_S = 60
TILES_MIN, COLOURS_MIN, GROUND_MAX = 0.25, 12, 0.98
"""Below, below and above these a screenshot counts as empty."""
GRAVE = {"serious", "critical"}


@pytest.fixture
def nothing_outlives_a_test() -> None:
    """Let processes live on here: browser, nodes, kernels serve many tests (see `dash`)."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let fixtures see at their end how their test went."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


FAILED = pytest.StashKey[bool]()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A running devnet and what a test asks of it behind the browser's back."""

    name: str
    threads: ThreadPoolExecutor

    def run(self, work: Awaitable[T]) -> T:
        """Return what `work` returns; the browser's own loop occupies this thread."""

        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE_S):
                return await work

        return self.threads.submit(asyncio.run, bounded()).result(DEADLINE_S + 5)

    def tell(self, work: Callable[[World], Awaitable[T]]) -> T:
        """Return what `work` returns for the network's world."""

        async def go() -> T:
            world = await open_world(self.name, run_id="browser", seed=7)
            try:
                return await work(world)
            finally:
                await world.close()

        return self.run(go())


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Have a devnet of three nodes, in a state folder of its own."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = tempfile.mkdtemp(prefix="ok-")
    before = os.environ.get("OPKIT_HOME")
    os.environ["OPKIT_HOME"] = home
    try:
        opkit("devnet", "up", NETWORK)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ThreadPoolExecutor") as threads:
            yield Network(name=NETWORK, threads=threads)
    finally:
        opkit("devnet", "reset", NETWORK)
        os.environ.pop("OPKIT_HOME")
        if before is not None:
            os.environ["OPKIT_HOME"] = before
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def dash(network: Network) -> Iterator[Console]:
    """Have a console on the network; its log is kept."""
    shutil.rmtree(ARTEFACTS, ignore_errors=True)
    ARTEFACTS.mkdir(parents=True)
    with console(network.name, log=ARTEFACTS / "said.log") as serving:
        try:
            yield serving
        finally:
            shutil.copy(serving.log, ARTEFACTS / "console.log")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Have a browser; one for each module, for its loop would be in the way of other tests."""
    with bench_browser.browser() as running:
        yield running


@pytest.fixture
def visit(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Let visitors come; what a failed test saw is kept."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def come(*, size: Size = "projector", theme: Theme = "light") -> Visit:
            seen = stack.enter_context(bench_browser.visit(browser, size=size, theme=theme))
            visits.append(seen)
            return seen

        yield come
        if request.node.stash.get(FAILED, False):
            for number, seen in enumerate(visits):
                picture(seen, ARTEFACTS / f"FAILED-{file_name(request.node.name)}-{number}.png")


@pytest.fixture
def keep() -> Callable[[Visit, str], Picture]:
    """Keep a screenshot as an artefact and demand that there is something to be seen in it."""

    def look(seen: Visit, name: str) -> Picture:
        found = picture(seen, ARTEFACTS / f"{file_name(name)}.png")
        assert not is_empty(found), found
        return found

    return look


def file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def is_empty(found: Picture) -> bool:
    """Return whether a screenshot shows too little to be a page."""
    full = found.tiles >= TILES_MIN and found.colours >= COLOURS_MIN
    return not (full and found.ground <= GROUND_MAX)


@pytest.fixture
def emptiness() -> Callable[[Picture], bool]:
    """Return what judges screenshots."""
    return is_empty


@pytest.fixture
def accessible() -> Callable[[Visit], None]:
    """Demand that axe finds nothing serious or critical."""

    def check(seen: Visit) -> None:
        found = Axe().run(seen.page)
        grave = [each for each in found.response["violations"] if each["impact"] in GRAVE]
        assert not grave, "\n".join(found.generate_report(each["id"]) for each in grave)

    return check


@pytest.fixture
def readable(
    keep: Callable[[Visit, str], Picture], accessible: Callable[[Visit], None]
) -> Callable[..., dict[str, Any]]:
    """Demand that what is shown fits and can be read in both themes; give how it is laid out."""

    def check(seen: Visit, *, size: str, name: str) -> dict[str, Any]:
        for theme in ("light", "dark"):
            seen.page.emulate_media(color_scheme=theme)
            keep(seen, f"{name}-{theme}")
            accessible(seen)
        laid: dict[str, Any] = layout(seen)
        assert laid["scrolls"] <= 0, laid
        assert laid["wide"] == []
        assert laid["spills"] == []
        if size == "phone":
            assert laid["small"] == []
        return laid

    return check


@pytest.fixture
def settled() -> Callable[..., None]:
    """Demand what every page owes its visitor, whatever it shows."""

    def check(seen: Visit, serving: Console) -> None:
        assert seen.noted.errors == []
        assert seen.noted.outside(serving.origin, serving.origin.replace("http", "ws")) == []
        assert [each for each in seen.noted.statuses if each[0] >= 400] == []
        assert seen.noted.dropped == 0

    return check


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Look again and again until something is so, and return it."""

    def look(probe: Callable[[], T], *, what: str, within_s: float = PATIENCE_MS / 1000) -> T:
        limit = time.monotonic() + within_s
        while not (found := probe()):
            if time.monotonic() > limit:
                pytest.fail(f"waited {within_s:g} s for {what}")
            time.sleep(0.05)
        return found

    return look
