"""What membership keeps: members, the records that made them, used challenges, ended tokens."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    join,
    or_,
    outerjoin,
    select,
)

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import insert_new, sql, upsert
from nodeimpl.kernel.tx import Tx
from nodeimpl.membership.rules import Standing
from opkit.wire.base import Did, Jws, MemberId, RecordId, Slug, TimeMs
from opkit.wire.membership import Member

members = Table(
    "members",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("coop", Text, nullable=True),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("did", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("local", BigInteger, nullable=False),
    Index("ix_members_did", "did"),
)
"""Everybody this node knows; `local` is 1 for those who may log in here."""

member_records = Table(
    "member_records",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("record_id", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("recorded_at_ms", BigInteger, nullable=False),
)
"""Records as they were signed, by the operator or by decision: the chain of each member."""

used_challenges = Table(
    "used_challenges",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Index("ix_used_challenges_lapses_at_ms", "lapses_at_ms"),
)
"""Challenges that were answered, kept until they would lapse anyway."""

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Index("ix_revoked_tokens_lapses_at_ms", "lapses_at_ms"),
)
"""Tokens that were ended before their time, kept until it comes."""

_MEMBER = tuple(column for column in members.columns)

_PUT_MEMBER = upsert(members)
_SEED_MEMBER = insert_new(members)
_GET_MEMBER = sql(select(*_MEMBER).where(members.c.member_id == bindparam("member_id")))
_BY_DID = sql(
    select(*_MEMBER)
    .where(members.c.did == bindparam("did"))
    .order_by(members.c.active.desc(), members.c.local.desc(), members.c.member_id)
    .limit(1)
)
_PAGE = sql(
    select(*_MEMBER)
    .where(members.c.member_id > bindparam("after"))
    .order_by(members.c.member_id)
    .limit(bindparam("count_max", type_=BigInteger))
)
_COUNT_MEMBERS = sql(select(func.count()).select_from(members))

_PUT_RECORD = sql(member_records.insert())
_RECORDS = sql(
    select(member_records.c.token)
    .where(member_records.c.member_id == bindparam("member_id"))
    .order_by(member_records.c.sequence)
)
_RECORD_ID = sql(
    select(member_records.c.record_id).where(
        member_records.c.member_id == bindparam("member_id"),
        member_records.c.sequence == bindparam("sequence"),
    )
)
_CUT_RECORDS = sql(
    delete(member_records).where(
        member_records.c.member_id == bindparam("member_id"),
        member_records.c.sequence > bindparam("sequence"),
    )
)
_LAST_LINK = outerjoin(
    members,
    member_records,
    and_(
        member_records.c.member_id == members.c.member_id,
        member_records.c.sequence == members.c.sequence,
    ),
)
_AFTER = or_(
    member_records.c.member_id > bindparam("after"),
    and_(
        member_records.c.member_id == bindparam("after"),
        member_records.c.sequence > bindparam("sequence"),
    ),
)
_OF_COOP = sql(
    select(members.c.member_id, members.c.sequence, member_records.c.record_id)
    .select_from(_LAST_LINK)
    .where(members.c.coop == bindparam("coop"))
)
_STANDING_IN_COOP = sql(
    select(
        members.c.member_id,
        members.c.did,
        members.c.sequence,
        member_records.c.record_id,
        members.c.active,
        members.c.roles,
    )
    .select_from(_LAST_LINK)
    .where(members.c.coop == bindparam("coop"))
)
_LINKS_OF_COOP = sql(
    select(member_records.c.member_id, member_records.c.sequence, member_records.c.token)
    .select_from(join(members, member_records, member_records.c.member_id == members.c.member_id))
    .where(members.c.coop == bindparam("coop"), _AFTER)
    .order_by(member_records.c.member_id, member_records.c.sequence)
    .limit(bindparam("count_max", type_=BigInteger))
)
_LINKS = sql(
    select(member_records.c.member_id, member_records.c.sequence, member_records.c.token)
    .where(_AFTER)
    .order_by(member_records.c.member_id, member_records.c.sequence)
    .limit(bindparam("count_max", type_=BigInteger))
)
_COUNT_RECORDS = sql(
    select(func.count())
    .select_from(member_records)
    .where(member_records.c.member_id == bindparam("member_id"))
)

_HAS_DECIDED = sql(
    select(member_records.c.sequence)
    .select_from(join(members, member_records, member_records.c.member_id == members.c.member_id))
    .where(
        members.c.coop == bindparam("coop"),
        func.substr(member_records.c.token, 1, bindparam("characters", type_=Integer))
        == bindparam("header"),
    )
    .limit(1)
)

_USE_CHALLENGE = sql(used_challenges.insert())
_IS_USED = sql(select(used_challenges.c.nonce).where(used_challenges.c.nonce == bindparam("nonce")))
_COUNT_USED = sql(select(func.count()).select_from(used_challenges))
_FORGET_USED = sql(
    delete(used_challenges).where(used_challenges.c.lapses_at_ms <= bindparam("until_ms"))
)

_REVOKE_TOKEN = insert_new(revoked_tokens)
_IS_REVOKED = sql(
    select(revoked_tokens.c.token_id).where(revoked_tokens.c.token_id == bindparam("token_id"))
)
_FORGET_REVOKED = sql(
    delete(revoked_tokens).where(revoked_tokens.c.lapses_at_ms <= bindparam("until_ms"))
)


def seed_member(tx: Tx, standing: Standing) -> None:
    """Write a member of genesis unless somebody is known under that id already."""
    tx.run(_SEED_MEMBER, **_row(standing))


def put_member(tx: Tx, standing: Standing) -> None:
    """Write a member, or what became of them."""
    tx.run(_PUT_MEMBER, **_row(standing))


def get_member(tx: Tx, member_id: MemberId) -> Standing | None:
    """Return the member of this id."""
    return _standing(tx.one(_GET_MEMBER, member_id=member_id))


def member_by_did(tx: Tx, did: Did) -> Standing | None:
    """Return who holds this key: an active and local member before any other."""
    return _standing(tx.one(_BY_DID, did=did))


def page_of_members(tx: Tx, *, after: str, count_max: int) -> list[Member]:
    """Return members by id, those after `after`."""
    rows = tx.all(_PAGE, after=after, count_max=count_max)
    return [_known(row).member for row in rows]


def count_members(tx: Tx) -> int:
    """Return how many members are known."""
    return _count(tx.one(_COUNT_MEMBERS))


def put_record(
    tx: Tx, *, member_id: MemberId, sequence: int, record_id: RecordId, token: Jws
) -> None:
    """Keep a record as the next of its member's chain."""
    tx.run(
        _PUT_RECORD,
        member_id=member_id,
        sequence=sequence,
        record_id=record_id,
        token=token,
        recorded_at_ms=tx.now_ms,
    )


def records_of(tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
    """Return the chain of a member, oldest record first."""
    return tuple(token for (token,) in tx.all(_RECORDS, member_id=member_id))


def record_id_of(tx: Tx, member_id: MemberId, sequence: int) -> RecordId | None:
    """Return the id of one record of a member's chain."""
    row = tx.one(_RECORD_ID, member_id=member_id, sequence=sequence)
    return None if row is None else str(row[0])


def cut_records(tx: Tx, member_id: MemberId, *, after: int) -> None:
    """Forget the records of a member's chain that come after this one."""
    tx.run(_CUT_RECORDS, member_id=member_id, sequence=after)


def links_after(
    tx: Tx, *, member_id: str, sequence: int, count_max: int
) -> list[tuple[MemberId, int, Jws]]:
    """Return records of all chains by member and number, those after this one."""
    rows = tx.all(_LINKS, after=member_id, sequence=sequence, count_max=count_max)
    return [(member, number, token) for member, number, token in rows]


def members_of(tx: Tx, coop: Slug) -> list[tuple[MemberId, int, RecordId | None]]:
    """Return how the chain of each member of a coop stands: its number, and its last record."""
    return [(member, sequence, last) for member, sequence, last in tx.all(_OF_COOP, coop=coop)]


StandingRow = tuple[MemberId, Did, int, RecordId | None, int, str]
"""A member as their coop's assembly sees them: id, key, place in their chain and its last record's
id, whether active, and their roles as `roles_of` reads them."""


def standing_in_coop(tx: Tx, coop: Slug) -> list[StandingRow]:
    """Return how each member of a coop stands, in no order."""
    return [tuple(row) for row in tx.all(_STANDING_IN_COOP, coop=coop)]


def roles_of(kept: str) -> tuple[Slug, ...]:
    """Return the roles that are kept in this text."""
    return tuple(json.loads(kept))


def links_of_coop(
    tx: Tx, coop: Slug, *, member_id: str, sequence: int, count_max: int
) -> list[tuple[MemberId, int, Jws]]:
    """Return records of a coop's members by member and number, those after this one."""
    rows = tx.all(
        _LINKS_OF_COOP, coop=coop, after=member_id, sequence=sequence, count_max=count_max
    )
    return [(member, number, token) for member, number, token in rows]


def has_decided(tx: Tx, coop: Slug, *, header: str) -> bool:
    """Return whether a chain of a coop's member has a record that begins with this JWS header."""
    begin = f"{header}."
    found = tx.one(_HAS_DECIDED, coop=coop, header=begin, characters=len(begin))
    return found is not None


def count_records(tx: Tx, member_id: MemberId) -> int:
    """Return how long the chain of a member is."""
    return _count(tx.one(_COUNT_RECORDS, member_id=member_id))


def is_used(tx: Tx, nonce: str) -> bool:
    """Say whether a challenge with this nonce was answered before."""
    return tx.one(_IS_USED, nonce=nonce) is not None


def use_challenge(tx: Tx, *, nonce: str, lapses_at_ms: TimeMs) -> None:
    """Remember a challenge as answered, and forget those that have lapsed."""
    tx.run(_FORGET_USED, until_ms=tx.now_ms)
    tx.run(_USE_CHALLENGE, nonce=nonce, lapses_at_ms=lapses_at_ms)


def count_used(tx: Tx) -> int:
    """Return how many answered challenges are remembered."""
    return _count(tx.one(_COUNT_USED))


def is_revoked(tx: Tx, token_id: str) -> bool:
    """Say whether this token was ended before its time."""
    return tx.one(_IS_REVOKED, token_id=token_id) is not None


def revoke_token(tx: Tx, *, token_id: str, lapses_at_ms: TimeMs) -> None:
    """Remember a token as ended, and forget those whose time has come."""
    tx.run(_FORGET_REVOKED, until_ms=tx.now_ms)
    tx.run(_REVOKE_TOKEN, token_id=token_id, lapses_at_ms=lapses_at_ms)


def _row(standing: Standing) -> dict[str, Any]:
    member = standing.member
    return {
        "member_id": member.member_id,
        "coop": member.coop,
        "name": member.name,
        "title": member.title,
        "did": member.did,
        "roles": json.dumps(member.roles),
        "active": int(member.active),
        "sequence": member.sequence,
        "local": int(standing.local),
    }


def _standing(row: tuple[Any, ...] | None) -> Standing | None:
    return None if row is None else _known(row)


def _known(row: tuple[Any, ...]) -> Standing:
    member_id, coop, name, title, did, roles, active, sequence, local = row
    member = Member(
        member_id=member_id,
        coop=coop,
        name=name,
        title=title,
        did=did,
        roles=tuple(json.loads(roles)),
        active=bool(active),
        sequence=sequence,
    )
    return Standing(member=member, local=bool(local))


def _count(row: tuple[Any, ...] | None) -> int:
    assert row is not None, "a count is always one row"
    return int(row[0])
