"""How a client comes by a token: ask for a challenge, look whose it is, sign, get the token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from opkit.client.errors import WrongNode
from opkit.client.retry import Patience
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import Did, NetworkId
from opkit.wire.endpoint import Answer, Ask, Endpoint, Scope
from opkit.wire.errors import Unreachable
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


class AskOnce(Protocol):
    """Asks one question once, without a token and without repeating it."""

    async def __call__(self, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
        """Return the answer, or raise as a call does."""


class Session:
    """The token of one identity at one node, got when it is first needed and renewed when it ends.

    Many calls may need a token at once: one of them logs in, the others wait for it.
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
    ) -> None:
        """Remember who logs in where; nothing is asked yet."""
        self.url = url
        self.node = node
        self.network = network
        self.identity = identity
        self.scopes = scopes
        self.granted: Token | None = None
        self.token: str | None = None
        self._patience = patience
        self._lock = asyncio.Lock()

    def adopt(self, token: str) -> None:
        """Use a token that came from elsewhere."""
        self.token = token
        self.granted = None

    async def ensure(self, ask_once: AskOnce, *, instead_of: str | None = None) -> str | None:
        """Return a token, logging in if there is none but `instead_of`; None without an identity.

        Args:
            ask_once: how to ask the node.
            instead_of: a token that the node just rejected.
        """
        if self.identity is None or (self.token is not None and self.token != instead_of):
            return self.token
        async with self._lock:
            if self.token is None or self.token == instead_of:
                await self._log_in(ask_once, scopes=self.scopes, ttl_ms=TOKEN_TTL_MS_MAX)
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
        """Log in from the first step again if the node falls silent: a challenge is used once."""

        async def attempt() -> Token:
            return await self._exchange(ask_once, scopes=scopes or (), ttl_ms=ttl_ms)

        granted = await repeated(attempt, patience=self._patience)
        self.granted = granted
        self.token = granted.token
        return granted

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
    """Return what `attempt` returns, trying again while the node is silent.

    Raises:
        Unreachable: the last attempt's, once patience is at its end.
    """
    for pause_ms in patience.pauses_ms():
        try:
            return await attempt()
        except Unreachable:
            await asyncio.sleep(pause_ms / 1000)
    return await attempt()
