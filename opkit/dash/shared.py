"""What every handler of one console server shares: keys, limits, live state, who is here now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tornado.web import RequestHandler

from opkit.dash.access import Keys, Role
from opkit.dash.home import HOME, HomePage
from opkit.dash.limits import Limits
from opkit.dash.pages import Site
from opkit.live.ports import Page
from opkit.live.session import Cards, Changes

SETTING = "opkit_shared"


@dataclass(eq=False, kw_only=True)
class Shared:
    """One server's shared state.

    Attributes:
        live: what viewers' pages are drawn from; one for all of them.
        make_page: returns a new page by its name, for one viewer.
        invitation: the viewers' address with its token.
        public_origin: where a reverse proxy shows this server, or empty.
        viewers: the sockets of viewers that are connected.
        channels: presenters' connections to kernels, each with the kernel's id.
        opening: how many presenters' pages have no kernel yet.
        taken: the kernels of presenters' pages; those that have ended are taken out in time.
        ending: the kernels that are being ended: a page that is left says so twice.
    """

    site: Site
    keys: Keys
    limits: Limits
    live: Changes
    make_page: Callable[[str], Page]
    page_names: tuple[str, ...]
    invitation: str = ""
    public_origin: str = ""
    viewers: set[Any] = field(default_factory=set)
    channels: dict[Any, str] = field(default_factory=dict)
    opening: int = 0
    taken: set[str] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Return whether there is a page of this name."""
        return name == HOME or name in self.page_names

    def page(self, name: str) -> Page:
        """Return a new page, for one viewer."""
        return HomePage(self.make_page("network")) if name == HOME else self.make_page(name)

    def first_cards(self, name: str) -> tuple[str, dict[str, str]]:
        """Return a page's frame and its cards as they are now."""
        patch = Cards(self.page(name)).patch()
        assert patch is not None, "a page that was never sent is sent whole"
        return str(patch["frame"]), {str(card): str(html) for card, html in patch["cards"]}


def shared_of(handler: RequestHandler) -> Shared:
    """Return what is shared at the server that a handler belongs to."""
    shared = handler.settings[SETTING]
    assert isinstance(shared, Shared)
    return shared


def role_of(handler: RequestHandler) -> Role | None:
    """Return the role of who asks, once the handler is prepared."""
    user = handler.current_user
    return None if user is None else Role(user.username)
