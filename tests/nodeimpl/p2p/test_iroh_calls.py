"""The quick calls of iroh's binding: the same answers, and turns for everybody else."""

from __future__ import annotations

import asyncio
import threading

import pytest
from iroh import iroh_ffi

from nodeimpl.p2p import iroh_calls

READY, AGAIN = 0, 1
TIMEOUT_S = 30


class Call:
    """An asynchronous call of the binding, answered as a test says."""

    def __init__(self, answer) -> None:
        self.looks = 0
        self.freed = 0
        self._answer = answer

    def poll(self, _future, said, number) -> None:
        self.looks += 1
        self._answer(self.looks, lambda code: said(number, code))

    def complete(self, _future, _status) -> str:
        return f"after {self.looks}"

    def free(self, _future) -> None:
        self.freed += 1

    async def made(self) -> str:
        call = iroh_calls.call(7, self.poll, self.complete, self.free, str.upper, None)
        async with asyncio.timeout(TIMEOUT_S):
            return await call


def at_once(_look, say) -> None:
    say(READY)


def by_another_thread(look, say) -> None:
    threading.Timer(0.01, say, (READY if look == 2 else AGAIN,)).start()


def by_this_thread_later(_look, say) -> None:
    asyncio.get_running_loop().call_soon(say, READY)


@pytest.mark.parametrize(
    ("answer", "looks"), [(at_once, 1), (by_another_thread, 2), (by_this_thread_later, 1)]
)
def test_an_answer_comes_whenever_and_on_whatever_thread_it_is_given(answer, looks):
    call = Call(answer)
    assert asyncio.run(call.made()) == f"AFTER {looks}"
    assert (call.looks, call.freed) == (looks, 1)
    assert not iroh_calls._polls


def test_who_is_always_answered_at_once_leaves_turns_to_others():
    async def scenario() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.create_task(other())
        for _ in range(10 * iroh_calls.AT_ONCE_MAX):
            await Call(at_once).made()
        beside.cancel()
        return turns

    assert asyncio.run(scenario()) >= 9


def test_a_call_that_is_given_up_is_freed_and_its_late_answer_is_nothing():
    late = []

    async def scenario() -> Call:
        call = Call(lambda _look, say: late.append(say))
        waiting = asyncio.create_task(call.made())
        while not late:  # Now and then a call gives others a turn first.
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        late[0](READY)
        await asyncio.sleep(0)
        return call

    call = asyncio.run(scenario())
    assert (call.looks, call.freed) == (1, 1)


@pytest.mark.parametrize("value", [b"", b"a", bytes(range(256)) * 300, bytearray(b"ab")])
def test_bytes_are_lowered_as_the_original_lowers_them(value):
    original = iroh_ffi._UniffiConverterRustBuffer.__dict__["lower"].__func__
    buffers = (
        iroh_calls.lower_bytes(value),
        original(iroh_ffi._UniffiFfiConverterBytes, bytes(value)),
    )
    try:
        quick, slow = (bytes(each.data[: each.len]) for each in buffers)
        assert quick == slow == len(value).to_bytes(4, "big") + bytes(value)
    finally:
        for each in buffers:
            each.free()


@pytest.mark.parametrize("value", [b"", b"a", bytes(range(256)) * 300])
def test_bytes_are_lifted_as_the_original_lifts_them(value):
    original = iroh_ffi._UniffiConverterRustBuffer.__dict__["lift"].__func__
    quick = iroh_calls.lift_bytes(iroh_calls.lower_bytes(value))
    assert quick == original(iroh_ffi._UniffiFfiConverterBytes, iroh_calls.lower_bytes(value))
    assert quick == value


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_buffer_of_anything_else_is_an_error_and_freed(length):
    buffer = iroh_calls.lower_bytes(b"ab")
    buffer.len = length
    with pytest.raises(iroh_ffi.InternalError, match="a buffer"):
        iroh_calls.lift_bytes(buffer)


def test_a_plain_call_gives_what_the_function_gives():
    assert iroh_calls.plain(lambda number, _status: number + 1, 6) == 7


def test_an_error_of_the_binding_is_raised():
    def refuses(status) -> None:
        status._obj.code = iroh_ffi._UniffiRustCallStatus.CALL_ERROR

    with pytest.raises(iroh_ffi.InternalError, match="CALL_ERROR"):
        iroh_calls.complete(None, refuses)


def test_it_applies_to_tested_versions_and_leaves_others_alone(monkeypatch):
    monkeypatch.setattr(iroh_ffi, "_uniffi_rust_call_async", None)
    assert not iroh_calls.adapt("0.0.1")
    assert iroh_ffi._uniffi_rust_call_async is None
    assert iroh_calls.adapt("1.2.0")
    assert iroh_ffi._uniffi_rust_call_async is iroh_calls.call
