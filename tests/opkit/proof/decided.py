"""Links of a membership chain that a coop's home node signs, as it should and otherwise."""

from __future__ import annotations

from typing import Any

from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import Jws
from opkit.wire.membership import DECIDED_MEMBER_TYP, DecidedMember

NEW = "tool-library/ilse"
KEY = Identity.from_seed(b"\5" * 32)
OTHER = Identity.from_seed(b"\6" * 32)


def decided(network: Any, member_id: str = NEW, /, *, sequence: int = 1, **changes: Any) -> Jws:
    """Return a link by the home node of the tool library, or by `signer`."""
    home = network.nodes["tool-library"]
    signer = changes.pop("signer", home)
    typ = changes.pop("typ", DECIDED_MEMBER_TYP)
    fields = {
        "network": network.name,
        "aud": member_id.partition("/")[0],
        "action": "add",
        "member_id": member_id,
        "name": "Ilse",
        "title": "member",
        "did": KEY.did,
        "roles": ("member",),
        "sequence": sequence,
        "issued_at_ms": 6,
        "node": home.did,
        "proposal": "1" * 64,
        "decision": "2" * 64,
    }
    return jws.sign(DecidedMember(**{**fields, **changes}), typ=typ, identity=signer)
