"""Names under a coop and agents' cards: claims, countersignatures, cards, and what none of them is.

Everything follows from the keys in `vectors_people`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_people as people

from opkit.proof import jws
from opkit.proof.cards import sign_card, value_of
from opkit.proof.names import make_claim, view_name
from opkit.wire.agents import A2A_JSONRPC_PATH, A2A_VERSION, AgentParams
from opkit.wire.base import Jws
from opkit.wire.names import (
    NAME_TERM_MS_MAX,
    NAME_TYP,
    AliasTarget,
    MemberChain,
    NameEnd,
    NameHeld,
    NameTarget,
    NameValue,
    NodeTarget,
    PassClaim,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.records import RECORD_TYP

ISSUED_MS = people.CLOCK_MS - 60_000
HOUR_MS = 3_600_000
MEMBERS = {"founder": f"{people.COOP}/ada", "member": f"{people.COOP}/zoe"}
"""Who is who in the coop."""


def service() -> ServiceTarget:
    """Return a service on the first node."""
    return ServiceTarget(
        type="compute",
        node=people.did("node-1"),
        endpoints=(ServiceEndpoint(protocol="http", path="/v1/tasks"),),
        capabilities=("patronage", "wasm"),
        region="north",
    )


def claim(of: str, label: str, target: NameTarget | None) -> Jws:
    """Return a claim of one of `MEMBERS` for an hour, as they signed it."""
    return make_claim(
        people.identity(of),
        network=people.NETWORK,
        name=f"{label}.{people.COOP}",
        member_id=MEMBERS[of],
        target=target,
        at_ms=ISSUED_MS,
        term_ms=HOUR_MS,
    )


def chain(of: str) -> MemberChain:
    """Return what shows that the key is the member's; nothing for a founder."""
    return people.membership() if of == "member" else ()


def named(
    of: str,
    label: str,
    target: NameTarget | None,
    *,
    by: str = "node-1",
    freed: tuple[NameEnd, ...] = (),
    **changes: Any,
) -> Jws:
    """Return a claim as a node countersigned it; only the first one is the home of the coop.

    Args:
        of: who claims.
        label: the name without its coop.
        target: what it stands for; None gives it back.
        by: who countersigns.
        freed: how earlier holds ended.
        changes: what the record says otherwise than it should.
    """
    value = NameValue(claim=claim(of, label, target), member=chain(of), freed=freed)
    said = value.model_dump(mode="json")
    lapses_at_ms = ISSUED_MS + (NAME_TERM_MS_MAX if target is None else HOUR_MS)
    name = f"{label}.{people.COOP}"
    body = people.body(by, "name", name, said, lapses_at_ms=lapses_at_ms)
    body = body.model_copy(update=changes)
    return jws.sign(body, typ=RECORD_TYP, identity=people.identity(by))


@cache
def card() -> dict[str, Any]:
    """Return the first node's card."""
    door = "http://127.0.0.1:8080"
    said = {
        "name": "River City Tools",
        "description": "Runs programs for members, 20 € the hour.",
        "version": "0.1.0",
        "supportedInterfaces": [
            {
                "url": f"{door}{A2A_JSONRPC_PATH}",
                "protocolBinding": "JSONRPC",
                "protocolVersion": A2A_VERSION,
            }
        ],
        "capabilities": {"streaming": True},
        "skills": [
            {"id": "wasm", "name": "WASM", "description": "Runs a program.", "tags": ["compute"]}
        ],
    }
    agent = AgentParams(
        network=people.NETWORK,
        did=people.did("node-1"),
        sequence=1,
        node=people.did("node-1"),
        addresses=("127.0.0.1:4433",),
        region="north",
    )
    return sign_card(said, agent=agent, identity=people.identity("node-1"))


def carded(said: dict[str, Any] | None = None, *, by: str = "node-1") -> Jws:
    """Return a record that leads to a card; a card that is given is not looked at before."""
    value = value_of(card() if said is None else said).model_dump(mode="json")
    lapses_at_ms = ISSUED_MS + 7 * people.DAY_MS
    body = people.body(by, "card", people.did(by), value, lapses_at_ms=lapses_at_ms)
    return jws.sign(body, typ=RECORD_TYP, identity=people.identity(by))


def taken() -> Iterator[tuple[str, Jws]]:
    """Yield records of names and cards that every reader takes."""
    yield "a founder's name for a service", named("founder", "lathe", service())
    yield "a member's name for a node", named("member", "bench", _node())
    yield "a member's alias", named("member", "drill", _alias("lathe"))
    yield "a name that is given back", named("founder", "saw", None)
    given_back = NameEnd(claim=claim("founder", "saw", None))
    yield "a name that passed on", named("member", "saw", _node(), freed=(given_back,))
    yield "a node's card", carded()


def refused() -> Iterator[tuple[str, Jws]]:
    """Yield records that no reader takes, by what is wrong with them."""
    node = _node()
    hour: dict[str, Any] = {"lapses_at_ms": ISSUED_MS + HOUR_MS}
    longest: dict[str, Any] = {"lapses_at_ms": ISSUED_MS + NAME_TERM_MS_MAX}
    kept = NameEnd(claim=claim("founder", "lathe", node))
    elsewhere = f"drill.{people.COOP}"
    yield "a name for longer than claimed", named("founder", "lathe", node, **longest)
    yield "a name given back for an hour", named("founder", "saw", None, **hour)
    yield "another name than was claimed", named("founder", "lathe", node, name=elsewhere)
    yield "a name not given back before", named("member", "lathe", node, freed=(kept,))
    yield "a name without its member's chain", _chainless()
    yield "a tombstone of a name", named("founder", "lathe", node, value=None, **longest)
    yield "another's card", carded(by="node-2")
    yield "a card that was changed", carded({**card(), "name": "River City Tolls"})
    yield "a card with an empty field", carded({**card(), "iconUrl": ""})


def foreign() -> tuple[str, Jws]:
    """Return a name that is not countersigned by the home of its coop."""
    return "a name by another node", named("founder", "lathe", _node(), by="node-2")


def passed() -> tuple[PassClaim, NameHeld]:
    """Return a claim that is passed to the coop's home, and what it answers."""
    record = named("member", "bench", _node())
    view = view_name(record)
    held = NameHeld(
        name=view.name,
        member_id=view.member_id,
        did=view.did,
        target=view.target,
        sequence=view.sequence,
        claim_sequence=view.claim_sequence,
        issued_at_ms=view.issued_at_ms,
        lapses_at_ms=view.lapses_at_ms,
        home=view.home,
        record=record,
    )
    return PassClaim(claim=claim("member", "bench", _node()), member=chain("member")), held


def signed() -> tuple[Jws, str]:
    """Return a signed claim, and who signed it."""
    token = claim("founder", "lathe", service())
    assert jws.peek(token).typ == NAME_TYP
    return token, "founder"


def _node() -> NodeTarget:
    return NodeTarget(node=people.did("node-2"))


def _alias(label: str) -> AliasTarget:
    return AliasTarget(name=f"{label}.{people.COOP}")


def _chainless() -> Jws:
    value = NameValue(claim=claim("member", "bench", _node())).model_dump(mode="json")
    return named("member", "bench", _node(), value=value)
