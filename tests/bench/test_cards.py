"""What a card takes to be resolved is measured on nodes that have it not."""

from __future__ import annotations

import pytest

from bench.cards import cards
from bench.rows import QUICK


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_a_quick_measurement_of_cards_has_a_figure_in_every_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(QUICK, "1")
    rows = cards()
    assert len(rows) == 3
    assert all(row.n and row.high >= row.low >= 0 for row in rows)
