"""Following a supervisor that is being started."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

from devnet.launch import Launched, LaunchFailed


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
