"""A flow that upsets a network for others says so: a run then tells no other beside it."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest

from flows import FLOWS

UPSETS = {"pass_time": "clock", "kill": "node", "restart": "node", "cut": "links", "heal": "links"}
"""What a world can be asked to do, and what of `Flow.disturbs` that is."""


def upset_by(source: str) -> set[str]:
    """Return what a flow's source asks a world to upset."""
    asked = {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {UPSETS[each] for each in asked if each in UPSETS}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_says_what_it_upsets(name: str) -> None:
    flow = FLOWS[name]
    told_in = {sys.modules[step.tell.__module__] for step in flow.steps}
    told_in |= {sys.modules[setup.prepare.__module__] for setup in flow.setup}
    said = {each.split(":")[0] for each in flow.disturbs}
    assert set().union(*(upset_by(inspect.getsource(module)) for module in told_in)) <= said


@pytest.mark.parametrize(("ask", "upset"), UPSETS.items())
def test_what_a_flow_upsets_is_found(ask: str, upset: str) -> None:
    assert upset_by(f"async def step(world, story):\n    await world.{ask}('a')") == {upset}
