"""Why an entry stands, link by link, verified here: the entry, its place, the journal, its cause.

Everything is fetched from the coop's home node and believed for nothing. What could not be fetched
is said; it is never taken for verified.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from opkit.live.asking import SILENT
from opkit.live.decision_proof import decision_links, decision_of
from opkit.live.homes import Home, home_of
from opkit.live.ledger_checks import sums_of
from opkit.live.live import Live
from opkit.live.ports import PageRefused
from opkit.live.verify import verify_task
from opkit.proof.checks import Check, ProofError, Verdict, equal
from opkit.proof.history import read_head_in, verify_entry
from opkit.proof.holds import hold_hash
from opkit.proof.ledger import entry_hash
from opkit.story.report import CheckRecord
from opkit.views.figures import ChainLink
from opkit.views.ledger_entries import moved
from opkit.views.ledger_figures import ProofFigure
from opkit.views.money import account_name, amount_text
from opkit.views.proposals import member_name
from opkit.wire.events import JournalEntry
from opkit.wire.holds import GET_HOLD, GetHold, Hold
from opkit.wire.journal import (
    HEAD,
    INCLUSION,
    AskInclusion,
    AskJournalHead,
    EntryProof,
    ProvenEntry,
)
from opkit.wire.ledger import (
    FIRST_PREVIOUS,
    LEDGER_ENTRY,
    MEMBER_ROOT,
    TREASURY,
    AskEntry,
    Entry,
)

FRESH_MS: Final = 60_000
"""An entry that is younger may be known before its event has come."""

NOTED_WAIT_MS: Final = 2_000
"""For how long that event is awaited."""


@dataclass
class Gathered:
    """What was looked at so far: links, what is kept as proof, and what could not be had."""

    links: list[ChainLink] = field(default_factory=list)
    proof: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, title: str, says: str, checks: tuple[Check, ...]) -> None:
        """Add a link with its checks."""
        records = tuple(CheckRecord(**vars(check)) for check in checks)
        self.links.append(ChainLink(name=name, title=title, says=says, checks=records))


async def prove_entry(live: Live, entry: Entry, *, account: str = "") -> ProofFigure:
    """Return why an entry stands, with every check made here and now.

    Args:
        live: the network.
        entry: as its home node told it.
        account: which of its accounts is asked about; empty: all that got something.

    Raises:
        PageRefused: its home is not followed, or does not hand the entry over.
    """
    home = home_of(live, entry.coop)
    if home is None:
        raise PageRefused("The home node of this ledger is not followed.")
    try:
        entry = await live.call(home.org, LEDGER_ENTRY, AskEntry(coop=home.coop, entry=entry.hash))
    except SILENT as no:
        raise PageRefused(f"{home.title} does not hand the entry over: {no}") from no
    found = Gathered(proof={"entry": entry.model_dump(mode="json")})
    _entry(found, live, entry)
    await _reason(found, live, home, entry, account=account)
    await _place(found, live, home, entry)
    await _journal(found, live, home, entry)
    return ProofFigure(
        subject=entry.hash,
        ok=all(link.ok for link in found.links),
        verified_ms=live.now_ms(),
        chain=tuple(found.links),
        proof=json.dumps(found.proof, indent=2),
        file=f"{entry.coop}.entry-{entry.sequence}.json",
        trouble=" ".join(found.missing),
    )


def _entry(found: Gathered, live: Live, entry: Entry) -> None:
    sums = [
        equal(f"sum-{unit}", expected=0, actual=amount) for unit, amount in sums_of(entry).items()
    ]
    amounts = " and ".join(amount_text(*each) for each in moved(entry))
    found.add(
        "entry",
        f"entry {entry.sequence:,}: {amounts}",
        f"{len(entry.postings)} postings, sum zero in each unit",
        (
            equal("entry-hash", expected=entry_hash(entry), actual=entry.hash),
            equal("entry-network", expected=live.source.network, actual=entry.network),
            *sums,
        ),
    )


async def _reason(found: Gathered, live: Live, home: Home, entry: Entry, *, account: str) -> None:
    """Look at what an entry cites; one that cites nothing needs a right of its poster's."""
    try:
        if entry.corrects is not None:
            await _correction(found, live, home, entry)
        match entry.cause:
            case None:
                _right(found, entry)
            case cause if cause.kind == "decision":
                decided = await decision_of(live, home, decision=cause.id)
                found.proof["decision"] = decided.proof
                found.links += decision_links(decided, entry=entry, account=account)
            case cause if cause.kind == "hold":
                ask = GetHold(coop=home.coop, hold_id=cause.id)
                _hold(found, entry, await live.call(home.org, GET_HOLD, ask))
            case cause if cause.kind == "receipt":
                await _receipt(found, live, cause.id)
            case cause:
                _right(found, entry)
                found.missing.append(f"It names the {cause.kind} {cause.id}, which is not here.")
    except SILENT as no:
        found.missing.append(f"{home.title} does not hand over what it rests on: {no}.")
    except PageRefused as no:
        found.missing.append(str(no))


async def _correction(found: Gathered, live: Live, home: Home, entry: Entry) -> None:
    ask = AskEntry(coop=home.coop, entry=entry.corrects or "")
    other = await live.call(home.org, LEDGER_ENTRY, ask)
    found.proof["corrected"] = other.model_dump(mode="json")
    found.add(
        "corrects",
        f"it puts entry {other.sequence:,} right",
        other.memo,
        (
            equal("corrected-hash", expected=entry.corrects, actual=entry_hash(other)),
            Check(
                name="corrected-earlier",
                ok=other.sequence < entry.sequence,
                expected=f"before {entry.sequence}",
                actual=str(other.sequence),
            ),
        ),
    )


def _right(found: Gathered, entry: Entry) -> None:
    """Look at whether who posted an entry may debit what it debits, without any decision."""
    checks = []
    for each in entry.postings:
        root, _, rest = each.account.partition(":")[2].partition("/")
        if each.amount > 0:
            continue
        if root in TREASURY:
            actual, ok = "no decision is cited", False
            expected = "a decision"
        elif root == MEMBER_ROOT:
            expected, actual = f"{entry.coop}/{rest.partition('/')[0]}", entry.by
            ok = expected == actual
        else:
            expected, actual, ok = "an officer of the coop", entry.by, entry.by != "-"
        name = f"may-debit-{each.account.partition(':')[2]}"
        checks.append(Check(name=name, ok=ok, expected=expected, actual=actual))
    who = "the node itself" if entry.by == "-" else member_name(entry.by)
    says = f"It needs no decision. That it was {who} is the word of the home node."
    found.add("right", f"posted by {who}", says, tuple(checks))


def _hold(found: Gathered, entry: Entry, hold: Hold) -> None:
    found.proof["hold"] = hold.model_dump(mode="json")
    target = sum(each.amount for each in entry.postings if each.account == hold.to_account)
    found.add(
        "hold",
        f"{amount_text(hold.amount, hold.unit)} were held for "
        f"{account_name(hold.to_account, {}).words}",
        hold.memo or f"hold {hold.hold_id}",
        (
            equal("hold-hash", expected=hold_hash(hold), actual=hold.hash),
            equal("hold-entry", expected=entry.hash, actual=hold.entry),
            equal("hold-state", expected="posted", actual=hold.state),
            equal("hold-amount", expected=hold.posted, actual=target),
            Check(
                name="hold-covers",
                ok=hold.posted <= hold.amount,
                expected=f"at most {hold.amount}",
                actual=str(hold.posted),
            ),
        ),
    )


async def _receipt(found: Gathered, live: Live, receipt: str) -> None:
    """Verify the receipt that an entry pays for, if its task is known here."""
    tasks = live.book.tasks.values()
    task = next((each for each in tasks if each.receipt_hash == receipt), None)
    if task is None:
        found.missing.append(f"The task of receipt {receipt} is not known here any more.")
        return
    verified = await verify_task(live, task.task_id)
    if verified.bundle is not None:
        found.proof["receipt"] = verified.bundle.model_dump(mode="json")
    link = ChainLink(
        name="receipt", title="the receipt", says=verified.verdict, checks=verified.checks
    )
    found.links.append(link)


async def _place(found: Gathered, live: Live, home: Home, entry: Entry) -> None:
    title = f"its place: after entry {entry.sequence - 1:,}"
    if entry.sequence == 1:
        cites = equal("first-previous", expected=FIRST_PREVIOUS, actual=entry.previous)
        found.add("place", "its place: the first entry", "Nothing came before it.", (cites,))
        return
    try:
        ask = AskEntry(coop=home.coop, entry=entry.previous)
        before = await live.call(home.org, LEDGER_ENTRY, ask)
    except SILENT as no:
        found.missing.append(f"{home.title} does not hand over the entry before: {no}.")
        return
    found.proof["previous"] = before.model_dump(mode="json")
    found.add(
        "place",
        title,
        "It cites the hash of the one before, so none can be changed or taken out unseen.",
        (
            equal("previous-hash", expected=entry_hash(before), actual=entry.previous),
            equal("previous-sequence", expected=entry.sequence - 1, actual=before.sequence),
        ),
    )


async def _noted_at(live: Live, home: Home, entry: Entry) -> JournalEntry | None:
    """Return the journal's entry of a ledger's; of a fresh one it is awaited for a moment."""
    key = (home.org, entry.hash)
    if live.now_ms() - entry.recorded_ms < FRESH_MS:
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTED_WAIT_MS / 1000):
                while key not in live.book.posted:
                    await live.wait_change(live.revision)
    return live.book.posted.get(key)


async def _journal(found: Gathered, live: Live, home: Home, entry: Entry) -> None:
    """Show that the home node's signed journal holds this very entry."""
    noted = await _noted_at(live, home, entry)
    if noted is None:
        found.missing.append(
            "Where the journal notes it is not known here, or not any more: opkit ledger audit "
            "looks."
        )
        return
    try:
        signed = await live.call(home.org, HEAD, AskJournalHead())
        size = read_head_in(signed.head, network=live.source.network).size
        ask = AskInclusion(sequence=noted.sequence, size=size)
        shown = await live.call(home.org, INCLUSION, ask)
    except SILENT as no:
        found.missing.append(f"{home.title} does not show its journal: {no}.")
        return
    except ProofError as bad:
        unread = Check(name="head-signature", ok=False, expected="verifies", actual=bad.why)
        found.add("journal", *_journalled(home, noted.sequence), (unread,))
        return
    said = noted.model_dump(include=set(ProvenEntry.model_fields))
    proof = EntryProof(head=signed.head, entry=ProvenEntry(**said), path=shown.path)
    verdict = verify_entry(proof, genesis=live.source.genesis)
    found.proof["journal"] = proof.model_dump(mode="json")
    found.add("journal", *_journalled(home, noted.sequence), _noted(verdict, proof, entry))


def _journalled(home: Home, sequence: int) -> tuple[str, str]:
    return (
        f"{home.title} signed for it",
        f"The signed head of its journal covers it, as number {sequence:,}.",
    )


def _noted(verdict: Verdict, proof: EntryProof, entry: Entry) -> tuple[Check, ...]:
    noted = equal("journalled-hash", expected=entry.hash, actual=proof.entry.body.get("hash"))
    return (*verdict.checks, noted)
