"""A service of the tool library, each of whose records can be made otherwise."""

from __future__ import annotations

from typing import Any

from opkit.proof import jws
from opkit.proof.cards import sign_card, value_of
from opkit.proof.keys import Identity
from opkit.proof.names import make_claim
from opkit.proof.record import make_record
from opkit.wire.agents import AgentParams
from opkit.wire.base import Jws
from opkit.wire.names import (
    AliasTarget,
    NameClaim,
    NameValue,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.records import HttpEndpoint, NodeValue
from opkit.wire.services import FoundService, ServiceHealth

AT = 1_767_225_600_000
DAY_MS = 86_400_000
MIRA, ONDREJ, RUTH = "tool-library/mira", "tool-library/ondrej", "building-yard/ruth"
LATHE, DRILL = "lathe.tool-library", "drill.building-yard"
STRANGER = Identity.from_seed(b"\7" * 32)
DOOR = HttpEndpoint(url="http://127.0.0.1:4001")
TAGS = ["wood", "steel", "metal", "brass"]
CARD = {
    "name": "Workshop",
    "description": "Books machines.",
    "version": "1",
    "supportedInterfaces": [
        {
            "url": "http://127.0.0.1:4001/a2a/",
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }
    ],
    "capabilities": {"streaming": True},
    "skills": [{"id": "turn", "name": "Turn", "description": "Turns.", "tags": TAGS}],
}


class Yard:
    """A service of the tool library, each of whose records can be made otherwise."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.home: Identity = network.nodes["tool-library"]
        self.node: Identity = network.nodes["building-yard"]
        self.target = ServiceTarget(
            type="machine-booking",
            node=self.node.did,
            endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
            capabilities=("turning",),
            region="north",
        )

    def claim(self, name: str = LATHE, member_id: str = MIRA, **changes: Any) -> Jws:
        said: dict[str, Any] = {
            "network": self.network.name,
            "name": name,
            "member_id": member_id,
            "target": self.target,
            "at_ms": AT,
            "term_ms": DAY_MS,
        }
        signer = changes.pop("signer", None) or self.network.members[member_id]
        return make_claim(signer, **{**said, **changes})

    def name(self, claim: Jws | None = None, **changes: Any) -> Jws:
        """Return a countersigned claim; what is not said follows from the claim."""
        claim = claim or self.claim()
        said = NameClaim.model_validate(jws.peek(claim).payload, strict=False)
        chain = changes.pop("chain", ())
        value = NameValue(claim=claim, member=chain).model_dump(mode="json")
        fields: dict[str, Any] = {
            "network": self.network.name,
            "namespace": "name",
            "name": said.name,
            "value": value,
            "at_ms": said.issued_at_ms,
            "term_ms": said.lapses_at_ms - said.issued_at_ms,
        }
        home = changes.pop("home", None) or self.network.nodes[said.aud]
        return make_record(home, **{**fields, **changes})

    def alias(self, name: str, to: str, **changes: Any) -> Jws:
        member = RUTH if name.endswith("building-yard") else MIRA
        target = changes.pop("target", AliasTarget(name=to))
        return self.name(self.claim(name, member, target=target, **changes))

    def own(self, **changes: Any) -> Jws:
        fields: dict[str, Any] = {
            "network": self.network.name,
            "namespace": "node",
            "name": self.node.did,
            "value": NodeValue(addresses=("a:1",), endpoints=(DOOR,)).model_dump(mode="json"),
            "at_ms": AT,
            "term_ms": DAY_MS,
        }
        signer = changes.pop("signer", self.node)
        return make_record(signer, **{**fields, **changes})

    def card(self, signer: Identity | None = None, **changes: Any) -> dict[str, Any]:
        signer = signer or self.node
        agent = AgentParams(network=self.network.name, did=signer.did, sequence=1)
        return sign_card({**CARD, **changes}, agent=agent, identity=signer)

    def card_record(self, card: dict[str, Any] | None = None, **changes: Any) -> Jws:
        value = value_of(card or self.card()).model_dump(mode="json")
        return self.own(**{"namespace": "card", "value": value, **changes})

    def found(self, **changes: Any) -> FoundService:
        said: dict[str, Any] = {
            "name": LATHE,
            "name_record": self.name(),
            "node_record": self.own(),
            "card_record": self.card_record(),
            "health": ServiceHealth(state="live", heard_ms=AT, round_trip_us=900),
        }
        return FoundService(**{**said, **changes})
