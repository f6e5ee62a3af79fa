"""Agent cards: believed for two reasons, the key's signature and the name of the bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from opkit.proof.canonical import DEPTH_MAX, canonical
from opkit.proof.cards import (
    HEADER_CHARACTERS_MAX,
    SIGNATURES_MAX,
    TEXT_MAX,
    as_jsonld,
    check_value,
    claimed_agent,
    match_card,
    parse_card,
    public_did,
    read_card_bytes,
    sign_card,
    value_of,
    verify_card,
    without_empty,
)
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, Check, ProofError, Verdict
from opkit.proof.cid import cid_of
from opkit.wire.agents import (
    CARD_BYTES_MAX,
    CARD_INLINE_BYTES_MAX,
    EXTENSION_URI,
    CardValue,
    PostQuantumKey,
    Price,
)
from opkit.wire.base import b64decode
from tests.opkit.proof.cards_built import (
    AGENT,
    BARE,
    OTHER,
    agent_of,
    body,
    read,
    saying,
    signature,
    signed,
    sized,
    skilled,
    with_signatures,
)


def test_a_signed_card_is_read_and_named_by_its_bytes(network: Any) -> None:
    card = signed(
        network,
        node=network.nodes["loner"].did,
        prices=(Price(unit="credit", per="million-fuel", micro=12),),
        post_quantum_key=PostQuantumKey(alg="ml-dsa-65", key=b"k" * 32),
    )
    view = read(network, card)
    data = canonical(card)
    assert (view.cid, view.size_bytes, view.card) == (cid_of(data), len(data), card)
    assert (view.name, view.version, view.streaming) == ("Översättare", "1.4.2", True)
    assert view.description == BARE["description"]
    assert view.interfaces[0].url == "http://127.0.0.1:1/a2a/"
    assert view.tags == {"translate", "legal"}
    assert view.agent.prices[0].micro == 12
    assert view.agent.post_quantum_key == PostQuantumKey(alg="ml-dsa-65", key=b"k" * 32)
    assert read_card_bytes(data, did=AGENT.did, network=network.name) == view
    assert claimed_agent(card) == (AGENT.did, network.name)
    with pytest.raises(ValidationError, match="frozen"):
        view.interfaces[0].url = "http://127.0.0.1:2/"  # type: ignore[misc]  # The point.


def test_the_header_has_what_a2a_clients_want_and_no_more(network: Any) -> None:
    (only,) = signed(network)["signatures"]
    header = json.loads(b64decode(only["protected"]))
    assert header == {"alg": "EdDSA", "kid": AGENT.did, "typ": "JOSE"}


def test_what_is_empty_or_was_said_before_is_left_out_when_a_card_is_signed(network: Any) -> None:
    again = sign_card(
        {**signed(network), "iconUrl": "", "securityRequirements": [{}], "provider": None},
        agent=agent_of(network, sequence=8),
        identity=AGENT,
    )
    assert set(again) == {*BARE, "signatures"}
    assert len(again["signatures"]) == len(again["capabilities"]["extensions"]) == 1
    assert read(network, again).agent.sequence == 8


def test_other_extensions_stay(network: Any) -> None:
    other = {"uri": "https://example.com/ext", "params": {"depth": [1, 2]}}
    card = signed(network, {**BARE, "capabilities": {"extensions": [other]}})
    assert card["capabilities"]["extensions"][0] == other
    assert not read(network, card).streaming


def test_a_card_that_says_nothing_of_its_capabilities_has_ours_alone(network: Any) -> None:
    bare = {name: value for name, value in BARE.items() if name != "capabilities"}
    params = {"network": network.name, "did": AGENT.did, "sequence": 7, "region": "eu-west"}
    assert signed(network, bare)["capabilities"] == {
        "extensions": [{"uri": "urn:opkit:a2a:agent:1", "params": params}]
    }


def test_no_is_an_answer_and_zero_a_number() -> None:
    said = {"no": False, "zero": 0, "in": [0, False, "", None, {"": ""}], "none": None, "list": []}
    assert without_empty(said) == {"no": False, "zero": 0, "in": [0, False]}
    deep: dict[str, Any] = {}
    for _ in range(DEPTH_MAX + 1):
        deep = {"in": deep}
    with pytest.raises(ProofError, match="nested"):
        without_empty(deep)


@pytest.mark.parametrize("field", [{"iconUrl": ""}, {"provider": {}}, {"skills": []}, {"x": None}])
def test_an_empty_field_is_under_no_signature_and_so_not_in_a_card(
    network: Any, field: dict[str, Any]
) -> None:
    """A2A leaves it out of what is signed: anybody could have added it."""
    with pytest.raises(ProofError, match="is empty"):
        read(network, {**signed(network), **field})


def test_an_empty_field_deep_in_a_card_is_told_by_its_place(network: Any) -> None:
    card = signed(network, {**BARE, "provider": {"organization": "o", "url": "u"}})
    card["skills"][0]["tags"].append("")
    with pytest.raises(ProofError, match=r"the card\.skills\[0\]\.tags\[1\] is empty"):
        read(network, card)
    long = {"a" * 65: {"b" * 65: {"c" * 65: [""]}}}
    place = f"the card.{'a' * 64}.{'b' * 64}.{'c' * 64}"[:200]
    with pytest.raises(ProofError, match=rf"^{place}\[0\] is empty"):
        read(network, {**signed(network), **long})
    with pytest.raises(ProofError, match=rf"^{place}\.{'d' * 64} is empty"):
        read(network, {**signed(network), "a" * 65: {"b" * 65: {"c" * 65: {"d" * 65: ""}}}})


def test_a_number_that_is_no_integer_is_in_no_card(network: Any) -> None:
    with pytest.raises(ProofError, match="no integer"):
        read(network, {**signed(network), "weight": 0.5})


def test_a_tampered_card_is_refused(network: Any) -> None:
    with pytest.raises(ProofError, match="signature"):
        read(network, {**signed(network), "description": "Something else."})


def test_a_card_of_one_key_is_none_of_another(network: Any) -> None:
    with pytest.raises(ProofError, match=f"^it has no signature by {OTHER.did}$"):
        read(network, signed(network), OTHER.did)
    named = with_signatures(network, lambda bare: signature(bare, kid=OTHER.did))
    with pytest.raises(ProofError, match="no signature by"):
        read(network, named)
    both = with_signatures(network, signature(signed(network), by=OTHER))
    both["signatures"] = [
        signature({key: both[key] for key in both if key != "signatures"}, by=OTHER)
    ]
    with pytest.raises(ProofError, match="it is the card of"):
        read(network, both, OTHER.did)


def test_another_keys_signature_in_the_agents_name_is_refused(network: Any) -> None:
    forged = with_signatures(network, lambda bare: signature(bare, by=OTHER, kid=AGENT.did))
    with pytest.raises(ProofError, match="signature"):
        read(network, forged)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": "none"}, "algorithm is 'none'"),
        ({"alg": "HS256"}, "algorithm is 'HS256'"),
        ({"alg": "Ed25519"}, "algorithm is 'Ed25519'"),
        ({"alg": ...}, "other members"),
        ({"typ": "opkit-token+jws"}, "not a 'JOSE'"),
        ({"crit": ["exp"]}, "other members"),
        ({"jwk": {"kty": "OKP"}}, "other members"),
        ({"b64": False}, "other members"),
    ],
)
def test_no_other_header_is_taken(network: Any, header: dict[str, Any], why: str) -> None:
    card = with_signatures(network, lambda bare: signature(bare, **header))
    with pytest.raises(ProofError, match=why):
        read(network, card)


def test_a_key_may_be_named_as_a_method_of_its_own_document(network: Any) -> None:
    long = f"{AGENT.did}#{AGENT.did.removeprefix('did:key:')}"
    assert read(network, with_signatures(network, lambda bare: signature(bare, kid=long)))
    other = f"{AGENT.did}#{OTHER.did.removeprefix('did:key:')}"
    with pytest.raises(ProofError, match="no signature by"):
        read(network, with_signatures(network, lambda bare: signature(bare, kid=other)))


def test_others_may_attest_a_card_and_count_for_nothing(network: Any) -> None:
    broken = {"protected": "!", "signature": "x"}
    card = with_signatures(
        network, broken, "no object", lambda bare: signature(bare, by=OTHER), signature
    )
    assert read(network, card)
    attested = with_signatures(network, broken, lambda bare: signature(bare, by=OTHER))
    with pytest.raises(ProofError, match="no signature by"):
        read(network, attested)


@pytest.mark.parametrize("bad", ["x", [], ["x"], [{}], [{"protected": "x" * 3_000}]])
def test_what_is_no_list_of_signatures_is_refused(network: Any, bad: Any) -> None:
    with pytest.raises(ProofError):
        read(network, {**signed(network), "signatures": bad})


def test_a_card_has_a_list_of_at_most_so_many_signatures(network: Any) -> None:
    assert read(network, with_signatures(network, *["x"] * (SIGNATURES_MAX - 1), signature))
    unsigned = with_signatures(network)
    del unsigned["signatures"]
    for card in (
        with_signatures(network, *[signature] * (SIGNATURES_MAX + 1)),
        {**unsigned, "signatures": "x"},
        unsigned,
    ):
        with pytest.raises(ProofError, match="a card has a list of 1 to 8 signatures"):
            read(network, card)


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_a_header_is_short(network: Any, more: int, taken: bool) -> None:
    header = {"alg": "EdDSA", "jku": "", "kid": AGENT.did, "typ": "JOSE"}
    room = HEADER_CHARACTERS_MAX * 3 // 4 - len(canonical(header))
    card = with_signatures(network, lambda bare: signature(bare, jku="u" * (room + more)))
    if taken:
        assert len(card["signatures"][0]["protected"]) == HEADER_CHARACTERS_MAX
        assert read(network, card)
    else:
        with pytest.raises(ProofError, match="no signature by"):
            read(network, card)


@pytest.mark.parametrize("bad", [7, "!", "é"])
def test_a_signature_that_is_no_base64url_is_refused(network: Any, bad: Any) -> None:
    def made(bare: dict[str, Any]) -> dict[str, Any]:
        return {**signature(bare), "signature": bad}

    with pytest.raises(ProofError, match="base64url"):
        read(network, with_signatures(network, made))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": 7}, "it is no card: name: "),
        ({"supportedInterfaces": ["x"]}, "it is no card: supportedInterfaces.0: "),
        (
            {"supportedInterfaces": 7, "supported_interfaces": BARE["supportedInterfaces"]},
            "no card",
        ),
        ({"version": "x" * (TEXT_MAX + 1)}, "it is no card: version: "),
        (skilled(["x"] * 65), "it is no card: skills.0.tags: "),
        ({"capabilities": {"streaming": "true", "extensions": ["x"]}}, "capabilities.streaming: "),
        ({"capabilities": {"extensions": [{"uri": "u:x"}]}}, "0 times, not once"),
        ({"capabilities": {"extensions": [{"uri": EXTENSION_URI}]}}, "it is no card: network: "),
    ],
)
def test_what_is_no_card_of_an_agent_is_refused_though_it_is_signed(
    network: Any, change: dict[str, Any], why: str
) -> None:
    card = with_signatures(network, signature, **change)
    with pytest.raises(ProofError, match=why):
        read(network, card)


@pytest.mark.parametrize("change", [{"version": "x" * TEXT_MAX}, skilled(["x"] * 64)])
def test_what_is_as_long_as_it_may_be_is_in_a_card(network: Any, change: dict[str, Any]) -> None:
    assert read(network, with_signatures(network, signature, **change))


def test_names_are_spelled_as_a2a_spells_them(network: Any) -> None:
    """Others sign a card that they spelled anew: of one in other words they find no signature."""
    bare = {name: value for name, value in BARE.items() if name != "supportedInterfaces"}
    with pytest.raises(ProofError, match="it is no card: supportedInterfaces: "):
        signed(network, {**bare, "supported_interfaces": BARE["supportedInterfaces"]})


def test_what_this_network_knows_is_said_once_and_strictly(network: Any) -> None:
    ours = signed(network)["capabilities"]["extensions"]
    card = with_signatures(network, signature, capabilities={"extensions": ours * 2})
    with pytest.raises(ProofError, match="2 times"):
        read(network, card)
    for sequence in ("7", 0):
        card = with_signatures(network, signature, capabilities=saying(network, sequence=sequence))
        with pytest.raises(ProofError, match="it is no card: sequence: "):
            read(network, card)


def test_of_several_things_that_are_wrong_the_first_is_told(network: Any) -> None:
    elsewhere = {"network": "b" * 26}
    theirs = saying(network, did=OTHER.did, **elsewhere)
    forged = with_signatures(network, lambda _: signature({}), name=7, capabilities=theirs)
    for card, why in (
        ({**forged, "x": "", "y": "u" * CARD_BYTES_MAX}, "larger than"),
        ({**forged, "x": ""}, "is empty"),
        (forged, "does not verify"),
        (with_signatures(network, signature, name=7, capabilities=theirs), "no card: name"),
        (with_signatures(network, signature, capabilities=theirs), "it is the card of"),
        (with_signatures(network, signature, capabilities=saying(network, **elsewhere)), "another"),
    ):
        with pytest.raises(ProofError, match=why):
            read(network, card)


def test_a_card_of_an_earlier_network_of_the_same_people_is_none_of_this_one(
    network: Any, rebuilt: Any
) -> None:
    with pytest.raises(ProofError, match="another network"):
        read(rebuilt, signed(network))


def test_nobody_signs_for_somebody_else_or_what_no_reader_takes(network: Any) -> None:
    with pytest.raises(ProofError, match="the agent that it is of"):
        sign_card(BARE, agent=agent_of(network), identity=OTHER)
    for shape in ({"capabilities": 7}, {"capabilities": {"extensions": 7}}):
        with pytest.raises(ProofError, match="another shape"):
            signed(network, {**BARE, **shape})
    with pytest.raises(ProofError, match="no card"):
        signed(network, {**BARE, "capabilities": {"extensions": ["x"]}})
    assert read(network, sized(network, CARD_BYTES_MAX)).size_bytes == 65_536
    with pytest.raises(ProofError, match="a card of 65537 bytes is larger than 65536"):
        sized(network, CARD_BYTES_MAX + 1)


def test_who_is_claimed_is_told_of_no_other_json(network: Any) -> None:
    with pytest.raises(ProofError, match="no card"):
        claimed_agent({"name": "x"})
    lax = {**saying(network), "streaming": "true"}
    with pytest.raises(ProofError, match="no card"):
        claimed_agent({**BARE, "capabilities": lax})
    for params in ({"did": 7}, {"did": None}, {"network": 7}, {"network": None}):
        with pytest.raises(ProofError, match="does not say whose"):
            claimed_agent({**BARE, "capabilities": saying(network, **params)})


def test_a_did_names_a_key() -> None:
    assert public_did(AGENT.did) == AGENT.did
    with pytest.raises(ProofError):
        public_did("did:key:z")


def test_a_card_is_read_in_any_spelling_with_integers_as_protobuf_writes_them(
    network: Any,
) -> None:
    card = signed(network)
    text = json.dumps(card, indent=2).replace('"sequence": 7', '"sequence": 7.0')
    assert '"sequence": 7.0' in text
    assert read(network, parse_card(text.encode())).agent.sequence == 7


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a": 7.5}', "no integer: 7.5$"),
        (b'{"a": 0.' + b"1" * 40 + b"}", f"no integer: 0.{'1' * 30}$"),
        (b'{"a": 1e300}', "no integer: 1e300$"),
        (b'{"a": 9007199254740992.0}', "no integer: 9007199254740992.0$"),
        (b'{"a": -9007199254740992.0}', "no integer: -9007199254740992.0$"),
        (b'{"a": NaN}', "no integer"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[]", "no object"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "deeper"),
        (b" " * (2 * CARD_BYTES_MAX + 1), "131073 bytes are more than a card has"),
    ],
)
def test_other_json_is_no_card(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        parse_card(data)


def test_the_largest_numbers_and_twice_the_bytes_of_a_card_are_read() -> None:
    assert parse_card(b"{}".rjust(2 * CARD_BYTES_MAX)) == {}
    for number in (2**53 - 1, 1 - 2**53, 0):
        assert parse_card(b'{"a": %d.0}' % number) == {"a": number}


def test_a_record_has_a_small_card_in_it_and_names_a_large_one(network: Any) -> None:
    small = value_of(signed(network))
    assert small.card is not None
    check_value(body(network, small), small, network.view)
    skills = [{**BARE["skills"][0], "id": f"s{at}"} for at in range(64)]
    more = {**BARE, "skills": skills, "documentationUrl": "u" * CARD_INLINE_BYTES_MAX}
    large = value_of(signed(network, more))
    assert large.card is None and large.size_bytes > CARD_INLINE_BYTES_MAX
    check_value(body(network, large), large, network.view)
    for wrong in (
        small.model_copy(update={"card": None}),
        large.model_copy(update={"card": signed(network, more)}),
    ):
        with pytest.raises(ProofError, match="stands in its record"):
            check_value(body(network, wrong), wrong, network.view)
    assert value_of({"a": "x" * (CARD_BYTES_MAX - 8)}).size_bytes == CARD_BYTES_MAX
    with pytest.raises(ProofError, match="larger than"):
        value_of({"a": "x" * (CARD_BYTES_MAX - 7)})


@pytest.mark.parametrize(("more", "inline"), [(0, True), (1, False)])
def test_the_largest_card_that_stands_in_its_record_has_8192_bytes(
    network: Any, more: int, inline: bool
) -> None:
    card = sized(network, 8_192 + more)
    value = value_of(card)
    assert value == CardValue(
        cid=cid_of(canonical(card)), size_bytes=8_192 + more, card=card if inline else None
    )
    check_value(body(network, value), value, network.view)
    other = value.model_copy(update={"card": None if inline else card})
    with pytest.raises(ProofError, match="if it has 8192 bytes"):
        check_value(body(network, other), other, network.view)


def test_a_record_leads_to_its_own_card_only(network: Any) -> None:
    good, other = value_of(signed(network)), value_of(signed(network, region="elsewhere"))
    swapped = good.model_copy(update={"card": other.card})
    with pytest.raises(ProofError, match="not the one"):
        check_value(body(network, swapped), swapped, network.view)
    with pytest.raises(ProofError, match="beyond the record's"):
        check_value(body(network, good, sequence=6), good, network.view)
    check_value(body(network, good, sequence=7), good, network.view)
    longer = good.model_copy(update={"size_bytes": good.size_bytes + 1})
    with pytest.raises(ProofError, match="not the one"):
        check_value(body(network, longer), longer, network.view)
    theirs = body(network, good, owner=OTHER.did, name=OTHER.did)
    with pytest.raises(ProofError, match="no signature by"):
        check_value(theirs, good, network.view)
    match_card(body(network, good), good, read(network, good.card or {}))


def statuses(card: dict[str, Any], genesis: Any, proof: tuple[str, ...] = ()) -> tuple[Any, ...]:
    verdict = verify_card(card, genesis=genesis, proof=proof)
    return verdict.status, verdict.anchored, [check.ok for check in verdict.checks]


def test_a_verdict_names_whose_card_it_is_and_what_was_looked_at(network: Any) -> None:
    verdict = verify_card(signed(network), genesis=network.view)
    assert verdict == Verdict(
        subject=f"agent card of {AGENT.did}",
        checks=(
            Check(name="a card of an agent", ok=True, expected="verifies", actual="verifies"),
            Check(name="signed by its agent", ok=True, expected="verifies", actual="verifies"),
            Check(name="of this network", ok=True, expected=network.name, actual=network.name),
        ),
        anchored=False,
    )
    none = verify_card({}, genesis=network.view)
    assert (none.subject, [check.name for check in none.checks]) == (
        "agent card",
        ["a card of an agent"],
    )


def test_a_card_is_verified_only_if_a_genesis_knows_whose_key_it_is(network: Any) -> None:
    card = signed(network)
    assert statuses(card, None) == (CONSISTENT, False, [True, True])
    assert statuses(card, network.view) == (CONSISTENT, False, [True, True, True])
    chain = (network.record("tool-library/ilse", did=AGENT.did),)
    assert statuses(card, network.view, chain) == (VERIFIED, True, [True, True, True])
    node = network.nodes["loner"]
    theirs = sign_card(BARE, agent=agent_of(network, did=node.did), identity=node)
    assert statuses(theirs, network.view) == (VERIFIED, True, [True, True, True])


def test_a_card_that_does_not_verify_fails_at_what_does_not_hold(
    network: Any, rebuilt: Any
) -> None:
    card = signed(network)
    assert statuses({"name": "x"}, network.view) == (FAILED, False, [False])
    assert statuses({**card, "name": "x"}, network.view) == (FAILED, False, [True, False, True])
    later = sign_card(BARE, agent=agent_of(rebuilt), identity=AGENT)
    assert statuses(later, network.view) == (FAILED, False, [True, True, False])
    nobody = json.loads(json.dumps(card).replace(f'"did": "{AGENT.did}"', '"did": "did:key:z"'))
    assert statuses(nobody, network.view)[2] == [True, False, True]


def test_linked_data_is_a_view_of_the_card_under_its_agents_name(network: Any) -> None:
    view = read(network, signed(network))
    assert as_jsonld(view) == {
        "@context": {
            "@vocab": "urn:opkit:a2a:terms:",
            "name": "https://schema.org/name",
            "description": "https://schema.org/description",
            "version": "https://schema.org/version",
            "url": {"@id": "https://schema.org/url", "@type": "@id"},
            "uri": "@id",
        },
        "@id": AGENT.did,
        "@type": "AgentCard",
        **view.card,
    }
