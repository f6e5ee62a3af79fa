"""Copies of a node's state: taken while it stands still, put in its place, and taken back.

A copy holds all that the node knows of its own past, the mark beside its database included (ADR
0021), so a node that starts with one cannot notice by itself that it is of yesterday.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from devnet.state import DevnetError, DevnetState, node_folder
from opkit import home
from opkit.wire.base import Slug

SAVED_MAX = 8
"""How many copies are kept of one node."""

BYTES_MAX = 2**30
"""The largest state that is copied."""

EMPTY = "empty"
"""The name of the state of a node whose disk was replaced: nothing."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_LEFT_OUT = ("ready.json", "ready.json.new", "ending.json", "compiled")
"""What says that a node runs, or can be made again."""


def check_copyable(state: DevnetState) -> None:
    """Refuse a devnet whose nodes keep their state elsewhere.

    Raises:
        DevnetError: it is kept in PostgreSQL.
    """
    if state.spec.database:
        raise DevnetError(
            "the nodes keep their state in PostgreSQL, which is not copied here",
            hint="a devnet without --database keeps it in folders",
        )


def saved(state: DevnetState, org: Slug) -> tuple[str, ...]:
    """Return the names of the copies of a node's state."""
    folder = _copies(state, org)
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.exists() else ()


def check_name(name: str) -> None:
    """Refuse what is no name for a copy.

    Raises:
        DevnetError: it is not, or it is that of the empty state.
    """
    if not _NAME.fullmatch(name) or name == EMPTY:
        raise DevnetError(f"{name!r} is no name for a state", hint="a-z, 0-9 and hyphens")


def save(state: DevnetState, org: Slug, name: str) -> int:
    """Copy the state of a node that stands still; return how many bytes it has.

    A copy of that name gives way, once the new one is whole.

    Raises:
        DevnetError: there are as many copies as are kept, or it is too large.
        OSError: the disk refused.
    """
    kept = saved(state, org)
    if name not in kept and len(kept) >= SAVED_MAX:
        raise DevnetError(
            f"{SAVED_MAX} states of {org!r} are kept already", hint=f"take one of {', '.join(kept)}"
        )
    data = node_folder(state.folder, org) / "data"
    size_bytes = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    if size_bytes > BYTES_MAX:
        raise DevnetError(f"the state of {org!r} has {size_bytes} bytes; {BYTES_MAX} are copied")
    target = home.private_folder(_copies(state, org)) / name
    beside = target.parent.with_name("saved.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(data, beside, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    if target.exists():
        shutil.rmtree(target)
    beside.rename(target)
    return size_bytes


def check_known(state: DevnetState, org: Slug, name: str) -> None:
    """Refuse the name of a state that there is not.

    Raises:
        DevnetError: no copy of the node has it.
    """
    if name != EMPTY and name not in saved(state, org):
        there = ", ".join((*saved(state, org), EMPTY))
        raise DevnetError(f"no state of {org!r} is called {name!r}", hint=f"there are: {there}")


def put_in_place(state: DevnetState, org: Slug, name: str) -> None:
    """Give a node that does not run an older state; what it has now is set aside.

    What was set aside before stays: that is the newest.
    """
    data, newest = _places(state, org)
    if newest.exists():
        shutil.rmtree(data)
    else:
        data.rename(newest)
    if name == EMPTY:
        home.private_folder(data)
    else:
        shutil.copytree(_copies(state, org) / name, data)


def put_back(state: DevnetState, org: Slug) -> bool:
    """Give a node that does not run its newest state again; return whether it was set aside."""
    data, newest = _places(state, org)
    if not newest.exists():
        return False
    shutil.rmtree(data, ignore_errors=True)
    newest.rename(data)
    return True


def _places(state: DevnetState, org: Slug) -> tuple[Path, Path]:
    folder = node_folder(state.folder, org)
    return folder / "data", folder / "data.newest"


def _copies(state: DevnetState, org: Slug) -> Path:
    return node_folder(state.folder, org) / "saved"
