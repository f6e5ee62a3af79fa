"""What may be published as a card, and which of two is the newer one."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.cards.rules import (
    bytes_of,
    judge_update,
    node_card,
    read_brought,
    says_the_same,
)
from opkit.proof.canonical import canonical
from opkit.proof.cards import CardView, read_card, sign_card, value_of
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.agents import CARD_BYTES_MAX, CARD_INLINE_BYTES_MAX, AgentParams
from opkit.wire.cards import CardOversize, CardRejected, CardStale
from opkit.wire.records import RecordBody

NETWORK = "a" * 26
AGENT = Identity.generate()
BARE = node_card(title="Tool Library", version="1", urls=["http://127.0.0.1:1"])
LARGE = {**BARE, "documentationUrl": "u" * 3_000, "iconUrl": "i" * 4_000}
LARGE["provider"] = {"organization": "o" * 3_000, "url": "u"}


def signed(card: dict[str, Any] = BARE, *, sequence: int = 7) -> dict[str, Any]:
    agent = AgentParams(network=NETWORK, did=AGENT.did, sequence=sequence)
    return sign_card(card, agent=agent, identity=AGENT)


def view(card: dict[str, Any]) -> CardView:
    return read_card(card, did=AGENT.did, network=NETWORK)


def body(card: dict[str, Any], **changes: Any) -> RecordBody:
    fields = {
        "network": NETWORK,
        "aud": "card",
        "name": AGENT.did,
        "owner": AGENT.did,
        "sequence": 9,
        "issued_at_ms": 9,
        "lapses_at_ms": 10,
        "value": value_of(card).model_dump(mode="json"),
    }
    return RecordBody(**{**fields, **changes})


def test_what_a_node_says_of_itself_is_a_card_with_both_ways_to_ask_it() -> None:
    urls = ["https://a.example:8443/", "http://127.0.0.1:1"]
    card = view(signed(node_card(title="Tool Library", version="1", urls=urls)))
    assert [(one.protocol_binding, one.url) for one in card.interfaces] == [
        ("JSONRPC", "https://a.example:8443/a2a/"),
        ("HTTP+JSON", "https://a.example:8443/a2a/v1"),
        ("JSONRPC", "http://127.0.0.1:1/a2a/"),
        ("HTTP+JSON", "http://127.0.0.1:1/a2a/v1"),
    ]
    assert card.streaming and "wasm-task" in card.tags
    assert cid_of(bytes_of(card)) == card.cid


def test_a_large_card_is_read_if_it_is_the_one_that_the_record_names() -> None:
    large = signed(LARGE)
    assert len(canonical(large)) > CARD_INLINE_BYTES_MAX
    assert read_brought(body(large), value_of(large), large, network=NETWORK) == view(large)


def test_a_card_that_is_brought_is_refused_in_this_order() -> None:
    small, large = signed(), signed(LARGE)
    too_large = {**large, "version": "x" * CARD_BYTES_MAX}
    with pytest.raises(CardOversize) as no:
        read_brought(body(small), value_of(small), too_large, network=NETWORK)
    assert no.value.size_bytes > no.value.limit_bytes == CARD_BYTES_MAX
    for brought, named, why in (
        (small, small, "stands in its record"),
        (signed(LARGE, sequence=8), large, "not the one"),
        ({**large, "version": "2"}, large, "signature"),
        ({**large, "version": "\ud800"}, large, "surrogate"),
    ):
        with pytest.raises(CardRejected, match=why):
            read_brought(body(named), value_of(named), brought, network=NETWORK)
    with pytest.raises(CardRejected, match="another network"):
        read_brought(body(large), value_of(large), large, network="b" * 26)


def test_a_card_gives_way_to_one_with_a_higher_sequence_only() -> None:
    other = {**BARE, "version": "2"}
    standing = view(signed())
    judge_update(None, standing)
    judge_update(standing, standing)
    judge_update(standing, view(signed(other, sequence=8)))
    for sequence in (6, 7):
        with pytest.raises(CardStale) as no:
            judge_update(standing, view(signed(other, sequence=sequence)))
        assert no.value.standing_sequence == 7


def test_a_card_says_the_same_whatever_its_sequence_and_signature() -> None:
    extended = {**BARE, "capabilities": {"extensions": [{"uri": "u:x", "params": {"sequence": 1}}]}}
    assert says_the_same(signed(), signed(sequence=8))
    assert says_the_same(signed(extended), signed(extended, sequence=8))
    assert not says_the_same(signed(), signed({**BARE, "version": "2"}))
    assert not says_the_same(signed(), signed(extended))
    assert says_the_same({"name": "x"}, {"name": "x", "signatures": []})
