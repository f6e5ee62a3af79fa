"""The built modules are the ones that the sources make, and do what they say."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.patronage import allocate, as_input, as_output
from nodeimpl.sandbox.machine import Machine
from nodeimpl.sandbox.result import RunResult
from opkit.wire.compute import Grants, Outcome, TaskLimits

ROOT = Path(__file__).resolve().parents[2]
WASM = ROOT / "wasm"
MACHINE = Machine()
for path in WASM.glob("*.wasm"):
    MACHINE.load(path.stem, MACHINE.compile(path.read_bytes()))

# The engine's deadline thread starts with the first run and stays for good.
MACHINE.run("upper", stdin=b"", limits=TaskLimits(), grants=Grants())


def run(name: str, stdin: bytes) -> RunResult:
    return MACHINE.run(name, stdin=stdin, limits=TaskLimits(), grants=Grants())


def test_every_source_has_its_module_and_every_module_its_hash() -> None:
    names = sorted(path.stem for path in WASM.glob("*.c"))
    assert names == sorted(path.stem for path in WASM.glob("*.wasm"))
    lines = [
        f"{hashlib.sha256((WASM / f'{name}.wasm').read_bytes()).hexdigest()}  {name}.wasm\n"
        for name in names
    ]
    assert (WASM / "SHA256SUMS").read_text(encoding="ascii") == "".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sources_build_to_the_same_bytes() -> None:
    python = os.environ.get("OPKIT_ZIG_PYTHON")
    if python is None and importlib.util.find_spec("ziglang") is None:
        pytest.skip("the compiler (dependency group `wasm`) is not installed")
    command = [sys.executable, str(ROOT / "scripts" / "build-wasm"), "--check"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert built.returncode == 0, built.stdout + built.stderr


def test_the_demo_world_splits_its_surplus_exactly() -> None:
    hours = {"Hugo": 120, "Leila": 115, "Bram": 104, "Yuki": 98, "Gwen": 87}
    ran = run("patronage", as_input(surplus=3_840, hours=hours))
    assert ran.output == b"Hugo 879\nLeila 843\nBram 762\nYuki 718\nGwen 638\n"


@given(
    st.integers(0, 2_000_000_000),
    st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=40).filter(any),
)
def test_patronage_says_what_the_same_rule_in_python_says(surplus: int, hours: list[int]) -> None:
    named = {f"m{n}": worked for n, worked in enumerate(hours)}
    ran = run("patronage", as_input(surplus=surplus, hours=named))
    expected = allocate(surplus=surplus, hours=named)
    assert ran.output == as_output(expected)
    assert sum(expected.values()) == surplus


@pytest.mark.parametrize(
    "stdin",
    [
        b"",
        b"surplus\n",
        b"surplus 10\n",
        b"surplus 10\nann 0\n",
        b"ann 10\nann 1\n",
        b"surplus 10\nann\n",
        b"surplus 10\nann -1\n",
        b"surplus 10\nann 1",
        b"surplus 10\nann 1x\n",
        b"surplus 2000000001\nann 1\n",
        b"surplus 1\n" + b"a 1\n" * 1_001,
        b"surplus 1\n" + b"a" * 70_000,
    ],
)
def test_patronage_exits_2_on_figures_that_it_cannot_read(stdin: bytes) -> None:
    ran = run("patronage", stdin)
    assert (ran.outcome, ran.reason) == (Outcome.TRAP, "exit 2")


def test_patronage_takes_as_many_members_as_it_says() -> None:
    hours = {f"m{n}": n for n in range(1_000)}
    ran = run("patronage", as_input(surplus=1_999_999_999, hours=hours))
    assert ran.output == as_output(allocate(surplus=1_999_999_999, hours=hours))
