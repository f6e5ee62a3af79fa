"""How one speaks to a supervisor: a Unix socket (mode 0600), one JSON line per ask and answer.

```
{"do": "kill", "token": "…", "org": "harbor-homes-cooperative"}
{"ok": {"at_ms": 1767225600000, "what": "kill", "org": "harbor-homes-cooperative"}}
{"error": "there is no node of 'x'", "hint": "it has: …"}
```
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from devnet.grants import read_owner_token
from devnet.state import DevnetError, system_hint

LINE_BYTES_MAX = 1_048_576
"""The longest ask."""

ANSWER_BYTES_MAX = 5_242_880
"""The longest answer: that of a stage's longest view, and some more. A federation's status has some
20 kB."""

CONNECTIONS_MAX = 128
"""How many may speak to one supervisor at once; on whoever comes later it hangs up.

Each open dashboard waits on two of them, for disturbances and for the stage.
"""

ASK_DEADLINE_MS = 60_000
"""The longest that any command takes."""

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """The supervisor's end: asks of one connection are answered one after another."""

    def __init__(self, *, path: Path, handle: Handler) -> None:
        """Keep where to listen, and who answers (a `DevnetError` becomes an error line)."""
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; only the owner may connect, from the socket's first moment."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._accepted, path=str(self._path), limit=LINE_BYTES_MAX
            )
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening; answers under way are finished first, for a moment."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.2)
        for task in self._tasks:
            task.cancel()
        self._path.unlink(missing_ok=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CONNECTIONS_MAX:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                said = json.dumps(await self._answer(line)).encode("utf-8")
                writer.write(said + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # The other end left, or sent a line longer than any ask.
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            ask = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "an ask is one JSON object on one line", "hint": ""}
        if not isinstance(ask, dict):
            return {"error": "an ask is a JSON object", "hint": ""}
        try:
            return {"ok": await self._handle(ask)}
        except DevnetError as refused:
            return {"error": str(refused), "hint": refused.hint}
        except OSError as failed:
            return {"error": f"the system refused: {failed}", "hint": system_hint(failed)}


async def ask_supervisor(
    socket: Path,
    do: str,
    *,
    token: str | None = None,
    deadline_ms: int = ASK_DEADLINE_MS,
    **arguments: Any,
) -> dict[str, Any]:
    """Return the supervisor's answer to one ask.

    Args:
        socket: where it listens (`DevnetState.socket`).
        do: the command's name.
        token: what says that one may ask; None: the owner's, which lies beside the socket.
        deadline_ms: after how long the answer is given up.

    Raises:
        DevnetError: nobody listens there, the answer did not come, or the supervisor said no.
    """
    token = read_owner_token(socket) if token is None else token
    ask = {"do": do, "token": token, **arguments}
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=ANSWER_BYTES_MAX)
            try:
                writer.write(json.dumps(ask).encode("utf-8") + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
    except TimeoutError:
        raise DevnetError(
            f"the devnet did not answer {do!r} within {deadline_ms} ms", hint="opkit devnet status"
        ) from None
    except (OSError, ValueError) as gone:
        raise DevnetError(f"the devnet does not answer: {gone}", hint="opkit devnet up") from gone
    if not line:
        raise DevnetError("the devnet ended before it answered", hint="opkit devnet logs")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise DevnetError(said["error"], hint=said.get("hint", ""))
    answer: dict[str, Any] = said["ok"]
    return answer
