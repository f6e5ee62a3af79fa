"""The edge of the process: what nobody expected is logged with its cause and told by an id."""

from __future__ import annotations

from nodeimpl.kernel.ids import incident_id
from nodeimpl.kernel.log import get_logger

_log = get_logger("gateway")


def confess(error: BaseException, *, endpoint: str) -> str:
    """Log an error with its cause and return the incident id under which it stands there."""
    incident = incident_id()
    _log.error("fault", incident=incident, endpoint=endpoint, exc_info=error)
    return incident
