"""The compiled load generator: many connections at once, each with its own token.

`bench/asking.c` is compiled when it is wanted, by the machine's C compiler or by the one that
builds the demo's modules. Why it is our own: ADR 0027.
"""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.network import ROOT

MARK = b"#" * 16
"""Where these stand in a request, the count of requests on its connection takes their place."""

_RECORD = struct.Struct("=IIQQ")
_PLANNED = struct.Struct("=II")
_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: which connection's, and what came of it.

    Attributes:
        status: of HTTP; 0 if the connection was lost instead.
        began_ns: as `time.monotonic_ns` counts.
    """

    connection: int
    status: int
    began_ns: int
    took_ns: int

    @property
    def ms(self) -> float:
        """How long the answer took, in milliseconds."""
        return self.took_ns / 1e6


def get(path: str, *, token: str) -> bytes:
    """Return a request for what is at `path`."""
    return _head("GET", path, token) + b"\r\n"


def post(path: str, body: bytes, *, token: str, key: bytes, kind: str) -> bytes:
    """Return a request that changes something; body and key may hold marks.

    Args:
        key: the idempotency key.
        kind: the body's media type.
    """
    more = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return (
        _head("POST", path, token) + more.encode() + b"Idempotency-Key: %b\r\n\r\n%b" % (key, body)
    )


def _head(method: str, path: str, token: str) -> bytes:
    said = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    return said.encode("ascii")


class Asking:
    """A load that runs beside what else is measured; `answers` waits for its end."""

    def __init__(
        self, plan: Sequence[Sequence[bytes]], *, port: int, seconds: float, each_max: int
    ) -> None:
        """Start it.

        Args:
            plan: for each connection the requests that it goes through, again and again.
            seconds: how long it asks.
            each_max: how often each connection asks at most.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="opkit-asking-")
        self._out = Path(self._folder.name) / "answers"
        self._seconds = seconds
        command = [program("asking"), str(port), str(seconds), str(each_max), str(self._out)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert self._process.stdin is not None, "it was asked for"
        with self._process.stdin as plan_in:
            for connection, requests in enumerate(plan):
                for request in requests:
                    plan_in.write(_PLANNED.pack(connection, len(request)) + request)

    def answers(self) -> list[Answered]:
        """Return every answer, by the time it came; the load has ended then."""
        try:
            self._process.wait(self._seconds + _GRACE_S)
            return [Answered(*each) for each in _RECORD.iter_unpack(self._out.read_bytes())]
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()


def ask(
    plan: Sequence[Sequence[bytes]], *, port: int, seconds: float, each_max: int = 2**31
) -> list[Answered]:
    """Ask for so long, and return every answer."""
    return Asking(plan, port=port, seconds=seconds, each_max=each_max).answers()


@functools.cache
def program(name: str) -> str:
    """Return the path of a program of this folder, compiled for this process and its machine."""
    folder = _programs()
    built = Path(folder.name) / name
    source = ROOT / "bench" / f"{name}.c"
    flags = ["-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*compiler(), *flags, str(source), "-o", str(built)], check=True)
    return str(built)


@functools.cache
def _programs() -> tempfile.TemporaryDirectory[str]:
    """Return the folder that keeps what was compiled as long as this process lives."""
    return tempfile.TemporaryDirectory(prefix="opkit-programs-")


def compiler() -> list[str]:
    """Return the command that compiles C here.

    Raises:
        RuntimeError: there is none.
    """
    system = shutil.which("cc")
    if system is not None:
        return [system]
    separate = ROOT / ".venvs" / "wasm" / "bin" / "python"
    python = str(separate) if separate.exists() else sys.executable
    found = subprocess.run([python, "-m", "ziglang", "version"], capture_output=True, check=False)
    if found.returncode:
        raise RuntimeError("no C compiler: `scripts/setup wasm` brings one")
    return [python, "-m", "ziglang", "cc"]
