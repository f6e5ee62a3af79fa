"""One exchange over HTTP with one node: bounded in time and size, and typed in failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opkit.client.asks import Request
from opkit.wire.compute import BLOB_BYTES_MAX
from opkit.wire.errors import Fault, Unreachable

if TYPE_CHECKING:
    import ssl

    import httpx

    from opkit.client.pinning import Pin

ANSWER_BYTES_MAX = 2 * BLOB_BYTES_MAX
"""The greatest answer that is read: no endpoint answers more, so more is a fault."""


class Transport:
    """An HTTP connection pool to one node, opened at the first exchange.

    Proxies, netrc and other settings of the environment are ignored: a node is called directly.
    """

    def __init__(
        self, *, url: str, http: httpx.AsyncBaseTransport | None, pin: Pin | None = None
    ) -> None:
        """Remember where the node is, and the key that it shows; nothing is opened yet."""
        self._url = url.rstrip("/")
        self._http = http
        self._pin = pin
        self._client: httpx.AsyncClient | None = None

    async def exchange(
        self, request: Request, *, headers: Mapping[str, str], deadline_ms: int
    ) -> tuple[int, bytes]:
        """Send one request and return status and body.

        Raises:
            Unreachable: no whole answer in time; the effect is unknown.
            WrongKey: another key was shown than the node's; nothing was sent.
            Fault: the answer is larger than any answer may be.
        """
        import httpx

        client = self._open()
        try:
            async with client.stream(
                request.method,
                self._url + request.target,
                content=request.body,
                headers={"Content-Type": request.content_type, **headers},
                timeout=max(deadline_ms, 1) / 1000,
            ) as response:
                return response.status_code, await self._body(response)
        except httpx.TimeoutException as silent:
            why = f"nothing within {deadline_ms} ms"
            raise Unreachable(where=self._url, why=why) from silent
        except (httpx.TransportError, httpx.StreamError) as broken:
            if self._pin is not None:
                self._pin.complain(self._url)
            why = str(broken) or type(broken).__name__
            raise Unreachable(where=self._url, why=why) from broken

    async def close(self) -> None:
        """Close the connections; a later exchange opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._http,
                verify=self._verify(),
                trust_env=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "opkit"},
                limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            )
        return self._client

    def _verify(self) -> ssl.SSLContext | bool:
        """Return by what the other side is known."""
        if self._pin is not None:
            return self._pin.context
        # Loading the machine's certificates takes tens of milliseconds, and plain HTTP, which nodes
        # serve on loopback only, has no use for them.
        return not self._url.startswith("http://")

    async def _body(self, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                why = f"an answer of more than {ANSWER_BYTES_MAX} bytes"
                raise Fault(where=self._url, incident="", why=why)
            chunks.append(chunk)
        return b"".join(chunks)
