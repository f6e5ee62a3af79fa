"""A surplus shared by hours, to the last credit.

BrightWorks is a worker cooperative of five. A quarter left a surplus; its members decide to share
it out by the hours that each has worked. Gwen, the treasurer, settles it in one entry that pays all
five or nobody. Nobody is paid twice, nobody spends what they do not have, and each of them can walk
back from a payment to the votes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.money import (
    account_of,
    balance_of,
    caused_by,
    chained,
    entries_of,
    got,
    open_period,
    posting,
    proven,
    said,
    sums_in,
    sums_of,
    whole,
)
from flows.patronage import allocate
from flows.runs import label_of
from flows.two_acts import (
    BRAM,
    BRIGHT,
    CDN,
    GWEN,
    HISTORY,
    HOURS,
    HUGO,
    LEILA,
    SHARES,
    SURPLUS,
    UNIT,
    credits_in,
    for_it,
    name_of,
    own,
    position,
    seeded_checks,
    why_chain,
)
from flows.two_say import SAY
from flows.voting import (
    VOTING_DAYS,
    WINDOW_DAYS,
    Cast,
    all_yes,
    closed,
    decision_in,
    drafted,
    file_of,
    opened,
    receipts_hold,
    seen,
    tally_is,
    vote,
    voter,
)
from opkit.proof import jws
from opkit.proof.ballots import read_ballot
from opkit.proof.checks import Check
from opkit.proof.decision import verify_decision
from opkit.proof.ledger import entry_hash
from opkit.proof.proposals import make_distribution, read_proposal
from opkit.story import (
    DecisionProof,
    EntryProof,
    Evidence,
    Flow,
    World,
    expect,
    journal_head,
    refused,
    same,
    that,
)
from opkit.wire.deciding import EffectExecuted
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing, TokenMissing
from opkit.wire.governance import LEDGER_SETTLE, ProposalView
from opkit.wire.ledger import (
    LEDGER_ENTRY,
    LEDGER_POST,
    AskEntry,
    Entry,
    Overdrawn,
    PostEntry,
    Settle,
    SettleLine,
)
from opkit.wire.votes import DecisionFile, DistributionEffect


@dataclass
class Quarter:
    """What the steps hand on to each other."""

    surplus: str = ""
    entries: list[Entry] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    view: ProposalView | None = None
    cast: dict[str, Cast] = field(default_factory=dict)
    decided: DecisionFile | None = None
    paid: Entry | None = None
    kept: EntryProof | None = None

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
    def entry(self) -> Entry:
        """The entry that paid all five."""
        assert self.paid is not None, "nothing was settled yet"
        return self.paid

    @property
    def effect(self) -> DistributionEffect:
        """What was decided, as its proposer signed it."""
        effect = self.proposal.effect
        assert isinstance(effect, DistributionEffect), "it is a distribution"
        return effect


flow: Flow[Quarter] = Flow(
    name="2",
    title="A surplus shared by hours, to the last credit",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Quarter,
    notebook="flow_2_patronage.ipynb",
    needs=frozenset({"pass_time"}),
    disturbs=frozenset({"clock"}),
)


@flow.prepare
async def a_period_begins(world: World, story: Quarter) -> None:
    """Gwen, BrightWorks' treasurer, opens the period's books with the surplus of 3,840 credits."""
    story.surplus = account_of(world, BRIGHT, "surplus")
    await open_period(world, account=story.surplus, unit=UNIT, amount=SURPLUS, by=GWEN)


@flow.step("HISTORY_READ", say=SAY["HISTORY_READ"])
async def leila_reads_the_books(world: World, story: Quarter) -> Evidence:
    """Leila reads BrightWorks' books from the first entry on, and adds them up herself."""
    leila = voter(world, LEILA)
    story.entries = entries = await entries_of(leila, BRIGHT)
    by_id = {entry.entry_id: entry for entry in entries}
    sums = sums_in(entries)
    here = world.genesis.charter(CDN) is not None
    return expect(
        *(
            check
            for line in HISTORY
            if here or CDN not in line.path
            for check in seeded_checks(line, by_id.get(line.entry_id))
        ),
        chained(entries, coop=BRIGHT, network=world.genesis.network),
        *[
            same(
                f"{line.path} in {line.unit}",
                expected=said(sums.get((line.account, line.unit), 0), line.unit),
                actual=said(await balance_of(leila, line.account, line.unit), line.unit),
            )
            for line in HISTORY
        ],
        same(
            "surplus of the period",
            expected=said(SURPLUS, UNIT),
            actual=said(sums[story.surplus, UNIT], UNIT),
        ),
        entries=len(entries),
    )


@flow.step("POSITION_READ", say=SAY["POSITION_READ"])
async def how_each_stands(world: World, story: Quarter) -> Evidence:
    """Leila asks how Hugo, Bram, Yuki, Gwen and she stand: by name and by key, it is the same."""
    leila = voter(world, LEILA)
    sums = sums_in(story.entries)
    checks = []
    for member_id in HOURS:
        by_key = await position(leila, world.member(member_id).did)
        by_name = await position(leila, member_id)
        story.before[member_id] = credits_in(by_key)
        name = name_of(member_id)
        checks += [
            same(f"the key is {name}'s", expected=member_id, actual=by_key.member_id),
            that(f"{name}, by name", by_key == by_name, expected=by_key, actual=by_name),
            same(
                f"{name}, by the entries",
                expected=sums.get((own(member_id), UNIT), 0),
                actual=story.before[member_id],
            ),
        ]
    return expect(*checks, credits_before=story.before)


@flow.step("DISTRIBUTION_DECIDED", say=SAY["DISTRIBUTION_DECIDED"])
async def all_five_agree(world: World, story: Quarter) -> Evidence:
    """Gwen proposes to share the surplus by hours. All five vote for it within the week."""
    effect = make_distribution(
        from_account=story.surplus,
        unit=UNIT,
        surplus=SURPLUS,
        weights={own(member_id): hours for member_id, hours in HOURS.items()},
        memo="Surplus of the first quarter, by hours",
    )
    signed = await drafted(
        world,
        GWEN,
        effect,
        proposal_id=f"surplus-{label_of(world.run_id)}",
        title="Surplus of the first quarter",
        text="3,840 credits to all five, by the hours of the quarter.",
    )
    story.view = await opened(world, GWEN, signed)
    story.cast = await vote(world, story.proposal, all_yes(*HOURS))
    await world.pass_time(days=VOTING_DAYS)
    story.view = proposal = await closed(world, GWEN, story.proposal)
    story.decided = await file_of(world, GWEN, proposal)
    return expect(
        receipts_hold(world, proposal, story.cast),
        *tally_is(proposal.tally, yes=5, no=0, electorate=5),
        same("outcome", expected="accepted", actual=proposal.outcome),
        verify_decision(story.file, genesis=world.genesis),
        proofs=[DecisionProof(story.file)],
        decision=proposal.decision,
    )


@flow.step("ALLOCATIONS_COMPUTED", say=SAY["ALLOCATIONS_COMPUTED"])
async def to_the_last_credit(world: World, story: Quarter) -> Evidence:
    """BrightWorks' shares are computed again: whole parts, then the largest remainders."""
    told = read_proposal(story.file.proposal, network=world.genesis.network)
    assert isinstance(told.effect, DistributionEffect), "it is a distribution"
    decided = {line.account: line.amount for line in told.effect.lines}
    here = allocate(surplus=SURPLUS, hours={own(who): hours for who, hours in HOURS.items()})
    return expect(
        *(
            same(
                f"{name_of(who)}, {HOURS[who]} of {sum(HOURS.values())} hours",
                expected=share,
                actual=decided[own(who)],
            )
            for who, share in SHARES.items()
        ),
        that("computed here it is the same", here == decided, expected=here, actual=decided),
        same("together", expected=SURPLUS, actual=sum(decided.values())),
        same("which is the surplus decided on", expected=SURPLUS, actual=told.effect.surplus),
        lines=[
            {
                "member": name_of(who),
                "hours": HOURS[who],
                "share": said(decided[own(who)], UNIT),
                "amount": decided[own(who)],
            }
            for who in SHARES
        ],
        surplus=said(SURPLUS, UNIT),
    )


@flow.step("ALLOCATIONS_SETTLED", say=SAY["ALLOCATIONS_SETTLED"])
async def all_or_nobody(world: World, story: Quarter) -> Evidence:
    """A day later Gwen settles it: one entry pays all five, and names the decision."""
    await world.pass_time(days=WINDOW_DAYS)
    gwen = voter(world, GWEN)
    before = await journal_head(gwen)
    story.paid = entry = await gwen.call(LEDGER_SETTLE, settling(story))
    story.kept = await proven(gwen, entry, after=before)
    return expect(
        *(
            same(
                f"{name_of(who)} gets",
                expected=said(share, UNIT),
                actual=said(got(entry, own(who)), UNIT),
            )
            for who, share in SHARES.items()
        ),
        same(
            "the surplus gives",
            expected=said(-SURPLUS, UNIT),
            actual=said(got(entry, story.surplus), UNIT),
        ),
        same("lines in all", expected=len(SHARES) + 1, actual=len(entry.postings)),
        *caused_by(entry, story.file),
        proofs=[story.kept, DecisionProof(story.file)],
        entry=entry,
    )


def settling(story: Quarter) -> Settle:
    """Return the ask to execute exactly what was decided."""
    return Settle(
        coop=BRIGHT,
        proposal=story.proposal.proposal,
        from_account=story.surplus,
        unit=UNIT,
        lines=tuple(
            SettleLine(account=line.account, amount=line.amount)
            for line in story.effect.lines
            if line.amount
        ),
    )


@flow.step("POSITIONS_MATCH", say=SAY["POSITIONS_MATCH"])
async def it_adds_up(world: World, story: Quarter) -> Evidence:
    """Leila asks again: each of the five has their share more, and the surplus account is empty."""
    leila = voter(world, LEILA)
    now = {who: credits_in(await position(leila, world.member(who).did)) for who in HOURS}
    sums = sums_in(await entries_of(leila, BRIGHT))
    left = await balance_of(leila, story.surplus, UNIT)
    return expect(
        *(
            same(f"{name_of(who)} has more by", expected=share, actual=now[who] - story.before[who])
            for who, share in SHARES.items()
        ),
        *(
            same(f"{name_of(who)}, by the entries", expected=sums[own(who), UNIT], actual=now[who])
            for who in SHARES
        ),
        same("left of the surplus", expected=said(0, UNIT), actual=said(left, UNIT)),
        *whole(await sums_of(leila, BRIGHT)),
        credits_now=now,
    )


@flow.step("DOUBLE_SETTLE_REFUSED", adversarial=True, say=SAY["DOUBLE_SETTLE_REFUSED"])
async def a_second_share(world: World, story: Quarter) -> Evidence:
    """Gwen settles the same decision again, and so does Hugo. Nobody gets a second share."""
    problems, checks = {}, []
    for who in (GWEN, HUGO):
        with refused(EffectExecuted) as no:
            await voter(world, who).call(LEDGER_SETTLE, settling(story))
        checks.append(no.check)
        problems[name_of(who)] = no.problem
    return expect(*checks, *await unchanged(world, story), refusals=problems)


async def unchanged(world: World, story: Quarter) -> list[Check]:
    """Return the checks that all five have what they had after the settlement."""
    leila = voter(world, LEILA)
    return [
        same(
            f"{name_of(who)} still has",
            expected=story.before[who] + share,
            actual=credits_in(await position(leila, who)),
        )
        for who, share in SHARES.items()
    ]


@flow.step("OVERDRAFT_REFUSED", adversarial=True, say=SAY["OVERDRAFT_REFUSED"])
async def one_more_than_she_has(world: World, story: Quarter) -> Evidence:
    """Leila pays out of her account one credit more than she has. She keeps all of them."""
    has = story.before[LEILA] + SHARES[LEILA]
    ask = PostEntry(
        coop=BRIGHT,
        entry_id=f"too-much-{label_of(world.run_id)}",
        postings=(
            posting(own(LEILA), UNIT, -(has + 1)),
            posting(f"{BRIGHT}:vendor/canteen", UNIT, has + 1),
        ),
    )
    with refused(Overdrawn, account=own(LEILA), balance=has, floor=0, amount=-(has + 1)) as no:
        await voter(world, LEILA).call(LEDGER_POST, ask)
    return expect(no.check, *await unchanged(world, story), refusal=no.problem)


@flow.step("SCOPE_REFUSED", adversarial=True, say=SAY["SCOPE_REFUSED"])
async def without_the_right(world: World, story: Quarter) -> Evidence:
    """Gwen with a token for reading, Bram, who is no officer, and a stranger settle. In vain."""
    ask = settling(story)
    reading = world.client(BRIGHT, GWEN, scopes=(Scope.LEDGER_READ,))
    with refused(ScopeMissing, needs=Scope.LEDGER_WRITE.value) as narrow:
        await reading.call(LEDGER_SETTLE, ask)
    with refused(ScopeMissing, needs=Scope.LEDGER_WRITE.value) as member:
        await voter(world, BRAM).call(LEDGER_SETTLE, ask)
    with refused(TokenMissing) as stranger:
        await world.client(BRIGHT, None).call(LEDGER_SETTLE, ask)
    return expect(
        narrow.check,
        member.check,
        stranger.check,
        *await unchanged(world, story),
        reading_only=narrow.problem,
        no_officer=member.problem,
        stranger=stranger.problem,
    )


@flow.step("WHY_ANSWERED", say=SAY["WHY_ANSWERED"])
async def why_so_much(world: World, story: Quarter) -> Evidence:
    """Leila asks why she got 843 credits, and walks back from the payment to the votes."""
    leila = voter(world, LEILA)
    stands = await position(leila, world.member(LEILA).did)
    entry = await leila.call(LEDGER_ENTRY, AskEntry(coop=BRIGHT, entry=story.entry.hash))
    file = await file_of(world, LEILA, await seen(world, LEILA, story.proposal))
    told = read_proposal(file.proposal, network=world.genesis.network)
    decision = decision_in(file)
    assert isinstance(told.effect, DistributionEffect), "it is a distribution"
    line = next(each for each in told.effect.lines if each.account == own(LEILA))
    ballots = [read_ballot(each.ballot, network=world.genesis.network) for each in file.ballots]
    mine = next(each for each in ballots if each.member_id == LEILA)
    assert story.kept is not None and entry.cause is not None, "it was settled by a decision"
    chain = why_chain(stands, entry, line_of=(line.weight, line.amount), votes=ballots)
    return expect(
        same("her account got", expected=SHARES[LEILA], actual=got(entry, own(LEILA))),
        same("the entry's hash", expected=entry_hash(entry), actual=entry.hash),
        same("it names the decision", expected=jws.record_id(file.decision), actual=entry.cause.id),
        same(
            "that is on the proposal",
            expected=jws.record_id(file.proposal),
            actual=decision.proposal,
        ),
        same("which gives her", expected=SHARES[LEILA], actual=line.amount),
        same("for hours", expected=HOURS[LEILA], actual=line.weight),
        verify_decision(file, genesis=world.genesis),
        same("votes for it", expected=sorted(HOURS), actual=sorted(for_it(ballots))),
        same("her own vote, with her own key", expected=world.member(LEILA).did, actual=mine.did),
        proofs=[EntryProof(entry=entry, journal=story.kept.journal), DecisionProof(file)],
        chain=chain,
    )
