"""From what nodes tell to what is drawn of the federation; nothing here asks, waits or believes.

A home node is heard about its own coop alone. What two of them must say alike is compared, and what
cannot be if all are honest is told in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from opkit.live.federation_agreed import fold_agreements
from opkit.live.federation_cleared import Apart, fold_moved, fold_positions, key_of
from opkit.live.federation_told import Places, Tells
from opkit.proof.genesis import GenesisView
from opkit.views.federation_figures import FederationFigures, HeardFigure, JoinedFigure
from opkit.wire.events import JournalEntry
from opkit.wire.federation import AttestationView, FederationMember, FederationMembers


def fold(
    tells: Tells,
    places: Places,
    genesis: GenesisView,
    *,
    late: Collection[Apart] = (),
    contradicted: Iterable[JournalEntry] = (),
) -> FederationFigures | None:
    """Return what is drawn; None as long as no node has told anything.

    Args:
        tells: what all nodes tell, in the network's order.
        places: who is where.
        genesis: this machine's own.
        late: positions whose sides have told other than each other for longer than news takes.
        contradicted: what nodes journalled of who signed both ends of an exchange.
    """
    if not any(told.members is not None for told in tells.values()):
        return None
    agreements, wrong = fold_agreements(tells, places, genesis)
    positions, wrong_positions = fold_positions(tells, places, agreements, late=late)
    moved, more, wrong_ends = fold_moved(tells, places)
    best = _fullest(tells)
    return FederationFigures(
        joined=_joined(best, tells, places),
        heard=_heard(tells),
        vouches_min=best.vouches_min if best is not None else 0,
        agreements=agreements,
        positions=positions,
        moved=moved,
        more=more,
        silent=tuple((org, told.trouble) for org, told in tells.items() if told.trouble),
        wrong=tuple(
            dict.fromkeys(
                [
                    *_forked(tells, places),
                    *_lied(contradicted, places),
                    *wrong,
                    *wrong_positions,
                    *wrong_ends,
                ]
            )
        ),
        ahead_ms=max((told.ahead_ms for told in tells.values()), default=0),
    )


def apart_of(figures: FederationFigures | None) -> set[Apart]:
    """Return the positions whose sides tell other than each other, and no doubt explains it."""
    known = figures.positions if figures is not None else ()
    return {key_of(each) for each in known if each.mirror in ("moment", "other")}


def _fullest(tells: Tells) -> FederationMembers | None:
    """Return who belongs to the federation, as a node tells that has heard most of it."""
    told = [each.members for each in tells.values() if each.members is not None]
    often = Counter(each.state for each in told)
    return max(
        told, key=lambda each: (each.operations, often[each.state], each.state), default=None
    )


def _heard(tells: Tells) -> tuple[HeardFigure, ...]:
    return tuple(
        HeardFigure(org=org, state=told.members.state, operations=told.members.operations)
        for org, told in tells.items()
        if told.members is not None and not told.trouble
    )


def _joined(
    best: FederationMembers | None, tells: Tells, places: Places
) -> tuple[JoinedFigure, ...]:
    if best is None:
        return ()
    attested = next((told.attested for told in tells.values() if told.members is best), ())
    names = {each.did: _name(each, places) for each in best.members}
    expelled = frozenset(best.expelled)
    found = [
        JoinedFigure(
            key=each.coop or each.did,
            title=names[each.did],
            founder=each.founder,
            standing=each.standing,
            expelled=each.did in expelled,
            vouched_by=tuple(names.get(did) or places.of_key(did) for did in each.vouched_by),
            against=tuple(names.get(did) or places.of_key(did) for did in each.against),
            registered_ms=each.registered_at_ms or 0,
            attested=_of(each, attested),
        )
        for each in best.members
    ]
    order = list(tells)
    place = {coop: order.index(org) for coop, org in places.homes.items() if org in order}
    return tuple(sorted(found, key=lambda each: (place.get(each.key, len(order)), each.key)))


def _name(each: FederationMember, places: Places) -> str:
    return each.title or (places.title(each.coop) if each.coop else places.of_key(each.did))


def _of(
    member: FederationMember, attested: Iterable[AttestationView]
) -> tuple[AttestationView, ...]:
    return tuple(each for each in attested if member.coop and each.subject == member.coop)


def _forked(tells: Tells, places: Places) -> Iterable[str]:
    for told in tells.values():
        for fork in told.forks:
            who = places.title(fork.coop) if fork.coop else places.of_key(fork.did)
            yield f"The node of {who} signed two histories of {_object(fork.object_id)}"


def _object(object_id: str) -> str:
    kind, _, name = object_id.partition("/")
    return f"{kind} {name[:12]}".strip()


def _lied(contradicted: Iterable[JournalEntry], places: Places) -> Iterable[str]:
    for entry in contradicted:
        body: Mapping[str, object] = entry.body
        yield (
            f"{places.title(str(body['by']))} signed that exchange {body['exchange_id']} is "
            "posted, and that nothing comes of it"
        )
