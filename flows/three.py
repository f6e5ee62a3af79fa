"""Two cooperatives that owe each other, and no node between them.

River City has machines that stand still at night; BrightWorks has people who can mend them. Each
decides by its own vote on the terms, and its home signs: with one signature there is no agreement.
Finger Lakes keeps a copy, and with its node dead both go on. What they give each other stands in
both books, never further apart than agreed, and at the end of the month both are at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.money import sums_of, whole
from flows.runs import label_of
from flows.three_acts import (
    BRIGHT,
    CDN,
    IMBALANCE_MAX,
    KEEPERS,
    MORE,
    PARTIES,
    PERIOD,
    RIVER,
    SPEAKERS,
    TITLE,
    UNIT,
    VOTERS,
    arrived,
    cites,
    counted,
    entry_of,
    exchanged,
    file_at,
    heads,
    held,
    mirrored,
    offer,
    posted,
    put_to_vote,
    read,
    signed_by,
    silent,
    speaker,
    terms_of,
    used,
)
from flows.three_say import SAY
from flows.voting import VOTING_DAYS, WINDOW_DAYS, decision_in, file_of, tally_is
from opkit.proof import jws
from opkit.proof.agreement import verify_agreement
from opkit.proof.canonical import canonical_of, sha256_hex
from opkit.proof.checks import Check
from opkit.proof.decision import verify_decision
from opkit.proof.terms import agreement_id
from opkit.story import (
    AgreementProof,
    DecisionProof,
    Evidence,
    Flow,
    World,
    expect,
    refused,
    same,
    that,
)
from opkit.story.proving import exchange_record, proof_checks
from opkit.wire.agreements import (
    BRING_AGREEMENT,
    AgreementFile,
    AgreementInactive,
    BringAgreement,
    TermsAltered,
)
from opkit.wire.clearing import (
    SETTLE_PERIOD,
    Exchange,
    Imbalance,
    SettlementDone,
    SettlePeriod,
)
from opkit.wire.governance import ProposalView
from opkit.wire.ledger import Entry
from opkit.wire.terms import ClearingTerms, Terms
from opkit.wire.votes import DecisionFile

FIRST, SECOND, TOO_MUCH = 15, 40, 50
"""What passes while Finger Lakes is dead, what passes after, and what would be too much."""


@dataclass
class Deal:
    """What the steps hand on to each other."""

    agreed: Terms | None = None
    votes: dict[str, ProposalView] = field(default_factory=dict)
    decided: dict[str, DecisionFile] = field(default_factory=dict)
    more: Terms | None = None
    bytes_held: bytes = b""

    @property
    def terms(self) -> Terms:
        """What both decide on."""
        assert self.agreed is not None, "nothing was proposed yet"
        return self.agreed

    @property
    def agreement(self) -> str:
        """What the agreement is named by: the hash of its terms."""
        return agreement_id(self.terms)

    @property
    def amendment(self) -> Terms:
        """What River City alone would change."""
        assert self.more is not None, "nobody wanted to change anything yet"
        return self.more

    @property
    def file(self) -> AgreementFile:
        """The agreement with both signatures."""
        return read(self.bytes_held)


flow: Flow[Deal] = Flow(
    name="3",
    title="Two cooperatives that owe each other, and no node between them",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Deal,
    notebook="flow_3_federation.ipynb",
    profiles=("federation",),
    needs=frozenset({"pass_time", "kill"}),
    disturbs=frozenset({"clock", f"node:{CDN}"}),
)


@flow.step("BOTH_DECIDED", say=SAY["BOTH_DECIDED"])
async def each_by_its_own_vote(world: World, story: Deal) -> Evidence:
    """River City and BrightWorks each vote on the same terms for a week. Both accept them."""
    story.agreed = await terms_of(world)
    for coop in PARTIES:
        story.votes[coop] = await put_to_vote(world, coop, story.terms, name="adopt")
    await world.pass_time(days=VOTING_DAYS)
    checks: list[Check] = []
    for coop in PARTIES:
        view = story.votes[coop] = await counted(world, story.votes[coop])
        file = story.decided[coop] = await file_of(world, SPEAKERS[coop], view)
        checks += [
            same(f"{coop} decides", expected="accepted", actual=view.outcome),
            *tally_is(view.tally, yes=len(VOTERS[coop]), no=0, electorate=5),
            same(f"{coop}, whose decision it is", expected=coop, actual=decision_in(file).aud),
            that(
                f"{coop}, on exactly these terms",
                getattr(view.effect, "agreement", "") == story.agreement,
                expected=story.agreement,
                actual=getattr(view.effect, "agreement", "none"),
            ),
            that(
                f"{coop}, counted again here",
                verify_decision(file, genesis=world.genesis).status == "verified",
            ),
        ]
    return expect(
        *checks,
        proofs=[DecisionProof(file) for file in story.decided.values()],
        agreement=story.agreement,
        terms=story.terms,
    )


@flow.step("AGREEMENT_SIGNED", say=SAY["AGREEMENT_SIGNED"])
async def both_homes_sign(world: World, story: Deal) -> Evidence:
    """A day later River City's home signs, which binds nobody. BrightWorks' signs, and it holds."""
    await world.pass_time(days=WINDOW_DAYS)
    alone = await signed_by(world, story.votes[RIVER])
    with refused(AgreementInactive, unsigned=[BRIGHT]) as early:
        await used(world, RIVER, story.agreement)
    await signed_by(world, story.votes[BRIGHT])
    data = story.bytes_held = await arrived(world, BRIGHT, story.agreement, signatures=2)
    both = await held(world, BRIGHT, story.agreement)
    return expect(
        same("with one signature it is", expected="proposed", actual=alone.state),
        early.check,
        same("with both it is", expected="active", actual=both.state),
        same("named by the hash of its terms", expected=story.agreement, actual=both.agreement),
        *cites(read(data), {coop: view.decision for coop, view in story.votes.items()}),
        verify_agreement(read(data), genesis=world.genesis),
        proofs=[AgreementProof(read(data))],
        with_one_signature=early.problem,
    )


@flow.step("AGREEMENT_REPLICATED", say=SAY["AGREEMENT_REPLICATED"])
async def three_copies(world: World, story: Deal) -> Evidence:
    """River City, BrightWorks and Finger Lakes hold the agreement, the same to the last byte."""
    copies = {org: await arrived(world, org, story.agreement, signatures=2) for org in KEEPERS}
    views = {org: await held(world, org, story.agreement) for org in KEEPERS}
    return expect(
        same("different copies", expected=1, actual=len(set(copies.values()))),
        *(
            same(
                f"{org}, hash of its copy",
                expected=sha256_hex(story.bytes_held),
                actual=sha256_hex(data),
            )
            for org, data in copies.items()
        ),
        *(
            same(f"{org}, in force", expected="active", actual=view.state)
            for org, view in views.items()
        ),
        copies={org: sha256_hex(data) for org, data in copies.items()},
        bytes_each=len(story.bytes_held),
    )


@flow.step("SURVIVES_FACILITATOR", say=SAY["SURVIVES_FACILITATOR"])
async def without_finger_lakes(world: World, story: Deal) -> Evidence:
    """Finger Lakes' node is killed. Both still use the agreement; when it is back it catches up."""
    limit = ClearingTerms(unit=UNIT, imbalance_max=MORE, settled="monthly")
    story.more = await terms_of(world, clearing=limit, amends=story.agreement)
    wanted = await put_to_vote(world, RIVER, story.amendment, name="more")
    await world.pass_time(days=VOTING_DAYS)
    wanted = await counted(world, wanted)
    await world.pass_time(days=WINDOW_DAYS)
    await world.kill(CDN)
    dead = [await silent(world, CDN)]
    without = {org: (await used(world, org, story.agreement)).state for org in PARTIES}
    given = await offer(
        world,
        RIVER,
        story.agreement,
        payer=BRIGHT,
        payee=RIVER,
        amount=FIRST,
        what="The lathe",
    )
    halves = {org: (await posted(world, org, given.hash)).exchange.state for org in PARTIES}
    meanwhile = await signed_by(world, wanted)
    dead.append(await silent(world, CDN))
    await world.restart(CDN)
    amendment = agreement_id(story.amendment)
    back = await arrived(world, CDN, amendment, signatures=1)
    own = await file_at(world, RIVER, amendment)
    return expect(
        *(
            that(f"{when}, Finger Lakes", bool(why), expected="silent", actual=why or "it answers")
            for when, why in zip(("before they do", "when they have"), dead, strict=True)
        ),
        *(
            same(f"{org}, without Finger Lakes", expected="active", actual=state)
            for org, state in without.items()
        ),
        *(
            same(f"{org}, its half of what passed", expected="committed", actual=state)
            for org, state in halves.items()
        ),
        same("signed meanwhile, by one", expected="proposed", actual=meanwhile.state),
        that("back, Finger Lakes has that too, to the byte", back == own),
        same(
            "and what it had, to the byte",
            expected=sha256_hex(story.bytes_held),
            actual=sha256_hex(await file_at(world, CDN, story.agreement)),
        ),
        finger_lakes_meanwhile=dead,
        exchange=given,
        signed_meanwhile=amendment,
    )


@flow.step("EXCHANGE_RECORDED", say=SAY["EXCHANGE_RECORDED"])
async def eight_hours(world: World, story: Deal) -> Evidence:
    """BrightWorks mends machines for eight hours: 40 credits. Both books have it, mirrored."""
    before = await heads(world)
    done = await offer(
        world, BRIGHT, story.agreement, payer=RIVER, payee=BRIGHT, amount=SECOND, what="Maintenance"
    )
    answers = {org: await posted(world, org, done.hash) for org in PARTIES}
    entries: dict[str, list[Entry]] = {
        org: await entry_of(world, org, done.hash) for org in PARTIES
    }
    proof = await exchanged(
        world, answers[BRIGHT].evidence, entries, under=story.file, after=before
    )
    return expect(
        *(
            same(f"{org}, how it ended", expected="committed", actual=each.exchange.state)
            for org, each in answers.items()
        ),
        *(
            same(f"{org}, entries for it", expected=1, actual=len(found))
            for org, found in entries.items()
        ),
        *proof_checks(exchange_record(proof), genesis=world.genesis),
        *await mirrored(world, story.agreement, bright=SECOND - FIRST),
        *[check for org in PARTIES for check in whole(await sums_of(speaker(world, org), org))],
        proofs=[proof],
        exchange=done,
    )


@flow.step("IMBALANCE_REFUSED", adversarial=True, say=SAY["IMBALANCE_REFUSED"])
async def too_far_apart(world: World, story: Deal) -> Evidence:
    """BrightWorks and River City try to go beyond the 100 that they agreed on. Neither can."""
    stands = SECOND - FIRST
    problems = {}
    checks = []
    for by in PARTIES:
        with refused(Imbalance, imbalance_max=IMBALANCE_MAX, unit=UNIT) as no:
            await offer(
                world,
                by,
                story.agreement,
                payer=RIVER,
                payee=BRIGHT,
                amount=IMBALANCE_MAX - stands + 1,
                what=f"Too much by {by}",
            )
        checks.append(no.check)
        problems[by] = no.problem
    return expect(
        *checks,
        *await mirrored(world, story.agreement, bright=stands),
        refusals=problems,
    )


@flow.step("TAMPERED_AGREEMENT_REFUSED", adversarial=True, say=SAY["TAMPERED_AGREEMENT_REFUSED"])
async def a_nought_more(world: World, story: Deal) -> Evidence:
    """In a copy 100 is made 1,000. No node takes it, under the old name or under a new one."""
    generous = ClearingTerms(unit=UNIT, imbalance_max=10 * IMBALANCE_MAX, settled="monthly")
    terms = story.terms.model_copy(update={"clearing": generous})
    altered = story.file.model_copy(update={"terms": terms})
    renamed = altered.model_copy(update={"agreement": agreement_id(terms)})
    checks: list[Check] = []
    problems = {}
    for org in KEEPERS:
        with refused(TermsAltered, agreement=story.agreement) as old_name:
            await bring(world, org, altered)
        with refused(TermsAltered, hash=agreement_id(terms)) as new_name:
            await bring(world, org, renamed)
        checks += [old_name.check, new_name.check]
        problems[org] = {"old name": old_name.problem, "new name": new_name.problem}
    return expect(
        *checks,
        that(
            "whoever verifies the copy offline sees it",
            not verify_agreement(altered, genesis=world.genesis).ok,
            expected="a check that fails",
        ),
        *[
            same(
                f"{org} holds what was signed",
                expected=sha256_hex(story.bytes_held),
                actual=sha256_hex(await file_at(world, org, story.agreement)),
            )
            for org in KEEPERS
        ],
        refusals=problems,
    )


async def bring(world: World, org: str, file: AgreementFile) -> None:
    """Hand a file in at an organisation's node, as an officer may."""
    data = canonical_of(file)
    await speaker(world, org).call(BRING_AGREEMENT, BringAgreement(file=data))


@flow.step("UNILATERAL_CHANGE_REFUSED", adversarial=True, say=SAY["UNILATERAL_CHANGE_REFUSED"])
async def one_alone(world: World, story: Deal) -> Evidence:
    """River City alone has signed a limit of 200. Nobody can use it; what both signed holds."""
    amendment = agreement_id(story.amendment)
    checks: list[Check] = []
    problems = {}
    for org in PARTIES:
        await arrived(world, org, amendment, signatures=1)
        with refused(AgreementInactive, agreement=amendment, unsigned=[BRIGHT]) as no:
            await used(world, org, amendment)
        checks.append(no.check)
        problems[org] = no.problem
    with refused(AgreementInactive, agreement=amendment) as deal:
        await offer(
            world, RIVER, amendment, payer=RIVER, payee=BRIGHT, amount=1, what="Under the change"
        )
    with refused(Imbalance, imbalance_max=IMBALANCE_MAX) as limit:
        await offer(
            world,
            RIVER,
            story.agreement,
            payer=RIVER,
            payee=BRIGHT,
            amount=MORE - IMBALANCE_MAX,
            what="By the change",
        )
    in_force = {org: await used(world, org, story.agreement) for org in KEEPERS}
    return expect(
        *checks,
        deal.check,
        limit.check,
        *(
            that(f"{org}, what both signed holds", each.terms == story.terms)
            for org, each in in_force.items()
        ),
        refusals=problems,
        an_exchange_under_it=deal.problem,
        beyond_the_old_limit=limit.problem,
    )


@flow.step("PERIOD_SETTLED", say=SAY["PERIOD_SETTLED"])
async def even(world: World, story: Deal) -> Evidence:
    """The month is settled: River City and BrightWorks stand at zero. It is settled only once."""
    before = await heads(world)
    done = await settled(world, BRIGHT, story)
    answers = {org: await posted(world, org, done.hash) for org in PARTIES}
    entries = {org: await entry_of(world, org, done.hash) for org in PARTIES}
    proof = await exchanged(
        world, answers[BRIGHT].evidence, entries, under=story.file, after=before
    )
    checks: list[Check] = []
    problems = {}
    for org in PARTIES:
        with refused(SettlementDone) as again:
            await settled(world, org, story)
        checks.append(again.check)
        problems[org] = again.problem
    return expect(
        *await mirrored(world, story.agreement, bright=0),
        *proof_checks(exchange_record(proof), genesis=world.genesis),
        *checks,
        *[check for org in PARTIES for check in whole(await sums_of(speaker(world, org), org))],
        proofs=[proof],
        settlement=done,
        a_second_time=problems,
        cited={org: jws.record_id(each.evidence.offer) for org, each in answers.items()},
        title=TITLE,
    )


async def settled(world: World, org: str, story: Deal) -> Exchange:
    """Have one side settle this telling's part of the month."""
    ask = SettlePeriod(agreement=story.agreement, period=f"{PERIOD}/{label_of(world.run_id)}")
    return await speaker(world, org).call(SETTLE_PERIOD, ask)
