"""Each type of signed object offered where each other is expected, and in an earlier network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from nodeimpl.kernel.crdt.fold import ObjectSpec
from nodeimpl.kernel.crdt.replica import Replica
from opkit.proof import jws
from opkit.proof.backup import BackupStatement, read_backup, sign_backup
from opkit.proof.checks import ProofError
from opkit.proof.genesis import read_genesis
from opkit.proof.grants import verify_grant
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_members, read_record
from opkit.proof.names import make_claim, read_claim
from opkit.proof.operations import beginning, read_checkpoint, read_operation, sign_checkpoint
from opkit.proof.receipt import verify_manifest
from opkit.proof.record import read_record as read_signed_record
from opkit.proof.record import sign_record
from opkit.proof.report import ReportStatement, read_report, sign_report
from opkit.wire.base import Jws
from opkit.wire.compute import RECEIPT_TYP, Receipt
from opkit.wire.genesis import CHARTER_TYP, Charter
from opkit.wire.grants import GRANT_TYP, Grant
from opkit.wire.journal import JOURNAL_HEAD_TYP, JournalHead
from opkit.wire.membership import LOGIN_TYP, TOKEN_TYP, Login, TokenClaims
from opkit.wire.network import CLOCK_TYP, ClockRecord
from opkit.wire.operations import AddAct, ObjectKind
from opkit.wire.records import RecordBody

Reader = Callable[[Any, Jws], object]
KINDS = ["backup", "charter", "clock", "genesis", "grant", "journal-head", "login", "manifest"]
KINDS += ["member", "name", "receipt", "record", "report", "token", "operation", "checkpoint"]


def by_a_member(network: Any) -> dict[str, Jws]:
    """Return one good object of each type that members sign, and a token for them."""
    operator: Identity = network.operator
    node = network.nodes["tool-library"]
    login = Login(network=network.name, aud=node.did, did=operator.did, challenge="c", scopes=())
    claims = TokenClaims(
        network=network.name,
        aud=operator.did,
        member_id="-/operator",
        did=operator.did,
        scopes=(),
        issued_at_ms=1,
        expires_at_ms=2,
        token_id="0" * 32,
    )
    grant = Grant(
        network=network.name,
        aud=node.did,
        member_id="-/operator",
        did=operator.did,
        fuel_max=1,
        tasks_max=1,
        issued_at_ms=1,
        lapses_at_ms=2,
    )
    name = make_claim(
        operator,
        network=network.name,
        name="lathe.tool-library",
        member_id="-/operator",
        target=None,
        at_ms=1,
        term_ms=1,
    )
    return {
        "grant": jws.sign(grant, typ=GRANT_TYP, identity=operator),
        "login": jws.sign(login, typ=LOGIN_TYP, identity=operator),
        "manifest": network.manifest("-/operator", signer=operator),
        "name": name,
        "token": jws.sign(claims, typ=TOKEN_TYP, identity=operator),
    }


def objects_of(network: Any) -> dict[str, Jws]:
    """Return one good object of each type, all signed by the operator where that is possible."""
    operator: Identity = network.operator
    signed = by_a_member(network)
    clock = ClockRecord(network=network.name, aud="clock", sequence=1, offset_ms=1, issued_at_ms=1)
    head = JournalHead(
        network=network.name,
        aud="journal",
        node=operator.did,
        generation=1,
        size=0,
        root="0" * 64,
        hash="0" * 64,
        issued_at_ms=1,
    )
    signed_head = jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=operator)
    backup = BackupStatement(
        network=network.name,
        aud="backup",
        node=operator.did,
        version="1",
        revision="0001",
        head=signed_head,
        files=(),
        created_at_ms=1,
    )
    record = RecordBody(
        network=network.name,
        aud="note",
        name=f"{operator.did}/a",
        owner=operator.did,
        sequence=1,
        issued_at_ms=1,
        lapses_at_ms=2,
        value=None,
    )
    charter = network.view.charter("tool-library")
    report = ReportStatement(network=network.name, run_id="r", created_ms=1, files=())
    return (
        signed
        | on_an_object(network)
        | {
            "backup": sign_backup(backup, operator),
            "charter": jws.sign(charter, typ=CHARTER_TYP, identity=operator),
            "clock": jws.sign(clock, typ=CLOCK_TYP, identity=operator),
            "genesis": network.view.token,
            "journal-head": signed_head,
            "member": network.record("-/pilar", did=network.nodes["tool-library"].did),
            "receipt": network.receipt(signed["manifest"], signer=operator),
            "record": sign_record(record, operator),
            "report": sign_report(report, operator),
        }
    )


def on_an_object(network: Any) -> dict[str, Jws]:
    """Return what authors sign on a shared object: an operation, and a checkpoint over it."""
    operator: Identity = network.operator
    spec = ObjectSpec(network=network.name, aud="federation", kind=ObjectKind.OR_SET)
    replica = Replica(spec, beginning([operator.did]))
    operation = replica.issue(operator, AddAct(element="a"), now_ms=1)
    return {
        "operation": operation,
        "checkpoint": sign_checkpoint(replica.propose(), operator),
    }


def by_operator(typ: str, of: type[Any]) -> Reader:
    """Return the reader of a type that has no reader of its own in this package."""
    return lambda network, token: jws.verify(
        token, typ=typ, issuer=network.operator.did, network=network.name, of=of
    )


READERS: dict[str, Reader] = {
    "backup": lambda network, token: read_backup(token, genesis=network.view),
    "charter": by_operator(CHARTER_TYP, Charter),
    "clock": by_operator(CLOCK_TYP, ClockRecord),
    "genesis": lambda network, token: (network, read_genesis(token)),
    "grant": lambda network, token: verify_grant(
        token, network=network.name, member=founding_members(network.view)["-/operator"]
    ),
    "journal-head": by_operator(JOURNAL_HEAD_TYP, JournalHead),
    "login": by_operator(LOGIN_TYP, Login),
    "manifest": lambda network, token: verify_manifest(
        token, genesis=network.view, member=founding_members(network.view)["-/operator"]
    ),
    "member": lambda network, token: read_record(token, genesis=network.view),
    "name": lambda network, token: read_claim(token, network=network.name),
    "operation": lambda network, token: read_operation(
        token, network=network.name, aud="federation"
    ),
    "checkpoint": lambda network, token: read_checkpoint(
        token, network=network.name, aud="federation"
    ),
    "receipt": by_operator(RECEIPT_TYP, Receipt),
    "record": lambda network, token: read_signed_record(token, network=network.name),
    "report": lambda network, token: read_report(token, genesis=network.view),
    "token": by_operator(TOKEN_TYP, TokenClaims),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_is_read_by_its_own_reader(network: Any, kind: str) -> None:
    assert READERS[kind](network, objects_of(network)[kind])


@pytest.mark.parametrize(("offered", "expected"), list(permutations(KINDS, 2)))
def test_no_type_passes_for_another(network: Any, offered: str, expected: str) -> None:
    why = r"it is a '.*', not a '"
    if (offered, expected) == ("genesis", "name"):
        why = "characters are more than a claim may have"  # Its type is not even looked at.
    with pytest.raises(ProofError, match=why):
        READERS[expected](network, objects_of(network)[offered])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "genesis"])
def test_no_object_of_an_earlier_network_of_the_same_keys_is_read(
    network: Any, rebuilt: Any, kind: str
) -> None:
    with pytest.raises(ProofError, match="another network"):
        READERS[kind](network, objects_of(rebuilt)[kind])
