"""The history of the demo world: what is posted where, on which network."""

from __future__ import annotations

from collections import Counter

import pytest

from devnet.seed import history
from devnet.spec import PROFILES, ProfileName, load_world

RIVER, BRIGHT, HARBOR, CDN = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
    "fingerlakes-cdn",
)


def balances(profile: ProfileName) -> dict[tuple[str, str], int]:
    """Return what every account comes to by the history, by account and unit."""
    sums: Counter[tuple[str, str]] = Counter()
    for entry in history(profile):
        for posting in entry.postings:
            assert posting.account.startswith(f"{entry.coop}:"), "each ledger has its own accounts"
            sums[posting.account, posting.unit] += posting.amount
    return dict(sums)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_entry_of_it_sums_to_zero_and_has_an_id_of_its_own(profile: ProfileName) -> None:
    entries = history(profile)
    for entry in entries:
        assert sum(posting.amount for posting in entry.postings) == 0
        assert len({posting.unit for posting in entry.postings}) == 1
    ids = [(entry.coop, entry.entry_id) for entry in entries]
    assert len(set(ids)) == len(ids)


def test_each_ledger_tells_it_by_days() -> None:
    days: dict[str, list[str | None]] = {}
    for entry in history("federation"):
        days.setdefault(entry.coop, []).append(entry.effective_on)
    assert days == {
        RIVER: ["2026-01-15", "2026-01-20", "2026-02-15"],
        BRIGHT: ["2026-01-15", "2026-01-20", "2026-02-10", "2026-03-31"],
        HARBOR: ["2026-01-01"],
        CDN: ["2026-02-10", "2026-02-15"],
    }


def test_what_passed_between_two_coops_is_the_same_on_both_sides_with_opposite_sign() -> None:
    sums = balances("federation")
    for line in load_world().passed:
        ours = sums[f"{line.payer}:due/{line.payee}", line.unit]
        theirs = sums[f"{line.payee}:due/{line.payer}", line.unit]
        assert ours == -theirs
    assert sums[f"{CDN}:due/{BRIGHT}", "usd-cents"] == 20_000
    assert sums[f"{CDN}:due/{RIVER}", "usd-cents"] == 15_000
    assert sums[f"{RIVER}:due/{BRIGHT}", "commons-credits"] == 0, "maintenance for equipment"


def test_the_flows_begin_with_the_figures_of_the_world() -> None:
    sums = balances("three")
    assert sums[f"{HARBOR}:reserve", "usd-cents"] == 4_800_000
    assert sums[f"{BRIGHT}:surplus", "patronage-credits"] == 3_840


def test_a_network_without_one_side_has_neither_half() -> None:
    assert {entry.coop for entry in history("three")} == {RIVER, BRIGHT, HARBOR}
    assert not [entry for entry in history("three") if "dues" in entry.entry_id]
