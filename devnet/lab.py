"""A devnet in a notebook: opened as a desk, started first if it does not run."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from devnet.attach import open_world
from devnet.launch import launch
from devnet.spec import ProfileName
from devnet.state import is_running, load_state_of
from opkit import home
from opkit.client import TaskResult
from opkit.lab.bars import Bar, progress
from opkit.lab.desk import Desk, bundle_of, open_desk
from opkit.proof import jws
from opkit.proof.checks import Verdict
from opkit.story.flow import Flow
from opkit.wire.base import Cid
from opkit.wire.compute import BlobUnknown, Receipt, ReceiptBundle, TaskView

SEED = 7


async def open_devnet(
    name: str = "default", *, flows: Mapping[str, Flow[Any]] | None = None
) -> Desk:
    """Open a running devnet as a desk.

    Args:
        name: the devnet.
        flows: what can be told in it, by name.

    Raises:
        DevnetError: there is no such devnet, or it does not run; the hint says how to start it.
    """
    run_id = f"lab-{secrets.token_hex(4)}"
    return await open_desk(open_world(name, run_id=run_id, seed=SEED), flows=flows)


async def start_devnet(
    name: str = "default",
    *,
    profile: ProfileName = "three",
    flows: Mapping[str, Flow[Any]] | None = None,
) -> Desk:
    """Open a devnet as a desk; if it does not run, start it first. It lives on until it is ended.

    Args:
        name: the devnet.
        profile: which organisations take part, if it is started here.
        flows: what can be told in it, by name.

    Raises:
        DevnetError: it did not come up.
        LaunchFailed: the same, said by its supervisor.
    """
    if not is_running(home.devnet_folder(name)):
        async with progress(f"Starting devnet {name}") as bar:
            await asyncio.to_thread(_start, name, profile, bar)
    return await open_devnet(name, flows=flows)


def _start(name: str, profile: ProfileName, bar: Bar) -> None:
    """Start a supervisor and wait; a stopped devnet keeps the profile that it has."""
    folder = home.devnet_folder(name)
    kept = load_state_of(folder).profile if (folder / "state.json").exists() else profile
    launched = launch(name=name, profile=kept, seed=SEED)
    try:
        launched.wait_ready(lambda stage, _: bar.say(stage.replace("-", " ")))
    except BaseException:  # Whatever ends the wait: a network half up must not stay.
        launched.down()
        raise
    launched.detach()


async def run_again(desk: Desk, receipt: ReceiptBundle | TaskResult | TaskView) -> Verdict:
    """Verify a receipt, run its task again in a worker here, and compare what came of it.

    Module and input are asked for by their hash and hashed again; who gave them does not matter.
    Outputs and fuel are compared only under the same engine.

    Raises:
        BlobUnknown: no node keeps the module or the input any more.
        ValueError: the task has no receipt yet.
    """
    from nodeimpl.compute.replay import replay

    bundle = bundle_of(receipt)
    signed = desk.verify(bundle)
    claimed = Receipt.model_validate(jws.peek(bundle.receipt).payload)
    async with progress("Running the task again") as bar:
        bar.say("fetching module and input by hash")
        module = await _fetch(desk, claimed.wasm_hash)
        given = await _fetch(desk, claimed.input_hash)
        bar.say("running")
        again = await replay(bundle, module=module, input_bytes=given)
    return Verdict(
        subject=f"{signed.subject}, run again",
        checks=signed.checks + again.checks,
        anchored=signed.anchored,
    )


async def _fetch(desk: Desk, cid: Cid) -> bytes:
    """Return bytes by their name from the first node that keeps them.

    Raises:
        BlobUnknown: none does.
    """
    absent: BlobUnknown | None = None
    for node in desk.nodes.values():
        try:
            return await node.client.wasm.fetch(cid)
        except BlobUnknown as unknown:
            absent = unknown
    assert absent is not None, "a network has nodes"
    raise absent
