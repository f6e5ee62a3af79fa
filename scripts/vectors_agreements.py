"""What coops sign of agreements: terms and their name, and a signature as it is shared.

Everything follows from the keys in `vectors_people`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_people as people

from opkit.proof import jws
from opkit.proof.agreement import effect_of, read_signing, sign_agreement, signing_of
from opkit.proof.decision import attested_of
from opkit.proof.governance import charter_rule
from opkit.proof.terms import agreement_id, check_terms, spell_terms
from opkit.wire.agreements import AgreementSignature, SignedBy
from opkit.wire.base import Jws
from opkit.wire.terms import Action, ClearingTerms, Provision, Terms
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    NO_DECISION,
    Decision,
    Tally,
)

OTHER = "yard"
CLOSED_MS = people.CLOCK_MS + people.charter().voting_period_ms
ENDS_MS = CLOSED_MS + people.charter().challenge_window_ms


@cache
def terms() -> Terms:
    """Return what two coops agree on, one of which has a home in the vectors' genesis."""
    made = Terms(
        network=people.NETWORK,
        parties=(people.COOP, OTHER),
        facilitator=None,
        arbiter="harbor-homes",
        title="Tools for repair, 20 h € a quarter",
        text="The library lends; the yard repairs.\n\u0007",
        provisions=(
            Provision(by=OTHER, to=people.COOP, what="repair", quantity=20, per="quarter"),
            Provision(by=people.COOP, to=OTHER, what="a lathe, off peak"),
        ),
        starts_ms=people.CLOCK_MS,
        term_days=90,
        renewable=True,
        notice_days=30,
        clearing=ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
        amends="7" * 64,
    )
    check_terms(made)
    return made


@cache
def signed_by(action: Action) -> SignedBy:
    """Return the home's signature with the coop's decision on it."""
    home = people.identity("node-1")
    decision = Decision(
        network=people.NETWORK,
        aud=people.COOP,
        did=home.did,
        sequence=1,
        previous=NO_DECISION,
        proposal_id="agree",
        proposal="1" * 64,
        kind="agreement",
        treasury_nonce=None,
        rule=charter_rule(people.charter()),
        electorate_hash="2" * 64,
        tally=Tally(electorate=2, cast=2, yes=2, no=0, abstain=0, delegated=0),
        ballots_hash="3" * 64,
        delegations_hash="4" * 64,
        commitments_root="5" * 64,
        outcome="accepted",
        opened_ms=people.CLOCK_MS,
        closes_ms=CLOSED_MS,
        closed_ms=CLOSED_MS,
        challenge_ends_ms=ENDS_MS,
        executable_until_ms=ENDS_MS + EXECUTE_WITHIN_MS,
    )
    token = jws.sign(decision, typ=DECISION_TYP, identity=home)
    signature = AgreementSignature(
        network=people.NETWORK,
        aud=people.COOP,
        did=home.did,
        agreement=agreement_id(terms()),
        action=action,
        decision=jws.record_id(token),
        signed_at_ms=ENDS_MS,
    )
    attested = attested_of(
        decision,
        cited=signature.decision,
        title="We agree",
        effect=effect_of(signature, terms()),
        commitments=2,
    )
    return SignedBy(
        coop=people.COOP,
        action=action,
        signature=sign_agreement(signature, home),
        decision=token,
        attested=jws.sign(attested, typ=ATTESTED_DECISION_TYP, identity=home),
    )


def signed() -> dict[Jws, str]:
    """Return a party's signature, with the name of who signed it."""
    return {signed_by("adopt").signature: "node-1"}


def derived() -> Iterator[dict[str, Any]]:
    """Yield an agreement's name, and its signatures as they are shared and as they were signed."""
    actions: tuple[Action, ...] = ("adopt", "end")
    for action in actions:
        whole = signed_by(action)
        shared = signing_of(whole, terms=terms())
        assert read_signing(shared, terms=terms()) == whole
        yield {
            "name": action,
            "terms": spell_terms(terms()),
            "agreement": agreement_id(terms()),
            "shared": shared,
            "signed": whole.model_dump(mode="json"),
        }
