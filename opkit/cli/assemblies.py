"""What the commands about assemblies share: whose, at which node, and votes that are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit import home
from opkit.cli.address import Address
from opkit.cli.anchors import anchor
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client.governance import CastBallot, GovernanceCalls

T = TypeVar("T")

Coop = Annotated[str, typer.Option(help="Whose assembly; default: that of the speaker's coop.")]
ProposalArgument = Annotated[str, typer.Argument(help="The proposal's id, or its hash.")]
VOTE_BYTES_MAX = 16_384


def call(
    address: Address,
    coop: str,
    work: Callable[[GovernanceCalls], Awaitable[T]],
    *,
    signs: bool = False,
) -> T:
    """Return what `work` makes of a coop's assembly, asked at its home node.

    Args:
        coop: whose assembly; empty for that of the speaker's own coop.
        signs: whether the speaker signs something, for which a token is not enough.
    """
    if coop and address.url is None and address.org is None:
        # Only the home of a coop keeps its assembly, and on a devnet it is called as the coop is.
        address = replace(address, org=coop)
    target = address.resolve()
    if signs and target.identity is None:
        raise Mistake("what is signed needs the member's key", hint="--as NAME, not a token")

    async def run() -> T:
        async with target.client() as client:
            client.genesis = anchor(address.genesis, network=target.network)
            whose = coop or (await client.member_id()).partition("/")[0]
            if whose == "-":
                raise Mistake("who speaks is of no coop", hint="--coop says whose assembly")
            return await work(client.governance(whose))

    return asyncio.run(run())


def keep_vote(cast: CastBallot, to: Path | None) -> Path:
    """Write a vote with its receipt, for its owner alone, and return where.

    Args:
        cast: what was cast.
        to: where to; None for the folder of kept votes, under the ballot's own hash.
    """
    from opkit.proof import jws

    folder = home.private_folder(home.state_home() / "votes")
    file = to or folder / f"{jws.record_id(cast.ballot)}.json"
    said = {"ballot": cast.ballot, "receipt": cast.receipt}
    home.write_private(file, json.dumps(said, indent=2).encode() + b"\n")
    return file


def read_vote(file: Path) -> tuple[str, str]:
    """Return the ballot and the receipt in a file that `keep_vote` wrote."""
    if file.stat().st_size > VOTE_BYTES_MAX:
        raise Mistake(f"{file} is too large to be a vote with its receipt")
    try:
        said: Any = json.loads(file.read_bytes())
        return str(said["ballot"]), str(said["receipt"])
    except (ValueError, KeyError, TypeError) as bad:
        raise Mistake(
            f"{file} is no vote with its receipt", hint="`opkit proposal vote` keeps them"
        ) from bad
