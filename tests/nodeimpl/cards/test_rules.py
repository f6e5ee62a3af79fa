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
    urls = ["https://a.example:8443/", "http://127.0.0.1:1/BOX"]
    card = view(signed(node_card(title="Tool Library", version="1", urls=urls)))
    assert [(one.protocol_binding, one.url) for one in card.interfaces] == [
        ("JSONRPC", "https://a.example:8443/a2a/"),
        ("HTTP+JSON", "https://a.example:8443/a2a/v1"),
        ("JSONRPC", "http://127.0.0.1:1/BOX/a2a/"),
        ("HTTP+JSON", "http://127.0.0.1:1/BOX/a2a/v1"),
    ]
    assert card.streaming and "wasm-task" in card.tags
    assert cid_of(bytes_of(card)) == card.cid


def test_what_a_node_says_of_itself_word_for_word() -> None:
    card = node_card(title="Tool Library", version="1.2", urls=["http://a:1/", "http://b:2"])
    assert len(card.pop("supportedInterfaces")) == 4
    assert card == {
        "name": "Tool Library",
        "description": (
            "Runs WebAssembly modules for members of a cooperative network, and signs a receipt "
            "for each run. One data part names a module and its input by their hashes."
        ),
        "version": "1.2",
        "provider": {"organization": "Tool Library", "url": "http://a:1/"},
        "capabilities": {"streaming": True},
        "securitySchemes": {
            "bearer": {
                "httpAuthSecurityScheme": {
                    "description": "A token of this node's, got by signing its challenge.",
                    "scheme": "Bearer",
                }
            }
        },
        "securityRequirements": [{"schemes": {"bearer": {"list": ["compute:submit"]}}}],
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json", "application/octet-stream"],
        "skills": [
            {
                "id": "wasm-task",
                "name": "Run a WebAssembly module",
                "description": (
                    "Takes one data part {wasm_hash, input}, runs the module under the member's "
                    "grant, and gives its output and the executor's signed receipt."
                ),
                "tags": ["compute", "wasm", "receipts"],
            }
        ],
    }


def test_a_large_card_is_read_if_it_is_the_one_that_the_record_names() -> None:
    large = signed(LARGE)
    assert len(canonical(large)) > CARD_INLINE_BYTES_MAX
    assert read_brought(body(large), value_of(large), large, network=NETWORK) == view(large)


def test_a_card_that_is_brought_is_refused_in_this_order() -> None:
    small, large = signed(), signed(LARGE)
    for spare in (0, 1):
        size_bytes = CARD_BYTES_MAX + 1 - spare
        brought = {**large, "version": ""}
        brought["version"] = "x" * (size_bytes - len(canonical(brought)))
        with pytest.raises(CardRejected if spare else CardOversize) as no:
            read_brought(body(small), value_of(small), brought, network=NETWORK)
        if not spare:
            said = {"size_bytes": size_bytes, "limit_bytes": CARD_BYTES_MAX}
            assert no.value.details() == said
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


OTHERS: dict[str, Any] = {"uri": "u:x", "params": {"sequence": 1}}


def extended(*extensions: dict[str, Any]) -> dict[str, Any]:
    return {**BARE, "capabilities": {"streaming": True, "extensions": list(extensions)}}


def test_a_card_says_the_same_whatever_its_sequence_and_signature() -> None:
    assert says_the_same(signed(), signed(sequence=8))
    assert says_the_same(signed(extended(OTHERS)), signed(extended(OTHERS), sequence=8))
    assert says_the_same({"name": "x"}, {"name": "x", "signatures": []})
    assert says_the_same({"name": "x"}, {"name": "x", "capabilities": {}})


@pytest.mark.parametrize(
    "other",
    [
        {**BARE, "version": "2"},
        {**BARE, "capabilities": {"streaming": False}},
        extended(OTHERS),
        extended({**OTHERS, "uri": "u:y"}),
        extended({**OTHERS, "params": {"sequence": 2}}),
    ],
)
def test_a_card_that_differs_in_anything_else_does_not_say_the_same(other: Any) -> None:
    for card in (BARE, extended({**OTHERS, "params": {"sequence": 3}}), extended({"uri": "u:x"})):
        assert not says_the_same(signed(card), signed(other))


def test_whom_a_card_is_for_and_where_is_part_of_what_it_says() -> None:
    here, there = (
        sign_card(
            BARE,
            agent=AgentParams(network=NETWORK, did=AGENT.did, sequence=7, region=region),
            identity=AGENT,
        )
        for region in ("west", "east")
    )
    assert not says_the_same(here, there)
