"""Nodes that watch each other's journals: over both transports, with honest and with lying ones."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.history.renewal import open_generation
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.errors import HistoryLost
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.forks import read_fork, read_seen
from opkit.wire.gateway import StoreBusy
from opkit.wire.witness import (
    GROW,
    AskGrowth,
    AskWitnesses,
    Grown,
    HeadRejected,
    HistoryBehind,
    JournalForkProven,
    JournalGrowthUnproven,
    JournalWitnessed,
)

WAIT_S = 100


async def until(told: Any) -> Any:
    """Return what `told` returns, once that is true."""
    async with asyncio.timeout(WAIT_S):
        while not (said := await told()):
            await asyncio.sleep(0.02)
        return said


async def all_witnessed(sites: list[Any]) -> bool:
    """Return whether each of the nodes knows of all others' word on each."""
    for site in sites:
        for node in sites:
            if (await site.of(node.did)).witnesses < len(sites) - 1:
                return False
    return True


async def close(*sites: Any) -> None:
    for site in sites:
        await site.close()


def test_three_nodes_witness_each_other_and_everybody_knows_it(play: Any) -> None:
    async def main(ground: Any) -> None:
        first = await ground.site(0)
        second = await ground.site(1, knows=[0])
        third = await ground.site(2, knows=[0, 1])
        sites = [first, second, third]
        for site in sites:
            await site.grow(5)
        await until(lambda: all_witnessed(sites))
        await first.grow(300)

        async def both_saw() -> bool:
            shown = await third.of(first.did)
            return bool(shown.size >= 305)

        await until(both_saw)
        assert await second.told(JournalWitnessed)
        told = await third.told(JournalWitnessed)
        assert sorted(each.node for each in told) == sorted([first.did, second.did]), "once each"
        every = (await first.witness.witnesses(AskWitnesses(), None)).nodes
        assert {node.node for node in every} == {site.did for site in sites}
        assert all(node.forks == 0 and node.unproven is None for node in every)
        figures = {name: value for name, _, value in first.witness.figures()}
        assert figures["journal_witnesses"] == 2
        assert figures["journals_witnessed"] == 2
        assert figures["journals_forked"] == figures["journals_unproven"] == 0
        await close(*sites)

    play(3, main)


def test_what_was_seen_is_known_after_a_restart(play: Any) -> None:
    async def main(ground: Any) -> None:
        first = await ground.site(0)
        await first.grow(3)
        second = await ground.site(1, knows=[0])
        await until(lambda: all_witnessed([first, second]))
        await close(second, first)
        alone = await ground.site(1)
        shown = await alone.of(ground.identities[0].did)
        assert shown.size >= 3
        assert shown.asked_at_ms is not None
        await close(alone)

    play(2, main)


def test_a_node_that_shows_two_peers_two_histories_is_convicted_by_its_own_answer(
    play: Any,
) -> None:
    """Each peer sees one that only grows. What the one passes on, the other one asks about."""

    async def main(ground: Any) -> None:
        histories = {
            ground.identities[1].did: ground.told(0, "abcdefgh"),
            ground.identities[2].did: ground.told(0, "abXdefghij"),
        }
        liar = ground.identities[0].did

        def answer(peer: str, ask: AskGrowth) -> Grown:
            return histories[peer].grown(ask)

        async with ground.forger(0, answer):
            first = await ground.site(1, knows=[0])
            second = await ground.site(2, knows=[0, 1])

            async def proven() -> bool:
                return bool((await first.of(liar)).forks and (await second.of(liar)).forks)

            await until(proven)
            for site in (first, second):
                (value,) = (await site.of(liar)).fork_proofs
                fork = read_fork(value, node=liar, network=ground.genesis.network)
                assert fork.first.root != fork.second.root
                (event,) = await site.told(JournalForkProven)
                assert (event.node, event.generation) == (liar, 1)
                figures = {name: value for name, _, value in site.witness.figures()}
                assert figures["journals_forked"] == 1
            await close(second, first)
        again = await ground.site(1)
        assert (await again.of(liar)).forks == 1, "it is kept"
        await close(again)

    play(3, main)


def test_a_proof_reaches_who_never_met_the_node_that_it_is_about(play: Any) -> None:
    async def main(ground: Any) -> None:
        liar, one, two = ground.identities[0].did, ground.told(0, "abc"), ground.told(0, "abX")
        shown: list[Grown] = []

        def answer(peer: str, ask: AskGrowth) -> Grown:
            shown.append((two if shown else one).grown(ask))
            return shown[-1]

        async with ground.forger(0, answer):
            first = await ground.site(1, knows=[0])
            second = await ground.site(2, knows=[1])

            async def proven() -> bool:
                return bool((await second.of(liar)).forks)

            await until(proven)
            assert liar not in second.peers.connected()
            assert await second.told(JournalForkProven)
            await close(second, first)

    play(3, main)


def test_who_goes_back_or_says_nothing_is_told_once_and_proves_nothing(play: Any) -> None:
    async def main(ground: Any) -> None:
        told = [ground.told(0, "abcdef"), ground.told(0, "abc")]
        asked: list[AskGrowth] = []

        def answer(peer: str, ask: AskGrowth) -> Grown:
            asked.append(ask)
            return told[min(len(asked), 2) - 1].grown(ask)

        async with ground.forger(0, answer) as liar:
            site = await ground.site(1, knows=[0])

            async def noted() -> Any:
                return (await site.of(liar.did)).unproven

            assert "it has 3 entries, and had 6" in await until(noted)
            await until(lambda: _true(len(asked) > 4))
            (event,) = await site.told(JournalGrowthUnproven)
            assert (event.node, event.size) == (liar.did, 6)
            shown = await site.of(liar.did)
            assert (shown.forks, shown.size) == (0, 6)
            await close(site)

    play(2, main)


async def _true(said: bool) -> bool:
    return said


@pytest.mark.parametrize("lie", ["another's head", "no head", "silence", "denial", "behind"])
def test_whatever_else_is_answered_is_noted_and_harms_nobody(play: Any, lie: str) -> None:
    async def main(ground: Any) -> None:
        other = ground.told(1, "abc")

        def answer(peer: str, ask: AskGrowth) -> Grown:
            if lie == "another's head":
                return other.grown(AskGrowth())
            if lie == "no head":
                return Grown(head="a.b.c")
            if lie == "denial":
                raise HeadRejected(why="never")
            if lie == "behind":
                raise HistoryBehind(size=3)
            raise RuntimeError("broken on purpose")

        async with ground.forger(0, answer) as liar:
            site = await ground.site(1, knows=[0])

            async def noted() -> Any:
                return (await site.of(liar.did)).unproven

            assert await until(noted)
            assert await site.told(JournalGrowthUnproven)
            assert not (await site.of(liar.did)).records
            await close(site)

    play(2, main)


def test_yesterdays_folder_put_back_signs_nothing_once_a_peer_is_there(
    play: Any, tmp_path: Path
) -> None:
    """Mark and database are both of yesterday: here nothing can tell, but who saw more."""

    async def main(ground: Any) -> None:
        peer = await ground.site(1)
        node = await ground.site(0, knows=[1])
        await node.grow(3)
        await until(lambda: all_witnessed([node, peer]))
        await node.close()
        shutil.copytree(ground.data(0), tmp_path / "yesterday")
        node = await ground.site(0, knows=[1])
        await node.grow(5)

        async def seen() -> bool:
            return bool((await peer.of(node.did)).size >= 8)

        await until(seen)
        await node.close()
        ground.put_back(0, tmp_path / "yesterday")

        old = await ground.site(0, knows=[1])
        async with asyncio.timeout(WAIT_S):
            lost = await old.ended
        assert isinstance(lost, HistoryLost)
        assert "it is an old one" in str(lost)
        assert "new-generation" in str(lost)
        with pytest.raises(StoreBusy, match="it is an old one"):
            await old.grow()
        with pytest.raises(StoreBusy, match="it is an old one"):
            old.history.sign_head()
        await old.close()
        with pytest.raises(HistoryLost, match="it is an old one"):
            await ground.site(0, knows=[1])

        url = f"sqlite:///{ground.data(0)}/node.db"
        opened = await open_generation(url=url, folder=ground.data(0), clock=RealClock())
        assert opened.lost is not None
        assert opened.lost.size >= 8
        again = await ground.site(0, knows=[1])

        async def believed() -> bool:
            shown = await peer.of(again.did)
            return bool(shown.generation == opened.generation and shown.unproven is None)

        await until(believed)
        await again.grow()
        assert not again.ended.done()
        await close(again, peer)

    play(2, main)


def test_one_key_run_twice_is_stopped_and_leaves_the_proof_with_the_witnesses(
    play: Any, tmp_path: Path
) -> None:
    """Each of the two is seen by a witness of its own, until these come to know each other."""

    async def main(ground: Any) -> None:
        first, second = await ground.site(1), await ground.site(2)
        node = await ground.site(0, knows=[1])
        await node.grow(3)
        await until(lambda: all_witnessed([node, first]))
        await node.close()  # The files of one that runs come and go while they are copied.
        shutil.copytree(ground.data(0), tmp_path / "twin")
        node = await ground.site(0, knows=[1])
        await node.grow(3)

        async def seen(witness: Any, size: int) -> bool:
            return bool((await witness.of(node.did)).size >= size)

        await until(lambda: seen(first, 6))
        await node.close()
        twin = await ground.site(0, knows=[2], data=tmp_path / "twin")
        await twin.grow(20)
        await until(lambda: seen(second, 20))
        assert not twin.ended.done()

        there = PeerAddress(did=second.did, addresses=second.addresses)
        await first.peers.reach(there, deadline_ms=30_000)
        async with asyncio.timeout(WAIT_S):
            assert isinstance(await twin.ended, HistoryLost)
        for witness in (first, second):

            async def proven(witness: Any = witness) -> bool:
                return bool((await witness.of(node.did)).forks)

            await until(proven)
        await close(twin, first, second)

    play(3, main)


def test_the_longest_that_others_hold_is_marked_whoever_told_first(play: Any) -> None:
    """A generation cites one place as lost: a longer one would stop the node again."""

    async def main(ground: Any) -> None:
        node = await ground.site(0)
        await node.grow(4)
        twin, own = ground.told(0, "abcdefgh"), node.witness._own
        for size in (6, 8, 7):
            head = read_seen(twin.head(size), node=node.did, network=ground.genesis.network)
            assert await own.hear([head]) == [head]
        await own.mark_lost()
        async with asyncio.timeout(WAIT_S):
            assert isinstance(await node.ended, HistoryLost)
        marked = json.loads((ground.data(0) / "history-mark.json").read_text())
        assert marked["size"] == 8
        await close(node)

    play(1, main)


def test_a_head_of_nobody_is_refused_and_one_of_before_is_enough_to_stop(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_asked = asyncio.Event()

    async def main(ground: Any) -> None:
        node = await ground.site(0)
        await node.grow(4)
        asker = await ground.site(1, knows=[0])
        await asker.peers.wait_connected(node.did, 30_000)
        twin, stranger = ground.told(0, "abcdefgh"), ground.told(1, "abcd")
        with pytest.raises(HeadRejected):
            await asker.peers.ask(node.did, GROW, AskGrowth(seen=(stranger.head(),)))
        grown = await asker.peers.ask(node.did, GROW, AskGrowth())
        mark_lost = node.witness._own.mark_lost

        async def later() -> None:
            await all_asked.wait()
            await mark_lost()

        # Its end begins with this, and does not wait for whoever asks slowly.
        monkeypatch.setattr(node.witness._own, "mark_lost", later)
        with pytest.raises(HistoryBehind) as behind:
            await asker.peers.ask(node.did, GROW, AskGrowth(seen=(twin.head(6),)))
        assert behind.value.size == 6
        # What it signed before it may still show, with what its journal began with.
        shown = await asker.peers.ask(node.did, GROW, AskGrowth(seen=(twin.head(2), grown.head)))
        assert shown.head == grown.head
        (growth,) = [each for each in shown.growths if each.size == 2]
        assert growth.root != twin.trees[2].root().hex()
        all_asked.set()
        async with asyncio.timeout(WAIT_S):
            assert isinstance(await node.ended, HistoryLost)
        await close(asker, node)

    play(2, main)
