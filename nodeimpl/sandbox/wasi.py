"""WASI preview 1 as a task sees it: stdin, stdout, and nothing that leaks.

The engine's own WASI cannot switch off clock and randomness, and its `poll_oneoff` sleeps past
every deadline, so all functions are defined here. Without a grant, clocks, randomness and waiting
answer `ENOTSUP`; with one they show the manifest's values. There are no files, no sockets, no
environment and no arguments beyond a fixed name. No call blocks, each copies at most
`TRANSFER_BYTES_MAX`, and each is paid in fuel before it copies.

Source: WebAssembly/WASI, `legacy/preview1/docs.md`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nodeimpl.sandbox.engine import HOST_BYTE_FUEL, HOST_CALL_FUEL
from nodeimpl.sandbox.memory import LinearMemory
from opkit.wire.compute import Grants

MODULE = "wasi_snapshot_preview1"
TRANSFER_BYTES_MAX = 1_048_576
RANDOM_BYTES_MAX = 65_536
VECTORS_MAX = 1_024
SUBSCRIPTIONS_MAX = 64

SUCCESS, EBADF, EFAULT, EINVAL, ENOTSUP, ESPIPE, ENOTCAPABLE = 0, 8, 21, 28, 58, 70, 76

_ARGUMENT = b"task\0"
_CLOCKS = range(4)
_CLOCK_STEP_NS = 1_000_000
_SUBSCRIPTION_BYTES = 48
_FD_READ_RIGHT, _FD_WRITE_RIGHT = 1 << 1, 1 << 6
_M32 = 0xFFFF_FFFF


class Exited(Exception):
    """The module called `proc_exit`; `code` is what it said."""

    def __init__(self, code: int) -> None:
        """Keep the exit code."""
        super().__init__(code)
        self.code = code


class FuelSpent(Exception):
    """A host call costs more fuel than is left."""


class OutputFull(Exception):
    """The module wrote more than its manifest allows."""


@dataclass
class Io:
    """What one run reads and has written so far."""

    stdin: bytes
    output_bytes_max: int
    grants: Grants
    read_to: int = 0
    output: bytearray = field(default_factory=bytearray)
    random_blocks: int = 0
    closed: set[int] = field(default_factory=set)


class Wasi:
    """The functions of one worker; `io` is exchanged for every run.

    `fuel` gets the fuel left and sets it: the machine binds both to the store of the run.
    """

    def __init__(self, memory: LinearMemory) -> None:
        """Serve modules whose memory is `memory`."""
        self._memory = memory
        self.io = Io(stdin=b"", output_bytes_max=0, grants=Grants())
        self.fuel_left: Callable[[], int] = lambda: 0
        self.set_fuel: Callable[[int], None] = lambda _fuel: None

    def functions(self) -> dict[str, tuple[str, str, Callable[..., Any]]]:
        """Return every function by name: parameter types, result types, what it does.

        Types are spelled `i` for 32 and `l` for 64 bits. Functions that would need files or
        sockets say so by their errno.
        """
        here: dict[str, tuple[str, str, Callable[..., Any]]] = {
            "args_sizes_get": ("ii", "i", self._args_sizes),
            "args_get": ("ii", "i", self._args),
            "environ_sizes_get": ("ii", "i", self._environ_sizes),
            "environ_get": ("ii", "i", self._environ),
            "clock_res_get": ("ii", "i", self._clock_res),
            "clock_time_get": ("ili", "i", self._clock_time),
            "fd_close": ("i", "i", self._close),
            "fd_fdstat_get": ("ii", "i", self._fdstat),
            "fd_filestat_get": ("ii", "i", self._filestat),
            "fd_read": ("iiii", "i", self._read),
            "fd_seek": ("ilii", "i", self._seek),
            "fd_tell": ("ii", "i", self._seek),
            "fd_write": ("iiii", "i", self._write),
            "poll_oneoff": ("iiii", "i", self._poll),
            "proc_exit": ("i", "", self._exit),
            "random_get": ("ii", "i", self._random),
            "sched_yield": ("", "i", self._nothing(SUCCESS)),
        }
        for name, (parameters, errno) in _ABSENT.items():
            here[name] = (parameters, "i", self._nothing(errno))
        return here

    def _pay(self, size: int = 0) -> None:
        """Charge one call that copies `size` bytes, before it does anything.

        Raises:
            FuelSpent: not enough is left; what was left is gone.
        """
        left = self.fuel_left() - HOST_CALL_FUEL - HOST_BYTE_FUEL * size
        self.set_fuel(max(left, 0))
        if left < 0:
            raise FuelSpent

    def _nothing(self, errno: int) -> Callable[..., int]:
        def answer(*_arguments: int) -> int:
            self._pay()
            return errno

        return answer

    def _put(self, *pairs: tuple[int, bytes]) -> int:
        for address, data in pairs:
            if not self._memory.write(address & _M32, data):
                return EFAULT
        return SUCCESS

    def _args_sizes(self, count_at: int, size_at: int) -> int:
        self._pay()
        return self._put((count_at, _u32(1)), (size_at, _u32(len(_ARGUMENT))))

    def _args(self, argv_at: int, text_at: int) -> int:
        self._pay(len(_ARGUMENT))
        return self._put((argv_at, _u32(text_at & _M32)), (text_at, _ARGUMENT))

    def _environ_sizes(self, count_at: int, size_at: int) -> int:
        self._pay()
        return self._put((count_at, _u32(0)), (size_at, _u32(0)))

    def _environ(self, _environ_at: int, _text_at: int) -> int:
        self._pay()
        return SUCCESS

    def _clock_res(self, clock: int, out_at: int) -> int:
        self._pay()
        if self.io.grants.clock_ms is None:
            return ENOTSUP
        if clock not in _CLOCKS:
            return EINVAL
        return self._put((out_at, struct.pack("<Q", _CLOCK_STEP_NS)))

    def _clock_time(self, clock: int, _precision: int, out_at: int) -> int:
        self._pay()
        clock_ms = self.io.grants.clock_ms
        if clock_ms is None:
            return ENOTSUP
        if clock not in _CLOCKS:
            return EINVAL
        now_ns = (clock_ms * _CLOCK_STEP_NS) & 0xFFFF_FFFF_FFFF_FFFF
        return self._put((out_at, struct.pack("<Q", now_ns)))

    def _close(self, fd: int) -> int:
        self._pay()
        if not self._open(fd):
            return EBADF
        self.io.closed.add(fd)
        return SUCCESS

    def _open(self, fd: int) -> bool:
        return 0 <= fd <= 2 and fd not in self.io.closed

    def _fdstat(self, fd: int, out_at: int) -> int:
        self._pay()
        if not self._open(fd):
            return EBADF
        rights = _FD_READ_RIGHT if fd == 0 else _FD_WRITE_RIGHT
        return self._put((out_at, struct.pack("<BxHxxxxQQ", 0, 0, rights, 0)))

    def _filestat(self, fd: int, out_at: int) -> int:
        self._pay()
        return self._put((out_at, bytes(64))) if self._open(fd) else EBADF

    def _seek(self, fd: int, *_where: int) -> int:
        self._pay()
        return ESPIPE if self._open(fd) else EBADF

    def _vectors(self, at: int, count: int) -> list[tuple[int, int]] | None:
        """Return (address, size) of each buffer, cut off after `TRANSFER_BYTES_MAX` in all."""
        raw = self._memory.read(at & _M32, 8 * count)
        if raw is None:
            return None
        found, room = [], TRANSFER_BYTES_MAX
        for address, size in struct.iter_unpack("<II", raw):
            found.append((address, min(size, room)))
            room -= found[-1][1]
        return found

    def _read(self, fd: int, vectors_at: int, count: int, out_at: int) -> int:
        if fd != 0 or not self._open(fd) or not 0 <= count <= VECTORS_MAX:
            self._pay()
            return EBADF if fd != 0 or not self._open(fd) else EINVAL
        vectors = self._vectors(vectors_at, count)
        if vectors is None:
            self._pay()
            return EFAULT
        io, done = self.io, 0
        size = min(sum(size for _, size in vectors), len(io.stdin) - io.read_to)
        self._pay(size + 8 * count)
        for address, room in vectors:
            part = io.stdin[io.read_to + done : io.read_to + min(done + room, size)]
            if not self._memory.write(address, part):
                return EFAULT
            done += len(part)
        io.read_to += done
        return self._put((out_at, _u32(done)))

    def _write(self, fd: int, vectors_at: int, count: int, out_at: int) -> int:
        if fd not in (1, 2) or not self._open(fd) or not 0 <= count <= VECTORS_MAX:
            self._pay()
            return EBADF if fd not in (1, 2) or not self._open(fd) else EINVAL
        vectors = self._vectors(vectors_at, count)
        if vectors is None:
            self._pay()
            return EFAULT
        size = sum(size for _, size in vectors)
        self._pay(size + 8 * count)
        parts = [self._memory.read(address, size) for address, size in vectors]
        if None in parts:
            return EFAULT
        if fd == 1:
            self._keep(b"".join(part for part in parts if part))
        return self._put((out_at, _u32(size)))

    def _keep(self, data: bytes) -> None:
        """Append to the output. What goes to stderr is paid for and dropped."""
        if len(self.io.output) + len(data) > self.io.output_bytes_max:
            raise OutputFull
        self.io.output += data

    def _random(self, at: int, size: int) -> int:
        size &= _M32
        if self.io.grants.random_seed is None or size > RANDOM_BYTES_MAX:
            self._pay()
            return ENOTSUP if self.io.grants.random_seed is None else EINVAL
        self._pay(size)
        return self._put((at, self._random_bytes(self.io.grants.random_seed, size)))

    def _random_bytes(self, seed: int, size: int) -> bytes:
        """Return the next bytes of the seed's stream: SHA-256 of label, seed and block number."""
        blocks = -(-size // 32)
        first, self.io.random_blocks = self.io.random_blocks, self.io.random_blocks + blocks
        parts = (
            hashlib.sha256(b"opkit task random\0" + struct.pack("<QQ", seed, first + n)).digest()
            for n in range(blocks)
        )
        return b"".join(parts)[:size]

    def _poll(self, in_at: int, out_at: int, count: int, done_at: int) -> int:
        """Answer that everything is ready at once: with a clock that stands, waiting is over."""
        if self.io.grants.clock_ms is None or not 0 < count <= SUBSCRIPTIONS_MAX:
            self._pay()
            return ENOTSUP if self.io.grants.clock_ms is None else EINVAL
        self._pay(count * _SUBSCRIPTION_BYTES)
        raw = self._memory.read(in_at & _M32, count * _SUBSCRIPTION_BYTES)
        if raw is None:
            return EFAULT
        events = b"".join(
            struct.pack("<QHB21x", *struct.unpack_from("<Q", raw, at), SUCCESS, raw[at + 8])
            for at in range(0, len(raw), _SUBSCRIPTION_BYTES)
        )
        return self._put((out_at, events), (done_at, _u32(count)))

    def _exit(self, code: int) -> None:
        self._pay()
        raise Exited(code & _M32)


_ABSENT: dict[str, tuple[str, int]] = {
    "fd_advise": ("illi", EBADF),
    "fd_allocate": ("ill", EBADF),
    "fd_datasync": ("i", EBADF),
    "fd_fdstat_set_flags": ("ii", ENOTSUP),
    "fd_fdstat_set_rights": ("ill", ENOTSUP),
    "fd_filestat_set_size": ("il", EBADF),
    "fd_filestat_set_times": ("illi", EBADF),
    "fd_pread": ("iiili", ESPIPE),
    "fd_prestat_dir_name": ("iii", EBADF),
    "fd_prestat_get": ("ii", EBADF),
    "fd_pwrite": ("iiili", ESPIPE),
    "fd_readdir": ("iiili", EBADF),
    "fd_renumber": ("ii", EBADF),
    "fd_sync": ("i", EBADF),
    "path_create_directory": ("iii", ENOTCAPABLE),
    "path_filestat_get": ("iiiii", ENOTCAPABLE),
    "path_filestat_set_times": ("iiiilli", ENOTCAPABLE),
    "path_link": ("iiiiiii", ENOTCAPABLE),
    "path_open": ("iiiiillii", ENOTCAPABLE),
    "path_readlink": ("iiiiii", ENOTCAPABLE),
    "path_remove_directory": ("iii", ENOTCAPABLE),
    "path_rename": ("iiiiii", ENOTCAPABLE),
    "path_symlink": ("iiiii", ENOTCAPABLE),
    "path_unlink_file": ("iii", ENOTCAPABLE),
    "proc_raise": ("i", ENOTSUP),
    "sock_accept": ("iii", ENOTSUP),
    "sock_recv": ("iiiiii", ENOTSUP),
    "sock_send": ("iiiii", ENOTSUP),
    "sock_shutdown": ("ii", ENOTSUP),
}
"""Functions that need what a task does not have: their parameters, and the errno they answer."""


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)
