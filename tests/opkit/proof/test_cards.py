"""Agent cards: believed for two reasons, the key's signature and the name of the bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.cards import (
    SIGNATURES_MAX,
    CardView,
    as_jsonld,
    check_value,
    claimed_agent,
    match_card,
    parse_card,
    read_card,
    read_card_bytes,
    sign_card,
    value_of,
    verify_card,
    without_empty,
)
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, ProofError
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity, verify_signature
from opkit.proof.record import sign_record
from opkit.wire.agents import (
    CARD_BYTES_MAX,
    CARD_INLINE_BYTES_MAX,
    EXTENSION_URI,
    AgentParams,
    CardValue,
    PostQuantumKey,
    Price,
)
from opkit.wire.base import b64decode, b64encode
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


def test_a_signed_card_is_read_and_named_by_its_bytes(network: Any) -> None:
    card = signed(
        network,
        node=network.nodes["loner"].did,
        prices=(Price(unit="credit", per="million-fuel", micro=12),),
        post_quantum_key=PostQuantumKey(alg="ml-dsa-65", key=b"k" * 32),
    )
    view = read(network, card)
    data = canonical(card)
    assert (view.cid, view.size_bytes, view.card) == (cid_of(data), len(data), card)
    assert (view.name, view.version, view.streaming) == ("Översättare", "1.4.2", True)
    assert view.description == BARE["description"]
    assert view.interfaces[0].url == "http://127.0.0.1:1/a2a/"
    assert view.tags == {"translate", "legal"}
    assert view.agent.prices[0].micro == 12
    assert view.agent.post_quantum_key == PostQuantumKey(alg="ml-dsa-65", key=b"k" * 32)
    assert read_card_bytes(data, did=AGENT.did, network=network.name) == view
    assert claimed_agent(card) == (AGENT.did, network.name)


def test_the_header_has_what_a2a_clients_want_and_no_more(network: Any) -> None:
    (only,) = signed(network)["signatures"]
    header = json.loads(b64decode(only["protected"]))
    assert header == {"alg": "EdDSA", "kid": AGENT.did, "typ": "JOSE"}


def test_what_is_empty_or_was_said_before_is_left_out_when_a_card_is_signed(network: Any) -> None:
    again = sign_card(
        {**signed(network), "iconUrl": "", "securityRequirements": [{}], "provider": None},
        agent=agent_of(network, sequence=8),
        identity=AGENT,
    )
    assert set(again) == {*BARE, "signatures"}
    assert len(again["signatures"]) == len(again["capabilities"]["extensions"]) == 1
    assert read(network, again).agent.sequence == 8


def test_other_extensions_stay(network: Any) -> None:
    other = {"uri": "https://example.com/ext", "params": {"depth": [1, 2]}}
    card = signed(network, {**BARE, "capabilities": {"extensions": [other]}})
    assert card["capabilities"]["extensions"][0] == other
    assert not read(network, card).streaming


json_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | json_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(extra=json_values)
def test_what_is_signed_is_what_an_independent_encoder_makes_of_the_card(
    network: Any, extra: Any
) -> None:
    card = signed(
        network,
        {**BARE, "capabilities": {"extensions": [{"uri": "u:x", "params": {"a": extra}}]}},
    )
    bare = {name: value for name, value in card.items() if name != "signatures"}
    (only,) = card["signatures"]
    data = f"{only['protected']}.{b64encode(rfc8785.dumps(bare))}".encode()
    verify_signature(AGENT.did, data=data, signature=b64decode(only["signature"]))
    assert bare == without_empty(bare)


@settings(max_examples=60)
@given(place=st.integers(0, 10_000), to=st.characters(codec="ascii", min_codepoint=48))
def test_no_character_of_a_card_can_be_another_one(network: Any, place: int, to: str) -> None:
    card = signed(network)
    text = canonical({key: value for key, value in card.items() if key != "signatures"}).decode()
    place %= len(text)
    changed = text[:place] + to + text[place + 1 :]
    try:
        other = {**json.loads(changed), "signatures": card["signatures"]}
    except ValueError:
        return
    if canonical(other) == canonical(card):
        return
    with pytest.raises(ProofError):
        read(network, other)


@pytest.mark.parametrize("field", [{"iconUrl": ""}, {"provider": {}}, {"skills": []}, {"x": None}])
def test_an_empty_field_is_under_no_signature_and_so_not_in_a_card(
    network: Any, field: dict[str, Any]
) -> None:
    """A2A leaves it out of what is signed: anybody could have added it."""
    with pytest.raises(ProofError, match="is empty"):
        read(network, {**signed(network), **field})


def test_an_empty_field_deep_in_a_card_is_told_by_its_place(network: Any) -> None:
    card = signed(network, {**BARE, "provider": {"organization": "o", "url": "u"}})
    card["skills"][0]["tags"].append("")
    with pytest.raises(ProofError, match=r"the card\.skills\[0\]\.tags\[1\] is empty"):
        read(network, card)


def test_a_number_that_is_no_integer_is_in_no_card(network: Any) -> None:
    with pytest.raises(ProofError, match="no integer"):
        read(network, {**signed(network), "weight": 0.5})


def test_a_tampered_card_is_refused(network: Any) -> None:
    with pytest.raises(ProofError, match="signature"):
        read(network, {**signed(network), "description": "Something else."})


def test_a_card_of_one_key_is_none_of_another(network: Any) -> None:
    with pytest.raises(ProofError, match="no signature by"):
        read(network, signed(network), OTHER.did)
    both = with_signatures(network, signature(signed(network), by=OTHER))
    both["signatures"] = [
        signature({key: both[key] for key in both if key != "signatures"}, by=OTHER)
    ]
    with pytest.raises(ProofError, match="it is the card of"):
        read(network, both, OTHER.did)


def test_another_keys_signature_in_the_agents_name_is_refused(network: Any) -> None:
    forged = with_signatures(network, lambda bare: signature(bare, by=OTHER, kid=AGENT.did))
    with pytest.raises(ProofError, match="signature"):
        read(network, forged)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": "none"}, "algorithm is 'none'"),
        ({"alg": "HS256"}, "algorithm is 'HS256'"),
        ({"alg": "Ed25519"}, "algorithm is 'Ed25519'"),
        ({"alg": ...}, "other members"),
        ({"typ": "opkit-token+jws"}, "not a 'JOSE'"),
        ({"crit": ["exp"]}, "other members"),
        ({"jwk": {"kty": "OKP"}}, "other members"),
        ({"b64": False}, "other members"),
    ],
)
def test_no_other_header_is_taken(network: Any, header: dict[str, Any], why: str) -> None:
    card = with_signatures(network, lambda bare: signature(bare, **header))
    with pytest.raises(ProofError, match=why):
        read(network, card)


def test_a_link_to_keys_is_never_followed(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def dialled(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket, "socket", dialled)
    monkeypatch.setattr(socket, "create_connection", dialled)
    there = "http://127.0.0.1:9/keys.json"
    assert read(network, with_signatures(network, lambda bare: signature(bare, jku=there)))
    forged = with_signatures(
        network, lambda bare: signature(bare, by=OTHER, kid=AGENT.did, jku=there)
    )
    with pytest.raises(ProofError, match="signature"):
        read(network, forged)


def test_a_key_may_be_named_as_a_method_of_its_own_document(network: Any) -> None:
    long = f"{AGENT.did}#{AGENT.did.removeprefix('did:key:')}"
    assert read(network, with_signatures(network, lambda bare: signature(bare, kid=long)))
    other = f"{AGENT.did}#{OTHER.did.removeprefix('did:key:')}"
    with pytest.raises(ProofError, match="no signature by"):
        read(network, with_signatures(network, lambda bare: signature(bare, kid=other)))


def test_others_may_attest_a_card_and_count_for_nothing(network: Any) -> None:
    broken = {"protected": "!", "signature": "x"}
    card = with_signatures(
        network, broken, "no object", lambda bare: signature(bare, by=OTHER), signature
    )
    assert read(network, card)
    attested = with_signatures(network, broken, lambda bare: signature(bare, by=OTHER))
    with pytest.raises(ProofError, match="no signature by"):
        read(network, attested)


@pytest.mark.parametrize("bad", ["x", [], ["x"], [{}], [{"protected": "x" * 3_000}]])
def test_what_is_no_list_of_signatures_is_refused(network: Any, bad: Any) -> None:
    with pytest.raises(ProofError):
        read(network, {**signed(network), "signatures": bad})


def test_more_signatures_than_a_card_may_have_are_not_looked_at(network: Any) -> None:
    many = [signature] * (SIGNATURES_MAX + 1)
    with pytest.raises(ProofError, match="1 to 8"):
        read(network, with_signatures(network, *many))


@pytest.mark.parametrize("bad", [7, "!", "é"])
def test_a_signature_that_is_no_base64url_is_refused(network: Any, bad: Any) -> None:
    def made(bare: dict[str, Any]) -> dict[str, Any]:
        return {**signature(bare), "signature": bad}

    with pytest.raises(ProofError, match="base64url"):
        read(network, with_signatures(network, made))


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"supportedInterfaces": ["x"]},
        {"version": "x" * 5_000},
        {"capabilities": {"extensions": [{"uri": "u:x"}]}},
        {"capabilities": {"extensions": [{"uri": EXTENSION_URI, "params": {"did": "x"}}]}},
    ],
)
def test_what_is_no_card_of_an_agent_is_refused_though_it_is_signed(
    network: Any, change: dict[str, Any]
) -> None:
    card = with_signatures(network, signature, **change)
    with pytest.raises(ProofError):
        read(network, card)


def test_what_this_network_knows_is_said_once(network: Any) -> None:
    ours = signed(network)["capabilities"]["extensions"]
    card = with_signatures(network, signature, capabilities={"extensions": ours * 2})
    with pytest.raises(ProofError, match="2 times"):
        read(network, card)


def test_a_card_of_an_earlier_network_of_the_same_people_is_none_of_this_one(
    network: Any, rebuilt: Any
) -> None:
    with pytest.raises(ProofError, match="another network"):
        read(rebuilt, signed(network))


def test_nobody_signs_for_somebody_else_or_what_no_reader_takes(network: Any) -> None:
    with pytest.raises(ProofError, match="the agent that it is of"):
        sign_card(BARE, agent=agent_of(network), identity=OTHER)
    for shape in ({"capabilities": 7}, {"capabilities": {"extensions": 7}}):
        with pytest.raises(ProofError, match="another shape"):
            signed(network, {**BARE, **shape})
    with pytest.raises(ProofError, match="no card"):
        signed(network, {**BARE, "capabilities": {"extensions": ["x"]}})
    with pytest.raises(ProofError, match="larger than"):
        signed(network, {**BARE, "documentationUrl": "x" * CARD_BYTES_MAX})


def test_who_is_claimed_is_told_of_no_other_json() -> None:
    with pytest.raises(ProofError, match="no card"):
        claimed_agent({"name": "x"})


def test_a_card_is_read_in_any_spelling_with_integers_as_protobuf_writes_them(
    network: Any,
) -> None:
    card = signed(network)
    text = json.dumps(card, indent=2).replace('"sequence": 7', '"sequence": 7.0')
    assert '"sequence": 7.0' in text
    assert read(network, parse_card(text.encode())).agent.sequence == 7


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a": 7.5}', "no integer"),
        (b'{"a": 1e300}', "no integer"),
        (b'{"a": NaN}', "no integer"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[]", "no object"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "deeper"),
        (b" " * (2 * CARD_BYTES_MAX + 1), "bytes"),
    ],
)
def test_other_json_is_no_card(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        parse_card(data)


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


def test_a_record_has_a_small_card_in_it_and_names_a_large_one(network: Any) -> None:
    small = value_of(signed(network))
    assert small.card is not None
    check_value(body(network, small), small, network.view)
    skills = [{**BARE["skills"][0], "id": f"s{at}"} for at in range(64)]
    more = {**BARE, "skills": skills, "documentationUrl": "u" * CARD_INLINE_BYTES_MAX}
    large = value_of(signed(network, more))
    assert large.card is None and large.size_bytes > CARD_INLINE_BYTES_MAX
    check_value(body(network, large), large, network.view)
    for wrong in (
        small.model_copy(update={"card": None}),
        large.model_copy(update={"card": signed(network, more)}),
    ):
        with pytest.raises(ProofError, match="stands in its record"):
            check_value(body(network, wrong), wrong, network.view)
    with pytest.raises(ProofError, match="larger than"):
        value_of({"a": "x" * CARD_BYTES_MAX})


def test_a_record_leads_to_its_own_card_only(network: Any) -> None:
    good, other = value_of(signed(network)), value_of(signed(network, region="elsewhere"))
    swapped = good.model_copy(update={"card": other.card})
    with pytest.raises(ProofError, match="not the one"):
        check_value(body(network, swapped), swapped, network.view)
    with pytest.raises(ProofError, match="beyond the record's"):
        check_value(body(network, good, sequence=6), good, network.view)
    theirs = body(network, good, owner=OTHER.did, name=OTHER.did)
    with pytest.raises(ProofError, match="no signature by"):
        check_value(theirs, good, network.view)
    match_card(body(network, good), good, read(network, good.card or {}))


def statuses(card: dict[str, Any], genesis: Any, proof: tuple[str, ...] = ()) -> tuple[Any, ...]:
    verdict = verify_card(card, genesis=genesis, proof=proof)
    return verdict.status, verdict.anchored, [check.ok for check in verdict.checks]


def test_a_card_is_verified_only_if_a_genesis_knows_whose_key_it_is(network: Any) -> None:
    card = signed(network)
    assert statuses(card, None) == (CONSISTENT, False, [True, True])
    assert statuses(card, network.view) == (CONSISTENT, False, [True, True, True])
    chain = (network.record("tool-library/ilse", did=AGENT.did),)
    assert statuses(card, network.view, chain) == (VERIFIED, True, [True, True, True])
    node = network.nodes["loner"]
    theirs = sign_card(BARE, agent=agent_of(network, did=node.did), identity=node)
    assert statuses(theirs, network.view) == (VERIFIED, True, [True, True, True])


def test_a_card_that_does_not_verify_fails_at_what_does_not_hold(
    network: Any, rebuilt: Any
) -> None:
    card = signed(network)
    assert statuses({"name": "x"}, network.view) == (FAILED, False, [False])
    assert statuses({**card, "name": "x"}, network.view) == (FAILED, False, [True, False, True])
    later = sign_card(BARE, agent=agent_of(rebuilt), identity=AGENT)
    assert statuses(later, network.view) == (FAILED, False, [True, True, False])
    nobody = json.loads(json.dumps(card).replace(f'"did": "{AGENT.did}"', '"did": "did:key:z"'))
    assert statuses(nobody, network.view)[2] == [True, False, True]


def test_linked_data_is_a_view_of_the_card_under_its_agents_name(network: Any) -> None:
    view = read(network, signed(network))
    shown = as_jsonld(view)
    assert (shown["@id"], shown["@type"]) == (AGENT.did, "AgentCard")
    assert {name: value for name, value in shown.items() if name[0] != "@"} == view.card


def test_a_cards_signature_is_no_other_object_and_no_other_object_signs_a_card(
    network: Any,
) -> None:
    card = signed(network)
    bare = {name: value for name, value in card.items() if name != "signatures"}
    (only,) = card["signatures"]
    compact = f"{only['protected']}.{b64encode(canonical(bare))}.{only['signature']}"
    with pytest.raises(ProofError, match="algorithm"):
        jws.peek(compact)
    for typ in ("JOSE", "opkit-record+jws"):
        with pytest.raises(ProofError, match="algorithm"):
            jws.verify(compact, typ=typ, issuer=AGENT.did, network=network.name, of=RecordBody)
    record = sign_record(body(network, None), AGENT)
    protected, _, its = record.split(".")
    with pytest.raises(ProofError, match="algorithm"):
        read(network, {**bare, "signatures": [{"protected": protected, "signature": its}]})
