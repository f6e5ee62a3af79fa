"""The console's pages as a visitor meets them: go there, wait for data, look at the layout."""

from __future__ import annotations

import time
from typing import Any, Final

from bench.browser import PATIENCE_MS, Visit
from bench.console import Console

NOTE_FIRST_DATA: Final = """(() => {
  const filled = () => {
    const health = document.querySelector("[data-card=health]");
    return /\\d+ of \\d+ nodes? up/.test(health?.textContent ?? "")
      && [...document.querySelectorAll("main [data-card]")]
        .some((card) => card.textContent.trim().length > 40);
  };
  const look = () => {
    if (filled()) {
      const now = performance.now();
      window.opkitFirst ??= now;
      if (!document.getElementById("first")) window.opkitLive ??= now;
    }
    if (window.opkitLive === undefined) setTimeout(look, 15);
  };
  look();
})()"""
"""Notes, in a new page, when it first shows the network's health and a card with words in it, and
when the cards are no longer those that the server drew until the page's kernel answers."""

FIRST_DATA: Final = "window.opkitLive !== undefined"


def enter(seen: Visit, console: Console, *, as_viewer: bool = False) -> None:
    """Open the address that was printed, with its token: from then on a cookie lets in."""
    seen.context.add_init_script(NOTE_FIRST_DATA)
    seen.page.goto(console.viewer if as_viewer else console.presenter, wait_until="commit")
    seen.page.wait_for_load_state("load")


def open_page(seen: Visit, title: str) -> None:
    """Go to a page by the navigation, and wait until it shows data."""
    link = seen.page.locator("nav[aria-label=Pages] a", has_text=title).first
    seen.page.goto(str(link.evaluate("link => link.href")), wait_until="commit")
    wait_data(seen)


def wait_data(seen: Visit) -> tuple[float, float]:
    """Wait until the page is live; return when it showed data, and when it was live.

    Both in milliseconds after its request.
    """
    wait_until(seen, FIRST_DATA)
    first, live = seen.page.evaluate("[window.opkitFirst, window.opkitLive]")
    return float(first), float(live)


def wait_until(seen: Visit, expression: str) -> None:
    """Wait until an expression of the page is true; the page's own policy forbids it to look.

    Raises:
        TimeoutError: it stayed false for twice the patience that anything on a page gets.
    """
    limit = time.monotonic() + 2 * PATIENCE_MS / 1000
    while not seen.page.evaluate(expression):
        if time.monotonic() > limit:
            raise TimeoutError(f"{seen.page.url}: not {expression}")
        seen.page.wait_for_timeout(20)


LAYOUT: Final = """() => {
  const root = document.scrollingElement;
  const shown = (e) => e.checkVisibility({opacityProperty: true, visibilityProperty: true});
  const name = (e) => `${e.tagName.toLowerCase()}.${e.className} “${e.textContent.trim()}”`;
  const wide = [...document.body.querySelectorAll("*")].filter((e) => {
    const box = e.getBoundingClientRect();
    return shown(e) && box.width > 0 && box.right > innerWidth + 1
      && !e.closest("svg") && !inScroller(e);
  });
  function inScroller(e) {
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (/(auto|scroll|hidden|clip)/.test(getComputedStyle(p).overflowX)) return true;
    return false;
  }
  const small = [...document.querySelectorAll("button.act, [data-act], nav a, select")]
    .filter((e) => shown(e) && !e.closest("svg"))
    .map((e) => e.classList.contains("opens") ? e.closest("tr") : e)  // Its whole row is pressed.
    .filter((e) => { const b = e.getBoundingClientRect(); return b.height && b.height < 43.5; });
  const spills = [...document.querySelectorAll("[data-card], .card")].filter((e) =>
    shown(e) && getComputedStyle(e).overflowY === "visible" && !e.closest("header, .map")
    && e.clientHeight && e.scrollHeight > e.clientHeight + 3);
  return {
    spills: spills.slice(0, 8).map(name),
    scrolls: root.scrollWidth - root.clientWidth,
    wide: wide.slice(0, 8).map(name),
    small: small.slice(0, 8).map(name),
    text: parseFloat(getComputedStyle(document.querySelector(".opkit, main")).fontSize),
  };
}"""


def layout(seen: Visit) -> dict[str, Any]:
    """Return what is wrong with how a page is laid out.

    `scrolls`: by how many pixels it is wider than the screen; `wide`: what sticks out; `spills`:
    cards whose content is higher than they are, so that it lies over what follows; `small`:
    controls less than 44 pixels high; `text`: the size of its text in pixels.
    """
    found: dict[str, Any] = seen.page.evaluate(LAYOUT)
    return found
