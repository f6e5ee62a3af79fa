"""Agent cards: signed as any A2A client verifies it, read by whoever holds one, with no question.

The signature is a detached JWS over the canonical JSON of the card without its `signatures`. A2A
leaves empty fields out of what is signed, so that they could be added by anybody: a card that has
one is none here, and so each card has one spelling and one name. The signer is named by the key
itself; `jku` is never looked at. Source: ADR 0036; the Agent2Agent protocol, version 1.0, section
8.4; RFC 7515, appendix F; RFC 8037; RFC 8785.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from opkit.proof.canonical import canonical, parse_canonical, parse_object
from opkit.proof.checks import ProofError, Verdict, attempt, equal
from opkit.proof.cid import cid_of
from opkit.proof.did import public_key_of
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity, verify_signature
from opkit.proof.record import sponsor_of
from opkit.wire.agents import (
    CARD_BYTES_MAX,
    CARD_INLINE_BYTES_MAX,
    EXTENSION_URI,
    AgentParams,
    CardValue,
)
from opkit.wire.base import SAFE_INT_MAX, Cid, Did, Jws, NetworkId, b64decode, b64encode
from opkit.wire.flaws import first_flaw
from opkit.wire.records import RecordBody

CARD_ALG = "EdDSA"
"""The algorithm by the name that A2A clients know. Source: RFC 8037, section 3.1."""

CARD_TYP = "JOSE"
SIGNATURES_MAX = 8
HEADER_CHARACTERS_MAX = 2_048
TEXT_MAX = 4_096

_HEADER = {"alg", "kid", "typ"}
_CardText = Annotated[str, StringConstraints(max_length=TEXT_MAX)]
_CardTexts = Annotated[tuple[_CardText, ...], Field(max_length=64)]


class _Part(BaseModel):
    """A part of a card, of which what is not known here is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class CardInterface(_Part):
    """Where and how an agent is asked; the first one is preferred."""

    url: _CardText
    protocol_binding: _CardText
    protocol_version: _CardText


class CardSkill(_Part):
    """What an agent can do."""

    id: _CardText
    name: _CardText
    description: _CardText
    tags: _CardTexts = ()


class _Extension(_Part):
    uri: _CardText
    params: dict[str, Any] = {}


class _Capabilities(_Part):
    streaming: bool = False
    extensions: Annotated[tuple[_Extension, ...], Field(max_length=16)]


class _Shape(_Part):
    name: _CardText
    description: _CardText
    version: _CardText
    supported_interfaces: Annotated[tuple[CardInterface, ...], Field(min_length=1, max_length=16)]
    capabilities: _Capabilities
    skills: Annotated[tuple[CardSkill, ...], Field(max_length=64)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """A card that verifies, and what of it is read here.

    Attributes:
        cid: names the bytes of its canonical JSON, of which there are `size_bytes`.
        card: the whole of it.
        agent: what this network knows of the agent, under the same signature.
    """

    cid: Cid
    size_bytes: int
    card: dict[str, Any]
    name: str
    description: str
    version: str
    streaming: bool
    interfaces: tuple[CardInterface, ...]
    skills: tuple[CardSkill, ...]
    agent: AgentParams

    @property
    def tags(self) -> frozenset[str]:
        """What the agent can do: the ids of its skills, and their tags."""
        return frozenset(tag for skill in self.skills for tag in (skill.id, *skill.tags))


def sign_card(card: dict[str, Any], *, agent: AgentParams, identity: Identity) -> dict[str, Any]:
    """Return a card with what this network knows of its agent, signed by that agent.

    Args:
        card: an A2A 1.0 card. Its signatures, its empty fields and what it said of this network
            are left out.
        agent: what stands in the extension.
        identity: the agent's key.

    Raises:
        ProofError: `agent` is another key, or no reader would take the card.
    """
    if identity.did != agent.did:
        raise ProofError("a card is signed by the agent that it is of")
    bare = without_empty({**card, "signatures": []})
    params = without_empty(agent.model_dump(mode="json"))
    bare["capabilities"] = _declaring(bare.get("capabilities", {}), params)
    protected = _protected(identity.did)
    signature = identity.sign(_signing_input(protected, bare))
    signed = {
        **bare,
        "signatures": [{"protected": protected, "signature": b64encode(signature)}],
    }
    read_card(signed, did=identity.did, network=agent.network)
    return signed


def read_card(card: dict[str, Any], *, did: Did, network: NetworkId) -> CardView:
    """Return what is read of a card that its agent signed, for this network.

    Raises:
        ProofError: it is too large, has an empty field or a number that is no integer, is not
            signed by this key, is no card, or is one of another agent or network, in this order.
    """
    data = canonical(card)
    if len(data) > CARD_BYTES_MAX:
        raise ProofError(f"a card of {len(data)} bytes is larger than {CARD_BYTES_MAX}")
    _check_plain(card, "the card")
    _check_signed(card, did)
    try:
        shape = _Shape.model_validate_json(data, strict=True)
        agent = AgentParams.model_validate_json(canonical(_params(shape)), strict=True)
    except ValidationError as bad:
        raise ProofError(f"it is no card: {first_flaw(bad)}") from bad
    if agent.did != did:
        raise ProofError(f"it is the card of {agent.did}, not of {did}")
    if agent.network != network:
        raise ProofError("it belongs to another network")
    return CardView(
        cid=cid_of(data),
        size_bytes=len(data),
        card=card,
        name=shape.name,
        description=shape.description,
        version=shape.version,
        streaming=shape.capabilities.streaming,
        interfaces=shape.supported_interfaces,
        skills=shape.skills,
        agent=agent,
    )


def claimed_agent(card: dict[str, Any]) -> tuple[str, str]:
    """Return whose card and of what network it claims to be, UNVERIFIED: to look up what to expect.

    Raises:
        ProofError: it does not say.
    """
    try:
        params = _params(_Shape.model_validate_json(canonical(card), strict=True))
    except ValidationError as bad:
        raise ProofError("it is no card of an agent of ours") from bad
    did, network = params.get("did"), params.get("network")
    if not isinstance(did, str) or not isinstance(network, str):
        raise ProofError("it does not say whose card and of what network it is")
    return did, network


def parse_card(data: bytes) -> dict[str, Any]:
    """Return a card in whatever spelling of JSON; `7.0`, as protobuf writes integers, is 7.

    Raises:
        ProofError: too large, too deep, no JSON object, or a number that is no integer.
    """
    if len(data) > 2 * CARD_BYTES_MAX:
        raise ProofError(f"{len(data)} bytes are more than a card has")
    return parse_object(data, number=_whole)


def read_card_bytes(data: bytes, *, did: Did, network: NetworkId) -> CardView:
    """Return what is read of a card that was fetched by its CID, as `read_card`."""
    return read_card(parse_canonical(data), did=did, network=network)


def value_of(card: dict[str, Any]) -> CardValue:
    """Return what a record says that leads to a card; the card is in it if it is small.

    Raises:
        ProofError: it has no canonical JSON, or is too large.
    """
    data = canonical(card)
    if len(data) > CARD_BYTES_MAX:
        raise ProofError(f"a card of {len(data)} bytes is larger than {CARD_BYTES_MAX}")
    inline = len(data) <= CARD_INLINE_BYTES_MAX
    return CardValue(cid=cid_of(data), size_bytes=len(data), card=card if inline else None)


def check_value(body: RecordBody, value: CardValue, genesis: GenesisView) -> None:
    """Return if a record of the namespace `card` may stand: what is in it is the agent's card.

    Raises:
        ProofError: a small card is missing or a large one is there; the card does not verify, or
            is not the one that the record names; its sequence lies beyond the record's.
    """
    inline = value.size_bytes <= CARD_INLINE_BYTES_MAX
    if inline != (value.card is not None):
        raise ProofError(f"a card stands in its record if it has {CARD_INLINE_BYTES_MAX} bytes")
    if value.card is not None:
        match_card(body, value, read_card(value.card, did=body.owner, network=genesis.network))


def match_card(body: RecordBody, value: CardValue, view: CardView) -> None:
    """Return if a card is the one that a record names.

    Raises:
        ProofError: it is another one, or its sequence lies beyond the record's.
    """
    if (view.cid, view.size_bytes) != (value.cid, value.size_bytes):
        raise ProofError("the card is not the one that the record names")
    if view.agent.sequence > body.sequence:
        raise ProofError("the card's sequence lies beyond the record's")


def verify_card(
    card: dict[str, Any], *, genesis: GenesisView | None, proof: tuple[Jws, ...] = ()
) -> Verdict:
    """Return what is to be said of a card that came from anywhere.

    Args:
        card: as `parse_card` reads it.
        genesis: of the network; without it nobody can say whose key signed.
        proof: the agent's chain of membership records, if it is a member whom genesis does not
            name.
    """
    claimed, readable = attempt("a card of an agent", lambda: claimed_agent(card))
    if claimed is None:
        return Verdict(subject="agent card", checks=(readable,), anchored=False)
    did, network = claimed
    checks = [readable]
    _, signed = attempt("signed by its agent", partial(read_card, card, did=did, network=network))
    checks.append(signed)
    if genesis is not None:
        checks.append(equal("of this network", expected=genesis.network, actual=network))
    known = genesis is not None and sponsor_of(did, proof=proof, genesis=genesis) is not None
    return Verdict(subject=f"agent card of {did}", checks=tuple(checks), anchored=known)


def public_did(text: str) -> Did:
    """Return a DID that names a key. Raises `ProofError` if it names none."""
    public_key_of(text)
    return text


def as_jsonld(view: CardView) -> dict[str, Any]:
    """Return a card as linked data, for export: what is signed is the card, not this view of it."""
    return {
        "@context": {
            "@vocab": "urn:opkit:a2a:terms:",
            "name": "https://schema.org/name",
            "description": "https://schema.org/description",
            "version": "https://schema.org/version",
            "url": {"@id": "https://schema.org/url", "@type": "@id"},
            "uri": "@id",
        },
        "@id": view.agent.did,
        "@type": "AgentCard",
        **view.card,
    }


def without_empty(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object without what A2A leaves out of what is signed.

    Raises:
        ProofError: it is nested too deep.
    """
    canonical(value)  # Its depth is bounded before anything here follows it.
    kept: dict[str, Any] = _kept(value)
    return kept


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _kept(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if not _is_empty(each)}
    if isinstance(value, (list, tuple)):
        return [each for each in map(_kept, value) if not _is_empty(each)]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, dict, list)) and not value)


def _check_plain(value: Any, where: str) -> None:
    """Return if a value, whose depth is bounded, has no empty field and no fraction in it."""
    if _is_empty(value):
        raise ProofError(f"{where} is empty, and what is empty is under no signature: leave it out")
    if isinstance(value, float):
        raise ProofError(f"{where} is a number that is no integer")
    if isinstance(value, dict):
        for name, each in value.items():
            _check_plain(each, f"{where[:200]}.{name[:64]}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_plain(each, f"{where[:200]}[{index}]")


def _check_signed(card: dict[str, Any], did: Did) -> None:
    """Return if one of a card's signatures is this key's, and holds; others attest it or not."""
    signatures = card.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > SIGNATURES_MAX:
        raise ProofError(f"a card has a list of 1 to {SIGNATURES_MAX} signatures")
    bare = {name: value for name, value in card.items() if name != "signatures"}
    why = f"it has no signature by {did}"
    for signature in signatures:
        try:
            _verify(signature, bare, did)
        except ProofError as bad:
            why = bad.why if _kid(signature) in _kids(did) else why
        else:
            return
    raise ProofError(why)


def _verify(signature: Any, bare: dict[str, Any], did: Did) -> None:
    header = _header(signature)
    if header.get("kid") not in _kids(did):
        raise ProofError(f"it is not signed by {did}")
    if not _HEADER <= set(header) <= {*_HEADER, "jku"}:
        raise ProofError("its header has other members than alg, kid, typ and jku")
    if header["alg"] != CARD_ALG:
        raise ProofError(f"the algorithm is {header['alg']!r}, not {CARD_ALG!r}")
    if header["typ"] != CARD_TYP:
        raise ProofError(f"it is a {header['typ']!r}, not a {CARD_TYP!r}")
    signed = _signing_input(signature["protected"], bare)
    verify_signature(did, data=signed, signature=_bytes(signature.get("signature")))


def _kid(signature: Any) -> object:
    """Return who a signature says that it is by; None if it does not say."""
    try:
        return _header(signature).get("kid")
    except ProofError:
        return None


def _declaring(capabilities: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return what an agent is capable of, and our extension of it in the place of any other."""
    said = capabilities if isinstance(capabilities, dict) else {}
    others = said.get("extensions", [])
    if said is not capabilities or not isinstance(others, list):
        raise ProofError("it is no card: what it says of its capabilities has another shape")
    kept = [
        one for one in others if not (isinstance(one, dict) and one.get("uri") == EXTENSION_URI)
    ]
    return {**said, "extensions": [*kept, {"uri": EXTENSION_URI, "params": params}]}


def _kids(did: Did) -> tuple[str, str]:
    """Return the two ways in which a key is named: alone, and as a method of its own document."""
    return did, f"{did}#{did.removeprefix('did:key:')}"


def _header(signature: Any) -> dict[str, Any]:
    protected = signature.get("protected") if isinstance(signature, dict) else None
    if not isinstance(protected, str) or len(protected) > HEADER_CHARACTERS_MAX:
        raise ProofError("a signature has a protected header, which is short")
    return parse_object(_bytes(protected))


def _protected(did: Did) -> str:
    return b64encode(canonical({"alg": CARD_ALG, "kid": did, "typ": CARD_TYP}))


def _signing_input(protected: str, bare: dict[str, Any]) -> bytes:
    return f"{protected}.{b64encode(canonical(bare))}".encode("ascii")


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(text)
    except (TypeError, ValueError) as bad:
        raise ProofError("a part of the signature is no base64url") from bad


def _params(shape: _Shape) -> dict[str, Any]:
    found = [each.params for each in shape.capabilities.extensions if each.uri == EXTENSION_URI]
    if len(found) != 1:
        raise ProofError(f"it declares the extension {EXTENSION_URI} {len(found)} times, not once")
    (params,) = found
    return params


def _whole(text: str) -> int:
    number = float(text)
    if not number.is_integer() or abs(number) > SAFE_INT_MAX:
        raise ProofError(f"the card has a number that is no integer: {text[:32]}")
    return int(number)
