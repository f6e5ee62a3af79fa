"""`opkit record`: tell a story without an audience; keep it as one page that plays by itself."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit import home
from opkit.cli import exits, looping, out
from opkit.cli.failing import Mistake
from opkit.cli.stories import ON_ITS_OWN, check_profile, choose_flows

if TYPE_CHECKING:
    from devnet.state import DevnetState
    from opkit.live.replay import StagedHere
    from opkit.story import Flow, World
    from opkit.story.record import RunRecord
    from opkit.story.stage import Stage, StageView
    from opkit.views.replay import Recording

app = out.group()


@app.command()
def record(
    *,
    flow: Annotated[
        str, typer.Argument(help="The story, such as a; none: the first that applies.")
    ] = "",
    to: Annotated[Path | None, typer.Option("--out", help="The page; must be new.")] = None,
    devnet: Annotated[str | None, typer.Option(help="Tell on this running devnet.")] = None,
    profile: Annotated[str, typer.Option(help="The network to start: three or federation.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Fixes figures and faults, never keys.")] = 7,
    pace: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Time to read: 2 is slow, 0 adds none.")
    ] = 1.0,
    as_json: out.Json = False,
) -> int:
    """Tell a story and write a replay: one page that shows it again, offline, with its evidence.

    Starts a network of its own and removes it at the end, unless --devnet names a running one.
    Nobody waits while it is recorded: time to read is added to the replay. The page is signed by
    the network's operator and checked by `opkit report verify`.

    Exit codes: 0 told whole, 1 the story failed (the replay shows how), 3 it does not apply here.

    Examples:
      opkit record a --out replay.html

      opkit record --devnet default --pace 0.5
    """
    target = to or home.runs_folder() / time.strftime("%Y%m%d-%H%M%S-replay.html")
    if target.exists():
        raise Mistake(f"{target} exists", hint="a replay is made new; name another file")
    check_profile(profile)
    from devnet.state import load_running
    from devnet.telling import telling

    running = load_running(devnet) if devnet is not None else None
    profile = running.profile if running is not None else profile or "three"
    chosen, *_ = choose_flows((flow,) if flow else (), profile)
    with ExitStack() as held:
        state = running or _own(held, profile, seed)
        held.enter_context(telling(state.folder, who="opkit record", hint=ON_ITS_OWN))
        recorded = looping.run(lambda: _record(chosen, state, seed=seed, pace=pace, quiet=as_json))
        html = _signed(recorded, state)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html, encoding="utf-8")
    _conclude(recorded, target, as_json=as_json)
    return exits.DONE if recorded.run.ok else exits.FAILED


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """What there is to write."""

    run: RunRecord
    recording: Recording
    blobs: dict[str, bytes]


def _own(held: ExitStack, profile: str, seed: int) -> DevnetState:
    """Start a network that ends when `held` is closed."""
    from devnet.launch import launch, temporary_name
    from devnet.state import load_state_of

    launched = launch(name=temporary_name(), profile=profile, seed=seed, temporary=True)
    held.callback(launched.down)
    launched.wait_ready()
    return load_state_of(launched.folder)


async def _record(
    flow: Flow[Any], state: DevnetState, *, seed: int, pace: float, quiet: bool
) -> _Recorded:
    from devnet import attach
    from devnet.board import attached_source
    from opkit.live.live import Live
    from opkit.live.pages import PAGES
    from opkit.live.replay import Recorder, StagedHere, tell_and_record
    from opkit.story.pace import Pace
    from opkit.story.stage import Stage

    here = StagedHere(attached_source(state.name))
    live = Live(here)

    async def open_world(run_id: str) -> World:
        return await attach.open_world(state.name, run_id=run_id, seed=seed)

    stage = Stage(flow, open_world, pace=Pace(factor=pace), on_change=_shown(here, quiet=quiet))
    began, created_ms = time.monotonic(), time.time_ns() // 1_000_000
    async with asyncio.TaskGroup() as group:
        following = group.create_task(live.run())
        with live.watched():
            recorder = Recorder(live, [opened(live) for opened in PAGES.values()])
            await tell_and_record(stage, here, recorder, live)
        following.cancel()
    took_ms = round((time.monotonic() - began) * 1000)
    run = await _run_record(stage, state, seed=seed, created_ms=created_ms, took_ms=took_ms)
    return _Recorded(run=run, recording=recorder.recording(), blobs=dict(stage.blobs))


def _shown(here: StagedHere, *, quiet: bool) -> Any:
    """Return what shows a view in the recording, and each step that was told on this terminal."""
    from opkit.views.terminal import step_line, theme

    screen = out.console(errors=True)
    screen.push_theme(theme(colours=screen.color_system))
    printed = 0

    def show(view: StageView) -> None:
        nonlocal printed
        here.show(view)
        for step in view.steps[printed : view.told] if not quiet else ():
            took_ms = step.record.took_ms if step.record is not None else None
            screen.print(step_line(step.state, step.sentence, step.marker, took_ms=took_ms))
        printed = view.told

    return show


async def _run_record(
    stage: Stage, state: DevnetState, *, seed: int, created_ms: int, took_ms: int
) -> RunRecord:
    """Return the telling as a run of one flow.

    Raises:
        Mistake: the network could not even be opened.
    """
    from devnet.facts import network_facts, node_records
    from opkit.runner.run import versions
    from opkit.story.record import FlowRecord, RunRecord
    from opkit.story.stage import StageRefused

    try:
        report = stage.report()
    except StageRefused as never:
        why = stage.view.stopped.why if stage.view.stopped is not None else str(never)
        raise Mistake(why, code=exits.FAILED) from never
    infos, moved_ms = await network_facts(state)
    return RunRecord(
        run_id=stage.view.run_id,
        seed=seed,
        profile=state.profile,
        network=state.network,
        operator=state.operator,
        ok=report.ok,
        interrupted=False,
        clock_moved_ms=moved_ms,
        created_ms=created_ms,
        took_ms=took_ms,
        versions=versions(),
        nodes=node_records(infos),
        flows=(FlowRecord(**report.model_dump(), took_ms=took_ms),),
    )


def _signed(recorded: _Recorded, state: DevnetState) -> str:
    from devnet.state import OPERATOR, load_identities
    from opkit.runner.replayed import signed_replay

    operator = load_identities(state)[OPERATOR]
    return signed_replay(recorded.run, recorded.recording, blobs=recorded.blobs, operator=operator)


def _conclude(recorded: _Recorded, target: Path, *, as_json: bool) -> None:
    flow = recorded.run.flows[0]
    said = {
        "ok": recorded.run.ok,
        "replay": str(target),
        "size_bytes": target.stat().st_size,
        "length_ms": recorded.recording.length_ms,
        "run_id": recorded.run.run_id,
        "flow": flow.name,
        "shown": list(flow.shown),
        "planned": list(flow.planned),
        "genesis": str(home.genesis_file(recorded.run.network)),
    }

    def human(on: Any) -> None:
        on.print(flow.verdict, markup=False)
        on.print(f"replay   {said['replay']}", markup=False)
        on.print(f"verify   opkit report verify {said['replay']}", markup=False)
        on.print(f"         elsewhere: --genesis {said['genesis']}", markup=False)

    out.show(said, as_json=as_json, human=human)
