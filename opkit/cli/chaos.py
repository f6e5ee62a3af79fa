"""`opkit devnet kill`, `restart`, `cut`, `heal`, `hostile`, `stop-hostile`: harm on purpose.

Each says what it is about to do before it does it, and afterwards what undoes it. All of it is
journalled by the supervisor and shown in status, dashboards and reports. What lasts ends by itself
after ten minutes; `opkit devnet chaos` (`opkit.cli.disturb`) has more, and other times.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from devnet.state import DevnetState, NodeState

Devnet = Annotated[str | None, typer.Option(help="The devnet; default: the only running one.")]
Org = Annotated[str, typer.Argument(help="Whose node: its organisation, or how that begins.")]


def kill(org: Org, *, devnet: Devnet = None, as_json: out.Json = False) -> int:
    """Kill a node without warning, as a crash would.

    Undo it with `opkit devnet restart`; after ten minutes it is started by itself.

    Example: opkit devnet kill harbor
    """
    state = running_devnet(devnet)
    node = state.find(org)
    return ask_for(
        state,
        "kill",
        will=f"kill {named(node)} without warning",
        undo=f"opkit devnet restart {node.org}",
        as_json=as_json,
        org=node.org,
    )


def restart(org: Org, *, devnet: Devnet = None, as_json: out.Json = False) -> int:
    """Start a node that does not run, or end it in order and start it again.

    Returns when it is ready, connected, and has the world time.

    Example: opkit devnet restart harbor
    """
    state = running_devnet(devnet)
    node = state.find(org)
    will = f"start {named(node)} again and wait until it is ready"
    return ask_for(state, "restart", will=will, undo="", as_json=as_json, org=node.org)


def cut(
    a: Org,
    b: Annotated[str, typer.Argument(help="The node at the other end.")],
    *,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Let nothing pass between two nodes, in either direction.

    Undo it with `opkit devnet heal`; after ten minutes it heals by itself.

    Example: opkit devnet cut bright harbor
    """
    return _on_link(running_devnet(devnet), "cut", "heal", a, b, as_json=as_json)


def heal(
    a: Annotated[str, typer.Argument(help="One end, or how it begins; none: all that lasts.")] = "",
    b: Annotated[str, typer.Argument(help="The other end.")] = "",
    *,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Let everything pass between two nodes again; without names, end all that lasts.

    Example: opkit devnet heal bright harbor
    Example: opkit devnet heal
    """
    if bool(a) != bool(b):
        raise Mistake("a link has two ends", hint="name both, or none to heal all")
    state = running_devnet(devnet)
    if not a:
        return end_lasting(state, as_json=as_json)
    return _on_link(state, "heal", "cut", a, b, as_json=as_json)


def hostile(
    kind: Annotated[
        str,
        typer.Argument(
            help="What it does: tampering-provider serves changed bytes, forged sends records that "
            "nobody signed, and so on; for one that there is not, all are listed."
        ),
    ],
    orgs: Annotated[
        list[str], typer.Argument(help="Whose nodes it connects to: one organisation or more.")
    ],
    *,
    about: Annotated[
        str, typer.Option(help="The name that it is after: for the kinds that begin with name-.")
    ] = "",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Connect a peer with a key of its own that misbehaves.

    Undo it with `opkit devnet stop-hostile`.

    Example: opkit devnet hostile tampering-provider harbor
    """
    from devnet.spec import HOSTILE_KINDS

    if kind not in HOSTILE_KINDS:
        raise Mistake(
            f"no hostile peer is of kind {kind!r}", hint=f"kinds: {', '.join(HOSTILE_KINDS)}"
        )
    state = running_devnet(devnet)
    nodes = [state.find(org) for org in dict.fromkeys(orgs)]
    return ask_for(
        state,
        "hostile",
        will=f"connect a {kind} to {', '.join(map(named, nodes))}",
        undo="opkit devnet stop-hostile {number}",
        as_json=as_json,
        kind=kind,
        against=[node.org for node in nodes],
        **({"about": about} if about else {}),
    )


def stop_hostile(
    number: Annotated[
        int, typer.Argument(min=1, help="Its number, as `opkit devnet status` shows it.")
    ],
    *,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """End a hostile peer.

    Example: opkit devnet stop-hostile 1
    """
    state = running_devnet(devnet)
    will = f"end hostile peer {number}"
    return ask_for(state, "stop-hostile", will=will, undo="", as_json=as_json, number=number)


def add_to(app: typer.Typer) -> None:
    """Add all of these to `opkit devnet`."""
    for command in (kill, restart, cut, heal, hostile):
        app.command()(command)
    app.command("stop-hostile")(stop_hostile)


def running_devnet(name: str | None) -> DevnetState:
    """Return the state of the devnet that is meant, named or the only one; it runs.

    Raises:
        DevnetError: it does not, or there is none.
    """
    from devnet.state import load_running, the_running_one

    return load_running(name if name is not None else the_running_one())


def named(node: NodeState) -> str:
    """Return how a node is called where people read of it."""
    return f"{node.title} ({node.org})"


def ask_for(
    state: DevnetState, do: str, /, *, will: str, undo: str, as_json: bool, **arguments: Any
) -> int:
    """Say what will be done, have it done, and say what undoes it."""
    from devnet.control import ask_supervisor

    if not as_json:
        out.console(errors=True).print(f"{state.name}: {will} …", markup=False)
    said = asyncio.run(ask_supervisor(state.socket, do, **arguments))
    undone_by = f"{undo.format(**said)} --devnet {state.name}" if undo else ""
    out.show(
        {**said, "undo": undone_by},
        as_json=as_json,
        human=lambda on: on.print(
            f"done; undo: {undone_by}" if undone_by else "done", markup=False
        ),
    )
    return exits.DONE


def _on_link(state: DevnetState, do: str, undone_by: str, a: str, b: str, *, as_json: bool) -> int:
    """Do something to the link between two nodes; `undone_by` is the command that undoes it."""
    one, other = state.find(a), state.find(b)
    return ask_for(
        state,
        do,
        will=f"{do} the link between {named(one)} and {named(other)}",
        undo=f"opkit devnet {undone_by} {one.org} {other.org}",
        as_json=as_json,
        a=one.org,
        b=other.org,
    )


def end_lasting(state: DevnetState, *, as_json: bool, **chosen: Any) -> int:
    """End everything that lasts, or the one of an `id`, and tell what that was."""
    from devnet.control import ask_supervisor
    from opkit.views.deeds import deed_sentence

    said = asyncio.run(ask_supervisor(state.socket, "heal", **chosen))
    titles = {node.org: node.title for node in state.nodes}
    words = [deed_sentence(each, titles=titles) for each in said["healed"]]
    out.show(
        said,
        as_json=as_json,
        human=lambda on: on.print("\n".join(words or ["nothing is disturbed"]), markup=False),
    )
    return exits.DONE
