"""How voting ends: counted, signed, open to challenge, and perhaps void.

The decision is made from rows: every signature was verified when its ballot was cast, so closing
only counts, hashes and signs. Source: ADR 0041.
"""

from __future__ import annotations

from dataclasses import replace

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance import rules
from nodeimpl.governance import store as tables
from nodeimpl.governance.assemblies import Assemblies, would_be
from nodeimpl.governance.ballots_store import Decided
from nodeimpl.governance.states import AssemblyState, Delegated, Missed, Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof import jws
from opkit.proof.ballots import (
    commitments_of,
    commitments_root,
    ids_hash,
    read_ballot,
    read_receipt,
)
from opkit.proof.checks import ProofError
from opkit.proof.decision import attested_of
from opkit.proof.governance import Counted
from opkit.wire import governance as wire
from opkit.wire.base import Jws, RecordId, TimeMs
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    BallotReceipt,
    Decision,
    Outcome,
)

EXPIRE = "governance.expire"
"""The kind of deadline at which what was accepted and not executed expires."""


class Deciding:
    """Closes votes in the assemblies whose home this node is."""

    def __init__(self, assemblies: Assemblies, *, timers: Timers) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._timers = timers
        timers.on(EXPIRE, self._expire)

    def close(
        self, tx: Tx, ask: wire.CloseProposal, caller: Caller | None, _: None
    ) -> wire.ProposalView:
        """Close voting and sign what was decided.

        Refuses: AssemblyNotYours, ProposalUnknown, then as `rules.judge_close` does.
        """
        mine = self._assemblies
        mine.own(ask.coop)
        mine.check_member(ask.coop, caller)
        self._timers.catch_up(tx)
        standing = mine.standing(tx, ask.coop, ask.proposal_id)
        rule = mine.said(standing).rule
        early = standing.state == "open" and rule.votes_final
        rules.judge_close(
            standing,
            rule=rule,
            counted=mine.count(tx, standing) if early else None,
            now_ms=tx.world_ms,
        )
        return mine.view(tx, self._decide(tx, standing))

    def cancel(
        self, tx: Tx, ask: wire.CancelProposal, caller: Caller | None, _: None
    ) -> wire.ProposalView:
        """Take a draft or an open proposal back.

        Refuses: ProposalUnknown, then as `rules.judge_cancel` does.
        """
        assert caller is not None, "the endpoint asks for a scope"
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        standing = mine.standing(tx, ask.coop, ask.proposal_id)
        rules.judge_cancel(standing, caller=caller.member_id, now_ms=tx.world_ms)
        if standing.state == "open":
            return mine.view(tx, self._decide(tx, standing, outcome="cancelled"))
        dropped = replace(standing, state="cancelled", outcome="cancelled", ended_ms=tx.world_ms)
        tables.put(tx, dropped)
        self._tell_cancelled(tx, dropped)
        return mine.view(tx, dropped)

    async def prove_missed(
        self, ask: wire.ChallengeDecision, caller: Caller | None
    ) -> Missed | str:
        """Verify a ballot and the receipt for it, beside the writer."""
        return self.read_missed(ask.ballot, ask.receipt)

    def challenge(
        self, tx: Tx, ask: wire.ChallengeDecision, caller: Caller | None, missed: Missed | str
    ) -> wire.ProposalView:
        """Void a decision whose tally misses a vote.

        Refuses: ProposalUnknown, then as `rules.judge_challenge` does.
        """
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        standing = mine.standing(tx, ask.coop, ask.proposal_id)
        fallen = self.void(tx, standing, missed, ballot=ask.ballot, receipt=ask.receipt)
        return mine.view(tx, fallen)

    def void(
        self, tx: Tx, standing: Standing, missed: Missed | str, *, ballot: Jws, receipt: Jws
    ) -> Standing:
        """Void a decision, or refuse as `rules.judge_challenge` does."""
        elector = cast = None
        if isinstance(missed, Missed) and standing.opened_ms is not None:
            member_id = missed.ballot.member_id
            elector = self._assemblies.electorate(tx, standing).get(member_id)
            cast = votes.get(tx, standing.hash, member_id)
        found = rules.judge_challenge(
            standing,
            missed=missed,
            elector=elector,
            keys=() if elector is None else (elector.did, self._assemblies.key_of(tx, elector)),
            cast=cast,
            votes_final=self._assemblies.said(standing).rule.votes_final,
            now_ms=tx.world_ms,
        )
        by = wire.VoidedBy(
            member_id=found.ballot.member_id,
            ballot=ballot,
            receipt=receipt,
            voided_ms=tx.world_ms,
        )
        fallen = rules.voided(standing, by)
        assert fallen.decision is not None, "what is voided was decided"
        tables.put(tx, fallen)
        self._timers.cancel(tx, kind=EXPIRE, key=deadline_of(fallen))
        tx.announce(
            wire.DecisionFell(
                coop=fallen.coop,
                proposal_id=fallen.proposal_id,
                proposal=fallen.hash,
                decision=fallen.decision,
                member_id=by.member_id,
                ballot=found.id,
            )
        )
        return fallen

    def read_missed(self, ballot: Jws, receipt: Jws) -> Missed | str:
        """Return what a ballot and a receipt for it show, or why they show nothing."""
        genesis = self._assemblies.genesis
        try:
            said = read_ballot(ballot, network=genesis.network)
            taken = read_receipt(receipt, genesis=genesis)
        except ProofError as bad:
            return bad.why
        ballot_id = jws.record_id(ballot)
        if (taken.ballot, taken.aud, taken.proposal) != (ballot_id, said.aud, said.proposal):
            return "the receipt is for another ballot"
        by_home = isinstance(taken, BallotReceipt)
        return Missed(ballot=said, id=ballot_id, by_home=by_home, world_ms=taken.world_ms)

    def _decide(self, tx: Tx, standing: Standing, *, outcome: Outcome | None = None) -> Standing:
        """Count, sign and keep how voting ended."""
        mine = self._assemblies
        rule = mine.said(standing).rule
        rows = votes.counted(tx, standing.hash)
        delegations = mine.delegations(tx, standing)
        choices = {member: choice for member, choice, _, _ in rows}
        counted = mine.counted(tx, standing, choices, delegations)
        assembly = mine.state(tx, standing.coop)
        commitments = commitments_of((ballot_id, salt) for _, _, ballot_id, salt in rows)
        decision = self._decision(
            standing,
            assembly=assembly,
            outcome=outcome or would_be(rule, counted),
            counted=counted,
            ballots_hash=ids_hash(ballot_id for _, _, ballot_id, _ in rows),
            delegations=delegations,
            root=commitments_root(commitments),
            now_ms=tx.world_ms,
        )
        decided = self._sign(decision, delegations, commitments=len(commitments), of=standing)
        closed = rules.closed(standing, decision, decided.hash)
        votes.put_decision(
            tx,
            coop=standing.coop,
            sequence=decision.sequence,
            proposal=standing.hash,
            decided=decided,
        )
        tables.put_assembly(
            tx, replace(assembly, decisions=decision.sequence, last_decision=decided.hash)
        )
        tables.put(tx, closed)
        self._tell(tx, closed, decision)
        return closed

    def _decision(
        self,
        standing: Standing,
        *,
        assembly: AssemblyState,
        outcome: Outcome,
        counted: Counted,
        ballots_hash: RecordId,
        delegations: list[Delegated],
        root: RecordId,
        now_ms: TimeMs,
    ) -> Decision:
        mine = self._assemblies
        rule = mine.said(standing).rule
        challenge_ends_ms = rules.challenge_end_of(rule, outcome=outcome, now_ms=now_ms)
        assert standing.opened_ms is not None and standing.closes_ms is not None, "it was opened"
        return Decision(
            network=mine.genesis.network,
            aud=standing.coop,
            did=mine.identity.did,
            sequence=assembly.decisions + 1,
            previous=assembly.last_decision,
            proposal_id=standing.proposal_id,
            proposal=standing.hash,
            kind=standing.kind,
            treasury_nonce=standing.treasury_nonce,
            rule=rule,
            electorate_hash=standing.electorate_hash,
            tally=counted.tally,
            ballots_hash=ballots_hash,
            delegations_hash=ids_hash(jws.record_id(each.delegation) for each in delegations),
            commitments_root=root,
            outcome=outcome,
            opened_ms=standing.opened_ms,
            closes_ms=standing.closes_ms,
            closed_ms=now_ms,
            challenge_ends_ms=challenge_ends_ms,
            executable_until_ms=challenge_ends_ms + EXECUTE_WITHIN_MS,
        )

    def _sign(
        self, decision: Decision, delegations: list[Delegated], *, commitments: int, of: Standing
    ) -> Decided:
        """Return a decision signed, with what leaves the coop of it."""
        mine = self._assemblies
        signed = jws.sign(decision, typ=DECISION_TYP, identity=mine.identity)
        said = mine.said(of)
        attested = attested_of(
            decision,
            cited=jws.record_id(signed),
            title=said.title,
            effect=said.effect,
            commitments=commitments,
        )
        return Decided(
            hash=jws.record_id(signed),
            signed=signed,
            attested=jws.sign(attested, typ=ATTESTED_DECISION_TYP, identity=mine.identity),
            delegations=tuple(each.delegation for each in delegations),
        )

    def _tell(self, tx: Tx, closed: Standing, decision: Decision) -> None:
        """Journal how voting ended, and set when what was accepted expires."""
        if decision.outcome == "cancelled":
            self._tell_cancelled(tx, closed)
            return
        assert closed.decision is not None, "what is closed was decided"
        tx.announce(
            wire.ProposalClosed(
                coop=closed.coop,
                proposal_id=closed.proposal_id,
                proposal=closed.hash,
                decision=closed.decision,
                outcome=decision.outcome,
                tally=decision.tally,
                challenge_ends_ms=decision.challenge_ends_ms,
            )
        )
        if closed.ended_ms is None:
            due_ms = decision.executable_until_ms
            self._timers.set(tx, kind=EXPIRE, key=deadline_of(closed), due_ms=due_ms)

    @staticmethod
    def _tell_cancelled(tx: Tx, cancelled: Standing) -> None:
        tx.announce(
            wire.ProposalCancelled(
                coop=cancelled.coop,
                proposal_id=cancelled.proposal_id,
                proposal=cancelled.hash,
                decision=cancelled.decision,
            )
        )

    def _expire(self, tx: Tx, key: str, due_ms: TimeMs) -> None:
        """Let expire what was accepted and not executed in time."""
        coop, _, hash_ = key.partition(" ")
        standing = tables.get(tx, coop, hash_)
        assert standing is not None and standing.decision is not None, "it was accepted"
        assert standing.state == "accepted", "whatever follows takes the deadline with it"
        tables.put(tx, replace(standing, state="expired", ended_ms=due_ms))
        tx.announce(
            wire.DecisionLapsed(
                coop=coop,
                proposal_id=standing.proposal_id,
                proposal=standing.hash,
                decision=standing.decision,
            )
        )


def deadline_of(standing: Standing) -> str:
    """Return the key of a proposal's deadline."""
    return f"{standing.coop} {standing.hash}"
