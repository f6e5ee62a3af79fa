"""A telling: one flow, told once against one world, step by step or all at once.

It keeps what was shown, refuses to go on after a step that was not, and calls back while it goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from opkit.story.evidence import BlobProof, Evidence, NotShown
from opkit.story.flow import Flow, PlannedSetup, PlannedStep
from opkit.story.proving import record_of
from opkit.story.report import (
    CheckRecord,
    MarkerRecord,
    Report,
    SetupRecord,
    Stop,
    judge,
)
from opkit.story.states import State
from opkit.story.world import World
from opkit.wire.errors import Refusal

S = TypeVar("S")

PROBLEM_CHARS_MAX = 4_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """Progress of a telling: a step began (`running`), or ended (with its record).

    Attributes:
        flow: the flow's name.
        index: which planned step, from 0.
        total: how many are planned.
        marker: its name; `sentence` is what it says.
        state: running, done, refused or failed.
        record: what was told, unless the step is still running.
        blobs: bytes of the record's blob proofs.
        setup: the set-up steps done so far.
    """

    flow: str
    index: int
    total: int
    marker: str
    sentence: str
    state: State
    record: MarkerRecord | None
    blobs: tuple[bytes, ...] = ()
    setup: tuple[SetupRecord, ...] = ()


OnTold = Callable[[Told], None]


class Telling(Generic[S]):
    """One telling of a flow. Get it from `Flow.tell`."""

    def __init__(self, flow: Flow[S], world: World, *, on_told: OnTold | None = None) -> None:
        """Begin before the first step; nothing happens until it is asked for.

        Args:
            flow: what to tell.
            world: where.
            on_told: called when a step begins and when it ends.
        """
        self._flow = flow
        self._world = world
        self._memory = flow.memory()
        self._on_told = on_told
        self._setup: list[SetupRecord] = []
        self._markers: list[MarkerRecord] = []
        self._stop: Stop | None = None

    async def step(self, marker: str) -> MarkerRecord:
        """Tell the next step, which must be the one of this marker.

        Raises:
            NotShown: the story has stopped or ended already, another marker is next, a set-up
                step failed, the step took too long, or it did not show what it promises.
        """
        planned = self._next(marker)
        await self._set_up_all(before=marker)
        return await self._tell(planned)

    async def prepare(self) -> None:
        """Do the set-up steps now rather than with the first step.

        Raises:
            NotShown: one failed or took too long; the story has stopped before its first step.
        """
        if self._flow.steps:
            await self._set_up_all(before=self._flow.steps[0].marker)

    async def run(self) -> Report:
        """Tell all steps that are left and return the report, also of a story that stopped."""
        for planned in self._flow.steps[len(self._markers) :]:
            try:
                await self.step(planned.marker)
            except NotShown:
                break
        return self.report()

    def report(self) -> Report:
        """Return what has been told so far; it is ok only at the end."""
        planned, markers = self._flow.markers, tuple(self._markers)
        setup = tuple(self._setup)
        stopped = self._stop
        if stopped is None and len(markers) < len(planned):
            stopped = Stop(at=planned[len(markers)], why="the story ended before this step")
        return Report(
            name=self._flow.name,
            title=self._flow.title,
            story=self._flow.story,
            ok=judge(planned=planned, markers=markers, setup=setup, stopped=stopped),
            planned=planned,
            setup=setup,
            markers=markers,
            stopped=stopped,
            disturbances=self._world.disturbances(),
        )

    def _next(self, marker: str) -> PlannedStep[S]:
        if self._stop is not None:
            raise NotShown(f"the story stopped at {self._stop.at}: {marker} cannot be shown")
        steps = self._flow.steps
        expected = steps[len(self._markers)] if len(self._markers) < len(steps) else None
        if expected is not None and expected.marker == marker:
            return expected
        next_one = expected.marker if expected else "the end"
        self._stop = Stop(at=marker, why=f"out of order: after what was told comes {next_one}")
        raise NotShown(f"{marker} is out of order: next is {next_one}")

    async def _set_up_all(self, *, before: str) -> None:
        for setup in self._flow.setup[len(self._setup) :]:
            await self._set_up(setup, before=before)

    async def _set_up(self, setup: PlannedSetup[S], *, before: str) -> None:
        at_ms, began = _now_ms(), time.monotonic()
        problem: BaseException | None = None
        try:
            async with asyncio.timeout(self._flow.step_deadline_ms / 1000):
                await setup.prepare(self._world, self._memory)
        except BaseException as raised:  # noqa: BLE001 - recorded, then raised again
            problem = raised
            self._stop = Stop(at=before, why=_clip(f"set-up failed: {_say(raised)}"))
            _raise_as_not_shown(setup.sentence, raised)
        finally:
            self._setup.append(
                SetupRecord(
                    sentence=setup.sentence,
                    ok=problem is None,
                    at_ms=at_ms,
                    took_ms=_since_ms(began),
                    problem="" if problem is None else _clip(_say(problem)),
                )
            )

    async def _tell(self, planned: PlannedStep[S]) -> MarkerRecord:
        self._announce(planned, State.RUNNING, None)
        at_ms, began = _now_ms(), time.monotonic()
        try:
            async with asyncio.timeout(self._flow.step_deadline_ms / 1000):
                evidence = await planned.tell(self._world, self._memory)
        except BaseException as raised:  # noqa: BLE001 - recorded, then raised again
            why = _clip(_say(raised))
            self._stop = Stop(at=planned.marker, why=why)
            failed = MarkerRecord(
                name=planned.marker,
                ok=False,
                kind=planned.kind,
                sentence=planned.sentence,
                evidence={},
                at_ms=at_ms,
                took_ms=_since_ms(began),
                problem=why,
            )
            self._keep(planned, failed)
            _raise_as_not_shown(planned.marker, raised)
        record = _record(planned, evidence, at_ms=at_ms, took_ms=_since_ms(began))
        blobs = tuple(proof.data for proof in evidence.proofs if isinstance(proof, BlobProof))
        self._keep(planned, record, blobs)
        return record

    def _keep(
        self, planned: PlannedStep[S], record: MarkerRecord, blobs: tuple[bytes, ...] = ()
    ) -> None:
        self._announce(planned, record.state, record, blobs)
        self._markers.append(record)

    def _announce(
        self,
        planned: PlannedStep[S],
        state: State,
        record: MarkerRecord | None,
        blobs: tuple[bytes, ...] = (),
    ) -> None:
        if self._on_told is None:
            return
        self._on_told(
            Told(
                flow=self._flow.name,
                index=len(self._markers),
                total=len(self._flow.steps),
                marker=planned.marker,
                sentence=planned.sentence,
                state=state,
                record=record,
                blobs=blobs,
                setup=tuple(self._setup),
            )
        )


def _record(
    planned: PlannedStep[S], evidence: Evidence, *, at_ms: int, took_ms: int
) -> MarkerRecord:
    checks = tuple(
        CheckRecord(name=check.name, ok=check.ok, expected=check.expected, actual=check.actual)
        for check in evidence.checks
    )
    return MarkerRecord(
        name=planned.marker,
        ok=True,
        kind=planned.kind,
        sentence=planned.sentence,
        evidence=dict(evidence.facts),
        checks=checks,
        proofs=tuple(record_of(proof) for proof in evidence.proofs),
        at_ms=at_ms,
        took_ms=took_ms,
    )


def _raise_as_not_shown(what: str, raised: BaseException) -> NoReturn:
    if not isinstance(raised, Exception):
        raise raised
    raise NotShown(f"{what} was not shown: {_say(raised)}") from raised


def _say(raised: BaseException) -> str:
    if isinstance(raised, NotShown):
        return str(raised)
    if isinstance(raised, TimeoutError) and not str(raised):
        return "it took too long"
    if isinstance(raised, Refusal):
        return f"{raised.problem()['title']} {raised}"
    return f"{type(raised).__name__}: {raised}"


def _clip(text: str) -> str:
    return text if len(text) <= PROBLEM_CHARS_MAX else text[: PROBLEM_CHARS_MAX - 1] + "…"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _since_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
