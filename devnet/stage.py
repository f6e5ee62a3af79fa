"""The one stage of a devnet: which flow is told on it, how it stands, and the process that tells.

The supervisor imports no flow. A teller is forked when somebody first looks at the stage, says
which flows there are, and waits; it opens keystores only once a stage is opened, and ends with it.
Source: ADR 0017.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from devnet.bell import Bell
from devnet.channels import fork_with_channel
from devnet.forks import ForkServer
from devnet.grants import TTL_MS_MAX, Grants, Right
from devnet.layout import last_line
from devnet.reaper import Child, Reaper
from devnet.saying import say
from devnet.state import DevnetError, DevnetState
from devnet.telling import Telling

HELLO_DEADLINE_MS = 30_000
REST_MS = 10_000
"""How long those who only look are told of a teller that did not start before it is tried again."""

ANSWER_DEADLINE_MS = 10_000
LEAVE_GRACE_MS = 2_000
"""How long a teller may take to let go of the network when its stage is closed."""
END_GRACE_MS = 500
LINE_BYTES_MAX = 4_194_304
"""The longest view: 64 steps, each with checks and receipts."""

OVER = ("ended", "stopped")
RENEWS = ("again", "repeat")
"""What `opkit.story` has under these names: a test compares them, for a supervisor loads no
stories."""

View = dict[str, Any]


@dataclass(eq=False, kw_only=True)
class _Teller:
    """A process that tells; `number` is that of the grant by which it disturbs the network.

    Attributes:
        holds: the network, until the story is over and has let go of it.
        renewing: it is asked for another telling: what it said before that lets nothing go.
    """

    child: Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str
    number: int
    flows: asyncio.Future[list[dict[str, Any]]]
    answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    opened: bool = False
    holds: Telling | None = None
    renewing: bool = False
    dismissed: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class StageDoor:
    """Opens, leads and closes the stage, and tells all who look how it stands."""

    def __init__(
        self,
        *,
        state: DevnetState,
        forks: ForkServer,
        reaper: Reaper,
        grants: Grants,
        end_hostile: Callable[[int], Awaitable[None]],
    ) -> None:
        """Keep the parts; nobody tells yet.

        Args:
            state: the devnet; its specification names the teller's module.
            forks: makes the teller's process.
            reaper: learns how it ends.
            grants: gives it a token of its own.
            end_hostile: ends the hostile peers that were started under a grant, by its number.
        """
        self._state = state
        self._forks = forks
        self._reaper = reaper
        self._grants = grants
        self._end_hostile = end_hostile
        self._log = state.folder / "teller.log"
        self._turn = asyncio.Lock()
        self._bell = Bell()
        self._teller: _Teller | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._flows: list[dict[str, Any]] | None = None
        self._failed: DevnetError | None = None
        self._failed_until = 0.0
        self._view: View | None = None
        self._revision = 1
        self._asked = 0
        self._ending = False

    @property
    def summary(self) -> dict[str, Any] | None:
        """What is told, and how it goes; None if no stage is open."""
        view = self._view
        return {"flow": view["flow"], "mode": view["mode"]} if view is not None else None

    async def look(self, after: int, *, wait_ms: int) -> dict[str, Any]:
        """Return how the stage stands, waiting as long as that is still what `after` stood for.

        Returns:
            `view` (None if no stage is open), `revision` (the `after` of the next ask; it grows
            over all stages), and `flows`, which can be told here.

        Raises:
            DevnetError: the teller cannot be started.
        """
        if self._flows is None:
            async with self._turn:
                await self._learn_flows()
        if after == self._revision:
            await self._bell.wait(wait_ms)
        return {**self._said(), "flows": self._flows}

    async def open(self, *, flow: str, seed: int, pace_percent: int) -> dict[str, Any]:
        """Open the stage for a flow and return how it stands; it opens the network by itself.

        A stage whose story is over gives way; one that is still told does not.

        Raises:
            DevnetError: a stage is open, a story is told here by a command, there is no such flow,
                it cannot be told here, or the teller does not answer.
        """
        async with self._turn:
            if self._view is not None and self._view["mode"] not in OVER:
                raise DevnetError(
                    f"flow {self._view['flow']} is being told", hint="close the stage first"
                )
            if self._teller is not None and self._teller.opened:
                self._check_known(flow)
                self._hold(self._teller, flow)
                await self._dismiss()
            teller = await self._enter()
            self._hold(teller, flow)
            ask = {"flow": flow, "seed": seed, "pace_percent": pace_percent}
            try:
                await self._ask(teller, do="open", token=teller.token, **ask)
            except DevnetError:
                _let_go(teller)
                raise
            teller.opened = True
            return self._said()

    def _hold(self, teller: _Teller, flow: str) -> None:
        """Have nobody else tell on this network meanwhile.

        Raises:
            DevnetError: somebody does.
        """
        if teller.holds is None:
            who = f"flow {flow.upper()}, on the console's stage"
            teller.holds = Telling(self._state.folder, who=who)

    async def do(self, *, action: str, marker: str) -> dict[str, Any]:
        """Have the presenter's action done and return how the stage stands then.

        Raises:
            DevnetError: no stage is open, another telling is wanted while a story is told here by a
                command, the action makes no sense now, or the teller does not answer.
        """
        async with self._turn:
            teller = self._teller
            if teller is None or not teller.opened:
                gone = "no stage is open" if self._view is None else "the teller is gone"
                raise DevnetError(gone, hint="choose a flow and run it")
            teller.renewing = action in RENEWS
            try:
                if teller.renewing and self._view is not None:
                    self._hold(teller, self._view["flow"])
                await self._ask(teller, do="act", action=action, marker=marker)
            finally:
                teller.renewing = False
                self._release_what_is_over(teller)
            return self._said()

    def _release_what_is_over(self, teller: _Teller) -> None:
        """Let others tell once a story is over and its teller has let go of the network."""
        view = self._view
        if view is not None and view["mode"] in OVER and not (view["held"] or teller.renewing):
            _let_go(teller)

    async def close(self) -> dict[str, Any]:
        """Close the stage: the teller lets go of the network and ends. Twice is allowed."""
        async with self._turn:
            await self._dismiss()
            if self._view is not None:
                self._view = None
                self._change()
            return self._said()

    async def end(self) -> None:
        """Close the stage for good, and let nobody wait for it any more."""
        self._ending = True
        self._bell.close()
        await self.close()

    def _check_known(self, flow: str) -> None:
        """Refuse a flow that there is not, before a story that is over has to give way to it."""
        names = [known["name"] for known in self._flows or ()]
        if flow not in names:
            raise DevnetError(f"there is no flow {flow!r}", hint=f"flows: {', '.join(names)}")

    def _said(self) -> dict[str, Any]:
        return {"view": self._view, "revision": self._revision}

    async def _learn_flows(self) -> None:
        """Have a teller say which flows there are; one that could not is not started at each look.

        Raises:
            DevnetError: it cannot be started, or could not a moment ago.
        """
        if self._flows is not None:
            return
        if self._failed is not None and time.monotonic() < self._failed_until:
            raise self._failed
        try:
            await self._enter()
        except DevnetError as failed:
            self._failed = failed
            self._failed_until = time.monotonic() + REST_MS / 1000
            raise

    async def _enter(self) -> _Teller:
        """Return the teller, started if there is none, once it has said which flows there are."""
        if self._ending:
            raise DevnetError("the network is ending", hint="opkit devnet up")
        teller = self._teller or await self._start()
        try:
            async with asyncio.timeout(HELLO_DEADLINE_MS / 1000):
                self._flows = await asyncio.shield(teller.flows)
        except TimeoutError:
            await self._dismiss()
            raise DevnetError(
                f"the teller did not start within {HELLO_DEADLINE_MS} ms",
                hint=f"its log: {self._log}",
            ) from None
        return teller

    async def _start(self) -> _Teller:
        token = self._grants.grant([Right.OWN], ttl_ms=TTL_MS_MAX)
        grant = await self._grants.admit(token, do="stage", right=None)
        ask = {
            "module": self._state.spec.teller_module,
            "call": "run",
            "arguments": [self._state.name, self._state.profile],
            "title": "opkit-teller",
        }
        child, reader, writer = await fork_with_channel(
            ask,
            forks=self._forks,
            reaper=self._reaper,
            log=self._log,
            line_bytes_max=LINE_BYTES_MAX,
        )
        loop = asyncio.get_running_loop()
        teller = _Teller(
            child=child,
            reader=reader,
            writer=writer,
            token=token,
            number=grant.number,
            flows=loop.create_future(),
        )
        self._teller = teller
        reading = loop.create_task(self._listen(teller))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return teller

    async def _ask(self, teller: _Teller, **ask: Any) -> None:
        """Have the teller do something.

        Raises:
            DevnetError: it said no, has ended, or does not answer.
        """
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        teller.answers[number] = answer
        try:
            teller.writer.write(json.dumps({"id": number, **ask}).encode("utf-8") + b"\n")
            async with asyncio.timeout(ANSWER_DEADLINE_MS / 1000):
                said = await answer
        except TimeoutError:
            raise DevnetError(
                f"the teller did not answer within {ANSWER_DEADLINE_MS} ms",
                hint="close the stage; that ends it",
            ) from None
        finally:
            del teller.answers[number]
        if "error" in said:
            raise DevnetError(said["error"], hint=said["hint"])

    async def _listen(self, teller: _Teller) -> None:
        """Take what a teller says until it ends, and show it if nobody told it to."""
        try:
            while line := await teller.reader.readline():
                self._hear(teller, json.loads(line))
        except (ConnectionError, ValueError) as broken:
            say("teller-broken", why=str(broken))
        finally:
            teller.writer.close()
        await self._bury(teller)

    def _hear(self, teller: _Teller, said: dict[str, Any]) -> None:
        if "view" in said:
            if self._teller is teller and not teller.dismissed:
                self._view = said["view"]
                self._release_what_is_over(teller)
                self._change()
        elif "flows" in said:
            teller.flows.set_result(said["flows"])
        else:
            answer = teller.answers.get(said["id"])
            if answer is not None and not answer.done():
                answer.set_result(said)

    async def _bury(self, teller: _Teller) -> None:
        """Wait for a teller's process to end, and clean up what it left behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_GRACE_MS / 1000):
                await teller.child.ended.wait()
        await self._reaper.end(teller.child, grace_ms=END_GRACE_MS)
        self._grants.revoke(teller.token)
        _let_go(teller)
        why = f"the teller is gone, {teller.child.how()}"
        if not teller.dismissed:
            say("teller-ended", how=teller.child.how(), last=last_line(self._log))
        lost = DevnetError(f"{why}: {last_line(self._log)}", hint=f"its log: {self._log}")
        for answer in teller.answers.values():
            if not answer.done():
                answer.set_exception(lost)
        if not teller.flows.done():
            teller.flows.set_exception(lost)
            teller.flows.exception()  # Whoever waits for it hears of it; nobody need wait.
        if self._teller is teller:
            self._teller = None
            if self._view is not None and self._view["mode"] not in OVER and not teller.dismissed:
                self._view = _stopped(self._view, why=f"{why}; run the flow anew")
                self._change()
        if not self._ending:
            await self._end_hostile(teller.number)
        teller.gone.set()

    async def _dismiss(self) -> None:
        """End the teller, if there is one, and return when it is gone."""
        teller = self._teller
        if teller is None:
            return
        teller.dismissed = True
        with suppress(OSError):  # It has hung up already.
            teller.writer.write_eof()
        try:
            async with asyncio.timeout(LEAVE_GRACE_MS / 1000):
                await teller.child.ended.wait()
        except TimeoutError:
            await self._reaper.end(teller.child, grace_ms=END_GRACE_MS)
        await teller.gone.wait()

    def _change(self) -> None:
        self._revision += 1
        if self._view is not None:
            self._view = {**self._view, "revision": self._revision}
        self._bell.ring()


def _let_go(teller: _Teller) -> None:
    """Let others tell on this network."""
    held, teller.holds = teller.holds, None
    if held is not None:
        held.release()


def _stopped(view: View, *, why: str) -> View:
    """Return a view whose telling broke off at the step that ran, or that came next."""
    steps = [
        {**step, "state": "waiting"} if step["state"] == "running" else step
        for step in view["steps"]
    ]
    at = steps[view["told"]]["marker"] if view["told"] < len(steps) else ""
    stopped = {"at": at, "why": why}
    return {**view, "mode": "stopped", "steps": steps, "stopped": stopped, "held": False}
