"""The page of ledgers over a real network: what is posted, held, decided, and why it stands."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from opkit.live.ledger import LedgerPage
from opkit.live.ledger_checks import wrong_entries, wrong_sums
from opkit.live.ledgers import VIEWS_MAX, Ledgers, View
from opkit.live.ports import PageRefused
from opkit.live.session import Cards
from opkit.wire.ledger import LEDGER_HISTORY, LEDGER_TRIAL_BALANCE, Entry
from opkit.wire.votes import SpendEffect

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
HUGO = f"{BRIGHT}/hugo"
DAY = 86_400_000


def shown(page: Any) -> dict[str, str]:
    patch = Cards(page).patch()
    assert patch is not None
    return dict(patch["cards"])


async def until(held: Any, page: LedgerPage, card: str, words: str) -> str:
    """Return a card once it says something, as somebody sees it who goes on looking."""
    with held.live.watched():
        async with asyncio.timeout(100):
            while words not in (html := shown(page)[card]):
                await held.live.wait_change(held.live.revision)
    return html


def books(held: Any, coop: str = BRIGHT, who: str = HUGO) -> Any:
    return held.world.client(coop, who).ledger(coop)


async def dues(held: Any, amount: int = 20_000) -> Entry:
    """Have Hugo post what his coop owes."""
    entry: Entry = await books(held).post(
        {"equity/opening": -amount, "cash": amount}, memo="opening", effective_on="2026-02-10"
    )
    return entry


async def page_of(held: Any, coop: str = BRIGHT) -> LedgerPage:
    page = LedgerPage(held.live)
    await page.act("coop", {"of": coop})
    return page


def test_an_entry_shows_by_its_event_and_the_sums_stay_zero(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = await page_of(held)
        assert "BrightWorks" in shown(page)["coops"]
        entry = await dues(held)
        for words in ("Opening equity", "Cash", "200.00", "opening", "10 Feb 2026"):
            assert words in await until(held, page, "entries", words)
        assert "US dollars" in await until(held, page, "accounts", "US dollars")
        # Sums are asked for before entries are, so an entry may be shown before it is in the sums.
        assert "<b>0</b>" in await until(held, page, "sums", "must be zero, in")
        assert shown(page)["wrong"] == ""
        many = "entry" if entry.sequence == 1 else "entries"
        assert f"{entry.sequence} {many}" in shown(page)["coops"]

    tell(story)


def test_why_an_ordinary_entry_stands_is_verified_down_to_the_signed_journal(tell: Any) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        entry = await dues(held, 5)
        page = await page_of(held)
        await held.eventually(lambda: (BRIGHT, entry.hash) in held.live.book.posted)
        await page.act("open", {"entry": entry.hash})
        why = shown(page)["why"]
        for words in (
            "Why did Cash get 0.05 $?",
            "4 links verified here",
            "Posted by Hugo",
            f"after entry {entry.sequence - 1}",
            "signed for it",
            "entry-included",
            "journalled-hash",
        ):
            assert words in why, words
        assert "not all could be looked at" not in why
        assert page._proof is not None and page._proof.ok
        saved = json.loads(page._proof.proof)
        assert saved["entry"]["hash"] == entry.hash and "journal" in saved
        await page.act("verify", {})
        await page.act("close", {})
        assert "No entry is chosen" in shown(page)["why"]

    tell(story)


async def later(held: Any, *, days: int) -> None:
    """Move world time; the console shares the operator's clients here, which only read by it."""
    for org in held.live.followed:
        await held.world.operator(org).login()
    await held.world.pass_time(days=days)


async def spend(held: Any) -> Any:
    """Have Harbor Homes decide to mend its roof, and do it."""
    chair = next(
        one.member_id
        for coop, one in held.world.genesis.founders()
        if coop == HARBOR and "officer" in one.roles
    )
    effect = SpendEffect(
        from_account=f"{HARBOR}:reserve",
        to_account=f"{HARBOR}:vendor/roof",
        unit="usd-cents",
        amount=1_200_000,
        memo="Mend the roof",
    )
    assembly = held.world.client(HARBOR, chair).governance(HARBOR)
    await assembly.propose("roof", effect, title="Mend the roof")
    for coop, one in held.world.genesis.founders():
        if coop == HARBOR:
            await held.world.client(HARBOR, one.member_id).governance(HARBOR).vote("roof", "yes")
    await later(held, days=7)
    await assembly.close("roof")
    await later(held, days=2)
    return (await assembly.execute("roof")).entry


def test_why_a_decided_entry_stands_leads_to_the_votes(tell: Any) -> None:
    async def story(held: Any) -> None:
        entry = await spend(held)
        page = await page_of(held, HARBOR)
        await until(held, page, "entries", "Mend the roof")
        assert '<span class="cause">decision</span>' in shown(page)["entries"]
        await page.act("open", {"entry": entry.hash})
        why = shown(page)["why"]
        for words in (
            "Why did Roof get 12,000.00 $?",
            "“Mend the roof” was accepted",
            "postings-as-decided",
            "Decided by 5 members: 5 for, 0 against",
            "5 ballots sealed in it",
            "Its home node signed it",
        ):
            assert words in why, words
        assert page._proof is not None and page._proof.ok and not page._proof.trouble

    tell(story)


def test_an_account_shows_its_own_entries_and_is_let_go(tell: Any) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        await books(held).post({"cash": -100, "expense/rent": 100}, memo="rent of May")
        page = await page_of(held)
        await until(held, page, "entries", "rent of May")
        await page.act("account", {"of": f"{BRIGHT}:equity/opening"})
        html = shown(page)["entries"]
        assert "What was posted to Opening equity?" in html and "rent of May" not in html
        await page.act("account", {"of": ""})
        assert "rent of May" in shown(page)["entries"]
        with pytest.raises(PageRefused, match="no such account"):
            await page.act("account", {"of": f"{BRIGHT}:nowhere"})

    tell(story)


def test_a_hold_shows_until_it_ends_and_its_entry_leads_to_it(tell: Any) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        ledger = books(held)
        hold = await ledger.hold(1_000, from_account="cash", to_account="vendor/mill", memo="flour")
        page = await page_of(held)
        await until(held, page, "holds", "flour")
        assert "worth 10.00 $" in shown(page)["set-aside"]
        assert "10.00 $ held" in shown(page)["accounts"]
        ended = await ledger.post_hold(hold.hold_id, 900)
        await until(held, page, "holds", "Nothing is held")
        await until(held, page, "entries", '<span class="cause">hold</span>')
        await page.act("open", {"entry": ended.entry})
        why = shown(page)["why"]
        assert "10.00 $ were held for Mill" in why and "hold-entry" in why
        assert page._proof is not None and page._proof.ok

    tell(story)


def test_a_correction_leads_to_what_it_corrects(tell: Any) -> None:
    async def story(held: Any) -> None:
        first = await dues(held)
        back = {"equity/opening": 20_000, "cash": -20_000}
        mended = await books(held).post(back, corrects=first.hash, memo="posted twice")
        page = await page_of(held)
        await until(held, page, "entries", "posted twice")
        await page.act("open", {"entry": mended.hash})
        assert f"It puts entry {first.sequence} right" in shown(page)["why"]
        assert page._proof is not None and page._proof.ok

    tell(story)


def test_a_node_that_lies_about_its_ledger_is_shown_to(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        page = await page_of(held)
        await until(held, page, "entries", "opening")
        honest = held.live.call

        async def lying(org: str, endpoint: Any, ask: Any) -> Any:
            said = await honest(org, endpoint, ask)
            if endpoint is LEDGER_HISTORY and said.entries:
                other = said.entries[0].model_copy(update={"memo": "nothing"})
                return said.model_copy(update={"entries": (other, *said.entries[1:])})
            if endpoint is LEDGER_TRIAL_BALANCE and said.units:
                off = said.units[0].model_copy(update={"sum": 7})
                return said.model_copy(update={"units": (off,)})
            return said

        monkeypatch.setattr(held.live, "call", lying)
        await until(held, page, "wrong", "says something else than its hash does")
        await until(held, page, "wrong", ", not zero")
        assert "t-failed" in shown(page)["sums"]
        assert "does not add up" in shown(page)["coops"]

    tell(story)


def test_a_home_that_is_down_is_said_to_be_and_what_was_told_stays(tell: Any) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        page = await page_of(held)
        await until(held, page, "entries", "opening")
        entry = page._ledgers.want(View(BRIGHT)).entries[0].hash
        await held.world.kill(BRIGHT)
        assert "does not answer" in await until(held, page, "wrong", "does not answer")
        assert "opening" in shown(page)["entries"]
        assert "does not answer" in await until(held, page, "coops", "does not answer")
        with pytest.raises(PageRefused, match="does not hand the entry over"):
            await page.act("open", {"entry": entry})
        await held.world.restart(BRIGHT)
        with held.live.watched():
            async with asyncio.timeout(100):
                while shown(page)["wrong"]:
                    await held.live.wait_change(held.live.revision)

    tell(story)


def test_what_is_not_there_is_refused(tell: Any) -> None:
    async def story(held: Any) -> None:
        page = LedgerPage(held.live)
        with pytest.raises(PageRefused, match="no such coop"):
            await page.act("coop", {"of": "nowhere"})
        with pytest.raises(PageRefused, match="not shown any more"):
            await page.act("open", {"entry": "0" * 64})
        with pytest.raises(PageRefused, match="No entry is open"):
            await page.act("verify", {})
        with pytest.raises(PageRefused, match="knows no 'post'"):
            await page.act("post", {})

    tell(story)


def test_of_many_views_the_oldest_are_let_go(tell: Any) -> None:
    async def story(held: Any) -> None:
        ledgers = held.live.shared(Ledgers, Ledgers)
        for number in range(VIEWS_MAX + 5):
            ledgers.want(View(BRIGHT, f"{BRIGHT}:a{number}"))
        assert len(ledgers._asked_at) == VIEWS_MAX

    tell(story)


def test_entries_that_do_not_follow_or_make_money_are_told(tell: Any) -> None:
    async def story(held: Any) -> None:
        one, two, three = await dues(held), await dues(held, 2), await dues(held, 3)
        network = held.world.genesis.network

        def wrong(*entries: Entry, coop: str = BRIGHT) -> str:
            return "; ".join(wrong_entries(entries, network=network, coop=coop, is_chain=True))

        assert wrong(three, two, one) == ""
        gap = f"Entry {three.sequence} does not follow entry {one.sequence}"
        assert wrong(three, one) == gap
        assert "is of another ledger" in wrong(one, coop=HARBOR)
        more = one.postings[1].model_copy(update={"amount": 20_007})
        made = one.model_copy(update={"postings": (one.postings[0], more)})
        assert f"Entry {one.sequence} makes 0.07 $ out of nothing" in wrong(made)

    tell(story)


def test_sums_are_added_up_here_and_not_believed(tell: Any) -> None:
    async def story(held: Any) -> None:
        await dues(held)
        page = await page_of(held)
        told = page._ledgers.want(View(BRIGHT))
        assert told is not None and told.total is not None
        assert wrong_sums(told.total, told.accounts, is_whole=True) == []
        (found,) = wrong_sums(told.total, told.accounts[:1], is_whole=True)
        assert "add up to" in found
        assert wrong_sums(told.total, told.accounts[:1], is_whole=False) == []
        unit = told.total.units[0].model_copy(update={"positive": 1})
        odd = told.total.model_copy(update={"units": (unit,)})
        (found,) = wrong_sums(odd, (), is_whole=False)
        assert "not the sum that its node tells" in found

    tell(story)
