"""Commands against real nodes, as a user gives them; Ctrl-C at the worst moments."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.processes import descendants_of
from devnet.state import is_running
from opkit import home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
UPPER = ROOT / "wasm" / "upper.wasm"
HARBOR = "harbor-homes-cooperative"
WAIT_S = 100


def test_a_session_with_a_devnet(opkit: Run, typed: Run, tmp_path: Path) -> None:
    """One network for all commands: starting one costs seconds."""
    up = opkit("devnet", "up", "--json")
    assert up.code == 0, up.err
    assert up.json["state"] == "ready"
    try:
        check_devnet(opkit)
        receipt = check_compute(typed, tmp_path)
        check_receipts(typed, tmp_path, receipt)
        check_members(typed)
        check_login(typed)
        check_events(typed)
        check_another_node(typed, up.json)
        check_demo(opkit, tmp_path)
    finally:
        down = opkit("devnet", "down", "--json")
    assert down.code == 0, down.err
    assert down.json == {"name": "default", "state": "stopped"}
    stopped = opkit("devnet", "status", "--json")
    assert (stopped.code, stopped.json["state"]) == (1, "stopped")
    assert opkit("devnet", "reset").code == 0
    assert not home.devnet_folder("default").exists()


def check_devnet(opkit: Run) -> None:
    limit = time.monotonic() + WAIT_S
    while (status := opkit("devnet", "status")).out.count("2 peers") != 3:
        # On a busy machine a link may be lost, and found again.
        assert time.monotonic() < limit, status.out
    assert status.code == 0
    again = opkit("devnet", "up")
    assert again.code == 1
    assert "runs already" in again.err
    assert "opkit devnet status default" in again.err
    other = opkit("devnet", "up", "default", "--profile", "federation")
    assert other.code == 1
    logs = opkit("devnet", "logs", HARBOR, "--json")
    assert any(json.loads(line)["event"] == "serving" for line in logs.out.splitlines())
    assert "ready" in opkit("devnet", "logs").out


def check_compute(typed: Run, tmp_path: Path) -> Path:
    """Deploy, list, run; return the receipt's file."""
    deployed = typed("wasm", "deploy", UPPER, "--as", "mara", "--json")
    assert deployed.code == 0, deployed.err
    name = deployed.json["wasm_hash"]
    listed = typed("wasm", "list", "--owner", "river-city-tool-library/mara", "--json")
    assert [module["wasm_hash"] for module in listed.json["modules"]] == [name]
    copy = tmp_path / "copy.wasm"
    assert typed("wasm", "get", name, "--out", copy).code == 0
    assert copy.read_bytes() == UPPER.read_bytes()
    receipt = tmp_path / "receipt.json"
    done = typed(
        "compute", "submit", name, "--input", "hello", "--executor", HARBOR,
        "--receipt", receipt, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json["outcome"], done.json["output"]) == ("ok", "HELLO")
    task_id = done.json["task_id"]
    assert typed("compute", "status", task_id, "--json").json["state"] == "done"
    assert typed("compute", "cancel", task_id, "--json").json["state"] == "done"
    failed = typed("compute", "submit", name, "--input", "hello", "--fuel", "1", "--json")
    assert (failed.code, failed.json["outcome"]) == (1, "fuel")
    queued = typed("compute", "submit", name, "--no-wait", "--json")
    assert (queued.code, queued.json["state"]) == (0, "accepted")
    unknown = typed("wasm", "get", name[:-1] + ("a" if name[-1] != "a" else "b"))
    assert unknown.code == 1
    assert "hint:" in unknown.err
    return receipt


def check_receipts(typed: Run, tmp_path: Path, receipt: Path) -> None:
    verified = typed("receipt", "verify", receipt, "--json")
    assert (verified.code, verified.json["status"]) == (0, "verified")
    replayed = typed("receipt", "replay", receipt, "--json")
    assert replayed.code == 0, replayed.err + replayed.out
    given = tmp_path / "in.txt"
    given.write_text("hello", "utf-8")
    offline = typed("receipt", "replay", receipt, "--module", UPPER, "--input-file", given)
    assert offline.code == 0, offline.err
    given.write_text("other", "utf-8")
    assert typed("receipt", "replay", receipt, "--module", UPPER, "--input-file", given).code == 1
    check_receipt_elsewhere(typed, tmp_path, receipt)
    bundle = json.loads(receipt.read_text("utf-8"))
    head, payload, signature = bundle["receipt"].split(".")
    forged = tmp_path / "forged.json"
    bundle["receipt"] = f"{head}.{payload}.{signature[::-1]}"
    forged.write_text(json.dumps(bundle), "utf-8")
    assert typed("receipt", "verify", forged).code == 1


def check_receipt_elsewhere(typed: Run, tmp_path: Path, receipt: Path) -> None:
    """On a machine that keeps no genesis nothing says whose it is, until one is named."""
    (genesis,) = (home.state_home() / "genesis").glob("*.jws")
    mine, os.environ["OPKIT_HOME"] = os.environ["OPKIT_HOME"], str(tmp_path / "elsewhere")
    try:
        unknown = typed("receipt", "verify", receipt, "--json")
        assert (unknown.code, unknown.json["status"]) == (4, "consistent, signer unknown")
        assert typed("receipt", "verify", receipt, "--genesis", genesis).code == 0
    finally:
        os.environ["OPKIT_HOME"] = mine


def check_members(typed: Run) -> None:
    ada = typed("identity", "new", "ada", "--json").json["did"]
    added = typed(
        "member", "add", "ada", "--key", ada, "--name", "Ada", "--role", "guest", "--json"
    )
    assert added.code == 0, added.err
    assert (added.json["member_id"], added.json["active"]) == ("-/ada", True)
    members = typed("member", "list", "--as", "mara", "--json").json["members"]
    assert "-/ada" in {member["member_id"] for member in members}
    assert typed("member", "revoke", "ada", "--json").json["active"] is False
    nobody = typed("member", "revoke", "nobody")
    assert nobody.code == 1
    assert "No such member" in nobody.err


def check_login(typed: Run) -> None:
    said = typed("login", "--as", "mara", "--scope", "wasm:read", "--json")
    assert said.code == 0, said.err
    path = Path(said.json["file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("ascii") not in said.out + said.err
    assert said.json["scopes"] == ["wasm:read"]
    assert typed("wasm", "list", "--as", "mara", "--token", path).code == 0
    assert typed("member", "list", "--as", "mara", "--token", path).code == 1
    assert typed("login", "--as", "mara", "--scope", "everything").code == 2


def check_events(typed: Run) -> None:
    some = typed("events", "tail", "--as", "mara", "--lines", "3", "--json")
    assert some.code == 0, some.err
    entries = [json.loads(line) for line in some.out.splitlines()]
    assert [entry["sequence"] for entry in entries] == [1, 2, 3]
    on = typed(
        "events", "tail", "--as", "mara", "--after", some.err.split()[-1], "-n", "1", "--json"
    )
    assert json.loads(on.out)["sequence"] == 4, "the cursor is where the reader stopped"
    whole = typed("events", "tail", "--as", "mara", "--type", "compute.", "--json")
    types = {json.loads(line)["type"] for line in whole.out.splitlines()}
    assert {"compute.module-deployed", "compute.task-accepted"} <= types
    cursor = whole.err.split()[-1]
    assert typed("events", "tail", "--as", "mara", "--after", cursor).code == 0


def check_another_node(typed: Run, status: dict[str, Any]) -> None:
    """The same node, spoken to as one of somebody else's network."""
    node = status["nodes"][0]
    ada = home.identities_folder() / "ada.json"
    to = ["--url", node["url"], "--did", node["did"], "--genesis", status["genesis"]]
    assert ada.exists()
    stranger = typed("wasm", "list", *to, "--identity", "ada")
    assert stranger.code == 1
    assert "hint:" in stranger.err
    wrong = typed("wasm", "list", *to[:3], status["nodes"][1]["did"], *to[4:], "--identity", ada)
    assert wrong.code == 1


def check_demo(opkit: Run, tmp_path: Path) -> None:
    """Tell a flow on the running network; verify its report, and notice a change to it."""
    out, junit = tmp_path / "run", tmp_path / "junit.xml"
    told = opkit("demo", "a", "--devnet", "default", "--out", out, "--junit", junit, "--json")
    assert told.code == 0, told.err
    assert told.json["ok"] is True
    assert junit.read_text("utf-8").startswith("<?xml")
    assert Path(told.json["genesis"]).exists()
    verified = opkit("report", "verify", out)
    assert verified.code == 0
    assert "✓" not in verified.out
    assert "flow a" in verified.out
    assert "✓ a RECEIPT_VERIFIED" in opkit("report", "verify", out, "--verbose").out
    full = opkit("demo", "a", "--devnet", "default", "--out", out)
    assert full.code == 2
    page = next(out.rglob("*.html"))
    page.write_bytes(page.read_bytes() + b" ")
    changed = opkit("report", "verify", out)
    assert changed.code == 1
    assert changed.out.startswith("✗ file ")
    assert "1 of " in changed.out


def test_a_demo_of_its_own_leaves_a_report_and_no_network(opkit: Run, tmp_path: Path) -> None:
    told = opkit("demo", "a", "--out", tmp_path / "run", "--json")
    assert told.code == 0, told.err
    assert list((home.state_home() / "devnets").iterdir()) == []
    assert opkit("report", "verify", tmp_path / "run").code == 0


def test_a_demo_can_leave_its_network(opkit: Run, tmp_path: Path) -> None:
    told = opkit("demo", "a", "--keep", "--out", tmp_path / "run", "--json")
    assert told.code == 0, told.err
    (folder,) = (home.state_home() / "devnets").iterdir()
    assert is_running(folder)
    assert opkit("devnet", "status").code == 0
    assert opkit("devnet", "reset").code == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        pytest.param(["devnet", "up"], "genesis", id="up-while-starting"),
        pytest.param(["demo", "a"], "genesis", id="demo-while-starting"),
        pytest.param(["demo", "a"], "ready", id="demo-while-telling"),
    ],
)
def test_ctrl_c_leaves_nothing_behind(command: list[str], moment: str) -> None:
    """As in a terminal: SIGINT goes to the command's whole process group."""
    # A shell's background job ignores SIGINT, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        [sys.executable, "-m", "opkit.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    wait_for_stage(moment)
    below = descendants_of(started.pid)
    assert below
    os.killpg(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=WAIT_S)
    assert started.returncode == 130, err
    assert "Traceback" not in err
    assert_all_end(below)
    for folder in (home.state_home() / "devnets").iterdir():
        assert not is_running(folder)


def wait_for_stage(stage: str) -> None:
    """Return once a supervisor has logged that it reached `stage`."""
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        for log in (home.state_home() / "devnets").glob("*/supervisor.log"):
            if f'"event": "{stage}"' in log.read_text("utf-8"):
                return
        time.sleep(0.02)
    pytest.fail(f"no supervisor reached {stage!r}")


def assert_all_end(pids: Iterable[int]) -> None:
    """Wait until processes have ended, each of which may do so at any moment."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    _, alive = psutil.wait_procs(found, timeout=WAIT_S)
    assert not alive


def test_a_closed_terminal_takes_a_demo_with_it() -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "opkit.cli", "demo", "a"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    wait_for_stage("ready")
    below = descendants_of(started.pid)
    os.killpg(started.pid, signal.SIGHUP)
    started.wait(WAIT_S)
    assert_all_end(below)
