"""The demo world as data, held against the figures it must have."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from devnet.seed import history
from devnet.spec import PROFILES, WORLD_FOLDER, DevnetSpec, WorldError, load_world

WORLD = load_world()
OFFICER = 'roles = ["officer"]'

FIGURES = {
    "river-city-tool-library": (5, "community coop, over 400 tools"),
    "brightworks-cooperative": (5, "worker coop, building materials"),
    "harbor-homes-cooperative": (5, "housing coop, 24 units in 3 buildings"),
    "fingerlakes-cdn": (3, "development network, facilitator and auditor of the other three"),
    "unaffiliated": (0, "a node whose owner is a member of no coop"),
}


def test_profile_three_is_its_three_coops_in_order() -> None:
    assert [org.id for org in WORLD.orgs("three")] == [
        "river-city-tool-library",
        "brightworks-cooperative",
        "harbor-homes-cooperative",
    ]


def test_profile_federation_is_three_and_then_the_other_two() -> None:
    assert WORLD.profiles["federation"] == (
        *WORLD.profiles["three"],
        "fingerlakes-cdn",
        "unaffiliated",
    )


def test_every_profile_has_its_organisations() -> None:
    assert tuple(WORLD.profiles) == PROFILES


@pytest.mark.parametrize(("org", "figures"), FIGURES.items())
def test_an_organisation_has_its_members_and_kind(org: str, figures: tuple[int, str]) -> None:
    said = WORLD.organisations[org]
    assert (len(said.members), said.kind) == figures
    assert said.coop == bool(said.members)


def test_all_assemblies_have_quorum_approval_period_and_window() -> None:
    said = WORLD.assembly
    assert (said.quorum_percent, said.approval_percent) == (60, 67)
    assert (said.voting_period_days, said.challenge_window_days) == (7, 1)


def test_names_are_short_and_begin_with_different_letters() -> None:
    names = [member.name for org in WORLD.organisations.values() for member in org.members]
    assert len(names) == 18
    assert len({name[0] for name in names}) == len(names)
    assert max(map(len, names)) <= 5


def test_members_have_their_offices() -> None:
    titles = {
        org.id: sorted(member.title for member in org.members)
        for org in WORLD.organisations.values()
    }
    assert titles["brightworks-cooperative"] == sorted(
        ["secretary", "worker", "worker", "worker", "treasurer"]
    )
    assert titles["river-city-tool-library"] == sorted(
        ["coordinator", "maintenance lead", "member", "member", "member"]
    )
    assert titles["harbor-homes-cooperative"] == sorted(
        ["chair", "treasurer", "secretary", "member", "member"]
    )
    assert titles["fingerlakes-cdn"] == sorted(
        ["executive director", "programme officer", "federation liaison"]
    )


def test_the_patronage_figures_add_up() -> None:
    coop = WORLD.organisations["brightworks-cooperative"]
    hours = [member.q1_hours for member in coop.members]
    assert hours == [120, 115, 104, 98, 87]
    assert sum(hours) == 524
    assert coop.figures.surplus_credits == 3_840
    assert coop.figures.allocations == tuple(largest_remainder(3_840, hours))
    assert coop.figures.allocations == (879, 843, 762, 718, 638)
    assert sum(coop.figures.allocations) == 3_840


def largest_remainder(amount: int, shares: list[int]) -> list[int]:
    """Return `amount` split by `shares`, the last units going to the largest remainders."""
    total = sum(shares)
    parts = [amount * share // total for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: -(amount * shares[i] % total))
    for index in by_remainder[: amount - sum(parts)]:
        parts[index] += 1
    return parts


def test_the_library_has_its_contribution_hours() -> None:
    members = WORLD.organisations["river-city-tool-library"].members
    assert [member.contribution_hours for member in members] == [45, 51, 32, 28, 19]


def test_the_roof_repair_leaves_the_reserve_it_should() -> None:
    figures = WORLD.organisations["harbor-homes-cooperative"].figures
    assert figures.reserve_usd_cents == 4_800_000
    assert figures.roof_quote_usd_cents == 1_200_000
    left = figures.reserve_usd_cents - figures.roof_quote_usd_cents
    assert left == figures.reserve_after_usd_cents == 3_600_000


def test_the_history_stands_in_its_order() -> None:
    said = [
        (line.effective_on, line.payer, line.payee, line.amount, line.unit) for line in WORLD.passed
    ]
    river, bright, cdn = "river-city-tool-library", "brightworks-cooperative", "fingerlakes-cdn"
    assert said == [
        (date(2026, 1, 15), river, bright, 40, "commons-credits"),
        (date(2026, 1, 20), bright, river, 40, "commons-credits"),
        (date(2026, 2, 10), bright, cdn, 20_000, "usd-cents"),
        (date(2026, 2, 15), river, cdn, 15_000, "usd-cents"),
    ]


def test_dues_received_are_those_that_the_history_pays() -> None:
    paid = tuple(line.amount for line in WORLD.passed if line.payee == "fingerlakes-cdn")
    assert WORLD.organisations["fingerlakes-cdn"].figures.dues_usd_cents == paid


def test_opening_figures_are_those_the_flows_begin_with() -> None:
    said = {(line.coop, line.unit): line.amount for line in WORLD.opening}
    assert said == {
        ("harbor-homes-cooperative", "usd-cents"): 4_800_000,
        ("brightworks-cooperative", "patronage-credits"): 3_840,
    }


def test_every_coop_has_officers_and_one_of_them_keeps_its_books() -> None:
    said = {
        org.id: [member.name for member in org.members if "officer" in member.roles]
        for org in WORLD.organisations.values()
        if org.coop
    }
    assert said == {
        "river-city-tool-library": ["Mara", "Theo"],
        "brightworks-cooperative": ["Hugo", "Gwen"],
        "harbor-homes-cooperative": ["Rosa", "Felix", "Nadia"],
        "fingerlakes-cdn": ["Edith", "Joss"],
    }
    for org in WORLD.organisations.values():
        assert all("member" in member.roles for member in org.members)
    keepers = {org.bookkeeper for org in WORLD.organisations.values() if org.coop}
    assert keepers == {
        "river-city-tool-library/mara",
        "brightworks-cooperative/gwen",
        "harbor-homes-cooperative/felix",
        "fingerlakes-cdn/edith",
    }


def test_only_equity_and_what_is_due_may_stand_below_zero() -> None:
    """Where credits come from is named; no member and no reserve can owe."""
    floors = [floor for org in WORLD.organisations.values() for floor in org.floors]
    assert {floor.account.split("/")[0] for floor in floors} == {"equity", "due"}
    assert all(floor.floor < 0 for floor in floors)


def test_every_balance_of_the_history_is_within_its_floor() -> None:
    """On every day of it, on both sides: otherwise it could not be posted."""
    balances: Counter[tuple[str, str]] = Counter()
    floors = {
        (f"{org.id}:{floor.account}", floor.unit): floor.floor
        for org in WORLD.organisations.values()
        for floor in org.floors
    }
    for entry in history("federation"):
        for posting in entry.postings:
            place = (posting.account, posting.unit)
            balances[place] += posting.amount
            assert balances[place] >= floors.get(place, 0), place


def test_an_unknown_key_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    broken_world(tmp_path, "river-city-tool-library", 'colour = "green"\n')
    with pytest.raises(WorldError, match="colour"):
        load_world(tmp_path)


def test_a_profile_of_an_unknown_organisation_is_an_error(tmp_path: Path) -> None:
    broken_world(tmp_path)
    (tmp_path / "unaffiliated.toml").unlink()
    with pytest.raises(WorldError, match="no such organisation: unaffiliated"):
        load_world(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"network\.toml"):
        load_world(tmp_path)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    broken_world(tmp_path, "history", "[[[\n")
    with pytest.raises(WorldError, match=r"history\.toml"):
        load_world(tmp_path)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("coop without members", "has founding members"),
        ("two of one id", "share an id"),
        ("no officer", "an officer"),
    ],
)
def test_a_coop_has_members_of_different_ids(tmp_path: Path, damage: str, why: str) -> None:
    broken_world(tmp_path)
    said = {"id": "unaffiliated", "title": "x", "kind": "x", "coop": True}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    if damage == "two of one id":
        lines += ["[[members]]", 'id = "a"', 'name = "A"', 'title = "t"', OFFICER] * 2
    if damage == "no officer":
        lines += ["[[members]]", 'id = "a"', 'name = "A"', 'title = "t"']
    (tmp_path / "unaffiliated.toml").write_text("\n".join(lines), "utf-8")
    with pytest.raises(WorldError, match=why):
        load_world(tmp_path)


def broken_world(folder: Path, file: str = "", addition: str = "") -> None:
    """Copy the world into `folder`, one file of it with a line in front."""
    for path in WORLD_FOLDER.glob("*.toml"):
        text = path.read_text("utf-8")
        (folder / path.name).write_text((addition if path.stem == file else "") + text, "utf-8")


@pytest.mark.parametrize("name", ["", "Big", "a b", "-a", "a-", "../x", "a" * 33])
def test_a_devnet_is_named_as_a_folder_can_be(name: str) -> None:
    with pytest.raises(ValidationError):
        DevnetSpec(name=name, profile="three")
