"""The supervisor of one devnet: parent and reaper of all its nodes, and the one who is asked.

`python -m devnet.supervisor --name N --profile P --seed S --folder F [--tie FD]` is started by
`devnet.launch`. It forks the fork server before it imports anything that takes time, so that the
node's imports run beside the making of the genesis.

The tie is a socket to whoever started it. Progress goes out on it as JSON lines; when the other
end closes without having said `detach`, the network ends with it. Source: ADR 0012.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devnet.forks import ForkFailed, ForkServer
from devnet.processes import become_reaper, name_process
from devnet.saying import keep_log, say

if TYPE_CHECKING:
    from devnet.commands import Commands
    from devnet.network import Network
    from devnet.reaper import Reaper
    from devnet.stage import StageDoor
    from devnet.state import DevnetState

SOCKET_PATH_BYTES_MAX = 100
"""A Unix socket's path has at most 107 bytes. Source: unix(7)."""


class Tie:
    """The socket to whoever started this supervisor; nobody is there if there is none."""

    def __init__(self, descriptor: int | None) -> None:
        """Keep the socket, if one was handed over."""
        self._socket = socket.socket(fileno=descriptor) if descriptor is not None else None
        self._detached = False

    def report(self, stage: str, **facts: Any) -> None:
        """Tell how far it is, if somebody still listens."""
        say(stage, **facts)
        if self._socket is not None:
            with suppress(OSError):  # Whoever listened has left, which `watch` notices.
                self._socket.send(json.dumps({"stage": stage, **facts}).encode("utf-8") + b"\n")

    async def watch(self, stop: asyncio.Event) -> None:
        """Set `stop` when the other end closes before it said `detach`."""
        if self._socket is None:
            return
        reader, writer = await asyncio.open_unix_connection(sock=self._socket.dup())
        try:
            while line := await reader.readline():
                self._detached = self._detached or line.strip() == b"detach"
        except ConnectionError:
            say("tie-broken")
        writer.close()
        if not self._detached:
            say("parent-gone")
            stop.set()


class Supervisor:
    """One devnet from start to end."""

    def __init__(self, *, asked: argparse.Namespace, forks: ForkServer, began: float) -> None:
        """Keep what was asked; `began` is the monotonic time from which start-up is counted."""
        self._asked = asked
        self._folder = Path(asked.folder)
        self._forks = forks
        self._began = began
        self._tie = Tie(asked.tie)
        self._stop = asyncio.Event()
        self._network: Network | None = None
        self._commands: Commands | None = None
        self._stage_door: StageDoor | None = None
        self._stage = "starting"
        self._marks: dict[str, int] = {}
        self._fresh = False

    async def run(self) -> int:
        """Bring the network up, serve asks until told to end, take it down; return the status."""
        from devnet.reaper import Reaper
        from devnet.state import DevnetError, FolderLock, system_hint

        reaper = Reaper()
        reaper.install()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        tie = loop.create_task(self._tie.watch(self._stop))
        try:
            lock = FolderLock(self._folder)
            keep_log(self._folder / "supervisor.log")
        except DevnetError as held:
            self._tie.report("failed", why=str(held), hint=held.hint)
            await reaper.end_orphans()
            return 1
        except OSError as failed:
            self._tie.report("failed", why=str(failed), hint=system_hint(failed))
            await reaper.end_orphans()
            return 1
        try:
            return await self._supervise(reaper)
        except OSError as failed:
            self._tie.report("failed", why=str(failed), hint=system_hint(failed))
            return 1
        finally:
            self._forks.close()
            await reaper.end_orphans()
            tie.cancel()
            lock.release()
            say("ended")

    async def _supervise(self, reaper: Reaper) -> int:
        from devnet.control import ControlServer
        from devnet.grants import token_file

        state = self._open_world()
        self._mark("genesis")
        control = ControlServer(path=state.socket, handle=self._handle)
        try:
            return await self._live(state, reaper, control)
        finally:
            self._stage = "ending"
            if self._stage_door is not None:
                await self._stage_door.end()
            if self._network is not None:
                await self._network.down()
            await control.close()
            token_file(state.socket).unlink(missing_ok=True)
            if state.socket.parent != self._folder:
                state.socket.parent.rmdir()
            if self._asked.temporary:
                self._forget(state)

    def _forget(self, state: DevnetState) -> None:
        """Remove all that a temporary devnet leaves."""
        from devnet.state import DevnetError, remove_devnet

        if state.spec.database:
            from devnet.databases import drop_databases

            try:
                drop_databases(state)
            except DevnetError as left:
                say("databases-left", why=str(left))
        remove_devnet(self._folder)

    async def _live(self, state: DevnetState, reaper: Reaper, control: Any) -> int:
        """Bring the network up and wait until it shall end; return the exit status."""
        from devnet.state import DevnetError
        from opkit.wire.errors import CoopError

        self._network = self._make_network(state, reaper)
        await self._network.prepare()
        await control.open()
        self._mark("prepared")
        try:
            await self._until_stopped(self._bring_up(self._network))
        except (DevnetError, ForkFailed, CoopError) as failed:
            self._tie.report("failed", why=str(failed), hint=getattr(failed, "hint", ""))
            return 1
        if self._stop.is_set():
            return 0
        self._stage = "ready"
        self._mark("ready", network=state.network, marks_ms=self._marks)
        server = reaper.know(self._forks.pid)
        await self._until_stopped(server.ended.wait())
        if server.status is not None:
            # Without it no node can be started again, so the network ends as a whole.
            say("fork-server-lost", how=server.how())
            return 1
        return 0

    def _make_network(self, state: DevnetState, reaper: Reaper) -> Network:
        """Return the network, and make the commands that are done to it."""
        from devnet.commands import Commands
        from devnet.grants import Grants, keep_owner_token
        from devnet.network import Network
        from devnet.passes import Passes
        from devnet.stage import StageDoor
        from devnet.state import OPERATOR, load_identities

        operator = load_identities(state)[OPERATOR]
        network = Network(
            state=state,
            forks=self._forks,
            reaper=reaper,
            operator=operator,
            began=self._began,
        )
        grants = Grants()
        keep_owner_token(state.socket, grants.owner)
        self._stage_door = StageDoor(
            state=state,
            forks=self._forks,
            reaper=reaper,
            grants=grants,
            end_hostile=network.end_hostile_of,
        )
        self._commands = Commands(
            network=network,
            stage=self._stage_door,
            grants=grants,
            passes=Passes(network=state.network, operator=operator),
            stop=self._stop,
        )
        return network

    async def _bring_up(self, network: Network) -> None:
        self._marks["node-imports"] = await self._forks.wait_imported()
        self._mark("imported")
        if network.state.spec.database:
            from devnet.databases import make_databases

            await asyncio.to_thread(make_databases, network.state, fresh=self._fresh)
        await network.up()
        await self._seed(network)

    async def _seed(self, network: Network) -> None:
        """Have the coops' bookkeepers post the demo world's history; what stands stays.

        Their keys are held for this long and no longer. Source: ADR 0017.
        """
        from devnet.attach import AttachedWorld
        from devnet.seed import seed
        from opkit.wire.errors import Refusal

        world = AttachedWorld(state=network.state, run_id="seed", seed=network.state.spec.seed)
        try:
            entries = await seed(world)
        except Refusal as no:
            if self._fresh:
                raise
            # Charters of networks that an earlier version made name no officers. They run all the
            # same; `opkit devnet seed` says it to whoever wants the history there.
            say("not-seeded", code=no.code, why=str(no))
            return
        finally:
            await world.close()
        fresh = sum(each.fresh for each in entries)
        self._mark("seeded", posted=fresh, stood=len(entries) - fresh)

    async def _until_stopped(self, work: Any) -> None:
        """Do the work, or give it up when the supervisor is told to end."""
        doing = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            with suppress(asyncio.CancelledError):
                await doing
            return
        doing.result()

    def _open_world(self) -> DevnetState:
        """Return the state of the devnet: a new one's, or that of the one that was stopped."""
        from devnet.genesis import make_world
        from devnet.spec import DevnetSpec
        from devnet.state import load_state_of, save_state, write_world

        asked = self._asked
        where = self._socket_path()
        if (self._folder / "state.json").exists():
            state = load_state_of(self._folder).model_copy(update={"socket": where})
            save_state(state)
            return state
        spec = DevnetSpec(
            name=asked.name,
            profile=asked.profile,
            seed=asked.seed,
            node_module=asked.node_module,
            teller_module=asked.teller_module,
            temporary=asked.temporary,
            database=asked.database,
        )
        self._fresh = True
        made = make_world(spec.profile, now_ms=time.time_ns() // 1_000_000)
        return write_world(self._folder, spec=spec, made=made, socket=where)

    def _socket_path(self) -> Path:
        """Return where to listen: in the devnet's folder, unless its path is too long for that."""
        path = self._folder / "control.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
            return path
        return Path(tempfile.mkdtemp(prefix="opkit-")) / "control.sock"

    def _mark(self, stage: str, **facts: Any) -> None:
        self._marks[stage] = round((time.monotonic() - self._began) * 1000)
        self._tie.report(stage, after_ms=self._marks[stage], **facts)

    async def _handle(self, ask: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one ask of the control socket.

        Raises:
            DevnetError: there is no such command, or it cannot be done.
        """
        assert self._commands is not None, "the socket opens after the network is made"
        answer = await self._commands.obey(ask)
        if ask.get("do") == "status":
            answer |= {"state": self._stage, "marks_ms": self._marks}
        return answer


def main(argv: Sequence[str] | None = None) -> int:
    """Run a supervisor, or whatever a process that it forked is to do; return the exit status."""
    began = time.monotonic()
    asked = _parser().parse_args(argv)
    become_reaper()
    forks = ForkServer.start(modules=("devnet.node_job", asked.node_module, "devnet.hostile_job"))
    if not isinstance(forks, ForkServer):
        return forks()
    name_process("opkit-devnet")
    return asyncio.run(Supervisor(asked=asked, forks=forks, began=began).run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devnet.supervisor")
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--node-module", default="nodeimpl.__main__")
    parser.add_argument("--teller-module", default="flows.teller")
    parser.add_argument("--database", default="")
    parser.add_argument("--temporary", action="store_true")
    parser.add_argument("--tie", type=int, default=None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
