"""What is read as a message to a kernel, and what of that is taken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.dash.messages import PARTS_MAX, Said, is_taken, read


def v1(*parts: bytes, offsets: list[int] | None = None) -> bytes:
    """Return parts in the protocol with offsets, the channel first."""
    made = [8 * (len(parts) + 2)]
    for part in parts:
        made.append(made[-1] + len(part))
    used = made if offsets is None else offsets
    return b"".join(n.to_bytes(8, "little") for n in (len(used), *used)) + b"".join(parts)


HEADER = b'{"msg_type": "comm_msg"}'


def test_a_message_is_read_in_both_protocols():
    content = {"comm_id": "x", "data": {"method": "custom"}}
    text = json.dumps({"header": {"msg_type": "comm_msg"}, "content": content})
    packed = v1(b"shell", HEADER, b"{}", b"{}", json.dumps(content).encode())
    expected = Said(kind="comm_msg", content=content)
    assert read(text, v1=False) == read(packed, v1=True) == expected


def test_buffers_after_the_content_are_left_alone():
    assert read(v1(b"shell", HEADER, b"{}", b"{}", b"{}", b"\xff\0"), v1=True) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"header": 1, "content": {}}',
        '{"header": {}, "content": {}}',
        '{"header": {"msg_type": 1}, "content": {}}',
        '{"header": {"msg_type": "comm_msg"}}',
        '{"header": {"msg_type": "comm_msg"}, "content": []}',
        "[" * 50_000,
        b"{}",
        b"\0\0\0\1" * 4,
    ],
)
def test_what_is_no_text_message_is_none(text):
    assert read(text, v1=False) is None


@pytest.mark.parametrize(
    "data",
    [
        "text",
        b"",
        b"\xff" * 8,  # As many parts as there are numbers.
        b"\xff" * 4_096,
        v1(b"shell", HEADER, b"{}", b"{}"),
        v1(b"shell", b"", b"{}", b"{}", b"{}"),
        v1(b"shell", HEADER, b"{}", b"{}", b"\xff"),
        v1(*[b"{}"] * PARTS_MAX),
        v1(b"shell", HEADER, b"{}", b"{}", b"{}", offsets=[200, 100, 50, 60, 70, 80]),
        v1(b"shell", HEADER, b"{}", b"{}", b"{}", offsets=[56, 61, 85, 87, 89, 2**63]),
    ],
)
def test_what_is_no_packed_message_is_none(data):
    assert read(data, v1=True) is None


@given(st.binary(max_size=200) | st.text(max_size=200), st.booleans())
def test_nothing_that_is_sent_breaks_the_reader(data, is_v1):
    assert read(data, v1=is_v1) is None or isinstance(read(data, v1=is_v1), Said)


@pytest.mark.parametrize(
    ("kind", "content", "taken"),
    [
        ("kernel_info_request", {}, True),
        ("comm_info_request", {"target_name": "jupyter.widget"}, True),
        ("comm_close", {"comm_id": "x"}, True),
        ("comm_open", {"target_name": "jupyter.widget.control"}, True),
        ("comm_open", {"target_name": "jupyter.widget"}, False),
        ("comm_open", {"target_name": ["jupyter.widget.control"]}, False),
        ("comm_open", {}, False),
        ("comm_msg", {"data": {"method": "custom", "content": {}}}, True),
        ("comm_msg", {"data": {"method": "request_states"}}, True),
        ("comm_msg", {"data": {"method": "request_state"}}, True),
        ("comm_msg", {"data": {"method": "update", "state": {}}}, False),
        ("comm_msg", {"data": {"method": "backbone"}}, False),
        ("comm_msg", {"data": []}, False),
        ("comm_msg", {}, False),
        ("execute_request", {"code": "1"}, False),
        ("shutdown_request", {}, False),
        ("input_reply", {}, False),
        ("COMM_MSG", {"data": {"method": "custom"}}, False),
        ("", {}, False),
    ],
)
def test_widget_messages_are_taken_and_nothing_else(kind, content, taken):
    assert is_taken(Said(kind=kind, content=content)) is taken


def test_a_method_that_can_not_be_looked_up_is_not_taken():
    assert not is_taken(Said(kind="comm_msg", content={"data": {"method": {}}}))
