"""A PostgreSQL server of one's own: made, started, killed, copied to a standby, promoted, removed.

For tests, benches and whoever wants to try a node on PostgreSQL without touching a server that
others use. It listens on a Unix socket in its own folder and nowhere else. It refuses to be root,
so root runs it as the user that Debian's package made.
Source: https://www.postgresql.org/docs/15/app-postgres.html (signals), ADR 0022.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from devnet.processes import descendants_of

if TYPE_CHECKING:
    from psycopg import Connection

BINARIES = Path("/usr/lib/postgresql")
"""Where Debian keeps the servers, one folder a version."""

PORT = 5432
"""Only the socket's name depends on it: each server has a folder of its own."""

START_S_MAX = 60.0
END_S_MAX = 60.0
LOOK_EVERY_S = 0.02

FAST = signal.SIGINT
"""Ends every session and stops in order. Source: PostgreSQL 15, section 19.5."""

IMMEDIATE = signal.SIGQUIT
"""Stops at once, as after a crash: the next start recovers. Source: the same."""

BASE = {"listen_addresses": "", "max_connections": "60", "max_wal_senders": "4"}
"""What every server here is started with."""

CARELESS = {"fsync": "off", "full_page_writes": "off"}
"""For servers whose machine never loses power while it matters: killing them loses nothing."""


class ClusterFailed(Exception):
    """The server did not do what it was told; the text ends with the end of its log."""


def find_binaries() -> Path | None:
    """Return the folder of the newest server that Debian installed, or of the one in PATH."""
    folders = sorted(BINARIES.glob("*/bin/initdb"), key=lambda at: int(at.parts[-3]))
    if folders:
        return folders[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@dataclass(eq=False, kw_only=True)
class Cluster:
    """One server and its folder.

    Attributes:
        folder: data, socket and log lie in it.
        settings: what is set on the server's command line at its next start.
        port: of TCP, if `listen_addresses` says so; the socket's name has it too.
    """

    folder: Path
    binaries: Path
    owner: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = PORT
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(
        cls, folder: Path, *, settings: Mapping[str, str] | None = None, log_mb: int = 16
    ) -> Cluster:
        """Make an empty server in `folder`, which must be new; `start` starts it.

        Args:
            log_mb: the size of one file of its write-ahead log: a power of two from 1.

        Raises:
            ClusterFailed: PostgreSQL is not installed, or refused to make one.
        """
        made = cls._beside(folder, dict(settings or {}))
        how = ("-A", "trust", "-U", made.owner, "-E", "UTF8", "--no-sync")
        made.call("initdb", "-D", made.data, f"--wal-segsize={log_mb}", *how)
        return made

    @classmethod
    def _beside(cls, folder: Path, settings: dict[str, str]) -> Cluster:
        binaries = find_binaries()
        if binaries is None:
            raise ClusterFailed("PostgreSQL's server is missing: apt install postgresql")
        folder.mkdir(mode=0o755, exist_ok=True)
        owner = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            shutil.chown(folder, owner, owner)
        return cls(folder=folder, binaries=binaries, owner=owner, settings={**BASE, **settings})

    @property
    def data(self) -> Path:
        """Where the server keeps its data."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Where the server logs."""
        return self.folder / "log"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def url(
        self, database: str = "postgres", *, also: tuple[Cluster, ...] = (), **more: str
    ) -> str:
        """Return the URL of a database.

        Args:
            also: more servers that may have it, tried in this order after this one.
            more: more connection parameters, such as `target_session_attrs`.
        """
        hosts = ",".join(str(one.folder) for one in (self, *also))
        ports = ",".join(str(one.port) for one in (self, *also))
        asked = {"host": hosts, "port": ports, "user": self.owner, **more}
        query = "&".join(f"{name}={quote(value, safe='/,')}" for name, value in asked.items())
        return f"postgresql:///{database}?{query}"

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises:
            ClusterFailed: it ended, or does not answer in time.
        """
        assert not self.running, "it runs already"
        command: list[Any] = [self.binaries / "postgres", "-D", self.data, "-k", self.folder]
        command += ["-p", str(self.port)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, **self._as_owner()
            )
        self.wait_answering()

    def wait_answering(self) -> None:
        """Return once the server answers; raises as `start`."""
        import psycopg

        limit = time.monotonic() + START_S_MAX
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError as not_yet:
                if not self.running or time.monotonic() > limit:
                    raise ClusterFailed(f"{not_yet}; log: {self._last_lines()}") from not_yet
                time.sleep(LOOK_EVERY_S)
            else:
                return

    def stop(self, how: signal.Signals = FAST) -> None:
        """Stop the server, `FAST` or `IMMEDIATE`, and return once it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(END_S_MAX)
            self.process = None

    def kill(self) -> None:
        """Kill every process of the server at once, as when its machine stops."""
        assert self.process is not None, "it does not run"
        everyone = (self.process.pid, *descendants_of(self.process.pid))
        for pid in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(END_S_MAX)
        self.process = None
        # A server that starts while one of them still ends finds its memory in use, and gives up.
        limit = time.monotonic() + END_S_MAX
        while any(_lives(pid) for pid in everyone) and time.monotonic() < limit:
            time.sleep(LOOK_EVERY_S)

    def connect(self, database: str = "postgres") -> Connection[Any]:
        """Return a connection that commits each statement by itself."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True)

    def run(self, text: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        with self.connect(database) as connection:
            done = connection.execute(text.encode("utf-8"))
            return done.fetchall() if done.description is not None else []

    def create(self, database: str, *, template: str = "template1") -> str:
        """Make a database as a copy of `template`, and return its URL."""
        self.run(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def standby(self, folder: Path, *, name: str) -> Cluster:
        """Make a copy of this server that follows it by streaming replication; not started yet.

        Args:
            folder: the copy's, new.
            name: what the copy calls itself towards this server, for `follow_synchronously`.
        """
        made = self._beside(folder, dict(self.settings))
        # What the copy follows: a libpq connection string with the name it goes by.
        source = f"host={self.folder} port={self.port} user={self.owner} application_name={name}"
        how = ("-R", "-X", "stream", "-c", "fast", "--no-sync")
        made.call("pg_basebackup", "-D", made.data, "-d", source, *how)
        return made

    def follow_synchronously(self, name: str) -> None:
        """Let COMMIT here return only when the standby `name` has it on disk; '' ends that."""
        self.run(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        self.run("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby a primary, and return once it takes writes."""
        self.run("SELECT pg_promote(true, 60)")

    def _as_owner(self) -> dict[str, Any]:
        return {"user": self.owner, "group": self.owner} if os.geteuid() == 0 else {}

    def call(self, name: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs as the server's user.

        Raises:
            ClusterFailed: it failed; the text says how.
        """
        done = subprocess.run(
            [self.binaries / name, *arguments],
            check=False,
            capture_output=True,
            cwd=self.folder,
            **self._as_owner(),
        )
        if done.returncode:
            raise ClusterFailed(f"{name}: {done.stderr.decode('utf-8', 'replace')[-2_000:]}")

    def _last_lines(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2_000:] if self.log.exists() else "none"


def _lives(pid: int) -> bool:
    """Return whether a process is there and has not ended. Source: proc(5)."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return said.rpartition(")")[2].split()[0] not in {"Z", "X"}


@contextlib.contextmanager
def running_cluster(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Hold a server in a folder of its own, which goes with it.

    Args:
        settings: such as `CARELESS` for tests; a bench leaves it out, so that COMMIT syncs.

    Raises:
        ClusterFailed: PostgreSQL is not installed, or does not start.
    """
    # Short: a Unix socket's path has at most 107 bytes. Source: unix(7).
    folder = Path(mkdtemp(prefix="opkit-pg-", dir="/tmp"))
    cluster = None
    try:
        folder.chmod(0o755)
        cluster = Cluster.make(folder / "one", settings=settings)
        cluster.start()
        yield cluster
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
