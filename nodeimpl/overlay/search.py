"""What a lookup is for: to find who is near, to get what stands under a name, to put it there.

Source: ADR 0030.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from nodeimpl.overlay.copies import Copies
from nodeimpl.overlay.lookup import Lookup
from nodeimpl.overlay.port import key_id
from opkit.proof.record import Record, outranks
from opkit.wire.base import Did, Wire
from opkit.wire.dht import (
    ADDRESS_PATTERN,
    ADDRESSES_MAX,
    CONTACTS_MAX,
    ContactText,
    FindNodes,
    FindRecords,
    NodesFound,
    RecordsFound,
)
from opkit.wire.errors import Refusal
from opkit.wire.records import (
    Carried,
    Namespace,
    RecordLapsed,
    RecordName,
    RecordOutdated,
    RecordsExhausted,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a search.

    Attributes:
        records: what stands under the name, of each owner one, tombstones included.
        contacts: who answered, the nearest first; of a search for providers, these.
        kept: how many nodes keep what was put.
        refused: how often what was put was refused, by code.
        hops: after how many the nearest that answered was heard of.
        asked: questions of the lookup; `silent`: those of them that came to nothing.
        took_ms: how long it took.
        liars: who brought what does not verify, or named several contacts that never answered.
    """

    records: tuple[Carried, ...] = ()
    contacts: tuple[ContactText, ...] = ()
    kept: int = 0
    refused: tuple[tuple[str, int], ...] = ()
    hops: int = 0
    asked: int = 0
    silent: int = 0
    took_ms: int = 0
    liars: tuple[Did, ...] = ()


OnDone = Callable[[Outcome], None]

_ADDRESS = re.compile(ADDRESS_PATTERN)


def unheard(outcome: Outcome) -> None:
    """Take an outcome that nobody waits for."""
    del outcome


def contact_text(did: Did, addresses: Iterable[str]) -> ContactText:
    """Return a contact as it travels: the first of its addresses, of those that can."""
    fitting = filter(_ADDRESS.fullmatch, addresses)
    return ContactText(did=did, addresses=tuple(islice(fitting, ADDRESSES_MAX)))


def nowhere(did: Did) -> ContactText | None:
    """Say of nobody where they are."""
    del did
    return None


class Search:
    """A lookup and what it is for; this one is for whoever is near a place.

    Attributes:
        question: what is asked of everybody.
        background: nobody waits for it.
        puts: what is put to the nearest in the end.
        due_ms: when it is to be looked at without an answer; None: that is to be reckoned anew.
    """

    kind = "locate"

    def __init__(
        self,
        target: int,
        *,
        sender: ContactText | None,
        on_done: OnDone,
        background: bool = False,
        puts: Sequence[Carried] = (),
    ) -> None:
        """Prepare to look for `target`."""
        self.target = target
        self.question: Wire = FindNodes(sender=sender, target=f"{target:064x}")
        self.background = background
        self.puts = tuple(puts)
        self.lookup: Lookup | None = None
        self.placing: Placing | None = None
        self.due_ms: int | None = None
        self._on_done = on_done

    def came(self, contact: ContactText, answer: Wire) -> bool:
        """Take an answer in; return False if it is none to this question."""
        if not isinstance(answer, NodesFound):
            return False
        self.path_of().answered(contact.did, answer.contacts)
        return True

    def path_of(self) -> Lookup:
        """Return the lookup, which has begun."""
        assert self.lookup is not None, "it has begun"
        return self.lookup

    def lacks(self) -> bool:
        """Return whether it is still without what it is for: then it asks on, and waits for all."""
        return False

    def cached(self) -> tuple[ContactText, tuple[Carried, ...]] | None:
        """Return who should be given a copy of what, if anybody."""
        return None

    def done(self, at_ms: int) -> None:
        """Tell whoever asked."""
        self._on_done(self.outcome(at_ms))

    def outcome(self, at_ms: int) -> Outcome:
        """Return what came of it."""
        lookup = self.path_of()
        placing = self.placing
        return Outcome(
            records=self.records(),
            contacts=self.contacts(),
            kept=len(placing.kept) if placing else 0,
            refused=tuple(sorted(placing.refused.items())) if placing else (),
            hops=lookup.hops(),
            asked=lookup.asked,
            silent=lookup.silent,
            took_ms=at_ms - lookup.began_ms,
            liars=(*self.forgers(), *lookup.misled_by()),
        )

    def records(self) -> tuple[Carried, ...]:
        """Return what stands under the name."""
        return ()

    def contacts(self) -> tuple[ContactText, ...]:
        """Return who is near."""
        return tuple(self.path_of().closest(CONTACTS_MAX))

    def forgers(self) -> Iterable[Did]:
        """Return who brought what does not verify."""
        return ()


@dataclass(slots=True, eq=False)
class Placing:
    """Records on their way to the nearest nodes.

    Attributes:
        left: what is to be put to whom yet, the last first.
        spare: who is given each record instead of somebody that does not answer, the nearest last.
        under_way: by token, when it is late, and what was put.
        kept: who keeps what they were given.
    """

    left: list[tuple[ContactText, Carried]]
    spare: dict[str, list[ContactText]]
    under_way: dict[int, tuple[int, Carried]] = field(default_factory=dict)
    kept: set[Did] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)

    def instead(self, carried: Carried) -> bool:
        """Put a record to the next nearest too; return whether there is anybody left."""
        spare = self.spare[carried.jws]
        if not spare:
            return False
        self.left.append((spare.pop(), carried))
        return True


class Get(Search):
    """A search for what stands under a name.

    A record is believed once it verifies. With one owner under a name, a path is content when it
    has brought the record that stands highest of all that were brought or are kept here.
    """

    kind = "get"

    def __init__(
        self,
        namespace: Namespace,
        name: RecordName,
        *,
        sender: ContactText | None,
        on_done: OnDone,
        copies: Copies,
        nearer: Callable[[int], int],
        now_ms: Callable[[], int],
        owners_max: int,
    ) -> None:
        """Prepare to look for a name.

        Args:
            copies: what is kept here.
            nearer: how many nodes nearer to a place are known here.
            now_ms: real time.
            owners_max: how many owners may have a record under the name.
        """
        super().__init__(key_id(namespace, name), sender=sender, on_done=on_done)
        self.question = FindRecords(sender=sender, namespace=namespace, name=name)
        self.namespace: Namespace = namespace
        self.name = name
        self._copies = copies
        self._nearer = nearer
        self._now_ms = now_ms
        self._one = owners_max == 1
        self._owners_max = owners_max
        self._found: dict[Did, tuple[Record, Carried]] = {}
        self._lacking: list[ContactText] = []
        self._forgers: dict[Did, None] = {}
        self._note_kept()

    def came(self, contact: ContactText, answer: Wire) -> bool:
        """Take an answer in: what verifies of its records, and its contacts."""
        if not isinstance(answer, RecordsFound):
            return False
        brought = [
            found for carried in answer.records if (found := self._believe(contact, carried))
        ]
        lookup = self.path_of()
        lookup.answered(contact.did, answer.contacts, brought)
        if not brought:
            self._lacking.append(contact)
        if self._one:
            lookup.standing = next((record.id.hex() for record, _ in self._found.values()), None)
        return True

    def records(self) -> tuple[Carried, ...]:
        """Return what stands, of those that were brought and those that are kept here by now."""
        self._note_kept()
        return tuple(carried for _, carried in self._found.values())

    def lacks(self) -> bool:
        """Return whether nothing stands under the name, as far as is known by now."""
        self._note_kept()
        return not self._found

    def bodies(self) -> Iterable[Record]:
        """Return what stands, read."""
        return [record for record, _ in self._found.values()]

    def cached(self) -> tuple[ContactText, tuple[Carried, ...]] | None:
        """Return the nearest that answered without a record, and what it is to be given."""
        if not self._found or not self._lacking:
            return None
        lookup = self.path_of()
        nearest = min(self._lacking, key=lambda one: lookup.answered_by[one.did].distance)
        return nearest, self.records()

    def forgers(self) -> Iterable[Did]:
        """Return who brought what does not verify."""
        return self._forgers

    def _believe(self, contact: ContactText, carried: Carried) -> str | None:
        """Return the id of a record that is believed, or None."""
        try:
            record = self._copies.read(carried)
            if (record.body.aud, record.body.name) != (self.namespace, self.name):
                self._forgers[contact.did] = None
                return None
            self._copies.judge(record, self._now_ms())
            self._copies.take(
                record, carried, now_ms=self._now_ms(), nearer=self._nearer(self.target)
            )
        except (RecordOutdated, RecordsExhausted):
            # It is what it says, though another one stands here, or there is no room for it.
            pass
        except RecordLapsed:
            # Clocks differ: that is no lie.
            return None
        except Refusal:
            self._forgers[contact.did] = None
            return None
        self._note(record, carried)
        return record.id.hex()

    def _note_kept(self) -> None:
        """Note what is kept here: while others were asked, more may have come another way."""
        for carried in self._copies.get(self.namespace, self.name, self._now_ms()):
            self._note(self._copies.read(carried), carried)

    def _note(self, record: Record, carried: Carried) -> None:
        """Remember a record if it is the highest of its owner."""
        owner = record.body.owner
        other = self._found.get(owner)
        if other is None and len(self._found) >= self._owners_max:
            return
        if other is None or outranks(_rank(record), _rank(other[0])):
            self._found[owner] = record, carried


def _rank(record: Record) -> tuple[int, bytes]:
    return record.body.sequence, record.id


class FindProviders(Get):
    """A search for who keeps a blob: over as soon as enough are known."""

    kind = "providers"

    enough = 1
    where: Callable[[Did], ContactText | None] = staticmethod(nowhere)
    """Says where somebody is of whom only a key is known; set by whoever knows."""

    def came(self, contact: ContactText, answer: Wire) -> bool:
        """Take an answer in, and end if it was enough."""
        known = super().came(contact, answer)
        if known and len(self.providers()) >= self.enough:
            self.path_of().stop()
        return known

    def lacks(self) -> bool:
        """Return whether nobody is known who keeps the blob."""
        return super().lacks() or not self.providers()

    def providers(self) -> list[Record]:
        """Return the records of those who say that they keep it, and did not take it back."""
        return [record for record in self.bodies() if record.body.value is not None]

    def contacts(self) -> tuple[ContactText, ...]:
        """Return the providers, those that can be dialled first."""
        found = [self._contact_of(record) for record in self.providers()]
        return tuple(sorted(found, key=lambda contact: not contact.addresses))

    def _contact_of(self, record: Record) -> ContactText:
        owner, value = record.body.owner, record.body.value or {}
        said = contact_text(owner, value.get("addresses", ()))
        if said.addresses:
            return said
        known = self.where(owner)
        if known is None and self.lookup is not None:
            known = self.lookup.contact_of(owner)
        return known or said
