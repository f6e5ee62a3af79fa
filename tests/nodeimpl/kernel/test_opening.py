"""A clock is wrong on purpose only where the genesis says devnet."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeimpl.config import ConfigError, NodeConfig, NodeSection
from nodeimpl.kernel.opening import check_clock
from opkit.proof.genesis import GenesisView, read_genesis, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.genesis import Genesis, GenesisNode


def genesis(*, devnet: bool) -> GenesisView:
    operator, node = Identity.generate(), Identity.generate()
    record = Genesis(
        network="a" * 26,
        devnet=devnet,
        operator=operator.did,
        created_ms=1,
        nodes=(GenesisNode(org="ana", title="Ana", did=node.did, coop=None),),
        charters=(),
    )
    return read_genesis(sign_genesis(record, operator))


def config(skew_ms: int) -> NodeConfig:
    here = Path("/nowhere")
    return NodeConfig(
        node=NodeSection(
            org="ana",
            folder=here,
            genesis=here,
            keystore=here,
            key_file=here,
            clock_skew_ms=skew_ms,
        )
    )


@pytest.mark.parametrize("skew_ms", [-86_400_000, 1])
def test_a_wrong_clock_is_refused_on_an_ordinary_network(skew_ms: int) -> None:
    with pytest.raises(ConfigError, match=r"node\.clock_skew_ms: only on a devnet"):
        check_clock(config(skew_ms), genesis(devnet=False))
    check_clock(config(skew_ms), genesis(devnet=True))


def test_a_right_clock_is_right_everywhere() -> None:
    for devnet in (True, False):
        check_clock(config(0), genesis(devnet=devnet))
