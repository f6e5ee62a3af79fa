"""Links between nodes that can be hindered: UDP forwarders on loopback.

A node dials the link's address and never learns the other node's own (see `fixed_paths` of the
transport, ADR 0006), so all that two nodes say to each other passes here, and a cut is a cut. The
node has no code for faults.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections import OrderedDict

from devnet.chaos_lane import NONE, Hindrance, Lane

FLOWS_MAX = 64
"""How many senders one link serves at once; the longest silent one is forgotten first."""

BATCH_MAX = 64
"""How many reads are done in a row before other tasks get their turn."""

DATAGRAM_BYTES_MAX = 65_535
_BUFFER_BYTES = 4 * 2**20

_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
"""Linux joins datagrams of one flow on their way in and splits them on their way out, so that one
read and one write carry many. Source: linux/udp.h, udp(7)."""

Address = tuple[str, int]


def parse_address(text: str) -> Address:
    """Return host and port of `127.0.0.1:4000` or `[::1]:4000`.

    Raises:
        ValueError: neither.
    """
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Link:
    """One link: whoever dials it reaches the node it is aimed at.

    Attributes:
        a: the organisation that dials.
        b: the organisation that is reached.
        passed: how many reads were carried on.
    """

    def __init__(self, a: str, b: str) -> None:
        """Prepare a link that nothing hinders."""
        self.a = a
        self.b = b
        self.passed = 0
        self.hindrance = NONE
        # One per direction, so that each loses the same whatever the other one carries.
        self._there = Lane()
        self._back = Lane()
        self._missed = 0
        self._front: socket.socket | None = None
        self._target: Address | None = None
        self._flows: OrderedDict[Address, socket.socket] = OrderedDict()

    @property
    def lost(self) -> int:
        """How many datagrams were dropped, on purpose or for want of room."""
        return self._missed + self._there.lost + self._back.lost

    async def open(self) -> str:
        """Listen on loopback and return the address to dial. Nothing passes before `aim`."""
        assert self._front is None, "a link opens once"
        self._front = _bound("127.0.0.1")
        asyncio.get_running_loop().add_reader(self._front, self._read_front)
        return "{}:{}".format(*self._front.getsockname()[:2])

    def aim(self, target: str) -> None:
        """Carry everything to `target` from now on; the other node may have moved."""
        self._target = parse_address(target)
        for source in list(self._flows):
            self._forget(source)

    def hinder(self, hindrance: Hindrance, *, seed: int = 0) -> None:
        """Be hindered so in both directions from now on; by `NONE` not at all.

        With a cut all that is under way is lost too.

        Args:
            hindrance: in place of the one before.
            seed: fixes, with the names of both ends, what is lost and how late the rest is.
        """
        self.hindrance = hindrance
        self._there.hinder(hindrance, seed=f"{seed}/{self.a}/{self.b}")
        self._back.hinder(hindrance, seed=f"{seed}/{self.b}/{self.a}")

    def close(self) -> None:
        """Stop listening and forget everything. Harmless when repeated."""
        for source in list(self._flows):
            self._forget(source)
        self._there.forget()
        self._back.forget()
        if self._front is not None:
            asyncio.get_running_loop().remove_reader(self._front)
            self._front.close()
            self._front = None

    def _forget(self, source: Address) -> None:
        back = self._flows.pop(source)
        asyncio.get_running_loop().remove_reader(back)
        back.close()

    def _read_front(self) -> None:
        assert self._front is not None, "its reader is removed with it"
        for data, segment, source in _arrived(self._front):
            target = self._target
            if target is None:
                self._missed += 1
                continue
            back = self._flow(source, target)
            self._carry(back, data, segment=segment, to=target, lane=self._there)

    def _flow(self, source: Address, target: Address) -> socket.socket:
        """Return the socket that stands for `source` towards the target."""
        back = self._flows.get(source)
        if back is not None:
            self._flows.move_to_end(source)
            return back
        if len(self._flows) >= FLOWS_MAX:
            self._forget(next(iter(self._flows)))
        back = _bound(target[0])
        self._flows[source] = back
        asyncio.get_running_loop().add_reader(back, self._read_back, back, source, target)
        return back

    def _read_back(self, back: socket.socket, source: Address, target: Address) -> None:
        for data, segment, sender in _arrived(back):
            if sender == target and self._front is not None:
                self._carry(self._front, data, segment=segment, to=source, lane=self._back)

    def _carry(
        self, out: socket.socket, data: bytes, *, segment: int, to: Address, lane: Lane
    ) -> None:
        """Pass on what one read gave: one datagram, or several of `segment` bytes."""
        if lane.clear:
            self.passed += 1
            self._send(out, data, segment=segment, to=to)
        elif lane.carry(
            data, segment, lambda piece, size: self._send(out, piece, segment=size, to=to)
        ):
            self.passed += 1

    def _send(self, out: socket.socket, data: bytes, *, segment: int, to: Address) -> None:
        extra = []
        if segment and segment < len(data):
            extra = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", segment))]
        try:
            out.sendmsg([data], extra, 0, to)
        except OSError as full:
            # A full buffer, a target that has just gone, a socket forgotten meanwhile: on a real
            # network too the datagram is lost without a word.
            if full.errno not in _LOST:
                raise
            self._missed += 1


_LOST = frozenset(
    {errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EBADF, errno.EPERM, errno.EMSGSIZE}
)


def _bound(host: str) -> socket.socket:
    """Return a socket on a free port of `host`'s loopback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    if sys.platform == "linux":
        bound.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    return bound


def _arrived(source: socket.socket) -> list[tuple[bytes, int, Address]]:
    """Return what can be read now: bytes, the size of the datagrams in them (0: one), sender."""
    found = []
    for _ in range(BATCH_MAX):
        try:
            data, extra, _, sender = source.recvmsg(DATAGRAM_BYTES_MAX, 64)
        except (BlockingIOError, ConnectionRefusedError):
            break
        segment = 0
        for level, kind, value in extra:
            if (level, kind) == (_SOL_UDP, _UDP_GRO):
                segment = struct.unpack_from("=i", value)[0]
        found.append((data, segment, (sender[0], sender[1])))
    return found
