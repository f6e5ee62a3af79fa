"""A node that is told to end: what it still takes, what it waits for, and that nothing is lost."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from bench.asking import get
from bench.lanes import Lane
from bench.single import ROOT, SingleNode
from opkit.client import NodeClient
from opkit.client.asks import encode
from opkit.client.compute import TaskHandle
from opkit.client.retry import Patience
from opkit.proof.receipt import verify_receipt
from opkit.wire.compute import (
    FINAL,
    GET_TASK,
    PUT_BLOB,
    GetTask,
    Outcome,
    PutBlob,
    TaskLimits,
    TaskState,
)
from opkit.wire.errors import CoopError
from opkit.wire.events import EVENTS_PATH
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import LIVE, AskHealth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WASM = ROOT / "wasm"
MARA = "river-city-tool-library/mara"
STORY_S_MAX = 250
WAIT_S_MAX = 100
LONG = TaskLimits(fuel=10**11, time_ms=60_000)
A_WHILE = TaskLimits(fuel=10**11, time_ms=12_000)
"""Long enough that a slow machine, too, does meanwhile what is to happen while a task runs."""


class Node(SingleNode):
    """A node that can be told to end, by the signals that people and services send."""

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Return the exit code once the process has ended."""
        assert self._process is not None
        code = await asyncio.to_thread(self._process.wait, WAIT_S_MAX)
        self._process = None
        return code

    async def says(self, waits_for: str) -> None:
        """Return once the node says by its file that it waits for this."""
        ending = self.folder / "data" / "ending.json"
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                if ending.exists() and waits_for in ending.read_text("utf-8"):
                    return
                await asyncio.sleep(0.02)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return every line of the log that tells of this event."""
        lines = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        return [line for line in lines if line["event"] == event]

    def mara(self) -> NodeClient:
        """Return a client that asks once."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=self.world.members[MARA],
            patience=Patience(attempts_max=1),
        )


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Make nodes; what still runs at the end is killed."""
    nodes: list[Node] = []

    def make(sections: str = "", name: str = "n") -> Node:
        folder = tmp_path / name
        folder.mkdir()
        nodes.append(Node(folder, sections=sections))
        return nodes[-1]

    yield make
    for node in nodes:
        node.kill()


def run(story: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(story, STORY_S_MAX))


async def spinning(mara: NodeClient, *limits: TaskLimits) -> list[TaskHandle]:
    """Submit tasks that end by their limits only; return once the first is running."""
    info = await mara.wasm.deploy((WASM / "spin.wasm").read_bytes(), name="spin")
    handles = [await mara.compute.submit(info.wasm_hash, b"", limits=each) for each in limits]
    async with asyncio.timeout(WAIT_S_MAX):
        while (await handles[0].view()).state is not TaskState.RUNNING:
            await asyncio.sleep(0.02)
    return handles


async def results(node: Node, handles: list[TaskHandle]) -> list[Any]:
    """Return how tasks ended, each with a receipt that verifies."""
    async with node.client(MARA) as mara:
        found = [await mara.compute.handle(one.task_id, one.manifest).result() for one in handles]
    for each in found:
        assert verify_receipt(each.bundle, genesis=node.world.view).status == "verified"
    return found


async def closed(stream: ClientConnection) -> Close | None:
    """Read an event stream until the node closes it; return how it did."""
    while True:
        try:
            await stream.recv()
        except ConnectionClosed as end:
            return end.rcvd


def test_a_running_task_ends_first_and_meanwhile_the_node_answers_and_takes_nothing_new(
    made: Callable[..., Node],
) -> None:
    node = made("stop_ms = 60000")

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            handles = await spinning(mara, A_WHILE)
            url = f"{node.url.replace('http', 'ws')}{EVENTS_PATH}"
            async with connect(
                url, additional_headers={"Authorization": f"Bearer {mara.token}"}
            ) as stream:
                waiting = asyncio.create_task(handles[0].view(wait_ms=30_000))
                node.tell()
                await node.says("1 running task")
                health = await mara.call(LIVE, AskHealth())
                assert health.degraded == ("stopping: waits for 1 running task",)
                with pytest.raises(StoreBusy, match="stopping"):
                    await mara.call(PUT_BLOB, PutBlob(content=b"late"))
                assert (await handles[0].view()).state is TaskState.RUNNING
                assert (await waiting).state in FINAL
                close = await closed(stream)
        assert close is not None
        assert (close.code, close.reason) == (1012, "the node is stopping")
        assert await node.ended() == 0
        assert node.logged("waiting")[0]["waits_for"] == ["1 running task"]
        assert node.logged("stopped waiting")[-1]["whole"] is True
        assert not (node.folder / "data" / "ending.json").exists()
        assert not (node.folder / "data" / "ready.json").exists()
        await node.start()
        (result,) = await results(node, handles)
        assert result.outcome in {Outcome.TIME, Outcome.FUEL}, "whichever limit comes first here"
        assert result.receipt.sequence == 1

    run(story())


def test_what_waits_for_a_worker_begins_after_the_next_start_and_runs_once(
    made: Callable[..., Node],
) -> None:
    node = made("stop_ms = 60000\n[compute]\nworkers = 1")

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            short = TaskLimits(fuel=10**11, time_ms=1_000)
            handles = await spinning(mara, A_WHILE, short, short)
            node.tell()
        assert await node.ended() == 0
        assert node.logged("stopped waiting")[-1]["whole"] is True
        await node.start()
        found = await results(node, handles)
        assert sorted(each.receipt.sequence for each in found) == [1, 2, 3]
        assert {each.outcome for each in found} <= {Outcome.TIME, Outcome.FUEL}
        starts = [line["at_ms"] for line in node.logged("serving")]
        ended = sorted(each.receipt.ended_at_ms for each in found)
        assert len(starts) == 2
        assert ended[0] < starts[1] < ended[1], "one ended before, two began after"

    run(story())


def test_the_deadline_ends_the_waiting_answers_who_waits_and_the_task_begins_anew(
    made: Callable[..., Node],
) -> None:
    node = made("stop_ms = 400")

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            handles = await spinning(mara, LONG)
            assert mara.token is not None
            lane = await Lane.open(node.url)
            for wait_ms in (0, 30_000):
                asked = encode(GET_TASK, GetTask(task_id=handles[0].task_id, wait_ms=wait_ms))
                waiting = asyncio.create_task(lane.ask(get(asked.target, token=mara.token)))
                if not wait_ms:
                    assert (await waiting)[0] == 200, "the node has taken the connection"
            # It is on its way when the node is told to end: the deadline is a short one.
            await asyncio.sleep(0)
            node.tell()
            status, body = await waiting
            assert (status, json.loads(body)["state"]) == (200, TaskState.RUNNING.value)
            lane.close()
        assert await node.ended() == 0
        assert node.logged("stopped waiting")[-1]["whole"] is False
        await node.start()
        async with node.mara() as mara:
            again = mara.compute.handle(handles[0].task_id, handles[0].manifest)
            async with asyncio.timeout(WAIT_S_MAX):
                while (await again.view()).state is not TaskState.RUNNING:
                    await asyncio.sleep(0.02)
            await again.cancel()
            assert (await again.view(wait_ms=30_000)).state is TaskState.CANCELLED

    run(story())


def test_a_second_signal_ends_it_at_once(made: Callable[..., Node]) -> None:
    node = made("stop_ms = 600000")

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            await spinning(mara, LONG)
        node.tell()
        await node.says("1 running task")
        node.tell(signal.SIGINT)
        assert await node.ended() == 0
        assert node.logged("stopped waiting")[-1]["whole"] is False

    run(story())


def test_nothing_that_was_acknowledged_while_it_ended_is_lost(made: Callable[..., Node]) -> None:
    node = made()
    kept: dict[str, bytes] = {}
    refused: list[CoopError] = []
    enough = asyncio.Event()

    async def put(mara: NodeClient, first: int) -> None:
        for number in range(first, 100_000, 4):
            content = b"%d" % number
            try:
                kept[(await mara.call(PUT_BLOB, PutBlob(content=content))).cid] = content
            except CoopError as no:
                refused.append(no)
                return
            if len(kept) >= 40:
                enough.set()

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            await mara.login()
            writing = [asyncio.create_task(put(mara, first)) for first in range(4)]
            await enough.wait()
            node.tell()
            await asyncio.gather(*writing)
        assert await node.ended() == 0
        assert len(refused) == 4, "busy or gone, and told so"
        await node.start()
        async with node.client(MARA) as mara:
            for cid, content in kept.items():
                assert await mara.wasm.fetch(cid) == content

    run(story())


class OnTerminal(Node):
    """A node whose standard error is a terminal."""

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.screen, theirs = pty.openpty()
        command = [sys.executable, "-m", "nodeimpl", str(self.folder / "node.toml")]
        process = subprocess.Popen(command, stderr=theirs, cwd=ROOT)
        os.close(theirs)
        return process

    def read(self) -> str:
        """Return what stands on the terminal once the process has ended."""
        shown = b""
        while True:
            try:
                piece = os.read(self.screen, 65_536)
            except OSError:  # How Linux says that nobody writes there any more.
                break
            if not piece:
                break
            shown += piece
        os.close(self.screen)
        return shown.decode("utf-8")


def test_on_a_terminal_people_are_told_in_words(tmp_path: Path) -> None:
    node = OnTerminal(tmp_path, sections="stop_ms = 600000")

    async def story() -> None:
        await node.start()
        async with node.mara() as mara:
            await spinning(mara, LONG)
        node.tell(signal.SIGINT)
        await node.says("1 running task")
        node.tell(signal.SIGINT)
        assert await node.ended() == 0

    try:
        run(story())
    finally:
        node.kill()
    shown = node.read()
    assert "opkit: stopping, in 600 s at most; Ctrl-C again: at once" in shown
    assert "opkit: waiting for 1 running task" in shown
    assert "opkit: what still runs begins anew at the next start" in shown


def test_a_node_whose_port_is_taken_says_so_and_what_to_do(made: Callable[..., Node]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = made(f"[gateway]\nport = {taken.getsockname()[1]}")
        with pytest.raises(RuntimeError):
            asyncio.run(node.start())
    assert node._process is not None
    assert node._process.returncode == 1
    (line,) = node.logged("the system refused")
    assert "gateway.port" in line["hint"]


def test_what_the_system_refuses_for_no_reason_that_we_know_is_told_as_it_is(
    made: Callable[..., Node],
) -> None:
    """Not as a hint that is not there."""
    node = made()
    refusing = """
import errno, sys
from pathlib import Path
from nodeimpl import __main__ as program
from nodeimpl.config import load_config

async def refuse(*_, **__):
    raise OSError(errno.ELOOP, "nobody expects this")

program._serve = refuse
program.serve(load_config(Path(sys.argv[1])))
"""
    command = [sys.executable, "-c", refusing, str(node.folder / "node.toml")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno {errno.ELOOP}] nobody expects this"
