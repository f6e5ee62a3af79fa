"""`opkit wasm`: modules by their hash."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.wire.compute import ModuleInfo

app = out.group(
    """WebAssembly modules (WASI commands), named by the hash of their bytes.

    Examples:

      opkit wasm deploy patronage.wasm

      opkit wasm list --owner river-city-tool-library/mara

      opkit wasm get bafkrei… --out copy.wasm
    """
)

MODULE_BYTES_MAX = 4 * 2**20


@app.command()
@addressed
def deploy(
    address: Address,
    file: Annotated[Path, typer.Argument(help="The module.")],
    name: Annotated[str, typer.Option(help="Its name for people; default: the file's.")] = "",
    as_json: out.Json = False,
) -> int:
    """Upload a module. The same bytes always have the same hash, and one owner.

    Example: opkit wasm deploy patronage.wasm --as mara
    """
    if file.stat().st_size > MODULE_BYTES_MAX:
        raise Mistake(f"{file} has more than {MODULE_BYTES_MAX} bytes", hint="split it")
    info = asyncio.run(_deploy(address.resolve(), file.read_bytes(), name or file.stem))
    return _show(info, as_json=as_json)


@app.command()
@addressed
def get(
    address: Address,
    wasm_hash: Annotated[str, typer.Argument(help="The module's hash (bafkrei…).")],
    to: Annotated[Path | None, typer.Option("--out", help="Also write the bytes here.")] = None,
    as_json: out.Json = False,
) -> int:
    """Show what a node knows of a module, and fetch its bytes if asked.

    Example: opkit wasm get bafkrei… --out copy.wasm
    """
    info, content = asyncio.run(_get(address.resolve(), wasm_hash, fetch=to is not None))
    if to is not None:
        to.write_bytes(content)
    return _show(info, as_json=as_json)


@app.command("list")
@addressed
def list_modules(
    address: Address,
    owner: Annotated[str, typer.Option(help="Only this member's.")] = "",
    as_json: out.Json = False,
) -> int:
    """List the modules a node keeps, oldest first.

    Example: opkit wasm list --owner river-city-tool-library/mara
    """
    modules = asyncio.run(_list(address.resolve(), owner))
    said = {"modules": [info.model_dump(mode="json") for info in modules]}
    rows = [(info.name, info.wasm_hash, info.owner, f"{info.size_bytes}") for info in modules]
    headings = ("name", "hash", "owner", "bytes")
    none = "no module is kept here: opkit wasm deploy FILE brings one"
    out.show(said, as_json=as_json, human=lambda on: out.table(on, headings, rows, none=none))
    return exits.DONE


def _show(info: ModuleInfo, *, as_json: bool) -> int:
    said = info.model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


async def _deploy(target: Target, module: bytes, name: str) -> ModuleInfo:
    async with target.client() as client:
        return await client.wasm.deploy(module, name=name)


async def _get(target: Target, wasm_hash: str, *, fetch: bool) -> tuple[ModuleInfo, bytes]:
    async with target.client() as client:
        info = await client.wasm.get(wasm_hash)
        return info, await client.wasm.fetch(info.wasm_hash) if fetch else b""


async def _list(target: Target, owner: str) -> list[ModuleInfo]:
    async with target.client() as client:
        return [info async for info in client.wasm.list(owner)]
