"""The history of the demo world: what is posted where, on which network."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from devnet.inprocess import inprocess_world
from devnet.launch import launch
from devnet.seed import history, seed
from devnet.spec import PROFILES, ProfileName, load_world
from opkit.cli.app import main
from opkit.story import World
from opkit.wire.ledger import LEDGER_TRIAL_BALANCE, AskTrialBalance, EntryConflict

DEADLINE_S = 120

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


def test_seeding_twice_changes_nothing_and_other_content_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go() -> None:
        async with inprocess_world("federation", seed=7, seeded=False) as world:
            first = await seed(world)
            before = {coop: await head_of(world, coop) for coop in (RIVER, BRIGHT, HARBOR, CDN)}
            second = await seed(world)

            assert [each.fresh for each in first] == [True] * len(history("federation"))
            assert [each.fresh for each in second] == [False] * len(first)
            assert [each.entry for each in second] == [each.entry for each in first]
            assert before == {coop: await head_of(world, coop) for coop in before}
            keepers = {each.entry.by for each in first}
            orgs = load_world().organisations.values()
            assert keepers == {org.bookkeeper for org in orgs if org.coop}

            other = [each.model_copy(update={"memo": "Other"}) for each in history("federation")]
            monkeypatch.setattr("devnet.seed.history", lambda _: tuple(other))
            with pytest.raises(EntryConflict):
                await seed(world)
            assert before == {coop: await head_of(world, coop) for coop in before}

    asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


async def head_of(world: World, coop: str) -> tuple[int, str]:
    """Return how many entries a coop's ledger has, and the last one's hash; all sum to zero."""
    keeper = world.client(coop, load_world().organisations[coop].bookkeeper)
    trial = await keeper.call(LEDGER_TRIAL_BALANCE, AskTrialBalance(coop=coop))
    assert all(total.sum == 0 for total in trial.units)
    return trial.sequence, trial.hash


def test_a_network_in_one_process_is_seeded_unless_told_otherwise() -> None:
    async def go(*, seeded: bool) -> int:
        async with inprocess_world("three", seed=7, seeded=seeded) as world:
            return (await head_of(world, HARBOR))[0]

    assert asyncio.run(asyncio.wait_for(go(seeded=True), DEADLINE_S)) == 1
    assert asyncio.run(asyncio.wait_for(go(seeded=False), DEADLINE_S)) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
def test_every_start_of_a_devnet_seeds_it_and_the_second_posts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(home))
    count = len(history("three"))
    try:
        for posted, stood in ((count, 0), (0, count)):
            launched = launch(name="t", profile="three", seed=7)
            try:
                launched.wait_ready()
                assert main(["devnet", "seed", "t", "--json"]) == 0
            finally:
                launched.down()
            said = json.loads(capsys.readouterr().out)
            assert (said["posted"], len(said["entries"])) == (0, count)
            log = (launched.folder / "supervisor.log").read_text("utf-8").splitlines()
            told = [line for line in map(json.loads, log) if line["event"] == "seeded"]
            assert (told[-1]["posted"], told[-1]["stood"]) == (posted, stood)
    finally:
        shutil.rmtree(home)
