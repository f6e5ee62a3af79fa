"""Who gives way at a full door."""

from __future__ import annotations

from nodeimpl.gateway.places import Places


class Guest:
    """A connection that notes that it had to leave."""

    def __init__(self, name: str, left: list[str]) -> None:
        self._name, self._left = name, left

    def give_way(self) -> None:
        self._left.append(self._name)


def test_who_is_idle_goes_before_who_asks_and_who_was_waited_for_longest_first() -> None:
    left: list[str] = []
    places = Places()
    for name in ("asks-first", "asks-later"):
        places.sending[Guest(name, left)] = None
    for name in ("idle-first", "idle-later"):
        places.idle[Guest(name, left)] = None
    assert [places.make_room() for _ in range(5)] == [True, True, True, True, False]
    assert left == ["idle-first", "idle-later", "asks-first", "asks-later"]
