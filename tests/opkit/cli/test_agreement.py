"""`opkit agreement` on real nodes: decided, signed, altered, exchanged under, settled, ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.launch import launch
from opkit.cli import agreement as command
from opkit.cli.failing import Mistake

Run = Callable[..., Any]
NETWORK = "a" * 26
NAME = "agree"
RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
LAKES = "fingerlakes-cdn"
KEEPERS = (RIVER, BRIGHT, LAKES)

TERMS = """\
parties = ["river-city-tool-library", "brightworks-cooperative"]
facilitator = "fingerlakes-cdn"
arbiter = "fingerlakes-cdn"
title = "Machines for maintenance"
text = "Off-peak access to lathe, drill press and bandsaw, for hours of maintenance."
starts_on = 2026-01-01
term_days = 90
renewable = true
notice_days = 30

[[provisions]]
by = "brightworks-cooperative"
to = "river-city-tool-library"
what = "maintenance hours"
quantity = 20
per = "quarter"

[clearing]
unit = "commons-credits"
imbalance_max = 100
settled = "monthly"
"""


def test_terms_are_read_as_they_are_written_down(tmp_path: Path) -> None:
    toml = tmp_path / "terms.toml"
    toml.write_text(TERMS, "utf-8")
    terms = command.read_terms_file(toml, network=NETWORK)
    assert terms.parties == (BRIGHT, RIVER)
    assert terms.starts_ms == 1_767_225_600_000
    same = tmp_path / "terms.json"
    same.write_text(terms.model_dump_json(), "utf-8")
    assert command.read_terms_file(same, network="b" * 26) == terms


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("term_days = 90", "term_days = 0"), "term_days"),
        (("term_days = 90", ""), "term_days"),
        (("term_days = 90", 'term_days = "90"'), "term_days"),
        (("2026-01-01", '"soon"'), "no day"),
        (('arbiter = "fingerlakes-cdn"', f'arbiter = "{RIVER}"'), "is a party"),
        (('unit = "commons-credits"', 'unit = "pearls"'), "pearls"),
        (("[clearing]", "[clearing"), "terms.toml"),
    ],
)
def test_terms_that_are_none_are_a_mistake(
    tmp_path: Path, change: tuple[str, str], why: str
) -> None:
    file = tmp_path / "terms.toml"
    assert change[0] in TERMS
    file.write_text(TERMS.replace(*change), "utf-8")
    with pytest.raises(Mistake, match=why):
        command.read_terms_file(file, network=NETWORK)


def test_other_files_are_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "terms.json"
    for text in ("[]", "{", '"x"'):
        file.write_text(text, "utf-8")
        with pytest.raises(Mistake):
            command.read_terms_file(file, network=NETWORK)
    file.write_bytes(b" " * (command.TERMS_BYTES_MAX + 1))
    with pytest.raises(Mistake, match="bytes"):
        command.read_terms_file(file, network=NETWORK)


def test_what_is_asked_for_wrongly_is_said_before_a_node_is_asked(run: Run, tmp_path: Path) -> None:
    assert run("agreement", "propose").code == 2
    file = tmp_path / "x.json"
    file.write_text("{}", "utf-8")
    done = run("agreement", "verify", file)
    assert done.code == 2 and "opkit agreement show" in done.err


@pytest.fixture
def world() -> Iterator[Callable[..., Any]]:
    """Hold a network of all five organisations; what is called with it is done to it."""
    launched = launch(name=NAME, profile="federation", seed=7)
    try:
        launched.wait_ready()

        def do(what: str, **arguments: Any) -> None:
            async def done() -> None:
                world: AttachedWorld = await open_world(NAME, run_id="agree", seed=7)
                try:
                    await getattr(world, what)(**arguments)
                finally:
                    await world.close()

            asyncio.run(done())

        yield do
    finally:
        launched.down()


class Assembly:
    """A coop's members at their home node, by commands."""

    def __init__(self, run: Run, coop: str, *members: str) -> None:
        self.run, self.coop, self.members = run, coop, members

    def say(self, *arguments: object, by: int = 0) -> Any:
        return self.run(*arguments, "--as", self.members[by], "--node", self.coop, "--json")

    def good(self, *arguments: object, by: int = 0) -> Any:
        done = self.say(*arguments, by=by)
        assert done.code == 0, done.err
        return done.json

    def vote(self, proposal: str) -> None:
        for number in range(len(self.members)):
            self.good("proposal", "vote", proposal, "yes", by=number)

    def close(self, proposal: str) -> None:
        assert self.good("proposal", "close", proposal)["state"] == "accepted"


def until(run: Run, org: str, agreement: str, state: str) -> Any:
    """Return an agreement as a node shows it, once it stands so there."""
    limit = time.monotonic() + 120
    while True:
        done = run("agreement", "show", agreement, "--node", org, "--as", OFFICER[org], "--json")
        if done.code == 0 and done.json["state"] == state:
            return done.json
        assert time.monotonic() < limit, done.err or done.json["state"]


OFFICER = {RIVER: "mara", BRIGHT: "hugo", LAKES: "edith"}


def shown_alike(run: Run, agreement: str, folder: Path) -> Path:
    """Return the file of an agreement that verifies, the same from each of its keepers."""
    files = {org: folder / f"{org}.json" for org in KEEPERS}
    for org, file in files.items():
        shown = run(
            *("agreement", "show", agreement[:8], "--out", file),
            *("--node", org, "--as", OFFICER[org]),
        )
        assert shown.code == 0, shown.err
    assert len({file.read_bytes() for file in files.values()}) == 1
    verified = run("agreement", "verify", files[RIVER], "--json")
    assert verified.code == 0 and verified.json["status"] == "verified"
    return files[RIVER]


def refuse_forgeries(run: Run, file: Path) -> None:
    """Assert that who alters the terms is found out by everybody, and by each keeper's node."""
    forged = file.with_name("forged.json")
    altered = file.read_bytes().replace(b'"notice_days":30', b'"notice_days":0')
    assert altered != file.read_bytes()
    forged.write_bytes(altered)
    told = run("agreement", "verify", forged, "--json")
    assert told.code == 1
    failed = {each["name"] for each in told.json["checks"] if not each["ok"]}
    assert "terms-named" in failed
    for org in KEEPERS:
        refused = run("agreement", "bring", forged, "--node", org, "--as", OFFICER[org])
        assert refused.code == 1 and "terms-altered" in refused.err
        assert run("agreement", "bring", file, "--node", org, "--as", OFFICER[org]).code == 0


def concluded(made: Any, *sides: Assembly) -> Any:
    """Return an exchange as the first side shows it, once all have it in their books.

    A command tries once; a busy node may answer later than that, and it goes on by itself.
    """
    limit = time.monotonic() + 120
    for side in reversed(sides):
        while True:
            done = side.say("exchange", "show", made["hash"])
            if done.code == 0 and (done.json["state"], done.json["in_doubt"]) == (
                "committed",
                False,
            ):
                break
            assert time.monotonic() < limit, done.err or done.json["state"]
    return done.json


def exchange_and_settle(river: Assembly, bright: Assembly, agreement: str) -> None:
    """Give something under an agreement, see both halves, bring the debt to zero, by commands."""
    parties = ("--agreement", agreement[:6], "--payer", BRIGHT, "--payee", RIVER)
    offer = ("exchange", "offer", *parties, "--id", "lathe-1", "--what", "hours at the lathe")
    made = concluded(bright.good(*offer, "--amount", 40), bright, river)
    assert bright.good(*offer, "--amount", 40)["entry"] == made["entry"]
    again = bright.say(*offer, "--amount", 41)
    assert again.code == 1 and "exchange-conflict" in again.err
    much = bright.say("exchange", "offer", *parties, "--amount", 61)
    assert much.code == 1 and "imbalance" in much.err
    short = river.say(
        "exchange", "offer", "--agreement", agreement[:5], *parties[2:], "--amount", 1
    )
    assert short.code == 2 and "too short" in short.err

    balances = []
    for side in (bright, river):
        shown = side.good("exchange", "show", made["hash"])
        assert shown["state"] == "committed" and shown["evidence"]
        listed = side.good("exchange", "list", "--agreement", agreement[:6], "--max", 1)
        assert [each["hash"] for each in listed["exchanges"]] == [made["hash"]]
        assert side.good("exchange", "list", "--doubt")["exchanges"] == []
        balances += [each["balance"] for each in side.good("clearing", "positions")["positions"]]
    assert sorted(balances) == [-40, 40]

    around = bright.say("clearing", "net", "--with", RIVER)
    assert around.code == 2 and "do not go around" in around.err
    for wrong in ((), ("--leg", "apple:birch"), ("--leg", f"{BRIGHT}:{RIVER}:x:{agreement}")):
        assert bright.say("clearing", "net", *wrong).code == 2
    settle = ("clearing", "settle", "--agreement", agreement[:6], "--period", "2026-01")
    quarter = river.say(*settle[:-1], "2026-Q1")
    assert quarter.code == 1 and "period-wrong" in quarter.err
    concluded(river.good(*settle, "--what", "paid by transfer"), river, bright)
    repeated = river.say(*settle)
    assert repeated.code == 1 and "settlement-done" in repeated.err
    under = ("clearing", "positions", "--agreement", agreement[:6])
    for side in (bright, river):
        assert [each["balance"] for each in side.good(*under)["positions"]] == [0]


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_coops_agree_by_commands_and_their_agreement_outlives_a_killed_node(
    run: Run, world: Callable[..., Any], tmp_path: Path
) -> None:
    river = Assembly(run, RIVER, "mara", "theo", "ines", "pavel")
    bright = Assembly(run, BRIGHT, "hugo", "leila", "bram", "yuki")
    terms = tmp_path / "terms.toml"
    terms.write_text(TERMS, "utf-8")
    first = river.good("agreement", "propose", terms)
    agreement, proposal = first["agreement"], first["proposal_id"]
    river.vote(proposal)
    world("pass_time", days=7)
    river.close(proposal)
    assert river.say("agreement", "sign", proposal).code == 1
    world("pass_time", days=1)
    signed = river.good("agreement", "sign", proposal)
    assert (signed["state"], signed["unsigned"]) == ("proposed", [BRIGHT])
    for org in (BRIGHT, LAKES):
        until(run, org, agreement, "proposed")

    # The other party votes on what its node was told, and the facilitator is gone meanwhile.
    again = bright.good("agreement", "propose", "--adopt", agreement[:12])
    assert again["agreement"] == agreement
    bright.vote(again["proposal_id"])
    world("pass_time", days=7)
    bright.close(again["proposal_id"])
    world("pass_time", days=1)
    world("kill", org=LAKES)
    assert bright.good("agreement", "sign", again["proposal_id"])["state"] == "active"
    until(run, RIVER, agreement, "active")
    world("restart", org=LAKES)
    until(run, LAKES, agreement, "active")
    refuse_forgeries(run, shown_alike(run, agreement, tmp_path))
    exchange_and_settle(river, bright, agreement)
    listed = river.good("agreement", "list", "--state", "active")
    assert [each["agreement"] for each in listed["agreements"]] == [agreement]

    notice = river.good("agreement", "end", agreement)
    river.vote(notice["proposal_id"])
    world("pass_time", days=7)
    river.close(notice["proposal_id"])
    world("pass_time", days=1)
    assert river.good("agreement", "sign", notice["proposal_id"])["state"] == "ending"
    for org in KEEPERS:
        until(run, org, agreement, "ending")
    world("pass_time", days=30)
    for org in KEEPERS:
        assert until(run, org, agreement, "ended")["until_ms"] is not None
    told = [
        json.loads(line)["body"]["after"]
        for line in river.say("events", "tail", "--type", "agreements.turned").out.splitlines()
    ]
    assert told == ["active", "ending", "ended"]
