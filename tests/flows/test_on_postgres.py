"""Flows A, 3 and 4 on real processes that keep their state on PostgreSQL; two lies told there."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import open_world
from devnet.cluster import Cluster
from devnet.launch import Launched, LaunchFailed, launch
from devnet.processes import descendants_of
from flows import FLOWS
from flows.a import flow
from opkit.cli.app import main
from opkit.story import Flow, Report

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

DEADLINE_S = 250
PASSWORD = "correct-horse-battery"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own."""
    # Short: the path of a Unix socket has at most 107 bytes.
    made = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(made))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(home: Path, postgres_cluster: Cluster) -> Iterator[Callable[..., Launched]]:
    """Start devnets on the session's server, and end them all."""
    started: list[Launched] = []

    def begin(**more: Any) -> Launched:
        asked = {
            "database": postgres_cluster.url("flows"),
            "temporary": True,
            "profile": "three",
        } | more
        launched = launch(name="t", seed=7, **asked)
        started.append(launched)
        launched.wait_ready()
        return launched

    yield begin
    for launched in started:
        launched.down()


def tell(name: str, story: Flow[Any] = flow) -> Report:
    async def go() -> Report:
        world = await open_world(name, run_id="once", seed=7)
        try:
            return await story.tell(world).run()
        finally:
            await world.close()

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def databases(cluster: Cluster) -> set[str]:
    """Return the databases of the devnet `t`."""
    found = cluster.run("SELECT datname FROM pg_database WHERE datname LIKE 'flows_t_%'")
    return {name for (name,) in found}


def journal_length(cluster: Cluster, database: str) -> int:
    ((count,),) = cluster.run("SELECT count(*) FROM journal", database=database)
    return int(count)


def test_flow_a_is_told_whole_and_its_nodes_wrote_into_their_databases(
    start: Callable[..., Launched], postgres_cluster: Cluster
) -> None:
    launched = start()

    report = tell("t")

    assert report.ok, report.stopped
    assert report.shown == flow.markers
    kept = databases(postgres_cluster)
    assert kept == {
        "flows_t_river_city_tool_library",
        "flows_t_brightworks_cooperative",
        "flows_t_harbor_homes_cooperative",
    }
    assert all(journal_length(postgres_cluster, name) > 5 for name in kept)
    assert not list(launched.folder.rglob("node.db")), "no SQLite file beside"
    launched.down()
    assert databases(postgres_cluster) == set(), "a temporary devnet takes its databases along"


def test_coops_agree_exchange_and_are_audited_there_and_a_killed_node_comes_back(
    start: Callable[..., Launched], postgres_cluster: Cluster
) -> None:
    start(profile="federation")

    for name in ("3", "4"):
        report = tell("t", FLOWS[name])
        assert report.ok, report.stopped
        assert report.shown == FLOWS[name].markers
    assert len(databases(postgres_cluster)) == 5


def test_nodes_that_lie_about_outputs_lose_exactly_that_marker(
    start: Callable[..., Launched], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lost").write_text("TASK_COMPLETED")
    monkeypatch.setenv("SABOTAGE", str(tmp_path / "lost"))
    start(node_module="sabotaged_node")

    report = tell("t")

    assert report.stopped is not None
    assert report.stopped.at == "TASK_COMPLETED"
    assert report.shown == flow.markers[:4]


def test_a_node_whose_database_takes_no_writes_loses_the_marker_and_gets_it_back(
    start: Callable[..., Launched], postgres_cluster: Cluster
) -> None:
    start()
    name = "flows_t_brightworks_cooperative"
    end = f"SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE datname = '{name}'"
    postgres_cluster.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres_cluster.run(end)

    report = tell("t")

    assert report.stopped is not None
    assert report.shown == flow.markers[: flow.markers.index(report.stopped.at)]
    postgres_cluster.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    postgres_cluster.run(end)
    assert tell("t").ok, "no node was started again"


@pytest.fixture
def login(
    postgres_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A server's URL for a role that needs a password, which libpq finds in a file."""
    rules = postgres_cluster.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all keeper scram-sha-256\n{before}")
    postgres_cluster.run(f"CREATE ROLE keeper LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    postgres_cluster.run("SELECT pg_reload_conf()")
    found = tmp_path / "passwords"
    found.write_text(f"*:*:*:keeper:{PASSWORD}\n")
    found.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(found))
    yield f"postgresql:///flows?host={postgres_cluster.folder}&user=keeper"
    rules.write_text(before)
    postgres_cluster.run("SELECT pg_reload_conf()")


def test_a_password_is_found_by_the_driver_and_stands_nowhere(
    start: Callable[..., Launched],
    login: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launched = start(database=login)
    supervisor = launched.process.pid

    assert tell("t").ok
    assert main(["devnet", "status", "t"]) == 0
    assert "databases on postgresql:///flows" in capsys.readouterr().out

    processes = [supervisor, *descendants_of(supervisor)]
    lines = list(contents(Path(f"/proc/{pid}/cmdline") for pid in processes))
    assert any(line for _, line in lines)
    assert not any(PASSWORD.encode() in line for _, line in lines)
    files = list(contents(launched.folder.rglob("*")))
    found = {path.name for path, data in files if b"user=keeper" in data}
    assert {"state.json", "config.toml"} <= found, "the search finds the rest of the URL"
    assert not [path for path, data in files if PASSWORD.encode() in data]


def contents(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield what is in files; what is there for a moment only may be gone again."""
    for path in paths:
        with suppress(FileNotFoundError, ProcessLookupError):
            if path.is_file():
                yield path, path.read_bytes()


@pytest.mark.parametrize(
    "url", [f"postgresql://keeper:{PASSWORD}@h/x", f"postgresql://h/x?password={PASSWORD}"]
)
@pytest.mark.parametrize("command", [("devnet", "up"), ("demo", "a")])
def test_a_url_with_a_password_is_refused_and_not_repeated(
    home: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, str], url: str
) -> None:
    assert main([*command, "--database", url]) == 1
    said = capsys.readouterr()
    assert "PGPASSFILE" in said.err
    assert PASSWORD not in said.err + said.out
    assert not list(home.rglob("state.json"))


def test_a_devnet_comes_back_to_its_databases_and_a_new_one_takes_no_others(
    start: Callable[..., Launched],
    postgres_cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launched = start(temporary=False)
    name = "flows_t_river_city_tool_library"
    launched.down()
    before = journal_length(postgres_cluster, name)
    start(database="", temporary=False).down()
    assert journal_length(postgres_cluster, name) > before, "it went on where it was"
    assert main(["devnet", "up", "t", "--database", "postgresql:///other"]) == 1
    assert main(["devnet", "reset", "t"]) == 0
    assert databases(postgres_cluster) == set()

    assert "keeps its state on postgresql:///flows" in capsys.readouterr().err
    postgres_cluster.create(name)
    postgres_cluster.run("CREATE TABLE journal (a int)", database=name)
    with pytest.raises(LaunchFailed, match="holds something"):
        start()
    postgres_cluster.drop(name)
