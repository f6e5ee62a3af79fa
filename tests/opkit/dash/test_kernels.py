"""Which kernels end by themselves, and when."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from opkit.dash.kernels import Kernels, ThisPython

pytestmark = pytest.mark.slow

DEADLINE_S = 100


def test_a_kernel_that_was_ready_for_long_does_not_end_when_a_page_gets_it():
    """It ends if the page's browser is silent for as long as any other may be."""

    async def go() -> None:
        kernels = Kernels(kernel_spec_manager=ThisPython(), cull_idle_timeout=60)
        kernel_id = await kernels.start_kernel(kernel_name="python3")
        try:
            async with asyncio.timeout(DEADLINE_S):
                kernel = kernels.get_kernel(kernel_id)
                await kernel.ready
                kernel.last_activity -= timedelta(minutes=5)
                await kernels.cull_kernel_if_idle(kernel_id)
                assert kernel_id in kernels, "the page that got it is on its way"
                await kernels.cull_kernel_if_idle(kernel_id)
                assert kernel_id in kernels, "its silence began a moment ago"
                kernel.last_activity -= timedelta(minutes=5)
                await kernels.cull_kernel_if_idle(kernel_id)
                assert kernel_id not in kernels
        finally:
            await kernels.shutdown_all(now=True)

    asyncio.run(go())
