"""Services: names that stand for one, joined with what their nodes say of themselves.

A node finds them over all names that it holds, whoever's they are. What it answers is evidence and
not its word: records that their owners signed, which whoever asked verifies again
(`opkit.proof.services`). How a node does is the one thing that only the answering node says.
Source: ADR 0039.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import PLAIN, Count, Jws, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.names import ALIAS_DEPTH_MAX, NameText

SERVICES_PER_PAGE_MAX = 100
"""The most services in an answer, each with all that proves it."""

CURSOR_PATTERN = r"^(?:[0-9]{1,16}\.[a-z0-9.-]{3,129})?$"

ServiceCursor = Annotated[str, StringConstraints(pattern=CURSOR_PATTERN)]
"""Where a page ended: when the last one was heard of, and its name. Empty: at the beginning."""

ServiceWord = Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)]
"""What somebody asks for as a type, capability or region; what is none is not found."""

HealthState = Literal["here", "live", "silent", "unknown"]
"""The service's node is the one that answers; it is connected with it; it was, and is not any more;
it never was since the answering node started."""


class ServiceHealth(Wire):
    """How the service's node does, as the answering node sees it: its word alone.

    Attributes:
        heard_ms: when it was heard of last: now, if it is connected; of one that never was, when
            it signed its own record.
        round_trip_us: how long a message takes there and back, if it is connected.
    """

    state: HealthState
    heard_ms: TimeMs | None = None
    round_trip_us: Count | None = None


class FoundService(Wire):
    """A service under one name, with the signed records that lead to it.

    Attributes:
        name: what was found: the service's own name, or an alias that leads to it.
        aliases: the records of the aliases that were followed, in order; each names the next one.
        name_record: the record of the name that stands for the service.
        node_record: the node's own, which says where it is; None if none is known here.
        card_record: by which the node publishes its agent card; None if it has none.
        card: the card itself, if it does not stand in its record.
    """

    name: NameText
    aliases: Annotated[tuple[Jws, ...], Field(max_length=ALIAS_DEPTH_MAX)] = ()
    name_record: Jws
    node_record: Jws | None = None
    card_record: Jws | None = None
    card: dict[str, Any] | None = None
    health: ServiceHealth


class FindServices(Wire):
    """Ask for services; of what is empty nothing is asked.

    Attributes:
        type: what the service is.
        capability: what it can, by its name's record or as a skill on its node's card.
        region: where it is.
        after: where the page before ended.
    """

    type: ServiceWord = ""
    capability: ServiceWord = ""
    region: ServiceWord = ""
    after: ServiceCursor = ""
    services_max: Annotated[int, Field(ge=1, le=SERVICES_PER_PAGE_MAX)] = 25


class ServicePage(Wire):
    """Services, of whose nodes was heard last first; `next_after` is empty on the last page.

    A service whose node comes or goes between two pages may stand on both, or on none.
    """

    services: Annotated[tuple[FoundService, ...], Field(max_length=SERVICES_PER_PAGE_MAX)]
    next_after: ServiceCursor


FIND_SERVICES = Endpoint(
    name="services.find",
    method="GET",
    path="/v1/services",
    ask=FindServices,
    answer=ServicePage,
    scope=Scope.NAMES_READ,
)
