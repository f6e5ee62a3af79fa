"""What it costs two nodes to keep the same records: comparing, repairing, and filling an empty one.

Both nodes run in this process, and every message goes through the frames that travel between real
ones. What is measured is processor time of both sides together, and bytes in both directions.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.rows import Row, quick, row
from devnet.sim.keys import identity_of, network_of
from nodeimpl.overlay.budgets import Limits
from nodeimpl.overlay.port import Ask, Outbox
from nodeimpl.overlay.reconcile import Reconciler
from nodeimpl.overlay.shelf import Shelf
from nodeimpl.p2p import frames
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.base import Wire
from opkit.wire.peer import METHODS
from opkit.wire.reconcile import COMPARE, FETCH, PUSH, Push, RecordsGiven
from opkit.wire.records import RECORD_TYP, Carried, RecordBody

RECORDS, QUICK_RECORDS = 100_000, 5_000
EMPTY, QUICK_EMPTY = 10_000, 1_000
DIFFERENT = 100
OWNERS = 50
SEED = 7
TIMES = 3
NOW_MS = 1_767_225_600_000
TERM_MS = 30 * 86_400_000
HERE, THERE = "did:key:here", "did:key:there"
ROOM = Limits(coop_records_max=2**20, namespace_records_max=2**20, coop_bytes_max=2**40)
METHOD_OF: dict[type[Wire], str] = {method.ask: method.name for method in (COMPARE, FETCH, PUSH)}


@dataclass
class Between:
    """Two nodes, and what went from one to the other.

    Attributes:
        cpu_s: processor time of both, reading and writing frames included.
        bytes: of all messages; without the records and what stands round them.
    """

    shelves: dict[str, Shelf]
    cpu_s: float = 0.0
    bytes: int = 0
    messages: int = 0
    nodes: dict[str, Reconciler] = field(default_factory=dict)

    def run(self) -> None:
        """Have one node compare with the other until it has nothing more to ask."""
        outboxes = {did: Outbox() for did in self.shelves}
        self.nodes = {
            did: Reconciler(shelf, outbox=outboxes[did], chance=random.Random(SEED))
            for did, shelf in self.shelves.items()
        }
        self.nodes[HERE].joined(THERE, NOW_MS)
        started = time.process_time()
        self.nodes[HERE].tick(NOW_MS + 1_000)
        waiting = deque(outboxes[HERE].take())
        while waiting:
            ask = waiting.popleft()
            assert isinstance(ask, Ask)
            self._carry(ask)
            waiting += outboxes[HERE].take()
        self.cpu_s = time.process_time() - started
        assert self.nodes[HERE].counts["sessions done"] == 1, self.nodes[HERE].counts

    def _carry(self, ask: Ask) -> None:
        """Carry a question and its answer as frames."""
        sent = frames.request(METHOD_OF[type(ask.question)], ask.question)
        request = frames.read_request(sent[frames.LENGTH_BYTES :])
        method = METHODS[request.method]
        question = frames.read_value(method.ask, request.body)
        answer = self.nodes[THERE].answer(HERE, question, NOW_MS)
        back = frames.answer(answer)
        read = frames.read_answer(back[frames.LENGTH_BYTES :])
        said = frames.read_value(method.answer, read.ok or {})
        self.nodes[HERE].answered(ask.token, said, NOW_MS)
        self.messages += 2
        self.bytes += 0 if isinstance(question, Push) else len(sent)
        self.bytes += 0 if isinstance(said, RecordsGiven) else len(back)

    def alike(self) -> bool:
        """Whether both keep the same."""
        here, there = (shelf.ids("note").fingerprint() for shelf in self.shelves.values())
        return here == there


def reconcile() -> list[Row]:
    """Processor time and bytes of sessions, and of what a record costs at the door."""
    owners = [identity_of(SEED, "node", number) for number in range(OWNERS)]
    view = network_of(SEED, owners)
    count = QUICK_RECORDS if quick() else RECORDS
    notes = [_note(view, owners[number % OWNERS], number) for number in range(count)]
    verifier = Verifier(view, verdicts_max=2 * count)
    first = [_us_of_offer(verifier, part) for part in _parts(notes)]
    again = [_us_of_offer(verifier, part) for part in _parts(notes)]
    told = f"{count:,} records on both sides, {DIFFERENT} differ"
    sessions = [_repaired(verifier, notes) for _ in range(TIMES)]
    cpu_ms = [session.cpu_s * 1_000 for session in sessions]
    kilobytes = [session.bytes / 1_000 for session in sessions]
    empty = QUICK_EMPTY if quick() else EMPTY
    fills = [_filled(view, verifier, notes[:empty]) for _ in range(3)]
    return [
        row(f"{told}, CPU", median(cpu_ms), "ms", target="<= 200", of=cpu_ms),
        row(f"{told}, bytes", median(kilobytes), "kB", target="<= 150", of=kilobytes),
        row(f"empty node, {empty:,} records, CPU", median(fills), "s", target="<= 5", of=fills),
        row("record offered, signature checked", median(first), "us", target="", of=first),
        row("record offered, verdict known", median(again), "us", target="", of=again),
    ]


def _note(view: GenesisView, owner: Identity, number: int) -> Carried:
    body = RecordBody(
        network=view.network,
        aud="note",
        name=f"{owner.did}/{number}",
        owner=owner.did,
        sequence=1,
        issued_at_ms=NOW_MS,
        lapses_at_ms=NOW_MS + TERM_MS,
        value={"text": f"note {number}"},
    )
    return Carried(jws=jws.sign(body, typ=RECORD_TYP, identity=owner))


def _parts(notes: Sequence[Carried]) -> list[Sequence[Carried]]:
    size = len(notes) // TIMES
    return [notes[at : at + size] for at in range(0, size * TIMES, size)]


def _offered(shelf: Shelf, notes: Sequence[Carried]) -> None:
    for note in notes:
        shelf.offer(note, NOW_MS)


def _us_of_offer(verifier: Verifier, notes: Sequence[Carried]) -> float:
    """Return the processor time that offering one of the records takes, in us."""
    shelf = Shelf(verifier, ROOM)
    started = time.process_time()
    _offered(shelf, notes)
    return (time.process_time() - started) / len(notes) * 1e6


def _repaired(verifier: Verifier, notes: Sequence[Carried]) -> Between:
    """Return a session of two nodes that lack half of the difference each, with warm trees."""
    half = DIFFERENT // 2
    shelves = {HERE: Shelf(verifier, ROOM), THERE: Shelf(verifier, ROOM)}
    _offered(shelves[HERE], notes[:-half])
    _offered(shelves[THERE], notes[half:])
    for shelf in shelves.values():
        shelf.ids("note").fingerprint()
        forgetful = Verifier(verifier.genesis)
        shelf._verifier = forgetful  # noqa: SLF001 - each node checks by itself what comes to it
    between = Between(shelves)
    between.run()
    assert between.alike()
    return between


def _filled(view: GenesisView, verifier: Verifier, notes: Sequence[Carried]) -> float:
    """Return the processor time in s of both sides until an empty node has all records.

    It checks every signature itself.
    """
    shelves = {HERE: Shelf(Verifier(view), ROOM), THERE: Shelf(verifier, ROOM)}
    _offered(shelves[THERE], notes)
    between = Between(shelves)
    between.run()
    assert between.alike()
    return between.cpu_s
