"""What holds for every test: bounded and repeatable examples, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from devnet.cluster import Cluster
    from opkit.proof.genesis import GenesisView

settings.register_profile(
    "local",
    deadline=None,  # The machine may be busy; pytest-timeout bounds the whole test instead.
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

SETTLE_S = 30.0
"""How long after a test its processes and threads may take to end, on a busy machine."""
NAME_CHARACTERS_MAX = 40
"""Texts up to this length stand in the names of tests as they are."""
KEPT_THREADS = ("pytest", "execnet", "asyncio_", "ThreadPoolExecutor", "AnyIO", "iroh", "Dummy")
"""Threads that libraries keep for the whole process, by the beginning of their name."""
KEPT_PROCESSES = ("multiprocessing.resource_tracker", "postgres")
"""Processes that serve a whole session of tests, by a part of their command line."""
EMPTY = """
DO $$
DECLARE one name;
BEGIN
  PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  DROP TABLE IF EXISTS note;
  FOR one IN SELECT tablename FROM pg_tables
      WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', one);
  END LOOP;
  INSERT INTO store_meta (name, value) VALUES ('generation', 1);
  INSERT INTO store_writer (id, fence, commits) VALUES (1, 0, 0);
END $$
"""
"""Leaves a node's database as its first start does; `note` is a table of the tests' own."""
MEASURES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""What has a process measure which lines it reaches. Source: coverage's documentation."""
_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Have an interrupt end what it should.

    A shell has what it starts in the background ignore it, and whatever that starts does too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take where to note which files the groups of marked tests are in."""
    parser.addoption("--note-marked", metavar="PATH", help="note in PATH the files of each marker")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Let files with few tests begin where workers take them in order.

    Among marked tests those are the long stories; at the end only one worker would tell them.
    """
    if config.getoption("note_marked") and worker(config) in ("", "gw0"):
        note_marked(Path(config.getoption("note_marked")), config.rootpath, items)
    yield
    if not config.getoption("loadscopereorder", True):
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: tests[item.path])


def pytest_collection_finish() -> None:
    """Let the collector pass over what stays to the end: ten thousand tests and all modules.

    To look through half a million objects takes a second, in the middle of some test, and again
    and again; what a test waits for is not there sooner.
    """
    gc.collect()
    gc.freeze()


def worker(config: pytest.Config) -> str:
    """Return which of several processes that share the tests this is; empty if it is alone."""
    shared: dict[str, str] = getattr(config, "workerinput", {})
    return shared.get("workerid", "")


def note_marked(path: Path, root: Path, items: list[pytest.Item]) -> None:
    """Write which files have tests with which markers, as JSON.

    Who runs one group after another need not have each collect all tests again.
    """
    files: dict[str, set[str]] = {}
    for item in items:
        for marker in item.iter_markers():
            files.setdefault(marker.name, set()).add(item.path.relative_to(root).as_posix())
    path.write_text(json.dumps({name: sorted(found) for name, found in files.items()}), "utf-8")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name an example by its argument if its text is long.

    Keys and tokens are made anew in each process: without this two workers would collect tests of
    different names.
    """
    return argname if isinstance(val, str) and len(val) > NAME_CHARACTERS_MAX else None


@pytest.fixture(autouse=True)
def nothing_outlives_a_test() -> Iterator[None]:
    """Fail a test that leaves behind a child process, a thread or a listening port.

    What fixtures of a wider scope started may stay: pytest makes those before this one.
    """
    before = leftovers()
    yield
    limit = time.monotonic() + SETTLE_S
    left = leftovers() - before
    while left and time.monotonic() < limit:
        time.sleep(0.02)
        left = leftovers() - before
    if left:
        pytest.fail(f"left behind: {', '.join(sorted(name for _, name in left))}", pytrace=False)


def leftovers() -> set[tuple[object, str]]:
    """Return what runs beside the test itself: child processes, threads, listening ports."""
    return {*processes(), *threads(), *ports()}


def processes() -> set[tuple[object, str]]:
    """Return the living child processes, each with a name for people."""
    found: set[tuple[object, str]] = set()
    if not has_children():
        return found
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
            if child.status() == psutil.STATUS_ZOMBIE or any(k in line for k in KEPT_PROCESSES):
                continue
        except psutil.NoSuchProcess:
            continue
        found.add((child.pid, f"process {child.pid} ({line[:80]})"))
    return found


def has_children() -> bool:
    """Return whether this process has any child: most tests start none.

    The kernel says so at once. To find whose children there are, psutil reads what each process of
    the machine is: milliseconds, twice for each of ten thousand tests.
    """
    for task in Path("/proc/self/task").iterdir():
        try:
            if (task / "children").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            # The thread has ended, or this kernel does not tell: then psutil looks.
            return True
    return False


def threads() -> set[tuple[object, str]]:
    """Return the living threads that are neither the main one nor a library's for good."""
    return {
        (thread.ident, f"thread {thread.name}")
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith(KEPT_THREADS)
    }


def ports() -> set[tuple[object, str]]:
    """Return the TCP ports on which this process listens."""
    listening = psutil.Process().net_connections(kind="tcp")
    return {
        (connection.laddr, f"port {connection.laddr.port}")
        for connection in listening
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Keep the measuring of coverage away from a test that does for long what others do briefly.

    Measured, a simulation takes five times as long, and reaches not one line more.
    """
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]  # It takes what `gettrace` returns.
    yield
    sys.settrace(tracer)
    threading.settrace(of_threads)


@pytest.fixture(scope="module")
def unmeasured_processes() -> Iterator[None]:
    """Keep the measuring of coverage away from the processes that a file's tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in MEASURES:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def genesis_for() -> Callable[..., GenesisView]:
    """Make a network of the nodes whose identities are given, called n0, n1, … in it."""
    # Deferred: most tests need no network.
    from opkit.proof.genesis import read_genesis, sign_genesis
    from opkit.proof.keys import Identity
    from opkit.wire.genesis import Genesis, GenesisNode

    def make(*nodes: Identity) -> GenesisView:
        operator = Identity.generate()
        genesis = Genesis(
            network="a" * 26,
            devnet=True,
            operator=operator.did,
            created_ms=1,
            nodes=tuple(
                GenesisNode(org=f"n{number}", title="A node", did=who.did, coop=None)
                for number, who in enumerate(nodes)
            ),
            charters=(),
        )
        return read_genesis(sign_genesis(genesis, operator))

    return make


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for the whole session."""
    pytest.importorskip("psycopg", reason="not run: psycopg is missing")
    # Deferred: most sessions need no server.
    from devnet.cluster import CARELESS, find_binaries, running_cluster

    if find_binaries() is None:
        pytest.skip("not run: PostgreSQL's server is missing (scripts/install-debian)")
    with running_cluster(CARELESS) as cluster:
        yield cluster


class MadeNodes:
    """Databases with a node's schema, emptied after use and given out again.

    Making one copies a thousand files; emptying one deletes some rows.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._free: list[str] = []
        self._count = 0
        self._make_first(cluster.create("made_0"))

    def take(self) -> str:
        """Return the name of a database as a node's first start leaves it."""
        if self._free:
            return self._free.pop()
        self._count += 1
        self._cluster.create(f"made_{self._count}", template="made_0")
        return f"made_{self._count}"

    def give_back(self, name: str) -> None:
        """Empty a database, of sessions that a failed test left behind too."""
        with self._cluster.connect(name) as connection, connection.transaction():
            connection.execute(EMPTY.encode())
        self._free.append(name)

    def _make_first(self, url: str) -> None:
        # Deferred: most sessions need no store on PostgreSQL.
        from nodeimpl.kernel.clock import RealClock
        from nodeimpl.kernel.store import Store
        from nodeimpl.migrations.__main__ import import_all_tables

        import_all_tables()

        async def make() -> None:
            store = await Store.open(url=url, clock=RealClock())
            await store.close()

        asyncio.run(make())


@pytest.fixture(scope="session")
def made_nodes(postgres_cluster: Cluster) -> MadeNodes:
    """Databases that have a node's schema already."""
    return MadeNodes(postgres_cluster)


@pytest.fixture
def postgres_database(postgres_cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Make an empty database and return its URL, as often as asked; all go with the test."""
    made: list[str] = []

    def make() -> str:
        made.append(f"test_{next(_numbers)}")
        return postgres_cluster.create(made[-1])

    yield make
    for name in made:
        postgres_cluster.drop(name)


@pytest.fixture
def postgres_node(postgres_cluster: Cluster, made_nodes: MadeNodes) -> Iterator[Callable[[], str]]:
    """Give databases with a node's schema by URL, as often as asked."""
    taken: list[str] = []

    def take() -> str:
        taken.append(made_nodes.take())
        return postgres_cluster.url(taken[-1])

    yield take
    for name in taken:
        made_nodes.give_back(name)


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """The URL of an empty database, for one test."""
    return postgres_database()


@pytest.fixture
def store_engine() -> str:
    """Which engine the stores of a test are on; where both are tried, a fixture nearer says so."""
    return "sqlite"


@pytest.fixture
def store_urls(
    store_engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Give databases of nodes by name: the same name is the same database, to be opened again."""
    if store_engine == "sqlite":
        return lambda name: f"sqlite:///{tmp_path / name}.db"
    request.getfixturevalue("unmeasured")  # The same test on SQLite reaches the same lines.
    make: Callable[[], str] = request.getfixturevalue("postgres_node")
    known: dict[str, str] = {}

    def url(name: str) -> str:
        if name not in known:
            known[name] = make()
        return known[name]

    return url
