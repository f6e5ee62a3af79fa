"""The node's HTTP app, put together from the routes of all domains."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from nodeimpl.compute.service import Compute
from nodeimpl.gateway.a2a_later import A2ALater, Gate
from nodeimpl.gateway.admit import Admission
from nodeimpl.gateway.body import Room
from nodeimpl.gateway.door import Crowd, Door
from nodeimpl.gateway.entry import PATH_CHARACTERS_MAX, Entry
from nodeimpl.gateway.faults import confess
from nodeimpl.gateway.figures import Figures
from nodeimpl.gateway.journal import JournalPages
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.replies import (
    PROBLEM,
    App,
    Receive,
    Scope,
    Send,
    fault_problem,
    problem_bytes,
)
from nodeimpl.gateway.streams import Streams
from nodeimpl.gateway.tail import Tail
from nodeimpl.gateway.unread import Unread
from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.metrics import CONTENT_TYPE, Metrics
from nodeimpl.kernel.store import Store
from nodeimpl.membership.service import Membership
from opkit.wire.endpoint import Endpoint
from opkit.wire.gateway import RouteUnknown

if TYPE_CHECKING:
    from nodeimpl.gateway.a2a import A2A


class Gateway(FastAPI):
    """FastAPI with the contract's doors before its own routes.

    Asks of the contract go to their door without passing the framework; what is mounted beside
    the contract is served by the framework as usual.
    """

    def __init__(self, *, entry: Callable[[App], App], **named: Any) -> None:
        """Take what builds the entry before the framework."""
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, **named)
        self.entry = entry(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead one connection to its door, or to the framework."""
        await self.entry(scope, receive, send)


def build_app(
    *,
    routes: Sequence[Route],
    store: Store,
    membership: Membership,
    clock: Clock,
    metrics: Metrics,
    limits: GatewayLimits | None = None,
    ending: Ending | None = None,
    compute: Compute | None = None,
) -> FastAPI:
    """Return the ASGI app that answers these routes, the journal and the event stream.

    Args:
        routes: of all domains; the gateway adds `events.read`.
        metrics: the node's metrics, served at `/metrics`.
        limits: the gateway's bounds.
        ending: the node's end, if it is to be told of one.
        compute: what runs tasks for A2A clients, if any are to be answered.
    """
    limits = limits or GatewayLimits()
    ending = ending or Ending()
    figures = Figures(metrics)
    tail = Tail(store, entries_max=limits.tail_entries_max)
    gate = Gate(
        admission=Admission(membership=membership, clock=clock, limits=limits),
        room=Room(bytes_max=limits.bodies_bytes_max),
        crowd=Crowd(asks_max=limits.asks_max),
        unread=Unread(
            bytes_max=limits.unread_bytes_max,
            bytes_per_reader_max=limits.unread_bytes_per_reader_max,
        ),
        figures=figures,
        limits=limits,
        clock=clock,
    )
    pages = JournalPages(store=store, tail=tail, clock=clock, ending=ending)
    every = (*routes, *pages.routes())
    a2a = None
    if compute is not None:
        a2a = _a2a_later(compute, gate, store=store, membership=membership, ending=ending)
    streams = Streams(
        store=store,
        membership=membership,
        admission=gate.admission,
        tail=tail,
        clock=clock,
        figures=figures,
        limits=limits,
        ending=ending,
    )
    app = Gateway(
        entry=lambda otherwise: Entry(
            doors=_doors(every, gate, store=store, membership=membership, ending=ending),
            streams=streams,
            admission=gate.admission,
            otherwise=otherwise,
            names=limits.names,
            a2a=a2a,
        ),
        title="opkit node",
    )
    _add_beside(app, metrics, tuple(route.endpoint for route in every))
    return app


def _doors(
    routes: Sequence[Route], gate: Gate, *, store: Store, membership: Membership, ending: Ending
) -> list[Door]:
    """Return a door for each endpoint."""
    return [
        Door(
            route,
            store=store,
            membership=membership,
            admission=gate.admission,
            room=gate.room,
            crowd=gate.crowd,
            unread=gate.unread,
            figures=gate.figures,
            limits=gate.limits,
            ending=ending,
        )
        for route in routes
    ]


def _a2a_later(
    compute: Compute, gate: Gate, *, store: Store, membership: Membership, ending: Ending
) -> A2ALater:
    """Return what answers A2A, and loads what that takes when somebody asks."""

    def make() -> A2A:
        from nodeimpl.gateway.a2a import A2A
        from nodeimpl.gateway.a2a_tasks import Tasks

        tasks = Tasks(compute=compute, store=store, membership=membership, ending=ending)
        return A2A(tasks, gate)

    return A2ALater(make)


@cache
def _described(endpoints: tuple[Endpoint[Any, Any], ...]) -> bytes:
    """Return the OpenAPI document of endpoints. Few ask for it, and to make it takes 0.2 s."""
    from nodeimpl.gateway.openapi import document

    return json.dumps(document(endpoints), separators=(",", ":")).encode()


def _add_beside(app: FastAPI, metrics: Metrics, endpoints: tuple[Endpoint[Any, Any], ...]) -> None:
    """Add what stands beside the contract: its document, metrics, and what is said of no route."""

    async def show_schema(_request: Request) -> Response:
        # In a thread: all else that is asked meanwhile is answered.
        return Response(
            await asyncio.to_thread(_described, endpoints), media_type="application/json"
        )

    async def show_metrics(_request: Request) -> Response:
        return Response(await metrics.scrape(), headers={"Content-Type": CONTENT_TYPE})

    async def unknown(request: Request, _error: Exception) -> Response:
        refusal = RouteUnknown(path=request.url.path[:PATH_CHARACTERS_MAX])
        return Response(problem_bytes(refusal), status_code=404, media_type=PROBLEM.decode())

    async def fault(request: Request, error: Exception) -> Response:
        body = json.dumps(fault_problem(confess(error, endpoint=request.url.path)))
        return Response(body, status_code=500, media_type=PROBLEM.decode())

    app.add_route("/openapi.json", show_schema, include_in_schema=False)
    app.add_route("/metrics", show_metrics, include_in_schema=False)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(Exception, fault)
