"""How a run ended: what a worker finds, the sandbox judges, and a receipt carries."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.compute import Outcome


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended. `output` is empty unless the outcome is `ok`."""

    outcome: Outcome
    reason: str
    output: bytes
    fuel_used: int
    time_used_us: int
    memory_peak_bytes: int


def no_result(outcome: Outcome, reason: str, *, time_used_us: int = 0) -> RunResult:
    """Return what is known of a run that nobody lived, or waited, to tell of."""
    return RunResult(
        outcome=outcome,
        reason=reason,
        output=b"",
        fuel_used=0,
        time_used_us=time_used_us,
        memory_peak_bytes=0,
    )
