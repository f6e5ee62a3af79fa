"""A rule that a run broke: where, when, and how to see it again."""

from __future__ import annotations


class Violation(Exception):
    """A machine broke a rule of the simulation.

    Attributes:
        rule: which one, in words.
        node: the number of the node that did, or -1 for the network as a whole.
        why: what was seen.
        seed: of the run.
        step: after how many events.
        at_ms: after how much virtual time.
    """

    def __init__(self, rule: str, node: int, why: str) -> None:
        """Say what is broken; the run adds where it was."""
        super().__init__(f"{rule}: node {node}: {why}")
        self.rule = rule
        self.node = node
        self.why = why
        self.seed = -1
        self.step = -1
        self.at_ms = -1

    def as_json(self) -> dict[str, str | int]:
        """Return it as JSON values."""
        return {
            "rule": self.rule,
            "node": self.node,
            "why": self.why,
            "seed": self.seed,
            "step": self.step,
            "at_ms": self.at_ms,
        }
