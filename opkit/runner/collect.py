"""From what a kernel displayed to what was told: the runner's own judgement of a flow.

A notebook is not believed when it says that all went well: the markers must be the flow's, in
order, each once, each with evidence, and the story must have been closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from opkit.proof.cid import cid_of
from opkit.story.flow import Flow
from opkit.story.record import CellFailure, FlowRecord
from opkit.story.report import BlobRecord, MarkerRecord, SetupRecord, Stop, judge
from opkit.story.states import State
from opkit.wire.base import b64decode

BLOBS_BYTES_MAX = 64 * 2**20
_SETUP = TypeAdapter(tuple[SetupRecord, ...])

OnStep = Callable[[str, State, int | None], None]
"""Called with a marker, its state, and how long it took once it is over."""


class Collector:
    """Hears the markers of one notebook, in the thread that executes it."""

    def __init__(self, flow: Flow[Any], *, on_step: OnStep) -> None:
        """Listen for the markers of `flow`; `on_step` is told as they come."""
        self._flow = flow
        self._on_step = on_step
        self._markers: list[MarkerRecord] = []
        self._setup: tuple[SetupRecord, ...] = ()
        self._end: dict[str, Any] | None = None
        self._wrong: Stop | None = None
        self.blobs: dict[str, bytes] = {}

    def hear(self, said: dict[str, Any]) -> None:
        """Take one display of a marker, of a story's end, or something that is neither."""
        if self._wrong is not None:
            return
        try:
            self._hear(said)
        except (ValidationError, KeyError, TypeError, ValueError) as bad:
            self._stop(str(said.get("marker", "")), f"a marker that cannot be read: {bad}"[:1000])

    def record(self, *, failure: CellFailure | None, notebook: str, took_ms: int) -> FlowRecord:
        """Return the flow as it was told.

        Args:
            failure: where the notebook broke, if it did.
            notebook: its file in the run folder.
            took_ms: how long it was executed.
        """
        planned, markers = self._flow.markers, tuple(self._markers)
        stopped = self._why_stopped(failure)
        end = self._end or {}
        return FlowRecord(
            name=self._flow.name,
            title=self._flow.title,
            story=self._flow.story,
            ok=judge(planned=planned, markers=markers, setup=self._setup, stopped=stopped),
            planned=planned,
            setup=self._setup,
            markers=markers,
            stopped=stopped,
            disturbances=tuple(end.get("disturbances", ())),
            notebook=notebook,
            failure=failure,
            took_ms=took_ms,
        )

    def _hear(self, said: dict[str, Any]) -> None:
        if said["flow"] != self._flow.name:
            self._stop("", f"the notebook tells flow {said['flow']!r}, not {self._flow.name!r}")
        elif "end" in said:
            self._end = dict(said["end"])
            self._setup = _SETUP.validate_python(self._end.get("setup", ()))
        elif said["state"] == State.RUNNING:
            self._on_step(said["marker"], State.RUNNING, None)
        else:
            self._setup = _SETUP.validate_python(said.get("setup", ()))
            self._keep(MarkerRecord.model_validate(said["record"]), said.get("blobs", {}))

    def _keep(self, record: MarkerRecord, blobs: dict[str, str]) -> None:
        steps = self._flow.steps
        place = len(self._markers)
        expected = steps[place] if place < len(steps) else None
        if expected is None or expected.marker != record.name:
            after = expected.marker if expected else "the end"
            self._stop(record.name, f"out of order: next is {after}")
            return
        if expected.kind != record.kind or expected.sentence != record.sentence:
            self._stop(record.name, "the marker is not the one that the flow plans")
            return
        self._keep_blobs(record, blobs)
        self._markers.append(record)
        self._on_step(record.name, record.state, record.took_ms)

    def _keep_blobs(self, record: MarkerRecord, blobs: dict[str, str]) -> None:
        for proof in record.proofs:
            if isinstance(proof, BlobRecord):
                data = b64decode(blobs[proof.cid])
                if cid_of(data) != proof.cid:
                    raise ValueError(f"the bytes of {proof.cid} have another name")
                self.blobs[proof.cid] = data
        if sum(map(len, self.blobs.values())) > BLOBS_BYTES_MAX:
            raise ValueError(f"proofs of more than {BLOBS_BYTES_MAX} bytes")

    def _stop(self, at: str, why: str) -> None:
        self._wrong = Stop(at=at, why=why)

    def _why_stopped(self, failure: CellFailure | None) -> Stop | None:
        if self._wrong is not None:
            return self._wrong
        broken = next((marker for marker in self._markers if not marker.ok), None)
        if broken is not None:
            return Stop(at=broken.name, why=broken.problem)
        planned = self._flow.markers
        place = len(self._markers)
        at = planned[place] if place < len(planned) else ""
        if failure is not None:
            where = f"cell {failure.cell} of {failure.cells}"
            return Stop(at=at, why=f"{where}: {failure.error}"[:4000])
        if at:
            return Stop(at=at, why="the notebook ended before this step")
        if self._end is None or not self._end.get("ok"):
            return Stop(at="", why="the notebook did not close the story")
        return None
