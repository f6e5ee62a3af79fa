"""Messages that no honest node believes, and every way to have a node read one.

A message stands where a record is wanted: in gossip, put into the hash table, pushed while two
nodes compare, or where any other method wants something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from devnet.hostile_base import Attack, Line, Scene, asking, framed
from nodeimpl.kernel.clock import Clock
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import Cid, Did, NetworkId
from opkit.wire.dht import PUT
from opkit.wire.gossip import ENVELOPES_MAX
from opkit.wire.peer import FRAME_BYTES_MAX, HELLO, METHODS, OPEN_CASTS
from opkit.wire.reconcile import PUSH
from opkit.wire.records import RECORD_TYP, RecordBody

HOUR_MS = 3_600_000
PAUSE_MS = 50
"""How long a stranger that sends bad messages waits between two of them."""

NESTED = b"[" * 100_000
UNDECODABLE = b"\xff\xfe\x00"


class Scribe:
    """Signs notes with a key, whatever they say.

    Attributes:
        name: under which its notes stand: a name that is its own to write.
    """

    def __init__(self, identity: Identity, *, network: NetworkId, clock: Clock) -> None:
        """Sign for this network, by this clock."""
        self.name = f"{identity.did}/note"
        self.identity = identity
        self._network = network
        self._clock = clock
        self._count = 0

    def note(
        self, *, ahead_ms: int = 0, sequence: int = 0, name: str = "", text: str = "note"
    ) -> str:
        """Return a signed note, another one each time.

        Args:
            ahead_ms: how far in the future it was issued; negative: in the past.
            sequence: the time of issue unless it is said.
            name: its own unless it is said.
            text: what it says, beside a number.
        """
        self._count += 1
        body = self._body(ahead_ms=ahead_ms, sequence=sequence)
        told = {
            "aud": "note",
            "name": name or self.name,
            "value": {"text": f"{text} {self._count}"},
        }
        return self._sign(body | told)

    def blob(self, cid: Cid, *, sequence: int = 0) -> str:
        """Return a signed word that its key keeps a blob.

        Args:
            cid: the blob's name.
            sequence: the time of issue unless it is said.
        """
        body = self._body(ahead_ms=0, sequence=sequence)
        return self._sign(body | {"aud": "blob", "name": cid, "value": {"size_bytes": 1}})

    def _body(self, *, ahead_ms: int, sequence: int) -> dict[str, Any]:
        issued_ms = self._clock.now_ms() + ahead_ms
        return {
            "network": self._network,
            "owner": self.identity.did,
            "sequence": sequence or issued_ms,
            "issued_at_ms": issued_ms,
            "lapses_at_ms": issued_ms + HOUR_MS,
        }

    def _sign(self, body: dict[str, Any]) -> str:
        return jws.sign(RecordBody(**body), typ=RECORD_TYP, identity=self.identity)


Make = Callable[[Scribe], bytes]
"""Makes the bytes that stand where a carried record is wanted; others each time, or the same."""


def carried(token: str) -> bytes:
    """Return a record as it travels."""
    return b'{"jws":"%b"}' % token.encode("ascii")


def unsigned(scribe: Scribe) -> bytes:
    """Return a note without its signature."""
    return carried(f"{scribe.note().rpartition('.')[0]}.")


def forged(scribe: Scribe) -> bytes:
    """Return a note with the signature of another one."""
    return carried(f"{scribe.note().rpartition('.')[0]}.{scribe.note().rpartition('.')[2]}")


def stale(scribe: Scribe) -> bytes:
    """Return a note whose time is over."""
    return carried(scribe.note(ahead_ms=-2 * HOUR_MS))


def future(scribe: Scribe) -> bytes:
    """Return a note that will be issued in an hour."""
    return carried(scribe.note(ahead_ms=HOUR_MS))


def oversized(_scribe: Scribe) -> bytes:
    """Return more bytes than a frame may have."""
    return carried("x" * FRAME_BYTES_MAX)


def nested(_scribe: Scribe) -> bytes:
    """Return JSON that is deeper than any program wants to follow."""
    return NESTED


def undecodable(_scribe: Scribe) -> bytes:
    """Return what is no text in any encoding that JSON has."""
    return UNDECODABLE


class Replayer:
    """Says one thing, then another, and then the first one for ever."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: dict[Did, bytes] = {}

    def __call__(self, scribe: Scribe) -> bytes:
        """Return the first note of a scribe again, once a later one was said."""
        first = self._said.get(scribe.identity.did)
        if first is None:
            self._said[scribe.identity.did] = carried(scribe.note(ahead_ms=-1_000))
            return carried(scribe.note())
        return first


MAKES: Mapping[str, Callable[[], Make]] = {
    "unsigned": lambda: unsigned,
    "forged": lambda: forged,
    "stale": lambda: stale,
    "replayed": Replayer,
    "future": lambda: future,
    "oversized": lambda: oversized,
    "nested": lambda: nested,
    "undecodable": lambda: undecodable,
}
"""Each kind of bad message, and what makes it."""


def gossiped(messages: list[bytes]) -> bytes:
    """Return a cast of gossip that publishes these."""
    assert len(messages) <= ENVELOPES_MAX, "a frame has so many at most"
    each = b",".join(b'{"topic":"records","carried":%b}' % message for message in messages)
    return framed(b'{"publish":[%b]}' % each)


async def gossip(line: Line, message: bytes) -> None:
    """Announce a message to everybody. Raises `TransportError`."""
    stream = await line.casts()
    await stream.send(gossiped([message]))
    await stream.finish()


async def put(line: Line, message: bytes) -> str:
    """Ask a node to keep a message, and return what it says. Raises `TransportError`."""
    return await line.ask(asking(PUT.name, b'{"record":%b}' % message))


async def push(line: Line, message: bytes) -> str:
    """Offer a message to a node that compares, and return what it says; raises as `put`."""
    return await line.ask(asking(PUSH.name, b'{"namespace":"note","records":[%b]}' % message))


async def anywhere(line: Line, message: bytes) -> set[str]:
    """Ask every method with a message for its body; return all that is said; raises as `put`."""
    asked = METHODS.keys() - {HELLO.name, OPEN_CASTS.name}
    return {await line.ask(asking(method, message)) for method in sorted(asked)}


WAYS: tuple[Callable[[Line, bytes], Awaitable[object]], ...] = (put, push, anywhere, gossip)
"""Every way to have a node read a message."""


def telling(kind: str) -> Callable[[Scene, Counter[str]], Attack]:
    """Return what sends bad messages of a kind in every way, without haste."""

    def attack(scene: Scene, tally: Counter[str]) -> Attack:
        make = MAKES[kind]()
        scribe = Scribe(scene.identity, network=scene.genesis.network, clock=scene.clock)

        async def tell(line: Line) -> None:
            while True:
                for way in WAYS:
                    await way(line, make(scribe))
                    tally["sent"] += 1
                    await scene.clock.sleep(PAUSE_MS)

        return tell

    return attack
