"""A browser that is led, and what it notes meanwhile: for measurements and for the browser tests.

It is Debian's Chromium. Names outside this machine do not resolve in it, and every request it makes
is kept, so that "nothing leaves this machine" can be looked at instead of believed.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    WebSocket,
    sync_playwright,
)

Theme = Literal["light", "dark"]
Size = Literal["projector", "phone"]

PIXELS: Final[dict[Size, tuple[int, int]]] = {"projector": (1920, 1080), "phone": (390, 844)}
"""Width and height of the pages that the console must be readable on."""

PATIENCE_MS: Final = 30_000
"""How long whatever is awaited on a page may take: machines are busy."""

FLAGS: Final = (
    "--no-sandbox",  # It needs a user namespace, which root and some containers do not have.
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=OptimizationHints,MediaRouter",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
_NOTED_MAX: Final = 20_000
_LOCAL: Final = ("data", "blob", "about", "file")


@dataclass
class Noted:
    """What a browser did and complained of, in order; the oldest is kept, the rest is counted."""

    requests: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dropped: int = 0

    def keep(self, where: list[Any], what: Any) -> None:
        """Add to one of the lists, within the limit."""
        if len(where) < _NOTED_MAX:
            where.append(what)
        else:
            self.dropped += 1

    def outside(self, *origins: str) -> list[str]:
        """Return requests and sockets that went anywhere but to these origins."""
        allowed = {urlsplit(origin).netloc for origin in origins}
        return [
            url
            for url in (*self.requests, *self.sockets)
            if urlsplit(url).scheme not in _LOCAL and urlsplit(url).netloc not in allowed
        ]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One visitor: a page in a profile of its own, and what was noted in it."""

    page: Page
    noted: Noted

    @property
    def context(self) -> BrowserContext:
        """The profile: cookies, storage, all tabs."""
        return self.page.context


def chromium() -> str | None:
    """Return the path of Debian's Chromium, or None if it is not installed."""
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """Have a browser running meanwhile.

    Raises:
        RuntimeError: Chromium is not installed.
    """
    program = chromium()
    if program is None:
        raise RuntimeError("Chromium is missing: scripts/install-debian browser")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield running
        finally:
            running.close()


@contextmanager
def visit(
    running: Browser, *, size: Size = "projector", theme: Theme = "light", scale: float = 1
) -> Iterator[Visit]:
    """Have one visitor with a fresh profile meanwhile; tabs that are opened are noted as well.

    Args:
        running: the browser.
        size: the screen.
        theme: what the visitor's system prefers.
        scale: physical pixels for each pixel of the page.
    """
    width, height = PIXELS[size]
    context = running.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        device_scale_factor=scale,
        is_mobile=size == "phone",
        has_touch=size == "phone",
        service_workers="block",
        accept_downloads=True,
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE_MS)
    noted = Noted()
    context.on("page", lambda page: _note(page, noted))
    try:
        yield Visit(page=context.new_page(), noted=noted)
    finally:
        for page in context.pages:
            page.close()  # As people do: a page that is closed says goodbye, a profile does not.
        context.close()


def _note(page: Page, noted: Noted) -> None:
    """Note what a page asks for and complains of."""

    def asked(request: Request) -> None:
        noted.keep(noted.requests, request.url)

    def answered(response: Response) -> None:
        noted.keep(noted.statuses, (response.status, response.url))

    def opened(socket: WebSocket) -> None:
        noted.keep(noted.sockets, socket.url)

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            noted.keep(noted.errors, f"console: {message.text} ({where})")

    def raised(error: Error) -> None:
        noted.keep(noted.errors, f"uncaught: {error.message}")

    page.on("request", asked)
    page.on("response", answered)
    page.on("websocket", opened)
    page.on("console", said)
    page.on("pageerror", raised)


_LOOK_AT_PIXELS: Final = """async ({source, columns, rows}) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const colours = new Map();
  let alive = 0;
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
    const x = Math.floor(column * image.width / columns), y = Math.floor(row * image.height / rows);
    const w = Math.floor(image.width / columns), h = Math.floor(image.height / rows);
    const {data} = context.getImageData(x, y, w, h);
    const here = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const colour = (data[i] >> 4) << 8 | (data[i + 1] >> 4) << 4 | data[i + 2] >> 4;
      here.set(colour, (here.get(colour) ?? 0) + 1);
      colours.set(colour, (colours.get(colour) ?? 0) + 1);
    }
    const plain = Math.max(...here.values()) / (w * h);
    if (plain < 0.995) alive++;
  }
  const ground = Math.max(...colours.values()) / (image.width * image.height);
  return {colours: colours.size, ground, tiles: alive / (columns * rows)};
}"""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """How much there is to be seen in a screenshot.

    Attributes:
        path: where it is kept.
        colours: how many colours it has, of 4096.
        ground: the share of the most frequent colour, 0 to 1.
        tiles: the share of a grid of 8 × 6 tiles that are not of one plain colour.
    """

    path: Path
    colours: int
    ground: float
    tiles: float


def picture(seen: Visit, path: Path, *, whole: bool = False) -> Picture:
    """Keep a screenshot and return how much there is to be seen in it.

    The browser itself looks at the pixels, in an empty page, so that no library is needed.

    Args:
        seen: whose page.
        path: a PNG file; its folder is made.
        whole: the whole page instead of what is on screen.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    png = seen.page.screenshot(path=path, full_page=whole, animations="disabled")
    running = seen.context.browser
    assert running is not None, "a context of a launched browser knows it"
    empty = running.new_page()
    try:
        source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        found = empty.evaluate(_LOOK_AT_PIXELS, {"source": source, "columns": 8, "rows": 6})
    finally:
        empty.close()
    return Picture(path=path, **found)
