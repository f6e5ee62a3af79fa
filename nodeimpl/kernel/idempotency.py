"""Answers remembered by their idempotency key, in the transaction of the effect itself.

A key belongs to a principal and an endpoint for seven days of real time, and each principal holds a
bounded number of them. A repeated ask gets the remembered answer and has no second effect; the one
writer makes a duplicate in flight wait by itself. Refusals are not remembered: the function that
refused took the row with it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, func, literal, null, select, union_all

from nodeimpl.kernel.schema import idempotency
from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import IdempotencyConflict, IdempotencyFull

KEPT_MS = 7 * 24 * 3_600_000
"""How long a key is remembered."""

KEYS_PER_PRINCIPAL_MAX = 100_000
"""How many keys a principal may hold at once."""

FORGOTTEN_PER_ASK_MAX = 8
"""How many lapsed keys a new one removes: more than one, so that a backlog shrinks."""

ANSWER_BYTES_MAX = 1_048_576
"""The longest answer that is remembered."""

_t = idempotency.c

_mine = _t.principal == bindparam("principal")
_LAST_SLOT = select(func.max(_t.slot)).where(_mine).scalar_subquery().label("last_slot")
_OLDEST = (
    select(_t.slot, _t.at_ms, _LAST_SLOT)
    .where(_mine)
    .order_by(_t.slot)
    .limit(FORGOTTEN_PER_ASK_MAX)
    .subquery()
    .c
)
_KNOWN = select(_t.slot, _t.at_ms, _t.ask_hash, _t.answer, literal(0)).where(
    _mine, _t.endpoint == bindparam("endpoint"), _t.key == bindparam("key")
)
_LOOK = sql(
    union_all(_KNOWN, select(_OLDEST.slot, _OLDEST.at_ms, null(), null(), _OLDEST.last_slot))
)
"""The row of this key, and the principal's oldest without what is in them: one statement, for on
PostgreSQL each is a round trip while everybody waits."""
_FORGET = sql(
    idempotency.delete().where(_t.principal == bindparam("principal"), _t.slot == bindparam("slot"))
)
_KEEP = sql(idempotency.insert())


def remember(
    tx: Tx,
    *,
    principal: str,
    endpoint: str,
    key: str,
    ask_hash: str,
    make: Callable[[], bytes],
    keys_max: int = KEYS_PER_PRINCIPAL_MAX,
) -> tuple[bytes, bool]:
    """Return the answer to this ask, and whether it was given before.

    Args:
        principal: whose key it is (the member id, not the token).
        endpoint: the endpoint's name; the same key elsewhere is another key.
        ask_hash: hash of the whole ask, path and query included.
        make: has the effect, in this transaction, and returns the answer's bytes; not called again
            for a key that is remembered. What it raises leaves nothing remembered.
        keys_max: a lower bound than the standing one; for tests and small nodes.

    Refuses, in this order:
        IdempotencyConflict: the key was used for another ask.
        IdempotencyFull: the principal holds `keys_max` keys that have not lapsed.
    """
    rows = tx.all(_LOOK, principal=principal, endpoint=endpoint, key=key)
    forgotten: int | None = None
    for slot, at_ms, known_hash, known_answer, _ in rows:
        if known_hash is None:
            continue
        if tx.now_ms < at_ms + KEPT_MS:
            if known_hash != ask_hash:
                raise IdempotencyConflict(key=key)
            return known_answer, True
        tx.later(_FORGET, principal=principal, slot=slot)
        forgotten = slot
    oldest = sorted(
        (slot, at_ms, last_slot)
        for slot, at_ms, known_hash, _, last_slot in rows
        if known_hash is None and slot != forgotten
    )
    new_slot = _free_slot(tx, oldest, principal=principal, keys_max=keys_max)
    answer = make()
    assert len(answer) <= ANSWER_BYTES_MAX, "an answer that is remembered is short"
    tx.later(
        _KEEP,
        principal=principal,
        endpoint=endpoint,
        key=key,
        slot=new_slot,
        ask_hash=ask_hash,
        answer=answer,
        at_ms=tx.now_ms,
    )
    return answer, False


def _free_slot(tx: Tx, oldest: list[tuple[int, int, int]], *, principal: str, keys_max: int) -> int:
    """Forget some lapsed keys and return the next slot, or refuse.

    Args:
        oldest: slot, time and last slot of the principal's oldest keys.
    """
    first_kept: int | None = None
    last = 0
    for slot, at_ms, last_slot in oldest:
        last = int(last_slot)
        if tx.now_ms < at_ms + KEPT_MS:
            first_kept = slot
            break
        tx.later(_FORGET, principal=principal, slot=slot)
    # Slots between are counted as held although single ones may have been forgotten: the bound is
    # never exceeded, and no count has to walk the rows.
    if first_kept is not None and last - first_kept + 1 >= keys_max:
        raise IdempotencyFull(limit=keys_max)
    return last + 1
