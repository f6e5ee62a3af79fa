"""A server that restarts under a node: nobody is told anything false, and the node goes on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from devnet.cluster import FAST, IMMEDIATE, Cluster
from nodeimpl.kernel import postgres
from nodeimpl.kernel.store import StoreFailed
from opkit.wire.gateway import StoreBusy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 150))


@pytest.mark.parametrize("how", [FAST, IMMEDIATE, signal.SIGKILL])
def test_a_restart_under_load_loses_nothing_and_needs_no_hand(
    servers: Any, book: Any, how: signal.Signals
) -> None:
    server = servers.make()

    def restart() -> None:
        if how is signal.SIGKILL:
            server.kill()
        else:
            server.stop(how)
        server.start()

    async def main() -> None:
        kept = await book.open(server.url("node"))
        for round_ in range(1, 4):
            before = len(kept.acknowledged)
            restarting = asyncio.ensure_future(asyncio.to_thread(restart))
            await kept.add_until(
                lambda r=restarting, b=before: r.done() and len(kept.acknowledged) > b + 20
            )
            await restarting
            assert not kept.store.has_failed, f"round {round_}"
        await kept.check()
        assert kept.doubtful == []
        await kept.store.close()

    run(main())


def test_reads_recover_by_themselves_and_streams_go_on(servers: Any, book: Any) -> None:
    server = servers.make()

    async def main() -> None:
        kept = await book.open(server.url("node"))
        await kept.add(1)
        grown = asyncio.ensure_future(kept.store.journal_grew(1))
        await asyncio.to_thread(server.stop, IMMEDIATE)
        for _ in range(8):
            with pytest.raises(StoreBusy):
                await kept.ids()
        with pytest.raises(StoreBusy):
            await kept.add(2)
        await asyncio.to_thread(server.start)
        assert await once_there(kept.ids) == [1]
        assert not grown.done()
        await once_there(lambda: kept.add(3))
        await grown
        await kept.check()
        await kept.store.close()

    run(main())


async def once_there(ask: Callable[[], Any]) -> Any:
    """Return the answer once the store gives one."""
    while True:
        try:
            return await ask()
        except StoreBusy:
            await asyncio.sleep(0.02)  # Looks again.


def test_who_waits_while_the_server_is_away_hears_at_once_and_not_one_by_one(
    servers: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt to connect answers all who wait: a slow one must not add up."""
    server = servers.make()

    async def main() -> None:
        kept = await book.open(server.url("node"))
        await asyncio.to_thread(server.stop, IMMEDIATE)
        monkeypatch.setattr(postgres, "AGAIN_MS", 60_000)
        attempts = 0
        plain = postgres.PostgresSession._connect

        def counted(session: postgres.PostgresSession) -> Any:
            nonlocal attempts
            attempts += 1
            return plain(session)

        monkeypatch.setattr(postgres.PostgresSession, "_connect", counted)
        ended = await asyncio.gather(
            *(kept.add(number) for number in range(200)), return_exceptions=True
        )
        assert all(isinstance(one, StoreBusy) for one in ended)
        assert attempts == 1
        await kept.store.close()

    run(main())


def test_a_server_that_stays_away_after_a_commit_was_sent_stops_the_store(
    servers: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what became of it: not "no", and not "yes" (ADR 0004)."""
    server = servers.make()
    monkeypatch.setattr(postgres, "DOUBT_MS_MAX", 300)
    plain = postgres.PostgresSession.commit

    def cut_off(session: postgres.PostgresSession) -> None:
        if server.running:
            plain(session)
            server.kill()
        plain(session)

    async def main() -> None:
        kept = await book.open(server.url("node"))
        with monkeypatch.context() as cutting:
            cutting.setattr(postgres.PostgresSession, "commit", cut_off)
            with pytest.raises(StoreFailed):
                await kept.add(1)
        assert kept.store.has_failed
        with pytest.raises(StoreBusy, match="has failed"):
            await kept.add(2)
        await kept.store.close()
        await asyncio.to_thread(server.start)
        again = await book.open(server.url("node"))
        assert await again.ids() == [1], "opened again, the database says what was kept"
        await again.store.close()

    run(main())


@pytest.mark.parametrize("sabotage", ["forgets the doubt", "believes the cut"])
def test_a_node_that_does_not_look_up_its_commits_is_found_out(
    postgres_cluster: Cluster,
    postgres_url: str,
    book: Any,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: str,
) -> None:
    """Broken on purpose: what a COMMIT without an answer did is guessed, each way once."""
    happened = sabotage == "believes the cut"
    cut_at_commit(postgres_cluster, monkeypatch, after=not happened)

    def guess(session: postgres.PostgresWriter) -> bool:
        session._reconnect_plainly()
        return happened

    def plainly(session: postgres.PostgresWriter) -> None:
        session._connection = session._connect()
        session._take_lock(wait_ms=20_000)

    monkeypatch.setattr(postgres.PostgresWriter, "_reconnect_plainly", plainly, raising=False)
    monkeypatch.setattr(postgres.PostgresWriter, "_look_up", guess)

    async def main() -> None:
        kept = await book.open(postgres_url)
        await kept.try_add(1)
        with pytest.raises(AssertionError):
            await kept.check()
        await kept.store.close()

    run(main())


@pytest.mark.parametrize("after", [True, False])
def test_a_session_that_is_ended_in_commit_is_looked_up(
    postgres_cluster: Cluster,
    postgres_url: str,
    book: Any,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    cut_at_commit(postgres_cluster, monkeypatch, after=after)

    async def main() -> None:
        kept = await book.open(postgres_url)
        assert await kept.try_add(1) is after
        assert await kept.try_add(2)
        await kept.check()
        await kept.store.close()

    run(main())


def cut_at_commit(server: Cluster, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """End the writer's session just before or just after its first COMMIT of a number."""
    plain = postgres.PostgresSession.commit
    end = "SELECT pg_terminate_backend({}, 20000)"
    cut = False

    def commit(session: postgres.PostgresSession) -> None:
        nonlocal cut
        found = session._connection.execute("SELECT count(*) FROM journal").fetchone()
        if cut or found == (0,):
            return plain(session)
        cut = True
        pid = session._connection.info.backend_pid
        if after:
            plain(session)
        server.run(end.format(pid))
        return plain(session)

    monkeypatch.setattr(postgres.PostgresSession, "commit", commit)
