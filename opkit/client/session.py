"""How a client comes by a token: ask for a challenge, look whose it is, sign, get the token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from opkit.client.errors import WrongNode
from opkit.client.retry import PASSING, Patience
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import Did, NetworkId
from opkit.wire.endpoint import Answer, Ask, Endpoint, Scope
from opkit.wire.errors import Busy, Exhausted, Unreachable
from opkit.wire.membership import (
    CHALLENGE,
    LOGIN_TYP,
    TOKEN,
    TOKEN_TTL_MS_MAX,
    AskChallenge,
    AskToken,
    Challenge,
    Login,
    Token,
)

RENEW_AFTER_PERMILLE = 750
"""After which part of its life a token is renewed: well before it lapses, and seldom."""

RENEWS_MAX = 8
"""How often in what is left of its life a token is tried to be renewed, if the node is silent."""

_LATER = (Unreachable, Busy, Exhausted)
"""What hinders a renewal for the moment, while the old token goes on being good."""


class AskOnce(Protocol):
    """Asks one question once, without a token and without repeating it."""

    async def __call__(self, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
        """Return the answer, or raise as a call does."""


class Session:
    """The token of one identity at one node, got when it is first needed, renewed before it lapses.

    Many calls may need a token at once: one of them logs in, the others wait for it. While a token
    that still holds is renewed, nobody else waits. How old a token is, is counted from when it came
    and by this machine's clock alone, so that a node whose clock differs changes nothing.
    """

    def __init__(
        self,
        *,
        url: str,
        node: Did,
        network: NetworkId,
        identity: Identity | None,
        scopes: tuple[Scope, ...] | None,
        patience: Patience,
        now_ms: Callable[[], int],
    ) -> None:
        """Remember who logs in where; nothing is asked yet.

        Args:
            now_ms: the clock by which the age of a token is counted.
        """
        self.url = url
        self.node = node
        self.network = network
        self.identity = identity
        self.scopes = scopes
        self.granted: Token | None = None
        self.token: str | None = None
        self._patience = patience
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._asked: tuple[Scope, ...] = ()
        self._came_ms = 0
        self._life_ms = 0
        self._renew_after_ms = 0

    def adopt(self, token: str) -> None:
        """Use a token that came from elsewhere."""
        self.token = token
        self.granted = None

    async def ensure(self, ask_once: AskOnce, *, instead_of: str | None = None) -> str | None:
        """Return a token, logging in if there is none but `instead_of`; None without an identity.

        One that is to be renewed is, before it lapses: whoever comes first does it.

        Args:
            ask_once: how to ask the node.
            instead_of: a token that the node just rejected.
        """
        if self.identity is None:
            return self.token
        stands = self.token is not None and self.token != instead_of
        if stands and not self._is_due():
            return self.token
        if stands and self._lock.locked() and self._age_ms() < self._life_ms:
            return self.token
        async with self._lock:
            if self.token is None or self.token == instead_of:
                await self._log_in(ask_once, scopes=self.scopes, ttl_ms=TOKEN_TTL_MS_MAX)
            elif self._is_due():
                await self._renew(ask_once)
            return self.token

    async def log_in(
        self, ask_once: AskOnce, *, scopes: tuple[Scope, ...] | None, ttl_ms: int | None
    ) -> Token:
        """Get a new token, whatever stands, and return it."""
        assert self.identity is not None, "only an identity can sign a challenge"
        async with self._lock:
            return await self._log_in(
                ask_once,
                scopes=self.scopes if scopes is None else scopes,
                ttl_ms=TOKEN_TTL_MS_MAX if ttl_ms is None else ttl_ms,
            )

    async def _log_in(
        self, ask_once: AskOnce, *, scopes: tuple[Scope, ...] | None, ttl_ms: int
    ) -> Token:
        """Log in from the first step again if node or store is away: a challenge is used once."""

        async def attempt() -> Token:
            return await self._exchange(ask_once, scopes=scopes or (), ttl_ms=ttl_ms)

        granted = await repeated(attempt, patience=self._patience)
        self._keep(granted, scopes=scopes or (), ttl_ms=ttl_ms)
        return granted

    async def _renew(self, ask_once: AskOnce) -> None:
        """Replace a token that lapses soon by one for as much; while that fails, it goes on.

        Raises:
            Refusal: the node grants none any more, as `_log_in`.
        """
        assert self.granted is not None, "only a token that was granted has an age"
        try:
            granted = await self._exchange(ask_once, scopes=self._asked, ttl_ms=self._life_ms)
        except _LATER:
            if self._age_ms() >= self._life_ms:
                raise
            # Not at every call: a node that is silent would slow all of them down.
            pause_ms = self._life_ms * (1_000 - RENEW_AFTER_PERMILLE) // 1_000 // RENEWS_MAX
            self._renew_after_ms = self._age_ms() + max(1, pause_ms)
        else:
            self._keep(granted, scopes=self._asked, ttl_ms=self._life_ms)

    def _keep(self, granted: Token, *, scopes: tuple[Scope, ...], ttl_ms: int) -> None:
        """Remember a token, and for what it was asked, so that the next one is asked for it too."""
        self.granted = granted
        self.token = granted.token
        self._asked = scopes
        self._came_ms = self._now_ms()
        self._life_ms = ttl_ms
        self._renew_after_ms = ttl_ms * RENEW_AFTER_PERMILLE // 1_000

    def _is_due(self) -> bool:
        """Return whether the token is one that was granted here, and to be renewed by now."""
        return self.granted is not None and self._age_ms() >= self._renew_after_ms

    def _age_ms(self) -> int:
        return self._now_ms() - self._came_ms

    async def _exchange(
        self, ask_once: AskOnce, *, scopes: tuple[Scope, ...], ttl_ms: int
    ) -> Token:
        assert self.identity is not None, "only an identity can sign a challenge"
        challenge: Challenge = await ask_once(CHALLENGE, AskChallenge(did=self.identity.did))
        if challenge.node != self.node or challenge.network != self.network:
            raise WrongNode(
                url=self.url,
                expected=self.node,
                found=challenge.node,
                expected_network=self.network,
                found_network=challenge.network,
            )
        login = Login(
            network=self.network,
            aud=self.node,
            did=self.identity.did,
            challenge=challenge.challenge,
            scopes=scopes,
            ttl_ms=ttl_ms,
        )
        signed = jws.sign(login, typ=LOGIN_TYP, identity=self.identity)
        return await ask_once(TOKEN, AskToken(login=signed))


async def repeated(attempt: Callable[[], Awaitable[Token]], *, patience: Patience) -> Token:
    """Return what `attempt` returns, trying again while the node is silent or its store busy.

    Raises:
        Unreachable, StoreBusy: the last attempt's, once patience is at its end.
    """
    for pause_ms in patience.pauses_ms():
        try:
            return await attempt()
        except PASSING:
            await asyncio.sleep(pause_ms / 1000)
    return await attempt()
