"""What a doctor finds in a machine and its devnets: for each check, what it checks is broken."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import make_world
from devnet.launch import FOLDER_VARIABLE
from devnet.spec import DevnetSpec
from devnet.state import FolderLock, write_world
from opkit.cli.doctor import clock, disk, limits, versions
from opkit.cli.doctor.found import Check, look_at, well
from opkit.cli.doctor.table import DEVNET, MACHINE

ROOT = Path(__file__).resolve().parents[4]
WAIT_S = 100
DOCTOR = [sys.executable, "-m", "opkit.cli", "doctor", "--json"]


def looked(*command: str, env: dict[str, str] | None = None, limited: Any = None) -> dict[str, Any]:
    """Run the doctor as a process and return its findings by the check's name."""
    done = subprocess.run(
        [*command, *DOCTOR],
        capture_output=True,
        timeout=100,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        preexec_fn=limited,
    )
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout)
    assert said["well"] == (done.returncode == 0)
    return {each["check"]: each for each in said["findings"]}


def test_every_check_of_the_machine_says_something_and_looking_makes_no_folder(
    run: Callable[..., Any], own_home: Path
) -> None:
    shutil.rmtree(own_home)
    found = run("doctor", "--json").json["findings"]
    assert [each["check"] for each in found] == [check.name for check in MACHINE]
    assert all(each["seen"] and each["about"] == "this machine" for each in found)
    assert not own_home.exists()


def test_another_state_directory_may_be_named(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPKIT_HOME", "")
    (tmp_path / "devnets" / "lost").mkdir(parents=True)
    said = run("doctor", "--home", tmp_path, "--json")
    assert "devnet lost" in {each["about"] for each in said.json["findings"]}


def test_bounds_under_which_no_node_can_live_are_wrong() -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))

    found = looked(limited=limited)
    assert found["open files"]["verdict"] == "wrong"
    assert "ulimit -n" in found["open files"]["hint"]
    assert found["bounds of processes"]["verdict"] == "wrong"
    assert "size of a file" in found["bounds of processes"]["seen"]
    assert limits.judge_files(512).verdict == "note"
    assert limits.judge_files(resource.RLIM_INFINITY).verdict == "well"


def test_too_little_memory_is_wrong_and_too_little_for_all_workers_is_told() -> None:
    assert limits.judge_memory(2**20, workers=0).verdict == "wrong"
    assert limits.judge_memory(2**30, workers=40).verdict == "note"
    assert limits.judge_memory(2**40, workers=40).verdict == "well"


def test_other_versions_than_are_asked_for_are_wrong(tmp_path: Path) -> None:
    for name, version in (("wasmtime", "49.0.0"), ("iroh", "0.9.1")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(told, "utf-8")
    found = looked(env={"PYTHONPATH": str(tmp_path)})["parts of a node"]
    assert found["verdict"] == "wrong"
    assert "wasmtime 49.0.0 is installed" in found["seen"]
    assert "iroh 0.9.1 is installed" in found["seen"]


@pytest.mark.parametrize(
    ("version", "bounds", "fit"),
    [
        ("1.2.3", ">=1.2,<1.3", True),
        ("1.3.0", "<1.3,>=1.2", False),
        ("1.10", ">=1.9", True),
        ("2", "==2.0", True),
        ("2.1", "!=2.1", False),
        ("2.1", "<=2.0", False),
        ("2.1+local", ">2.0", True),
        ("9", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, bounds: str, *, fit: bool) -> None:
    assert versions.fits(version, bounds) is fit


def test_what_only_some_need_is_told_and_not_wrong(tmp_path: Path) -> None:
    found = looked(env={"PATH": str(tmp_path)})["parts for some"]
    assert found["verdict"] == "note"
    assert "Chromium" in found["seen"]


def test_a_clock_that_jumps_is_wrong() -> None:
    assert clock.judge_steady(2.0).verdict == "well"
    assert clock.judge_steady(-500.0).verdict == "wrong"


SMALL = 'mount -t tmpfs -o size=1m,nr_inodes=20 tmpfs {0} && exec "$@"'


def test_a_small_disk_with_few_inodes_is_wrong(tmp_path: Path) -> None:
    """A real one: a file system of one megabyte, mounted where nobody else sees it."""
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = [*namespace, "sh", "-c", SMALL.format(tmp_path), "sh", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("not run: this system mounts nothing in a namespace")
    inside = looked(*probe[:-1], env={"OPKIT_HOME": str(tmp_path)})
    assert inside["room on disk"]["verdict"] == "wrong"
    assert "MiB free" in inside["room on disk"]["seen"]
    assert "more files only" in inside["room on disk"]["seen"]
    assert inside["file system"]["seen"].startswith("tmpfs")


def test_a_disk_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    def look(_: None) -> Any:
        return disk.syncs(Path("/proc/self"))

    found = next(look_at(None, [Check(name="sync", look=look)], about="x"))
    assert found.verdict == "wrong"
    assert "cannot be looked at" in found.seen
    assert next(look_at(None, [Check(name="y", look=lambda _: well("z"))], about="")).seen == "z"


@pytest.fixture
def devnet(own_home: Path) -> Path:
    """The folder of a devnet that is stopped."""
    folder = own_home / "devnets" / "d"
    folder.mkdir(parents=True, mode=0o700)
    spec = DevnetSpec(name="d", profile="three", seed=7)
    made = make_world("three", now_ms=1_767_225_600_000)
    write_world(folder, spec=spec, made=made, socket=folder / "control.sock")
    return folder


def of_devnet(run: Callable[..., Any]) -> dict[str, Any]:
    """Return what is found of the devnet."""
    said = run("doctor", "--devnet", "d", "--json").json
    return {each["check"]: each for each in said["findings"] if each["about"] == "devnet d"}


@contextmanager
def supervised(folder: Path, *, within: Sequence[str] = ()) -> Iterator[int]:
    """Run a process that looks like a devnet's supervisor, by a program if any; give its id."""
    code = (
        "from devnet.processes import name_process; import sys\n"
        "name_process('opkit-devnet'); print('named', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [*within, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, FOLDER_VARIABLE: str(folder)},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == b"named\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(WAIT_S)
        process.stdout.close()


def test_a_devnet_that_is_stopped_is_well(run: Callable[..., Any], devnet: Path) -> None:
    found = of_devnet(run)
    assert set(found) == {check.name for check in DEVNET}
    assert {each["verdict"] for each in found.values()} == {"well"}


def test_a_state_file_that_is_damaged(run: Callable[..., Any], devnet: Path) -> None:
    (devnet / "state.json").write_text("{", "utf-8")
    found = of_devnet(run)["state file"]
    assert found["verdict"] == "wrong"
    assert "opkit devnet reset d" in found["hint"]


def test_what_a_killed_supervisor_left(run: Callable[..., Any], devnet: Path) -> None:
    (devnet / "control.token").write_text("x", "utf-8")
    assert of_devnet(run)["leftovers"]["verdict"] == "note"
    with supervised(devnet) as pid:
        found = of_devnet(run)["leftovers"]
        assert found["verdict"] == "wrong"
        assert f"kill {pid}" in found["hint"]
        lock = FolderLock(devnet)
        assert of_devnet(run)["leftovers"]["seen"] == "it runs"
        lock.release()


def test_processes_of_a_devnet_whose_folder_is_gone(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    with supervised(tmp_path / "gone") as pid:
        found = {each["check"]: each for each in run("doctor", "--json").json["findings"]}
        assert found["lost processes"]["verdict"] == "wrong"
        assert str(pid) in found["lost processes"]["seen"]


def test_processes_of_a_container_are_none_of_its_business(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    with supervised(tmp_path / "gone", within=["unshare", "--mount"]) as pid:
        found = {each["check"]: each for each in run("doctor", "--json").json["findings"]}
        assert str(pid) not in found["lost processes"]["seen"]


def ill_of(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is wrong with anything but this machine."""
    wrong = (each for each in findings if each["verdict"] == "wrong")
    return [each for each in wrong if each["about"] != "this machine"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_running_devnet_is_well_and_stays_as_it_is(
    opkit: Callable[..., Any], own_home: Path
) -> None:
    assert opkit("devnet", "up", "d").code == 0
    try:
        limit = time.monotonic() + WAIT_S
        while ill := ill_of((said := opkit("doctor", "--json")).json["findings"]):
            # A busy machine's nodes answer too late now and then, and the doctor says so.
            assert time.monotonic() < limit, ill
        nodes = {each["about"] for each in said.json["findings"] if "node " in each["about"]}
        assert len(nodes) == 3
        answers = [each["seen"] for each in said.json["findings"] if each["check"] == "health"]
        assert answers == ["ready"] * 3
    finally:
        assert opkit("devnet", "down", "d").code == 0
    after = opkit("doctor", "--devnet", "d", "--json").json["findings"]
    answers = [(each["verdict"], each["seen"]) for each in after if each["check"] == "answers"]
    assert answers == [("note", "no: its devnet is stopped")] * 3
