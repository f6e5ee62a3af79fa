"""How the databases of a devnet are named, and which URLs may name their server."""

from __future__ import annotations

import pytest

from devnet.databases import check_server, node_database, node_url
from devnet.spec import load_world
from devnet.state import DevnetError


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("postgresql:///own", "postgresql:///own_t_harbor"),
        ("postgresql://", "postgresql:///opkit_t_harbor"),
        ("postgres://h:5433", "postgres://h:5433/opkit_t_harbor"),
        (
            "postgresql://u@a:1,b:2/own?target_session_attrs=read-write",
            "postgresql://u@a:1,b:2/own_t_harbor?target_session_attrs=read-write",
        ),
        ("postgresql:///own?host=/run/pg&user=u", "postgresql:///own_t_harbor?host=/run/pg&user=u"),
    ],
)
def test_each_node_has_a_database_on_the_named_server(server: str, found: str) -> None:
    assert node_url(server, name="t", org="harbor") == found


def test_names_of_databases_are_whole_or_refused() -> None:
    for org in load_world().organisations:
        assert node_database("postgresql:///opkit", name="demo-0123abcd", org=org)
    with pytest.raises(DevnetError, match="63 bytes") as no:
        node_database("postgresql:///opkit", name="a" * 32, org="b" * 32)
    assert "shorter name" in no.value.hint


@pytest.mark.parametrize(
    "url", ["sqlite:///x.db", "node.db", "mysql://h/x", "http://h", "postgresql"]
)
def test_what_is_no_postgresql_server_is_refused(url: str) -> None:
    with pytest.raises(DevnetError, match="PostgreSQL server's URL"):
        check_server(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/x",
        "postgresql://u:@h/x",
        "postgresql://u:secret@a:1,b:2/x",
        "postgresql://h/x?user=u&password=secret",
        "postgresql://h/x?password=",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DevnetError, match="carries a password") as no:
        check_server(url)
    assert "secret" not in f"{no.value} {no.value.hint}"


@pytest.mark.parametrize("url", ["postgresql://u@h:5432/x", "postgresql:///x?service=prod"])
def test_a_url_without_one_is_taken(url: str) -> None:
    check_server(url)
