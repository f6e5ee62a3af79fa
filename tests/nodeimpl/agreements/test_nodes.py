"""Agreements on real nodes in one process: decided by votes, shared, used, changed and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client.agreements import AgreementCalls
from opkit.proof.agreement import examine_agreement, read_agreement_file, spell_file
from opkit.proof.checks import VERIFIED
from opkit.wire import agreements as wire
from opkit.wire import deciding as no
from opkit.wire.gateway import ScopeMissing
from opkit.wire.terms import AgreementEffect, ClearingTerms, Provision, Terms

HARBOR = "harbor-homes-cooperative"
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
LAKES = "fingerlakes-cdn"
PARTIES = (BRIGHT, RIVER)
KEEPERS = (RIVER, BRIGHT, LAKES)
WAIT_S = 60


def run(story: Callable[[InProcessWorld], Awaitable[None]]) -> None:
    """Tell a story of the five organisations."""

    async def main() -> None:
        async with inprocess_world("federation", seeded=False) as world:
            await story(world)

    asyncio.run(asyncio.wait_for(main(), 240))


def people(world: InProcessWorld, coop: str) -> list[str]:
    charter = world.genesis.charter(coop)
    assert charter is not None
    return [founder.member_id for founder in charter.founders]


def calls(world: InProcessWorld, org: str) -> AgreementCalls:
    """Return an officer's calls at their coop's home node."""
    return world.client(org, people(world, org)[0]).agreements


def terms_of(world: InProcessWorld, **changes: Any) -> Terms:
    said: dict[str, Any] = {
        "network": world.genesis.network,
        "parties": PARTIES,
        "facilitator": LAKES,
        "arbiter": LAKES,
        "title": "Machines for maintenance",
        "text": "Off-peak access to lathe, drill press and bandsaw, for hours of maintenance.",
        "provisions": (
            Provision(by=RIVER, to=BRIGHT, what="off-peak access to lathe and bandsaw"),
            Provision(by=BRIGHT, to=RIVER, what="maintenance hours", quantity=20, per="quarter"),
        ),
        "starts_ms": world.clock.world_ms(),
        "term_days": 90,
        "renewable": True,
        "notice_days": 30,
        "clearing": ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
    }
    return Terms(**{**said, **changes})


async def vote(world: InProcessWorld, coop: str, proposal: str) -> None:
    for who in people(world, coop)[:4]:
        await world.client(coop, who).governance(coop).vote(proposal, "yes")


async def decide(
    world: InProcessWorld, *coops: str, terms: Terms | None = None, end: str = ""
) -> dict[str, str]:
    """Have coops decide on terms, or to end an agreement; their windows are over then."""
    proposals = {}
    for coop in coops:
        if terms is not None:
            view = await calls(world, coop).propose(coop, terms)
        else:
            view = await calls(world, coop).propose_end(coop, end)
        proposals[coop] = view.proposal_id
        await vote(world, coop, view.proposal_id)
    await world.pass_time(days=7)
    for coop, proposal in proposals.items():
        officer = people(world, coop)[0]
        closed = await world.client(coop, officer).governance(coop).close(proposal)
        assert closed.state == "accepted"
    await world.pass_time(days=1)
    return proposals


async def until(
    world: InProcessWorld, org: str, agreement: str, state: str, signatures: int = 0
) -> wire.AgreementView:
    """Return an agreement once a node says that it stands so, with as many signatures."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                view = await calls(world, org).get(agreement)
            except wire.AgreementUnknown:
                view = None
            if view is not None and view.state == state and len(view.signatures) >= signatures:
                return view
            await asyncio.sleep(0.02)


async def agree(world: InProcessWorld, terms: Terms) -> str:
    """Have both parties decide and sign; it is in force on all that keep it then."""
    proposals = await decide(world, *PARTIES, terms=terms)
    agreement = ""
    for coop, proposal in proposals.items():
        agreement = (await calls(world, coop).sign(coop, proposal)).agreement
    for org in KEEPERS:
        await until(world, org, agreement, "active")
    return agreement


def test_two_coops_agree_by_votes_and_all_keep_the_same_bytes() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        proposals = await decide(world, *PARTIES, terms=terms)
        first = await calls(world, RIVER).sign(RIVER, proposals[RIVER])
        assert (first.state, first.unsigned) == ("proposed", (BRIGHT,))
        for org in KEEPERS:
            await until(world, org, first.agreement, "proposed", 1)
            with pytest.raises(wire.AgreementInactive) as inactive:
                await calls(world, org).use(first.agreement)
            assert inactive.value.unsigned == [BRIGHT]
        await calls(world, BRIGHT).sign(BRIGHT, proposals[BRIGHT])
        for org in KEEPERS:
            await until(world, org, first.agreement, "active", 2)
        files = {await calls(world, org).fetch(first.agreement) for org in KEEPERS}
        assert len(files) == 1
        verdict, facts = examine_agreement(read_agreement_file(files.pop()), genesis=world.genesis)
        assert verdict.status == VERIFIED, verdict.failures
        assert facts is not None and len(facts.signatures) == 2
        cited = {each.aud: each.decision for each in facts.signatures}
        for coop, proposal in proposals.items():
            shown = await world.client(coop, people(world, coop)[1]).governance(coop).get(proposal)
            assert shown.decision == cited[coop]
        with pytest.raises(wire.AgreementUnknown):
            await calls(world, HARBOR).get(first.agreement)

    run(story)


def test_an_agreement_outlives_its_facilitator_who_catches_up() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        proposals = await decide(world, *PARTIES, terms=terms)
        await world.kill(LAKES)
        for coop, proposal in proposals.items():
            signed = await calls(world, coop).sign(coop, proposal)
        for org in PARTIES:
            await until(world, org, signed.agreement, "active")
            assert (await calls(world, org).use(signed.agreement)).terms == terms
        await world.restart(LAKES)
        await until(world, LAKES, signed.agreement, "active", 2)
        files = {await calls(world, org).fetch(signed.agreement) for org in KEEPERS}
        assert len(files) == 1
        # What it heard is on its disk, and its parties' too.
        for org in (LAKES, RIVER):
            await world.restart(org)
            assert await calls(world, org).fetch(signed.agreement) in files
            assert (await calls(world, org).use(signed.agreement)).terms == terms

    run(story)


def test_terms_that_somebody_altered_are_refused_wherever_they_come_from() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        agreement = await agree(world, terms)
        altered = terms.model_copy(update={"notice_days": 0})
        effect = AgreementEffect(action="adopt", agreement=agreement, terms=altered)
        river = world.client(RIVER, people(world, RIVER)[0])
        with pytest.raises(wire.TermsAltered):
            await river.governance(RIVER).propose("cheat", effect, title="Nothing to see")
        file = read_agreement_file(await river.agreements.fetch(agreement))
        forged = spell_file(altered, file.signatures)
        for org in KEEPERS:
            with pytest.raises(wire.TermsAltered) as refused:
                await calls(world, org).bring(forged)
            assert refused.value.agreement == agreement
            assert (await calls(world, org).get(agreement)).terms == terms

    run(story)


def test_what_one_party_changes_alone_changes_nothing_and_both_change_it() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        agreement = await agree(world, terms)
        more = ClearingTerms(unit="commons-credits", imbalance_max=200, settled="monthly")
        changed = terms.model_copy(update={"clearing": more, "amends": agreement})
        proposals = await decide(world, *PARTIES, terms=changed)
        alone = await calls(world, RIVER).sign(RIVER, proposals[RIVER])
        for org in KEEPERS:
            await until(world, org, alone.agreement, "proposed", 1)
            with pytest.raises(wire.AgreementInactive):
                await calls(world, org).use(alone.agreement)
            assert (await calls(world, org).use(agreement)).terms == terms
        await calls(world, BRIGHT).sign(BRIGHT, proposals[BRIGHT])
        for org in KEEPERS:
            await until(world, org, alone.agreement, "active")
            before = await until(world, org, agreement, "superseded")
            assert before.superseded_by == alone.agreement
            with pytest.raises(wire.AgreementInactive):
                await calls(world, org).use(agreement)
            listed = [each.agreement async for each in calls(world, org).list(state="active")]
            assert listed == [alone.agreement]

    run(story)


def test_one_party_ends_it_by_notice_and_its_days() -> None:
    async def story(world: InProcessWorld) -> None:
        agreement = await agree(world, terms_of(world))
        proposals = await decide(world, BRIGHT, end=agreement)
        ending = await calls(world, BRIGHT).sign(BRIGHT, proposals[BRIGHT])
        assert ending.state == "ending"
        for org in KEEPERS:
            await until(world, org, agreement, "ending", 3)
            assert (await calls(world, org).use(agreement)).state == "ending"
        files = {await calls(world, org).fetch(agreement) for org in KEEPERS}
        assert len(files) == 1
        await world.pass_time(days=30)
        for org in KEEPERS:
            await until(world, org, agreement, "ended")
            with pytest.raises(wire.AgreementInactive) as over:
                await calls(world, org).use(agreement)
            assert over.value.state == "ended"
        with pytest.raises(wire.AgreementInactive):
            await calls(world, RIVER).propose_end(RIVER, agreement)

    run(story)


def test_what_is_brought_reaches_who_was_cut_off() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        proposals = await decide(world, *PARTIES, terms=terms)
        for other in (BRIGHT, HARBOR, LAKES, "unaffiliated"):
            await world.cut(RIVER, other)
        signed = await calls(world, BRIGHT).sign(BRIGHT, proposals[BRIGHT])
        await calls(world, RIVER).sign(RIVER, proposals[RIVER])
        await until(world, LAKES, signed.agreement, "proposed", 1)
        file = await calls(world, RIVER).fetch(signed.agreement)
        brought = await calls(world, LAKES).bring(file)
        assert (brought.state, brought.unsigned) == ("active", ())
        assert await calls(world, LAKES).bring(file) == brought.model_copy(
            update={"world_ms": brought.world_ms}
        )
        # The facilitator hands on what was brought, to a party that nobody else reaches.
        await until(world, BRIGHT, signed.agreement, "active", 2)
        with pytest.raises(wire.AgreementForeign):
            await calls(world, HARBOR).bring(file)
        for other in (BRIGHT, HARBOR, LAKES, "unaffiliated"):
            await world.heal(RIVER, other)
        await until(world, RIVER, signed.agreement, "active", 2)

    run(story)


def test_who_may_what() -> None:
    async def story(world: InProcessWorld) -> None:
        terms = terms_of(world)
        officer = people(world, HARBOR)[0]
        with pytest.raises(no.EffectMalformed):
            await calls(world, HARBOR).propose(HARBOR, terms)
        with pytest.raises(wire.AgreementUnknown):
            await calls(world, RIVER).propose_end(RIVER, "0" * 64)
        with pytest.raises(ScopeMissing):
            await world.client(RIVER, officer).agreements.bring(b"{}")
        with pytest.raises(wire.AgreementRejected):
            await calls(world, RIVER).bring(b"{}")
        unknown = terms.model_copy(update={"arbiter": "nobody"})
        with pytest.raises(no.EffectMalformed):
            await calls(world, RIVER).propose(RIVER, unknown)

    run(story)
