"""Every example that `--help` shows: opkit reads it, and it does on real nodes what is promised."""

from __future__ import annotations

import json
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer import main as typer_main

from devnet.genesis import make_world
from opkit import home
from opkit.cli.app import GROUPS, app, flowing
from opkit.proof import keystore
from tests.opkit.cli.examples import (
    ALONE,
    ELSEWHERE,
    ENDS_WITH,
    OF_SEVERAL,
    ON_A_DEVNET,
    ON_A_NODE,
    PROCESSES,
    STAYS,
    TYPED,
)

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 200

BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of command lines in a document."""


def examples() -> Iterator[str]:
    """Return every example of every command's help, without what is said behind it."""
    commands = [typer_main.get_command(app)]
    commands += [typer_main.get_command(import_module(f"opkit.cli.{name}").app) for name in GROUPS]
    for command in commands:
        for each in whole(command):
            text = flowing(f"{each.help or ''}\n\n{each.epilog or ''}")
            for line in re.findall(r"^  (opkit .*)$", text, re.MULTILINE):
                yield re.split(r"\s{2,}", line)[0]


def whole(command: Any) -> Iterator[Any]:
    """Return a command with all that are below it; those of `opkit` itself have their modules."""
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from whole(each)


def test_every_example_is_run_here_or_named_with_what_runs_it() -> None:
    done = {*ALONE.splitlines(), *ON_A_DEVNET.splitlines(), *ON_A_NODE.splitlines()}
    assert set(examples()) == done | set(ELSEWHERE)
    for path in ELSEWHERE.values():
        assert (ROOT / path).is_file()


def read(line: str) -> None:
    """Have opkit read a command line, and do nothing; raise what it would tell."""
    group, *rest = shlex.split(line)
    command: Any = typer_main.get_command(import_module(f"opkit.cli.{group}").app)
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(command.name, rest)


@pytest.mark.parametrize("document", ["README.md", "docs"])
def test_every_command_line_of_the_documents_is_one_that_opkit_reads(document: str) -> None:
    place = ROOT / document
    found = 0
    for path in sorted(place.rglob("*.md")) if place.is_dir() else [place]:
        for block in BLOCK.findall(path.read_text("utf-8")):
            for line in re.findall(r"^(?:\S*/bin/)?opkit ([^#\n]+)", block, re.MULTILINE):
                found += 1
                read(line)
    assert found > 10


def test_a_line_that_opkit_cannot_read_is_noticed() -> None:
    with pytest.raises(Exception, match="--colour"):
        read("devnet up --colour red")
    with pytest.raises(KeyError, match="fly"):
        read("devnet fly")


AGENT_CARD = {
    "name": "Translator",
    "description": "Translates letters.",
    "version": "1",
    "supportedInterfaces": [
        {"url": "http://127.0.0.1:1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {},
}
"""What a member says of an agent of theirs."""


class Desk:
    """A folder that somebody works in, and what stands for the placeholders of the examples.

    The first example of each command is run as a process, by a shell; what else is shown of it
    costs less in this process.
    """

    def __init__(self, folder: Path, run: Callable[..., Any]) -> None:
        self.folder = folder
        self.stands_for = {"/mnt/disk": str(folder)}
        self.seen: set[str] = set()
        self._run = run
        (folder / "hours.txt").write_text("1 2 3\n", "utf-8")
        (folder / "in.txt").write_text("hello", "utf-8")
        (folder / "names.jsonl").write_text('{"name": "saw"}\n{"name": "plane"}\n', "utf-8")
        (folder / "agent.json").write_text(json.dumps(AGENT_CARD), "utf-8")
        shutil.copy(ROOT / "wasm/upper.wasm", folder / "patronage.wasm")
        shutil.copy(ROOT / "wasm/upper.wasm", folder / "a.wasm")

    def do(self, example: str) -> str:
        """Do what an example says, as a shell would; return what it printed."""
        line = example
        for placeholder, value in self.stands_for.items():
            line = line.replace(placeholder, value)
        words = example.split()[1:3]
        command = " ".join(words if words[0] in OF_SEVERAL else words[:1])
        again = command in self.seen and not example.startswith(PROCESSES)
        self.seen.add(command)
        if again and example not in {*STAYS, *TYPED}:
            ran = self._run(*map(os.path.expanduser, shlex.split(line)[1:]))
            code, said = ran.code, ran.out + ran.err
        else:
            code, said = self._as_process(example, line)
        good = (0, 130) if example in STAYS else (ENDS_WITH.get(example, 0),)
        assert code in good, f"{line}: exit {code}\n{said}"
        assert "Traceback" not in said, f"{line}\n{said}"
        return said

    def _as_process(self, example: str, line: str) -> tuple[int, str]:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said = heard(process, STAYS[example]) if example in STAYS else ""
            said += process.communicate(TYPED.get(example), timeout=WAIT_S)[0]
        finally:
            process.kill()
            process.wait()
        return process.returncode, said


def heard(process: subprocess.Popen[str], word: str) -> str:
    """Wait until a process says a word, then press Ctrl-C; return what it has said."""
    assert process.stdout is not None, "it was asked for"
    said = ""
    deadline = time.monotonic() + WAIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while word not in said:
            assert selector.select(deadline - time.monotonic()), f"it never said {word}: {said}"
            piece = os.read(process.stdout.fileno(), 65_536).decode("utf-8", "replace")
            assert piece, f"it ended before it said {word}: {said}"
            said += piece
    process.send_signal(signal.SIGINT)
    return said


@pytest.fixture
def desk(tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Desk:
    own = {"HOME": str(tmp_path), "BROWSER": "true", "OPKIT_PASSPHRASE": "a long secret"}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, run)


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(600)
def test_examples_that_need_no_network_do_what_they_say(desk: Desk) -> None:
    for example in ALONE.splitlines():
        said = desk.do(example)
        if example.startswith("opkit demo a"):
            genesis = Path(re.findall(r"elsewhere: --genesis (\S+)", said)[0])
            shutil.copy(genesis, desk.folder / "network.jws")
            desk.stands_for |= {"runs/2026-01-05": "run", "verify DIR": "verify run"}


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(900)
def test_examples_on_a_devnet_do_what_they_say(desk: Desk) -> None:
    try:
        for example in ON_A_DEVNET.splitlines():
            remember(desk, example, desk.do(example))
    finally:
        for name in ("default", "big"):
            if home.devnet_folder(name).exists():
                desk.do(f"opkit devnet reset {name}")


def remember(desk: Desk, example: str, said: str) -> None:
    """Keep what later examples name: a hash, a task, a member's key, a place in the journal."""
    if example == "opkit devnet up":
        shutil.copy(next((home.state_home() / "genesis").iterdir()), desk.folder / "network.jws")
    elif example == "opkit identity new ada":
        desk.stands_for["DID"] = re.findall(r"did:key:\w+", said)[0]
    elif example == "opkit wasm deploy patronage.wasm":
        desk.stands_for["bafkrei…"] = re.findall(r"bafkrei\w+", said)[0]
    elif example.endswith("--format jsonld"):
        assert json.loads(said)["@type"] == "AgentCard"
    elif example == "opkit card publish agent.json":
        desk.stands_for["AGENT"] = re.findall(r"did:key:\w+", said)[0]
    elif example.endswith("--executor any"):
        task = re.findall(r"\b[0-9a-f]{32}\b", said)[0]
        desk.stands_for |= {"TASK_ID": task, "0123…": task}
    elif example == "opkit grant give --tasks 100":
        desk.stands_for["GRANT"] = re.findall(r"\b[0-9a-f]{64}\b", said)[0]
    elif example.startswith("opkit devnet chaos pause"):
        desk.stands_for["chaos heal 3"] = re.findall(r"chaos heal \d+", said)[-1]
    elif example == "opkit events tail":
        desk.stands_for["1.42.6f1e…"] = re.findall(r"cursor (\S+)", said)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(300)
def test_examples_with_a_node_of_ones_own_do_what_they_say(desk: Desk) -> None:
    org = "harbor-homes-cooperative"
    made = make_world("three", now_ms=1_767_225_600_000)
    desk.stands_for["our-coop"] = org
    (desk.folder / "network.jws").write_text(made.genesis, "ascii")
    node, secret = desk.folder / "node", bytes(range(32))
    node.mkdir()
    (node / "keystore.key").write_bytes(secret)
    (node / "keystore.key").chmod(0o600)
    (node / "keystore.json").write_bytes(
        keystore.seal({"node": made.nodes[org].seed}, secret=secret)
    )
    for example in ON_A_NODE.splitlines():
        if "restore" in example:
            shutil.rmtree(node / "data", ignore_errors=True)
        desk.do(example)
