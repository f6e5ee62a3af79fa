"""A world of two lines and a flow of three steps: enough to try the story kit itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from opkit.story import Evidence, Flow, expect


@dataclass
class TinyWorld:
    """A world that is a dictionary: just enough of the port for the kit's own tests."""

    capabilities: frozenset[str] = frozenset()
    profile: str = "three"
    run_id: str = "run"
    seed: int = 7
    closed: int = 0
    broken: set[str] = field(default_factory=set)

    def disturbances(self) -> tuple[dict[str, Any], ...]:
        return ()

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Baking:
    """What the steps hand on."""

    loaves: int = 0


def _flow() -> Flow[Baking]:
    flow = Flow(name="t", title="Bread", story="A bakery bakes.", memory=Baking)

    @flow.prepare
    async def oven(world: TinyWorld, baking: Baking) -> None:
        """The oven is hot."""
        assert "oven" not in world.broken, "cold"

    @flow.step("DOUGH_MADE")
    async def dough(world: TinyWorld, baking: Baking) -> Evidence:
        """Ana makes the dough."""
        baking.loaves = 3
        return expect("DOUGH_MADE" not in world.broken, loaves=baking.loaves)

    @flow.step("THIEF_REFUSED", adversarial=True)
    async def thief(world: TinyWorld, baking: Baking) -> Evidence:
        """Mallory wants a loaf and gets none."""
        return expect("THIEF_REFUSED" not in world.broken, loaves=baking.loaves)

    @flow.step("BREAD_BAKED")
    async def bread(world: TinyWorld, baking: Baking) -> Evidence:
        """Ana bakes
        the bread."""
        return expect("BREAD_BAKED" not in world.broken, loaves=baking.loaves)

    return flow  # type: ignore[return-value]  # the tiny world is less than a World


@pytest.fixture
def bakery() -> Flow[Baking]:
    """A flow of one set-up step and three markers."""
    return _flow()


@pytest.fixture
def tiny_world() -> Callable[..., TinyWorld]:
    """Make a world; `broken` names the steps that fail in it."""

    def make(*broken: str, **more: Any) -> TinyWorld:
        return TinyWorld(broken=set(broken), **more)

    return make
