"""A bounded memory of verified tokens: checking one again costs a hash instead of a signature."""

from __future__ import annotations

import hashlib

from opkit.wire.base import TimeMs
from opkit.wire.membership import TokenClaims


class VerifiedTokens:
    """Claims of tokens that were verified, by the hash of the token, until they expire.

    `revision` grows before a transaction that ends tokens commits, and again after it did. What
    was verified under an older revision is not remembered, so a verification that ran beside a
    revocation cannot bring an ended token back.
    """

    def __init__(self, *, tokens_max: int) -> None:
        """Remember at most `tokens_max` tokens; the one verified first goes first."""
        assert tokens_max > 0, "a memory of nothing would verify every token every time"
        self.revision = 0
        self._tokens_max = tokens_max
        self._claims: dict[bytes, TokenClaims] = {}

    def get(self, token: str, *, now_ms: TimeMs) -> TokenClaims | None:
        """Return the claims of a token that is remembered and has not expired."""
        key = _key(token)
        claims = self._claims.get(key)
        if claims is None:
            return None
        if now_ms >= claims.expires_at_ms:
            del self._claims[key]
            return None
        return claims

    def put(self, token: str, claims: TokenClaims, *, revision: int) -> None:
        """Remember a token that was verified while `revision` stood."""
        if revision != self.revision:
            return
        if len(self._claims) >= self._tokens_max:
            del self._claims[next(iter(self._claims))]
        self._claims[_key(token)] = claims

    def distrust(self) -> None:
        """Let nothing be remembered that is being verified now. Any thread may call this."""
        self.revision += 1

    def forget_all(self) -> None:
        """Forget every token; each is verified afresh when it comes again."""
        self.revision += 1
        self._claims.clear()


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
