"""Front doors: where one may be, and the hash of the key that it shows."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opkit.proof.checks import ProofError
from opkit.proof.endpoints import check_endpoint, is_loopback, key_hash
from opkit.wire.records import HttpEndpoint

KEY = "5" * 64

CERTIFICATE = base64.b64decode(
    "MIIBRDCB96ADAgECAhRWdsr16UjMSoossyDXhIT/dLh6UDAFBgMrZXAwGDEWMBQGA1UEAwwNdG9vbHMuZXhhbXBsZT"
    "AeFw0yNjExMjIwODU2MjNaFw0zNjExMTkwODU2MjNaMBgxFjAUBgNVBAMMDXRvb2xzLmV4YW1wbGUwKjAFBgMrZXAD"
    "IQBzaF/GJw00BDDFh78ONJcivazmjMoCztdSNxjsY0jwF6NTMFEwHQYDVR0OBBYEFPRwx64RVeczltGEDPxEz7Qp4b"
    "woMB8GA1UdIwQYMBaAFPRwx64RVeczltGEDPxEz7Qp4bwoMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAWO4OjZwh"
    "qMhv/5o8DA+TcbjD+a8VvRmkzALbBMap0ubn4HIzmWuYrfOADO5pzm3tC0nQa+XGJBlGbeKeERn5Bw=="
)
"""Made by `openssl req -x509 -newkey ed25519 -noenc -subj /CN=tools.example`."""

CERTIFICATE_KEY = "906763bf567d00dfd3f95db794a86f59fecf0a0b20235f4fc49311388e820072"
"""What `openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum` says of it."""


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://localhost:1", None),
        ("http://127.0.0.1:8080", None),
        ("http://127.9.9.9", None),
        ("http://[::1]:8080", None),
        ("https://tools.example", KEY),
        ("https://192.0.2.1:8443", KEY),
        ("https://127.0.0.1:8443", KEY),
    ],
)
def test_a_door_on_this_machine_or_behind_a_named_key_may_be_dialled(
    url: str, key: str | None
) -> None:
    check_endpoint(HttpEndpoint(url=url, tls_key_hash=key))


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("http://192.0.2.1:80", None, "plain HTTP beyond this machine"),
        ("http://tools.example", None, "plain HTTP beyond this machine"),
        ("http://localhost.example", None, "plain HTTP beyond this machine"),
        ("http://0.0.0.0:80", None, "plain HTTP beyond this machine"),
        ("http://127.0.0.1:80", KEY, "names a key that plain HTTP does not show"),
        ("https://tools.example", None, "names no key"),
        ("https://:443", KEY, "no place that can be dialled"),
        ("https://tools.example:0", KEY, "no place that can be dialled"),
        ("https://tools.example:65536", KEY, "is no URL"),
        ("https://[::1", KEY, "is no URL"),
    ],
)
def test_no_other_door_may_be_dialled(url: str, key: str | None, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        check_endpoint(HttpEndpoint(url=url, tls_key_hash=key))


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "http://a/b", "http://u@a", "http://a?b", "http://a b", "a:80"]
)
def test_an_endpoint_is_scheme_host_and_port_alone(url: str) -> None:
    with pytest.raises(ValidationError):
        HttpEndpoint(url=url)


def test_loopback_is_known_by_name_and_address() -> None:
    here = ("localhost", "127.0.0.1", "127.1.2.3", "::1")
    assert [is_loopback(host) for host in here] == [True] * len(here)
    elsewhere = ("", "localhost.", "::2", "0.0.0.0", "128.0.0.1", "a", "[::1]")
    assert [is_loopback(host) for host in elsewhere] == [False] * len(elsewhere)


def test_the_hash_is_that_of_the_certificates_key() -> None:
    assert key_hash(CERTIFICATE) == CERTIFICATE_KEY


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(size)]) + size + content


def certificate(key: bytes, *, version: bytes = der(0xA0, b"\x02\x01\x02")) -> bytes:
    """Return what has the shape of a certificate, and whose key is at the seventh place."""
    signed = version + b"\x02\x01\x01" + b"\x30\x00" * 4 + key
    return der(0x30, der(0x30, signed) + b"\x30\x00\x03\x00")


@pytest.mark.parametrize("size", [0, 100, 0x7F, 0x80, 0xFF, 0x100, 300, 70_000])
def test_a_key_of_any_length_is_found(size: int) -> None:
    key = der(0x30, b"k" * size)
    assert key_hash(certificate(key)) == hashlib.sha256(key).hexdigest()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends too early"),
        (b"\x30", "ends too early"),
        (b"\x30\x05\x30", "ends too early"),
        (b"\x30\x82\xff\xff", "ends too early"),
        (b"\x3f\x02\x30\x00", "ends too early"),
        (b"\x30\x80" + b"\x30\x00" * 64 + b"\x00\x00", "does not say how long"),
        (der(0x31, der(0x30, b"")), "no certificate"),
        (der(0x30, der(0x31, b"")), "no certificate"),
        (der(0x30, der(0x30, b"")), "ends too early"),
        (certificate(b"\x30\x00", version=b"\x02\x01\x02"), "version 1"),
        (certificate(b"\x04\x01k"), "no certificate"),
    ],
)
def test_what_is_no_certificate_has_no_key(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        key_hash(data)


@settings(max_examples=200)
@given(at=st.integers(0, len(CERTIFICATE) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_broken_certificate_has_a_key_or_is_refused(at: int, byte: int, cut: Any) -> None:
    broken = CERTIFICATE[:at] + bytes([byte]) + (b"" if cut else CERTIFICATE[at + 1 :])
    with suppress(ProofError):
        assert len(key_hash(broken)) == 64
