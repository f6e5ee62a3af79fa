"""Grants, tasks under them, and tasks that go beyond them in one way each."""

from __future__ import annotations

from typing import Any

from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.grants import task_id_of
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_members
from opkit.wire.base import Jws
from opkit.wire.compute import TaskLimits
from opkit.wire.grants import GRANT_TYP, GRANTED_TASK_TYP, Grant, GrantedManifest

MIRA = "tool-library/mira"
ONDREJ = "tool-library/ondrej"
STRANGER = Identity.generate()
MODULE, OTHER = cid_of(b"module"), cid_of(b"another module")
CHECKS = (
    "grant-member",
    "grant-module",
    "grant-fuel",
    "grant-tasks",
    "grant-task-id",
    "grant-begun",
    "grant-term",
)


def grant_by(of: Any, /, member_id: str = MIRA, **changes: Any) -> Jws:
    """Return a grant that a member gave the tool library's node; `changes` replaces fields."""
    signer = changes.pop("signer", of.members[member_id])
    fields = {
        "network": of.name,
        "aud": of.nodes["tool-library"].did,
        "member_id": member_id,
        "did": signer.did,
        "module": MODULE,
        "fuel_max": 1_000,
        "tasks_max": 3,
        "issued_at_ms": 5,
        "lapses_at_ms": 30,
    }
    return jws.sign(Grant(**{**fields, **changes}), typ=GRANT_TYP, identity=signer)


def task_under(of: Any, /, grant: Jws, **changes: Any) -> Jws:
    """Return a task that the tool library's node signed under a grant."""
    signer = changes.pop("signer", of.nodes["tool-library"])
    place = changes.get("place", 1)
    fields = {
        "network": of.name,
        "aud": "any",
        "task_id": task_id_of(jws.record_id(grant), place),
        "member_id": MIRA,
        "wasm_hash": MODULE,
        "input_hash": cid_of(b"input"),
        "limits": TaskLimits(fuel=1_000),
        "issued_at_ms": 10,
        "expires_at_ms": 20,
        "place": place,
        "grant": grant,
    }
    made = GrantedManifest(**{**fields, **changes})
    return jws.sign(made, typ=GRANTED_TASK_TYP, identity=signer)


def mira_of(network: Any, **changes: Any) -> Any:
    return founding_members(network.view)[MIRA].model_copy(update=changes)


def sabotaged(network: Any) -> dict[str, Jws]:
    """Return tasks that go beyond their grant, each by what must not hold then."""
    free = grant_by(network, module=None)
    return {
        "grant-member": task_under(network, free, member_id=ONDREJ),
        "grant-module": task_under(network, grant_by(network, module=OTHER)),
        "grant-fuel": task_under(network, free, limits=TaskLimits(fuel=1_001)),
        "grant-tasks": task_under(network, free, place=4),
        "grant-task-id": task_under(network, free, task_id="0" * 32),
        "grant-begun": task_under(network, free, issued_at_ms=4),
        "grant-term": task_under(network, free, expires_at_ms=31),
    }
