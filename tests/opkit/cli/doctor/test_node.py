"""What a doctor finds in a node: for each check, what it checks is broken."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import make_world
from devnet.state import FolderLock
from nodeimpl.kernel.birth import revisions
from opkit import __version__
from opkit.cli.doctor import cases, clock, disk
from opkit.cli.doctor.table import NODE
from opkit.proof import keystore

Patient = Any

ASKED = {"health", "clock agrees", "clock unset"}
"""What only a node that runs can be asked for."""

CONFIG = """
version = 1
[node]
org = "n"
folder = "{folder}/data"
genesis = "{folder}/genesis.jws"
keystore = "{folder}/keystore.json"
key_file = "{folder}/keystore.key"
"""


def looks(folder: Path) -> dict[str, tuple[str, int]]:
    """Return every file of a folder with its content's hash and its time."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def test_a_node_that_is_well_is_well_and_stays_as_it_is(patient: Patient) -> None:
    before = looks(patient.folder)
    found = patient.findings()
    assert set(found) | ASKED == {"configuration", *(check.name for check in NODE)}
    ill = {name: each for name, each in found.items() if each["verdict"] == "wrong"}
    assert not ill, ill
    assert "journal up to 1, whole" in found["database"]["seen"]
    assert looks(patient.folder) == before


def test_people_are_told_the_same_in_lines(patient: Patient) -> None:
    patient.folder.joinpath("keystore.key").chmod(0o644)
    said = patient.run("doctor", patient.folder / "config.toml")
    assert said.code == 1
    assert "✗ key " in said.out
    assert "hint: chmod 600 " in said.out
    assert "things were looked at: " in said.out.splitlines()[-1]
    assert " wrong" in said.out.splitlines()[-1]


def test_every_problem_of_a_configuration_is_told_and_the_rest_left(patient: Patient) -> None:
    patient.config["gateway"] = {"port": 99_999, "prot": 1}
    patient.write_config()
    found = patient.findings()
    assert set(found) == {"configuration"}
    assert found["configuration"]["verdict"] == "wrong"
    assert "gateway.port" in found["configuration"]["seen"]
    assert "gateway.prot" in found["configuration"]["seen"]


def test_a_genesis_that_is_missing_edited_or_of_tomorrow(patient: Patient) -> None:
    genesis = patient.folder / "genesis.jws"
    kept = genesis.read_text("ascii")
    genesis.unlink()
    assert "No such file" in patient.wrong("genesis")["seen"]
    ill = [name for name, found in patient.findings().items() if found["verdict"] == "wrong"]
    assert ill == ["genesis"], "one fault is told once"
    genesis.write_text(kept[:-10] + "A" * 10, "ascii")
    patient.wrong("genesis")
    tomorrow = make_world("three", now_ms=time.time_ns() // 1_000_000 + 86_400_000)
    genesis.write_text(tomorrow.genesis, "ascii")
    assert "before the genesis was made" in patient.wrong("genesis")["seen"]


def test_a_key_that_others_may_read_is_broken_or_another(patient: Patient) -> None:
    key_file, sealed = patient.folder / "keystore.key", patient.folder / "keystore.json"
    key_file.chmod(0o640)
    assert patient.wrong("key")["hint"] == f"chmod 600 {key_file}"
    key_file.chmod(0o600)
    key_file.write_bytes(bytes(32))
    assert "backup" in patient.wrong("key")["hint"]
    key_file.write_bytes(bytes(range(32)))
    other = make_world("three", now_ms=1).nodes
    sealed.write_bytes(
        keystore.seal({"node": next(iter(other.values())).seed}, secret=bytes(range(32)))
    )
    assert "not the one that the genesis names" in patient.wrong("key")["seen"]
    sealed.unlink()
    assert "No such file" in patient.wrong("key")["seen"]


def test_a_folder_in_which_others_may_replace_the_key(patient: Patient) -> None:
    patient.folder.chmod(0o777)
    assert patient.wrong("key")["hint"] == f"chmod go-w {patient.folder}"
    patient.folder.chmod(0o700)
    (patient.folder / "keystore.json").chmod(0o644)
    assert patient.findings()["key"]["verdict"] == "note"


def test_a_database_of_another_version(patient: Patient) -> None:
    patient.migrate_to("9999")
    assert "run the newer version" in patient.wrong("database")["hint"]
    patient.migrate_to(revisions()[0])
    found = patient.findings()["database"]
    assert found["verdict"] == ("note" if len(revisions()) > 1 else "well")


def test_a_damaged_database_and_one_that_is_none(patient: Patient) -> None:
    with sqlite3.connect(patient.database) as connection:
        page = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("CREATE TABLE filled (x)")
        connection.executemany("INSERT INTO filled VALUES (?)", [("y" * 900,)] * 400)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        last = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    with patient.database.open("r+b") as file:
        file.seek((last - 60) * page)
        file.write(b"\xff" * page * 40)
    assert "backup" in patient.wrong("database")["hint"]
    patient.database.write_bytes(b"no database" * 1_000)
    assert "not a database" in patient.wrong("database")["seen"]
    patient.database.unlink()
    assert patient.findings()["database"]["verdict"] == "note"


def test_a_journal_from_the_future(patient: Patient) -> None:
    with sqlite3.connect(patient.database) as connection:
        connection.execute("UPDATE journal SET at_ms = at_ms + 3600000")
    connection.close()
    assert "ahead of this machine's clock" in patient.wrong("database")["seen"]


def test_what_waits_in_the_log_of_a_database_counts(patient: Patient) -> None:
    """As after a kill: the newest entries are in the log alone."""
    connection = sqlite3.connect(patient.database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    copied = {path: path.read_bytes() for path in patient.data.glob("node.db*")}
    connection.close()
    for path, data in copied.items():
        path.write_bytes(data)
    before = looks(patient.data)
    assert "9999" in patient.wrong("database")["seen"]
    after = looks(patient.data)
    assert {name: seen for name, seen in after.items() if not name.endswith("-shm")} == {
        name: seen for name, seen in before.items() if not name.endswith("-shm")
    }


def test_a_database_that_is_older_than_what_the_node_signed(patient: Patient) -> None:
    assert patient.findings()["history"]["verdict"] == "note", "no mark yet"
    mark = patient.data / "history-mark.json"
    place = {"generation": 1, "size": 1, "hash": "0" * 64, "root": "0" * 64}
    mark.write_text(json.dumps(place), "utf-8")
    assert patient.findings()["history"]["verdict"] == "well"
    mark.write_text(json.dumps({**place, "size": 9}), "utf-8")
    found = patient.wrong("history")
    assert "older database" in found["seen"]
    assert "opkit node new-generation" in found["hint"]
    mark.write_text("{", "utf-8")
    assert "damaged" in patient.wrong("history")["seen"]
    mark.write_text(json.dumps({**place, "version": 2}), "utf-8")
    found = patient.wrong("history")
    assert "written by a newer version" in found["seen"]
    assert "new-generation" not in found["hint"]


def test_a_node_that_does_not_run_is_no_fault_of_its_own_and_is_asked_nothing(
    patient: Patient,
) -> None:
    found = patient.findings()
    assert found["answers"]["verdict"] == "note"
    assert found["answers"]["seen"] == "no: it does not run"
    assert "opkit node run" in found["answers"]["hint"]
    assert not ASKED & set(found)
    with answering(patient):
        found = patient.findings()
        assert found["answers"]["seen"].startswith("yes, as version ")
        assert set(found) >= ASKED


def test_a_node_that_is_down_while_its_devnet_runs_is_wrong_and_a_stopped_devnet_is_not(
    run: Callable[..., Any], own_home: Path
) -> None:
    """The former `opkit node status` fails too; the latter is not ready, and needs no mending."""
    devnet = own_home / "devnets" / "d"
    node = devnet / "nodes" / "n"
    node.mkdir(parents=True)
    (node / "config.toml").write_text(CONFIG.format(folder=node), "utf-8")

    def answers() -> dict[str, Any]:
        said = run("doctor", "--devnet", "d", "--json").json["findings"]
        return next(each for each in said if each["check"] == "answers")

    assert (answers()["verdict"], answers()["seen"]) == ("note", "no: its devnet is stopped")
    assert answers()["hint"] == "opkit devnet up d starts it"
    lock = FolderLock(devnet)
    try:
        assert (answers()["verdict"], "restart n" in answers()["hint"]) == ("wrong", True)
    finally:
        lock.release()
    assert run("node", "status", "--devnet", "d").code == 1


def test_how_a_node_feels_is_told_without_a_token(patient: Patient) -> None:
    config = patient.folder / "config.toml"
    said = patient.run("node", "status", config)
    assert (said.code, said.out.split()[:2]) == (1, ["n", "stopped"])
    assert "hint: opkit node run CONFIG starts it" in said.out
    assert "opkit doctor" not in said.out
    with answering(patient):
        said = patient.run("node", "status", config, "--json")
        assert said.code == 0
        assert (said.json[0]["state"], said.json[0]["well"]) == ("ready", True)
    with answering(patient, degraded=["the disk is full: 3 MiB are left"]):
        said = patient.run("node", "status", config)
        assert said.code == 1
        assert "the disk is full: 3 MiB are left" in said.out
        assert "hint: opkit doctor" in said.out
    (patient.data / "ready.json").unlink()
    config.write_text("[node]\n", "utf-8")
    assert "misconfigured" in patient.run("node", "status", config).out


HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, f"{os.getpid()}\\n".encode())
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(lock: Path) -> Iterator[int]:
    """Have another process hold a lock; give its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(100)
        process.stdout.close()


def test_a_database_that_another_process_owns(patient: Patient) -> None:
    with holding(patient.data / "node.db.lock") as pid:
        assert f"process {pid} owns it" in patient.findings()["database's owner"]["seen"]
        patient.ready(pid=os.getpid(), url="http://127.0.0.1:1")
        assert f"process {pid} owns it" in patient.wrong("database's owner")["seen"]
    assert "does not hold" in patient.wrong("database's owner")["seen"]


def test_a_port_that_somebody_holds(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        patient.config["gateway"] = {"port": taken.getsockname()[1]}
        patient.write_config()
        assert f"held by process {os.getpid()} (" in patient.wrong("ports")["seen"]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", 0))
        del patient.config["gateway"]
        patient.config["p2p"] = {"bind": [f"[::1]:{taken.getsockname()[1]}"]}
        patient.write_config()
        assert "/udp is held by process" in patient.wrong("ports")["seen"]
        patient.ready(pid=os.getpid(), url="http://127.0.0.1:1")
        assert patient.findings()["ports"]["verdict"] == "well", "it is the node's own"
    (patient.data / "ready.json").unlink()
    patient.config["p2p"] = {"bind": ["192.0.2.7:0"]}
    patient.write_config()
    assert "192.0.2.7 cannot be bound here" in patient.wrong("ports")["seen"]


def test_blobs_that_have_reached_their_quota(patient: Patient) -> None:
    patient.config["store"] = {"blob_bytes_max": 1_048_576}
    patient.write_config()
    (patient.data / "blobs" / "ab").mkdir(parents=True)
    (patient.data / "blobs" / "ab" / "blob").write_bytes(bytes(1_048_576))
    assert "nothing more is taken" in patient.wrong("blobs")["seen"]
    patient.config["store"] = {"blob_bytes_max": 1_099_511_627_776}
    patient.write_config()
    free = os.statvfs(patient.data)
    if free.f_bavail * free.f_frsize < 1_099_511_627_776:
        assert patient.findings()["blobs"]["verdict"] == "note"


class _Node(http.server.BaseHTTPRequestHandler):
    """Answers as a node would whose clock, version or health is what a test says."""

    said: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        body = json.dumps(self.said[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answering(patient: Patient, *, ahead_ms: int = 0, **health: Any) -> Iterator[None]:
    """Have this process answer as the patient's node."""
    now_ms = time.time_ns() // 1_000_000 + ahead_ms
    said = {
        "/v1/node": {"version": health.pop("version", __version__), "now_ms": now_ms},
        "/v1/health/ready": {"status": "ok", "waiting_for": [], **health},
    }
    handler = type("Handler", (_Node,), {"said": said})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    patient.ready(pid=os.getpid(), url=f"http://127.0.0.1:{server.server_address[1]}")
    with pytest.MonkeyPatch.context() as patch:
        # How soon a thread of this process gets its turn says nothing of the node.
        patch.setattr(cases, "ANSWER_S_MAX", 60)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def test_a_node_whose_clock_is_another(patient: Patient) -> None:
    with answering(patient, ahead_ms=60_000):
        assert "away from this machine's" in patient.wrong("clock agrees")["seen"]
    with answering(patient, ahead_ms=-60_000):
        patient.wrong("clock agrees")
    assert clock.judge_skew(100, before_ms=90, after_ms=110).verdict == "well"


def test_a_node_that_is_older_degraded_or_not_ready(patient: Patient) -> None:
    with answering(patient, version="0.0.1"):
        assert "it runs 0.0.1" in patient.findings()["answers"]["seen"]
        assert patient.findings()["health"]["verdict"] == "well"
    with answering(patient, degraded=["the disk is full"]):
        assert patient.wrong("health")["seen"] == "the disk is full"
    with answering(patient, status="not-ready", waiting_for=["its store"]):
        assert "its store" in patient.wrong("health")["seen"]


def test_a_process_that_lives_and_does_not_answer(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patient.ready(pid=os.getpid(), url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "does not answer" in patient.wrong("answers")["seen"]


def test_a_clock_that_was_set_while_the_node_ran(patient: Patient) -> None:
    """Played by the time of a file: the node wrote it an hour ago by the clock of then."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        patient.ready(pid=process.pid, url="http://127.0.0.1:1")
        assert patient.findings()["clock unset"]["verdict"] == "well"
        for moved_s in (-3_600, 3_600):
            at = time.time() + moved_s
            os.utime(patient.data / "ready.json", (at, at))
            assert "it was set by about" in patient.wrong("clock unset")["seen"]
    finally:
        process.communicate()


def test_what_a_killed_node_left_is_told_with_what_to_do_which_is_nothing(
    patient: Patient,
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    patient.ready(pid=gone.pid, url="http://127.0.0.1:1")
    found = patient.findings()["leftovers"]
    assert found["verdict"] == "note"
    assert str(gone.pid) in found["seen"]


def test_a_disk_of_a_kind_that_is_shared(patient: Patient) -> None:
    shared = patient.folder / "a b"
    shared.mkdir()
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"40 22 0:40 / {patient.folder}/a\\040b rw shared:1 - nfs4 server:/export rw\n"
    )
    assert disk.kind_of(patient.folder, mounts) == "ext4"
    assert disk.kind_of(shared / "not" / "there" / "yet", mounts) == "nfs4"
    assert disk.judge_kind("nfs4").verdict == "wrong"
    patient.config["node"]["folder"] = "/dev/shm/opkit-not-there"
    patient.write_config()
    assert "in memory" in patient.findings()["file system"]["seen"]


def test_a_disk_that_takes_long_to_sync() -> None:
    assert disk.judge_sync(1.0).verdict == "well"
    assert disk.judge_sync(100.0).verdict == "note"
    assert disk.judge_sync(1_000.0).verdict == "wrong"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--devnet", "nowhere"),
        ("--node", "nobody"),
        ("config.toml", "--devnet", "x"),
        ("/no/such.toml",),
        ("/",),
    ],
)
def test_what_is_not_there_is_wrong_usage(run: Callable[..., Any], arguments: Any) -> None:
    said = run("doctor", *arguments)
    assert said.code == 2
    assert "hint:" in said.err
