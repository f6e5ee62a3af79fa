"""A bounded memory of verified tokens: checking one again costs a hash instead of a signature."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nodeimpl.kernel.binding import Caller
from opkit.wire.base import Did, MemberId, TimeMs
from opkit.wire.endpoint import Scope
from opkit.wire.membership import TokenClaims


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who bears a verified token, and until when."""

    member_id: MemberId
    did: Did
    scopes: frozenset[Scope]
    token_id: str
    expires_at_ms: TimeMs

    @classmethod
    def of(cls, claims: TokenClaims) -> Bearer:
        """Return the bearer that verified claims name."""
        return cls(
            member_id=claims.member_id,
            did=claims.did,
            scopes=frozenset(claims.scopes),
            token_id=claims.token_id,
            expires_at_ms=claims.expires_at_ms,
        )

    def calling_from(self, address: str) -> Caller:
        """Return the bearer as the caller of one ask."""
        return Caller(
            member_id=self.member_id,
            did=self.did,
            scopes=self.scopes,
            address=address,
            token_id=self.token_id,
        )


class VerifiedTokens:
    """Bearers of tokens that were verified, by the hash of the token, until they expire.

    `revision` grows before a transaction that ends tokens commits, and again after it did. What
    was verified under an older revision is not remembered, so a verification that ran beside a
    revocation cannot bring an ended token back.
    """

    def __init__(self, *, tokens_max: int) -> None:
        """Remember at most `tokens_max` tokens; the one verified first goes first."""
        assert tokens_max > 0, "a memory of nothing would verify every token every time"
        self.revision = 0
        self._tokens_max = tokens_max
        self._bearers: dict[bytes, Bearer] = {}

    def get(self, token: str, *, now_ms: TimeMs) -> Bearer | None:
        """Return the bearer of a token that is remembered and has not expired."""
        key = _key(token)
        bearer = self._bearers.get(key)
        if bearer is None:
            return None
        if now_ms >= bearer.expires_at_ms:
            del self._bearers[key]
            return None
        return bearer

    def put(self, token: str, bearer: Bearer, *, revision: int) -> None:
        """Remember a token that was verified while `revision` stood."""
        if revision != self.revision:
            return
        if len(self._bearers) >= self._tokens_max:
            del self._bearers[next(iter(self._bearers))]
        self._bearers[_key(token)] = bearer

    def distrust(self) -> None:
        """Let nothing be remembered that is being verified now. Any thread may call this."""
        self.revision += 1

    def forget_all(self) -> None:
        """Forget every token; each is verified afresh when it comes again."""
        self.revision += 1
        self._bearers.clear()


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
