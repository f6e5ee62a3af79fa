"""What a reader must refuse, and with what: frames, records, and spellings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import vectors_names as names
import vectors_operations as operations
import vectors_people as people
import vectors_votes as votes

from nodeimpl.overlay.namespaces import judge
from nodeimpl.p2p import frames
from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.cid import cid_of
from opkit.proof.record import Verifier
from opkit.wire.base import Jws, b64decode, b64encode
from opkit.wire.casts import CASTS
from opkit.wire.errors import Refusal
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.peer import FRAME_BYTES_MAX, METHODS, MethodUnknown
from opkit.wire.records import RECORD_TYP, Namespace, RecordBody, SignedRecordRejected

MALFORMED = "frame-malformed"
REJECTED = "signed-record-rejected"

OTHER_NETWORK = "b" * 26
SPELLINGS = ("YQ==", "YR", "Y", "YQ\n", " YQ", "Y+==", "_-8/", "YQ.")
"""Texts that are no bytes: padding, set bits behind the last byte, another alphabet, a space."""


def refused() -> dict[str, Any]:
    """Return all that must be refused, and records at the edge of it that must not."""
    return {
        "frames": list(_frames()),
        "records": list(_records()),
        "base64url": list(SPELLINGS),
        "operations": list(operations.refused()),
        "records_taken": list(_taken()),
        "decisions": list(votes.refused()),
    }


def _frames() -> Iterator[dict[str, Any]]:
    """Yield frames, each read here as a node reads it, and the code that it is refused with."""
    too_long = (FRAME_BYTES_MAX + 1).to_bytes(4, "big")
    yield {
        "name": "one byte too long",
        "kind": "ask",
        "length": too_long.hex(),
        "json": "",
        "code": MALFORMED,
    }
    for name, kind, text, code in (*_asks(), *_bodies(), *_casts()):
        said = text.encode("utf-8")
        assert _code_of(kind, said) == code, f"{name} is refused otherwise"
        length = len(said).to_bytes(4, "big").hex()
        yield {"name": name, "kind": kind, "length": length, "json": text, "code": code}


def _code_of(kind: str, said: bytes) -> str:
    """Return the code with which a node refuses a frame; nothing if it takes it."""
    try:
        if kind == "cast":
            frames.read_cast(CASTS["gossip"].message, said)
            return ""
        frame = frames.read_request(said)
        method = METHODS.get(frame.method)
        if method is None:
            raise MethodUnknown(method=frame.method)
        frames.read_value(method.ask, frame.body)
    except Refusal as no:
        return no.code
    return ""


def _asks() -> list[tuple[str, str, str, str]]:
    ping = '{"v":1,"method":"dht.ping","body":{"sender":null}'
    return [
        ("no JSON", "ask", "{", MALFORMED),
        ("no object", "ask", "[]", MALFORMED),
        ("yes as version", "ask", '{"v":true,"method":"dht.ping","body":{}}', MALFORMED),
        ("the version as text", "ask", '{"v":"1","method":"dht.ping","body":{}}', MALFORMED),
        ("another version", "ask", '{"v":2,"method":"dht.ping","body":{}}', MALFORMED),
        ("an unknown member", "ask", ping + ',"hops":1}', MALFORMED),
        ("a member twice", "ask", ping + ',"body":{}}', MALFORMED),
        ("no body", "ask", '{"v":1,"method":"dht.ping"}', MALFORMED),
        ("no such method", "ask", '{"v":1,"method":"dht.pong","body":{}}', "method-unknown"),
    ]


def _bodies() -> Iterator[tuple[str, str, str, str]]:
    contact = {"did": people.did("node-1"), "addresses": ["127.0.0.1:1"]}
    compare = {"namespace": "note", "prefixes": [""], "ids_max": 32}
    for name, method, body in (
        ("an unknown field", "dht.ping", {"ttl": 1}),
        ("an unknown field, deeper", "dht.ping", {"sender": contact | {"port": 1}}),
        ("a field is missing", "dht.find", {}),
        ("upper case", "dht.find", {"target": "A" * 64}),
        ("five addresses", "dht.ping", {"sender": contact | {"addresses": ["a"] * 5}}),
        ("no key of Ed25519", "dht.ping", {"sender": {"did": "did:key:z6LSb"}}),
        ("no such namespace", "dht.get", {"namespace": "none", "name": "a"}),
        ("no name", "dht.get", {"namespace": "note", "name": ""}),
        ("nothing compared", "reconcile.compare", compare | {"prefixes": []}),
        ("33 digits", "reconcile.compare", compare | {"prefixes": ["0" * 33]}),
        ("fewer ids than are sent", "reconcile.compare", compare | {"ids_max": 31}),
        ("a namespace not reconciled", "reconcile.compare", compare | {"namespace": "blob"}),
        ("padded", "reconcile.fetch", {"namespace": "note", "ids": "YQ=="}),
        ("129 ids", "reconcile.fetch", {"namespace": "note", "ids": b64encode(bytes(129 * 16))}),
        ("nothing pushed", "reconcile.push", {"namespace": "note", "records": []}),
        ("beyond 2^53 - 1", "blob.fetch", {"cid": "a", "size_bytes_max": 2**53}),
        ("less than nothing", "blob.fetch", {"cid": "a", "size_bytes_max": -1}),
        ("half", "blob.fetch", {"cid": "a", "size_bytes_max": 0.5}),
        ("a number as text", "blob.fetch", {"cid": "a", "size_bytes_max": "5"}),
        ("yes as a number", "blob.fetch", {"cid": "a", "size_bytes_max": True}),
        ("a number as text", "dht.get", {"namespace": "note", "name": 5}),
        ("a text as list", "reconcile.compare", compare | {"prefixes": "0"}),
    ):
        text = json.dumps({"v": 1, "method": method, "body": body}, separators=(",", ":"))
        yield f"{method}: {name}", "ask", text, MALFORMED


def _casts() -> Iterator[tuple[str, str, str, str]]:
    for name, said in (
        ("an unknown part", {"hello": []}),
        ("no topic", {"subscribe": ["Records"]}),
        ("65 topics", {"subscribe": ["a"] * 65}),
        ("away too long", {"prune": [{"topic": "a", "back_off_ms": 3_600_001}]}),
        ("no bytes", {"want": "YR"}),
        ("a number as text", {"prune": [{"topic": "a", "back_off_ms": "5"}]}),
        ("yes as a number", {"prune": [{"topic": "a", "back_off_ms": True}]}),
        ("as if it were asked", {"v": 1, "method": "gossip", "body": {}}),
    ):
        yield f"gossip: {name}", "cast", json.dumps(said, separators=(",", ":")), MALFORMED


def _signed(said: dict[str, Any], *, by: str = "founder", **header: str) -> Jws:
    """Sign anything as if it were a record."""
    members = {"alg": "Ed25519", "kid": people.did(by), "typ": RECORD_TYP} | header
    return _with_payload(canonical(said), members, by=by)


def _with_payload(payload: bytes, members: dict[str, str], *, by: str) -> Jws:
    signing_input = f"{b64encode(canonical(members))}.{b64encode(payload)}"
    signature = people.identity(by).sign(signing_input.encode("ascii"))
    return f"{signing_input}.{b64encode(signature)}"


def _said(namespace: Namespace = "note", **changes: Any) -> dict[str, Any]:
    name = f"{people.did('founder')}/hours"
    said: RecordBody = people.body("founder", namespace, name, {"text": "open"})
    return said.model_dump(mode="json") | changes


def _records() -> Iterator[dict[str, Any]]:
    for name, token, code in (*_forged(), *_misplaced(), *_mistimed(), *_named()):
        assert _code_of_record(token) == code, f"{name}: {_code_of_record(token)}"
        yield {"name": name, "jws": token, "code": code}


def _named() -> Iterator[tuple[str, Jws, str]]:
    for name, token in names.refused():
        yield name, token, REJECTED
    yield *names.foreign(), "record-not-owners"


def _taken() -> Iterator[dict[str, Any]]:
    """Yield records that are as extreme as may be."""
    now = people.CLOCK_MS
    ahead = _said(issued_at_ms=now + 120_000, lapses_at_ms=now + 200_000, sequence=1)
    last = now - 30 * people.DAY_MS + 1
    for name, said in (
        ("two minutes ahead", ahead),
        ("in its last millisecond", _said(issued_at_ms=last, lapses_at_ms=now + 1, sequence=last)),
        ("for one millisecond", _said(issued_at_ms=now, lapses_at_ms=now + 1)),
        ("4,096 characters of text", _said(value={"text": "x" * 4_096})),
    ):
        token = _signed(said)
        assert not _code_of_record(token), name
        yield {"name": name, "jws": token}


def _code_of_record(token: Jws) -> str:
    """Return the code with which a reader refuses a record; nothing if it takes it."""
    try:
        record = Verifier(people.genesis()).read(token)
        judge(record, genesis=people.genesis(), now_ms=people.CLOCK_MS)
    except ProofError:
        return SignedRecordRejected.code
    except Refusal as no:
        return no.code
    return ""


def _forged() -> Iterator[tuple[str, Jws, str]]:
    good = _signed(_said())
    head, body, signature = good.split(".")
    members = {"alg": "Ed25519", "kid": people.did("founder"), "typ": RECORD_TYP}
    bits = bytearray(b64decode(signature))
    bits[0] ^= 1
    # The last letter of 64 bytes carries two bits that must be zero.
    other = signature[:-1] + chr(ord(signature[-1]) + 1)
    spaced = json.dumps(_said(), sort_keys=True).encode()
    for name, token in (
        ("no JWS", f"{head}.{body}"),
        ("another type", _signed(_said(), typ="opkit-member+jws")),
        ("another name of the algorithm", _signed(_said(), alg="EdDSA")),
        ("one more member in the header", _signed(_said(), jku="x")),
        ("signed by somebody else", _signed(_said(), by="stranger")),
        ("signed with another key", _signed(_said(), by="stranger", kid=people.did("founder"))),
        ("a changed signature", f"{head}.{body}.{b64encode(bytes(bits))}"),
        ("another spelling of the signature", f"{head}.{body}.{other}"),
        ("another spelling of the payload", _with_payload(spaced, members, by="founder")),
        ("another network", _signed(_said(network=OTHER_NETWORK))),
    ):
        yield name, token, REJECTED


def _size(size_bytes: Any) -> dict[str, Any]:
    """Return the word of somebody who keeps a blob of this size."""
    return _said("blob", name=cid_of(b""), value={"size_bytes": size_bytes, "addresses": []})


def _misplaced() -> Iterator[tuple[str, Jws, str]]:
    stranger = people.did("stranger")
    node = _said("node", name=people.did("founder"), value={"addresses": ["a" * 256] * 8})
    for name, said in (
        ("an unknown field", _said(also=1)),
        ("no such namespace", _said(aud="none")),
        ("a number as text", _said(sequence="1")),
        ("no value of the namespace", _said(value={"text": "open", "also": 1})),
        ("a number as text in a value", _size("5") | _day()),
        ("yes as a number in a value", _size(True) | _day()),
        ("more characters than the namespace allows", node | _day()),
        ("plain HTTP beyond the machine", _door("http://192.0.2.1:80") | _day()),
        ("TLS without a key", _door("https://192.0.2.1") | _day()),
        ("a key that plain HTTP does not show", _door("http://[::1]:80", "5" * 64) | _day()),
        ("another one's link", _link(f"{people.COOP}/ada/1")),
        ("a link that the operator did not sign", _link(f"{people.COOP}/zoe/1", by="stranger")),
    ):
        yield name, _signed(said), REJECTED
    for name, said in (
        ("a name of somebody else", _said(name=f"{stranger}/hours")),
        ("no label", _said(name=f"{people.did('founder')}/")),
        ("a provider of no CID", _said("blob", name="a", value={}) | _day()),
        ("a link from no node", _link(f"{people.COOP}/zoe/1")),
        ("a coop's standing, not from its home", _standing()),
    ):
        yield name, _signed(said), "record-not-owners"


def _door(url: str, key: str | None = None) -> dict[str, Any]:
    value = {"endpoints": [{"url": url, "tls_key_hash": key}]}
    return _said("node", name=people.did("founder"), value=value)


def _link(name: str, by: str = "operator") -> dict[str, Any]:
    said = jws.peek(people.membership()[0]).payload
    record = MemberRecord.model_validate(said, strict=False)
    token = jws.sign(record, typ=MEMBER_TYP, identity=people.identity(by))
    return _said("member", name=name, value={"record": token})


def _standing() -> dict[str, Any]:
    value = {"members": 1, "digest": "0" * 64}
    issued = people.CLOCK_MS - 60_000
    return _said("standing", name=people.COOP, value=value, lapses_at_ms=issued + 600_000)


def _day() -> dict[str, int]:
    return {"lapses_at_ms": people.CLOCK_MS - 60_000 + people.DAY_MS}


def _mistimed() -> Iterator[tuple[str, Jws, str]]:
    now = people.CLOCK_MS
    issued = now - 60_000
    term = 30 * people.DAY_MS
    for name, said in (
        ("a sequence beyond the time of issue", _said(sequence=issued + 1)),
        ("lapses when it is issued", _said(lapses_at_ms=issued)),
        ("lasts too long", _said(lapses_at_ms=issued + term + 1)),
        ("a tombstone that ends too soon", _said(value=None, lapses_at_ms=issued + term - 1)),
        ("from the future", _said(issued_at_ms=now + 120_001, lapses_at_ms=now + 200_000)),
    ):
        yield name, _signed(said), REJECTED
    over = _said(issued_at_ms=now - 1_000, sequence=1, lapses_at_ms=now)
    yield "its time is over", _signed(over), "record-lapsed"
