"""What A2A calls the ways in which an ask fails: one error, told by each binding in its own form.

Source: ADR 0037; the Agent2Agent protocol, version 1.0, sections 5.4 and 9.5; RFC 9457 is spoken
before a token is taken, and A2A after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opkit.wire.errors import Invalid, Missing, Refusal

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
DOMAIN = "a2a-protocol.org"
OWN_DOMAIN = "opkit"
TEXT_CHARACTERS_MAX = 500


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the errors that A2A names: its code in JSON-RPC, and what HTTP+JSON says."""

    code: int
    status: int
    rpc: str
    reason: str


TASK_NOT_FOUND = Kind(code=-32001, status=404, rpc="NOT_FOUND", reason="TASK_NOT_FOUND")
TASK_NOT_CANCELABLE = Kind(
    code=-32002, status=400, rpc="FAILED_PRECONDITION", reason="TASK_NOT_CANCELABLE"
)
PUSH_NOT_SUPPORTED = Kind(
    code=-32003, status=400, rpc="FAILED_PRECONDITION", reason="PUSH_NOTIFICATION_NOT_SUPPORTED"
)
UNSUPPORTED_OPERATION = Kind(
    code=-32004, status=400, rpc="FAILED_PRECONDITION", reason="UNSUPPORTED_OPERATION"
)
CONTENT_TYPE_NOT_SUPPORTED = Kind(
    code=-32005, status=400, rpc="INVALID_ARGUMENT", reason="CONTENT_TYPE_NOT_SUPPORTED"
)
EXTENDED_CARD_NOT_CONFIGURED = Kind(
    code=-32007, status=400, rpc="FAILED_PRECONDITION", reason="EXTENDED_AGENT_CARD_NOT_CONFIGURED"
)
VERSION_NOT_SUPPORTED = Kind(
    code=-32009, status=400, rpc="FAILED_PRECONDITION", reason="VERSION_NOT_SUPPORTED"
)
INVALID_REQUEST = Kind(code=-32600, status=400, rpc="INVALID_ARGUMENT", reason="INVALID_REQUEST")
METHOD_NOT_FOUND = Kind(code=-32601, status=404, rpc="NOT_FOUND", reason="METHOD_NOT_FOUND")
INVALID_PARAMS = Kind(code=-32602, status=400, rpc="INVALID_ARGUMENT", reason="INVALID_PARAMS")
INTERNAL = Kind(code=-32603, status=500, rpc="INTERNAL", reason="INTERNAL_ERROR")
NOT_JSON = Kind(code=-32700, status=400, rpc="INVALID_ARGUMENT", reason="INVALID_REQUEST")

REFUSED = -32000
"""The code of what the node refuses and A2A has no name for; the reason is the refusal's own."""

_RPC = {
    403: "PERMISSION_DENIED",
    409: "ALREADY_EXISTS",
    410: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


@dataclass(eq=False)
class A2AError(Exception):
    """An ask that failed after its token was taken."""

    kind: Kind
    why: str
    details: dict[str, str] = field(default_factory=dict)
    domain: str = DOMAIN

    def info(self) -> list[dict[str, Any]]:
        """Return what programs read of it."""
        said = {
            "@type": ERROR_INFO,
            "reason": self.kind.reason,
            "domain": self.domain,
            "metadata": self.details,
        }
        return [said]

    def by_rpc(self) -> dict[str, Any]:
        """Return the `error` of a JSON-RPC response."""
        return {
            "code": self.kind.code,
            "message": self.why[:TEXT_CHARACTERS_MAX],
            "data": self.info(),
        }

    def by_http(self) -> dict[str, Any]:
        """Return the body of an HTTP+JSON response."""
        said = {
            "code": self.kind.status,
            "status": self.kind.rpc,
            "message": self.why[:TEXT_CHARACTERS_MAX],
            "details": self.info(),
        }
        return {"error": said}


def error_of(refusal: Refusal) -> A2AError:
    """Return how a refusal of the domain is told: by A2A's name for it if there is one."""
    details = {name: str(value)[:200] for name, value in refusal.details().items()}
    why = f"{refusal.problem()['title']} {refusal.hint}".strip()
    if isinstance(refusal, Invalid | Missing):
        return A2AError(INVALID_PARAMS, why, {"code": refusal.code, **details})
    kind = Kind(
        code=REFUSED,
        status=refusal.status,
        rpc=_RPC.get(refusal.status, "FAILED_PRECONDITION"),
        reason=refusal.code.replace("-", "_").upper(),
    )
    return A2AError(kind, why, {"code": refusal.code, **details}, domain=OWN_DOMAIN)
