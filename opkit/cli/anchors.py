"""Where a verification starts: the genesis that this machine keeps, none that came with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from opkit.proof.checks import Check, Verdict
    from opkit.proof.genesis import GenesisView

GENESIS_BYTES_MAX = 4 * 2**20

GenesisOption = Annotated[
    Path | None,
    typer.Option(
        "--genesis",
        help="The network's genesis; default: the one this machine keeps for that network id.",
    ),
]


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print every check, a line each.")]
"""The option of every command that verifies."""


def read_genesis_file(path: Path) -> GenesisView:
    """Return the genesis in a file.

    Raises:
        Mistake: the file is too large to be one, or it does not verify.
    """
    from opkit.proof.checks import ProofError
    from opkit.proof.genesis import read_genesis

    if path.stat().st_size > GENESIS_BYTES_MAX:
        raise Mistake(f"{path} is too large to be a genesis")
    try:
        return read_genesis(path.read_text("ascii", "replace").strip())
    except ProofError as bad:
        raise Mistake(
            f"{path} is no genesis: {bad}",
            hint="`opkit demo` names a network's genesis at its end",
        ) from bad


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


def answer(
    verdict: Verdict,
    *,
    as_json: bool,
    verbose: bool = False,
    about: dict[str, object] | None = None,
    group_of: Callable[[Check], str] | None = None,
) -> int:
    """Show a verdict and return its exit code: what failed first, then how much was looked at.

    Args:
        verdict: what was found.
        as_json: print all of it as JSON.
        verbose: print every check, not only those that do not hold.
        about: what the thing itself says, for people; without a genesis nobody vouches for it.
        group_of: to which group of the summary a check counts; None: all are one group.
    """

    def human(on: Console) -> None:
        _show_failures(on, verdict)
        if verbose:
            _show_all(on, verdict)
        on.print(_headline(verdict), markup=False)
        groups = _summary(verdict, group_of or (lambda _: "checks"))
        out.facts(on, {f"  {name}": value for name, value in ((about or {}) | groups).items()})
        if verdict.ok and not verdict.anchored:
            on.print("  hint: --genesis FILE says whose it is", markup=False)

    out.show(verdict.as_json(), as_json=as_json, human=human)
    if not verdict.ok:
        return exits.FAILED
    return exits.DONE if verdict.anchored else exits.UNKNOWN_SIGNER


def _headline(verdict: Verdict) -> str:
    failed = len(verdict.failures)
    if not failed:
        return f"{verdict.subject}: {verdict.status}"
    holds = "checks does" if failed == 1 else "checks do"
    return (
        f"{verdict.subject}: {verdict.status}, {failed} of {len(verdict.checks)} {holds} not hold"
    )


def _summary(verdict: Verdict, group_of: Callable[[Check], str]) -> dict[str, object]:
    """Return how many checks of each group hold, in the order in which groups came up."""
    groups: dict[str, list[bool]] = {}
    for check in verdict.checks:
        groups.setdefault(group_of(check), []).append(check.ok)
    return {name: f"{sum(held)} of {len(held)} hold" for name, held in groups.items()}


def _show_failures(on: Console, verdict: Verdict) -> None:
    for check in verdict.failures:
        on.print(f"✗ {check.name}", markup=False)
        on.print(f"    expected {check.expected}", markup=False)
        on.print(f"    found    {check.actual}", markup=False)
    if verdict.failures:
        on.print()


def _show_all(on: Console, verdict: Verdict) -> None:
    for check in verdict.checks:
        on.print(f"{'✓' if check.ok else '✗'} {check.name}", markup=False)
    on.print()
