"""Judgements about world time: pure, as the operator's auditor would read them."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.network import (
    ClockBackwards,
    ClockFixed,
    ClockRecord,
    ClockRecordRejected,
)


@dataclass(frozen=True)
class WorldTime:
    """How far world time runs ahead of real time, and by which of the operator's records."""

    sequence: int = 0
    offset_ms: int = 0


@dataclass(frozen=True)
class Limits:
    """Bounds of the domain: world time runs at most ten years ahead."""

    offset_ms_max: int = 10 * 366 * 86_400_000


def judge_clock(
    record: ClockRecord | None,
    standing: WorldTime,
    *,
    why_rejected: str,
    devnet: bool,
    limits: Limits,
) -> WorldTime:
    """Adopt the operator's clock record, or refuse it.

    The very record that stands already is adopted again without effect, so that an operator whose
    answer was lost may repeat it to every node.

    Args:
        record: the record whose signature verified against the operator, or None.
        standing: the world time kept until now.
        why_rejected: why there is no verified record; empty if there is one.
        devnet: whether genesis calls this network a devnet.
        limits: bounds of the domain.

    Refuses, in this order:
        ClockFixed: the network is no devnet.
        ClockRecordRejected: the record does not verify, or its offset is out of bounds.
        ClockBackwards: sequence or offset would not grow.

    Source: ADR 0014 (two clocks).
    """
    if not devnet:
        raise ClockFixed()
    if record is None:
        raise ClockRecordRejected(why=why_rejected)
    if record.offset_ms > limits.offset_ms_max:
        raise ClockRecordRejected(why=f"the offset exceeds {limits.offset_ms_max} ms")
    asked = WorldTime(sequence=record.sequence, offset_ms=record.offset_ms)
    if asked == standing:
        return standing
    if asked.sequence <= standing.sequence or asked.offset_ms <= standing.offset_ms:
        raise ClockBackwards(
            standing_offset_ms=standing.offset_ms, standing_sequence=standing.sequence
        )
    return asked
