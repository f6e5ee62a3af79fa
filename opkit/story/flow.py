"""A flow: a story as a list of sentences, each with the marker that its evidence earns."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from opkit.story.evidence import Evidence
from opkit.story.report import Kind
from opkit.story.world import World

if TYPE_CHECKING:
    from opkit.story.telling import OnTold, Telling

S = TypeVar("S")

Tell = Callable[[World, S], Awaitable[Evidence]]
Prepare = Callable[[World, S], Awaitable[None]]

STEPS_MAX = 64
SAY_CHARS_MAX = 600
STEP_DEADLINE_MS = 60_000


class NotApplicable(Exception):
    """This world lacks something the flow needs: it was not told, which is not success."""


@dataclass(frozen=True)
class PlannedStep(Generic[S]):
    """One step: its marker, its sentence (the docstring of the function that tells it).

    `say` is what a presenter says beside it, for the ear; the sentence is for the eye.
    """

    marker: str
    kind: Kind
    sentence: str
    tell: Tell[S]
    say: str = ""


@dataclass(frozen=True)
class PlannedSetup(Generic[S]):
    """One set-up step: counted, but it shows nothing."""

    sentence: str
    prepare: Prepare[S]


@dataclass(frozen=True, kw_only=True)
class Flow(Generic[S]):
    """A story with its steps in reading order.

    Attributes:
        name: what the command line calls it: `a`, `b`, `1`.
        title: its headline.
        story: the story in a few sentences, for the head of the report.
        memory: makes what the steps of one telling hand on to each other.
        notebook: the notebook that tells it, by file name.
        needs: capabilities of the world without which it cannot be told.
        profiles: networks that have the nodes it names.
        disturbs: what it upsets for others (`clock`, `node:<org>`, `links`); such a flow is
            never told beside another one on the same network.
        step_deadline_ms: how long one step may take.
    """

    name: str
    title: str
    story: str
    memory: Callable[[], S]
    notebook: str = ""
    needs: frozenset[str] = frozenset()
    profiles: tuple[str, ...] = ("three", "federation")
    disturbs: frozenset[str] = frozenset()
    step_deadline_ms: int = STEP_DEADLINE_MS
    steps: list[PlannedStep[S]] = field(default_factory=list)
    setup: list[PlannedSetup[S]] = field(default_factory=list)

    @property
    def markers(self) -> tuple[str, ...]:
        """The planned markers, in order."""
        return tuple(step.marker for step in self.steps)

    def step(
        self, marker: str, *, adversarial: bool = False, say: str = ""
    ) -> Callable[[Tell[S]], Tell[S]]:
        """Add the decorated function as the next step; its docstring is the sentence.

        Args:
            marker: the name that is shown once the step has its evidence.
            adversarial: the step is an attack, and shows that it fails.
            say: what the presenter says beside it.
        """

        def add(tell: Tell[S]) -> Tell[S]:
            assert marker not in self.markers, f"two steps share the marker {marker!r}"
            assert len(self.steps) < STEPS_MAX, "a story has an end"
            assert len(say) <= SAY_CHARS_MAX, "a presenter says a few sentences"
            self.steps.append(
                PlannedStep(
                    marker=marker,
                    kind="refused" if adversarial else "shown",
                    sentence=_sentence(tell),
                    tell=tell,
                    say=say,
                )
            )
            return tell

        return add

    def prepare(self, prepare: Prepare[S]) -> Prepare[S]:
        """Add the decorated function as a set-up step, done before the first marker."""
        assert len(self.setup) < STEPS_MAX, "a story has a beginning"
        self.setup.append(PlannedSetup(sentence=_sentence(prepare), prepare=prepare))
        return prepare

    def check_applies(self, *, profile: str, capabilities: frozenset[str]) -> None:
        """Return if a world of this profile and capabilities can show the flow.

        Raises:
            NotApplicable: it cannot; the message says what is missing.
        """
        if profile not in self.profiles:
            raise NotApplicable(f"flow {self.name} needs the profile {' or '.join(self.profiles)}")
        missing = self.needs - capabilities
        if missing:
            raise NotApplicable(f"flow {self.name} needs a world that can {', '.join(missing)}")

    def tell(self, world: World, *, on_told: OnTold | None = None) -> Telling[S]:
        """Begin a telling, to go on step by step or all at once.

        Raises:
            NotApplicable: this world cannot show the flow.
        """
        from opkit.story.telling import Telling

        self.check_applies(profile=world.profile, capabilities=world.capabilities)
        return Telling(self, world, on_told=on_told)


def _sentence(function: Callable[..., object]) -> str:
    said = inspect.getdoc(function)
    assert said, f"{function.__qualname__} has no sentence: write its docstring"
    return " ".join(said.split())
