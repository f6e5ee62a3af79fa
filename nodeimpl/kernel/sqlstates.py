"""What PostgreSQL's error codes say to a node: ask again, stop, or that the work has a defect.

An error that answers a statement has undone at least that statement, one that answers COMMIT the
whole transaction; so whatever stands here is a plain "no". Only a COMMIT without an answer leaves
a doubt, and that is not a matter of codes: `UNKNOWN` names the two that say so themselves.
Source: https://www.postgresql.org/docs/15/errcodes-appendix.html (ADR 0022).
"""

from __future__ import annotations

from nodeimpl.kernel.engine import Trouble

WRITER_TABLE: tuple[tuple[str, Trouble, str], ...] = (
    ("08", Trouble.BUSY, "the connection is lost, or was not made"),
    ("25006", Trouble.BUSY, "the server takes no writes now"),
    ("25P03", Trouble.BUSY, "the transaction was idle for too long, and the session ended"),
    ("25P04", Trouble.BUSY, "the transaction took too long, and the session ended"),
    ("28", Trouble.BUSY, "the server does not let the node in now"),
    ("3D000", Trouble.BUSY, "there is no such database now"),
    ("40", Trouble.BUSY, "it was rolled back: serialisation failure, deadlock"),
    ("53", Trouble.BUSY, "resources: disk full, out of memory, too many connections"),
    ("55", Trouble.BUSY, "a lock, or an object in use"),
    ("57", Trouble.BUSY, "the operator: timeout, cancelled, shutdown, crash of another session"),
    ("58", Trouble.BUSY, "the server's system: input, output, files"),
    ("XX001", Trouble.ENDED, "data is damaged"),
    ("XX002", Trouble.ENDED, "an index is damaged"),
)
"""(beginning of the code, what it says to the session that writes, why). Others: a defect."""

UNKNOWN = frozenset({"08007", "40003"})
"""Codes by which the server itself says that it does not know what became of a transaction."""

_READ_ONLY = "25006"


def judge(sqlstate: str | None, *, writes: bool) -> Trouble:
    """Return what an error with this code says; `NONE` means that the work has a defect.

    Args:
        sqlstate: five characters; None if the driver complained and not the server.
        writes: whether the session is the one that writes: another that tried has a defect.
    """
    code = sqlstate or ""
    if code == _READ_ONLY and not writes:
        return Trouble.NONE
    for beginning, trouble, _ in WRITER_TABLE:
        if code.startswith(beginning):
            return trouble
    return Trouble.NONE
