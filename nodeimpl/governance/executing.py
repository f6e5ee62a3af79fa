"""What was decided, done: once, exactly as decided, in the transaction that records that it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance import rules, states
from nodeimpl.governance import store as tables
from nodeimpl.governance.assemblies import Assemblies
from nodeimpl.governance.deciding import EXPIRE, deadline_of
from nodeimpl.governance.effects import altered, judge_same, judge_settlement, postings_of
from nodeimpl.governance.states import ENDED, Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.base import RecordId
from opkit.wire.ledger import Entry, Settle
from opkit.wire.membership import Member
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import (
    ConfigurationEffect,
    DistributionEffect,
    Effect,
    MembershipEffect,
    SpendEffect,
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What executing an effect brought about."""

    standing: Standing
    entry: Entry | None = None
    member: Member | None = None
    agreement: RecordId | None = None


class Executing:
    """Executes decisions of the assemblies whose home this node is."""

    def __init__(self, assemblies: Assemblies, *, timers: Timers) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._timers = timers

    def execute(
        self, tx: Tx, ask: wire.ExecuteProposal, caller: Caller | None, _: None
    ) -> wire.EffectDone:
        """Execute what was decided, unless it is text or a distribution.

        Refuses, in this order:
            AssemblyNotYours: the caller is no member of the coop.
            (the rest): as `EFFECT_REFUSALS` says, then what membership, agreements or the ledger
                refuse.
        """
        mine = self._assemblies
        standing = self._found(tx, ask.coop, ask.proposal_id, caller)
        if standing.kind == "text":
            raise no.EffectNone(proposal_id=standing.proposal_id)
        if standing.kind == "distribution":
            raise no.EffectOtherWay(kind=standing.kind, endpoint=wire.LEDGER_SETTLE.path)
        self._judge_decided(tx, standing)
        self._judge_nonce(tx, standing, ask.treasury_nonce)
        effect = mine.said(standing).effect
        judge_same(effect, ask.effect)
        if ask.decision is not None and ask.decision != standing.decision:
            raise altered("decision", decided=standing.decision, asked=ask.decision)
        rules.judge_window(standing, now_ms=tx.world_ms)
        done = self._do(tx, standing, effect, caller)
        after = done.standing
        assert after.decision is not None and after.executed_ms is not None, "it was executed"
        return wire.EffectDone(
            coop=after.coop,
            proposal_id=after.proposal_id,
            proposal=after.hash,
            decision=after.decision,
            kind=after.kind,
            executed_ms=after.executed_ms,
            entry=done.entry,
            member=done.member,
            agreement=done.agreement,
            rule=mine.state(tx, after.coop).rule,
        )

    def settle(self, tx: Tx, ask: Settle, caller: Caller | None, _: None) -> Entry:
        """Execute a distribution: all of its lines in one entry; refuses as `execute` does."""
        standing = self._found(tx, ask.coop, ask.proposal, caller)
        if standing.kind == "text":
            raise no.EffectNone(proposal_id=standing.proposal_id)
        if standing.kind != "distribution":
            raise no.EffectOtherWay(kind=standing.kind, endpoint=wire.EXECUTE_PROPOSAL.path)
        self._judge_decided(tx, standing)
        effect = self._assemblies.said(standing).effect
        assert isinstance(effect, DistributionEffect), "the kind is the effect's"
        judge_settlement(effect, ask)
        rules.judge_window(standing, now_ms=tx.world_ms)
        entry = self._do(tx, standing, effect, caller).entry
        assert entry is not None, "a distribution posts an entry"
        return entry

    def _found(self, tx: Tx, coop: str, proposal: str, caller: Caller | None) -> Standing:
        mine = self._assemblies
        mine.own(coop)
        mine.check_member(coop, caller)
        self._timers.catch_up(tx)
        return mine.standing(tx, coop, proposal)

    @staticmethod
    def _judge_decided(tx: Tx, standing: Standing) -> None:
        """Return if a proposal was accepted and waits for its effect."""
        states.check("execute", standing)
        rules.judge_due(standing, now_ms=tx.world_ms)

    def _judge_nonce(self, tx: Tx, standing: Standing, asked: int | None) -> None:
        other = None if asked is None else tables.by_nonce(tx, standing.coop, asked)
        rules.judge_nonce(
            standing,
            asked=asked,
            next_nonce=self._assemblies.state(tx, standing.coop).next_nonce,
            ended=other is not None and other.state in ENDED,
        )

    def _do(self, tx: Tx, standing: Standing, effect: Effect, caller: Caller | None) -> Done:
        """Have the effect, and record that it was had."""
        assert standing.decision is not None, "what was accepted was decided"
        assert caller is not None, "the endpoint asks for a scope"
        entry = member = agreement = None
        if isinstance(effect, SpendEffect | DistributionEffect):
            entry = self._assemblies.ledger.post_decided(
                tx,
                coop=standing.coop,
                entry_id=f"decision:{standing.decision}",
                postings=postings_of(effect),
                memo=effect.memo or standing.title,
                decision=standing.decision,
                by=caller.member_id,
            )
        elif isinstance(effect, MembershipEffect):
            member = self._assemblies.members.decide(
                tx, effect, proposal=standing.hash, decision=standing.decision
            )
        elif isinstance(effect, AgreementEffect):
            agreement = self._agree(tx, standing, effect)
        else:
            assert isinstance(effect, ConfigurationEffect), "text is not executed"
            self._configure(tx, standing, effect)
        after = replace(
            standing,
            state="executed",
            executed_ms=tx.world_ms,
            ended_ms=tx.world_ms,
            entry=entry.hash if entry else None,
        )
        tables.put(tx, after)
        self._timers.cancel(tx, kind=EXPIRE, key=deadline_of(standing))
        tx.announce(
            wire.EffectApplied(
                coop=standing.coop,
                proposal_id=standing.proposal_id,
                proposal=standing.hash,
                decision=standing.decision,
                kind=standing.kind,
                treasury_nonce=standing.treasury_nonce,
                entry=after.entry,
            )
        )
        return Done(standing=after, entry=entry, member=member, agreement=agreement)

    def _agree(self, tx: Tx, standing: Standing, effect: AgreementEffect) -> RecordId:
        decided = votes.get_decision(tx, standing.hash)
        assert decided is not None, "what was accepted was decided"
        return self._assemblies.agreements.decided(
            tx,
            effect,
            coop=standing.coop,
            decision=decided.signed,
            attested=decided.attested,
        )

    def _configure(self, tx: Tx, standing: Standing, effect: ConfigurationEffect) -> None:
        mine = self._assemblies
        decision = standing.decision
        assert decision is not None, "what was accepted was decided"
        if effect.rule is not None:
            assembly = mine.state(tx, standing.coop)
            rule = rules.changed_rule(assembly.rule, effect.rule, decision=decision)
            tables.put_assembly(tx, replace(assembly, rule=rule))
        for each in effect.accounts:
            mine.ledger.configure(
                tx,
                coop=standing.coop,
                account=each.account,
                unit=each.unit,
                floor=each.floor,
                closed=each.closed,
                decision=decision,
            )
