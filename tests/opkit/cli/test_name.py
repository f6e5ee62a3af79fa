"""`opkit name` on real nodes: claimed, found from every node, imported in bulk, given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.launch import launch
from opkit.cli import name as command
from opkit.cli.address import Target
from opkit.cli.failing import Mistake

Run = Callable[..., Any]
RIVER = "river-city-tool-library"
NODE = "did:key:z6MkjM8TgC9YaNRVCnpJHozHmwzQgHiVXRHhs7PPCtSshX9D"
HERE = Target(
    url="http://127.0.0.1:1",
    did=NODE,
    network="a" * 26,
    speaker="",
    identity=None,
    operator=None,
    token=None,
    tokens=Path("tokens"),
)
NOTHING = {"type": "", "region": "", "at": "", "alias": ""}


@pytest.mark.parametrize(
    ("said", "endpoints", "why"),
    [
        ({"alias": "saw.yard", "type": "x"}, [], "nothing else"),
        ({"region": "north"}, [], "needs its --type"),
        ({}, ["opkit=/v1"], "needs its --type"),
        ({"type": "machine-booking"}, ["opkit"], "path"),
        ({"type": "Machine Booking"}, [], "type"),
        ({"alias": "saw"}, [], "name"),
    ],
)
def test_what_no_name_stands_for_is_said_before_anything_is_signed(
    said: dict[str, str], endpoints: list[str], why: str
) -> None:
    with pytest.raises(Mistake, match=why):
        command._target(HERE, NOTHING | said, endpoints, [])


def test_a_name_stands_for_the_node_spoken_to_unless_more_is_said() -> None:
    assert command._target(HERE, NOTHING, [], []).kind == "node"
    assert command._target(HERE, NOTHING | {"alias": "saw.yard"}, [], []).kind == "alias"
    service = command._target(HERE, NOTHING | {"type": "booking"}, ["opkit=/v1/x"], ["turn"])
    assert service.kind == "service" and service.node == NODE


@pytest.mark.parametrize(
    ("text", "why"),
    [("x\n", "line 1"), ("{}\n", "line 1"), ('\n{"name": 1}\n', "line 2")],
)
def test_a_file_that_is_no_list_of_names_is_a_mistake(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "names.jsonl"
    with pytest.raises(Mistake, match="no file"):
        command._read_lines(file)
    file.write_text(text, "utf-8")
    with pytest.raises(Mistake, match=why):
        command._read_lines(file)


@pytest.fixture
def ready() -> Iterator[None]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name="names", profile="three", seed=7)
    try:
        launched.wait_ready()
        yield
    finally:
        launched.down()


def until_found(run: Run, name: str, org: str) -> Any:
    """Return a name as the node of an organisation answers it, once it does."""
    limit = time.monotonic() + 100
    while True:
        done = run("name", "get", name, "--node", org, "--json")
        if done.code == 0:
            return done.json
        assert time.monotonic() < limit, done.err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ready")
def test_a_name_is_claimed_found_everywhere_imported_and_given_back(
    run: Run, tmp_path: Path
) -> None:
    held = run("name", "register", "lathe", "--type", "machine-booking", "--json")
    assert held.code == 0, held.err
    assert held.json["name"] == f"lathe.{RIVER}"
    for org in ("harbor-homes-cooperative", "brightworks-cooperative"):
        found = until_found(run, f"lathe.{RIVER}", org)
        assert found["record"] == held.json["record"]
    renewed = run("name", "renew", "lathe", "--days", "30", "--json")
    assert renewed.json["lapses_at_ms"] > held.json["lapses_at_ms"]
    rival = run("name", "register", f"lathe.{RIVER}", "--as", "theo")
    assert rival.code == 1 and "name-taken" in rival.err

    file = tmp_path / "names.jsonl"
    file.write_text("".join(f'{{"name": "tool-{n}"}}\n' for n in range(50)), "utf-8")
    first = run("name", "import", file)
    assert first.code == 0 and "50 of 50 names" in first.err
    more = file.read_text("utf-8") + '{"name": "saw"}\n{"name": "lathe.brightworks-cooperative"}\n'
    file.write_text(more, "utf-8")
    again = run("name", "import", file, "--json")
    assert again.code == 1
    assert (again.json["claimed"], again.json["held_before"]) == (1, 50)
    (refused,) = again.json["refused"]
    assert "claim-not-members" in refused["why"] or "claim-rejected" in refused["why"]

    listed = run("name", "list", "--prefix", "tool-", "--max", "30", "--json").json["names"]
    assert len(listed) == 30 and listed == sorted(listed, key=lambda each: each["name"])
    assert run("name", "withdraw", "lathe").code == 0
    gone = run("name", "get", "lathe")
    assert gone.code == 1 and "name-unknown" in gone.err
