"""Two other JOSE libraries read our signed objects, and we read theirs where they are canonical."""

from __future__ import annotations

import json
from typing import Any

import joserfc.jws
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey
from jwt.algorithms import OKPAlgorithm

from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError


def joserfc_key(jwk: dict[str, str]) -> OKPKey:
    """Return the key as joserfc wants it."""
    return OKPKey.import_key(dict(jwk))


@pytest.fixture(scope="module")
def pyjwt() -> jwt.PyJWS:
    """PyJWT's signer and verifier; it does not know the algorithm's new name by itself."""
    reader = jwt.PyJWS(algorithms=[])
    reader.register_algorithm("Ed25519", OKPAlgorithm())
    return reader


def test_joserfc_verifies_ours(signed: list[Any]) -> None:
    for ours in signed:
        read = joserfc.jws.deserialize_compact(
            ours.token, joserfc_key(ours.public_jwk), algorithms=["Ed25519"]
        )
        assert read.headers() == ours.header
        assert json.loads(read.payload) == ours.payload.model_dump(mode="json")


def test_we_verify_joserfcs(signed: list[Any]) -> None:
    for ours in signed:
        theirs = joserfc.jws.serialize_compact(
            ours.header,
            canonical(ours.payload.model_dump(mode="json")),
            joserfc_key(ours.private_jwk),
            algorithms=["Ed25519"],
        )
        assert theirs == ours.token
        assert ours.verify(theirs) == ours.payload


def test_joserfc_and_we_both_refuse_an_altered_object(signed: list[Any]) -> None:
    for ours in signed:
        header, payload, signature = ours.token.split(".")
        altered = f"{header}.{payload[:-4]}AAAA.{signature}"
        with pytest.raises(BadSignatureError):
            joserfc.jws.deserialize_compact(
                altered, joserfc_key(ours.public_jwk), algorithms=["Ed25519"]
            )
        with pytest.raises(ProofError):
            ours.verify(altered)


def test_pyjwt_verifies_ours(signed: list[Any], pyjwt: jwt.PyJWS) -> None:
    for ours in signed:
        key = Ed25519PublicKey.from_public_bytes(ours.identity.public_key)
        read = pyjwt.decode_complete(ours.token, key, algorithms=["Ed25519"])
        assert read["header"] == ours.header
        assert json.loads(read["payload"]) == ours.payload.model_dump(mode="json")


def test_we_verify_pyjwts_where_its_header_is_canonical(
    signed: list[Any], pyjwt: jwt.PyJWS
) -> None:
    for ours in signed:
        theirs = pyjwt.encode(
            canonical(ours.payload.model_dump(mode="json")),
            Ed25519PrivateKey.from_private_bytes(ours.identity.seed),
            algorithm="Ed25519",
            headers={"typ": ours.typ, "kid": ours.identity.did},
            sort_headers=True,
        )
        assert theirs == ours.token


def test_we_refuse_theirs_where_it_is_not_canonical(signed: list[Any], pyjwt: jwt.PyJWS) -> None:
    """Their libraries accept any spelling; an object with two spellings would have two names."""
    for ours in signed:
        private = joserfc_key(ours.private_jwk)
        body = canonical(ours.payload.model_dump(mode="json"))
        reordered = dict(reversed(ours.header.items()))
        spaced = json.dumps(ours.payload.model_dump(mode="json")).encode()
        for header, payload in ((reordered, body), (ours.header, spaced)):
            theirs = joserfc.jws.serialize_compact(header, payload, private, algorithms=["Ed25519"])
            key = Ed25519PublicKey.from_public_bytes(ours.identity.public_key)
            assert pyjwt.decode(theirs, key, algorithms=["Ed25519"]) == payload
            with pytest.raises(ProofError, match="canonical"):
                ours.verify(theirs)
