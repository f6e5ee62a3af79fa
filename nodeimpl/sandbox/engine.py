"""What runs modules, as a name: version and settings, hashed into every receipt.

Outputs and fuel are compared only under equal engine ids, so everything that can change either
stands in `SETTINGS`: the compiler's switches, the prices of host calls, the answers of WASI.
This module imports no engine: the node's own process never loads one.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json

from opkit.wire.network import EngineId

HOST_CALL_FUEL = 1_000
"""What one host call costs: it takes the host about as long as a thousand instructions."""

HOST_BYTE_FUEL = 1
"""What each byte costs that a host call copies."""

STACK_BYTES_MAX = 512 * 1024
"""How deep a module may call; the worker's own stack is 8 MiB."""

TABLE_ELEMENTS_MAX = 100_000

SETTINGS: dict[str, bool | int | str] = {
    "component_model": False,
    "consume_fuel": True,
    "epoch_interruption": True,
    "exceptions": False,
    "gc": False,
    "host_byte_fuel": HOST_BYTE_FUEL,
    "host_call_fuel": HOST_CALL_FUEL,
    "memory64": False,
    "multi_memory": False,
    "nan_canonicalization": True,
    "opt_level": "speed",
    "relaxed_simd": False,
    "stack_bytes_max": STACK_BYTES_MAX,
    "table_elements_max": TABLE_ELEMENTS_MAX,
    "tail_call": False,
    "threads": False,
    "wasi": "preview1/opkit-1",
}
"""Everything besides the engine's version that output or fuel depends on."""


TESTED_VERSIONS = ("50.",)
"""Versions of the `wasmtime` package, by how they begin, whose C API `memory.py` was tested with.
It is bound by `ctypes`: where a structure differs, a module would write into foreign memory."""


class EngineUntested(Exception):
    """The installed engine is not one that this was tested with; `str()` says what to do."""

    def __init__(self, installed: str) -> None:
        """Name the version that is installed."""
        wanted = " or ".join(f"{version}*" for version in TESTED_VERSIONS)
        super().__init__(
            f"wasmtime {installed} is installed, and modules run on {wanted} only: install that, "
            "or run the tests of nodeimpl/sandbox with it and add it to TESTED_VERSIONS"
        )
        self.installed = installed


def require_tested(installed: str | None = None) -> None:
    """Pass if the engine is one that this was tested with.

    Args:
        installed: the version to judge by; the installed one unless told otherwise.

    Raises:
        EngineUntested: it is another.
    """
    found = installed or importlib.metadata.version("wasmtime")
    if not found.startswith(TESTED_VERSIONS):
        raise EngineUntested(found)


@functools.cache
def engine_id() -> EngineId:
    """Return what this installation runs modules on: name, version, hash of `SETTINGS`."""
    text = json.dumps(SETTINGS, sort_keys=True, separators=(",", ":"))
    return EngineId(
        name="wasmtime",
        version=importlib.metadata.version("wasmtime"),
        settings=hashlib.sha256(text.encode("ascii")).hexdigest(),
    )
