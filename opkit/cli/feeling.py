"""`opkit node status`: how nodes of this machine feel, in their own words; no token is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out

if TYPE_CHECKING:
    from rich.console import Console

    from opkit.cli.doctor.cases import NodeCase


def add_to(app: typer.Typer) -> None:
    """Give the group its command."""
    app.command()(status)


def status(
    config: Annotated[
        Path | None, typer.Argument(help="A node's configuration file; default: all devnets here.")
    ] = None,
    *,
    devnet: Annotated[str | None, typer.Option(help="Only this devnet.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this organisation's node.")] = None,
    as_json: out.Json = False,
) -> int:
    """Say of each node whether it is ready, and what is amiss: stopping, a full disk, a quota.

    Exit code 1 unless all are ready and well. `opkit doctor` looks at more.

    Example: opkit node status ~/node/config.toml
    """
    from opkit.cli.doctor.cases import ask_all
    from opkit.cli.doctor.command import meant

    _, nodes = meant(config, devnet=devnet, node=node, thorough=False)
    ask_all(each for each in nodes if each.readable)
    said = [_of(each) for each in nodes]
    out.show(said, as_json=as_json, human=lambda on: _show(on, said))
    return exits.DONE if said and all(each["well"] for each in said) else exits.FAILED


def _of(case: NodeCase) -> dict[str, Any]:
    """Return what is to be told of one node."""
    answer = case.said
    state, amiss = _state(case), []
    if answer is not None:
        amiss = [str(each) for each in answer.health.get("degraded", ())]
        amiss += [f"waits for {each}" for each in answer.health.get("waiting_for", ())]
    known = answer.node if answer is not None else {}
    return {
        "node": case.name,
        "devnet": case.devnet,
        "state": state,
        "well": state == "ready" and not amiss,
        "amiss": amiss,
        "pid": case.pid,
        **{name: known.get(name) for name in ("did", "version", "generation", "started_ms")},
    }


def _state(case: NodeCase) -> str:
    if not case.readable:
        return "misconfigured"
    if case.pid is None:
        return "stopped"
    if case.said is None:
        return "no answer"
    return "ready" if case.said.health.get("status") == "ok" else "not ready"


def _show(on: Console, said: list[dict[str, Any]]) -> None:
    """Print a line for each node, and below it what is amiss."""
    if not said:
        on.print("no node is set up here", markup=False)
        on.print("  hint: opkit devnet up, or name a node's configuration file", markup=False)
        return
    width = max(len(each["node"]) for each in said)
    for each in said:
        ill = not each["well"] and each["state"] != "stopped"
        words = f"{each['state']}, not well" if ill else each["state"]
        since = f"since {out.moment(each['started_ms'])}" if each["started_ms"] else ""
        on.print(f"{each['node']:<{width}}  {words}  {since}".rstrip(), markup=False)
        for amiss in each["amiss"]:
            on.print(f"  {out.plain(amiss)}", markup=False)
    for hint in _hints(said):
        on.print(f"  hint: {hint}", markup=False)


def _hints(said: list[dict[str, Any]]) -> list[str]:
    """Return what helps: what is stopped is started, all else is the doctor's."""
    ill = [each for each in said if not each["well"]]
    stopped = [each for each in ill if each["state"] == "stopped"]
    started = {
        f"opkit devnet up {each['devnet']} starts a stopped devnet, opkit devnet restart one node"
        if each["devnet"]
        else "opkit node run CONFIG starts it"
        for each in stopped
    }
    return sorted(started) + (["opkit doctor says what to do"] if len(ill) > len(stopped) else [])
