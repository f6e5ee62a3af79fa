"""What the people and strangers of flow B do more than once: claim, answer, inject, spoil."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from opkit.proof import jws
from opkit.proof.checks import Check
from opkit.proof.cid import cid_of
from opkit.proof.names import make_claim
from opkit.story import World, same, that, until
from opkit.wire.base import Did, Jws, b64decode, b64encode
from opkit.wire.membership import TokenClaims
from opkit.wire.names import (
    LOOK_UP_NAME,
    REGISTER_NAME,
    LookUpName,
    NameHeld,
    NameTarget,
    NameUnknown,
    RegisterName,
)
from opkit.wire.overlay import OVERLAY, AskOverlay

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.services import ProvenService

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
ALL = (RIVER, BRIGHT, HARBOR)

ROSA = "harbor-homes-cooperative/rosa"

KIND = "cost-sharing"
CAPABILITY = "lathe"
REGION = "finger-lakes"
"""What Rosa looks for."""

TERM_MS = 24 * 3_600_000
"""How long a name of this story is claimed for."""

PROPAGATED_MS = 5_000
"""The promise: within so long every node that is there knows of a change."""

NO_RECORD = "no record"
"""What stands for the answer that nobody holds the name."""

TURNED_AWAY = frozenset(
    {"gossip: rejected", "gossip: ignored", "gossip: stale", "gossip: duplicates"}
)
"""What a node counts that heard an announcement and neither kept it nor handed it on: a bad one, an
old one, or once more what it heard before."""

HEARD = frozenset({"gossip: delivered", "gossip: duplicates", "gossip: ignored"})
"""What a node counts that heard what others announce, for the first time or once more."""


def claim(
    world: World, member_id: str, name: str, target: NameTarget | None, *, of: str = ""
) -> Jws:
    """Return a claim of a name, signed by a member's own key.

    Args:
        world: where.
        member_id: who signs.
        name: what is claimed.
        target: what it is to stand for; None gives it back.
        of: the member that the claim names; who signs it unless said.
    """
    return make_claim(
        world.member(member_id),
        network=world.genesis.network,
        name=name,
        member_id=of or member_id,
        target=target,
        at_ms=world.client(RIVER, member_id).now_ms(),
        term_ms=TERM_MS,
    )


async def register(client: NodeClient, signed: Jws) -> NameHeld:
    """Send a claim to a node and return who holds the name then."""
    return await client.call(REGISTER_NAME, RegisterName(claim=signed))


async def answer_of(world: World, org: str, name: str) -> str:
    """Return the hash of the record with which a node answers for a name, or that it has none."""
    try:
        held = await world.operator(org).call(LOOK_UP_NAME, LookUpName(name=name))
    except NameUnknown:
        return NO_RECORD
    return hash_of(held.record)


def hash_of(record: Jws) -> str:
    """Return what names a record to the last byte, its signature included."""
    return cid_of(record.encode("ascii"))


async def all_answer(world: World, name: str, expected: str, *, orgs: tuple[str, ...]) -> int:
    """Wait until these nodes answer for a name as expected; return after how many ms.

    Raises:
        NotShown: one did not within what is promised.
    """
    clock = world.operator(RIVER).now_ms
    began_ms = clock()
    for org in orgs:
        await until(
            partial(answer_of, world, org, name),
            lambda said: said == expected,
            what=f"{world.node(org).title}'s answer for {name}",
            deadline_ms=max(0, began_ms + PROPAGATED_MS - clock()),
        )
    return clock() - began_ms


async def answers(world: World, name: str, expected: str) -> list[Check]:
    """Return the checks that every node answers for a name as expected, now."""
    return [
        same(
            f"{world.node(org).title}'s answer",
            expected=expected,
            actual=await answer_of(world, org, name),
        )
        for org in ALL
    ]


async def counted(world: World, org: str, what: frozenset[str]) -> int:
    """Return how often something of this happened in a node's gossip since it started."""
    counts = (await world.operator(org).call(OVERLAY, AskOverlay())).counts
    return sum(each.count for each in counts if each.name in what)


@dataclass
class Injected:
    """What a stranger sent, and what became of it.

    Attributes:
        did: its key.
        stats: how often it was told what.
        turned_away: how many announcements each node heard from then on and did not believe.
    """

    did: Did = ""
    stats: dict[str, Any] = field(default_factory=dict)
    turned_away: dict[str, int] = field(default_factory=dict)

    def told(self, way: str, answers: Mapping[str, int]) -> Check:
        """Return the check that what was sent in one way met exactly these answers."""
        start = f"{way}: "
        met = {
            key.removeprefix(start): count
            for key, count in self.stats.items()
            if key.startswith(start)
        }
        expected, actual = (json.dumps(dict(sorted(each.items()))) for each in (answers, met))
        return that(f"answers, {way}", met == answers, expected=expected, actual=actual)

    def unheard(self) -> Check:
        """Return the check that every node heard it announced, and believed none of it."""
        return that(
            "announced, and believed by none",
            all(self.turned_away.values()),
            expected="turned away by every node",
            actual=json.dumps(self.turned_away),
        )


@asynccontextmanager
async def injecting(world: World, kind: str, name: str) -> AsyncIterator[Injected]:
    """Have a stranger send every node records of a name; at the end all of them have judged them.

    Raises:
        NotShown: it did not get through with all of them in time.
    """
    before = {org: await counted(world, org, TURNED_AWAY) for org in ALL}
    stranger = await world.hostile(kind, against=ALL, about=name)
    injected = Injected(did=stranger.did)
    yield injected
    stats = await until(
        stranger.stats,
        lambda stats: stats.get("through with") == len(ALL),
        what="a stranger that is through with every node",
    )
    injected.stats = dict(stats)
    for org in ALL:
        away = await until(
            partial(counted, world, org, TURNED_AWAY),
            partial(more_than, before[org]),
            what=f"an announcement that {world.node(org).title} turned away",
        )
        injected.turned_away[world.node(org).title] = away - before[org]
    await stranger.stop()


def more_than(before: int, count: int) -> bool:
    """Return whether it happened since."""
    return count > before


def altered(token: Jws, **changed: Any) -> Jws:
    """Return a token that says something else under the same signature."""
    header, body, signature = token.split(".")
    return f"{header}.{_part(json.loads(b64decode(body)) | changed)}.{signature}"


def of_no_algorithm(token: Jws) -> Jws:
    """Return a token that says that it needs no signature. The one that it had stays on it."""
    header, body, signature = token.split(".")
    return f"{_part(json.loads(b64decode(header)) | {'alg': 'none'})}.{body}.{signature}"


def _part(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return b64encode(text.encode("utf-8"))


def home_of(world: World, coop: str) -> str:
    """Return the node that countersigns for a coop, as the genesis says that we keep."""
    charter = world.genesis.charter(coop)
    assert charter is not None, f"{coop} has a charter"
    return charter.home_node


def claim_in(record: str) -> str:
    """Return the claim that is in the record of a name."""
    return str(jws.peek(record).payload["value"]["claim"])


def claims_in(token: str) -> TokenClaims:
    """Return what a token says."""
    return TokenClaims.model_validate(jws.peek(token).payload, strict=False)


async def discovered(world: World, name: str) -> ProvenService:
    """Return the service of a name as Rosa finds and proves it, once Harbor Homes knows of it."""
    rosa = world.client(HARBOR, ROSA)
    found = await until(
        partial(rosa.discover, type=KIND, capability=CAPABILITY, region=REGION),
        lambda services: any(each.name == name for each in services),
        what=f"a service named {name}",
        deadline_ms=PROPAGATED_MS,
    )
    return next(each for each in found if each.name == name)


async def run_out(world: World, token: str) -> None:
    """Return once a token's time is over."""
    clock = world.client(RIVER, None).now_ms

    async def now_ms() -> int:
        return clock()

    ends_ms = claims_in(token).expires_at_ms
    await until(now_ms, lambda ms: ms > ends_ms, what="the end of the short token")
