"""Following a supervisor that is being started."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devnet.launch import Launched, LaunchFailed
from devnet.layout import last_words


def test_whoever_waits_for_a_network_can_be_told_to_give_up(tmp_path: Path) -> None:
    """A thread cannot be cancelled, and Ctrl-C must not wait until the network is up."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen([sys.executable, "-c", ""]) as process, theirs:
        launched = Launched(name="t", folder=tmp_path, process=process, tie=ours)
        failed: list[LaunchFailed] = []

        def wait() -> None:
            try:
                launched.wait_ready()
            except LaunchFailed as ended:
                failed.append(ended)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        launched.give_up()
        waiting.join(timeout=30)
        launched.down()
        launched.give_up()
    assert "before the network was ready" in str(failed[0])


@pytest.mark.parametrize(
    ("line", "why", "hint"),
    [
        (
            '{"why":"in use by process 7 (hint: stop it)","event":"the store cannot be used"}',
            "the store cannot be used: in use by process 7",
            "stop it",
        ),
        (
            f'{{"why":"{"w" * 600} (hint: {"h" * 600})","event":"long"}}',
            f"long: {'w' * 494}",
            "h" * 500,
        ),
        ('{"event":"stopped","level":"info"}', "stopped", ""),
        ("config.toml: node.key_file: others may read it", None, ""),
        ("{ no json", None, ""),
        ("7", None, ""),
        (
            "config.toml: 2 is newer (hint: write it anew)",
            "config.toml: 2 is newer",
            "write it anew",
        ),
    ],
)
def test_what_a_process_said_last_is_told_in_words(
    tmp_path: Path, line: str, why: str | None, hint: str
) -> None:
    log = tmp_path / "node.log"
    log.write_text(f'{{"event":"before"}}\n{line}\n', "utf-8")
    assert last_words(log) == (why if why is not None else line, hint)


def test_a_process_that_said_nothing_is_told_to_have_said_nothing(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log") == ("its log is empty", "")
