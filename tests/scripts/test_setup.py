from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture
def setup(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script at work in an empty folder, with locks of one line, running no commands."""
    module = script("setup")
    (tmp_path / "locks").mkdir()
    for purpose in (*module.SHARED, *module.SEPARATE):
        (tmp_path / "locks" / f"{purpose}.txt").write_text(f"{purpose}==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "commands", [], raising=False)
    monkeypatch.setattr(module, "run", lambda command, **_: pretend(module, command))
    return module


def pretend(module: ModuleType, command: list[str]) -> None:
    """Note a command, and leave behind what making an environment leaves behind."""
    module.commands.append(command)
    if "venv" in command:
        for name in ("python", "uv"):
            made = Path(command[-1]) / "bin" / name
            made.parent.mkdir(parents=True, exist_ok=True)
            made.touch()


def commands_of(setup: ModuleType, purpose: str) -> list[str]:
    """Set a purpose up and return the locks that were installed and environments that were made."""
    setup.commands.clear()
    setup.set_up(purpose, quiet=True)
    words = [word for command in setup.commands for word in command]
    return [Path(word).name for word in words if word.endswith((".txt", ".venv", "/lab", "/wasm"))]


def test_the_second_time_nothing_is_done(setup: ModuleType) -> None:
    assert commands_of(setup, "demo") == [".venv", "demo.txt"]
    assert commands_of(setup, "demo") == []


def test_the_demo_leaves_an_environment_for_tests_as_it_is(setup: ModuleType) -> None:
    assert "test.txt" in commands_of(setup, "test")
    assert commands_of(setup, "demo") == []


def test_tests_widen_an_environment_for_the_demo(setup: ModuleType) -> None:
    commands_of(setup, "demo")
    assert commands_of(setup, "test") == ["test.txt"]


def test_a_changed_lock_is_installed_at_its_widest(setup: ModuleType, tmp_path: Path) -> None:
    commands_of(setup, "test")
    (tmp_path / "locks/test.txt").write_text("test==2\n")
    assert commands_of(setup, "demo") == ["test.txt"]


def test_what_is_heavy_has_an_environment_of_its_own(setup: ModuleType, tmp_path: Path) -> None:
    assert commands_of(setup, "wasm") == ["wasm", "wasm.txt"]
    assert not (tmp_path / ".venv").exists()
    assert (tmp_path / ".venvs/wasm/opkit-setup.json").exists()


@pytest.mark.parametrize(("what", "value"), [("root", "/elsewhere"), ("python", "3.9")])
def test_an_environment_that_cannot_work_is_made_again(
    setup: ModuleType, tmp_path: Path, what: str, value: str
) -> None:
    """A checkout that was moved, or another Python than the environment was made with."""
    commands_of(setup, "demo")
    stamp = tmp_path / ".venv/opkit-setup.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {what: value}))
    assert commands_of(setup, "demo") == [".venv", "demo.txt"]


def test_an_interrupted_set_up_is_finished_the_next_time(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = setup.install_lock

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "install_lock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.set_up("demo", quiet=True)
    monkeypatch.setattr(setup, "install_lock", whole)
    assert commands_of(setup, "demo") == ["demo.txt"]


@pytest.mark.parametrize(
    ("failing", "hint"),
    [("venv", "apt-get install python3-venv"), ("install", "is there a network")],
)
def test_a_step_that_fails_is_told_in_a_line_with_what_helps(
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: str,
    hint: str,
) -> None:
    def run(command: list[str], **_: object) -> None:
        if failing in command:
            raise subprocess.CalledProcessError(1, command)
        pretend(setup, command)

    monkeypatch.setattr(setup, "run", run)
    assert setup.main(["--quiet", "demo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("setup: demo could not be set up: ")
    assert hint in said[1]


def test_an_interrupted_set_up_says_so_without_a_trace(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "run", interrupted)
    assert setup.main(["--quiet", "demo"]) == 130
    assert capsys.readouterr().err.startswith("setup: interrupted")


def test_an_unknown_purpose_is_a_usage_error(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main(["everything"]) == 2
    assert "usage: scripts/setup" in capsys.readouterr().err
