"""What a console server needs around it for as long as it runs, and leaves nothing of behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
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

TOKEN_LOOK_MS = 2_000
"""How often it is looked whether the supervisor still knows the tokens."""

LOGS_KEPT = 4

_log = logging.getLogger(__name__)


def dash_folder() -> Path:
    """Return the folder of what servers keep while they run."""
    return home.private_folder(home.state_home() / "dash")


class Granted:
    """A token of the supervisor's with these rights, and the next one when it has forgotten it.

    A supervisor that was started again knows none of the tokens that it gave before, and may listen
    elsewhere. Whoever reads both from here, or from the run file, goes on with the new ones.
    """

    def __init__(self, state: DevnetState, scopes: Sequence[str]) -> None:
        """Prepare; nothing is asked for before `renew`."""
        self.token = ""
        self.on_new: Callable[[], None] = lambda: None
        self._state = state
        self._scopes = list(scopes)

    @property
    def socket(self) -> Path:
        """Where the supervisor that gave the token listens."""
        return self._state.socket

    async def renew(self) -> None:
        """Get a token in place of the one in hand.

        Raises:
            DevnetError: the supervisor does not answer, or gives none.
        """
        from devnet.control import ask_supervisor

        said = await ask_supervisor(
            self._state.socket, "grant", scopes=self._scopes, ttl_ms=TOKEN_TTL_MS
        )
        await self.revoke()
        self.token = said["token"]
        self.on_new()

    async def revoke(self) -> None:
        """Give the token back."""
        from devnet.control import ask_supervisor
        from devnet.state import DevnetError

        with suppress(DevnetError):  # A network that has ended has forgotten its tokens.
            await ask_supervisor(self._state.socket, "revoke", granted=self.token)

    async def keep(self) -> None:
        """Renew the token whenever the supervisor of the same network refuses it; for ever."""
        from devnet.state import DevnetError, load_state_of

        while True:
            await asyncio.sleep(TOKEN_LOOK_MS / 1000)
            if await self._holds():
                continue
            with suppress(DevnetError):  # Nobody listens there yet: it is asked again.
                now = load_state_of(self._state.folder)
                if now.network == self._state.network:
                    # In a long folder each supervisor listens at a short path of its own.
                    self._state = now
                    await self.renew()
                    _log.info("the supervisor gave a new token: it was started again")

    async def _holds(self) -> bool:
        from devnet.control import ask_supervisor
        from devnet.state import DevnetError

        try:
            await ask_supervisor(self._state.socket, "status", token=self.token, look=False)
        except DevnetError:
            return False
        return True


@asynccontextmanager
async def granted(state: DevnetState, scopes: Sequence[str]) -> AsyncIterator[Granted]:
    """Have a token with these rights, renewed when need be; it is revoked at the end."""
    held = Granted(state, scopes)
    await held.renew()
    keeping = asyncio.create_task(held.keep())
    try:
        yield held
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await held.revoke()


@asynccontextmanager
async def followed(state: DevnetState, held: Granted) -> AsyncIterator[Live]:
    """Follow the network for all viewers at once, with a token that only reads."""
    from devnet.board import Access, DevnetSource
    from opkit.live.live import Live

    source = DevnetSource(
        name=state.name,
        genesis=state.view(),
        socket=state.socket,
        token=held.token,
        may_act=False,
        again=lambda: Access(socket=held.socket, token=held.token),
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
def run_file(state: DevnetState, held: Granted) -> Iterator[None]:
    """Tell kernels where the network is, in a file for the owner alone that they find by name."""
    from devnet.board import RUN_FILE_VARIABLE

    folder = dash_folder()
    _sweep(folder)
    path = folder / f"{os.getpid()}.json"
    said = {
        "devnet": state.name,
        "network": state.network,
        "genesis": state.genesis.read_text("ascii"),
        "may_act": True,
    }

    def write() -> None:
        held_now = {"socket": str(held.socket), "token": held.token}
        home.write_private(path, json.dumps({**said, **held_now}).encode("utf-8"))

    write()
    held.on_new = write
    os.environ[RUN_FILE_VARIABLE] = str(path)
    try:
        yield
    finally:
        held.on_new = lambda: None
        del os.environ[RUN_FILE_VARIABLE]
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
