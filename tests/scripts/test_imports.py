from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]

SAID = """import time: self [us] | cumulative | imported package
import time:       120 |        120 |   _json
import time:        80 |        200 | json
import time:      3000 |       3000 |     pydantic._internal._model
import time:      1000 |       4200 |   pydantic
import time:      5000 |       9400 | opkit.wire.base
warning: import time: 7 | nothing of the interpreter's
"""


def test_what_the_interpreter_says_of_its_imports_is_read(script: Script) -> None:
    assert script("imports").own_times(SAID) == {
        "_json": 120,
        "json": 80,
        "pydantic._internal._model": 3000,
        "pydantic": 1000,
        "opkit.wire.base": 5000,
    }


def test_packages_stand_by_what_their_own_modules_took_heaviest_first(script: Script) -> None:
    imports = script("imports")
    light = imports.Imports(process="light", processor_ms=30, modules={"json": 1000})
    heavy = imports.Imports(
        process="heavy", processor_ms=120.4, modules=imports.own_times(SAID) | {"typer": 800}
    )
    assert heavy.by_package()[:2] == [("opkit.wire", 5.0), ("pydantic", 4.0)]
    rows = imports.table([heavy, light]).splitlines()
    assert rows[2] == "| heavy | 120 | 6 | opkit.wire 50 %, pydantic 40 %, typer 8 %, Python 2 % |"
    assert rows[3] == "| light | 30 | 1 | Python 100 % |"


def test_a_process_is_measured_by_what_it_really_imports(script: Script) -> None:
    found = script("imports").measure("devnet's supervisor", runs=1)
    assert "devnet.supervisor" in found.modules
    assert "pydantic" not in found.modules, "the supervisor starts with the standard library alone"
    assert found.processor_ms > 0


@pytest.mark.parametrize("name", ["nodes", ""])
def test_a_process_that_is_not_known_is_refused_with_those_that_are(
    script: Script, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as left:
        script("imports").main([name])
    assert left.value.code == 2
    assert "devnet's supervisor" in capsys.readouterr().err


def test_every_module_that_it_imports_is_there(script: Script) -> None:
    """A name that has moved would be found only when somebody measures again."""
    ours = {
        name
        for line in script("imports").PROCESSES.values()
        for name in re.findall(r"\b(?:devnet|flows|nodeimpl|opkit)[.\w]*", line.split(";")[0])
    }
    assert len(ours) > 15
    for name in ours:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), name
