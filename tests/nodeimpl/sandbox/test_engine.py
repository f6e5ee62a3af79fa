"""Which engine runs modules: one that was tested, or none."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from nodeimpl.sandbox import engine
from nodeimpl.sandbox.codecache import CacheUnsafe
from nodeimpl.sandbox.engine import EngineUntested, require_tested
from nodeimpl.sandbox.memory import LinearMemory
from nodeimpl.sandbox.sandbox import Sandbox


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another version of the engine be installed."""
    monkeypatch.setattr(engine.importlib.metadata, "version", lambda _name: "51.0.0")


def test_the_installed_engine_is_one_of_the_tested():
    """When this fails after an upgrade: run the tests beside this one, then add it to the list."""
    require_tested()
    assert importlib.metadata.version("wasmtime").startswith(engine.TESTED_VERSIONS)


@pytest.mark.usefixtures("untested")
def test_an_engine_with_another_c_api_gets_no_memory_from_us():
    with pytest.raises(EngineUntested, match=r"wasmtime 51\.0\.0 .* run on 50"):
        LinearMemory()


@pytest.mark.usefixtures("untested")
def test_a_node_says_so_before_it_starts_anything(tmp_path: Path):
    with pytest.raises(EngineUntested, match="add it to TESTED_VERSIONS"):
        Sandbox.launch(cache_folder=tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_a_version_that_only_begins_alike_is_another():
    with pytest.raises(EngineUntested):
        require_tested("500.0.0")
    with pytest.raises(EngineUntested):
        require_tested("5.0.0")


def test_a_folder_that_others_can_read_holds_no_compiled_code(tmp_path: Path):
    (tmp_path / "code").mkdir(mode=0o755)
    with pytest.raises(CacheUnsafe):
        Sandbox.launch(cache_folder=tmp_path / "code")
