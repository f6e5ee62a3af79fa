"""What a lying node may say it journalled, against what is shown of the others."""

from __future__ import annotations

import asyncio
from typing import Any

from opkit.live.compute import ComputePage
from opkit.live.console import ConsolePage
from opkit.live.network import NetworkPage
from opkit.wire.events import EVENTS, Cursor, JournalEntry, JournalPage

HARBOR = "harbor-homes-cooperative"

EVIL = '"><img src=x onerror=alert(1)>'
NONSENSE: tuple[dict[str, Any], ...] = (
    {},
    {"task_id": EVIL, "manifest_hash": EVIL, "member_id": EVIL, "wasm_hash": EVIL},
    {"task_id": [], "manifest_hash": {}, "executor": None, "peer": 1.5, "size_bytes": "x"},
    {"wasm_hash": None, "owner": [EVIL], "size_bytes": EVIL, "offset_ms": {}, "org": 7},
    {"state": "ok", "outcome": EVIL, "fuel_used": "1e9", "receipt_hash": 1, "code": []},
)


def nonsense_page() -> JournalPage:
    """Return what a lying node may send: entries of every type, in no form that they have."""
    types = [*EVENTS, f"no.such{EVIL}"]
    bodies = [(type_, body) for type_ in types for body in NONSENSE]
    entries = tuple(
        JournalEntry(
            sequence=10_000 + number,
            type=type_,
            at_ms=2**53 - 1 - number,
            body=body,
            previous="0" * 64,
            hash="1" * 64,
        )
        for number, (type_, body) in enumerate(bodies)
    )
    cursor = Cursor(generation=1, sequence=20_000, hash="1" * 64)
    return JournalPage(entries=entries, passed_through=0, cursor=cursor)


def test_a_node_that_journals_nonsense_ends_and_bends_nothing(following: Any) -> None:
    async def story(held: Any) -> None:
        await held.run_task(await held.deploy())
        await held.eventually(lambda: any(t.outcome for t in held.live.compute_figures().tasks))
        before = held.live.compute_figures()
        held.live._take(held.live.followed[HARBOR], nonsense_page())
        after = held.live.compute_figures()
        assert (after.tasks, after.modules) == (before.tasks, before.modules)
        assert all("evil" not in t.task_id for t in after.tasks)
        for page in (NetworkPage(held.live), ComputePage(held.live), ConsolePage(held.live)):
            for card, draw in page.cards().items():
                html = draw()
                assert "<img" not in html, card
        assert any("in no form that this has" in said for said in held.sentences())
        held.live._tell_again()
        await held.run_task(await held.deploy("lower"))
        await held.eventually(lambda: len(held.live.compute_figures().tasks) == 2)

    async def within() -> None:
        async with asyncio.timeout(240), following() as held:
            await story(held)

    asyncio.run(within())
