"""The command itself: which nodes are meant, all checks of them, one answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from opkit.cli.doctor.cases import DevnetCase, NodeCase
    from opkit.cli.doctor.found import Finding

app = out.group()

_SHAPES = {"well": "✓", "note": "·", "wrong": "✗"}
_LETTERS = {"well": "+", "note": "-", "wrong": "X"}


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="A node's configuration file; default: all devnets here.")
    ] = None,
    *,
    devnet: Annotated[str | None, typer.Option(help="Only this devnet.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this organisation's node.")] = None,
    home_folder: Annotated[
        Path | None, typer.Option("--home", help="Another state directory than $OPKIT_HOME.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read whole databases, however large.")
    ] = False,
    as_json: out.Json = False,
) -> int:
    """Look at clock, disk, ports, keys, databases, versions and limits; change nothing.

    Says what is wrong and what to do. Exit code 1 if something is. It works while nodes run, while
    none does, and while things are broken.

    Example: opkit doctor --devnet default
    Example: opkit doctor ~/node/config.toml
    """
    if home_folder is not None:
        os.environ[home.HOME_VARIABLE] = str(home_folder)
    devnets, nodes = meant(config, devnet=devnet, node=node, thorough=thorough)
    found = list(_findings(devnets, nodes))
    ill = [each for each in found if each.verdict == "wrong"]
    said = {"well": not ill, "findings": [asdict(each) for each in found]}
    out.show(said, as_json=as_json, human=lambda on: _show(on, found, nodes=len(nodes)))
    return exits.FAILED if ill else exits.DONE


def meant(
    config: Path | None, *, devnet: str | None, node: str | None, thorough: bool
) -> tuple[list[DevnetCase], list[NodeCase]]:
    """Return what shall be looked at, or say that there is no such thing."""
    from opkit.cli.doctor.cases import NodeCase, devnet_cases, nodes_of

    if config is not None:
        if devnet or node:
            raise Mistake("a configuration file goes alone", hint="leave --devnet and --node out")
        if not config.is_file():
            raise Mistake(
                f"{config} is no file", hint="name a node's configuration: FOLDER/config.toml"
            )
        name = config.absolute().parent.name
        return [], [NodeCase(name=name, path=config, thorough=thorough)]
    devnets = devnet_cases(devnet)
    if devnet and not devnets:
        raise Mistake(f"there is no devnet called {devnet!r}", hint="opkit devnet up")
    nodes = [each for case in devnets for each in nodes_of(case, thorough=thorough)]
    if node:
        nodes = [each for each in nodes if each.name.startswith(node)]
        if not nodes:
            raise Mistake(f"no node here is called {node!r}", hint="opkit devnet status")
    return devnets, nodes


def _findings(devnets: Sequence[DevnetCase], nodes: Sequence[NodeCase]) -> Iterator[Finding]:
    """Make every check, the machine's first."""
    from opkit.cli.doctor import table
    from opkit.cli.doctor.cases import MachineCase, ask_all, state_place
    from opkit.cli.doctor.found import look_at

    configured = {
        id(each): list(look_at(each, [table.CONFIGURATION], about=each.label)) for each in nodes
    }
    ask_all(each for each in nodes if each.readable)
    machine = MachineCase(home=state_place(), nodes=nodes)
    yield from look_at(machine, table.MACHINE, about="this machine")
    for devnet in devnets:
        yield from look_at(devnet, table.DEVNET, about=f"devnet {devnet.name}")
    for each in nodes:
        yield from configured[id(each)]
        if each.readable:
            yield from look_at(each, table.NODE, about=each.label)


def _show(on: Console, found: Sequence[Finding], *, nodes: int) -> None:
    """Print findings under what they are about, with what to do below what is amiss."""
    about = ""
    width = max(len(each.check) for each in found)
    for each in found:
        if each.about != about:
            about = each.about
            on.print(about, markup=False, style="bold")
        seen = out.plain(" ".join(each.seen.split()))  # Some errors of others have several lines.
        on.print(f"  {_mark(on, each)} {each.check:<{width}}  {seen}", markup=False)
        if each.verdict != "well" and each.hint:
            on.print(f"      hint: {out.plain(each.hint)}", markup=False)
    if not nodes:
        on.print("no node is set up here", markup=False)
    on.print(_conclusion(found), markup=False)


def _mark(on: Console, each: Finding) -> str:
    plain = not (on.encoding or "").lower().startswith("utf")
    return _LETTERS[each.verdict] if plain else _SHAPES[each.verdict]


def _conclusion(found: Sequence[Finding]) -> str:
    """Return the last line: how much was looked at, and how much of it is wrong."""
    ill = sum(each.verdict == "wrong" for each in found)
    noted = sum(each.verdict == "note" for each in found)
    words = f"{len(found)} things were looked at: " + (f"{ill} wrong" if ill else "none is wrong")
    return f"{words}, {noted} worth knowing" if noted else words
