"""Copies of a node's state: whole, bounded, put in its place and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet import chaos_states as states
from devnet.genesis import make_world
from devnet.spec import DevnetSpec
from devnet.state import DevnetError, DevnetState, node_folder, write_world

RIVER = "river-city-tool-library"


def devnet(folder: Path, *, database: str = "") -> DevnetState:
    made = make_world("three", now_ms=1_767_225_600_000)
    spec = DevnetSpec(name="t", profile="three", database=database)
    return write_world(folder, spec=spec, made=made, socket=folder / "s")


@pytest.fixture
def state(tmp_path: Path) -> DevnetState:
    made = devnet(tmp_path)
    write(made, "monday")
    return made


def data(state: DevnetState) -> Path:
    return node_folder(state.folder, RIVER) / "data"


def write(state: DevnetState, what: str) -> None:
    (data(state) / "blobs").mkdir(parents=True, exist_ok=True)
    for name in ("node.db", "ready.json", "blobs/x"):
        (data(state) / name).write_text(what, "utf-8")


def read(state: DevnetState) -> str:
    return (data(state) / "node.db").read_text("utf-8")


def test_an_older_state_is_put_in_its_place_and_the_newest_comes_back(state: DevnetState) -> None:
    assert states.save(state, RIVER, "monday") == 18
    write(state, "tuesday")
    states.put_in_place(state, RIVER, "monday")
    assert read(state) == "monday"
    assert (data(state) / "blobs/x").read_text("utf-8") == "monday"
    assert not (data(state) / "ready.json").exists()
    assert states.put_back(state, RIVER)
    assert read(state) == "tuesday"
    assert not states.put_back(state, RIVER)


def test_the_newest_is_kept_over_several_older_ones_and_a_copy_can_be_used_again(
    state: DevnetState,
) -> None:
    states.save(state, RIVER, "monday")
    write(state, "tuesday")
    states.put_in_place(state, RIVER, states.EMPTY)
    assert list(data(state).iterdir()) == []
    states.put_in_place(state, RIVER, "monday")
    write(state, "monday, and then another way")
    states.put_in_place(state, RIVER, "monday")
    assert read(state) == "monday"
    states.put_back(state, RIVER)
    assert read(state) == "tuesday"


def test_a_copy_of_the_same_name_gives_way_and_only_so_many_are_kept(state: DevnetState) -> None:
    for number in range(states.SAVED_MAX):
        states.save(state, RIVER, f"s{number}")
    write(state, "tuesday")
    states.save(state, RIVER, "s0")
    states.put_in_place(state, RIVER, "s0")
    assert read(state) == "tuesday"
    with pytest.raises(DevnetError, match="are kept already"):
        states.save(state, RIVER, "one-more")


def test_what_is_too_large_is_not_copied(
    state: DevnetState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "BYTES_MAX", 17)
    with pytest.raises(DevnetError, match="has 18 bytes"):
        states.save(state, RIVER, "monday")
    assert states.saved(state, RIVER) == ()


def test_names_and_states_that_there_are_not_are_refused(
    state: DevnetState, tmp_path: Path
) -> None:
    for name in ("", "../x", "A", states.EMPTY, "x" * 33):
        with pytest.raises(DevnetError, match="no name for a state"):
            states.check_name(name)
    with pytest.raises(DevnetError, match="no state of") as refused:
        states.check_known(state, RIVER, "monday")
    assert refused.value.hint == "there are: empty"
    states.check_known(state, RIVER, states.EMPTY)
    states.check_copyable(state)
    with pytest.raises(DevnetError, match="PostgreSQL"):
        states.check_copyable(devnet(tmp_path / "other", database="postgresql:///opkit"))
