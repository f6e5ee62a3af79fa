"""Cases of agreements, one to a line: files of which something is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opkit.proof.agreement import read_agreement_file
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import AgreementFile
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import Tally
from tests.opkit.proof.pacts import (
    DAY_MS,
    NETWORK,
    START_MS,
    file_of,
    key_of,
    signed_by,
    terms_of,
)


def tampered(token: str) -> str:
    head, body, last = token.split(".")
    return f"{head}.{body}.{'B' if last[0] == 'A' else 'A'}{last[1:]}"


def changed(coop: str = "yard", **changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which a party signed something else."""

    def make() -> AgreementFile:
        other = "mill" if coop == "yard" else "yard"
        return read_agreement_file(file_of(None, signed_by(other), signed_by(coop, **changes)))

    return make


def replaced(**changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which the yard's line has something else."""

    def make() -> AgreementFile:
        file = read_agreement_file(file_of())
        lines = (file.signatures[0], file.signatures[1].model_copy(update=changes))
        return file.model_copy(update={"signatures": lines})

    return make


def with_terms(**changes: Any) -> Callable[[], AgreementFile]:
    """Return what makes a file in which somebody altered the terms, and nothing else."""

    def make() -> AgreementFile:
        return read_agreement_file(file_of()).model_copy(update={"terms": terms_of(**changes)})

    return make


def only(*coops: str) -> Callable[[], AgreementFile]:
    def make() -> AgreementFile:
        return read_agreement_file(file_of(None, *(signed_by(coop) for coop in coops)))

    return make


def reversed_lines() -> AgreementFile:
    file = read_agreement_file(file_of())
    return file.model_copy(update={"signatures": file.signatures[::-1]})


def doubled() -> AgreementFile:
    file = read_agreement_file(file_of())
    return file.model_copy(update={"signatures": (*file.signatures, file.signatures[1])})


def noticed_alone() -> AgreementFile:
    mill, notice = signed_by("mill"), signed_by("yard", action="end")
    return read_agreement_file(file_of(None, mill, notice))


def about_itself(**changes: Any) -> AgreementEffect:
    said: dict[str, Any] = {
        "action": "adopt",
        "agreement": agreement_id(terms_of()),
        "terms": terms_of(),
    }
    return AgreementEffect(**{**said, **changes})


STRANGER = key_of("wharf-node")
ELSEWHERE = "b" * 26
REJECTED = Tally(electorate=5, cast=4, yes=1, no=3, abstain=0, delegated=0)

BREAKS: dict[str, tuple[Callable[[], AgreementFile], set[str]]] = {
    "altered terms": (
        with_terms(notice_days=1),
        {
            "terms-named",
            *(
                f"{coop} adopt: {name}"
                for coop in ("mill", "yard")
                for name in ("agreement", "decided-terms", "attested-decision")
            ),
        },
    ),
    "one signature": (only("mill"), {"signed-by-all"}),
    "signatures out of order": (reversed_lines, {"signatures-in-order"}),
    "a signature twice": (doubled, {"signatures-in-order"}),
    "notice by who did not sign": (noticed_alone, {"signed-by-all", "notice-by-signers"}),
    "a forged signature": (
        replaced(signature=tampered(signed_by("yard").signature)),
        {"yard adopt: agreement-signature", "signed-by-all"},
    ),
    "a signature for another network": (
        changed(signature={"network": ELSEWHERE}),
        {"yard adopt: agreement-signature", "signed-by-all"},
    ),
    "a decision for another network": (
        changed(decision={"network": ELSEWHERE}, attested={"network": NETWORK}),
        {"yard adopt: decision-signature"},
    ),
    "an attestation for another network": (
        changed(attested={"network": ELSEWHERE}),
        {"yard adopt: attested-signature"},
    ),
    "another coop's signature": (
        replaced(signature=signed_by("wharf").signature),
        {
            f"yard adopt: {name}"
            for name in (
                "signed-for",
                "party",
                "decision-cited",
                "decision-of",
                "decided-at-home",
            )
        }
        | {"signed-by-all"},
    ),
    "signed by another node": (
        changed(home=STRANGER, decision={"did": STRANGER.did}),
        {"yard adopt: home-node"},
    ),
    "signed by another node than decided": (
        changed(signer=STRANGER),
        {"yard adopt: decided-at-home"},
    ),
    "a forged decision": (
        replaced(decision=tampered(signed_by("yard").decision)),
        {"yard adopt: decision-signature"},
    ),
    "a forged attestation": (
        replaced(attested=tampered(signed_by("yard").attested)),
        {"yard adopt: attested-signature"},
    ),
    "another decision": (
        changed(signature={"decision": "6" * 64}),
        {"yard adopt: decision-cited"},
    ),
    "a decision of another coop": (
        changed(decision={"aud": "mill"}),
        {"yard adopt: decision-of", "yard adopt: home-node"},
    ),
    "a rejected decision": (
        changed(decision={"outcome": "rejected", "tally": REJECTED}),
        {"yard adopt: accepted"},
    ),
    "a decision that was lost by its own tally": (
        changed(decision={"tally": REJECTED}),
        {"yard adopt: outcome"},
    ),
    "a decision on a spend": (changed(decision={"kind": "spend"}), {"yard adopt: decided-about"}),
    "a decision on other terms": (
        changed(attested={"effect": about_itself(terms=terms_of(notice_days=1))}),
        {"yard adopt: decided-terms", "yard adopt: attested-decision"},
    ),
    "a decision to end it": (
        changed(attested={"effect": about_itself(action="end", terms=None)}),
        {"yard adopt: decided-terms", "yard adopt: attested-decision"},
    ),
    "an attestation that says other": (
        changed(attested={"proposal_id": "other"}),
        {"yard adopt: attested-decision"},
    ),
    "signed within the challenge window": (
        changed(at_ms=START_MS - 1),
        {"yard adopt: signed-in-time"},
    ),
    "signed after the decision expired": (
        changed(at_ms=START_MS + 90 * DAY_MS),
        {"yard adopt: signed-in-time"},
    ),
    "a decision that its home lets be executed for ever": (
        changed(decision={"executable_until_ms": 2**53 - 1}, at_ms=START_MS + 900 * DAY_MS),
        {"yard adopt: executable-until"},
    ),
    "a decision that expires early": (
        changed(decision={"executable_until_ms": START_MS + DAY_MS}),
        {"yard adopt: executable-until"},
    ),
    "bad terms": (
        lambda: read_agreement_file(file_of(terms_of(arbiter="mill"))),
        {"terms-well-formed"},
    ),
    "terms that name a stranger": (
        lambda: read_agreement_file(file_of(terms_of(facilitator="nobody"))),
        {"terms-in-network"},
    ),
}
"""What is done to a file, and which checks fail of it."""
