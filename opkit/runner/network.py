"""What the runner needs of a network, and what it says while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.story.record import FlowRecord, NodeRecord, RunRecord
from opkit.story.states import State


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """What the nodes said about themselves at the end of a run.

    Attributes:
        nodes: each node that answered.
        clock_moved_ms: world time less real time.
    """

    nodes: tuple[NodeRecord, ...]
    clock_moved_ms: int


class Network(Protocol):
    """A running network that notebooks attach to by name."""

    @property
    def name(self) -> str:
        """What notebooks call it: the parameter `devnet`."""

    @property
    def genesis(self) -> GenesisView:
        """Its genesis, as this machine keeps it."""

    @property
    def operator(self) -> Identity:
        """Whoever signs the report; stays in this process."""

    async def facts(self) -> NetworkFacts:
        """Ask the nodes who they are."""


OpenNetwork = Callable[[], AbstractAsyncContextManager[Network]]
"""Starts or finds the network; leaving it stops what was started."""


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something happened in a run. Which fields are set depends on `kind`.

    * `opening`: kernels and network are being started.
    * `network`: the network is ready.
    * `flow`: a flow's notebook begins; `total` markers are planned.
    * `step`: a step of `flow` began or ended: `index`, `marker`, `sentence`, `state`, `took_ms`.
    * `end`: the flow is over: `record`.
    * `report`: the run folder is written and signed: `folder`, `run`.
    """

    kind: Literal["opening", "network", "flow", "step", "end", "report"]
    flow: str = ""
    title: str = ""
    index: int = 0
    total: int = 0
    marker: str = ""
    sentence: str = ""
    state: State = State.WAITING
    took_ms: int | None = None
    record: FlowRecord | None = None
    run: RunRecord | None = None
    folder: Path | None = None


OnEvent = Callable[[RunEvent], None]
"""Called from several threads, never twice at once."""


def ignore(_: RunEvent) -> None:
    """Take an event and do nothing."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended, and where its report lies."""

    run: RunRecord
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether every flow was told whole."""
        return self.run.ok

    def as_json(self) -> dict[str, Any]:
        """Return a summary as JSON values."""
        return {
            "ok": self.ok,
            "folder": str(self.folder),
            "report": str(self.folder / "index.html"),
            "run_id": self.run.run_id,
            "flows": [
                {
                    "name": flow.name,
                    "ok": flow.ok,
                    "shown": list(flow.shown),
                    "planned": list(flow.planned),
                    "stopped": None if flow.stopped is None else flow.stopped.model_dump(),
                }
                for flow in self.run.flows
            ],
        }
