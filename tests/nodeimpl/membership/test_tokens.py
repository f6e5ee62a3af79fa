"""The memory of verified tokens: until expiry, within its bound, and never past a revocation."""

from __future__ import annotations

from nodeimpl.membership.tokens import Bearer, VerifiedTokens
from opkit.proof.keys import Identity

ANA = Bearer(
    member_id="mill/ana",
    did=Identity.generate().did,
    scopes=frozenset(),
    token_id="0" * 32,
    expires_at_ms=100,
)


def test_a_token_is_remembered_strictly_until_it_expires() -> None:
    tokens = VerifiedTokens(tokens_max=1)
    tokens.put("token", ANA, revision=tokens.revision)

    assert tokens.get("token", now_ms=99) == ANA
    assert tokens.get("token", now_ms=100) is None
    assert tokens.get("token", now_ms=99) is None, "it was forgotten"


def test_what_was_verified_before_a_revocation_is_not_remembered_after_it() -> None:
    tokens = VerifiedTokens(tokens_max=1)
    before = tokens.revision

    tokens.distrust()
    tokens.put("token", ANA, revision=before)

    assert tokens.get("token", now_ms=0) is None


def test_a_revocation_forgets_every_token() -> None:
    tokens = VerifiedTokens(tokens_max=1)
    tokens.put("token", ANA, revision=tokens.revision)

    tokens.forget_all()

    assert tokens.get("token", now_ms=0) is None
