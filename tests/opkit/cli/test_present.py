"""A presenter leads a story from a terminal, by keys or by lines, and sees what it rests on."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console

from opkit.cli.present import Presented, present
from opkit.story import BlobProof, Evidence, Flow, expect, same
from opkit.story.pace import Pace
from opkit.story.stage import Mode

LIMIT_S = 100
NETWORK_LIMIT_S = 300
COLUMNS = 100
CODES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass
class Kitchen:
    """A world in which one step may fail."""

    broken: str = ""
    capabilities: frozenset[str] = frozenset()
    profile: str = "three"
    run_id: str = ""
    seed: int = 7

    def disturbances(self) -> tuple[dict[str, Any], ...]:
        return ()

    async def close(self) -> None:
        pass


def recipe() -> Flow[dict[str, int]]:
    flow: Any = Flow(name="t", title="Bread", story="A bakery bakes.", memory=dict)

    @flow.prepare
    async def oven(world: Kitchen, memory: Any) -> None:
        """The oven is hot."""

    @flow.step("DOUGH_MADE", say="Watch her hands.")
    async def dough(world: Kitchen, memory: Any) -> Evidence:
        """Ana makes the dough."""
        return expect(same("loaves", expected=3, actual=3), proofs=[BlobProof(b"flour")], grams=900)

    @flow.step("THIEF_REFUSED", adversarial=True, say="Nobody steals here.")
    async def thief(world: Kitchen, memory: Any) -> Evidence:
        """Mallory wants a loaf and gets none."""
        return expect(same("loaves", expected=3, actual=2 if world.broken else 3))

    @flow.step("BREAD_BAKED")
    async def bread(world: Kitchen, memory: Any) -> Evidence:
        """Ana bakes the bread."""
        return expect(True, crust="\x1b[31mred")

    return flow


async def open_kitchen(run_id: str) -> Any:
    return Kitchen(run_id=run_id)


async def open_broken(run_id: str) -> Any:
    return Kitchen(run_id=run_id, broken="THIEF_REFUSED")


@dataclass
class Terminal:
    """Both ends of a terminal, and what has appeared on it, without colours and movements."""

    ours: int
    theirs: int
    raw: bytes = b""
    seen: int = field(default=0)

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self) -> None:
        with suppress(BlockingIOError):
            self.raw += os.read(self.ours, 65_536)

    @property
    def text(self) -> str:
        return CODES.sub(b"", self.raw).decode("utf-8", "replace").replace("\r", "")

    async def until(self, text: str, *, limit_s: int = LIMIT_S) -> None:
        """Wait until a text appears after the one that was waited for last."""
        async with asyncio.timeout(limit_s):
            while (at := self.text.find(text, self.seen)) < 0:
                await asyncio.sleep(0.01)
                self.read()
        self.seen = at + len(text)


@contextmanager
def a_terminal() -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    try:
        yield Terminal(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def lead(act: Callable[[Terminal], Any], **more: Any) -> tuple[Presented, str]:
    """Present the recipe on a terminal while `act` types and looks."""

    async def go() -> tuple[Presented, str]:
        with a_terminal() as terminal, os.fdopen(os.dup(terminal.theirs), "w") as file:
            console = Console(file=file, force_terminal=True, width=COLUMNS, color_system="256")
            settings = {"pace": Pace(factor=0.0), "autoplay": False, "open_world": open_kitchen}
            async with asyncio.TaskGroup() as group:
                presenting = group.create_task(
                    present(recipe(), console=console, fd=terminal.theirs, **{**settings, **more})
                )
                await act(terminal)
            await terminal.until(" of 3 markers")
            return presenting.result(), terminal.text

    return asyncio.run(asyncio.wait_for(go(), LIMIT_S))


def typed(lines: str, *, encoding: str = "utf-8", **more: Any) -> tuple[Presented, str]:
    """Present the recipe to somebody who types lines, or to a file of them."""
    ours, theirs = os.pipe()
    os.write(theirs, lines.encode())
    os.close(theirs)
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=COLUMNS)
    settings = {"pace": Pace(factor=0.0), "autoplay": False, "open_world": open_kitchen}
    try:
        ended = asyncio.run(
            asyncio.wait_for(
                present(recipe(), console=console, fd=ours, **{**settings, **more}), LIMIT_S
            )
        )
    finally:
        os.close(ours)
    file.flush()
    return ended, file.buffer.getvalue().decode(encoding)


def test_space_tells_a_step_with_what_to_say_and_its_checks():
    async def act(terminal):
        await terminal.until("next: Ana makes the dough.")
        terminal.type(" ")
        await terminal.until("DOUGH_MADE  done")
        await terminal.until("“Watch her hands.”")
        await terminal.until("loaves  3")
        await terminal.until("next: an attack: Mallory")
        terminal.type("q")

    ended, text = lead(act)

    assert ended.ok
    assert ended.left
    assert ended.view.told == 1
    assert "The oven is hot." in text
    assert "left  1 of 3 markers" in text


def test_a_clicker_goes_forward_and_back_and_arrows_do_too():
    async def act(terminal):
        await terminal.until("next: Ana makes")
        terminal.type("\x1b[6~")
        await terminal.until("next: an attack")
        terminal.type("\x1b[C")
        await terminal.until("THIEF_REFUSED  refused as promised")
        await terminal.until("next: Ana bakes")
        terminal.type("\x1b[5~")
        await terminal.until("DOUGH_MADE  done")
        terminal.type("\x1b[D")
        await terminal.until("this is the first step")
        terminal.type("q")

    ended, _ = lead(act)

    assert (ended.view.shown, ended.view.told) == (0, 2)


def test_digits_go_to_a_step_and_escape_does_not():
    async def act(terminal):
        await terminal.until("next: Ana makes")
        terminal.type("2")
        await terminal.until("go to step 2_")
        terminal.type("\x1b")
        await terminal.until("next: Ana makes")
        terminal.type("3\r")
        await terminal.until("2 of 3  waiting")
        terminal.type("9\r")
        await terminal.until("there is no step 9")
        terminal.type("q")

    ended, text = lead(act)

    assert (ended.view.shown, ended.view.told) == (2, 2)
    assert "Watch her hands" not in text, "what is skipped is told in a line"


def test_play_repeat_and_again_tell_to_the_end_and_anew():
    async def act(terminal):
        await terminal.until("next: Ana makes")
        terminal.type("p")
        await terminal.until("told whole")
        terminal.type("b")
        await terminal.until("THIEF_REFUSED  refused")
        terminal.type("r")
        await terminal.until("told from the beginning, as run")
        await terminal.until("THIEF_REFUSED  refused")
        await terminal.until("2 of 3  waiting")
        terminal.type("a")
        await terminal.until("told from the beginning, as run")
        await terminal.until("0 of 3  waiting")
        terminal.type("q")

    ended, text = lead(act)

    assert len(set(re.findall(r"as run ([0-9a-f]{16})", text))) == 3
    assert ended.view.told == 0


def test_the_evidence_and_the_help_are_there_for_a_key():
    async def act(terminal):
        await terminal.until("next: Ana makes")
        terminal.type("e")
        await terminal.until("it rests on nothing yet")
        terminal.type(" ")
        await terminal.until("next: an attack")
        terminal.type("e")
        await terminal.until("Evidence for DOUGH_MADE")
        await terminal.until("900")
        await terminal.until("proof: the bytes bafkrei")
        terminal.type("?")
        await terminal.until("a clicker's forward and back")
        terminal.type("q")

    lead(act)


def test_a_step_that_fails_is_red_on_the_screen_and_in_the_exit_code():
    async def act(terminal):
        await terminal.until("next: Ana makes")
        terminal.type("p")
        await terminal.until("THIEF_REFUSED  failed")
        await terminal.until("expected '3', got '2'")
        await terminal.until("stopped; a tells it again")
        terminal.type("q")

    ended, text = lead(act, open_world=open_broken)

    assert not ended.ok
    assert "FLOW_FAILED t  1 of 3 markers" in text
    assert "Mallory wants a loaf" in text


def test_autoplay_needs_nobody_and_ends_with_its_input():
    ended, text = typed("", autoplay=True)

    assert ended.ok
    assert not ended.left
    assert ended.view.mode is Mode.ENDED
    assert "FLOW_OK t  3 of 3 markers, 1 set-up" in text
    assert "\x1b" not in text


def test_input_that_ends_before_the_story_is_no_success():
    ended, text = typed("next\n")

    assert not ended.ok
    assert "left  1 of 3 markers" in text


def test_lines_are_obeyed_one_after_another():
    ended, text = typed("\n\nbake\ngo DOUGH_MADE\nevidence\npause\ngo NOWHERE\nhelp\nq\n")

    assert ended.ok
    assert (ended.view.shown, ended.view.told) == (0, 2)
    for said in (
        "that is no command",
        "Evidence for DOUGH_MADE",
        "it waits already: next tells a step",
        "there is no step 'NOWHERE'",
        "at the pace of reading",
    ):
        assert said in text


def test_what_nodes_say_cannot_steer_the_terminal():
    _, text = typed("go 3\n\nevidence\nq\n")

    assert "Evidence for BREAD_BAKED" in text
    assert "\N{REPLACEMENT CHARACTER}[31mred" in text
    assert "\x1b" not in text


def test_a_terminal_that_lacks_letters_is_shown_the_others():
    ended, text = typed("\nevidence\nhelp\nq\n", encoding="ascii")

    assert ended.ok
    assert "+ Ana makes the dough." in text
    assert "?Watch her hands.?" in text


def test_the_last_line_says_where_and_why_it_stopped():
    ended, text = typed("", autoplay=True, open_world=open_broken)

    assert not ended.ok
    assert "FLOW_FAILED t  1 of 3 markers" in text
    assert "stopped at THIEF_REFUSED: loaves: expected '3', got '2'" in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--autoplay",), "--autoplay is for presenting"),
        (("--present", "--json"), "presenting writes nothing"),
        (("--present", "--out", "here"), "presenting writes nothing"),
        (("a", "b", "--present"), "one story is presented at a time"),
        (("--present", "--pace", "11"), "--pace"),
    ],
)
def test_options_that_do_not_go_together_are_a_mistake(run, arguments, why):
    ran = run("demo", *arguments)

    assert ran.code == 2
    assert why in ran.err


@pytest.mark.slow
@pytest.mark.timeout(NETWORK_LIMIT_S)
def test_flow_a_plays_by_itself_on_a_network_of_its_own(opkit):
    ran = opkit("demo", "a", "--present", "--autoplay", "--pace", "0")

    assert ran.code == 0, ran.out + ran.err
    assert "FLOW_OK a  14 of 14 markers, 1 set-up" in ran.out
    assert ran.out.count("refused as promised") == 8


@pytest.mark.slow
@pytest.mark.timeout(NETWORK_LIMIT_S)
def test_ctrl_c_while_presenting_leaves_neither_network_nor_a_spoilt_terminal(own_home):
    # In a session whose terminal it is, so that Ctrl-C reaches it.
    command = ["setsid", "--ctty", sys.executable, "-m", "opkit.cli", "demo", "a", "--present"]

    async def act(terminal: Terminal) -> None:
        await terminal.until("the network is opened")
        terminal.type("a")  # Beginning anew does not take down what is being started.
        await terminal.until("next: Mara puts", limit_s=NETWORK_LIMIT_S)
        terminal.type(" ")
        await terminal.until("MODULE_DEPLOYED  done")
        terminal.type("\x03")
        await terminal.until("opkit: interrupted")

    with a_terminal() as terminal:
        before = termios.tcgetattr(terminal.theirs)
        stream = terminal.theirs
        environment = {**os.environ, "TERM": "xterm-256color"}
        process = subprocess.Popen(
            command, stdin=stream, stdout=stream, stderr=stream, env=environment
        )
        try:
            asyncio.run(act(terminal))
            assert process.wait(LIMIT_S) == 130
        finally:
            process.kill()
            process.wait()
        assert termios.tcgetattr(terminal.theirs) == before
    assert list((own_home / "devnets").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(NETWORK_LIMIT_S)
def test_a_presenter_may_quit_while_the_network_is_still_starting(own_home):
    with a_terminal() as terminal:
        stream = terminal.theirs
        command = [sys.executable, "-m", "opkit.cli", "demo", "a", "--present"]
        environment = {**os.environ, "TERM": "xterm-256color"}
        process = subprocess.Popen(
            command, stdin=stream, stdout=stream, stderr=stream, env=environment
        )

        async def act() -> None:
            await terminal.until("the network is opened")
            terminal.type("q")
            await terminal.until("left  0 of 14 markers")

        try:
            asyncio.run(act())
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
            process.wait()
    assert list((own_home / "devnets").iterdir()) == []
