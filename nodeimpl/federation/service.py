"""The federation at work: what this node's coop says in it, and what all have said.

Everything said is an operation on the shared object `federation`, signed by this node's key and
kept in the transaction that asked for it; what others said arrives as theirs. Source: ADR 0044.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.federation import rules
from nodeimpl.federation import store as table
from nodeimpl.federation.members import Roll, roll_of
from nodeimpl.federation.ports import Decisions
from nodeimpl.federation.rules import Limits
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharedSpec
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.federation import (
    charter_hash,
    founders_of,
    sign_attestation,
    sign_statement,
)
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation
from opkit.wire import federation as wire
from opkit.wire.base import RecordId, Slug
from opkit.wire.federation import FEDERATION, VOUCHES_MIN, Attestation, CoopStatement
from opkit.wire.objects import OpeningRejected
from opkit.wire.operations import (
    VALUE_CHARACTERS_MAX,
    AdmitAct,
    ExpelAct,
    ObjectId,
    ObjectKind,
    SetAct,
)


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """For whom a caller speaks, and who else belongs to the federation."""

    coop: Slug | None
    roll: Roll


class Federation:
    """Answers about the federation, and speaks in it for this node's coop."""

    def __init__(
        self,
        identity: Identity,
        genesis: GenesisView,
        sharing: Sharing,
        *,
        decisions: Decisions,
        limits: Limits | None = None,
    ) -> None:
        """Say what the federation's object is; `begin` opens it."""
        self.genesis = genesis
        self.sharing = sharing
        self._identity = identity
        self._own = identity.did
        self._decisions = decisions
        self._limits = limits or Limits()
        self._founders = founders_of(genesis)
        sharing.opener(FEDERATION, self._judge)
        sharing.changed(FEDERATION, self._heard)

    def begin(self, tx: Tx) -> None:
        """Keep the federation's object; a network without coops has none."""
        if self._founders:
            self.sharing.open(tx, FEDERATION, "")

    def _judge(self, object_id: ObjectId, opening: str) -> SharedSpec:
        if object_id != FEDERATION or opening or not self._founders:
            raise OpeningRejected(
                object_id=object_id, why="there is one, and it opens with nothing"
            )
        nodes = frozenset(node.did for node in self.genesis.genesis.nodes)
        return SharedSpec(
            kind=ObjectKind.LWW_MAP,
            founders=self._founders,
            readers=nodes | {self._own},
            admissions_min=VOUCHES_MIN,
            expulsions_min=VOUCHES_MIN,
            permits=rules.Permitted(self.genesis),
        )

    # What this node's coop says.

    def register(
        self, tx: Tx, ask: wire.RegisterCoop, caller: Caller | None, _: None = None
    ) -> wire.FederationMember:
        """Say to all that a coop belongs to the federation; saying it again replaces it.

        Refuses, in this order:
            NotCoopsHome: the caller is of another coop, or this node is no coop's home.
            NotFederated: nobody would take its word.
            CoopNotYours: the coop has another home node.
            DecisionNotFound: the coop has decided no such thing.
            StatementTooLong: it is longer than one operation.
            OperationClockAhead: what it would follow is later than this node's clock may be behind.
            LogFull: there is no room for one more word.
        """
        speaker = self._speaker(tx, caller)
        coop = rules.judge_coop(self.genesis, self._own, home_of=speaker.coop, asked=ask.coop)
        charter = self.genesis.charter(coop)
        said = CoopStatement(
            network=self.genesis.network,
            did=self._own,
            coop=coop,
            title=ask.title or (coop if charter is None else charter.title),
            charter=None if charter is None else charter_hash(charter),
            decision=self._decided(tx, coop, ask.proposal),
            issued_at_ms=tx.world_ms,
        )
        try:
            token = sign_statement(said, self._identity)
        except ProofError as bad:
            raise _too_long(said.title) from bad
        self._say(tx, SetAct(key=rules.coop_key(self._own), value=token))
        return self._roll(tx).view(self._own)

    def vouch(
        self, tx: Tx, ask: wire.VouchFor, caller: Caller | None, _: None = None
    ) -> wire.VouchTaken:
        """Say that somebody is to be a member, or is to be one no more.

        Refuses, in this order:
            NotCoopsHome, NotFederated: as `register`.
            NotAMember: somebody is to be expelled who is none.
            MemberAlready: somebody is to be admitted who is one, or never can be again.
            VouchRepeated: this coop has said so.
            OperationRejected: no replica would take it: the key is none, this coop has had as many
                voices as one may, or there are as many members as there may be.
            OperationClockAhead, LogFull: as `register`.
        """
        roll = self._speaker(tx, caller).roll
        rules.judge_vouch(
            ask,
            authors=roll.authors,
            expelled=roll.expelled,
            said_before=self._own in roll.voices(ask.did, expel=ask.expel),
        )
        fork = self.sharing.as_it_stands(tx, FEDERATION).fork_ids.get(ask.did)
        act = ExpelAct(did=ask.did, fork=fork) if ask.expel else AdmitAct(did=ask.did)
        operation = self._say(tx, act)
        after = self._roll(tx)
        return wire.VouchTaken(
            did=ask.did,
            operation=operation,
            voices=len(after.voices(ask.did, expel=ask.expel)),
            voices_min=VOUCHES_MIN,
            standing=ask.did in after.authors,
        )

    def attest(
        self, tx: Tx, ask: wire.IssueAttestation, caller: Caller | None, _: None = None
    ) -> wire.AttestationView:
        """Attest something of another coop; saying it again replaces it.

        Refuses, in this order:
            NotCoopsHome, NotFederated: as `register`.
            AttestationSelf: it is of the own coop.
            NotAMember: no member of the federation is that coop.
            AttestationsFull: this coop attests as much as it may.
            StatementTooLong: it is longer than one operation.
            OperationClockAhead, LogFull: as `register`.
        """
        speaker = self._speaker(tx, caller)
        issuer = speaker.coop or speaker.roll.coop(self._own)
        if issuer is None:
            raise wire.NotCoopsHome(coop="")
        key = rules.attestation_key(self._own, subject=ask.subject, type_=ask.type)
        standing = self._own_attestations(tx)
        rules.judge_attestation(
            ask,
            issuer=issuer,
            coops=speaker.roll.coops(),
            is_new=key not in standing,
            attested=len(standing),
            limits=self._limits,
        )
        from_ms = tx.world_ms if ask.valid_from_ms is None else ask.valid_from_ms
        said = Attestation(
            network=self.genesis.network,
            did=self._own,
            issuer=issuer,
            subject=ask.subject,
            type=ask.type,
            statement=ask.statement,
            valid_from_ms=from_ms,
            valid_until_ms=from_ms + ask.valid_ms,
            evidence=ask.evidence,
            issued_at_ms=tx.world_ms,
        )
        try:
            token = sign_attestation(said, self._identity)
        except ProofError as bad:
            raise _too_long(ask.statement) from bad
        operation = self._say(tx, SetAct(key=key, value=token))
        return view_of(said, token, operation=operation, world_ms=tx.world_ms)

    def revoke(
        self, tx: Tx, ask: wire.RevokeAttestation, caller: Caller | None, _: None = None
    ) -> wire.AttestationView:
        """Take back what this coop attested.

        Refuses, in this order:
            NotCoopsHome, NotFederated: as `register`.
            AttestationUnknown: it stands not.
            OperationClockAhead, LogFull: as `register`.
        """
        self._speaker(tx, caller)
        key = rules.attestation_key(self._own, subject=ask.subject, type_=ask.type)
        token = self._own_attestations(tx).get(key)
        if token is None:
            raise wire.AttestationUnknown(subject=ask.subject, type=ask.type)
        operation = self._say(tx, SetAct(key=key, value=None))
        said = Attestation.model_validate(jws.reread(token))
        view = view_of(said, token, operation=operation, world_ms=tx.world_ms)
        return view.model_copy(update={"state": "revoked", "token": None})

    # How it is said.

    def _speaker(self, tx: Tx, caller: Caller | None) -> Speaker:
        assert caller is not None, "speaking for a coop needs a token"
        if not self._founders:
            raise wire.NotFederated(did=self._own)
        roll = self._roll(tx)
        coop = rules.judge_speaker(
            self.genesis,
            self._own,
            member_id=caller.member_id,
            standing=self._own in roll.authors,
        )
        return Speaker(coop=coop, roll=roll)

    def _roll(self, tx: Tx) -> Roll:
        return roll_of(self.sharing, tx, genesis=self.genesis, founders=self._founders)

    def _say(self, tx: Tx, act: SetAct | AdmitAct | ExpelAct) -> RecordId:
        return self.sharing.say(tx, FEDERATION, act)

    def _decided(self, tx: Tx, coop: Slug, proposal: str) -> RecordId | None:
        if not proposal:
            return None
        found = self._decisions.accepted(tx, coop, proposal)
        if found is None:
            raise wire.DecisionNotFound(proposal=proposal)
        return found

    def _own_attestations(self, tx: Tx) -> dict[str, str]:
        begins = f"{rules.ATTESTATION}/{self._own}/"
        return {
            row.key: row.value
            for row in self.sharing.values(tx, FEDERATION, begins)
            if row.value is not None
        }

    # What is heard, this node's own word included.

    def _heard(self, tx: Tx, object_id: ObjectId, read: ReadOperation) -> None:
        del object_id
        act = read.operation.act
        if isinstance(act, SetAct):
            self._tell_of(tx, read, act)
        elif isinstance(act, AdmitAct | ExpelAct):
            self._tell_of_voice(tx, read, act)

    def _tell_of(self, tx: Tx, read: ReadOperation, act: SetAct) -> None:
        what, _, rest = act.key.partition("/")
        if what == rules.COOP:
            if act.value is None:
                return
            said = CoopStatement.model_validate(jws.reread(act.value))
            tx.announce(
                wire.CoopRegistered(
                    did=said.did, coop=said.coop, title=said.title, operation=read.id
                )
            )
            return
        _, subject, kind = rest.split("/")
        if act.value is None:
            tx.announce(
                wire.AttestationRevoked(
                    issuer=read.operation.did, subject=subject, kind=kind, operation=read.id
                )
            )
            return
        attested = Attestation.model_validate(jws.reread(act.value))
        tx.announce(
            wire.AttestationIssued(
                issuer=attested.issuer,
                subject=subject,
                kind=kind,
                valid_from_ms=attested.valid_from_ms,
                valid_until_ms=attested.valid_until_ms,
                operation=read.id,
            )
        )

    def _tell_of_voice(self, tx: Tx, read: ReadOperation, act: AdmitAct | ExpelAct) -> None:
        roll, expel = self._roll(tx), isinstance(act, ExpelAct)
        tx.announce(
            wire.MemberVouched(
                did=act.did,
                by=read.operation.did,
                expel=expel,
                voices=len(roll.voices(act.did, expel=expel)),
                operation=read.id,
            )
        )
        if act.did in roll.authors - self._founders and table.is_news(tx, act.did, "joined"):
            tx.announce(wire.MemberJoined(did=act.did))
        if act.did in roll.expelled and table.is_news(tx, act.did, "expelled"):
            tx.announce(wire.MemberExpelled(did=act.did))


def view_of(
    said: Attestation, token: str, *, operation: RecordId, world_ms: int
) -> wire.AttestationView:
    """Return an attestation and how it stands."""
    return wire.AttestationView.model_validate(
        {
            "issuer_did": said.did,
            "issuer": said.issuer,
            "subject": said.subject,
            "type": said.type,
            "state": rules.state_of(said, world_ms),
            "statement": said.statement,
            "valid_from_ms": said.valid_from_ms,
            "valid_until_ms": said.valid_until_ms,
            "evidence": said.evidence,
            "operation": operation,
            "token": token,
        }
    )


def _too_long(text: str) -> wire.StatementTooLong:
    return wire.StatementTooLong(characters=len(text), characters_max=VALUE_CHARACTERS_MAX)
