"""The WASM modules that flows deploy, as built from `wasm/` and committed with their hashes."""

from __future__ import annotations

from flows.files import folder_of
from opkit.proof.wasm import add_custom_section

SECTION = "opkit.run"


def module(name: str) -> bytes:
    """Return the module `wasm/<name>.wasm`.

    Raises:
        FileNotFoundError: it was not built.
    """
    return (folder_of("wasm") / f"{name}.wasm").read_bytes()


def stamped(name: str, mark: str) -> bytes:
    """Return the module with `mark` in a custom section: other bytes and hash, the same meaning.

    So a story can be told again at once on the same network: its module is new there each time.
    Source: WebAssembly core specification, section 5.5.3.
    """
    return add_custom_section(module(name), SECTION, mark.encode("utf-8"))
