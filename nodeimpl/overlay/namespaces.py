"""What each namespace of records takes: from whom, for how long, how large, and how it spreads.

One table, so that a reader of another program needs to look in one place (`docs/protocol.md` has
the same). Source: ADR 0029.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from opkit.proof.checks import ProofError
from opkit.proof.cid import is_cid
from opkit.proof.did import public_key_of
from opkit.proof.forks import read_fork, read_seen
from opkit.proof.record import Record, check_term, is_ahead, is_lapsed
from opkit.wire.base import Did, NetworkId
from opkit.wire.reconcile import ReconciledNamespace
from opkit.wire.records import (
    VALUES,
    Namespace,
    RecordBody,
    RecordLapsed,
    RecordName,
    RecordNotOwners,
    SignedRecordRejected,
)
from opkit.wire.witness import FORK_OWNERS_MAX, WITNESSES_MAX, ForkValue, HeadValue

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

PROVIDERS_MAX = 20
"""The most owners whose records of one blob are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a namespace takes.

    Attributes:
        term_ms_max: how long after its issue a record may last; tombstones last exactly so long.
        characters_max: the longest signed record.
        owners_max: of how many owners records are kept under one name.
        may_write: whether a name is a key's to write.
        gossiped: whether records are announced to everybody.
        reconciled: whether two nodes compare all that they keep of it. What is neither is found
            through the distributed hash table alone.
        check: returns if a value of the right shape holds under its name in a network; None if it
            needs nothing more. Raises `ProofError`.
    """

    term_ms_max: int
    characters_max: int
    owners_max: int
    may_write: Callable[[Did, RecordName], bool]
    gossiped: bool
    reconciled: bool
    check: Callable[[RecordName, dict[str, Any], NetworkId], None] | None = None


def _own_name(owner: Did, name: RecordName) -> bool:
    return name == owner


def _any_blob(owner: Did, name: RecordName) -> bool:
    del owner  # Whoever keeps a blob may say so.
    return is_cid(name)


def _under_own_name(owner: Did, name: RecordName) -> bool:
    return name.startswith(f"{owner}/") and len(name) > len(owner) + 1


def _any_others(owner: Did, name: RecordName) -> bool:
    return name != owner and _is_did(name)  # Nobody is their own witness.


def _any_node(owner: Did, name: RecordName) -> bool:
    del owner  # What proves a fork proves it whoever says so.
    return _is_did(name)


def _is_did(name: RecordName) -> bool:
    try:
        public_key_of(name)
    except ProofError:
        return False
    return True


def _check_head(name: RecordName, value: dict[str, Any], network: NetworkId) -> None:
    read_seen(HeadValue.model_validate(value, strict=False).head, node=name, network=network)


def _check_fork(name: RecordName, value: dict[str, Any], network: NetworkId) -> None:
    read_fork(ForkValue.model_validate(value, strict=False), node=name, network=network)


RULES: Mapping[Namespace, Rules] = MappingProxyType(
    {
        "node": Rules(
            term_ms_max=DAY_MS,
            characters_max=2_048,
            owners_max=1,
            may_write=_own_name,
            gossiped=True,
            reconciled=True,
        ),
        "blob": Rules(
            term_ms_max=DAY_MS,
            characters_max=2_048,
            owners_max=PROVIDERS_MAX,
            may_write=_any_blob,
            gossiped=False,
            reconciled=False,
        ),
        "note": Rules(
            term_ms_max=30 * DAY_MS,
            characters_max=8_192,
            owners_max=1,
            may_write=_under_own_name,
            gossiped=True,
            reconciled=True,
        ),
        "head": Rules(
            term_ms_max=7 * DAY_MS,
            characters_max=2_048,
            owners_max=WITNESSES_MAX,
            may_write=_any_others,
            gossiped=True,
            reconciled=True,
            check=_check_head,
        ),
        "fork": Rules(
            term_ms_max=30 * DAY_MS,
            characters_max=8_192,
            owners_max=FORK_OWNERS_MAX,
            may_write=_any_node,
            gossiped=True,
            reconciled=True,
            check=_check_fork,
        ),
    }
)
"""The rules of each namespace."""

RECONCILED: tuple[ReconciledNamespace, ...] = ("node", "note", "head", "fork")
"""The namespaces that two nodes compare: those whose rules say so."""

GOSSIPED: tuple[Namespace, ...] = tuple(name for name, rules in RULES.items() if rules.gossiped)
"""The namespaces whose records are announced to everybody."""


def judge(record: Record, *, now_ms: int) -> None:
    """Return if a record is one that its namespace takes now, whatever else is kept.

    Refuses, in this order:
        SignedRecordRejected: it is too long, lasts too long, is a tombstone that lasts too short,
            its value is none of the namespace's, or it was issued in the future.
        RecordNotOwners: the name is not this owner's to write.
        RecordLapsed: its time is over.
    """
    body = record.body
    rules = RULES[body.aud]
    if len(record.token) > rules.characters_max:
        why = f"{len(record.token)} characters are more than {rules.characters_max}"
        raise SignedRecordRejected(why=why)
    try:
        check_term(body, term_ms_max=rules.term_ms_max)
    except ProofError as bad:
        raise SignedRecordRejected(why=bad.why) from bad
    if body.value is not None:
        _judge_value(body)
    if is_ahead(body, now_ms=now_ms):
        raise SignedRecordRejected(why="it was issued in the future")
    if not rules.may_write(body.owner, body.name):
        raise RecordNotOwners(name=body.name)
    if is_lapsed(body, now_ms=now_ms):
        raise RecordLapsed(lapsed_at_ms=body.lapses_at_ms)


def _judge_value(body: RecordBody) -> None:
    assert body.value is not None, "a tombstone has none"
    check = RULES[body.aud].check
    try:
        VALUES[body.aud].model_validate(body.value, strict=False)
        if check is not None:
            check(body.name, body.value, body.network)
    except ValidationError as bad:
        first = bad.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "whole"
        why = f"the value is none of {body.aud!r}: {where}: {first['msg']}"
        raise SignedRecordRejected(why=why) from bad
    except ProofError as bad:
        why = f"the value is none of {body.aud!r}: {bad.why}"
        raise SignedRecordRejected(why=why) from bad
