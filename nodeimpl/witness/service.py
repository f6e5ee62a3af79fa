"""The witness domain: asks others for growth, countersigns, keeps proofs, and answers the same.

What it learns of this node's own key it judges as strictly: who is behind what others hold signs
nothing any more. Source: ADR 0032.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.errors import HistoryLost
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.p2p.deadline import deadline, set_or_passed
from nodeimpl.witness import rules
from nodeimpl.witness import store as table
from nodeimpl.witness.board import Board
from nodeimpl.witness.own import Own
from nodeimpl.witness.rules import Judged, Known, Limits
from opkit.proof.checks import ProofError
from opkit.proof.forks import Seen, fork_of, read_fork, read_seen
from opkit.proof.genesis import GenesisView
from opkit.proof.jws import record_id
from opkit.wire import witness as wire
from opkit.wire.base import Did, TimeMs
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError
from opkit.wire.peer import PeerMethod

_log = structlog.get_logger("witness")


class Links(Protocol):
    """What this domain asks of the peer-to-peer layer."""

    def connected(self) -> tuple[Did, ...]:
        """Return the connected peers."""

    async def ask(self, peer: Did, method: PeerMethod[Ask, Answer], ask: Ask) -> Answer:
        """Ask a connected peer one question."""


class Witness:
    """Watches the journals of all nodes of the genesis, as far as they are connected."""

    def __init__(
        self,
        *,
        own: Own,
        board: Board,
        links: Links,
        genesis: GenesisView,
        store: Store,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        """Keep the parts; `restore` reads what was known.

        Args:
            own: this node's own journal, as others may ask for it.
            board: records of heads and forks.
        """
        self._own = own
        self._board = board
        self._links = links
        self._network = genesis.network
        self._store = store
        self._clock = clock
        self._limits = limits or Limits()
        self._known = {node.did: Known(node=node.did) for node in genesis.genesis.nodes}
        self._known.pop(own.did, None)
        self._nodes = frozenset((*self._known, own.did))
        self._forks: dict[Did, dict[int, wire.ForkValue]] = {}
        self._checked: dict[Did, dict[str, None]] = {did: {} for did in self._known}
        self._silent: dict[Did, int] = {}
        self._due_ms: dict[Did, TimeMs] = {}
        self._asked_ms: dict[Did, TimeMs] = {}
        self._news: set[Did] = set()
        self._wake = asyncio.Event()
        own.on_lost = self._wake.set

    async def restore(self) -> None:
        """Read what was known before a restart."""
        kept = await self._store.read(lambda tx: list(table.known(tx, network=self._network)))
        self._known |= {known.node: known for known in kept if known.node in self._known}
        self._forks = await self._store.read(table.forks)

    # What happens.

    def joined(self, peer: Did) -> None:
        """Ask a peer soon that was connected just now."""
        self._due_ms[peer] = 0
        self._wake.set()

    def told(self, node: Did) -> None:
        """Look soon at what the board has new of a node."""
        if node in self._nodes:
            self._news.add(node)
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            HistoryLost: others hold heads of this node's key that its journal does not have.
        """
        # What was on the board before counts as news, for it may be of before a restart.
        self._news |= self._nodes
        while True:
            await self._look()
            await self._ask_all_due()
            if self._own.lost is not None:
                await self._give_up(self._own.lost)
            await self._until_due()

    async def _give_up(self, lost: HistoryLost) -> None:
        await self._own.mark_lost()
        _log.error("this node signs nothing any more", why=str(lost))
        confession = await self._own.confess()
        if confession is not None:
            # Who is stopped here may be the only one who can prove it.
            self._board.expose(self._own.did, confession)
        with suppress(TimeoutError):
            async with deadline(self._clock, self._limits.grace_ms):
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    await self._look()
        # Others may have told of more meanwhile: the next generation has to cite the longest.
        await self._own.mark_lost()
        raise lost

    async def _until_due(self) -> None:
        """Return when there is something to do."""
        now_ms = self._clock.now_ms()
        due_ms = min(
            (self._due_at(peer, now_ms) for peer in self._watched()),
            default=now_ms + self._limits.ask_ms,
        )
        await set_or_passed(self._wake, clock=self._clock, ms=max(1, due_ms - now_ms))
        self._wake.clear()

    def _watched(self) -> list[Did]:
        return [peer for peer in self._links.connected() if peer in self._known]

    def _due_at(self, peer: Did, now_ms: TimeMs) -> TimeMs:
        """Return when a peer is asked; who is asked again at once for a reason waits a little."""
        asked_ms = self._asked_ms.get(peer)
        if asked_ms is None:
            return now_ms
        if self._due_ms.get(peer, 0) <= now_ms:
            return max(now_ms, asked_ms + self._limits.ask_ms_min)
        return self._due_ms[peer]

    # What others say.

    async def _look(self) -> None:
        """Look at what is new on the board."""
        news, self._news = self._news, set()
        for node in sorted(news):
            heads = self._board.heads(node)
            for value in self._board.forks(node):
                await self._prove(node, value)
            if node == self._own.did:
                await self._own.hear([*heads, *self._in_forks(node)])
                continue
            known = self._known[node]
            last = [] if known.seen is None else [known.seen]
            for one, other in rules.find_forks([*last, *heads]):
                await self._prove(node, fork_of(one, other))
            unchecked = self._unchecked(node)
            longest = max((each.head.size for each in unchecked), default=0)
            if unchecked and (known.seen is None or longest > known.seen.head.size):
                self._due_ms[node] = 0

    def _in_forks(self, node: Did) -> list[Seen]:
        """Return the heads that prove that a node has two histories."""
        tokens = [
            token for value in self._board.forks(node) for token in (value.first, value.second)
        ]
        return [read_seen(token, node=node, network=self._network) for token in tokens]

    def _unchecked(self, node: Did) -> list[Seen]:
        """Return the heads that others have countersigned and from which growth was not seen."""
        checked = self._checked[node]
        return [each for each in self._board.heads(node) if each.token not in checked]

    # What is asked.

    async def _ask_all_due(self) -> None:
        now_ms = self._clock.now_ms()
        due = [peer for peer in self._watched() if self._due_at(peer, now_ms) <= now_ms]
        for peer in due:
            self._asked_ms[peer] = now_ms
            self._due_ms[peer] = now_ms + self._limits.ask_ms
        if self._own.lost is None:
            await asyncio.gather(*(self._ask(peer) for peer in due))

    async def _ask(self, peer: Did) -> None:
        """Ask a peer for growth, and do what follows from its answer."""
        seen = rules.choose_seen(self._known[peer].seen, self._unchecked(peer))
        ask = wire.AskGrowth(seen=tuple(each.token for each in seen))
        try:
            shown = await self._links.ask(peer, wire.GROW, ask)
            late = read_seen(shown.head, node=peer, network=self._network)
            judged = rules.judge_answer(seen, late, shown)
        except wire.HistoryBehind:
            await self._not_shown(peer, "it has signed for entries that its journal does not have")
        except wire.HeadRejected:
            await self._not_shown(peer, "it denies a head that it has signed")
        except ProofError as bad:
            await self._not_shown(peer, f"its head does not verify: {bad.why}")
        except CoopError as no:
            _log.info("a peer did not show its journal", peer=peer, why=str(no))
            await self._count_silence(peer)
        else:
            self._silent.pop(peer, None)
            await self._take(peer, late, judged)

    async def _count_silence(self, peer: Did) -> None:
        if peer not in self._links.connected():
            return
        self._silent[peer] = self._silent.get(peer, 0) + 1
        if self._silent[peer] >= self._limits.silences_max:
            await self._not_shown(peer, f"it was asked {self._silent[peer]} times in vain")

    async def _take(self, peer: Did, late: Seen, judged: Judged) -> None:
        checked = self._checked[peer]
        for each in (*judged.checked, *([late] if judged.sound else [])):
            checked[each.token] = None
        while len(checked) > self._limits.checked_max:
            del checked[next(iter(checked))]
        for fork in judged.forks:
            await self._prove(peer, fork)
        if judged.unproven is not None:
            await self._not_shown(peer, judged.unproven)
        elif judged.sound:
            await self._witness(peer, late)

    async def _witness(self, peer: Did, late: Seen) -> None:
        """Keep a head from which all is in order, and countersign it."""
        before, head, now_ms = self._known[peer], late.head, self._clock.now_ms()
        announce = rules.wants_announcing(before, head, now_ms=now_ms, limits=self._limits)
        known = replace(
            before,
            seen=late,
            asked_at_ms=now_ms,
            announced_at_ms=now_ms if announce else before.announced_at_ms,
            unproven=None,
        )
        event = wire.JournalWitnessed(
            node=peer, generation=head.generation, size=head.size, root=head.root
        )

        def work(tx: Tx) -> None:
            table.keep(tx, known)
            if announce:
                tx.announce(event)

        changed = before.seen is None or before.seen.head.hash != head.hash or before.unproven
        if (changed or announce) and not await self._write(work):
            return
        self._known[peer] = known
        if head.generation not in self._forks.get(peer, {}):
            self._board.countersign(late, nodes=len(self._nodes), limits=self._limits)

    async def _not_shown(self, peer: Did, why: str) -> None:
        """Keep that a node did not show growth."""
        before, now_ms = self._known[peer], self._clock.now_ms()
        tell = rules.wants_telling(before, now_ms=now_ms, limits=self._limits)
        known = replace(before, unproven=why, told_at_ms=now_ms if tell else before.told_at_ms)
        head = None if before.seen is None else before.seen.head
        event = wire.JournalGrowthUnproven(
            node=peer,
            generation=0 if head is None else head.generation,
            size=0 if head is None else head.size,
            why=why,
        )

        def work(tx: Tx) -> None:
            table.keep(tx, known)
            if tell:
                tx.announce(event)

        if known != before and await self._write(work):
            self._known[peer] = known
            _log.warning("a node does not show that its journal grew", node=peer, why=why)

    async def _prove(self, node: Did, value: wire.ForkValue | None) -> None:
        """Keep the proof that a node has two histories, and tell everybody."""
        if value is None:
            return
        fork = read_fork(value, node=node, network=self._network)
        generation, known = fork.first.generation, self._forks.setdefault(node, {})
        if generation not in known and len(known) < wire.FORKS_KEPT_MAX:
            event = wire.JournalForkProven(
                node=node,
                generation=generation,
                size=fork.first.size,
                first=record_id(value.first),
                second=record_id(value.second),
            )

            def work(tx: Tx) -> None:
                if table.add_fork(tx, value, node=node, generation=generation):
                    tx.announce(event)

            if not await self._write(work):
                return
            known[generation] = value
            _log.error("a node has two histories", node=node, generation=generation)
        if generation in known:
            self._board.expose(node, known[generation])

    async def _write(self, work: Callable[[Tx], None]) -> bool:
        """Write, and return whether it was; what was not is learned again."""
        try:
            await self._store.write(work)
        except CoopError as no:
            _log.warning("what was witnessed is not kept", why=str(no))
            return False
        return True

    # What it shows.

    async def witnesses(self, ask: wire.AskWitnesses, caller: object) -> wire.Witnesses:
        """Tell what is known here of journals."""
        if ask.node is not None:
            return wire.Witnesses(nodes=(self._shown(ask.node, whole=True),))
        every = sorted(self._nodes)
        shown = tuple(self._shown(node) for node in every[: wire.NODES_SHOWN_MAX])
        return wire.Witnesses(nodes=shown, left_off=len(every) - len(shown))

    def _shown(self, node: Did, *, whole: bool = False) -> wire.WitnessedNode:
        known = self._known.get(node, Known(node=node))
        heads = [*self._board.heads(node), *([known.seen] if known.seen is not None else [])]
        longest = max(heads, key=lambda it: (it.head.generation, it.head.size), default=None)
        forks = self._forks.get(node, {})
        return wire.WitnessedNode(
            node=node,
            head=None if longest is None else longest.token,
            generation=0 if longest is None else longest.head.generation,
            size=0 if longest is None else longest.head.size,
            asked_at_ms=known.asked_at_ms if known.seen is not None else None,
            witnesses=len(self._board.witnesses(node) & self._nodes - {node}),
            records=self._board.records(node) if whole else (),
            forks=len(forks),
            fork_proofs=tuple(forks.values()) if whole else (),
            unproven=known.unproven,
        )

    def figures(self) -> tuple[tuple[str, str, float], ...]:
        """Return what a scrape shows."""
        every = self._known.values()
        witnesses = self._board.witnesses(self._own.did) & self._nodes - {self._own.did}
        return (
            ("journal_witnesses", "Nodes that countersigned this one's journal.", len(witnesses)),
            (
                "journals_witnessed",
                "Nodes whose journal was seen to grow.",
                sum(known.seen is not None for known in every),
            ),
            (
                "journals_unproven",
                "Nodes that did not show growth when last asked.",
                sum(known.unproven is not None for known in every),
            ),
            (
                "journals_forked",
                "Nodes of which it is proven that they have two histories.",
                sum(bool(forks) for forks in self._forks.values()),
            ),
        )
