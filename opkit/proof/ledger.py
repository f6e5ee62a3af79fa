"""The hash of an entry, the chain of a ledger, and what its postings sum to.

An entry's hash covers its canonical JSON, so whoever reads an entry can hash it again. It is
spelled here directly, for a ledger spells some thousand entries a second; a test shows that it is
the spelling of `opkit.proof.canonical`. Source: RFC 8785, ADR 0040.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from json.encoder import encode_basestring

from opkit.proof.checks import ProofError
from opkit.wire.base import NetworkId, RecordId, Slug
from opkit.wire.ledger import FIRST_PREVIOUS, Cause, Entry, Posting, Unit

_DOMAIN = "opkit ledger entry 1\n"


def entry_hash(entry: Entry) -> RecordId:
    """Return SHA-256 over a domain prefix and the canonical JSON of all but `hash`."""
    return seal(entry, spell_postings(entry.postings))[0]


def seal(entry: Entry, postings: str) -> tuple[RecordId, bytes]:
    """Return the hash that an entry should have, and the canonical JSON of it with that hash.

    Both at once, for they differ by the hash alone; what the entry has as its hash is not read.

    Args:
        postings: the entry's, as `spell_postings` spells them.
    """
    head, tail = _halves(entry, postings)
    digest = hashlib.sha256(f"{_DOMAIN}{head}{tail}".encode()).hexdigest()
    return digest, f'{head}"hash":"{digest}",{tail}'.encode()


def spell_posted(entry: Entry, postings: str) -> bytes:
    """Return the canonical JSON of the event that an entry is journalled by (`EntryPosted`)."""
    return (
        f'{{"cause":{_cause(entry.cause)},"coop":"{entry.coop}","entry_id":"{entry.entry_id}",'
        f'"hash":"{entry.hash}","kind":"{entry.kind}","postings":{postings},'
        f'"sequence":{entry.sequence}}}'
    ).encode()


def spell_postings(postings: Iterable[Posting]) -> str:
    """Return the canonical JSON of postings; their accounts and units need no escaping."""
    rows = [
        f'{{"account":"{each.account}","amount":{each.amount},"unit":"{each.unit}"}}'
        for each in postings
    ]
    return f"[{','.join(rows)}]"


def sums_of(postings: Iterable[Posting]) -> dict[Unit, int]:
    """Return what postings sum to in each unit; all are zero in an entry."""
    sums: dict[Unit, int] = {}
    for each in postings:
        sums[each.unit] = sums.get(each.unit, 0) + each.amount
    return sums


def check_entry(entry: Entry, *, network: NetworkId, coop: Slug, after: Entry | None) -> None:
    """Return if an entry is the one after `after` (the first, if that is None) and sums to zero.

    Raises:
        ProofError: another ledger's, another place, another hash, a sum that is not zero.
    """
    if (entry.network, entry.coop) != (network, coop):
        raise ProofError(f"entry {entry.sequence} belongs to another ledger")
    sequence, previous = (after.sequence, after.hash) if after else (0, FIRST_PREVIOUS)
    if (entry.sequence, entry.previous) != (sequence + 1, previous):
        raise ProofError(f"entry {entry.sequence} does not follow entry {sequence}")
    if entry_hash(entry) != entry.hash:
        raise ProofError(f"entry {entry.sequence} does not have its own hash")
    for unit, total in sums_of(entry.postings).items():
        if total:
            raise ProofError(f"entry {entry.sequence} sums to {total} {unit}")


def _halves(entry: Entry, postings: str) -> tuple[str, str]:
    """Return what comes before the place of `hash`, and what comes after it."""
    corrects = f'"{entry.corrects}"' if entry.corrects else "null"
    day = f'"{entry.effective_on}"' if entry.effective_on else "null"
    head = (
        f'{{"by":"{entry.by}","cause":{_cause(entry.cause)},"coop":"{entry.coop}",'
        f'"corrects":{corrects},"effective_on":{day},"entry_id":"{entry.entry_id}",'
    )
    tail = (
        f'"kind":"{entry.kind}","memo":{encode_basestring(entry.memo)},'
        f'"network":"{entry.network}","postings":{postings},"previous":"{entry.previous}",'
        f'"recorded_ms":{entry.recorded_ms},"sequence":{entry.sequence},'
        f'"world_ms":{entry.world_ms}}}'
    )
    return head, tail


def _cause(cause: Cause | None) -> str:
    return "null" if cause is None else f'{{"id":"{cause.id}","kind":"{cause.kind}"}}'
