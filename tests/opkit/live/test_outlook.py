"""What nodes know of the network is asked while a page shows it, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.live import outlook
from opkit.live.network import NetworkPage
from opkit.live.outlook import Outlook
from opkit.wire.overlay import OVERLAY

RIVER = "river-city-tool-library"


def shown(page: NetworkPage) -> dict[str, str]:
    return {name: draw() for name, draw in page.cards().items()}


def quickly(monkeypatch: Any) -> None:
    monkeypatch.setattr(outlook, "EVERY_MS", 50)


def test_a_page_shows_what_every_node_tells_of_the_overlay(tell: Any, monkeypatch: Any) -> None:
    quickly(monkeypatch)

    async def story(held: Any) -> None:
        page = NetworkPage(held.live)
        told = held.live.shared(Outlook, Outlook)
        assert 'class="empty"' in shown(page)["coverage"]

        def whole() -> bool:
            figures = told.want()
            return bool(
                figures is not None
                and len(figures.nodes) == 3
                and figures.witnesses
                and any(
                    one.namespace == "node" and set(dict(one.held).values()) == {3}
                    for one in figures.coverage
                )
            )

        await held.eventually(whole)
        await held.eventually(lambda: shown(page)["coverage"].count("<tr id=") == 3)
        await held.eventually(lambda: "River City Tool Library" in shown(page)["mesh"])
        await held.eventually(lambda: "2 nodes" in shown(page)["tables"])
        assert "Whose history" in shown(page)["witnesses"]

    tell(story)


def test_witnesses_that_nobody_could_be_asked_for_are_asked_for_once_somebody_can(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    monkeypatch.setattr(outlook, "WITNESSES_EVERY", 1_000_000)

    async def story(held: Any) -> None:
        told = held.live.shared(Outlook, Outlook)
        for org in held.live.followed:
            await held.world.kill(org)
        for org in held.live.followed:
            await held.eventually(lambda org=org: held.node(org).health == "down")
        await held.eventually(lambda: told.want() is not None)
        assert told.figures.nodes == told.figures.witnesses == ()
        for org in held.live.followed:
            await held.world.restart(org)
        await held.eventually(lambda: len(told.want().witnesses) == 3)

    tell(story)


def test_nobody_is_asked_while_no_page_shows_it(tell: Any, monkeypatch: Any) -> None:
    quickly(monkeypatch)
    monkeypatch.setattr(outlook, "WANTED_MS", 100)

    async def story(held: Any) -> None:
        asked: list[str] = []
        call = held.live.call

        async def count(org: str, endpoint: Any, ask: Any) -> Any:
            if endpoint is OVERLAY:
                asked.append(org)
            return await call(org, endpoint, ask)

        held.live.call = count
        told = held.live.shared(Outlook, Outlook)
        assert asked == []
        told.want()
        await held.eventually(lambda: told.figures is not None)
        await held.eventually(lambda: not told._wanted.is_set())
        before, revision = len(asked), held.live.revision
        assert before >= 3
        # Links are looked at meanwhile, more than once.
        await held.eventually(lambda: held.live.revision > revision + 2)
        assert len(asked) == before
        told.want()
        await held.eventually(lambda: len(asked) > before)

    tell(story)


def test_a_node_that_does_not_answer_keeps_what_it_told_before(tell: Any, monkeypatch: Any) -> None:
    quickly(monkeypatch)

    async def story(held: Any) -> None:
        told = held.live.shared(Outlook, Outlook)
        await held.eventually(lambda: told.want() is not None and len(told.want().nodes) == 3)
        await held.world.kill(RIVER)
        await held.eventually(lambda: held.node(RIVER).health == "down")
        await held.eventually(
            lambda: all(RIVER not in dict(one.held) for one in told.want().coverage)
        )
        assert told.want().nodes[0].org == RIVER

    tell(story)
