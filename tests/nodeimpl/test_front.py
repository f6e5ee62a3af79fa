"""The front door: where it may be bound, with which key, and what is told of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.config import ConfigError, GatewaySection, NodeConfig
from nodeimpl.front import names_of, open_front
from opkit.proof.endpoints import check_endpoint

GOOD = """
[node]
org = "a"
folder = "f"
genesis = "g"
keystore = "k"
key_file = "s"
[gateway]
"""

Made = Callable[..., tuple[Path, Path]]


@pytest.fixture
def make(tmp_path: Path) -> Made:
    """Return what makes a certificate and its key."""

    def make(name: str = "node", kind: str = "ed25519") -> tuple[Path, Path]:
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        line = f"openssl req -x509 -newkey {kind} -noenc -days 30 -subj /CN={name} -keyout {key}"
        subprocess.run([*line.split(), "-out", certificate], check=True, capture_output=True)
        key.chmod(0o600)
        return certificate, key

    return make


def opened(made: tuple[Path, Path] | None = None, **changes: Any) -> tuple[str, tuple[Any, ...]]:
    """Open a door, close it, and return where it was and what would be told of it."""
    keys = {} if made is None else {"tls_certificate": made[0], "tls_key": made[1]}
    front = open_front(GatewaySection(**keys, **changes))
    front.listening.close()
    for endpoint in front.endpoints:
        check_endpoint(endpoint)
    assert front.tls_key_hash == front.endpoints[0].tls_key_hash
    assert (front.tls is None) == (front.tls_key_hash is None)
    return front.url, front.endpoints


def key_of(certificate: Path) -> str:
    """Return the hash of a certificate's key, as OpenSSL finds it."""
    line = f"openssl x509 -in {certificate} -pubkey -noout | openssl pkey -pubin -outform der"
    said = subprocess.run(
        ["sh", "-c", f"{line} | sha256sum"], check=True, capture_output=True, text=True
    )
    return said.stdout.split()[0]


def test_a_plain_door_tells_where_it_is_bound() -> None:
    url, (endpoint,) = opened()
    assert url.startswith("http://127.0.0.1:")
    assert (endpoint.url, endpoint.tls_key_hash) == (url, None)
    assert opened(host="::1")[0].startswith("http://[::1]:")


@pytest.mark.parametrize("kind", ["ed25519", "rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256"])
def test_a_door_with_a_key_tells_its_hash(make: Made, kind: str) -> None:
    made = make(kind=kind)
    url, (endpoint,) = opened(made)
    assert url.startswith("https://127.0.0.1:")
    assert (endpoint.url, endpoint.tls_key_hash) == (url, key_of(made[0]))


def test_a_door_with_a_key_is_bound_anywhere_and_told_as_is_said(make: Made) -> None:
    told = ("https://tools.example:8443", "https://[2001:db8::1]:8443")
    url, endpoints = opened(make(), host="0.0.0.0", advertise=told)
    assert url.startswith("https://0.0.0.0:")
    assert tuple(each.url for each in endpoints) == told
    assert len({each.tls_key_hash for each in endpoints}) == 1


def test_a_plain_door_may_be_told_by_another_name_of_this_machine() -> None:
    _, (endpoint,) = opened(advertise=("http://localhost:80",))
    assert endpoint.url == "http://localhost:80"


@pytest.mark.parametrize(
    ("said", "key", "why"),
    [
        ('host = "0.0.0.0"', "host", "elsewhere set tls_certificate and tls_key"),
        ('tls_certificate = "c"', "tls_key", "TLS takes a certificate and its key"),
        ('tls_key = "k"', "tls_key", "TLS takes a certificate and its key"),
        ('advertise = ["http://192.0.2.1"]', "advertise", "plain HTTP beyond this machine"),
        ('advertise = ["https://tools.example"]', "advertise", "names no key"),
        ('advertise = ["tools.example:80"]', "advertise", "pattern"),
        (
            'tls_certificate = "c"\ntls_key = "k"\nhost = "::"',
            "advertise",
            "say where clients call the node",
        ),
        (
            'tls_certificate = "c"\ntls_key = "k"\nadvertise = ["http://127.0.0.1"]',
            "advertise",
            "names a key that plain HTTP does not show",
        ),
    ],
)
def test_a_door_that_cannot_be_is_told_before_the_start(said: str, key: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig.parse(GOOD + said, where="node.toml")
    assert {path.split(".")[1] for path, _ in caught.value.problems} == {key}
    assert why in str(caught.value)


def test_a_file_that_cannot_be_used_is_named_with_what_helps(make: Made, tmp_path: Path) -> None:
    certificate, key = make()
    other, other_key = make("other")
    (empty := tmp_path / "empty.pem").write_text("")
    (odd := tmp_path / "odd.pem").write_bytes(b"\xff")
    (locked := tmp_path / "locked.key").touch(0o600)
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-out", locked, "-aes256", "-passout", "pass:x"],
        check=True,
    )
    for made, named in (
        ((tmp_path / "none.pem", key), "gateway.tls_certificate"),
        ((odd, key), "gateway.tls_certificate"),
        ((certificate, tmp_path / "none.key"), "gateway.tls_key"),
        ((certificate, other_key), "gateway.tls_key"),
        ((other, key), "gateway.tls_key"),
        ((empty, key), "gateway.tls_key"),
        ((certificate, locked), "gateway.tls_key"),
    ):
        with pytest.raises(ConfigError) as caught:
            opened(made)
        assert caught.value.problems[0][0] == named
        assert "openssl req" in str(caught.value)


def test_a_key_that_others_may_read_is_not_used(make: Made) -> None:
    certificate, key = make()
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read it"):
        opened((certificate, key))


def test_the_door_is_called_by_the_names_that_are_told(make: Made) -> None:
    certificate, key = make()
    assert names_of(GatewaySection()) == frozenset()
    told = ("https://Tools.Example:8443", "https://[2001:db8::1]:8443")
    gateway = GatewaySection(
        tls_certificate=certificate, tls_key=key, host="192.0.2.1", advertise=told
    )
    assert names_of(gateway) == {"tools.example", "[2001:db8::1]", "192.0.2.1"}
