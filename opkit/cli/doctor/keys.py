"""Checks of a node's configuration, anchor and key: exactly what the node opens when it starts."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from opkit.cli.doctor.cases import NodeCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

_HINTS = {
    "node.genesis": "take the network's genesis anew: opkit node init … --genesis FILE",
    "node.org": "set node.org to an organisation of the genesis, or take the right genesis",
    "node.keystore": "restore the keystore and its key file, both from one backup",
    "node.key_file": "restore the keystore and its key file, both from one backup",
}
_PRIVATE = "chmod 600 {}"


def configuration(node: NodeCase) -> Finding:
    """Read the configuration; every problem is told with its key."""
    from nodeimpl.config import WHOLE_FILE, ConfigError

    loaded = node.loaded
    if isinstance(loaded, ConfigError):
        said = ", ".join(
            f"{key}: {why}" if key != WHOLE_FILE else why for key, why in loaded.problems
        )
        return wrong(f"{node.path}: {said}", "opkit node init writes a good one to compare with")
    return well(str(node.path))


def anchor(node: NodeCase) -> Finding:
    """Open the genesis as the node does."""
    from nodeimpl.config import ConfigError
    from nodeimpl.kernel.opening import open_genesis

    try:
        view = open_genesis(node.config)
    except ConfigError as bad:
        return _told(bad)
    ahead_ms = view.genesis.created_ms - time.time_ns() // 1_000_000
    if ahead_ms > 0:
        return wrong(
            f"this machine's clock is {ahead_ms / 1000:,.0f} s before the genesis was made",
            "set the clock: everything signed later counts as not yet good",
        )
    return well(f"network {view.network}")


def key(node: NodeCase) -> Finding:
    """Open the key as the node does, and compare it with the genesis."""
    from nodeimpl.config import ConfigError
    from nodeimpl.kernel.opening import check_member_of_network, open_genesis, open_identity

    try:
        identity = open_identity(node.config)
    except ConfigError as bad:
        return _told(bad)
    try:
        genesis = open_genesis(node.config)
    except ConfigError:
        # Told already, where it was looked at: this is no second fault.
        return note("it opens, and there is no genesis to compare it with")
    try:
        check_member_of_network(node.config, genesis, identity)
    except ConfigError as bad:
        return _told(bad)
    return gathered(_exposed(node), otherwise=identity.did)


def _told(bad: Exception) -> Finding:
    """Return a problem of the configuration's files, with what to do about this one."""
    from nodeimpl.config import ConfigError

    assert isinstance(bad, ConfigError), "only these are told here"
    name, why = bad.problems[0]
    if "chmod" in why:
        return wrong(f"{bad.where}: others may read it", _PRIVATE.format(bad.where))
    return wrong(f"{bad.where}: {why}", _HINTS.get(name, "opkit node init shows how it should be"))


def _exposed(node: NodeCase) -> Iterator[Finding]:
    """Return what others of this machine may read or change, and need not."""
    kept = node.config.node
    for path in (kept.keystore, kept.folder):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(path.stat().st_mode)
            yield note(f"{path} has mode {mode:o}", f"chmod go= {path}")
    if _writable_above(kept.key_file):
        folder = kept.key_file.parent
        yield wrong(f"others may replace files in {folder}", f"chmod go-w {folder}")


def _writable_above(path: Path) -> bool:
    mode = path.parent.stat().st_mode
    return bool(mode & (stat.S_IWGRP | stat.S_IWOTH)) and not mode & stat.S_ISVTX
