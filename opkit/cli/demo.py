"""`opkit demo`: tell the stories, and write a report that anyone can verify."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit import home
from opkit.cli import exits, looping, out
from opkit.cli.calling import as_called
from opkit.cli.failing import Mistake
from opkit.cli.stories import (
    ON_ITS_OWN,
    check_database,
    check_profile,
    choose_flows,
    notebooks_folder,
    smallest_profile,
)

if TYPE_CHECKING:
    from devnet.launch import Launched
    from devnet.state import DevnetState
    from opkit.proof.genesis import GenesisView
    from opkit.proof.keys import Identity
    from opkit.runner.network import NetworkFacts, RunResult
    from opkit.story import World

app = out.group()


@app.command()
def demo(
    *,
    flow: Annotated[
        list[str] | None, typer.Argument(help="Flows such as a, b, 1; none: all.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="The network to start: three, or federation (for all flows).")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Fixes figures and faults, never keys.")] = 7,
    parallel: Annotated[int, typer.Option(min=1, max=8, help="Notebooks at once.")] = 2,
    to: Annotated[Path | None, typer.Option("--out", help="The run folder; must be new.")] = None,
    devnet: Annotated[str | None, typer.Option(help="Tell on this running devnet.")] = None,
    database: Annotated[
        str, typer.Option(help="A PostgreSQL server, postgresql://…, without password.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the network running.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None,
    present: Annotated[
        bool, typer.Option("--present", help="Lead one story by keys, before an audience.")
    ] = False,
    autoplay: Annotated[
        bool, typer.Option("--autoplay", help="With --present: begin to play by itself.")
    ] = False,
    pace: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Playing: 2 is slow, 0.5 quick, 0 no pause.")
    ] = 1.0,
    as_json: out.Json = False,
) -> int:
    """Tell the demo's stories on real nodes and write a signed report.

    Starts a network of its own and removes it at the end, unless --devnet names a running one. The
    network's genesis is kept in the state directory, so that the report can be verified later.

    With --present nothing is written: space tells the next step, ? lists the keys.

    Exit codes: 0 told whole, 1 a story failed, 3 a flow does not apply to this network.

    Examples:
      opkit demo

      opkit demo a --out run --junit run.xml

      opkit demo a --devnet default

      opkit demo a --database postgresql:///opkit

      opkit demo a --present --devnet default
    """
    asked = _Asked(
        names=tuple(flow or ()), seed=seed, parallel=parallel, keep=keep, junit=junit, out=to
    )
    tell: Callable[..., int] = partial(_tell, as_json=as_json)
    if present:
        if to is not None or junit is not None or as_json:
            raise Mistake("presenting writes nothing", hint="leave --out, --junit and --json out")
        if len(asked.names) > 1:
            raise Mistake("one story is presented at a time", hint="name one flow")
        tell = partial(_present, pace=pace, autoplay=autoplay)
    elif autoplay or pace != 1.0:
        which = "--autoplay" if autoplay else "--pace"
        raise Mistake(f"{which} is for presenting", hint="opkit demo --present --autoplay")
    check_profile(profile)
    _check_databases(database, devnet)
    _check_places(to, junit)
    if devnet is None:
        # Who names no story sees them all, and everybody who takes part in any.
        everything = not asked.names and not present
        profile = profile or ("federation" if everything else smallest_profile(asked.names))
        return _on_own_network(asked, profile, tell, database=database)
    return _on_running_network(asked, _attach(devnet, profile), tell)


def _check_databases(database: str, devnet: str | None) -> None:
    check_database(database)
    if database and devnet is not None:
        raise Mistake("a running devnet has its databases", hint="leave --database out")


def _check_places(to: Path | None, junit: Path | None) -> None:
    """Refuse now what could not be written when all is told."""
    if to is not None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Mistake(f"{to} is not empty", hint="a run folder is made new")
    if junit is not None and not junit.parent.is_dir():
        raise Mistake(f"there is no folder {junit.parent}", hint="--junit names a file in one")


@dataclass(frozen=True, kw_only=True)
class _Asked:
    names: tuple[str, ...]
    seed: int
    parallel: int
    keep: bool
    junit: Path | None
    out: Path | None


def _attach(name: str, profile: str) -> DevnetState:
    """Return the state of a running devnet."""
    from devnet.state import load_running

    state = load_running(name)
    if profile and state.profile != profile:
        raise Mistake(f"{name!r} is of profile {state.profile!r}", hint="leave --profile out")
    return state


def _on_running_network(asked: _Asked, state: DevnetState, tell: Callable[..., int]) -> int:
    """Tell while nobody else tells there."""
    from devnet.telling import telling

    with telling(state.folder, who="opkit demo", hint=ON_ITS_OWN):
        return tell(asked, state, None)


def _on_own_network(asked: _Asked, profile: str, tell: Callable[..., int], *, database: str) -> int:
    """Start the network at once, and everything else beside it."""
    from devnet.launch import launch, temporary_name

    launched = launch(
        name=temporary_name(),
        profile=profile,
        seed=asked.seed,
        temporary=not asked.keep,
        database=database,
    )
    kept = False
    try:
        code = tell(asked, None, launched, profile=profile)
        kept = asked.keep
        return code
    finally:
        if kept:
            launched.detach()
            said = as_called(f"the network stays: opkit devnet status {launched.name}")
            typer.echo(said, err=True)
        else:
            launched.down()


def _tell(
    asked: _Asked,
    state: DevnetState | None,
    launched: Launched | None,
    *,
    as_json: bool,
    profile: str = "",
) -> int:
    """Choose the flows, run them, say where the report is."""
    profile = profile or (state.profile if state is not None else "")
    flows = choose_flows(asked.names, profile)
    from opkit.runner.progress import Progress
    from opkit.runner.run import run_flows

    run_id = secrets.token_hex(8)
    folder = asked.out or home.runs_folder() / time.strftime(f"%Y%m%d-%H%M%S-{run_id[:4]}")
    screen = out.console(errors=as_json)
    screen.soft_wrap = False

    @asynccontextmanager
    async def open_network() -> AsyncIterator[_Network]:
        yield _Network(await _ready(state, launched))

    with Progress(screen) as progress:
        result = looping.run(
            partial(
                run_flows,
                flows=flows,
                open_network=open_network,
                notebooks=notebooks_folder(),
                out=folder,
                run_id=run_id,
                seed=asked.seed,
                profile=profile,
                parallel=asked.parallel,
                junit=asked.junit,
                on_event=progress,
            )
        )
    _conclude(result, as_json=as_json)
    return exits.DONE if result.ok else exits.FAILED


async def _ready(state: DevnetState | None, launched: Launched | None) -> DevnetState:
    """Return the state of the network that is attached to, or of the launched one once ready."""
    if state is not None:
        return state
    assert launched is not None, "a network is attached to or launched"
    from devnet.state import load_state_of

    try:
        await asyncio.to_thread(launched.wait_ready)
    except asyncio.CancelledError:
        launched.give_up()  # Otherwise Ctrl-C waits until the network is up.
        raise
    return load_state_of(launched.folder)


def _present(
    asked: _Asked,
    state: DevnetState | None,
    launched: Launched | None,
    *,
    pace: float,
    autoplay: bool,
    profile: str = "",
) -> int:
    """Have one story led by whoever sits at this terminal."""
    profile = profile or (state.profile if state is not None else "")
    chosen = choose_flows(asked.names, profile)
    from opkit.cli.present import Presented, present
    from opkit.story.pace import Pace

    screen = out.console()
    screen.soft_wrap = False

    async def lead() -> Presented:
        # One task waits for the network, whatever becomes of the telling that wants it first.
        ready = asyncio.create_task(_ready(state, launched))

        async def open_world(run_id: str) -> World:
            from devnet import attach

            opened = await asyncio.shield(ready)
            return await attach.open_world(opened.name, run_id=run_id, seed=asked.seed)

        try:
            return await present(
                chosen[0],
                open_world,
                console=screen,
                fd=sys.stdin.fileno(),
                pace=Pace(factor=pace),
                autoplay=autoplay,
            )
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)

    return exits.DONE if looping.run(lead).ok else exits.FAILED


class _Network:
    """A devnet as the runner sees it."""

    def __init__(self, state: DevnetState) -> None:
        from devnet.state import OPERATOR, load_identities
        from opkit.cli.anchors import read_genesis_file

        self.name: str = state.name
        self.genesis: GenesisView = read_genesis_file(home.genesis_file(state.network))
        self.operator: Identity = load_identities(state)[OPERATOR]
        self._folder = state.folder

    async def facts(self) -> NetworkFacts:
        """Ask the nodes who they are; one that does not answer is left out."""
        from devnet.facts import network_facts, node_records, witnessed_heads
        from devnet.state import load_state_of
        from opkit.runner.network import NetworkFacts

        state = load_state_of(self._folder)
        infos, moved_ms = await network_facts(state)
        seen = await witnessed_heads(state, operator=self.operator, genesis=self.genesis)
        return NetworkFacts(nodes=node_records(infos, seen), clock_moved_ms=moved_ms)


def _conclude(result: RunResult, *, as_json: bool) -> None:
    said = result.as_json()
    said["genesis"] = str(home.genesis_file(result.run.network))

    def human(on: Any) -> None:
        on.print(f"\nreport   {said['report']}", markup=False)
        on.print(f"verify   opkit report verify {said['folder']}", markup=False)
        on.print(f"         elsewhere: --genesis {said['genesis']}", markup=False)

    out.show(said, as_json=as_json, human=human)
