"""What a presenter does to the network from one page: cut, kill, part, and what heals it.

All of it goes through the supervisor, which checks the token that this process holds and journals
what it does; here is only refused early what would be refused there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from opkit.live.live import Live
from opkit.live.ports import PageRefused

NUMBER_CHARS_MAX: Final = 9

Act = Callable[[Mapping[str, str]], Awaitable[None]]


class Deeds:
    """The acts of one viewer's page that disturb the network, and which list of them is open.

    Attributes:
        chosen: the kind whose list is open; empty if none is.
    """

    def __init__(self, live: Live) -> None:
        """Begin with no list open."""
        self.chosen = ""
        self._live = live
        self.acts: dict[str, Act] = {
            "deeds": self._list,
            "cut": self._do_to_link,
            "loss": self._hinder,
            "delay": self._hinder,
            "partition": self._part,
            "heal": self._heal,
            "kill": self._do_to_node,
            "restart": self._do_to_node,
        }

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the supervisor's answer to what only a presenter may ask.

        Raises:
            PageRefused: this viewer only looks on.
            ControlRefused: the supervisor says no.
        """
        if not self._live.source.may_act:
            raise PageRefused("only the presenter may do that")
        return await self._live.source.ask(do, **arguments)

    async def _do(self, do: str, **arguments: Any) -> None:
        """Have something done, and close the list that its control stood in.

        One that was opened meanwhile stays: the supervisor takes its time, and people go on.
        """
        listed = self.chosen
        await self.ask(do, **arguments)
        if self.chosen == listed:
            self.chosen = ""

    async def _list(self, arguments: Mapping[str, str]) -> None:
        self.chosen = arguments.get("open", "")

    async def _do_to_link(self, arguments: Mapping[str, str]) -> None:
        a, b = argument(arguments, "a"), argument(arguments, "b")
        await self._do(arguments["act"], a=a, b=b)

    async def _hinder(self, arguments: Mapping[str, str]) -> None:
        if arguments["act"] == "loss":
            await self._do("loss", share_permille=_number(arguments, "permille"))
        else:
            await self._do("delay", delay_ms=_number(arguments, "ms"))

    async def _part(self, arguments: Mapping[str, str]) -> None:
        await self._do("partition", groups=[[argument(arguments, "org")]])

    async def _heal(self, arguments: Mapping[str, str]) -> None:
        if "a" in arguments:
            await self._do_to_link(arguments)
            return
        chosen = {"id": _number(arguments, "number")} if "number" in arguments else {}
        await self._do("heal", **chosen)

    async def _do_to_node(self, arguments: Mapping[str, str]) -> None:
        await self._do(arguments["act"], org=argument(arguments, "org"))


def argument(arguments: Mapping[str, str], name: str) -> str:
    """Return what a control came with.

    Raises:
        PageRefused: it came without.
    """
    value = arguments.get(name, "")
    if not value:
        raise PageRefused(f"that control lacks its {name}")
    return value


def _number(arguments: Mapping[str, str], name: str) -> int:
    value = argument(arguments, name)
    if not value.isascii() or not value.isdecimal() or len(value) > NUMBER_CHARS_MAX:
        raise PageRefused(f"that control's {name} is no number")
    return int(value)
