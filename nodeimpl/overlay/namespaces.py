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
from pydantic_core import to_json

from opkit.proof.cards import check_value as check_card
from opkit.proof.checks import ProofError
from opkit.proof.cid import is_cid
from opkit.proof.did import public_key_of
from opkit.proof.endpoints import check_endpoint
from opkit.proof.forks import read_fork, read_seen
from opkit.proof.genesis import GenesisView
from opkit.proof.names import check_name, home_of
from opkit.proof.record import Record, check_term, is_ahead, is_lapsed
from opkit.proof.standing import may_write_member, may_write_standing, read_member
from opkit.wire.agents import CARD_TERM_MS_MAX
from opkit.wire.base import Did
from opkit.wire.flaws import first_flaw
from opkit.wire.names import NAME_TERM_MS_MAX
from opkit.wire.reconcile import ReconciledNamespace
from opkit.wire.records import (
    NODE_TERM_MS_MAX,
    RECORD_CHARACTERS_MAX,
    VALUES,
    Namespace,
    NodeValue,
    RecordBody,
    RecordLapsed,
    RecordName,
    RecordNotOwners,
    SignedRecordRejected,
)
from opkit.wire.standing import LINK_OWNERS_MAX, STANDING_MS_MAX, MemberValue
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
        may_write: whether a name is a key's to write in the network of a genesis.
        gossiped: whether records are announced to everybody.
        reconciled: whether two nodes compare all that they keep of it. What is neither is found
            through the distributed hash table alone.
        check: returns if a value, as it was read by its shape, holds in what its record says, in
            the network of a genesis; None if it needs nothing more. Raises `ProofError`.
        tombstones: whether what was said is taken back without a word; where it is not, another
            value does that, which says why.
    """

    term_ms_max: int
    characters_max: int
    owners_max: int
    may_write: Callable[[Did, RecordName, GenesisView], bool]
    gossiped: bool
    reconciled: bool
    check: Callable[[RecordBody, Any, GenesisView], None] | None = None
    tombstones: bool = True


def _own_name(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del genesis  # A key is somebody's in any network.
    return name == owner


def _any_blob(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del owner, genesis  # Whoever keeps a blob may say so.
    return is_cid(name)


def _under_own_name(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del genesis  # A key is somebody's in any network.
    return name.startswith(f"{owner}/") and len(name) > len(owner) + 1


def _any_others(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del genesis  # A stranger may be a witness too: readers weigh who it is.
    return name != owner and _is_did(name)  # Nobody is their own witness.


def _any_node(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del owner, genesis  # What proves a fork proves it whoever says so.
    return _is_did(name)


def _is_did(name: RecordName) -> bool:
    try:
        public_key_of(name)
    except ProofError:
        return False
    return True


def _any_link(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    del name  # It is read with the link, which says whose it is.
    return may_write_member(owner, genesis)


def _check_node(body: RecordBody, value: NodeValue, genesis: GenesisView) -> None:
    del body, genesis  # Where a node may be called is the same for all.
    for endpoint in value.endpoints:
        check_endpoint(endpoint)


def _check_member(body: RecordBody, value: MemberValue, genesis: GenesisView) -> None:
    read_member(body, value, genesis)


def _home_of_name(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    return owner == home_of(name, genesis=genesis)


def _check_head(body: RecordBody, value: HeadValue, genesis: GenesisView) -> None:
    read_seen(value.head, node=body.name, network=genesis.network)


def _check_fork(body: RecordBody, value: ForkValue, genesis: GenesisView) -> None:
    read_fork(value, node=body.name, network=genesis.network)


RULES: Mapping[Namespace, Rules] = MappingProxyType(
    {
        "node": Rules(
            term_ms_max=NODE_TERM_MS_MAX,
            characters_max=2_048,
            owners_max=1,
            may_write=_own_name,
            gossiped=True,
            reconciled=True,
            check=_check_node,
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
        "member": Rules(
            term_ms_max=30 * DAY_MS,
            characters_max=8_192,
            owners_max=LINK_OWNERS_MAX,
            may_write=_any_link,
            gossiped=True,
            reconciled=True,
            check=_check_member,
        ),
        "standing": Rules(
            # Twice as long as it counts, for what is about to lapse is offered to nobody.
            term_ms_max=2 * STANDING_MS_MAX,
            characters_max=2_048,
            owners_max=1,
            may_write=may_write_standing,
            gossiped=True,
            reconciled=True,
        ),
        "name": Rules(
            term_ms_max=NAME_TERM_MS_MAX,
            characters_max=8_192,
            owners_max=1,
            may_write=_home_of_name,
            gossiped=True,
            reconciled=True,
            check=check_name,
            tombstones=False,
        ),
        "card": Rules(
            term_ms_max=CARD_TERM_MS_MAX,
            characters_max=RECORD_CHARACTERS_MAX,
            owners_max=1,
            may_write=_own_name,
            gossiped=False,
            reconciled=False,
            check=check_card,
        ),
    }
)
"""The rules of each namespace."""

RECONCILED: tuple[ReconciledNamespace, ...] = (
    "node",
    "note",
    "head",
    "fork",
    "member",
    "standing",
    "name",
)
"""The namespaces that two nodes compare: those whose rules say so."""

GOSSIPED: tuple[Namespace, ...] = tuple(name for name, rules in RULES.items() if rules.gossiped)
"""The namespaces whose records are announced to everybody."""


def judge(record: Record, *, genesis: GenesisView, now_ms: int) -> None:
    """Return if a record is one that its namespace takes now, whatever else is kept.

    Args:
        record: one that verifies.
        genesis: its network's: who has which office there.
        now_ms: the reader's time.

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
        _judge_value(body, genesis)
    elif not rules.tombstones:
        raise SignedRecordRejected(why=f"the namespace {body.aud!r} has no tombstones")
    if is_ahead(body, now_ms=now_ms):
        raise SignedRecordRejected(why="it was issued in the future")
    if not rules.may_write(body.owner, body.name, genesis):
        raise RecordNotOwners(name=body.name)
    if is_lapsed(body, now_ms=now_ms):
        raise RecordLapsed(lapsed_at_ms=body.lapses_at_ms)


def _judge_value(body: RecordBody, genesis: GenesisView) -> None:
    assert body.value is not None, "a tombstone has none"
    check = RULES[body.aud].check
    try:
        value = VALUES[body.aud].model_validate_json(to_json(body.value), strict=True)
        if check is not None:
            check(body, value, genesis)
    except ValidationError as bad:
        why = f"the value is none of {body.aud!r}: {first_flaw(bad)}"
        raise SignedRecordRejected(why=why) from bad
    except ProofError as bad:
        why = f"the value is none of {body.aud!r}: {bad.why}"
        raise SignedRecordRejected(why=why) from bad
