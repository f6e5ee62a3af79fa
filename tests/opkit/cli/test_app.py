"""The root command: quick, teaching, and clear about mistakes."""

from __future__ import annotations

import ast
import errno
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer import core
from typer import main as typer_main

from opkit.cli.app import GROUPS

Run = Callable[..., Any]

COMMANDS = {
    "demo": (),
    "doctor": (),
    "dash": (),
    "devnet": (
        *("up", "status", "seed", "logs", "down", "reset"),
        *("kill", "restart", "cut", "heal", "hostile", "stop-hostile"),
    ),
    "devnet chaos": (
        *("loss", "delay", "rate", "cut", "partition"),
        *("pause", "kill", "skew", "save", "restart", "list", "heal"),
    ),
    "card": ("publish", "update", "revoke", "resolve", "verify", "show"),
    "net": ("sim",),
    "peers": (),
    "dht": ("get", "put", "provide", "providers", "route"),
    "name": ("register", "renew", "withdraw", "get", "list", "import"),
    "ledger": (
        *("history", "entry", "position", "accounts", "trial-balance"),
        *("statement", "post", "audit"),
    ),
    "hold": ("create", "list", "show", "post", "void"),
    "service": ("find",),
    "node": ("run", "init", "status", "backup", "restore", "new-generation"),
    "identity": ("new", "show"),
    "login": (),
    "member": ("add", "revoke", "rekey", "list"),
    "proposal": (
        *("open", "list", "show", "vote", "votes", "delegate"),
        *("close", "cancel", "execute"),
    ),
    "decision": ("fetch", "verify", "omission"),
    "agreement": ("propose", "sign", "show", "list", "end", "bring", "verify"),
    "exchange": ("offer", "show", "list"),
    "clearing": ("positions", "settle", "net"),
    "federation": (
        *("members", "register", "vouch", "attest", "revoke"),
        *("attestations", "forks", "log", "objects"),
    ),
    "audit": ("gather", "verify", "report"),
    "wasm": ("deploy", "get", "list"),
    "compute": ("submit", "status", "cancel"),
    "grant": ("give", "list", "revoke"),
    "receipt": ("verify", "replay"),
    "rehearse": (),
    "record": (),
    "report": ("verify",),
    "events": ("tail",),
    "journal": ("verify", "prove", "witnesses"),
}


def commands() -> Iterator[tuple[str, Any]]:
    """Return every command by its path, such as `devnet up`."""
    for name in GROUPS:
        yield from below(name, typer_main.get_command(import_module(f"opkit.cli.{name}").app))


def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Return a command, or those of a group, and of the groups in it."""
    if not isinstance(command, core.TyperGroup):
        yield path, command
        return
    for name, each in command.commands.items():
        yield from below(f"{path} {name}", each)


ALL = dict(commands())


def test_every_command_is_there() -> None:
    planned = {f"{group} {sub}" for group, subs in COMMANDS.items() for sub in subs}
    planned |= {group for group, subs in COMMANDS.items() if not subs}
    assert set(ALL) == planned


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_json_and_an_example(path: str) -> None:
    command = ALL[path]
    options = [name for parameter in command.params for name in parameter.opts]
    assert "--json" in options
    assert f"opkit {path}" in command.help
    for parameter in command.params:
        assert parameter.help or parameter.name == "lines", parameter.name


@pytest.mark.parametrize("path", ["", *ALL])
def test_help_breaks_lines_only_where_the_terminal_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run(*path.split(), "--help").out.split("\u256d")[0]
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    for before, line in itertools.pairwise(lines):
        own = not before or not line or line.startswith((" Example", "  "))
        assert own or len(before) + len(line.split()[0]) >= 79, (before, line)


@pytest.mark.parametrize("path", ["", *GROUPS, *ALL])
def test_help_has_examples_one_a_line_and_names_values_in_plain_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = run(*path.split(), "--help").out
    options = said.partition("Options")[2].partition("Commands")[0]
    assert not re.findall(r"<(?:bool|list|int|float|str|path)\b[^>]*>", options), "Python's words"
    text = [line.rstrip() for line in said.splitlines()]
    examples = [line for line in text if re.match(rf" *opkit ({'|'.join(GROUPS)})\b", line)]
    assert examples
    for line in examples:
        assert line.startswith("   opkit "), line
    if " Examples:" in text:
        first = text.index(" Examples:") + 1
        end = text.index("", first)
        assert text[first:end] == [line for line in text[first:end] if line in examples]


def test_help_imports_neither_the_contract_nor_pydantic() -> None:
    script = (
        "import sys\n"
        "from opkit.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = ('pydantic', 'opkit.wire', 'opkit.proof', 'httpx', 'nacl', 'devnet', 'nodeimpl')\n"
        "bad = [name for name in sys.modules if name.startswith(heavy)]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_groups_help_imports_nothing_of_the_kit() -> None:
    script = (
        "import sys\n"
        "from opkit.cli import main\n"
        "from opkit.cli.app import GROUPS\n"
        "for name in GROUPS:\n"
        "    assert main([name, '--help']) == 0\n"
        "heavy = ('opkit.wire', 'opkit.proof', 'nodeimpl')\n"
        "bad = [name for name in sys.modules if name.startswith(heavy)]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_help_names_every_group_and_every_exit_code(run: Run) -> None:
    said = run("--help")
    assert said.code == 0
    for name in GROUPS:
        assert name in said.out
    flat = " ".join(said.out.split())
    for code in ("0 done", "1 failed", "2 usage", "3 not applicable", "4 consistent", "130"):
        assert code in flat


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("opkit ")


def test_no_command_is_wrong_usage(run: Run) -> None:
    said = run()
    assert said.code == 2
    assert "Usage" in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["devnt"], "Did you mean 'devnet'"),
        (["devnet", "fly"], "No such command"),
        (["devnet", "up", "--colour", "red"], "No such option"),
        (["receipt", "verify"], "Missing argument"),
        (["devnet", "up", "Big Name"], "no name for a devnet"),
        (["devnet", "up", "--profile", "seven"], "no profile"),
        (["devnet", "heal", "harbor"], "two ends"),
        (["devnet", "hostile", "friendly", "harbor"], "of kind 'friendly'"),
        (["devnet", "stop-hostile", "0"], "greater than or equal to 1"),
        (["devnet", "chaos", "loss", "20"], "0.001 to 1"),
        (["devnet", "chaos", "loss", "0.2", "--for", "soon"], "no time"),
        (["devnet", "chaos", "delay", "5", "--jitter", "6"], "at most the delay"),
        (["devnet", "chaos", "rate", "1"], "greater than or equal to 8"),
        (["devnet", "chaos", "skew", "harbor"], "either ahead or behind"),
        (["devnet", "chaos", "heal", "a", "b", "c"], "an id, two nodes, or nothing"),
        (["demo", "--profile", "seven"], "no profile"),
        (["demo", "--pace", "2"], "--pace is for presenting"),
        (["demo", "--junit", "/no/such/folder/run.xml"], "no folder /no/such/folder"),
        (["receipt", "verify", "/no/such/file"], "No such file"),
        (["report", "verify", "/no/such/folder"], "no folder"),
        (["compute", "status", "xyz"], "no task id"),
        (["member", "add", "a b", "--key", "x", "--name", "A"], "no member id"),
        (["member", "add", "ada", "--key", "x", "--name", "A"], "no did:key"),
        (["wasm", "list", "--url", "http://127.0.0.1:9", "--node", "x"], "does not go with"),
        (["wasm", "list", "--url", "http://127.0.0.1:9"], "needs --did and --genesis"),
        (["wasm", "list", "--did", "did:key:x"], "go with --url"),
        (["events", "tail", "--after", "x"], "no cursor"),
        (["identity", "show", "nobody"], "no identity"),
        (["identity", "new", "no/such/folder/ada"], "no folder"),
        (["wasm", "list", "--token", __file__], "holds no token"),
        (["receipt", "verify", "/"], "Is a directory"),
        (["receipt", "verify", __file__], "no receipt"),
    ],
)
def test_a_mistake_is_one_clear_line_and_code_2(
    run: Run, arguments: list[str], expected: str, make_devnet: None
) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert expected in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.fixture
def make_devnet() -> None:
    """Write the folder of a devnet that looks as if it runs, for commands that need one."""
    from devnet.genesis import make_world
    from devnet.spec import DevnetSpec
    from devnet.state import FolderLock, save_state, write_world
    from opkit import home

    folder = home.devnet_folder("t")
    state = write_world(
        folder,
        spec=DevnetSpec(name="t", profile="three"),
        made=make_world("three", now_ms=1_767_225_600_000),
        socket=folder / "control.sock",
    )
    nodes = tuple(node.model_copy(update={"url": "http://127.0.0.1:9"}) for node in state.nodes)
    save_state(state.model_copy(update={"nodes": nodes}))
    FolderLock(folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ["devnet", "status"],
        ["devnet", "down"],
        ["devnet", "logs"],
        ["devnet", "reset", "none"],
        ["devnet", "kill", "harbor"],
        ["devnet", "heal"],
        ["wasm", "list"],
        ["demo", "--devnet", "none"],
        ["record", "--devnet", "none"],
        ["rehearse"],
        ["login"],
    ],
)
def test_a_missing_devnet_is_told_with_how_to_start_one(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.code == 1
    assert "devnet" in said.err
    assert "opkit devnet up" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "helps"),
    [
        (["journal", "verify", "--earlier"], "opkit journal verify --help"),
        (["demo", "a", "--seed"], "opkit demo --help"),
        (["journal", "verify", "--earlie", "x"], "opkit journal verify --help"),
        (["--colour"], "opkit --help"),
    ],
)
def test_whoever_mistypes_a_command_is_shown_the_help_of_that_command(
    run: Run, arguments: list[str], helps: str
) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert said.err.splitlines()[-1] == f"  hint: {helps}"


def test_a_mistake_is_json_when_json_is_asked_for(run: Run) -> None:
    import json

    said = run("devnet", "status", "none", "--json")
    assert said.code == 1
    told = json.loads(said.err)
    assert told["exit_code"] == 1
    assert "none" in told["error"]
    assert told["hint"]


def test_a_file_that_is_no_genesis_is_named(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "words.txt"
    other.write_text("grüße", "utf-8")
    said = run("report", "verify", tmp_path, "--genesis", other)
    assert said.code == 2
    assert f"{other} is no genesis" in said.err
    assert "hint:" in said.err


def test_a_full_disk_is_told_with_what_helps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from opkit.cli import identity

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(identity, "make_identity", full)
    said = run("identity", "new", "ada")
    assert said.code == 1
    assert "No space left" in said.err
    assert "OPKIT_HOME" in said.err


def test_no_help_turns_an_identifier_into_a_picture(run: Run) -> None:
    """Typer shows help as markup, in which `:key:` is an emoji."""
    for path in ALL:
        said = run(*path.split(), "--help")
        pictures = [each for each in said.out if ord(each) > 0xFFFF]
        assert not pictures, path


def test_a_silent_node_is_told_as_such(run: Run, make_devnet: None) -> None:
    said = run("wasm", "list", "--as", "mara")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "127.0.0.1:9" in said.err
    assert "opkit devnet status" in said.err


def test_a_stopped_devnet_is_told_with_how_to_start_it(run: Run, make_devnet: None) -> None:
    make_stopped("s")
    said = run("wasm", "list", "--devnet", "s")
    assert said.code == 1
    assert "devnet 's' is stopped" in said.err
    assert "opkit devnet up s" in said.err
    status = run("devnet", "status", "s")
    assert status.code == 1
    assert "opkit devnet up s" in status.out


def make_stopped(name: str) -> None:
    """Write the folder of a devnet that does not run."""
    from devnet.genesis import make_world
    from devnet.spec import DevnetSpec
    from devnet.state import write_world
    from opkit import home

    folder = home.devnet_folder(name)
    write_world(
        folder,
        spec=DevnetSpec(name=name, profile="three"),
        made=make_world("three", now_ms=1_767_225_600_000),
        socket=folder / "control.sock",
    )


def test_a_network_with_a_dead_node_is_not_called_ready(capsys: pytest.CaptureFixture[str]) -> None:
    from opkit.cli import out
    from opkit.cli.devnet import _show_status

    node = {"org": "a", "state": "ready", "pid": 1, "url": "u", "answers": True, "connected": []}
    dead = node | {"org": "b", "state": "crashed", "how": "killed by SIGKILL", "answers": False}
    said = {
        "name": "t", "profile": "three", "state": "ready", "well": False, "network": "n",
        "folder": "f", "nodes": [node, dead], "disturbances": [],
    }  # fmt: skip
    _show_status(out.console(), said)
    text = capsys.readouterr().out
    assert "devnet t (three): not well" in text
    assert "0 of 1 peers" in text
    assert "killed by SIGKILL" in text


def test_a_flow_that_there_is_not_is_wrong_usage(run: Run, make_devnet: None) -> None:
    said = run("demo", "zzz", "--devnet", "t")
    assert said.code == 2
    assert "no flow zzz" in said.err


def test_a_flow_that_does_not_apply_is_code_3(
    run: Run, make_devnet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    import flows

    only = dataclasses.replace(flows.FLOWS["a"], profiles=("federation",))
    monkeypatch.setitem(flows.FLOWS, "a", only)
    said = run("demo", "a", "--devnet", "t")
    assert said.code == 3
    assert "needs the profile" in said.err


def test_what_nobody_can_mend_keeps_its_trace(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of this program must not look like one of its user's."""
    from opkit.cli import identity

    def breaks(_: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(identity, "identity_file", breaks)
    with pytest.raises(RuntimeError, match="a bug"):
        run("identity", "show", "x")


INTERRUPTED_WITHIN_EXEC = """
import runpy
from opkit.cli import app

def main():
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)\\nwhile True: pass")
    except KeyboardInterrupt:
        return 130

app.main = main
runpy.run_module("opkit.cli", run_name="__main__")
"""


def test_an_interrupt_while_a_class_is_made_ends_with_its_exit_code_too(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(INTERRUPTED_WITHIN_EXEC, encoding="utf-8")
    # A shell's background job ignores SIGINT, and so would what it starts.
    default = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    (tmp_path / "sitecustomize.py").write_text(default, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "early"], env={"PYTHONPATH": str(tmp_path)}, timeout=100, check=False
    )
    assert ended.returncode == 130


COMMAND = re.compile(r"(?<![\w./-])opkit ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
NO_COMMANDS = {"bar", "challenge", "from", "import", "itself", "journal", "landing", "replay-bar"}
NO_COMMANDS |= {"asks", "ballot", "checkpoint", "knows", "overlay", "store", "task", "that"}
"""What follows the word `opkit` in texts that name no command: classes, domains, prose."""


def names_of_commands() -> dict[str, set[str]]:
    """Return every group with the names of its commands; one that is a command itself has none."""
    found = {}
    for name in GROUPS:
        group = typer_main.get_command(import_module(f"opkit.cli.{name}").app)
        found[name] = set(group.commands) if isinstance(group, core.TyperGroup) else set()
    return found


def texts() -> Iterator[tuple[str, str]]:
    """Return all that the source says in strings, and the documents in code, with its place."""
    root = Path(__file__).resolve().parents[3]
    for folder in ("opkit", "devnet", "flows", "nodeimpl"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(root)}:{node.lineno}", node.value
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        for code in re.findall(r"```.*?```|`[^`]+`", path.read_text("utf-8"), re.DOTALL):
            yield str(path.relative_to(root)), code


def test_every_command_that_a_text_names_exists() -> None:
    known = names_of_commands()
    wrong = []
    for place, text in texts():
        for group, command in COMMAND.findall(text):
            if group in NO_COMMANDS or (group == "node" and not command):
                continue
            one_of = known.get(group)
            if one_of is None or (one_of and command and command not in one_of):
                wrong.append(f"{place}: opkit {group} {command}")
    assert not wrong, "\n".join(wrong)
