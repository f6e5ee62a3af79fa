"""From an exception to one clear line with a hint, on standard error.

Only what a user can mend or must know is explained here. Anything else is a mistake of this
program and keeps its trace.
"""

from __future__ import annotations

import errno
import json
import sys
from dataclasses import dataclass

from opkit.cli import exits
from opkit.cli.calling import as_called


class Mistake(Exception):
    """The user asked for something that cannot be; `hint` says what would help."""

    def __init__(self, why: str, *, hint: str = "", code: int = exits.USAGE) -> None:
        """Keep what is wrong, what to do, and the exit code."""
        super().__init__(why)
        self.hint = hint
        self.code = code


def reason_of(bad: Exception) -> str:
    """Return what is wrong with what was read, in one line."""
    from pydantic import ValidationError

    from opkit.wire.flaws import first_flaw

    return str(first_flaw(bad) if isinstance(bad, ValidationError) else bad)


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What the user is told, and the exit code."""

    why: str
    hint: str
    code: int


_EXPLAINED = {
    "opkit.wire.errors.CoopError": exits.FAILED,
    "opkit.proof.checks.ProofError": exits.FAILED,
    "opkit.client.errors.Cancelled": exits.FAILED,
    "opkit.client.errors.WrongNode": exits.FAILED,
    "devnet.state.DevnetError": exits.FAILED,
    "devnet.launch.LaunchFailed": exits.FAILED,
    "devnet.spec.WorldError": exits.FAILED,
    "nodeimpl.config.ConfigError": exits.USAGE,
    "nodeimpl.kernel.errors.StoreError": exits.FAILED,
    "nodeimpl.history.backup.BackupError": exits.FAILED,
    "opkit.dash.server.DashError": exits.FAILED,
    "opkit.live.ports.ControlRefused": exits.FAILED,
}
"""Exceptions by their full names, so that explaining one imports nothing."""

_SILENT = {
    "Unreachable": "does it run? On a devnet: opkit devnet status",
    "ConfigError": "mend it; opkit doctor CONFIG looks at all that the node needs",
}
"""What helps where an exception of ours has no hint of its own, by its name."""

_ROOM = "make room there, or name another disk with OPKIT_HOME"
_HINTS = {
    errno.ENOENT: ("is the path right? It is taken from the working directory", exits.USAGE),
    errno.EISDIR: ("it is a folder; name a file", exits.USAGE),
    errno.EACCES: ("may you read and write it? OPKIT_HOME names another folder", exits.USAGE),
    errno.EROFS: ("it cannot be written; OPKIT_HOME names another folder", exits.USAGE),
    errno.ENOSPC: (_ROOM, exits.FAILED),
    errno.EDQUOT: (_ROOM, exits.FAILED),
}
"""What helps against an error of the operating system, and the exit code."""


def explain(error: BaseException) -> Explained | None:
    """Return what to tell the user of `error`, or None if it is this program's own mistake."""
    if isinstance(error, Mistake):
        return Explained(why=str(error), hint=error.hint, code=error.code)
    if isinstance(error, KeyboardInterrupt):
        return Explained(why="interrupted", hint="", code=exits.INTERRUPTED)
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return explain(error.exceptions[0])
    for kind in type(error).__mro__:
        code = _EXPLAINED.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return _of_ours(error, code)
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        return Explained(
            why=f"{missing} is not installed here",
            hint="it needs the whole set-up: make install, or pip install 'opkit[demo]'",
            code=exits.NOT_APPLICABLE,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error)
    return None


def _of_the_system(error: OSError) -> Explained | None:
    """Explain what the operating system refused: a file, or a disk that is full.

    What names no file is this program's own mistake, unless the disk is full or may not be used.
    """
    hint, code = _HINTS.get(error.errno or 0, ("", exits.USAGE))
    if error.filename is None and not hint:
        return None
    where = f"{error.filename}: " if error.filename is not None else ""
    return Explained(why=f"{where}{error.strerror}", hint=hint, code=code)


def _of_ours(error: BaseException, code: int) -> Explained:
    hint = str(getattr(error, "hint", "")) or _SILENT.get(type(error).__name__, "")
    why = str(error)
    if hint:
        why = why.removesuffix(f" (hint: {hint})")
    title = (type(error).__doc__ or "").split("\n", 1)[0].rstrip(".")
    if getattr(type(error), "code", "") and title:
        why = f"{title} ({why})"
    return Explained(why=why, hint=hint, code=code)


def tell(explained: Explained, *, as_json: bool) -> None:
    """Write it to standard error: one line and a hint, or one JSON document."""
    if as_json:
        said = {"error": explained.why, "hint": explained.hint, "exit_code": explained.code}
        sys.stderr.write(json.dumps(said) + "\n")
        return
    sys.stderr.write(f"opkit: {explained.why}\n")
    if explained.hint:
        sys.stderr.write(f"  hint: {as_called(explained.hint)}\n")
