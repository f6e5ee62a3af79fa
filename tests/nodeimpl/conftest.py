"""Stores on both engines, one sandbox for the session, and how long fuzzers go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import HealthCheck, Phase, settings

from nodeimpl.sandbox.result import RunResult
from nodeimpl.sandbox.sandbox import Job, Sandbox
from opkit.proof.cid import cid_of
from opkit.wire.compute import Grants, TaskLimits

WASM = Path(__file__).resolve().parents[2] / "wasm"
TEST_S_MAX = 200

FUZZ_EXAMPLES_ENV = "OPKIT_FUZZ_EXAMPLES"
"""How many examples a fuzzer makes, other ones each time (`make fuzz`); unset: few, the same."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn. A folder or file that is about one only says so by one of its own."""
    engine: str = request.param
    return engine


@pytest.fixture
def store_url(store_engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, on each engine: what opens it first makes its schema."""
    if store_engine == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    make: Callable[[], str] = request.getfixturevalue("postgres_database")
    return make()


@pytest.fixture
def fuzzing() -> Callable[..., settings]:
    """Return settings for a fuzzer of a live node: `fuzzing(40)` makes 40 examples.

    They are the same in each run, and kept nowhere. Nothing is shrunk: a node remembers what it was
    asked before, so that the same ask again may be answered otherwise.
    """

    def bounds(examples: int, **named: Any) -> settings:
        asked = os.environ.get(FUZZ_EXAMPLES_ENV)
        return settings(
            max_examples=int(asked) if asked else examples,
            derandomize=not asked,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            **named,
        )

    return bounds


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Workers for the whole session; each test starts and stops them on its own loop."""
    made = Sandbox.launch(workers_max=2, cache_folder=tmp_path_factory.mktemp("code") / "private")
    yield made
    asyncio.run(made.close())


@pytest.fixture
def inside(sandbox: Sandbox) -> Callable[..., Any]:
    """Run an async function with the started sandbox, bounded in time; workers end with it."""

    def run(work: Callable[..., Any]) -> Any:
        async def main() -> Any:
            await sandbox.start()
            try:
                async with asyncio.timeout(TEST_S_MAX):
                    return await work(sandbox)
            finally:
                await sandbox.stop()

        return asyncio.run(main())

    return run


@pytest.fixture
def module() -> Callable[[str], bytes]:
    """Return a built module of `wasm/` by name."""
    return lambda name: (WASM / f"{name}.wasm").read_bytes()


@pytest.fixture
def wat() -> Callable[..., bytes]:
    """Compile a module from text: `wat(body)` wraps it with one page of memory."""

    def make(body: str, *, head: str = "") -> bytes:
        text = f'(module {head} (memory (export "memory") 1) {body})'
        return bytes(wasmtime.wat2wasm(text))

    return make


@pytest.fixture
def job() -> Callable[..., Job]:
    """Make a job: `job(module, stdin, fuel=…, clock_ms=…)`."""

    def make(module: bytes, stdin: bytes = b"", **values: Any) -> Job:
        grants = {k: values.pop(k) for k in ("clock_ms", "random_seed") if k in values}
        return Job(
            wasm_hash=cid_of(module),
            module=module,
            stdin=stdin,
            limits=TaskLimits(**values),
            grants=Grants(**grants),
        )

    return make


@pytest.fixture
def run_once(inside: Callable[..., Any], job: Callable[..., Job]) -> Callable[..., RunResult]:
    """Run one module in a worker and return how it ended."""

    def run(module: bytes, stdin: bytes = b"", **values: Any) -> RunResult:
        result: RunResult = inside(lambda sandbox: sandbox.run(job(module, stdin, **values)))
        return result

    return run
