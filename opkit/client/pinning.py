"""TLS to one node: the key that its own record names, and no other, whatever a certificate says.

No authority and no name is trusted, so none can be made to lie. The key is looked at before the
first byte of an ask is sent. Source: ADR 0038.
"""

from __future__ import annotations

import ssl
from typing import Any

from opkit.client.errors import WrongKey
from opkit.proof.checks import ProofError
from opkit.proof.endpoints import key_hash


class Pin:
    """The key that a node's door has to show.

    Attributes:
        context: how TLS is spoken to that node.
        refused: what another door showed instead, in words; None as long as none did.
    """

    def __init__(self, expected: str) -> None:
        """Take no key but the one with this hash, in hex (`HttpEndpoint.tls_key_hash`)."""
        self.expected = expected
        self.refused: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        # Every library that speaks TLS over asyncio makes its connections by this class.
        self.context.sslobject_class = _looking(self)

    def look(self, certificate: bytes | None) -> None:
        """Return if a certificate, in DER, has the key.

        Raises:
            ssl.SSLError: it has another one; `refused` says which.
        """
        try:
            found = key_hash(certificate or b"")
        except ProofError as bad:
            found = bad.why
        if found != self.expected:
            self.refused = found
            raise ssl.SSLError(ssl.SSLErrorNumber.SSL_ERROR_SSL, "another key than the record's")

    def complain(self, url: str) -> None:
        """Return if nothing was refused here.

        Raises:
            WrongKey: a door showed another key.
        """
        if self.refused is not None:
            found, self.refused = self.refused, None
            raise WrongKey(url=url, expected=self.expected, found=found)


def _looking(pin: Pin) -> type[ssl.SSLObject]:
    """Return the class of TLS connections whose handshake ends with a look at the key."""

    class Looking(ssl.SSLObject):
        def do_handshake(self, *args: Any, **named: Any) -> None:
            super().do_handshake(*args, **named)
            pin.look(self.getpeercert(binary_form=True))

    return Looking
