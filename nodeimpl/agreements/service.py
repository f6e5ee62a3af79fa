"""Agreements at a node: signed by decision, believed when they verify, answered as they stand.

What a coop decided and what peers tell enter by the same door: a signature is verified with all
that it cites, kept, and the agreement's state announced where it turned. Turns that world time
brings are timers. Source: ADR 0045.
"""

from __future__ import annotations

from nodeimpl.agreements import rules
from nodeimpl.agreements import store as tables
from nodeimpl.agreements.ports import Shared
from nodeimpl.agreements.rules import Believed, Held, Limits
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.kernel.timers import Timers
from opkit.proof import jws
from opkit.proof.agreement import (
    believe,
    read_agreement_file,
    read_signing,
    sign_agreement,
    signing_of,
    spell_file,
)
from opkit.proof.agreement_states import Course
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.terms import agreement_id, check_named, check_terms, keepers
from opkit.wire import agreements as wire
from opkit.wire.base import SAFE_INT_MAX, Jws, RecordId, Slug, TimeMs
from opkit.wire.deciding import EffectMalformed
from opkit.wire.terms import AgreementEffect, Terms

TURN = "agreements.turn"
"""What the moments are called at which an agreement stands otherwise."""


class Agreements:
    """The agreements that this node keeps."""

    def __init__(
        self,
        *,
        identity: Identity,
        genesis: GenesisView,
        timers: Timers,
        shared: Shared,
        limits: Limits | None = None,
    ) -> None:
        """Join the parts; from now on agreements turn by `timers`."""
        self._identity = identity
        self._genesis = genesis
        self._timers = timers
        self._shared = shared
        self._limits = limits or Limits()
        timers.on(TURN, self._turn_due)

    # What other domains ask.

    def active(self, tx: Tx, agreement: str, now_world_ms: TimeMs) -> Terms:
        """Return the terms of an agreement that is in force at a moment of world time.

        Refuses, in this order:
            AgreementUnknown: this node does not keep it.
            AgreementInactive: it is not in force.
        """
        held = self._found(tx, agreement)
        rules.judge_use(agreement, self._course(tx, held), world_ms=now_world_ms)
        return held.kept.terms

    def judge(self, tx: Tx, effect: AgreementEffect, *, coop: Slug) -> None:
        """Return if a coop whose home this is may decide so about an agreement now.

        Refuses, in this order:
            EffectMalformed: the terms name somebody who is not in the network.
            (the rest): as `rules.judge_adopt` and `rules.judge_end` do.
        """
        held = self._standing(tx, effect.agreement)
        terms = effect.terms
        if terms is None:
            rules.judge_end(effect.agreement, coop=coop, held=held, world_ms=tx.world_ms)
            return
        try:
            check_named(terms, self._genesis)
        except ProofError as bad:
            raise EffectMalformed(why=bad.why) from bad
        rules.judge_adopt(
            terms,
            agreement=effect.agreement,
            actual=agreement_id(terms),
            coop=coop,
            held=held,
            amended=None if terms.amends is None else self._standing(tx, terms.amends),
            kept=tables.count(tx),
            world_ms=tx.world_ms,
            limits=self._limits,
        )

    def decided(
        self, tx: Tx, effect: AgreementEffect, *, coop: Slug, decision: Jws, attested: Jws
    ) -> RecordId:
        """Sign what a coop whose home this is has decided, and tell who keeps the agreement.

        Refuses as `judge` does: what was in order when voting was opened may be over by now.
        """
        self.judge(tx, effect, coop=coop)
        terms = effect.terms or self._found(tx, effect.agreement).kept.terms
        signature = wire.AgreementSignature(
            network=self._genesis.network,
            aud=coop,
            did=self._identity.did,
            agreement=effect.agreement,
            action=effect.action,
            decision=jws.record_id(decision),
            signed_at_ms=tx.world_ms,
        )
        signed = wire.SignedBy(
            coop=coop,
            action=effect.action,
            signature=sign_agreement(signature, self._identity),
            decision=decision,
            attested=attested,
        )
        # Nobody is told what they would not believe.
        believed = self._believed(signed, terms)
        self._shared.share(tx, effect.agreement, terms)
        self._shared.add(tx, effect.agreement, signing_of(signed, terms=terms))
        self._keep(tx, effect.agreement, terms, (believed,))
        return effect.agreement

    # What peers tell.

    def believable(self, terms: Terms, signing: str) -> bool:
        """Return whether something that somebody shares is a signature that verifies."""
        try:
            self._believed(read_signing(signing, terms=terms), terms)
        except ProofError:
            return False
        return True

    def heard(self, tx: Tx, agreement: RecordId, terms: Terms, signing: str) -> str:
        """Keep a signature that somebody shared, if it verifies; return why not otherwise.

        Whoever shares an agreement may share anything: what does not verify changes nothing, and
        terms that no coop signed are not kept.
        """
        try:
            believed = self._believed(read_signing(signing, terms=terms), terms)
        except ProofError as bad:
            return bad.why
        if tables.get(tx, agreement) is None and tables.count(tx) >= self._limits.agreements_max:
            return f"there are {self._limits.agreements_max} agreements, and no room for more"
        self._keep(tx, agreement, terms, (believed,))
        return ""

    def signings(self, tx: Tx, agreement: RecordId) -> tuple[str, ...]:
        """Return the signatures that are kept of an agreement, as its keepers share them."""
        held = tables.get(tx, agreement)
        if held is None:
            return ()
        return tuple(signing_of(each.signed, terms=held.kept.terms) for each in held.signatures)

    # What is asked.

    def list(
        self, tx: Tx, ask: wire.ListAgreements, caller: Caller | None, _: None = None
    ) -> wire.AgreementPage:
        """Answer a page of agreements, newest first."""
        most = self._limits.scanned_max if ask.state or ask.party else ask.agreements_max
        found: list[wire.AgreementView] = []
        before = ask.before or SAFE_INT_MAX
        for held in tables.page(tx, before=before, count_max=most):
            before = held.kept.number
            seen = self._view(tx, held)
            if rules.wanted(seen, state=ask.state, party=ask.party):
                found.append(seen)
            if len(found) == ask.agreements_max:
                break
        # Numbers are given without a gap, from 1.
        more = 1 < before < SAFE_INT_MAX
        return wire.AgreementPage(agreements=tuple(found), next_before=before if more else 0)

    def show(
        self, tx: Tx, ask: wire.ReadAgreement, caller: Caller | None, _: None = None
    ) -> wire.AgreementView:
        """Answer an agreement as it stands. Refuses: AgreementUnknown."""
        return self._view(tx, self._found(tx, ask.agreement))

    def file(
        self, tx: Tx, ask: wire.ReadAgreementFile, caller: Caller | None, _: None = None
    ) -> wire.AgreementAnswer:
        """Answer the file of an agreement. Refuses: AgreementUnknown."""
        held = self._found(tx, ask.agreement)
        return wire.AgreementAnswer(file=_file(held))

    def use(
        self, tx: Tx, ask: wire.UseAgreement, caller: Caller | None, _: None = None
    ) -> wire.AgreementInForce:
        """Answer an agreement that is in force. Refuses as `active` does."""
        held = self._found(tx, ask.agreement)
        stands = self._course(tx, held)
        rules.judge_use(ask.agreement, stands, world_ms=tx.world_ms)
        assert stands.since_ms is not None, "what is in force has begun"
        return wire.AgreementInForce(
            agreement=held.kept.agreement,
            terms=held.kept.terms,
            state=stands.state(tx.world_ms),
            since_ms=stands.since_ms,
            until_ms=stands.end_ms,
        )

    @staticmethod
    def by_state(tx: Tx) -> dict[wire.AgreementState, int]:
        """Return how many agreements are here, by the state that was announced last."""
        return tables.count_told(tx)

    # What is handed in.

    async def prove(
        self, ask: wire.BringAgreement, caller: Caller | None
    ) -> tuple[Terms, tuple[Believed, ...]]:
        """Verify a file, beside the writer.

        Refuses, in this order:
            AgreementRejected: it is none, nobody has signed it, or its terms do not hold in this
                network.
            TermsAltered: the terms are not those that the file, or a signature, is about.
            AgreementForeign: this node does not keep such an agreement.
            SignatureRejected: a signature does not verify, or does not cite what it must.
        """
        try:
            file = read_agreement_file(ask.file)
            terms = file.terms
            check_terms(terms)
            kept_by = keepers(terms, self._genesis)
        except ProofError as bad:
            raise wire.AgreementRejected(why=bad.why) from bad
        if not file.signatures:
            raise wire.AgreementRejected(why="nobody has signed it")
        actual = agreement_id(terms)
        for named in (file.agreement, *(_about(each) for each in file.signatures)):
            if named not in ("", actual):
                raise wire.TermsAltered(agreement=named, hash=actual)
        rules.judge_kept(actual, own=self._identity.did, keepers=kept_by)
        believed = []
        for signed in file.signatures:
            try:
                believed.append(self._believed(signed, terms))
            except ProofError as bad:
                raise wire.SignatureRejected(coop=signed.coop, why=bad.why) from bad
        return terms, tuple(believed)

    def bring(
        self,
        tx: Tx,
        ask: wire.BringAgreement,
        caller: Caller | None,
        proven: tuple[Terms, tuple[Believed, ...]],
    ) -> wire.AgreementView:
        """Keep what a file has and this node had not, and tell the other keepers.

        Refuses:
            AgreementsFull: there is no room for one more.
        """
        terms, believed = proven
        self._timers.catch_up(tx)
        agreement = agreement_id(terms)
        held = tables.get(tx, agreement)
        if held is None and tables.count(tx) >= self._limits.agreements_max:
            raise wire.AgreementsFull(limit=self._limits.agreements_max)
        self._shared.share(tx, agreement, terms)
        for each in believed:
            known = None if held is None else held.by(each.said.aud, each.said.action)
            if known is None or rules.stands_before(each, known):
                self._shared.add(tx, agreement, signing_of(each.signed, terms=terms))
        self._keep(tx, agreement, terms, believed)
        return self._view(tx, self._found(tx, agreement))

    # How it is kept.

    def _believed(self, signed: wire.SignedBy, terms: Terms) -> Believed:
        """Return a signature that verified with all that it cites; raise `ProofError` otherwise."""
        said = believe(signed, terms=terms, genesis=self._genesis)
        return Believed(
            id=jws.record_id(signed.signature),
            said=said,
            signature=signed.signature,
            decision=signed.decision,
            attested=signed.attested,
        )

    def _keep(
        self, tx: Tx, agreement: RecordId, terms: Terms, believed: tuple[Believed, ...]
    ) -> None:
        """Keep an agreement and what was signed of it, as far as it is new; tell what turned."""
        if tables.get(tx, agreement) is None:
            file_hash = sha256_hex(spell_file(terms, ()))
            tables.add(tx, agreement, terms, told="proposed", file_hash=file_hash)
            tx.announce(
                wire.AgreementProposed(
                    agreement=agreement,
                    title=terms.title,
                    parties=terms.parties,
                    amends=terms.amends,
                )
            )
        for each in believed:
            self._sign(tx, agreement, each)
        for other in (agreement, *self._around(tx, agreement, terms)):
            self._turn(tx, other, tx.world_ms)

    @staticmethod
    def _around(tx: Tx, agreement: RecordId, terms: Terms) -> set[RecordId]:
        """Return the agreements whose course hangs on one: what it amends, and what amends it."""
        around = {each.kept.agreement for each in tables.amending(tx, agreement)}
        if terms.amends is not None:
            beside = tables.amending(tx, terms.amends)
            around |= {terms.amends, *(each.kept.agreement for each in beside)}
        return around - {agreement}

    def _sign(self, tx: Tx, agreement: RecordId, believed: Believed) -> None:
        held = self._found(tx, agreement)
        said = believed.said
        known = held.by(said.aud, said.action)
        if known is not None and not rules.stands_before(believed, known):
            return
        tables.sign(tx, believed)
        held = self._found(tx, agreement)
        unsigned = held.alone.unsigned
        tables.refile(tx, agreement, file_hash=sha256_hex(_file(held)), complete=not unsigned)
        if known is None:
            tx.announce(
                wire.AgreementSigned(
                    agreement=agreement,
                    title=held.kept.terms.title,
                    coop=said.aud,
                    action=said.action,
                    decision=said.decision,
                    signed_at_ms=said.signed_at_ms,
                    unsigned=unsigned,
                )
            )

    def _turn_due(self, tx: Tx, key: str, due_ms: TimeMs) -> None:
        """Announce that an agreement stands otherwise, at its moment of world time."""
        self._turn(tx, key, due_ms)

    def _turn(self, tx: Tx, agreement: RecordId, now_ms: TimeMs) -> None:
        """Announce how an agreement stands if that was not told, and see to its next turn.

        Args:
            now_ms: the moment; world time may have been moved past it, and over the next one too.
        """
        held = tables.get(tx, agreement)
        if held is None:
            return
        stands = self._course(tx, held)
        after = stands.state(now_ms)
        if after != held.kept.told:
            tables.tell(tx, agreement, after)
            tx.announce(
                wire.AgreementTurned(
                    agreement=agreement,
                    title=held.kept.terms.title,
                    before=held.kept.told,
                    after=after,
                    at_world_ms=stands.turned_ms(now_ms),
                )
            )
        next_ms = stands.turns_ms(now_ms)
        if next_ms is None:
            self._timers.cancel(tx, kind=TURN, key=agreement)
        else:
            self._timers.set(tx, kind=TURN, key=agreement, due_ms=next_ms)

    # How it is read.

    def _found(self, tx: Tx, agreement: str) -> Held:
        held = tables.get(tx, agreement)
        if held is None:
            raise wire.AgreementUnknown(agreement=agreement)
        return held

    def _standing(self, tx: Tx, agreement: RecordId) -> tuple[Held, Course] | None:
        """Return an agreement and its course, if it is here."""
        held = tables.get(tx, agreement)
        return None if held is None else (held, self._course(tx, held))

    def _course(self, tx: Tx, held: Held) -> Course:
        amends = held.kept.terms.amends
        return rules.course(
            held,
            amending=tables.amending(tx, held.kept.agreement),
            amended=None if amends is None else tables.get(tx, amends),
            beside=() if amends is None else tables.amending(tx, amends),
        )

    def _view(self, tx: Tx, held: Held) -> wire.AgreementView:
        return rules.view(held, self._course(tx, held), world_ms=tx.world_ms)


def _file(held: Held) -> bytes:
    return spell_file(held.kept.terms, (each.signed for each in held.signatures))


def _about(signed: wire.SignedBy) -> str:
    """Return which agreement a signature says it is about; empty if it does not read as one."""
    try:
        return str(jws.peek(signed.signature).payload.get("agreement", ""))
    except ProofError:
        return ""
