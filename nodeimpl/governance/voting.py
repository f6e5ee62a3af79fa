"""Votes as they come: each is judged by the electorate of the opening and answered by a receipt."""

from __future__ import annotations

import secrets

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance import rules
from nodeimpl.governance import store as tables
from nodeimpl.governance.assemblies import Assemblies
from nodeimpl.governance.states import Cast, Delegated, Signed, Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof import jws
from opkit.proof.ballots import (
    commitment_of,
    read_ballot,
    read_delegation,
    sign_ballot_receipt,
)
from opkit.proof.checks import ProofError
from opkit.wire import governance as wire
from opkit.wire.base import Jws, MemberId, Slug, TimeMs
from opkit.wire.votes import ELECTORATE_MAX, Ballot, BallotReceipt, Choice, Delegation


class Voting:
    """Counts ballots and delegations in the assemblies whose home this node is."""

    def __init__(self, assemblies: Assemblies, *, timers: Timers) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._timers = timers

    async def prove(self, ask: wire.CastVote, caller: Caller | None) -> Signed[Ballot]:
        """Verify a ballot, beside the writer."""
        return self.read(ask.ballot)

    def read(self, token: Jws) -> Signed[Ballot]:
        """Return a ballot as it was read."""
        try:
            said = read_ballot(token, network=self._assemblies.genesis.network)
        except ProofError as bad:
            return Signed(token=token, why=bad.why)
        return Signed(token=token, id=jws.record_id(token), payload=said)

    def cast(
        self, tx: Tx, ask: wire.CastVote, caller: Caller | None, signed: Signed[Ballot]
    ) -> wire.VoteCounted:
        """Count a ballot, whoever brings it: its signature says whose it is.

        Refuses: ProposalUnknown, then as `rules.judge_ballot` does.
        """
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        return self.take(tx, mine.standing(tx, ask.coop, ask.proposal_id), signed)

    def take(
        self, tx: Tx, standing: Standing, signed: Signed[Ballot], *, at_ms: TimeMs | None = None
    ) -> wire.VoteCounted:
        """Count a ballot on a proposal; refuses as `rules.judge_ballot` does.

        Args:
            at_ms: when another node was given it; now, if none was.
        """
        mine = self._assemblies
        elector = cast = None
        if signed.payload is not None and standing.opened_ms is not None:
            elector = mine.electorate(tx, standing).get(signed.payload.member_id)
            cast = votes.get(tx, standing.hash, signed.payload.member_id)
        said = rules.judge_ballot(
            signed,
            standing=standing,
            elector=elector,
            did=mine.key_of(tx, elector) if elector else None,
            cast=cast,
            votes_final=mine.said(standing).rule.votes_final,
            now_ms=tx.world_ms if at_ms is None else min(at_ms, tx.world_ms),
        )
        if said is None:
            assert cast is not None, "a vote that is counted stands"
            return _answer(standing, cast)
        counted = self._signed(tx, said, signed)
        self._keep(tx, standing, counted, before=cast.choice if cast else None)
        return _answer(standing, counted)

    def votes(self, tx: Tx, ask: wire.ListVotes, caller: Caller | None, _: None) -> wire.VotePage:
        """Answer how a coop's members voted, to those of them who vote.

        Refuses: RollCallNotYours, ProposalUnknown.
        """
        mine = self._assemblies
        mine.own(ask.coop)
        mine.check_roll_call(tx, ask.coop, caller)
        standing = mine.standing(tx, ask.coop, ask.proposal_id)
        if standing.opened_ms is None:
            return wire.VotePage(coop=ask.coop, proposal=standing.hash, votes=(), next_after="")
        voices = mine.count(tx, standing).voices
        later = [member for member in voices if member > ask.after]
        page = later[: ask.votes_max]
        return wire.VotePage(
            coop=ask.coop,
            proposal=standing.hash,
            votes=tuple(self._vote(tx, standing, member, voices[member].voter) for member in page),
            next_after=page[-1] if len(later) > len(page) else "",
        )

    async def prove_delegation(
        self, ask: wire.Delegate, caller: Caller | None
    ) -> Signed[Delegation]:
        """Verify a delegation, beside the writer."""
        token = ask.delegation
        try:
            said = read_delegation(token, network=self._assemblies.genesis.network)
        except ProofError as bad:
            return Signed(token=token, why=bad.why)
        return Signed(token=token, id=jws.record_id(token), payload=said)

    def delegate(
        self, tx: Tx, ask: wire.Delegate, caller: Caller | None, signed: Signed[Delegation]
    ) -> wire.DelegationView:
        """Let a delegation stand; refuses as `rules.judge_delegation` does."""
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        said = signed.payload
        known = member = to = None
        if said is not None and said.aud == ask.coop:
            known = votes.get_delegation(tx, ask.coop, said.member_id)
            member = mine.members.member(tx, said.member_id)
            to = mine.members.member(tx, said.to) if said.to else None
        judged = rules.judge_delegation(
            signed,
            coop=ask.coop,
            member=member,
            to=to,
            standing=known,
            leads_back=said is not None and self._leads_back(tx, ask.coop, said),
        )
        if judged is None:
            assert known is not None, "it stands already"
            return _delegation(ask.coop, known)
        delegated = Delegated(
            member_id=judged.member_id,
            to=judged.to,
            sequence=judged.sequence,
            did=judged.did,
            delegation=signed.token,
            set_ms=tx.world_ms,
        )
        votes.put_delegation(tx, ask.coop, delegated)
        tx.announce(
            wire.DelegationSet(
                coop=ask.coop,
                member_id=delegated.member_id,
                to=delegated.to,
                sequence=delegated.sequence,
            )
        )
        return _delegation(ask.coop, delegated)

    def delegations(
        self, tx: Tx, ask: wire.ListDelegations, caller: Caller | None, _: None
    ) -> wire.DelegationPage:
        """Answer a page of the delegations that stand."""
        self._assemblies.own(ask.coop)
        found = votes.page_of_delegations(
            tx, ask.coop, after=ask.after, count_max=ask.delegations_max + 1
        )
        page = found[: ask.delegations_max]
        return wire.DelegationPage(
            coop=ask.coop,
            delegations=tuple(_delegation(ask.coop, each) for each in page),
            next_after=page[-1].member_id if len(found) > len(page) else "",
        )

    def _signed(self, tx: Tx, said: Ballot, signed: Signed[Ballot]) -> Cast:
        """Return a ballot with the receipt for it."""
        salt = secrets.token_hex(16)
        receipt = BallotReceipt(
            network=said.network,
            aud=said.aud,
            did=self._assemblies.identity.did,
            proposal=said.proposal,
            member_id=said.member_id,
            ballot=signed.id,
            sequence=said.sequence,
            salt=salt,
            received_ms=tx.now_ms,
            world_ms=tx.world_ms,
        )
        return Cast(
            member_id=said.member_id,
            choice=said.choice,
            sequence=said.sequence,
            id=signed.id,
            did=said.did,
            ballot=signed.token,
            salt=salt,
            receipt=sign_ballot_receipt(receipt, self._assemblies.identity),
            cast_ms=tx.world_ms,
        )

    def _keep(self, tx: Tx, standing: Standing, cast: Cast, *, before: Choice | None) -> None:
        """Keep a ballot instead of the member's one before, and journal it."""
        votes.put(tx, standing.hash, cast)
        tables.put_votes(tx, rules.with_vote(standing, before=before, after=cast.choice))
        tx.announce(
            wire.VoteCast(
                coop=standing.coop,
                proposal_id=standing.proposal_id,
                proposal=standing.hash,
                member_id=cast.member_id,
                sequence=cast.sequence,
                commitment=commitment_of(cast.id, cast.salt),
            )
        )

    def _vote(self, tx: Tx, standing: Standing, member: MemberId, voter: MemberId) -> wire.Vote:
        cast = votes.get(tx, standing.hash, voter)
        assert cast is not None, "who is counted by a ballot cast it"
        return wire.Vote(
            member_id=member,
            choice=cast.choice,
            through=None if voter == member else voter,
            sequence=cast.sequence,
            ballot=cast.ballot,
            cast_ms=cast.cast_ms,
        )

    def _leads_back(self, tx: Tx, coop: Slug, said: Delegation) -> bool:
        """Return whether following a delegation leads back to who makes it."""
        at = said.to
        for _ in range(ELECTORATE_MAX):
            if at is None or at == said.member_id:
                break
            further = votes.get_delegation(tx, coop, at)
            at = further.to if further else None
        return at is not None


def _answer(standing: Standing, cast: Cast) -> wire.VoteCounted:
    return wire.VoteCounted(
        coop=standing.coop,
        proposal=standing.hash,
        member_id=cast.member_id,
        choice=cast.choice,
        sequence=cast.sequence,
        ballot=cast.id,
        receipt=cast.receipt,
    )


def _delegation(coop: Slug, delegated: Delegated) -> wire.DelegationView:
    return wire.DelegationView(
        coop=coop,
        member_id=delegated.member_id,
        to=delegated.to,
        sequence=delegated.sequence,
        set_ms=delegated.set_ms,
        delegation=delegated.delegation,
    )
