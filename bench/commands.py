"""What someone waits for at a terminal: help, a devnet, the demo."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from statistics import median

from bench.network import OPKIT, devnet, opkit, run, seconds_of_command, state_home
from bench.rows import Row, quick, row


def help_text() -> list[Row]:
    """`opkit --help`, from a fresh process."""
    opkit("--help")
    taken = [seconds_of_command([str(OPKIT), "--help"]) for _ in range(9)]
    return [row("opkit --help", median(taken), "s", target="<= 0.5", of=taken)]


def devnet_up() -> list[Row]:
    """Three nodes from `devnet up` to ready and connected to each other."""
    taken = []
    with state_home():
        for _ in range(5):
            taken.append(seconds_of_command([str(OPKIT), "devnet", "up", "bench"]))
            opkit("devnet", "reset", "bench")
    return [row("devnet up, three nodes", median(taken), "s", target="<= 3", of=taken)]


def demo() -> list[Row]:
    """Flow A by `opkit demo`, its network included."""
    with state_home(), tempfile.TemporaryDirectory() as out:
        commands = [[str(OPKIT), "demo", "a", "--out", f"{out}/{n}"] for n in range(3)]
        taken = [seconds_of_command(command) for command in commands]
    return [row("demo of Flow A", median(taken), "s", target="<= 10", of=taken)]


def notebook() -> list[Row]:
    """What the notebook costs over telling the story plainly, both on a running devnet."""
    with state_home(), tempfile.TemporaryDirectory() as out, devnet() as name:
        plain_command = [sys.executable, "-m", "flows", "a", "--devnet", name]
        telling = [str(OPKIT), "demo", "a", "--devnet", name, "--out"]
        run(plain_command)
        plain = [seconds_of_command(plain_command) for _ in range(3)]
        told = [seconds_of_command([*telling, f"{out}/{n}"]) for n in range(3)]
    more = [each - median(plain) for each in told]
    return [row("notebook over plain story", median(more), "s more", target="<= 3", of=more)]


def flow_b() -> list[Row]:
    """Flow B on a running devnet, its set-up and its steps and nothing else."""
    with state_home(), devnet() as name:
        taken = [asyncio.run(_told(name, "b")) for _ in range(5)]
    return [row("story of Flow B", median(taken), "s", target="<= 8", of=taken)]


def flows_money() -> list[Row]:
    """Flows 1, 2 and C on a running devnet, again and again, their steps and nothing else."""
    with state_home(), devnet() as name:
        taken = {
            flow: [asyncio.run(_told(name, flow)) for _ in range(2 if quick() else 5)]
            for flow in ("1", "2", "c")
        }
    return [
        row(f"story of Flow {flow.upper()}", median(each), "s", target="<= 5", of=each)
        for flow, each in taken.items()
    ]


def flows_federation() -> list[Row]:
    """Flows 3 and 4 on a running devnet of five nodes; flow 3 kills one and starts it again."""
    with state_home(), devnet("federation") as name:
        taken = {
            flow: [asyncio.run(_told(name, flow)) for _ in range(2 if quick() else 5)]
            for flow in ("3", "4")
        }
    return [
        row(f"story of Flow {flow}", median(each), "s", target="<= 12", of=each)
        for flow, each in taken.items()
    ]


def demo_all() -> list[Row]:
    """Every flow by `opkit demo`, on all five nodes, from start to report."""
    with state_home(), tempfile.TemporaryDirectory() as out:
        commands = [[str(OPKIT), "demo", "--out", f"{out}/{n}"] for n in range(1 if quick() else 3)]
        taken = [seconds_of_command(command) for command in commands]
    return [row("demo of all flows, five nodes", median(taken), "s", target="<= 60", of=taken)]


async def _told(devnet_name: str, flow: str) -> float:
    """Tell a flow once, whole, and return how many seconds its steps took."""
    from devnet.attach import open_world
    from flows import FLOWS

    world = await open_world(devnet_name, run_id=secrets.token_hex(8), seed=7)
    try:
        report = await FLOWS[flow].tell(world).run()
    finally:
        await world.close()
    if not report.ok:
        raise RuntimeError(report.verdict)
    took_ms = sum(each.took_ms for each in report.setup)
    return (took_ms + sum(each.took_ms for each in report.markers)) / 1_000
