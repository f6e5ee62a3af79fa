"""What is simulated, as data: how many nodes, what weather, who lies, for how long.

A spec and the version of the sources are all that a run depends on. All times are virtual.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["constant", "uniform", "lognormal"]
Lie = Literal["silent", "empty", "wrong", "old", "forged", "flood"]

LIES: dict[Lie, str] = {
    "silent": "takes questions and never answers",
    "empty": "answers that it knows nobody and has nothing",
    "wrong": "names neighbours that do not exist, and other liars",
    "old": "hands out the first record that it saw under a name, for ever",
    "forged": "hands out and announces records whose signature does not hold",
    "flood": "announces forged records as fast as it can",
}
"""Every way of lying, and what who lies so does."""

NODES_MAX = 5_000
SIZES_MAX = 12
"""How many sizes of network are compared at once."""

LIES_SHARE_MAX = 0.5

_LATENCY = re.compile(r"(constant|uniform|lognormal):(\d{1,5})")
_PARTITION = re.compile(r"(0?\.\d{1,3})@(\d{1,4})-(\d{1,4})")
_LIAR = re.compile(r"([a-z]+):(0?\.\d{1,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long a message is under way, one direction, in milliseconds.

    `constant` always takes `typical_ms`; `uniform` up to twice that; `lognormal` has it as its
    median, and one in twenty takes more than two and a half times as long.
    """

    kind: Kind = "lognormal"
    typical_ms: int = 40

    def __str__(self) -> str:
        """Return what `latency_of` reads."""
        return f"{self.kind}:{self.typical_ms}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A share of all nodes that is cut off from the rest for a while, seconds into the load."""

    share: float
    from_s: int
    until_s: int

    def __str__(self) -> str:
        """Return what `partition_of` reads."""
        return f"{self.share:g}@{self.from_s}-{self.until_s}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One run.

    Attributes:
        seconds: for how long there is load and bad weather, once everybody has joined.
        settle_s: how long everything then has, in good weather, until all must be well.
        loss: the share of questions, answers and one-way messages that are lost.
        reorder: the share of one-way messages that may be overtaken.
        duplicate: the share of questions and one-way messages that arrive twice.
        churn: the share of nodes that crash once during the load and come back, every second one
            without what it knew.
        liars: pairs of a lie and the share of nodes that tell it.
        sybils: how many made-up nodes surround one key, and answer nothing about it.
        skew_ms: the greatest difference of a node's clock from true time.
        publish_per_s: how many records are signed and published in a second, by all nodes.
        lookups_per_s: how many records are looked up in a second, by all nodes.
        checked_every: after how many events, at least, the rules are checked on all nodes.
    """

    nodes: int = 30
    seed: int = 7
    seconds: int = 30
    settle_s: int = 30
    latency: Latency = Latency()
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    churn: float = 0.0
    partition: Partition | None = None
    liars: tuple[tuple[Lie, float], ...] = ()
    sybils: int = 0
    skew_ms: int = 0
    publish_per_s: float = 2.0
    lookups_per_s: float = 10.0
    checked_every: int = 1_000

    def __post_init__(self) -> None:
        """Refuse what is no run.

        Raises:
            ValueError: a number is out of bounds; the message says which.
        """
        _within("nodes", self.nodes, 2, NODES_MAX)
        _within("seconds", self.seconds, 1, 3_600)
        _within("settle_s", self.settle_s, 1, 3_600)
        _within("sybils", self.sybils, 0, 200)
        _within("skew_ms", self.skew_ms, 0, 60_000)
        for name in ("publish_per_s", "lookups_per_s"):
            _within(name, getattr(self, name), 0.1, 1_000)
        for name in ("loss", "reorder", "duplicate", "churn"):
            _within(name, getattr(self, name), 0.0, 0.9)
        lying = sum(share for _, share in self.liars)
        _within("the share of liars", lying, 0.0, LIES_SHARE_MAX)
        if self.partition is not None:
            _within("the partition's end", self.partition.until_s, 1, self.seconds)
            _within("the partition's start", self.partition.from_s, 0, self.partition.until_s)

    def as_json(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        said = asdict(self)
        said["latency"] = str(self.latency)
        said["partition"] = None if self.partition is None else str(self.partition)
        said["liars"] = dict(self.liars)
        return said

    def command(self) -> str:
        """Return the command line that runs it again."""
        given = {
            "--nodes": self.nodes,
            "--seed": self.seed,
            "--seconds": self.seconds,
            "--settle": self.settle_s,
            "--latency": self.latency,
            "--loss": self.loss,
            "--reorder": self.reorder,
            "--duplicate": self.duplicate,
            "--churn": self.churn,
            "--partition": self.partition or "",
            "--liars": ",".join(f"{lie}:{share:g}" for lie, share in self.liars),
            "--sybils": self.sybils,
            "--skew-ms": self.skew_ms,
            "--publish-per-s": f"{self.publish_per_s:g}",
            "--lookups-per-s": f"{self.lookups_per_s:g}",
        }
        always = {"--nodes", "--seed", "--seconds", "--settle", "--latency"}
        told = [f"{name} {value}" for name, value in given.items() if name in always or value]
        return f"opkit net sim {' '.join(told)}"


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}; it may be {low:g} to {high:g}")


def latency_of(text: str) -> Latency:
    """Return a latency written `lognormal:40`.

    Raises:
        ValueError: it is not written so.
    """
    found = _LATENCY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no latency: write constant:40, uniform:40 or lognormal:40")
    kind: Kind = found[1]  # type: ignore[assignment]  # The pattern names exactly these kinds.
    return Latency(kind=kind, typical_ms=int(found[2]))


def partition_of(text: str) -> Partition:
    """Return a partition written `0.3@10-20`: 30 % of the nodes, from second 10 to second 20.

    Raises:
        ValueError: it is not written so.
    """
    found = _PARTITION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no partition: write share@from-until, such as 0.3@10-20")
    return Partition(share=float(found[1]), from_s=int(found[2]), until_s=int(found[3]))


def sizes_of(text: str) -> tuple[int, ...]:
    """Return sizes of networks written `10,100,1000`.

    Raises:
        ValueError: they are not written so, or one is out of bounds.
    """
    found = text.split(",")
    if len(found) > SIZES_MAX or not all(each.isdecimal() for each in found):
        raise ValueError(f"{text!r} are no sizes of networks: write 10,100,1000")
    for each in found:
        _within("nodes", int(each), 2, NODES_MAX)
    return tuple(map(int, found))


def liars_of(text: str) -> tuple[tuple[Lie, float], ...]:
    """Return liars written `wrong:0.05,forged:0.02`.

    Raises:
        ValueError: it is not written so, or nobody lies so.
    """
    told: dict[Lie, float] = {}
    for each in filter(None, text.split(",")):
        found = _LIAR.fullmatch(each)
        if found is None or found[1] not in LIES:
            raise ValueError(
                f"{each!r} is no kind of liars: write kind:share, such as wrong:0.05; "
                f"kinds are {', '.join(LIES)}"
            )
        lie: Lie = found[1]
        told[lie] = float(found[2])
    return tuple(sorted(told.items()))
