"""What somebody waits for in front of the console, and what it costs, in a real browser."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil
from playwright.sync_api import Browser

from bench.browser import Visit, browser, visit
from bench.console import Console, console
from bench.load import events
from bench.network import devnet, state_home
from bench.pages import FIRST_DATA, enter, open_page, wait_data, wait_until
from bench.rows import Row, percentile, row
from devnet.attach import open_world

MB = 1_000_000
VIEWERS = 10
WATCH_S = 20.0
QUIET_S_MAX = 60.0
EVENTS_PER_S = 50
SOAK_MIN_ENV = "OPKIT_BENCH_SOAK_MIN"
"""How many minutes the server's memory is watched; 60 is the hour that the target names."""

NOTE_ARRIVALS: Final = """() => {
  window.opkitArrived = {};
  const note = () => requestAnimationFrame(() => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll("[data-card=happenings] li[id^=h-]"))
      window.opkitArrived[row.id.slice(2)] ??= now;
  });
  note();
  new MutationObserver(note).observe(document.body, {childList: true, subtree: true});
}"""
FRAMES: Final = """seconds => new Promise((done) => {
  let frames = 0;
  const began = performance.now();
  const next = (now) => {
    frames++;
    if (now - began < seconds * 1000) requestAnimationFrame(next); else done(frames / seconds);
  };
  requestAnimationFrame(next);
})"""


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A devnet, a console on it, and a browser."""

    devnet: str
    console: Console
    browser: Browser

    @property
    def server(self) -> psutil.Process:
        """The console's process."""
        return psutil.Process(self.console.pid)

    def kernels(self) -> list[psutil.Process]:
        """Return the processes that run notebooks, in use or ahead of it."""
        below = self.server.children(recursive=True)
        return [each for each in below if "ipykernel" in " ".join(each.cmdline())]


@contextmanager
def stand(*options: str, profile: str = "three") -> Iterator[Stand]:
    """Have all of it meanwhile; `options` are for `opkit dash`."""
    with ExitStack() as stack:
        stack.enter_context(state_home())
        name = stack.enter_context(devnet(profile))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opkit-bench-")))
        serving = stack.enter_context(console(name, *options, log=folder / "dash.log"))
        yield Stand(devnet=name, console=serving, browser=stack.enter_context(browser()))


def opening() -> list[Row]:
    """From the request of a page to its data, with a kernel ready and without."""
    with stand() as here:
        ready = [_open_once(here, ready=True) for _ in range(7)]
    with stand("--ready", "0") as here:
        cold = [_open_once(here, ready=False) for _ in range(5)]
    first, live = ([each[n] for each in ready] for n in (0, 1))
    cold_live = [each[1] for each in cold]
    return [
        row("page to data, kernel ready, P50", median(first), "s", target="<= 2.5", of=first),
        row("page to live, kernel ready, P50", median(live), "s", target="<= 2.5", of=live),
        row("page to live, no kernel ready", max(cold_live), "s", target="<= 7", of=cold_live),
    ]


def _open_once(here: Stand, *, ready: bool) -> tuple[float, float]:
    """Return after how many seconds a page showed data, and after how many it was live."""
    with visit(here.browser) as seen:
        enter(seen, here.console)
        _wait_quiet(here)
        assert bool(here.kernels()) == ready, "kernels are ahead, or they are not"
        open_page(seen, "Network")
        first, live = wait_data(seen)
        return first / 1000, live / 1000


def screen() -> list[Row]:
    """From the moment that dates a journal entry to the frame that shows it."""
    with stand() as here, visit(here.browser) as seen:
        enter(seen, here.console)
        open_page(seen, "Network")
        seen.page.evaluate(NOTE_ARRIVALS)
        with events(here.devnet, per_s=EVENTS_PER_S):
            seen.page.wait_for_timeout(1000 * WATCH_S)
        late = _lateness(here, seen)
    rate = len(late) / WATCH_S
    name = f"event to screen at {EVENTS_PER_S} events/s"
    return [
        row(f"{name}, P50", median(late), "ms", target="<= 60", of=late),
        row(f"{name}, P95", percentile(late, 0.95), "ms", target="<= 150", of=late),
        row("events shown a second", rate, "1/s", target=f">= {0.9 * EVENTS_PER_S:g}", of=[rate]),
    ]


def _lateness(here: Stand, seen: Visit) -> list[float]:
    """Return how long after its date each entry was on screen, in milliseconds."""
    arrived = seen.page.evaluate("window.opkitArrived")
    began = min(arrived.values())
    with ThreadPoolExecutor(1) as beside:  # This thread's loop is the browser's.
        dated = beside.submit(lambda: asyncio.run(_dates(here.devnet))).result()
    late = [at - dated[key] for key, at in arrived.items() if key in dated and at > began]
    assert late, "no entry was shown"
    return late


async def _dates(name: str) -> dict[str, int]:
    """Return when each journal entry of each node was made, by `org/sequence`."""
    world = await open_world(name, run_id="bench", seed=7)
    try:
        return {
            f"{node.org}/{entry.sequence}": entry.at_ms
            for node in world.genesis.genesis.nodes
            async for page in world.operator(node.org).journal()
            for entry in page.entries
        }
    finally:
        await world.close()


def plots() -> list[Row]:
    """What a page costs while it draws ten plots, one for each link of five nodes, twice a second.

    That is more than four plots at 4 Hz; events come at 4 Hz beside it.
    """
    with stand(profile="federation") as here, visit(here.browser) as seen:
        enter(seen, here.console)
        open_page(seen, "Network")
        with events(here.devnet, per_s=4):
            _wait_quiet(here, but=0.5)
            kernels = here.kernels()
            before = [_seconds(each) for each in kernels]
            frames = [float(seen.page.evaluate(FRAMES, 4)) for _ in range(5)]
            shares = [
                (_seconds(each) - spent) / WATCH_S * 100
                for each, spent in zip(kernels, before, strict=True)
            ]
            sizes = [_pss(each) for each in kernels]
    return [
        row("page with ten live plots, kernel", max(shares), "% core", target="<= 5", of=shares),
        row("page with ten live plots, memory (PSS)", max(sizes), "MB", target="<= 90", of=sizes),
        row("page with ten live plots, frames", median(frames), "1/s", target=">= 30", of=frames),
    ]


def viewers() -> list[Row]:
    """Ten viewers who open a page at the same moment, and what each of them costs."""
    with stand() as here, ExitStack() as stack:
        come = [stack.enter_context(visit(here.browser)) for _ in range(VIEWERS)]
        for seen in come:
            enter(seen, here.console, as_viewer=True)
        _wait_quiet(here)
        size, spent = _size(here), _spent(here)
        began = time.monotonic()
        address = f"{here.console.base}watch/network"
        for seen in come:
            # The page leaves by itself, so that one visitor does not wait for another's answer.
            seen.page.evaluate("url => { setTimeout(() => location.assign(url)) }", address)
        taken = []
        for seen in come:
            wait_until(seen, FIRST_DATA)
            taken.append(time.monotonic() - began)
        each_mb = (_size(here) - size) / VIEWERS
        opened_s = (_spent(here) - spent) / VIEWERS
        spent, began = _spent(here), time.monotonic()
        come[0].page.wait_for_timeout(1000 * WATCH_S)
        share = (_spent(here) - spent) / (time.monotonic() - began) * 100 / VIEWERS
    name = f"{VIEWERS} viewers at once"
    return [
        row(f"{name}, all have data", max(taken), "s", target="<= 12", of=taken),
        row(f"{name}, memory for each", each_mb, "MB", target="<= 20", of=[each_mb]),
        row(f"{name}, to open for each", opened_s, "s core", target="<= 1", of=[opened_s]),
        row(f"{name}, processor for each", share, "% core", target="<= 2", of=[share]),
    ]


def memory() -> list[Row]:
    """How much the server and its kernels grow while one dashboard is open and things happen."""
    minutes = float(os.environ.get(SOAK_MIN_ENV, "5"))
    sizes = []
    with stand() as here, visit(here.browser) as seen:
        enter(seen, here.console)
        open_page(seen, "Network")
        with events(here.devnet, per_s=5):
            _wait_quiet(here, but=0.5)
            seen.page.wait_for_timeout(120_000)
            limit = time.monotonic() + minutes * 60
            while time.monotonic() < limit:
                sizes.append(_size(here))
                seen.page.wait_for_timeout(5_000)
    half = len(sizes) // 2
    grown = median(sizes[half:]) - median(sizes[:half])
    name = f"server and kernels, growth in {minutes:g} minutes"
    return [row(name, grown, "MB", target="<= 4", of=sizes)]


def _size(here: Stand) -> float:
    """Return the memory of the server and of all it started, in MB (PSS)."""
    return sum(_pss(each) for each in _family(here))


def _spent(here: Stand) -> float:
    return sum(_seconds(each) for each in _family(here))


def _family(here: Stand) -> list[psutil.Process]:
    return [here.server, *here.server.children(recursive=True)]


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / MB


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait_quiet(here: Stand, *, but: float = 0.15) -> None:
    """Wait until starting is over: the console uses less than `but` of a core for a second."""
    limit = time.monotonic() + QUIET_S_MAX
    while time.monotonic() < limit:
        spent = _spent(here)
        time.sleep(1)
        if _spent(here) - spent < but:
            return
    raise RuntimeError(f"the console was busy for {QUIET_S_MAX:g} s")
