"""What a console server needs around it for as long as it runs, and leaves nothing of behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import webbrowser
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from opkit import home

if TYPE_CHECKING:
    from devnet.state import DevnetState
    from opkit.live.live import Live

TOKEN_TTL_MS = 7 * 86_400_000
"""How long the supervisor's tokens last: the longest there is. They are revoked at the end."""

LOGS_KEPT = 4
RUN_FILE = "OPKIT_DASH"
"""Names the file from which kernels read where the network is, and their token."""


def dash_folder() -> Path:
    """Return the folder of what servers keep while they run."""
    return home.private_folder(home.state_home() / "dash")


@asynccontextmanager
async def granted(state: DevnetState, scopes: Sequence[str]) -> AsyncIterator[str]:
    """Have the supervisor make a token with these rights; it is revoked at the end."""
    from devnet.control import ask_supervisor
    from devnet.state import DevnetError

    said = await ask_supervisor(state.socket, "grant", scopes=list(scopes), ttl_ms=TOKEN_TTL_MS)
    try:
        yield said["token"]
    finally:
        with suppress(DevnetError):  # A network that has ended has forgotten its tokens.
            await ask_supervisor(state.socket, "revoke", granted=said["token"])


@asynccontextmanager
async def followed(state: DevnetState, token: str) -> AsyncIterator[Live]:
    """Follow the network for all viewers at once, with a token that only reads."""
    from devnet.board import DevnetSource
    from opkit.live.live import Live

    source = DevnetSource(
        name=state.name, genesis=state.view(), socket=state.socket, token=token, may_act=False
    )
    live = Live(source)
    await source.nodes()  # What cannot be followed is said here, where somebody reads it.
    following = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        following.cancel()
        await asyncio.wait({following})
        await source.close()


@contextmanager
def run_file(state: DevnetState, token: str) -> Iterator[None]:
    """Tell kernels where the network is, in a file for the owner alone that they find by name."""
    folder = dash_folder()
    _sweep(folder)
    path = folder / f"{os.getpid()}.json"
    said = {
        "devnet": state.name,
        "network": state.network,
        "genesis": state.genesis.read_text("ascii"),
        "socket": str(state.socket),
        "token": token,
        "may_act": True,
    }
    home.write_private(path, json.dumps(said).encode("utf-8"))
    os.environ[RUN_FILE] = str(path)
    try:
        yield
    finally:
        del os.environ[RUN_FILE]
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove files of servers that were killed before they could."""
    for path in (*folder.glob("*.json"), *folder.glob("*.html")):
        number = path.name.partition(".")[0]
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            path.unlink(missing_ok=True)


@contextmanager
def logged(name: str) -> Iterator[tuple[Path, int]]:
    """Keep a log of this server, in a file for the owner alone; yield its path and descriptor."""
    folder = dash_folder()
    older = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    for left in older[:-LOGS_KEPT]:
        left.unlink(missing_ok=True)
    path = folder / f"{name}-{os.getpid()}.log"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as log:
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger = logging.getLogger()
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # It tells of each request.
        try:
            yield path, handle
        finally:
            logger.setLevel(before)
            logger.removeHandler(handler)


@contextmanager
def browser_at(address: str) -> Iterator[None]:
    """Open a browser, if there is a screen, by a file of the owner's: a command line is public."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield
        return
    path = dash_folder() / f"{os.getpid()}.html"
    where = escape(address)
    page = f'<meta http-equiv="refresh" content="0;url={where}"><a href="{where}">opkit</a>'
    home.write_private(path, page.encode("utf-8"))
    try:
        webbrowser.open(path.as_uri())
        yield
    finally:
        path.unlink(missing_ok=True)
