"""After a whole story nothing holds a secret that should not: files, processes, what nodes say."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from devnet.attach import open_world
from devnet.launch import Launched, launch
from devnet.state import load_identities, load_state_of
from flows.a import flow
from opkit.proof import keystore
from opkit.runner.secrets import secrets_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.usefixtures("unmeasured_processes"),
]

KEPT = {"keystore.json", "keystore.key", "mac.key", "control.token"}
"""Files whose whole purpose is to hold a secret, each for the owner alone."""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launched]:
    """A devnet whose nodes log all they can."""
    home = Path(tempfile.mkdtemp(prefix="ok-"))  # Short: a Unix socket's path has 107 bytes.
    monkeypatch.setenv("OPKIT_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    started = launch(name="t", profile="three", seed=7, node_module="loud_node")
    try:
        started.wait_ready()
        yield started
    finally:
        started.down()
        shutil.rmtree(home)


def seeds_in(folder: Path) -> list[bytes]:
    """Return every private key of a devnet, and the keys of keystores and of compiled code."""
    seeds = {identity.seed for identity in load_identities(load_state_of(folder)).values()}
    for path in folder.rglob("keystore.json"):
        secret = path.with_suffix(".key").read_bytes()
        seeds |= {secret, *keystore.unseal(path.read_bytes(), secret=secret).values()}
    seeds |= {path.read_bytes() for path in folder.rglob("mac.key")}
    return sorted(seeds)


async def tell() -> None:
    """Tell the story."""
    world = await open_world("t", run_id="once", seed=7)
    try:
        report = await flow.tell(world).run()
        assert report.stopped is None
    finally:
        await world.close()


def told_by_process(process: psutil.Process) -> list[bytes]:
    """Return what the system tells of a process."""
    said = [Path(f"/proc/{process.pid}/{what}").read_bytes() for what in ("cmdline", "environ")]
    limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    if "nodeimpl" in " ".join(process.cmdline()):
        assert core.split()[4] == "0", "no key in a core dump"
    return said


def told_by(launched: Launched) -> Iterator[bytes]:
    """Yield what processes and nodes tell whoever looks."""
    supervisor = psutil.Process(launched.process.pid)
    processes = (supervisor, *supervisor.children(recursive=True))
    assert len(processes) >= 4, "a supervisor and three nodes"
    for process in processes:
        with suppress(FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
            yield from told_by_process(process)  # A worker may end just now.
    for ready in launched.folder.rglob("ready.json"):
        url = json.loads(ready.read_text())["url"]
        for path in ("/metrics", "/openapi.json", "/v1/health/ready", "/v1/nothing"):
            yield httpx.get(url + path, trust_env=False, timeout=30).content


def test_nothing_holds_a_secret_after_a_whole_story(launched: Launched, tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(tell(), 250))
    everything = tmp_path / "everything"
    everything.mkdir()
    for path in launched.folder.rglob("*"):
        if path.is_file() and path.name in KEPT:
            assert path.stat().st_mode & 0o077 == 0, "for the owner alone"
        elif path.is_file():
            to = everything / path.relative_to(launched.folder)
            to.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # What is written anew has another name at first.
                shutil.copy(path, to)
    for number, what in enumerate(told_by(launched)):
        (everything / f"told-{number}").write_bytes(what)
    assert b'"level":"debug"' in b"".join(path.read_bytes() for path in everything.rglob("*.log"))
    seeds = seeds_in(launched.folder)
    token = (launched.folder / "control.token").read_text().strip()
    assert len(seeds) >= 3 + 15 + 1
    assert len(token) >= 20
    assert secrets_in(everything, seeds=seeds, tokens=[token]) == ()
    planted = everything / "planted.log"
    for secret in (seeds[0].hex().encode(), token.encode()):
        planted.write_bytes(b"x" + secret + b"x")
        assert secrets_in(everything, seeds=seeds, tokens=[token]), "the search finds what is there"
