from __future__ import annotations

import pytest

from nodeimpl.kernel.binding import Caller, answer, serve
from nodeimpl.kernel.tx import Tx
from opkit.wire import network


def nobody(tx: Tx, ask: network.AskNode, caller: Caller | None, ready: object) -> network.NodeInfo:
    raise NotImplementedError


async def health(ask: network.AskHealth, caller: Caller | None) -> network.Health:
    return network.Health(status="ok")


def test_a_route_writes_as_its_endpoint_says_unless_told_otherwise() -> None:
    assert serve(network.NODE, nobody).writes is False
    assert serve(network.NODE, nobody, writes=True).writes is True
    assert serve(network.MOVE_CLOCK, nobody).writes is True
    with pytest.raises(AssertionError, match=r"network\.move-clock"):
        serve(network.MOVE_CLOCK, nobody, writes=False)


def test_a_direct_answer_has_no_transaction() -> None:
    route = answer(network.LIVE, health)
    assert route.direct is health
    assert route.handle is None
    assert route.writes is False
