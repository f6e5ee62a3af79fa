"""Frames in both directions: whole whatever they are split into, and typed whatever they hold."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opkit.wire.peer
from nodeimpl.p2p import frames
from nodeimpl.p2p.frames import FrameReader
from nodeimpl.p2p.transport import StreamEnded
from opkit.wire.errors import refusal_from
from opkit.wire.gossip import Prune
from opkit.wire.peer import (
    FRAME_BYTES_MAX,
    METHODS,
    AnswerFrame,
    BlobOffer,
    FrameMalformed,
    RequestFrame,
)

_SPEC = importlib.util.spec_from_file_location(
    "examples_of_wire_types", Path(__file__).parents[2] / "opkit" / "wire" / "conftest.py"
)
assert _SPEC is not None and _SPEC.loader is not None
_EXAMPLES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_EXAMPLES)
values = _EXAMPLES.values

assert opkit.wire.peer.METHODS, "loading the contract registers its methods"
each_method = pytest.mark.parametrize("name", sorted(METHODS))


class Pieces:
    """A stream that gives what it holds in pieces of these lengths, then ends."""

    def __init__(self, data: bytes, lengths: list[int]) -> None:
        self._data = data
        self._lengths = lengths

    async def receive(self, max_bytes: int) -> bytes:
        """Return the next piece."""
        wanted = self._lengths.pop(0) if self._lengths else max_bytes
        piece = self._data[: min(wanted, max_bytes)]
        self._data = self._data[len(piece) :]
        return piece


LENGTHS = st.lists(st.integers(1, 9), max_size=40)


async def _read(data: bytes, lengths: list[int]) -> tuple[bytes, bytes]:
    reader = FrameReader(Pieces(data, lengths))  # type: ignore[arg-type]  # it only receives
    body = await reader.body(await reader.length())
    rest = b""
    while piece := await reader.piece(7):
        rest += piece
    return body, rest


def read(data: bytes, lengths: list[int]) -> tuple[bytes, bytes]:
    """Return a frame's body, and what follows it."""
    return asyncio.run(_read(data, list(lengths)))


def lax(value: Any) -> list[Any]:
    """Return a value with one of its numbers, or yes and no, said in another way, each in turn."""
    if isinstance(value, bool):
        return [int(value), str(value).lower()]
    if isinstance(value, int):
        return [str(value), bool(value), value + 0.5]
    if isinstance(value, dict):
        return [{**value, name: other} for name in value for other in lax(value[name])]
    if isinstance(value, list):
        return [
            [*value[:at], o, *value[at + 1 :]] for at, one in enumerate(value) for o in lax(one)
        ]
    return []


OPEN = {"journal.grow", "compute.await", "compute.drop"}
"""Whose answers have objects of any content, in which everything may stand."""


@each_method
@settings(max_examples=8)
@given(draw=st.data())
def test_what_another_program_may_read_differently_is_refused(
    name: str, draw: st.DataObject
) -> None:
    method = METHODS[name]
    ask, answer = draw.draw(values(method.ask)), draw.draw(values(method.answer))
    for body in lax(ask.model_dump(mode="json")):
        with pytest.raises(FrameMalformed):
            frames.read_value(method.ask, body)
    for body in [] if name in OPEN else lax(answer.model_dump(mode="json")):
        with pytest.raises(FrameMalformed):
            frames.read_value(method.answer, body)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (frames.read_request, '{"v":true,"method":"dht.ping","body":{}}'),
        (frames.read_answer, '{"v":"1","ok":{}}'),
        (lambda body: frames.read_cast(Prune, body), '{"topic":"a","back_off_ms":"5"}'),
        (lambda body: frames.read_cast(Prune, body), '{"topic":"a","back_off_ms":true}'),
        (lambda body: frames.read_cast(Prune, body), '{"topic":"a","back_off_ms":NaN}'),
        (lambda _: frames.read_value(BlobOffer, {"size_bytes": float("nan")}), ""),
    ],
)
def test_a_frame_itself_is_read_as_strictly(read: Any, text: str) -> None:
    with pytest.raises((FrameMalformed, ValueError)):
        read(text.encode())


@each_method
@settings(max_examples=8)
@given(draw=st.data(), lengths=LENGTHS, after=st.binary(max_size=20))
def test_a_question_and_its_answer_survive_any_split(
    name: str, draw: st.DataObject, lengths: list[int], after: bytes
) -> None:
    method = METHODS[name]
    ask, answer = draw.draw(values(method.ask)), draw.draw(values(method.answer))
    body, rest = read(frames.request(name, ask) + after, lengths)
    asked = frames.read_request(body)
    assert (asked.method, frames.read_value(method.ask, asked.body), rest) == (name, ask, after)
    body, rest = read(frames.answer(answer) + after, lengths)
    said = frames.read_answer(body)
    assert said.ok is not None and said.problem is None
    assert (frames.read_value(method.answer, said.ok), rest) == (answer, after)


@each_method
@settings(max_examples=8)
@given(draw=st.data())
def test_a_frame_that_is_cut_off_anywhere_has_ended(name: str, draw: st.DataObject) -> None:
    whole = frames.request(name, draw.draw(values(METHODS[name].ask)))
    at = draw.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(StreamEnded):
        read(whole[:at], draw.draw(LENGTHS))


@given(size=st.integers(FRAME_BYTES_MAX + 1, 2**32 - 1), lengths=LENGTHS)
def test_too_long_a_frame_is_refused_by_its_length(size: int, lengths: list[int]) -> None:
    with pytest.raises(FrameMalformed):
        read(size.to_bytes(4, "big") + b"x" * 100, lengths)


@each_method
@settings(max_examples=25)
@given(draw=st.data())
def test_a_frame_with_other_bytes_is_a_question_or_refused(name: str, draw: st.DataObject) -> None:
    method = METHODS[name]
    sent = bytearray(frames.request(name, draw.draw(values(method.ask)))[4:])
    for _ in range(draw.draw(st.integers(1, 3))):
        sent[draw.draw(st.integers(0, len(sent) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(FrameMalformed):
        frame = frames.read_request(bytes(sent))
        frames.read_value(method.ask, frame.body)


@each_method
@settings(max_examples=25)
@given(draw=st.data())
def test_an_answer_with_other_bytes_is_an_answer_or_odd(name: str, draw: st.DataObject) -> None:
    method = METHODS[name]
    sent = bytearray(frames.answer(draw.draw(values(method.answer)))[4:])
    for _ in range(draw.draw(st.integers(1, 3))):
        sent[draw.draw(st.integers(0, len(sent) - 1))] = draw.draw(st.integers(0, 255))
    judge(method, bytes(sent))


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    with contextlib.suppress(FrameMalformed):
        assert isinstance(frames.read_request(data), RequestFrame)
    judge(METHODS["peer.hello"], data)


def judge(method: Any, data: bytes) -> None:
    """Read an answer as a session does; only a ValueError may come of it, which is a fault."""
    try:
        said = frames.read_answer(data)
        assert isinstance(said, AnswerFrame)
        if said.ok is not None:
            method.answer.model_validate(said.ok)
        else:
            refusal_from(said.problem)
    except ValueError:
        return


@pytest.mark.parametrize(
    "body",
    [
        b'{"method":"a","method":"b","body":{}}',
        b'{"method":"a","body":{"x":1,"x":2}}',
        b'{"method":"a","body":{"x":[{"y":1,"\\u0079":2}]}}',
    ],
)
def test_a_frame_that_says_a_thing_twice_is_refused(body: bytes) -> None:
    with pytest.raises(FrameMalformed, match="twice"):
        frames.read_request(body)
    with pytest.raises(ValueError, match="twice"):
        frames.read_answer(json.dumps({"ok": {}})[:-1].encode() + b',"ok":{}}')
