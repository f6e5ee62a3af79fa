"""What tells one telling's names, accounts and proposals from those of every other."""

from __future__ import annotations

from opkit.proof.cid import cid_of


def label_of(run_id: str) -> str:
    """Return a part of a name that no other telling uses: any run id makes one."""
    return cid_of(run_id.encode("utf-8"))[-8:]
