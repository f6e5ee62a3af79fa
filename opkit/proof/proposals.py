"""Proposals: what a member signs, and whether its effect could be executed as it stands.

What can be said of an effect by itself is judged here, for the node that opens a vote and for
whoever verifies the decision alike; whether the treasury has the money is the ledger's to say.
Source: ADR 0041, ADR 0042.
"""

from __future__ import annotations

import re

from opkit.proof import jws
from opkit.proof.ballots import assembly_of
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.keys import Identity
from opkit.proof.patronage import allocate
from opkit.proof.terms import check_agreement_effect
from opkit.wire.base import Jws, NetworkId, Slug
from opkit.wire.ledger import AccountConfigured, Entry
from opkit.wire.membership import ROLES
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import (
    PROPOSAL_CHARACTERS_MAX,
    PROPOSAL_TYP,
    TREASURY_KINDS,
    ConfigurationEffect,
    DistributionEffect,
    DistributionLine,
    Effect,
    MembershipEffect,
    Proposal,
    SpendEffect,
)

DECIDED_ROLES = frozenset(ROLES) - {"operator"}
"""The roles that a coop may give: it does not name the network's operator."""

PEOPLE_TEXT_BYTES_MAX = 512
"""The longest name, and the longest title, that a decision gives a member.

A link of a chain travels in the record of each of the member's names, and must find room there.
"""

_HASH = re.compile(r"[0-9a-f]{64}")


def sign_proposal(proposal: Proposal, member: Identity) -> Jws:
    """Return a proposal, signed by the member that it names.

    Raises:
        ProofError: `member` is another key, or nobody would take it (`read_proposal`).
    """
    if proposal.did != member.did:
        raise ProofError("a proposal is signed by the key that it names")
    token = jws.sign(proposal, typ=PROPOSAL_TYP, identity=member)
    read_proposal(token, network=proposal.network)
    return token


def read_proposal(token: Jws, *, network: NetworkId) -> Proposal:
    """Return a proposal that the key that it names signed, whoever that is.

    Whether its effect could be executed is for `check_effect`.

    Raises:
        ProofError: length, signature, type, network or shape; another assembly than the member's;
            an id that reads as a hash; a treasury nonce without an effect that takes one, or the
            other way round.
    """
    if len(token) > PROPOSAL_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than a proposal may have")
    said = jws.verify_by_author(token, typ=PROPOSAL_TYP, author="did", network=network, of=Proposal)
    if assembly_of(said.member_id) != said.aud:
        raise ProofError(f"{said.member_id} is no member of {said.aud}")
    if _HASH.fullmatch(said.proposal_id):
        raise ProofError("an id of 64 hexadecimal digits reads as a hash")
    if (said.treasury_nonce is not None) != (said.effect.kind in TREASURY_KINDS):
        raise ProofError("a treasury nonce stands where the treasury's money moves, and only there")
    return said


def make_distribution(
    *, from_account: str, unit: str, surplus: int, weights: dict[str, int], memo: str = ""
) -> DistributionEffect:
    """Return the effect that pays out a surplus by weights, with the lines computed.

    Args:
        from_account: what is paid out of.
        unit: of what.
        surplus: how much, to the last one.
        weights: by account.
        memo: what the ledger's entry will say.

    Raises:
        ProofError: it cannot be split so (`opkit.proof.patronage.allocate`).
    """
    parts = allocate(surplus, weights)
    lines = tuple(
        DistributionLine(account=account, weight=weights[account], amount=amount)
        for account, amount in parts.items()
    )
    return DistributionEffect(
        from_account=from_account, unit=unit, surplus=surplus, lines=lines, memo=memo
    )


def check_effect(effect: Effect, *, coop: Slug) -> None:
    """Return if an effect could be executed in a coop, as far as it says so itself.

    Raises:
        ProofError: it pays from or to another coop's ledger, or an account itself; a distribution's
            lines are not those that its weights give; it is about another coop's member, gives a
            role that is none or not the coop's to give, lacks what its action needs or has what it
            does not; it changes nothing, or one account twice; it is about an agreement as
            `check_agreement_effect` says that none is.
    """
    if isinstance(effect, SpendEffect):
        _check_own(effect.from_account, effect.to_account, coop=coop)
        if effect.from_account == effect.to_account:
            raise ProofError("an account pays itself")
    elif isinstance(effect, DistributionEffect):
        check_distribution(effect, coop=coop)
    elif isinstance(effect, MembershipEffect):
        _check_membership(effect, coop=coop)
    elif isinstance(effect, ConfigurationEffect):
        _check_configuration(effect, coop=coop)
    elif isinstance(effect, AgreementEffect):
        check_agreement_effect(effect, coop=coop)


def check_distribution(effect: DistributionEffect, *, coop: Slug) -> None:
    """Return if a distribution's lines are those that its weights give.

    Raises:
        ProofError: they are not, or not in the order of their accounts, each once; it pays from or
            to another coop's ledger, or the account that it pays from.
    """
    accounts = [line.account for line in effect.lines]
    _check_own(effect.from_account, *accounts, coop=coop)
    if accounts != sorted(set(accounts)):
        raise ProofError("the lines are not in the order of their accounts, each once")
    if effect.from_account in accounts:
        raise ProofError("an account pays itself")
    parts = allocate(effect.surplus, {line.account: line.weight for line in effect.lines})
    for line in effect.lines:
        if line.amount != parts[line.account]:
            raise ProofError(
                f"{line.account} gets {line.amount}, and by its weight {parts[line.account]}"
            )


def _check_membership(effect: MembershipEffect, *, coop: Slug) -> None:
    if assembly_of(effect.member_id) != coop:
        raise ProofError(f"{effect.member_id} is no member id of {coop}")
    if effect.action != "remove":
        if effect.did is None:
            raise ProofError("there is no key")
        public_key_of(effect.did)
    elif effect.did is not None:
        raise ProofError("who is removed gets no key")
    if effect.action == "admit":
        if not effect.name:
            raise ProofError("who is admitted has a name")
        if max(len(said.encode()) for said in (effect.name, effect.title)) > PEOPLE_TEXT_BYTES_MAX:
            raise ProofError(f"a name or title is longer than {PEOPLE_TEXT_BYTES_MAX} bytes")
        if not effect.roles or len(set(effect.roles)) != len(effect.roles):
            raise ProofError("who is admitted gets roles, each once")
        for role in effect.roles:
            if role not in DECIDED_ROLES:
                raise ProofError(f"{role!r} is no role that a coop gives")
    elif effect.roles or effect.name or effect.title:
        raise ProofError("only who is admitted gets a name, a title and roles")


def _check_configuration(effect: ConfigurationEffect, *, coop: Slug) -> None:
    rule = effect.rule
    if rule is not None and not rule.model_dump(exclude_none=True):
        raise ProofError("the rule changes in nothing")
    if rule is None and not effect.accounts:
        raise ProofError("nothing changes")
    _check_own(*(each.account for each in effect.accounts), coop=coop)
    changed = [(each.account, each.unit) for each in effect.accounts]
    if len(set(changed)) != len(changed):
        raise ProofError("an account is changed twice")
    if any(each.floor is None and each.closed is None for each in effect.accounts):
        raise ProofError("an account changes in nothing")


def _check_own(*accounts: str, coop: Slug) -> None:
    for account in accounts:
        if account.partition(":")[0] != coop:
            raise ProofError(f"{account} is in another ledger than {coop}'s")


def check_entry(entry: Entry, effect: Effect) -> None:
    """Return if a ledger's entry posts exactly what an effect pays, each once, in whatever order.

    Raises:
        ProofError: the effect pays nothing, or something else.
    """
    if not isinstance(effect, SpendEffect | DistributionEffect):
        raise ProofError(f"a {effect.kind} posts nothing")
    paid = {effect.from_account: 0}
    lines = (
        [(effect.to_account, effect.amount)]
        if isinstance(effect, SpendEffect)
        else [(line.account, line.amount) for line in effect.lines if line.amount]
    )
    for account, amount in lines:
        paid[account] = amount
        paid[effect.from_account] -= amount
    decided = sorted((account, effect.unit, amount) for account, amount in paid.items())
    if sorted((each.account, each.unit, each.amount) for each in entry.postings) != decided:
        raise ProofError("the entry posts something else than was decided")


def check_configured(said: AccountConfigured, effect: Effect) -> None:
    """Return if an account was configured as an effect says.

    Raises:
        ProofError: the effect is about something else, or says something else of the account.
    """
    changes = effect.accounts if isinstance(effect, ConfigurationEffect) else ()
    for each in changes:
        if (each.account, each.unit) == (said.account, said.unit):
            if each.floor not in (None, said.floor) or each.closed not in (None, said.closed):
                raise ProofError(f"the decision says something else of {said.account}")
            return
    raise ProofError(f"the decision is not about {said.account}")
