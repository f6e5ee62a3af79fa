"""Checks of what was left behind: processes without their network, sockets without a process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from devnet.launch import FOLDER_VARIABLE
from opkit.cli.doctor.cases import DevnetCase, MachineCase, NodeCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

_NAMES = ("opkit-devnet", "opkit-forks")


def leftovers(devnet: DevnetCase) -> Finding:
    """Look for what a supervisor that was killed could not clean up."""
    from devnet.state import is_running

    runs = is_running(devnet.folder)
    if runs:
        return well("it runs")
    strays = [pid for pid, folder in supervised() if folder == devnet.folder]
    found = []
    if strays:
        pids = " ".join(map(str, strays))
        found.append(
            wrong(f"it does not run, and processes of it do: {pids}", f"end them: kill {pids}")
        )
    stale = [path.name for path in _stale(devnet.folder)]
    if stale:
        found.append(
            note(
                f"left by a supervisor that was killed: {', '.join(sorted(stale))}",
                f"nothing: opkit devnet up {devnet.name} replaces them",
            )
        )
    return gathered(found, otherwise="it is stopped, nothing was left")


def _stale(folder: Path) -> Iterator[Path]:
    for name in ("control.sock", "control.token"):
        if (folder / name).exists():
            yield folder / name
    yield from folder.glob("nodes/*/data/ready.json")


def readable(devnet: DevnetCase) -> Finding:
    """Read the devnet's state file, as every command does."""
    from devnet.state import DevnetError, load_state_of

    try:
        state = load_state_of(devnet.folder)
    except DevnetError as bad:
        return wrong(str(bad), bad.hint)
    return well(f"{state.profile}, network {state.network}")


def orphans(_machine: MachineCase) -> Finding:
    """Look for processes of devnets whose folder is gone."""
    lost = [pid for pid, folder in supervised() if not folder.exists()]
    if not lost:
        return well("none")
    pids = " ".join(map(str, lost))
    return wrong(f"processes of a devnet whose folder is gone: {pids}", f"end them: kill {pids}")


def supervised() -> Iterator[tuple[int, Path]]:
    """Return each supervisor of this user, with the folder of its devnet.

    What runs in a container is left out: its folder is one that is not to be seen from here.
    """
    here = Path("/proc/self/ns/mnt").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text("utf-8", "replace").strip()
            if name not in _NAMES or (process / "ns/mnt").readlink() != here:
                continue
            words = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # It ended meanwhile, or is another user's.
        prefix = f"{FOLDER_VARIABLE}=".encode()
        kept = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
        if kept:
            yield int(process.name), Path(os.fsdecode(kept[0]))


def notice(node: NodeCase) -> Finding:
    """Look whether a node left word of itself and is gone."""
    ready_at = node.config.node.folder / "ready.json"
    if not ready_at.exists() or node.pid is not None:
        return well("nothing was left")
    try:
        pid = json.loads(ready_at.read_bytes()).get("pid")
    except (ValueError, AttributeError):
        pid = "unknown"
    return note(
        f"{ready_at} names process {pid}, which is gone: the node was killed, or the power was cut",
        "nothing: the next start replaces it and goes on where the database ends",
    )
