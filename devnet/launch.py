"""Starting a supervisor, and following it until the network is ready.

Standard library only, so that a command can start the network before it imports anything else.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opkit import home

READY_DEADLINE_MS = 180_000
END_DEADLINE_MS = 15_000
LINE_BYTES_MAX = 65_536
FOLDER_VARIABLE = "OPKIT_DEVNET_FOLDER"
"""Names the devnet's folder in the environment of each of its processes."""


class LaunchFailed(Exception):
    """The network did not come up; `hint` says where to look."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Keep what is wrong, and what to do."""
        super().__init__(why)
        self.hint = hint


@dataclass(eq=False, kw_only=True)
class Launched:
    """A supervisor that is tied to this process: when this one ends, the network does."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    tie: socket.socket
    marks_ms: dict[str, int] = field(default_factory=dict)

    def wait_ready(self, told: Callable[[str, int], None] | None = None) -> dict[str, int]:
        """Return when the network is ready: what was reached after how many milliseconds.

        Args:
            told: called with each stage and its time as it is reached.

        Raises:
            LaunchFailed: it is not going to be, or takes too long.
        """
        for said in self._lines():
            stage, after_ms = said["stage"], said.get("after_ms", 0)
            if stage == "failed":
                raise LaunchFailed(said["why"], hint=said.get("hint", ""))
            self.marks_ms[stage] = after_ms
            if told is not None:
                told(stage, after_ms)
            if stage == "ready":
                return self.marks_ms
        raise LaunchFailed(
            f"the supervisor of {self.name!r} ended before the network was ready",
            hint=f"its log: {self.folder / 'supervisor.log'}",
        )

    def _lines(self) -> Iterator[dict[str, Any]]:
        deadline = time.monotonic() + READY_DEADLINE_MS / 1000
        buffer = b""
        while True:
            self.tie.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.tie.recv(LINE_BYTES_MAX)
            except TimeoutError:
                raise LaunchFailed(
                    f"the network was not ready within {READY_DEADLINE_MS} ms",
                    hint=f"its log: {self.folder / 'supervisor.log'}",
                ) from None
            if not data:
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                yield json.loads(line)

    def detach(self) -> None:
        """Let the network live on when this process ends."""
        self.tie.settimeout(None)
        self.tie.sendall(b"detach\n")
        self.tie.close()

    def give_up(self) -> None:
        """Have the network end, and `wait_ready` with it, whichever thread waits there."""
        with suppress(OSError):  # The supervisor has hung up already.
            self.tie.shutdown(socket.SHUT_RDWR)

    def down(self) -> None:
        """End the network and wait until its supervisor is gone."""
        self.tie.close()
        try:
            self.process.wait(END_DEADLINE_MS / 1000)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch(
    *,
    name: str,
    profile: str,
    seed: int,
    temporary: bool = False,
    node_module: str = "nodeimpl.__main__",
    teller_module: str = "flows.teller",
    database: str = "",
) -> Launched:
    """Start the supervisor of the devnet `name` and return at once.

    It runs in a session of its own, so that Ctrl-C in this terminal reaches this process alone,
    which then decides what becomes of the network.

    Args:
        database: a PostgreSQL server's URL, checked by `devnet.databases.check_server`; empty
            means SQLite.
    """
    folder = home.private_folder(home.devnet_folder(name))
    ours, theirs = socket.socketpair()
    log = os.open(folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-m", "devnet.supervisor"]
    command += ["--name", name, "--folder", str(folder), "--profile", profile]
    command += ["--seed", str(seed), "--node-module", node_module]
    command += ["--teller-module", teller_module] + (["--database", database] if database else [])
    command += ["--tie", str(theirs.fileno())] + (["--temporary"] if temporary else [])
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**home.importable(os.environ), FOLDER_VARIABLE: str(folder)},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    finally:
        os.close(log)
        theirs.close()
    return Launched(name=name, folder=folder, process=process, tie=ours)


def temporary_name() -> str:
    """Return a name for a devnet that lives as long as one run."""
    return f"demo-{secrets.token_hex(4)}"
