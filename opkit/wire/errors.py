"""The three ways a call can fail, and the families of refusals.

```
CoopError
├── Refusal       the node said no: stable code, typed fields, hint
│   families: Invalid 422  Unauthenticated 401  Denied 403  Missing 404  Conflict 409
│             Lapsed 410  Oversize 413  Exhausted 429  Busy 503
├── Unreachable   silence: the effect is unknown
└── Fault         the node is broken: carries an incident id that is in its log
```

A family carries the HTTP status, a leaf carries the code. Rules raise leaves and never see a
status. `REFUSALS` knows every leaf by its code, so that a client raises the same class with the
same fields that the node raised.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_type_hints

REFUSALS: dict[str, type[Refusal]] = {}
"""Every refusal leaf by its stable code; filled when the leaf's class is made."""

PROBLEM_TYPE = "urn:opkit:refusal:"
"""Prefix of the `type` member of a problem document. Source: RFC 9457, section 3.1.1."""


class CoopError(Exception):
    """Anything that can go wrong between a client and a node."""


@dataclass(eq=False, kw_only=True)
class Refusal(CoopError):
    """The node said no. `code` is stable and public; the other fields say why."""

    code: ClassVar[str] = ""
    status: ClassVar[int] = 400
    hint: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Register a leaf (a class with a code of its own) under its code."""
        code = cls.__dict__.get("code", "")
        if code:
            assert code not in REFUSALS, f"two refusals share the code {code!r}"
            REFUSALS[code] = cls

    def __str__(self) -> str:
        """Return `code: field=value … (hint: …)`, fit for a log line or a terminal."""
        said = " ".join(f"{name}={value!r}" for name, value in self.details().items())
        head = f"{self.code}: {said}" if said else self.code
        return f"{head} (hint: {self.hint})" if self.hint else head

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields: the default of exceptions loses keyword-only fields."""
        return (_rebuild, (type(self), self.details()))

    def details(self) -> dict[str, Any]:
        """Return the leaf's own fields by name, as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def problem(self) -> dict[str, Any]:
        """Return this refusal as a problem document. Source: RFC 9457."""
        return {
            "type": PROBLEM_TYPE + self.code,
            "title": (type(self).__doc__ or "").split("\n", 1)[0],
            "status": self.status,
            "code": self.code,
            "details": self.details(),
            "hint": self.hint,
        }


def _rebuild(leaf: type[Refusal], details: dict[str, Any]) -> Refusal:
    return leaf(**details)


def refusal_from(problem: Any) -> Refusal | None:
    """Return the refusal that a problem document describes, or None.

    None means that the document is no refusal this version knows, or that its fields are not the
    leaf's: the caller must treat that as a `Fault`, never as success.

    Args:
        problem: a decoded JSON value of unknown shape.
    """
    if not isinstance(problem, dict):
        return None
    leaf = REFUSALS.get(str(problem.get("code")))
    details = problem.get("details")
    if leaf is None or not isinstance(details, dict):
        return None
    if not _fits(leaf, details):
        return None
    return leaf(**{name: details[name] for name in _types_of(leaf.code)})


def _fits(leaf: type[Refusal], details: dict[str, Any]) -> bool:
    """Return whether `details` has all of the leaf's fields, each of its type.

    Further ones are left out: a newer node may say more of why it said no.
    """
    types = _types_of(leaf.code)
    if not types.keys() <= details.keys():
        return False
    return all(_is_of(details[name], declared) for name, declared in types.items())


@functools.cache
def _types_of(code: str) -> dict[str, Any]:
    leaf = REFUSALS[code]
    hints = get_type_hints(leaf)
    return {field.name: hints[field.name] for field in fields(leaf)}


def _is_of(value: Any, declared: Any) -> bool:
    """Return whether a decoded JSON value is a text, a whole number, or a list of texts."""
    if declared is int:
        # JSON's true is no number, though Python's is.
        return type(value) is int
    if declared is str:
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


class Invalid(Refusal):
    """The ask itself is wrong: sending it again unchanged never helps."""

    status = 422


class Unauthenticated(Refusal):
    """The node does not know who asks."""

    status = 401


class Denied(Refusal):
    """The node knows who asks, and they may not."""

    status = 403


class Missing(Refusal):
    """What was asked for is not here."""

    status = 404


class Conflict(Refusal):
    """The ask contradicts what already stands."""

    status = 409


class Lapsed(Refusal):
    """What was asked for, or the ask, is past its time."""

    status = 410


class Oversize(Refusal):
    """The ask is larger than its limit."""

    status = 413


class Exhausted(Refusal):
    """A rate or a quota is used up; later it may work."""

    status = 429


class Busy(Refusal):
    """The node cannot take this now and remembers nothing of it: ask again."""

    status = 503


FAMILIES: tuple[type[Refusal], ...] = (
    Invalid,
    Unauthenticated,
    Denied,
    Missing,
    Conflict,
    Lapsed,
    Oversize,
    Exhausted,
    Busy,
)
"""The nine families; every leaf descends from exactly one of them (tested)."""


@dataclass(eq=False, kw_only=True)
class Unreachable(CoopError):
    """No answer in time: the effect is unknown. Ask again with the same idempotency key.

    `where` is the address or DID that stayed silent, `why` says what happened.
    """

    where: str
    why: str

    def __str__(self) -> str:
        """Return who was silent, and how."""
        return f"no answer from {self.where}: {self.why}"


@dataclass(eq=False, kw_only=True)
class Fault(CoopError):
    """The node is broken. The incident id stands in its log beside the cause.

    `where` is the address or DID, `incident` the id (empty when the node could not give one).
    """

    where: str
    incident: str
    why: str = ""

    def __str__(self) -> str:
        """Return the incident id and where its log is."""
        return f"{self.where} is broken, incident {self.incident or 'unknown'} {self.why}".rstrip()
