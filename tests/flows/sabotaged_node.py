"""A node that breaks one rule: the one behind the marker that a file names, or none.

The devnet's fork server imports this module in place of `nodeimpl.__main__` and calls `serve`. The
environment says which file.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sabotage import SABOTAGE  # type: ignore[import-not-found]  # beside this file, by PYTHONPATH
from sabotage_audit import SABOTAGE_AUDIT  # type: ignore[import-not-found]  # the same
from sabotage_b import SABOTAGE_B  # type: ignore[import-not-found]  # the same
from sabotage_federation import SABOTAGE_FEDERATION  # type: ignore[import-not-found]  # the same
from sabotage_money import SABOTAGE_MONEY  # type: ignore[import-not-found]  # the same

from nodeimpl import __main__ as honest
from nodeimpl.config import NodeConfig


def serve(config: NodeConfig) -> int:
    """Serve a node without the rule behind the named marker, until the process ends.

    A marker of a flow with a number, or of flow C, is named with the flow's name before it, as
    `1:VOTES_CAST`.
    """
    if lost := Path(os.environ["SABOTAGE"]).read_text():
        flow, _, marker = lost.rpartition(":")
        by_flow = SABOTAGE_MONEY | SABOTAGE_FEDERATION | SABOTAGE_AUDIT
        table = by_flow[flow] if flow else SABOTAGE | SABOTAGE_B
        break_rule, _ = table[marker]
        break_rule(pytest.MonkeyPatch())
    return honest.serve(config)
