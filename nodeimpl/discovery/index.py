"""An index of the names that stand for services, and of aliases: made of records as they come.

A record is read when somebody asks, not when it comes: a bulk import costs nothing here. What is on
the shelf was verified before, so reading it is all there is to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Protocol

from nodeimpl.discovery.rules import Named
from opkit.proof.names import view_name
from opkit.wire.base import Did, Jws, Slug
from opkit.wire.names import AliasTarget, NameText, NodeTarget
from opkit.wire.records import Carried, Namespace, RecordName

READ_AT_ONCE = 50
"""How many records are read at a stretch: some ten milliseconds."""


class Shelf(Protocol):
    """What is kept of records here, all of which verify."""

    def standing(self, namespace: Namespace, name: RecordName, owner: Did) -> Carried | None:
        """Return what stands of one owner under a name."""


class Index:
    """Names by what they stand for."""

    def __init__(self, shelf: Shelf) -> None:
        """Know no name yet."""
        self._shelf = shelf
        self._reading = asyncio.Lock()
        self._changed: dict[NameText, Did] = {}
        self._named: dict[NameText, Named] = {}
        self._by_type: dict[Slug, set[NameText]] = {}
        self._aliases: set[NameText] = set()

    def changed(self, namespace: Namespace, name: RecordName, owner: Did) -> None:
        """Have a name read again when somebody asks: another record stands there, or none."""
        if namespace == "name":
            self._changed[name] = owner

    async def refresh(self) -> None:
        """Read what has changed, a few at a time: others want to be heard too."""
        async with self._reading:
            while self._changed:
                for name in list(self._changed)[:READ_AT_ONCE]:
                    self._read(name, self._changed.pop(name))
                await asyncio.sleep(0)

    def _read(self, name: NameText, owner: Did) -> None:
        self._forget(name)
        carried = self._shelf.standing("name", name, owner)
        named = None if carried is None else read_named(carried.jws)
        if named is not None:
            self._keep(named)

    def get(self, name: NameText) -> Named | None:
        """Return what a name stands for; None if that is neither service nor alias."""
        return self._named.get(name)

    def services(self, type_: Slug) -> Iterator[Named]:
        """Return the services of a type, or of all if it is empty, in no order."""
        if type_:
            yield from self._all(self._by_type.get(type_, ()))
        else:
            for names in self._by_type.values():
                yield from self._all(names)

    def aliases(self) -> Iterator[Named]:
        """Return all aliases, wherever they lead, in no order."""
        return self._all(self._aliases)

    def _all(self, names: Iterable[NameText]) -> Iterator[Named]:
        return (self._named[name] for name in names)

    def _keep(self, named: Named) -> None:
        self._named[named.name] = named
        if named.leads_to is None:
            self._by_type.setdefault(named.type, set()).add(named.name)
        else:
            self._aliases.add(named.name)

    def _forget(self, name: NameText) -> None:
        named = self._named.pop(name, None)
        if named is None:
            return
        self._aliases.discard(name)
        if named.leads_to is None:
            of_type = self._by_type[named.type]
            of_type.discard(name)
            if not of_type:
                del self._by_type[named.type]


def read_named(record: Jws) -> Named | None:
    """Return what a record of a name, which verifies, says; None if it is no service and no alias.

    A name that stands for a node, was withdrawn, or whose member was revoked, is neither.
    """
    view = view_name(record)
    target = view.target
    if not view.held or target is None or isinstance(target, NodeTarget):
        return None
    if isinstance(target, AliasTarget):
        return Named(
            name=view.name,
            home=view.home,
            lapses_at_ms=view.lapses_at_ms,
            leads_to=target.name,
        )
    return Named(
        name=view.name,
        home=view.home,
        lapses_at_ms=view.lapses_at_ms,
        type=target.type,
        node=target.node,
        capabilities=target.capabilities,
        region=target.region,
    )
