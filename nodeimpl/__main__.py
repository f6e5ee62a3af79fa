"""Serve one node from a configuration file: `python -m nodeimpl CONFIG`.

The order matters: the sandbox's spawner is forked first, while this process holds no key, no
thread and no event loop; then the key is opened; then the parts are joined and served.
"""

from __future__ import annotations

import argparse
import asyncio
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

from nodeimpl.compute.codecache import CacheUnsafe
from nodeimpl.compute.engine import EngineUntested
from nodeimpl.compute.sandbox import Sandbox
from nodeimpl.config import ConfigError, NodeConfig, load_config
from nodeimpl.gateway.server import bind_loopback, run_server
from nodeimpl.kernel import log
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.errors import StoreError
from nodeimpl.node import Node
from nodeimpl.p2p.iroh_transport import IrohTransport
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.proof.keys import Identity
from opkit.proof.keystore import unseal

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
FILE_BYTES_MAX = 16 * 2**20
KEY_NAME = "node"

SWITCH_INTERVAL_S = 0.000_5
"""How long one thread may hold the interpreter while another waits. The store's writer is a thread
beside a busy event loop; at the default of 5 ms it waits for most of the time (ADR 0004)."""

_log = structlog.get_logger("node")


def _read(path: Path, *, key: str) -> bytes:
    """Return a file's bytes, or say by which key of the configuration it cannot be had."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as bad:
        raise ConfigError(str(path), ((key, str(bad)),)) from bad
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(str(path), ((key, f"larger than {FILE_BYTES_MAX} bytes"),))
    return data


def open_genesis(config: NodeConfig) -> GenesisView:
    """Return the genesis that the configuration names.

    Raises:
        ConfigError: it cannot be read, or does not verify.
    """
    data = _read(config.node.genesis, key="node.genesis")
    try:
        return read_genesis(data.decode("ascii", "replace").strip())
    except ProofError as bad:
        raise ConfigError(str(config.node.genesis), (("node.genesis", str(bad)),)) from bad


def open_identity(config: NodeConfig) -> Identity:
    """Return the node's identity from its sealed keystore.

    Raises:
        ConfigError: keystore or key file cannot be read or opened, others may read the key file,
            or there is no node's key.
    """
    sealed = _read(config.node.keystore, key="node.keystore")
    secret = _read(config.node.key_file, key="node.key_file")
    if config.node.key_file.stat().st_mode & 0o077:
        why = "others may read it: chmod 600"
        raise ConfigError(str(config.node.key_file), (("node.key_file", why),))
    try:
        seeds = unseal(sealed, secret=secret)
    except ProofError as bad:
        raise ConfigError(str(config.node.keystore), (("node.keystore", str(bad)),)) from bad
    if KEY_NAME not in seeds:
        why = f"holds no key named {KEY_NAME!r}"
        raise ConfigError(str(config.node.keystore), (("node.keystore", why),))
    return Identity.from_seed(seeds[KEY_NAME])


def check_member_of_network(config: NodeConfig, genesis: GenesisView, identity: Identity) -> None:
    """Raise `ConfigError` unless the genesis names this organisation with this node's key."""
    node = genesis.node_of(config.node.org)
    if node is None:
        why = "the genesis names no such organisation"
        raise ConfigError(str(config.node.genesis), (("node.org", why),))
    if node.did != identity.did:
        why = "the keystore's key is not the one that the genesis names for this organisation"
        raise ConfigError(str(config.node.keystore), (("node.keystore", why),))


def _write_ready(folder: Path, *, url: str, node: Node) -> Path:
    """Say where the node is served, in one file that is whole whenever it is there."""
    ready = folder / "ready.json"
    beside = folder / "ready.json.new"
    said = {
        "pid": os.getpid(),
        "url": url,
        "did": node.did,
        "peer_addresses": list(node.peer_addresses()),
    }
    beside.write_text(json.dumps(said) + "\n", "utf-8")
    beside.rename(ready)
    return ready


async def _wait_for_end(node: Node) -> int:
    """Return the exit code once the node is told to end, or has to."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    ended = asyncio.create_task(told.wait())
    broke = asyncio.create_task(node.broke())
    try:
        await asyncio.wait({ended, broke}, return_when=asyncio.FIRST_COMPLETED)
        if not broke.done():
            return EXIT_DONE
        _log.error("the node must stop", why=str(broke.result()))
        return EXIT_FAILED
    finally:
        ended.cancel()
        broke.cancel()


@asynccontextmanager
async def _serving(node: Node, config: NodeConfig) -> AsyncIterator[str]:
    """Serve the node's front door and give its address; end it within the server's deadline."""
    listening = bind_loopback(config.gateway.host, config.gateway.port)
    host, port = listening.getsockname()[:2]
    stop, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_server(node.app, sock=listening, stop=stop, started=started))
        await started.wait()
        try:
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            stop.set()


async def _serve(config: NodeConfig, *, genesis: GenesisView, sandbox: Sandbox) -> int:
    """Join the parts, serve them until told to end, take them apart."""
    identity = open_identity(config)
    check_member_of_network(config, genesis, identity)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(sandbox.close)
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
            clock=RealClock(),
            sandbox=sandbox,
        )
        stack.push_async_callback(node.close)
        url = await stack.enter_async_context(_serving(node, config))
        ready = _write_ready(config.node.folder, url=url, node=node)
        stack.callback(ready.unlink, missing_ok=True)
        _log.info("serving", url=url, did=node.did, org=config.node.org)
        return await _wait_for_end(node)


def serve(config: NodeConfig) -> int:
    """Serve the node until SIGTERM or SIGINT and return the exit code: 0, or 1 if it had to stop.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What a crash would write to disk holds the node's key in the clear.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    log.configure(level=config.log.level)
    genesis = open_genesis(config)
    config.node.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        sandbox = Sandbox.launch(
            workers_max=config.compute.workers, cache_folder=config.node.folder / "compiled"
        )
    except (EngineUntested, CacheUnsafe) as bad:
        _log.error("modules cannot be run", why=str(bad))
        return EXIT_FAILED
    try:
        return uvloop.run(_serve(config, genesis=genesis, sandbox=sandbox))
    except StoreError as bad:
        _log.error("the store cannot be used", why=str(bad))
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
