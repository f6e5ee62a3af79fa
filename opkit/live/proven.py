"""From records to what is drawn of names, cards and services, each verified on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from opkit.proof.cards import read_card
from opkit.proof.checks import ProofError, Verdict
from opkit.proof.genesis import GenesisView
from opkit.proof.names import NameView, read_name
from opkit.proof.services import LINKS, ProvenService, check_service, link_of
from opkit.story.report import CheckRecord
from opkit.views.figures import CardFigure, ChainLink, FoundFigure, NameFigure
from opkit.wire.base import Did, Jws
from opkit.wire.cards import ResolvedCard
from opkit.wire.names import AliasTarget, NameHeld, NodeTarget
from opkit.wire.services import FindServices, FoundService, ServiceHealth

ALWAYS: Final = frozenset({"here", "live"})
"""How a node does of which is heard all the time: when that was last is no news."""


def title_of(did: Did, genesis: GenesisView) -> str:
    """Return what people call a node, or its DID if genesis does not name it."""
    node = genesis.node(did)
    return did if node is None else node.title


def read_names(records: set[Jws], genesis: GenesisView) -> dict[Jws, NameView | str]:
    """Return what records of names say, or why they say nothing."""
    found: dict[Jws, NameView | str] = {}
    for record in records:
        try:
            found[record] = read_name(record, genesis)
        except ProofError as bad:
            found[record] = bad.why
    return found


def name_figure(
    held: Mapping[str, NameHeld],
    *,
    orgs: Sequence[str],
    views: Mapping[Jws, NameView | str],
    genesis: GenesisView,
) -> NameFigure:
    """Return a name by the record that stands; who has another one lacks it.

    Args:
        held: what nodes say of it, by their organisations.
        orgs: whose nodes said what they have.
        views: what records say, by the record.
    """
    one = max(held.values(), key=lambda each: each.sequence)
    holders = tuple(org for org in orgs if org in held and held[org].record == one.record)
    view = views.get(one.record, "it was not read yet")
    verified = isinstance(view, NameView)
    home = genesis.node(one.home)
    return NameFigure(
        name=one.name,
        kind=_kind(view) if isinstance(view, NameView) else "",
        stands_for=_stands_for(view, genesis) if isinstance(view, NameView) else "",
        member_id=one.member_id,
        home=home.title if verified and home is not None else "",
        sequence=one.sequence,
        claim_sequence=one.claim_sequence,
        issued_ms=one.issued_at_ms,
        lapses_ms=one.lapses_at_ms,
        holders=holders,
        lacking=tuple(org for org in orgs if org not in holders),
        record=one.record,
        why="" if isinstance(view, NameView) else view,
    )


def _kind(view: NameView) -> str:
    return "" if view.target is None else view.target.kind


def _stands_for(view: NameView, genesis: GenesisView) -> str:
    target = view.target
    if target is None:
        return "nothing any more"
    if isinstance(target, AliasTarget):
        return target.name
    where = title_of(target.node, genesis)
    return where if isinstance(target, NodeTarget) else f"{target.type} at {where}"


def card_figure(org: str, did: Did, told: ResolvedCard, genesis: GenesisView) -> CardFigure:
    """Return a node's card as it verifies here."""
    try:
        view = read_card(told.card, did=did, network=genesis.network)
    except ProofError as bad:
        return CardFigure(org=org, did=did, why=f"Its card does not verify: {bad.why}.")
    return CardFigure(
        org=org,
        did=did,
        name=view.name,
        description=view.description,
        skills=tuple(skill.name for skill in view.skills),
        streaming=view.streaming,
        prices=tuple(
            f"{each.micro / 1e6:g} {each.unit} per {each.per}" for each in view.agent.prices
        ),
        sequence=told.sequence,
        lapses_ms=told.lapses_at_ms,
    )


def service_figure(
    found: FoundService, asked: FindServices, genesis: GenesisView, now_ms: int
) -> FoundFigure:
    """Return a service that a node named, with each link of its chain, verified here and now."""
    verdict, proven = check_service(found, genesis=genesis, now_ms=now_ms, asked=asked)
    figure = FoundFigure(
        name=found.name,
        ok=verdict.ok,
        verified_ms=now_ms,
        health=health_shown(found),
        chain=_chain(verdict, {} if proven is None else _says(proven, genesis)),
        proof=json.dumps(found.model_dump(mode="json"), indent=2),
    )
    if proven is None:
        return figure
    return replace(
        figure,
        service=proven.service,
        type=proven.type,
        node=title_of(proven.node, genesis),
        urls=tuple(door.url for door in proven.doors),
        capabilities=proven.capabilities,
        region=proven.region or "",
        lapses_ms=proven.lapses_at_ms,
    )


def health_shown(found: FoundService) -> ServiceHealth:
    """Return how a service's node does, without what changes all the time."""
    if found.health.state not in ALWAYS:
        return found.health
    return found.health.model_copy(update={"heard_ms": None})


def records_of(found: FoundService) -> str:
    """Return what tells a service's records from any others, whatever its node's health is."""
    said = found.model_dump_json(exclude={"health"})
    return hashlib.sha256(said.encode()).hexdigest()


def _chain(verdict: Verdict, says: Mapping[str, str]) -> tuple[ChainLink, ...]:
    links: dict[str, list[CheckRecord]] = {name: [] for name in LINKS}
    for check in verdict.checks:
        links[link_of(check)].append(CheckRecord(**vars(check)))
    return tuple(
        ChainLink(name=name, title=LINKS[name], says=says.get(name, ""), checks=tuple(checks))
        for name, checks in links.items()
        if checks
    )


def _says(proven: ProvenService, genesis: GenesisView) -> dict[str, str]:
    """Return in words what each link of a chain that holds says."""
    title: Callable[[Did], str] = lambda did: title_of(did, genesis)  # noqa: E731 - used thrice.
    doors = ", ".join(door.url for door in proven.doors) or "no door that it tells of"
    asked = (proven.type, *proven.capabilities, proven.region or "")
    return {
        "member": f"{proven.member_id} is a member; the key that signed is theirs",
        "claim": f"{proven.service} stands for {proven.type} at {title(proven.node)}",
        "home": f"{title(proven.home)} countersigned that as number {proven.sequence}",
        "node": f"{title(proven.node)} is called at {doors}",
        "card": "" if proven.card is None else f"{proven.card.name} says what it can",
        "asked": ", ".join(word for word in asked if word),
    }
