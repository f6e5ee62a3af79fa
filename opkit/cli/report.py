"""`opkit report`: check a whole run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opkit.cli import anchors, out
from opkit.cli.failing import Mistake

app = out.group(
    """Check a run folder on any machine: signature, every file, every receipt, every proof.

    Examples:

      opkit report verify runs/2026-01-05

      opkit report verify DIR --genesis network.jws
    """
)


@app.callback()
def _group() -> None:
    """Check a run folder on any machine: signature, every file, every receipt, every proof."""


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The run folder that `opkit demo` wrote.")],
    genesis: anchors.GenesisOption = None,
    as_json: out.Json = False,
) -> int:
    """Check a run folder: the operator's signature, every file, every receipt, every proof.

    Exit code 4 if it is consistent but no genesis says whose it is.

    Example: opkit report verify DIR --genesis network.jws
    """
    from opkit.runner.folder import SIGNATURE
    from opkit.runner.verify import verify_folder

    signature = folder / SIGNATURE
    if not folder.is_dir():
        raise Mistake(f"there is no folder {folder}", hint="`opkit demo` says where")
    network = ""
    if signature.is_file():
        network = anchors.claimed_network(signature.read_text("ascii", "replace").strip())
    view = anchors.anchor(genesis, network=network)
    return anchors.answer(verify_folder(folder, genesis=view), as_json=as_json)
