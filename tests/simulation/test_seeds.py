"""Many stories of coops that agree, name and exchange over a bad network, each told by its seed.

`OPKIT_TOWN_SEEDS` says how many are told, `OPKIT_TOWN_SEED` which one is told again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.plot import Plot, tell_seed

ONE = os.environ.get("OPKIT_TOWN_SEED", "")
SEEDS = [int(ONE)] if ONE else list(range(int(os.environ.get("OPKIT_TOWN_SEEDS", "200"))))
GROUPS = 1 if ONE else 8
MEMORY = Path("/dev/shm")

ALL_MEET = (
    "exchange committed",
    "exchange aborted",
    "forgeries",
    "agreement adopt",
    "lies",
    "forged files",
    "names",
    "name-taken",
    "forged records",
    "forged claims",
    "restarts",
    "late",
)
"""What happens in every group of stories."""


def tell(seeds: list[int]) -> Counter[str]:
    """Tell the stories of seeds; return how often what happened in them."""
    met: Counter[str] = Counter()

    async def all_of_them() -> None:
        for seed in seeds:
            # What is durable is the store's tests' to show; here it is only to be quick.
            memory = MEMORY if MEMORY.is_dir() else None
            with tempfile.TemporaryDirectory(prefix="opkit-town-", dir=memory) as folder:
                plot: Plot = await tell_seed(seed, Path(folder))
                met.update(plot.met)

    asyncio.run(all_of_them())
    return met


@pytest.mark.parametrize("group", range(GROUPS))
def test_coops_stand_equal_after_whatever_happened(
    group: int, request: pytest.FixtureRequest
) -> None:
    if group:
        request.getfixturevalue("unmeasured")
    seeds = SEEDS[group::GROUPS]
    met = tell(seeds)
    # Stories in which nothing goes wrong would show nothing.
    if len(seeds) >= 20:
        for what in ALL_MEET:
            assert met[what], f"no story of this group has {what}: {met}"


def test_a_seed_tells_the_same_story_twice(tmp_path: Path) -> None:
    stories = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        plot = asyncio.run(tell_seed(7, folder))
        stories.append((plot.done, plot.met, plot.town.told))
    assert stories[0] == stories[1]
