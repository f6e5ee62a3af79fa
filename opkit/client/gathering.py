"""All that an auditor gathers of a coop at its home node: reading, and nothing else.

What is answered is kept as it came, to be verified by whoever holds it (`opkit.proof.audited`).
What is refused, or not answered, is a gap with its reason; nobody else is asked, and nothing
is filled in. Source: ADR 0048.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from opkit.proof.agreement import read_agreement_file
from opkit.proof.checks import ProofError
from opkit.proof.history import read_head
from opkit.wire.agreements import (
    LIST_AGREEMENTS,
    READ_AGREEMENT_FILE,
    AgreementFile,
    ListAgreements,
    ReadAgreementFile,
)
from opkit.wire.audit import (
    AGREEMENTS_MAX,
    CHANGES_MAX,
    DECISIONS_MAX,
    ENTRIES_MAX,
    EXCHANGES_MAX,
    GAPS_MAX,
    ChangeAfter,
    CoopEvidence,
    Gap,
    ProofKind,
)
from opkit.wire.base import Count, Slug
from opkit.wire.clearing import (
    LIST_EXCHANGES,
    READ_EXCHANGE,
    AskClearing,
    Evidence,
    ListExchanges,
)
from opkit.wire.errors import Fault, Refusal, Unreachable
from opkit.wire.events import JournalEntry
from opkit.wire.journal import (
    HEAD,
    INCLUSION,
    AskInclusion,
    AskJournalHead,
    EntryProof,
    ProvenEntry,
)
from opkit.wire.ledger import (
    ENTRIES_PER_PAGE_MAX,
    LEDGER_HISTORY,
    AccountConfigured,
    Entry,
    EntryPosted,
    ReadHistory,
)
from opkit.wire.votes import AttestedFile

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

T = TypeVar("T")

TOO_MANY = "too-many"
"""Why something is a gap of which there is more than an audit keeps."""

_KINDS_MAX = 16
"""Room for what is missing of a whole kind, beside what is missing by name."""


async def gather_coop(client: NodeClient, coop: Slug) -> CoopEvidence:
    """Return what the home node of a coop shows to this client, and what it does not.

    Args:
        client: of the home node, by somebody who may read there, by a token for
            `opkit.wire.audit.AUDIT_SCOPES`.
        coop: whose evidence it is.

    Raises:
        WrongNode: whoever answers at that address is another node.
    """
    return await _Gathering(client, coop).run()


@dataclass
class _Gathering:
    """What one coop's home has shown so far."""

    client: NodeClient
    coop: Slug
    unshown: list[Gap] = field(default_factory=list)
    changes: list[ChangeAfter] = field(default_factory=list)
    last: JournalEntry | None = None

    async def run(self) -> CoopEvidence:
        """Ask for all of it, one after another."""
        gathered_ms = self.client.now_ms()
        tie = await self._asked("journal", "", self._tie)
        entries = await self._asked("ledger", "", self._entries)
        return CoopEvidence(
            coop=self.coop,
            home=self.client.node,
            gathered_ms=gathered_ms,
            tie=tie,
            entries=tuple(entries or ()),
            changes=tuple(self.changes),
            decisions=tuple(await self._asked("decision", "", self._decisions) or ()),
            agreements=tuple(await self._asked("agreement", "", self._agreements) or ()),
            exchanges=tuple(await self._asked("exchange", "", self._exchanges) or ()),
            unshown=tuple(self.unshown),
        )

    async def _asked(
        self, kind: ProofKind, named: str, ask: Callable[[], Awaitable[T]]
    ) -> T | None:
        """Return what is answered; otherwise take note of why it is not."""
        try:
            return await ask()
        except Refusal as no:
            why = no.code
        except Unreachable:
            why = "unreachable"
        except Fault:
            why = "fault"
        except _TooMany:
            why = TOO_MANY
        self._lacks(kind, named, why)
        return None

    def _lacks(self, kind: ProofKind, named: str, why: str) -> None:
        """Take note of a gap; of more than an audit keeps, one says for each kind that there is."""
        if named and len(self.unshown) >= GAPS_MAX - _KINDS_MAX:
            named, why = "", TOO_MANY
        gap = Gap(coop=self.coop, kind=kind, named=named, cited_by=None, why=why)
        if gap not in self.unshown[GAPS_MAX - _KINDS_MAX :]:
            self.unshown.append(gap)

    async def _tie(self) -> EntryProof | None:
        """Return the last entry's announcement in the journal, and take note of what came between.

        The head is asked for first: it covers all that is read after it, and no more is read.
        """
        token = (await self.client.call(HEAD, AskJournalHead())).head
        try:
            size = read_head(token, genesis=self.client.genesis).size
        except ProofError as bad:
            raise Fault(where=self.client.node, incident="", why=bad.why) from bad
        said = 0
        async with aclosing(self._announced(size)) as events:
            async for event in events:
                if event.type == AccountConfigured.type:
                    self._change(after=said, said=AccountConfigured.heard(event.body))
                else:
                    self.last, said = event, EntryPosted.heard(event.body).sequence
        if self.last is None:
            return None
        asked = AskInclusion(sequence=self.last.sequence, size=size)
        shown = await self.client.call(INCLUSION, asked)
        fields = self.last.model_dump(include=set(ProvenEntry.model_fields))
        return EntryProof(head=token, entry=ProvenEntry(**fields), path=shown.path)

    async def _announced(self, size: Count) -> AsyncGenerator[JournalEntry, None]:
        """Return what the journal says of this ledger, up to so many entries."""
        async with aclosing(self.client.journal()) as pages:
            async for page in pages:
                for event in page.entries:
                    mine = event.type in {EntryPosted.type, AccountConfigured.type}
                    if mine and event.sequence <= size and event.body["coop"] == self.coop:
                        yield event
                if page.cursor.sequence >= size:
                    return

    def _change(self, *, after: Count, said: AccountConfigured) -> None:
        if len(self.changes) == CHANGES_MAX:
            raise _TooMany
        self.changes.append(ChangeAfter(after=after, said=said))

    async def _entries(self) -> list[Entry]:
        """Return the ledger from its first entry to the last one that the journal announced."""
        until = None if self.last is None else EntryPosted.heard(self.last.body).sequence
        entries: list[Entry] = []
        after = 0
        while True:
            ask = ReadHistory(coop=self.coop, after=after, entries_max=ENTRIES_PER_PAGE_MAX)
            page = await self.client.call(LEDGER_HISTORY, ask)
            entries += [each for each in page.entries if until is None or each.sequence <= until]
            if len(entries) > ENTRIES_MAX:
                raise _TooMany
            if not page.next_after or (until is not None and len(entries) >= until):
                return entries
            after = page.next_after

    async def _decisions(self) -> list[AttestedFile]:
        """Return what leaves the coop of each decision; each that is not shown is a gap."""
        governance = self.client.governance(self.coop)
        files: list[AttestedFile] = []
        async with aclosing(governance.list()) as lines:
            async for line in lines:
                if line.decision is None:
                    continue
                if len(files) == DECISIONS_MAX:
                    raise _TooMany
                hash_, proposal = line.decision, line.proposal

                async def ask(proposal: str = proposal) -> AttestedFile:
                    return await governance.attested(proposal)

                file = await self._asked("decision", hash_, ask)
                files += [] if file is None else [file]
        return files

    async def _agreements(self) -> list[AgreementFile]:
        """Return the agreements of the coop that all parties have signed."""
        files: list[AgreementFile] = []
        before = 0
        while True:
            asked = ListAgreements(party=self.coop, before=before)
            page = await self.client.call(LIST_AGREEMENTS, asked)
            for view in page.agreements:
                if view.unsigned:
                    continue
                if len(files) == AGREEMENTS_MAX:
                    raise _TooMany

                async def ask(agreement: str = view.agreement) -> AgreementFile:
                    said = await self.client.call(
                        READ_AGREEMENT_FILE, ReadAgreementFile(agreement=agreement)
                    )
                    return self._read(said.file)

                file = await self._asked("agreement", view.agreement, ask)
                files += [] if file is None else [file]
            if not page.next_before:
                return files
            before = page.next_before

    def _read(self, data: bytes) -> AgreementFile:
        try:
            return read_agreement_file(data)
        except ProofError as bad:
            raise Fault(where=self.client.node, incident="", why=bad.why) from bad

    async def _exchanges(self) -> list[Evidence]:
        """Return what was signed of each exchange of the coop that has ended."""
        found: list[Evidence] = []
        before = 0
        while True:
            asked = ListExchanges(coop=self.coop, before=before)
            page = await self.client.call(LIST_EXCHANGES, asked)
            for each in page.exchanges:
                if each.in_doubt:
                    continue
                if len(found) == EXCHANGES_MAX:
                    raise _TooMany

                async def ask(hash_: str = each.hash) -> Evidence:
                    said = await self.client.call(
                        READ_EXCHANGE, AskClearing(exchange=hash_, coop=self.coop)
                    )
                    return said.evidence

                evidence = await self._asked("exchange", each.hash, ask)
                found += [] if evidence is None else [evidence]
            if not page.next_before:
                return found
            before = page.next_before


class _TooMany(Exception):
    """There is more than an audit keeps."""
