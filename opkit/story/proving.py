"""Verifying again what a marker rests on: names; receipts and bytes have their own verifiers."""

from __future__ import annotations

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.names import read_name
from opkit.wire.base import Jws
from opkit.wire.records import RECORD_TYP, RecordBody


def name_checks(record: Jws, *, genesis: GenesisView | None) -> tuple[Check, ...]:
    """Return what verifying the record of a name finds.

    Args:
        record: as it stands in the evidence.
        genesis: the network's genesis as the verifier keeps it; None if they have none: then only
            that it is signed by whom it names can be said, not that this is the name's home.
    """
    try:
        if genesis is None:
            body = jws.verify_by_author(
                record, typ=RECORD_TYP, author="owner", network=None, of=RecordBody
            )
            return (_held(f"name {body.name}: signed by whom it names", body.owner),)
        view = read_name(record, genesis)
    except ProofError as bad:
        expected = "the record of a name, by its home node"
        return (Check(name="name", ok=False, expected=expected, actual=bad.why),)
    return (
        _held(f"name {view.name}: claimed by a member with their own key", view.member_id),
        _held(f"name {view.name}: countersigned by its coop's home node", view.home),
    )


def _held(name: str, who: str) -> Check:
    return Check(name=name, ok=True, expected=who, actual=who)
