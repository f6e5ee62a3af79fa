"""Proposals on their way to a vote: put before the assembly, opened, listed and shown."""

from __future__ import annotations

from dataclasses import replace

from nodeimpl.governance import rules, states
from nodeimpl.governance import store as tables
from nodeimpl.governance.assemblies import Assemblies, line_of
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.states import AssemblyState, Signed, Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.proposals import read_proposal
from opkit.wire import governance as wire
from opkit.wire.base import SAFE_INT_MAX, Jws, RecordId
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import Elector, Proposal


class Proposing:
    """Puts proposals before the assemblies whose home this node is."""

    def __init__(self, assemblies: Assemblies, *, timers: Timers, limits: Limits) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._timers = timers
        self._limits = limits

    async def prove(self, ask: wire.Propose, caller: Caller | None) -> Signed[Proposal]:
        """Verify a proposal, beside the writer."""
        return self.read(ask.proposal)

    def read(self, token: Jws) -> Signed[Proposal]:
        """Return a proposal as it was read."""
        try:
            said = read_proposal(token, network=self._assemblies.genesis.network)
        except ProofError as bad:
            return Signed(token=token, why=bad.why)
        return Signed(token=token, id=jws.record_id(token), payload=said)

    def propose(
        self, tx: Tx, ask: wire.Propose, caller: Caller | None, signed: Signed[Proposal]
    ) -> wire.ProposalView:
        """Put a proposal before its assembly, and open it if that is asked.

        The very same again is answered as it stands. Refuses as `rules.judge_proposal`, then what
        could not be done about an agreement, and, if it is to be opened, as `rules.judge_opening`;
        a draft is refused where there is no room.
        """
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        known = None
        proposer = None
        if signed.payload is not None:
            known = tables.get(tx, ask.coop, signed.payload.proposal_id)
            proposer = mine.members.member(tx, signed.payload.member_id)
        said = rules.judge_proposal(signed, coop=ask.coop, proposer=proposer, standing=known)
        if known is not None and known.hash == signed.id:
            return mine.view(tx, known)
        self._judge_agreement(tx, said)
        draft = self._draft(tx, signed, said, known)
        if not ask.open_now:
            rules.judge_room(
                under_way=tables.under_way(tx, ask.coop) - (known is not None),
                under_way_of_member=tables.under_way_of(tx, ask.coop, said.member_id)
                - (known is not None),
                limits=self._limits,
            )
            tables.put(tx, draft)
            tx.announce(
                wire.ProposalDrafted(
                    coop=draft.coop,
                    proposal_id=draft.proposal_id,
                    proposal=draft.hash,
                    member_id=draft.member_id,
                    kind=draft.kind,
                    title=draft.title,
                )
            )
            return mine.view(tx, draft)
        return mine.view(tx, self._open(tx, draft, said, counts=known is not None))

    def open(
        self, tx: Tx, ask: wire.OpenProposal, caller: Caller | None, _: None
    ) -> wire.ProposalView:
        """Open a draft for voting.

        Refuses, in this order:
            ProposalUnknown, ProposalNotYours, ProposalNotDraft: there is none of the caller's.
            ProposerUnknown, EffectMalformed, (the rest): as `propose`: the assembly, or the
                agreement that it is about, may have changed since it was drafted.
        """
        assert caller is not None, "the endpoint asks for a scope"
        mine = self._assemblies
        mine.own(ask.coop)
        self._timers.catch_up(tx)
        draft = mine.standing(tx, ask.coop, ask.proposal_id)
        rules.judge_own(draft, caller=caller.member_id)
        states.check("open", draft)
        said = mine.said(draft)
        rules.judge_proposer(said, proposer=mine.members.member(tx, said.member_id))
        self._judge_agreement(tx, said)
        return mine.view(tx, self._open(tx, draft, said, counts=True))

    def _judge_agreement(self, tx: Tx, said: Proposal) -> None:
        """Return if what is proposed about an agreement could be done now, or is about none.

        Refuses: EffectMalformed, then as `opkit.wire.agreements.EFFECT_REFUSALS` says.
        """
        if isinstance(said.effect, AgreementEffect):
            self._assemblies.agreements.judge(tx, said.effect, coop=said.aud)

    def page(
        self, tx: Tx, ask: wire.ListProposals, caller: Caller | None, _: None
    ) -> wire.ProposalPage:
        """Answer a page of an assembly's proposals, newest first."""
        self._assemblies.own(ask.coop)
        found = tables.page(
            tx,
            ask.coop,
            before=ask.after or SAFE_INT_MAX,
            state=ask.state,
            count_max=ask.proposals_max + 1,
        )
        page = found[: ask.proposals_max]
        return wire.ProposalPage(
            coop=ask.coop,
            proposals=tuple(line_of(each) for each in page),
            next_after=page[-1].number if len(found) > len(page) else 0,
        )

    def show(
        self, tx: Tx, ask: wire.ReadProposal, caller: Caller | None, _: None
    ) -> wire.ProposalView:
        """Answer a proposal whole. Refuses: ProposalUnknown."""
        self._assemblies.own(ask.coop)
        return self._assemblies.view(tx, self._assemblies.standing(tx, ask.coop, ask.proposal_id))

    def _draft(
        self, tx: Tx, signed: Signed[Proposal], said: Proposal, known: Standing | None
    ) -> Standing:
        number = tables.last_number(tx, said.aud) + 1 if known is None else known.number
        return Standing(
            coop=said.aud,
            proposal_id=said.proposal_id,
            hash=signed.id,
            number=number,
            signed=signed.token,
            member_id=said.member_id,
            title=said.title,
            kind=said.effect.kind,
            treasury_nonce=said.treasury_nonce,
            electorate_hash=said.electorate_hash,
            electors=said.electors,
            state="draft",
            drafted_ms=tx.world_ms,
        )

    def _open(self, tx: Tx, draft: Standing, said: Proposal, *, counts: bool) -> Standing:
        """Open voting on a draft, or refuse as `rules.judge_opening` does.

        Args:
            counts: whether the draft is among those that are under way.
        """
        mine = self._assemblies
        assembly = mine.state(tx, draft.coop)
        hash_, electors = mine.members.electorate(tx, draft.coop)
        rules.judge_opening(
            said,
            assembly=assembly,
            electorate_hash=hash_,
            electors=len(electors),
            under_way=tables.under_way(tx, draft.coop) - counts,
            under_way_of_member=tables.under_way_of(tx, draft.coop, draft.member_id) - counts,
            limits=self._limits,
        )
        return self._opened(tx, draft, assembly, hash_, electors)

    def _opened(
        self,
        tx: Tx,
        draft: Standing,
        assembly: AssemblyState,
        electorate_hash: RecordId,
        electors: tuple[Elector, ...],
    ) -> Standing:
        standing = rules.opened(draft, rule=assembly.rule, now_ms=tx.world_ms)
        tables.put_electorate(tx, electorate_hash, electors)
        if draft.treasury_nonce is not None:
            taken = replace(assembly, next_nonce=draft.treasury_nonce + 1)
            tables.put_assembly(tx, taken)
        tables.put(tx, standing)
        tx.announce(
            wire.ProposalOpened(
                coop=standing.coop,
                proposal_id=standing.proposal_id,
                proposal=standing.hash,
                member_id=standing.member_id,
                kind=standing.kind,
                title=standing.title,
                treasury_nonce=standing.treasury_nonce,
                electorate_hash=standing.electorate_hash,
                electors=standing.electors,
                opened_ms=tx.world_ms,
                closes_ms=standing.closes_ms or tx.world_ms,
            )
        )
        return standing
