"""Named things that a notebook finds by typing: `net.nodes.har<Tab>`, `net.nodes["har<Tab>"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from opkit.views.reprs import shelf_html

T = TypeVar("T")


class Shelf(Mapping[str, T], Generic[T]):
    """Things by name: as items, as attributes, and by any beginning that fits only one of them.

    An attribute's name is the item's with `_` for what Python names cannot hold.
    """

    def __init__(
        self,
        things: Mapping[str, T],
        *,
        noun: str,
        short: Callable[[str], str] = str,
        about: Callable[[T], str] = str,
    ) -> None:
        """Keep the things in their order.

        Args:
            things: by name.
            noun: what one of them is called, for refusals.
            short: the part of a name that people type, if that is unique among the things.
            about: says in a few words what a thing is.
        """
        self._things = dict(things)
        self._noun = noun
        self._about = about
        self._aliases = _aliases(list(things), short)

    def __getitem__(self, name: str) -> T:
        """Return a thing by its name, its short name, or a beginning that fits no other."""
        if name in self._things:
            return self._things[name]
        typed = _as_attribute(name)
        if typed in self._aliases:
            return self._things[self._aliases[typed]]
        fitting = [whole for alias, whole in self._aliases.items() if alias.startswith(typed)]
        if len(fitting) == 1:
            return self._things[fitting[0]]
        problem = "several" if fitting else "no"
        known = ", ".join(fitting or self._things)
        raise KeyError(f"{problem} {self._noun} by the name {name!r}; there is: {known}")

    def __getattr__(self, name: str) -> T:
        """Return a thing by the attribute that completes to it."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as unknown:
            raise AttributeError(str(unknown.args[0])) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def typed(self) -> list[tuple[str, T]]:
        """Return each thing with the attribute that it completes to, in their order."""
        return [(alias, self._things[name]) for alias, name in self._aliases.items()]

    def __dir__(self) -> list[str]:
        return [*self._aliases]

    def _ipython_key_completions_(self) -> list[str]:
        """Return what IPython offers inside the brackets."""
        return list(self._things)

    def __repr__(self) -> str:
        return f"<{len(self)} by name: {', '.join(self._aliases)}>"

    def _repr_html_(self) -> str:
        """Return one row for each thing, with what to type for it."""
        rows = [(alias, self._about(thing)) for alias, thing in self.typed()]
        return shelf_html(rows, noun=self._noun)


def _aliases(names: list[str], short: Callable[[str], str]) -> dict[str, str]:
    """Return names by attribute: short where that is unique, else whole."""
    shorts = [_as_attribute(short(name)) for name in names]
    return {
        one if shorts.count(one) == 1 else _as_attribute(name): name
        for name, one in zip(names, shorts, strict=True)
    }


def _as_attribute(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
