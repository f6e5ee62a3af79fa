"""What nodes refuse to say in the federation. Source: ADR 0044."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Missing


@dataclass(eq=False, kw_only=True)
class NotCoopsHome(Denied):
    """The caller does not speak for the coop whose home this node is."""

    code = "not-coops-home"
    hint = "an officer speaks for their coop at its own home node"
    coop: str


@dataclass(eq=False, kw_only=True)
class CoopNotYours(Conflict):
    """The genesis gives this coop another home node."""

    code = "coop-not-yours"
    hint = "choose an id that no charter has"
    coop: str
    home: str


@dataclass(eq=False, kw_only=True)
class NotFederated(Denied):
    """This node is no member of the federation, so nobody would take its word."""

    code = "not-federated"
    hint = "two members vouch for it: opkit federation vouch DID"
    did: str


@dataclass(eq=False, kw_only=True)
class StatementTooLong(Invalid):
    """What is to be said is longer than one operation."""

    code = "statement-too-long"
    hint = "shorten title or statement"
    characters: int
    characters_max: int


@dataclass(eq=False, kw_only=True)
class DecisionNotFound(Missing):
    """The coop has accepted no such proposal, or the decision on it is void."""

    code = "decision-not-found"
    hint = "`opkit proposal list` shows what was proposed"
    proposal: str


@dataclass(eq=False, kw_only=True)
class MemberAlready(Conflict):
    """It is a member of the federation already, or has been expelled for good."""

    code = "member-already"
    hint = "`opkit federation members` shows who stands"
    did: str
    why: str


@dataclass(eq=False, kw_only=True)
class VouchRepeated(Conflict):
    """This coop has said so before."""

    code = "vouch-repeated"
    hint = "another member has to say the same"
    did: str


@dataclass(eq=False, kw_only=True)
class NotAMember(Missing):
    """There is no such member of the federation."""

    code = "not-a-member"
    hint = "`opkit federation members` shows who stands"
    subject: str


@dataclass(eq=False, kw_only=True)
class AttestationSelf(Invalid):
    """A coop attests nothing of itself: that would be a statement."""

    code = "attestation-self"
    hint = "another member attests it"
    subject: str


@dataclass(eq=False, kw_only=True)
class AttestationUnknown(Missing):
    """This coop has attested no such thing, or has taken it back."""

    code = "attestation-unknown"
    hint = "`opkit federation attestations` shows what stands"
    subject: str
    type: str


@dataclass(eq=False, kw_only=True)
class AttestationsFull(Exhausted):
    """This coop attests as much as one may."""

    code = "attestations-full"
    hint = "revoke what does not hold any more"
    limit: int
