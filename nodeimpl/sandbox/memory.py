"""The linear memory of the module that runs, made here so that its growth is seen.

The engine's own limiter denies growth without telling anybody, so that a module out of memory
looks like any other trap. A memory creator of our own sees every growth: it denies what passes
the task's limit, remembers that it did, and knows the peak exactly. It reserves what the engine
asks for, guard pages included, because compiled code relies on both.

One worker runs one module at a time, so there is one memory at a time.

The Python package has no public way to set a memory creator: this uses its generated bindings, and
so runs with versions that it was tested with and no other.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

from wasmtime import _bindings as bindings

from nodeimpl.sandbox.engine import require_tested

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

_PROT_NONE = 0
_MAP_NORESERVE = 0x4000
_MAP_FAILED = ctypes.c_void_p(-1).value
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


class LinearMemory:
    """The one memory of the run at hand: its address, its size, its limit.

    Attributes:
        base: address of the first byte; 0 while there is none.
        size_bytes: its present size, and, since memory never shrinks, its peak.
        denied: whether growth (or the first size) was refused for passing the limit.
    """

    def __init__(self) -> None:
        """Make the callbacks; no memory is mapped before a module asks for it.

        Raises:
            EngineUntested: the engine's C API may be another than this one was written for.
        """
        require_tested()
        self.base = 0
        self.size_bytes = 0
        self.limit_bytes = 0
        self.denied = False
        self._mapped_bytes = 0
        self._capacity_bytes = 0
        self._new = bindings.wasmtime_new_memory_callback_t(self._make)
        self._get = bindings.wasmtime_memory_get_callback_t(self._where)
        self._grow = bindings.wasmtime_memory_grow_callback_t(self._extend)
        self._end = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._unmap)
        self._end_creator = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _env: None)

    def install(self, config: Any) -> None:
        """Have every memory of engines with this wasmtime `config` be made here."""
        creator: Any = bindings.wasmtime_memory_creator_t()
        creator.new_memory = self._new
        creator.finalizer = self._end_creator
        bindings.wasmtime_config_host_memory_creator_set(config.ptr(), ctypes.byref(creator))

    def begin(self, *, limit_bytes: int) -> None:
        """Forget the run before and set the limit of the next."""
        assert self._mapped_bytes == 0, "the memory of the run before is still mapped"
        self.size_bytes = 0
        self.limit_bytes = limit_bytes
        self.denied = False

    def read(self, address: int, size: int) -> bytes | None:
        """Return bytes of the module's memory, or None if they are not all within it."""
        if address + size > self.size_bytes:
            return None
        return ctypes.string_at(self.base + address, size)

    def write(self, address: int, data: bytes) -> bool:
        """Put bytes into the module's memory; say whether they fit within it."""
        if address + len(data) > self.size_bytes:
            return False
        ctypes.memmove(self.base + address, data, len(data))
        return True

    def _make(
        self,
        _env: int,
        _type: Any,
        minimum: int,
        _maximum: int,
        reserved: int,
        guard: int,
        out: Any,
    ) -> int:
        """Map a memory for the engine.

        Source: wasmtime's C API, `wasmtime_new_memory_callback_t`.
        """
        if minimum > self.limit_bytes:
            self.denied = True
            return _error("the memory's first size passes the task's limit")
        if self._mapped_bytes:
            return _error("a task has one memory")
        size = max(reserved, self.limit_bytes) + guard
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        base = _libc.mmap(None, size, _PROT_NONE, flags, -1, 0)
        if base is None or base == _MAP_FAILED:
            return _error("no address space for the memory")
        if minimum and _libc.mprotect(base, minimum, _READ_WRITE):
            _libc.munmap(base, size)
            self.denied = True
            return _error("no memory")
        self.base, self._mapped_bytes, self.size_bytes = base, size, minimum
        self._capacity_bytes = size - guard
        memory = out.contents
        memory.env = None
        memory.get_memory = self._get
        memory.grow_memory = self._grow
        memory.finalizer = self._end
        return 0

    def _where(self, _env: int, size_out: Any, capacity_out: Any) -> int:
        size_out[0] = self.size_bytes
        capacity_out[0] = self._capacity_bytes
        return self.base

    def _extend(self, _env: int, new_size: int) -> int:
        if new_size > self.limit_bytes:
            self.denied = True
            return _error("growth passes the task's limit")
        if _libc.mprotect(self.base, new_size, _READ_WRITE):
            self.denied = True
            return _error("no memory")
        self.size_bytes = new_size
        return 0

    def _unmap(self, _env: int) -> None:
        _libc.munmap(self.base, self._mapped_bytes)
        self.base = self._mapped_bytes = 0


def _error(why: str) -> int:
    """Return an engine error as the address that a callback returns."""
    made = bindings.wasmtime_error_new(why.encode("ascii"))
    return ctypes.cast(made, ctypes.c_void_p).value or 0
