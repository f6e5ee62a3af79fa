"""Services: the chain from genesis to whoever answers, verified by whoever wants to call.

A member of the coop claimed the name, the coop's home node countersigned the claim, the node that
it names says in its own record where it is, and on its own card what it can. Who handed these on is
of no importance, and neither is what they say besides. Source: ADR 0039.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from pydantic import ValidationError

from opkit.proof.cards import CardView, match_card, read_card
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.endpoints import check_endpoint
from opkit.proof.genesis import GenesisView
from opkit.proof.names import (
    NameView,
    coop_of_name,
    home_of,
    read_claim,
    read_claimant,
    read_name,
)
from opkit.proof.record import check_term, is_ahead, is_lapsed, read_record
from opkit.wire.agents import CARD_TERM_MS_MAX, CardValue
from opkit.wire.base import Did, Jws, MemberId, Slug, TimeMs, Wire
from opkit.wire.flaws import first_flaw
from opkit.wire.names import (
    NAME_TERM_MS_MAX,
    AliasTarget,
    NameText,
    NameValue,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.records import NODE_TERM_MS_MAX, HttpEndpoint, Namespace, NodeValue, RecordBody
from opkit.wire.services import FindServices, FoundService, ServiceHealth

LINKS: Mapping[str, str] = MappingProxyType(
    {
        "member": "the member's chain, from the charter on",
        "claim": "the member's claim",
        "home": "the home node's countersignature",
        "node": "the node's own record",
        "card": "the node's own card",
        "asked": "what was asked for",
    }
)
"""The links of the chain of proofs, in order: what each check's name begins with, in words."""

TERM_MS_MAX: Mapping[Namespace, int] = MappingProxyType(
    {"name": NAME_TERM_MS_MAX, "node": NODE_TERM_MS_MAX, "card": CARD_TERM_MS_MAX}
)
"""How long each record of the chain may last, as nodes judge it too."""

T = TypeVar("T")
W = TypeVar("W", bound=Wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenService:
    """A service all of whose records verify; only `check_service` makes one.

    Attributes:
        name: by which it was found; `service` is the name that stands for it.
        member_id: who claimed the name, with the key `did`.
        home: the node that countersigned.
        doors: where the service's node says that it is called.
        card: the node's card; None if none was found.
        lapses_at_ms: until when all of it stands: every alias, the name, node and card.
        health: how its node does, as the node says that was asked: nobody's signature.
        found: the records themselves, to be kept, and verified again.
        verdict: every check, by name.
    """

    name: NameText
    service: NameText
    type: Slug
    node: Did
    endpoints: tuple[ServiceEndpoint, ...]
    capabilities: tuple[Slug, ...]
    region: Slug | None
    member_id: MemberId
    did: Did
    home: Did
    sequence: int
    claim_sequence: int
    doors: tuple[HttpEndpoint, ...]
    card: CardView | None
    lapses_at_ms: TimeMs
    health: ServiceHealth
    found: FoundService
    verdict: Verdict


def prove_service(
    found: FoundService,
    genesis: GenesisView,
    now_ms: TimeMs,
    *,
    asked: FindServices | None = None,
) -> ProvenService:
    """Return a service, proven; arguments as of `check_service`.

    Raises:
        ProofError: it is not; the check that does not hold.
    """
    verdict, proven = check_service(found, genesis=genesis, now_ms=now_ms, asked=asked)
    if proven is None:
        (bad,) = verdict.failures
        raise ProofError(f"{bad.name}: expected {bad.expected}, found {bad.actual}")
    return proven


def check_service(
    found: FoundService,
    *,
    genesis: GenesisView,
    now_ms: TimeMs,
    asked: FindServices | None = None,
) -> tuple[Verdict, ProvenService | None]:
    """Return what was checked of a service that somebody says they found, and it, if all holds.

    The first check that does not hold is the last one: what follows would rest on it.

    Args:
        found: from whomever.
        genesis: the network's genesis as the verifier keeps it.
        now_ms: the verifier's time.
        asked: what was asked for; None if nothing was.
    """
    looking = _Looking(genesis=genesis, now_ms=now_ms)
    subject = f"service {found.name}"
    try:
        way = _follow(looking, found)
        doors = _node(looking, found, way.target)
        card = _card(looking, found, way.target)
        _asked(looking, asked or FindServices(), way.target, card)
    except _Broken:
        return looking.verdict(subject), None
    verdict = looking.verdict(subject)
    target, view = way.target, way.view
    return verdict, ProvenService(
        name=found.name,
        service=view.name,
        type=target.type,
        node=target.node,
        endpoints=target.endpoints,
        capabilities=target.capabilities,
        region=target.region,
        member_id=view.member_id,
        did=view.did,
        home=view.home,
        sequence=view.sequence,
        claim_sequence=view.claim_sequence,
        doors=doors,
        card=card,
        lapses_at_ms=min(looking.lapses_ms),
        health=found.health,
        found=found,
        verdict=verdict,
    )


def link_of(check: Check) -> str:
    """Return to which of `LINKS` a check belongs."""
    return check.name.rpartition(" ")[2].partition("-")[0]


class _Broken(Exception):
    """A check does not hold, so nothing that follows is worth looking at."""


@dataclass(kw_only=True)
class _Looking:
    """What is verified against, what was, and when each of the records that stand lapses."""

    genesis: GenesisView
    now_ms: TimeMs
    checks: list[Check] = field(default_factory=list)
    lapses_ms: list[TimeMs] = field(default_factory=list)

    def verdict(self, subject: str) -> Verdict:
        """Return what was checked so far."""
        return Verdict(subject=subject, checks=tuple(self.checks), anchored=True)

    def note(self, check: Check) -> None:
        """Remember a check; go on only if it holds."""
        self.checks.append(check)
        if not check.ok:
            raise _Broken

    def read(self, name: str, read: Callable[[], T]) -> T:
        """Return what `read` gives, if it does not raise a `ProofError`."""
        value, check = attempt(name, read)
        self.note(check)
        assert value is not None, "what verifies is something"
        return value

    def stands(self, name: str, body: RecordBody) -> None:
        """Go on if a record was issued and has not lapsed."""
        ahead = is_ahead(body, now_ms=self.now_ms)
        self.note(
            Check(
                name=name,
                ok=not ahead and not is_lapsed(body, now_ms=self.now_ms),
                expected=f"stands at {self.now_ms}",
                actual=f"issued at {body.issued_at_ms}, lapses at {body.lapses_at_ms}",
            )
        )
        self.lapses_ms.append(body.lapses_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where the names lead."""

    view: NameView
    target: ServiceTarget


def _follow(looking: _Looking, found: FoundService) -> _Way:
    """Return the service that a name stands for, over the aliases that are shown."""
    name = found.name
    for place, record in enumerate(found.aliases, start=1):
        before = f"alias {place} "
        view = _name(looking, record, name, before=before)
        looking.note(equal(f"{before}claim-target", expected="alias", actual=_kind(view)))
        assert isinstance(view.target, AliasTarget), "as was checked"
        name = view.target.name
    view = _name(looking, found.name_record, name, before="")
    looking.note(equal("claim-target", expected="service", actual=_kind(view)))
    assert isinstance(view.target, ServiceTarget), "as was checked"
    return _Way(view=view, target=view.target)


def _kind(view: NameView) -> str:
    return "nothing, for it was withdrawn" if view.target is None else view.target.kind


def _name(looking: _Looking, record: Jws, name: NameText, *, before: str) -> NameView:
    """Return what a record says of a name, after looking at each link by itself.

    Args:
        name: which one it has to be.
        before: what the names of the checks begin with.
    """
    genesis = looking.genesis
    body = looking.read(f"{before}home-countersignature", partial(_read, record, "name", genesis))
    looking.note(equal(f"{before}home-name", expected=name, actual=body.name))
    home = home_of(name, genesis=genesis) or f"no coop {coop_of_name(name)}"
    looking.note(equal(f"{before}home-node", expected=home, actual=body.owner))
    value = looking.read(f"{before}home-value", partial(_value, NameValue, body))
    claim = looking.read(
        f"{before}claim-signature", partial(read_claim, value.claim, network=genesis.network)
    )
    member = looking.read(
        f"{before}member-chain",
        partial(read_claimant, claim, chain=value.member, genesis=genesis),
    )
    standing = "active" if member.active else "revoked"
    looking.note(equal(f"{before}member-standing", expected="active", actual=standing))
    view = looking.read(f"{before}home-record", partial(read_name, record, genesis))
    looking.stands(f"{before}home-term", body)
    return view


def _node(
    looking: _Looking, found: FoundService, target: ServiceTarget
) -> tuple[HttpEndpoint, ...]:
    """Return where the service's node says that its front door is."""
    record = found.node_record
    looking.note(
        Check(
            name="node-known",
            ok=record is not None,
            expected="the node's own record",
            actual="none" if record is None else "one",
        )
    )
    assert record is not None, "as was checked"
    body = _own_record(looking, record, "node", target.node)
    value = looking.read("node-value", partial(_value, NodeValue, body))
    looking.read("node-doors", partial(_check_doors, value.endpoints))
    return value.endpoints


def _card(looking: _Looking, found: FoundService, target: ServiceTarget) -> CardView | None:
    """Return the card of the service's node, if one is shown."""
    if found.card_record is None:
        return None
    body = _own_record(looking, found.card_record, "card", target.node)
    value = looking.read("card-value", partial(_value, CardValue, body))
    card = found.card if value.card is None else value.card
    shown = "none" if card is None else "one"
    looking.note(equal("card-shown", expected="one", actual=shown))
    assert card is not None, "as was checked"
    network = looking.genesis.network
    view = looking.read(
        "card-signature", partial(read_card, card, did=target.node, network=network)
    )
    looking.read("card-content", partial(_match, body, value, view))
    return view


def _own_record(looking: _Looking, record: Jws, namespace: Namespace, node: Did) -> RecordBody:
    """Return a record that a node signed about itself, and that stands."""
    body = looking.read(f"{namespace}-record", partial(_read, record, namespace, looking.genesis))
    looking.note(equal(f"{namespace}-owner", expected=node, actual=body.owner))
    looking.note(equal(f"{namespace}-name", expected=node, actual=body.name))
    looking.stands(f"{namespace}-term", body)
    return body


def _asked(
    looking: _Looking, asked: FindServices, target: ServiceTarget, card: CardView | None
) -> None:
    """Go on if the service is one that was asked for."""
    if asked.type:
        looking.note(equal("asked-type", expected=asked.type, actual=target.type))
    if asked.region:
        looking.note(equal("asked-region", expected=asked.region, actual=target.region))
    if asked.capability:
        can = {*target.capabilities, *(card.tags if card is not None else ())}
        looking.note(
            Check(
                name="asked-capability",
                ok=asked.capability in can,
                expected=asked.capability,
                actual=", ".join(sorted(can)) or "none",
            )
        )


def _read(record: Jws, namespace: Namespace, genesis: GenesisView) -> RecordBody:
    """Return a record that its owner signed, in a namespace, for as long as may be there."""
    body = read_record(record, network=genesis.network)
    if body.aud != namespace:
        raise ProofError(f"it is a record of {body.aud!r}, not of {namespace!r}")
    if body.value is None:
        raise ProofError("its owner took back what it said")
    check_term(body, term_ms_max=TERM_MS_MAX[namespace])
    return body


def _value(of: type[W], body: RecordBody) -> W:
    try:
        return of.model_validate(body.value, strict=False)
    except ValidationError as bad:
        raise ProofError(f"its value is none of {body.aud!r}: {first_flaw(bad)}") from bad


def _check_doors(doors: tuple[HttpEndpoint, ...]) -> tuple[HttpEndpoint, ...]:
    for door in doors:
        check_endpoint(door)
    return doors


def _match(body: RecordBody, value: CardValue, view: CardView) -> CardView:
    match_card(body, value, view)
    return view
