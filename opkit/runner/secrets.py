"""Looks for secrets in a run folder: none may ever get there.

Nothing is removed, for a filter that misses one spelling is worse than none: whoever finds
something has found a mistake in what was written. Source: ADR 0010.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from opkit.wire.base import b64decode, b64encode
from opkit.wire.membership import LOGIN_TYP, TOKEN_TYP

_JWS = re.compile(rb"eyJ[A-Za-z0-9_-]{8,400}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{8,}")
_FORBIDDEN = frozenset({TOKEN_TYP, LOGIN_TYP})


def secrets_in(
    folder: Path, *, seeds: Sequence[bytes] = (), tokens: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return what was found, as `path: what`, without the secrets themselves.

    Any token or login answer counts, known or not; a private key is found by its bytes in raw,
    hexadecimal or any base64 spelling.

    Args:
        folder: searched whole.
        seeds: private keys that must not be there.
        tokens: tokens that must not be there.
    """
    known = {spelling for seed in seeds for spelling in _spellings(seed)}
    known |= {token.encode() for token in tokens}
    return tuple(_search(folder, known))


def _search(folder: Path, known: set[bytes]) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        if any(spelling in data for spelling in known):
            yield f"{name}: a known secret"
        for found in _JWS.finditer(data):
            typ = _typ(found.group())
            if typ in _FORBIDDEN:
                yield f"{name}: an object of type {typ}"


def _spellings(seed: bytes) -> Iterator[bytes]:
    yield seed
    yield seed.hex().encode()
    yield seed.hex().upper().encode()
    yield b64encode(seed).encode()
    yield base64.b64encode(seed).rstrip(b"=")


def _typ(token: bytes) -> str:
    try:
        header = json.loads(b64decode(token.split(b".", 1)[0].decode()))
    except ValueError:
        return ""
    return str(header.get("typ", "")) if isinstance(header, dict) else ""
