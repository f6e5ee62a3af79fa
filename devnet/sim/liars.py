"""Nodes that lie: an honest node within, so that they are found and believed, and one lie on top.

What a liar says is well-formed: what is not ends at the frame, and is tested over real transports
(`devnet/hostile.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from devnet.sim.spec import Lie
from devnet.sim.world import Machine, Peer, Silent
from nodeimpl.overlay.port import Cast
from opkit.proof import jws
from opkit.proof.canonical import canonical, parse_canonical
from opkit.wire.base import Did, Wire, b64decode, b64encode
from opkit.wire.dht import (
    CONTACTS_MAX,
    ContactText,
    FindNodes,
    FindRecords,
    NodesFound,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.gossip import Envelope, Gossip
from opkit.wire.records import Carried

FORGED_EVERY_MS = 1_000
FLOOD_EVERY_MS = 50
FLOOD_ENVELOPES = 20
"""How many forged messages a flood has in each frame: 400 a second to each peer."""

SEEN_MAX = 1_024


class Liar:
    """Somebody who takes part as everybody does, and lies in one way.

    Attributes:
        honest: the machine within.
    """

    def __init__(
        self,
        honest: Machine,
        *,
        lie: Lie | Literal["sybil"],
        peer: Peer,
        accomplices: Sequence[ContactText],
        nobody: Callable[[], ContactText],
    ) -> None:
        """Lie about what `honest` would say.

        Args:
            accomplices: other liars, to be named as neighbours.
            nobody: makes up a contact that does not exist.
        """
        self.honest = honest
        self._lie = lie
        self._peer = peer
        self._accomplices = accomplices
        self._nobody = nobody
        self._first: dict[tuple[str, str], Carried] = {}
        self._lie_due_ms = 0

    def joined(self, peer: Did, now_ms: int, *, dialled: bool) -> None:
        """Learn that a link stands, and who made it."""
        self.honest.joined(peer, now_ms, dialled=dialled)

    def left(self, peer: Did, now_ms: int) -> None:
        """Learn that it is gone."""
        self.honest.left(peer, now_ms)

    def answered(self, token: int, answer: Wire, now_ms: int) -> None:
        """Learn what came back."""
        self.honest.answered(token, answer, now_ms)

    def failed(self, token: int, why: str, now_ms: int) -> None:
        """Learn that nothing did."""
        self.honest.failed(token, why, now_ms)

    def heard(self, peer: Did, cast: Wire, now_ms: int) -> None:
        """Take a one-way message, and remember what can be told again."""
        if isinstance(cast, Gossip):
            for envelope in cast.publish:
                self._remember(envelope.carried)
        self.honest.heard(peer, cast, now_ms)

    def answer(self, peer: Did, question: Wire, now_ms: int) -> Wire:
        """Answer with a lie, if the question is one that this liar lies about."""
        if self._lie == "silent":
            raise Silent
        if isinstance(question, PutRecord):
            self._remember(question.record)
            if self._lie == "empty":
                return RecordTaken(new=True)
        answer = self.honest.answer(peer, question, now_ms)
        if isinstance(question, FindNodes) and isinstance(answer, NodesFound):
            return NodesFound(contacts=self._contacts(answer.contacts))
        if isinstance(question, FindRecords) and isinstance(answer, RecordsFound):
            records = self._records(question, answer.records)
            return RecordsFound(records=records, contacts=self._contacts(answer.contacts))
        return answer

    def tick(self, now_ms: int) -> None:
        """Do what is due, and announce forgeries."""
        due_ms = self.honest.due_ms()
        if due_ms is not None and due_ms <= now_ms:
            self.honest.tick(now_ms)
        every_ms = {"forged": FORGED_EVERY_MS, "flood": FLOOD_EVERY_MS}.get(self._lie)
        if every_ms is not None and now_ms >= self._lie_due_ms:
            self._lie_due_ms = now_ms + every_ms
            self._announce(FLOOD_ENVELOPES if self._lie == "flood" else 1)

    def flush(self) -> None:
        """Have what is to be sent put into the outbox."""
        self.honest.flush()

    def due_ms(self) -> int | None:
        """Return when something will be due."""
        due_ms = self.honest.due_ms()
        if self._lie not in {"forged", "flood"}:
            return due_ms
        return self._lie_due_ms if due_ms is None else min(due_ms, self._lie_due_ms)

    def _contacts(self, true: tuple[ContactText, ...]) -> tuple[ContactText, ...]:
        if self._lie == "empty":
            return ()
        if self._lie == "sybil":
            return tuple(self._accomplices[:CONTACTS_MAX])
        if self._lie != "wrong":
            return true
        half = self._peer.chance.sample(
            self._accomplices, min(len(self._accomplices), CONTACTS_MAX // 2)
        )
        made_up = [self._nobody() for _ in range(CONTACTS_MAX - len(half))]
        return (*half, *made_up)

    def _records(self, question: FindRecords, true: tuple[Carried, ...]) -> tuple[Carried, ...]:
        first = self._first.get((question.namespace, question.name))
        if self._lie in {"empty", "sybil"}:
            return ()
        if self._lie == "old" and first is not None:
            return (first,)
        if self._lie == "forged":
            return tuple(forged(each) for each in true)
        return true

    def _remember(self, carried: Carried) -> None:
        known = self._first
        if len(known) < SEEN_MAX:
            known.setdefault(named(carried), carried)

    def _announce(self, count: int) -> None:
        known = list(self._first.values())
        if not known:
            return
        chance = self._peer.chance
        lies = tuple(
            Envelope(
                topic="records", carried=forged(known[chance.randrange(len(known))], by=each + 1)
            )
            for each in range(count)
        )
        for did in list(self._peer.links):
            self._peer.outbox.put(Cast(to=did, message=Gossip(publish=lies)))


def named(carried: Carried) -> tuple[str, str]:
    """Return namespace and name that a record claims to be of, unverified: whoever lies, may."""
    payload = jws.peek(carried.jws).payload
    return str(payload["aud"]), str(payload["name"])


def forged(carried: Carried, *, by: int = 1) -> Carried:
    """Return what looks like a later record of its owner: its signature does not hold."""
    header, body, signature = carried.jws.split(".")
    payload = parse_canonical(b64decode(body))
    payload["sequence"] += by
    payload["issued_at_ms"] += by
    return Carried(jws=f"{header}.{b64encode(canonical(payload))}.{signature}", proof=carried.proof)
