"""A decision that is spent once.

Harbor Homes decides on three payments in one week. Each carries a number of the treasury's, and
each number is taken once: by the roof that is paid, by the carpet that is voted down, by the
gutters that wait. Then somebody tries to pay with a used number, with one from the future, and with
another amount than was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.c_say import SAY
from flows.money import (
    account_of,
    balance_of,
    caused_by,
    entries_of,
    got,
    open_period,
    proven,
    said,
    sums_of,
    whole,
)
from flows.runs import label_of
from flows.voting import (
    VOTING_DAYS,
    WINDOW_DAYS,
    closed,
    drafted,
    executed,
    file_of,
    opened,
    seen,
    treasury_of,
    vote,
    voter,
)
from opkit.proof.checks import Check
from opkit.proof.decision import verify_decision
from opkit.story import (
    DecisionProof,
    Evidence,
    Flow,
    World,
    expect,
    journal_head,
    refused,
    same,
)
from opkit.wire.deciding import EffectAltered, EffectExecuted, NonceFuture, NonceUsed
from opkit.wire.governance import ProposalView
from opkit.wire.votes import Choice, DecisionFile, SpendEffect

HARBOR = "harbor-homes-cooperative"
ROSA, FELIX, NADIA, KOFI, SILAS = (
    f"{HARBOR}/{name}" for name in ("rosa", "felix", "nadia", "kofi", "silas")
)

UNIT = "usd-cents"
RESERVE = 4_800_000
ROOF, CARPET, GUTTERS = 1_200_000, 900_000, 150_000
"""What the reserve begins with, and what the three payments are of."""

YES: Mapping[str, Choice] = {ROSA: "yes", FELIX: "yes", NADIA: "yes", KOFI: "no"}
NO: Mapping[str, Choice] = {ROSA: "no", FELIX: "no", NADIA: "no", KOFI: "yes"}


@dataclass
class Treasury:
    """What the steps hand on to each other: the proposals by what they pay for."""

    reserve: str = ""
    payees: dict[str, str] = field(default_factory=dict)
    proposals: dict[str, ProposalView] = field(default_factory=dict)
    file: DecisionFile | None = None
    before: int = 0

    def nonce(self, what: str) -> int:
        """Return the treasury nonce that a payment carries."""
        nonce = self.proposals[what].treasury_nonce
        assert nonce is not None, "it pays from the treasury"
        return nonce

    def payment(self, what: str, amount: int) -> SpendEffect:
        """Return a payment from the reserve."""
        return SpendEffect(
            from_account=self.reserve,
            to_account=self.payees[what],
            unit=UNIT,
            amount=amount,
            memo=what.capitalize(),
        )


flow: Flow[Treasury] = Flow(
    name="c",
    title="A decision that is spent once",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Treasury,
    notebook="flow_c_treasury.ipynb",
    needs=frozenset({"pass_time"}),
    disturbs=frozenset({"clock"}),
)


@flow.prepare
async def a_period_begins(world: World, story: Treasury) -> None:
    """Felix, Harbor Homes' treasurer, opens the period's books with 48,000.00 in the reserve."""
    story.reserve = account_of(world, HARBOR, "reserve")
    story.payees = {what: f"{HARBOR}:vendor/{what}" for what in ("roof", "carpet", "gutters")}
    await open_period(world, account=story.reserve, unit=UNIT, amount=RESERVE, by=FELIX)


@flow.step("SPEND_DECIDED", say=SAY["SPEND_DECIDED"])
async def three_payments_in_a_week(world: World, story: Treasury) -> Evidence:
    """Rosa proposes three payments, each with the treasury's next number. One is rejected."""
    first = (await treasury_of(world, ROSA)).next_nonce
    for what, amount, choices in (
        ("roof", ROOF, YES),
        ("carpet", CARPET, NO),
        ("gutters", GUTTERS, YES),
    ):
        signed = await proposed(world, story, what, amount)
        story.proposals[what] = await opened(world, ROSA, signed)
        await vote(world, story.proposals[what], choices)
    await world.pass_time(days=VOTING_DAYS)
    for what, proposal in story.proposals.items():
        story.proposals[what] = await closed(world, ROSA, proposal)
    story.file = await file_of(world, ROSA, story.proposals["roof"])
    outcomes = {what: each.outcome for what, each in story.proposals.items()}
    return expect(
        verify_decision(story.file, genesis=world.genesis),
        same("roof", expected="accepted", actual=outcomes["roof"]),
        same("carpet", expected="rejected", actual=outcomes["carpet"]),
        same("gutters", expected="accepted", actual=outcomes["gutters"]),
        *(
            same(f"number of the {what}", expected=first + place, actual=story.nonce(what))
            for place, what in enumerate(story.proposals)
        ),
        proofs=[DecisionProof(story.file)],
        tallies={what: each.tally for what, each in story.proposals.items()},
    )


async def proposed(
    world: World, story: Treasury, what: str, amount: int, *, again: str = "", ahead: int = 0
) -> str:
    """Return Rosa's proposal to pay for something, signed.

    Args:
        world: where.
        story: which accounts.
        what: what is paid for.
        amount: how much.
        again: what tells it from an earlier one for the same.
        ahead: how far its treasury nonce is off the next one.
    """
    return await drafted(
        world,
        ROSA,
        story.payment(what, amount),
        proposal_id=f"{what}{again}-{label_of(world.run_id)}",
        title=what.capitalize(),
        text=f"{said(amount, UNIT)} from the reserve.",
        nonce_ahead=ahead,
    )


@flow.step("NONCE_SPENT", say=SAY["NONCE_SPENT"])
async def the_roof_is_paid(world: World, story: Treasury) -> Evidence:
    """A day later Felix pays the roof. Its number is used up; the carpet's is as well, unpaid."""
    await world.pass_time(days=WINDOW_DAYS)
    felix = voter(world, FELIX)
    story.before = await balance_of(felix, story.reserve, UNIT)
    before = await journal_head(felix)
    done = await executed(world, FELIX, story.proposals["roof"], story.payment("roof", ROOF))
    entry, file = done.entry, story.file
    assert entry is not None and file is not None, "a payment posts an entry, by a decision"
    taken = {each.nonce: each.state for each in (await treasury_of(world, FELIX)).nonces}
    return expect(
        same("the roof's number", expected="executed", actual=taken[story.nonce("roof")]),
        same("the carpet's number", expected="rejected", actual=taken[story.nonce("carpet")]),
        same("the gutters' number", expected="accepted", actual=taken[story.nonce("gutters")]),
        same("taken from the reserve", expected=-ROOF, actual=got(entry, story.reserve)),
        *caused_by(entry, file),
        proofs=[await proven(felix, entry, after=before), DecisionProof(file)],
        entry=entry,
    )


@flow.step("POSITION_MOVED_ONCE", say=SAY["POSITION_MOVED_ONCE"])
async def it_moves_once(world: World, story: Treasury) -> Evidence:
    """Felix sends the same request again. The reserve fell from 48,000.00 to 36,000.00, once."""
    felix = voter(world, FELIX)
    with refused(EffectExecuted) as no:
        await executed(world, FELIX, story.proposals["roof"], story.payment("roof", ROOF))
    after = await balance_of(felix, story.reserve, UNIT)
    touched = await entries_of(felix, HARBOR, account=story.reserve)
    return expect(
        no.check,
        same("before", expected=said(RESERVE, UNIT), actual=said(story.before, UNIT)),
        same("after", expected=said(RESERVE - ROOF, UNIT), actual=said(after, UNIT)),
        same(
            "entries that took from the reserve",
            expected=1,
            actual=sum(got(entry, story.reserve) < 0 for entry in touched),
        ),
        *whole(await sums_of(felix, HARBOR)),
        refusal=no.problem,
        entries=[entry.entry_id for entry in touched],
    )


@flow.step("USED_NONCE_REFUSED", adversarial=True, say=SAY["USED_NONCE_REFUSED"])
async def an_old_number(world: World, story: Treasury) -> Evidence:
    """Rosa proposes again with the roof's number; Felix pays the gutters with it. In vain."""
    used = story.nonce("roof")
    with refused(NonceUsed, nonce=used) as proposing:
        await opened(world, ROSA, await with_nonce(world, story, used))
    with refused(NonceUsed, nonce=used) as paying:
        await executed(
            world,
            FELIX,
            story.proposals["gutters"],
            story.payment("gutters", GUTTERS),
            nonce=used,
        )
    return expect(
        proposing.check,
        paying.check,
        await untouched(world, story),
        proposing=proposing.problem,
        paying=paying.problem,
    )


async def with_nonce(world: World, story: Treasury, nonce: int) -> str:
    """Return another proposal of Rosa's, signed with a treasury nonce that is not the next one."""
    ahead = nonce - (await treasury_of(world, ROSA)).next_nonce
    return await proposed(world, story, "carpet", CARPET, again=f"-{nonce}", ahead=ahead)


async def untouched(world: World, story: Treasury) -> Check:
    """Return the check that the reserve is what it was after the roof."""
    reserve = await balance_of(voter(world, FELIX), story.reserve, UNIT)
    return same("reserve", expected=said(RESERVE - ROOF, UNIT), actual=said(reserve, UNIT))


@flow.step("REJECTED_NONCE_REFUSED", adversarial=True, say=SAY["REJECTED_NONCE_REFUSED"])
async def a_number_that_failed(world: World, story: Treasury) -> Evidence:
    """Rosa proposes with the rejected carpet's number. Never paid, it is gone all the same."""
    gone = story.nonce("carpet")
    with refused(NonceUsed, nonce=gone) as no:
        await opened(world, ROSA, await with_nonce(world, story, gone))
    carpet = await seen(world, ROSA, story.proposals["carpet"])
    return expect(
        no.check,
        same("the carpet is", expected="rejected", actual=carpet.state),
        await untouched(world, story),
        refusal=no.problem,
    )


@flow.step("FUTURE_NONCE_REFUSED", adversarial=True, say=SAY["FUTURE_NONCE_REFUSED"])
async def a_number_to_come(world: World, story: Treasury) -> Evidence:
    """Rosa proposes with a number that is not due yet; Felix pays the gutters with one. In vain."""
    ahead = (await treasury_of(world, ROSA)).next_nonce + 1
    with refused(NonceFuture, nonce=ahead) as proposing:
        await opened(world, ROSA, await with_nonce(world, story, ahead))
    with refused(NonceFuture, nonce=ahead) as paying:
        await executed(
            world,
            FELIX,
            story.proposals["gutters"],
            story.payment("gutters", GUTTERS),
            nonce=ahead,
        )
    return expect(
        proposing.check,
        paying.check,
        await untouched(world, story),
        proposing=proposing.problem,
        paying=paying.problem,
    )


@flow.step("ALTERED_AMOUNT_REFUSED", adversarial=True, say=SAY["ALTERED_AMOUNT_REFUSED"])
async def a_cent_more(world: World, story: Treasury) -> Evidence:
    """Felix pays the gutters one cent too much, then to somebody else. Only as decided it goes."""
    gutters, decided = story.proposals["gutters"], story.payment("gutters", GUTTERS)
    more = decided.model_copy(update={"amount": GUTTERS + 1})
    with refused(EffectAltered, field="amount") as amount:
        await executed(world, FELIX, gutters, more)
    elsewhere = decided.model_copy(update={"to_account": story.payees["carpet"]})
    with refused(EffectAltered, field="to_account") as payee:
        await executed(world, FELIX, gutters, elsewhere)
    unmoved = await untouched(world, story)
    await executed(world, FELIX, gutters, decided)
    felix = voter(world, FELIX)
    left = await balance_of(felix, story.reserve, UNIT)
    return expect(
        amount.check,
        payee.check,
        unmoved,
        same(
            "paid as decided",
            expected=said(RESERVE - ROOF - GUTTERS, UNIT),
            actual=said(left, UNIT),
        ),
        *whole(await sums_of(felix, HARBOR)),
        a_cent_more=amount.problem,
        somebody_else=payee.problem,
    )
