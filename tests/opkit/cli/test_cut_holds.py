"""A cut parts two nodes also for what finds its way by itself: the overlay dials on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from devnet.control import ask_supervisor
from devnet.launch import launch
from devnet.state import load_state

Run = Callable[..., Any]

BRIGHT, HARBOR = "brightworks-cooperative", "harbor-homes-cooperative"


async def _connected() -> dict[str, set[str]]:
    status = await ask_supervisor(load_state("t").socket, "status")
    return {node["org"]: set(node["connected"]) for node in status["nodes"]}


async def _until_parted() -> None:
    async with asyncio.timeout(60):
        while HARBOR in (await _connected())[BRIGHT] or BRIGHT in (await _connected())[HARBOR]:
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("unmeasured_processes")
def test_no_lookup_goes_round_a_cut(run: Run) -> None:
    """Only the dialled side learns the other's address by the overlay: both sides are asked."""
    launched = launch(name="t", profile="three", seed=7)
    try:
        launched.wait_ready()
        dids = {node.org: node.did for node in load_state("t").nodes}
        run("devnet", "cut", BRIGHT, HARBOR)
        asyncio.run(_until_parted())
        for here, there in ((BRIGHT, HARBOR), (HARBOR, BRIGHT)):
            routed = run("dht", "route", "board", "--node", here, "--as", "operator", "--json")
            assert routed.code == 0, routed.err
            assert dids[there] not in [one["did"] for one in routed.json["contacts"]]
        parted = asyncio.run(_connected())
        assert (HARBOR in parted[BRIGHT], BRIGHT in parted[HARBOR]) == (False, False)
    finally:
        launched.down()
