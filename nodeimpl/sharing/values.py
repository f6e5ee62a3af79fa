"""An object's value as rows: which of them an operation touches, and what stands there after it."""

from __future__ import annotations

from collections.abc import Iterable

from nodeimpl.kernel.crdt.states import AnyState, LwwMap, PnCounter
from nodeimpl.sharing.store import ValueRow
from opkit.proof.operations import ReadOperation
from opkit.wire.operations import AddAct, AssignAct, CountAct, RemoveAct, SetAct


def touched(read: ReadOperation) -> tuple[str, ...]:
    """Return the keys under which an operation may change something."""
    act = read.operation.act
    if isinstance(act, SetAct):
        return (act.key,)
    if isinstance(act, CountAct):
        return (read.operation.did,)
    if isinstance(act, AddAct):
        return (read.id,)
    if isinstance(act, RemoveAct):
        return act.over
    if isinstance(act, AssignAct):
        return (read.id, *act.over)
    return ()


def row_of(state: AnyState, key: str) -> ValueRow | None:
    """Return what stands under a key; None if nothing ever did, or it was taken back."""
    if isinstance(state, LwwMap):
        found = state.latest.get(key)
        return None if found is None else ValueRow(key, found[3], found[2])
    if isinstance(state, PnCounter):
        up, down = state.total(key)
        return ValueRow(key, f"{up} {down}", "") if key in state.totals else None
    value = state.added.get(key)
    return None if value is None else ValueRow(key, value, key)


def keys_of(state: AnyState, begins: str = "") -> tuple[str, ...]:
    """Return all keys under which something stands, and that begin so, in order."""
    if isinstance(state, LwwMap):
        every: Iterable[str] = state.latest
    elif isinstance(state, PnCounter):
        every = state.totals
    else:
        every = state.added
    return tuple(sorted(key for key in every if key.startswith(begins)))
