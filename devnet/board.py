"""A devnet as the console follows it, and the pages of the console for notebooks' cells.

A dashboard's kernel holds no key: the server that started it wrote a file that names the devnet and
a token with few rights, and put its path into the environment. Without one, in a notebook of the
owner's own, the owner's token is used. Source: ADR 0017.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from devnet.control import ask_supervisor
from devnet.state import DevnetError, load_running
from opkit import home
from opkit.live.live import Live
from opkit.live.ports import ControlRefused, NodeAt
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.wire.base import NetworkId

if TYPE_CHECKING:
    from opkit.live.widget import Board

RUN_FILE_VARIABLE = "OPKIT_DASH"
"""Names the run file of the server that started this process, if one did."""

RUN_FILE_BYTES_MAX = 1_048_576
ASK_DEADLINE_MS = 60_000
DEFAULT = "default"


class RunFile(TypedDict):
    """What a server tells the kernels that it starts.

    Attributes:
        devnet: the devnet's name.
        network: its id.
        genesis: its genesis, signed, as the server read it.
        socket: where its supervisor listens.
        token: what the kernel may ask the supervisor with.
        may_act: whether that token may tell flows and disturb the network.
    """

    devnet: str
    network: str
    genesis: str
    socket: str
    token: str
    may_act: bool


class Access(TypedDict):
    """Where a supervisor listens, and what it is asked with."""

    socket: Path
    token: str


class DevnetSource:
    """A devnet by its supervisor's socket. Satisfies `Source`."""

    def __init__(
        self,
        *,
        name: str,
        genesis: GenesisView,
        socket: Path,
        token: str | None,
        may_act: bool,
        again: Callable[[], Access] | None = None,
    ) -> None:
        """Keep how to ask; nothing is asked yet.

        Args:
            name: what people call the devnet.
            genesis: as this machine keeps it.
            socket: where the supervisor listens.
            token: what it is asked with; None reads the owner's, which lies beside the socket.
            may_act: whether that token may do more than read.
            again: says after a refusal how to ask from then on: a supervisor that was started
                again knows none of the tokens that it gave before.
        """
        self._again = again
        self.name = name
        self.genesis = genesis
        self.may_act = may_act
        self._socket = socket
        self._token = token

    @property
    def network(self) -> NetworkId:
        """The network's id."""
        return self.genesis.network

    async def nodes(self) -> tuple[NodeAt, ...]:
        """Return the nodes and where they listen now.

        Raises:
            ControlRefused: the supervisor does not answer.
        """
        status = await self.ask("status", look=False)
        return tuple(
            NodeAt(org=node["org"], title=node["title"], did=node["did"], url=node["url"])
            for node in status["nodes"]
        )

    async def token(self, org: str, *, instead_of: str | None = None) -> str:
        """Return a token for reading from a node.

        Raises:
            ControlRefused: there is none to be had.
        """
        said = await self.ask("node-token", org=org, instead_of=instead_of or "")
        return str(said["token"])

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the supervisor's answer to one command.

        Raises:
            ControlRefused: it said no, or does not answer.
        """
        deadline_ms = ASK_DEADLINE_MS + int(arguments.get("wait_ms", 0))
        try:
            return await ask_supervisor(
                self._socket, do, token=self._token, deadline_ms=deadline_ms, **arguments
            )
        except DevnetError as refused:
            self._look_again()
            raise ControlRefused(str(refused), hint=refused.hint) from refused

    def _look_again(self) -> None:
        """Find out how to ask from now on; what was refused is not asked again here."""
        if self._again is None:
            return
        with suppress(DevnetError):  # The refusal in hand is what is told.
            access = self._again()
            self._socket, self._token = access["socket"], access["token"]

    async def close(self) -> None:
        """Let go of nothing: every ask has a connection of its own."""


def attached_source(name: str = DEFAULT) -> DevnetSource:
    """Return a running devnet of this machine, asked as its owner.

    Raises:
        DevnetError: there is no such devnet, or it does not run.
        ProofError: its genesis does not verify.
    """
    state = load_running(name)
    genesis = read_genesis(home.genesis_file(state.network).read_text("ascii"))
    return DevnetSource(
        name=state.name, genesis=genesis, socket=state.socket, token=None, may_act=True
    )


def served_source(path: Path) -> DevnetSource:
    """Return the devnet that a server's run file names.

    Raises:
        DevnetError: the file cannot be read.
        ProofError: the genesis in it does not verify.
    """
    said = _read_run_file(path)

    def again() -> Access:
        now = _read_run_file(path)
        if now["network"] != said["network"]:
            raise DevnetError(f"{path} names another network now", hint="load the page anew")
        return Access(socket=Path(now["socket"]), token=now["token"])

    return DevnetSource(
        name=said["devnet"],
        genesis=read_genesis(said["genesis"]),
        socket=Path(said["socket"]),
        token=said["token"],
        may_act=said["may_act"],
        again=again,
    )


def _read_run_file(path: Path) -> RunFile:
    try:
        if path.stat().st_size > RUN_FILE_BYTES_MAX:
            raise DevnetError(f"{path} is too large to be a run file")
        said = json.loads(path.read_bytes())
        return RunFile(
            devnet=str(said["devnet"]),
            network=str(said["network"]),
            genesis=str(said["genesis"]),
            socket=str(said["socket"]),
            token=str(said["token"]),
            may_act=bool(said["may_act"]),
        )
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as bad:
        raise DevnetError(
            f"the dashboard server's file cannot be read: {bad!r}", hint="start it: opkit dash"
        ) from bad


def find_source(name: str = "") -> DevnetSource:
    """Return the devnet to follow: `name`, else the server's that started this process, else mine.

    Raises:
        DevnetError: there is none, or it does not run.
        ProofError: its genesis does not verify.
    """
    served = os.environ.get(RUN_FILE_VARIABLE)
    if served and not name:
        return served_source(Path(served))
    return attached_source(name or DEFAULT)


_following: dict[str, tuple[Live, asyncio.Task[None]]] = {}
"""What this process follows already: all boards of one notebook share it."""


async def open_live(name: str = "") -> Live:
    """Return a running devnet, followed in the background as long as this process lives.

    Args:
        name: the devnet; empty: as `find_source` chooses.

    Raises:
        DevnetError, ProofError: as `find_source`.
    """
    kept = _following.get(name)
    if kept is not None and not kept[1].done():
        return kept[0]
    live = Live(find_source(name))
    task = asyncio.get_running_loop().create_task(live.run(), name=f"follow {live.source.name}")
    _following[name] = live, task
    return live


async def open_board(page: str, *, devnet: str = "") -> Board:
    """Return a page of the console as a widget; a notebook shows it when it ends a cell.

    Args:
        page: its name in the navigation, such as `network`.
        devnet: which one; empty: as `find_source` chooses.

    Raises:
        KeyError: there is no such page.
        DevnetError, ProofError: as `find_source`.
    """
    from opkit.live.pages import open_page
    from opkit.live.widget import Board

    live = await open_live(devnet)
    return Board(open_page(page, live), live=live, following=_following[devnet][1])
