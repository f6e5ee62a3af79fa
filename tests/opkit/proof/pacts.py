"""Coops that agree, to prove things about: what is signed here is signed as said, true or not."""

from __future__ import annotations

from functools import cache
from typing import Any

from opkit.proof import jws
from opkit.proof.agreement import effect_of, spell_file
from opkit.proof.decision import attested_of
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.governance import charter_rule
from opkit.proof.keys import Identity
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import AGREEMENT_SIGNATURE_TYP, AgreementSignature, SignedBy
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode
from opkit.wire.terms import Action, ClearingTerms, Provision, Terms
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    NO_DECISION,
    Decision,
    Tally,
)

NETWORK = "a" * 26
COOPS = ("mill", "wharf", "yard")
HALL, LONER = "hall", "loner"
DAY_MS = 86_400_000
START_MS = 100 * DAY_MS
TERM_MS = 90 * DAY_MS


@cache
def key_of(who: str) -> Identity:
    return Identity.from_seed(who.encode().ljust(32, b"."))


def charter_of(coop: str, network: str = NETWORK) -> Charter:
    return Charter(
        network=network,
        coop=coop,
        title=coop,
        home_node=key_of(f"{coop}-node").did,
        founders=(
            Founder(
                member_id=f"{coop}/ann",
                name="Ann",
                title="member",
                did=key_of(f"{coop}/ann").did,
                roles=("officer",),
            ),
        ),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=7 * DAY_MS,
        challenge_window_ms=DAY_MS,
    )


@cache
def genesis_of(network: str = NETWORK) -> GenesisView:
    """Return three coops and the hall, each with a node, and a node of nobody."""
    charters = [charter_of(coop, network) for coop in (*COOPS, HALL)]
    genesis = Genesis(
        network=network,
        devnet=True,
        operator=key_of("operator").did,
        created_ms=1,
        nodes=(
            *(
                GenesisNode(org=coop, title=coop, did=key_of(f"{coop}-node").did, coop=coop)
                for coop in (*COOPS, HALL)
            ),
            GenesisNode(org=LONER, title=LONER, did=key_of("loner-node").did, coop=None),
        ),
        charters=tuple(
            sign_charter(each, {one.member_id: key_of(one.member_id) for one in each.founders})
            for each in charters
        ),
    )
    return read_genesis(sign_genesis(genesis, key_of("operator")))


def terms_of(**changes: Any) -> Terms:
    """Return terms between mill and yard, but for the `changes`."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "parties": ("mill", "yard"),
        "facilitator": HALL,
        "arbiter": HALL,
        "title": "Lathe for maintenance",
        "text": "The yard opens its workshop; the mill keeps the machines running.",
        "provisions": (
            Provision(by="mill", to="yard", what="maintenance hours", quantity=20, per="quarter"),
            Provision(by="yard", to="mill", what="lathe, off peak"),
        ),
        "starts_ms": START_MS,
        "term_days": 90,
        "renewable": True,
        "notice_days": 30,
        "clearing": ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
        "amends": None,
    }
    return Terms(**{**said, **changes})


def decision_of(coop: str, **changes: Any) -> Decision:
    """Return an accepted decision of a coop that may be executed from `START_MS` on."""
    charter = charter_of(coop)
    closed_ms = START_MS - DAY_MS
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": coop,
        "did": charter.home_node,
        "sequence": 1,
        "previous": NO_DECISION,
        "proposal_id": "agree",
        "proposal": "1" * 64,
        "kind": "agreement",
        "treasury_nonce": None,
        "rule": charter_rule(charter),
        "electorate_hash": "2" * 64,
        "tally": Tally(electorate=5, cast=4, yes=3, no=1, abstain=0, delegated=0),
        "ballots_hash": "3" * 64,
        "delegations_hash": "4" * 64,
        "commitments_root": "5" * 64,
        "outcome": "accepted",
        "opened_ms": closed_ms - 7 * DAY_MS,
        "closes_ms": closed_ms,
        "closed_ms": closed_ms,
        "challenge_ends_ms": START_MS,
        "executable_until_ms": START_MS + EXECUTE_WITHIN_MS,
    }
    return Decision(**{**said, **changes})


def signed_by(
    coop: str,
    terms: Terms | None = None,
    action: Action = "adopt",
    *,
    at_ms: int = START_MS,
    home: Identity | None = None,
    signer: Identity | None = None,
    decision: dict[str, Any] | None = None,
    attested: dict[str, Any] | None = None,
    signature: dict[str, Any] | None = None,
) -> SignedBy:
    """Return a party's signature with what it cites, but for the changes in each of the three.

    All three are by the coop's home, unless `home`, or for the signature `signer`, is another key.
    """
    terms = terms or terms_of()
    home = home or key_of(f"{coop}-node")
    signer = signer or home
    decided = decision_of(coop, **(decision or {}))
    decided_token = jws.sign(decided, typ=DECISION_TYP, identity=home)
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": coop,
        "did": signer.did,
        "agreement": agreement_id(terms),
        "action": action,
        "decision": jws.record_id(decided_token),
        "signed_at_ms": at_ms,
    }
    signature_said = AgreementSignature(**{**said, **(signature or {})})
    told = attested_of(
        decided,
        cited=jws.record_id(decided_token),
        title="We agree",
        effect=effect_of(signature_said.model_copy(update=said), terms),
        commitments=4,
    ).model_copy(update=attested or {})
    return SignedBy(
        coop=coop,
        action=action,
        signature=jws.sign(signature_said, typ=AGREEMENT_SIGNATURE_TYP, identity=signer),
        decision=decided_token,
        attested=jws.sign(told, typ=ATTESTED_DECISION_TYP, identity=home),
    )


def file_of(terms: Terms | None = None, *signatures: SignedBy) -> bytes:
    """Return the file of an agreement: signed by all its parties unless signatures are given."""
    terms = terms or terms_of()
    return spell_file(terms, signatures or [signed_by(coop, terms) for coop in terms.parties])
