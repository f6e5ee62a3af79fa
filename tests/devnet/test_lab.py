"""A devnet in a notebook: what is not there or does not run says how to get it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devnet.genesis import make_world
from devnet.lab import open_devnet
from devnet.spec import DevnetSpec
from devnet.state import DevnetError, write_world
from opkit import home


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep state in a folder of the test's own."""
    monkeypatch.setenv("OPKIT_HOME", str(tmp_path))


def test_a_devnet_that_is_not_there_says_how_to_start_one():
    with pytest.raises(DevnetError, match="no devnet called 'nowhere'") as absent:
        asyncio.run(open_devnet("nowhere"))
    assert "opkit devnet up" in absent.value.hint


def test_a_stopped_devnet_says_how_to_start_it():
    made = make_world("three", now_ms=1)
    write_world(
        home.devnet_folder("still"),
        spec=DevnetSpec(name="still", profile="three", seed=7),
        made=made,
        socket=Path("/tmp/none"),
    )
    with pytest.raises(DevnetError, match="is stopped") as stopped:
        asyncio.run(open_devnet("still"))
    assert "opkit devnet up still" in stopped.value.hint
