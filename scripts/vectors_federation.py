"""What coops say in the federation, and what nodes tell each other of shared objects."""

from __future__ import annotations

import vectors_operations as operations
import vectors_people as people

from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.federation import charter_hash, sign_attestation, sign_statement
from opkit.wire import objects
from opkit.wire.base import Jws, Wire
from opkit.wire.federation import FEDERATION, Attestation, CoopStatement


def statement() -> Jws:
    """Return what the first node says of its coop, citing the charter."""
    said = CoopStatement(
        network=people.NETWORK,
        did=people.did("node-1"),
        coop=people.COOP,
        title="Werkzeug für alle",
        charter=charter_hash(people.charter()),
        decision=None,
        issued_at_ms=people.CLOCK_MS,
    )
    return sign_statement(said, people.identity("node-1"))


def attestation() -> Jws:
    """Return what the first node's coop attests of another one."""
    said = Attestation(
        network=people.NETWORK,
        did=people.did("node-1"),
        issuer=people.COOP,
        subject="hill-bakery",
        type="insured",
        statement="Insured until spring.",
        valid_from_ms=people.CLOCK_MS,
        valid_until_ms=people.CLOCK_MS + 90 * people.DAY_MS,
        evidence="e" * 64,
        issued_at_ms=people.CLOCK_MS,
    )
    return sign_attestation(said, people.identity("node-1"))


def signed() -> dict[Jws, str]:
    """Return both, with the name of who signed them."""
    return dict.fromkeys((statement(), attestation()), "node-1")


def asked() -> dict[str, tuple[tuple[Wire, Wire], ...]]:
    """Return questions about shared objects and their answers, by method."""
    tokens = tuple(token for _, token in operations.story())
    ids = [jws.record_id(token) for token in tokens]
    agreement = f"agreement/{'a' * 64}"
    here = objects.ObjectHeads(aud=FEDERATION, epoch=0, base=None, heads=(ids[-1],))
    there = objects.ObjectHeads(aud=agreement, epoch=0, base=None, heads=())
    told = there.model_copy(update={"opening": '{"title":"Maschinen für Wartung"}'})
    heads = sorted(sha256_hex(f"head {number}".encode()) for number in range(65))
    many = here.model_copy(
        update={"heads": tuple(heads[:64]), "heads_hash": sha256_hex("".join(heads).encode())}
    )
    return {
        "objects.heads": (
            (objects.TellHeads(objects=(there, here)), objects.HeadsHeard(unknown=(agreement,))),
            (objects.TellHeads(objects=(told,)), objects.HeadsHeard()),
            (objects.TellHeads(objects=(many,)), objects.HeadsHeard()),
        ),
        "objects.lacking": (
            (
                objects.AskLacking(
                    aud=FEDERATION, epoch=0, base=None, heads=(ids[2],), haves=(ids[2], ids[0])
                ),
                objects.OperationsGiven(operations=tokens[3:5], more=True),
            ),
            (
                objects.AskLacking(
                    aud=FEDERATION,
                    epoch=0,
                    base=None,
                    heads=(ids[2],),
                    haves=(ids[2], ids[0]),
                    after=ids[4],
                ),
                objects.OperationsGiven(operations=tokens[5:6]),
            ),
        ),
        "objects.give": (
            (
                objects.AskOperations(aud=FEDERATION, ids=(ids[0],)),
                objects.OperationsGiven(operations=(tokens[0],)),
            ),
        ),
    }
