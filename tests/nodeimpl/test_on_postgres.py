"""The same nodes on PostgreSQL: each flow, with every table on the other engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from devnet.inprocess import inprocess_world
from devnet.spec import PROFILES, ProfileName
from flows import FLOWS

pytestmark = pytest.mark.postgres


def _profile_of(name: str) -> ProfileName:
    """Return the smallest network that a flow can be told on."""
    return next(each for each in PROFILES if each in FLOWS[name].profiles)


@pytest.mark.parametrize("name", FLOWS)
def test_each_flow_passes_on_postgresql(name: str, postgres_database: Callable[[], str]) -> None:
    async def tell() -> None:
        async with inprocess_world(_profile_of(name), store_url=postgres_database) as world:
            report = await FLOWS[name].tell(world).run()
        assert report.stopped is None
        assert report.ok

    asyncio.run(asyncio.wait_for(tell(), 120))
