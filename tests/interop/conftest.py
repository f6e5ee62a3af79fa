"""Objects of every signed type, and keys as JOSE libraries want them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.base import Jws, Wire, b64encode
from opkit.wire.compute import TASK_TYP, Manifest, TaskLimits
from opkit.wire.membership import LOGIN_TYP, MEMBER_TYP, Login, MemberRecord

NETWORK = "c" * 26
FOLDER = Path(__file__).with_name("js")


@dataclass(frozen=True)
class Signed:
    """A signed object with what a foreign library needs to check it."""

    token: Jws
    payload: Wire
    typ: str
    identity: Identity

    @property
    def public_jwk(self) -> dict[str, str]:
        """The signer's public key. Source: RFC 8037, section 2."""
        return {"kty": "OKP", "crv": "Ed25519", "x": b64encode(self.identity.public_key)}

    @property
    def private_jwk(self) -> dict[str, str]:
        """The signer's key pair."""
        return {**self.public_jwk, "d": b64encode(self.identity.seed)}

    @property
    def header(self) -> dict[str, str]:
        """The header that our tokens have, in its canonical order."""
        return {"alg": "Ed25519", "kid": self.identity.did, "typ": self.typ}

    def verify(self, token: str) -> Wire:
        """Verify `token` as this object with our own verifier."""
        return jws.verify(
            token,
            typ=self.typ,
            issuer=self.identity.did,
            network=NETWORK,
            of=type(self.payload),
        )


def payloads(identity: Identity) -> list[tuple[Wire, str]]:
    """Return payloads with numbers, bytes, lists, nulls and text beyond ASCII."""
    manifest = Manifest(
        network=NETWORK,
        aud="any",
        task_id="0" * 32,
        member_id="c/m",
        wasm_hash=cid_of(b"m"),
        input_hash=cid_of(b"i"),
        limits=TaskLimits(),
        issued_at_ms=1,
        expires_at_ms=2**53 - 1,
    )
    record = MemberRecord(
        network=NETWORK,
        aud="-",
        action="add",
        member_id="-/zoe",
        name='Zoë "the lathe" Ångström \U0001f6e0\n',
        title="\u20ac \u0007 \\ /",
        did=identity.did,
        roles=("member", "auditor"),
        sequence=1,
        issued_at_ms=0,
    )
    login = Login(network=NETWORK, aud=identity.did, did=identity.did, challenge="", scopes=())
    return [(manifest, TASK_TYP), (record, MEMBER_TYP), (login, LOGIN_TYP)]


@pytest.fixture(scope="session")
def signed() -> list[Signed]:
    """Objects of three types, by one key."""
    identity = Identity.generate()
    return [
        Signed(
            token=jws.sign(payload, typ=typ, identity=identity),
            payload=payload,
            typ=typ,
            identity=identity,
        )
        for payload, typ in payloads(identity)
    ]


@pytest.fixture(scope="session")
def ask_javascript() -> Callable[..., dict[str, list[dict[str, Any]]]]:
    """Return what puts questions to the implementation in JavaScript, all at once."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("not run: Node.js is missing (scripts/setup interop)")

    def ask(**asks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        ran = subprocess.run(
            [node, str(FOLDER / "answers.mjs")],
            input=json.dumps(asks),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        said: dict[str, list[dict[str, Any]]] = json.loads(ran.stdout)
        return said

    return ask
