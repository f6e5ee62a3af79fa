"""Where a verification starts: the genesis that this machine keeps, none that came with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit import home
from opkit.cli import exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from opkit.proof.checks import Verdict
    from opkit.proof.genesis import GenesisView

GENESIS_BYTES_MAX = 4 * 2**20

GenesisOption = Annotated[
    Path | None,
    typer.Option(
        "--genesis",
        help="The network's genesis; default: the one this machine keeps for that network id.",
    ),
]


def read_genesis_file(path: Path) -> GenesisView:
    """Return the genesis in a file.

    Raises:
        Mistake: the file is too large to be one.
        ProofError: it does not verify.
    """
    from opkit.proof.genesis import read_genesis

    if path.stat().st_size > GENESIS_BYTES_MAX:
        raise Mistake(f"{path} is too large to be a genesis")
    return read_genesis(path.read_text("utf-8").strip())


def anchor(named: Path | None, *, network: str) -> GenesisView | None:
    """Return the genesis to verify against, or None if this machine keeps none.

    Args:
        named: the file that `--genesis` names; taken as it is, whatever network it is of.
        network: the network id that the thing claims: a name to look up, no more.
    """
    from pydantic import TypeAdapter, ValidationError

    from opkit.wire.base import NetworkId

    if named is not None:
        return read_genesis_file(named)
    try:
        TypeAdapter(NetworkId).validate_python(network)
    except ValidationError:
        return None
    kept = home.genesis_file(network)
    return read_genesis_file(kept) if kept.exists() else None


def claimed_network(token: str) -> str:
    """Return the network id that a signed object claims; empty if it claims none."""
    from opkit.proof import jws
    from opkit.proof.checks import ProofError

    try:
        return str(jws.peek(token).payload.get("network", ""))
    except ProofError:
        return ""


def answer(verdict: Verdict, *, as_json: bool, more: dict[str, Any] | None = None) -> int:
    """Show a verdict and return its exit code."""
    said = {**verdict.as_json(), **(more or {})}
    out.show(said, as_json=as_json, human=lambda on: _show(on, verdict))
    if not verdict.ok:
        return exits.FAILED
    return exits.DONE if verdict.anchored else exits.UNKNOWN_SIGNER


def _show(on: Console, verdict: Verdict) -> None:
    for check in verdict.checks:
        on.print(f"{'✓' if check.ok else '✗'} {check.name}", markup=False)
        if not check.ok:
            on.print(f"    expected {check.expected}", markup=False)
            on.print(f"    found    {check.actual}", markup=False)
    on.print(f"\n{verdict.subject}: {verdict.status}", markup=False)
    if verdict.ok and not verdict.anchored:
        on.print("  hint: --genesis FILE says whose it is", markup=False)
