"""Harm on purpose that can be undone: done to links and nodes, journalled, and over by itself.

Links are hindered on their forwarders, nodes as processes; a node has no code for faults, but for
a clock that a devnet's configuration may set wrong. Whoever asked may be gone: what lasts is ended
here when its time is over, and none of it survives the supervisor. Source: ADR 0033.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from devnet import chaos_picks, chaos_states
from devnet.chaos_freezing import freeze, send_all, thaw
from devnet.chaos_lane import Hindrance
from devnet.chaos_ledger import Disturbance, Ledger, Pair, ends_of
from devnet.disturbances import Disturbances
from devnet.forks import ForkFailed
from devnet.links import Link
from devnet.processes import descendants_of
from devnet.saying import say
from devnet.state import DevnetError, DevnetState
from opkit.wire.errors import CoopError

if TYPE_CHECKING:
    from devnet.network import Node

SKEW_MS_MAX = 86_400_000
"""By how much a node's clock may be wrong."""

TRIES_MAX = 3
"""How often it is tried to end what does not end, such as to start a node that does not start."""

TRY_AGAIN_S = 5.0
OVER = "its time was over"
ASKED = "asked for"


class Ground(Protocol):
    """The network that is disturbed."""

    turn: asyncio.Lock
    disturbances: Disturbances

    @property
    def links(self) -> Mapping[Pair, Link]:
        """Return every link by its ends."""

    @property
    def state(self) -> DevnetState:
        """Return the devnet."""

    def node(self, org: str) -> Node:
        """Return a node and its process; `DevnetError` if there is none."""

    def running(self, org: str) -> Node:
        """Return a node whose process lives; `DevnetError` if it does not."""

    async def start(self, node: Node) -> None:
        """Start a node that does not run, and wait until it is ready and connected."""

    async def stop(self, node: Node) -> None:
        """End a node in order, if it runs."""

    async def catch_up(self, node: Node) -> None:
        """Give a node the world time that the others have."""


class Chaos:
    """All that is done to one network, one thing after another."""

    def __init__(self, ground: Ground) -> None:
        """Disturb nothing yet."""
        self._ground = ground
        self._ledger = Ledger(first=ground.disturbances.last_id + 1)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Say that what lasted when the last supervisor ended is over, and keep time from now on.

        Every node starts anew, and every link is a new one; a newer state that was set aside is
        put back.
        """
        ground = self._ground
        for line in ground.disturbances.left_open():
            self._tell_end(line, [line["id"]], why="the network was started again")
        for node in ground.state.nodes:
            chaos_states.put_back(ground.state, node.org)
        self._task = asyncio.get_running_loop().create_task(self._keep_time())

    def close(self) -> None:
        """Keep time no more, and let paused nodes go on, so that they can end."""
        if self._task is not None:
            self._task.cancel()
        for one in self._ledger.all():
            if one.kind == "pause":
                self._thaw(one.org)

    def parts(self, a: str, b: str) -> bool:
        """Return whether two nodes cannot be expected to find each other now."""
        return self._ledger.parts(frozenset((a, b)))

    def is_paused(self, org: str) -> bool:
        """Return whether a node stands still."""
        return bool(self._ledger.of(org, "pause"))

    def listed(self) -> list[dict[str, Any]]:
        """Return what lasts now, oldest first, with the time that each has left."""
        return self._ledger.listed()

    # Links.

    async def hinder(
        self,
        kind: str,
        orgs: Sequence[str],
        hindrance: Hindrance,
        *,
        for_ms: int,
        seed: int = 0,
        **facts: Any,
    ) -> dict[str, Any]:
        """Hinder the links that are meant (`links_among`) and return what was journalled.

        Raises:
            DevnetError: a node is unknown or named twice, or the time is out of range.
        """
        pairs = chaos_picks.links_among(self._ground.state, orgs)
        named = dict(zip("ab", orgs, strict=True)) if len(orgs) == 2 else {"orgs": list(orgs)}
        return await self._on_links(
            kind, pairs, hindrance, for_ms=for_ms, seed=seed, **named, **facts
        )

    async def partition(self, groups: Iterable[Sequence[str]], *, for_ms: int) -> dict[str, Any]:
        """Let nothing pass from one group of nodes to another.

        Raises:
            DevnetError: as `whole_groups`, or the time is out of range.
        """
        whole = chaos_picks.whole_groups(self._ground.state, groups)
        pairs = chaos_picks.links_between(whole)
        told = [list(group) for group in whole]
        cut = Hindrance(cut=True)
        return await self._on_links("partition", pairs, cut, for_ms=for_ms, groups=told)

    async def _on_links(
        self,
        kind: str,
        pairs: Sequence[Pair],
        hindrance: Hindrance,
        *,
        for_ms: int,
        seed: int = 0,
        **facts: Any,
    ) -> dict[str, Any]:
        async with self._ground.turn:
            begun, note = self._note(
                kind, facts, for_ms=for_ms, pairs=pairs, hindrance=hindrance, seed=seed
            )
            self._apply(begun.pairs)
            return note

    def _apply(self, pairs: Iterable[Pair]) -> None:
        """Let links be hindered by what lasts, and by nothing else."""
        for pair in pairs:
            how, seed = self._ledger.on(pair)
            self._ground.links[pair].hinder(how, seed=seed)

    # Nodes.

    async def kill(self, org: str, *, for_ms: int) -> dict[str, Any]:
        """Kill a node without warning and return when it is gone; it is started when time is over.

        Raises:
            DevnetError: there is no such node, it does not run, or the time is out of range.
        """
        async with self._ground.turn:
            node = self._ground.running(org)
            _, note = self._note("kill", {"org": org}, for_ms=for_ms, org=org)
            assert node.child is not None, "what runs has a process"
            node.state = "killed"
            below = descendants_of(node.child.pid)
            node.child.send(signal.SIGKILL)
            send_all(below, signal.SIGCONT)
            await node.child.ended.wait()
            self._forget(org, "pause")
            return note

    async def pause(self, org: str, *, for_ms: int) -> dict[str, Any]:
        """Let a node and all its workers stand still, as when its machine is suspended.

        Raises:
            DevnetError: there is no such node, it does not run or stands still already, or the
                time is out of range.
        """
        async with self._ground.turn:
            node = self._ground.running(org)
            self._check_new(org, "pause")
            _, note = self._note("pause", {"org": org}, for_ms=for_ms, org=org)
            assert node.child is not None, "what runs has a process"
            node.state = "paused"
            await freeze(node.child.pid)
            return note

    async def skew(self, org: str, by_ms: int, *, for_ms: int) -> dict[str, Any]:
        """Start a node again with a clock that is wrong by so much, ahead if positive.

        Raises:
            DevnetError: there is no such node, its clock is wrong already, the time is out of
                range, or it did not get ready.
        """
        if not 0 < abs(by_ms) <= SKEW_MS_MAX:
            raise DevnetError(
                f"a clock is wrong by 1 ms to {SKEW_MS_MAX // 3_600_000} h, ahead or behind",
                hint="heal sets it right",
            )
        async with self._ground.turn:
            node = self._ground.node(org)
            self._check_new(org, "skew")
            begun, note = self._note("skew", {"org": org, "by_ms": by_ms}, for_ms=for_ms, org=org)
            node.skew_ms = by_ms
            await self._again(node, keep=begun.id)
            return note

    async def save(self, org: str, name: str) -> dict[str, Any]:
        """Copy a node's state; a running node stands still meanwhile.

        Raises:
            DevnetError: there is no such node, the name is none, or the state cannot be copied.
        """
        chaos_states.check_name(name)
        async with self._ground.turn:
            node, state = self._ground.node(org), self._ground.state
            chaos_states.check_copyable(state)
            freezes = node.running and not self.is_paused(org)
            try:
                if freezes and node.child is not None:
                    await freeze(node.child.pid)
                size_bytes = await asyncio.to_thread(chaos_states.save, state, org, name)
            finally:
                if freezes:
                    self._thaw(org)
            return self._ground.disturbances.note(
                "save", org=org, state=name, size_bytes=size_bytes
            )

    async def restart(self, org: str) -> dict[str, Any]:
        """Start a node that does not run, or end it in order and start it again.

        Returns when it is ready, connected to all it can reach, and has the world time.

        Raises:
            DevnetError: there is no such node, or it did not get ready.
        """
        async with self._ground.turn:
            node = self._ground.node(org)
            over = [one.id for one in self._ledger.of(org, "kill", "pause")]
            note = self._ground.disturbances.note("restart", org=org, ended=over)
            await self._again(node)
            return note

    async def restart_with(self, org: str, name: str, *, for_ms: int) -> dict[str, Any]:
        """Start a node again with an older state of its own, or with none (`empty`).

        A node that does not get ready with it stays as it is, and the answer says why.

        Raises:
            DevnetError: there is no such node or state, or the time is out of range.
        """
        async with self._ground.turn:
            node, state = self._ground.node(org), self._ground.state
            chaos_states.check_copyable(state)
            chaos_states.check_known(state, org, name)
            self._forget(org, "old-state")
            begun, note = self._note(
                "old-state", {"org": org, "state": name}, for_ms=for_ms, org=org
            )
            await self._ground.stop(node)
            await asyncio.to_thread(chaos_states.put_in_place, state, org, name)
            try:
                await self._again(node, keep=begun.id)
            except (DevnetError, CoopError) as unready:
                return {**note, "unready": str(unready)}
            return note

    async def _again(self, node: Node, *, keep: int = 0) -> None:
        """End a node, if it runs, and start it; its kill and its pause are over then."""
        for one in self._ledger.of(node.org, "pause"):
            self._thaw(one.org)
        for one in self._ledger.of(node.org, "kill", "pause"):
            if one.id != keep:
                self._ledger.end(one.id)
        self._changed.set()
        await self._ground.stop(node)
        await self._ground.start(node)

    def _thaw(self, org: str) -> None:
        node = self._ground.node(org)
        if node.running and node.child is not None:
            thaw(node.child.pid)

    # What ends.

    async def heal(self, number: int | None = None) -> dict[str, Any]:
        """End one disturbance, or all; return what was journalled for each, nothing if it is over.

        Raises:
            DevnetError: none of this number was ever begun, or a node did not get ready again.
        """
        async with self._ground.turn:
            chosen = self._ledger.all()
            if number is not None:
                over = 0 < number <= self._ground.disturbances.last_id
                chosen = tuple(one for one in chosen if one.id == number)
                chosen = chosen if chosen or over else (self._ledger.get(number),)
            return {"healed": await self._end(chosen, why=ASKED)}

    async def heal_link(self, a: str, b: str) -> dict[str, Any]:
        """Let everything pass between two nodes, whatever hinders it; other links stay as they are.

        Raises:
            DevnetError: a node is unknown, or both are the same.
        """
        (pair,) = chaos_picks.links_among(self._ground.state, (a, b))
        async with self._ground.turn:
            over = []
            for one in self._ledger.all():
                one.pairs.discard(pair)
                if not (one.pairs or one.org):
                    self._ledger.end(one.id)
                    over.append(one.id)
            self._apply((pair,))
            return self._ground.disturbances.note("heal", a=a, b=b, ended=over, why=ASKED)

    async def _end(self, chosen: Sequence[Disturbance], *, why: str) -> list[dict[str, Any]]:
        """End several: links first, for nodes find each other over them."""
        notes = []
        nodes: dict[str, tuple[str, ...]] = {}
        for one in sorted(chosen, key=lambda each: bool(each.org)):
            self._ledger.end(one.id)
            notes.append(self._tell_end({**one.told, "what": one.kind}, [one.id], why=why))
            self._apply(one.pairs)
            if one.org:
                nodes[one.org] = (*nodes.get(one.org, ()), one.kind)
        async with asyncio.TaskGroup() as group:
            tries = [
                group.create_task(_outcome(self._mend(org, kinds))) for org, kinds in nodes.items()
            ]
        failed = [why for why in (each.result() for each in tries) if why]
        if failed:
            raise DevnetError("; ".join(failed), hint="opkit devnet status; opkit devnet logs")
        return notes

    async def _mend(self, org: str, kinds: Sequence[str]) -> None:
        """Undo what was done to a node."""
        node = self._ground.node(org)
        if "pause" in kinds:
            self._thaw(org)
            node.state = "ready" if node.running else node.state
        if not {"kill", "skew", "old-state"} & set(kinds):
            await self._ground.catch_up(node)
            return
        if "skew" in kinds:
            node.skew_ms = 0
        if "old-state" in kinds:
            await self._ground.stop(node)
            await asyncio.to_thread(chaos_states.put_back, self._ground.state, org)
        await self._again(node)

    async def _keep_time(self) -> None:
        """End each disturbance when its time is over, whoever asked for it and is gone."""
        while True:
            self._changed.clear()
            end = self._ledger.next_end()
            if end is None:
                await self._changed.wait()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    await self._changed.wait()
            async with self._ground.turn:
                await self._end_due()

    async def _end_due(self) -> None:
        """End what is due; what cannot be ended is tried again, and told each time."""
        for one in self._ledger.due():
            try:
                await self._end((one,), why=OVER)
            except DevnetError as failed:
                say("disturbance-not-ended", id=one.id, kind=one.kind, org=one.org, why=str(failed))
                self._ground.disturbances.note("heal-failed", of=one.kind, org=one.org, id=one.id)
                if one.failed + 1 < TRIES_MAX:
                    one.failed += 1
                    one.ends = time.monotonic() + TRY_AGAIN_S
                    self._ledger.resume(one)

    # What is told.

    def _note(
        self,
        kind: str,
        facts: Mapping[str, Any],
        *,
        for_ms: int,
        org: str = "",
        pairs: Sequence[Pair] = (),
        hindrance: Hindrance | None = None,
        seed: int = 0,
    ) -> tuple[Disturbance, dict[str, Any]]:
        """Keep a disturbance, and write it down before it is done."""
        self._ledger.check(for_ms)
        lossy = hindrance is not None and (hindrance.loss_permille or hindrance.jitter_ms)
        told = {**facts, "seed": seed} if lossy else dict(facts)
        begun = self._ledger.begin(
            kind,
            for_ms=for_ms,
            told=told,
            pairs=pairs,
            org=org,
            hindrance=hindrance or Hindrance(),
            seed=seed,
        )
        where = {"links": ends_of(pairs)} if pairs else {}
        note = self._ground.disturbances.note(
            kind, **told, **where, id=begun.id, for_ms=for_ms, ends_ms=begun.ends_ms
        )
        self._changed.set()
        return begun, note

    def _tell_end(self, line: Mapping[str, Any], ids: Sequence[int], *, why: str) -> dict[str, Any]:
        named = {key: line[key] for key in ("a", "b", "org", "orgs", "groups") if key in line}
        of = line["what"]
        return self._ground.disturbances.note("heal", of=of, **named, ended=list(ids), why=why)

    def _check_new(self, org: str, kind: str) -> None:
        for one in self._ledger.of(org, kind):
            raise DevnetError(
                f"{kind} of {org!r} lasts already", hint=f"opkit devnet chaos heal {one.id}"
            )

    def _forget(self, org: str, kind: str) -> None:
        """Say that a disturbance of a node gave way to another one."""
        for one in self._ledger.of(org, kind):
            self._ledger.end(one.id)
            self._tell_end({**one.told, "what": one.kind}, [one.id], why="another took its place")


async def _outcome(work: Coroutine[Any, Any, None]) -> str:
    """Return why one of several failed, so that the others are done all the same; '' if not."""
    try:
        await work
    except (DevnetError, CoopError, ForkFailed, OSError) as failed:
        return str(failed)
    return ""
