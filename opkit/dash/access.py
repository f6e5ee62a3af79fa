"""Who may see what: two roles, their tokens and passwords, and the cookie that remembers them.

A presenter's pages have kernels; a viewer's have none. Who brings a token in the address gets a
cookie and is sent to the same address without it, so that tokens stay out of histories and logs.
Every request that changes something, and every WebSocket, must come from a page of this server.
Source: ADR 0016.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import nacl.pwhash
from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from nacl.exceptions import InvalidkeyError
from tornado.web import RequestHandler

from opkit.dash.limits import Budget, Limits

TOKEN_BYTES = 24
PASSWORD_CHARS_MAX = 1_024
HASH_MEMORY_BYTES = 33_554_432
HASH_PASSES = 3
"""What one guess costs: argon2id over 32 MiB, some 60 ms of one core."""


class Role(StrEnum):
    """Presenters tell flows and disturb the network; viewers look on."""

    PRESENTER = "presenter"
    VIEWER = "viewer"


class Keys:
    """The token of each role, and a password's hash where one is set."""

    def __init__(
        self,
        *,
        tokens: Mapping[Role, str] | None = None,
        passwords: Mapping[Role, str] | None = None,
        tries_per_min_max: int = Limits.login_tries_per_min_max,
    ) -> None:
        """Make tokens that are not given; passwords are kept as argon2id hashes only."""
        self.tokens: dict[Role, str] = {
            role: (tokens or {}).get(role) or secrets.token_urlsafe(TOKEN_BYTES) for role in Role
        }
        self._hashes = {role: _hash(word) for role, word in (passwords or {}).items() if word}
        self._tries = Budget(per_s=tries_per_min_max / 60, burst=tries_per_min_max)
        self._hashing = asyncio.Semaphore(1)

    @property
    def has_password(self) -> bool:
        """Whether the login page should speak of passwords."""
        return bool(self._hashes)

    def may_try(self) -> bool:
        """Return whether one more secret may be tried now, and count it."""
        return self._tries.spend(now_s=time.monotonic())

    def role_of_token(self, token: str) -> Role | None:
        """Return whose token this is, looking at all of them whichever it is."""
        found = None
        given = token.encode("utf-8", "surrogatepass")
        for role, kept in self.tokens.items():
            if hmac.compare_digest(kept.encode("ascii"), given):
                found = role
        return found

    async def role_of_secret(self, secret: str) -> Role | None:
        """Return whose token or password this is; one password is hashed at a time."""
        role = self.role_of_token(secret)
        if role is not None or not secret or len(secret) > PASSWORD_CHARS_MAX:
            return role
        async with self._hashing:
            for each, kept in self._hashes.items():
                if await asyncio.to_thread(_is_password, kept, secret):
                    return each
        return None


class Sessions:
    """Who has logged in, by the id in their cookie; the one who came first goes first."""

    def __init__(self, *, sessions_max: int) -> None:
        """Begin with nobody."""
        self._sessions_max = sessions_max
        self._roles: dict[str, Role] = {}

    def begin(self, role: Role) -> str:
        """Return the id of a new session."""
        while len(self._roles) >= self._sessions_max:
            del self._roles[next(iter(self._roles))]
        session = secrets.token_urlsafe(TOKEN_BYTES)
        self._roles[session] = role
        return session

    def role_of(self, session: str) -> Role | None:
        """Return whose session this is, unless it has ended."""
        return self._roles.get(session)

    def end(self, session: str) -> None:
        """Have the session end; whoever kept its cookie is a stranger now."""
        self._roles.pop(session, None)


def _hash(password: str) -> bytes:
    return nacl.pwhash.argon2id.str(
        password.encode("utf-8"), opslimit=HASH_PASSES, memlimit=HASH_MEMORY_BYTES
    )


def _is_password(kept: bytes, password: str) -> bool:
    try:
        return nacl.pwhash.verify(kept, password.encode("utf-8", "surrogatepass"))
    except InvalidkeyError:
        return False


class Door(IdentityProvider):
    """Tells a request's role from its cookie or token; Jupyter's handlers ask it too."""

    def __init__(self, *, keys: Keys, limits: Limits, secure: bool, **traits: Any) -> None:
        """Keep the keys. `secure`: browsers come over HTTPS, through a proxy."""
        super().__init__(token="", **traits)
        self._keys = keys
        self._session_ms = limits.session_ms
        self._sessions = Sessions(sessions_max=limits.sessions_max)
        self._secure = secure

    async def get_user(self, handler: RequestHandler) -> User | None:
        """Return who asks; a token in the address is remembered in a cookie.

        A presenter who opens a viewer's address stays a presenter.
        """
        known = self._role_of_cookie(handler)
        brought = self._role_of_request(handler)
        role = Role.PRESENTER if Role.PRESENTER in (known, brought) else brought or known
        if role is None:
            return None
        if role is not known and handler.request.method == "GET" and "token" in _query(handler):
            self.let_in(handler, role)
        return User(username=role.value, name=role.value, display_name=role.value)

    def _role_of_request(self, handler: RequestHandler) -> Role | None:
        """Return the role of a token in the address or in the `Authorization` header."""
        token = handler.get_query_argument("token", "")
        kind, _, value = handler.request.headers.get("Authorization", "").partition(" ")
        if not token and kind.lower() in ("token", "bearer"):
            token = value.strip()
        return self._keys.role_of_token(token) if token else None

    def _role_of_cookie(self, handler: RequestHandler) -> Role | None:
        return self._sessions.role_of(self.session_of(handler))

    def session_of(self, handler: RequestHandler) -> str:
        """Return the id of the session that a browser's cookie names; empty if it names none."""
        kept = handler.get_signed_cookie(
            self.get_cookie_name(handler), max_age_days=self._session_ms / 86_400_000
        )
        return "" if kept is None else kept.decode("utf-8", "replace")

    def get_cookie_name(self, handler: RequestHandler) -> str:
        """Return the cookie's name: two servers on one machine do not share it."""
        return str(handler.settings["opkit_cookie"])

    def let_in(self, handler: RequestHandler, role: Role) -> None:
        """Begin a session, and give the browser a signed cookie for this server's pages only."""
        self._sessions.end(self.session_of(handler))
        handler.set_signed_cookie(
            self.get_cookie_name(handler),
            self._sessions.begin(role),
            expires_days=None,
            path=str(handler.settings["base_url"]),
            httponly=True,
            samesite="Lax",
            secure=self._secure,
        )

    def let_out(self, handler: RequestHandler) -> str:
        """End the browser's session and forget its cookie; return the id of what ended."""
        session = self.session_of(handler)
        self._sessions.end(session)
        handler.clear_cookie(self.get_cookie_name(handler), path=str(handler.settings["base_url"]))
        return session

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Return no, always: a token does not excuse a request from the check of its origin."""
        return False

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return none: this server has a login page of its own."""
        return []

    @property
    def auth_enabled(self) -> bool:
        """Whether anybody must log in: always."""
        return True


def _query(handler: RequestHandler) -> Mapping[str, Any]:
    return handler.request.query_arguments


class PresentersOnly(Authorizer):
    """What Jupyter's own handlers do (kernels, their channels) is for presenters."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Return whether the request comes from a presenter."""
        return user is not None and user.username == Role.PRESENTER.value


def from_here(handler: RequestHandler, *, public_origin: str) -> bool:
    """Return whether a request that changes something comes from a page of this server.

    Browsers name the origin of each such request and of each WebSocket. Programs that are no
    browser name none; they hold no cookie that somebody else's page could make use of.

    Args:
        handler: the request.
        public_origin: where a reverse proxy shows this server (`https://host`), or empty.

    Source: OWASP, Cross-Site Request Forgery Prevention, "Verifying Origin With Standard Headers".
    """
    headers = handler.request.headers
    origin = headers.get("Origin")
    if origin is None:
        return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
    if public_origin and origin.lower() == public_origin.lower():
        return True
    return urlsplit(origin.lower()).netloc == headers.get("Host", "").lower()


def is_called_rightly(host: str, *, listening: str, public_origin: str) -> bool:
    """Return whether a `Host` header names this server in a way that nobody else can make up.

    A web page whose own name was pointed here would be taken for one of ours by its browser. An
    address cannot be pointed anywhere, a name of this machine cannot either, and the public name
    is the proxy's.

    Args:
        host: the header.
        listening: what the server was told to listen on.
        public_origin: where a reverse proxy shows this server (`https://host`), or empty.

    Source: RFC 6761, section 6.3; RFC 9110, section 7.4.
    """
    name = _name_of(host)
    if name in ("localhost", listening.lower()) or name.endswith(".localhost"):
        return bool(name)
    if public_origin and name == _name_of(urlsplit(public_origin).netloc):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """Return a host without its port, brackets and capitals; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
