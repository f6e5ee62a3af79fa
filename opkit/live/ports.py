"""What live state needs of the world outside, and what a page promises to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from opkit.proof.genesis import GenesisView
from opkit.wire.base import Did, NetworkId


@dataclass(frozen=True, kw_only=True)
class NodeAt:
    """A node and where it listens now; `url` is empty while that is not known."""

    org: str
    title: str
    did: Did
    url: str


class ControlRefused(Exception):
    """The supervisor said no, or does not answer; `hint` says what to do."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Keep what is wrong, and what to do."""
        super().__init__(why)
        self.hint = hint


class Source(Protocol):
    """A network to follow. It holds no key: tokens for reading are given to it."""

    @property
    def name(self) -> str:
        """What people call the network."""

    @property
    def network(self) -> NetworkId:
        """The network's id."""

    @property
    def genesis(self) -> GenesisView:
        """Where trust starts, as this machine keeps it."""

    @property
    def may_act(self) -> bool:
        """Whether `ask` may tell flows and disturb the network, or only read."""

    async def nodes(self) -> tuple[NodeAt, ...]:
        """Return the nodes and where they listen now; asked again when one is silent.

        Raises:
            ControlRefused: the supervisor does not answer.
        """

    async def token(self, org: str, *, instead_of: str | None = None) -> str:
        """Return a token for reading from a node; a new one if that in hand has ended.

        Raises:
            ControlRefused: there is none to be had.
        """

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the supervisor's answer to one command.

        Raises:
            ControlRefused: it said no, or does not answer.
        """

    async def close(self) -> None:
        """Let go of what is held open."""


class PageRefused(Exception):
    """A page does not do what was asked of it; the text is for whoever clicked."""


Draw = Callable[[], str]
"""Draws one card from what stands now."""


class Page(Protocol):
    """One page of the console, for one viewer: what is selected on it belongs to that viewer.

    `frame` is the markup around the cards, with an empty element `data-card="<id>"` for each.
    """

    name: str
    title: str

    def frame(self) -> str:
        """Return the markup that stays, drawn once."""

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card, by the card's id. A card that fails breaks alone."""

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Do what a control of this page asks for; what changes shows in the cards.

        Raises:
            PageRefused: it is unknown or cannot be done; shown to whoever clicked.
        """
