"""Who gets in: rate, token, scope, in the order that the contract declares."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.rates import Buckets
from nodeimpl.gateway.request import TOKEN_CHARACTERS_MAX, Head
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.membership.service import Membership
from opkit.wire.base import TimeMs
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import RateExceeded, ScopeMissing, TokenMissing, TokenRejected


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks, which state of membership said so, and until when their token is good."""

    caller: Caller | None
    revision: int
    expires_at_ms: TimeMs = 0


class Admission:
    """One node's admission: rates by address and by member, tokens, scopes."""

    def __init__(self, *, membership: Membership, clock: Clock, limits: GatewayLimits) -> None:
        """Begin with nobody known."""
        self._membership = membership
        self._clock = clock
        self._addresses = Buckets(limits.address_rate, keys_max=limits.rated_max)
        self._principals = Buckets(limits.principal_rate, keys_max=limits.rated_max)
        self._open = Buckets(limits.open_rate, keys_max=limits.rated_max)
        self._fresh = Buckets(limits.fresh_rate, keys_max=limits.rated_max)
        self._beside = Buckets(limits.beside_rate, keys_max=limits.rated_max)

    async def admit(self, head: Head, scope: Scope | None, *, costs: bool = False) -> Admitted:
        """Return who asks.

        Args:
            head: the request's headers.
            scope: what the endpoint needs; None admits anybody.
            costs: whether an endpoint without a scope makes the node sign or verify.

        Refuses, in this order:
            RateExceeded: the address, or the member, asks too fast, or brings too many tokens that
                were not seen before: each costs a signature to look at.
            TokenMissing: there is no token.
            TokenRejected: it is none of this node's, or it has ended.
            ScopeMissing: it is good for other things.
        """
        now_ms = self._clock.now_ms()
        self._take(self._addresses, head.address, now_ms=now_ms)
        revision = self._membership.revision
        if scope is None:
            if costs:
                self._take(self._open, head.address, now_ms=now_ms)
            return Admitted(None, revision)
        token = bearer(head.authorization)
        known = self._membership.recall(token, now_ms=now_ms)
        if known is None:
            self._take(self._fresh, head.address, now_ms=now_ms)
            known = await self._membership.verify(token, now_ms=now_ms)
        self._take(self._principals, known.member_id, now_ms=now_ms)
        if scope not in known.scopes:
            raise ScopeMissing(needs=scope, has=sorted(known.scopes))
        return Admitted(known.calling_from(head.address), revision, known.expires_at_ms)

    def admit_beside(self, head: Head, *, costs: bool) -> None:
        """Let somebody ask for what is no endpoint: metrics, the schema, or nothing that there is.

        Refuses, in this order:
            RateExceeded: the address asks too fast.
        """
        now_ms = self._clock.now_ms()
        self._take(self._addresses, head.address, now_ms=now_ms)
        if costs:
            self._take(self._beside, head.address, now_ms=now_ms)

    def _take(self, buckets: Buckets, key: str, *, now_ms: int) -> None:
        retry_after_ms = buckets.take(key, now_ms=now_ms)
        if retry_after_ms:
            raise RateExceeded(retry_after_ms=retry_after_ms)


def bearer(authorization: bytes | None) -> str:
    """Return the token of an `Authorization` header. Source: RFC 6750, section 2.1.

    Refuses, in this order:
        TokenMissing: there is no such header.
        TokenRejected: it carries something else, or what cannot be a token.
    """
    if authorization is None:
        raise TokenMissing()
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise TokenRejected(why="it is no bearer token")
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise TokenRejected(why="it is longer than a token is")
    return token
