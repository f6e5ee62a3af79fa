"""Where a node's front door may be, and how to know it when it opens.

A node says in its own signed record where it is called. Beyond the machine itself that is TLS, and
the record names the key that the door shows, so no authority and no name system is trusted.
Source: ADR 0038.
"""

from __future__ import annotations

import hashlib
from ipaddress import ip_address
from urllib.parse import urlsplit

from opkit.proof.checks import ProofError
from opkit.wire.records import HttpEndpoint

SPKI_INDEX = 6
"""Where the key stands in a certificate that says its version. Source: RFC 5280, section 4.1."""

_SEQUENCE, _VERSION = 0x30, 0xA0


def check_endpoint(endpoint: HttpEndpoint) -> None:
    """Return if a client may dial an endpoint.

    Raises:
        ProofError: no host or port can be read from it; plain HTTP beyond loopback or with a key;
            TLS without one.
    """
    try:
        parts = urlsplit(endpoint.url)
        host, port = parts.hostname, parts.port
    except ValueError as bad:
        raise ProofError(f"{endpoint.url} is no URL: {bad}") from bad
    if not host or port == 0:
        raise ProofError(f"{endpoint.url} names no place that can be dialled")
    if parts.scheme == "https":
        if endpoint.tls_key_hash is None:
            raise ProofError(f"{endpoint.url} names no key")
        return
    if not is_loopback(host):
        raise ProofError(f"{endpoint.url} is plain HTTP beyond this machine")
    if endpoint.tls_key_hash is not None:
        raise ProofError(f"{endpoint.url} names a key that plain HTTP does not show")


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address stands for the machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def key_hash(certificate: bytes) -> str:
    """Return SHA-256 of a certificate's key, in hex: what a node's record names.

    Args:
        certificate: X.509 in DER.

    Raises:
        ProofError: no certificate of version 2 or 3 can be read.
    """
    whole = _read(certificate, 0, len(certificate))
    signed = _read(certificate, whole[1], whole[2])
    if (whole[0], signed[0]) != (_SEQUENCE, _SEQUENCE):
        raise ProofError("it is no certificate")
    at = signed[1]
    for index in range(SPKI_INDEX + 1):
        tag, _, end = _read(certificate, at, signed[2])
        if index == 0 and tag != _VERSION:
            raise ProofError("it is a certificate of version 1")
        if index == SPKI_INDEX and tag == _SEQUENCE:
            return hashlib.sha256(certificate[at:end]).hexdigest()
        at = end
    raise ProofError("it is no certificate")


def _read(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, start and end of the value at a place. Source: X.690, section 8.1."""
    if at + 2 > end:
        raise ProofError("it ends too early")
    tag, length, start = data[at], data[at + 1], at + 2
    if length > 0x7F:
        size = length - 0x80
        if size == 0:
            raise ProofError("it does not say how long it is")
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if tag & 0x1F == 0x1F or start + length > end:
        raise ProofError("it ends too early")
    return tag, start, start + length
