"""What is one place: a public network, a private host; on loopback nothing is bounded."""

from __future__ import annotations

import pytest

from nodeimpl.p2p.prefixes import prefix_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1:7001", None),
        ("127.9.9.9:1", None),
        ("[::1]:7001", None),
        ("[::ffff:127.0.0.1]:1", None),
        ("8.8.8.8:7001", "8.8.8.0/24"),
        ("8.8.8.200:1", "8.8.8.0/24"),
        ("8.8.9.8:7001", "8.8.9.0/24"),
        ("[::ffff:8.8.8.8]:1", "8.8.8.0/24"),
        ("[2a01:4f8:1:2::3]:1", "2a01:4f8:1::/48"),
        ("[2a01:4f8:1:ffff::9]:1", "2a01:4f8:1::/48"),
        ("192.168.1.7:1", "192.168.1.7/32"),
        ("10.0.0.7:1", "10.0.0.7/32"),
        ("[fe80::1%eth0]:1", "fe80::1/128"),
        ("[fd00::1]:1", "fd00::1/128"),
        ("example.org:1", ""),
        ("", ""),
    ],
)
def test_an_address_is_at_a_place(address: str, place: str | None) -> None:
    assert prefix_of(address) == place
