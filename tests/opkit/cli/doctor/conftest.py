"""A node that was set up and has run, as files: what a doctor looks at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store
from opkit.cli.doctor import database, disk
from opkit.proof import keystore
from opkit.wire.network import NodeStarted

ORG = "harbor-homes-cooperative"
SECRET = bytes(range(32))


@dataclass
class Patient:
    """A node's files, and what the command says of them."""

    folder: Path
    world: MadeWorld
    run: Callable[..., Any]
    config: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def database(self) -> Path:
        return self.data / "node.db"

    def write_config(self) -> None:
        """Write the configuration as `config` says."""
        lines: list[str] = []
        for section, values in self.config.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items())]
        (self.folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")

    def ready(self, **said: Any) -> None:
        """Leave word as a running node does."""
        self.data.mkdir(exist_ok=True)
        (self.data / "ready.json").write_text(json.dumps(said), "utf-8")

    def findings(self, *more: object) -> dict[str, dict[str, Any]]:
        """Return what is found of the node, by the check's name."""
        said = self.run("doctor", self.folder / "config.toml", "--json", *more)
        kept = [each for each in said.json["findings"] if each["about"].startswith("node ")]
        ill = any(each["verdict"] == "wrong" for each in said.json["findings"])
        assert said.code == (1 if ill else 0), said.err
        return {each["check"]: each for each in kept}

    def wrong(self, check: str) -> dict[str, Any]:
        """Return what is found by a check, which must find that something is wrong."""
        found = self.findings()[check]
        assert found["verdict"] == "wrong", found
        assert found["hint"]
        return found

    def migrate_to(self, revision: str) -> None:
        """Say that the database has another revision."""
        import sqlite3

        with sqlite3.connect(self.database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()


@pytest.fixture
def patient(tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A node with key, genesis, configuration and a database with one entry; it does not run.

    How busy this machine and its disk are now is no fault of the node's.
    """
    monkeypatch.setattr(database, "QUICK_S_MAX", 60)
    monkeypatch.setattr(database, "CONNECT_S_MAX", 60)
    monkeypatch.setattr(disk, "SYNC_MS_MAX", 60_000)
    folder = tmp_path / "n"
    folder.mkdir(mode=0o700)
    made = make_world("three", now_ms=RealClock().now_ms())
    (folder / "genesis.jws").write_text(made.genesis, "ascii")
    for name, data in (
        ("keystore.key", SECRET),
        ("keystore.json", keystore.seal({"node": made.nodes[ORG].seed}, secret=SECRET)),
    ):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    (folder / "data").mkdir(mode=0o700)
    kept = Patient(folder, made, run)
    files = {"genesis": "genesis.jws", "keystore": "keystore.json", "key_file": "keystore.key"}
    paths = {key: str(folder / name) for key, name in files.items()}
    kept.config["node"] = {"org": ORG, "folder": str(folder / "data"), **paths}
    kept.write_config()
    asyncio.run(_fill(kept.database))
    return kept


async def _fill(path: Path) -> None:
    async with asyncio.timeout(30):
        store = await Store.open(url=f"sqlite:///{path}", clock=RealClock())
        started = NodeStarted(version="0", generation=1)
        await store.write(lambda tx: tx.announce(started))
        await store.close()
