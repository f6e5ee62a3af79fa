"""`opkit compute`: run a module as a task and get its receipt."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit import home
from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client import TaskResult
    from opkit.wire.compute import TaskView

app = out.group(
    """Run a module as a task. A task's input is what it reads; its output what it writes.

    Examples:

      opkit compute submit bafkrei… --input "hello" --receipt receipt.json

      opkit compute submit bafkrei… --input-file hours.txt --executor harbor

      opkit compute status TASK_ID

      opkit compute cancel TASK_ID
    """
)

INPUT_BYTES_MAX = 32 * 2**20
TASK_ID = re.compile(r"^[0-9a-f]{32}$")

TaskArgument = Annotated[str, typer.Argument(help="The task's id: 32 hex digits.")]


@app.command()
@addressed
def submit(
    address: Address,
    *,
    wasm_hash: Annotated[str, typer.Argument(help="The module's hash (bafkrei…).")],
    text: Annotated[str, typer.Option("--input", help="The input, as text.")] = "",
    input_file: Annotated[
        Path | None, typer.Option("--input-file", help="The input, as a file; - is stdin.")
    ] = None,
    executor: Annotated[str, typer.Option(help="An organisation, a DID, or any.")] = "any",
    fuel: Annotated[int, typer.Option(help="Instructions at most.")] = 1_000_000_000,
    time_ms: Annotated[int, typer.Option(help="Milliseconds at most.")] = 5_000,
    memory_bytes: Annotated[int, typer.Option(help="Memory at most.")] = 67_108_864,
    output_bytes: Annotated[int, typer.Option(help="Output at most.")] = 1_048_576,
    receipt: Annotated[
        Path | None, typer.Option(help="Write receipt and manifest here, for `opkit receipt`.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Write the output here.")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end.")] = False,
    as_json: out.Json = False,
) -> int:
    """Submit a task and wait for its output and its receipt, which is checked.

    Exit code 1 if the task did not end well.

    Example: opkit compute submit bafkrei… --input "hello" --executor any
    """
    target = address.resolve()
    limits = {
        "fuel": fuel,
        "time_ms": time_ms,
        "memory_bytes": memory_bytes,
        "output_bytes": output_bytes,
    }
    given = _input(text, input_file)
    by = _executor(address, executor)
    if no_wait:
        task_id = asyncio.run(_submit(target, wasm_hash, given, by, limits))
        said = {"task_id": task_id, "state": "accepted"}
        out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
        return exits.DONE
    result = asyncio.run(_run(target, wasm_hash, given, by, limits))
    if receipt is not None:
        home.write_private(receipt, result.bundle.model_dump_json(indent=1).encode("utf-8"))
    return _show_result(result, to, as_json=as_json)


@app.command()
@addressed
def status(
    address: Address,
    task_id: TaskArgument,
    wait_ms: Annotated[int, typer.Option(min=0, max=30_000, help="Wait for the end.")] = 0,
    as_json: out.Json = False,
) -> int:
    """Show how a task is doing.

    Example: opkit compute status 0123… --wait-ms 10000
    """
    view = asyncio.run(_view(address.resolve(), _task_id(task_id), wait_ms))
    return _show_view(view, as_json=as_json)


@app.command()
@addressed
def cancel(address: Address, task_id: TaskArgument, as_json: out.Json = False) -> int:
    """End a task. One that is final already stays as it is.

    Example: opkit compute cancel 0123…
    """
    view = asyncio.run(_cancel(address.resolve(), _task_id(task_id)))
    return _show_view(view, as_json=as_json)


def _task_id(text: str) -> str:
    if not TASK_ID.match(text):
        raise Mistake(f"{text!r} is no task id", hint="32 hex digits, as `submit` printed them")
    return text


def _input(text: str, file: Path | None) -> bytes:
    if file is None:
        return text.encode("utf-8")
    if text:
        raise Mistake("--input and --input-file exclude each other")
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
        data = source.read(INPUT_BYTES_MAX + 1)
    if len(data) > INPUT_BYTES_MAX:
        raise Mistake(f"the input has more than {INPUT_BYTES_MAX} bytes")
    return data


def _executor(address: Address, name: str) -> str | None:
    """Return the executor's DID, or None for any."""
    if name == "any":
        return None
    if name.startswith("did:"):
        return name
    if address.url is not None:
        raise Mistake("say the executor's DID", hint="names of organisations are a devnet's")
    from devnet.state import load_state, the_running_one

    return load_state(address.devnet or the_running_one()).find(name).did


def _show_result(result: TaskResult, to: Path | None, *, as_json: bool) -> int:
    receipt = result.receipt
    if to is not None:
        to.write_bytes(result.output)
    said = {
        "task_id": receipt.task_id,
        "outcome": receipt.outcome.value,
        "reason": receipt.reason,
        "executor": receipt.executor,
        "output_hash": receipt.output_hash,
        "output_bytes": receipt.output_bytes,
        "fuel_used": receipt.fuel_used,
        "time_used_us": receipt.time_used_us,
        "memory_peak_bytes": receipt.memory_peak_bytes,
        "output": result.output.decode("utf-8", "replace"),
        "receipt": result.bundle.receipt,
        "manifest": result.bundle.manifest,
    }
    shown = {key: said[key] for key in list(said)[:9]}

    def human(on: Any) -> None:
        out.facts(on, shown)
        if to is None and said["output"]:
            text = str(said["output"])
            on.print(f"\n{text}", markup=False, end="" if text.endswith("\n") else "\n")

    out.show(said, as_json=as_json, human=human)
    return exits.DONE if receipt.outcome.value == "ok" else exits.FAILED


def _show_view(view: TaskView, *, as_json: bool) -> int:
    said = view.model_dump(mode="json")
    long = ("manifest", "receipt", "output_inline")
    shown = {key: value for key, value in said.items() if key not in long and value is not None}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, shown))
    return exits.DONE


async def _submit(
    target: Target, wasm_hash: str, given: bytes, executor: str | None, limits: dict[str, int]
) -> str:
    async with target.client() as client:
        task = await client.compute.submit(
            wasm_hash, given, executor=executor, limits=_limits(limits)
        )
        return task.task_id


async def _run(
    target: Target, wasm_hash: str, given: bytes, executor: str | None, limits: dict[str, int]
) -> TaskResult:
    async with target.client() as client:
        task = await client.compute.submit(
            wasm_hash, given, executor=executor, limits=_limits(limits)
        )
        return await task.result()


def _limits(said: dict[str, int]) -> Any:
    from pydantic import ValidationError

    from opkit.wire.compute import TaskLimits

    try:
        return TaskLimits(**said)
    except ValidationError as bad:
        first = bad.errors()[0]
        raise Mistake(
            f"{first['loc'][0]}: {first['msg']}", hint="opkit compute submit --help"
        ) from bad


async def _view(target: Target, task_id: str, wait_ms: int) -> TaskView:
    from opkit.wire.compute import GET_TASK, GetTask

    async with target.client() as client:
        return await client.call(GET_TASK, GetTask(task_id=task_id, wait_ms=wait_ms))


async def _cancel(target: Target, task_id: str) -> TaskView:
    from opkit.wire.compute import CANCEL, CancelTask

    async with target.client() as client:
        return await client.call(CANCEL, CancelTask(task_id=task_id))
