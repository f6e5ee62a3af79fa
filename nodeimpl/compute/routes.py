"""The compute domain's endpoints."""

from __future__ import annotations

from nodeimpl.compute.service import Compute
from nodeimpl.kernel.binding import Route, answer, serve
from opkit.wire import compute as wire
from opkit.wire import grants


def routes(compute: Compute) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [
        serve(wire.DEPLOY, compute.deploy, prepare=compute.stage_module),
        serve(wire.GET_MODULE, compute.get_module),
        serve(wire.LIST_MODULES, compute.list_modules),
        serve(wire.PUT_BLOB, compute.put_blob, prepare=compute.stage_blob),
        answer(wire.GET_BLOB, compute.get_blob),
        serve(wire.SUBMIT, compute.submit, prepare=compute.admit),
        answer(wire.GET_TASK, compute.get_task),
        serve(wire.CANCEL, compute.cancel),
        serve(grants.GIVE_GRANT, compute.granting.give),
        serve(grants.LIST_GRANTS, compute.granting.list),
        serve(grants.REVOKE_GRANT, compute.granting.revoke, writes=True),
    ]
