"""What is compared when a receipt's task is run again, and what a receipt says of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nodeimpl.compute.replay import replay
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.receipt import claimed_receipt
from opkit.wire import compute as wire

RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
STDIN = b"surplus 10\nann 1\nbob 2\n"
MONTH_MS = 30 * 86_400_000


async def receipt_of(town: Any, module: bytes) -> wire.ReceiptBundle:
    """Have Mara's task run on River City's node; return its receipt."""
    await town.deploy(RIVER, module, member_id=MARA)
    view = await town.submit(RIVER, town.manifest(MARA, module, STDIN), STDIN, member_id=MARA)
    bundle: wire.ReceiptBundle = town.bundle(await town.result(RIVER, view.task_id, member_id=MARA))
    return bundle


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"engine": {"name": "wasmtime", "version": "50.0.1", "settings": "other"}}, "engine"),
        ({"outcome": wire.Outcome.TIME, "output_hash": None}, "reproducible"),
    ],
)
def test_what_cannot_be_reproduced_here_is_not_run_and_not_compared(
    in_town: Callable[..., Any], module: Callable[[str], bytes], said: dict[str, Any], named: str
) -> None:
    async def story(town: Any) -> None:
        wasm = module("patronage")
        bundle = await receipt_of(town, wasm)
        receipt = claimed_receipt(bundle.receipt)
        other = wire.Receipt.model_validate({**receipt.model_dump(), **said})
        token = jws.sign(other, typ=wire.RECEIPT_TYP, identity=Identity.generate())
        changed = bundle.model_copy(update={"receipt": token})
        verdict = await replay(changed, module=wasm, input_bytes=STDIN)
        assert [check.name for check in verdict.checks if not check.ok] == [named]
        assert not {"outcome", "output", "fuel"} & {check.name for check in verdict.checks}

    in_town(story, RIVER)


def test_a_receipt_is_dated_in_real_time_and_says_how_far_world_time_was_ahead(
    in_town: Callable[..., Any], module: Callable[[str], bytes]
) -> None:
    """World time is moved by a month, and neither a manifest nor a deadline lapses by that."""

    async def story(town: Any) -> None:
        before_ms = town.clock.now_ms()
        town.clock.move_world(MONTH_MS)
        receipt = claimed_receipt((await receipt_of(town, module("patronage"))).receipt)
        assert receipt.world_offset_ms == MONTH_MS
        assert before_ms <= receipt.started_at_ms <= receipt.ended_at_ms <= town.clock.now_ms()
        assert receipt.outcome is wire.Outcome.OK

    in_town(story, RIVER)
