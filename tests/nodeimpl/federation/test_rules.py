"""Who may say what in the federation, judged without a node."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.federation import rules
from nodeimpl.federation.rules import Limits, Permitted, attestation_key, coop_key
from opkit.proof.federation import charter_hash, sign_attestation, sign_statement
from opkit.proof.keys import Identity
from opkit.wire import federation as wire
from opkit.wire.errors import Refusal
from opkit.wire.federation import Attestation, CoopStatement
from opkit.wire.operations import AddAct, AdmitAct, ExpelAct, SetAct
from tests.nodeimpl.judged import judged
from tests.opkit.proof.pacts import NETWORK, START_MS, genesis_of, key_of

GENESIS = genesis_of()
MILL, WHARF, LONER = key_of("mill-node"), key_of("wharf-node"), key_of("loner-node")
STRANGER = key_of("stranger")
MAY = Permitted(GENESIS)


def statement(**changes: Any) -> CoopStatement:
    charter = GENESIS.charter(changes.get("coop", "mill"))
    assert charter is not None
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


def attestation(**changes: Any) -> Attestation:
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


WHARFS = statement(did=WHARF.did, coop="wharf")
SAID = sign_statement(statement(), MILL)
ATTESTED = sign_attestation(attestation(), MILL)
KEY = attestation_key(MILL.did, subject="wharf", type_="insured")


def under(issuer: str, about: str, value: str | None = None) -> SetAct:
    """Return an act under the key of an attestation, whatever it is about."""
    return SetAct(key=f"attestation/{issuer}/{about}", value=value)


def test_keys_name_who_speaks_and_of_what() -> None:
    assert coop_key(MILL.did) == f"coop/{MILL.did}"
    assert f"attestation/{MILL.did}/wharf/insured" == KEY


@pytest.mark.parametrize(
    ("act", "may"),
    [
        (AdmitAct(did=STRANGER.did), True),
        (ExpelAct(did=WHARF.did), True),
        (AddAct(element="x"), False),
        (SetAct(key=coop_key(MILL.did), value=SAID), True),
        (SetAct(key=coop_key(MILL.did), value=None), True),
        (SetAct(key=coop_key(WHARF.did), value=SAID), False),
        (SetAct(key=coop_key(WHARF.did), value=None), False),
        (SetAct(key=coop_key(MILL.did), value="nothing signed"), False),
        (SetAct(key=coop_key(MILL.did), value=sign_statement(WHARFS, WHARF)), False),
        (SetAct(key=KEY, value=ATTESTED), True),
        (SetAct(key=KEY, value=None), True),
        (SetAct(key=KEY, value=SAID), False),
        (SetAct(key=KEY, value=""), False),
        (under(MILL.did, "yard/insured", ATTESTED), False),
        (under(MILL.did, "wharf/trusted", ATTESTED), False),
        (under(WHARF.did, "wharf/insured", ATTESTED), False),
        (under(WHARF.did, "wharf/insured"), False),
        # What is none, even of such as could not be attested, is not taken back either.
        (under(MILL.did, f"{'w' * 64}/{'i' * 64}"), True),
        (under(MILL.did, f"{'w' * 65}/insured"), False),
        (under(MILL.did, f"wharf/{'i' * 65}"), False),
        (under(MILL.did, "No coop/insured"), False),
        (under(MILL.did, "wharf/Not a type"), False),
        (under(MILL.did, "wharf/insured\n"), False),
        (under(MILL.did, "wharf/insured/more"), False),
        (under(MILL.did, "/insured"), False),
        (under(MILL.did, "wharf/"), False),
        (under(MILL.did, "wharf"), False),
        (SetAct(key=f"rumour/{MILL.did}/wharf/insured", value=ATTESTED), False),
        (SetAct(key="price/bread", value=None), False),
    ],
)
def test_a_node_says_only_what_verifies_and_under_its_own_keys(
    act: SetAct | AddAct | AdmitAct | ExpelAct, may: bool
) -> None:
    assert MAY(MILL.did, act) is may


def test_what_another_signed_is_not_said_under_ones_own_key() -> None:
    """A stranger signs for itself; nobody repeats that under their key, nor as their own."""
    own = sign_attestation(attestation(did=STRANGER.did, issuer="bakery"), STRANGER)
    assert MAY(STRANGER.did, under(STRANGER.did, "wharf/insured", own))
    assert not MAY(MILL.did, under(MILL.did, "wharf/insured", own))


@pytest.mark.parametrize(
    ("own", "member_id", "standing", "speaks"),
    [
        (MILL, "mill/ann", True, "mill"),
        (LONER, "hall/ann", True, None),
        (STRANGER, "-/ann", True, None),
        (MILL, "wharf/ann", True, wire.NotCoopsHome(coop="mill")),
        (MILL, "wharf/ann", False, wire.NotCoopsHome(coop="mill")),
        (MILL, "millers/ann", True, wire.NotCoopsHome(coop="mill")),
        (MILL, "mill/ann", False, wire.NotFederated(did=MILL.did)),
        (LONER, "hall/ann", False, wire.NotFederated(did=LONER.did)),
    ],
)
def test_who_speaks_for_a_coop_is_at_its_home_and_a_member(
    own: Identity, member_id: str, standing: bool, speaks: str | Refusal | None
) -> None:
    def judge() -> None:
        said = rules.judge_speaker(GENESIS, own.did, member_id=member_id, standing=standing)
        assert said == speaks

    judged(judge, refusal=speaks if isinstance(speaks, Refusal) else None)


@pytest.mark.parametrize(
    ("own", "home_of", "asked", "registers"),
    [
        (MILL, "mill", None, "mill"),
        (MILL, "mill", "mill", "mill"),
        (STRANGER, None, "bakery", "bakery"),
        (STRANGER, None, None, wire.NotCoopsHome(coop="")),
        (MILL, "mill", "wharf", wire.CoopNotYours(coop="wharf", home=WHARF.did)),
        (MILL, "mill", "bakery", wire.CoopNotYours(coop="bakery", home=MILL.did)),
        (STRANGER, None, "mill", wire.CoopNotYours(coop="mill", home=MILL.did)),
    ],
)
def test_a_node_registers_the_coop_whose_home_it_is_or_one_that_is_new(
    own: Identity, home_of: str | None, asked: str | None, registers: str | Refusal
) -> None:
    def judge() -> None:
        coop = rules.judge_coop(GENESIS, own.did, home_of=home_of, asked=asked)
        assert coop == registers

    judged(judge, refusal=registers if isinstance(registers, Refusal) else None)


IS_MEMBER = wire.MemberAlready(did=STRANGER.did, why="it is a member")
WAS_EXPELLED = wire.MemberAlready(did=STRANGER.did, why="it was expelled, for good")


@pytest.mark.parametrize(
    ("expel", "authors", "expelled", "before", "refusal"),
    [
        (False, {WHARF.did}, {WHARF.did}, False, None),
        (True, {STRANGER.did}, {WHARF.did}, False, None),
        (True, {WHARF.did}, set(), True, wire.NotAMember(subject=STRANGER.did)),
        (True, set(), {STRANGER.did}, True, wire.NotAMember(subject=STRANGER.did)),
        (False, set(), {STRANGER.did}, True, WAS_EXPELLED),
        (False, {STRANGER.did}, set(), True, IS_MEMBER),
        (False, {STRANGER.did}, {STRANGER.did}, True, WAS_EXPELLED),
        (False, set(), set(), True, wire.VouchRepeated(did=STRANGER.did)),
        (True, {STRANGER.did}, set(), True, wire.VouchRepeated(did=STRANGER.did)),
    ],
)
def test_a_voice_about_another_says_something_new(
    expel: bool, authors: set[str], expelled: set[str], before: bool, refusal: Refusal | None
) -> None:
    judged(
        lambda: rules.judge_vouch(
            wire.VouchFor(did=STRANGER.did, expel=expel),
            authors=frozenset(authors),
            expelled=frozenset(expelled),
            said_before=before,
        ),
        refusal=refusal,
    )


@pytest.mark.parametrize(
    ("subject", "is_new", "attested", "refusal"),
    [
        ("wharf", True, 1, None),
        ("wharf", False, 2, None),
        ("mill", True, 2, wire.AttestationSelf(subject="mill")),
        ("bakery", True, 2, wire.NotAMember(subject="bakery")),
        ("wharf", True, 2, wire.AttestationsFull(limit=2)),
        ("wharf", True, 3, wire.AttestationsFull(limit=2)),
    ],
)
def test_a_coop_attests_so_much_of_other_members(
    subject: str, is_new: bool, attested: int, refusal: Refusal | None
) -> None:
    judged(
        lambda: rules.judge_attestation(
            wire.IssueAttestation(
                subject=subject, type="insured", statement="Insured.", valid_ms=10
            ),
            issuer="mill",
            # Also where the issuer is none: of itself it attests nothing.
            coops=frozenset({"wharf"}),
            is_new=is_new,
            attested=attested,
            limits=Limits(attestations_max=2),
        ),
        refusal=refusal,
    )


@pytest.mark.parametrize(
    ("after_ms", "state"), [(-1, "early"), (0, "valid"), (9, "valid"), (10, "over")]
)
def test_an_attestation_stands_from_its_first_moment_to_its_last(after_ms: int, state: str) -> None:
    assert rules.state_of(attestation(), START_MS + after_ms) == state
