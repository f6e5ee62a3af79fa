"""A standby is promoted: what was acknowledged is there, or the node notices and writes nothing.

Each test has a primary and a standby that follows it by streaming replication. The node knows both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from devnet.cluster import IMMEDIATE, Cluster
from nodeimpl.kernel import postgres
from nodeimpl.kernel.errors import StoreUnreachable
from nodeimpl.kernel.store import StoreLocked
from opkit.wire.gateway import StoreBusy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opkit' AND wait_event = 'SyncRep'
"""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up waiting for a lock sooner than a node does: nothing here depends on it."""
    monkeypatch.setattr(postgres, "OWNER_MS_MAX", 300)
    monkeypatch.setattr(postgres, "SUCCESSOR_MS_MAX", 500)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 150))


async def blocking(call: Callable[..., Any], *arguments: Any) -> Any:
    """Do with a server what takes time."""
    return await asyncio.to_thread(call, *arguments)


async def once_there(ask: Callable[[], Any]) -> Any:
    """Return the answer once the store gives one."""
    while True:
        try:
            return await ask()
        except StoreBusy:
            await asyncio.sleep(0.02)  # Looks again.


def fail_over(one: Cluster, other: Cluster) -> None:
    """Kill the primary as when its machine stops, and promote the standby."""
    one.kill()
    other.promote()


def test_with_a_synchronous_standby_a_failover_under_load_loses_nothing(
    servers: Any, book: Any
) -> None:
    one, other = servers.pair(synchronous=True)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        await kept.add_until(lambda: len(kept.acknowledged) > 50)
        failing = asyncio.ensure_future(blocking(fail_over, one, other))
        before = len(kept.acknowledged)
        await kept.add_until(lambda: failing.done() and len(kept.acknowledged) > before + 20)
        await failing
        assert not kept.store.has_failed
        assert kept.doubtful == []
        await kept.check()
        await kept.store.close()

    run(main())


def lag(one: Cluster, other: Cluster, until: Callable[[Callable[[], bool]], None]) -> None:
    """Let the standby come this far and no further."""
    same = "SELECT pg_current_wal_flush_lsn() = replay_lsn FROM pg_stat_replication"
    until(lambda: one.run(same) == [(True,)])
    other.stop()


def promote_behind(one: Cluster, other: Cluster) -> None:
    """Kill the primary; start the standby, which lags, and promote it."""
    one.kill()
    other.start()
    other.promote()


def test_a_standby_that_lacks_acknowledged_commits_is_not_written_to(
    servers: Any, book: Any
) -> None:
    """With asynchronous replication the last commits may be lost: the node says so and stops."""
    one, other = servers.pair(synchronous=False)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        assert await kept.try_add(1)
        await blocking(lag, one, other, servers.until)
        assert await kept.try_add(2)
        await blocking(promote_behind, one, other)
        while not kept.store.has_failed:
            assert not await kept.try_add(3)
        assert kept.doubtful == [], "nothing was half done: all were told no"
        said = str(await kept.store.failed())
        assert "2 were made" in said or "3 were made" in said
        assert "new-generation" in said, "and what to do"
        with pytest.raises(StoreBusy, match="has failed"):
            await kept.add(4)
        assert other.run("SELECT id FROM note", database="node") == [(1,)]
        await kept.store.close()

    run(main())


def test_without_the_count_of_commits_the_node_would_go_on_as_if_nothing_was_lost(
    servers: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken on purpose: the node believes whatever count it finds."""
    one, other = servers.pair(synchronous=False)

    def believe(session: postgres.PostgresWriter) -> int:
        row = session._connection.execute("SELECT fence, commits FROM store_writer").fetchone()
        assert row is not None
        session._commits = session._found_commits = row[1]
        return int(row[0])

    monkeypatch.setattr(postgres.PostgresWriter, "_check_fence", believe)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        await blocking(lag, one, other, servers.until)
        assert await kept.try_add(2)
        await blocking(promote_behind, one, other)
        await once_there(lambda: kept.add(3))
        with pytest.raises(AssertionError, match="acknowledged is lost"):
            await kept.check()
        await kept.store.close()

    run(main())


def forget_to_raise_the_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = postgres.PostgresWriter._come_back

    def come_back(session: postgres.PostgresWriter) -> None:
        plain(session)
        assert session._fence is not None
        session._connection.execute("UPDATE store_writer SET fence = fence - 1")
        session._fence -= 1
        session._fences = frozenset({session._fence})

    monkeypatch.setattr(postgres.PostgresWriter, "_come_back", come_back)


@pytest.mark.parametrize("raised", [True, False], ids=["as it is", "fence not raised"])
def test_an_old_primary_that_comes_back_is_not_written_to(
    servers: Any, book: Any, monkeypatch: pytest.MonkeyPatch, raised: bool
) -> None:
    """It stands first in the URL, takes writes, and has as many commits: only its fence is low.

    Broken on purpose: a node that does not raise the fence goes on there, on another history.
    """
    one, other = servers.pair(synchronous=False)
    if not raised:
        forget_to_raise_the_fence(monkeypatch)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        assert await kept.try_add(1)
        await blocking(lag, one, other, servers.until)
        await blocking(promote_behind, one, other)
        await once_there(lambda: kept.add(2))
        await blocking(one.start)
        # As after a COMMIT in doubt that this server did, and the standby did not.
        one.run("UPDATE store_writer SET commits = commits + 1", database="node")
        await blocking(other.stop, IMMEDIATE)
        if not raised:
            await once_there(lambda: kept.add(3))
            assert await kept.ids() == [1, 3], "an acknowledged number is gone, and nobody knows"
            return await kept.store.close()
        while not kept.store.has_failed:
            assert not await kept.try_add(3)
        assert kept.doubtful == []
        assert "another copy, or an older one" in str(await kept.store.failed())
        assert one.run("SELECT id FROM note", database="node") == [(1,)]
        return await kept.store.close()

    run(main())


def test_who_was_superseded_on_the_new_primary_commits_nothing(servers: Any, book: Any) -> None:
    """Another process took over there; the first one comes when its own server is gone."""
    one, other = servers.pair(synchronous=True)

    async def main() -> None:
        first = await book.open(one.url("node", also=(other,)))
        assert await first.try_add(1)
        await blocking(fail_over, one, other)
        second = await book.open(other.url("node"))
        assert await second.try_add(2)
        with pytest.raises(StoreLocked):
            await book.open(other.url("node"))
        while not first.store.has_failed:
            assert not await first.try_add(3)
        assert first.doubtful == []
        assert "another process was the owner" in str(await first.store.failed())
        assert await second.try_add(4)
        assert await second.ids() == [1, 2, 4]
        await second.store.close()
        await first.store.close()

    run(main())


def test_who_stays_with_an_old_primary_tells_nobody_of_what_it_commits_there(
    servers: Any, book: Any
) -> None:
    """Its standby is a primary now, so the old server waits for it, and so does every caller."""
    one, other = servers.pair(synchronous=True)

    async def main() -> None:
        first = await book.open(one.url("node", also=(other,)))
        assert await first.try_add(1)
        await blocking(other.promote)
        second = await book.open(other.url("node"))
        assert await second.try_add(2)
        telling = asyncio.ensure_future(first.try_add(3))
        await blocking(servers.until, lambda: one.run(WAITING) == [(1,)])
        assert await second.try_add(4)
        assert not telling.done(), "it waits for a standby that it has no more"
        await blocking(one.stop, IMMEDIATE)
        assert not await telling
        assert first.doubtful == [3], "nobody knows, and it was not told as done"
        assert first.store.has_failed
        assert await second.ids() == [1, 2, 4]
        await second.store.close()
        await first.store.close()

    run(main())


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_wait_for_the_standby_that_is_cut_short_is_no_acknowledgement(
    servers: Any, book: Any, how: str
) -> None:
    """The server then says COMMIT, with a warning, or hangs up; it alone has the commit."""
    one, other = servers.pair(synchronous=True)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        assert await kept.try_add(1)
        await blocking(other.stop)
        telling = asyncio.ensure_future(kept.try_add(2))
        await blocking(cut_short, servers, one, how)
        await blocking(servers.until, lambda: one.run(WAITING) == [(1,)])
        assert not telling.done(), "it waits again, for a commit of its own"
        await blocking(other.start)
        assert await telling
        await blocking(fail_over, one, other)
        await once_there(lambda: kept.add(3))
        await kept.check()
        await kept.store.close()

    run(main())


def test_while_the_standby_is_away_changes_are_refused_and_reads_go_on(
    servers: Any, book: Any
) -> None:
    """Only the change whose COMMIT waits is not answered: nobody knows yet what becomes of it."""
    one, other = servers.pair(synchronous=True)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        assert await kept.try_add(1)
        await blocking(other.stop)
        waiting = asyncio.ensure_future(kept.try_add(2))
        await blocking(servers.until, lambda: one.run(WAITING) == [(1,)])
        behind = [asyncio.ensure_future(kept.try_add(number)) for number in (3, 4)]
        assert await asyncio.gather(*behind) == [False, False]
        assert kept.busy == [3, 4]
        assert kept.store.stalled_ms
        assert not await kept.try_add(5), "at once, from now on"
        assert await kept.ids() == [1]
        assert not waiting.done()
        assert not kept.store.has_failed
        await blocking(other.start)
        assert await waiting
        assert not kept.store.stalled_ms
        await once_there(lambda: kept.add(6))
        await kept.check()
        await kept.store.close()

    run(main())


def cut_short(servers: Any, one: Cluster, how: str) -> None:
    """End the wait of the session that waits for the standby, and return once it waits no more."""
    look = "SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    servers.until(lambda: len(one.run(look)) == 1)
    ((pid, began),) = one.run(look)
    one.run(f"SELECT {how}({pid})")
    servers.until(lambda: (pid, began) not in one.run(look))


def test_a_node_that_overhears_the_warning_tells_what_the_standby_never_had(
    servers: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken on purpose: COMMIT is believed although the server says that it did not wait."""
    one, other = servers.pair(synchronous=True)
    monkeypatch.setattr(postgres.PostgresWriter, "_hear", lambda *_: None)

    async def main() -> None:
        kept = await book.open(one.url("node", also=(other,)))
        await blocking(other.stop)
        telling = asyncio.ensure_future(kept.try_add(1))
        await blocking(cut_short, servers, one, "pg_cancel_backend")
        assert await telling, "told, and on one server only"
        await blocking(promote_behind, one, other)
        assert await once_there(kept.ids) == []
        await kept.store.close()

    run(main())


def test_a_server_whose_sessions_do_not_wait_for_the_disk_is_made_to(
    servers: Any, book: Any
) -> None:
    server = servers.make(synchronous_commit="off")

    async def main() -> None:
        kept = await book.open(server.url("node"))
        session = kept.store._writer._session
        assert session._connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        await kept.store.close()
        strict = await book.open(server.url("node", options="-csynchronous_commit=remote_apply"))
        session = strict.store._writer._session
        found = session._connection.execute("SHOW synchronous_commit").fetchone()
        assert found == ("remote_apply",)
        await strict.store.close()

    run(main())


def test_a_server_that_takes_no_writes_is_passed_by(servers: Any, book: Any) -> None:
    one, other = servers.pair(synchronous=False)

    async def main() -> None:
        kept = await book.open(other.url("node", also=(one,)))
        assert await kept.try_add(1), "the standby stands first in the URL"
        await kept.store.close()
        with pytest.raises(StoreUnreachable, match="read-only"):
            await book.open(other.url("node"))

    run(main())
