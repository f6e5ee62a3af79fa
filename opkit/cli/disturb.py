"""`opkit devnet chaos`: harm that lasts a while, is listed meanwhile, and ends by itself."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from opkit.cli import exits, out
from opkit.cli.chaos import Devnet, Org, ask_for, end_lasting, named, running_devnet
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from devnet.state import DevnetState

app = out.group(
    """Do a devnet harm that lasts a while, see what lasts, and heal it.

    Each lasts ten minutes unless --for says otherwise (90s, 10m, 2h; 24h at most), ends by itself
    whoever asked for it, and is journalled. Nodes are named by how their organisation begins:
    none means every link, one all links of that node, several the links among them.

    Examples:

      opkit devnet chaos loss 0.2                    20 % of it, on every link

      opkit devnet chaos delay 50 --jitter 10 bright harbor

      opkit devnet chaos rate 256 harbor --for 90s   all links of one node

      opkit devnet chaos partition river bright,harbor

      opkit devnet chaos list                        what lasts, how long

      opkit devnet chaos heal                        end all of it now
    """
)

Orgs = Annotated[
    list[str] | None,
    typer.Argument(help="Nodes: none: every link; one: its links; several: those among them."),
]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long it lasts: 90s, 10m, 2h.")]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Fixes what is lost and how late the rest is; default: the devnet's."),
]

_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_TIME = re.compile(r"(\d{1,9})(ms|s|m|h)")


def duration_ms(text: str) -> int:
    """Return how many milliseconds `90s`, `10m`, `2h` or `500ms` are.

    Raises:
        Mistake: it is none of these.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise Mistake(f"{text!r} is no time", hint="such as 90s, 10m, 2h or 500ms")
    return int(found[1]) * _UNIT_MS[found[2]]


@app.command()
def loss(
    share: Annotated[float, typer.Argument(help="Which share is lost: 0.2 is 20 %.")],
    orgs: Orgs = None,
    *,
    lasts: For = "10m",
    seed: Seed = None,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Lose a share of what passes, in both directions; the same seed loses the same.

    Examples:
      opkit devnet chaos loss 0.2

      opkit devnet chaos loss 0.05 bright harbor --for 90s --seed 7
    """
    if not 0.001 <= share <= 1:
        raise Mistake("a share that is lost is 0.001 to 1", hint="0.2 is 20 %")
    facts = {"share_permille": round(share * 1000), **_seeded(seed)}
    return _on_links(
        "loss", orgs, f"lose {share:.1%} of what passes", lasts, devnet, as_json, facts
    )


@app.command()
def delay(
    ms: Annotated[int, typer.Argument(min=1, help="How long each takes, in milliseconds.")],
    orgs: Orgs = None,
    *,
    jitter: Annotated[int, typer.Option(min=0, help="By how much more or less.")] = 0,
    lasts: For = "10m",
    seed: Seed = None,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Hold what passes for so long in each direction, without changing its order.

    Examples:
      opkit devnet chaos delay 50

      opkit devnet chaos delay 50 --jitter 10 bright harbor
    """
    if jitter > ms:
        raise Mistake("a jitter is at most the delay", hint=f"--jitter {ms} or less")
    facts = {"delay_ms": ms, "jitter_ms": jitter, **_seeded(seed)}
    will = f"hold what passes for {ms} ms" + (f" ± {jitter} ms" if jitter else "")
    return _on_links("delay", orgs, will, lasts, devnet, as_json, facts)


@app.command()
def rate(
    kbit: Annotated[int, typer.Argument(min=8, help="Kilobits a second, in each direction.")],
    orgs: Orgs = None,
    *,
    lasts: For = "10m",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Let only so much pass; what would wait for half a second is lost, as in a full router.

    Example: opkit devnet chaos rate 256 harbor --for 90s
    """
    will = f"let {kbit} kbit/s pass and no more"
    return _on_links("rate", orgs, will, lasts, devnet, as_json, {"rate_kbit_s": kbit})


@app.command()
def cut(
    orgs: Annotated[
        list[str], typer.Argument(help="Nodes: one: all its links; several: those among them.")
    ],
    *,
    lasts: For = "10m",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Let nothing pass.

    Example: opkit devnet chaos cut bright harbor --for 2m
    """
    return _on_links("cut", orgs, "let nothing pass", lasts, devnet, as_json, {})


@app.command()
def partition(
    groups: Annotated[
        list[str],
        typer.Argument(help="Groups of nodes: names with commas between; the rest is one more."),
    ],
    *,
    lasts: For = "10m",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Part the network: nothing passes from one group of nodes to another.

    Examples:
      opkit devnet chaos partition river bright,harbor

      opkit devnet chaos partition harbor --for 1m
    """
    state = running_devnet(devnet)
    sides = [[state.find(one).org for one in group.split(",")] for group in groups]
    words = " | ".join(", ".join(side) for side in sides)
    return _lasting(
        state, "partition", f"part {words} from the others", lasts, as_json, groups=sides
    )


@app.command()
def pause(org: Org, *, lasts: For = "10m", devnet: Devnet = None, as_json: out.Json = False) -> int:
    """Let a node stand still, as when its machine is suspended; others take it for gone.

    Example: opkit devnet chaos pause harbor --for 30s
    """
    return _on_node("pause", org, "let {node} stand still", lasts, devnet, as_json)


@app.command()
def kill(org: Org, *, lasts: For = "10m", devnet: Devnet = None, as_json: out.Json = False) -> int:
    """Kill a node without warning; it is started again when the time is over, or healed.

    Example: opkit devnet chaos kill harbor --for 1m
    """
    return _on_node("kill", org, "kill {node} without warning", lasts, devnet, as_json)


@app.command()
def skew(
    org: Org,
    *,
    ahead: Annotated[str, typer.Option(metavar="TIME", help="How far ahead: 90s, 1h.")] = "",
    behind: Annotated[str, typer.Option(metavar="TIME", help="How far behind.")] = "",
    lasts: For = "10m",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Start a node again with a clock that is wrong. A node refuses that outside devnets.

    Example: opkit devnet chaos skew harbor --ahead 1h
    """
    if bool(ahead) == bool(behind):
        raise Mistake("a clock is either ahead or behind", hint="--ahead 1h, or --behind 90s")
    off = {"ahead_ms": duration_ms(ahead)} if ahead else {"behind_ms": duration_ms(behind)}
    will = "start {node} again with its clock " + (
        f"{ahead} ahead" if ahead else f"{behind} behind"
    )
    return _on_node("skew", org, will, lasts, devnet, as_json, **off)


@app.command()
def save(
    org: Org,
    state: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    *,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Keep a copy of a node's state, to start it with again later; it stands still meanwhile.

    Example: opkit devnet chaos save harbor monday
    """
    found = running_devnet(devnet)
    node = found.find(org)
    will = f"copy the state of {named(node)}"
    return ask_for(found, "save", will=will, undo="", as_json=as_json, org=node.org, state=state)


@app.command()
def restart(
    org: Org,
    *,
    state: Annotated[
        str, typer.Option(metavar="NAME", help="A state that was saved, or `empty`.")
    ] = "",
    lasts: For = "10m",
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """Start a node again, as it is or with an older state: yesterday's database, or none.

    What it has now is set aside, and back when the time is over; what it does meanwhile goes then.

    Examples:
      opkit devnet chaos restart harbor

      opkit devnet chaos restart harbor --state monday --for 5m
    """
    if state:
        will = f"start {{node}} again with its state {state!r}"
        return _on_node("restart", org, will, lasts, devnet, as_json, state=state)
    found = running_devnet(devnet)
    node = found.find(org)
    will = f"start {named(node)} again and wait until it is ready"
    return ask_for(found, "restart", will=will, undo="", as_json=as_json, org=node.org)


@app.command("list")
def list_lasting(*, devnet: Devnet = None, as_json: out.Json = False) -> int:
    """List what is done to the network now, and how long each still lasts.

    Example: opkit devnet chaos list
    """
    from devnet.control import ask_supervisor
    from opkit.views.deeds import lasting_sentence

    state = running_devnet(devnet)
    said = asyncio.run(ask_supervisor(state.socket, "chaos"))
    titles = {node.org: node.title for node in state.nodes}

    def human(on: Console) -> None:
        if not said["lasting"]:
            on.print("nothing is disturbed", markup=False)
            return
        rows = [
            (str(each["id"]), lasting_sentence(each, titles=titles), _left(each["left_ms"]))
            for each in said["lasting"]
        ]
        out.table(on, ("id", "what", "ends in"), rows)

    out.show(said, as_json=as_json, human=human)
    return exits.DONE


@app.command()
def heal(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="The id of one, or two nodes whose link shall be whole; none: all."),
    ] = None,
    *,
    devnet: Devnet = None,
    as_json: out.Json = False,
) -> int:
    """End what lasts: all of it, one by its id, or whatever hinders one link.

    Examples:
      opkit devnet chaos heal

      opkit devnet chaos heal 3

      opkit devnet chaos heal bright harbor
    """
    state = running_devnet(devnet)
    match what or []:
        case []:
            return end_lasting(state, as_json=as_json)
        case [number] if number.isdecimal():
            return end_lasting(state, as_json=as_json, id=int(number))
        case [a, b]:
            one, other = state.find(a), state.find(b)
            will = f"let everything pass between {named(one)} and {named(other)}"
            ends = {"a": one.org, "b": other.org}
            return ask_for(state, "heal", will=will, undo="", as_json=as_json, **ends)
        case _:
            raise Mistake("heal takes an id, two nodes, or nothing", hint="opkit devnet chaos list")


def _seeded(seed: int | None) -> dict[str, int]:
    return {} if seed is None else {"seed": seed}


def _left(left_ms: int) -> str:
    """Return how long something still lasts, for people."""
    seconds = -(-left_ms // 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _on_links(
    kind: str,
    orgs: list[str] | None,
    will: str,
    lasts: str,
    devnet: str | None,
    as_json: bool,
    facts: dict[str, Any],
) -> int:
    """Have links hindered; which ones follows from the nodes that are named."""
    state = running_devnet(devnet)
    nodes = [state.find(org) for org in orgs or ()]
    where = "on every link"
    if len(nodes) == 1:
        where = f"on all links of {named(nodes[0])}"
    elif nodes:
        where = f"between {', '.join(map(named, nodes))}"
    chosen = [node.org for node in nodes]
    return _lasting(state, kind, f"{will} {where}", lasts, as_json, orgs=chosen, **facts)


def _on_node(
    kind: str,
    org: str,
    will: str,
    lasts: str,
    devnet: str | None,
    as_json: bool,
    /,
    **facts: Any,
) -> int:
    """Have something done to a node; `will` has `{node}` where its name goes."""
    state = running_devnet(devnet)
    node = state.find(org)
    return _lasting(
        state, kind, will.format(node=named(node)), lasts, as_json, org=node.org, **facts
    )


def _lasting(
    state: DevnetState, kind: str, will: str, lasts: str, as_json: bool, /, **facts: Any
) -> int:
    """Have something done that lasts; say for how long, and what ends it sooner."""
    for_ms = duration_ms(lasts)
    undo = "opkit devnet chaos heal {id}"
    return ask_for(
        state, kind, will=f"{will}, for {lasts}", undo=undo, as_json=as_json, for_ms=for_ms, **facts
    )
