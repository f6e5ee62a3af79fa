"""What governance signs: proposals, ballots, delegations, receipts, and decisions with their files.

A proposal states the electorate and the rule by which it is decided, and every ballot names the
proposal by its hash; so who signs either has agreed to all of it. A decision is one signed object
of fixed size; the file beside it carries everything that it was counted from. Source: ADR 0041.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    PERIOD_MS_MAX,
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    Jws,
    MemberId,
    NetworkId,
    PeriodMs,
    RecordId,
    Slug,
    Text,
    TimeMs,
    Wire,
)
from opkit.wire.ledger import POSTINGS_MAX, AccountId, Memo, Unit
from opkit.wire.terms import AgreementEffect

PROPOSAL_TYP = "opkit-proposal+jws"
BALLOT_TYP = "opkit-ballot+jws"
DELEGATION_TYP = "opkit-delegation+jws"
BALLOT_RECEIPT_TYP = "opkit-ballot-receipt+jws"
LODGING_RECEIPT_TYP = "opkit-lodging-receipt+jws"
DECISION_TYP = "opkit-decision+jws"
ATTESTED_DECISION_TYP = "opkit-attested-decision+jws"

ELECTORATE_MAX = 16_384
"""The most members that a vote can be held with: what a decision's file may carry."""

CHAIN_MAX = 1_024
"""The longest membership chain that travels in a decision's file."""

PROPOSAL_CHARACTERS_MAX = 196_608
"""The longest signed proposal: a distribution to as many accounts as an entry may have."""

BALLOT_CHARACTERS_MAX = 2_048
"""The longest signed ballot, delegation or receipt."""

PROPOSAL_TEXT_MAX = 16_384
"""The most characters of a proposal's text."""

DECISION_FILE_BYTES_MAX = 48 * 2**20
"""The largest decision file."""

EXECUTE_WITHIN_MS = 90 * 24 * 3_600_000
"""How long after its challenge window a decision may be executed, in world time."""

NO_DECISION = "0" * 64
"""What an assembly's first decision cites as the one before it."""

Choice = Literal["yes", "no", "abstain"]

Outcome = Literal["accepted", "rejected", "no-quorum", "cancelled"]
"""How voting ended."""

ProposalState = Literal[
    "draft",
    "open",
    "accepted",
    "rejected",
    "no-quorum",
    "cancelled",
    "executed",
    "voided",
    "expired",
]
"""draft → open → accepted | rejected | no-quorum | cancelled; accepted → executed | expired.

What was closed by a vote is voided if a vote is shown to be missing before the challenge window
ends. A draft may be cancelled as well.
"""

EffectKind = Literal["text", "spend", "distribution", "membership", "configuration", "agreement"]

Positive = Annotated[int, Field(strict=True, ge=1, le=SAFE_INT_MAX)]
Natural = Annotated[int, Field(strict=True, ge=0, le=SAFE_INT_MAX)]
Percent = Annotated[int, Field(strict=True, ge=1, le=100)]

Salt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 random bits that keep a commitment from being guessed."""

SignedBallot = Annotated[Jws, Field(max_length=BALLOT_CHARACTERS_MAX)]
SignedProposal = Annotated[Jws, Field(max_length=PROPOSAL_CHARACTERS_MAX)]


class TextEffect(Wire):
    """The proposal is its text: being accepted is all there is to it."""

    kind: Literal["text"] = "text"


class SpendEffect(Wire):
    """The treasury pays one account."""

    kind: Literal["spend"] = "spend"
    from_account: AccountId
    to_account: AccountId
    unit: Unit
    amount: Positive
    memo: Memo = ""


class DistributionLine(Wire):
    """What one account gets, by its weight; of nothing, nothing is posted."""

    account: AccountId
    weight: Natural
    amount: Natural


class DistributionEffect(Wire):
    """The treasury pays out a surplus by weights: largest remainder, to the last credit.

    Attributes:
        surplus: what is distributed: the sum of all lines.
        lines: by account, each once; amounts as `opkit.proof.patronage` computes them, so that
            whoever verifies computes them again.
    """

    kind: Literal["distribution"] = "distribution"
    from_account: AccountId
    unit: Unit
    surplus: Positive
    lines: Annotated[tuple[DistributionLine, ...], Field(min_length=1, max_length=POSTINGS_MAX - 1)]
    memo: Memo = ""


class MembershipEffect(Wire):
    """Somebody becomes a member, is one no more, or gets another key.

    Attributes:
        did: the key of who is admitted, or the new key; None to remove.
        roles: of who is admitted; empty otherwise.
    """

    kind: Literal["membership"] = "membership"
    action: Literal["admit", "remove", "rekey"]
    member_id: MemberId
    name: Text = ""
    title: Text = ""
    did: Did | None = None
    roles: Annotated[tuple[Slug, ...], Field(max_length=8)] = ()


class RuleChange(Wire):
    """What changes in how the assembly decides; what is None stays.

    Attributes:
        voting_period_ms: not 0, in which nobody could vote, not even to change it again.
    """

    quorum_percent: Percent | None = None
    approval_percent: Percent | None = None
    voting_period_ms: Annotated[int, Field(ge=1, le=PERIOD_MS_MAX)] | None = None
    challenge_window_ms: PeriodMs | None = None
    votes_final: bool | None = None


class AccountChange(Wire):
    """What changes in what an account may do; what is None stays."""

    account: AccountId
    unit: Unit
    floor: Annotated[int, Field(strict=True, ge=-SAFE_INT_MAX, le=0)] | None = None
    closed: bool | None = None


class ConfigurationEffect(Wire):
    """The assembly decides by another rule, or accounts get other floors, or are closed."""

    kind: Literal["configuration"] = "configuration"
    rule: RuleChange | None = None
    accounts: Annotated[tuple[AccountChange, ...], Field(max_length=64)] = ()


Effect = Annotated[
    TextEffect
    | SpendEffect
    | DistributionEffect
    | MembershipEffect
    | ConfigurationEffect
    | AgreementEffect,
    Field(discriminator="kind"),
]
"""What happens once the proposal is accepted and the challenge window is over."""

TREASURY_KINDS: tuple[EffectKind, ...] = ("spend", "distribution")
"""Effects that carry the assembly's next treasury nonce."""


class Rule(Wire):
    """By what an assembly decides.

    Attributes:
        votes_final: whether a vote cannot be changed; only then is voting closed early.
        decision: the decision that set it; None for the charter's own.
    """

    quorum_percent: Percent
    approval_percent: Percent
    voting_period_ms: PeriodMs
    challenge_window_ms: PeriodMs
    votes_final: bool
    decision: RecordId | None


class Elector(Wire):
    """One who may vote, as they stood when voting opened.

    Attributes:
        did: their key.
        sequence: how many links their membership chain had.
        link: the record id of its last link; None for a founder as the charter has them.
    """

    member_id: MemberId
    did: Did
    sequence: Count
    link: RecordId | None


class Proposal(Wire):
    """What a member proposes (`opkit-proposal+jws`, `did` is its author).

    Its record id is the proposal's hash: what ballots, receipts and the decision name it by.

    Attributes:
        aud: the assembly.
        proposal_id: the proposer's choice, once in an assembly; no 64 hexadecimal digits.
        treasury_nonce: the next one of the assembly's treasury if the effect moves its money, else
            None.
        rule: the assembly's, by which it is decided.
        electorate_hash: of the electorate (`opkit.proof.governance.electorate_hash`).
        electors: how many they are.
    """

    network: NetworkId
    aud: Slug
    did: Did
    member_id: MemberId
    proposal_id: Slug
    title: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]
    text: Annotated[str, StringConstraints(max_length=PROPOSAL_TEXT_MAX, pattern=PLAIN)]
    effect: Effect
    treasury_nonce: Positive | None
    rule: Rule
    electorate_hash: RecordId
    electors: Annotated[int, Field(strict=True, ge=1, le=ELECTORATE_MAX)]
    issued_at_ms: TimeMs


class Ballot(Wire):
    """A member's vote (`opkit-ballot+jws`, `did` is its author).

    Attributes:
        aud: the assembly.
        did: the elector's key of when voting opened, or the one that followed it.
        proposal: the proposal's hash.
        sequence: the member's own; of two ballots the one with the higher sequence counts.
    """

    network: NetworkId
    aud: Slug
    did: Did
    member_id: MemberId
    proposal: RecordId
    choice: Choice
    sequence: Positive
    issued_at_ms: TimeMs


class Delegation(Wire):
    """A member lets another vote for them where they do not (`opkit-delegation+jws`).

    Attributes:
        aud: the assembly, in all votes of which it counts until it is revoked.
        to: who votes for them; None revokes it.
        sequence: the member's own; a later one has a higher one.
    """

    network: NetworkId
    aud: Slug
    did: Did
    member_id: MemberId
    to: MemberId | None
    sequence: Positive
    issued_at_ms: TimeMs


class BallotReceipt(Wire):
    """What the home node says it counted (`opkit-ballot-receipt+jws`, `did` is the node).

    Attributes:
        ballot: the record id of the ballot.
        salt: with it the member finds their vote among the commitments of an attested decision.
        world_ms: when it was taken.
    """

    network: NetworkId
    aud: Slug
    did: Did
    proposal: RecordId
    member_id: MemberId
    ballot: RecordId
    sequence: Positive
    salt: Salt
    received_ms: TimeMs
    world_ms: TimeMs


class LodgingReceipt(Wire):
    """What another node says it was given (`opkit-lodging-receipt+jws`, `did` is the node)."""

    network: NetworkId
    aud: Slug
    did: Did
    proposal: RecordId
    member_id: MemberId
    ballot: RecordId
    sequence: Positive
    received_ms: TimeMs
    world_ms: TimeMs


class Tally(Wire):
    """How a vote stands.

    Attributes:
        electorate: how many may vote.
        cast: how many did, themselves or through who votes for them.
        yes, no, abstain: of those; they sum to `cast`.
        delegated: how many of those were cast through somebody else.
    """

    electorate: Count
    cast: Count
    yes: Count
    no: Count
    abstain: Count
    delegated: Count


class Decision(Wire):
    """How a vote ended (`opkit-decision+jws`, `did` is the assembly's home node).

    Its record id is the decision's hash: what entries, member records and agreements cite.

    Attributes:
        sequence: the assembly's decisions are counted from 1; cancelled ones too.
        previous: the decision before, `NO_DECISION` for the first.
        ballots_hash: over the record ids of the ballots that were counted, in the order of their
            members (`opkit.proof.ballots`).
        delegations_hash: the same over the delegations.
        commitments_root: over the salted commitments to those ballots.
        executable_until_ms: strictly before this world time it may be executed.
    """

    network: NetworkId
    aud: Slug
    did: Did
    sequence: Positive
    previous: RecordId
    proposal_id: Slug
    proposal: RecordId
    kind: EffectKind
    treasury_nonce: Positive | None
    rule: Rule
    electorate_hash: RecordId
    tally: Tally
    ballots_hash: RecordId
    delegations_hash: RecordId
    commitments_root: RecordId
    outcome: Outcome
    opened_ms: TimeMs
    closes_ms: TimeMs
    closed_ms: TimeMs
    challenge_ends_ms: TimeMs
    executable_until_ms: TimeMs


class ElectorChain(Wire):
    """What shows that an elector was one.

    Attributes:
        records: their membership chain as it stood when voting opened; empty for a founder of whom
            nothing was recorded.
        later: the links since then that are needed to read their ballot: those to their later key.
    """

    member_id: MemberId
    records: Annotated[tuple[Jws, ...], Field(max_length=CHAIN_MAX)] = ()
    later: Annotated[tuple[Jws, ...], Field(max_length=CHAIN_MAX)] = ()


class CountedBallot(Wire):
    """A ballot as it was counted, and the salt of the commitment to it."""

    ballot: SignedBallot
    salt: Salt


class DecisionFile(Wire):
    """A decision with all that it was counted from: whoever holds the genesis counts again.

    Attributes:
        electors: everybody who could vote, by member id.
        ballots: the last ballot of each who did, by member id.
        delegations: those that stood at the close, by member id.
    """

    v: Annotated[int, Field(ge=1, le=1)] = 1
    decision: Jws
    proposal: SignedProposal
    electors: Annotated[tuple[ElectorChain, ...], Field(max_length=ELECTORATE_MAX)]
    ballots: Annotated[tuple[CountedBallot, ...], Field(max_length=ELECTORATE_MAX)]
    delegations: Annotated[tuple[SignedBallot, ...], Field(max_length=ELECTORATE_MAX)] = ()


class AttestedDecision(Wire):
    """What leaves the coop of a decision (`opkit-attested-decision+jws`, by the home node).

    It is attested, not recounted: nobody can count it again without the ballots.

    Attributes:
        decision: the decision's hash.
        effect: what was decided.
        commitments: how many ballots are committed to.
        commitments_root: over the commitments, as in the decision itself.
    """

    network: NetworkId
    aud: Slug
    did: Did
    decision: RecordId
    sequence: Positive
    proposal_id: Slug
    proposal: RecordId
    title: Text
    effect: Effect
    treasury_nonce: Positive | None
    rule: Rule
    electorate_hash: RecordId
    tally: Tally
    commitments: Count
    commitments_root: RecordId
    outcome: Outcome
    opened_ms: TimeMs
    closes_ms: TimeMs
    closed_ms: TimeMs
    challenge_ends_ms: TimeMs


class AttestedFile(Wire):
    """An attested decision and the commitments, in the order of the tree over them."""

    v: Annotated[int, Field(ge=1, le=1)] = 1
    attested: Jws
    commitments: Annotated[tuple[RecordId, ...], Field(max_length=ELECTORATE_MAX)] = ()
