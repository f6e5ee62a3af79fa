"""Two stories are never told on one network at once, whoever tells them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.state import DevnetError
from devnet.telling import FILE, Telling, telling


def test_a_second_telling_is_refused_and_told_who_holds_the_network(tmp_path: Path) -> None:
    with (
        telling(tmp_path, who="the console tells flow a"),
        pytest.raises(DevnetError, match="the console tells flow a") as refused,
        telling(tmp_path, who="opkit demo", hint="leave --devnet out"),
    ):
        pytest.fail("two stories were told at once")
    assert refused.value.hint == "leave --devnet out"


def test_the_next_telling_may_begin_when_the_first_is_over(tmp_path: Path) -> None:
    for who in ("a much longer name than the next", "short"):
        with telling(tmp_path, who=who):
            assert (tmp_path / FILE).read_text("utf-8") == who


def test_a_telling_whose_process_was_killed_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from devnet.telling import Telling; "
        "held = Telling(Path(sys.argv[1]), who='gone'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    Telling(tmp_path, who="next").release()


def test_no_child_of_who_tells_keeps_the_network(tmp_path: Path) -> None:
    held = Telling(tmp_path, who="first")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held.release()
        Telling(tmp_path, who="second").release()
        child.communicate(os.linesep.encode("ascii"), timeout=60)
