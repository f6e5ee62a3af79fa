"""What a judgement comes to, for tables of cases: each names its refusal with all that it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from opkit.wire.errors import Refusal


def judged(judgement: Callable[[], object], *, refusal: Refusal | None) -> None:
    """Have a judgement made, and see that it refuses with just this: its class and every field."""
    found = None
    try:
        judgement()
    except Refusal as no:
        found = no
    assert repr(found) == repr(refusal)


@contextmanager
def refused(leaf: type[Refusal], **details: Any) -> Iterator[None]:
    """Expect exactly this refusal, with exactly these fields."""
    with pytest.raises(leaf) as no:
        yield
    assert (type(no.value), no.value.details()) == (leaf, details)
