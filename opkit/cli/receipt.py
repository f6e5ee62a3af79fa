"""`opkit receipt`: check what an executor signed, and run it again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import anchors, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.proof.genesis import GenesisView
    from opkit.wire.compute import Receipt, ReceiptBundle

app = out.group(
    """Check what an executor signed. A receipt proves what the executor said, and says that.

    Examples:

      opkit receipt verify receipt.json

      opkit receipt verify receipt.json --genesis network.jws

      opkit receipt replay receipt.json --module a.wasm --input-file in.txt
    """
)

BUNDLE_BYTES_MAX = 4 * 2**20

FileArgument = Annotated[Path, typer.Argument(help="Receipt and manifest, as `submit` wrote them.")]


@app.command()
def verify(
    file: FileArgument,
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check a receipt offline: signatures, executor, manifest, hashes, limits.

    Exit code 4 if it is consistent but no genesis says whose it is.

    Example: opkit receipt verify receipt.json
    """
    from opkit.proof.receipt import verify_receipt

    bundle = _read(file)
    view = anchors.anchor(genesis, network=anchors.claimed_network(bundle.receipt))
    verdict = verify_receipt(bundle, genesis=view)
    about = _about(_claims(bundle), view) if verdict.ok else {}
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)


@app.command()
@addressed
def replay(
    address: Address,
    file: FileArgument,
    module: Annotated[
        Path | None, typer.Option(help="The module; default: fetched from the node, by hash.")
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input-file", help="The input; default: fetched, by hash.")
    ] = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Run a receipt's task again in a worker here, and compare outcome, output and fuel.

    Outputs and fuel are compared only under the same engine. Without --module and --input-file a
    node of the receipt's network is asked for them, and what it sends is hashed.

    Example: opkit receipt replay receipt.json --module a.wasm --input-file in.txt
    """
    from nodeimpl.compute.replay import replay as run_again
    from opkit.proof.checks import Verdict
    from opkit.proof.receipt import verify_receipt

    bundle = _read(file)
    receipt = _claims(bundle)
    code = module.read_bytes() if module else _fetch(address, receipt.wasm_hash)
    given = input_file.read_bytes() if input_file else _fetch(address, receipt.input_hash)
    view = anchors.anchor(address.genesis, network=receipt.network)
    signed = verify_receipt(bundle, genesis=view)
    again = asyncio.run(run_again(bundle, module=code, input_bytes=given))
    verdict = Verdict(
        subject=f"{signed.subject}, run again",
        checks=signed.checks + again.checks,
        anchored=signed.anchored,
    )
    about = _about(receipt, view) if verdict.ok else {}
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)


def _read(file: Path) -> ReceiptBundle:
    from pydantic import ValidationError

    from opkit.wire.compute import ReceiptBundle

    if file.stat().st_size > BUNDLE_BYTES_MAX:
        raise Mistake(f"{file} is too large to be a receipt")
    try:
        return ReceiptBundle.model_validate_json(file.read_bytes())
    except ValidationError as bad:
        raise Mistake(
            f"{file} is no receipt: {bad.errors()[0]['msg']}",
            hint="`opkit compute submit … --receipt FILE` writes one",
        ) from bad


def _claims(bundle: ReceiptBundle) -> Receipt:
    """Return what the receipt claims, unverified: names of bytes to fetch, which are hashed."""
    from pydantic import ValidationError

    from opkit.proof.receipt import claimed_receipt

    try:
        return claimed_receipt(bundle.receipt)
    except ValidationError as bad:
        raise Mistake("the receipt is not of the shape of one") from bad


def _about(receipt: Receipt, view: GenesisView | None) -> dict[str, object]:
    """Return what was run, by whom and on whose order, as the receipt says it."""
    node = view.node(receipt.executor) if view is not None else None
    return {
        "module": receipt.wasm_hash,
        "ordered by": receipt.aud,
        "run by": f"{node.org}, {receipt.executor}" if node is not None else receipt.executor,
        "outcome": out.plain(f"{receipt.outcome.value} {receipt.reason}".strip()),
        "output": receipt.output_hash or "none",
    }


def _fetch(address: Address, cid: str) -> bytes:
    return asyncio.run(_fetch_from(address.resolve(), cid))


async def _fetch_from(target: Target, cid: str) -> bytes:
    async with target.client() as client:
        return await client.wasm.fetch(cid)
