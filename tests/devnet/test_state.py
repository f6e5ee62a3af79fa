"""A devnet's folder: private files, one lock, errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import stat
import traceback
from pathlib import Path

import pytest

from devnet.genesis import make_world
from devnet.spec import DevnetSpec
from devnet.state import (
    NODE,
    OPERATOR,
    DevnetError,
    DevnetState,
    FolderLock,
    is_running,
    list_devnets,
    load_identities,
    load_state,
    node_folder,
    remove_devnet,
    save_state,
    the_running_one,
    write_world,
)
from opkit import home
from opkit.proof import keystore
from opkit.proof.checks import ProofError

NOW_MS = 1_767_225_600_000


def new_devnet(name: str = "t") -> DevnetState:
    """Write the folder of a devnet that has never run."""
    folder = home.devnet_folder(name)
    return write_world(
        folder,
        spec=DevnetSpec(name=name, profile="three"),
        made=make_world("three", now_ms=NOW_MS),
        socket=folder / "control.sock",
    )


def test_what_was_written_is_read_again() -> None:
    state = new_devnet()
    assert load_state("t") == state
    assert state.view().network == state.network


def test_every_file_is_for_its_owner_alone() -> None:
    folder = new_devnet().folder
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_no_key_stands_in_the_state_file() -> None:
    state = new_devnet()
    text = (state.folder / "state.json").read_text("utf-8")
    for identity in load_identities(state).values():
        assert identity.seed.hex() not in text


def test_the_genesis_outlives_the_devnet() -> None:
    state = new_devnet()
    remove_devnet(state.folder)
    assert home.genesis_file(state.network).exists()


def test_keystores_open_with_their_own_key_only() -> None:
    state = new_devnet()
    identities = load_identities(state)
    assert identities[OPERATOR].did == state.operator
    assert {member.member_id for member in state.members} | {OPERATOR} == set(identities)
    own = node_folder(state.folder, state.nodes[0].org)
    sealed = (own / "keystore.json").read_bytes()
    assert set(keystore.unseal(sealed, secret=(own / "keystore.key").read_bytes())) == {NODE}
    with pytest.raises(ProofError):
        keystore.unseal(sealed, secret=state.key_file.read_bytes())


def test_a_member_is_found_by_short_name_and_whole_id() -> None:
    state = new_devnet()
    assert state.member("mara").member_id == "river-city-tool-library/mara"
    assert state.member("river-city-tool-library/mara").title == "coordinator"
    with pytest.raises(DevnetError, match="no member called 'nobody'"):
        state.member("nobody")


def test_a_node_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(DevnetError, match="no node of 'x'") as refused:
        new_devnet().node("x")
    assert "river-city-tool-library" in refused.value.hint


def test_a_node_is_found_by_how_it_begins_if_only_one_does() -> None:
    state = new_devnet()
    for begins in ("h", "harbor", "harbor-homes-cooperative"):
        assert state.find(begins).org == "harbor-homes-cooperative"
    for begins in ("nobody", "cooperative", ""):
        with pytest.raises(DevnetError, match="has no node of"):
            state.find(begins)
    longer = state.nodes[0].model_copy(update={"org": f"{state.nodes[0].org}-two"})
    twins = state.model_copy(update={"nodes": (*state.nodes, longer)})
    assert twins.find(state.nodes[0].org) == state.nodes[0]
    with pytest.raises(DevnetError, match="several nodes") as refused:
        twins.find("river")
    assert longer.org in refused.value.hint


def test_a_devnet_that_does_not_exist_is_told_with_how_to_start_one() -> None:
    with pytest.raises(DevnetError, match="no devnet called 'none'") as refused:
        load_state("none")
    assert "opkit devnet up" in refused.value.hint


def test_a_damaged_state_file_is_told_with_how_to_reset() -> None:
    state = new_devnet()
    (state.folder / "state.json").write_text("{}", "utf-8")
    with pytest.raises(DevnetError, match="cannot be read") as refused:
        load_state("t")
    assert "reset" in refused.value.hint


def test_a_state_file_of_a_newer_version_is_refused_and_not_thrown_away() -> None:
    """A devnet that a newer opkit made is whole: who is told to reset it would lose its keys."""
    state = new_devnet()
    path = state.folder / "state.json"
    said = json.loads(path.read_text("utf-8"))
    assert said["version"] == 1
    path.write_text(json.dumps(said | {"version": 2, "more": 1}), "utf-8")
    with pytest.raises(DevnetError, match="of version 2, and this opkit knows up to 1") as refused:
        load_state("t")
    assert "reset" not in refused.value.hint
    assert "newer" in refused.value.hint
    del said["version"]
    path.write_text(json.dumps(said), "utf-8")
    assert load_state("t") == state


def test_a_state_file_of_no_plausible_size_is_not_read() -> None:
    state = new_devnet()
    with (state.folder / "state.json").open("wb") as file:
        file.truncate(2_000_000)
    with pytest.raises(DevnetError, match="too large"):
        load_state("t")


def test_one_supervisor_holds_the_lock() -> None:
    folder = new_devnet().folder
    assert not is_running(folder)
    lock = FolderLock(folder)
    assert is_running(folder)
    with pytest.raises(DevnetError, match="runs already"):
        FolderLock(folder)
    lock.release()
    assert not is_running(folder)


def test_the_lock_goes_with_a_killed_process() -> None:
    folder = new_devnet().folder
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        FolderLock(folder)
        os.write(write, b"!")
        signal.pause()
    os.read(read, 1)
    assert is_running(folder)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not is_running(folder)
    os.close(read)
    os.close(write)


def test_the_only_running_devnet_is_meant_unless_said_otherwise() -> None:
    with pytest.raises(DevnetError, match="no devnet is running"):
        the_running_one()
    locks = [FolderLock(new_devnet(name).folder) for name in ("a", "b")]
    new_devnet("c")
    assert list_devnets() == (("a", True), ("b", True), ("c", False))
    with pytest.raises(DevnetError, match="several devnets run: a, b"):
        the_running_one()
    locks[0].release()
    assert the_running_one() == "b"
    locks[1].release()


def test_a_saved_state_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    state = new_devnet()

    def fails(_: Path, __: Path) -> Path:
        raise OSError("no more space")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no more space"):
        save_state(state.model_copy(update={"tokens": Path("elsewhere")}))
    monkeypatch.undo()
    monkeypatch.setenv("OPKIT_HOME", str(state.folder.parent.parent))
    assert load_state("t") == state


def test_an_error_in_a_notebook_shows_its_hint() -> None:
    said = "".join(traceback.format_exception(DevnetError("no devnet", hint="opkit devnet up")))
    assert "hint: opkit devnet up" in said
