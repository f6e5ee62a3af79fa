"""Verifying must not cost the import of a client, a server or an event loop."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("httpx", "fastapi", "starlette", "sqlalchemy", "iroh", "wasmtime", "nodeimpl", "asyncio")


@pytest.mark.parametrize(
    "module", ["jws", "genesis", "membership", "merkle", "receipt", "report", "keystore"]
)
def test_a_proof_module_loads_nothing_heavy(module: str) -> None:
    script = (
        f"import sys, opkit.proof.{module}\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout.strip() == "[]"
