"""What a home node keeps of votes: ballots, delegations and decisions, as they were signed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, select

from nodeimpl.governance.states import Cast, Delegated
from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from opkit.wire.base import Jws, MemberId, RecordId, Slug

ballots = Table(
    "governance_ballots",
    metadata,
    Column("proposal", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("choice", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("did", Text, nullable=False),
    Column("ballot", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("cast_ms", BigInteger, nullable=False),
)
"""The ballot of each member that stands: signatures were verified before it was kept."""

delegations = Table(
    "governance_delegations",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("delegate", Text, nullable=True),
    Column("sequence", BigInteger, nullable=False),
    Column("did", Text, nullable=False),
    Column("delegation", Text, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
)
"""The last delegation of each member; `delegate` is null where it revokes."""

decisions = Table(
    "governance_decisions",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("proposal", Text, nullable=False),
    Column("signed", Text, nullable=False),
    Column("attested", Text, nullable=False),
    Column("delegations", Text, nullable=False),
    Index("ix_governance_decisions_proposal", "proposal", unique=True),
)
"""Decisions as they were signed, and the delegations that they counted."""

_b, _d, _s = ballots.c, delegations.c, decisions.c
_CAST = (
    _b.member_id,
    _b.choice,
    _b.sequence,
    _b.id,
    _b.did,
    _b.ballot,
    _b.salt,
    _b.receipt,
    _b.cast_ms,
)
_OF_PROPOSAL = _b.proposal == bindparam("proposal")
_DELEGATED = (_d.member_id, _d.delegate, _d.sequence, _d.did, _d.delegation, _d.set_ms)

_PUT = upsert(ballots)
_GET = sql(select(*_CAST).where(_OF_PROPOSAL, _b.member_id == bindparam("member_id")))
_PAGE = sql(
    select(*_CAST)
    .where(_OF_PROPOSAL, _b.member_id > bindparam("after"))
    .order_by(_b.member_id)
    .limit(bindparam("count_max", type_=BigInteger))
)
_COUNTED = sql(
    select(_b.member_id, _b.choice, _b.id, _b.salt).where(_OF_PROPOSAL).order_by(_b.member_id)
)
_KEYS = sql(select(_b.member_id, _b.did).where(_OF_PROPOSAL).order_by(_b.member_id))
_PUT_DELEGATION = upsert(delegations)
_GET_DELEGATION = sql(
    select(*_DELEGATED).where(_d.coop == bindparam("coop"), _d.member_id == bindparam("member_id"))
)
_STANDING = sql(
    select(*_DELEGATED)
    .where(_d.coop == bindparam("coop"), _d.delegate.is_not(None))
    .order_by(_d.member_id)
)
_DELEGATIONS = sql(
    select(*_DELEGATED)
    .where(
        _d.coop == bindparam("coop"),
        _d.delegate.is_not(None),
        _d.member_id > bindparam("after"),
    )
    .order_by(_d.member_id)
    .limit(bindparam("count_max", type_=BigInteger))
)
_PUT_DECISION = sql(decisions.insert())
_GET_DECISION = sql(
    select(_s.hash, _s.signed, _s.attested, _s.delegations).where(
        _s.proposal == bindparam("proposal")
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision as it was signed, what leaves the coop of it, and what it counted."""

    hash: RecordId
    signed: Jws
    attested: Jws
    delegations: tuple[Jws, ...]


def put(tx: Tx, proposal: RecordId, cast: Cast) -> None:
    """Keep a member's ballot instead of the one that stood."""
    tx.run(
        _PUT,
        proposal=proposal,
        member_id=cast.member_id,
        choice=cast.choice,
        sequence=cast.sequence,
        id=cast.id,
        did=cast.did,
        ballot=cast.ballot,
        salt=cast.salt,
        receipt=cast.receipt,
        cast_ms=cast.cast_ms,
    )


def get(tx: Tx, proposal: RecordId, member_id: MemberId) -> Cast | None:
    """Return the ballot of a member that stands."""
    row = tx.one(_GET, proposal=proposal, member_id=member_id)
    return None if row is None else _cast(row)


def page(tx: Tx, proposal: RecordId, *, after: str, count_max: int) -> list[Cast]:
    """Return ballots by member, those after one."""
    rows = tx.all(_PAGE, proposal=proposal, after=after, count_max=count_max)
    return [_cast(row) for row in rows]


def counted(tx: Tx, proposal: RecordId) -> list[tuple[MemberId, Any, RecordId, str]]:
    """Return member, choice, record id and salt of every ballot, by member."""
    return [
        (member, choice, id_, salt)
        for member, choice, id_, salt in tx.all(_COUNTED, proposal=proposal)
    ]


def keys(tx: Tx, proposal: RecordId) -> list[tuple[MemberId, str]]:
    """Return with which key each member's ballot was signed, by member."""
    return [(member_id, did) for member_id, did in tx.all(_KEYS, proposal=proposal)]


def put_delegation(tx: Tx, coop: Slug, delegated: Delegated) -> None:
    """Keep a member's delegation instead of the one that stood."""
    tx.run(
        _PUT_DELEGATION,
        coop=coop,
        member_id=delegated.member_id,
        delegate=delegated.to,
        sequence=delegated.sequence,
        did=delegated.did,
        delegation=delegated.delegation,
        set_ms=delegated.set_ms,
    )


def get_delegation(tx: Tx, coop: Slug, member_id: MemberId) -> Delegated | None:
    """Return a member's last delegation, also one that revokes."""
    row = tx.one(_GET_DELEGATION, coop=coop, member_id=member_id)
    return None if row is None else _delegated(row)


def standing(tx: Tx, coop: Slug) -> list[Delegated]:
    """Return all delegations that stand, by member."""
    return [_delegated(row) for row in tx.all(_STANDING, coop=coop)]


def page_of_delegations(tx: Tx, coop: Slug, *, after: str, count_max: int) -> list[Delegated]:
    """Return delegations that stand, by member, those after one."""
    rows = tx.all(_DELEGATIONS, coop=coop, after=after, count_max=count_max)
    return [_delegated(row) for row in rows]


def put_decision(
    tx: Tx, *, coop: Slug, sequence: int, proposal: RecordId, decided: Decided
) -> None:
    """Keep a decision; no proposal has two."""
    tx.run(
        _PUT_DECISION,
        coop=coop,
        sequence=sequence,
        hash=decided.hash,
        proposal=proposal,
        signed=decided.signed,
        attested=decided.attested,
        delegations=json.dumps(decided.delegations, separators=(",", ":")),
    )


def get_decision(tx: Tx, proposal: RecordId) -> Decided | None:
    """Return the decision on a proposal."""
    row = tx.one(_GET_DECISION, proposal=proposal)
    if row is None:
        return None
    hash_, signed, attested, counted_too = row
    return Decided(
        hash=hash_, signed=signed, attested=attested, delegations=tuple(json.loads(counted_too))
    )


def _cast(row: tuple[Any, ...]) -> Cast:
    member_id, choice, sequence, id_, did, ballot, salt, receipt, cast_ms = row
    return Cast(
        member_id=member_id,
        choice=choice,
        sequence=sequence,
        id=id_,
        did=did,
        ballot=ballot,
        salt=salt,
        receipt=receipt,
        cast_ms=cast_ms,
    )


def _delegated(row: tuple[Any, ...]) -> Delegated:
    member_id, to, sequence, did, delegation, set_ms = row
    return Delegated(
        member_id=member_id,
        to=to,
        sequence=sequence,
        did=did,
        delegation=delegation,
        set_ms=set_ms,
    )
