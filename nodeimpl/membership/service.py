"""Membership at work: read, judge, record, announce; and the check that every call begins with."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from nodeimpl.kernel import generations
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ids import random_id
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from nodeimpl.membership import rules
from nodeimpl.membership import store as tables
from nodeimpl.membership.homes import Homes
from nodeimpl.membership.rules import Away, Grant, Judged, Limits, Standing
from nodeimpl.membership.tokens import Bearer, VerifiedTokens
from nodeimpl.membership.tries import Tries
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_members, read_record
from opkit.wire.base import Did, Jws, MemberId, Slug, TimeMs
from opkit.wire.gateway import RateExceeded, TokenRejected
from opkit.wire.membership import (
    DECIDED_MEMBER_TYP,
    LOGIN_TYP,
    TOKEN_TYP,
    AskChallenge,
    AskToken,
    Challenge,
    ChangeMember,
    Done,
    ListMembers,
    Login,
    LoginRejected,
    Member,
    MemberAdded,
    MemberPage,
    MemberRecord,
    MemberRevoked,
    RevokeToken,
    Token,
    TokenClaims,
    TokenIssued,
)
from opkit.wire.standing import LINK_CHARACTERS_MAX


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """What just ended, told before the answer leaves.

    Attributes:
        token_id: the one token that ended; None if all of the member's did.
        membership: whether the member was revoked, so that what they queued ends too. A new key or
            other roles end the tokens alone.
    """

    member_id: MemberId
    token_id: str | None
    membership: bool


@dataclass(frozen=True, kw_only=True)
class Proved:
    """A login, the key that its signature verified against, and its challenge's nonce."""

    signer: Did
    nonce: str
    login: Login


class Membership:
    """Who may act on this node, and the tokens by which they do.

    Attributes:
        identity: the node's own key.
        genesis: its network's.
    """

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        genesis: GenesisView,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        """Join the parts. The key for challenges changes with the store's generation."""
        self.limits = replace(limits or Limits(), auditors=genesis.auditors_at(identity.did))
        self.store = store
        self.identity = identity
        self.genesis = genesis
        self.clock = clock
        said = f"opkit challenge key {store.generation}".encode()
        self._secret = hmac.new(identity.seed, said, hashlib.sha256).digest()
        self._tries = Tries(
            tries_max=self.limits.challenge_tries_max,
            challenges_max=self.limits.tried_challenges_max,
        )
        self._verified = VerifiedTokens(tokens_max=self.limits.verified_tokens_max)
        self._homes: Homes | None = None
        self._on_revoked: list[Callable[[Revoked], None]] = []
        self._on_doubted: list[Callable[[Slug], None]] = []
        self._on_changed: list[Callable[[MemberId], None]] = []
        self._while_revoking: list[Callable[[Tx, MemberId], None]] = []

    async def seed(self) -> None:
        """Write the members of genesis who are not known yet: founders and the operator."""
        standings = [
            Standing(member=member, local=self._is_local(member))
            for member in founding_members(self.genesis).values()
        ]

        def write(tx: Tx) -> None:
            for standing in standings:
                tables.seed_member(tx, standing)

        await self.store.write(write)

    def while_revoking(self, change: Callable[[Tx, MemberId], None]) -> None:
        """Have `change` run in the transaction that ends a membership: all of it, or none."""
        self._while_revoking.append(change)

    def on_revoked(self, callback: Callable[[Revoked], None]) -> None:
        """Have `callback` run on the event loop after a revocation and before its answer."""
        self._on_revoked.append(callback)

    def on_changed(self, callback: Callable[[MemberId], None]) -> None:
        """Have `callback` run on the event loop after a chain changed and before its answer."""
        self._on_changed.append(callback)

    def on_doubted(self, callback: Callable[[Slug], None]) -> None:
        """Have `callback` run when tokens of a coop's members are no longer taken here."""
        self._on_doubted.append(callback)

    def believe(self, homes: Homes, *, visitors: bool) -> None:
        """Take tokens of members of other coops as long as their homes are heard.

        Args:
            homes: what is known of them.
            visitors: whether members who were not added at this very node may log in.
        """
        self._homes = homes
        self.limits = replace(self.limits, visitors=visitors)

    def doubt(self, coop: Slug) -> None:
        """End what goes on in the name of a coop's members, whose home is not heard any more."""
        self._verified.forget_all()
        for callback in self._on_doubted:
            callback(coop)

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows, founders of other coops included."""
        standing = tables.get_member(tx, member_id)
        return standing.member if standing else None

    def records(self, tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
        """Return the records about a member: what others need to check their chain."""
        return tables.records_of(tx, member_id)

    # The endpoints.

    async def challenge(self, ask: AskChallenge, caller: Caller | None) -> Challenge:
        """Answer a challenge for this key; the node remembers nothing of it."""
        now_ms = self.clock.now_ms()
        text = rules.make_challenge(
            secret=self._secret,
            network=self.genesis.network,
            node=self.identity.did,
            did=ask.did,
            issued_at_ms=now_ms,
            nonce=secrets.token_bytes(rules.NONCE_BYTES),
        )
        return Challenge(
            challenge=text,
            node=self.identity.did,
            network=self.genesis.network,
            expires_at_ms=now_ms + self.limits.challenge_ttl_ms,
        )

    async def prove_login(self, ask: AskToken, caller: Caller | None) -> Proved:
        """Return a login that will get a token unless it lapses meanwhile, or refuse it.

        Whatever is refused is refused beside the writer, and what costs little is looked at first:
        the challenge's MAC and age, how often it was tried, then the signature, then who it is.

        Refuses, in this order:
            ChallengeRejected: as `rules.judge_challenge`, or it was used or tried too often.
            LoginRejected: it is no login, or its signature does not verify.
            (the rest): as `rules.judge_login`.
        """
        try:
            claimed = jws.peek(ask.login)
        except ProofError as bad:
            raise LoginRejected(why=str(bad)) from bad
        nonce = rules.judge_challenge(
            str(claimed.payload.get("challenge")),
            signer=claimed.kid,
            secret=self._secret,
            network=self.genesis.network,
            node=self.identity.did,
            now_ms=self.clock.now_ms(),
            limits=self.limits,
        )
        self._tries.take(nonce)
        try:
            login = jws.verify(
                ask.login,
                typ=LOGIN_TYP,
                issuer=claimed.kid,
                network=self.genesis.network,
                of=Login,
            )
        except ProofError as bad:
            raise LoginRejected(why=str(bad)) from bad
        proved = Proved(signer=claimed.kid, nonce=nonce, login=login)
        await self.store.read(lambda tx: self._grant(tx, proved))
        return proved

    def token(self, tx: Tx, ask: AskToken, caller: Caller | None, proved: Proved) -> Token:
        """Issue a token for a signed challenge; refuses as `rules.judge_login` does."""
        grant = self._grant(tx, proved)
        tables.use_challenge(
            tx, nonce=grant.nonce, lapses_at_ms=tx.now_ms + self.limits.challenge_ttl_ms
        )
        if tables.count_used(tx) > self.limits.used_challenges_max:
            raise RateExceeded(retry_after_ms=self.limits.challenge_ttl_ms)
        tx.announce(
            TokenIssued(
                member_id=grant.member.member_id,
                scopes=grant.scopes,
                expires_at_ms=grant.expires_at_ms,
            )
        )
        tx.after_commit(lambda: self._tries.use(grant.nonce))
        return self._sign(grant)

    def _grant(self, tx: Tx, proved: Proved) -> Grant:
        return rules.judge_login(
            proved.login,
            signer=proved.signer,
            secret=self._secret,
            network=self.genesis.network,
            node=self.identity.did,
            used=tables.is_used(tx, proved.nonce),
            standing=(standing := tables.member_by_did(tx, proved.signer)),
            away=self._away(standing.member.member_id) if standing else None,
            now_ms=tx.now_ms,
            limits=self.limits,
        )

    def revoke_token(self, tx: Tx, ask: RevokeToken, caller: Caller | None, _: None) -> Done:
        """End the token that this call carries."""
        assert caller is not None, "the endpoint asks for a scope"
        lapses_at_ms = tx.now_ms + self.limits.token_ttl_ms_max
        tables.revoke_token(tx, token_id=caller.token_id, lapses_at_ms=lapses_at_ms)
        self._end(
            tx, Revoked(member_id=caller.member_id, token_id=caller.token_id, membership=False)
        )
        return Done()

    async def prove_record(self, ask: ChangeMember, caller: Caller | None) -> Judged[MemberRecord]:
        """Verify a membership record, beside the writer; one that cannot be handed on is none."""
        if len(ask.record) > LINK_CHARACTERS_MAX:
            why = f"{len(ask.record)} characters are more than {LINK_CHARACTERS_MAX}"
            return Judged(payload=None, why=why)
        try:
            return Judged(payload=read_record(ask.record, genesis=self.genesis))
        except ProofError as bad:
            return Judged(payload=None, why=str(bad))

    def change(
        self, tx: Tx, ask: ChangeMember, caller: Caller | None, record: Judged[MemberRecord]
    ) -> Member:
        """Add, change or revoke a member; refuses as `rules.judge_change` does.

        The record that stands last may have come here from another node: it is taken once more, and
        makes the member one of this node.
        """
        said = record.payload
        if said is not None and self._stands_last(tx, said, ask.record):
            return self._make_local(tx, said.member_id)
        before = tables.get_member(tx, said.member_id) if said else None
        holder = tables.member_by_did(tx, said.did) if said else None
        after = rules.judge_change(
            record,
            decided=said is not None and self.has_decided(tx, said.aud),
            standing=before,
            holder=holder.member.member_id if holder else None,
            members=tables.count_members(tx),
            records=tables.count_records(tx, said.member_id) if said else 0,
            limits=self.limits,
        )
        self.put_link(tx, after.member.member_id, after.member.sequence, ask.record)
        self.become(tx, before, after)
        return after.member

    def has_decided(self, tx: Tx, coop: str) -> bool:
        """Return whether a coop has decided on a member, as far as this node knows."""
        charter = self.genesis.charter(coop)
        if charter is None:
            return False
        header = jws.header_of(charter.home_node, typ=DECIDED_MEMBER_TYP)
        return tables.has_decided(tx, coop, header=header)

    def _stands_last(self, tx: Tx, said: MemberRecord, token: Jws) -> bool:
        """Return whether a record is the last of its member's chain."""
        standing = tables.get_member(tx, said.member_id)
        if standing is None or standing.member.sequence != said.sequence:
            return False
        last = tables.record_id_of(tx, said.member_id, said.sequence)
        return last == jws.record_id(token)

    def _make_local(self, tx: Tx, member_id: MemberId) -> Member:
        standing = tables.get_member(tx, member_id)
        assert standing is not None, "their chain has a last record"
        if not standing.local:
            tables.put_member(tx, replace(standing, local=True))
        return standing.member

    def put_link(self, tx: Tx, member_id: MemberId, sequence: int, token: Jws) -> None:
        """Keep a record as the next of its member's chain."""
        tables.put_record(
            tx,
            member_id=member_id,
            sequence=sequence,
            record_id=jws.record_id(token),
            token=token,
        )

    def become(self, tx: Tx, before: Standing | None, after: Standing) -> None:
        """Write what became of a member, and end what falls with what they were."""
        member = after.member
        tables.put_member(tx, after)
        if member.active:
            added = MemberAdded(member_id=member.member_id, did=member.did, roles=member.roles)
            tx.announce(added)
        else:
            tx.announce(MemberRevoked(member_id=member.member_id, did=member.did))
            for change in self._while_revoking:
                change(tx, member.member_id)
        if before is not None:
            ended = not member.active
            self._end(tx, Revoked(member_id=member.member_id, token_id=None, membership=ended))

        def tell() -> None:
            for callback in self._on_changed:
                callback(member.member_id)

        tx.after_commit(tell)

    def list(self, tx: Tx, ask: ListMembers, caller: Caller | None, _: None) -> MemberPage:
        """Answer a page of the members that this node knows, by id."""
        found = tables.page_of_members(tx, after=ask.after, count_max=ask.members_max + 1)
        page = tuple(found[: ask.members_max])
        more = len(found) > ask.members_max
        return MemberPage(members=page, next_after=page[-1].member_id if more else "")

    # The check that every call begins with.

    @property
    def revision(self) -> int:
        """A number that grows whenever a token may have ended.

        Who saw a token accepted under an older number asks again (`confirm`) before acting on it.
        """
        return self._verified.revision

    def recall(self, token: str, *, now_ms: TimeMs) -> Bearer | None:
        """Return who bears a token that was verified before and has not ended since.

        Raises:
            StandingStale: as `rules.judge_home`.
        """
        known = self._verified.get(token, now_ms=now_ms)
        if known is not None and self._homes is not None:
            rules.judge_home(self._homes.away(known.member_id), now_ms=now_ms)
        return known

    async def verify(self, token: str, *, now_ms: TimeMs) -> Bearer:
        """Return who bears this token, verifying it afresh.

        Raises:
            TokenRejected: as `rules.judge_token`, or it is no token that this node signed.
            StandingStale: as `rules.judge_home`.
        """
        try:
            claims = jws.verify(
                token,
                typ=TOKEN_TYP,
                issuer=self.identity.did,
                network=self.genesis.network,
                of=TokenClaims,
            )
        except ProofError as bad:
            raise TokenRejected(why=str(bad)) from bad
        revision = self._verified.revision
        await self.store.read(lambda tx: self._judge(tx, claims, now_ms=now_ms))
        bearer = Bearer.of(claims)
        self._verified.put(token, bearer, revision=revision)
        return bearer

    def confirm(self, tx: Tx, caller: Caller) -> None:
        """Return if what this caller's token was granted on still holds, seen from `tx`.

        Raises:
            TokenRejected, StandingStale: as `rules.judge_bearer`.
        """
        rules.judge_bearer(
            did=caller.did,
            scopes=caller.scopes,
            revoked=tables.is_revoked(tx, caller.token_id),
            standing=tables.get_member(tx, caller.member_id),
            away=self._away(caller.member_id),
            now_ms=tx.now_ms,
            limits=self.limits,
        )

    def _judge(self, tx: Tx, claims: TokenClaims, *, now_ms: TimeMs) -> None:
        rules.judge_token(
            claims,
            node=self.identity.did,
            revoked=tables.is_revoked(tx, claims.token_id),
            standing=tables.get_member(tx, claims.member_id),
            away=self._away(claims.member_id),
            since_ms=generations.opened_at_ms(tx),
            now_ms=now_ms,
            limits=self.limits,
        )

    def _sign(self, grant: Grant) -> Token:
        """Return the signed token; it leaves only after the commit of its transaction."""
        claims = TokenClaims(
            network=self.genesis.network,
            aud=self.identity.did,
            member_id=grant.member.member_id,
            did=grant.member.did,
            scopes=grant.scopes,
            issued_at_ms=grant.issued_at_ms,
            expires_at_ms=grant.expires_at_ms,
            token_id=random_id(),
        )
        return Token(
            token=jws.sign(claims, typ=TOKEN_TYP, identity=self.identity),
            member_id=claims.member_id,
            scopes=claims.scopes,
            expires_at_ms=claims.expires_at_ms,
        )

    def _end(self, tx: Tx, revoked: Revoked) -> None:
        """Let nothing be recalled that this transaction ends, from now until after its commit."""
        self._verified.distrust()

        def tell() -> None:
            self._verified.forget_all()
            for callback in self._on_revoked:
                callback(revoked)

        tx.after_commit(tell)

    def _away(self, member_id: MemberId) -> Away | None:
        return None if self._homes is None else self._homes.away(member_id)

    def _is_local(self, member: Member) -> bool:
        return member.coop is None or self.is_home(member)

    def is_home(self, member: Member) -> bool:
        """Return whether this node is the home of a member's coop; who has none has no home."""
        if member.coop is None:
            return False
        charter = self.genesis.charter(member.coop)
        return charter is not None and charter.home_node == self.identity.did
