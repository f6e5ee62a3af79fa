"""A console that follows a node over another generation, and over entries that went."""

from __future__ import annotations

from typing import Any

from nodeimpl.history.renewal import open_generation
from nodeimpl.history.rules import Keeping
from opkit.wire.network import NodeStarted

RIVER = "river-city-tool-library"


def test_a_node_that_goes_on_as_another_history_is_followed_anew(tell: Any) -> None:
    async def story(held: Any) -> None:
        first = await held.deploy("first")
        await held.eventually(lambda: first in held.live.book.modules)
        one = held.world.node(RIVER)
        await held.world.kill(RIVER)
        await held.eventually(lambda: held.node(RIVER).health == "down")
        opened = await open_generation(
            url=one.config.store_url(), folder=one.config.node.folder, clock=held.world.clock
        )
        await held.world.restart(RIVER)
        second = await held.deploy("second")
        await held.eventually(lambda: second in held.live.book.modules)
        await held.eventually(lambda: held.node(RIVER).generation == opened.generation)
        assert first in held.live.book.modules

    tell(story)


def test_a_node_that_let_entries_go_meanwhile_is_followed_from_its_checkpoint(tell: Any) -> None:
    async def story(held: Any) -> None:
        first = await held.deploy("first")
        await held.eventually(lambda: first in held.live.book.modules)
        followed = held.live.followed[RIVER]
        early = followed.cursor
        node = held.world.node(RIVER).node
        said = [NodeStarted(version=str(at), generation=1) for at in range(600)]
        await node.store.write(lambda tx: [tx.announce(each) for each in said])
        node._retention._keeping = Keeping(entries_min=10, step_min=256)
        assert await node._retention.cut() == 512
        await held.world.kill(RIVER)
        await held.eventually(lambda: held.node(RIVER).health == "down")
        followed.cursor = early
        await held.world.restart(RIVER)
        second = await held.deploy("second")
        await held.eventually(lambda: second in held.live.book.modules)
        assert followed.cursor.sequence > 512

    tell(story)
