"""A real Prometheus scrapes a real node, with the configuration and the rules of the documents."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.single import ROOT, SingleNode
from opkit.wire.endpoint import ENDPOINTS

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(180)]

DOCS = ROOT / "docs" / "prometheus"
MARA = "river-city-tool-library/mara"
WAIT_S_MAX = 60
LISTENS = re.compile(r'msg="Listening on".* address=(\S+)\n')
FEW = 60
"""How many values a label may take at one node: endpoints with their statuses are the most."""


def families(text: str) -> dict[str, str]:
    """Return every metric of a text by its name, with its kind."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def documented() -> dict[str, str]:
    """Return every metric of the reference by its name, with its kind."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    return dict(re.findall(r"^\| `((?:opkit|process)_\w+)` \| (\w+) \|", text, re.MULTILINE))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SingleNode]:
    """A node that is not started yet; it is killed at the end."""
    (tmp_path / "n").mkdir()
    made = SingleNode(tmp_path / "n")
    yield made
    made.kill()


async def used(node: SingleNode) -> str:
    """Start a node, have it do some of everything, and return its metrics."""
    await node.start()
    async with node.client(MARA) as mara:
        info = await mara.wasm.deploy((ROOT / "wasm" / "upper.wasm").read_bytes(), name="upper")
        await (await mara.compute.submit(info.wasm_hash, b"x")).result()
        async with httpx.AsyncClient(timeout=WAIT_S_MAX) as http:
            assert (await http.get(f"{node.url}/v1/peers")).status_code == 401
            return (await http.get(f"{node.url}/metrics")).text


def promtool(*arguments: object, text: str = "") -> str:
    """Run promtool, which must find nothing wrong, and return what it says."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@contextmanager
def prometheus(folder: Path, *, target: str) -> Iterator[str]:
    """Run Prometheus with the documents' configuration, but for the target and the pace.

    It takes a port that is free, and says in its log which.
    """
    text = (DOCS / "scrape.yml").read_text("utf-8")
    assert "127.0.0.1:8471" in text
    text = text.replace("127.0.0.1:8471", target).replace("interval: 15s", "interval: 1s")
    (folder / "scrape.yml").write_text(text, "utf-8")
    shutil.copy(DOCS / "alerts.yml", folder)
    command = ["prometheus", f"--config.file={folder}/scrape.yml"]
    command += [f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        limit_s = time.monotonic() + WAIT_S_MAX
        while (listens := LISTENS.search((folder / "log").read_text("utf-8"))) is None:
            assert process.poll() is None and time.monotonic() < limit_s, "it does not listen"
            time.sleep(0.02)
        yield f"http://{listens[1]}"
    finally:
        process.terminate()
        process.wait(WAIT_S_MAX)


async def until(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, once it finds something."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.2)


async def asked(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    """Return the data of an answer of Prometheus; nothing while it starts."""
    try:
        answer = await http.get(f"/api/v1/{path}", params=query)
    except httpx.TransportError:
        return None
    return answer.json()["data"] if answer.status_code == 200 else None


def test_prometheus_sees_the_node_up_and_every_documented_series(
    node: SingleNode, tmp_path: Path
) -> None:
    async def story() -> None:
        await used(node)
        target = node.url.removeprefix("http://")
        with prometheus(tmp_path, target=target) as url:
            async with httpx.AsyncClient(base_url=url, timeout=WAIT_S_MAX) as http:

                async def up() -> bool:
                    found = await asked(http, "query", query='up{job="opkit"}')
                    return bool(found and [each["value"][1] for each in found["result"]] == ["1"])

                await until(up)
                names = await asked(http, "label/__name__/values")
                for name, kind in documented().items():
                    assert name + ("_count" if kind == "histogram" else "") in names
                rules = await asked(http, "rules")
                assert [group["name"] for group in rules["groups"]] == ["opkit"]
                node.kill()

                async def down() -> bool:
                    found = await asked(http, "query", query='up{job="opkit"}')
                    return bool(found and [each["value"][1] for each in found["result"]] == ["0"])

                await until(down)

    asyncio.run(asyncio.wait_for(story(), 150))


def test_the_reference_names_what_a_node_serves_with_few_values_of_each_label(
    node: SingleNode,
) -> None:
    text = asyncio.run(asyncio.wait_for(used(node), 150))
    assert promtool("check", "metrics", text=text) == ""
    assert families(text) == documented()
    labels: dict[str, set[str]] = {}
    for name, value in re.findall(r'[{,](\w+)="([^"]*)"', text):
        labels.setdefault(name, set()).add(value)
    named = {"endpoint", "status", "outcome", "state", "le", "version", "engine", "org"}
    assert set(labels) == named
    assert all(len(values) < FEW for values in labels.values())
    assert labels["endpoint"] <= set(ENDPOINTS) | {"events.stream"}
    for secret in (MARA, node.identity.did, "did:key"):
        assert secret not in text


def test_configuration_and_rules_of_the_documents_hold() -> None:
    assert "11 rules found" in promtool("check", "config", DOCS / "scrape.yml")
    assert "SUCCESS" in promtool("test", "rules", DOCS / "alerts-test.yml")


def test_every_rule_tells_what_is_seen_and_what_to_do_by_documented_metrics() -> None:
    text = (DOCS / "alerts.yml").read_text("utf-8")
    rules = re.split(r"\n\s+- alert: ", text)[1:]
    known = set(documented())
    for rule in rules:
        assert "summary:" in rule and "action:" in rule
        used_here = set(re.findall(r"\b(?:opkit|process)_\w+", rule))
        assert used_here <= known, json.dumps(sorted(used_here - known))
