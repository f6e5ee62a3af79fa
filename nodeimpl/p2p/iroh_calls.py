"""An adaptation of iroh's Python binding: a call that is answered at once costs no turn of a loop.

The generated binding (UniFFI) makes a future for every call and has the event loop woken to end it,
also when Rust has answered before the call returns, as most writes and many reads are. Replaced, a
question to a peer takes a quarter less time. It applies to the versions that it was tested with and
to no other. Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
from collections.abc import Callable
from importlib.metadata import version
from threading import get_ident
from typing import Any

from iroh import iroh_ffi

from nodeimpl.p2p.iroh_buffers import TESTED_VERSIONS

AT_ONCE_MAX = 16
"""After so many calls in a row that were answered at once the others have a turn."""

LENGTH_BYTES = 4

_READY = iroh_ffi._UNIFFI_RUST_FUTURE_POLL_READY  # noqa: SLF001 - the binding has no public way
_Buffer: Any = iroh_ffi._UniffiRustBuffer  # noqa: SLF001 - as above
_Status: Any = iroh_ffi._UniffiRustCallStatus  # noqa: SLF001 - as above
_check: Any = iroh_ffi._uniffi_check_call_status  # noqa: SLF001 - as above
_continuation: Any = iroh_ffi._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK  # noqa: SLF001 - as above


class _Poll:
    """One look at whether a call is answered: `code` once it is known, `woken` if it was not."""

    __slots__ = ("code", "loop", "thread", "woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = get_ident()
        self.code: int | None = None
        self.woken: asyncio.Future[int] | None = None


_polls: dict[int, _Poll] = {}
_numbers = itertools.count(1)
_at_once = itertools.count(1)


@_continuation  # type: ignore[untyped-decorator]  # ctypes makes it
def _polled(number: int, code: int) -> None:
    """Take what became of a call, on whatever thread Rust says it."""
    poll = _polls.pop(number)
    if poll.woken is None and get_ident() == poll.thread:
        # The look itself has not returned yet: nobody waits.
        poll.code = code
    else:
        poll.loop.call_soon_threadsafe(_wake, poll, code)


def _wake(poll: _Poll, code: int) -> None:
    """End the wait for a call; whoever looked waits by now, for this runs in a later turn."""
    if poll.woken is not None and not poll.woken.done():
        poll.woken.set_result(code)


async def call(  # noqa: PLR0917 - called as the binding calls its own
    rust_future: Any,
    ffi_poll: Callable[..., None],
    ffi_complete: Callable[..., Any],
    ffi_free: Callable[[Any], None],
    lift: Callable[[Any], Any],
    error_converter: Any,
) -> Any:
    """Return what an asynchronous call of the binding gives; as `_uniffi_rust_call_async`."""
    try:
        loop = asyncio.get_running_loop()
        if next(_at_once) % AT_ONCE_MAX == 0:
            await asyncio.sleep(0)
        while True:
            number, poll = next(_numbers), _Poll(loop)
            _polls[number] = poll
            ffi_poll(rust_future, _polled, number)
            code = poll.code
            if code is None:
                poll.woken = loop.create_future()
                code = await poll.woken
            if code == _READY:
                return lift(complete(error_converter, ffi_complete, rust_future))
    finally:
        ffi_free(rust_future)


def complete(error_converter: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of the binding gives, or raise; as `_uniffi_rust_call_with_error`."""
    # Zeros are success and an empty buffer, which is what the original spells out.
    status = _Status()
    result = function(*arguments, ctypes.byref(status))
    if status.code:
        _check(error_converter, status)
    return result


def plain(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of the binding gives that raises nothing; as `_uniffi_rust_call`."""
    return complete(None, function, *arguments)


def lift_bytes(buffer: Any) -> bytes:
    """Return the bytes in a buffer of the binding, and free it.

    Raises:
        InternalError: it holds something else.
    """
    try:
        size = buffer.len - LENGTH_BYTES
        if size < 0:
            raise iroh_ffi.InternalError("a buffer of bytes without their number")
        start = ctypes.addressof(buffer.data.contents)
        if int.from_bytes(ctypes.string_at(start, LENGTH_BYTES), "big") != size:
            raise iroh_ffi.InternalError("a buffer of another number of bytes")
        return ctypes.string_at(start + LENGTH_BYTES, size)
    finally:
        buffer.free()


def lower_bytes(value: Any) -> Any:
    """Return bytes as the binding's buffer: their number, and they themselves."""
    size = len(value)
    made = _Buffer.alloc(LENGTH_BYTES + size)
    start = ctypes.addressof(made.data.contents)
    ctypes.memmove(start, size.to_bytes(LENGTH_BYTES, "big"), LENGTH_BYTES)
    if size:
        ctypes.memmove(start + LENGTH_BYTES, bytes(value), size)
    made.len = LENGTH_BYTES + size
    return made


def adapt(installed: str | None = None) -> bool:
    """Replace the slow calls if the installed version is one this was tested with.

    Args:
        installed: the version to judge by; the installed one unless told otherwise.

    Returns:
        Whether the quick calls are in place; without them everything works, slower.
    """
    if (installed or version("iroh")) not in TESTED_VERSIONS:
        return False
    binding = vars(iroh_ffi)
    binding["_uniffi_rust_call_async"] = call
    binding["_uniffi_rust_call_with_error"] = complete
    binding["_uniffi_rust_call"] = plain
    binding["_UniffiFfiConverterBytes"].lower = lower_bytes
    binding["_UniffiFfiConverterBytes"].lift = lift_bytes
    return True
