"""Kernels are ready before a page is asked for, and none outlives its page."""

from __future__ import annotations

import re

import psutil
import pytest

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, open_page, wait_data
from opkit.views.nav import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


CULLED_S = 100
"""After how long a kernel has surely ended whose page could not say goodbye."""
SPARE = len(PAGES)
"""How many kernels are ready while no page is open: one for each."""


def kernels(dash: Console) -> set[str]:
    """Return the kernels that have a process, by their ids, in use or ahead of it."""
    found: set[str] = set()
    for child in psutil.Process(dash.pid).children(recursive=True):
        try:
            line = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "ipykernel" in line:
            found.update(re.findall(r"kernel-([\w-]+)\.json", line))
    return found


def kernel_of(seen: Visit) -> str:
    """Return the id of the kernel that a page which is live has."""
    opened = " ".join(seen.noted.sockets)
    return str(re.findall(r"/api/kernels/([\w-]+)/channels", opened)[-1])


@pytest.mark.parametrize("way", ["close", "leave", "reload"])
def test_a_closed_tab_leaves_no_kernel(visit, dash: Console, eventually, way):
    """The kernel of the page ends; those that are kept ready for the next page stay."""
    seen = visit()
    enter(seen, dash)
    eventually(
        lambda: len(kernels(dash)) == SPARE, what="the ready kernels only", within_s=CULLED_S
    )
    ready = kernels(dash)
    open_page(seen, "Network")
    used = {kernel_of(seen)}
    eventually(lambda: len(kernels(dash)) > SPARE, what="the next kernel to be made ready")
    if way == "close":
        seen.page.close()
    elif way == "leave":
        seen.page.goto("about:blank")
    else:
        seen.page.reload()
        wait_data(seen)
        eventually(lambda: not used & kernels(dash), what="the kernel before the reload to end")
        used.add(kernel_of(seen))
        eventually(lambda: len(kernels(dash)) == SPARE + 1, what="only one kernel to be used")
        seen.page.goto("about:blank")
    # A kernel that ends makes the same number as one that is not made ready yet.
    eventually(
        lambda: not used & kernels(dash) and len(kernels(dash)) == SPARE,
        what="the page's kernel to end",
    )
    assert ready - kernels(dash), "the page had one of those that were ready"


def test_a_viewer_needs_no_kernel(visit, dash: Console, eventually):
    eventually(
        lambda: len(kernels(dash)) == SPARE, what="the ready kernels only", within_s=CULLED_S
    )
    ready = kernels(dash)
    seen = visit()
    enter(seen, dash, as_viewer=True)
    open_page(seen, "Network")
    assert kernels(dash) == ready
    assert not [url for url in seen.noted.requests if "/api/kernels" in url]
