"""Services: each link of the chain from genesis to the door is one check, and each can be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import Check, ProofError
from opkit.proof.record import SKEW_MS
from opkit.proof.services import LINKS, check_service, link_of, prove_service
from opkit.wire.base import Jws
from opkit.wire.names import (
    NAME_TERM_MS_MAX,
    NAME_TYP,
    NameClaim,
    NameTarget,
    NodeTarget,
)
from opkit.wire.services import FindServices, FoundService
from tests.opkit.proof.yard import (
    AT,
    DAY_MS,
    DOOR,
    DRILL,
    LATHE,
    MIRA,
    ONDREJ,
    STRANGER,
    Yard,
)


@pytest.fixture
def yard(network: Any) -> Yard:
    return Yard(network)


def lost(yard: Yard, found: FoundService, **named: Any) -> Check:
    """Return the one check that does not hold, after which nothing was looked at."""
    named = {"genesis": yard.network.view, "now_ms": AT, **named}
    verdict, proven = check_service(found, **named)
    assert proven is None and not verdict.ok
    (bad,) = verdict.failures
    assert verdict.checks[-1] == bad, "what follows would rest on it"
    assert (verdict.subject, verdict.anchored) == (f"service {found.name}", True)
    return bad


def failing(yard: Yard, found: FoundService, **named: Any) -> str:
    """Return the name of the one check that does not hold."""
    return lost(yard, found, **named).name


def test_what_verifies_says_what_it_is_and_by_which_checks(yard: Yard) -> None:
    found = yard.found()
    asked = FindServices(type="machine-booking", capability="turn", region="north")
    proven = prove_service(found, yard.network.view, AT, asked=asked)
    assert (proven.name, proven.service, proven.type) == (LATHE, LATHE, "machine-booking")
    assert (proven.node, proven.home) == (yard.node.did, yard.home.did)
    assert (proven.member_id, proven.did) == (MIRA, yard.network.members[MIRA].did)
    assert proven.endpoints == yard.target.endpoints
    assert (proven.capabilities, proven.region) == (("turning",), "north")
    assert proven.doors == (DOOR,)
    assert proven.card is not None and proven.card.name == "Workshop"
    assert (proven.sequence, proven.claim_sequence) == (AT, AT)
    assert proven.lapses_at_ms == AT + DAY_MS
    assert proven.health.state == "live" and proven.found is found
    assert (proven.verdict.status, proven.verdict.subject) == ("verified", f"service {LATHE}")
    assert {link_of(check) for check in proven.verdict.checks} == set(LINKS)
    assert [check.name for check in proven.verdict.checks] == [
        "home-countersignature",
        "home-name",
        "home-node",
        "home-value",
        "claim-signature",
        "member-chain",
        "member-standing",
        "home-record",
        "home-term",
        "claim-target",
        "node-known",
        "node-record",
        "node-owner",
        "node-name",
        "node-term",
        "node-value",
        "node-doors",
        "card-record",
        "card-owner",
        "card-name",
        "card-term",
        "card-value",
        "card-shown",
        "card-signature",
        "card-content",
        "asked-type",
        "asked-region",
        "asked-capability",
    ]


def test_a_verdict_tells_what_was_found_also_of_what_holds(yard: Yard) -> None:
    verdict, _ = check_service(yard.found(), genesis=yard.network.view, now_ms=AT)
    assert isinstance(verdict.checks, tuple), "nothing is added to it later"
    told = {check.name: (check.expected, check.actual) for check in verdict.checks}
    assert told["node-known"] == ("the node's own record", "one")
    assert told["card-shown"] == ("one", "one")
    assert told["member-chain"] == ("verifies", "verifies")
    stands = (f"stands at {AT}", f"issued at {AT}, lapses at {AT + DAY_MS}")
    assert told["home-term"] == told["node-term"] == told["card-term"] == stands


def test_records_last_as_long_as_nodes_let_them(yard: Yard) -> None:
    found = yard.found(
        name_record=yard.name(yard.claim(term_ms=30 * DAY_MS)),
        card_record=yard.card_record(term_ms=7 * DAY_MS),
    )
    assert prove_service(found, yard.network.view, AT).lapses_at_ms == AT + DAY_MS


def test_each_link_has_its_words() -> None:
    assert list(LINKS.items()) == [
        ("member", "the member's chain, from the charter on"),
        ("claim", "the member's claim"),
        ("home", "the home node's countersignature"),
        ("node", "the node's own record"),
        ("card", "the node's own card"),
        ("asked", "what was asked for"),
    ]


def test_a_service_without_a_card_or_a_question_is_proven_as_well(yard: Yard) -> None:
    proven = prove_service(yard.found(card_record=None), yard.network.view, AT)
    assert proven.card is None
    links = {link_of(check) for check in proven.verdict.checks}
    assert links == {"member", "claim", "home", "node"}


def test_a_large_card_comes_beside_its_record(yard: Yard) -> None:
    card = yard.card(description="so much to say " * 200, documentationUrl="x" * 8_192)
    found = yard.found(card_record=yard.card_record(card), card=card)
    proven = prove_service(found, yard.network.view, AT)
    assert proven.card is not None and proven.card.size_bytes > 8_192
    none = lost(yard, found.model_copy(update={"card": None}))
    assert (none.name, none.expected, none.actual) == ("card-shown", "one", "none")
    other = yard.card(description="so much to say " * 200, documentationUrl="y" * 8_192)
    assert failing(yard, found.model_copy(update={"card": other})) == "card-content"


def test_an_alias_leads_to_a_service_of_another_coop_and_lapses_with_the_first(yard: Yard) -> None:
    found = yard.found(
        name=DRILL,
        aliases=(
            yard.alias(DRILL, "spindle.tool-library", term_ms=1_000),
            yard.alias("spindle.tool-library", LATHE),
        ),
    )
    proven = prove_service(found, yard.network.view, AT)
    assert (proven.name, proven.service) == (DRILL, LATHE)
    assert proven.lapses_at_ms == AT + 1_000
    names = [check.name for check in proven.verdict.checks]
    assert "alias 1 home-countersignature" in names and "alias 2 member-chain" in names
    assert {link_of(check) for check in proven.verdict.checks} <= set(LINKS)


@pytest.mark.parametrize("first", ["name", "node", "card"])
def test_all_of_a_service_stands_until_the_first_of_its_records_lapses(
    yard: Yard, first: str
) -> None:
    terms = {"name": 3_000, "node": 3_000, "card": 3_000, first: 1_000}
    found = yard.found(
        name_record=yard.name(yard.claim(term_ms=terms["name"])),
        node_record=yard.own(term_ms=terms["node"]),
        card_record=yard.card_record(term_ms=terms["card"]),
    )
    proven = prove_service(found, yard.network.view, AT)
    assert proven.lapses_at_ms == AT + 1_000
    assert prove_service(found, yard.network.view, AT + 999)
    lapsed = {"name": "home-term", "node": "node-term", "card": "card-term"}[first]
    assert failing(yard, found, now_ms=AT + 1_000) == lapsed


def test_a_member_who_is_no_founder_is_known_by_their_chain(yard: Yard) -> None:
    ilse = "tool-library/ilse"
    added = yard.network.record(ilse, did=STRANGER.did)
    claim = yard.claim(member_id=ilse, signer=STRANGER)
    record = yard.name(claim, chain=(added,))
    proven = prove_service(yard.found(name_record=record), yard.network.view, AT)
    assert proven.member_id == ilse


SABOTAGE: dict[str, Callable[[Yard], dict[str, Any]]] = {
    "an unsigned name": lambda yard: {"name_record": _unsigned(yard.name())},
    "a record of another namespace": lambda yard: {"name_record": yard.own()},
    "a tombstone": lambda yard: {"name_record": yard.name(value=None, term_ms=NAME_TERM_MS_MAX)},
    "another name": lambda yard: {"name_record": yard.name(yard.claim("saw.tool-library"))},
    "another home": lambda yard: {"name_record": yard.name(home=yard.node)},
    "a stranger as home": lambda yard: {"name_record": yard.name(home=STRANGER)},
    "another value": lambda yard: {"name_record": yard.name(value={"claim": 1})},
    "another key's claim": lambda yard: {"name_record": yard.name(_forged(yard))},
    "another network's claim": lambda yard: {
        "name_record": yard.name(yard.claim(network="b" * 26))
    },
    "another member's key": lambda yard: {
        "name_record": yard.name(yard.claim(signer=yard.network.members[ONDREJ]))
    },
    "a member who was revoked": lambda yard: {"name_record": _revoked(yard)},
    "a longer time than was claimed": lambda yard: {"name_record": yard.name(term_ms=2 * DAY_MS)},
    "a name that lapsed": lambda yard: {"name_record": yard.name(yard.claim(at_ms=AT - DAY_MS))},
    "a name of the future": lambda yard: {
        "name_record": yard.name(yard.claim(at_ms=AT + SKEW_MS + 1))
    },
    "a name that was withdrawn": lambda yard: {
        "name_record": yard.name(yard.claim(target=None), term_ms=NAME_TERM_MS_MAX)
    },
    "a node's name": lambda yard: {
        "name_record": yard.name(yard.claim(target=NodeTarget(node=yard.node.did)))
    },
    "an alias that is none": lambda yard: {"name": "x.tool-library", "aliases": (_service(yard),)},
    "an alias to elsewhere": lambda yard: {
        "name": "x.tool-library",
        "aliases": (yard.alias("x.tool-library", "saw.tool-library"),),
    },
    "a name for too long": lambda yard: {
        "name_record": yard.name(yard.claim(term_ms=NAME_TERM_MS_MAX + 1))
    },
    "no record of the node": lambda yard: {"node_record": None},
    "a node for too long": lambda yard: {"node_record": yard.own(term_ms=DAY_MS + 1)},
    "a card for too long": lambda yard: {"card_record": yard.card_record(term_ms=7 * DAY_MS + 1)},
    "an unsigned node": lambda yard: {"node_record": _unsigned(yard.own())},
    "another node's record": lambda yard: {
        "node_record": yard.own(signer=yard.home, name=yard.home.did)
    },
    "another node's name": lambda yard: {"node_record": yard.own(name=yard.home.did)},
    "a node that lapsed": lambda yard: {"node_record": yard.own(at_ms=AT - DAY_MS)},
    "a node's other value": lambda yard: {"node_record": yard.own(value={"addresses": 1})},
    "a door beyond loopback": lambda yard: {
        "node_record": yard.own(
            value={"addresses": [], "endpoints": [{"url": "http://192.0.2.1:1"}]}
        )
    },
    "an unsigned card record": lambda yard: {"card_record": _unsigned(yard.card_record())},
    "another's card record": lambda yard: {
        "card_record": yard.card_record(signer=STRANGER, name=STRANGER.did)
    },
    "a card under another name": lambda yard: {"card_record": yard.card_record(name=STRANGER.did)},
    "a card that lapsed": lambda yard: {"card_record": yard.card_record(at_ms=AT - DAY_MS)},
    "a card's other value": lambda yard: {"card_record": yard.card_record(value={"cid": "x"})},
    "another agent's card": lambda yard: {
        "card_record": yard.card_record(yard.card(signer=STRANGER))
    },
    "a changed card": lambda yard: {
        "card_record": yard.card_record({**yard.card(), "name": "Other"})
    },
}

LOST = {
    "an unsigned name": "home-countersignature",
    "a record of another namespace": "home-countersignature",
    "a tombstone": "home-countersignature",
    "another name": "home-name",
    "another home": "home-node",
    "a stranger as home": "home-node",
    "another value": "home-value",
    "another key's claim": "claim-signature",
    "another network's claim": "claim-signature",
    "another member's key": "member-chain",
    "a member who was revoked": "member-standing",
    "a longer time than was claimed": "home-record",
    "a name that lapsed": "home-term",
    "a name of the future": "home-term",
    "a name that was withdrawn": "claim-target",
    "a node's name": "claim-target",
    "an alias that is none": "alias 1 claim-target",
    "an alias to elsewhere": "home-name",
    "a name for too long": "home-countersignature",
    "no record of the node": "node-known",
    "a node for too long": "node-record",
    "a card for too long": "card-record",
    "an unsigned node": "node-record",
    "another node's record": "node-owner",
    "another node's name": "node-name",
    "a node that lapsed": "node-term",
    "a node's other value": "node-value",
    "a door beyond loopback": "node-doors",
    "an unsigned card record": "card-record",
    "another's card record": "card-owner",
    "a card under another name": "card-name",
    "a card that lapsed": "card-term",
    "a card's other value": "card-value",
    "another agent's card": "card-signature",
    "a changed card": "card-signature",
}


@pytest.mark.parametrize("broken", SABOTAGE)
def test_each_check_is_lost_by_what_it_is_there_for(yard: Yard, broken: str) -> None:
    assert failing(yard, yard.found(**SABOTAGE[broken](yard))) == LOST[broken]


TOLD = {
    "another name": (LATHE, "saw.tool-library"),
    "a node for too long": ("verifies", "it lasts 86400001 ms, and at most 86400000 are allowed"),
    "another home": ("{home}", "{node}"),
    "a member who was revoked": ("active", "revoked"),
    "a name that lapsed": (f"stands at {AT}", f"issued at {AT - DAY_MS}, lapses at {AT}"),
    "a node's name": ("service", "node"),
    "a name that was withdrawn": ("service", "nothing, for it was withdrawn"),
    "an alias that is none": ("alias", "service"),
    "no record of the node": ("the node's own record", "none"),
    "another node's record": ("{node}", "{home}"),
    "another node's name": ("{node}", "{home}"),
    "a node that lapsed": (f"stands at {AT}", f"issued at {AT - DAY_MS}, lapses at {AT}"),
}


@pytest.mark.parametrize("broken", TOLD)
def test_a_check_that_is_lost_tells_what_was_expected_and_what_was_found(
    yard: Yard, broken: str
) -> None:
    bad = lost(yard, yard.found(**SABOTAGE[broken](yard)))
    dids = {"home": yard.home.did, "node": yard.node.did}
    assert (bad.expected, bad.actual) == tuple(text.format(**dids) for text in TOLD[broken])


def test_every_check_is_lost_by_something(yard: Yard) -> None:
    asked = FindServices(type="machine-booking", capability="turn", region="north")
    verdict, _ = check_service(yard.found(), genesis=yard.network.view, now_ms=AT, asked=asked)
    elsewhere = {"asked-type", "asked-region", "asked-capability", "card-shown", "card-content"}
    assert {check.name for check in verdict.checks} <= set(LOST.values()) | elsewhere


def test_a_name_of_no_coop_has_no_home(yard: Yard) -> None:
    claim = yard.claim("x.nowhere", MIRA)
    record = yard.name(claim, home=yard.home)
    bad = lost(yard, yard.found(name="x.nowhere", name_record=record))
    assert (bad.name, bad.expected, bad.actual) == ("home-node", "no coop nowhere", yard.home.did)


@pytest.mark.parametrize(
    ("asked", "check", "actual"),
    [
        ({"type": "bakery"}, "asked-type", "machine-booking"),
        ({"region": "south"}, "asked-region", "north"),
        ({"capability": "baking"}, "asked-capability", "brass, metal, steel, turn, turning, wood"),
    ],
)
def test_what_was_not_asked_for_is_no_answer(
    yard: Yard, asked: dict[str, str], check: str, actual: str
) -> None:
    (word,) = asked.values()
    assert lost(yard, yard.found(), asked=FindServices(**asked)) == Check(
        name=check, ok=False, expected=word, actual=actual
    )


@pytest.mark.parametrize("word", ["turning", "turn", "metal"])
def test_a_capability_is_the_names_or_a_skill_of_the_card(yard: Yard, word: str) -> None:
    asked = FindServices(capability=word)
    assert prove_service(yard.found(), yard.network.view, AT, asked=asked).name == LATHE
    cardless = yard.found(card_record=None)
    if word != "turning":
        assert failing(yard, cardless, asked=asked) == "asked-capability"


def test_without_any_capability_it_says_so(yard: Yard) -> None:
    target = yard.target.model_copy(update={"capabilities": ()})
    record = yard.name(yard.claim(target=target))
    with pytest.raises(ProofError, match=r"^asked-capability: expected saw, found none$"):
        prove_service(
            yard.found(name_record=record, card_record=None),
            yard.network.view,
            AT,
            asked=FindServices(capability="saw"),
        )


def test_a_service_of_another_network_is_none_of_this_one(yard: Yard) -> None:
    home, name = yard.home, {"network": "b" * 26}
    assert failing(yard, yard.found(name_record=yard.name(home=home, **name))) == (
        "home-countersignature"
    )


def _unsigned(record: Jws) -> Jws:
    head, _, signature = record.rpartition(".")
    return f"{head}.{signature[:-4]}AAAA"


def _forged(yard: Yard) -> Jws:
    """Return a claim in Mira's name that another key signed."""
    claim = jws.peek(yard.claim()).payload
    said = NameClaim.model_validate(claim, strict=False)
    return jws.sign(said, typ=NAME_TYP, identity=STRANGER)


def _revoked(yard: Yard) -> Jws:
    """Return a record in which the home shows that the member was revoked."""
    did = yard.network.members[MIRA].did
    ended = yard.network.record(MIRA, did=did, action="revoke")
    return yard.name(chain=(ended,), term_ms=NAME_TERM_MS_MAX)


def _service(yard: Yard, target: NameTarget | None = None) -> Jws:
    return yard.name(yard.claim("x.tool-library", target=target or yard.target))
