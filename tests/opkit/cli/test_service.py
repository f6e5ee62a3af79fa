"""`opkit service find`: what is proven, what is not and why, for people and for programs.

What nodes answer is in the tests of the client; here stands what a discovery says, in words.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from opkit.cli import service as command
from opkit.cli.address import Address
from opkit.client.discovery import Discovery, Refuted
from opkit.proof.checks import Check, Verdict
from opkit.proof.services import ProvenService
from opkit.wire.names import ServiceEndpoint
from opkit.wire.records import HttpEndpoint
from opkit.wire.services import FindServices, FoundService, ServiceHealth

NODE = "did:key:z6MkjM8TgC9YaNRVCnpJHozHmwzQgHiVXRHhs7PPCtSshX9D"
LATHE, SPINDLE = "lathe.tool-library", "spindle.tool-library"
LIVE = ServiceHealth(state="live", heard_ms=1, round_trip_us=1_500)
GOOD = Check(name="node-owner", ok=True, expected=NODE, actual=NODE)
BAD = Check(name="home-node", ok=False, expected=NODE, actual="\x1b[31mother")


def verdict(*checks: Check) -> Verdict:
    return Verdict(subject=f"service {LATHE}", checks=checks, anchored=True)


def proven(name: str = LATHE, health: ServiceHealth = LIVE, **changes: Any) -> ProvenService:
    said: dict[str, Any] = {
        "name": name,
        "service": LATHE,
        "type": "machine-booking",
        "node": NODE,
        "endpoints": (ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
        "capabilities": ("turning", "milling"),
        "region": "north",
        "member_id": "tool-library/mira",
        "did": NODE,
        "home": NODE,
        "sequence": 2,
        "claim_sequence": 1,
        "doors": (HttpEndpoint(url="http://127.0.0.1:4001"),),
        "card": None,
        "lapses_at_ms": 1_767_225_600_000,
        "health": health,
        "found": FoundService(name=name, name_record="a.b.c", health=health),
        "verdict": verdict(GOOD),
    }
    return ProvenService(**{**said, **changes})


def refuted() -> Refuted:
    found = FoundService(name=LATHE, name_record="a.b.c", health=LIVE)
    return Refuted(found=found, verdict=verdict(GOOD, BAD))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[FindServices]]:
    """Have a node answer so; return the list of what it is asked."""

    def answer(
        *services: ProvenService, bad: tuple[Refuted, ...] = (), more: bool = False
    ) -> list[FindServices]:
        asked: list[FindServices] = []

        async def look(
            target: Any, genesis: Any, words: dict[str, str], found_max: int
        ) -> Discovery:
            asked.append(FindServices(**words))
            return Discovery(proven=services[:found_max], refuted=bad, more=more)

        monkeypatch.setattr(Address, "resolve", lambda self: SimpleNamespace(network="a" * 26))
        monkeypatch.setattr(command, "anchor", lambda named, network: object())
        monkeypatch.setattr(command, "_look", look)
        return asked

    return answer


def test_what_is_proven_is_told_in_order(run: Any, answers: Any) -> None:
    silent = ServiceHealth(state="silent", heard_ms=1_767_225_600_000)
    never = ServiceHealth(state="unknown")
    here = ServiceHealth(state="here", heard_ms=1)
    asked = answers(
        proven(health=here),
        proven(SPINDLE),
        proven(health=silent, doors=(), region=None),
        proven(health=never),
    )
    ran = run("service", "find", "--type", "machine-booking", "--region", "north")
    assert ran.code == 0
    assert asked == [FindServices(type="machine-booking", region="north")]
    rows = [line for line in ran.out.splitlines() if "machine-booking" in line]
    assert [LATHE in row for row in rows] == [True] * 4
    assert "the asked one" in rows[0] and "turning milling" in rows[0]
    assert f"{SPINDLE} → {LATHE}" in rows[1] and "live, 1.5 ms" in rows[1]
    assert "silent, heard 2026-01-01" in rows[2] and "says of no door" in rows[2]
    assert "never heard of" in rows[3] and "1 checks hold" in rows[3]


def test_every_check_is_told_to_whoever_asks(run: Any, answers: Any) -> None:
    answers(proven())
    ran = run("service", "find", "--verbose")
    assert f"service {LATHE}: verified" in ran.out
    assert f"✓ node-owner: {NODE}" in ran.out


def test_what_is_not_proven_is_told_with_the_check_and_steers_no_terminal(
    run: Any, answers: Any
) -> None:
    answers(bad=(refuted(),))
    ran = run("service", "find")
    assert ran.code == 1
    assert f"✗ {LATHE} is not proven: home-node" in ran.out
    assert "other" in ran.out and "\x1b" not in ran.out
    assert "nobody has named" not in ran.out


def test_nothing_found_says_how_to_name_a_service(run: Any, answers: Any) -> None:
    answers()
    ran = run("service", "find")
    assert ran.code == 1
    assert "nobody has named such a service" in ran.out and "opkit name register" in ran.out


def test_there_may_be_more_than_was_asked_for(run: Any, answers: Any) -> None:
    answers(proven(), more=True)
    assert "there are more" in run("service", "find", "--max", "1").out


def test_programs_get_the_proofs_and_the_records(run: Any, answers: Any) -> None:
    answers(proven(SPINDLE), bad=(refuted(),))
    said = run("service", "find", "--json").json
    (service,) = said["services"]
    assert (service["name"], service["service"]) == (SPINDLE, LATHE)
    assert service["urls"] == ["http://127.0.0.1:4001"] and service["card"] is None
    assert service["proof"]["status"] == "verified"
    assert FoundService.model_validate(service["found"], strict=False).name == SPINDLE
    (bad,) = said["refuted"]
    assert bad["name"] == LATHE and not bad["ok"] and said["more"] is False


def test_without_a_genesis_nothing_is_proven(
    run: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers()
    monkeypatch.setattr(command, "anchor", lambda named, network: None)
    ran = run("service", "find")
    assert ran.code == 2 and "--genesis FILE" in ran.err
