"""The stories, one module each. `FLOWS` lists them in the order of telling.

A flow may import `opkit.story`, `opkit.proof` and `opkit.wire`: never the node, never the devnet.
"""

from __future__ import annotations

from typing import Any

from flows.a import flow as flow_a
from flows.b import flow as flow_b
from flows.c import flow as flow_c
from flows.four import flow as flow_4
from flows.one import flow as flow_1
from flows.three import flow as flow_3
from flows.two import flow as flow_2
from opkit.story import Flow

FLOWS: dict[str, Flow[Any]] = {
    each.name: each for each in (flow_a, flow_b, flow_1, flow_2, flow_c, flow_3, flow_4)
}
"""Every flow by its name on the command line."""
