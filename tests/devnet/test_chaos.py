"""What is done to a network of real nodes on purpose: what holds meanwhile, and that it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.control import ask_supervisor
from devnet.lab import open_devnet
from devnet.launch import Launched, launch
from devnet.state import DevnetError, load_state
from opkit.proof.record import sign_record
from opkit.wire.compute import ExecutorUnavailable, ModuleUnknown
from opkit.wire.network import NODE, PEERS, AskNode, AskPeers
from opkit.wire.overlay import PUBLISH, RECORDS, AskRecords, PublishRecord
from opkit.wire.records import Carried, RecordBody
from opkit.wire.witness import WITNESSES, AskWitnesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RIVER, BRIGHT, HARBOR = ORGS = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA, HUGO = f"{RIVER}/mara", f"{HARBOR}/hugo"
WAIT_S = 60
MODULE = Path(__file__).parents[2] / "wasm/upper.wasm"


@contextmanager
def running(name: str = "c") -> Iterator[Launched]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name=name, profile="three", seed=7)
    try:
        launched.wait_ready()
        yield launched
    finally:
        launched.down()


def told(story: Callable[[AttachedWorld], Awaitable[None]], name: str = "c") -> None:
    """Tell a story on the network, within its time."""

    async def tell() -> None:
        world = await open_world(name, run_id="chaos", seed=7)
        try:
            async with asyncio.timeout(3 * WAIT_S):
                await story(world)
        finally:
            await world.close()

    asyncio.run(tell())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.1)


async def links_become(world: AttachedWorld, org: str, expected: set[str]) -> None:
    """Wait until a node is connected to exactly these organisations' nodes."""
    dids = {world.node(name).did for name in expected}

    async def reached() -> bool:
        links = (await world.operator(org).call(PEERS, AskPeers())).links
        return {link.did for link in links} == dids

    await until(reached)


async def publish(world: AttachedWorld, org: str, label: str) -> str:
    """Have a node publish a note of Mara's, and return its full name."""
    mara = world.member(MARA)
    name = f"{mara.did}/{label}"
    now_ms = time.time_ns() // 1_000_000
    body = RecordBody(
        network=world.genesis.network,
        aud="note",
        name=name,
        owner=mara.did,
        sequence=now_ms,
        issued_at_ms=now_ms,
        lapses_at_ms=now_ms + 3_600_000,
        value={"text": label},
    )
    asked = PublishRecord(carried=Carried(jws=sign_record(body, mara)))
    await world.operator(org).call(PUBLISH, asked)
    return name


async def is_found(world: AttachedWorld, org: str, name: str) -> bool:
    """Return whether a node finds a record, in the network or by itself."""
    found = await world.operator(org).call(RECORDS, AskRecords(namespace="note", name=name))
    return bool(found.records)


async def lasting(world: AttachedWorld) -> list[str]:
    """Return the kinds of what is done to the network now."""
    return [each["what"] for each in (await world.ask("chaos"))["lasting"]]


def lines(name: str = "c") -> list[dict[str, Any]]:
    """Return what was journalled."""
    said = asyncio.run(ask_supervisor(load_state(name).socket, "disturbances"))
    found: list[dict[str, Any]] = said["lines"]
    return found


def test_a_network_that_is_disturbed_and_healed() -> None:
    """One network for all that can be done to it: starting one costs seconds."""
    with running():
        told(check_nonsense_is_refused)
        told(check_a_lossy_slow_network_still_works)
        told(check_a_partition_heals_and_both_sides_have_everything)
        told(check_a_paused_node_is_seen_as_gone_and_returns)
        told(check_an_end_comes_by_itself)
        told(check_a_wrong_clock)
        told(check_an_older_state_is_started_and_taken_back)
        told(check_all_is_healed_at_once)
        told(check_stories_and_notebooks)
    kinds = [line["what"] for line in journalled(load_state("c").folder)]
    assert set(kinds) >= {"loss", "delay", "partition", "pause", "kill", "skew", "old-state"}


def journalled(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the file."""
    text = (folder / "disturbances.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def check_nonsense_is_refused(world: AttachedWorld) -> None:
    for do, arguments, why in (
        ("loss", {"share_permille": 1_001}, "at most 1"),
        ("loss", {"share_permille": 0}, "above 0"),
        ("loss", {}, "needs a whole number 'share_permille'"),
        ("loss", {"share_permille": 1, "orgs": ["nobody"]}, "no node of 'nobody'"),
        ("loss", {"share_permille": 1, "orgs": [RIVER, RIVER]}, "named twice"),
        ("loss", {"share_permille": 1, "for_ms": 99}, "100 ms to 24 h"),
        ("delay", {"delay_ms": 5, "jitter_ms": 6}, "at most the delay"),
        ("rate", {"rate_kbit_s": 1}, "kbit/s"),
        ("partition", {"groups": [[RIVER], [RIVER]]}, "named twice"),
        ("partition", {"groups": [list(ORGS)]}, "two sides"),
        ("partition", {"groups": RIVER}, "list 'groups'"),
        ("pause", {"org": "nobody"}, "no node of 'nobody'"),
        ("skew", {"org": RIVER}, "wrong by 1 ms to 24 h"),
        ("save", {"org": RIVER, "state": "../x"}, "no name for a state"),
        ("restart", {"org": RIVER, "state": "yesterday"}, "no state of"),
        ("heal", {"id": 77}, "no disturbance 77"),
    ):
        with pytest.raises(DevnetError, match=why):
            await world.ask(do, **arguments)
    assert await lasting(world) == []
    assert (await world.ask("heal")) == {"healed": []}


async def check_a_lossy_slow_network_still_works(world: AttachedWorld) -> None:
    """20 % loss, 50 ms each way: a record, what announces it, and a module come through."""
    await world.ask("loss", share_permille=200)
    await world.ask("delay", delay_ms=50, jitter_ms=10)
    assert await lasting(world) == ["loss", "delay"]
    name = await publish(world, RIVER, "under-loss")
    for org in (BRIGHT, HARBOR):
        await until(partial(is_found, world, org, name))
    module = await world.client(RIVER, MARA).wasm.deploy(MODULE.read_bytes(), name="upper")
    await until(partial(runs_at_harbor, world, module.wasm_hash))
    await until(partial(all_lose, world))
    healed = (await world.ask("heal"))["healed"]
    assert [line["of"] for line in healed] == ["loss", "delay"]
    assert await lasting(world) == []


async def all_lose(world: AttachedWorld) -> bool:
    """Return whether each link has lost something."""
    return all(link["lost"] for link in (await world.ask("status", look=False))["links"])


async def runs_at_harbor(world: AttachedWorld, wasm_hash: str) -> bool:
    """Return whether Harbor finds a module by its name, fetches it and runs it.

    Who knows where it is may be out of reach for a moment: that is a refusal, and no fault.
    """
    mara = world.client(RIVER, MARA)
    handle = await mara.compute.submit(wasm_hash, b"hello", executor=world.node(HARBOR).did)
    try:
        result = await handle.result(deadline_ms=WAIT_S * 1000)
    except (ModuleUnknown, ExecutorUnavailable):
        return False
    return result.output == b"HELLO"


async def check_a_partition_heals_and_both_sides_have_everything(world: AttachedWorld) -> None:
    said = await world.ask("partition", groups=[[RIVER]])
    assert said["groups"] == [[RIVER], [BRIGHT, HARBOR]]
    await links_become(world, RIVER, set())
    await links_become(world, HARBOR, {BRIGHT})
    one = await publish(world, RIVER, "on-this-side")
    other = await publish(world, HARBOR, "on-the-other")
    await until(lambda: is_found(world, BRIGHT, other))
    assert not await is_found(world, RIVER, other)
    assert not await is_found(world, HARBOR, one)
    await world.ask("heal", id=said["id"])
    for org in ORGS:
        for name in (one, other):
            await until(partial(is_found, world, org, name))
    await check_each_has_them_alone(world, (one, other))


async def check_each_has_them_alone(world: AttachedWorld, names: tuple[str, ...]) -> None:
    """Each node keeps them itself: it finds them while it can ask nobody."""
    for org in ORGS:
        await links_become(world, org, set(ORGS) - {org})

    async def kept_by_all() -> bool:
        await world.ask("partition", groups=[[org] for org in ORGS])
        try:
            for org in ORGS:
                await links_become(world, org, set())
            return all([await is_found(world, org, name) for org in ORGS for name in names])
        finally:
            await world.ask("heal")
            for org in ORGS:
                await links_become(world, org, set(ORGS) - {org})

    await until(kept_by_all)


async def check_a_paused_node_is_seen_as_gone_and_returns(world: AttachedWorld) -> None:
    said = await world.ask("pause", org=HARBOR)
    node = await node_of(world, HARBOR)
    assert node["state"] == "paused"
    assert psutil.Process(node["pid"]).status() == psutil.STATUS_STOPPED
    with pytest.raises(DevnetError, match="lasts already"):
        await world.ask("pause", org=HARBOR)
    await links_become(world, RIVER, {BRIGHT})
    await world.ask("pass-time", days=1)
    await world.ask("heal", id=said["id"])
    assert (await node_of(world, HARBOR))["state"] == "ready"
    assert (await node_of(world, HARBOR))["pid"] == node["pid"]
    await links_become(world, RIVER, {BRIGHT, HARBOR})
    info = await world.client(HARBOR, None).call(NODE, AskNode())
    assert info.world_ms - info.now_ms == 86_400_000


async def node_of(world: AttachedWorld, org: str) -> dict[str, Any]:
    """Return what a status says of one node."""
    nodes = (await world.ask("status", look=False))["nodes"]
    found: dict[str, Any] = next(node for node in nodes if node["org"] == org)
    return found


async def check_an_end_comes_by_itself(world: AttachedWorld) -> None:
    """Nobody heals: each is over when its time is, a killed node is started."""
    await world.ask("loss", share_permille=1_000, orgs=[RIVER, BRIGHT], for_ms=300)
    await world.ask("pause", org=BRIGHT, for_ms=300)
    await world.ask("kill", org=HARBOR, for_ms=300)
    await until(partial(nothing_lasts, world))

    async def ready() -> bool:
        nodes = (await world.ask("status"))["nodes"]
        return all(node["state"] == "ready" and len(node["connected"]) == 2 for node in nodes)

    await until(ready)
    said = (await world.ask("disturbances", after=0))["lines"]
    ends = [line for line in said if line.get("why") == "its time was over"]
    assert sorted(line["of"] for line in ends) == ["kill", "loss", "pause"]


async def check_a_wrong_clock(world: AttachedWorld) -> None:
    ahead_ms = 3_600_000
    said = await world.ask("skew", org=HARBOR, ahead_ms=ahead_ms)
    assert said["by_ms"] == ahead_ms
    assert abs(await off_ms(world) - ahead_ms) < WAIT_S * 1000
    await links_become(world, HARBOR, {RIVER, BRIGHT})
    with pytest.raises(DevnetError, match="lasts already"):
        await world.ask("skew", org=HARBOR, behind_ms=5)
    await world.ask("heal", id=said["id"])
    assert abs(await off_ms(world)) < WAIT_S * 1000


async def off_ms(world: AttachedWorld) -> int:
    """Return by how much a node's clock is ahead of this one."""
    info = await world.client(HARBOR, None).call(NODE, AskNode())
    return info.now_ms - time.time_ns() // 1_000_000


async def check_an_older_state_is_started_and_taken_back(world: AttachedWorld) -> None:
    """Others have seen what the node does not know any more, so it ends by itself (ADR 0032)."""
    await world.ask("save", org=HARBOR, state="yesterday")
    assert (await node_of(world, HARBOR))["state"] == "ready"
    saved = await journal_size(world)
    await world.ask("restart", org=HARBOR)
    newest = await journal_size(world)
    assert newest > saved
    for org in (RIVER, BRIGHT):
        await until(partial(has_seen, world, org, saved))
    for state in ("yesterday", "empty"):
        said = await world.ask("restart", org=HARBOR, state=state)
        assert await lasting(world) == ["old-state"]
        await until(partial(has_crashed, world))
    await world.ask("heal", id=said["id"])
    assert await journal_size(world) >= newest
    await links_become(world, HARBOR, {RIVER, BRIGHT})


async def journal_size(world: AttachedWorld) -> int:
    """Return how many entries Harbor's journal has."""
    return (await world.operator(HARBOR).call(PEERS, AskPeers())).journal.sequence


async def has_seen(world: AttachedWorld, org: str, size: int) -> bool:
    """Return whether a node has seen Harbor's journal with more entries than this."""
    said = await world.operator(org).call(WITNESSES, AskWitnesses())
    return any(one.node == world.node(HARBOR).did and one.size > size for one in said.nodes)


async def has_crashed(world: AttachedWorld) -> bool:
    """Return whether Harbor has ended by itself."""
    return (await node_of(world, HARBOR))["state"] == "crashed"


async def check_all_is_healed_at_once(world: AttachedWorld) -> None:
    await world.ask("cut", orgs=[RIVER])
    await world.ask("rate", rate_kbit_s=1_000, orgs=[BRIGHT, HARBOR])
    await world.ask("kill", org=BRIGHT)
    await world.ask("heal", a=RIVER, b=BRIGHT)
    (cut, *_) = (await world.ask("chaos"))["lasting"]
    assert cut["links"] == [sorted((RIVER, HARBOR))]
    assert await lasting(world) == ["cut", "rate", "kill"]
    healed = (await world.ask("heal"))["healed"]
    assert [line["of"] for line in healed] == ["cut", "rate", "kill"]
    for org in ORGS:
        await links_become(world, org, set(ORGS) - {org})
    links = (await world.ask("status", look=False))["links"]
    assert not any(link["cut"] for link in links)


async def check_stories_and_notebooks(world: AttachedWorld) -> None:
    """A block heals where it ends, and what is over by then is no error."""
    assert "chaos" in world.capabilities
    desk = await open_devnet("c")
    try:
        async with await desk.chaos.loss(0.5, "bright", "harbor"):
            (found,) = await desk.chaos.lasting()
            assert (found.told["a"], found.told["b"]) == (BRIGHT, HARBOR)
        assert await lasting(world) == []
        async with await desk.chaos.delay(5, for_ms=100):
            await until(partial(nothing_lasts, world))
    finally:
        await desk.close()


async def nothing_lasts(world: AttachedWorld) -> bool:
    """Return whether nothing is done to the network."""
    return await lasting(world) == []


def test_what_a_killed_supervisor_left_is_over_and_written_down() -> None:
    """Its nodes die with it, a paused one too; the next one begins with nothing disturbed."""
    with running() as launched:

        async def disturb(world: AttachedWorld) -> None:
            await world.ask("skew", org=BRIGHT, behind_ms=60_000)
            # Who has seen what the empty node does not know keeps it from signing another history.
            for org in (RIVER, BRIGHT):
                await until(partial(has_seen, world, org, 0))
            await world.ask("restart", org=HARBOR, state="empty")
            await world.ask("pause", org=RIVER)
            await world.ask("loss", share_permille=100)

        told(disturb)
        pids = [node["pid"] for node in asyncio.run(status())["nodes"]]
        os.kill(launched.process.pid, signal.SIGKILL)
        launched.process.wait(WAIT_S)
        asyncio.run(until(partial(are_gone, [pid for pid in pids if pid])))
    with running():
        assert asyncio.run(status())["chaos"] == []
        ends = [line for line in lines() if "started again" in line.get("why", "")]
        assert [line["of"] for line in ends] == ["skew", "old-state", "pause", "loss"]
        assert not (load_state("c").folder / "nodes" / HARBOR / "data.newest").exists()
        told(nothing_is_wrong)


async def are_gone(pids: list[int]) -> bool:
    """Return whether none of these processes is left."""
    return not any(psutil.pid_exists(pid) for pid in pids)


async def status() -> dict[str, Any]:
    """Return the status of the network."""
    return await ask_supervisor(load_state("c").socket, "status", look=False)


async def nothing_is_wrong(world: AttachedWorld) -> None:
    for org in ORGS:
        await links_become(world, org, set(ORGS) - {org})
        info = await world.client(org, None).call(NODE, AskNode())
        assert abs(info.now_ms - time.time_ns() // 1_000_000) < 30_000
