"""One node, followed: its events over one WebSocket, its health and links by looking at it.

The events go on where they broke, so that none is missing and none comes twice. A look that fails
is repeated at once; only then is the node called down, so that one slow answer changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Protocol

from opkit.client import NodeClient, Patience
from opkit.live.ports import ControlRefused, NodeAt, Source
from opkit.views.figures import Health
from opkit.wire.base import Did, NetworkId
from opkit.wire.compute import GET_MODULE, GetModule, ModuleInfo
from opkit.wire.endpoint import Answer, Ask, Endpoint
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import Cursor, JournalDiverged, JournalPage
from opkit.wire.gateway import TokenRejected
from opkit.wire.network import (
    NODE,
    PEERS,
    READY,
    AskHealth,
    AskNode,
    AskPeers,
    NodeInfo,
    NotReady,
    PeerLink,
    Peers,
)

LOOK_EVERY_MS = 500
"""How often a node that somebody looks at is asked for its links. All are asked at the same
moments, so that what they answer is drawn once and not once for each of them."""

LOOK_IDLE_MS = 3_000
"""How often while nobody looks at the console."""

LOOK_DEADLINE_MS = 800
AGAIN_DEADLINE_MS = 500
"""A node that is gone without closing its sockets is called down after at most
`LOOK_EVERY_MS + LOOK_DEADLINE_MS + AGAIN_DEADLINE_MS`."""

WHO_EVERY_MS = 5_000
"""How often it is asked who it is: its clock and version change rarely."""

WHERE_EVERY_MS = 1_000
"""How often it is asked anew where a node that is down listens."""

STREAM_PAUSE_MS = 200
STREAM_PAUSE_MS_MAX = 5_000
"""How long a stream that broke rests before it is opened again, once the node is up; twice as long
each time that nothing came of it."""

HISTORY_ENTRIES_MAX = 20_000
"""A journal longer than this is followed from its end: what is older is not shown."""

RECENT_MAX = 60
"""How many looks a link's sparkline shows."""


class MakeClient(Protocol):
    """Makes a client that calls a node as nobody, without a key."""

    def __call__(self, at: NodeAt, *, network: NetworkId) -> NodeClient:
        """Return the client; nothing is opened yet."""


def over_tcp(at: NodeAt, *, network: NetworkId) -> NodeClient:
    """Make a client that travels over TCP and asks once: whoever follows asks again anyway."""
    patience = Patience(attempts_max=1)
    return NodeClient(url=at.url, node=at.did, network=network, patience=patience)


def rest_ms(now_ms: float, every_ms: int) -> float:
    """Return how long it is until the next of the moments that everybody keeps, so many ms apart.

    One that is as good as now counts as this one.
    """
    left_ms = every_ms - now_ms % every_ms
    return left_ms if left_ms > 1 else left_ms + every_ms


class Followed:
    """What is known of one node now, and since when."""

    def __init__(self, at: NodeAt, *, now_ms: int) -> None:
        """Begin with a node that has not answered yet."""
        self.at = at
        self.health: Health = "starting"
        self.since_ms = now_ms
        self.seen_ms = 0
        self.why = "not asked yet"
        self.info: NodeInfo | None = None
        self.peers: Peers | None = None
        self.cursor: Cursor | None = None
        self.skipped = 0
        self.looks: deque[tuple[int, dict[Did, PeerLink]]] = deque(maxlen=RECENT_MAX)

    def see(self, peers: Peers, *, now_ms: int) -> None:
        """Note what it said when it was looked at."""
        self.peers, self.seen_ms = peers, now_ms
        self.looks.append((now_ms, {link.did: link for link in peers.links}))

    def feel(self, health: Health, *, why: str, now_ms: int) -> None:
        """Note how it is; a change is dated."""
        if health != self.health:
            self.health, self.since_ms = health, now_ms
        self.why = why


class Follower:
    """Follows one node, as long as `run` runs."""

    def __init__(
        self,
        followed: Followed,
        *,
        source: Source,
        make: MakeClient,
        is_watched: Callable[[], bool],
        on_page: Callable[[Followed, JournalPage], None],
        on_change: Callable[[], None],
        on_reset: Callable[[Followed], None],
        now_ms: Callable[[], int],
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            followed: what is kept up to date.
            source: says where the node listens, and gives tokens.
            make: makes clients.
            is_watched: whether somebody looks, so that looking often is worth it.
            on_page: takes each page of events, in order, each event once.
            on_change: hears that something else changed.
            on_reset: hears that the node's journal is another one than before.
            now_ms: the clock that dates what is seen.
        """
        self.followed = followed
        self._source = source
        self._make = make
        self._is_watched = is_watched
        self._on_page = on_page
        self._on_change = on_change
        self._on_reset = on_reset
        self._now_ms = now_ms
        self._nobody: NodeClient | None = None
        self._reader: NodeClient | None = None
        self._token = ""
        self._look_now = asyncio.Event()
        self._up = asyncio.Event()
        self._asked_who = self._asked_where = -1e9
        self._pause_ms = STREAM_PAUSE_MS

    async def run(self) -> None:
        """Follow the node until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_looking())
                group.create_task(self._keep_listening())
        finally:
            await self._hang_up()

    def look(self) -> None:
        """Look at the node at once."""
        self._look_now.set()

    async def call(self, endpoint: Endpoint[Ask, Answer], ask: Ask, *, deadline_ms: int) -> Answer:
        """Ask the node one question with the read token, renewed if it has ended.

        Raises:
            ControlRefused: there is no token to be had.
            CoopError: as `NodeClient.call`.
        """
        if endpoint.scope is None:
            return await self._within(self._dialled(), endpoint, ask, deadline_ms=deadline_ms)
        reader, used = await self._admitted(), self._token
        try:
            return await self._within(reader, endpoint, ask, deadline_ms=deadline_ms)
        except TokenRejected:
            await self._renew(used)
        reader = await self._admitted()
        return await self._within(reader, endpoint, ask, deadline_ms=deadline_ms)

    async def _within(
        self, client: NodeClient, endpoint: Endpoint[Ask, Answer], ask: Ask, *, deadline_ms: int
    ) -> Answer:
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                return await client.call(endpoint, ask)
        except TimeoutError as late:
            why = f"no answer to {endpoint.name} within {deadline_ms} ms"
            raise Unreachable(where=self.followed.at.url, why=why) from late

    async def module(self, wasm_hash: str) -> ModuleInfo:
        """Return what the node says about a module.

        Raises:
            CoopError, ControlRefused: as `call`.
        """
        ask = GetModule(wasm_hash=wasm_hash)
        return await self.call(GET_MODULE, ask, deadline_ms=LOOK_DEADLINE_MS)

    def _dialled(self) -> NodeClient:
        """Return a client that calls the node as nobody."""
        if self._nobody is None:
            at = self.followed.at
            if not at.url:
                raise Unreachable(where=at.org, why="it has not said yet where it listens")
            self._nobody = self._make(at, network=self._source.network)
        return self._nobody

    async def _admitted(self) -> NodeClient:
        """Return a client that reads; it shares its connections with the one that is nobody."""
        if not self._token:
            self._token = await self._source.token(self.followed.at.org)
        if self._reader is None:
            self._reader = self._dialled().with_token(self._token)
        return self._reader

    async def _renew(self, used: str) -> None:
        """Get a token instead of the one that was `used`, unless somebody else has done so."""
        if used == self._token:
            self._token = await self._source.token(self.followed.at.org, instead_of=used)
            self._reader = None

    async def _hang_up(self) -> None:
        client, self._nobody, self._reader = self._nobody, None, None
        if client is not None:
            await client.close()

    async def _keep_looking(self) -> None:
        while True:
            self._look_now.clear()
            await self._look()
            self._on_change()
            every_ms = LOOK_EVERY_MS if self._is_watched() else LOOK_IDLE_MS
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_ms(time.monotonic() * 1000, every_ms) / 1000):
                    await self._look_now.wait()

    async def _look(self) -> None:
        """Look at the node; once more if it does not answer, then call it down."""
        try:
            try:
                await self._look_once(LOOK_DEADLINE_MS)
            except (Unreachable, OSError):
                await self._look_once(AGAIN_DEADLINE_MS)
        except NotReady as starting:
            self._feel("starting", f"waiting for {', '.join(starting.waiting_for)}")
        except (Unreachable, OSError) as silent:
            self._feel("down", getattr(silent, "why", "") or str(silent))
            await self._ask_where()
        except (CoopError, ControlRefused) as odd:
            # It answers, so it is not down; what it says is shown.
            self.followed.why = str(odd)

    async def _look_once(self, deadline_ms: int) -> None:
        followed = self.followed
        if followed.health != "up":
            await self.call(READY, AskHealth(), deadline_ms=deadline_ms)
        if followed.health != "up" or self._due(self._asked_who, WHO_EVERY_MS):
            followed.info = await self.call(NODE, AskNode(), deadline_ms=deadline_ms)
            self._asked_who = time.monotonic()
        peers = await self.call(PEERS, AskPeers(), deadline_ms=deadline_ms)
        followed.see(peers, now_ms=self._now_ms())
        if followed.cursor is None and peers.journal.sequence > HISTORY_ENTRIES_MAX:
            followed.cursor, followed.skipped = peers.journal, peers.journal.sequence
        self._feel("up", "")

    def _feel(self, health: Health, why: str) -> None:
        self.followed.feel(health, why=why, now_ms=self._now_ms())
        if health == "up":
            self._up.set()
        else:
            self._up.clear()

    @staticmethod
    def _due(last: float, every_ms: int) -> bool:
        return (time.monotonic() - last) * 1000 >= every_ms

    async def _ask_where(self) -> None:
        """Ask where the node listens now; it may have come back elsewhere."""
        if not self._due(self._asked_where, WHERE_EVERY_MS):
            return
        self._asked_where = time.monotonic()
        try:
            nodes = await self._source.nodes()
        except ControlRefused as refused:
            self.followed.why = f"{self.followed.why}; {refused}"
            return
        for at in nodes:
            if at.org == self.followed.at.org and at.url and at != self.followed.at:
                self.followed.at = at
                await self._hang_up()

    async def _keep_listening(self) -> None:
        """Take the node's events, for ever; rest while it is down."""
        while True:
            await self._up.wait()
            used = self._token
            try:
                await self._listen()
            except JournalDiverged:
                self.followed.cursor = None
                self._on_reset(self.followed)
            except TokenRejected:
                with suppress(ControlRefused, CoopError):  # The next look says what is wrong.
                    await self._renew(used)
            except (CoopError, OSError, ControlRefused):
                # A lost stream is the first sign of a node that died: look before trying again.
                self._up.clear()
                self.look()
            await asyncio.sleep(self._pause_ms / 1000)
            self._pause_ms = min(2 * self._pause_ms, STREAM_PAUSE_MS_MAX)

    async def _listen(self) -> None:
        reader = await self._admitted()
        async with aclosing(reader.events(self.followed.cursor)) as pages:
            async for page in pages:
                self.followed.cursor = page.cursor
                self._pause_ms = STREAM_PAUSE_MS
                self._on_page(self.followed, page)
