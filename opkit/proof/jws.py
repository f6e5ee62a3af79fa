"""Signed objects: compact JWS over canonical JSON, with nothing in the header left to choose.

The header has exactly three members: the algorithm, the signer's DID, and the type of what is
signed. Everything else that JOSE allows is refused. Header and payload have one spelling each, so
the hash of the signing input names the object, whoever signs it again.
Source: ADR 0001; RFC 7515; RFC 9864 (`Ed25519`); RFC 8785.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from opkit.proof.canonical import canonical, canonical_of, parse_canonical, sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.keys import Identity, verify_signature
from opkit.wire.base import Did, Jws, RecordId, Wire, b64decode, b64encode
from opkit.wire.flaws import first_flaw

ALG = "Ed25519"
TOKEN_CHARACTERS_MAX = 262_144
"""The longest token that is read or written, as `opkit.wire.base.Jws` says."""

_HEADER_CHARACTERS_MAX = 1024
_HEADERS_MAX = 4096
_PAYLOADS_MAX = 4
_MEMBERS = {"alg", "kid", "typ"}

W = TypeVar("W", bound=Wire)


@dataclass(frozen=True)
class Peek:
    """What a token claims, UNVERIFIED: only to look up whom to verify it against."""

    typ: str
    kid: Did
    payload: dict[str, Any]


def sign(payload: Wire, *, typ: str, identity: Identity) -> Jws:
    """Return the compact JWS of `payload` by `identity`.

    Raises:
        ProofError: the payload has no canonical spelling, or the token would be too long.
    """
    body = b64encode(canonical_of(payload))
    signing_input = f"{_header(identity.did, typ)}.{body}"
    token = f"{signing_input}.{b64encode(identity.sign(signing_input.encode('ascii')))}"
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than a signed object may have")
    return token


def verify(token: str, *, typ: str, issuer: Did, network: str, of: type[W]) -> W:
    """Return the payload of a token that is of this type, by this issuer, for this network.

    Args:
        token: the compact JWS, from anywhere.
        typ: the type that is expected, never one read from the token.
        issuer: whose signature is expected; get it from genesis or a membership chain.
        network: the network that the payload must name in its `network` field.
        of: the wire type of the payload; unknown fields and lax values are refused.

    Raises:
        ProofError: shape, header, signature, payload's spelling, network, or payload's type, in
            this order.
    """
    header, body, signature = _parts(token)
    if header != _header(issuer, typ):
        raise ProofError(_why_header(header, issuer=issuer, typ=typ))
    verify_signature(issuer, data=f"{header}.{body}".encode("ascii"), signature=_bytes(signature))
    data, payload = _payload(body)
    if payload.get("network") != network:
        raise ProofError("it belongs to another network")
    return _read(data, of)


def read_own(token: Jws, *, of: type[W]) -> W:
    """Return the payload of a token that the caller has just signed, as any reader reads it.

    Raises:
        ProofError: no reader would take it.
    """
    _, body, _ = _parts(token)
    return _read(_bytes(body), of)


def peek(token: str) -> Peek:
    """Return what a token claims without verifying it.

    Raises:
        ProofError: its shape, header members or payload's spelling are not those of a token.
    """
    header, body, _ = _parts(token)
    typ, kid = _claims(header)
    return Peek(typ=typ, kid=kid, payload=dict(_payload(body)[1]))


def reread(token: Jws) -> dict[str, Any]:
    """Return the payload of a token that was verified before; nothing of it is looked at again.

    Whoever keeps only what it verified reads it often, and canonical spelling costs most of it.
    """
    body = token.split(".")[1]
    payload: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return payload


def verify_by_author(token: str, *, typ: str, author: str, network: str | None, of: type[W]) -> W:
    """Return the payload of a token that is signed by the very author it names.

    Args:
        token: what to verify.
        typ: its type.
        author: the field of the payload in which the author's DID stands.
        network: the network it must be for; None takes the one that it names.
        of: the payload's class.

    Raises:
        ProofError: signature, type, network or shape, as `verify`.
    """
    claimed = peek(token).payload
    for_network = str(claimed.get("network")) if network is None else network
    issuer = str(claimed.get(author))
    return verify(token, typ=typ, issuer=issuer, network=for_network, of=of)


def header_of(did: Did, *, typ: str) -> str:
    """Return how every token of this type by this key begins, up to its first dot."""
    return _header(did, typ)


def record_id(token: str) -> RecordId:
    """Return the identity of a signed object: SHA-256 of its signing input, in hex.

    The signature is no part of it, so a re-signed copy is the same record.

    Raises:
        ProofError: not the shape of a token.
    """
    header, body, _ = _parts(token)
    return sha256_hex(f"{header}.{body}".encode("ascii"))


def _parts(token: str) -> tuple[str, str, str]:
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than a signed object may have")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise ProofError("not a compact JWS")
    return parts[0], parts[1], parts[2]


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text)
    except ValueError as bad:
        raise ProofError(f"a part of the JWS is {bad}") from bad


@lru_cache(maxsize=_PAYLOADS_MAX)
def _payload(body: str) -> tuple[bytes, dict[str, Any]]:
    """Return a payload, read once for whoever peeks first and verifies then; not to be changed."""
    data = _bytes(body)
    return data, parse_canonical(data)


def _read(data: bytes, of: type[W]) -> W:
    """Return a payload as its type. Raises `ProofError`."""
    try:
        return of.model_validate_json(data, strict=True)
    except ValidationError as bad:
        raise ProofError(f"the payload is no {of.__name__}: {first_flaw(bad)}") from bad


@lru_cache(maxsize=_HEADERS_MAX)
def _header(did: Did, typ: str) -> str:
    return b64encode(canonical({"alg": ALG, "kid": did, "typ": typ}))


@lru_cache(maxsize=_HEADERS_MAX)
def _claims(header: str) -> tuple[str, Did]:
    """Return type and signer of an unverified header; what is refused is not remembered."""
    claimed = _header_members(header)
    return claimed["typ"], claimed["kid"]


def _header_members(header: str) -> dict[str, str]:
    """Return the three members of an unverified header."""
    if len(header) > _HEADER_CHARACTERS_MAX:
        raise ProofError("the header is longer than any of ours")
    members = parse_canonical(_bytes(header))
    if "crit" in members:
        raise ProofError("the header has critical extensions, and none is known")
    if set(members) != _MEMBERS:
        raise ProofError("the header has other members than alg, kid and typ")
    if not all(isinstance(value, str) for value in members.values()):
        raise ProofError("a member of the header is no text")
    if members["alg"] != ALG:
        raise ProofError(f"the algorithm is {members['alg']!r}, not {ALG!r}")
    public_key_of(members["kid"])
    return members


def _why_header(header: str, *, issuer: Did, typ: str) -> str:
    """Return what is wrong with a header that is not the expected one."""
    claimed = _header_members(header)
    if claimed["typ"] != typ:
        return f"it is a {claimed['typ']!r}, not a {typ!r}"
    return f"it is signed by {claimed['kid']}, not by {issuer}"
