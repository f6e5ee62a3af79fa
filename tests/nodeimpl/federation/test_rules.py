"""Who may say what in the federation, judged without a node."""

from __future__ import annotations

import pytest

from nodeimpl.federation import rules
from nodeimpl.federation.rules import Limits, Permitted, attestation_key, coop_key
from opkit.proof.federation import charter_hash, sign_attestation, sign_statement
from opkit.wire import federation as wire
from opkit.wire.federation import Attestation, CoopStatement
from opkit.wire.operations import AddAct, AdmitAct, ExpelAct, SetAct
from tests.opkit.proof.pacts import NETWORK, START_MS, genesis_of, key_of

GENESIS = genesis_of()
MILL, WHARF, STRANGER = key_of("mill-node"), key_of("wharf-node"), key_of("stranger")
MAY = Permitted(GENESIS)


def statement(**changes):
    charter = GENESIS.charter("mill")
    said = {
        "network": NETWORK,
        "did": MILL.did,
        "coop": "mill",
        "title": "Mill",
        "charter": charter_hash(charter),
        "decision": None,
        "issued_at_ms": START_MS,
    }
    return CoopStatement(**{**said, **changes})


def attestation(**changes):
    said = {
        "network": NETWORK,
        "did": MILL.did,
        "issuer": "mill",
        "subject": "wharf",
        "type": "insured",
        "statement": "Insured until May.",
        "valid_from_ms": START_MS,
        "valid_until_ms": START_MS + 10,
        "issued_at_ms": START_MS,
    }
    return Attestation(**{**said, **changes})


SAID = sign_statement(statement(), MILL)
ATTESTED = sign_attestation(attestation(), MILL)
KEY = attestation_key(MILL.did, subject="wharf", type_="insured")


@pytest.mark.parametrize(
    ("act", "may"),
    [
        (AdmitAct(did=STRANGER.did), True),
        (ExpelAct(did=WHARF.did), True),
        (AddAct(element="x"), False),
        (SetAct(key=coop_key(MILL.did), value=SAID), True),
        (SetAct(key=coop_key(MILL.did), value=None), True),
        (SetAct(key=coop_key(WHARF.did), value=SAID), False),
        (SetAct(key=coop_key(MILL.did), value="nothing signed"), False),
        (SetAct(key=KEY, value=ATTESTED), True),
        (SetAct(key=KEY, value=None), True),
        (SetAct(key=KEY, value=SAID), False),
        (SetAct(key=f"{KEY}/more", value=ATTESTED), False),
        (SetAct(key=f"attestation/{MILL.did}/wharf", value=ATTESTED), False),
        (SetAct(key=f"attestation/{MILL.did}//insured", value=ATTESTED), False),
        (SetAct(key=f"attestation/{WHARF.did}/wharf/insured", value=ATTESTED), False),
        (SetAct(key=f"attestation/{MILL.did}/yard/insured", value=ATTESTED), False),
        (SetAct(key="price/bread", value=None), False),
    ],
)
def test_a_node_says_only_what_verifies_and_under_its_own_keys(act, may):
    assert MAY(MILL.did, act) is may


def test_who_speaks_for_a_coop_is_at_its_home_and_a_member():
    judge = rules.judge_speaker
    assert judge(GENESIS, MILL.did, member_id="mill/ann", standing=True) == "mill"
    assert judge(GENESIS, key_of("loner-node").did, member_id="hall/ann", standing=True) is None
    with pytest.raises(wire.NotCoopsHome):
        judge(GENESIS, MILL.did, member_id="wharf/ann", standing=False)
    with pytest.raises(wire.NotFederated):
        judge(GENESIS, MILL.did, member_id="mill/ann", standing=False)


def test_a_node_registers_the_coop_whose_home_it_is_or_one_that_is_new():
    judge = rules.judge_coop
    assert judge(GENESIS, MILL.did, home_of="mill", asked=None) == "mill"
    assert judge(GENESIS, STRANGER.did, home_of=None, asked="bakery") == "bakery"
    with pytest.raises(wire.NotCoopsHome):
        judge(GENESIS, STRANGER.did, home_of=None, asked=None)
    for asked in ("wharf", "bakery"):
        with pytest.raises(wire.CoopNotYours):
            judge(GENESIS, MILL.did, home_of="mill", asked=asked)
    with pytest.raises(wire.CoopNotYours):
        judge(GENESIS, STRANGER.did, home_of=None, asked="mill")


@pytest.mark.parametrize(
    ("expel", "authors", "expelled", "before", "refusal"),
    [
        (False, set(), set(), False, None),
        (True, {STRANGER.did}, set(), False, None),
        (True, set(), set(), True, wire.NotAMember),
        (False, set(), {STRANGER.did}, True, wire.MemberAlready),
        (False, {STRANGER.did}, set(), True, wire.MemberAlready),
        (False, set(), set(), True, wire.VouchRepeated),
    ],
)
def test_a_voice_about_another_says_something_new(expel, authors, expelled, before, refusal):
    said = {
        "authors": frozenset(authors),
        "expelled": frozenset(expelled),
        "said_before": before,
    }
    ask = wire.VouchFor(did=STRANGER.did, expel=expel)
    if refusal is None:
        rules.judge_vouch(ask, **said)
    else:
        with pytest.raises(refusal):
            rules.judge_vouch(ask, **said)


@pytest.mark.parametrize(
    ("subject", "is_new", "attested", "refusal"),
    [
        ("wharf", True, 1, None),
        ("wharf", False, 2, None),
        ("mill", True, 2, wire.AttestationSelf),
        ("bakery", True, 2, wire.NotAMember),
        ("wharf", True, 2, wire.AttestationsFull),
    ],
)
def test_a_coop_attests_so_much_of_other_members(subject, is_new, attested, refusal):
    said = {
        "issuer": "mill",
        "coops": frozenset({"mill", "wharf"}),
        "is_new": is_new,
        "attested": attested,
        "limits": Limits(attestations_max=2),
    }
    ask = wire.IssueAttestation(subject=subject, type="insured", statement="Insured.", valid_ms=10)
    if refusal is None:
        rules.judge_attestation(ask, **said)
    else:
        with pytest.raises(refusal):
            rules.judge_attestation(ask, **said)


@pytest.mark.parametrize(("after_ms", "state"), [(-1, "early"), (0, "valid"), (10, "over")])
def test_an_attestation_stands_from_its_first_moment_to_its_last(after_ms, state):
    assert rules.state_of(attestation(), START_MS + after_ms) == state
