"""Canonical JSON: one spelling for each value, so that a hash or a signature names the value.

Depth and size are bounded before any work that grows with them, because both the encoder and
Python's parser recurse. Source: RFC 8785 (JCS).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

import rfc8785

from opkit.proof.checks import ProofError
from opkit.wire.base import Wire

DEPTH_MAX = 32
"""The deepest nesting of arrays and objects that is read or written."""

SIZE_MAX = 1_048_576
"""The most characters and values that are written, and bytes that are read."""

INTEGER_MAX = 2**53 - 1
"""The greatest integer that every JSON implementation keeps."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")

_quick = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
"""The standard library's encoder: for what `_is_simple` it spells as RFC 8785 does, in C."""


def sha256_hex(data: bytes) -> str:
    """Return SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    """Return the one RFC 8785 encoding of a JSON value.

    Raises:
        ProofError: nested deeper than `DEPTH_MAX`, larger than `SIZE_MAX`, or not a JSON value
            (another type, an integer beyond 2^53-1, a number that is not finite, a lone surrogate).
    """
    _weigh(value, depth=0, budget=SIZE_MAX)
    return _encode(value)


def canonical_of(value: Wire) -> bytes:
    """Return the one encoding of a wire value, by which it is hashed and signed.

    Raises:
        ProofError: as `canonical`.
    """
    return canonical(value.model_dump(mode="json"))


def parse_canonical(data: bytes) -> dict[str, Any]:
    """Return the JSON object that `data` spells canonically, without any float in it.

    Raises:
        ProofError: too large, too deep, not JSON, a float, a duplicate key, another spelling than
            the canonical one, or no object.
    """
    value = _parse_plain(data)
    if value is not None:
        return value
    value = parse_object(data)
    if _encode(value) != data:
        raise ProofError("the JSON is not in its canonical spelling")
    return value


def parse_object(data: bytes, *, number: Callable[[str], int] | None = None) -> dict[str, Any]:
    """Return the JSON object in `data`, whatever its spelling.

    Args:
        data: JSON.
        number: reads a number that is not spelled as an integer; without it, there is none.

    Raises:
        ProofError: too large, too deep, not JSON, a float, a duplicate key, or no object.
    """
    if len(data) > SIZE_MAX:
        raise ProofError(f"{len(data)} bytes of JSON are more than {SIZE_MAX}")
    if _deep(data):
        raise ProofError(f"the JSON is nested deeper than {DEPTH_MAX}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=number or _no_float,
            parse_constant=_no_float,
        )
    except ProofError:
        raise
    except ValueError as bad:
        raise ProofError("not JSON in UTF-8") from bad
    if not isinstance(value, dict):
        raise ProofError("the JSON is no object")
    return value


def _parse_plain(data: bytes) -> dict[str, Any] | None:
    """Return the object that `data` spells canonically, or None if the quick look does not show it.

    Text in ASCII that is spelt the same again by the quick encoder has no name twice and no name
    beyond ASCII; without a float and a number of many digits nothing is left in which the two
    encoders differ. Whatever is in doubt is looked at slowly, and refused with its reason.
    """
    if len(data) > SIZE_MAX or not data.isascii() or _deep(data):
        return None
    text = data.decode("ascii")
    try:
        value = _plain(text)
    except ValueError:
        return None
    return value if type(value) is dict and _quick(value) == text else None


def _encode(value: Any) -> bytes:
    """Return the canonical encoding of a value whose depth and size are bounded already."""
    try:
        if _is_simple(value):
            return _quick(value).encode("utf-8")
        return rfc8785.dumps(value)
    except UnicodeEncodeError as bad:
        raise ProofError("no canonical JSON: a lone surrogate") from bad
    except rfc8785.CanonicalizationError as bad:
        raise ProofError(f"no canonical JSON: {bad}") from bad


def _is_simple(value: Any) -> bool:
    """Return whether the two encoders cannot differ on a value.

    They differ in how they spell floats, in how they order names beyond ASCII, and in what else
    than JSON they take. Nearly all that is signed here has none of that.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-INTEGER_MAX <= value <= INTEGER_MAX)
    if kind is dict:
        if not all(map(_is_name, value)):
            return False
        value = value.values()
    elif kind is not list and kind is not tuple:
        return False
    # Texts, which most values are, are passed without a call.
    return all(type(each) is str or _is_simple(each) for each in value)


def _is_name(name: Any) -> bool:
    return type(name) is str and name.isascii()


def _deep(data: bytes) -> bool:
    """Return whether `data` nests deeper than `DEPTH_MAX`, without recursion."""
    if data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > DEPTH_MAX:
            return True
    return False


def _weigh(value: Any, *, depth: int, budget: int) -> int:
    """Return what is left of `budget` after `value`, counting characters and values."""
    budget -= 1
    if isinstance(value, str):
        budget -= len(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            budget = _weigh(item, depth=_deeper(depth), budget=budget - len(str(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            budget = _weigh(item, depth=_deeper(depth), budget=budget)
    if budget < 0:
        raise ProofError(f"the value is larger than {SIZE_MAX} characters of JSON")
    return budget


def _deeper(depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise ProofError(f"the value is nested deeper than {DEPTH_MAX}")
    return depth + 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ProofError("the JSON has a key twice")
    return value


def _doubtful(_: str) -> NoReturn:
    raise ValueError("a number that is no integer")


def _small(text: str) -> int:
    if len(text) >= len(str(INTEGER_MAX)):
        raise ValueError("perhaps no integer that everybody keeps")
    return int(text)


_plain = json.JSONDecoder(parse_int=_small, parse_float=_doubtful, parse_constant=_doubtful).decode


def _no_float(text: str) -> NoReturn:
    raise ProofError(f"the JSON has a number that is no integer: {text[:32]}")
