"""A worker process: one question at a time on its channel, until the channel closes.

`serve_runs` answers many tasks, `serve_compile` compiles one module and ends: what a hostile
module does to a compiler never meets another's task.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from nodeimpl.sandbox import confine, framing, wasmcheck
from opkit.wire.compute import Grants, TaskLimits

if TYPE_CHECKING:
    from nodeimpl.sandbox.machine import Machine

RUN_MEMORY_BYTES_MAX = 640 * 2**20
"""Beyond what the spawner had: the greatest linear memory, code, input and output."""


def serve_runs(channel: socket.socket, machine: Machine) -> None:
    """Run tasks until the sandbox closes the channel."""
    confine.limit(memory_bytes=RUN_MEMORY_BYTES_MAX, cpu_s=None)
    while True:
        try:
            head, data = framing.read(channel)
        except framing.FrameBroken:
            return
        channel.sendall(_run(machine, head, data))


def _run(machine: Machine, head: dict[str, Any], data: bytes) -> bytes:
    name, code_bytes = head["name"], head["code_bytes"]
    limits = TaskLimits.model_validate(head["limits"])
    confine.allow_cpu(limits.time_ms // 1000 + 1)
    if code_bytes:
        machine.load(name, data[:code_bytes])
    ran = machine.run(
        name,
        stdin=data[code_bytes:],
        limits=limits,
        grants=Grants.model_validate(head["grants"]),
    )
    answer = {
        "outcome": ran.outcome.value,
        "reason": ran.reason,
        "fuel_used": ran.fuel_used,
        "time_used_us": ran.time_used_us,
        "memory_peak_bytes": ran.memory_peak_bytes,
        "holds": machine.holds(),
    }
    return framing.encode(answer, ran.output)


def serve_compile(channel: socket.socket, machine: Machine) -> None:
    """Check and compile the one module that comes, answer, and end.

    The answer's head is `{"why": ""}` with native code, or says why not.
    """
    from nodeimpl.sandbox.machine import CompileFailed

    head, module = framing.read(channel)
    confine.limit(memory_bytes=head["memory_bytes"], cpu_s=head["cpu_s"])
    why, code = "", b""
    try:
        wasmcheck.check(module, wasmcheck.CheckLimits())
        code = machine.compile(module)
    except (wasmcheck.ModuleUnfit, CompileFailed) as bad:
        why = str(bad)[:300]
    channel.sendall(framing.encode({"why": why}, code))
