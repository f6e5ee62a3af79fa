"""A card's signature: what any A2A client computes, over all of the card and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from opkit.proof import jws
from opkit.proof.canonical import canonical
from opkit.proof.cards import without_empty
from opkit.proof.checks import ProofError
from opkit.proof.keys import verify_signature
from opkit.proof.record import sign_record
from opkit.wire.base import b64decode, b64encode
from opkit.wire.records import RecordBody
from tests.opkit.proof.cards_built import (
    AGENT,
    BARE,
    OTHER,
    body,
    read,
    signature,
    signed,
    with_signatures,
)

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
