"""Signed records: what is read, which of two stands, who said two things, and who vouches."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import read_genesis
from opkit.proof.keys import Identity
from opkit.proof.record import (
    Equivocation,
    Verifier,
    _Own,
    check_term,
    is_ahead,
    is_lapsed,
    make_record,
    outranks,
    read_equivocation,
    read_record,
    sign_record,
    sponsor_of,
)
from opkit.wire.base import Jws
from opkit.wire.genesis import GenesisNode
from opkit.wire.membership import NO_COOP
from opkit.wire.records import RECORD_CHARACTERS_MAX, RECORD_TYP, RecordBody

NOW_MS = 1_767_225_600_000
TERM_MS = 86_400_000
STRANGER = Identity.from_seed(b"\7" * 32)


def body(network: Any, owner: Identity = STRANGER, **changes: Any) -> RecordBody:
    fields = {
        "network": network.name,
        "aud": "note",
        "name": f"{owner.did}/a",
        "owner": owner.did,
        "sequence": 1,
        "issued_at_ms": NOW_MS,
        "lapses_at_ms": NOW_MS + TERM_MS,
        "value": {"text": "hello"},
    }
    return RecordBody(**{**fields, **changes})


def unchecked(said: RecordBody, signer: Identity = STRANGER, typ: str = RECORD_TYP) -> Jws:
    """Return a record that somebody signed who does not care whether it holds."""
    return jws.sign(said, typ=typ, identity=signer)


def test_a_record_is_read_back_as_it_was_signed(network: Any) -> None:
    said = body(network)
    assert read_record(sign_record(said, STRANGER), network=network.name) == said


@pytest.mark.parametrize("sequence", [None, 7])
def test_a_record_of_ones_own_is_made_in_one_step(network: Any, sequence: int | None) -> None:
    token = make_record(
        STRANGER,
        network=network.name,
        namespace="note",
        name=f"{STRANGER.did}/a",
        value={"text": "hello"},
        at_ms=NOW_MS,
        term_ms=TERM_MS,
        sequence=sequence,
    )
    assert read_record(token, network=network.name) == body(network, sequence=sequence or NOW_MS)


def test_only_the_owner_signs(network: Any) -> None:
    with pytest.raises(ProofError, match="signed by the owner"):
        sign_record(body(network), network.operator)
    forged = unchecked(body(network), signer=network.operator)
    with pytest.raises(ProofError, match="is signed by"):
        read_record(forged, network=network.name)


def test_a_record_of_another_network_or_type_is_none(network: Any) -> None:
    with pytest.raises(ProofError, match="another network"):
        read_record(sign_record(body(network), STRANGER), network="b" * 26)
    with pytest.raises(ProofError, match="it is a 'opkit-task"):
        read_record(unchecked(body(network), typ="opkit-task+jws"), network=network.name)


def test_another_spelling_of_a_record_is_none(network: Any) -> None:
    header, payload, signature = sign_record(body(network), STRANGER).split(".")
    with pytest.raises(ProofError):
        read_record(f"{header}.{payload}=.{signature}", network=network.name)


def test_nobody_takes_the_last_number_there_is(network: Any) -> None:
    at_most = body(network, sequence=NOW_MS)
    assert read_record(sign_record(at_most, STRANGER), network=network.name) == at_most
    with pytest.raises(ProofError, match="beyond the time of issue"):
        sign_record(body(network, sequence=NOW_MS + 1), STRANGER)


def test_a_record_lapses_after_its_issue(network: Any) -> None:
    with pytest.raises(ProofError, match="beyond the time of issue"):
        sign_record(body(network, sequence=NOW_MS + 1, lapses_at_ms=NOW_MS), STRANGER)
    with pytest.raises(ProofError, match="lapses before"):
        sign_record(body(network, lapses_at_ms=NOW_MS), STRANGER)
    assert sign_record(body(network, lapses_at_ms=NOW_MS + 1), STRANGER)


def test_a_record_longer_than_any_is_refused_before_it_is_looked_at(network: Any) -> None:
    with pytest.raises(ProofError, match="characters are more"):
        sign_record(body(network, value={"text": "x" * RECORD_CHARACTERS_MAX}), STRANGER)
    with pytest.raises(ProofError, match="characters are more than a record may have"):
        read_record("x" * (RECORD_CHARACTERS_MAX + 1), network=network.name)
    with pytest.raises(ProofError, match="compact JWS"):
        read_record("x" * RECORD_CHARACTERS_MAX, network=network.name)


def test_a_record_lasts_no_longer_than_its_namespace_allows(network: Any) -> None:
    check_term(body(network), term_ms_max=TERM_MS + 1)
    check_term(body(network), term_ms_max=TERM_MS)
    with pytest.raises(ProofError, match="it lasts"):
        check_term(body(network, lapses_at_ms=NOW_MS + TERM_MS + 1), term_ms_max=TERM_MS)


def test_a_tombstone_outlives_all_that_was_issued_before_it(network: Any) -> None:
    check_term(body(network, value=None), term_ms_max=TERM_MS)
    short = body(network, value=None, lapses_at_ms=NOW_MS + TERM_MS - 1)
    with pytest.raises(ProofError, match="a tombstone lasts"):
        check_term(short, term_ms_max=TERM_MS)
    long = body(network, value=None, lapses_at_ms=NOW_MS + TERM_MS + 1)
    with pytest.raises(ProofError, match="it lasts"):
        check_term(long, term_ms_max=TERM_MS)


def test_clocks_may_differ_by_two_minutes(network: Any) -> None:
    said = body(network)
    assert not is_ahead(said, now_ms=NOW_MS - 120_000)
    assert is_ahead(said, now_ms=NOW_MS - 120_001)


def test_a_record_is_over_at_the_very_moment_it_lapses(network: Any) -> None:
    said = body(network)
    assert not is_lapsed(said, now_ms=said.lapses_at_ms - 1)
    assert is_lapsed(said, now_ms=said.lapses_at_ms)


def test_the_higher_sequence_stands_and_then_the_lower_hash() -> None:
    low, high = b"\1" * 32, b"\2" * 32
    assert outranks((2, high), (1, low))
    assert not outranks((1, low), (2, high))
    assert outranks((1, low), (1, high))
    assert not outranks((1, high), (1, low))
    assert not outranks((1, low), (1, low))


def test_two_records_of_one_sequence_prove_that_their_owner_said_two_things(network: Any) -> None:
    tokens = [sign_record(body(network, value={"text": text}), STRANGER) for text in "abcd"]
    for one, other in permutations(tokens, 2):
        evidence = read_equivocation(one, other, network=network.name)
        lower = jws.record_id(one) < jws.record_id(other)
        assert evidence == Equivocation(
            owner=STRANGER.did,
            namespace="note",
            name=f"{STRANGER.did}/a",
            sequence=1,
            first=one if lower else other,
            second=other if lower else one,
        )


def test_nobody_is_accused_with_less(network: Any) -> None:
    one = sign_record(body(network), STRANGER)
    operator = network.operator
    elsewhere = [
        sign_record(body(network, sequence=2), STRANGER),
        sign_record(body(network, name="b"), STRANGER),
        sign_record(body(network, aud="node"), STRANGER),
        sign_record(body(network, operator, name=f"{STRANGER.did}/a"), operator),
    ]
    for other in elsewhere:
        with pytest.raises(ProofError, match="two owners, names or sequences"):
            read_equivocation(one, other, network=network.name)
    changes = ({"network": "b" * 26, "value": {"text": text}} for text in "ab")
    theirs = [sign_record(body(network).model_copy(update=each), STRANGER) for each in changes]
    with pytest.raises(ProofError, match="another network"):
        read_equivocation(*theirs, network=network.name)
    with pytest.raises(ProofError, match="one record, twice"):
        read_equivocation(one, one, network=network.name)
    forged = unchecked(body(network, value=None), signer=network.operator)
    with pytest.raises(ProofError):
        read_equivocation(one, forged, network=network.name)


def test_nodes_founders_and_the_operator_are_vouched_for_by_genesis(network: Any) -> None:
    view = network.view
    for node in view.genesis.nodes:
        expected = node.coop or node.org
        assert sponsor_of(node.did, proof=(), genesis=view) == expected
    for coop, founder in view.founders():
        assert sponsor_of(founder.did, proof=(), genesis=view) == coop
    assert sponsor_of(view.operator, proof=(), genesis=view) == NO_COOP


def test_a_node_of_a_coop_is_vouched_for_by_it_and_not_by_its_organisation(parts: Any) -> None:
    press = GenesisNode(org="press", title="Press", did=STRANGER.did, coop="building-yard")
    nodes = (*parts.genesis.nodes, press)
    view = read_genesis(parts.token(parts.genesis.model_copy(update={"nodes": nodes})))
    assert sponsor_of(STRANGER.did, proof=(), genesis=view) == "building-yard"


def test_a_member_is_vouched_for_by_the_chain_that_shows_their_key(network: Any) -> None:
    record = network.record("tool-library/ilse", did=STRANGER.did)
    assert sponsor_of(STRANGER.did, proof=(record,), genesis=network.view) == "tool-library"
    moved = network.record("tool-library/mira", did=STRANGER.did)
    assert sponsor_of(STRANGER.did, proof=(moved,), genesis=network.view) == "tool-library"
    alone = network.record("-/pilar", did=STRANGER.did)
    assert sponsor_of(STRANGER.did, proof=(alone,), genesis=network.view) == NO_COOP


def test_a_chain_that_shows_less_vouches_for_nobody(network: Any) -> None:
    view = network.view
    other = Identity.from_seed(b"\10" * 32)
    added = network.record("tool-library/ilse", did=STRANGER.did)
    gone = network.record("tool-library/ilse", did=STRANGER.did, sequence=2, action="revoke")
    forged = network.record("tool-library/ilse", did=STRANGER.did, signer=STRANGER)
    second = network.record("tool-library/ilse", did=STRANGER.did, sequence=2)
    assert sponsor_of(STRANGER.did, proof=(), genesis=view) is None
    assert sponsor_of(other.did, proof=(added,), genesis=view) is None
    assert sponsor_of(STRANGER.did, proof=(added, gone), genesis=view) is None
    assert sponsor_of(STRANGER.did, proof=(forged,), genesis=view) is None
    assert sponsor_of(STRANGER.did, proof=(second,), genesis=view) is None
    assert sponsor_of(STRANGER.did, proof=("no.record.at-all",), genesis=view) is None


def test_a_verifier_checks_a_signature_once(network: Any) -> None:
    verifier = Verifier(network.view)
    token = sign_record(body(network), STRANGER)
    first = verifier.read(token)
    assert (first.token, first.body) == (token, body(network))
    assert first.id.hex() == jws.record_id(token)
    assert verifier.read(token) is first
    assert (verifier.hits, verifier.misses) == (1, 1)
    assert verifier.genesis is network.view


def test_whoever_signed_a_record_does_not_check_their_own_signature(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sign_record(body(network), STRANGER)
    monkeypatch.setattr("opkit.proof.record.read_record", pytest.fail)
    verifier = Verifier(network.view)
    assert verifier.read(token).body == body(network)
    assert verifier.misses == 1


def test_what_was_signed_here_is_believed_to_the_letter_and_in_its_network_alone(
    network: Any,
) -> None:
    said = body(network).model_copy(update={"network": "b" * 26})
    elsewhere = sign_record(said, STRANGER)
    good = sign_record(body(network), STRANGER)
    other = sign_record(body(network, sequence=2), STRANGER)
    verifier = Verifier(network.view)
    with pytest.raises(ProofError, match="another network"):
        verifier.read(elsewhere)
    with pytest.raises(ProofError, match="does not verify"):
        verifier.read(".".join((*good.split(".")[:2], other.split(".")[2])))


def test_of_what_was_signed_here_the_last_is_remembered_and_no_more(network: Any) -> None:
    own = _Own(2)
    for number in range(3):
        own.keep(str(number), body(network))
    assert [own.get(str(n), network=network.view.network) is None for n in range(3)] == [
        True,
        False,
        False,
    ]


def test_a_body_that_was_changed_without_a_look_is_not_signed(network: Any) -> None:
    with pytest.raises(ProofError, match="no RecordBody"):
        sign_record(body(network).model_copy(update={"sequence": 0}), STRANGER)


def test_a_verifier_remembers_what_does_not_verify_as_well(network: Any) -> None:
    verifier = Verifier(network.view)
    forged = unchecked(body(network), signer=network.operator)
    for _ in range(2):
        with pytest.raises(ProofError, match="is signed by"):
            verifier.read(forged)
    with pytest.raises(ProofError, match="compact JWS"):
        verifier.read("\ud800")
    assert (verifier.hits, verifier.misses) == (1, 2)


def test_a_copy_with_another_signature_has_a_verdict_of_its_own(network: Any) -> None:
    verifier = Verifier(network.view)
    good = sign_record(body(network), STRANGER)
    verifier.read(good)
    other = sign_record(body(network, sequence=2), STRANGER)
    with pytest.raises(ProofError, match="does not verify"):
        verifier.read(".".join((*good.split(".")[:2], other.split(".")[2])))


def test_a_verifier_remembers_who_vouches_for_whom(network: Any) -> None:
    verifier = Verifier(network.view)
    record = network.record("tool-library/ilse", did=STRANGER.did)
    for _ in range(2):
        assert verifier.sponsor(STRANGER.did, (record,)) == "tool-library"
        assert verifier.sponsor(STRANGER.did, ()) is None
    assert (verifier.hits, verifier.misses) == (2, 2)


def test_a_proof_that_is_cut_elsewhere_does_not_pass_for_another(network: Any) -> None:
    verifier = Verifier(network.view)
    record = network.record("tool-library/ilse", did=STRANGER.did)
    head, _, tail = record.partition(".")
    assert verifier.sponsor(STRANGER.did, (head, tail)) is None
    assert verifier.sponsor(STRANGER.did, (record,)) == "tool-library"


def test_what_a_verifier_remembers_is_bounded_and_bad_records_drive_out_no_good_ones(
    network: Any,
) -> None:
    verifier = Verifier(network.view, verdicts_max=2)
    good = [sign_record(body(network, sequence=n), STRANGER) for n in (1, 2, 3)]
    for token in good:
        verifier.read(token)
    for n in range(5):
        with pytest.raises(ProofError):
            verifier.read(f"a.b.{n}")
        verifier.sponsor(STRANGER.did, (f"a.b.{n}",))
    assert len(verifier) == 6
    before = verifier.hits
    verifier.read(good[2])
    verifier.read(good[1])
    assert verifier.hits == before + 2
    verifier.read(good[0])
    assert verifier.hits == before + 2
