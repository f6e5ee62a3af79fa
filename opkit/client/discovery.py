"""Finding services: ask one node, believe none, keep what verifies and say what does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opkit.proof.checks import Verdict
from opkit.proof.genesis import GenesisView
from opkit.proof.services import ProvenService, check_service
from opkit.wire.services import FIND_SERVICES, FindServices, FoundService, ServicePage

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

FOUND_MAX = 1_000
"""The most services that are taken from a node: it may name any number."""


@dataclass(frozen=True, kw_only=True)
class Refuted:
    """What a node named, and the check that it does not pass."""

    found: FoundService
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What a node answered, judged here.

    Attributes:
        proven: the services all of whose records verify, of whose nodes was heard last first.
        refuted: what is none, or none that was asked for: an honest node names no such.
        more: the node has further ones, which nobody asked for.
    """

    proven: tuple[ProvenService, ...]
    refuted: tuple[Refuted, ...]
    more: bool


async def look_for(
    client: NodeClient,
    asked: FindServices,
    *,
    genesis: GenesisView,
    found_max: int = FOUND_MAX,
) -> Discovery:
    """Return what a node finds, page by page, each service verified here.

    Args:
        client: whom to ask.
        asked: what for; `after` is where to begin.
        genesis: what it is verified against: the caller's own.
        found_max: how many are taken at most.

    Raises:
        Refusal, Unreachable, Fault, WrongNode: as `NodeClient.call`.
    """
    proven: dict[str, ProvenService] = {}
    refuted: dict[str, Refuted] = {}
    page, taken = asked, 0
    while True:
        said: ServicePage = await client.call(FIND_SERVICES, page)
        for found in said.services:
            # Counted as they come, not by name: a node may say the same for ever.
            if taken >= found_max:
                return _judged(proven, refuted, more=True)
            taken += 1
            verdict, service = check_service(
                found, genesis=genesis, now_ms=client.now_ms(), asked=asked
            )
            # Who stands on two pages because a node came or went is one all the same.
            if service is not None:
                proven.setdefault(found.name, service)
            else:
                refuted.setdefault(found.name, Refuted(found=found, verdict=verdict))
            # Each takes some milliseconds, and others want to be heard too.
            await asyncio.sleep(0)
        if not said.next_after or not said.services:
            return _judged(proven, refuted, more=False)
        page = asked.model_copy(update={"after": said.next_after})


def _judged(
    proven: dict[str, ProvenService], refuted: dict[str, Refuted], *, more: bool
) -> Discovery:
    return Discovery(proven=tuple(proven.values()), refuted=tuple(refuted.values()), more=more)
