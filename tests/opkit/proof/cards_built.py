"""Cards to prove things about: one agent's, signed as it should be and as it should not."""

from __future__ import annotations

from typing import Any

from opkit.proof.canonical import canonical
from opkit.proof.cards import CardView, read_card, sign_card
from opkit.proof.keys import Identity
from opkit.wire.agents import EXTENSION_URI, AgentParams, CardValue
from opkit.wire.base import b64encode
from opkit.wire.records import RecordBody

AGENT, OTHER = Identity.generate(), Identity.generate()

BARE: dict[str, Any] = {
    "name": "Översättare",
    "description": "Translates and keeps the structure.",
    "version": "1.4.2",
    "supportedInterfaces": [
        {"url": "http://127.0.0.1:1/a2a/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "translate", "name": "T", "description": "Translate.", "tags": ["legal"]}],
}


def agent_of(network: Any, **changes: Any) -> AgentParams:
    fields = {"network": network.name, "did": AGENT.did, "sequence": 7, "region": "eu-west"}
    return AgentParams(**{**fields, **changes})


def signed(network: Any, card: dict[str, Any] = BARE, **changes: Any) -> dict[str, Any]:
    return sign_card(card, agent=agent_of(network, **changes), identity=AGENT)


def signature(
    bare: dict[str, Any], *, by: Identity = AGENT, payload: bytes | None = None, **header: Any
) -> dict[str, Any]:
    """Return a signature with whatever header, over the card or other bytes."""
    said = {"alg": "EdDSA", "kid": by.did, "typ": "JOSE"} | header
    said = {name: value for name, value in said.items() if value is not ...}
    protected = b64encode(canonical(said))
    data = f"{protected}.{b64encode(canonical(bare) if payload is None else payload)}"
    return {"protected": protected, "signature": b64encode(by.sign(data.encode()))}


def with_signatures(network: Any, *signatures: Any, **changes: Any) -> dict[str, Any]:
    bare = {**signed(network), **changes}
    del bare["signatures"]
    made = [each(bare) if callable(each) else each for each in signatures]
    return {**bare, "signatures": made}


def read(network: Any, card: dict[str, Any], did: str = AGENT.did) -> CardView:
    return read_card(card, did=did, network=network.name)


def sized(network: Any, size_bytes: int) -> dict[str, Any]:
    """Return a signed card of so many bytes."""
    size = len(canonical(signed(network, {**BARE, "documentationUrl": "u"})))
    return signed(network, {**BARE, "documentationUrl": "u" * (1 + size_bytes - size)})


def body(network: Any, value: CardValue | None, **changes: Any) -> RecordBody:
    fields = {
        "network": network.name,
        "aud": "card",
        "name": AGENT.did,
        "owner": AGENT.did,
        "sequence": 9,
        "issued_at_ms": 9,
        "lapses_at_ms": 10,
        "value": None if value is None else value.model_dump(mode="json"),
    }
    return RecordBody(**{**fields, **changes})


def saying(where: Any, /, **params: Any) -> dict[str, Any]:
    """Return capabilities in which our extension says so."""
    said = {"network": where.name, "did": AGENT.did, "sequence": 7, **params}
    said = {name: value for name, value in said.items() if value is not None}
    return {"extensions": [{"uri": EXTENSION_URI, "params": said}]}


def skilled(tags: list[str]) -> dict[str, Any]:
    return {"skills": [{"id": "a", "name": "A", "description": "A.", "tags": tags}]}
