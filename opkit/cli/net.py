"""`opkit net`: the network's own machinery, tried without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli import exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from devnet.sim.result import Result
    from devnet.sim.spec import Spec

app = out.group(
    """Run hundreds of nodes in virtual time, in bad weather, and see whether they hold.

    Examples:

      opkit net sim

      opkit net sim --nodes 500 --loss 0.1 --churn 0.2

      opkit net sim --nodes 30 --partition 0.3@5-15 --liars wrong:0.05,forged:0.05
    """
)

SEEDS_MAX = 10_000
PLOTTED = (10, 32, 100, 316, 1_000)
"""The sizes of network that `--plot` compares, if `--sizes` names no others."""

Seeds = Annotated[
    int, typer.Option(min=1, max=SEEDS_MAX, help="Run so many seeds, one after another.")
]
Plot = Annotated[
    Path | None, typer.Option(help="Write one page with figures, of networks up to 1,000 too.")
]
Sizes = Annotated[str, typer.Option(help="Sizes of network that the page compares: 10,100,1000.")]

SHOWN = {
    "shelf: records": "records",
    "dht: contacts": "contacts",
    "gossip: messages": "messages",
    "gossip: message_bytes": "bytes of them",
}
"""What is shown of all that nodes hold; `--json` has the rest."""


@app.callback()
def _group() -> None:
    """Run hundreds of nodes in virtual time, in bad weather, and see whether they hold."""


@app.command()
def sim(
    nodes: Annotated[int, typer.Option(help="How many nodes.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Fixes everything that is drawn.")] = 7,
    seconds: Annotated[int, typer.Option(help="Virtual seconds of load and bad weather.")] = 30,
    settle: Annotated[int, typer.Option(help="Virtual seconds after them until all is well.")] = 30,
    latency: Annotated[
        str, typer.Option(help="One way, in ms: constant:40, uniform:40 or lognormal:40.")
    ] = "lognormal:40",
    loss: Annotated[float, typer.Option(help="Share of messages that are lost.")] = 0.0,
    reorder: Annotated[float, typer.Option(help="Share that may be overtaken.")] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Share that arrive twice.")] = 0.0,
    churn: Annotated[float, typer.Option(help="Share of nodes that crash and come back.")] = 0.0,
    partition: Annotated[
        str, typer.Option(help="Share cut off, from and until second: 0.3@10-20.")
    ] = "",
    liars: Annotated[str, typer.Option(help="Who lies how: wrong:0.05,forged:0.05.")] = "",
    sybils: Annotated[int, typer.Option(help="Made-up nodes that surround one key.")] = 0,
    skew_ms: Annotated[int, typer.Option(help="How far clocks differ from true time.")] = 0,
    publish_per_s: Annotated[float, typer.Option(help="Records published in a second.")] = 2.0,
    lookups_per_s: Annotated[float, typer.Option(help="Lookups begun in a second.")] = 10.0,
    seeds: Seeds = 1,
    plot: Plot = None,
    sizes: Sizes = "",
    as_json: out.Json = False,
) -> int:
    """Simulate a network: the nodes' own overlay code, with made-up time, links and faults.

    One seed is one run: a seed that fails is printed, fails again the same way, and makes the exit
    code 1. Kinds of liars: silent, empty, wrong, old, forged, flood.

    Examples:
      opkit net sim --nodes 20 --seconds 10 --json

      opkit net sim --nodes 12 --loss 0.1 --churn 0.2 --seeds 5

      opkit net sim --nodes 500 --seed 7 --loss 0.1 --plot out.html
    """
    from devnet.sim.spec import Spec, latency_of, liars_of, partition_of, sizes_of

    try:
        compared = sizes_of(sizes) if sizes else PLOTTED
        spec = Spec(
            nodes=nodes,
            seed=seed,
            seconds=seconds,
            settle_s=settle,
            latency=latency_of(latency),
            loss=loss,
            reorder=reorder,
            duplicate=duplicate,
            churn=churn,
            partition=partition_of(partition) if partition else None,
            liars=liars_of(liars),
            sybils=sybils,
            skew_ms=skew_ms,
            publish_per_s=publish_per_s,
            lookups_per_s=lookups_per_s,
        )
    except ValueError as bad:
        raise Mistake(str(bad), hint="opkit net sim --help says what may be asked for") from bad
    _check_folder(plot)
    results = _run_all([replace(spec, seed=seed + more) for more in range(seeds)], quiet=as_json)
    if plot is not None:
        _write_plot(plot, results[0], compared, quiet=as_json)
    said: Any = [_json_of(each) for each in results]
    said = said[0] if seeds == 1 else said
    out.show(said, as_json=as_json, human=lambda on: _show(on, results, plot=plot))
    return exits.DONE if all(each.ok for each in results) else exits.FAILED


def _check_folder(plot: Path | None) -> None:
    """Refuse a place that cannot be written to before minutes are spent."""
    if plot is not None and not plot.absolute().parent.is_dir():
        raise Mistake(
            f"there is no folder {plot.absolute().parent}", hint="make it, or name another"
        )


def _run_all(specs: Sequence[Spec], *, quiet: bool) -> list[Result]:
    """Run one after the other, and say how far it is."""
    from devnet.sim.run import run

    with _Progress(len(specs), quiet=quiet) as progress:
        return [run(spec, progress=partial(progress, number)) for number, spec in enumerate(specs)]


def _write_plot(path: Path, result: Result, compared: Sequence[int], *, quiet: bool) -> None:
    """Run networks of other sizes too, and write the page."""
    from devnet.sim.report import report_page

    specs = [replace(result.spec, nodes=nodes, seconds=10) for nodes in compared]
    others = _run_all(specs, quiet=quiet)
    path.write_text(report_page(result, others), encoding="utf-8")


class _Progress:
    """A bar on a terminal's standard error; nothing where nobody looks."""

    def __init__(self, runs: int, *, quiet: bool) -> None:
        from rich.progress import Progress

        on = out.console(errors=True)
        self._runs = runs
        self._bar = Progress(console=on, transient=True, disable=quiet or not on.is_terminal)
        self._task = self._bar.add_task("simulating", total=float(runs))

    def __enter__(self) -> Callable[[int, float], None]:
        self._bar.start()
        return lambda run, share: self._bar.update(self._task, completed=run + share)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _json_of(result: Result) -> dict[str, Any]:
    return {**result.as_json(), "again": result.spec.command()}


def _show(on: Console, results: Sequence[Result], *, plot: Path | None) -> None:
    """Show one run in full, or many in a line each that failed."""
    if len(results) == 1:
        _show_one(on, results[0])
    failed = [each for each in results if not each.ok]
    for each in failed:
        on.print(f"seed {each.spec.seed} failed:", markup=False)
        for line in _why(each):
            on.print(f"  {line}", markup=False)
        on.print(f"  see it again: {each.spec.command()}", markup=False)
    if len(results) > 1:
        messages = sum(each.messages for each in results)
        on.print(
            f"{len(results) - len(failed)} of {len(results)} seeds held, {messages:,} messages, "
            f"{messages / max(1e-9, sum(each.cpu_s for each in results)):,.0f} a second",
            markup=False,
        )
    if plot is not None:
        on.print(f"figures: {plot.absolute()}", markup=False)


def _why(result: Result) -> tuple[str, ...]:
    broken = result.violation
    if broken is None:
        return result.missing
    where = f"after {broken.step:,} events, {broken.at_ms / 1_000:g} s"
    return (f"{broken.rule}: node {broken.node}, {where}: {broken.why}",)


def _show_one(on: Console, result: Result) -> None:
    said = result.as_json()
    lookups, gossip = said["lookups"], said["gossip"]
    most = said["kept_max"]
    kept = ", ".join(f"{most.get(each, 0):,} {name}" for each, name in SHOWN.items())
    rows = [
        ("messages", f"{result.messages:,}", f"{result.messages_per_s:,.0f} a second"),
        (
            "lookups",
            f"{result.found:.2f} % of {lookups['asked']:,} found",
            f"{result.hops:.2f} hops, P50 {lookups['p50_ms']:,} ms, P95 {lookups['p95_ms']:,} ms",
        ),
        (
            "gossip",
            f"{result.covered:.2f} % reached",
            f"P50 {gossip['p50_ms']:,} ms, P95 {gossip['p95_ms']:,} ms",
        ),
        ("repairs", f"{result.repairs:,}", "records by reconciliation"),
        ("most held", kept, "by any one node"),
        (
            "signatures",
            f"{result.checked:,} checked",
            f"{result.hit_rate:.2f} % of {result.verdicts:,} verdicts remembered",
        ),
    ]
    spec = result.spec
    on.print(f"{spec.nodes} nodes, seed {spec.seed}, trace {said['trace']}", markup=False)
    out.table(on, ("what", "how much", ""), rows)
    on.print("all rules held, all came about" if result.ok else "it did not hold", markup=False)
