"""Ed25519 where libraries disagree: who accepts what, as `docs/protocol.md` says it in a table.

What we accept, everybody accepts; what somebody else accepts beyond that, nobody can make with a
key that was made honestly.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from opkit.proof.checks import ProofError
from opkit.proof.did import base58_encode
from opkit.proof.keys import verify_signature

Ask = Callable[..., dict[str, list[dict[str, Any]]]]

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = json.loads((ROOT / "tests/opkit/proof/ed25519_vectors.json").read_text("utf-8"))
WYCHEPROOF = json.loads(Path(__file__).with_name("wycheproof_ed25519.json").read_text("utf-8"))
NODE_COLUMNS = {"v20": "OpenSSL", "v24": "Node.js 24"}
"""Which column of the table holds for which Node.js: 20 asks OpenSSL and nobody else."""


class Case(NamedTuple):
    """A signature, in hex."""

    key: str
    message: str
    signature: str


def speccheck(*numbers: int) -> list[Case]:
    """Return cases of Taming the many EdDSAs."""
    found = (PUBLISHED["speccheck"]["cases"][number] for number in numbers)
    return [Case(one["pub_key"], one["message"], one["signature"]) for one in found]


def wycheproof(*, valid: bool) -> list[Case]:
    """Return Wycheproof's cases of one kind."""
    found = (one for one in WYCHEPROOF["cases"] if one["valid"] is valid)
    return [Case(one["key"], one["message"], one["signature"]) for one in found]


def zip215() -> list[Case]:
    """Return every small-order key with every small-order R, and S = 0: all valid by ZIP 215."""
    points = PUBLISHED["small_order"]["points"]
    return [Case(key, b"Zcash".hex(), f"{r}{'00' * 32}") for key in points for r in points]


ROWS = {
    "RFC 8032, section 7.1": [
        Case(one["pub_key"], one["message"], one["signature"])
        for one in PUBLISHED["rfc8032"]["cases"]
    ],
    "Wycheproof, valid": wycheproof(valid=True),
    "Wycheproof, invalid": wycheproof(valid=False),
    "speccheck 0, 1, 2: A or R of small order": speccheck(0, 1, 2),
    "speccheck 3: A and R of mixed order": speccheck(3),
    "speccheck 4, 5: only with the cofactor": speccheck(4, 5),
    "speccheck 6, 7: S not below the order": speccheck(6, 7),
    "speccheck 8, 9: R not canonical": speccheck(8, 9),
    "speccheck 10, 11: A not canonical": speccheck(10, 11),
    "ZIP 215: A and R of small order, S = 0": zip215(),
}


def opkit_accepts(case: Case) -> bool:
    did = "did:key:z" + base58_encode(b"\xed\x01" + bytes.fromhex(case.key))
    data, signature = bytes.fromhex(case.message), bytes.fromhex(case.signature)
    try:
        verify_signature(did, data=data, signature=signature)
    except ProofError:
        return False
    return True


def libsodium_accepts(case: Case) -> bool:
    try:
        VerifyKey(bytes.fromhex(case.key)).verify(
            bytes.fromhex(case.message), bytes.fromhex(case.signature)
        )
    except (BadSignatureError, ValueError):  # The length of a signature is looked at before.
        return False
    return True


def openssl_accepts(case: Case) -> bool:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(case.key))
    try:
        key.verify(bytes.fromhex(case.signature), bytes.fromhex(case.message))
    except InvalidSignature:
        return False
    return True


ACCEPTS = {"opkit": opkit_accepts, "libsodium": libsodium_accepts, "OpenSSL": openssl_accepts}


def documented() -> dict[str, dict[str, str]]:
    """Return the table: how many of each row's signatures each column accepts."""
    text = (ROOT / "docs/protocol.md").read_text("utf-8")
    section = text.split("### Where libraries disagree\n")[1].split("\n#", 1)[0]
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    )
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_the_table_has_a_row_for_every_set_of_vectors() -> None:
    said = documented()
    assert list(said) == list(ROWS)
    for name, cases in ROWS.items():
        assert set(said[name]) == {"of", *ACCEPTS, "Node.js 24"}
        assert said[name]["of"] == str(len(cases))


@pytest.mark.parametrize("column", ACCEPTS)
def test_each_library_accepts_what_the_table_says(column: str) -> None:
    found = {name: str(sum(map(ACCEPTS[column], cases))) for name, cases in ROWS.items()}
    assert found == {name: said[column] for name, said in documented().items()}


def test_what_we_accept_every_library_accepts() -> None:
    for name, cases in ROWS.items():
        for case in filter(opkit_accepts, cases):
            assert libsodium_accepts(case), name
            assert openssl_accepts(case), name


@pytest.mark.interop
def test_javascript_accepts_what_the_table_says_and_all_that_we_accept(ask_javascript: Ask) -> None:
    """Of a Node.js that the table does not know, only the second is asked."""
    said = documented()
    for name, cases in ROWS.items():
        asks = [case._asdict() for case in cases]
        answers = [one.get("ok", False) for one in ask_javascript(ed25519=asks)["ed25519"]]
        theirs = dict(zip(cases, answers, strict=True))
        assert all(theirs[case] for case in cases if opkit_accepts(case)), name
        column = NODE_COLUMNS.get(version())
        if column is not None:
            assert str(sum(answers)) == said[name][column], name


def version() -> str:
    """Return the major version of the Node.js that answers, such as `v24`."""
    ran = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    found = re.match(r"v\d+", ran.stdout)
    assert found is not None
    return found[0]
