"""Naming at work: countersigns as a home, passes claims on as anybody else, and answers names.

What this node countersigned is in its own tables in the same transaction as the event, before
anybody is answered or told; what all homes did is on the shelf, in records that verify by
themselves. Source: ADR 0035.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.naming import rules
from nodeimpl.naming import store as table
from nodeimpl.naming.index import Index
from nodeimpl.naming.ports import Homes, Members, Shelved
from nodeimpl.naming.registry import Registry, standing_of
from nodeimpl.naming.rules import Claimant, Limits, Signed, Standing
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.membership import fold_member
from opkit.proof.names import NameView, home_of, read_claim, read_name, view_name
from opkit.wire import names as wire
from opkit.wire.base import Did, Jws, MemberId
from opkit.wire.errors import Fault, Unreachable
from opkit.wire.records import Carried


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A claim for this node to judge, with what is known of it before its transaction.

    Attributes:
        given: the member, as whoever passed the claim on has shown.
        shelved: what the shelf has of this node's own countersignature: after the database was
            put back from an old copy, more than its tables have.
        alias_depth: how many aliases one follows from the target on.
    """

    signed: Signed
    said: wire.NameClaim
    given: Claimant | None
    shelved: Standing | None
    alias_depth: int


class Naming:
    """Answers members and peers about names."""

    def __init__(
        self,
        *,
        own: Did,
        genesis: GenesisView,
        store: Store,
        clock: Clock,
        members: Members,
        shelf: Shelved,
        homes: Homes,
        index: Index,
        registry: Registry,
        limits: Limits,
    ) -> None:
        """Keep the parts; `own` is this node's key."""
        self._own = own
        self._genesis = genesis
        self._store = store
        self._clock = clock
        self._members = members
        self._shelf = shelf
        self._homes = homes
        self._index = index
        self._registry = registry
        self._limits = limits

    # Claims.

    async def hand_in(self, ask: wire.RegisterName, caller: Caller | None) -> Asked | wire.NameHeld:
        """Return a claim to be judged here, or what the home node said to it.

        Refuses, in this order:
            ClaimRejected: it does not verify.
            CoopUnknown: no such coop has a charter.
            (the rest): as the home node does (`rules.judge_claim`).
            HomeUnreachable: it does not answer.
        """
        signed, said = self._read(ask.claim)
        home = home_of(said.name, genesis=self._genesis)
        if home is None:
            raise wire.CoopUnknown(coop=said.aud)
        if home != self._own:
            return await self._pass_on(home, signed, said)
        return await self._asked(signed, said, given=None)

    def register(
        self,
        tx: Tx,
        ask: wire.RegisterName,
        caller: Caller | None,
        asked: Asked | wire.NameHeld,
    ) -> wire.NameHeld:
        """Countersign a claim, unless its home node did; refuses as `rules.judge_claim` does."""
        return asked if isinstance(asked, wire.NameHeld) else self._judge(tx, asked)

    async def claim(self, peer: Did, ask: wire.PassClaim) -> wire.NameHeld:
        """Countersign a claim that another node passed on.

        Refuses, in this order:
            ClaimRejected: it does not verify, or this node is not the name's home.
            (the rest): as `rules.judge_claim` does.
        """
        del peer  # Who passes a claim on is of no importance.
        signed, said = self._read(ask.claim)
        if home_of(said.name, genesis=self._genesis) != self._own:
            raise wire.ClaimRejected(why=f"this node is not the home of {said.aud}")
        given = self._given(said.member_id, ask.member)
        asked = await self._asked(signed, said, given=given)
        return await self._store.write(lambda tx: self._judge(tx, asked))

    # Names.

    async def look_up(self, ask: wire.LookUpName, caller: Caller | None) -> wire.NameHeld:
        """Say who holds a name. Refuses: NameUnknown."""
        view = self._index.view(ask.name, now_ms=self._clock.now_ms())
        if view is None:
            raise wire.NameUnknown(name=ask.name)
        return held_of(view)

    async def list(self, ask: wire.ListNames, caller: Caller | None) -> wire.NamePage:
        """List names in order."""
        views, after = self._index.page(
            prefix=ask.prefix,
            owner=ask.owner,
            after=ask.after,
            names_max=ask.names_max,
            now_ms=self._clock.now_ms(),
        )
        return wire.NamePage(names=tuple(map(held_of, views)), next_after=after)

    # How a claim is judged.

    def _read(self, token: Jws) -> tuple[Signed, wire.NameClaim]:
        """Return a claim that verifies. Refuses: ClaimRejected."""
        try:
            said = read_claim(token, network=self._genesis.network)
        except ProofError as bad:
            raise wire.ClaimRejected(why=bad.why) from bad
        return Signed(token=token, id=jws.record_id(token), payload=said), said

    async def _asked(
        self, signed: Signed, said: wire.NameClaim, *, given: Claimant | None
    ) -> Asked:
        await self._shelf.recall(said.name)
        carried = self._shelf.standing(said.name)
        depth = self._index.depth(said.target, name=said.name, now_ms=self._clock.now_ms())
        return Asked(
            signed=signed,
            said=said,
            given=given,
            shelved=None if carried is None else standing_of(carried),
            alias_depth=depth,
        )

    def _given(self, member_id: MemberId, chain: wire.MemberChain) -> Claimant | None:
        """Return the member that a chain shows; one that does not hold shows nothing."""
        try:
            member = fold_member(member_id, genesis=self._genesis, records=chain)
        except ProofError:
            return None
        return None if member is None else Claimant(member=member, chain=chain)

    def _claimant(self, tx: Tx, asked: Asked) -> Claimant | None:
        """Return the member whom a claim names, by the longer one of two chains."""
        member_id, given = asked.said.member_id, asked.given
        member = self._members.member(tx, member_id)
        if member is None or (given is not None and given.member.sequence > member.sequence):
            return given
        return Claimant(member=member, chain=self._members.records(tx, member_id))

    def _judge(self, tx: Tx, asked: Asked) -> wire.NameHeld:
        said = asked.said
        standing = newest(table.get(tx, said.name), asked.shelved)
        effect = rules.judge_claim(
            asked.signed,
            charter=self._genesis.charter(said.aud) is not None,
            claimant=self._claimant(tx, asked),
            standing=standing,
            alias_depth=asked.alias_depth,
            used=table.used(tx, member_id=said.member_id, coop=said.aud),
            now_ms=tx.now_ms,
            limits=self._limits,
        )
        if effect is not None:
            standing = self._registry.countersign(tx, said, effect)
        assert standing is not None, "what was countersigned before stands"
        return held_of(view_name(standing.record))

    # How a claim is passed on.

    async def _pass_on(self, home: Did, signed: Signed, said: wire.NameClaim) -> wire.NameHeld:
        """Return what the home node made of a claim, once its record is here as well."""
        chain = await self._store.read(lambda tx: self._members.records(tx, said.member_id))
        ask = wire.PassClaim(
            claim=signed.token, member=chain if len(chain) <= wire.CHAIN_MAX else ()
        )
        try:
            held = await self._homes.ask(home, ask)
            view = read_name(held.record, self._genesis)
        except (Unreachable, Fault) as silent:
            raise _unreachable(said, home, str(silent)) from silent
        except ProofError as bad:
            raise _unreachable(said, home, f"its answer does not verify: {bad.why}") from bad
        if (view.name, view.member_id, view.claim_sequence) != (
            said.name,
            said.member_id,
            said.sequence,
        ):
            raise _unreachable(said, home, "its answer is about something else")
        self._shelf.keep(Carried(jws=held.record))
        return held_of(view)


def newest(row: Standing | None, shelved: Standing | None) -> Standing | None:
    """Return what was countersigned last, of what the tables say and what the shelf has."""
    if row is None or (shelved is not None and shelved.sequence > row.sequence):
        return shelved
    return row


def held_of(view: NameView) -> wire.NameHeld:
    """Return who holds a name, as it is answered."""
    return wire.NameHeld(
        name=view.name,
        member_id=view.member_id,
        did=view.did,
        target=view.target,
        sequence=view.sequence,
        claim_sequence=view.claim_sequence,
        issued_at_ms=view.issued_at_ms,
        lapses_at_ms=view.lapses_at_ms,
        home=view.home,
        record=view.record,
    )


def _unreachable(said: wire.NameClaim, home: Did, why: str) -> wire.HomeUnreachable:
    return wire.HomeUnreachable(coop=said.aud, home=home, why=why[:1_024])
