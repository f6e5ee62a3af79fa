"""The console to measure and to test: `opkit dash` on a running devnet, as a process of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.network import OPKIT, ROOT

START_S_MAX = 60
END_S_MAX = 20


@dataclass(frozen=True, kw_only=True)
class Console:
    """A console that serves.

    Attributes:
        presenter: the presenter's address, with its token.
        viewer: the viewer's address, with its token.
        log: the file that it keeps its own log in, with that of its kernels.
        pid: the process that serves.
        started_s: how long it took from the command to the addresses.
    """

    presenter: str
    viewer: str
    log: Path
    pid: int
    started_s: float

    @property
    def base(self) -> str:
        """The address without a token, ending in a slash."""
        parts = urlsplit(self.presenter)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"

    @property
    def origin(self) -> str:
        """Scheme, host and port: where every request must go."""
        parts = urlsplit(self.presenter)
        return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def console(devnet: str, *options: str, log: Path) -> Iterator[Console]:
    """Have a console running on a devnet meanwhile.

    Args:
        devnet: the name of a devnet that runs.
        options: more options for `opkit dash`.
        log: the file that gets what it says on standard error.

    Raises:
        RuntimeError: it did not start, or did not end when it was told to.
    """
    command = [str(OPKIT), "dash", "--devnet", devnet, "--port", "0", "--no-browser", "--json"]
    began = time.monotonic()
    with log.open("ab") as said:
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            process_group=0,
        )
    try:
        line = _first_line(process)
        if not line:
            raise RuntimeError(f"opkit dash did not start:\n{log.read_text('utf-8')[-4000:]}")
        told = json.loads(line)
        yield Console(
            presenter=told["url"],
            viewer=told["viewer_url"],
            log=Path(told["log"]),
            pid=process.pid,
            started_s=time.monotonic() - began,
        )
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a console as Ctrl-C does; one that does not listen is killed, and that is an error.

    Raises:
        RuntimeError: it had to be killed.
    """
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(END_S_MAX)
    except subprocess.TimeoutExpired as stuck:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_S_MAX)
        raise RuntimeError("opkit dash did not end on Ctrl-C") from stuck
    finally:
        assert process.stdout is not None
        process.stdout.close()


def _first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line a process prints, or nothing if it ends or is silent for too long."""
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue(maxsize=1)
    stream = process.stdout
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=START_S_MAX)
    except queue.Empty:
        return ""
