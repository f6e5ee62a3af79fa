"""What does not add up in what a node tells of a ledger: found here, and told in words.

Nothing of it is believed: every entry's hash is made again, and every sum is added up again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from opkit.proof.ledger import entry_hash
from opkit.views.money import amount_text, unit_name
from opkit.wire.ledger import AccountView, Entry, TrialBalance


def wrong_sums(
    total: TrialBalance, accounts: Sequence[AccountView], *, is_whole: bool
) -> list[str]:
    """Return what is wrong with the sums of a ledger.

    Args:
        total: its trial balance.
        accounts: those of its accounts that were told.
        is_whole: whether these are all, as of the same entry, so that they must add up to it.
    """
    found = [
        f"All accounts in {unit_name(each.unit)} together have {amount_text(each.sum, each.unit)}, "
        "not zero"
        for each in total.units
        if each.sum
    ]
    found += [
        f"In {unit_name(each.unit)} accounts have {amount_text(each.positive, each.unit)} and owe "
        f"{amount_text(-each.negative, each.unit)}, which is not the sum that its node tells"
        for each in total.units
        if each.positive + each.negative != each.sum
    ]
    if not is_whole:
        return found
    sums: Counter[str] = Counter()
    for account in accounts:
        sums[account.unit] += account.balance
    told = {each.unit: each.sum for each in total.units}
    found += [
        f"In {unit_name(unit)} its accounts add up to {amount_text(amount, unit)} here, and to "
        f"{amount_text(told.get(unit, 0), unit)} at its node"
        for unit, amount in sums.items()
        if amount != told.get(unit, 0)
    ]
    return found


def wrong_entries(
    entries: Sequence[Entry], *, network: str, coop: str, is_chain: bool
) -> list[str]:
    """Return what is wrong with entries, newest first.

    Args:
        entries: as a node told them, newest first.
        network: to which they must belong.
        coop: to whose ledger.
        is_chain: whether none between them was left out.
    """
    found = []
    for each in entries:
        name = f"Entry {each.sequence:,}"
        if (each.network, each.coop) != (network, coop):
            found.append(f"{name} is of another ledger")
        if entry_hash(each) != each.hash:
            found.append(f"{name} says something else than its hash does")
        for unit, amount in sums_of(each).items():
            if amount:
                found.append(f"{name} makes {amount_text(amount, unit)} out of nothing")
    if is_chain:
        for newer, older in pairwise(entries):
            if newer.previous != older.hash or newer.sequence != older.sequence + 1:
                found.append(f"Entry {newer.sequence:,} does not follow entry {older.sequence:,}")
    return found


def sums_of(entry: Entry) -> dict[str, int]:
    """Return what the postings of an entry add up to, by unit: zero in each."""
    sums: dict[str, int] = {}
    for each in entry.postings:
        sums[each.unit] = sums.get(each.unit, 0) + each.amount
    return sums
