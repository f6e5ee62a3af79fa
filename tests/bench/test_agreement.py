"""How soon an agreement is in force on all who keep it is measured on real nodes."""

from __future__ import annotations

import pytest

from bench.agreement import agreement
from bench.rows import QUICK


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.timeout(300)
def test_a_quick_measurement_of_agreements_has_a_figure_in_every_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(QUICK, "1")
    rows = agreement()
    assert len(rows) == 2
    assert all(row.n and row.high >= row.low > 0 for row in rows)
