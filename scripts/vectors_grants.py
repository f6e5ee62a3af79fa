"""A grant and a task under it, by fixed keys."""

from __future__ import annotations

from functools import cache

import vectors_people as people

from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.grants import task_id_of
from opkit.wire import compute, grants
from opkit.wire.base import Jws


@cache
def grant_token() -> Jws:
    """Return what a founder lets the first node do for a day."""
    grant = grants.Grant(
        network=people.NETWORK,
        aud=people.did("node-1"),
        member_id=f"{people.COOP}/ada",
        did=people.did("founder"),
        module=cid_of(b"a module"),
        fuel_max=1_000_000_000,
        tasks_max=10,
        issued_at_ms=people.CLOCK_MS,
        lapses_at_ms=people.CLOCK_MS + people.DAY_MS,
    )
    return jws.sign(grant, typ=grants.GRANT_TYP, identity=people.identity("founder"))


@cache
def task_token() -> Jws:
    """Return the second task that the node signs under it."""
    manifest = grants.GrantedManifest(
        network=people.NETWORK,
        aud="any",
        task_id=task_id_of(jws.record_id(grant_token()), 2),
        member_id=f"{people.COOP}/ada",
        wasm_hash=cid_of(b"a module"),
        input_hash=cid_of(b"6 7\n"),
        limits=compute.TaskLimits(),
        issued_at_ms=people.CLOCK_MS,
        expires_at_ms=people.CLOCK_MS + 600_000,
        place=2,
        grant=grant_token(),
    )
    return jws.sign(manifest, typ=grants.GRANTED_TASK_TYP, identity=people.identity("node-1"))
