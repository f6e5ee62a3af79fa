"""How `scripts/mutants` runs a module's own tests with a mistake in that module, in memory alone.

Two ways, both from a process that has imported what the module does not touch. The quick one forks
after the tests were collected, gives one function other code, and runs the tests that call it, the
fastest first. The thorough one imports the module anew from the changed tree, and whatever may hold
something of it, and runs all of its own tests: it has the last word on what the quick one did not
notice, and the only one on what runs while a module is imported.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TypeVar, cast

import pytest
from mutations import Mutant

ROOT = Path(__file__).resolve().parent.parent
QUICK_CPU_S, THOROUGH_CPU_S = 10, 60
"""Processor time of one run, in either way: many times what the tests take without a mistake."""
WALL_S_MAX = 600
MEMORY_BYTES_MAX = 6 * 2**30
PYTEST = ("-x", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
PASSED, NOTICED = 0, 1

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A module that mistakes are planted in, and the tests that are its own."""

    path: str

    @property
    def module(self) -> str:
        """The name that it is imported by."""
        return self.path.removesuffix(".py").replace("/", ".")

    @property
    def tests(self) -> str:
        """The file of its own tests."""
        folder, _, name = self.path.rpartition("/")
        return f"tests/{folder}/test_{name}"

    def is_loaded_anew(self, name: str) -> bool:
        """Return whether a module may hold something of this one, and is imported again."""
        package = name.partition(".")[0]
        if package == "opkit":
            below = name in {"opkit", "opkit.home"} or name.startswith("opkit.wire")
            return self.module.startswith("opkit.") and not below
        return package in {"conftest", "devnet", "flows", "nodeimpl", "tests"}

    def code(self, tree: ast.Module, mutant: Mutant | None) -> CodeType:
        """Return the module's code, with one mistake or without."""
        with mutant.planted() if mutant else nullcontext():
            return compile(tree, str(ROOT / self.path), "exec", dont_inherit=True)


class Planted(SourceFileLoader):
    """Finds and loads one module from code that was compiled already."""

    def __init__(self, target: Target, code: CodeType) -> None:
        super().__init__(target.module, str(ROOT / target.path))
        self._code = code

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Return where the module comes from, if it is the one."""
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        """Return the code with the mistake."""
        return self._code


@dataclass
class Quick:
    """A pytest plugin that tries mutants instead of running the tests once.

    Attributes:
        noticed: the numbers of the mutants that were; None if the tests fail without a mistake.
    """

    target: Target
    tree: ast.Module
    mutants: list[Mutant]
    at_once: int
    noticed: list[int] | None = None
    failed: bool = False
    _functions: dict[str, FunctionType] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant of a function's code."""
        path = str(ROOT / self.target.path)
        gc.unfreeze()  # What the tests' own set-up has the collector pass over is not listed.
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename == path:
                self._functions[each.__code__.co_qualname] = each
        calls = observed(lambda: self._calls(session, path))
        if calls is None:
            return True
        gc.freeze()
        tries = {
            number: partial(self._try, session, mutant, calls)
            for number, mutant in enumerate(self.mutants)
            if self._function(mutant)
        }
        self.noticed = [
            number
            for number, code in outcomes(tries, at_once=self.at_once, cpu_s=QUICK_CPU_S)
            if code
        ]
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        self.failed = self.failed or report.failed

    def _function(self, mutant: Mutant) -> str:
        """Return the outermost function that the mutant is in; nothing if it is in none."""
        parts = mutant.function.split(".")
        names = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        return next((name for name in names if name in self._functions), "")

    def _calls(self, session: pytest.Session, path: str) -> dict[str, list[int]] | None:
        """Return the tests that call each function, the fastest first; None if one fails."""
        called: dict[int, set[str]] = {}
        took: dict[int, float] = {}
        for number, item in enumerate(session.items):
            names = called.setdefault(number, set())

            def note(frame: FrameType, _event: str, _: object, names: set[str] = names) -> None:
                if frame.f_code.co_filename == path:
                    names.add(frame.f_code.co_qualname)

            started = time.process_time()
            sys.settrace(note)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            sys.settrace(None)
            took[number] = time.process_time() - started
        by_speed = sorted(called, key=lambda number: took[number])
        if self.failed:
            return None
        return {
            name: [number for number in by_speed if name in called[number]]
            for name in self._functions
        }

    def _try(self, session: pytest.Session, mutant: Mutant, calls: dict[str, list[int]]) -> int:
        """Give the function its code with the mistake, and run what calls it."""
        name = self._function(mutant)
        function = self._functions[name]
        code = find_code(self.target.code(self.tree, mutant), name)
        if code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
            return PASSED
        function.__code__ = code
        for number in calls[name]:
            item = session.items[number]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if self.failed:
                return NOTICED
        return PASSED


def find_code(code: CodeType, name: str) -> CodeType | None:
    """Return the code of a function inside another's, by its qualified name."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    found = (each if each.co_qualname == name else find_code(each, name) for each in inner)
    return next((each for each in found if each), None)


def quickly_noticed(
    target: Target, tree: ast.Module, mutants: list[Mutant], *, at_once: int
) -> set[int] | None:
    """Return the numbers of the mutants that the quick way noticed; None if the tests fail."""

    def session() -> list[int] | None:
        plugin = Quick(target, tree, mutants, at_once)
        pytest.main([*PYTEST, target.tests], plugins=[plugin])
        return plugin.noticed

    numbers = observed(session)
    return None if numbers is None else set(numbers)


def unnoticed(
    target: Target, tree: ast.Module, mutants: Iterable[Mutant], *, at_once: int
) -> Iterator[Mutant]:
    """Yield the mutants with which all of the module's own tests pass, whatever way it is run."""
    listed = list(mutants)
    tries = {
        number: partial(thoroughly, target, tree, mutant) for number, mutant in enumerate(listed)
    }
    for number, code in outcomes(tries, at_once=at_once, cpu_s=THOROUGH_CPU_S):
        if code == PASSED:
            yield listed[number]


def thoroughly(target: Target, tree: ast.Module, mutant: Mutant) -> int:
    """Import the module with the mistake and run all of its tests, in this process."""
    for name in list(sys.modules):
        if target.is_loaded_anew(name):
            del sys.modules[name]
    sys.meta_path.insert(0, Planted(target, target.code(tree, mutant)))
    return int(pytest.main([*PYTEST, target.tests]))


def outcomes(
    tries: Mapping[int, Callable[[], int]], *, at_once: int, cpu_s: int
) -> Iterator[tuple[int, int]]:
    """Run each in a process of its own, so many at a time; yield its number and its outcome."""
    waiting = iter(tries.items())
    running: dict[int, tuple[int, int, float]] = {}
    while True:
        while len(running) < at_once and (following := next(waiting, None)):
            pid = in_a_fork(partial(bounded, following[1], cpu_s=cpu_s))
            until_s = time.monotonic() + WALL_S_MAX
            running[os.pidfd_open(pid)] = (following[0], pid, until_s)
        if not running:
            return
        ended, _, _ = select.select(list(running), [], [], 1)
        for _, pid, until_s in running.values():
            if time.monotonic() > until_s:
                os.killpg(pid, signal.SIGKILL)
        for handle in ended:
            number, pid, _ = running.pop(handle)
            os.close(handle)
            yield number, os.waitpid(pid, 0)[1]


def observed(work: Callable[[], T]) -> T | None:
    """Do the work in a process of its own, and return what it did; None if it ended early."""
    reader, writer = os.pipe()

    def said() -> int:
        with os.fdopen(writer, "w") as answer:
            json.dump(work(), answer)
        return 0

    pid = in_a_fork(said)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return cast("T", json.loads(text)) if text else None


def bounded(work: Callable[[], int], *, cpu_s: int) -> int:
    """Do the work with little time and memory: a mistake may make a loop endless."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    return work()


def in_a_fork(work: Callable[[], int]) -> int:
    """Do the work in a silent process of its own and return that process's id.

    It ends with the work's outcome; what the work raises counts as noticed.
    """
    pid = os.fork()
    if pid:
        return pid
    outcome = NOTICED
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for handle in range(3):
            os.dup2(silence, handle)
        outcome = work()
    finally:
        os._exit(outcome)
