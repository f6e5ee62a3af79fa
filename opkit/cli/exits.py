"""Exit codes: what a script may rely on (`docs/runbook.md` has the table)."""

from __future__ import annotations

DONE = 0
"""It is done; what was verified is verified."""

FAILED = 1
"""It was tried and failed: a refusal, a silent node, a proof that does not hold."""

USAGE = 2
"""The command line or a file named in it is wrong: nothing was tried."""

NOT_APPLICABLE = 3
"""This flow or command does not apply to this network; never reported as success."""

UNKNOWN_SIGNER = 4
"""Consistent with itself, but no genesis kept here says whose it is."""

INTERRUPTED = 130
"""Ctrl-C, or a pipe's reader that left. Source: POSIX shells, 128 + SIGINT."""
