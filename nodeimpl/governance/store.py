"""What a home node keeps of its assemblies: how they stand, their proposals, and who may vote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, func, select, update

from nodeimpl.governance.states import AssemblyState, Standing
from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Statement, Tx, insert_new, sql, upsert
from opkit.wire.base import MemberId, RecordId, Slug
from opkit.wire.governance import VoidedBy
from opkit.wire.votes import Elector, ProposalState, Rule, Tally

assemblies = Table(
    "governance_assemblies",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("next_nonce", BigInteger, nullable=False),
    Column("decisions", BigInteger, nullable=False),
    Column("last_decision", Text, nullable=False),
)
"""What changed since the charter; a coop without a row is as its charter says."""

electorates = Table(
    "governance_electorates",
    metadata,
    Column("hash", Text, primary_key=True, info=NAMES_NOTHING),
    Column("electors", Text, nullable=False),
)
"""Each electorate that voting was opened with, once: its hash names it."""

proposals = Table(
    "governance_proposals",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("proposal_id", Text, primary_key=True),
    Column("hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("number", BigInteger, nullable=False),
    Column("signed", Text, nullable=False),
    Column("member_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("treasury_nonce", BigInteger, nullable=True),
    Column("electorate_hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("electors", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("drafted_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=True),
    Column("closes_ms", BigInteger, nullable=True),
    Column("closed_ms", BigInteger, nullable=True),
    Column("challenge_ends_ms", BigInteger, nullable=True),
    Column("executable_until_ms", BigInteger, nullable=True),
    Column("executed_ms", BigInteger, nullable=True),
    Column("ended_ms", BigInteger, nullable=True),
    Column("yes", BigInteger, nullable=False),
    Column("no", BigInteger, nullable=False),
    Column("abstain", BigInteger, nullable=False),
    Column("tally", Text, nullable=True),
    Column("outcome", Text, nullable=True),
    Column("decision", Text, nullable=True),
    Column("entry", Text, nullable=True),
    Column("voided_by", Text, nullable=True),
    Index("ix_governance_proposals_hash", "hash", unique=True),
    Index("ix_governance_proposals_coop_number", "coop", "number", unique=True),
    Index("ix_governance_proposals_coop_state_number", "coop", "state", "number"),
    Index("ix_governance_proposals_coop_treasury_nonce", "coop", "treasury_nonce"),
)
"""Proposals as they stand; `number` counts an assembly's from 1, in the order they came."""

_a, _e, _t = assemblies.c, electorates.c, proposals.c
_COLUMNS = tuple(proposals.columns)
_NAMES = tuple(column.name for column in proposals.columns)
_MINE = _t.coop == bindparam("coop")
_UNDER_WAY = _t.state.in_(["draft", "open"])

_PUT_ASSEMBLY = upsert(assemblies)
_GET_ASSEMBLY = sql(
    select(_a.rule, _a.next_nonce, _a.decisions, _a.last_decision).where(
        _a.coop == bindparam("coop")
    )
)
_PUT_ELECTORATE = insert_new(electorates)
_GET_ELECTORATE = sql(select(_e.electors).where(_e.hash == bindparam("hash")))
_PUT = upsert(proposals)
_PUT_VOTES = sql(
    update(proposals)
    .where(_t.hash == bindparam("which"))
    .values(yes=bindparam("yes"), no=bindparam("no"), abstain=bindparam("abstain"))
)
_BY_ID = sql(select(*_COLUMNS).where(_MINE, _t.proposal_id == bindparam("proposal_id")))
_BY_HASH = sql(select(*_COLUMNS).where(_MINE, _t.hash == bindparam("hash")))
_LAST_NUMBER = sql(select(func.max(_t.number)).where(_MINE))
_COUNT = sql(select(func.count()).select_from(proposals).where(_MINE, _UNDER_WAY))
_COUNT_OF_MEMBER = sql(
    select(func.count())
    .select_from(proposals)
    .where(_MINE, _UNDER_WAY, _t.member_id == bindparam("member_id"))
)
_TAKEN = (_MINE, _t.treasury_nonce.is_not(None), _t.opened_ms.is_not(None))
_NONCES = sql(select(*_COLUMNS).where(*_TAKEN).order_by(_t.treasury_nonce.desc()).limit(64))
_BY_NONCE = sql(select(*_COLUMNS).where(*_TAKEN, _t.treasury_nonce == bindparam("nonce")))


def _page(*where: Any) -> Statement:
    return sql(
        select(*_COLUMNS)
        .where(_MINE, _t.number < bindparam("before"), *where)
        .order_by(_t.number.desc())
        .limit(bindparam("count_max", type_=BigInteger))
    )


_PAGE = _page()
_PAGE_OF_STATE = _page(_t.state == bindparam("state"))


def get_assembly(tx: Tx, coop: Slug) -> AssemblyState | None:
    """Return how an assembly stands; None if nothing changed since its charter."""
    row = tx.one(_GET_ASSEMBLY, coop=coop)
    if row is None:
        return None
    rule, next_nonce, decisions, last_decision = row
    return AssemblyState(
        coop=coop,
        rule=Rule.model_validate_json(rule),
        next_nonce=next_nonce,
        decisions=decisions,
        last_decision=last_decision,
    )


def put_assembly(tx: Tx, assembly: AssemblyState) -> None:
    """Keep how an assembly stands."""
    tx.run(
        _PUT_ASSEMBLY,
        coop=assembly.coop,
        rule=assembly.rule.model_dump_json(),
        next_nonce=assembly.next_nonce,
        decisions=assembly.decisions,
        last_decision=assembly.last_decision,
    )


def put_electorate(tx: Tx, electorate_hash: RecordId, electors: Sequence[Elector]) -> None:
    """Keep who may vote, unless it is kept already."""
    rows = [[each.member_id, each.did, each.sequence, each.link] for each in electors]
    text = json.dumps(rows, separators=(",", ":"))
    tx.run(_PUT_ELECTORATE, hash=electorate_hash, electors=text)


def get_electorate(tx: Tx, electorate_hash: RecordId) -> list[Elector]:
    """Return who may vote; voting was opened with this electorate."""
    row = tx.one(_GET_ELECTORATE, hash=electorate_hash)
    assert row is not None, "an electorate is kept when voting is opened"
    return [
        # They were judged when they were kept; ten thousand are read in a transaction.
        Elector.model_construct(member_id=member_id, did=did, sequence=sequence, link=link)
        for member_id, did, sequence, link in json.loads(row[0])
    ]


def put(tx: Tx, standing: Standing) -> None:
    """Keep a proposal as it stands."""
    row: dict[str, Any] = {name: getattr(standing, name) for name in _NAMES}
    row["tally"] = standing.tally and standing.tally.model_dump_json()
    row["voided_by"] = standing.voided_by and standing.voided_by.model_dump_json()
    tx.run(_PUT, **row)


def put_votes(tx: Tx, standing: Standing) -> None:
    """Keep how many votes a proposal has; nothing else of it has changed."""
    tx.run(
        _PUT_VOTES,
        which=standing.hash,
        yes=standing.yes,
        no=standing.no,
        abstain=standing.abstain,
    )


def get(tx: Tx, coop: Slug, proposal: str) -> Standing | None:
    """Return a proposal by its id or its hash."""
    row = tx.one(_BY_ID, coop=coop, proposal_id=proposal)
    row = row or tx.one(_BY_HASH, coop=coop, hash=proposal)
    return None if row is None else _standing(row)


def by_nonce(tx: Tx, coop: Slug, nonce: int) -> Standing | None:
    """Return the proposal that took a treasury nonce."""
    row = tx.one(_BY_NONCE, coop=coop, nonce=nonce)
    return None if row is None else _standing(row)


def nonces(tx: Tx, coop: Slug) -> list[Standing]:
    """Return the proposals that took the last treasury nonces, newest first."""
    return [_standing(row) for row in tx.all(_NONCES, coop=coop)]


def page(
    tx: Tx, coop: Slug, *, before: int, state: ProposalState | None, count_max: int
) -> list[Standing]:
    """Return proposals, newest first, of numbers below `before`."""
    if state is None:
        rows = tx.all(_PAGE, coop=coop, before=before, count_max=count_max)
    else:
        rows = tx.all(_PAGE_OF_STATE, coop=coop, before=before, count_max=count_max, state=state)
    return [_standing(row) for row in rows]


def last_number(tx: Tx, coop: Slug) -> int:
    """Return how many proposals an assembly has had."""
    row = tx.one(_LAST_NUMBER, coop=coop)
    return int(row[0] or 0) if row else 0


def under_way(tx: Tx, coop: Slug) -> int:
    """Return how many drafts and open proposals an assembly has."""
    return _number(tx.one(_COUNT, coop=coop))


def under_way_of(tx: Tx, coop: Slug, member_id: MemberId) -> int:
    """Return how many drafts and open proposals a member has in an assembly."""
    return _number(tx.one(_COUNT_OF_MEMBER, coop=coop, member_id=member_id))


def _standing(row: tuple[Any, ...]) -> Standing:
    said = dict(zip(_NAMES, row, strict=True))
    tally, voided_by = said["tally"], said["voided_by"]
    said["tally"] = None if tally is None else Tally.model_validate_json(tally)
    said["voided_by"] = None if voided_by is None else VoidedBy.model_validate_json(voided_by)
    return Standing(**said)


def _number(row: tuple[Any, ...] | None) -> int:
    assert row is not None, "a count is always one row"
    return int(row[0])
