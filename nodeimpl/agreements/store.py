"""The agreements that a node keeps, and the signatures under them; decides nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, func, select, update

from nodeimpl.agreements.rules import Believed, Held, Kept
from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from opkit.proof import jws
from opkit.proof.terms import spell_terms
from opkit.wire.agreements import AgreementSignature, AgreementState
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms

agreements = Table(
    "agreements",
    metadata,
    Column("agreement", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("terms", Text, nullable=False),
    Column("amends", Text, nullable=True),
    Column("complete", BigInteger, nullable=False),
    Column("told", Text, nullable=False),
    Column("file_hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("heard_ms", BigInteger, nullable=False),
    Index("ix_agreements_number", "number", unique=True),
    Index("ix_agreements_amends", "amends", "complete", "number"),
)
"""Each agreement once; `told` is the state that was announced last, never what is answered.

`complete` says whether all parties have signed it: only such ones amend another."""

signatures = Table(
    "agreement_signatures",
    metadata,
    Column("agreement", Text, primary_key=True),
    Column("coop", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("attested", Text, nullable=False),
)
"""What each party signed, with what it cites; all of it was verified before it was kept."""

_a, _s = agreements.c, signatures.c
_ROW = (_a.agreement, _a.number, _a.terms, _a.told, _a.file_hash)

_ADD = sql(agreements.insert())
_GET = sql(select(*_ROW).where(_a.agreement == bindparam("agreement")))
_LAST = sql(select(func.max(_a.number)))
_COUNT_TOLD = sql(select(_a.told, func.count()).group_by(_a.told))
_PAGE = sql(
    select(*_ROW)
    .where(_a.number < bindparam("before"))
    .order_by(_a.number.desc())
    .limit(bindparam("count_max"))
)
_AMENDING = sql(
    select(*_ROW).where(_a.amends == bindparam("agreement"), _a.complete == 1).order_by(_a.number)
)
_TELL = sql(
    update(agreements).where(_a.agreement == bindparam("its_id")).values(told=bindparam("told"))
)
_REFILE = sql(
    update(agreements)
    .where(_a.agreement == bindparam("its_id"))
    .values(file_hash=bindparam("file_hash"), complete=bindparam("complete"))
)
_SIGN = upsert(signatures)
_SIGNED = sql(
    select(_s.id, _s.signature, _s.decision, _s.attested)
    .where(_s.agreement == bindparam("agreement"))
    .order_by(_s.coop, _s.action)
)


def add(
    tx: Tx, agreement: RecordId, terms: Terms, *, told: AgreementState, file_hash: RecordId
) -> Kept:
    """Keep an agreement that was not here."""
    kept = Kept(
        agreement=agreement, number=count(tx) + 1, terms=terms, told=told, file_hash=file_hash
    )
    tx.run(
        _ADD,
        agreement=agreement,
        number=kept.number,
        terms=spell_terms(terms),
        amends=terms.amends,
        complete=0,
        told=told,
        file_hash=file_hash,
        heard_ms=tx.now_ms,
    )
    return kept


def count(tx: Tx) -> int:
    """Return how many agreements are here; none is ever dropped."""
    row = tx.one(_LAST)
    return 0 if row is None or row[0] is None else int(row[0])


def count_told(tx: Tx) -> dict[AgreementState, int]:
    """Return how many agreements there are, by the state that was announced last."""
    return {state: int(number) for state, number in tx.all(_COUNT_TOLD)}


def get(tx: Tx, agreement: str) -> Held | None:
    """Return an agreement with its signatures."""
    row = tx.one(_GET, agreement=agreement)
    return None if row is None else _held(tx, row)


def page(tx: Tx, *, before: int, count_max: int) -> list[Held]:
    """Return agreements, newest first, those with a lower number."""
    return [_held(tx, row) for row in tx.all(_PAGE, before=before, count_max=count_max)]


def amending(tx: Tx, agreement: RecordId) -> list[Held]:
    """Return those that amend an agreement and that all parties have signed, as they were heard."""
    return [_held(tx, row) for row in tx.all(_AMENDING, agreement=agreement)]


def tell(tx: Tx, agreement: RecordId, told: AgreementState) -> None:
    """Keep which state was announced last."""
    tx.run(_TELL, its_id=agreement, told=told)


def refile(tx: Tx, agreement: RecordId, *, file_hash: RecordId, complete: bool) -> None:
    """Keep what the file's hash is now, and whether all parties have signed."""
    tx.run(_REFILE, its_id=agreement, file_hash=file_hash, complete=int(complete))


def sign(tx: Tx, believed: Believed) -> None:
    """Keep a party's signature, in place of one that it gave for the same."""
    said = believed.said
    tx.run(
        _SIGN,
        agreement=said.agreement,
        coop=said.aud,
        action=said.action,
        id=believed.id,
        signature=believed.signature,
        decision=believed.decision,
        attested=believed.attested,
    )


def _held(tx: Tx, row: tuple[Any, ...]) -> Held:
    agreement, number, terms, told, file_hash = row
    kept = Kept(
        agreement=agreement,
        number=number,
        terms=Terms.model_validate_json(terms),
        told=told,
        file_hash=file_hash,
    )
    rows = tx.all(_SIGNED, agreement=agreement)
    return Held(kept=kept, signatures=tuple(_believed(each) for each in rows))


def _believed(row: tuple[Any, ...]) -> Believed:
    id_, signature, decision, attested = row
    return Believed(
        id=id_,
        said=AgreementSignature.model_construct(**jws.reread(signature)),
        signature=signature,
        decision=decision,
        attested=attested,
    )
