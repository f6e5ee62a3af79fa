"""An author's first operation, signed as any home would, for tests in which it is a lie or late."""

from __future__ import annotations

from typing import Any

from opkit.proof.keys import Identity
from opkit.proof.operations import ReadOperation, sign_operation
from opkit.wire.operations import Act, Operation


def first_operation(author: Identity, act: Act, *, at_ms: int, **said: Any) -> ReadOperation:
    """Return an operation that begins its author's story; what else it says is told by name."""
    about: dict[str, Any] = {"network": "a" * 26, "aud": "pool/tools", "tick": 0, **said}
    operation = Operation(
        did=author.did,
        epoch=0,
        base=None,
        sequence=1,
        previous=None,
        time_ms=at_ms,
        act=act,
        **about,
    )
    return sign_operation(operation, author)
