"""Harm on purpose in a story or a notebook: it lasts a while, and is healed where a block ends.

```
chaos = Chaos(world)
async with await chaos.loss(0.2):
    ...  # 20 % of what passes is lost
```

A flow that uses it declares `needs={"chaos"}`: where nodes are no processes there is none. What is
not healed ends by itself, after ten minutes unless `for_ms` says otherwise. Source: ADR 0033.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self


class Disturbable(Protocol):
    """A world whose network can be disturbed by more than its own methods do."""

    async def disturb(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have the supervisor do this, and return what it journalled."""

    async def lasting(self) -> Sequence[Mapping[str, Any]]:
        """Return what is done to the network now, with `id`, `what` and `left_ms`."""


class Lasting:
    """Something that is done to the network; as a block it is healed where the block ends.

    Attributes:
        number: what ends it.
        told: what the supervisor journalled.
    """

    def __init__(self, world: Disturbable, told: Mapping[str, Any]) -> None:
        """Keep what was begun."""
        self.number: int = told["id"]
        self.told = told
        self._world = world

    async def heal(self) -> None:
        """End it; harmless if it is over."""
        await self._world.disturb("heal", id=self.number)

    async def __aenter__(self) -> Self:
        """Return this; it was begun already."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self.heal()

    def __repr__(self) -> str:
        """Return what it is, and by which number it is healed."""
        return f"<{self.told['what']}, heal with number {self.number}>"


class Chaos:
    """All that can be done to the network of a world.

    Nodes are named by their organisation. For links none means every link, one all links of that
    node, several those among them. `for_ms` is how long it lasts; `seed` fixes what is lost.
    Everything raises what the world raises when the supervisor says no.
    """

    def __init__(self, world: Disturbable, *, org: Callable[[str], str] = str) -> None:
        """Keep the world; `org` returns the organisation that somebody means by a name."""
        self._world = world
        self._org = org

    async def loss(self, share: float, *orgs: str, **more: int) -> Lasting:
        """Lose a share of what passes: 0.2 is 20 %. `more`: `for_ms`, `seed`."""
        return await self._links("loss", orgs, share_permille=round(share * 1000), **more)

    async def delay(self, ms: int, *orgs: str, jitter_ms: int = 0, **more: int) -> Lasting:
        """Hold what passes so long in each direction. `more`: `for_ms`, `seed`."""
        return await self._links("delay", orgs, delay_ms=ms, jitter_ms=jitter_ms, **more)

    async def rate(self, kbit_s: int, *orgs: str, **more: int) -> Lasting:
        """Let only so much pass in each direction. `more`: `for_ms`."""
        return await self._links("rate", orgs, rate_kbit_s=kbit_s, **more)

    async def cut(self, org: str, *orgs: str, **more: int) -> Lasting:
        """Let nothing pass. `more`: `for_ms`."""
        return await self._links("cut", (org, *orgs), **more)

    async def partition(self, *groups: Sequence[str], **more: int) -> Lasting:
        """Part groups of nodes; whoever is in none is in one more. `more`: `for_ms`."""
        named = [[self._org(org) for org in group] for group in groups]
        return await self._do("partition", groups=named, **more)

    async def pause(self, org: str, **more: int) -> Lasting:
        """Let a node stand still. `more`: `for_ms`."""
        return await self._do("pause", org=self._org(org), **more)

    async def kill(self, org: str, **more: int) -> Lasting:
        """Kill a node without warning; healed it is started again. `more`: `for_ms`."""
        return await self._do("kill", org=self._org(org), **more)

    async def skew(self, org: str, by_ms: int, **more: int) -> Lasting:
        """Start a node again with its clock so far ahead; negative: behind. `more`: `for_ms`."""
        off = {"ahead_ms": by_ms} if by_ms > 0 else {"behind_ms": -by_ms}
        return await self._do("skew", org=self._org(org), **off, **more)

    async def save(self, org: str, state: str) -> None:
        """Copy the state of a node under a name."""
        await self._world.disturb("save", org=self._org(org), state=state)

    async def rewind(self, org: str, state: str, **more: int) -> Lasting:
        """Start a node again with a state that was saved, or `empty`. `more`: `for_ms`."""
        return await self._do("restart", org=self._org(org), state=state, **more)

    async def lasting(self) -> tuple[Lasting, ...]:
        """Return what is done to the network now, oldest first."""
        return tuple(Lasting(self._world, told) for told in await self._world.lasting())

    async def heal(self) -> None:
        """End all that lasts, whoever began it."""
        await self._world.disturb("heal")

    async def _links(self, do: str, orgs: Sequence[str], **arguments: int) -> Lasting:
        return await self._do(do, orgs=[self._org(org) for org in orgs], **arguments)

    async def _do(self, do: str, **arguments: Any) -> Lasting:
        return Lasting(self._world, await self._world.disturb(do, **arguments))
