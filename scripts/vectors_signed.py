"""One signed object of each type, by fixed keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_agreements
import vectors_clearing
import vectors_federation
import vectors_grants
import vectors_names as names
import vectors_operations
import vectors_people as people
import vectors_votes as votes
from vectors_journal import head_token

from opkit.proof import backup, jws, report
from opkit.proof.cid import cid_of
from opkit.proof.record import sponsor_of
from opkit.wire import compute, membership, network, records
from opkit.wire.base import Jws, Wire, b64decode
from opkit.wire.endpoint import Scope


@cache
def manifest_token() -> Jws:
    """Return a founder's task for any executor."""
    manifest = compute.Manifest(
        network=people.NETWORK,
        aud="any",
        task_id="0" * 31 + "1",
        member_id=f"{people.COOP}/ada",
        wasm_hash=cid_of(b"a module"),
        input_hash=cid_of(b"6 7\n"),
        limits=compute.TaskLimits(),
        issued_at_ms=people.CLOCK_MS,
        expires_at_ms=people.CLOCK_MS + 600_000,
    )
    return jws.sign(manifest, typ=compute.TASK_TYP, identity=people.identity("founder"))


@cache
def receipt_token() -> Jws:
    """Return what the second node says happened to it."""
    receipt = compute.Receipt(
        network=people.NETWORK,
        aud=f"{people.COOP}/ada",
        executor=people.did("node-2"),
        generation=1,
        sequence=1,
        previous=None,
        manifest_hash=jws.record_id(manifest_token()),
        task_id="0" * 31 + "1",
        wasm_hash=cid_of(b"a module"),
        input_hash=cid_of(b"6 7\n"),
        output_hash=cid_of(b"42\n"),
        outcome=compute.Outcome.OK,
        reason="",
        limits=compute.TaskLimits(),
        fuel_used=1_234,
        time_used_us=567,
        memory_peak_bytes=65_536,
        output_bytes=3,
        engine=network.EngineId(name="wasmtime", version="50.0.0", settings="fuel"),
        started_at_ms=people.CLOCK_MS + 1,
        ended_at_ms=people.CLOCK_MS + 2,
        world_offset_ms=0,
    )
    return jws.sign(receipt, typ=compute.RECEIPT_TYP, identity=people.identity("node-2"))


def _of_members() -> list[tuple[Wire, str, str]]:
    scopes = (Scope.NODE_READ,)
    login = membership.Login(
        network=people.NETWORK,
        aud=people.did("node-1"),
        did=people.did("founder"),
        challenge="what the node gave",
        scopes=scopes,
    )
    claims = membership.TokenClaims(
        network=people.NETWORK,
        aud=people.did("node-1"),
        member_id=f"{people.COOP}/ada",
        did=people.did("founder"),
        scopes=scopes,
        issued_at_ms=people.CLOCK_MS,
        expires_at_ms=people.CLOCK_MS + 3_600_000,
        token_id="0" * 32,
    )
    return [
        (login, membership.LOGIN_TYP, "founder"),
        (claims, membership.TOKEN_TYP, "node-1"),
    ]


def _of_operators() -> list[tuple[Wire, str, str]]:
    clock = network.ClockRecord(
        network=people.NETWORK,
        aud="clock",
        sequence=1,
        offset_ms=people.DAY_MS,
        issued_at_ms=people.CLOCK_MS,
    )
    statement = report.ReportStatement(
        network=people.NETWORK,
        run_id="vectors",
        created_ms=people.CLOCK_MS,
        files=(report.file_hash("evidence.json", b"{}"),),
    )
    kept = backup.BackupStatement(
        network=people.NETWORK,
        aud="backup",
        node=people.did("node-1"),
        version="0.1.0",
        revision="0001",
        head=head_token(5),
        files=(backup.BackupFile(name="state.db", size_bytes=2, sha256="c" * 64),),
        created_at_ms=people.CLOCK_MS,
    )
    return [
        (clock, network.CLOCK_TYP, "operator"),
        (statement, report.REPORT_TYP, "operator"),
        (kept, backup.BACKUP_TYP, "node-1"),
    ]


def tokens() -> dict[Jws, str]:
    """Return signed objects, at least one of each type, with the name of who signed it."""
    made = {
        people.genesis_token(): "operator",
        people.membership()[0]: "operator",
        manifest_token(): "founder",
        vectors_grants.grant_token(): "founder",
        vectors_grants.task_token(): "node-1",
        receipt_token(): "node-2",
        head_token(5): "node-1",
    }
    signature = people.genesis().genesis.charters[0].signatures[0]
    made[signature] = "founder"
    made |= dict([names.signed()])
    made |= votes.signed()
    made |= vectors_agreements.signed()
    made |= vectors_clearing.signed()
    made |= vectors_operations.signed()
    made |= vectors_federation.signed()
    for payload, typ, name in (*_of_members(), *_of_operators()):
        made[jws.sign(payload, typ=typ, identity=people.identity(name))] = name
    return made


def all_signed() -> Iterator[dict[str, Any]]:
    """Yield a vector for each signed object: what is signed, the object, and its record id."""
    for token, name in tokens().items():
        header, payload, _ = token.split(".")
        yield {
            "typ": jws.peek(token).typ,
            "signer": name,
            "header": b64decode(header).decode(),
            "payload": b64decode(payload).decode(),
            "value": json.loads(b64decode(payload)),
            "jws": token,
            "id": jws.record_id(token),
        }


def record_vector(name: str, carried: records.Carried) -> dict[str, Any]:
    """Return a vector of a record as it travels: what it says, its id, sponsor, item and room."""
    from nodeimpl.overlay.budgets import place_of
    from nodeimpl.overlay.port import key_id
    from nodeimpl.overlay.shelf import item_of

    said = jws.peek(carried.jws).payload
    sponsor = sponsor_of(said["owner"], proof=carried.proof, genesis=people.genesis())
    record = jws.record_id(carried.jws)
    namespace, owned, owner = said["aud"], said["name"], said["owner"]
    return {
        "name": name,
        "jws": carried.jws,
        "proof": list(carried.proof),
        "payload": b64decode(carried.jws.split(".")[1]).decode(),
        "value": said,
        "id": record,
        "sponsor": sponsor,
        "item": item_of(bytes.fromhex(record), sponsor).hex(),
        "place": f"{key_id(namespace, owned):064x}",
        "room": place_of(namespace, owned, owner).hex(),
    }
