"""Agreements: verified by whoever holds the file and the genesis, without any node.

A party has signed if its home node did, citing a decision of that coop by which it adopted exactly
these terms; the decision and what leaves the coop of it travel along. How the coop counted is
attested, not recounted; the decision's own file recounts it. Source: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from opkit.proof import jws
from opkit.proof.agreement_states import Given
from opkit.proof.canonical import canonical_of, sha256_hex
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.decision import attested_of, read_attested, read_decision, said_checks
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.terms import agreement_id, check_named, check_terms
from opkit.wire.agreements import (
    AGREEMENT_FILE_BYTES_MAX,
    AGREEMENT_SIGNATURE_TYP,
    AgreementFile,
    AgreementSignature,
    SignedBy,
    Signing,
)
from opkit.wire.base import Did, Jws, NetworkId, RecordId, Wire, b64encode
from opkit.wire.flaws import first_flaw
from opkit.wire.terms import AgreementEffect, Terms
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    Decision,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementFacts:
    """What a verified file says.

    Attributes:
        signatures: in the order of the file.
    """

    agreement: RecordId
    terms: Terms
    signatures: tuple[AgreementSignature, ...]

    @property
    def given(self) -> tuple[Given, ...]:
        """The signatures, as `opkit.proof.agreement_states.course_of` takes them."""
        return tuple(given_of(each) for each in self.signatures)


def given_of(signature: AgreementSignature) -> Given:
    """Return a signature as far as it moves the agreement."""
    return Given(coop=signature.aud, action=signature.action, at_ms=signature.signed_at_ms)


def sign_agreement(signature: AgreementSignature, home: Identity) -> Jws:
    """Return a party's signature, by its home node, which it names.

    Raises:
        ProofError: it names another key.
    """
    if signature.did != home.did:
        raise ProofError("an agreement is signed by the node that the signature names")
    return jws.sign(signature, typ=AGREEMENT_SIGNATURE_TYP, identity=home)


def read_signature(token: Jws, *, network: NetworkId | None) -> AgreementSignature:
    """Return a party's signature that the node that it names signed; whose home is not asked.

    Raises:
        ProofError: signature, type, network or shape.
    """
    return jws.verify_by_author(
        token, typ=AGREEMENT_SIGNATURE_TYP, author="did", network=network, of=AgreementSignature
    )


def effect_of(signature: AgreementSignature, terms: Terms) -> AgreementEffect:
    """Return what a coop must have decided for its home to sign so."""
    return AgreementEffect(
        action=signature.action,
        agreement=signature.agreement,
        terms=terms if signature.action == "adopt" else None,
    )


def believe(signed: SignedBy, *, terms: Terms, genesis: GenesisView) -> AgreementSignature:
    """Return a party's signature, once it and all that it cites verified.

    Raises:
        ProofError: something of it does not; the first check that fails is told.
    """
    checks, signature = signed_checks(signed, terms=terms, genesis=genesis)
    for check in checks:
        if not check.ok:
            name = check.name.rpartition(":")[2].strip()
            raise ProofError(f"{name}: {check.actual}, not {check.expected}")
    assert signature is not None, "the first check reads it"
    return signature


def signed_checks(
    signed: SignedBy, *, terms: Terms, genesis: GenesisView | None
) -> tuple[list[Check], AgreementSignature | None]:
    """Return the checks of a party's signature and what it cites, and the signature if it is one.

    Args:
        signed: the signature, the decision, and the attested one.
        terms: the agreement's, whose own checks are `check_terms` and `check_named`.
        genesis: the network's; None if the verifier has none.
    """
    network = terms.network
    signature, tried = attempt(
        "agreement-signature", lambda: read_signature(signed.signature, network=network)
    )
    if signature is None:
        return _named([tried], signed), None
    checks = [
        tried,
        equal("signed-for", expected=(signed.coop, signed.action), actual=_for(signature)),
        equal("agreement", expected=agreement_id(terms), actual=signature.agreement),
        Check(
            name="party",
            ok=signature.aud in terms.parties,
            expected=" or ".join(terms.parties),
            actual=signature.aud,
        ),
        *_decision_checks(signed, signature, terms=terms, genesis=genesis),
    ]
    return _named(checks, signed), signature


def _for(signature: AgreementSignature) -> tuple[str, str]:
    return signature.aud, signature.action


def _named(checks: list[Check], signed: SignedBy) -> list[Check]:
    """Return checks under names that say whose they are."""
    about = f"{signed.coop} {signed.action}"
    return [
        Check(name=f"{about}: {each.name}", ok=each.ok, expected=each.expected, actual=each.actual)
        for each in checks
    ]


def _decision_checks(
    signed: SignedBy,
    signature: AgreementSignature,
    *,
    terms: Terms,
    genesis: GenesisView | None,
) -> list[Check]:
    decision, read = attempt(
        "decision-signature", lambda: read_decision(signed.decision, network=terms.network)
    )
    attested, told = attempt(
        "attested-signature", lambda: read_attested(signed.attested, network=terms.network)
    )
    if decision is None or attested is None:
        return [read, told]
    cited = jws.record_id(signed.decision)
    expected = attested_of(
        decision,
        cited=cited,
        title=attested.title,
        effect=effect_of(signature, terms),
        commitments=attested.commitments,
    )
    return [
        read,
        told,
        equal("decision-cited", expected=signature.decision, actual=cited),
        equal("decision-of", expected=signature.aud, actual=decision.aud),
        equal("decided-at-home", expected=decision.did, actual=signature.did),
        *said_checks(decision, genesis=genesis),
        equal("decided-about", expected="agreement", actual=decision.kind),
        equal("accepted", expected="accepted", actual=decision.outcome),
        equal("decided-terms", expected=_short(expected.effect), actual=_short(attested.effect)),
        Check(
            name="attested-decision",
            ok=attested == expected,
            expected="says what the decision says",
            actual="says what the decision says" if attested == expected else "says other",
        ),
        equal(
            "executable-until",
            expected=decision.challenge_ends_ms + EXECUTE_WITHIN_MS,
            actual=decision.executable_until_ms,
        ),
        _executed(signature, decision),
    ]


def _short(effect: Wire) -> str:
    """Return the hash of an effect: effects are too long to be shown side by side."""
    return sha256_hex(canonical_of(effect))


def _executed(signature: AgreementSignature, decision: Decision) -> Check:
    """Return the check that the signature was given while the decision could be executed."""
    first, end = decision.challenge_ends_ms, decision.executable_until_ms
    return Check(
        name="signed-in-time",
        ok=first <= signature.signed_at_ms < end,
        expected=f"from {first} and before {end}",
        actual=str(signature.signed_at_ms),
    )


# What parties share of a signature, in few characters.


def signing_of(signed: SignedBy, *, terms: Terms) -> str:
    """Return a verified signature as parties share it: canonical JSON of a `Signing`.

    The longest one finds room in a shared object.

    Raises:
        ProofError: it says more than can be spelled again from it.
    """
    network = terms.network
    decision = read_decision(signed.decision, network=network)
    attested = read_attested(signed.attested, network=network)
    signature = read_signature(signed.signature, network=network)
    short = Signing(
        action=signature.action,
        decision=decision,
        decided=_last(signed.decision),
        title=attested.title,
        commitments=attested.commitments,
        attested=_last(signed.attested),
        signed_at_ms=signature.signed_at_ms,
        signature=_last(signed.signature),
    )
    if signed_of(short, terms=terms) != signed:
        raise ProofError("the signature says more than can be shared of it")
    return canonical_of(short).decode()


def read_signing(spelled: str, *, terms: Terms) -> SignedBy:
    """Return a party's signature with what it cites, as it was signed; nothing of it is verified.

    Raises:
        ProofError: it is none.
    """
    try:
        short = Signing.model_validate_json(spelled, strict=True)
    except ValidationError as bad:
        raise ProofError("this is no signature of an agreement") from bad
    return signed_of(short, terms=terms)


def signed_of(short: Signing, *, terms: Terms) -> SignedBy:
    """Return the three signed objects that a `Signing` tells of, spelled again.

    Raises:
        ProofError: they cannot be.
    """
    decision = short.decision
    decided = _spelled(decision, typ=DECISION_TYP, did=decision.did, last=short.decided)
    signature = AgreementSignature(
        network=terms.network,
        aud=decision.aud,
        did=decision.did,
        agreement=agreement_id(terms),
        action=short.action,
        decision=jws.record_id(decided),
        signed_at_ms=short.signed_at_ms,
    )
    attested = attested_of(
        decision,
        cited=signature.decision,
        title=short.title,
        effect=effect_of(signature, terms),
        commitments=short.commitments,
    )
    return SignedBy(
        coop=signature.aud,
        action=signature.action,
        signature=_spelled(
            signature, typ=AGREEMENT_SIGNATURE_TYP, did=signature.did, last=short.signature
        ),
        decision=decided,
        attested=_spelled(
            attested, typ=ATTESTED_DECISION_TYP, did=attested.did, last=short.attested
        ),
    )


def _spelled(payload: Wire, *, typ: str, did: Did, last: str) -> Jws:
    body = b64encode(canonical_of(payload))
    return f"{jws.header_of(did, typ=typ)}.{body}.{last}"


def _last(token: Jws) -> str:
    return token.rpartition(".")[2]


# The file.


def spell_file(terms: Terms, signatures: Iterable[SignedBy]) -> bytes:
    """Return the one spelling of an agreement with its signatures, in whatever order they are."""
    file = AgreementFile(
        agreement=agreement_id(terms),
        terms=terms,
        signatures=tuple(sorted(signatures, key=_order)),
    )
    return canonical_of(file)


def read_agreement_file(data: bytes) -> AgreementFile:
    """Return an agreement's file as it was written; no signature in it is verified.

    Raises:
        ProofError: too large, none, or not in its one spelling.
    """
    if len(data) > AGREEMENT_FILE_BYTES_MAX:
        raise ProofError(f"{len(data)} bytes are more than {AGREEMENT_FILE_BYTES_MAX}")
    try:
        file = AgreementFile.model_validate_json(data)
    except ValidationError as bad:
        raise ProofError(f"it is no agreement's file: {first_flaw(bad)}") from bad
    if canonical_of(file) != data:  # What is only taken for something else is spelled otherwise.
        raise ProofError("the file is not in its one spelling")
    return file


def verify_agreement(file: AgreementFile, *, genesis: GenesisView | None) -> Verdict:
    """Check an agreement; never raises for a bad one. See `examine_agreement`."""
    return examine_agreement(file, genesis=genesis)[0]


def examine_agreement(
    file: AgreementFile, *, genesis: GenesisView | None
) -> tuple[Verdict, AgreementFacts | None]:
    """Check an agreement, and return what it says if all of it could be read.

    It holds only with the signatures of all parties: what one of them has not signed is no
    agreement yet, and the verdict says so. Whether it is in force now, or was amended or ended by
    something that the file does not have, no file can say.

    Args:
        file: the terms and the signatures.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    terms = file.terms
    anchored = genesis is not None
    named, hashed = attempt("terms-named", lambda: agreement_id(terms))
    if named is None:
        return Verdict(subject="agreement", checks=(hashed,), anchored=anchored), None
    checks = [
        equal("terms-named", expected=file.agreement, actual=named),
        attempt("terms-well-formed", lambda: check_terms(terms))[1],
    ]
    if genesis is not None:
        network = genesis
        checks.append(attempt("terms-in-network", lambda: check_named(terms, network))[1])
    read: list[AgreementSignature] = []
    for signed in file.signatures:
        more, signature = signed_checks(signed, terms=terms, genesis=genesis)
        checks += more
        if signature is not None:
            read.append(signature)
    checks += _together(file, read)
    verdict = Verdict(subject=f"agreement {named[:12]}", checks=tuple(checks), anchored=anchored)
    if len(read) < len(file.signatures):
        return verdict, None
    return verdict, AgreementFacts(agreement=named, terms=terms, signatures=tuple(read))


def _together(file: AgreementFile, read: list[AgreementSignature]) -> list[Check]:
    """Return the checks that the signatures are all, each once, and in order."""
    order = [_order(each) for each in file.signatures]
    adopted = sorted({each.aud for each in read if each.action == "adopt"})
    others = {each.aud for each in read}.difference(adopted)
    return [
        equal("signatures-in-order", expected=sorted(set(order)), actual=order),
        equal("signed-by-all", expected=list(file.terms.parties), actual=adopted),
        equal("notice-by-signers", expected=[], actual=sorted(others)),
    ]


def _order(signed: SignedBy) -> tuple[str, str]:
    return signed.coop, signed.action
