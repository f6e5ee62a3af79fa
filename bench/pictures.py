"""`python -m bench.pictures`: take the screenshots of the documents anew, of a real network."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.browser import Visit, browser, picture, visit
from bench.console import console
from bench.network import ROOT, devnet, state_home
from bench.pages import enter, open_page

IMAGES = ROOT / "docs" / "img"
IN_FRONT = "TAMPERED_MODULE_REFUSED"
"""The step of flow A that the pictures of the console show: an attack that is refused."""
STORY_MS_MAX = 120_000
FADED_MS = 2_500


def main() -> int:
    """Take all of them; return the exit code."""
    with ExitStack() as stack:
        stack.enter_context(state_home())
        name = stack.enter_context(devnet())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opkit-pictures-")))
        serving = stack.enter_context(console(name, log=folder / "dash.log"))
        running = stack.enter_context(browser())
        presenter = stack.enter_context(visit(running, theme="dark"))
        enter(presenter, serving)
        _tell(presenter)
        _keep(presenter, "console")
        phone = stack.enter_context(visit(running, size="phone", theme="light", scale=2))
        enter(phone, serving, as_viewer=True)
        open_page(phone, "Console")
        phone.page.locator(f"#step-{IN_FRONT}").scroll_into_view_if_needed()
        _keep(phone, "console-phone")
        looking = stack.enter_context(visit(running))
        enter(looking, serving, as_viewer=True)
        open_page(looking, "Network")
        _keep(looking, "network")
        _verify(looking)
        _keep(looking, "compute")
    return 0


def _tell(seen: Visit) -> None:
    """Tell flow A up to and including the step that the pictures show."""
    open_page(seen, "Console")
    seen.page.locator("[data-act=open][data-flow=a]").click()
    seen.page.locator(f"[data-act=skip-to][data-marker={IN_FRONT}]").click()
    step = seen.page.locator(f"#step-{IN_FRONT}")
    seen.page.locator(f"#step-{IN_FRONT}.is-front").wait_for(timeout=STORY_MS_MAX)
    seen.page.locator("[data-act=next]:enabled").click(timeout=STORY_MS_MAX)
    seen.page.locator(f"#step-{IN_FRONT}.is-refused").wait_for(timeout=STORY_MS_MAX)
    step.scroll_into_view_if_needed()


def _verify(seen: Visit) -> None:
    """Open a task that is done and verify its receipt."""
    open_page(seen, "Compute")
    done = seen.page.locator("[data-card=tasks] tr[id^=t-]", has_text="done").first
    done.locator("[data-act=open]").click()
    seen.page.locator("[data-card=task] [data-act=verify]").click()
    seen.page.locator("[data-card=task]").get_by_text("holds: ").first.wait_for()


def _keep(seen: Visit, name: str) -> None:
    """Keep a picture once what is new has faded."""
    seen.page.mouse.move(0, 0)
    seen.page.wait_for_timeout(FADED_MS)
    found = picture(seen, IMAGES / f"{name}.png")
    sys.stderr.write(f"{found.path.relative_to(ROOT)}: {found.path.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    sys.exit(main())
