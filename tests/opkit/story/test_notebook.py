"""What a marker looks like in a notebook, and what travels with it."""

from __future__ import annotations

import asyncio

import pytest

from opkit.story import BlobProof, Flow, NotShown, expect
from opkit.story import notebook as kit
from opkit.story.report import MarkerRecord


@pytest.fixture
def displays(monkeypatch):
    """Record displays instead of sending them to a kernel's front end."""
    seen = []
    monkeypatch.setattr(kit, "_show", lambda bundle, **how: seen.append((bundle, how)))
    return seen


async def _opening(world):
    return world


def test_a_step_is_displayed_as_running_and_changes_in_place(bakery, tiny_world, displays):
    world = tiny_world()

    async def cells() -> None:
        story = await kit.tell(bakery, _opening(world))
        for marker in bakery.markers:
            await story.step(marker)
        await story.close()

    asyncio.run(asyncio.wait_for(cells(), 120))

    states = [bundle[kit.MIME].get("state") for bundle, _ in displays]
    assert states == ["running", "done", "running", "refused", "running", "done", None]
    assert [how["first"] for _, how in displays] == [True, False] * 3 + [True]
    assert displays[-1][0]["text/plain"] == "FLOW_OK t 3/3, 1 set-up"
    assert displays[-1][0][kit.MIME]["end"]["ok"] is True
    assert MarkerRecord.model_validate(displays[1][0][kit.MIME]["record"]).name == "DOUGH_MADE"
    assert world.closed == 1


def test_what_was_told_can_be_drawn_in_the_next_cell(bakery, tiny_world, displays):
    async def cells() -> None:
        story = await kit.tell(bakery, _opening(tiny_world()))
        with pytest.raises(NotShown, match="DOUGH_MADE was not told yet"):
            story.told("DOUGH_MADE")
        await story.step("DOUGH_MADE")
        record = story.told("DOUGH_MADE")
        assert (record.name, record.ok) == ("DOUGH_MADE", True)
        for marker in bakery.markers[1:]:
            await story.step(marker)
        await story.close()

    asyncio.run(asyncio.wait_for(cells(), 120))


def test_closing_early_says_so_and_still_lets_go(bakery, tiny_world, displays):
    world = tiny_world()

    async def cells() -> None:
        story = await kit.tell(bakery, _opening(world))
        await story.step("DOUGH_MADE")
        await story.close()

    with pytest.raises(NotShown, match="FLOW_FAILED t 1/3"):
        asyncio.run(asyncio.wait_for(cells(), 120))
    assert world.closed == 1


def test_a_failed_step_is_displayed_with_its_problem(bakery, tiny_world, displays):
    async def cells() -> None:
        story = await kit.tell(bakery, _opening(tiny_world("DOUGH_MADE")))
        with pytest.raises(NotShown):
            await story.step("DOUGH_MADE")

    asyncio.run(asyncio.wait_for(cells(), 120))

    last = displays[-1][0]
    assert last[kit.MIME]["state"] == "failed"
    assert "as promised" in last["text/html"]
    assert last["text/plain"].startswith("✗ Ana makes the dough.")


def test_bytes_of_a_proof_travel_beside_the_record(tiny_world, displays):
    flow = Flow(name="b", title="Bytes", story="", memory=dict)

    @flow.step("BYTES_SHOWN")
    async def show(world, memory):
        """Bytes are shown."""
        return expect(True, proofs=[BlobProof(b"hello")])

    async def cells() -> None:
        story = await kit.tell(flow, _opening(tiny_world()))
        await story.step("BYTES_SHOWN")

    asyncio.run(asyncio.wait_for(cells(), 120))

    said = displays[-1][0][kit.MIME]
    cid = said["record"]["proofs"][0]["cid"]
    assert said["blobs"] == {cid: "aGVsbG8"}


def test_a_flow_that_does_not_apply_lets_go_of_the_world(tiny_world):
    flow = Flow(name="k", title="Kill", story="", memory=dict, needs=frozenset({"kill"}))
    world = tiny_world()

    with pytest.raises(Exception, match="kill"):
        asyncio.run(asyncio.wait_for(kit.tell(flow, _opening(world)), 30))
    assert world.closed == 1


def test_markup_in_a_sentence_is_escaped(bakery, tiny_world, displays):
    flow = Flow(name="m", title="Markup", story="", memory=dict)

    @flow.step("MARKUP_SHOWN")
    async def show(world, memory):
        """A <script> is only text."""
        return expect(True)

    async def cells() -> None:
        story = await kit.tell(flow, _opening(tiny_world()))
        await story.step("MARKUP_SHOWN")

    asyncio.run(asyncio.wait_for(cells(), 120))

    assert "&lt;script&gt;" in displays[0][0]["text/html"]
