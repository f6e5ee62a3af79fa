"""Who may ask a supervisor for what: tokens with rights, and the owner's, which has all of them.

The owner's token lies beside the socket, for the owner alone. Whoever may read it grants others a
token with fewer rights, for a time: a dashboard's kernel holds one that reads, and one that leads
a telling, but never a key. Tokens are kept as hashes, and forgotten when the supervisor ends.
Source: ADR 0017.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from devnet.state import DevnetError
from opkit import home

TOKEN_BYTES = 32
GRANTS_MAX = 256
TTL_MS_MIN = 1_000
TTL_MS_MAX = 7 * 86_400_000
WRONG_PAUSE_MS = 100
"""Wrong tokens are answered one after another, each this late: ten guesses a second in all."""


class Right(StrEnum):
    """What a token may be used for.

    `READ`: see the network's state, and get tokens that read from its nodes. `TELL`: lead a
    telling. `CHAOS`: kill, cut, restart, heal, hostile peers. `OWN`: all of these, moving time,
    ending the network, and granting.
    """

    READ = "read"
    TELL = "tell"
    CHAOS = "chaos"
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What stands behind a token. `ends` is a monotonic time in seconds; None: never.

    `number` tells one grant from another where the token itself must not be said.
    """

    number: int
    rights: frozenset[Right]
    ends: float | None = None

    def allows(self, right: Right) -> bool:
        """Return whether a command that needs `right` may be asked for."""
        return right in self.rights or Right.OWN in self.rights

    def ended(self, now: float) -> bool:
        """Return whether its time is over."""
        return self.ends is not None and self.ends <= now


class Grants:
    """All tokens of one supervisor, by their hashes."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        """Make the owner's token. `now` is a monotonic clock in seconds."""
        self._now = now
        self._made = 0
        self._grants: dict[bytes, Grant] = {}
        self._wrong = asyncio.Lock()
        self.owner = self._make(frozenset({Right.OWN}), ends=None)

    def grant(self, rights: Iterable[str], *, ttl_ms: int) -> str:
        """Return a new token with these rights that ends after `ttl_ms`.

        Raises:
            DevnetError: a right is unknown or there is none, the time is out of bounds, or too
                many tokens are about.
        """
        known = [right.value for right in Right]
        wanted = frozenset(rights)
        if not wanted or not wanted <= set(known):
            raise DevnetError("a token has one right or more", hint=f"rights: {', '.join(known)}")
        if not TTL_MS_MIN <= ttl_ms <= TTL_MS_MAX:
            raise DevnetError(f"a token lasts {TTL_MS_MIN} to {TTL_MS_MAX} ms")
        self._forget_ended()
        if len(self._grants) >= GRANTS_MAX:
            raise DevnetError(
                f"at most {GRANTS_MAX} tokens at once", hint="revoke one, or let one end"
            )
        rights_asked = frozenset(Right(right) for right in wanted)
        return self._make(rights_asked, ends=self._now() + ttl_ms / 1000)

    def revoke(self, token: str) -> None:
        """Forget a token; one that is not known stays so. The owner's stays."""
        digest = _digest(token)
        if token and digest != _digest(self.owner):
            self._grants.pop(digest, None)

    async def admit(self, token: object, *, do: str, right: Right | None) -> Grant:
        """Return the grant behind a token that may be used for the command `do`.

        Args:
            token: what came with the ask.
            do: the command, for the words of a refusal.
            right: what the command needs; None: any token will do.

        Raises:
            DevnetError: there is no such token, or it lacks the right.
        """
        grant = self._find(token)
        if grant is None:
            async with self._wrong:
                await asyncio.sleep(WRONG_PAUSE_MS / 1000)
            raise DevnetError(
                "this token is not known here, or has ended" if token else "an ask needs a token",
                hint="the owner's lies beside the socket, in control.token",
            )
        if right is not None and not grant.allows(right):
            raise DevnetError(
                f"this token may not {do}", hint=f"it lacks the right {right.value!r}"
            )
        return grant

    def _make(self, rights: frozenset[Right], *, ends: float | None) -> str:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._made += 1
        self._grants[_digest(token)] = Grant(number=self._made, rights=rights, ends=ends)
        return token

    def _find(self, token: object) -> Grant | None:
        """Return the grant of a token, looking at all of them whichever it is."""
        if not isinstance(token, str):
            return None
        digest, found = _digest(token), None
        for kept, grant in self._grants.items():
            if hmac.compare_digest(kept, digest):
                found = grant
        return None if found is None or found.ended(self._now()) else found

    def _forget_ended(self) -> None:
        now = self._now()
        for digest in [digest for digest, grant in self._grants.items() if grant.ended(now)]:
            del self._grants[digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def token_file(socket: Path) -> Path:
    """Return where the owner's token lies: beside the socket."""
    return socket.with_name("control.token")


def keep_owner_token(socket: Path, token: str) -> None:
    """Write the owner's token, for the owner alone."""
    home.write_private(token_file(socket), token.encode("ascii"))


def read_owner_token(socket: Path) -> str:
    """Return the owner's token of the supervisor at `socket`; empty if none lies there.

    What is asked without a token is refused by the supervisor itself, with a hint.
    """
    try:
        return token_file(socket).read_text("ascii")
    except FileNotFoundError:
        return ""
