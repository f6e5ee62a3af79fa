"""What came of a run, in figures. All but `cpu_s` follows from the spec alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devnet.sim.spec import Spec
from devnet.sim.violation import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One lookup: when it began, how long it took, how far it went, whether it found enough."""

    at_ms: int
    took_ms: int
    hops: int
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run.

    Attributes:
        cpu_s: processor time of the run: the only figure that differs from one run to the next.
        trace: equal for equal runs, and hardly ever for others.
        violation: the rule that was broken, at which the run ended.
        missing: what should have come about by the end and did not, in words.
        lookups: those of honest nodes, in order.
        coverage: after so many milliseconds a gossiped record had reached this share of the
            nodes that were up when it was published, on average over all records.
        delays_ms: how long gossip took to reach a node, in ascending order.
        repairs: records that reached a node by reconciliation.
        kept_max: the greatest number of things that any node ever held, by what it is.
        verdicts: how many verdicts on signatures were asked for.
        checked: how many signatures were checked for that.
    """

    spec: Spec
    cpu_s: float
    trace: int
    steps: int
    messages: int
    counts: dict[str, int]
    violation: Violation | None
    missing: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    coverage: tuple[tuple[int, float], ...]
    delays_ms: tuple[int, ...]
    repairs: int
    kept_max: dict[str, int]
    verdicts: int
    checked: int

    @property
    def ok(self) -> bool:
        """Whether every rule was kept, and all came about."""
        return self.violation is None and not self.missing

    @property
    def found(self) -> float:
        """The share of lookups that succeeded, in percent; 100 if there were none."""
        if not self.lookups:
            return 100.0
        return 100 * sum(each.ok for each in self.lookups) / len(self.lookups)

    @property
    def hops(self) -> float:
        """How many hops a lookup took that succeeded and had to ask, on average."""
        taken = [each.hops for each in self.lookups if each.ok and each.hops]
        return sum(taken) / len(taken) if taken else 0.0

    @property
    def covered(self) -> float:
        """The share of nodes that gossip had reached by the end, in percent."""
        return 100 * self.coverage[-1][1] if self.coverage else 100.0

    @property
    def hit_rate(self) -> float:
        """The share of verdicts that were remembered, in percent."""
        return 100 * (1 - self.checked / self.verdicts) if self.verdicts else 0.0

    @property
    def messages_per_s(self) -> float:
        """Messages per second of processor time."""
        return self.messages / self.cpu_s if self.cpu_s else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON values; what depends on the machine stands under `machine`."""
        took = sorted(each.took_ms for each in self.lookups if each.ok)
        return {
            "ok": self.ok,
            "spec": self.spec.as_json(),
            "violation": None if self.violation is None else self.violation.as_json(),
            "missing": list(self.missing),
            "trace": f"{self.trace:08x}",
            "steps": self.steps,
            "messages": self.messages,
            "lookups": {
                "asked": len(self.lookups),
                "found_percent": round(self.found, 3),
                "hops": round(self.hops, 3),
                "p50_ms": percentile(took, 0.5),
                "p95_ms": percentile(took, 0.95),
            },
            "gossip": {
                "covered_percent": round(self.covered, 3),
                "p50_ms": percentile(self.delays_ms, 0.5),
                "p95_ms": percentile(self.delays_ms, 0.95),
            },
            "repairs": self.repairs,
            "kept_max": dict(sorted(self.kept_max.items())),
            "verdicts": {
                "asked": self.verdicts,
                "checked": self.checked,
                "remembered_percent": round(self.hit_rate, 3),
            },
            "counts": dict(sorted(self.counts.items())),
            "machine": {
                "cpu_s": round(self.cpu_s, 3),
                "messages_per_s": round(self.messages_per_s),
            },
        }


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the least of ascending values that `share` of them do not exceed; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
