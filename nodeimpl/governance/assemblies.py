"""Assemblies as they stand: whose home is here, by what they decide, who votes, what is told.

What has a hash never changes, so an electorate and a proposal that were read are kept at hand: ten
thousand ballots are judged by one of each.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Generic, TypeVar

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance import store as tables
from nodeimpl.governance.ports import Agreements, Ledger, Members
from nodeimpl.governance.states import AssemblyState, Delegated, Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.proof.governance import Counted, charter_rule, count, is_elector, result_of
from opkit.proof.keys import Identity
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.base import Did, MemberId, RecordId, Slug
from opkit.wire.genesis import Charter
from opkit.wire.votes import NO_DECISION, Choice, Elector, Outcome, Proposal, Rule

AT_HAND_MAX = 8
"""How many electorates, and how many proposals, are kept at hand."""

T = TypeVar("T")


class AtHand(Generic[T]):
    """The values that were asked for last, by their hash; writer and readers share them."""

    def __init__(self) -> None:
        """Hold none yet."""
        self._held: OrderedDict[RecordId, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: RecordId, make: Callable[[], T]) -> T:
        """Return a value, made anew if it is not at hand."""
        with self._lock:
            found = self._held.get(name)
            if found is not None:
                self._held.move_to_end(name)
                return found
        made = make()
        with self._lock:
            self._held[name] = made
            if len(self._held) > AT_HAND_MAX:
                self._held.popitem(last=False)
        return made


class Assemblies:
    """The assemblies whose home this node is.

    Attributes:
        identity: the node's own key.
        genesis: its network's.
        members: what membership does for governance; `ledger` what the ledger does; `agreements`
            what agreements do.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        genesis: GenesisView,
        members: Members,
        ledger: Ledger,
        agreements: Agreements,
    ) -> None:
        """Join the parts."""
        self.identity = identity
        self.genesis = genesis
        self.members = members
        self.ledger = ledger
        self.agreements = agreements
        self._electorates: AtHand[dict[MemberId, Elector]] = AtHand()
        self._proposals: AtHand[Proposal] = AtHand()

    def own(self, coop: str) -> Charter:
        """Return the charter of a coop whose home this node is.

        Refuses, in this order:
            AssemblyUnknown: there is no such coop.
            AssemblyElsewhere: another node is its home.
        """
        charter = self.genesis.charter(coop)
        if charter is None:
            raise no.AssemblyUnknown(coop=coop)
        if charter.home_node != self.identity.did:
            raise no.AssemblyElsewhere(coop=coop, home=charter.home_node)
        return charter

    def check_member(self, coop: str, caller: Caller | None) -> None:
        """Return if the caller is a member of a coop. Refuses: AssemblyNotYours."""
        assert caller is not None, "the endpoint asks for a scope"
        if caller.member_id.partition("/")[0] != coop:
            raise no.AssemblyNotYours(coop=coop)

    def check_roll_call(self, tx: Tx, coop: str, caller: Caller | None) -> None:
        """Return if the caller may know how a coop's members voted: if they vote there themselves.

        Who is a coop's member to audit it, or as its guest, is no elector.

        Refuses: RollCallNotYours.
        """
        assert caller is not None, "the endpoint asks for a scope"
        member = self.members.member(tx, caller.member_id)
        if member is None or not is_elector(member, coop):
            raise no.RollCallNotYours(coop=coop)

    def state(self, tx: Tx, coop: Slug) -> AssemblyState:
        """Return how an assembly stands."""
        known = tables.get_assembly(tx, coop)
        return known or AssemblyState(
            coop=coop,
            rule=charter_rule(self.own(coop)),
            next_nonce=1,
            decisions=0,
            last_decision=NO_DECISION,
        )

    def standing(self, tx: Tx, coop: Slug, proposal: str) -> Standing:
        """Return a proposal by its id or its hash. Refuses: ProposalUnknown."""
        found = tables.get(tx, coop, proposal)
        if found is None:
            raise no.ProposalUnknown(proposal=proposal)
        return found

    def said(self, standing: Standing) -> Proposal:
        """Return what a proposal says; it was verified before it was kept."""
        return self._proposals.get(
            standing.hash,
            lambda: Proposal.model_validate(jws.reread(standing.signed), strict=False),
        )

    def electorate(self, tx: Tx, standing: Standing) -> dict[MemberId, Elector]:
        """Return who may vote on a proposal, as it was fixed when voting opened."""

        def make() -> dict[MemberId, Elector]:
            electors = tables.get_electorate(tx, standing.electorate_hash)
            return {each.member_id: each for each in electors}

        return self._electorates.get(standing.electorate_hash, make)

    def key_of(self, tx: Tx, elector: Elector) -> Did:
        """Return the key that an elector signs with now: of the opening, or what replaced it."""
        member = self.members.member(tx, elector.member_id)
        return elector.did if member is None else member.did

    def count(self, tx: Tx, standing: Standing) -> Counted:
        """Return how the votes on a proposal count now."""
        choices = {member: choice for member, choice, _, _ in votes.counted(tx, standing.hash)}
        return self.counted(tx, standing, choices, self.delegations(tx, standing))

    def counted(
        self,
        tx: Tx,
        standing: Standing,
        choices: Mapping[MemberId, Choice],
        delegations: Iterable[Delegated],
    ) -> Counted:
        """Return how these votes on a proposal count."""
        return count(
            self.electorate(tx, standing).keys(),
            ballots=choices,
            delegations={each.member_id: each.to for each in delegations if each.to is not None},
        )

    def delegations(self, tx: Tx, standing: Standing) -> list[Delegated]:
        """Return the delegations that count on a proposal, by member: those of its electors.

        One by a key that was replaced before voting opened counts no more than a ballot would.
        """
        electorate = self.electorate(tx, standing)
        found = []
        for each in votes.standing(tx, standing.coop):
            elector = electorate.get(each.member_id)
            if elector and each.did in (elector.did, self.key_of(tx, elector)):
                found.append(each)
        return found

    # What is told.

    def assembly(
        self, tx: Tx, ask: wire.AskAssembly, caller: Caller | None, _: None
    ) -> wire.Assembly:
        """Answer how an assembly stands. Refuses: AssemblyUnknown, AssemblyElsewhere."""
        self.own(ask.coop)
        state = self.state(tx, ask.coop)
        hash_, electors = self.members.electorate(tx, ask.coop)
        begin = bisect_right(electors, ask.after, key=attrgetter("member_id"))
        page = electors[begin : begin + ask.electors_max]
        more = page and begin + len(page) < len(electors)
        return wire.Assembly(
            coop=ask.coop,
            home=self.identity.did,
            rule=state.rule,
            electorate_hash=hash_,
            electors=len(electors),
            page=page,
            next_after=page[-1].member_id if more else "",
            next_nonce=state.next_nonce,
            decisions=state.decisions,
            last_decision=state.last_decision,
            world_ms=tx.world_ms,
        )

    def treasury(
        self, tx: Tx, ask: wire.AskTreasury, caller: Caller | None, _: None
    ) -> wire.Treasury:
        """Answer how a treasury stands. Refuses: AssemblyUnknown, AssemblyElsewhere."""
        self.own(ask.coop)
        taken = tuple(
            wire.NonceTaken(
                nonce=each.treasury_nonce or 0,
                proposal_id=each.proposal_id,
                proposal=each.hash,
                state=each.state,
            )
            for each in tables.nonces(tx, ask.coop)
        )
        return wire.Treasury(
            coop=ask.coop,
            next_nonce=self.state(tx, ask.coop).next_nonce,
            nonces=taken,
            accounts=self.ledger.treasury(tx, ask.coop),
            world_ms=tx.world_ms,
        )

    def view(self, tx: Tx, standing: Standing) -> wire.ProposalView:
        """Return a proposal as it is told whole."""
        said = self.said(standing)
        counted = self.count(tx, standing) if standing.state == "open" else None
        tally = counted.tally if counted else standing.cast_so_far
        return wire.ProposalView(
            **{**line_of(standing).model_dump(), "tally": tally},
            text=said.text,
            effect=said.effect,
            rule=said.rule,
            electorate_hash=said.electorate_hash,
            electors=said.electors,
            signed=standing.signed,
            would_be=standing.outcome or (would_be(said.rule, counted) if counted else "no-quorum"),
            outcome=standing.outcome,
            executed_ms=standing.executed_ms,
            entry=standing.entry,
            voided_by=standing.voided_by,
            world_ms=tx.world_ms,
        )


def would_be(rule: Rule, counted: Counted) -> Outcome:
    """Return what a tally would decide."""
    return result_of(
        counted,
        quorum_percent=rule.quorum_percent,
        approval_percent=rule.approval_percent,
    )


def line_of(standing: Standing) -> wire.ProposalLine:
    """Return a proposal as it is told in a list."""
    return wire.ProposalLine(
        coop=standing.coop,
        proposal_id=standing.proposal_id,
        proposal=standing.hash,
        member_id=standing.member_id,
        title=standing.title,
        kind=standing.kind,
        state=standing.state,
        treasury_nonce=standing.treasury_nonce,
        drafted_ms=standing.drafted_ms,
        opened_ms=standing.opened_ms,
        closes_ms=standing.closes_ms,
        closed_ms=standing.closed_ms,
        challenge_ends_ms=standing.challenge_ends_ms,
        executable_until_ms=standing.executable_until_ms,
        ended_ms=standing.ended_ms,
        tally=standing.cast_so_far,
        decision=standing.decision,
    )
