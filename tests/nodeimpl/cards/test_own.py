"""The node's own card: made once, gone on with, and served so that caches can keep it."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.cards.own import own_card, publish, served
from opkit.proof.canonical import canonical
from opkit.proof.cards import read_card, sign_card, value_of
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.agents import AgentParams

NODE = Identity.generate()
URLS = ["http://127.0.0.1:1"]


def agent(sequence: int, **changes: Any) -> AgentParams:
    fields = {"network": "a" * 26, "did": NODE.did, "node": NODE.did, "sequence": sequence}
    return AgentParams(**{**fields, **changes})


def made(
    sequence: int, before: dict[str, Any] | None = None, *, version: str = "1", **changes: Any
) -> dict[str, Any]:
    return own_card(
        NODE,
        agent=agent(sequence, **changes),
        title="Tool Library",
        version=version,
        urls=URLS,
        before=before,
    )


def value(card: dict[str, Any]) -> dict[str, Any]:
    kept: list[dict[str, Any]] = []
    publish(card, kept.append)
    return kept[0]


def sequence_of(card: dict[str, Any]) -> int:
    return read_card(card, did=NODE.did, network="a" * 26).agent.sequence


def test_a_node_that_stays_the_same_keeps_its_card() -> None:
    first = made(5)
    assert made(9, value(first)) == first


def test_a_node_that_changed_signs_another_card_with_a_higher_sequence() -> None:
    first = value(made(5))
    assert sequence_of(made(9, first, version="2")) == 9
    assert sequence_of(made(9, first, region="west")) == 9
    assert sequence_of(made(3, first, version="2")) == 6, "its clock went back"


def test_a_card_that_cannot_be_gone_on_with_is_made_anew() -> None:
    other = Identity.generate()
    theirs = sign_card(made(5), agent=agent(5, did=other.did), identity=other)
    large = value_of({"name": "x" * 10_000}).model_dump(mode="json")
    for before in (None, value(theirs), large):
        assert sequence_of(made(9, before)) == 9


def test_what_is_served_is_named_by_its_bytes_and_may_be_kept_for_a_minute() -> None:
    card = made(1_767_225_600_000)
    shown = served(card, agent=agent(1))
    assert shown.body == canonical(card)
    assert shown.etag == f'"{cid_of(shown.body)}"'
    assert shown.modified == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert shown.cache_control == "public, max-age=60"


@pytest.mark.parametrize(
    ("said", "known"),
    [(None, False), ("*", True), ("{}", True), ("W/{}", True), ('"x", {}', True), ('"x"', False)],
)
def test_a_client_that_has_these_bytes_is_told_so(said: str | None, known: bool) -> None:
    shown = served(made(1), agent=agent(1))
    named = said if said is None else said.replace("{}", shown.etag)
    assert shown.is_known_to(named) is known
