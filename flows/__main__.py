"""`python -m flows [NAME…] [--devnet NAME]`: tell stories on a running devnet, without a notebook.

The exit status is the number of stories that were not told whole.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Sequence

from flows import FLOWS
from opkit.story import NotApplicable, State, Told

FAILED_MAX = 125
"""An exit status above means something else to a shell."""


def main(argv: Sequence[str] | None = None) -> int:
    """Tell the flows that are named, or all, and return how many were not told whole."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    parser.add_argument("flows", nargs="*", metavar="NAME", help=f"one of {', '.join(FLOWS)}")
    parser.add_argument("--devnet", default="default", help="the running devnet to tell them on")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.flows if name not in FLOWS]
    if unknown:
        parser.error(f"no flow is called {', '.join(unknown)}")
    names = asked.flows or list(FLOWS)
    return min(FAILED_MAX, asyncio.run(_tell(names, devnet=asked.devnet, seed=asked.seed)))


async def _tell(names: Sequence[str], *, devnet: str, seed: int) -> int:
    from devnet.attach import open_world

    failed = 0
    for name in names:
        world = await open_world(devnet, run_id=secrets.token_hex(8), seed=seed)
        try:
            telling = FLOWS[name].tell(world, on_told=_show)
            report = await telling.run()
        except NotApplicable as lacking:
            _say(f"FLOW_NOT_APPLICABLE {name}: {lacking}")
            failed += 1
            continue
        finally:
            await world.close()
        _say(report.verdict)
        failed += not report.ok
    return failed


def _show(told: Told) -> None:
    if told.state is not State.RUNNING:
        _say(f"{told.state.shape} {told.sentence} … {told.marker}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
