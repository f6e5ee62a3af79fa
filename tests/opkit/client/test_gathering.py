"""What an auditor gathers at a coop's home: all of it, page by page, or a gap with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import gathering
from opkit.proof.audited import examine_audit
from opkit.proof.checks import ProofError
from opkit.wire.audit import AUDIT_SCOPES, AuditFile, CoopEvidence
from opkit.wire.endpoint import Scope

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
LAKES = "fingerlakes-cdn"
ZURI = f"{LAKES}/zuri"

Story = Callable[[InProcessWorld], Awaitable[None]]


def told(story: Story) -> None:
    """Tell a story in a network of all five organisations, with the demo world's history."""

    async def main() -> None:
        async with asyncio.timeout(120), inprocess_world("federation", seed=7) as world:
            await story(world)

    asyncio.run(main())


async def gather(
    world: InProcessWorld, coop: str, *, by: str = ZURI, scopes: tuple[Scope, ...] = AUDIT_SCOPES
) -> CoopEvidence:
    """Gather of a coop."""
    return await world.client(coop, by, scopes=scopes).gather(coop)


def whys(found: CoopEvidence) -> dict[str, str]:
    """Return why each kind of proof was not shown."""
    return {gap.kind: gap.why for gap in found.unshown}


def test_an_auditor_of_another_coop_is_shown_all_and_it_verifies() -> None:
    async def story(world: InProcessWorld) -> None:
        coops = [await gather(world, coop) for coop in (RIVER, BRIGHT, HARBOR, LAKES)]
        assert all(each.entries and each.tie and not each.unshown for each in coops)
        file = AuditFile(
            network=world.genesis.network, auditor=ZURI, gathered_ms=1, coops=tuple(coops)
        )
        assert AuditFile.model_validate_json(file.model_dump_json()) == file
        verdict = examine_audit(file, genesis=world.genesis).verdict
        assert verdict.status == "verified", verdict.failures

    told(story)


def test_pages_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: InProcessWorld) -> None:
        whole = await gather(world, RIVER)
        assert len(whole.entries) > 2
        monkeypatch.setattr(gathering, "ENTRIES_PER_PAGE_MAX", 1)
        assert (await gather(world, RIVER)).entries == whole.entries

    told(story)


def test_who_may_not_read_is_told_by_what_refusal_and_the_rest_is_there() -> None:
    async def story(world: InProcessWorld) -> None:
        some = tuple(each for each in AUDIT_SCOPES if each is not Scope.CLEARING_READ)
        found = await gather(world, RIVER, scopes=some)
        assert whys(found) == {"exchange": "scope-missing"}
        assert found.entries and found.tie
        stranger = await gather(world, RIVER, by=f"{HARBOR}/rosa")
        assert set(whys(stranger).values()) == {"role-insufficient"}
        assert set(whys(stranger)) >= {"ledger", "journal", "decision"}
        assert not stranger.entries and stranger.tie is None

    told(story)


def test_a_dead_node_is_a_gap_for_all_that_it_would_show() -> None:
    async def story(world: InProcessWorld) -> None:
        await world.kill(HARBOR)
        found = await gather(world, HARBOR)
        assert whys(found) == dict.fromkeys(
            ("journal", "ledger", "decision", "agreement", "exchange"), "unreachable"
        )

    told(story)


def test_more_than_an_audit_keeps_is_refused_and_not_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(world: InProcessWorld) -> None:
        monkeypatch.setattr(gathering, "ENTRIES_MAX", 1)
        found = await gather(world, RIVER)
        assert whys(found) == {"ledger": "too-many"} and not found.entries

    told(story)


def test_of_more_gaps_than_are_kept_each_kind_has_one_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "GAPS_MAX", 18)
    nobody: Any = None
    asked = gathering._Gathering(client=nobody, coop=RIVER)
    for number in range(40):
        asked._lacks("decision", f"{number}", "fault")
        asked._lacks("exchange", f"{number}", "fault")
    asked._lacks("agreement", "", "unreachable")
    said = [(gap.kind, gap.named, gap.why) for gap in asked.unshown]
    assert said == [
        ("decision", "0", "fault"),
        ("exchange", "0", "fault"),
        ("decision", "", "too-many"),
        ("exchange", "", "too-many"),
        ("agreement", "", "unreachable"),
    ]


def test_a_journal_whose_head_nobody_signed_ties_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsigned(*_: Any, **__: Any) -> Any:
        raise ProofError("signed by nobody")

    async def story(world: InProcessWorld) -> None:
        monkeypatch.setattr(gathering, "read_head", unsigned)
        found = await gather(world, RIVER)
        assert whys(found) == {"journal": "fault"}
        assert found.tie is None and found.entries
        file = AuditFile(network=world.genesis.network, auditor=ZURI, gathered_ms=1, coops=(found,))
        (gap,) = examine_audit(file, genesis=world.genesis).coops[RIVER].missing
        assert (gap.kind, gap.why) == ("journal", "fault")

    told(story)
