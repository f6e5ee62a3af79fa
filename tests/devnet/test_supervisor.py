"""A supervisor with real nodes: what it can do to them, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.control import ask_supervisor
from devnet.grants import token_file
from devnet.launch import Launched, LaunchFailed, launch
from devnet.processes import descendants_of
from devnet.state import DevnetError, is_running, load_identities, load_state, node_folder
from opkit import home
from opkit.client import NodeClient
from opkit.wire.gateway import ScopeMissing
from opkit.wire.network import PEERS, AskPeers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)


@contextmanager
def running(name: str = "t", **options: Any) -> Iterator[Launched]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name=name, profile="three", seed=7, **options)
    try:
        launched.wait_ready()
        yield launched
    finally:
        launched.down()


def ask(name: str, do: str, **arguments: Any) -> dict[str, Any]:
    """Ask the supervisor of a devnet."""
    return asyncio.run(ask_supervisor(load_state(name).socket, do, **arguments))


def node_of(status: dict[str, Any], org: str) -> dict[str, Any]:
    """Return what a status says of one node."""
    node: dict[str, Any] = next(node for node in status["nodes"] if node["org"] == org)
    return node


async def links_become(name: str, org: str, expected: set[str]) -> dict[str, Any]:
    """Return the status in which a node is connected to exactly `expected`."""
    async with asyncio.timeout(60):
        while True:
            status = await ask_supervisor(load_state(name).socket, "status")
            if set(node_of(status, org)["connected"]) == expected:
                return status
            await asyncio.sleep(0.1)


async def all_linked(name: str) -> dict[str, Any]:
    """Return the status in which each node is connected to both others."""
    async with asyncio.timeout(60):
        while True:
            status = await ask_supervisor(load_state(name).socket, "status")
            if all(len(node["connected"]) == 2 for node in status["nodes"]):
                return status
            await asyncio.sleep(0.1)


def gone(pids: tuple[int, ...]) -> bool:
    """Return whether none of these processes is left, waiting a moment for the kernel."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not alive


def test_the_life_of_a_network() -> None:
    """One network for all commands: starting one costs seconds."""
    with running() as launched:
        state = load_state("t")
        check_status(state.name)
        owners = token_file(state.socket)
        assert stat.S_IMODE(owners.stat().st_mode) == 0o600
        check_files_and_arguments(launched)
        check_every_node_has_a_private_folder(launched)
        check_a_second_supervisor_is_refused()
        check_kill_and_restart()
        check_cut_and_heal()
        check_time_passes_on_all_nodes()
        check_hostile_peers()
        check_bad_asks()
        check_rights()
        check_a_token_for_reading()
        check_a_poll_is_answered_at_once()
        check_a_crash_is_told(launched)
        below = descendants_of(launched.process.pid)
        launched.detach()
        ask("t", "down")
        assert launched.process.wait(60) == 0
        assert gone(below)
        assert not is_running(state.folder)
        assert not owners.exists()
        check_what_was_done_is_written_down(state.folder)


def check_status(name: str) -> None:
    status = asyncio.run(all_linked(name))
    assert status["state"] == "ready"
    assert [node["org"] for node in status["nodes"]] == [RIVER, BRIGHT, HARBOR]
    for node in status["nodes"]:
        assert node["state"] == "ready"
        assert node["url"].startswith("http://127.0.0.1:")
    assert status["disturbances"] == []
    quick = ask("t", "status", look=False)["nodes"]
    told = ("org", "title", "did", "url", "state", "pid")
    assert [[node[what] for what in told] for node in quick] == [
        [node[what] for what in told] for node in status["nodes"]
    ]


def check_files_and_arguments(launched: Launched) -> None:
    """The socket is private, and no secret stands in arguments, environment or logs."""
    state = load_state("t")
    assert stat.S_IMODE(state.socket.stat().st_mode) == 0o600
    secrets = [identity.seed for identity in load_identities(state).values()]
    secrets.append(state.key_file.read_bytes())
    seen = [path.read_bytes() for path in launched.folder.rglob("*.log")]
    for pid in (launched.process.pid, *descendants_of(launched.process.pid)):
        seen += [Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")]
    everything = b"\n".join(seen)
    for secret in secrets:
        assert secret not in everything
        assert secret.hex().encode() not in everything


def check_every_node_has_a_private_folder(launched: Launched) -> None:
    for node in load_state("t").nodes:
        folder = node_folder(launched.folder, node.org)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "node.log").stat().st_mode) == 0o600


def check_a_second_supervisor_is_refused() -> None:
    second = launch(name="t", profile="three", seed=7)
    with pytest.raises(LaunchFailed, match="runs already") as refused:
        second.wait_ready()
    assert "opkit devnet status" in refused.value.hint
    second.down()
    assert is_running(home.devnet_folder("t"))


def check_kill_and_restart() -> None:
    before = node_of(ask("t", "status"), HARBOR)
    ask("t", "kill", org=HARBOR)
    assert gone((before["pid"],))
    killed = node_of(ask("t", "status"), HARBOR)
    assert (killed["state"], killed["pid"]) == ("killed", None)
    assert killed["how"] == "killed by SIGKILL"
    for do in ("kill", "node-token"):
        with pytest.raises(DevnetError, match="does not run"):
            ask("t", do, org=HARBOR)
    ask("t", "restart", org=HARBOR)
    after = node_of(asyncio.run(links_become("t", HARBOR, {RIVER, BRIGHT})), HARBOR)
    assert after["state"] == "ready"
    assert after["url"] == before["url"]
    assert after["pid"] != before["pid"]


def check_cut_and_heal() -> None:
    ask("t", "cut", a=BRIGHT, b=HARBOR)
    status = asyncio.run(links_become("t", BRIGHT, {RIVER}))
    cut = [{link["a"], link["b"]} for link in status["links"] if link["cut"]]
    assert cut == [{BRIGHT, HARBOR}]
    asyncio.run(links_become("t", HARBOR, {RIVER}))
    ask("t", "heal", a=HARBOR, b=BRIGHT)
    asyncio.run(links_become("t", BRIGHT, {RIVER, HARBOR}))


def check_time_passes_on_all_nodes() -> None:
    """A node that was down when time passed has it once it is back."""
    ask("t", "kill", org=RIVER)
    said = ask("t", "pass-time", days=7)
    assert said["offset_ms"] == 7 * 86_400_000
    ask("t", "restart", org=RIVER)
    assert offsets() == {7 * 86_400_000}
    with pytest.raises(DevnetError, match="1 to 366"):
        ask("t", "pass-time", days=0)


def offsets() -> set[int]:
    """Return by how much world time runs ahead on each node, as they say it."""
    from devnet.facts import network_facts

    infos, _ = asyncio.run(network_facts(load_state("t")))
    assert len(infos) == 3
    return {info.world_ms - info.now_ms for _, info in infos}


def check_hostile_peers() -> None:
    said = ask("t", "hostile", kind="silent", against=[HARBOR])
    (listed,) = ask("t", "status")["hostile"]
    assert (listed["did"], listed["running"]) == (said["did"], True)
    assert said["did"] in asyncio.run(links_of(HARBOR))
    assert isinstance(ask("t", "hostile-stats", number=said["number"]), dict)
    ask("t", "stop-hostile", number=said["number"])
    assert ask("t", "status")["hostile"] == []
    with pytest.raises(DevnetError, match="no hostile peer"):
        ask("t", "stop-hostile", number=said["number"])
    with pytest.raises(DevnetError, match="of kind 'no such kind'") as refused:
        ask("t", "hostile", kind="no such kind", against=[HARBOR])
    assert "tampering-provider" in refused.value.hint


async def links_of(org: str) -> list[str]:
    """Return whom a node is connected to: organisations, or DIDs of strangers."""
    status = await ask_supervisor(load_state("t").socket, "status")
    connected: list[str] = node_of(status, org)["connected"]
    return connected


def check_bad_asks() -> None:
    for do, arguments in (
        ("dance", {}),
        ("kill", {}),
        ("kill", {"org": "nobody"}),
        ("cut", {"a": RIVER, "b": RIVER}),
        ("cut", {"a": RIVER, "b": 7}),
        ("hostile", {"kind": "silent", "against": []}),
        ("pass-time", {"days": True}),
    ):
        with pytest.raises(DevnetError):
            ask("t", do, **arguments)


def check_rights() -> None:
    """Without a token nothing is told; a token does what it was made for, until it is revoked."""
    for token in ("", "guess"):
        with pytest.raises(DevnetError, match="token"):
            ask("t", "status", token=token)
    reads = ask("t", "grant", scopes=["read"], ttl_ms=60_000)["token"]
    assert ask("t", "status", token=reads)["network"] == load_state("t").network
    for do, arguments in (
        ("kill", {"org": HARBOR}),
        ("cut", {"a": RIVER, "b": HARBOR}),
        ("grant", {"scopes": ["own"], "ttl_ms": 60_000}),
        ("pass-time", {"days": 1}),
        ("down", {}),
    ):
        with pytest.raises(DevnetError, match=f"may not {do}"):
            ask("t", do, token=reads, **arguments)
    breaks = ask("t", "grant", scopes=["chaos"], ttl_ms=60_000)["token"]
    for do in ("cut", "heal"):
        ask("t", do, token=breaks, a=RIVER, b=HARBOR)
    with pytest.raises(DevnetError, match="may not status"):
        ask("t", "status", token=breaks)
    ask("t", "revoke", granted=reads)
    with pytest.raises(DevnetError, match="has ended"):
        ask("t", "status", token=reads)


def check_a_token_for_reading() -> None:
    """It reads from its node as the operator would, and changes nothing there."""
    said = ask("t", "node-token", org=HARBOR)
    assert ask("t", "node-token", org=HARBOR) == said
    renewed = ask("t", "node-token", org=HARBOR, instead_of=said["token"])
    assert renewed["token"] != said["token"]
    assert ask("t", "node-token", org=HARBOR, instead_of=said["token"]) == renewed

    async def use() -> None:
        state = load_state("t")
        node = state.node(HARBOR)
        client = NodeClient(url=node.url, node=node.did, network=state.network)
        async with client, asyncio.timeout(30):
            reader = client.with_token(renewed["token"])
            assert (await reader.call(PEERS, AskPeers())).journal
            with pytest.raises(ScopeMissing):
                await reader.wasm.deploy(b"\0asm\x01\0\0\0", name="nothing")

    asyncio.run(use())


def check_a_poll_is_answered_at_once() -> None:
    """Whoever waits hears of what is done, with its number, long before the wait is over."""

    async def poll() -> dict[str, Any]:
        state = load_state("t")
        seen = await ask_supervisor(state.socket, "disturbances", after=1_000_000)
        waiting = asyncio.create_task(
            ask_supervisor(state.socket, "disturbances", after=seen["next"], wait_ms=25_000)
        )
        await asyncio.sleep(0)
        await ask_supervisor(state.socket, "cut", a=RIVER, b=BRIGHT)
        async with asyncio.timeout(60):
            said = await waiting
        await ask_supervisor(state.socket, "heal", a=RIVER, b=BRIGHT)
        assert said["next"] == seen["next"] + 1
        return said

    (line,) = asyncio.run(poll())["lines"]
    assert (line["what"], line["a"], line["b"]) == ("cut", RIVER, BRIGHT)


def check_a_crash_is_told(launched: Launched) -> None:
    """Nobody asked for this end: it is shown and logged, and nothing is restarted silently."""
    pid = node_of(ask("t", "status"), BRIGHT)["pid"]
    os.kill(pid, signal.SIGSEGV)
    assert gone((pid,))
    crashed = node_of(ask("t", "status"), BRIGHT)
    assert (crashed["state"], crashed["how"]) == ("crashed", "killed by SIGSEGV")
    assert "node-crashed" in (launched.folder / "supervisor.log").read_text("utf-8")


def check_what_was_done_is_written_down(folder: Path) -> None:
    lines = (folder / "disturbances.jsonl").read_text("utf-8").splitlines()
    done = [json.loads(line)["what"] for line in lines]
    assert done[:4] == ["kill", "restart", "cut", "heal"]
    assert done[4:7] == ["kill", "pass-time", "restart"]
    assert "hostile" in done


def test_a_stopped_network_comes_back_as_the_same() -> None:
    with running():
        first = load_state("t")
        ask("t", "pass-time", days=1)
    with running():
        second = load_state("t")
        assert offsets() == {86_400_000}
    assert (second.network, second.operator) == (first.network, first.operator)


@pytest.mark.parametrize("victim", ["supervisor", "fork server"])
def test_nothing_outlives_a_killed_supervisor_or_fork_server(victim: str) -> None:
    with running() as launched:
        below = descendants_of(launched.process.pid)
        assert len(below) >= 4
        names = {psutil.Process(pid).name(): pid for pid in below}
        pid = launched.process.pid if victim == "supervisor" else names["opkit-forks"]
        os.kill(pid, signal.SIGKILL)
        launched.process.wait(60)
        assert gone(below)
        assert not is_running(launched.folder)


def test_a_temporary_network_ends_with_whoever_started_it() -> None:
    script = (
        "from devnet.launch import launch\n"
        "launched = launch(name='t', profile='three', seed=7, temporary=True)\n"
        "launched.wait_ready()\n"
        "print(launched.process.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    supervisor = int(parent.stdout.readline())
    network = load_state("t").network
    everyone = (supervisor, *descendants_of(supervisor))
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    assert gone(everyone)
    assert not home.devnet_folder("t").exists()
    assert home.genesis_file(network).exists()


def test_a_node_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    module = tmp_path / "broken_node.py"
    module.write_text("def serve(config):\n    raise SystemExit('the disk is on fire')\n", "utf-8")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(tmp_path)
    launched = launch(name="t", profile="three", seed=7, node_module="broken_node")
    try:
        with pytest.raises(LaunchFailed, match="the disk is on fire"):
            launched.wait_ready()
    finally:
        launched.down()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    assert not is_running(launched.folder)


FICKLE = """
import os
from nodeimpl import __main__ as usual

def serve(config):
    if os.path.exists(os.environ["ON_FIRE"]):
        raise SystemExit("the disk is on fire")
    return usual.serve(config)
"""


def test_a_node_that_ends_before_it_serves_is_shown_as_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fickle_node.py").write_text(FICKLE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ON_FIRE", str(tmp_path / "fire"))
    with running(node_module="fickle_node"):
        (tmp_path / "fire").touch()
        with pytest.raises(DevnetError, match="the disk is on fire"):
            ask("t", "restart", org=HARBOR)
        crashed = node_of(ask("t", "status"), HARBOR)
        assert (crashed["state"], crashed["how"]) == ("crashed", "ended with status 1")
        (tmp_path / "fire").unlink()
        ask("t", "restart", org=HARBOR)
        assert node_of(ask("t", "status", look=False), HARBOR)["state"] == "ready"


def test_a_module_that_cannot_be_loaded_is_told() -> None:
    launched = launch(name="t", profile="three", seed=7, node_module="no.such.module")
    try:
        with pytest.raises(LaunchFailed, match=r"no\.such\.module"):
            launched.wait_ready()
    finally:
        launched.down()


def test_a_long_path_gets_its_socket_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 90)
    monkeypatch.setenv("OPKIT_HOME", str(deep))
    with running() as launched:
        where = load_state("t").socket
        assert deep not in where.parents
        assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as reached:
            reached.connect(str(where))
        assert launched.process.poll() is None
    assert not where.parent.exists()
