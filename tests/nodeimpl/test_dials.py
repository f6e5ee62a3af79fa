"""A node calls nobody: it answers HTTP and never asks it, whatever address a record might name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE = ("nodeimpl", "opkit/proof", "opkit/wire")
"""All that runs in a node's process, beside the libraries."""

CLIENTS = (
    *("aiohttp", "ftplib", "http.client", "httpcore", "httpx", "requests", "smtplib"),
    *("socketserver", "urllib.request", "urllib3", "websocket", "websockets.asyncio"),
    *("websockets.client", "websockets.connect", "websockets.legacy", "websockets.sync"),
    *("xmlrpc",),
)
"""Libraries that call somebody by an address."""

CALLS = {"create_connection", "create_datagram_endpoint", "open_connection", "sock_connect"}
"""What opens a connection to an address without a library."""


def dialling(source: str) -> Iterator[str]:
    """Yield what in a module's source could call somebody."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and node.attr in CALLS:
            yield node.attr
        yield from (
            name
            for name in names
            if any(name == client or name.startswith(f"{client}.") for client in CLIENTS)
        )


def test_a_node_has_no_means_to_call_anybody_over_http() -> None:
    """Its transport dials peers by key, its database's driver one server: neither is HTTP."""
    paths = [path for folder in NODE for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 100
    found = {str(path.relative_to(ROOT)): list(dialling(path.read_text())) for path in paths}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import httpx",
        "from urllib import request",
        "from urllib.request import urlopen",
        "def call():\n    import http.client",
        "from websockets.asyncio.client import connect",
        "async def call(loop):\n    await loop.sock_connect(1, 2)",
        "import asyncio\nasyncio.open_connection('localhost', 80)",
    ],
)
def test_a_module_that_could_is_found(source: str) -> None:
    assert list(dialling(source))
