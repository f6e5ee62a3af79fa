"""Where things live on this machine: under the user's state directory, never in a checkout.

`OPKIT_HOME` names another place. Every folder made here is for its owner alone (mode 0700).
Depends on the standard library and platformdirs only, for the command line imports it first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_state_dir

HOME_VARIABLE = "OPKIT_HOME"


def state_home() -> Path:
    """Return the folder that holds all state, made if absent."""
    named = os.environ.get(HOME_VARIABLE)
    return private_folder(Path(named).absolute() if named else Path(user_state_dir("opkit")))


def devnets_folder() -> Path:
    """Return the folder of all devnets of this machine."""
    return private_folder(state_home() / "devnets")


def devnet_folder(name: str) -> Path:
    """Return where the devnet `name` lives; the folder itself may not exist yet."""
    return devnets_folder() / name


def genesis_file(network_id: str) -> Path:
    """Return where this machine keeps the genesis of a network; the file may not exist.

    What stands there is the anchor of every verification: it was put there when the network was
    made or joined, and is never taken from the thing that is verified.
    """
    return private_folder(state_home() / "genesis") / f"{network_id}.jws"


def identities_folder() -> Path:
    """Return the folder of identities that `opkit identity new` made."""
    return private_folder(state_home() / "identities")


def tokens_folder() -> Path:
    """Return the folder of tokens that `opkit login` got."""
    return private_folder(state_home() / "tokens")


def runs_folder() -> Path:
    """Return the folder under which `opkit demo` writes a run unless told another place."""
    return private_folder(state_home() / "runs")


def importable(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the packages importable by a Python started from any folder.

    An installation is that by itself, and its folder must not be searched before the standard
    library's; a checkout, or a folder that was installed into by hand, has to be named.
    """
    root = Path(__file__).resolve().parent.parent
    named = environ.get("PYTHONPATH", "")
    if root.name in {"site-packages", "dist-packages"}:
        return dict(environ)
    paths = [str(root), *filter(None, named.split(os.pathsep))]
    return {**environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def private_folder(path: Path) -> Path:
    """Return `path`, made if absent; it and every parent made with it are their owner's alone."""
    if not path.parent.exists():
        private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all.

    The bytes go to a new file beside it (mode 0600 from its first moment), are synced, and take
    the name in one step.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
