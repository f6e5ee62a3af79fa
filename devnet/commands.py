"""The commands of the control socket: which there are, what they need and take, who does them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devnet import chaos_picks
from devnet.bell import WAIT_MS_MAX
from devnet.chaos_lane import Hindrance
from devnet.chaos_ledger import FOR_MS_DEFAULT
from devnet.grants import Grants, Right
from devnet.network import Network
from devnet.passes import Passes
from devnet.stage import StageDoor
from devnet.state import DevnetError
from opkit.wire.errors import CoopError

NAMES_MAX = 16
TEXT_CHARS_MAX = 128
TOKEN_CHARS_MAX = 4_096
NUMBER_MAX = 2**53 - 1
PACE_PERCENT_MAX = 1_000
"""Ten times as slow as one reads. Source: `opkit.story.pace`."""

Ask = Mapping[str, Any]
"""What was asked, and `by`: the number of the grant under which it was."""

Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: the right a token needs for it, and who does it."""

    right: Right
    do: Callable[[Ask], Awaitable[Answer]]


class Commands:
    """All commands of one devnet."""

    def __init__(
        self,
        *,
        network: Network,
        stage: StageDoor,
        grants: Grants,
        passes: Passes,
        stop: asyncio.Event,
    ) -> None:
        """Keep what commands are done to; `stop` is set by `down`."""
        self._network = network
        self._stage = stage
        self._grants = grants
        self._passes = passes
        self._stop = stop
        self._known = {
            **self._for(Right.READ, status=self._status, disturbances=self._disturbances),
            **self._for(Right.READ, stage=self._look, **{"node-token": self._node_token}),
            **self._for(Right.TELL, **{"stage-open": self._open, "stage-do": self._lead}),
            **self._for(Right.TELL, **{"stage-close": self._close}),
            **self._for(Right.READ, chaos=self._chaos),
            **self._for(Right.CHAOS, loss=self._lose, delay=self._delay, rate=self._narrow),
            **self._for(Right.CHAOS, cut=self._cut, partition=self._partition, heal=self._heal),
            **self._for(Right.CHAOS, kill=self._kill, restart=self._restart, pause=self._pause),
            **self._for(Right.CHAOS, skew=self._skew, save=self._save, hostile=self._hostile),
            **self._for(Right.CHAOS, **{"hostile-stats": self._hostile_stats}),
            **self._for(Right.CHAOS, **{"stop-hostile": self._stop_hostile}),
            **self._for(Right.OWN, **{"pass-time": self._pass_time}),
            **self._for(Right.OWN, grant=self._grant, revoke=self._revoke, down=self._down),
        }

    @staticmethod
    def _for(right: Right, **commands: Callable[[Ask], Awaitable[Answer]]) -> dict[str, Command]:
        return {name: Command(right=right, do=do) for name, do in commands.items()}

    async def obey(self, ask: Ask) -> Answer:
        """Do what an ask says and return the answer.

        Args:
            ask: `{"do": command, "token": …, …}`.

        Raises:
            DevnetError: the token is unknown, there is no such command, the token lacks the right,
                an argument is missing, or it cannot be done.
        """
        name = ask.get("do")
        command = self._known.get(name) if isinstance(name, str) else None
        right = command.right if command else None
        grant = await self._grants.admit(ask.get("token"), do=str(name), right=right)
        if command is None:
            raise DevnetError(f"there is no command {name!r}", hint="see docs/runbook.md")
        try:
            return await command.do({**ask, "by": grant.number})
        except CoopError as failed:
            raise DevnetError(
                f"a node did not follow: {failed}", hint="opkit devnet logs"
            ) from failed

    async def _status(self, ask: Ask) -> Answer:
        said = await self._network.status(look=_yes(ask, "look", default=True))
        return {**said, "stage": self._stage.summary}

    async def _disturbances(self, ask: Ask) -> Answer:
        after, wait_ms = _number(ask, "after", default=0), _wait(ask)
        return await self._network.disturbances.since(after, wait_ms=wait_ms)

    async def _node_token(self, ask: Ask) -> Answer:
        node = self._network.check_runs(_text(ask, "org"))
        instead_of = ask.get("instead_of") or ""
        if not isinstance(instead_of, str) or len(instead_of) > TOKEN_CHARS_MAX:
            raise DevnetError("node-token needs a token in 'instead_of', if anything")
        token = await self._passes.token(node, instead_of=instead_of)
        return {"token": token.token, "expires_at_ms": token.expires_at_ms}

    async def _look(self, ask: Ask) -> Answer:
        return await self._stage.look(_number(ask, "after", default=0), wait_ms=_wait(ask))

    async def _open(self, ask: Ask) -> Answer:
        pace_percent = _number(ask, "pace_percent", default=100)
        if pace_percent > PACE_PERCENT_MAX:
            raise DevnetError(f"a stage's pace is at most {PACE_PERCENT_MAX} percent")
        seed = _number(ask, "seed", default=self._network.state.spec.seed)
        flow = _text(ask, "flow")
        return await self._stage.open(flow=flow, seed=seed, pace_percent=pace_percent)

    async def _lead(self, ask: Ask) -> Answer:
        marker = _text(ask, "marker") if ask.get("marker") else ""
        return await self._stage.do(action=_text(ask, "action"), marker=marker)

    async def _close(self, _: Ask) -> Answer:
        return await self._stage.close()

    async def _chaos(self, _: Ask) -> Answer:
        return {"lasting": self._network.chaos.listed()}

    async def _lose(self, ask: Ask) -> Answer:
        share = _number(ask, "share_permille")
        return await self._hinder(ask, chaos_picks.losing(share), share_permille=share)

    async def _delay(self, ask: Ask) -> Answer:
        delay_ms, jitter_ms = _number(ask, "delay_ms"), _number(ask, "jitter_ms", default=0)
        how = chaos_picks.delaying(delay_ms, jitter_ms)
        return await self._hinder(ask, how, delay_ms=delay_ms, jitter_ms=jitter_ms)

    async def _narrow(self, ask: Ask) -> Answer:
        rate = _number(ask, "rate_kbit_s")
        return await self._hinder(ask, chaos_picks.narrowing(rate), rate_kbit_s=rate)

    async def _cut(self, ask: Ask) -> Answer:
        if "orgs" not in ask:
            both = {**ask, "orgs": [_text(ask, "a"), _text(ask, "b")]}
            return await self._hinder(both, Hindrance(cut=True))
        return await self._hinder(ask, Hindrance(cut=True))

    async def _hinder(self, ask: Ask, how: Hindrance, **facts: Any) -> Answer:
        orgs = _texts(ask, "orgs") if ask.get("orgs") else ()
        seed = _number(ask, "seed", default=self._network.state.spec.seed)
        return await self._network.chaos.hinder(
            str(ask["do"]), orgs, how, for_ms=_for(ask), seed=seed, **facts
        )

    async def _partition(self, ask: Ask) -> Answer:
        groups = ask.get("groups")
        if not isinstance(groups, list) or not 1 <= len(groups) <= NAMES_MAX:
            raise DevnetError(f"partition needs a list 'groups' of 1 to {NAMES_MAX} lists")
        named = [_texts({**ask, "group": group}, "group") for group in groups]
        return await self._network.chaos.partition(named, for_ms=_for(ask))

    async def _kill(self, ask: Ask) -> Answer:
        return await self._network.chaos.kill(_text(ask, "org"), for_ms=_for(ask))

    async def _pause(self, ask: Ask) -> Answer:
        return await self._network.chaos.pause(_text(ask, "org"), for_ms=_for(ask))

    async def _restart(self, ask: Ask) -> Answer:
        org, chaos = _text(ask, "org"), self._network.chaos
        if not ask.get("state"):
            return await chaos.restart(org)
        return await chaos.restart_with(org, _text(ask, "state"), for_ms=_for(ask))

    async def _skew(self, ask: Ask) -> Answer:
        behind_ms = _number(ask, "behind_ms", default=0)
        by_ms = _number(ask, "ahead_ms", default=0) - behind_ms
        return await self._network.chaos.skew(_text(ask, "org"), by_ms, for_ms=_for(ask))

    async def _save(self, ask: Ask) -> Answer:
        return await self._network.chaos.save(_text(ask, "org"), _text(ask, "state"))

    async def _heal(self, ask: Ask) -> Answer:
        chaos = self._network.chaos
        if "a" in ask or "b" in ask:
            return await chaos.heal_link(_text(ask, "a"), _text(ask, "b"))
        return await chaos.heal(_number(ask, "id") if "id" in ask else None)

    async def _hostile(self, ask: Ask) -> Answer:
        kind, against = _text(ask, "kind"), _texts(ask, "against")
        about = _text(ask, "about") if "about" in ask else ""
        return await self._network.hostile(kind, against, by=ask["by"], about=about)

    async def _hostile_stats(self, ask: Ask) -> Answer:
        return await self._network.hostile_stats(_number(ask, "number"))

    async def _stop_hostile(self, ask: Ask) -> Answer:
        return await self._network.stop_hostile(_number(ask, "number"))

    async def _pass_time(self, ask: Ask) -> Answer:
        return await self._network.pass_time(_number(ask, "days"))

    async def _grant(self, ask: Ask) -> Answer:
        scopes, ttl_ms = _texts(ask, "scopes"), _number(ask, "ttl_ms")
        token = self._grants.grant(scopes, ttl_ms=ttl_ms)
        return {"token": token, "expires_at_ms": time.time_ns() // 1_000_000 + ttl_ms}

    async def _revoke(self, ask: Ask) -> Answer:
        self._grants.revoke(_text(ask, "granted"))
        return {}

    async def _down(self, _: Ask) -> Answer:
        self._stop.set()
        return {}


def _text(ask: Ask, name: str) -> str:
    value = ask.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_CHARS_MAX:
        raise DevnetError(f"{ask['do']} needs a text {name!r}")
    return value


def _texts(ask: Ask, name: str) -> tuple[str, ...]:
    value = ask.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= NAMES_MAX:
        raise DevnetError(f"{ask['do']} needs a list {name!r} of 1 to {NAMES_MAX} texts")
    if not all(isinstance(one, str) for one in value):
        raise DevnetError(f"{ask['do']} needs texts in {name!r}")
    return tuple(value)


def _number(ask: Ask, name: str, *, default: int | None = None) -> int:
    value = ask.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_MAX:
        raise DevnetError(f"{ask['do']} needs a whole number {name!r}")
    return value


def _for(ask: Ask) -> int:
    """Return how long a disturbance shall last."""
    return _number(ask, "for_ms", default=FOR_MS_DEFAULT)


def _wait(ask: Ask) -> int:
    return min(_number(ask, "wait_ms", default=0), WAIT_MS_MAX)


def _yes(ask: Ask, name: str, *, default: bool) -> bool:
    value = ask.get(name, default)
    if not isinstance(value, bool):
        raise DevnetError(f"{ask['do']} needs yes or no in {name!r}")
    return value
