"""The pages that are no dashboard: landing, login, a viewer's frame, and what cannot be shown.

Pure functions from values to markup; the look is that of `opkit.views`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from opkit.views.header import bar
from opkit.views.nav import PAGES

VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""What a page without Jupyter's scripts may do. Inline styles place things; they run nothing."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts whose addresses lead other machines to themselves."""

LIVE = ("first.js", "board.js")
"""The scripts of a page with a live part."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where things are: `base` is the path of this server, with a slash at both ends."""

    base: str
    network: str
    version: str

    def asset(self, name: str) -> str:
        """Return the address of a file of ours; it changes when the file does."""
        return f"{self.base}assets/{self.version}/{name}"

    def page(self, name: str) -> str:
        """Return the address of a presenter's page."""
        return f"{self.base}{name}"

    def watch(self, name: str) -> str:
        """Return the address of a viewer's page."""
        return f"{self.base}watch/{name}"

    def bar(self, *, current: str = "", viewer: bool) -> str:
        """Return the bar on top, whose navigation leads to pages of the same role."""
        return bar(
            self.network,
            current=current,
            home=self.base,
            address=self.watch if viewer else self.page,
        )


def document(site: Site, *, title: str, body: str, scripts: Sequence[str] = ()) -> str:
    """Return a whole page of ours; `body` is markup already."""
    loaded = "".join(
        f'<script type="module" src="{site.asset(name)}"></script>' for name in scripts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)} · opkit</title>"
        f'<link rel="icon" href="{site.asset("icon.svg")}">'
        f'<script src="{site.asset("theme.js")}"></script>'
        f'<link rel="stylesheet" href="{site.asset("opkit.css")}">'
        f"</head>\n<body>{body}{loaded}</body></html>\n"
    )


def watch(site: Site, *, name: str, title: str, first: str, health: str) -> str:
    """Return a viewer's page: what stands now, and the script that keeps it so.

    Args:
        site: where things are.
        name: the page's name.
        title: the page's title.
        first: the page as it is now, as markup.
        health: the network's health, for the bar.
    """
    top = fill(site.bar(current=name, viewer=True), {"health": health})
    body = f"{top}<main>{live(site, name=name, first=first)}</main>"
    return document(site, title=title, body=body, scripts=LIVE)


def live(site: Site, *, name: str, first: str) -> str:
    """Return a page as it is now, and beside it, hidden, the board that takes its place."""
    return (
        f'<div id="first" class="opkit" inert>{first}</div>'
        f'<div id="board" data-board="{site.watch(name)}/ws" hidden></div>'
    )


def fill(frame: str, cards: dict[str, str]) -> str:
    """Return a frame with each card's markup in the empty element that waits for it."""
    for name, html in cards.items():
        before, mark, after = frame.partition(f'data-card="{escape(name)}"')
        if mark:
            tag, close, rest = after.partition(">")
            frame = f"{before}{mark}{tag}{close}{html}{rest}"
    return frame


def broken_off(site: Site) -> str:
    """Return what ends a page whose kernel failed after the page had begun: it is not live."""
    return f'<i data-failed></i><script type="module" src="{site.asset("first.js")}"></script>'


def landing(site: Site, *, viewer: bool, state: str, health: str, invitation: str) -> str:
    """Return the landing page: what each page answers, how the network is, whom to invite.

    Args:
        site: where things are.
        viewer: whether whoever looks may only look.
        state: how the network is, as markup.
        health: the same in short, for the bar.
        invitation: the viewers' address with its token, for presenters; empty for none.
    """
    address: Callable[[str], str] = site.watch if viewer else site.page
    cards = "".join(
        f'<a class="card door" href="{escape(address(each.name))}"><b>{escape(each.title)}</b>'
        f"<p>{escape(each.question)}</p></a>"
        for each in PAGES
    )
    invite = "" if viewer or not invitation else _invitation(invitation)
    top = fill(site.bar(viewer=viewer), {"health": health})
    body = (
        f'{top}<main class="opkit landing"><h1>What would you like to see?</h1>'
        f'<div class="doors">{cards}</div><h2>How is the network?</h2>'
        f"<div>{state}</div>{invite}{_leave(site)}</main>"
    )
    return document(site, title=site.network, body=body, scripts=LIVE)


def _invitation(address: str) -> str:
    here = (
        '<p class="soft">It opens on this machine alone. For other screens in the room: '
        "<code>opkit dash --host ADDRESS</code>, or a reverse proxy.</p>"
        if urlsplit(address).hostname in LOOPBACK
        else ""
    )
    return (
        '<section class="card"><h2>Who may look on?</h2>'
        "<p>Whoever has this address sees every page, live, and can change nothing.</p>"
        f'<p><code id="invitation">{escape(address)}</code></p>{here}'
        f'<button class="act" type="button" data-copy="{escape(address)}">'
        "Copy the viewers' address</button></section>"
    )


def _leave(site: Site) -> str:
    return (
        f'<form method="post" action="{site.base}logout">'
        '<button class="act quiet" type="submit">Log out of this browser</button></form>'
    )


def login(site: Site, *, after: str, passwords: bool, problem: str = "") -> str:
    """Return the login page. `after`: the path to go to; `problem`: what was wrong before."""
    what = "Token or password" if passwords else "Token"
    said = f'<p class="pill t-failed" role="alert">{escape(problem)}</p>' if problem else ""
    body = (
        '<main class="opkit landing narrow"><section class="card"><h1>opkit</h1>'
        f"<p>The console of {escape(site.network)}. The address with a token was printed where "
        f"<code>opkit dash</code> was started.</p>{said}"
        f'<form method="post" action="{site.base}login">'
        f'<input type="hidden" name="next" value="{escape(after)}">'
        f'<label for="secret">{what}</label>'
        '<input id="secret" name="secret" type="password" autocomplete="current-password" '
        'required autofocus maxlength="1024">'
        '<button class="act" type="submit">Enter</button></form></section></main>'
    )
    return document(site, title="Log in", body=body)


def notice(site: Site, *, title: str, text: str, links: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page that says what is wrong and where to go; links are pairs of words, address."""
    buttons = "".join(
        f'<a class="act" href="{escape(address)}">{escape(words)}</a>' for words, address in links
    )
    body = (
        '<main class="opkit landing narrow"><section class="card">'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p>{buttons}</section></main>"
    )
    return document(site, title=title, body=body)
