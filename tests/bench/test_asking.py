"""The load generator, against a server that notes what it was asked."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.asking import MARK, Asking, ask, compiler, get, post

pytestmark = pytest.mark.slow  # It is compiled first.

_LENGTH = re.compile(rb"Content-Length: (\d+)")
ANSWER = b"HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length: 2\r\n\r\nok"
Answer = Callable[[int], bytes]
"""What is answered to the so-manieth request of a connection; nothing closes it."""


@pytest.fixture(autouse=True)
def _a_compiler() -> None:
    try:
        compiler()
    except RuntimeError as missing:
        pytest.skip(f"not run: {missing}")


class Server:
    """Answers on loopback, one thread for each connection, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[list[bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            self.asked.append([])
            serving = threading.Thread(target=self.serve, args=(one, self.asked[-1]))
            self.threads.append(serving)
            serving.start()

    def serve(self, one: socket.socket, asked: list[bytes]) -> None:
        with one, one.makefile("rb") as incoming:
            while True:
                head = b""
                while (line := incoming.readline()) not in (b"\r\n", b""):
                    head += line
                if not head:
                    return
                length = _LENGTH.search(head)
                body = incoming.read(int(length[1])) if length else b""
                asked.append(head + b"\r\n" + body)
                said = self.answer(len(asked))
                if not said:
                    return
                for piece in (said[:20], said[20:]):  # An answer may come in pieces.
                    one.sendall(piece)


@contextmanager
def server(answer: Answer = lambda _: ANSWER) -> Iterator[Server]:
    running = Server(answer)
    try:
        yield running
    finally:
        running.listener.shutdown(socket.SHUT_RDWR)
        running.listener.close()
        for thread in running.threads:
            thread.join(30)


def test_each_connection_asks_with_its_own_token_and_other_bytes_each_time():
    plan = [
        [post("/up", b"%d:%b" % (n, MARK), token=f"token-{n}", key=b"k" + MARK, kind="text/plain")]
        for n in range(4)
    ]
    with server() as running:
        answers = ask(plan, port=running.port, seconds=20, each_max=25)
    assert sorted((one.connection, one.status) for one in answers) == sorted(
        (n, 200) for n in range(4) for _ in range(25)
    )
    bodies = [request.rsplit(b"\r\n", 1)[1] for asked in running.asked for request in asked]
    assert sorted(bodies) == sorted(b"%d:%016d" % (n, at) for n in range(4) for at in range(25))
    tokens = [set(re.findall(rb"Bearer (\S+)", b"".join(asked))) for asked in running.asked]
    assert sorted(tokens, key=sorted) == [{b"token-%d" % n} for n in range(4)]


def test_a_connection_goes_through_its_requests_in_order_and_then_again():
    plan = [[get("/a", token="t"), get("/b", token="t")]]
    with server() as running:
        ask(plan, port=running.port, seconds=20, each_max=5)
    paths = [request.split(b" ")[1] for request in running.asked[0]]
    assert paths == [b"/a", b"/b", b"/a", b"/b", b"/a"]


def test_refusals_are_told_apart_and_a_lost_connection_is_no_answer():
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
    said = {1: ANSWER, 2: refusal, 3: b""}
    with server(lambda number: said[number]) as running:
        answers = ask([[get("/", token="t")]], port=running.port, seconds=20)
    assert [one.status for one in answers] == [200, 429, 0]


def test_it_ends_in_time_and_says_when_each_request_began_and_how_long_it_took():
    with server() as running:
        asking = Asking([[get("/", token="t")]] * 2, port=running.port, seconds=2, each_max=2**31)
        answers = asking.answers()
    assert {one.connection for one in answers} == {0, 1}
    assert all(one.took_ns > 0 for one in answers)
    for connection in (0, 1):
        began = [one.began_ns for one in answers if one.connection == connection]
        assert began == sorted(began)
        assert began[-1] - began[0] <= 2e9
