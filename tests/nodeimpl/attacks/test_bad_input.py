"""A table of what nobody should send to a node's front door, and what each of it is answered.

Everything is sent at once to one real node. Each is answered with the status beside it, as a
problem document, or hung up on; the node answers others meanwhile, its memory stays as it was, and
nothing of it is a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("unmeasured_processes"),
]

MEMORY_BYTES_MAX = 48 * 2**20
LOCAL = b"Host: localhost\r\n"
LIVE = b"/v1/health/live"
CHALLENGE = b"/v1/auth/challenge"
TASKS = b"/v1/compute/tasks"
TOKEN = b"@token@"
"""Stands where a member's token is to stand."""
GOOD = b'{"manifest":"a.b.c"}'
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
STREAM = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def ask(path: bytes = LIVE, more: bytes = b"", *, method: bytes = b"GET") -> bytes:
    """Return a request without a body."""
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, path, LOCAL, more)


def post(body: bytes, more: bytes = JSON, *, length: bytes | None = None) -> bytes:
    """Return a member's request with a body."""
    size = b"%d" % len(body) if length is None else length
    more += b"Authorization: Bearer %b\r\nIdempotency-Key: k\r\n" % TOKEN
    return ask(TASKS, b"%bContent-Length: %b\r\n" % (more, size), method=b"POST") + body


def pieces(rest: bytes, more: bytes = JSON + CHUNKED) -> bytes:
    """Return a request whose body comes in chunks, spelled as they are."""
    return ask(CHALLENGE, more, method=b"POST") + rest


def encoded(encoding: str) -> bytes:
    return GOOD.decode().encode(encoding)


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (post(b""), 422),
    "cut off": (post(GOOD[:-1]), 422),
    "more after it": (post(GOOD + b"x"), 422),
    "two documents": (post(GOOD + GOOD), 422),
    "a list": (post(b"[]"), 422),
    "null": (post(b"null"), 422),
    "a list of 200,000 lists": (post(b"[" * 200_000), 422),
    "20,000 objects in each other": (post(b'{"manifest":' * 20_000), 422),
    "deep, and whole": (post(b'{"manifest":' + b"[" * 190 + b"]" * 190 + b"}"), 422),
    "a number of 100,000 digits": (post(b'{"manifest":' + b"9" * 100_000 + b"}"), 422),
    "a number beyond all": (post(b'{"manifest":1e999999}'), 422),
    "not a number": (post(b'{"manifest":NaN}'), 422),
    "infinity": (post(b'{"manifest":-Infinity}'), 422),
    "a member twice": (post(b'{"manifest":"x","manifest":"a.b.c"}'), 422),
    "a member twice, spelled otherwise": (
        post(b'{"manifest":"x","\\u006danifest":"a.b.c"}'),
        422,
    ),
    "a member too many": (post(b'{"manifest":"a.b.c","more":1}'), 422),
    "invalid UTF-8": (post(b'{"manifest":"\xff\xfe"}'), 422),
    "overlong UTF-8": (post(b'{"manifest":"\xc0\x80"}'), 422),
    "UTF-16": (post(encoded("utf-16")), 422),
    "UTF-32": (post(encoded("utf-32-be")), 422),
    "a byte order mark": (post(b"\xef\xbb\xbf" + GOOD), 422),
    "half a surrogate pair": (post(b'{"manifest":"\\ud800"}'), 422),
    "half a surrogate pair as UTF-8": (post(b'{"manifest":"\xed\xa0\x80"}'), 422),
    "NUL": (post(b'{"manifest":"\x00"}'), 422),
    "NUL, escaped": (post(b'{"manifest":"\\u0000"}'), 422),
    "zeros": (post(bytes(60_000)), 422),
    "a form": (post(b"did=x", b"Content-Type: application/x-www-form-urlencoded\r\n"), 422),
    "no type": (post(GOOD, b""), 422),
    "text": (post(GOOD, b"Content-Type: text/plain\r\n"), 422),
    "several parts": (post(GOOD, b"Content-Type: multipart/form-data; boundary=x\r\n"), 422),
    "gzip": (post(gzip.compress(GOOD), JSON + b"Content-Encoding: gzip\r\n"), 422),
    "gzip that is none": (post(GOOD, JSON + b"Content-Encoding: gzip\r\n"), 422),
    "a gzip bomb": (
        post(gzip.compress(b" " * 100_000_000, 9), JSON + b"Content-Encoding: gzip\r\n"),
        422,
    ),
    "a gzip bomb in disguise": (post(gzip.compress(b" " * 100_000_000, 9)), 422),
    "a body with what has none": (ask(LIVE, b"Content-Length: 4\r\n") + b"abcd", 422),
    "longer than the endpoint reads": (post(b"", length=b"300000"), 413),
    "a length of a petabyte": (post(b"{}", length=b"1000000000000000"), 413),
}
"""Bodies, sent by a member, so that each is read."""

FRAMING: dict[str, tuple[bytes, int]] = {
    "a length and chunks": (pieces(b"0\r\n\r\n", CHUNKED + b"Content-Length: 4\r\n"), 400),
    "chunks and a length": (
        pieces(b"0\r\n\r\n" + ask(), b"Content-Length: 4\r\n" + CHUNKED),
        400,
    ),
    "two lengths": (post(b"{}  ", JSON + b"Content-Length: 2\r\n", length=b"4"), 400),
    "a length twice": (post(b"{}", JSON + b"Content-Length: 2\r\n"), 400),
    "a list of lengths": (post(b"{}", length=b"2, 2"), 400),
    "a length with a sign": (post(b"{}", length=b"+2"), 400),
    "a negative length": (post(b"{}", length=b"-1"), 400),
    "a length in hex": (post(b"{}", length=b"0x2"), 400),
    "a length beyond 64 bits": (post(b"{}", length=b"9" * 30), 400),
    "an empty length": (post(b"{}", length=b""), 400),
    "chunks in gzip": (pieces(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked\r\n"), 400),
    "chunks that are none": (pieces(b"0\r\n\r\n", b"Transfer-Encoding: identity\r\n"), 400),
    "xchunked": (pieces(b"0\r\n\r\n", b"Transfer-Encoding: xchunked\r\n"), 400),
    "chunked, identity": (pieces(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity\r\n"), 400),
    "chunked twice": (pieces(b"0\r\n\r\n", CHUNKED + CHUNKED), 400),
    "chunked with a space": (pieces(b"0\r\n\r\n", b"Transfer-Encoding : chunked\r\n"), 400),
    "chunked after a tab": (pieces(b"0\r\n\r\n", b"Transfer-Encoding:\x0bchunked\r\n"), 400),
    "chunks in HTTP/1.0": (pieces(b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "a chunk of no size": (pieces(b"zz\r\n"), 400),
    "a chunk of a negative size": (pieces(b"-1\r\n"), 400),
    "a chunk beyond 64 bits": (pieces(b"f" * 20 + b"\r\n"), 400),
    "a chunk that goes on": (pieces(b"2\r\n{}0\r\n\r\n"), 400),
    "chunks by line feeds": (pieces(b"2\n{}\n0\n\n"), 400),
    "an extension without an end": (pieces(b"1;" + b"a" * 200_000), 431),
    "a length after the chunks": (pieces(b"0\r\nContent-Length: 5\r\n\r\n"), 400),
}
"""Where a request ends: whatever two readers could see differently is refused, and closed."""

HEADS: dict[str, tuple[bytes, int]] = {
    "lines by line feeds": (b"GET /v1/health/live HTTP/1.1\nHost: localhost\n\n", 400),
    "lines by carriage returns": (b"GET /v1/health/live HTTP/1.1\rHost: localhost\r\r", 400),
    "a folded line": (ask(more=b"X: a\r\n b\r\n"), 400),
    "a space in a name": (ask(more=b"X Y: z\r\n"), 400),
    "a name that is no ASCII": (ask(more=b"X\xc3: z\r\n"), 400),
    "no name": (ask(more=b": z\r\n"), 400),
    "no colon": (ask(more=b"Xyz\r\n"), 400),
    "NUL in a value": (ask(more=b"X: a\0b\r\n"), 400),
    "12,000 lines": (ask(more=b"X: y\r\n" * 12_000), 431),
    "a line of 60,000 bytes": (ask(more=b"X: " + b"y" * 60_000 + b"\r\n"), 431),
    "40,000 empty lines": (b"\r\n" * 40_000, 431),
    "no host": (b"GET /v1/health/live HTTP/1.1\r\n\r\n", 404),
    "another host": (b"GET /v1/health/live HTTP/1.1\r\nHost: evil.example\r\n\r\n", 404),
    "another host's metrics": (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 404),
    "two hosts": (ask(more=b"Host: evil.example\r\n"), 400),
    "a host in the target": (ask(b"http://evil.example/v1/health/live"), 404),
    "a user in the host": (ask().replace(b"localhost", b"localhost@evil.example"), 404),
    "a port of seven digits": (ask().replace(b"localhost", b"localhost:8000000"), 404),
    "another version": (ask().replace(b"HTTP/1.1", b"HTTP/9.9"), 400),
    "no version": (b"GET /v1/health/live\r\n\r\n", 404),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a proxy's ask": (ask(b"localhost:80", method=b"CONNECT"), 400),
    "everything": (ask(b"*", method=b"OPTIONS"), 404),
    "an echo": (ask(method=b"TRACE"), 404),
    "another method": (ask(method=b"PUT"), 404),
    "a method that is none": (ask(method=b"BREW"), 400),
    "a method in small letters": (ask(method=b"get"), 400),
    "a path that is no ASCII": (ask(b"/v1/\xff\xfe"), 400),
    "a path with a space": (ask(b"/v1/he alth"), 400),
    "a path that climbs": (ask(b"/v1/../metrics"), 404),
    "a path that climbs, quoted": (ask(b"/v1/%2e%2e/%2e%2e/etc/passwd"), 404),
    "a path with NUL": (ask(b"/v1/%00"), 404),
    "a path that is no UTF-8": (ask(b"/v1/%ff%fe"), 404),
    "a path of quotes": (ask(b"/v1/%zz"), 404),
    "5,000 fields in the query": (ask(LIVE + b"?" + b"a=1&" * 5_000), 422),
    "no field in the query": (ask(LIVE + b"?a"), 422),
    "two tokens": (ask(b"/v1/members", b"Authorization: Bearer a\r\n" * 2), 401),
    "a token that is no ASCII": (ask(b"/v1/members", b"Authorization: Bearer \xff\r\n"), 401),
    "a token of 20,000 letters": (
        ask(b"/v1/members", b"Authorization: Bearer " + b"a" * 20_000 + b"\r\n"),
        401,
    ),
    "a password": (ask(b"/v1/members", b"Authorization: Basic eDp5\r\n"), 401),
    "half a token": (ask(b"/v1/members", b"Authorization: Bearer e30.e30.AA\r\n"), 401),
    "TLS": (b"\x16\x03\x01\x02\x00\x01" + bytes(500), 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
    "mail": (b"EHLO localhost\r\n", 400),
    "70,000 zeros": (bytes(70_000), 400),
    "70,000 bytes of noise": (random.Random(7).randbytes(70_000), 400),
}
"""Heads, and what is no HTTP."""

HANDSHAKES: dict[str, tuple[bytes, int]] = {
    "no key": (ask(b"/v1/events", STREAM.split(b"Sec-WebSocket-Key")[0]), 400),
    "a key that is none": (ask(b"/v1/events", STREAM.replace(b"==", b"")), 400),
    "another version": (ask(b"/v1/events", STREAM.replace(b"13", b"8")), 400),
    "by POST": (ask(b"/v1/events", STREAM, method=b"POST"), 405),
    "with a body": (ask(b"/v1/events", STREAM + b"Content-Length: 4\r\n") + b"abcd", 400),
    "with 2,000 lines": (ask(b"/v1/events", b"X: y\r\n" * 2_000 + STREAM), 431),
    "with a line of 20,000 bytes": (
        ask(b"/v1/events", b"X: " + b"y" * 20_000 + b"\r\n" + STREAM),
        431,
    ),
    "without a token": (ask(b"/v1/events", STREAM), 401),
    "from another site": (ask(b"/v1/events", b"Origin: http://evil.example\r\n" + STREAM), 401),
    "by another name": (ask(b"/v1/events", STREAM).replace(b"localhost", b"evil.example"), 404),
    "elsewhere": (ask(b"/v1/%ff", STREAM), 404),
}
"""Handshakes of WebSockets."""

TABLE = {
    f"{kind}: {name}": row
    for kind, rows in {
        "body": BODIES,
        "framing": FRAMING,
        "head": HEADS,
        "handshake": HANDSHAKES,
    }.items()
    for name, row in rows.items()
}


async def answered(port: int, sent: bytes) -> tuple[int, dict[str, Any] | None]:
    """Send, and return the status and the problem that it is answered with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        body = await reader.readexactly(int(fields[b"content-length"]))
    finally:
        writer.transport.abort()
    is_problem = fields[b"content-type"].startswith(b"application/problem+json")
    return int(head.split(b" ")[1]), json.loads(body) if is_problem else None


async def token_of(node: Any) -> bytes:
    async with node.client() as mara:
        return str((await mara.login()).token).encode()


def test_everything_in_the_table_is_refused_and_the_node_goes_on(attacked: Any) -> None:
    token = asyncio.run(token_of(attacked))

    async def told(name: str) -> str:
        sent, status = TABLE[name]
        sent = sent.replace(TOKEN, token)
        got, problem = await asyncio.wait_for(answered(attacked.port, sent), 100)
        right = got == status and problem is not None and problem["status"] == status
        return "" if right else f"{name}: {got}, not {status}; {problem}"

    async def story() -> None:
        await attacked.health_s()
        before = attacked.memory_bytes()
        for _ in range(3):
            wrong = filter(None, await asyncio.gather(*map(told, TABLE)))
            assert not list(wrong)
            await attacked.health_s()
        assert attacked.memory_bytes() - before < MEMORY_BYTES_MAX

    asyncio.run(asyncio.wait_for(story(), 240))
    for word in (b"Traceback", b'"level":"error"', b'"level":"warning"'):
        assert word not in attacked.log


SLOW = {
    "head": ask(),
    "handshake": ask(b"/v1/events", STREAM),
    "nonsense": b"\r\n" * 100,
}


async def heard(reader: asyncio.StreamReader) -> bytes:
    """Return all that a connection said, until it was closed or reset.

    It is reset where a byte was on its way as it was closed.
    """
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65_536):
            said += piece
    return said


async def dribbled(port: int, sent: bytes) -> bytes:
    """Send a byte a second until the node has had enough; return what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hearing = asyncio.ensure_future(heard(reader))
    for byte in sent:
        writer.write(bytes([byte]))
        done, _ = await asyncio.wait({hearing}, timeout=1)
        if done:
            break
    said = await hearing
    writer.transport.abort()
    return said


def test_a_byte_a_second_has_an_end(attacked: Any) -> None:
    async def story() -> None:
        ends = await asyncio.gather(*(dribbled(attacked.port, each) for each in SLOW.values()))
        assert [end.split(b" ", 2)[1] for end in ends] == [b"408"] * len(SLOW)

    asyncio.run(asyncio.wait_for(story(), 120))
