"""`opkit devnet`: a network of real nodes on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit import home
from opkit.cli import chaos, disturb, exits, out
from opkit.cli.failing import Mistake
from opkit.cli.stories import check_database, check_name, check_profile

if TYPE_CHECKING:
    from rich.console import Console

app = out.group(
    """Run a network of real nodes on this machine.

    Examples:

      opkit devnet up                           three nodes, called "default"

      opkit devnet up big --profile federation  all five, called "big"

      opkit devnet status                       who runs, who is connected to whom

      opkit devnet logs bright --follow         what a node says; ends with Ctrl-C

      opkit devnet kill harbor                  do it harm: kill, cut, hostile …

      opkit devnet restart harbor               … and undo it: restart, heal

      opkit devnet chaos --help                 loss, delay, partition, skew …

      opkit devnet seed                         post the demo world's history

      opkit devnet down                         stop it; `up` starts it again

      opkit devnet reset                        forget it, its keys and data too
    """
)

DEFAULT_NAME = "default"
LOG_LINES = 20
LOG_LINES_MAX = 100_000

Name = Annotated[str | None, typer.Argument(help="The devnet's name; default: the one there is.")]


@app.command()
def up(
    name: Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and hyphens.")] = DEFAULT_NAME,
    profile: Annotated[str, typer.Option(help="Which nodes: three or federation.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Fixes figures and faults, never keys.")] = 7,
    database: Annotated[
        str, typer.Option(help="A PostgreSQL server, postgresql://…, without password.")
    ] = "",
    node_module: Annotated[
        str, typer.Option(hidden=True, help="The module that serves a node.")
    ] = "nodeimpl.__main__",
    as_json: out.Json = False,
) -> int:
    """Start a network, or start a stopped one again, and wait until all are connected.

    With --database each node keeps its state in a database of its own, named after the URL's
    database, the devnet and the node, which `reset` removes. Passwords: ~/.pgpass or PGPASSFILE.

    Examples:
      opkit devnet up --profile three

      opkit devnet up big --database postgresql:///opkit
    """
    profile = _check(name, profile, database)
    from devnet.launch import launch

    launched = launch(
        name=name, profile=profile, seed=seed, node_module=node_module, database=database
    )
    on = out.console(errors=True)
    try:
        launched.wait_ready(lambda stage, ms: _progress(on, stage, ms, quiet=as_json))
    except BaseException:  # Ctrl-C included: a network half up must not stay.
        launched.down()
        raise
    launched.detach()
    said = _status_of(name)
    out.show(said, as_json=as_json, human=lambda screen: _show_status(screen, said))
    return exits.DONE


def _check(name: str, profile: str, database: str) -> str:
    """Return the profile to start, or say why this cannot be started."""
    check_name(name)
    check_profile(profile)
    check_database(database)
    folder = home.devnet_folder(name)
    if not (folder / "state.json").exists():
        return profile or "three"
    from devnet.state import is_running, load_state_of

    if is_running(folder):
        raise Mistake(
            f"devnet {name!r} runs already",
            hint=f"look at it: opkit devnet status {name}",
            code=exits.FAILED,
        )
    kept = load_state_of(folder)
    other = ""
    if profile and profile != kept.profile:
        other = f"is a network of profile {kept.profile!r}"
    elif database and database != kept.spec.database:
        other = f"keeps its state on {kept.spec.database or 'SQLite'}"
    if other:
        raise Mistake(
            f"devnet {name!r} {other}",
            hint=f"opkit devnet reset {name}, or choose another name",
            code=exits.FAILED,
        )
    return kept.profile


_STAGES = {
    "genesis": "genesis signed, keys sealed",
    "prepared": "links open",
    "imported": "node loaded",
    "seeded": "history posted to the ledgers",
    "ready": "all nodes ready and connected",
}


def _progress(on: Console, stage: str, after_ms: int, *, quiet: bool) -> None:
    if not quiet and stage in _STAGES:
        on.print(f"  {after_ms / 1000:5.2f} s  {_STAGES[stage]}", markup=False)


@app.command()
def status(name: Name = None, as_json: out.Json = False) -> int:
    """Show who runs, who is connected to whom, and what was done to the network.

    Exit code 1 if a node is not well.

    Example: opkit devnet status --json
    """
    said = _status_of(_which(name))
    out.show(said, as_json=as_json, human=lambda on: _show_status(on, said))
    return exits.DONE if said["well"] else exits.FAILED


def _which(name: str | None) -> str:
    """Return the devnet that is meant: the named one, the only running one, the only one."""
    from devnet.state import list_devnets, the_running_one

    if name is not None:
        return name
    known = list_devnets()
    if len(known) == 1:
        return known[0][0]
    return the_running_one()


def _status_of(name: str) -> dict[str, Any]:
    from devnet.control import ask_supervisor
    from devnet.state import is_running, load_state

    state = load_state(name)
    if not is_running(state.folder):
        return {
            "name": name,
            "profile": state.profile,
            "network": state.network,
            "state": "stopped",
            "well": False,
            "nodes": [],
            "disturbances": [],
            "folder": str(state.folder),
            "database": state.spec.database,
        }
    said = asyncio.run(ask_supervisor(state.socket, "status"))
    said["well"] = said["state"] == "ready" and all(
        node["state"] == "ready" and node["answers"] for node in said["nodes"]
    )
    return said


def _show_status(on: Console, said: dict[str, Any]) -> None:
    state = "not well" if said["state"] == "ready" and not said["well"] else said["state"]
    on.print(f"devnet {said['name']} ({said['profile']}): {state}", markup=False)
    on.print(f"network {said['network']}  {said['folder']}", markup=False)
    if said.get("database"):
        on.print(f"databases on {said['database']}", markup=False)
    if said["nodes"]:
        rows = [
            (
                node["org"],
                node["state"] if node["state"] != "crashed" else f"crashed: {node['how']}",
                str(node["pid"] or "-"),
                node["url"] or "-",
                _peers(len(node["connected"]), len(said["nodes"]) - 1)
                if node["answers"]
                else "no answer",
            )
            for node in said["nodes"]
        ]
        out.table(on, ("node", "state", "pid", "url", "connected"), rows)
    cut = [f"{link['a']} – {link['b']}" for link in said.get("links", []) if link["cut"]]
    if cut:
        on.print(f"cut links: {', '.join(cut)}", markup=False)
    if said.get("chaos"):
        on.print(f"{len(said['chaos'])} disturbances last: opkit devnet chaos list", markup=False)
    for peer in said.get("hostile", []):
        on.print(f"hostile peer {peer['number']}: {peer['kind']}", markup=False)
    if said.get("stage"):
        on.print(f"on stage: flow {said['stage']['flow']}, {said['stage']['mode']}", markup=False)
    if said.get("world_offset_ms"):
        days = said["world_offset_ms"] / 86_400_000
        on.print(f"world time runs {days:g} days ahead", markup=False)
    if said["disturbances"]:
        on.print(f"{len(said['disturbances'])} disturbances (--json lists them)", markup=False)
    if said["state"] == "stopped":
        on.print(f"  hint: opkit devnet up {said['name']} starts it again", markup=False)
    elif not said["well"]:
        on.print(f"  hint: opkit devnet logs NODE --devnet {said['name']}", markup=False)


def _peers(connected: int, others: int) -> str:
    return f"{others} peers" if connected == others else f"{connected} of {others} peers"


@app.command()
def seed(name: Name = None, as_json: out.Json = False) -> int:
    """Post the demo world's history to the ledgers. Every start does it too; twice changes nothing.

    Each coop's bookkeeper posts with their own key. What stands stays; an entry that stands with
    other content is refused, and so is a network whose charters name no officers.

    Example: opkit devnet seed
    """
    from devnet.attach import open_world
    from devnet.seed import seed as seed_ledgers

    which = _which(name)

    async def post() -> list[dict[str, Any]]:
        world = await open_world(which, run_id="seed", seed=0)
        try:
            return [
                {
                    "coop": each.entry.coop,
                    "entry": each.entry.entry_id,
                    "effective_on": each.entry.effective_on,
                    "memo": each.entry.memo,
                    "hash": each.entry.hash,
                    "posted": each.fresh,
                }
                for each in await seed_ledgers(world)
            ]
        finally:
            await world.close()

    entries = asyncio.run(post())
    said = {"name": which, "posted": sum(each["posted"] for each in entries), "entries": entries}

    def human(on: Console) -> None:
        rows = [
            (each["coop"], each["effective_on"], each["memo"], "posted" if each["posted"] else "")
            for each in entries
        ]
        out.table(on, ("ledger", "of", "entry", ""), rows)
        stood = len(entries) - said["posted"]
        on.print(f"{said['posted']} posted, {stood} stood already", markup=False)

    out.show(said, as_json=as_json, human=human)
    return exits.DONE


@app.command()
def logs(
    org: Annotated[str | None, typer.Argument(help="Whose node; default: the supervisor.")] = None,
    devnet: Annotated[
        str | None, typer.Option(help="The devnet; default: the one there is.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=LOG_LINES_MAX)] = LOG_LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: out.Json = False,
) -> int:
    """Print the end of a log; each line is a JSON document already.

    Example: opkit devnet logs harbor -f
    """
    from devnet.state import load_state, node_folder

    state = load_state(_which(devnet))
    path = state.folder / "supervisor.log"
    if org is not None:
        path = node_folder(state.folder, state.find(org).org) / "node.log"
    from opkit.cli.following import log_lines

    for line in log_lines(path, last=lines, follow=follow):
        typer.echo(_as_json(line) if as_json else line)
    return exits.DONE


def _as_json(line: str) -> str:
    """Return a log line as a JSON document: most are; a trace's lines are wrapped."""
    import json

    return line if line.startswith("{") else json.dumps({"line": line})


@app.command()
def down(name: Name = None, as_json: out.Json = False) -> int:
    """Stop a network. Its keys and data stay: `up` starts it again.

    Example: opkit devnet down
    """
    said = {"name": _stop(_which(name), quiet=as_json), "state": "stopped"}
    out.show(said, as_json=as_json, human=lambda on: on.print(f"{said['name']}: stopped"))
    return exits.DONE


@app.command()
def reset(name: Name = None, as_json: out.Json = False) -> int:
    """Stop a network and remove it, keys and data included. Its genesis stays, for its proofs.

    Example: opkit devnet reset default
    """
    from devnet.state import DevnetError, load_state_of, remove_devnet

    which = _which(name)
    folder = home.devnet_folder(which)
    if not folder.exists():
        raise DevnetError(f"there is no devnet called {which!r}", hint="opkit devnet up")
    if (folder / "state.json").exists():
        _stop(which, quiet=as_json)
        state = load_state_of(folder)
        if state.spec.database:
            from devnet.databases import drop_databases

            drop_databases(state)
    remove_devnet(folder)
    said = {"name": which, "state": "removed"}
    out.show(said, as_json=as_json, human=lambda on: on.print(f"{which}: removed"))
    return exits.DONE


def _stop(name: str, *, quiet: bool) -> str:
    """End the supervisor of a devnet and wait until it is gone; a stopped one stays stopped."""
    from devnet.stop import stop_devnet

    on = out.console(errors=True)

    def told(org: str, what: tuple[str, ...]) -> None:
        if not quiet:
            on.print(f"  {org}: waiting for {', '.join(what)}", markup=False)

    stop_devnet(name, told=told)
    return name


chaos.add_to(app)
app.add_typer(
    disturb.app,
    name="chaos",
    help=disturb.app.info.help,
    short_help="Harm that lasts a while: loss, delay, rate, partition, pause, skew …",
)
