"""Checks of what the system lets a node have: files, processes, memory, cores, confinement."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from opkit.cli.doctor.cases import MachineCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

FILES_MIN = 256
FILES_WELL = 1_024
PROCESSES_MIN = 256
MEMORY_BYTES_MIN = 512 * 2**20
WORKER_BYTES = 200 * 2**20
"""What one worker may take at least: its own code, and one module with its memory."""

CGROUP = Path("/sys/fs/cgroup")
NEEDED = ("/proc/self/statm", "/proc/self/stat", "/proc/self/task")
"""What a worker reads of itself before it bounds its own memory (docs/adr/0007-sandbox.md)."""


def files(_machine: MachineCase) -> Finding:
    """Look how many files a process may open; half of them are for callers."""
    return judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def judge_files(soft: int) -> Finding:
    """Say whether so many open files are enough."""
    said = "any number" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    more = "ulimit -n 4096 before the start, or LimitNOFILE=4096 in the service's unit"
    if soft == resource.RLIM_INFINITY or soft >= FILES_WELL:
        return well(said)
    if soft < FILES_MIN:
        return wrong(f"{said} files: too few for a node with its peers", more)
    return note(f"{said} files: {soft // 2} callers at once at most", more)


def bounds(_machine: MachineCase) -> Finding:
    """Look for bounds under which workers or a database cannot live."""
    found = []
    for which, name, flag in (
        (resource.RLIMIT_AS, "address space", "ulimit -v unlimited"),
        (resource.RLIMIT_FSIZE, "size of a file", "ulimit -f unlimited"),
        (resource.RLIMIT_CPU, "processor time", "ulimit -t unlimited"),
    ):
        soft, _ = resource.getrlimit(which)
        if soft != resource.RLIM_INFINITY:
            found.append(wrong(f"the {name} is bounded to {soft:,}", flag))
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft < PROCESSES_MIN:
        found.append(wrong(f"only {soft} processes and threads", "ulimit -u 4096"))
    pids = cgroup_number(CGROUP / "pids.max")
    if pids is not None and pids < PROCESSES_MIN:
        found.append(wrong(f"the container may have {pids} processes", "raise its pids limit"))
    return gathered(found, otherwise="address space, files, processor time are not bounded")


def memory(machine: MachineCase) -> Finding:
    """Look how much memory may still be had, and how much the workers may take together."""
    free = available_bytes(Path("/proc/meminfo").read_text("ascii"))
    most = cgroup_number(CGROUP / "memory.max")
    if most is not None:
        used = cgroup_number(CGROUP / "memory.current") or 0
        free = min(free, max(0, most - used))
    workers = sum(node.config.compute.workers for node in machine.nodes if node.readable)
    return judge_memory(free, workers=workers)


def judge_memory(free: int, *, workers: int) -> Finding:
    """Say whether so much memory is enough for so many workers."""
    said = f"{free / 2**20:,.0f} MiB free"
    if free < MEMORY_BYTES_MIN:
        return wrong(said, "end other programs, or lower compute.workers")
    if free < workers * WORKER_BYTES:
        return note(
            f"{said} for {workers} workers", "lower compute.workers, or expect `memory` outcomes"
        )
    return well(said)


def available_bytes(meminfo: str) -> int:
    """Return how much memory programs can get without swapping. Source: proc_meminfo(5)."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1_024
    return 0


def cores(machine: MachineCase) -> Finding:
    """Look how many cores may be used, and how many workers want one."""
    have = len(os.sched_getaffinity(0))
    wanted = max(
        (node.config.compute.workers for node in machine.nodes if node.readable), default=0
    )
    if wanted > have:
        return note(
            f"{have} cores, {wanted} workers in one node",
            "lower compute.workers: more workers than cores only wait for each other",
        )
    return well(f"{have}")


def confinement(_machine: MachineCase) -> Finding:
    """Look for what a worker reads and asks of the kernel before it gives up its rights."""
    absent = [path for path in NEEDED if not os.access(path, os.R_OK)]
    if absent:
        return wrong(
            f"{', '.join(absent)} cannot be read", "mount /proc: workers bound themselves by it"
        )
    return well("/proc is there, processes can be bounded")


def cgroup_number(path: Path) -> int | None:
    """Return a bound of this process's control group, None if there is none."""
    if not path.exists():
        return None
    said = path.read_text("ascii").strip()
    return int(said) if said.isdigit() else None
