"""What a node answered with, as a list that knows what it is a list of, even when it is empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, overload

from opkit.views.reprdesk import nothing_html
from opkit.views.reprs import html_of, journal_html
from opkit.views.sentences import Names
from opkit.wire.events import JournalEntry

T = TypeVar("T")


class Listing(Sequence[T]):
    """Values of one kind. Empty, it says that there is nothing, and how to change it."""

    def __init__(
        self, kind: type[T], values: Iterable[T], *, nothing: str, what_to_do: str
    ) -> None:
        """Keep these values.

        Args:
            kind: the type of each.
            values: in their order.
            nothing: said where there is none: `No task yet.`
            what_to_do: how to change that.
        """
        self.kind = kind
        self._values = tuple(values)
        self._nothing = nothing
        self._what_to_do = what_to_do

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(list(self._values))

    def _repr_html_(self) -> str | None:
        return html_of(self._values) if self else nothing_html(self._nothing, self._what_to_do)


class Journal(Listing[JournalEntry]):
    """The last entries of one node's journal, told as sentences."""

    def __init__(self, org: str, entries: Iterable[JournalEntry], *, names: Names) -> None:
        """Keep entries of the journal of this organisation's node, oldest first."""
        super().__init__(
            JournalEntry,
            entries,
            nothing="No such entry in this journal.",
            what_to_do="Ask without a type for everything that happened here.",
        )
        self._org = org
        self._names = names

    def _repr_html_(self) -> str | None:
        if not self:
            return super()._repr_html_()
        return journal_html(self._values, org=self._org, names=self._names)
