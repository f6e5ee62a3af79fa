"""The places at one door: at most so many connections, and who waits for nothing gives way.

A crowd that connects and says nothing must not keep others out, so a full door turns nobody away
while there is somebody inside of whom the node is waiting to hear: the one it has waited for
longest goes. Source: ADR 0023.
"""

from __future__ import annotations

import resource
from typing import Protocol
from weakref import WeakKeyDictionary

CONNECTIONS_MAX = 16_384

FILES_OWN = 512
"""How many files the node keeps for itself: store, blobs, workers, peers."""

FILES_WANTED = 65_536
"""More is of no use, and some systems allow a thousand million, which others walk through."""


def connections_max() -> int:
    """Return how many connections are kept, so that the node's own files always have room.

    All but `FILES_OWN` of the files that this process may open; half of them where they are few.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(soft // 2, soft - FILES_OWN))


def raise_files_limit() -> int:
    """Let this process open as many files as it is allowed to, within reason; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class Guest(Protocol):
    """A connection that can be asked to leave."""

    def give_way(self) -> None:
        """End now."""


class Places:
    """Who has a place and is waited for, longest first.

    Attributes:
        idle: who has nothing in hand here.
        sending: who has begun to ask, and has not said all.
        is_closed: whether the server stops, so that nobody is let in any more.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.is_closed = False
        self.idle: dict[Guest, None] = {}
        self.sending: dict[Guest, None] = {}

    def forget(self, guest: Guest) -> None:
        """Wait for this one no longer."""
        self.idle.pop(guest, None)
        self.sending.pop(guest, None)

    def make_room(self) -> bool:
        """Have the one leave that was waited for longest; say whether there was one.

        Who is idle goes before who is in the middle of an ask.
        """
        for waiting in (self.idle, self.sending):
            for guest in waiting:
                self.forget(guest)
                guest.give_way()
                return True
        return False


_PLACES: WeakKeyDictionary[object, Places] = WeakKeyDictionary()


def places_of(server: object) -> Places:
    """Return the places of one server; all its connections share them."""
    found = _PLACES.get(server)
    if found is None:
        found = _PLACES[server] = Places()
    return found
