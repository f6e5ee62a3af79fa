"""Recording what a viewer would see of a telling, so that it can be shown again without a network.

The story is told step by step: before the next one begins, all that came of the last has reached
the screen. Time to read is added between them, not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from opkit.live.live import Live
from opkit.live.ports import ControlRefused, NodeAt, Page, Source
from opkit.live.session import Cards
from opkit.live.staged import Staged
from opkit.proof.genesis import GenesisView
from opkit.story.lead import OVER
from opkit.story.stage import Action, Mode, Stage, StageView
from opkit.views.replay import Change, Moment, Patch, Recording, ReplayPage
from opkit.wire.base import NetworkId
from opkit.wire.errors import CoopError
from opkit.wire.network import PEERS, AskPeers

TAKE_EVERY_MS = 100
"""The least time between two patches: what is quicker is not seen in a replay either."""

RECORDING_CHARS_MAX = 16 * 2**20
"""After so much, only the ends of steps are recorded."""

SETTLE_DEADLINE_MS = 3_000
"""How long to wait until what a step did has been read from every node's journal."""

TELLING_DEADLINE_MS = 600_000

LEFT_OUT: Final = frozenset({"transport", "deeds"})
"""Cards of controls: a replay has its own."""

WIDEST: Final = "\uffff"
"""The last character that JavaScript counts as one."""

_log = logging.getLogger(__name__)


class StagedHere:
    """A network whose stage is in this process, for viewers. Satisfies `Source`."""

    may_act = False

    def __init__(self, source: Source) -> None:
        """Take everything but the stage from `source`."""
        self._source = source
        self._view: StageView | None = None
        self._changed = asyncio.Event()

    @property
    def name(self) -> str:
        """What people call the network."""
        return self._source.name

    @property
    def network(self) -> NetworkId:
        """The network's id."""
        return self._source.network

    @property
    def genesis(self) -> GenesisView:
        """Where trust starts."""
        return self._source.genesis

    def show(self, view: StageView) -> None:
        """Show the stage as it stands now."""
        self._view = view
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[StageView], bool]) -> None:
        """Return once the stage's view is as it should be."""
        while self._view is None or not holds(self._view):
            await self._changed.wait()

    async def nodes(self) -> tuple[NodeAt, ...]:
        """Return the nodes and where they listen now."""
        return await self._source.nodes()

    async def token(self, org: str, *, instead_of: str | None = None) -> str:
        """Return a token for reading from a node."""
        return await self._source.token(org, instead_of=instead_of)

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Answer what is asked about the stage; pass on what only reads.

        Raises:
            ControlRefused: it would change something, or the supervisor says no.
        """
        if do == "stage":
            return await self._look(after=int(arguments["after"]), wait_ms=arguments["wait_ms"])
        if do not in {"status", "disturbances"}:
            raise ControlRefused("a recording only looks")
        return await self._source.ask(do, **arguments)

    async def close(self) -> None:
        """Let go of what is held open."""
        await self._source.close()

    async def _look(self, *, after: int, wait_ms: int) -> dict[str, Any]:
        if self._revision <= after and wait_ms:
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await self._changed.wait()
            except TimeoutError:
                pass  # Nothing has changed, which is an answer.
        shown = None if self._view is None else self._view.model_dump(mode="json")
        return {"view": shown, "revision": self._revision, "flows": []}

    @property
    def _revision(self) -> int:
        return 0 if self._view is None else self._view.revision


class Recorder:
    """Records pages from now on, with time to read added where it is told."""

    def __init__(
        self,
        live: Live,
        pages: Sequence[Page],
        *,
        chars_max: int = RECORDING_CHARS_MAX,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        """Prepare; the recording begins with the first patch.

        Args:
            live: what the pages are drawn from.
            pages: those of one viewer, the first one first; all are recorded beside each other.
            chars_max: after how much only `take` records, and `run` no longer.
            now_ms: a clock that never goes back.
        """
        self._live = live
        self._pages = [(page, Cards(page)) for page in pages]
        self._chars_left = chars_max
        self._now_ms = now_ms
        self._began_ms: int | None = None
        self._held_ms = 0
        self._frames = [page.frame() for page in pages]
        self._shown: list[dict[str, str]] = [{} for _ in pages]
        self._patches: list[Patch] = []
        self._moments: list[Moment] = []

    async def run(self) -> None:
        """Take what changes, until cancelled or until there is too much."""
        while True:
            seen = self._live.revision
            self.take()
            if self._chars_left <= 0:
                _log.warning("the recording is large: only the ends of steps are recorded now")
                return
            await asyncio.sleep(TAKE_EVERY_MS / 1000)
            await self._live.wait_change(seen)

    def take(self) -> None:
        """Record what differs now from what was recorded last."""
        now_ms = self._now_ms()
        if self._began_ms is None:
            self._began_ms = now_ms
        at_ms = now_ms - self._began_ms + self._held_ms
        changes: list[Change] = []
        for index, (_, cards) in enumerate(self._pages):
            patch = cards.patch()
            for card, html in patch["cards"] if patch is not None else ():
                if card not in LEFT_OUT:
                    changes.append(self._change(index, card, html))
        if changes:
            self._patches.append(Patch(at_ms=at_ms, changes=tuple(changes)))
            self._chars_left -= sum(len(each.middle) for each in changes)

    def moment(self, marker: str) -> None:
        """Note that a step has been told, and what came of it has been taken."""
        self.take()
        self._moments.append(Moment(at_ms=self._at_ms, marker=marker))

    def hold(self, for_ms: int) -> None:
        """Add time to read."""
        self._held_ms += for_ms

    def recording(self) -> Recording:
        """Return what was recorded so far."""
        return Recording(
            network=self._live.source.name,
            length_ms=self._at_ms,
            added_ms=self._held_ms,
            pages=tuple(
                ReplayPage(name=page.name, title=page.title, frame=frame)
                for (page, _), frame in zip(self._pages, self._frames, strict=True)
            ),
            patches=tuple(self._patches),
            moments=tuple(self._moments),
        )

    @property
    def _at_ms(self) -> int:
        began_ms = self._now_ms() if self._began_ms is None else self._began_ms
        return self._now_ms() - began_ms + self._held_ms

    def _change(self, page: int, card: str, html: str) -> Change:
        old = self._shown[page].get(card, "")
        self._shown[page][card] = html
        head, tail = _shared(old, html)
        middle = html[head : len(html) - tail]
        return Change(page=page, card=card, head=head, tail=tail, middle=middle)


async def tell_and_record(stage: Stage, here: StagedHere, recorder: Recorder, live: Live) -> None:
    """Tell a whole story and record it; how it went stands in the stage's view and report.

    Args:
        stage: not run yet; it shows itself in `here`, and is closed at the end.
        here: the network that the pages are drawn from.
        recorder: of these pages; it is run here.
        live: follows `here`.

    Raises:
        TimeoutError: the story took longer than any may.
    """
    async with asyncio.timeout(TELLING_DEADLINE_MS / 1000), asyncio.TaskGroup() as group:
        telling = group.create_task(stage.run())
        await here.until(lambda view: view.mode is not Mode.OPENING)
        await _caught_up(stage, live)
        recorder.take()
        recorder.hold(stage.view.pace_ms)
        recording = group.create_task(recorder.run())
        while stage.view.mode not in OVER:
            await _tell_next(stage, here, recorder, live)
        recording.cancel()
        stage.do(Action.STOP)
        await telling


async def _tell_next(stage: Stage, here: StagedHere, recorder: Recorder, live: Live) -> None:
    told = stage.view.told
    stage.do(Action.NEXT)
    await here.until(lambda view: view.told > told or view.mode in OVER)
    await _caught_up(stage, live)
    if stage.view.told > told:
        recorder.moment(stage.view.steps[told].marker)
    recorder.hold(stage.view.pace_ms)


async def _caught_up(stage: Stage, live: Live) -> None:
    """Return once all that a step did is known to the pages."""
    await settled(live)
    staged = live.shared(Staged, Staged)
    await _until(live, lambda: staged.view == stage.view)


async def settled(live: Live) -> None:
    """Return once every node is up and all it has done until now has been read from its journal.

    None is waited for longer than a few seconds: what is late then shows later.
    """
    try:
        async with asyncio.timeout(SETTLE_DEADLINE_MS / 1000):
            await _until(live, lambda: _all_up(live))
            heads = {org: await _head(live, org) for org in live.followed}
            await _until(live, lambda: all(_has_read(live, org, heads[org]) for org in heads))
    except TimeoutError:
        _log.warning("a node's journal was not read to its end within %d ms", SETTLE_DEADLINE_MS)


async def _until(live: Live, holds: Callable[[], bool]) -> None:
    while not holds():
        await live.wait_change(live.revision)


def _all_up(live: Live) -> bool:
    return bool(live.followed) and all(one.health == "up" for one in live.followed.values())


def _has_read(live: Live, org: str, head: int) -> bool:
    cursor = live.followed[org].cursor
    return cursor is not None and cursor.sequence >= head


async def _head(live: Live, org: str) -> int:
    """Return where a node's journal ends now; 0 if it does not say."""
    try:
        return (await live.call(org, PEERS, AskPeers())).journal.sequence
    except (CoopError, ControlRefused):
        return 0


def _shared(old: str, new: str) -> tuple[int, int]:
    """Return how many characters two texts share at their beginning and at their end.

    None if one holds characters that JavaScript counts as two.
    """
    if max(old, default="") > WIDEST or max(new, default="") > WIDEST:
        return 0, 0
    head = _alike(old, new, most=min(len(old), len(new)))
    tail = _alike(reversed(old), reversed(new), most=min(len(old), len(new)) - head)
    return head, tail


def _alike(one: Iterable[str], other: Iterable[str], *, most: int) -> int:
    pairs = enumerate(islice(zip(one, other, strict=False), most))
    return next((index for index, (a, b) in pairs if a != b), most)
