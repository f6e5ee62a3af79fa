"""`opkit rehearse`: whether the stories will hold before an audience: go or no-go, with reasons."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, looping, out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from devnet.checkup import Finding
    from devnet.state import DevnetState
    from opkit.story import Flow

app = out.group()

ROOM = ("there is room on disk", "there is room in memory")
"""Findings without which no clone is started."""


@app.command()
def rehearse(
    *,
    flow: Annotated[
        list[str] | None, typer.Argument(help="Flows such as a, b, 1; none: all that apply.")
    ] = None,
    devnet: Annotated[
        str | None, typer.Option(help="The running devnet; default: the only one.")
    ] = None,
    as_json: out.Json = False,
) -> int:
    """Tell the stories on a copy of a running network, and look the network itself over.

    The copy has the same specification, with keys and a folder of its own, and is gone afterwards.
    Of the running network nothing is changed: it is only read.

    Exit codes: 0 go, 1 no-go, 3 a flow does not apply to this network.

    Examples:
      opkit rehearse

      opkit rehearse a --devnet default
    """
    from devnet.checkup import look_over
    from opkit.cli.chaos import running_devnet
    from opkit.cli.stories import choose_flows

    state = running_devnet(devnet)
    flows = choose_flows(tuple(flow or ()), state.profile)
    on = out.console(errors=as_json)
    on.print(f"looking {state.name} over; nothing on it is changed", markup=False)
    findings = list(looping.run(lambda: look_over(state)))
    for each in findings:
        _show(on, each)
    if all(each.ok for each in findings if each.name in ROOM):
        on.print(f"telling on a copy of {state.name} ({state.profile})", markup=False)
        with _clone_of(state) as name:
            for finding in looping.run(lambda: _tell_all(flows, live=state, clone=name)):
                _show(on, finding)
                findings.append(finding)
    return _conclude(findings, devnet=state.name, flows=flows, as_json=as_json)


@contextmanager
def _clone_of(state: DevnetState) -> Iterator[str]:
    """Hold a network of the same specification, and yield its name."""
    from devnet.launch import launch

    spec = state.spec
    launched = launch(
        name=f"rehearsal-{secrets.token_hex(4)}",
        profile=spec.profile,
        seed=spec.seed,
        node_module=spec.node_module,
        teller_module=spec.teller_module,
        temporary=True,
    )
    try:
        launched.wait_ready()
        yield launched.name
    finally:
        launched.down()


async def _tell_all(flows: Sequence[Flow[Any]], *, live: DevnetState, clone: str) -> list[Finding]:
    """Tell each flow on the clone; compare what its nodes run with what the live ones do."""
    from devnet.checkup import same_builds
    from devnet.facts import network_facts
    from devnet.state import load_state

    copy, _ = await network_facts(load_state(clone))
    told = [await _tell(flow, on=clone, seed=live.spec.seed) for flow in flows]
    running, _ = await network_facts(live)
    return [same_builds((*copy, *running), name="it runs what is installed now"), *told]


async def _tell(flow: Flow[Any], *, on: str, seed: int) -> Finding:
    from devnet.attach import open_world
    from devnet.checkup import Finding

    world = await open_world(on, run_id=secrets.token_hex(8), seed=seed)
    try:
        report = await flow.tell(world).run()
    finally:
        await world.close()
    took_ms = sum(each.took_ms for each in report.setup)
    took_ms += sum(each.took_ms for each in report.markers)
    return Finding(
        name=f"flow {flow.name} is told whole",
        ok=report.ok,
        seen=f"{report.verdict} in {out.duration(took_ms)}",
        hint=f"opkit demo {flow.name} writes a report of it",
    )


def _show(on: Console, finding: Finding) -> None:
    from opkit.story import State

    state = State.DONE if finding.ok else State.FAILED
    mark = state.shape if (on.encoding or "").lower().startswith("utf") else state.letter
    on.print(f"  {mark} {finding.name}: {finding.seen}", markup=False)
    if not finding.ok and finding.hint:
        on.print(f"      hint: {finding.hint}", markup=False)


def _conclude(
    findings: Sequence[Finding], *, devnet: str, flows: Sequence[Flow[Any]], as_json: bool
) -> int:
    """Say go or no-go, and return the exit code."""
    from dataclasses import asdict

    ill = [each for each in findings if not each.ok]
    told = sum(each.name.startswith("flow ") for each in findings)
    go = not ill and told == len(flows)
    said = {"go": go, "devnet": devnet, "findings": [asdict(each) for each in findings]}
    words = f"go: {len(findings)} things were looked at, all are well"
    if not go:
        words = f"no-go, for this does not hold: {'; '.join(each.name for each in ill)}"
    out.show(said, as_json=as_json, human=lambda on: on.print(words, markup=False))
    return exits.DONE if go else exits.FAILED
