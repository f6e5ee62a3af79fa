"""A run: several flows told against one network, as `evidence.json` keeps it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.story.report import Report
from opkit.story.states import State
from opkit.wire.base import Count, Did, Jws, NetworkId, Slug, Text, TimeMs, Wire
from opkit.wire.kept import Kept
from opkit.wire.network import EngineId
from opkit.wire.witness import WITNESSES_MAX

FLOWS_MAX = 32
NODES_MAX = 1_000

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-z-]{1,64}$")]
"""Names one run; part of what a flow stamps into what it makes."""


class NodeRecord(Wire):
    """A node that took part, with what it said it was.

    `witnessed` are the heads of its journal that other nodes of the network countersigned, one
    record each, as they stood at the end (`opkit.proof.witness`).
    """

    org: Slug
    title: Text
    did: Did
    version: Text
    engine: EngineId
    witnessed: Annotated[tuple[Jws, ...], Field(max_length=WITNESSES_MAX)] = ()


class CellFailure(Wire):
    """Where a notebook broke: the cell, counted from 1, what stood in it and what it said."""

    cell: Count
    cells: Count
    source: Annotated[str, StringConstraints(max_length=20_000)]
    error: Annotated[str, StringConstraints(max_length=8_192)]
    output: Annotated[str, StringConstraints(max_length=20_000)] = ""
    traceback: Annotated[str, StringConstraints(max_length=40_000)] = ""


class FlowRecord(Report):
    """A flow as a notebook told it."""

    notebook: Text = ""
    failure: CellFailure | None = None
    took_ms: Count = 0

    def state_at(self, index: int) -> State:
        """Return the state of a planned step in a run that is over."""
        if index < len(self.markers):
            return self.markers[index].state
        told = all(marker.ok for marker in self.markers)
        if index == len(self.markers) and told and self.stopped is not None:
            return State.FAILED
        return State.WAITING


class RunRecord(Kept):
    """A whole run.

    Attributes:
        ok: every flow was told whole.
        interrupted: somebody ended the run before its end.
        clock_moved_ms: by how much world time ran ahead of real time at the end.
        versions: of this kit and what it ran on.
    """

    run_id: RunId
    seed: int
    profile: Slug
    network: NetworkId
    operator: Did
    ok: bool
    interrupted: bool
    clock_moved_ms: Count
    created_ms: TimeMs
    took_ms: Count
    versions: dict[str, Text]
    nodes: Annotated[tuple[NodeRecord, ...], Field(max_length=NODES_MAX)]
    flows: Annotated[tuple[FlowRecord, ...], Field(max_length=FLOWS_MAX)]

    @property
    def consistent(self) -> bool:
        """Whether every `ok` follows from what it stands on."""
        whole = bool(self.flows) and all(flow.ok for flow in self.flows) and not self.interrupted
        return self.ok == whole and all(flow.consistent for flow in self.flows)
