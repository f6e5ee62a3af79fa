"""OpenAPI and docs/api.md say what the contract says: endpoints, refusals, fields."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.gateway.links import LINKS
from nodeimpl.gateway.openapi import document
from opkit.wire import compute, network  # noqa: F401 - registers their endpoints
from opkit.wire.endpoint import ENDPOINTS
from opkit.wire.gateway import all_refusals

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())


@pytest.fixture
def store_engine() -> str:
    """What the documents say is the same on any store."""
    return "sqlite"


def test_openapi_lists_every_refusal_of_every_endpoint_with_its_fields() -> None:
    made = document(list(ENDPOINTS.values()))

    for endpoint in ENDPOINTS.values():
        operation = made["paths"][endpoint.path][endpoint.method.lower()]
        for leaf in all_refusals(endpoint):
            said = operation["responses"][str(leaf.status)]["content"]["application/problem+json"]
            assert f"schemas/{leaf.__name__}'" in str(said), (endpoint.name, leaf)
            details = made["components"]["schemas"][leaf.__name__]["properties"]["details"]
            assert set(details["properties"]) == {field.name for field in fields(leaf)}


def test_openapi_links_only_what_the_contract_has_on_both_sides() -> None:
    made = document(list(ENDPOINTS.values()))

    for link in LINKS:
        source, target = ENDPOINTS[link.source], ENDPOINTS[link.target]
        said = made["paths"][source.path][source.method.lower()]["responses"]["200"]["links"]
        assert said[link.target]["operationId"] == link.target
        travelling = made["paths"][target.path][target.method.lower()]["parameters"]
        assert set(link.fields) <= {parameter["name"] for parameter in travelling}, link
        for at in link.fields.values():
            assert set(re.findall(r"#/(\w+)", at) or [at.split("/")[0]]) <= set(
                source.answer.model_fields
            ), link
    unmounted = document([ENDPOINTS["compute.put-blob"]])
    assert "links" not in str(unmounted), "a link leads to what is served"


def test_a_node_serves_the_document_of_what_it_answers(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            made = (await raw.get("/openapi.json")).json()
            assert "/v1/members" in made["paths"]
            assert "/v1/journal" in made["paths"]
            assert "/v1/compute/wasm" not in made["paths"], "this node computes nothing"

    asyncio.run(asyncio.wait_for(story(), 120))


def test_the_page_about_the_api_is_what_the_contract_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make-api-docs"), "--check"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
