"""`opkit report`: check a whole run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.proof.checks import Check, Verdict

app = out.group(
    """Check a run folder on any machine: signature, every file, every receipt, every proof.

    Examples:

      opkit report verify runs/2026-01-05

      opkit report verify replay.html

      opkit report verify DIR --genesis network.jws
    """
)


@app.callback()
def _group() -> None:
    """Check a run folder on any machine: signature, every file, every receipt, every proof."""


@app.command()
def verify(
    what: Annotated[
        Path,
        typer.Argument(help="The run folder of `opkit demo`, or the replay of `opkit record`."),
    ],
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check a run folder or a replay: the operator's signature, every file, every proof.

    What does not hold is printed first, then how many checks were made of what. Exit code 4 if it
    is consistent but no genesis says whose it is.

    Examples:
      opkit report verify DIR --genesis network.jws

      opkit report verify replay.html
    """
    verdict = _verify_replay(what, genesis) if what.is_file() else _verify_folder(what, genesis)
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, group_of=_group_of)


def _verify_folder(folder: Path, genesis: Path | None) -> Verdict:
    from opkit.runner.verify import read_signature, verify_folder

    if not folder.is_dir():
        raise Mistake(f"there is no folder {folder}", hint="`opkit demo` says where")
    named = anchors.anchor(genesis, network="") if genesis is not None else None
    try:
        network = anchors.claimed_network(read_signature(folder))
    except ValueError as bad:
        # Nobody vouches for such a folder, whatever else it holds.
        hint = "name a run folder whole, as `opkit demo` wrote it, or a replay"
        raise Mistake(f"{folder} is no run folder: {bad}", hint=hint, code=exits.FAILED) from bad
    return verify_folder(folder, genesis=named or anchors.anchor(None, network=network))


def _verify_replay(path: Path, genesis: Path | None) -> Verdict:
    from opkit.runner.replayed import read_replay, verify_replay
    from opkit.views.replay import without_signature

    try:
        html = read_replay(path)
        _, token = without_signature(html)
    except ValueError as bad:
        raise Mistake(
            f"{path} is no replay: {bad}", hint="a run is checked as a whole folder"
        ) from bad
    network = anchors.claimed_network(token)
    return verify_replay(html, genesis=anchors.anchor(genesis, network=network))


def _group_of(check: Check) -> str:
    """Return what a check of a report is about: the files, a flow, or the statement over all."""
    if check.name.startswith("file "):
        return "files"
    flow, _, marker = check.name.partition(" ")
    if marker.partition(":")[0].isupper():
        return f"flow {flow}"
    return "signature and evidence"
