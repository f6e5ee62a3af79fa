"""The README is followed on a bare system; what of that can be judged without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BROWSER = "9 passed, 0 failed, 1 not run: browser (Chromium is missing)"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("bare-system")


def test_where_it_cannot_run_it_says_so_and_that_is_no_success(
    bare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bare.os, "geteuid", lambda: 1000)
    assert bare.main(["--quick"]) == 5
    assert "NOT RUN, and so nothing is shown: it needs root" in capsys.readouterr().err
    monkeypatch.setattr(bare.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bare.shutil, "which", lambda name: name != "debootstrap")
    assert bare.main([]) == 5
    assert "apt-get install debootstrap" in capsys.readouterr().err
    assert bare.main(["--fast"]) == 2


def test_all_lines_of_the_readme_are_run_but_those_that_say_why_not(bare: ModuleType) -> None:
    lines = list(bare.lines_of(ROOT / "README.md"))
    run = [line.command for line in lines if not line.left_out]
    assert [line.command for line in lines if line.as_root] == run[:1]
    assert {"make demo", "make dashboards", "make test", "make install", "make lab"} <= set(run)
    assert len(run) >= len(lines) * 2 / 3
    assert [line.command for line in lines if line.stays] == ["make dashboards", "make lab"]


def test_lines_are_taken_as_written_without_what_is_said_behind_them(
    bare: ModuleType, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "```\napt-get install x   # as root\nmake it  # quick\n\n```\n```toml\na = 1\n```\n",
        "utf-8",
    )
    first, second = bare.lines_of(readme)
    assert (first.command, first.as_root) == ("apt-get install x", True)
    assert (second.command, second.as_root, second.left_out) == ("make it", False, "")


@pytest.mark.parametrize(
    ("command", "played", "wrong"),
    [
        ("make demo", {"code": 0, "first_marker_s": 9.0}, ""),
        ("make demo", {"code": 0}, "no marker was printed"),
        ("make demo", {"code": 2, "first_marker_s": 9.0}, "exit code 2"),
        ("make lab", {"code": 0}, "it printed no address that answers"),
        ("make lab", {"code": -2, "served": True}, ""),
        ("make test", {"code": 0, "said": ["9 passed, 0 failed, 0 not run"]}, ""),
        ("make test", {"code": 2, "said": [BROWSER, "make: *** [Makefile:24: test] Error 5"]}, ""),
        (
            "make test",
            {"code": 2, "said": [BROWSER, "make: *** [Makefile:24: test] Error 1"]},
            BROWSER,
        ),
        (
            "make test",
            {"code": 2, "said": ["9 passed, 0 failed, 0 not run", "Error 5"]},
            "9 passed, 0 failed, 0 not run",
        ),
        (
            *(
                "make test",
                {"code": 2, "said": ["9 passed, 0 failed, 1 not run: interop (no)", "Error 5"]},
            ),
            "could not be run: interop",
        ),
        *(
            ("make test", {"code": code, "said": [said]}, said)
            for code in (1, 2)
            for said in ["9 passed, 1 failed, 0 not run"]
        ),
        ("make test", {"code": 0, "said": ["done"]}, "it counted no tests"),
    ],
)
def test_a_line_holds_only_if_it_did_what_the_readme_says_of_it(
    bare: ModuleType, command: str, played: dict[str, object], wrong: str
) -> None:
    line = bare.Line(command=command, stays=command == "make lab")
    assert bare.what_is_wrong(line, bare.Played(**played)) == wrong


def test_a_marker_is_told_from_other_lines(bare: ModuleType) -> None:
    assert bare.MARKER.match("✓ Mara puts a program on the node.     MODULE_DEPLOYED   170 ms")
    assert not bare.MARKER.match("○ waits                                 MODULE_DEPLOYED")
    assert not bare.MARKER.match("setup: demo set up in 2.0 s")
