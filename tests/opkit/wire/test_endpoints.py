"""Endpoints, peer methods and events as values: complete, unlike each other, and in order."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.wire import endpoint, events, peer
from opkit.wire.audit import AUDIT_SCOPES
from opkit.wire.base import Wire
from opkit.wire.endpoint import ENDPOINTS, Endpoint, Scope
from opkit.wire.errors import REFUSALS
from opkit.wire.events import EVENTS, Cursor, Event
from opkit.wire.gateway import GATE_REFUSALS, StoreBusy, all_refusals
from opkit.wire.membership import ROLES
from opkit.wire.peer import COMMON_REFUSALS, METHODS, PeerMethod

ENDPOINT_VALUES = [pytest.param(value, id=name) for name, value in sorted(ENDPOINTS.items())]
GUARDED = {"token-missing", "token-rejected", "standing-stale", "scope-missing"}
OPEN_CHANGES = {"governance.lodge": "ballot"}
"""What changes something without a token, and the signed field that gives the right to it."""
KEYED = {"idempotency-key-missing", "idempotency-conflict", "idempotency-full"}


@pytest.mark.parametrize("asked", ENDPOINT_VALUES)
def test_an_endpoints_fields_are_its_asks(asked: Endpoint[Any, Any]) -> None:
    assert set(asked.path_fields()) <= set(asked.ask.model_fields)
    if asked.raw_ask is not None:
        assert asked.ask.model_fields[asked.raw_ask].annotation is bytes
    if asked.raw_answer is not None:
        assert asked.answer.model_fields[asked.raw_answer].annotation is bytes
    assert asked.path.startswith("/v1/")
    assert asked.body_bytes_max > 0


@pytest.mark.parametrize("asked", ENDPOINT_VALUES)
def test_all_refusals_come_gate_first_and_busy_last(asked: Endpoint[Any, Any]) -> None:
    leaves = all_refusals(asked)
    codes = [leaf.code for leaf in leaves]
    assert len(set(codes)) == len(codes)
    assert set(leaves) <= set(REFUSALS.values())
    assert leaves[-1] is StoreBusy
    gate = [leaf for leaf in leaves if leaf in GATE_REFUSALS]
    assert leaves == (*gate, *asked.refuses, StoreBusy)
    assert gate == [leaf for leaf in GATE_REFUSALS if leaf in gate]
    assert set(codes) & GUARDED == (GUARDED if asked.scope is not None else set())
    assert set(codes) & KEYED == keyed(asked)


def keyed(asked: Endpoint[Any, Any]) -> set[str]:
    """Return what is said of keys: one is asked for, and remembered with its answer, or is not."""
    if not asked.changes:
        return set()
    return KEYED if asked.stores_answer else {"idempotency-key-missing"}


def test_no_two_endpoints_share_method_and_path() -> None:
    places = [(value.method, value.path) for value in ENDPOINTS.values()]
    assert len(set(places)) == len(places)


def test_what_changes_something_is_never_open_to_everybody() -> None:
    """But to whoever brings something signed; there nobody is known whose keys could be kept."""
    open_ = {name: value for name, value in ENDPOINTS.items() if value.scope is None}
    assert {name for name, value in open_.items() if value.changes} == OPEN_CHANGES.keys()
    for name, field in OPEN_CHANGES.items():
        assert not open_[name].stores_answer
        assert open_[name].ask.model_fields[field].is_required()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": "PUT"}, "PUT"),
        ({"method": "GET", "changes": True}, "a GET changes nothing"),
        ({"name": "test.taken"}, "share the name"),
    ],
)
def test_an_endpoint_that_contradicts_itself_is_a_programmers_mistake(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], why: str
) -> None:
    monkeypatch.setattr(endpoint, "ENDPOINTS", {})
    fields: dict[str, Any] = {
        "name": "test.other",
        "method": "POST",
        "path": "/v1/{a}/b/{c}",
        "ask": Wire,
        "answer": Wire,
        "scope": None,
    }
    taken: Endpoint[Any, Any] = Endpoint(**{**fields, "name": "test.taken"})
    assert taken.path_fields() == ("a", "c")
    with pytest.raises(AssertionError, match=why):
        Endpoint(**{**fields, **changes})


def test_nothing_that_changes_anything_is_for_a_scope_of_auditors() -> None:
    """Not even one's own coop's auditor changes anything by a token for what auditors do."""
    reading = {*AUDIT_SCOPES, *ROLES["auditor"]}
    writes = {name for name, each in ENDPOINTS.items() if each.changes and each.scope in reading}
    assert writes == set()


def test_every_role_grants_only_scopes_that_there_are_and_the_operator_all() -> None:
    assert ROLES["operator"] == frozenset(Scope)
    for role, scopes in ROLES.items():
        assert scopes <= ROLES["operator"], role
    assert Scope.COMPUTE_SUBMIT not in ROLES["auditor"] | ROLES["guest"]


def test_peer_methods_refuse_known_leaves_once() -> None:
    for method in METHODS.values():
        leaves = (*COMMON_REFUSALS, *method.refuses)
        assert len(set(leaves)) == len(leaves), method.name
        assert set(leaves) <= set(REFUSALS.values())
        assert method.deadline_ms > 0


def test_two_peer_methods_cannot_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "METHODS", {})
    PeerMethod(name="test.once", ask=Wire, answer=Wire)
    with pytest.raises(AssertionError, match="share the name"):
        PeerMethod(name="test.once", ask=Wire, answer=Wire)


def test_every_event_declares_its_scope_and_a_name_in_its_domain() -> None:
    for name, event in EVENTS.items():
        assert name == event.type
        domain, _, happened = name.partition(".")
        assert domain and happened, name
        assert event.scope in Scope
        assert {"type", "scope"}.isdisjoint(event.model_fields)


def test_an_event_without_or_with_a_taken_name_is_a_programmers_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "EVENTS", {})
    make: Any = type(Event)
    body = {"__module__": __name__, "__doc__": "Only in this test."}
    with pytest.raises(AssertionError, match="missing or taken"):
        make("Nameless", (Event,), dict(body))
    make("Once", (Event,), {**body, "type": "test.once"})
    with pytest.raises(AssertionError, match="missing or taken"):
        make("Twice", (Event,), {**body, "type": "test.once"})


@given(st.integers(0, 2**31), st.integers(0, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_a_cursor_reads_back_from_its_text(generation: int, sequence: int, digest: bytes) -> None:
    cursor = Cursor(generation=generation, sequence=sequence, hash=digest.hex())
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3", f"x.1.{'0' * 64}", f"1.-1.{'0' * 64}"])
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError):  # pydantic says which part is wrong
        Cursor.parse(text)


def test_the_contract_loads_neither_a_client_nor_a_server() -> None:
    script = (
        "import sys, opkit.wire.compute, opkit.wire.peer, opkit.wire.membership\n"
        "heavy = ('httpx', 'fastapi', 'starlette', 'nodeimpl', 'nacl', 'sqlalchemy', 'wasmtime')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout.strip() == "[]"
