"""What the flows that decide share: proposing, voting, closing, and reading what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from opkit.proof import jws
from opkit.proof.ballots import make_ballot, read_ballot_receipt
from opkit.proof.checks import Check, Verdict, attempt, equal
from opkit.proof.governance import YES
from opkit.proof.proposals import sign_proposal
from opkit.story import World, same
from opkit.wire.governance import (
    CAST_VOTE,
    CLOSE_PROPOSAL,
    EXECUTE_PROPOSAL,
    PROPOSE,
    READ_ASSEMBLY,
    READ_DECISION,
    READ_PROPOSAL,
    READ_TREASURY,
    AskAssembly,
    AskDecision,
    AskTreasury,
    CastVote,
    CloseProposal,
    EffectDone,
    ExecuteProposal,
    ProposalView,
    Propose,
    ReadProposal,
    Treasury,
    VoteCounted,
)
from opkit.wire.votes import (
    BALLOT_TYP,
    TREASURY_KINDS,
    Ballot,
    Choice,
    Decision,
    DecisionFile,
    Effect,
    Proposal,
    Tally,
)

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.keys import Identity
    from opkit.wire.base import Jws, MemberId, RecordId, Slug

DAY_MS = 86_400_000

VOTING_DAYS = 7
"""How long the demo world's assemblies vote."""

WINDOW_DAYS = 1
"""How long an effect waits after that, for whoever can show a vote that was not counted."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A vote as a member signed it, and what the home node answered."""

    ballot: Jws
    counted: VoteCounted


def voter(world: World, member_id: MemberId) -> NodeClient:
    """Return a member's client of their own cooperative's node."""
    return world.client(assembly_in(member_id), member_id)


def assembly_in(member_id: MemberId) -> Slug:
    """Return the assembly that a member belongs to: their coop's."""
    return member_id.split("/")[0]


async def drafted(
    world: World,
    by: MemberId,
    effect: Effect,
    *,
    proposal_id: Slug,
    title: str,
    text: str,
    nonce_ahead: int = 0,
) -> Jws:
    """Return a proposal, signed by a member, that states the assembly as it stands now.

    Args:
        world: where.
        by: who proposes; the assembly is that of their coop.
        effect: what shall happen.
        proposal_id: its id in the assembly, for good.
        title: in a few words.
        text: in some more.
        nonce_ahead: how far the treasury nonce is off the next one, on purpose.
    """
    coop, client = assembly_in(by), voter(world, by)
    stands = await client.call(READ_ASSEMBLY, AskAssembly(coop=coop))
    treasury = effect.kind in TREASURY_KINDS
    proposal = Proposal(
        network=world.genesis.network,
        aud=coop,
        did=world.member(by).did,
        member_id=by,
        proposal_id=proposal_id,
        title=title,
        text=text,
        effect=effect,
        treasury_nonce=stands.next_nonce + nonce_ahead if treasury else None,
        rule=stands.rule,
        electorate_hash=stands.electorate_hash,
        electors=stands.electors,
        issued_at_ms=client.now_ms(),
    )
    return sign_proposal(proposal, world.member(by))


async def opened(world: World, by: MemberId, signed: Jws) -> ProposalView:
    """Put a signed proposal before the assembly, open for voting."""
    ask = Propose(coop=assembly_in(by), proposal=signed)
    return await voter(world, by).call(PROPOSE, ask)


async def seen(world: World, by: MemberId, proposal: ProposalView) -> ProposalView:
    """Return a proposal as it stands now."""
    ask = ReadProposal(coop=proposal.coop, proposal_id=proposal.proposal_id)
    return await voter(world, by).call(READ_PROPOSAL, ask)


def ballot_of(
    world: World, member_id: MemberId, proposal: RecordId, choice: Choice, *, sequence: int = 1
) -> Jws:
    """Return a member's vote, signed with their own key."""
    return make_ballot(
        world.member(member_id),
        network=world.genesis.network,
        member_id=member_id,
        proposal=proposal,
        choice=choice,
        sequence=sequence,
        at_ms=voter(world, member_id).now_ms(),
    )


async def hand_in(client: NodeClient, proposal: ProposalView, ballot: Jws) -> VoteCounted:
    """Bring a ballot to the node behind `client`, whoever signed it."""
    ask = CastVote(coop=proposal.coop, proposal_id=proposal.proposal_id, ballot=ballot)
    return await client.call(CAST_VOTE, ask)


async def vote(
    world: World, proposal: ProposalView, choices: Mapping[MemberId, Choice]
) -> dict[MemberId, Cast]:
    """Have members vote, each with their own key at their own node, in this order."""
    cast = {}
    for member_id, choice in choices.items():
        ballot = ballot_of(world, member_id, proposal.proposal, choice)
        counted = await hand_in(voter(world, member_id), proposal, ballot)
        cast[member_id] = Cast(ballot=ballot, counted=counted)
    return cast


def forged_ballot(
    world: World, identity: Identity, member_id: MemberId, proposal: ProposalView
) -> Jws:
    """Return a yes to a proposal in a member's name by any key, as no honest client signs it."""
    ballot = Ballot(
        network=world.genesis.network,
        aud=proposal.coop,
        did=identity.did,
        member_id=member_id,
        proposal=proposal.proposal,
        choice=YES,
        sequence=1,
        issued_at_ms=world.client(proposal.coop, None).now_ms(),
    )
    return jws.sign(ballot, typ=BALLOT_TYP, identity=identity)


def receipts_hold(world: World, proposal: ProposalView, cast: Mapping[MemberId, Cast]) -> Verdict:
    """Return the verdict that each vote is acknowledged by the home node, by name and hash."""
    checks = []
    for member_id, each in cast.items():
        receipt, check = attempt(
            f"receipt of {member_id}",
            partial(read_ballot_receipt, each.counted.receipt, genesis=world.genesis),
        )
        checks.append(check)
        if receipt is not None:
            ballot = (member_id, jws.record_id(each.ballot), proposal.proposal)
            named = (receipt.member_id, receipt.ballot, receipt.proposal)
            checks.append(equal(f"and the ballot of {member_id}", expected=ballot, actual=named))
    return Verdict(subject="receipts of ballots", checks=tuple(checks), anchored=True)


def tally_is(tally: Tally, *, yes: int, no: int, electorate: int) -> list[Check]:
    """Return the checks that a tally is this, and nothing else was counted."""
    return [
        same("votes for it", expected=yes, actual=tally.yes),
        same("votes against it", expected=no, actual=tally.no),
        same("who took part", expected=yes + no, actual=tally.cast),
        same("of how many", expected=electorate, actual=tally.electorate),
    ]


async def closed(world: World, by: MemberId, proposal: ProposalView) -> ProposalView:
    """Close the voting, and return the proposal as it was counted."""
    ask = CloseProposal(coop=proposal.coop, proposal_id=proposal.proposal_id)
    return await voter(world, by).call(CLOSE_PROPOSAL, ask)


async def executed(
    world: World,
    by: MemberId,
    proposal: ProposalView,
    effect: Effect,
    *,
    nonce: int | None = None,
) -> EffectDone:
    """Execute what was decided, repeating it.

    Args:
        world: where.
        by: who asks for it.
        proposal: the one that was decided.
        effect: what is to be done: what was decided, or something else on purpose.
        nonce: the treasury nonce to state; the proposal's own unless said.
    """
    ask = ExecuteProposal(
        coop=proposal.coop,
        proposal_id=proposal.proposal_id,
        decision=proposal.decision,
        effect=effect,
        treasury_nonce=proposal.treasury_nonce if nonce is None else nonce,
    )
    return await voter(world, by).call(EXECUTE_PROPOSAL, ask)


async def file_of(world: World, by: MemberId, proposal: ProposalView) -> DecisionFile:
    """Return the file of a decision with every vote, as a member of the coop may have it."""
    ask = AskDecision(coop=proposal.coop, proposal_id=proposal.proposal_id)
    answer = await voter(world, by).call(READ_DECISION, ask)
    return DecisionFile.model_validate_json(answer.file)


async def treasury_of(world: World, by: MemberId) -> Treasury:
    """Return how the treasury of a member's assembly stands."""
    return await voter(world, by).call(READ_TREASURY, AskTreasury(coop=assembly_in(by)))


async def decide(
    world: World, by: MemberId, signed: Jws, choices: Mapping[MemberId, Choice]
) -> ProposalView:
    """Open a proposal, have members vote, let the week pass, close it."""
    proposal = await opened(world, by, signed)
    await vote(world, proposal, choices)
    await world.pass_time(days=VOTING_DAYS)
    return await closed(world, by, proposal)


def decision_in(file: DecisionFile) -> Decision:
    """Return what the decision of a file says; nothing of it is verified here."""
    return Decision.model_validate(jws.peek(file.decision).payload, strict=False)


def without(file: DecisionFile, member_id: MemberId) -> DecisionFile:
    """Return a copy of a decision's file from which one member's ballot is missing."""
    left = tuple(
        each for each in file.ballots if jws.peek(each.ballot).payload["member_id"] != member_id
    )
    return file.model_copy(update={"ballots": left})


def all_yes(*members: MemberId) -> dict[MemberId, Choice]:
    """Return the vote in which all of these say yes."""
    return dict.fromkeys(members, YES)
