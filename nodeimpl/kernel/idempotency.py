"""Answers remembered by their idempotency key, in the transaction of the effect itself.

A key belongs to a principal and an endpoint for seven days of real time, and each principal holds a
bounded number of them. A repeated ask gets the remembered answer and has no second effect; the one
writer makes a duplicate in flight wait by itself. Refusals are not remembered: the function that
refused took the row with it. What a group remembers is written together at its end; until then it
stands in memory, with the group (ADR 0040).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

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

PRINCIPALS_MAX = 10_000
"""Of how many principals it stays in memory which slots their keys take."""

ANSWER_BYTES_MAX = 1_048_576
"""The longest answer that is remembered."""

_t = idempotency.c

_mine = _t.principal == bindparam("principal")
_known = (_mine, _t.endpoint == bindparam("endpoint"), _t.key == bindparam("key"))
_LAST_SLOT = select(func.max(_t.slot)).where(_mine).scalar_subquery().label("last_slot")
_OLDEST = (
    select(_t.slot, _t.at_ms, _LAST_SLOT)
    .where(_mine)
    .order_by(_t.slot)
    .limit(FORGOTTEN_PER_ASK_MAX)
    .subquery()
    .c
)
_LOOK = sql(
    union_all(
        select(_t.slot, _t.at_ms, _t.ask_hash, _t.answer, literal(0)).where(*_known),
        select(_OLDEST.slot, _OLDEST.at_ms, null(), null(), _OLDEST.last_slot),
    )
)
"""The row of this key, and the principal's oldest without what is in them: one statement, for on
PostgreSQL each is a round trip while everybody waits."""
_LOOK_KEY = sql(select(_t.slot, _t.at_ms, _t.ask_hash, _t.answer).where(*_known))
_FORGET = sql(
    idempotency.delete().where(_t.principal == bindparam("principal"), _t.slot == bindparam("slot"))
)
_KEEP = sql(idempotency.insert())


_Name = tuple[str, str, str]
"""A principal, an endpoint, and a key."""


@dataclass(slots=True)
class _Kept:
    """One remembered answer."""

    slot: int
    at_ms: int
    ask_hash: str
    answer: bytes


@dataclass(slots=True)
class _Slots:
    """Which slots a principal's keys take: from the oldest that is kept to the last one.

    Attributes:
        good_until_ms: until when the oldest is the oldest: then it lapses, and is looked for anew.
    """

    first: int
    last: int
    good_until_ms: int


@dataclass(slots=True)
class _Group:
    """What the functions of one commit remembered, and that may not be written yet.

    Attributes:
        kept: the answers by their keys.
        slots: of each principal that was here, in this group or an earlier one, the slots.
    """

    slots: dict[str, _Slots]
    kept: dict[_Name, _Kept] = field(default_factory=dict)


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
    group = tx.group.shared(_Group, lambda: _Group(tx.group.lasting(_Slots, dict)))
    name = (principal, endpoint, key)
    slots = group.slots.get(principal)
    if slots is None or tx.now_ms >= slots.good_until_ms:
        known, slots = _look(tx, group, principal=principal, endpoint=endpoint, key=key)
    else:
        known = group.kept.get(name) or _look_key(tx, name)
    if known is not None:
        if tx.now_ms < known.at_ms + KEPT_MS:
            if known.ask_hash != ask_hash:
                raise IdempotencyConflict(key=key)
            return known.answer, True
        tx.later(_FORGET, principal=principal, slot=known.slot)
    # Slots between are counted as held although single ones may have been forgotten: the bound is
    # never exceeded, and no count has to walk the rows.
    if slots.last - slots.first + 1 >= keys_max:
        raise IdempotencyFull(limit=keys_max)
    answer = make()
    assert len(answer) <= ANSWER_BYTES_MAX, "an answer that is remembered is short"
    _keep(tx, group, name, slots, _Kept(slots.last + 1, tx.now_ms, ask_hash, answer))
    return answer, False


def _keep(tx: Tx, group: _Group, name: _Name, slots: _Slots, kept: _Kept) -> None:
    """Have an answer remembered, here at once and in the database with this group."""
    principal, endpoint, key = name
    row = (principal, endpoint, key, kept.slot, kept.ask_hash, kept.answer, kept.at_ms)
    tx.many(_KEEP, (row,))
    before = group.slots.get(principal)
    tx.if_undone(partial(_forget, group, name, before))
    if before is None and len(group.slots) >= PRINCIPALS_MAX:
        tx.if_undone(partial(group.slots.update, dict(group.slots)))
        group.slots.clear()
    group.kept[name] = kept
    group.slots[principal] = _Slots(slots.first, kept.slot, slots.good_until_ms)


def _look_key(tx: Tx, name: _Name) -> _Kept | None:
    """Return what is remembered by a key, of whose principal all else is known here."""
    principal, endpoint, key = name
    row = tx.one_behind(_LOOK_KEY, principal=principal, endpoint=endpoint, key=key)
    return None if row is None else _Kept(*row)


def _look(
    tx: Tx, group: _Group, *, principal: str, endpoint: str, key: str
) -> tuple[_Kept | None, _Slots]:
    """Forget some lapsed keys of a principal; return what a key remembers, and which are taken."""
    # Of a principal that is not known here, this group has written nothing yet.
    ask = tx.all if principal in group.slots else tx.all_behind
    rows = ask(_LOOK, principal=principal, endpoint=endpoint, key=key)
    known = next((_Kept(*row[:4]) for row in rows if row[2] is not None), None)
    oldest = sorted((slot, at_ms, last) for slot, at_ms, ask_hash, _, last in rows if not ask_hash)
    last = oldest[0][2] if oldest else 0
    for slot, at_ms, _ in oldest:
        if tx.now_ms < at_ms + KEPT_MS:
            return known, _Slots(slot, last, at_ms + KEPT_MS)
        if known is None or slot != known.slot:
            tx.later(_FORGET, principal=principal, slot=slot)
    # None of those that were looked at is kept; if there may be more, the next ask looks again.
    more = len(oldest) == FORGOTTEN_PER_ASK_MAX
    good_until_ms = tx.now_ms if more else tx.now_ms + KEPT_MS
    return known, _Slots(last + 1, last, good_until_ms)


def _forget(group: _Group, name: _Name, before: _Slots | None) -> None:
    """Put back what stood in memory: the function that remembered was undone."""
    group.kept.pop(name, None)
    if before is None:
        group.slots.pop(name[0], None)
    else:
        group.slots[name[0]] = before
