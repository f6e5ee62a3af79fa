"""An unknown field is kept, left out or refused by the rule of its kind (`docs/protocol.md`).

Every type of the contract is of at least one kind, by where it is read: as what is asked of a node,
as what a node answers or journals, between nodes, or under a signature. Each kind is tried with a
field that nobody knows, at every depth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nodeimpl.p2p.frames import read_answer, read_request, read_value
from opkit.client.asks import decode
from opkit.client.stream import Place
from opkit.proof import backup, jws, report
from opkit.proof.canonical import canonical
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.wire import (
    agents,
    agreements,
    audit,
    clearing,
    compute,
    federation,
    genesis,
    grants,
    journal,
    membership,
    names,
    network,
    operations,
    records,
    votes,
)
from opkit.wire.base import Wire, b64encode
from opkit.wire.casts import CASTS
from opkit.wire.endpoint import ENDPOINTS
from opkit.wire.errors import Fault
from opkit.wire.events import EVENTS, Cursor, JournalEntry
from opkit.wire.peer import METHODS, AnswerFrame, FrameMalformed, RequestFrame

PAGE = (Path(__file__).parents[3] / "docs/protocol.md").read_text("utf-8")
UNKNOWN = "zz_of_a_newer_version"
SIGNED_IN = (
    *(agreements, backup, clearing, compute, federation, genesis, grants, journal),
    *(membership, names, network, operations, records, report, votes),
)
"""The modules in which what is signed is declared."""
FILES = {"ReceiptBundle", "EntryProof", "DecisionFile", "AttestedFile", "AgreementFile"}
"""Types that travel as files: all that is believed of them is signed. They are refused as asks are:
who has an older opkit is told so, and not shown half of a proof."""
SHARED = (agreements.Signing,)
"""Types that stand as text in a signed operation."""
BASES = {"Event", "Kept", "EntryBody", "HoldBody"}
"""Types that nothing is of: their subclasses are of a kind."""


def inside(annotation: Any) -> Iterator[type[Wire]]:
    """Yield the wire types that stand in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        yield annotation
    origin = get_origin(annotation)
    for argument in get_args(annotation)[:1] if origin is Annotated else get_args(annotation):
        yield from inside(argument)


def reachable(*roots: type[Wire]) -> set[type[Wire]]:
    """Return the types and all that stand in them, at every depth."""
    found: set[type[Wire]] = set()
    left = list(roots)
    while left:
        kind = left.pop()
        if kind not in found:
            found.add(kind)
            for hint in get_type_hints(kind, include_extras=True).values():
                left += inside(hint)
    return found


@cache
def signed() -> dict[str, type[Wire]]:
    """Return the payload of each signed type, as the protocol's page lists them."""
    rows = re.findall(r"^\| `(opkit-[\w-]+\+jws)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    return {typ: getattr(module_with(name), name) for typ, name in rows}


def module_with(name: str) -> Any:
    return next(module for module in SIGNED_IN if hasattr(module, name))


ASKS = reachable(*(endpoint.ask for endpoint in ENDPOINTS.values()))
SAID = reachable(*(endpoint.answer for endpoint in ENDPOINTS.values()), *EVENTS.values())
PEERS = reachable(
    *(kind for method in METHODS.values() for kind in (method.ask, method.answer)),
    *(RequestFrame, AnswerFrame),
    *(cast.message for cast in CASTS.values()),
)


def places(kind: type[Wire], said: Any) -> Iterator[Any]:
    """Yield what is said with an unknown field in one of the objects in it, for each of them.

    Where any JSON object may stand, nothing is unknown.
    """
    yield said | {UNKNOWN: 1}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for inner in inside(hint):
            value = said.get(name)
            for at, one in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(one, dict) or not set(one) <= set(inner.model_fields):
                    continue
                for changed in places(inner, one):
                    whole = (
                        [*value[:at], changed, *value[at + 1 :]] if one is not value else changed
                    )
                    yield said | {name: whole}


def everywhere(kind: type[Wire], said: Any) -> Any:
    """Return what is said with an unknown field in every object of it."""
    changed = dict(said)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for inner in inside(hint):
            value = changed.get(name)
            if isinstance(value, list):
                changed[name] = [everywhere(inner, one) for one in value]
            elif isinstance(value, dict):
                changed[name] = everywhere(inner, value)
    return changed | {UNKNOWN: {"deep": [1]}}


def dumped(value: Wire) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(value.model_dump_json())
    return said


def test_every_type_is_of_a_kind(wire: type[Wire]) -> None:
    """Who adds a type says by its use how it is read."""
    proven = reachable(*signed().values(), *records.VALUES.values(), *SHARED, agents.AgentParams)
    kinds = (wire in ASKS) + (wire in SAID) + (wire in PEERS) + (wire in proven)
    assert kinds or wire.__name__ in FILES | BASES or wire in filed(), wire


def filed() -> set[type[Wire]]:
    """Return the types of files: what is proven by them, and what a report says of that."""
    return reachable(
        agreements.AgreementFile,
        audit.AuditFile,
        audit.Figure,
        compute.ReceiptBundle,
        journal.EntryProof,
        votes.DecisionFile,
        votes.AttestedFile,
    )


def test_every_type_refuses_what_it_does_not_know_unless_it_only_listens(wire: type[Wire]) -> None:
    assert wire.model_config["extra"] == "forbid"
    assert wire.model_config["frozen"]


@settings(max_examples=3)
@given(st.data())
def test_an_unknown_field_at_any_depth_is_refused_where_nobody_only_listens(
    wire: type[Wire], values_of: Any, draw: st.DataObject
) -> None:
    for changed in places(wire, dumped(draw.draw(values_of(wire)))):
        with pytest.raises(ValidationError, match="Extra inputs"):
            wire.model_validate(changed)


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)
@settings(max_examples=4)
@given(st.data())
def test_a_client_leaves_out_what_a_newer_node_adds_to_an_answer(
    endpoint: Any, values_of: Any, draw: st.DataObject
) -> None:
    if endpoint.raw_answer is not None:
        return
    answer = draw.draw(values_of(endpoint.answer))
    body = json.dumps(everywhere(endpoint.answer, dumped(answer))).encode()
    assert decode(endpoint, status=200, body=body, where="here") == answer


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.type)
@settings(max_examples=4)
@given(st.data())
def test_who_reads_an_event_leaves_out_what_a_newer_node_adds(
    event: Any, values_of: Any, draw: st.DataObject
) -> None:
    value = draw.draw(values_of(event))
    said = everywhere(event, dumped(value))
    assert event.heard(said) == event.heard_json(json.dumps(said)) == value


@settings(max_examples=10)
@given(st.data())
def test_a_page_of_a_newer_nodes_stream_is_read_and_its_events_kept_whole(
    values_of: Any, draw: st.DataObject
) -> None:
    """What an entry's hash covers is never cut: whoever keeps it can show it."""
    entry = dumped(draw.draw(values_of(JournalEntry)))
    entry |= {"sequence": 1, "body": {"known": 1, UNKNOWN: {"deep": [1]}}}
    cursor = Cursor(generation=1, sequence=1, hash=entry["hash"])
    page = {"entries": [entry | {UNKNOWN: 1}], "passed_through": 0, "cursor": dumped(cursor)}
    read = Place(cursor=None, where="here").take(json.dumps(page | {UNKNOWN: 1}))
    assert read is not None
    assert read.entries[0].body == entry["body"]


@settings(max_examples=3)
@given(st.data())
@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_between_nodes_an_unknown_field_is_refused_in_asks_answers_and_frames(
    method: Any, values_of: Any, draw: st.DataObject
) -> None:
    for kind in (method.ask, method.answer):
        said = dumped(draw.draw(values_of(kind)))
        with pytest.raises(FrameMalformed, match=UNKNOWN):
            read_value(kind, said | {UNKNOWN: 1})
    request = {"v": 1, "method": method.name, "body": {}}
    assert read_request(json.dumps(request).encode()).method == method.name
    with pytest.raises(FrameMalformed, match=UNKNOWN):
        read_request(json.dumps(request | {UNKNOWN: 1}).encode())
    with pytest.raises(FrameMalformed, match="v: "):
        read_request(json.dumps(request | {"v": 2}).encode())
    with pytest.raises(ValidationError, match=UNKNOWN):
        read_answer(json.dumps({"v": 1, "ok": {}, UNKNOWN: 1}).encode())


@pytest.mark.parametrize("cast", CASTS.values(), ids=lambda cast: cast.name)
@settings(max_examples=3)
@given(st.data())
def test_an_unknown_field_is_refused_in_what_is_cast_and_its_type_stands_on_the_page(
    cast: Any, values_of: Any, draw: st.DataObject
) -> None:
    said = dumped(draw.draw(values_of(cast.message)))
    with pytest.raises(FrameMalformed, match=UNKNOWN):
        read_value(cast.message, said | {UNKNOWN: 1})
    assert f"| `{cast.name}` | `{cast.message.__name__}` |" in PAGE


def test_every_signed_type_stands_on_the_page() -> None:
    """So that the next test goes over all of them."""
    declared = {
        value
        for module in SIGNED_IN
        for name, value in vars(module).items()
        if name.endswith("_TYP") and isinstance(value, str)
    }
    assert declared == set(signed())


@settings(max_examples=3)
@given(st.data())
@pytest.mark.parametrize("typ", signed())
def test_a_signed_object_with_an_unknown_field_is_refused_though_it_verifies(
    typ: str, values_of: Any, draw: st.DataObject
) -> None:
    """To leave a field out would be to believe another object than the one that was signed."""
    identity, network_id = Identity.from_seed(bytes(32)), "c" * 26
    # A report's files have an order, which is its validator's to know.
    empty = report.ReportStatement(network=network_id, run_id="r", created_ms=1, files=())
    value = empty if typ == report.REPORT_TYP else draw.draw(values_of(signed()[typ]))
    said = dumped(value) | {"network": network_id}
    header = b64encode(canonical({"alg": "Ed25519", "kid": identity.did, "typ": typ}))
    body = f"{header}.{b64encode(canonical(said | {UNKNOWN: 1}))}"
    token = f"{body}.{b64encode(identity.sign(body.encode()))}"
    with pytest.raises(ProofError, match=UNKNOWN):
        jws.verify(token, typ=typ, issuer=identity.did, network=network_id, of=signed()[typ])


def test_a_refusal_that_is_not_known_here_is_a_fault_that_names_it() -> None:
    endpoint = next(iter(ENDPOINTS.values()))
    problem = {"code": "newly-refused", "status": 409, "details": {}, "title": "No."}
    said = decode(endpoint, status=409, body=json.dumps(problem).encode(), where="here")
    assert isinstance(said, Fault)
    assert "refusal 'newly-refused': the node may be newer" in str(said)
