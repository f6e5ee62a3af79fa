"""A network, followed: deaths, returns, cuts and events, each seen once and none missed."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from opkit.live import follow
from opkit.live.book import Book
from opkit.live.live import Live
from opkit.story.states import State
from opkit.wire.errors import Unreachable
from opkit.wire.events import Cursor

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"


def test_all_nodes_and_links_are_seen_with_figures_of_the_transport(tell: Any) -> None:
    async def story(held: Any) -> None:
        figures = held.live.network_figures()
        assert [one.org for one in figures.nodes] == [RIVER, BRIGHT, HARBOR]
        assert [one.initials for one in figures.nodes] == ["RC", "BW", "HH"]
        assert all(one.version and one.engine and one.seen_ms for one in figures.nodes)
        await held.eventually(
            lambda: [one.state for one in held.live.network_figures().links] == ["up"] * 3
        )
        await held.eventually(
            lambda: all(len(one.recent) >= 2 for one in held.live.network_figures().links)
        )
        assert all(one.sent_bytes > 0 for one in held.live.network_figures().links)

    tell(story)


def test_a_killed_node_is_down_within_two_seconds_and_comes_back_by_itself(tell: Any) -> None:
    async def story(held: Any) -> None:
        began = time.monotonic()
        await held.world.kill(HARBOR)
        await held.eventually(lambda: held.node(HARBOR).health == "down")
        took = time.monotonic() - began
        figure = held.node(HARBOR)
        assert figure.why
        assert figure.links == ()
        states = {(one.a, one.b): one.state for one in held.live.network_figures().links}
        assert states[RIVER, HARBOR] == states[BRIGHT, HARBOR] == "lost"
        await held.eventually(lambda: "kill" in [one.kind for one in happenings(held)])
        await held.world.restart(HARBOR)
        await held.eventually(lambda: held.node(HARBOR).health == "up")
        await held.eventually(
            lambda: [one.state for one in held.live.network_figures().links] == ["up"] * 3
        )
        # The bound is 2 s; a machine that does much else at once is given some more.
        assert took < 10, took

    tell(story)


def test_no_event_is_missing_and_none_comes_twice_when_a_node_comes_back(
    tell: Any, monkeypatch: Any
) -> None:
    taken: list[int] = []
    take = Book.take

    def taking(book: Book, org: str, entries: Any) -> None:
        taken.extend(entry.sequence for entry in entries if org == RIVER)
        take(book, org, entries)

    monkeypatch.setattr(Book, "take", taking)

    async def story(held: Any) -> None:
        first = await held.deploy("first")
        await held.eventually(lambda: first in held.live.book.modules)
        await held.world.kill(RIVER)
        await held.eventually(lambda: held.node(RIVER).health == "down")
        await held.world.restart(RIVER)
        second = await held.deploy("second")
        await held.eventually(lambda: second in held.live.book.modules)
        assert taken == list(range(1, len(taken) + 1))

    tell(story)


def happenings(held: Any) -> Any:
    return held.live.network_figures().happenings


def test_a_cut_link_is_told_from_a_lost_one_and_heals(tell: Any) -> None:
    async def story(held: Any) -> None:
        def link() -> Any:
            links = held.live.network_figures().links
            return next(one for one in links if {one.a, one.b} == {RIVER, HARBOR})

        await held.world.cut(HARBOR, RIVER)
        await held.eventually(lambda: link().state == "cut")
        await held.eventually(lambda: "cut" in [one.kind for one in happenings(held)])
        await held.eventually(lambda: link().since_ms > 0)
        done = next(one for one in happenings(held) if one.kind == "cut")
        assert done.adversarial
        assert done.key == "supervisor/1"
        await held.world.heal(HARBOR, RIVER)
        await held.eventually(lambda: link().state == "up")

    tell(story)


def test_a_link_that_was_cut_before_is_cut_since_then(following: Any) -> None:
    async def story() -> None:
        async with asyncio.timeout(240), following() as held:
            await held.world.cut(HARBOR, RIVER)
            late = Live(held.source, make=held.source.make)
            running = asyncio.get_running_loop().create_task(late.run())
            await held.eventually(lambda: late.disturbed.cut)
            (line,) = held.world.disturbances()
            assert late.disturbed.cut == {frozenset((HARBOR, RIVER)): line["at_ms"]}
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())


def test_a_module_is_named_and_its_sentence_with_it(tell: Any) -> None:
    async def story(held: Any) -> None:
        await held.deploy("surplus")
        await held.eventually(lambda: any("surplus" in said for said in held.sentences()))
        (module,) = held.live.compute_figures().modules
        assert module.name == "surplus"
        assert module.holders == ("River City Tool Library",)

    tell(story)


def test_a_module_whose_node_did_not_say_its_name_is_named_later(
    tell: Any, monkeypatch: Any
) -> None:
    ask, silent = follow.Follower.module, []

    async def silent_at_first(self: Any, wasm_hash: str) -> Any:
        if not silent:
            silent.append(wasm_hash)
            raise Unreachable(where="there", why="it is busy")
        return await ask(self, wasm_hash)

    monkeypatch.setattr(follow.Follower, "module", silent_at_first)

    async def story(held: Any) -> None:
        wasm_hash = await held.deploy("late")
        await held.eventually(lambda: any("late" in one for one in held.sentences()))
        assert silent == [wasm_hash]
        assert held.live.book.modules[wasm_hash].name == "late"

    tell(story)


def test_a_task_is_followed_over_both_nodes_to_its_receipt(tell: Any) -> None:
    async def story(held: Any) -> None:
        wasm_hash = await held.deploy("echo")
        task_id = await held.run_task(wasm_hash)

        def ended() -> bool:
            tasks = held.live.compute_figures().tasks
            return bool(tasks) and bool(tasks[0].receipt_hash) and tasks[0].state == "done"

        await held.eventually(ended)
        # Of the module another node tells than of the task.
        await held.eventually(lambda: held.live.compute_figures().modules)
        (task,) = held.live.compute_figures().tasks
        assert task.task_id == task_id
        assert task.home == "BrightWorks Cooperative"
        assert task.executor == "Harbor Homes Cooperative"
        assert task.fetched_from == "River City Tool Library"
        assert task.outcome == "ok"
        assert task.fuel_used > 0
        (module,) = held.live.compute_figures().modules
        assert module.runs == 1
        assert "Harbor Homes Cooperative" in module.holders
        moved = {(one.source, one.target, one.tone) for one in held.live.book.traffic}
        assert (RIVER, HARBOR, State.DONE) in moved

    tell(story)


def test_a_token_that_ended_is_renewed_and_the_stream_goes_on(tell: Any) -> None:
    async def story(held: Any) -> None:
        before = len(held.source.tokens_given)
        for follower in held.live._followers.values():
            follower._token, follower._reader = "ended", None
        await held.eventually(lambda: len(held.source.tokens_given) >= before + 3)
        wasm_hash = await held.deploy("after")
        await held.eventually(lambda: wasm_hash in held.live.book.modules)
        await held.eventually(lambda: held.node(RIVER).health == "up")

    tell(story)


def test_a_supervisor_that_is_gone_takes_no_node_down_and_is_heard_again(tell: Any) -> None:
    async def story(held: Any) -> None:
        held.source.refusing = "the devnet does not answer"
        await held.eventually(lambda: held.live.network_figures().trouble)
        wasm_hash = await held.deploy("meanwhile")
        await held.eventually(lambda: wasm_hash in held.live.book.modules)
        await held.eventually(
            lambda: {one.health for one in held.live.network_figures().nodes} == {"up"}
        )
        held.source.refusing = ""
        await held.world.cut(RIVER, BRIGHT)
        await held.eventually(lambda: held.live.disturbed.cut)
        assert held.live.disturbed.why == ""

    tell(story)


def test_a_node_that_was_dead_before_it_was_followed_is_down(following: Any) -> None:
    async def story() -> None:
        async with asyncio.timeout(240), following() as held:
            await held.world.kill(HARBOR)
            late = Live(held.source, make=held.source.make)
            running = asyncio.get_running_loop().create_task(late.run())
            await held.eventually(
                lambda: HARBOR in late.followed and late.followed[HARBOR].health == "down"
            )
            await held.world.restart(HARBOR)
            await held.eventually(lambda: late.followed[HARBOR].health == "up")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())


def test_a_supervisor_that_is_late_is_waited_for(following: Any) -> None:
    async def story() -> None:
        async with asyncio.timeout(240), following() as held:
            held.source.refusing = "the devnet does not answer"
            late = Live(held.source, make=held.source.make)
            running = asyncio.get_running_loop().create_task(late.run())
            await held.eventually(lambda: late.network_figures().trouble)
            assert late.network_figures().nodes == ()
            held.source.refusing = ""
            await held.eventually(lambda: len(late.network_figures().nodes) == 3)
            assert late.network_figures().trouble == ""
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())


def test_a_journal_that_is_another_one_is_read_from_its_beginning(tell: Any) -> None:
    async def story(held: Any) -> None:
        followed = held.live.followed[RIVER]
        await held.eventually(lambda: followed.cursor is not None)
        before = len(held.sentences())
        await held.world.kill(RIVER)
        await held.eventually(lambda: held.node(RIVER).health == "down")
        followed.cursor = Cursor(generation=1, sequence=1, hash="0" * 64)
        await held.world.restart(RIVER)
        await held.eventually(lambda: len(held.sentences()) > before)
        await held.eventually(lambda: followed.cursor and followed.cursor.sequence > 1)
        keys = [one.key for one in happenings(held)]
        assert len(keys) == len(set(keys))
        await held.eventually(lambda: f"{RIVER}/1" in [one.key for one in happenings(held)])

    tell(story)


def test_a_long_journal_is_followed_from_its_end(tell: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(follow, "HISTORY_ENTRIES_MAX", 2)

    async def story(held: Any) -> None:
        assert all(one.skipped > 2 for one in held.live.followed.values())
        wasm_hash = await held.deploy("new")
        await held.eventually(lambda: wasm_hash in held.live.book.modules)
        assert not any("came up" in said for said in held.sentences())

    tell(story)


def test_a_part_that_pages_share_runs_once_within_the_live(tell: Any) -> None:
    class Counting:
        made = 0
        runs = 0

        def __init__(self, live: Any) -> None:
            Counting.made += 1

        async def run(self) -> None:
            Counting.runs += 1
            await asyncio.Event().wait()

    async def story(held: Any) -> None:
        assert held.live.shared(Counting, Counting) is held.live.shared(Counting, Counting)
        await held.eventually(lambda: Counting.runs == 1)
        assert Counting.made == 1

    tell(story)


def test_a_part_that_a_page_wants_while_the_live_ends_is_given_and_does_not_run(tell: Any) -> None:
    """A viewer may come at any moment: neither they nor the end of the rest find a failure."""

    class Late:
        begun: Any = None

        def __init__(self, live: Any) -> None:
            self.live = live

        def run(self) -> Any:
            Late.begun = self.go_on()
            return Late.begun

        async def go_on(self) -> None:
            await asyncio.Event().wait()

    class Last(Late):
        given: Any = None

        def run(self) -> Any:
            return self.go_on()

        async def go_on(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                Last.given = self.live.shared(Late, Late)

    async def story(held: Any) -> None:
        held.live.shared(Last, Last)
        await asyncio.sleep(0)  # It runs, and waits.
        held.running.cancel()
        await asyncio.wait({held.running})
        assert held.running.cancelled()
        assert isinstance(Last.given, Late)
        assert inspect.getcoroutinestate(Late.begun) == inspect.CORO_CLOSED

    tell(story)


def test_what_several_nodes_answer_at_once_is_one_change(tell: Any, monkeypatch: Any) -> None:
    looks: list[str] = []

    async def look(self: Any) -> None:
        looks.append(self.followed.at.org)

    async def story(held: Any) -> None:
        monkeypatch.setattr(follow.Follower, "_look", look)
        changes: list[int] = []

        async def round_of_looks() -> int:
            revision, before = held.live.revision, len(looks)
            await held.eventually(lambda: len(looks) - before >= 12)
            return held.live.revision - revision

        # What nodes journal meanwhile changes something, too: they witness each other's journals.
        while not changes or changes[-1] > 6:
            changes.append(await round_of_looks())
            assert len(changes) < 20, changes

    tell(story)


def test_a_change_takes_along_those_that_were_being_gathered(tell: Any) -> None:
    async def story(held: Any) -> None:
        live = Live(held.source, make=held.source.make)
        live.touch_soon()
        live.touch_soon()
        assert live.revision == 0
        assert await live.wait_change(0) == 1
        live.touch_soon()
        live.touch()
        live.touch_soon()
        assert await live.wait_change(2) == 3

    tell(story)


def test_figures_are_made_once_for_each_change_and_links_once_for_each_look(tell: Any) -> None:
    async def story(held: Any) -> None:
        live = held.live
        figures = live.network_figures()
        assert live.network_figures() is figures
        assert live.compute_figures() is live.compute_figures()
        live.touch()
        assert live.network_figures() is not figures
        assert live.network_figures().links is figures.links
        assert live.network_figures().happenings is figures.happenings
        wasm_hash = await held.deploy("upper")
        await held.eventually(lambda: wasm_hash in live.book.modules)
        assert wasm_hash in [each.wasm_hash for each in live.compute_figures().modules]
        await held.eventually(lambda: live.network_figures().links is not figures.links)

    tell(story)
