"""A node that serves is not stopped by looks for garbage among all that stands anyway."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.single import ROOT, SingleNode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

START_S_MAX = 90
STOP_S_MAX = 100
SERVE = """
import gc, sys
from nodeimpl.__main__ import main
code = main(sys.argv[1:])
gc.collect()
print(gc.get_freeze_count(), len(gc.get_objects()))
sys.exit(code)
"""


def test_what_stands_once_a_node_serves_is_passed_over_by_the_collector(tmp_path: Path) -> None:
    """Nearly all objects of a node at rest are its modules; those are never looked at again."""
    SingleNode(tmp_path)
    ready = tmp_path / "data" / "ready.json"
    with (tmp_path / "said").open("wb") as said:
        command = [sys.executable, "-c", SERVE, str(tmp_path / "node.toml")]
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)
    try:
        until = time.monotonic() + START_S_MAX
        while not ready.exists() or json.loads(ready.read_text())["pid"] != process.pid:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        process.terminate()
        assert process.wait(STOP_S_MAX) == 0
    finally:
        process.kill()
        process.wait()
    passed_over, looked_at = map(int, (tmp_path / "said").read_text().splitlines()[-1].split())
    assert passed_over > 10 * looked_at
