"""What a judgement comes to, for tables of cases: each names its refusal with all that it says."""

from __future__ import annotations

from collections.abc import Callable

from opkit.wire.errors import Refusal


def judged(judgement: Callable[[], object], *, refusal: Refusal | None) -> None:
    """Have a judgement made, and see that it refuses with just this: its class and every field."""
    found = None
    try:
        judgement()
    except Refusal as no:
        found = no
    assert repr(found) == repr(refusal)
