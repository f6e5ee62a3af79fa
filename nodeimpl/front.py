"""The node's front door: bound as configured, with its key if it has one, and told to everybody.

Plain HTTP carries tokens, so it is bound to loopback. Elsewhere the door is TLS 1.3, and the hash
of its key stands in the node's own record, so that clients take this key and no other. Source: ADR
0038.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nodeimpl.config import ConfigError, GatewaySection
from nodeimpl.gateway.server import bind, bind_loopback
from opkit.proof.checks import ProofError
from opkit.proof.endpoints import key_hash
from opkit.wire.records import HttpEndpoint

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_MAKE = (
    "openssl req -x509 -newkey ed25519 -noenc -days 3650 -subj /CN=node "
    "-keyout tls.key -out tls.pem"
)


@dataclass(frozen=True, kw_only=True)
class Front:
    """A front door that is bound and not served yet.

    Attributes:
        listening: its socket.
        url: where this machine reaches it.
        tls: how it speaks TLS; None for plain HTTP.
        endpoints: what the node's record says of it.
    """

    listening: socket.socket
    url: str
    tls: ssl.SSLContext | None
    endpoints: tuple[HttpEndpoint, ...]

    @property
    def tls_key_hash(self) -> str | None:
        """The hash of the key that it shows."""
        return self.endpoints[0].tls_key_hash


def open_front(gateway: GatewaySection) -> Front:
    """Return the front door as configured, bound: whoever comes waits until it is served.

    Raises:
        ConfigError: the certificate or its key cannot be used.
        OSError: the port is taken, or the machine has no such address.
    """
    tls, shown = None, None
    if gateway.tls_certificate is not None and gateway.tls_key is not None:
        tls, shown = open_tls(gateway.tls_certificate, gateway.tls_key)
    put = bind_loopback if tls is None else bind
    listening = put(gateway.host, gateway.port)
    host, port = listening.getsockname()[:2]
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    told = gateway.advertise or (url,)
    endpoints = tuple(HttpEndpoint(url=each, tls_key_hash=shown) for each in told)
    return Front(listening=listening, url=url, tls=tls, endpoints=endpoints)


def names_of(gateway: GatewaySection) -> frozenset[str]:
    """Return by which hosts' names the door may be called, besides those of loopback."""
    names = {_host(urlsplit(url).hostname or "") for url in gateway.advertise}
    if gateway.tls_certificate is not None:
        names.add(_host(gateway.host))
    return frozenset(names)


def open_tls(certificate: Path, key: Path) -> tuple[ssl.SSLContext, str]:
    """Return how the door speaks TLS, and the hash of the key that it shows.

    Args:
        certificate: X.509 in PEM; the first one in the file is the node's own.
        key: its private key in PEM, without a password.

    Raises:
        ConfigError: one of them cannot be read, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        text = certificate.read_text("ascii")
    except (OSError, ValueError) as bad:
        raise _unusable("gateway.tls_certificate", certificate, bad) from bad
    try:
        _check_private(key)
        # Without one, OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as bad:
        raise _unusable("gateway.tls_key", key, bad) from bad
    try:
        first = text[text.index(_BEGIN) : text.index(_END) + len(_END)]
        shown = key_hash(ssl.PEM_cert_to_DER_cert(first))
    except (ProofError, ValueError) as bad:
        raise _unusable("gateway.tls_certificate", certificate, bad) from bad
    return context, shown


def _check_private(key: Path) -> None:
    if key.stat().st_mode & 0o077:
        raise ValueError("others may read it: chmod 600")


def _no_password() -> str:
    raise ValueError("a node starts alone: its key has no password")


def _unusable(key: str, path: Path, why: Exception) -> ConfigError:
    said = getattr(why, "strerror", None) or str(why)
    return ConfigError(str(path), ((key, said),), hint=_MAKE)


def _host(host: str) -> str:
    """Return a host as a `Host` header spells it."""
    bare = host.strip("[]").lower()
    return f"[{bare}]" if ":" in bare else bare
