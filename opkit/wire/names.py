"""Names under a coop: what a member claims, what the coop's home node countersigns, who answers.

A member signs a claim; it holds only as a record of the namespace `name` by the home node of the
coop, whose sequence decides: no claimed time does. The record carries the claim and the member's
chain, so whoever has the genesis judges all of it. Source: ADR 0035.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    Jws,
    MemberId,
    MemberIdText,
    NetworkId,
    RecordId,
    Slug,
    TimeMs,
    Wire,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Busy, Conflict, Denied, Exhausted, Invalid, Missing
from opkit.wire.events import Event
from opkit.wire.gateway import StoreBusy
from opkit.wire.peer import PeerMethod

NAME_TYP = "opkit-name+jws"

NAME_TERM_MS_MAX = 30 * 24 * 3_600_000
"""The longest term of a name. A withdrawal stands exactly so long, after all that it ends."""

CLAIM_CHARACTERS_MAX = 3_072
"""The longest signed claim."""

CHAIN_MAX = 8
"""The most membership records of the claim's member that travel in the record of a name."""

FREED_MAX = 4
"""Of how many earlier holders, whose terms are not over, the record of a name shows the end."""

ALIAS_DEPTH_MAX = 4
"""How many aliases, one after another, lead to what is none."""

NAMES_PER_PAGE_MAX = 500

NameText = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
    ),
]
"""`label.coop`, such as `lathe.river-city-tool-library`."""

NameAsked = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
"""What somebody asks for as a name, or as its beginning; one that is none is not found."""

ServicePath = Annotated[
    str, StringConstraints(max_length=256, pattern=r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$")
]
"""A path on a node, never an address: where the node is, only its own signed record says."""


class ServiceEndpoint(Wire):
    """A way to call a service: which protocol is spoken under which path of its node."""

    protocol: Slug
    path: ServicePath


class ServiceTarget(Wire):
    """The name stands for a service: what it is, and on which node."""

    kind: Literal["service"] = "service"
    type: Slug
    node: Did
    endpoints: Annotated[tuple[ServiceEndpoint, ...], Field(max_length=8)] = ()
    capabilities: Annotated[tuple[Slug, ...], Field(max_length=16)] = ()
    region: Slug | None = None


class NodeTarget(Wire):
    """The name stands for a node."""

    kind: Literal["node"] = "node"
    node: Did


class AliasTarget(Wire):
    """The name stands for another name, of whatever coop."""

    kind: Literal["alias"] = "alias"
    name: NameText


NameTarget = Annotated[ServiceTarget | NodeTarget | AliasTarget, Field(discriminator="kind")]
"""What a name stands for."""


class NameClaim(Wire):
    """What a member signs about a name (`opkit-name+jws`, `did` is its author).

    Attributes:
        aud: the coop under which the name stands: a claim for one is none for another.
        did: the member's key.
        sequence: the member's own: a later claim of the same member has a higher one, at most
            `issued_at_ms`.
        lapses_at_ms: until then the name is the member's, unless they withdraw it. Of a
            withdrawal it says nothing: that stands as long as any record of a name may.
        target: what the name is to stand for; None withdraws it.
    """

    network: NetworkId
    aud: Slug
    name: NameText
    member_id: MemberId
    did: Did
    sequence: Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    target: NameTarget | None


SignedClaim = Annotated[Jws, Field(max_length=CLAIM_CHARACTERS_MAX)]
"""A `NameClaim` as its member signed it."""

ChainLink = Annotated[Jws, Field(max_length=CLAIM_CHARACTERS_MAX)]
"""A membership record: the operator's (`opkit-member+jws`), or by decision."""

MemberChain = Annotated[tuple[ChainLink, ...], Field(max_length=CHAIN_MAX)]
"""A member's chain, oldest first; empty for a founder of whom nothing was recorded since."""


class NameEnd(Wire):
    """How somebody's hold on a name ended before its time.

    Attributes:
        claim: their withdrawal; or their last claim, if the chain shows that they were revoked.
        member: the chain that shows that the claim's key was theirs.
    """

    claim: SignedClaim
    member: MemberChain = ()


class NameValue(Wire):
    """What the home node countersigns under a name, in the namespace `name`.

    Attributes:
        claim: the member's claim.
        member: the chain that shows that the claim's key is the member's. If it ends with their
            revocation, they hold the name no more.
        freed: how the hold of each earlier holder ended whose countersigned time is not over.
    """

    claim: SignedClaim
    member: MemberChain = ()
    freed: Annotated[tuple[NameEnd, ...], Field(max_length=FREED_MAX)] = ()


class RegisterName(Wire):
    """Ask to register, renew or withdraw a name by a signed claim, on whatever node."""

    claim: Jws


class PassClaim(Wire):
    """Ask the home node of a coop to countersign a claim, with the chain of its member."""

    claim: SignedClaim
    member: MemberChain = ()


class NameHeld(Wire):
    """Who holds a name, and the record that proves it.

    Attributes:
        target: what it stands for; None once it is withdrawn.
        sequence: the home node's: of two records of a name the one with the higher one counts.
        claim_sequence: the member's own.
        home: the node that countersigned.
        record: the countersigned claim (`opkit-record+jws`), which readers verify themselves.
    """

    name: NameText
    member_id: MemberId
    did: Did
    target: NameTarget | None
    sequence: Count
    claim_sequence: Count
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    home: Did
    record: Jws


class LookUpName(Wire):
    """Ask who holds a name."""

    name: NameAsked


class ListNames(Wire):
    """Ask for the names that are held, in order; `after` is the last one of the page before.

    Attributes:
        prefix: with what they begin.
        owner: the member who holds them; empty for anybody.
    """

    prefix: NameAsked = ""
    owner: MemberIdText = ""
    after: NameAsked = ""
    names_max: Annotated[int, Field(ge=1, le=NAMES_PER_PAGE_MAX)] = 100


class NamePage(Wire):
    """Names in order; `next_after` is empty on the last page."""

    names: Annotated[tuple[NameHeld, ...], Field(max_length=NAMES_PER_PAGE_MAX)]
    next_after: str


@dataclass(eq=False, kw_only=True)
class ClaimRejected(Invalid):
    """The claim does not verify, or does not say what a claim says."""

    code = "claim-rejected"
    hint = "a claim is signed by the member's key, for this network, the coop and its name"
    why: str


@dataclass(eq=False, kw_only=True)
class ClaimClockSkewed(Invalid):
    """The claim was issued at another time than it is, by more than clocks may differ."""

    code = "claim-clock-skewed"
    hint = "set the clock of whoever signs, or of the home node, and sign again"
    issued_at_ms: int
    now_ms: int
    skew_ms_max: int


@dataclass(eq=False, kw_only=True)
class NameTermTooLong(Invalid):
    """The name would be held for longer than a name may."""

    code = "name-term-too-long"
    hint = "claim a shorter term and renew it before it lapses"
    term_ms: int
    term_ms_max: int


@dataclass(eq=False, kw_only=True)
class AliasTooDeep(Invalid):
    """The alias leads to itself, or over more aliases than anybody follows."""

    code = "alias-too-deep"
    hint = "let the alias stand for the name that it leads to"
    name: str
    depth_max: int


@dataclass(eq=False, kw_only=True)
class CoopUnknown(Missing):
    """No coop of that name has a charter in this network."""

    code = "coop-unknown"
    hint = "names end in the coop under which they stand, as genesis has it"
    coop: str


@dataclass(eq=False, kw_only=True)
class ClaimNotMembers(Denied):
    """The claim's key is not that of an active member of the name's coop."""

    code = "claim-not-members"
    hint = "a member's own key claims names under their own coop"
    member_id: str
    why: str


@dataclass(eq=False, kw_only=True)
class NameTaken(Conflict):
    """Another member holds the name."""

    code = "name-taken"
    hint = "choose another name, or wait until it lapses or is withdrawn"
    name: str
    member_id: str
    lapses_at_ms: int


@dataclass(eq=False, kw_only=True)
class ClaimStale(Conflict):
    """A claim of this member with as high a sequence, or of a later time, was countersigned."""

    code = "claim-stale"
    hint = "read the name, then sign a claim of now with a higher sequence"
    name: str
    standing_sequence: int


@dataclass(eq=False, kw_only=True)
class NameNotHeld(Missing):
    """There is nothing to withdraw: nobody holds the name."""

    code = "name-not-held"
    hint = "`opkit name list` shows what is held"
    name: str


@dataclass(eq=False, kw_only=True)
class NamesExhausted(Exhausted):
    """The member, the coop or the name has no room for one more."""

    code = "names-exhausted"
    hint = "withdraw names, or let them lapse; what was withdrawn takes room until its time is over"
    limit: int


@dataclass(eq=False, kw_only=True)
class HomeUnreachable(Busy):
    """The coop's home node does not answer, and only it can let a name be held."""

    code = "home-unreachable"
    hint = "send the very same claim again once the home node answers"
    coop: str
    home: str
    why: str


@dataclass(eq=False, kw_only=True)
class NameUnknown(Missing):
    """Nobody holds that name, as far as this node knows."""

    code = "name-unknown"
    hint = "`opkit name list` shows what is held"
    name: str


CLAIM_REFUSALS = (
    ClaimRejected,
    CoopUnknown,
    ClaimNotMembers,
    ClaimClockSkewed,
    NameTermTooLong,
    NameTaken,
    ClaimStale,
    NameNotHeld,
    AliasTooDeep,
    NamesExhausted,
)
"""What a home node refuses a claim with, in order of precedence."""


class NameRegistered(Event):
    """A name is held: for the first time, again, or with another target.

    Attributes:
        sequence: the home node's.
    """

    type = "names.held"
    scope = Scope.NAMES_READ

    name: NameText
    member_id: MemberId
    home: Did
    sequence: Count
    lapses_at_ms: TimeMs


class NameWithdrawn(Event):
    """Its holder took a name back, or their membership ended."""

    type = "names.withdrawn"
    scope = Scope.NAMES_READ

    name: NameText
    member_id: MemberId
    home: Did
    sequence: Count


class NameLapsed(Event):
    """The term of a name is over, and nobody renewed it."""

    type = "names.lapsed"
    scope = Scope.NAMES_READ

    name: NameText
    member_id: MemberId
    home: Did
    sequence: Count


class HomeEquivocated(Event):
    """It is proven that a home node countersigned one name for two members at once.

    Attributes:
        member_id: who is held to have the name: whose record stands.
        other_id: the other one.
        first: the record id of the countersignature that stands.
        second: the record id of the other one.
    """

    type = "names.equivocation"
    scope = Scope.NAMES_READ

    name: NameText
    home: Did
    member_id: MemberId
    other_id: MemberId
    first: RecordId
    second: RecordId


CLAIM_NAME = PeerMethod(
    name="names.claim", ask=PassClaim, answer=NameHeld, refuses=(*CLAIM_REFUSALS, StoreBusy)
)

REGISTER_NAME = Endpoint(
    name="names.register",
    method="POST",
    path="/v1/names",
    ask=RegisterName,
    answer=NameHeld,
    scope=Scope.NAMES_WRITE,
    changes=True,
    refuses=(*CLAIM_REFUSALS, HomeUnreachable),
    body_bytes_max=8_192,
)

LOOK_UP_NAME = Endpoint(
    name="names.look-up",
    method="GET",
    path="/v1/names/{name}",
    ask=LookUpName,
    answer=NameHeld,
    scope=Scope.NAMES_READ,
    refuses=(NameUnknown,),
)

LIST_NAMES = Endpoint(
    name="names.list",
    method="GET",
    path="/v1/names",
    ask=ListNames,
    answer=NamePage,
    scope=Scope.NAMES_READ,
)
