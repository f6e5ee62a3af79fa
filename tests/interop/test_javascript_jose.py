"""A JOSE library in JavaScript reads our signed objects, and we read its.

Its packages come by `npm ci --prefix tests/interop/js`, which `scripts/setup interop` runs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.did import base58_encode
from opkit.proof.keys import Identity, verify_signature
from opkit.wire.base import b64encode

pytestmark = pytest.mark.interop

FOLDER = Path(__file__).with_name("js")
VECTORS = json.loads(
    (Path(__file__).parents[1] / "opkit/proof/ed25519_vectors.json").read_text(encoding="utf-8")
)
IDENTITY_POINT = "01" + "00" * 31


def node_program() -> str:
    """Return where Node.js is, or skip the test."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")
    return found


def ask_javascript(**asks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Put questions to the JavaScript side and return its answers."""
    node = node_program()
    assert (FOLDER / "node_modules/jose").is_dir(), "run: npm ci --prefix tests/interop/js"
    ran = subprocess.run(
        [node, str(FOLDER / "verify.mjs")],
        input=json.dumps(asks),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, list[dict[str, Any]]] = json.loads(ran.stdout)
    return said


def accepted_by_us(*, key: str, message: str, signature: str) -> bool:
    """Return whether our verifier accepts a signature; all arguments in hex."""
    did = "did:key:z" + base58_encode(b"\xed\x01" + bytes.fromhex(key))
    try:
        verify_signature(did, data=bytes.fromhex(message), signature=bytes.fromhex(signature))
    except ProofError:
        return False
    return True


def test_javascript_verifies_ours(signed: list[Any]) -> None:
    asks = [{"token": ours.token, "jwk": ours.public_jwk} for ours in signed]
    for ours, said in zip(signed, ask_javascript(verify=asks)["verify"], strict=True):
        assert said["ok"]
        assert said["header"] == ours.header
        assert said["payload"].encode() == canonical(ours.payload.model_dump(mode="json"))


def test_javascript_refuses_ours_once_altered_or_under_another_key(signed: list[Any]) -> None:
    asks = []
    for ours in signed:
        header, payload, signature = ours.token.split(".")
        altered = f"{header}.{payload[:-4]}AAAA.{signature}"
        other = {**ours.public_jwk, "x": b64encode(Identity.generate().public_key)}
        asks += [
            {"token": altered, "jwk": ours.public_jwk},
            {"token": ours.token, "jwk": other},
        ]
    assert not any(said["ok"] for said in ask_javascript(verify=asks)["verify"])


def test_we_verify_javascripts(signed: list[Any]) -> None:
    asks = [
        {
            "jwk": ours.private_jwk,
            "header": ours.header,
            "payload": canonical(ours.payload.model_dump(mode="json")).decode(),
        }
        for ours in signed
    ]
    for ours, said in zip(signed, ask_javascript(sign=asks)["sign"], strict=True):
        assert said["token"] == ours.token
        assert ours.verify(said["token"]) == ours.payload


def test_its_canonical_json_is_ours(signed: list[Any]) -> None:
    """`JSON.stringify` spells text and integers as RFC 8785 wants; only the order is ours to give.

    Source: RFC 8785, section 3.2.2.
    """
    script = "process.stdout.write(JSON.stringify(JSON.parse(process.argv[1])))"
    for ours in signed:
        body = canonical(ours.payload.model_dump(mode="json")).decode()
        ran = subprocess.run(
            [node_program(), "-e", script, body],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ran.stdout == body


def test_what_we_accept_of_the_published_signatures_javascript_accepts_too(
    record_property: Any,
) -> None:
    """Never the other way round: on odd points it accepts what we, on purpose, refuse."""
    cases = [
        {"key": case["pub_key"], "message": case["message"], "signature": case["signature"]}
        for case in (*VECTORS["rfc8032"]["cases"], *VECTORS["speccheck"]["cases"])
    ]
    said = [answer["ok"] for answer in ask_javascript(raw=cases)["raw"]]
    ours = [accepted_by_us(**case) for case in cases]
    honest = len(VECTORS["rfc8032"]["cases"])
    assert ours == [True] * honest + [False] * len(VECTORS["speccheck"]["cases"])
    assert said[:honest] == [True] * honest
    record_property("speccheck cases that javascript accepts", said[honest:].count(True))


def test_keys_of_small_order_are_refused_whatever_javascript_says(record_property: Any) -> None:
    """One constant signature under the identity key passes for every message in some libraries."""
    constant = IDENTITY_POINT + "00" * 32
    cases = [
        {"key": point, "message": message, "signature": constant}
        for point in VECTORS["small_order"]["points"]
        for message in ("", "00", "ff")
    ]
    said = [answer["ok"] for answer in ask_javascript(raw=cases)["raw"]]
    record_property("small-order forgeries that javascript accepts", said.count(True))
    assert not any(accepted_by_us(**case) for case in cases)
