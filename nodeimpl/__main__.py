"""Serve one node from a configuration file: `python -m nodeimpl CONFIG`.

The order matters: the sandbox's spawner is forked first, while this process holds no key, no
thread and no event loop; then the key is opened; then the parts are joined and served.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
import uvloop

from nodeimpl.config import ConfigError, NodeConfig, load_config
from nodeimpl.front import Front, open_front
from nodeimpl.gateway.places import raise_files_limit
from nodeimpl.gateway.server import run_server
from nodeimpl.kernel import log
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.errors import StoreError
from nodeimpl.kernel.farewell import Farewell
from nodeimpl.kernel.folders import make_folder
from nodeimpl.kernel.opening import (
    check_clock,
    check_member_of_network,
    open_genesis,
    open_identity,
)
from nodeimpl.kernel.rotation import LogStream
from nodeimpl.node import Node
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.sandbox.codecache import CacheUnsafe
from nodeimpl.sandbox.engine import EngineUntested
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.proof.genesis import GenesisView

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

SWITCH_INTERVAL_S = 0.000_5
"""How long one thread may hold the interpreter while another waits. The store's writer is a thread
beside a busy event loop; at the default of 5 ms it waits for most of the time (ADR 0004)."""

LOOK_EVERY = 5_000
"""After how many new objects it is looked for garbage. Next to nothing that a node does leaves any,
and at the default of 700 those looks were a tenth of what a task costs."""

_ROOM = "make room on the disk of node.folder, then start the node again"
_MENDABLE = {
    errno.EADDRINUSE: "another process has gateway.port: `opkit doctor CONFIG` says which",
    errno.EADDRNOTAVAIL: "this machine has no such address: change gateway.host or p2p.bind",
    errno.ENODEV: "this machine has no such interface: change p2p.lan",
    errno.EACCES: "may this user read and write node.folder, and bind gateway.port?",
    errno.EMFILE: "too few open files are allowed: ulimit -n 4096",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "node.folder lies on a disk that cannot be written",
}
"""What an operator can mend of what the system refuses, and how."""

_log = structlog.get_logger("node")


def settle() -> None:
    """Let the collector of garbage pass over all that stands by now: it stays until the end.

    A look at everything stopped a node for 100 ms, every other second while tasks ran (ADR 0024).
    """
    gc.freeze()
    gc.set_threshold(LOOK_EVERY, *gc.get_threshold()[1:])


def _write_ready(folder: Path, *, front: Front, node: Node) -> Path:
    """Say where the node is served, in one file that is whole whenever it is there."""
    ready = folder / "ready.json"
    beside = folder / "ready.json.new"
    said = {
        "pid": os.getpid(),
        "url": front.url,
        "tls_key_hash": front.tls_key_hash,
        "did": node.did,
        "peer_addresses": list(node.peer_addresses()),
    }
    beside.write_text(json.dumps(said) + "\n", "utf-8")
    beside.rename(ready)
    return ready


class Told:
    """What the node was told by signals: to end (the first), to do so at once (the second)."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.end, self.at_once = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        (self.at_once if self.end.is_set() else self.end).set()


def _cause(error: BaseException) -> str:
    """Return what ended a node, not that something in a group of tasks did."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


async def _wait_for_end(node: Node, config: NodeConfig, told: Told) -> str | None:
    """Return why the node has to end; None once it was told to and what ran has ended."""
    ended = asyncio.create_task(told.end.wait())
    broke = asyncio.create_task(node.broke())
    broke.add_done_callback(lambda _: told.at_once.set())
    said = Farewell(config.node.folder / "ending.json", most_ms=config.node.stop_ms)
    try:
        await asyncio.wait({ended, broke}, return_when=asyncio.FIRST_COMPLETED)
        if not broke.done():
            said.begin()
            whole = await node.wind_down(
                most_ms=config.node.stop_ms, hurry=told.at_once, told=said.waits_for
            )
            said.end(whole=whole)
        if not broke.done():
            return None
        why = _cause(broke.result())
        _log.error("the node must stop", why=why)
        return why
    finally:
        ended.cancel()
        broke.cancel()


@asynccontextmanager
async def _serving(node: Node, front: Front, told: Told) -> AsyncIterator[None]:
    """Serve the node's front door; end it within the server's deadline."""
    stop, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        serving = run_server(
            node.app,
            sock=front.listening,
            tls=front.tls,
            stop=stop,
            started=started,
            hurry=told.at_once,
        )
        tasks.create_task(serving)
        await started.wait()
        try:
            yield
        finally:
            stop.set()


async def _serve(config: NodeConfig, *, genesis: GenesisView, sandbox: Sandbox) -> str | None:
    """Join the parts, serve them until told to end, take them apart; return why they had to end."""
    identity = open_identity(config)
    check_member_of_network(config, genesis, identity)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(sandbox.close)
        front = open_front(config.gateway)
        stack.callback(front.listening.close)
        transport = IrohTransport(
            identity=identity, bind=config.p2p.bind, fixed_paths=config.p2p.fixed_paths
        )
        await transport.start()
        stack.push_async_callback(transport.close)
        node = await Node.start(
            config=config,
            identity=identity,
            genesis=genesis,
            transport=transport,
            clock=RealClock(skew_ms=config.node.clock_skew_ms),
            sandbox=sandbox,
            endpoints=front.endpoints,
        )
        stack.push_async_callback(node.close)
        told = Told()
        await stack.enter_async_context(_serving(node, front, told))
        settle()
        ready = _write_ready(config.node.folder, front=front, node=node)
        stack.callback(ready.unlink, missing_ok=True)
        _log.info("serving", url=front.url, did=node.did, org=config.node.org)
        return await _wait_for_end(node, config, told)


def _log_stream(config: NodeConfig) -> LogStream:
    """Return where logs go: to standard error, or to a file of bounded size in its place.

    Raises:
        ConfigError: the file cannot be opened.
    """
    stream = LogStream(log.lost_line)
    if config.log.file is not None:
        if sys.stderr.isatty():
            # The last word there: also why a node does not start is told in the file.
            print(f"logs go to {config.log.file}", file=sys.stderr, flush=True)
        try:
            stream.rotate(
                config.log.file, bytes_max=config.log.file_bytes_max, kept=config.log.files_kept
            )
        except OSError as bad:
            raise ConfigError(str(config.log.file), (("log.file", str(bad)),)) from bad
    return stream


def serve(config: NodeConfig) -> int:
    """Serve the node until SIGTERM or SIGINT and return the exit code: 0, or 1 if it had to stop.

    Told to end, it takes nothing new and lets running tasks end, for `node.stop_ms` at most; told
    again, it ends at once. Either way nothing that was acknowledged is lost.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What a crash would write to disk holds the node's key in the clear.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    raise_files_limit()
    log.configure(level=config.log.level, stream=_log_stream(config))
    genesis = open_genesis(config)
    check_clock(config, genesis)
    make_folder(config.node.folder)
    try:
        sandbox = Sandbox.launch(
            workers_max=config.compute.workers, cache_folder=config.node.folder / "compiled"
        )
    except (EngineUntested, CacheUnsafe) as bad:
        _log.error("modules cannot be run", why=str(bad))
        return EXIT_FAILED
    try:
        why = uvloop.run(_serve(config, genesis=genesis, sandbox=sandbox))
    except StoreError as bad:
        _log.error("the store cannot be used", why=str(bad))
        return EXIT_FAILED
    except OSError as bad:
        if bad.errno not in _MENDABLE:
            raise
        _log.error("the system refused", why=str(bad), hint=_MENDABLE[bad.errno])
        return EXIT_FAILED
    if why is None:
        return EXIT_DONE
    # Who started it reads the last line of its log; what was cut off has said much meanwhile.
    _log.error("the node had to stop", why=why)
    return EXIT_FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(
        prog="python -m nodeimpl",
        description="Serve one node from a TOML file. `opkit node init` writes one.",
    )
    parser.add_argument("config", type=Path, help="the node's configuration file")
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every effective value as JSON, and end",
    )
    said = parser.parse_args(argv)
    try:
        config = load_config(said.config)
        if said.print_config:
            print(config.model_dump_json(indent=2))
            return EXIT_DONE
        return serve(config)
    except ConfigError as bad:
        print(bad, file=sys.stderr)
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
