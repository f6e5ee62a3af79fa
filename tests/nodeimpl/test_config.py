"""The configuration says all that is wrong with it at once, each thing by its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeimpl.config import CONFIG_BYTES_MAX, ConfigError, NodeConfig, load_config, masked_url

GOOD = """
[node]
org = "river-city-tool-library"
folder = "/tmp/x"
genesis = "/tmp/g.jws"
keystore = "/tmp/k.json"
key_file = "/tmp/k.key"
"""


def test_a_short_file_gets_the_documented_defaults() -> None:
    config = NodeConfig.parse(GOOD, where="node.toml")

    assert config.gateway.host == "127.0.0.1"
    assert config.p2p.bind == ("127.0.0.1:0", "[::1]:0")
    assert config.store_url() == "sqlite:////tmp/x/node.db"


def test_every_problem_is_named_at_once_by_its_key() -> None:
    text = GOOD + '[gateway]\nport = -1\nhost = "0.0.0.0"\n[log]\nlevel = "loud"\n[nodes]\n'

    with pytest.raises(ConfigError) as caught:
        NodeConfig.parse(text, where="node.toml")

    assert {path for path, _ in caught.value.problems} == {
        "gateway.port",
        "gateway.host",
        "log.level",
        "nodes",
    }
    assert str(caught.value).startswith("node.toml: 4 problems\n")
    assert "  gateway.host: plain HTTP is served on loopback only" in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("0.0.0.0", id="every-interface"),
        pytest.param("192.168.1.5", id="a-private-network"),
        pytest.param("nonsense", id="no-address"),
    ],
)
def test_plain_http_stays_on_loopback(host: str) -> None:
    """Tokens must not travel in the clear beyond this machine."""
    with pytest.raises(ConfigError, match=r"gateway\.host"):
        NodeConfig.parse(GOOD + f'[gateway]\nhost = "{host}"\n', where="node.toml")


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[node\n")

    with pytest.raises(ConfigError, match="line 1"):
        load_config(path)


def test_a_missing_or_huge_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.toml")

    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(huge)


def test_a_file_is_loaded_as_it_parses(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(GOOD + '[store]\nurl = "postgresql://h/db"\n')

    assert load_config(path).store_url() == "postgresql://h/db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u:se:cr@et@a:1,b:2/x", "postgresql://u:***@a:1,b:2/x"),
        ("postgresql://u:@h/x", "postgresql://u:***@h/x"),
        ("postgresql://h/x?user=u&password=secret&a=b", "postgresql://h/x?user=u&password=***&a=b"),
        ("postgresql://u:secret@h/x?password=secret", "postgresql://u:***@h/x?password=***"),
        ("postgresql://u@h:5432/x", "postgresql://u@h:5432/x"),
        ("sqlite:////a/b:c@d.db", "sqlite:////a/b:c@d.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_a_configuration_is_printed_without_its_password_and_used_with_it(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(GOOD + '[store]\nurl = "postgresql://u:secret@h/db"\n')

    config = load_config(path)

    assert config.store_url() == "postgresql://u:secret@h/db"
    for shown in (repr(config), str(config), config.model_dump_json(), str(config.model_dump())):
        assert "secret" not in shown
    assert "u:***@h/db" in config.model_dump_json()


def test_a_file_of_a_newer_version_is_refused_by_its_number_and_for_nothing_else() -> None:
    """Its keys may mean something else, so what is wrong with them is not said."""
    with pytest.raises(ConfigError) as caught:
        NodeConfig.parse("version = 2\n[gatehouse]\n", where="node.toml")
    assert caught.value.problems == (("version", "2 is newer than this node knows, which is 1"),)
    assert str(caught.value).endswith(f" (hint: {caught.value.hint})")
    assert "run the version of opkit" in caught.value.hint


def test_a_file_that_says_no_version_or_this_one_is_read() -> None:
    assert NodeConfig.parse(GOOD, where="n").version == 1
    assert NodeConfig.parse(f"version = 1\n{GOOD}", where="n").version == 1
    for bad in ('"one"', "0", "true", "1.5"):
        with pytest.raises(ConfigError, match="version"):
            NodeConfig.parse(f"version = {bad}\n{GOOD}", where="n")


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ("[gatway]\n", "gatway", "did you mean 'gateway'?"),
        ("[gateway]\nprot = 1\n", "gateway.prot", "did you mean 'port'?"),
        ("[compute]\nworker = 1\n", "compute.worker", "did you mean 'workers'?"),
        (
            '[[p2p.peers]]\ndid = "did:key:z6Mk"\naddreses = ["x"]\n',
            "p2p.peers.0.addreses",
            "did you mean 'addresses'?",
        ),
        ("[log]\nzzz = 1\n", "log.zzz", "known here: level"),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(
    text: str, path: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig.parse(GOOD + text, where="node.toml")
    assert dict(caught.value.problems)[path].startswith(f"unknown key; {why}")


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ('advertise = ["0.0.0.0:7001"]', "p2p.advertise", "stands for every interface"),
        ('advertise = ["[::]:7001"]', "p2p.advertise", "stands for every interface"),
        ('advertise = ["127.0.0.1:0"]', "p2p.advertise", "no port that can be dialled"),
        ('advertise = ["127.0.0.1"]', "p2p.advertise", "no port that can be dialled"),
        ('advertise = ["example.org:7001"]', "p2p.advertise", "example.org"),
        ('lan = ["fe80::1"]', "p2p.lan.0", "IPv4"),
        ('lan = ["eth0"]', "p2p.lan.0", "IPv4"),
    ],
)
def test_an_address_that_nobody_could_use_is_named(text: str, path: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig.parse(f"{GOOD}[p2p]\n{text}\n", where="node.toml")
    assert why in dict(caught.value.problems)[path]
