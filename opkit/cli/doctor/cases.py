"""What is looked at: this machine, each devnet that it keeps, each node by its configuration."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from platformdirs import user_state_dir

from opkit import home

if TYPE_CHECKING:
    from nodeimpl.config import ConfigError, NodeConfig

ANSWER_S_MAX = 0.7
"""How long a node may take to answer; all are asked at once."""

ANSWER_BYTES_MAX = 65_536
ASKED_AT_ONCE = 8
READY_BYTES_MAX = 65_536


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a running node answered, and between which times of this machine's clock."""

    node: dict[str, Any]
    health: dict[str, Any]
    before_ms: int
    after_ms: int


@dataclass(kw_only=True)
class NodeCase:
    """One node, running or not.

    Attributes:
        name: what people call it.
        path: its configuration file.
        devnet: of which devnet it is one, if of any.
        thorough: whether its whole database is read, however long that takes.
        said: what it answered; None if it does not run, or did not answer.
    """

    name: str
    path: Path
    devnet: str = ""
    thorough: bool = False
    said: Said | None = None

    @property
    def label(self) -> str:
        """Return what it is called among all that is looked at."""
        return f"node {self.name}" + (f" (devnet {self.devnet})" if self.devnet else "")

    @cached_property
    def loaded(self) -> NodeConfig | ConfigError:
        """Return its configuration, or why there is none."""
        from nodeimpl.config import ConfigError, load_config

        try:
            return load_config(self.path)
        except ConfigError as bad:
            return bad

    @property
    def config(self) -> NodeConfig:
        """Return its configuration; only nodes that have one are looked at further."""
        from nodeimpl.config import NodeConfig

        assert isinstance(self.loaded, NodeConfig), "the configuration was looked at first"
        return self.loaded

    @property
    def readable(self) -> bool:
        """Whether there is a configuration to go on with."""
        from nodeimpl.config import NodeConfig

        return isinstance(self.loaded, NodeConfig)

    @cached_property
    def ready(self) -> dict[str, Any] | None:
        """Return what a running node wrote down about itself; None if none does."""
        ready_at = self.config.node.folder / "ready.json"
        try:
            with ready_at.open("rb") as file:
                said = json.loads(file.read(READY_BYTES_MAX))
        except (FileNotFoundError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    @property
    def pid(self) -> int | None:
        """Return the process that is the node; None if none is."""
        if not self.readable or self.ready is None:
            return None
        pid = self.ready.get("pid")
        return pid if isinstance(pid, int) and Path(f"/proc/{pid}").exists() else None


@dataclass(frozen=True, kw_only=True)
class DevnetCase:
    """One devnet's folder."""

    name: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class MachineCase:
    """This machine, as these nodes need it."""

    home: Path
    nodes: Sequence[NodeCase] = field(default=())


def state_place() -> Path:
    """Return the folder of all state, which looking does not make."""
    named = os.environ.get(home.HOME_VARIABLE)
    return Path(named).absolute() if named else Path(user_state_dir("opkit"))


def devnet_cases(named: str | None) -> list[DevnetCase]:
    """Return the devnets of this machine, or the one that is named."""
    root = state_place() / "devnets"
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.exists() else []
    return [
        DevnetCase(name=folder.name, folder=folder)
        for folder in folders
        if named in (None, folder.name)
    ]


def nodes_of(devnet: DevnetCase, *, thorough: bool) -> list[NodeCase]:
    """Return the nodes of a devnet, those that were started once."""
    return [
        NodeCase(name=path.parent.name, path=path, devnet=devnet.name, thorough=thorough)
        for path in sorted(devnet.folder.glob("nodes/*/config.toml"))
    ]


def ask_all(cases: Iterable[NodeCase]) -> None:
    """Ask every node that runs who it is and how it feels, all at once."""
    running = [case for case in cases if case.pid is not None]
    if not running:
        return
    with ThreadPoolExecutor(max_workers=ASKED_AT_ONCE) as pool:
        for case, said in zip(running, pool.map(_ask, running), strict=True):
            case.said = said


def _ask(case: NodeCase) -> Said | None:
    assert case.ready is not None, "a node that runs has said where"
    parts = urlsplit(str(case.ready.get("url")))
    if not parts.hostname or not parts.port:
        return None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S_MAX)
    try:
        before_ms = time.time_ns() // 1_000_000
        node = _get(connection, "/v1/node")
        after_ms = time.time_ns() // 1_000_000
        health = _get(connection, "/v1/health/ready")
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return Said(node=node, health=health, before_ms=before_ms, after_ms=after_ms)


def _get(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    connection.request("GET", path)
    said = json.loads(connection.getresponse().read(ANSWER_BYTES_MAX))
    if not isinstance(said, dict):
        raise http.client.HTTPException(f"{path} was answered with something else")
    return said
