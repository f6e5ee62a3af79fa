"""Pages of one viewer over a real network: what is chosen, what is refused, what is verified."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.live.again import verify_again
from opkit.live.compute import ComputePage
from opkit.live.network import NetworkPage
from opkit.live.pages import PAGES, open_page
from opkit.live.ports import PageRefused
from opkit.live.session import Cards
from opkit.live.verify import verify_bundle
from opkit.proof.cid import cid_of
from opkit.story.report import BlobRecord, MarkerRecord
from opkit.views import nav
from opkit.views import network as views
from opkit.wire.compute import GET_TASK, GetTask, ReceiptBundle

RIVER = "river-city-tool-library"
HARBOR = "harbor-homes-cooperative"


def shown(page: Any) -> dict[str, str]:
    patch = Cards(page).patch()
    assert patch is not None
    return dict(patch["cards"])


def test_every_page_of_the_navigation_is_there_and_draws_all_its_cards(tell: Any) -> None:
    assert [entry.name for entry in nav.PAGES] == list(PAGES)

    async def story(held: Any) -> None:
        for entry in nav.PAGES:
            page = open_page(entry.name, held.live)
            assert (page.name, page.title) == (entry.name, entry.title)
            cards = shown(page)
            assert not [name for name, html in cards.items() if "cannot be drawn" in html]
            assert "health" in cards
            for name in cards.keys() - {"health"}:
                assert f'data-card="{name}"' in page.frame(), name

    tell(story)


def test_a_node_is_selected_and_let_go(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = NetworkPage(held.live)
        assert "How is each node?" in shown(page)["node"]
        await page.act("select", {"org": HARBOR})
        assert "How is Harbor Homes Cooperative?" in shown(page)["node"]
        await page.act("select", {"org": ""})
        assert "How is each node?" in shown(page)["node"]
        with pytest.raises(PageRefused, match="no such node"):
            await page.act("select", {"org": "nowhere"})

    tell(story)


def test_a_happening_opens_to_its_journal_entry(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = NetworkPage(held.live)
        await held.eventually(held.sentences)
        happening = held.live.network_figures().happenings[0]
        await page.act("open", {"entry": happening.key})
        assert str(happening.entry["hash"])[:8] in shown(page)["happenings"]
        await page.act("close", {})
        assert 'aria-expanded="true"' not in shown(page)["happenings"]
        with pytest.raises(PageRefused, match="no longer shown"):
            await page.act("open", {"entry": "nobody/7"})

    tell(story)


def test_what_two_viewers_see_alike_is_drawn_once(tell: Any, monkeypatch: Any) -> None:
    drawn: list[str] = []

    def topology(_: Any, *, selected: str, **__: Any) -> str:
        drawn.append(selected)
        return f"map with {selected}"

    monkeypatch.setattr(views, "topology", topology)

    async def story(held: Any) -> None:
        one, other = NetworkPage(held.live), NetworkPage(held.live)
        shown(one), shown(other)
        assert drawn == [""]
        await other.act("select", {"org": HARBOR})
        assert shown(other)["map"] == f"map with {HARBOR}"
        assert shown(one)["map"] == "map with "
        assert drawn == ["", HARBOR]
        held.live.followed[HARBOR].why = "no figure of the map"
        held.live.touch()
        shown(one), shown(other)
        assert drawn == ["", HARBOR]

    tell(story)


@pytest.mark.parametrize("make", [NetworkPage, ComputePage])
def test_an_unknown_act_is_refused(make: Any, tell: Any) -> None:
    async def story(held: Any) -> None:
        with pytest.raises(PageRefused, match="knows no 'kill'"):
            await make(held.live).act("kill", {"org": HARBOR})

    tell(story)


def test_what_one_viewer_selects_no_other_sees(tell: Any) -> None:
    async def story(held: Any) -> None:
        mine, yours = NetworkPage(held.live), NetworkPage(held.live)
        await mine.act("select", {"org": HARBOR})
        assert "How is each node?" in shown(yours)["node"]

    tell(story)


async def finished_task(held: Any) -> str:
    task_id: str = await held.run_task(await held.deploy("echo"))

    def ended() -> bool:
        task = held.live.book.tasks.get(task_id)
        return task is not None and task.state == "done" and bool(task.receipt_hash)

    await held.eventually(ended)
    return task_id


def test_a_receipt_is_verified_here_with_both_sides_of_every_check(tell: Any) -> None:
    async def story(held: Any) -> None:
        page, task_id = ComputePage(held.live), await finished_task(held)
        await page.act("open", {"task": task_id})
        assert "Verify the receipt" in shown(page)["task"]
        await page.act("verify", {"task": task_id})
        card = shown(page)["task"]
        assert "Harbor Homes Cooperative" in card
        assert "manifest-cited" in card
        verification = page._verification
        assert verification is not None and verification.ok
        assert verification.verdict.endswith("verified")
        assert len(verification.checks) > 10
        await page.act("close", {})
        assert "No task is chosen" in shown(page)["task"]

    tell(story)


def test_a_receipt_that_was_changed_fails_its_checks(tell: Any) -> None:
    async def story(held: Any) -> None:
        task_id = await finished_task(held)
        home = held.live.book.tasks[task_id].home
        view = await held.live.call(home, GET_TASK, GetTask(task_id=task_id))
        head, body, signature = view.receipt.split(".")
        forged = ".".join((head, body, signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")))
        bundle = ReceiptBundle(receipt=forged, manifest=view.manifest, records=view.records)
        verification = verify_bundle(held.live, task_id, bundle)
        assert not verification.ok
        assert verification.verdict.endswith("failed")
        assert any(not check.ok for check in verification.checks)

    tell(story)


def test_what_cannot_be_verified_says_why(tell: Any) -> None:
    async def story(held: Any) -> None:
        page, task_id = ComputePage(held.live), await finished_task(held)
        with pytest.raises(PageRefused, match="not known here"):
            await page.act("verify", {"task": "f" * 32})
        with pytest.raises(PageRefused, match="not known here"):
            await page.act("open", {"task": "f" * 32})
        await held.world.kill(held.live.book.tasks[task_id].home)
        with pytest.raises(PageRefused, match="does not answer"):
            await page.act("verify", {"task": task_id})

    tell(story)


def test_bytes_that_nobody_hands_over_fail_their_check_which_names_each_node(tell: Any) -> None:
    cid = cid_of(b"in no store")
    told = MarkerRecord(
        name="BREAD",
        ok=True,
        kind="shown",
        sentence="Bread is there.",
        evidence={},
        checks=(),
        proofs=(BlobRecord(cid=cid, path=f"blobs/{cid}"),),
        at_ms=1,
        took_ms=1,
    )

    async def story(held: Any) -> None:
        await held.world.kill(HARBOR)
        await held.eventually(lambda: held.node(HARBOR).health == "down")
        again = await verify_again(held.live, told)
        (check,) = again.checks
        assert not again.ok and not check.ok
        assert all(one.at.title in check.actual for one in held.live.followed.values())
        assert "blob-unknown" in check.actual

    tell(story)


def test_a_filter_is_chosen_among_those_there_are(tell: Any) -> None:
    async def story(held: Any) -> None:
        page, task_id = ComputePage(held.live), await finished_task(held)
        assert task_id in shown(page)["tasks"]
        await page.act("filter", {"of": "open"})
        assert task_id not in shown(page)["tasks"]
        with pytest.raises(PageRefused, match="no such choice"):
            await page.act("filter", {"of": "nothing"})

    tell(story)
