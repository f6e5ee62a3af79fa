"""The stage of a devnet: led over the socket, told by a process that may end at any moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.control import ask_supervisor
from devnet.grants import read_owner_token
from devnet.launch import Launched, launch
from devnet.processes import descendants_of
from devnet.stage import OVER, RENEWS, REST_MS
from devnet.state import DevnetError, is_running, load_state
from devnet.telling import Telling, telling
from opkit.story import lead, stage
from opkit.story.stage import Mode, StageView

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DEADLINE_S = 100
HARBOR = "harbor-homes-cooperative"


@contextmanager
def running(teller_module: str = "flows.teller") -> Iterator[Launched]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name="t", profile="three", seed=7, teller_module=teller_module)
    try:
        launched.wait_ready()
        yield launched
    finally:
        launched.down()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launched]:
    """Hold a network with a flow that never ends, for a test that ends it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with running("slow_teller") as launched:
        yield launched


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Launched]]:
    """Hold one such network for all tests that leave it as it is, in its state directory."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("OPKIT_HOME", str(folder))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with running("slow_teller") as launched:
            yield folder, launched


@pytest.fixture
def kept(
    held: tuple[Path, Launched], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Launched]:
    """Have that network, with no stage open before and after."""
    folder, launched = held
    monkeypatch.setenv("OPKIT_HOME", str(folder))
    yield launched
    ask("stage-close")


def ask(do: str, **arguments: Any) -> dict[str, Any]:
    """Ask the supervisor."""
    return asyncio.run(ask_supervisor(load_state("t").socket, do, **arguments))


def until(wanted: Callable[[StageView], bool], *, after: int = 0) -> StageView:
    """Return the stage once it stands as wanted, polling as a console does."""

    async def poll() -> StageView:
        revision, socket = after, load_state("t").socket
        async with asyncio.timeout(DEADLINE_S):
            while True:
                said = await ask_supervisor(socket, "stage", after=revision, wait_ms=20_000)
                assert said["revision"] >= revision
                revision = said["revision"]
                if said["view"] is not None:
                    view = StageView.model_validate(said["view"])
                    assert view.revision == revision
                    if wanted(view):
                        return view

    return asyncio.run(poll())


def within(work: Awaitable[Any]) -> Any:
    """Return what an awaitable gives, within the deadline."""

    async def wait() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await work

    return asyncio.run(wait())


def teller_of(launched: Launched) -> psutil.Process:
    """Return the process that tells."""
    (teller,) = [each for each, name in below(launched) if name == "opkit-teller"]
    return teller


def below(launched: Launched) -> Iterator[tuple[psutil.Process, str]]:
    """Yield all processes below the supervisor with their names, but those that end just now."""
    for pid in descendants_of(launched.process.pid):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            yield process, process.name()


def test_a_stage_is_over_and_begins_anew_here_when_stories_say_that_it_does() -> None:
    assert set(OVER) == lead.OVER
    assert set(RENEWS) == stage.RENEWS


def test_a_flow_is_told_whole_as_it_is_led() -> None:
    with running() as launched:
        assert "opkit-teller" not in {name for _, name in below(launched)}
        seen = ask("stage")
        assert seen["view"] is None
        lacking = {flow["name"]: flow["lacking"] for flow in seen["flows"]}
        assert {name for name, why in lacking.items() if not why} == {"a", "b", "1", "2", "c"}
        assert all("profile federation" in why for why in lacking.values() if why)
        check_an_unknown_flow_is_refused()
        opened = StageView.model_validate(ask("stage-open", flow="a", pace_percent=0)["view"])
        assert (opened.mode, opened.told) == (Mode.OPENING, 0)
        check_a_second_is_refused()
        first = until(lambda view: view.mode is Mode.WAITING)
        ask("stage-do", action="next")
        until(lambda view: view.told == 1 and view.mode is Mode.WAITING, after=first.revision)
        check_bad_asks()
        ask("stage-do", action="play")
        ended = until(lambda view: view.mode in (Mode.ENDED, Mode.STOPPED))
        assert ended.stopped is None
        assert ended.told == len(ended.steps) == seen["flows"][0]["steps"]
        assert all(step.record is not None and step.record.ok for step in ended.steps)
        assert ask("status")["stage"] == {"flow": "a", "mode": "ended"}
        check_one_that_is_over_lets_others_tell(load_state("t").folder)
        check_one_that_is_over_gives_way(until(lambda view: view.mode is Mode.ENDED))
        check_closing(launched)


def check_a_second_is_refused() -> None:
    with pytest.raises(DevnetError, match="is being told") as refused:
        ask("stage-open", flow="a")
    assert "close" in refused.value.hint


def check_bad_asks() -> None:
    """What makes no sense is refused with what does, and changes nothing."""
    before = ask("stage")["revision"]
    for arguments, why in (
        ({"action": "dance"}, "dance"),
        ({"action": "skip-to", "marker": "NOWHERE"}, "NOWHERE"),
        ({"action": "pause"}, "waits already"),
        ({"action": 7}, "needs a text"),
        ({}, "needs a text"),
    ):
        with pytest.raises(DevnetError, match=why):
            ask("stage-do", **arguments)
    assert ask("stage")["revision"] == before


def check_one_that_is_over_lets_others_tell(folder: Path) -> None:
    """The stage stays open to look back on, and has the network again for another telling."""
    over = until(lambda view: not view.held)
    with telling(folder, who="opkit demo"):
        for do, arguments in (("stage-do", {"action": "again"}), ("stage-open", {"flow": "a"})):
            with pytest.raises(DevnetError, match="already: opkit demo"):
                ask(do, **arguments)
        looked = StageView.model_validate(ask("stage-do", action="back")["view"])
        assert (looked.mode, looked.run_id) == (Mode.ENDED, over.run_id)
    anew = StageView.model_validate(ask("stage-do", action="again")["view"])
    assert (anew.mode, anew.held) == (Mode.OPENING, True)
    with pytest.raises(DevnetError, match="flow A, on the console's stage"):
        Telling(folder, who="opkit demo")
    until(lambda view: view.mode is Mode.WAITING)
    ask("stage-do", action="play")
    until(lambda view: view.mode is Mode.ENDED and not view.held)
    Telling(folder, who="opkit demo").release()


def check_one_that_is_over_gives_way(ended: StageView) -> None:
    check_an_unknown_flow_is_refused()
    assert ask("stage")["view"]["run_id"] == ended.run_id
    with pytest.raises(DevnetError, match="at most 1000 percent"):
        ask("stage-open", flow="a", pace_percent=1_001)
    again = StageView.model_validate(ask("stage-open", flow="a")["view"])
    assert again.run_id != ended.run_id
    assert again.revision > ended.revision


def check_an_unknown_flow_is_refused() -> None:
    with pytest.raises(DevnetError, match="there is no flow 'zz'") as refused:
        ask("stage-open", flow="zz")
    assert refused.value.hint == "flows: a, b, 1, 2, c, 3, 4"


def check_closing(launched: Launched) -> None:
    """The teller ends with its stage, and its token with it; closing twice is allowed."""
    teller = teller_of(launched)
    closed = ask("stage-close")
    assert closed["view"] is None
    assert ask("stage-close") == closed
    assert not teller.is_running()
    with pytest.raises(DevnetError, match="no stage is open"):
        ask("stage-do", action="next")
    assert ask("stage")["view"] is None
    assert ask("status")["stage"] is None


def test_who_may_look_may_not_lead_and_who_leads_may_not_break(kept: Launched) -> None:
    reads = ask("grant", scopes=["read"], ttl_ms=60_000)["token"]
    leads = ask("grant", scopes=["tell"], ttl_ms=60_000)["token"]
    ask("stage", token=reads)
    for do in ("stage-open", "stage-do", "stage-close"):
        with pytest.raises(DevnetError, match=f"may not {do}"):
            ask(do, token=reads, flow="slow", action="next")
    ask("stage-open", token=leads, flow="slow")
    ask("stage-close", token=leads)
    for do in ("kill", "stage", "down"):
        with pytest.raises(DevnetError, match=f"may not {do}"):
            ask(do, token=leads, org=HARBOR)


def test_a_teller_that_is_killed_midway_is_shown_and_its_stranger_is_ended(
    kept: Launched,
) -> None:
    lacking = {flow["name"]: flow["lacking"] for flow in ask("stage")["flows"]}
    assert lacking["slow"] == ""
    assert "federation" in lacking["elsewhere"]
    with pytest.raises(DevnetError, match="federation"):
        ask("stage-open", flow="elsewhere")
    ask("stage-open", flow="slow", pace_percent=0)
    ask("stage-do", action="play")
    midway = until(lambda view: view.told == 1 and view.steps[1].state == "running")
    assert len(ask("status")["hostile"]) == 1
    teller = teller_of(kept)
    record = midway.steps[0].record
    assert record is not None
    assert record.evidence["pid"] == teller.pid

    teller.send_signal(signal.SIGKILL)
    stopped = until(lambda view: view.mode is Mode.STOPPED, after=midway.revision)

    assert stopped.stopped is not None
    assert stopped.stopped.at == "NEVER_ENDS"
    assert "killed by SIGKILL" in stopped.stopped.why
    assert [step.state for step in stopped.steps] == ["done", "waiting", "waiting"]
    within(nobody_hostile())
    with pytest.raises(DevnetError, match="the teller is gone"):
        ask("stage-do", action="again")
    assert {node["state"] for node in ask("status")["nodes"]} == {"ready"}
    ask("stage-open", flow="slow")
    until(lambda view: view.mode is Mode.WAITING)


async def nobody_hostile() -> None:
    """Return when no hostile peer is left."""
    while (await ask_supervisor(load_state("t").socket, "status", look=False))["hostile"]:
        await asyncio.sleep(0.02)


def test_a_teller_that_hangs_is_ended_with_its_stage(kept: Launched) -> None:
    ask("stage-open", flow="slow")
    teller = teller_of(kept)
    teller.suspend()
    assert ask("stage-close")["view"] is None
    assert not teller.is_running()
    ask("stage-open", flow="slow")


def test_two_stories_are_not_told_on_one_network_at_once(kept: Launched) -> None:
    """One by the console's stage, the other by a command: the second is refused, and told why."""
    folder = load_state("t").folder
    ask("stage-open", flow="slow")
    command = [sys.executable, "-m", "opkit.cli", "demo", "a", "--devnet", "t"]
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert second.returncode == 1
    assert "flow SLOW, on the console's stage" in second.stderr
    assert "leave --devnet out" in second.stderr
    ask("stage-close")
    with telling(folder, who="opkit demo"):
        with pytest.raises(DevnetError, match="opkit demo"):
            ask("stage-open", flow="slow")
        with pytest.raises(DevnetError, match="opkit demo"):
            ask("stage-open", flow="slow")
    ask("stage-open", flow="slow")


def test_what_is_told_ends_with_the_network_in_order(slow: Launched) -> None:
    ask("stage-open", flow="slow", pace_percent=0)
    ask("stage-do", action="play")
    midway = until(lambda view: view.told == 1)
    ending = [process for process, _ in below(slow)]

    async def poll_and_end() -> dict[str, Any]:
        socket, revision = load_state("t").socket, midway.revision
        async with asyncio.timeout(DEADLINE_S):
            after = (await ask_supervisor(socket, "stage", after=revision))["revision"]
            # By hand: it has to be asked before the network is told to end.
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**22)
            asked = {"do": "stage", "token": read_owner_token(socket), "after": after}
            writer.write(json.dumps({**asked, "wait_ms": 25_000}).encode() + b"\n")
            await ask_supervisor(socket, "down")
            said: dict[str, Any] = json.loads(await reader.readline())
            writer.close()
            return said

    assert "ok" in asyncio.run(poll_and_end())
    assert slow.process.wait(DEADLINE_S) == 0
    assert not is_running(slow.folder)
    _, alive = psutil.wait_procs(ending, timeout=DEADLINE_S)
    assert not alive


def test_no_teller_outlives_a_killed_supervisor(slow: Launched) -> None:
    ask("stage-open", flow="slow")
    teller = teller_of(slow)
    os.kill(slow.process.pid, signal.SIGKILL)
    slow.process.wait(DEADLINE_S)
    _, alive = psutil.wait_procs([teller], timeout=DEADLINE_S)
    assert not alive


def check_looking_does_not_start_it_again(launched: Launched) -> None:
    """Those who look are told at once what is wrong; the log does not grow with each look."""
    log = launched.folder / "teller.log"
    while True:
        began, sizes = time.monotonic(), []
        for _ in range(2):
            with pytest.raises(DevnetError, match="no_such_teller"):
                ask("stage")
            sizes.append(log.stat().st_size)
        if time.monotonic() - began < REST_MS / 1000:
            break  # Both looks fell into one rest, however busy the machine is.
    assert 0 < sizes[0] == sizes[1]


def test_a_teller_that_cannot_be_loaded_is_told_and_the_network_lives() -> None:
    with running("no_such_teller") as launched:
        for do, arguments in (("stage", {}), ("stage-open", {"flow": "a"})):
            with pytest.raises(DevnetError, match="no_such_teller") as refused:
                ask(do, **arguments)
            assert "teller.log" in refused.value.hint
        check_looking_does_not_start_it_again(launched)
        status = ask("status")
        assert status["stage"] is None
        assert {node["state"] for node in status["nodes"]} == {"ready"}
