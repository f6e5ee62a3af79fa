"""A node's configuration file, and the file by which a started node says where it listens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.databases import node_url
from devnet.reaper import Child
from devnet.state import DevnetError, DevnetState, node_folder, system_hint
from opkit import home

READY_BYTES_MAX = 65_536
LOOK_EVERY_MS = 10
SAID_MAX = 500
"""How many characters of what a process said last are passed on."""
ROOM_BYTES_MIN = 2**20
"""Below this much room a node that did not start is taken to have had none."""
STOP_MS = 5_000
"""How long a node's running tasks may take to end when it is stopped or restarted."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a node says once it serves."""

    pid: int
    url: str
    did: str
    peer_addresses: tuple[str, ...]


def write_config(
    state: DevnetState,
    org: str,
    *,
    peers: Mapping[str, Sequence[str]],
    workers: int,
    port: int,
    skew_ms: int = 0,
) -> Path:
    """Write the configuration of one node and return where it lies.

    Args:
        state: the devnet.
        org: whose node.
        peers: addresses to dial, by the peer's DID: those of this devnet's links.
        workers: how many tasks the node runs at once.
        port: of the front door; 0 takes a free one.
        skew_ms: by how much the node's clock shall be wrong, on purpose.
    """
    folder = home.private_folder(node_folder(state.folder, org))
    paths = {
        "folder": folder / "data",
        "genesis": state.genesis,
        "keystore": folder / "keystore.json",
        "key_file": folder / "keystore.key",
    }
    lines = ["version = 1", "", "[node]", f"org = {_toml(org)}"]
    lines += [f"{key} = {_toml(str(path))}" for key, path in paths.items()]
    lines += [f"stop_ms = {stop_ms(state)}"]
    if skew_ms:
        lines += [f"clock_skew_ms = {skew_ms}"]
    lines += ["", "[log]", f"file = {_toml(str(folder / 'node.log'))}"]
    lines += ["", "[gateway]", f"port = {port}"]
    lines += ["", "[compute]", f"workers = {workers}"]
    if state.spec.database:
        url = node_url(state.spec.database, name=state.name, org=org)
        lines += ["", "[store]", f"url = {_toml(url)}"]
    lines += ["", "[p2p]", "fixed_paths = true", 'bind = ["127.0.0.1:0", "[::1]:0"]']
    for did, addresses in peers.items():
        lines += ["", "[[p2p.peers]]", f"did = {_toml(did)}"]
        lines += [f"addresses = [{', '.join(_toml(address) for address in addresses)}]"]
    path = folder / "config.toml"
    home.write_private(path, ("\n".join(lines) + "\n").encode("utf-8"))
    return path


def stop_ms(state: DevnetState) -> int:
    """Return how long running tasks may take to end: a network that goes anyway waits for none."""
    return 0 if state.spec.temporary else STOP_MS


def _toml(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are a subset of TOML's. Source: TOML 1.0."""
    return json.dumps(text)


def ready_file(state: DevnetState, org: str) -> Path:
    """Return where the node of `org` says that it serves."""
    return node_folder(state.folder, org) / "data" / "ready.json"


async def wait_serving(path: Path, *, child: Child, log: Path, deadline_ms: int) -> Ready:
    """Return what the node says once it serves.

    Raises:
        DevnetError: the process ended before, or did not get there in time.
    """
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            while True:
                ready = _read_ready(path)
                if ready is not None and ready.pid == child.pid:
                    return ready
                if child.ended.is_set():
                    raise _ended(child, log)
                await asyncio.sleep(LOOK_EVERY_MS / 1000)
    except TimeoutError:
        raise DevnetError(
            f"the node of {log.parent.name} did not serve within {deadline_ms} ms: "
            f"{last_words(log)[0]}",
            hint=_hint(log),
        ) from None


async def unless_it_ends(doing: Coroutine[Any, Any, None], *, child: Child, log: Path) -> None:
    """Wait for what only a living node can do.

    Raises:
        DevnetError: the process ended before.
        Exception: what `doing` raised.
    """
    task, end = asyncio.create_task(doing), asyncio.create_task(child.ended.wait())
    try:
        await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _ended(child, log)
        task.result()
    finally:
        task.cancel()
        end.cancel()
        await asyncio.gather(task, end, return_exceptions=True)


def _ended(child: Child, log: Path) -> DevnetError:
    """Return that a node ended too early, with what it said last."""
    why, hint = last_words(log)
    return DevnetError(
        f"the node of {log.parent.name} {child.how()} before it was ready: {why}",
        hint="; ".join(filter(None, (hint, _hint(log)))),
    )


def _hint(log: Path) -> str:
    """Return where to look; on a full disk that is the disk, for there the log says nothing."""
    at = os.statvfs(log.parent)
    if at.f_bavail * at.f_frsize < ROOM_BYTES_MIN:
        return system_hint(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return f"its log: {log}"


def _read_ready(path: Path) -> Ready | None:
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(READY_BYTES_MAX))
    except FileNotFoundError:
        return None
    except ValueError:
        return None  # Half written: it is looked at again.
    return Ready(
        pid=said["pid"],
        url=said["url"],
        did=said["did"],
        peer_addresses=tuple(said["peer_addresses"]),
    )


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything, shortened; or that there is none."""
    return _last_line(log)[:SAID_MAX]


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8_192))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line]
    except FileNotFoundError:
        lines = []
    return lines[-1] if lines else "its log is empty"


def last_words(log: Path) -> tuple[str, str]:
    """Return what a process said last, for people, and the hint in it.

    A node that cannot start says why in one line of JSON, or in one for people.
    """
    line = _last_line(log)
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and "event" in said:
            line = ": ".join(str(said[key]) for key in ("event", "why") if said.get(key))
    why, _, hint = line.strip().partition(" (hint: ")
    return why[:SAID_MAX], hint.removesuffix(")")[:SAID_MAX]
