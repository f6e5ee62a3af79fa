"""A roof that the members decide on.

Harbor Homes is a housing cooperative with a leaking roof and a reserve. Rosa, who chairs it,
proposes to pay the roofer. Its five members have a week: four vote, one of them against. Nobody
votes twice, ends the vote early, or drops a vote unseen. A day later the money moves: once, as it
was decided, and the entry in the books names the decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.money import (
    account_of,
    balance_of,
    caused_by,
    got,
    open_period,
    posting,
    proven,
    said,
    sums_of,
    whole,
)
from flows.one_say import SAY
from flows.runs import label_of
from flows.voting import (
    DAY_MS,
    VOTING_DAYS,
    WINDOW_DAYS,
    Cast,
    ballot_of,
    closed,
    decision_in,
    drafted,
    executed,
    file_of,
    forged_ballot,
    hand_in,
    opened,
    receipts_hold,
    seen,
    tally_is,
    vote,
    voter,
    without,
)
from opkit.proof import jws
from opkit.proof.decision import verify_decision
from opkit.proof.omission import verify_omission
from opkit.proof.proposals import read_proposal
from opkit.story import (
    DecisionProof,
    Evidence,
    Flow,
    OmissionProof,
    World,
    expect,
    journal_head,
    refused,
    same,
    that,
)
from opkit.wire.deciding import (
    BallotRejected,
    ChallengeOpen,
    DoubleVote,
    EffectExecuted,
    NotElector,
    Undecided,
    VotingRunning,
)
from opkit.wire.gateway import ScopeMissing
from opkit.wire.governance import CANCEL_PROPOSAL, CancelProposal, ProposalView
from opkit.wire.ledger import LEDGER_POST, DecisionRequired, PostEntry
from opkit.wire.votes import Choice, DecisionFile, SpendEffect

HARBOR = "harbor-homes-cooperative"
ROSA, FELIX, NADIA, KOFI, SILAS = (
    f"{HARBOR}/{name}" for name in ("rosa", "felix", "nadia", "kofi", "silas")
)
MARA = "river-city-tool-library/mara"

UNIT = "usd-cents"
RESERVE = 4_800_000
QUOTE = 1_200_000
LEFT = 3_600_000
"""What the story begins with, asks for, and ends with."""

CHOICES: dict[str, Choice] = {ROSA: "yes", FELIX: "yes", NADIA: "yes", KOFI: "no"}
"""Who votes, and how; Silas does not."""


@dataclass
class Roof:
    """What the steps hand on to each other."""

    reserve: str = ""
    roofer: str = ""
    view: ProposalView | None = None
    cast: dict[str, Cast] = field(default_factory=dict)
    decided: DecisionFile | None = None

    @property
    def proposal(self) -> ProposalView:
        """The proposal as it stood when the last step looked."""
        assert self.view is not None, "nothing was proposed yet"
        return self.view

    @property
    def file(self) -> DecisionFile:
        """The decision with every vote."""
        assert self.decided is not None, "nothing was decided yet"
        return self.decided

    @property
    def effect(self) -> SpendEffect:
        """What is proposed, and decided: exactly this payment."""
        return SpendEffect(
            from_account=self.reserve,
            to_account=self.roofer,
            unit=UNIT,
            amount=QUOTE,
            memo="Roof repair",
        )


flow: Flow[Roof] = Flow(
    name="1",
    title="A roof that the members decide on",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Roof,
    notebook="flow_1_governance.ipynb",
    needs=frozenset({"pass_time"}),
    disturbs=frozenset({"clock"}),
)


@flow.prepare
async def a_period_begins(world: World, story: Roof) -> None:
    """Felix, Harbor Homes' treasurer, opens the period's books with 48,000.00 in the reserve."""
    story.reserve = account_of(world, HARBOR, "reserve")
    story.roofer = account_of(world, HARBOR, "vendor")
    await open_period(world, account=story.reserve, unit=UNIT, amount=RESERVE, by=FELIX)


@flow.step("PROPOSAL_OPENED", say=SAY["PROPOSAL_OPENED"])
async def rosa_proposes(world: World, story: Roof) -> Evidence:
    """Rosa, in the chair, proposes to pay 12,000.00 from the reserve. Five members may vote."""
    signed = await drafted(
        world,
        ROSA,
        story.effect,
        proposal_id=f"roof-{label_of(world.run_id)}",
        title="Roof repair",
        text="The roof of the second building leaks. The best of three quotes is 12,000.00.",
    )
    story.view = proposal = await opened(world, ROSA, signed)
    told = read_proposal(proposal.signed, network=world.genesis.network)
    reserve = await balance_of(voter(world, ROSA), story.reserve, UNIT)
    return expect(
        same("the node has it as", expected="open", actual=proposal.state),
        same("to the byte as she signed it", expected=signed, actual=proposal.signed),
        same("proposed by", expected=ROSA, actual=told.member_id),
        same("signed with her own key", expected=world.member(ROSA).did, actual=told.did),
        that("asks for this payment", told.effect == story.effect, expected=story.effect),
        same("how much", expected=said(QUOTE, UNIT), actual=said(story.effect.amount, UNIT)),
        same("in the reserve now", expected=said(RESERVE, UNIT), actual=said(reserve, UNIT)),
        same("who may vote", expected=len(CHOICES) + 1, actual=told.electors),
        same(
            "fixed by the node as", expected=told.electorate_hash, actual=proposal.electorate_hash
        ),
        same("open for", expected=VOTING_DAYS * DAY_MS, actual=_period_of(proposal)),
        same("nobody has voted", expected=0, actual=proposal.tally.cast),
        proposal=proposal.proposal,
        treasury_nonce=told.treasury_nonce,
        rule=told.rule,
    )


def _period_of(proposal: ProposalView) -> int:
    """Return for how long voting is open, in milliseconds of world time."""
    assert proposal.opened_ms is not None and proposal.closes_ms is not None, "it is open"
    return proposal.closes_ms - proposal.opened_ms


@flow.step("VOTES_CAST", say=SAY["VOTES_CAST"])
async def four_vote(world: World, story: Roof) -> Evidence:
    """Rosa, Felix and Nadia vote yes, Kofi no. Each gets a receipt that the node has signed."""
    story.cast = await vote(world, story.proposal, CHOICES)
    story.view = proposal = await seen(world, ROSA, story.proposal)
    return expect(
        receipts_hold(world, proposal, story.cast),
        *tally_is(proposal.tally, yes=3, no=1, electorate=5),
        same("as it stands it would be", expected="accepted", actual=proposal.would_be),
        took_part_percent=100 * proposal.tally.cast // proposal.tally.electorate,
        in_favour_percent=100 * proposal.tally.yes // (proposal.tally.yes + proposal.tally.no),
        receipts={who: each.counted.receipt for who, each in story.cast.items()},
    )


@flow.step("DOUBLE_VOTE_REFUSED", adversarial=True, say=SAY["DOUBLE_VOTE_REFUSED"])
async def kofi_votes_twice(world: World, story: Roof) -> Evidence:
    """Kofi signs a second ballot under the same number, a yes this time. His no stands."""
    second = ballot_of(world, KOFI, story.proposal.proposal, "yes")
    with refused(DoubleVote, member_id=KOFI, sequence=1, standing="no") as no:
        await hand_in(voter(world, KOFI), story.proposal, second)
    stands = await seen(world, KOFI, story.proposal)
    return expect(no.check, *tally_is(stands.tally, yes=3, no=1, electorate=5), refusal=no.problem)


@flow.step("OUTSIDER_REFUSED", adversarial=True, say=SAY["OUTSIDER_REFUSED"])
async def mara_votes_too(world: World, story: Roof) -> Evidence:
    """Mara of River City votes at Harbor Homes: as herself, as if she lived there, as Silas."""
    proposal, mara = story.proposal, world.member(MARA)
    as_herself = forged_ballot(world, mara, MARA, proposal)
    with refused(ScopeMissing, needs="governance:vote") as door:
        await hand_in(world.client(HARBOR, MARA), proposal, as_herself)
    carrier = voter(world, SILAS)
    with refused(BallotRejected) as foreign:
        await hand_in(carrier, proposal, as_herself)
    with refused(NotElector, member_id=f"{HARBOR}/mara") as pretending:
        await hand_in(carrier, proposal, forged_ballot(world, mara, f"{HARBOR}/mara", proposal))
    with refused(NotElector, member_id=SILAS) as posing:
        await hand_in(carrier, proposal, forged_ballot(world, mara, SILAS, proposal))
    stands = await seen(world, ROSA, proposal)
    return expect(
        door.check,
        foreign.check,
        pretending.check,
        posing.check,
        *tally_is(stands.tally, yes=3, no=1, electorate=5),
        at_the_door=door.problem,
        in_her_own_name=foreign.problem,
        as_if_she_lived_there=pretending.problem,
        in_silas_name=posing.problem,
    )


@flow.step("EARLY_CLOSE_REFUSED", adversarial=True, say=SAY["EARLY_CLOSE_REFUSED"])
async def rosa_cannot_wait(world: World, story: Roof) -> Evidence:
    """Rosa asks the node to count now, on the first day. It keeps the vote open for the week."""
    with refused(VotingRunning, closes_ms=story.proposal.closes_ms) as no:
        await closed(world, ROSA, story.proposal)
    stands = await seen(world, ROSA, story.proposal)
    return expect(no.check, same("still", expected="open", actual=stands.state), refusal=no.problem)


@flow.step("VOTE_CLOSED", say=SAY["VOTE_CLOSED"])
async def a_week_later(world: World, story: Roof) -> Evidence:
    """A week passes. Rosa closes the vote; the node counts: accepted. Nothing is paid yet."""
    await world.pass_time(days=VOTING_DAYS)
    story.view = proposal = await closed(world, ROSA, story.proposal)
    story.decided = await file_of(world, ROSA, proposal)
    reserve = await balance_of(voter(world, ROSA), story.reserve, UNIT)
    assert proposal.challenge_ends_ms is not None and proposal.closed_ms is not None, "it is closed"
    return expect(
        same("outcome", expected="accepted", actual=proposal.outcome),
        *tally_is(proposal.tally, yes=3, no=1, electorate=5),
        same(
            "the decision that it names",
            expected=proposal.decision,
            actual=jws.record_id(story.file.decision),
        ),
        same(
            "to be challenged for",
            expected=WINDOW_DAYS * DAY_MS,
            actual=proposal.challenge_ends_ms - proposal.closed_ms,
        ),
        same("in the reserve still", expected=said(RESERVE, UNIT), actual=said(reserve, UNIT)),
        decision=proposal.decision,
        tally=proposal.tally,
    )


@flow.step("OMITTED_VOTE_EXPOSED", adversarial=True, say=SAY["OMITTED_VOTE_EXPOSED"])
async def kofi_is_left_out(world: World, story: Roof) -> Evidence:
    """On a copy of the decision Kofi's no is left out. His receipt proves it, without any node."""
    copy, kofi = without(story.file, KOFI), story.cast[KOFI]
    counted = verify_decision(copy, genesis=world.genesis)
    shown = verify_omission(
        copy, ballot=kofi.ballot, receipt=kofi.counted.receipt, genesis=world.genesis
    )
    whole = verify_omission(
        story.file, ballot=kofi.ballot, receipt=kofi.counted.receipt, genesis=world.genesis
    )
    return expect(
        that(
            "the copy does not add up",
            not counted.ok,
            expected="a check that fails",
            actual=", ".join(check.name for check in counted.failures),
        ),
        shown,
        that("nothing is missing in the real one", not whole.ok, expected="no proof of that"),
        proofs=[OmissionProof(file=copy, ballot=kofi.ballot, receipt=kofi.counted.receipt)],
        missing=KOFI,
    )


@flow.step("DECISION_PROVED", say=SAY["DECISION_PROVED"])
async def anybody_counts_again(world: World, story: Roof) -> Evidence:
    """The decision that Rosa holds is verified offline: each signature, each vote, the sum."""
    decision = decision_in(story.file)
    return expect(
        verify_decision(story.file, genesis=world.genesis),
        same("of the assembly", expected=HARBOR, actual=decision.aud),
        same("signed by the coop's home", expected=world.node(HARBOR).did, actual=decision.did),
        same("outcome", expected="accepted", actual=decision.outcome),
        same("votes in the file", expected=len(CHOICES), actual=len(story.file.ballots)),
        proofs=[DecisionProof(story.file)],
        tally=decision.tally,
    )


@flow.step("HASTY_SPEND_REFUSED", adversarial=True, say=SAY["HASTY_SPEND_REFUSED"])
async def felix_is_in_a_hurry(world: World, story: Roof) -> Evidence:
    """Felix wants to pay at once. The day in which a vote may turn up missing is not over."""
    ends_ms = story.proposal.challenge_ends_ms
    with refused(ChallengeOpen, challenge_ends_ms=ends_ms) as no:
        await executed(world, FELIX, story.proposal, story.effect)
    reserve = await balance_of(voter(world, FELIX), story.reserve, UNIT)
    return expect(
        no.check,
        same("in the reserve still", expected=said(RESERVE, UNIT), actual=said(reserve, UNIT)),
        refusal=no.problem,
    )


@flow.step("SPEND_EXECUTED", say=SAY["SPEND_EXECUTED"])
async def the_roofer_is_paid(world: World, story: Roof) -> Evidence:
    """A day later Felix pays: 36,000.00 stay in the reserve, and the entry names the decision."""
    await world.pass_time(days=WINDOW_DAYS)
    felix = voter(world, FELIX)
    before = await journal_head(felix)
    done = await executed(world, FELIX, story.proposal, story.effect)
    entry = done.entry
    assert entry is not None, "a payment posts an entry"
    left, paid = [await balance_of(felix, each, UNIT) for each in (story.reserve, story.roofer)]
    return expect(
        same("left in the reserve", expected=said(LEFT, UNIT), actual=said(left, UNIT)),
        same("the roofer has", expected=said(QUOTE, UNIT), actual=said(paid, UNIT)),
        same("taken by the entry", expected=-QUOTE, actual=got(entry, story.reserve)),
        same("given by the entry", expected=QUOTE, actual=got(entry, story.roofer)),
        same("lines in the entry", expected=2, actual=len(entry.postings)),
        *caused_by(entry, story.file),
        *whole(await sums_of(felix, HARBOR)),
        proofs=[await proven(felix, entry, after=before), DecisionProof(story.file)],
        entry=entry,
    )


@flow.step("UNDECIDED_SPEND_REFUSED", adversarial=True, say=SAY["UNDECIDED_SPEND_REFUSED"])
async def without_asking(world: World, story: Roof) -> Evidence:
    """Felix posts a payment of 1.00 that nobody decided; Rosa executes one still being voted on."""
    small = story.effect.model_copy(update={"amount": 100, "memo": "Nails"})
    posted = PostEntry(
        coop=HARBOR,
        entry_id=f"nails-{label_of(world.run_id)}",
        postings=(posting(story.reserve, UNIT, -100), posting(story.roofer, UNIT, 100)),
    )
    with refused(DecisionRequired, account=story.reserve) as alone:
        await voter(world, FELIX).call(LEDGER_POST, posted)
    signed = await drafted(
        world, ROSA, small, proposal_id=posted.entry_id, title="Nails", text="A box of them."
    )
    undecided = await opened(world, ROSA, signed)
    with refused(Undecided, state="open") as early:
        await executed(world, ROSA, undecided, small)
    await voter(world, ROSA).call(
        CANCEL_PROPOSAL, CancelProposal(coop=HARBOR, proposal_id=undecided.proposal_id)
    )
    reserve = await balance_of(voter(world, ROSA), story.reserve, UNIT)
    return expect(
        alone.check,
        early.check,
        same("in the reserve still", expected=said(LEFT, UNIT), actual=said(reserve, UNIT)),
        without_a_decision=alone.problem,
        before_the_vote_is_over=early.problem,
    )


@flow.step("REPLAYED_SPEND_REFUSED", adversarial=True, say=SAY["REPLAYED_SPEND_REFUSED"])
async def once_more(world: World, story: Roof) -> Evidence:
    """Felix and then Rosa execute the same decision once more. The roofer is not paid twice."""
    problems = {}
    checks = []
    for who in (FELIX, ROSA):
        with refused(EffectExecuted) as no:
            await executed(world, who, story.proposal, story.effect)
        checks.append(no.check)
        problems[who] = no.problem
    felix = voter(world, FELIX)
    left, paid = [await balance_of(felix, each, UNIT) for each in (story.reserve, story.roofer)]
    stands = await seen(world, ROSA, story.proposal)
    return expect(
        *checks,
        same("left in the reserve", expected=said(LEFT, UNIT), actual=said(left, UNIT)),
        same("the roofer has", expected=said(QUOTE, UNIT), actual=said(paid, UNIT)),
        same("the proposal is", expected="executed", actual=stands.state),
        *whole(await sums_of(felix, HARBOR)),
        refusals=problems,
    )
