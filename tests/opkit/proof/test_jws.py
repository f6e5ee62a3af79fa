"""Signed objects: nothing but the one spelling of the expected thing by the expected signer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError, model_validator

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.wire.base import B64, Jws, NetworkId, Wire, b64decode, b64encode
from opkit.wire.membership import Login

TYP = "opkit-login+jws"
NETWORK = "a" * 26
SIGNER = Identity.from_seed(bytes(range(32)))
NODE = Identity.from_seed(bytes(range(1, 33)))
LOGIN = Login(network=NETWORK, aud=NODE.did, did=SIGNER.did, challenge="c", scopes=(), ttl_ms=5_000)
TOKEN = jws.sign(LOGIN, typ=TYP, identity=SIGNER)


def verify(
    token: str, *, typ: str = TYP, issuer: str = SIGNER.did, network: str = NETWORK
) -> Login:
    """Verify a login by SIGNER for NETWORK, unless told otherwise."""
    return jws.verify(token, typ=typ, issuer=issuer, network=network, of=Login)


def crafted(header: bytes, payload: bytes, *, identity: Identity = SIGNER) -> str:
    """Return a token with these very bytes, soundly signed."""
    signing_input = f"{b64encode(header)}.{b64encode(payload)}"
    return f"{signing_input}.{b64encode(identity.sign(signing_input.encode()))}"


def header_of(**changes: Any) -> bytes:
    """Return the canonical header of a login, but for the changes; None drops a member."""
    members = {"alg": "Ed25519", "kid": SIGNER.did, "typ": TYP, **changes}
    return canonical({name: value for name, value in members.items() if value is not None})


PAYLOAD = canonical(LOGIN.model_dump(mode="json"))


def test_what_was_signed_verifies_and_comes_back() -> None:
    assert verify(TOKEN) == LOGIN


def test_the_same_payload_by_the_same_key_gives_the_same_token() -> None:
    assert jws.sign(LOGIN, typ=TYP, identity=SIGNER) == TOKEN == crafted(header_of(), PAYLOAD)


def test_every_token_of_one_type_by_one_key_begins_alike() -> None:
    assert jws.header_of(SIGNER.did, typ=TYP) == TOKEN.partition(".")[0]
    other = jws.header_of(NODE.did, typ="opkit-task+jws")
    assert json.loads(b64decode(other)) == {
        "alg": "Ed25519",
        "kid": NODE.did,
        "typ": "opkit-task+jws",
    }


def test_who_signed_a_token_reads_it_back_as_any_reader_would() -> None:
    assert jws.read_own(TOKEN, of=Login) == LOGIN
    unread = jws.sign(LOGIN.model_copy(update={"ttl_ms": 0}), typ=TYP, identity=SIGNER)
    with pytest.raises(ProofError, match="the payload is no Login: ttl_ms: "):
        jws.read_own(unread, of=Login)
    with pytest.raises(ProofError, match="compact"):
        jws.read_own("x", of=Login)


def test_the_header_names_algorithm_signer_and_type_and_nothing_else() -> None:
    header = json.loads(b64decode(TOKEN.split(".")[0]))
    assert header == {"alg": "Ed25519", "kid": SIGNER.did, "typ": TYP}


@given(st.data())
def test_any_flipped_bit_of_a_token_is_refused(draw: st.DataObject) -> None:
    place = draw.draw(st.integers(min_value=0, max_value=len(TOKEN) - 1))
    bit = draw.draw(st.integers(min_value=0, max_value=7))
    flipped = TOKEN[:place] + chr(ord(TOKEN[place]) ^ (1 << bit)) + TOKEN[place + 1 :]
    with pytest.raises(ProofError):
        verify(flipped)


@given(st.text(max_size=200))
def test_arbitrary_text_is_refused_and_never_breaks_the_reader(text: str) -> None:
    for read in (verify, jws.peek):
        with pytest.raises(ProofError):
            read(text)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"typ": "opkit-task+jws"}, f"it is a '{TYP}', not a 'opkit-task+jws'"),
        ({"issuer": NODE.did}, f"it is signed by {SIGNER.did}, not by {NODE.did}"),
        ({"network": "b" * 26}, "it belongs to another network"),
    ],
)
def test_another_type_issuer_or_network_than_expected_is_refused(
    changes: dict[str, str], why: str
) -> None:
    with pytest.raises(ProofError, match=f"^{re.escape(why)}$"):
        verify(TOKEN, **changes)


@pytest.mark.parametrize("alg", ["EdDSA", "none", "HS256", "ES256", "ed25519", "Ed448", ""])
def test_any_other_algorithm_is_refused(alg: str) -> None:
    with pytest.raises(ProofError, match="algorithm"):
        verify(crafted(header_of(alg=alg), PAYLOAD))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"crit": ["exp"]}, "critical"),
        ({"crit": []}, "critical"),
        ({"b64": False}, "other members"),
        ({"jwk": {"kty": "OKP"}}, "other members"),
        ({"jku": "https://example.org"}, "other members"),
        ({"x5c": []}, "other members"),
        ({"cty": "JSON"}, "other members"),
        ({"kid": None}, "other members"),
        ({"typ": None}, "other members"),
        ({"alg": None}, "other members"),
        ({"kid": 7}, "no text"),
        ({"typ": None, "kid": None, "crit": ["b64"]}, "critical"),
        ({"kid": "did:web:example.org"}, "did:key"),
        ({"typ": "x" * 2000}, "longer than any of ours"),
    ],
)
def test_headers_with_anything_else_in_them_are_refused(changes: dict[str, Any], why: str) -> None:
    token = crafted(header_of(**changes), PAYLOAD)
    for read in (verify, jws.peek):
        with pytest.raises(ProofError, match=why):
            read(token)


@pytest.mark.parametrize(
    "header",
    [
        json.dumps(json.loads(header_of())).encode(),
        b'{"kid":"x","alg":"Ed25519","typ":"y"}',
        b'{"alg":"none",' + header_of()[1:],
        b" " + header_of(),
    ],
)
def test_another_spelling_of_the_header_is_refused_though_it_is_signed(header: bytes) -> None:
    with pytest.raises(ProofError, match=r"canonical|twice"):
        verify(crafted(header, PAYLOAD))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (json.dumps(LOGIN.model_dump(mode="json")).encode(), "canonical"),
        (PAYLOAD.replace(b"{", b'{"aud":"x",', 1), "twice"),
        (PAYLOAD.replace(b'"ttl_ms":5000', b'"ttl_ms":5000.0'), "no integer"),
        (PAYLOAD.replace(b'"ttl_ms":5000', b'"ttl_ms":"5000"'), "no Login: ttl_ms"),
        (PAYLOAD.replace(b'"ttl_ms":5000', b'"ttl_ms":true'), "no Login: ttl_ms"),
        (PAYLOAD.replace(b'"ttl_ms":5000', b'"ttl_ms":5000,"z":1'), "no Login: z"),
        (PAYLOAD.replace(b'"scopes":[],', b""), "no Login: scopes"),
        (PAYLOAD.replace(b'"scopes":[]', b'"scopes":[5]'), "no Login: scopes.0: Input should be"),
        (PAYLOAD.replace(b'"scopes":[],', b"").replace(b"5000", b"true"), "no Login: scopes"),
        (b"[]", "no object"),
        (b"{}", "another network"),
        (b"", "not JSON"),
    ],
)
def test_payloads_of_another_spelling_or_shape_are_refused_though_signed(
    payload: bytes, why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        verify(crafted(header_of(), payload))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_padding_and_other_alphabets_in_any_part_are_refused(part: int) -> None:
    for head, tail in (("", "="), ("", "\n"), ("+/", ""), (" ", "")):
        parts = TOKEN.split(".")
        parts[part] = f"{head}{parts[part][len(head) :]}{tail}"
        with pytest.raises(ProofError):
            verify(".".join(parts))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c.d", TOKEN + ".", "é" + TOKEN, TOKEN.rsplit(".", 1)[0] + "."],
)
def test_what_is_no_compact_jws_is_refused(token: str) -> None:
    with pytest.raises(ProofError):
        verify(token)


def test_a_signature_by_another_key_under_the_right_kid_is_refused() -> None:
    with pytest.raises(ProofError, match="does not verify"):
        verify(crafted(header_of(), PAYLOAD, identity=NODE))


def test_a_token_longer_than_any_of_ours_is_refused_before_it_is_read() -> None:
    for read in (verify, jws.peek, jws.record_id):
        with pytest.raises(ProofError, match="more than"):
            read("a" * (jws.TOKEN_CHARACTERS_MAX + 1))


def test_a_token_is_read_up_to_the_length_that_travels() -> None:
    longest = "a" * jws.TOKEN_CHARACTERS_MAX
    with pytest.raises(ProofError, match="compact"):
        jws.record_id(longest)
    travels = TypeAdapter(Jws)
    assert travels.validate_python(longest) == longest
    with pytest.raises(ValidationError):
        travels.validate_python(longest + "a")


def test_a_token_is_made_up_to_exactly_the_length_that_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jws, "TOKEN_CHARACTERS_MAX", len(TOKEN))
    assert jws.sign(LOGIN, typ=TYP, identity=SIGNER) == TOKEN
    monkeypatch.setattr(jws, "TOKEN_CHARACTERS_MAX", len(TOKEN) - 1)
    with pytest.raises(ProofError, match="more than"):
        jws.sign(LOGIN, typ=TYP, identity=SIGNER)


@pytest.mark.parametrize(("more", "good"), [(0, True), (1, False)])
def test_a_header_is_read_up_to_1024_characters(more: int, good: bool) -> None:
    typ = TYP + "x" * (768 - len(header_of()) + more)
    token = crafted(header_of(typ=typ), PAYLOAD)
    if good:
        assert jws.peek(token).typ == typ
    else:
        with pytest.raises(ProofError, match="longer than any of ours"):
            jws.peek(token)


class Doubtful(Wire):
    """A payload that is wrong as a whole."""

    network: NetworkId

    @model_validator(mode="after")
    def _check(self) -> Doubtful:
        raise ValueError("never right")


def test_what_is_wrong_with_a_payload_as_a_whole_is_said_of_the_whole() -> None:
    payload = canonical({"network": NETWORK})
    with pytest.raises(ProofError, match=r"no Doubtful: Value error, never right$"):
        jws.verify(
            crafted(header_of(), payload), typ=TYP, issuer=SIGNER.did, network=NETWORK, of=Doubtful
        )


def by_author(token: str, *, author: str = "did", network: str | None = NETWORK) -> Login:
    """Verify a login by the key that stands in one of its fields."""
    return jws.verify_by_author(token, typ=TYP, author=author, network=network, of=Login)


def test_an_author_is_believed_about_what_they_signed_themselves() -> None:
    assert by_author(TOKEN) == LOGIN
    with pytest.raises(ProofError, match="signed by"):
        by_author(TOKEN, author="aud")
    with pytest.raises(ProofError, match="not a 'opkit-task"):
        jws.verify_by_author(TOKEN, typ="opkit-task+jws", author="did", network=NETWORK, of=Login)
    with pytest.raises(ProofError, match="does not verify"):
        by_author(crafted(header_of(), PAYLOAD, identity=NODE))


def test_an_author_speaks_for_one_network_the_one_they_name_if_none_is_asked_for() -> None:
    assert by_author(TOKEN, network=None) == LOGIN
    with pytest.raises(ProofError, match="another network"):
        by_author(TOKEN, network="b" * 26)


def test_an_author_whose_name_is_no_text_is_refused_like_any_other() -> None:
    odd = crafted(header_of(), PAYLOAD.replace(b'"scopes":[]', b'"scopes":[["x"]]'))
    with pytest.raises(ProofError, match="signed by"):
        by_author(odd, author="scopes")


class Blob(Wire):
    """A payload as large as one likes."""

    network: NetworkId
    data: B64


def test_no_token_is_made_that_would_be_refused_for_its_length() -> None:
    with pytest.raises(ProofError, match="more than"):
        jws.sign(Blob(network=NETWORK, data=bytes(200_000)), typ=TYP, identity=SIGNER)


@given(st.binary(max_size=300))
def test_bytes_of_any_value_travel_in_a_signed_payload(data: bytes) -> None:
    blob = Blob(network=NETWORK, data=data)
    token = jws.sign(blob, typ=TYP, identity=SIGNER)
    assert jws.verify(token, typ=TYP, issuer=SIGNER.did, network=NETWORK, of=Blob) == blob


def test_peeking_shows_claims_without_believing_them() -> None:
    forged = crafted(header_of(), PAYLOAD, identity=NODE)
    claimed = jws.peek(forged)
    assert (claimed.typ, claimed.kid) == (TYP, SIGNER.did)
    assert claimed.payload == LOGIN.model_dump(mode="json")


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "Ångström"])
def test_what_was_verified_is_read_again_as_it_was_read_first(text: str) -> None:
    said = LOGIN.model_copy(update={"challenge": text})
    token = jws.sign(said, typ=TYP, identity=SIGNER)
    assert jws.reread(token) == jws.peek(token).payload == said.model_dump(mode="json")


def test_a_record_is_the_same_whoever_signed_it_again() -> None:
    resigned = TOKEN.rsplit(".", 1)[0] + "." + b64encode(bytes(64))
    assert resigned != TOKEN
    assert jws.record_id(resigned) == jws.record_id(TOKEN)
    signed = TOKEN.rsplit(".", 1)[0].encode()
    assert jws.record_id(TOKEN) == hashlib.sha256(signed).hexdigest()
    with pytest.raises(ProofError, match="compact"):
        jws.record_id("x")


def test_records_differ_when_type_signer_or_payload_does() -> None:
    tokens = [
        TOKEN,
        jws.sign(LOGIN, typ="opkit-task+jws", identity=SIGNER),
        jws.sign(LOGIN, typ=TYP, identity=NODE),
        jws.sign(LOGIN.model_copy(update={"ttl_ms": 5_001}), typ=TYP, identity=SIGNER),
    ]
    assert len({jws.record_id(token) for token in tokens}) == len(tokens)


def test_the_constant_signature_for_the_identity_key_forges_nothing() -> None:
    """Libraries that accept small-order keys take this one signature for every message."""
    key = bytes([1]) + bytes(31)
    did = "did:key:z" + "6Mk" + base64.b32encode(key).decode()[:44]
    with pytest.raises(ProofError):
        verify(crafted(header_of(kid=did), PAYLOAD), issuer=did)
