"""A disk that can lose power and fail, under a real node process: `disk.c` and what reads it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devnet.genesis import make_world
from nodeimpl.kernel.clock import RealClock
from opkit.client.node import NodeClient
from opkit.client.retry import Patience
from opkit.proof import keystore

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
START_S_MAX = 120
COMPILE_S_MAX = 120
SECTOR_BYTES = 512

HEAD = struct.Struct("<IIQQQII")
"""A record of the journal: `struct record` of disk.c."""


def compiler() -> list[str]:
    """Return the command of a C compiler: the project's own one, or the system's."""
    zig = os.environ.get("OPKIT_ZIG_PYTHON", str(ROOT / ".venvs/wasm/bin/python"))
    if Path(zig).exists():
        return [zig, "-m", "ziglang", "cc"]
    system = shutil.which("cc")
    if system is None:
        pytest.fail("no C compiler: python3 scripts/setup wasm")
    return [system]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that stands between a process and its files."""
    library = tmp_path_factory.mktemp("shim") / "disk.so"
    flags = ["-shared", "-fPIC", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    command = [*compiler(), *flags, str(HERE / "disk.c"), "-lpthread", "-o", str(library)]
    subprocess.run(command, check=True, timeout=COMPILE_S_MAX)
    return library


@dataclass
class File:
    """A file as the disk has it, and the changes that no sync has covered yet."""

    kept: bytearray = field(default_factory=bytearray)
    loose: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def settle(self, upto: int) -> None:
        """Keep what happened before `upto` in the journal."""
        for _, offset, data in (each for each in self.loose if each[0] < upto):
            apply(self.kept, offset, data)
        self.loose = [each for each in self.loose if each[0] >= upto]


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Change `content` as a write of `data` does, or a cut if that is None."""
    end = offset if data is None else offset + len(data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset:end] = data


Entry = tuple[int, str, str, int]
"""A change of names: where in the journal, path before or empty, path after or empty, file."""


class Disk:
    """What a disk holds, told by the journal: what was synced, and what was not yet."""

    def __init__(self, journal: Path) -> None:
        """Begin with an empty folder."""
        self._journal = journal
        self._files: dict[int, File] = {}
        self._names: dict[str, int] = {}
        self._folders: dict[int, str] = {}
        self._loose: dict[str, list[Entry]] = {"": []}
        self._known: dict[int, int] = {}
        self.syncs: Counter[str] = Counter()
        self.at = 0

    def run(self, until: int) -> None:
        """Go on to the place `until` of the journal."""
        with self._journal.open("rb") as file:
            file.seek(self.at)
            while self.at < until and len(head := file.read(HEAD.size)) == HEAD.size:
                size, kind, number, offset, begun, path, other = HEAD.unpack(head)
                rest = file.read(size - HEAD.size)
                if len(rest) < size - HEAD.size or self.at + size > until:
                    return
                first, second = rest[:path].decode(), rest[path : path + other].decode()
                data = rest[path + other :]
                self._take(chr(kind), number, offset, begun, first, second, data)
                self.at += size

    def _take(
        self, kind: str, number: int, offset: int, begun: int, path: str, other: str, data: bytes
    ) -> None:
        if kind in "CD":
            # A number is used again for another file once the first is gone.
            self._known[number] = self.at + 1
        number = self._known.setdefault(number, -number)
        if kind == "C":
            self._files[number] = File()
            self._rename(("", path), number)
        elif kind == "D":
            self._folders[number] = path
            self._loose.setdefault(path, [])
            self._rename(("", path), number)
        elif kind == "W":
            self._files.setdefault(number, File()).loose.append((self.at, offset, data))
        elif kind == "T":
            self._files.setdefault(number, File()).loose.append((self.at, offset, None))
        elif kind == "R":
            self._rename((path, other), number)
        elif kind == "U":
            self._rename((path, ""), number)
        else:
            assert kind == "S", kind
            self._sync(number, begun, path)

    def _rename(self, paths: tuple[str, str], number: int) -> None:
        before, after = paths
        folder = os.path.dirname(after or before)
        self._loose.setdefault(folder, []).append((self.at, before, after, number))

    def _sync(self, number: int, begun: int, path: str) -> None:
        self.syncs[path] += 1
        if number in self._files:
            self._files[number].settle(begun)
            return
        loose = self._loose.setdefault(path, [])
        for entry in (each for each in loose if each[0] < begun):
            enter(self._names, entry)
        self._loose[path] = [each for each in loose if each[0] >= begun]

    def rebuild(self, into: Path, *, chance: random.Random | None) -> None:
        """Write what the disk may hold if power is lost now.

        Args:
            chance: which unsynced changes happen to have reached it, in which order; none do if
                this is None.
        """
        names = dict(self._names)
        contents = {number: bytearray(file.kept) for number, file in self._files.items()}
        if chance is not None:
            self._keep_some(names, contents, chance)
        into.mkdir()
        folders = {path for path, number in names.items() if number in self._folders}
        for path in sorted(folders):
            if all(str(up) in (".", *folders) for up in Path(path).parents):
                (into / path).mkdir(mode=0o700)
        for path, number in names.items():
            # Without its folder a file cannot be found. SQLite's shared memory is never synced, and
            # is not written through calls that the journal could tell.
            if path not in folders and (into / path).parent.is_dir() and not path.endswith("-shm"):
                (into / path).write_bytes(contents.get(number, b""))

    def _keep_some(
        self, names: dict[str, int], contents: dict[int, bytearray], chance: random.Random
    ) -> None:
        for number, file in self._files.items():
            some = [each for each in file.loose if chance.random() < 0.5]
            chance.shuffle(some)
            for _, offset, data in some:
                torn = data is not None and chance.random() < 0.3
                apply(contents[number], offset, tear(data, chance) if data and torn else data)
        for entries in self._loose.values():
            for entry in entries[: chance.randrange(1 + len(entries))]:
                enter(names, entry)


def tear(data: bytes, chance: random.Random) -> bytes:
    """Return the sectors of a write that reached the disk before the rest did not."""
    return data[: SECTOR_BYTES * chance.randrange(1 + len(data) // SECTOR_BYTES)]


def enter(names: dict[str, int], entry: Entry) -> None:
    """Change names as a creation, a renaming or a removal does."""
    _, before, after, number = entry
    if before:
        names.pop(before, None)
    if after:
        names[after] = number


FILES = {
    "folder": "data",
    "genesis": "genesis.jws",
    "keystore": "keystore.json",
    "key_file": "keystore.key",
}


def on_small_disk(folder: Path, *, size_mb: int) -> list[str]:
    """Return the command that runs another one where a small file system lies on `folder`."""
    alone = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-r", "-m"]
    mount = f'mount -t tmpfs -o size={size_mb}m tmpfs "$0" && exec "$@"'
    return [*alone, "sh", "-c", mount, str(folder)]


class DiskNode:
    """A node of the demo world under `python -m nodeimpl`, on a disk that can be watched."""

    def __init__(self, folder: Path, *, shim: Path) -> None:
        """Write what it needs; nothing runs yet."""
        self.folder = folder
        self.data = self.seen = folder / "data"
        self.journal = folder / "journal"
        self.faults = folder / "faults"
        self.log = folder / "node.log"
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._shim = shim
        self._world = make_world("three", now_ms=RealClock().now_ms())
        identity = self._world.nodes[RIVER]
        key = secrets.token_bytes(32)
        (folder / "keystore.json").write_bytes(keystore.seal({"node": identity.seed}, secret=key))
        (folder / "keystore.key").write_bytes(key)
        (folder / "keystore.key").chmod(0o600)
        (folder / "genesis.jws").write_text(self._world.genesis, "ascii")
        self.configure(self.data)
        self.data.mkdir(mode=0o700)

    def configure(self, data: Path, more: str = "") -> None:
        """Say where the node keeps its things, and what else differs."""
        keys = {name: str(self.folder / file) for name, file in FILES.items()}
        keys["folder"] = str(data)
        lines = [f"{name} = {json.dumps(path)}" for name, path in keys.items()]
        text = "\n".join(["[node]", f'org = "{RIVER}"', *lines, more, ""])
        (self.folder / "node.toml").write_text(text, "utf-8")

    async def start(self, *, data: Path | None = None, before: str = "", small_mb: int = 0) -> None:
        """Start the process and return once it serves.

        Args:
            data: the node's folder, if it is another than the watched one.
            before: Python code that the process runs first: what a test breaks.
            small_mb: the size of a file system of its own for the node's folder, which only the
                process sees; 0 for none.
        """
        wrapped = on_small_disk(self.data, size_mb=small_mb) if small_mb else []
        environ = {
            **os.environ,
            "LD_PRELOAD": str(self._shim),
            "OPKIT_DISK_ROOT": str(self.data),
            "OPKIT_DISK_JOURNAL": str(self.journal),
            "OPKIT_DISK_FAULTS": str(self.faults),
        }
        config = str(self.folder / "node.toml")
        code = f"{before}\nimport sys, nodeimpl.__main__ as node\nsys.exit(node.main())"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it runs beside, and is not awaited
                [*wrapped, sys.executable, "-c", code, config],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environ,
            )
        if small_mb:
            # As the process sees it.
            self.seen = Path(f"/proc/{self.process.pid}/root") / self.data.relative_to("/")
        await self._ready(data or self.seen)

    def small_disk(self) -> list[str]:
        """Return the command that gives another one a small file system for the node's folder."""
        return on_small_disk(self.data, size_mb=1)

    async def _ready(self, data: Path) -> None:
        assert self.process is not None
        async with asyncio.timeout(START_S_MAX):
            while True:
                try:
                    said = json.loads((data / "ready.json").read_text())
                except (OSError, json.JSONDecodeError):
                    said = {}
                if said.get("pid") == self.process.pid:
                    self.url = said["url"]
                    return
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    def fail(self, *rules: str) -> None:
        """Make calls fail from now on: `sync node.db-wal 5 0`; without rules none do."""
        draft = self.faults.with_suffix(".new")
        draft.write_text("".join(f"{rule}\n" for rule in rules), "ascii")
        draft.replace(self.faults)

    async def ended(self) -> int:
        """Return the exit code once the process has ended by itself."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, START_S_MAX)

    def place(self) -> int:
        """Return how much the disk has noted so far."""
        return self.journal.stat().st_size

    def kill(self) -> None:
        """Kill the process; what the kernel holds of its files stays, what is unsynced included."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def client(self, *, attempts: int = 8, member: str = MARA) -> NodeClient:
        """Return a member's client, which asks so often before it tells of a busy node."""
        return NodeClient(
            url=self.url,
            node=self._world.nodes[RIVER].did,
            network=self._world.view.network,
            identity=self._world.members[member],
            patience=Patience(attempts_max=attempts),
        )


@pytest.fixture
def node(tmp_path: Path, shim: Path) -> Iterator[DiskNode]:
    """A node that is not started yet; whatever runs at the end is killed."""
    made = DiskNode(tmp_path, shim=shim)
    yield made
    made.kill()


@pytest.fixture
def power_cut(node: DiskNode) -> Callable[[], Disk]:
    """Return what reads the journal of the node's disk from its beginning."""
    return lambda: Disk(node.journal)
