"""A real PostgreSQL server for one session of tests, and stores on both engines."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BINARIES = "/usr/lib/postgresql"
START_S_MAX = 30.0
_numbers = itertools.count(1)


def _binaries() -> Path | None:
    """Return the folder of the newest server that Debian installed, or of the one in PATH."""
    folders = sorted(Path(BINARIES).glob("*/bin/initdb"), key=lambda at: int(at.parts[-3]))
    if folders:
        return folders[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _owner() -> str:
    """Return the user that the server runs as: it refuses to be root."""
    return "postgres" if os.geteuid() == 0 else getpass.getuser()


def _run_as(owner: str) -> dict[str, str]:
    return {"user": owner, "group": owner} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def _server(binaries: Path) -> Iterator[str]:
    """Run a server in a folder of its own, reachable by its Unix socket only."""
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="opkit-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, owner, owner)
    data = folder / "data"
    make = [binaries / "initdb", "-D", data, "-A", "trust", "-U", owner, "-E", "UTF8", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **_run_as(owner))
    run = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(run, stdout=log, stderr=log, cwd=folder, **_run_as(owner))
    try:
        url = f"postgresql:///postgres?host={folder}&user={owner}"
        _wait_ready(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # A fast stop: it waits for no client.
        process.wait(timeout=START_S_MAX)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    limit = time.monotonic() + START_S_MAX
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None, "the server ended while starting"
            assert time.monotonic() < limit, "the server did not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server's first database."""
    pytest.importorskip("psycopg", reason="not run: psycopg is missing")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("not run: PostgreSQL's server is missing (scripts/install-debian)")
    with _server(binaries) as url:
        yield url


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Make an empty database and return its URL, as often as asked; all go with the test."""
    import psycopg

    made: list[str] = []

    def make() -> str:
        made.append(f"test_{next(_numbers)}")
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {made[-1]}".encode())
        return postgres_server.replace("/postgres?", f"/{made[-1]}?")

    yield make
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """The URL of an empty database, for one test."""
    return postgres_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    url: str = request.getfixturevalue("postgres_url")
    return url
