"""How a node connects: by what the URL leaves open, encrypted over a network, to whom it names."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from psycopg.conninfo import conninfo_to_dict

from devnet.cluster import Cluster
from nodeimpl.kernel.birth import head_revision
from nodeimpl.kernel.connecting import how_to_connect
from nodeimpl.kernel.errors import StoreUnreachable
from nodeimpl.migrations import config
from nodeimpl.migrations.__main__ import import_all_tables


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://h/x", "require"),
        ("postgresql://a,b/x", "require"),
        ("postgresql://localhost,b/x", "require"),
        ("postgresql:///x?hostaddr=10.0.0.7", "require"),
        ("postgresql://h/x?sslmode=verify-full", "verify-full"),
        ("postgresql://h/x?sslmode=disable", "disable"),
        ("postgresql://localhost/x", None),
        ("postgresql://127.0.0.1:5433/x", None),
        ("postgresql:///x?host=/run/a,/run/b", None),
        ("postgresql:///x", None),
    ],
)
def test_over_a_network_nothing_travels_in_the_clear_unless_the_url_says_so(
    url: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert conninfo_to_dict(how_to_connect(url)).get("sslmode") == mode


def test_the_environment_and_the_url_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    said = conninfo_to_dict(how_to_connect("postgresql://h/x?connect_timeout=9"))
    assert said["sslmode"] == "verify-ca"
    assert said["connect_timeout"] == "9"
    assert said["target_session_attrs"] == "read-write"
    changed = how_to_connect("postgresql://h/x?target_session_attrs=any")
    assert conninfo_to_dict(changed)["target_session_attrs"] == "read-write"


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for localhost that vouches for itself, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-days", "30", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.postgres
@pytest.mark.skipif(shutil.which("openssl") is None, reason="not run: openssl is missing")
def test_a_server_that_cannot_prove_its_name_is_not_talked_to(
    servers: Any, book: Any, tmp_path: Path
) -> None:
    server = servers.make()
    server.stop()
    certificate, key = make_certificate(server.folder, "server")
    stranger, _ = make_certificate(tmp_path, "stranger")
    key.chmod(0o600)
    shutil.chown(key, server.owner)
    certificate.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tls = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    server.settings.update(tls, listen_addresses="localhost")
    server.port = port
    server.start()
    url = f"postgresql://{server.owner}:hunter2@localhost:{port}/node?sslmode=verify-full"

    async def main() -> None:
        kept = await book.open(f"{url}&sslrootcert={certificate}")
        look = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert kept.store._writer._session._connection.execute(look).fetchone() == (True,)
        assert await kept.try_add(1)
        await kept.store.close()
        with pytest.raises(StoreUnreachable, match="certificate") as no:
            await book.open(f"{url}&sslrootcert={stranger}")
        assert "hunter2" not in str(no.value)

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.postgres
def test_a_node_that_cannot_connect_says_where_and_shows_no_password(book: Any) -> None:
    async def refused(url: str, why: str) -> str:
        with pytest.raises(StoreUnreachable, match=why) as no:
            await book.open(url)
        return str(no.value)

    async def main() -> None:
        said = await refused("postgresql://u:hunter2@127.0.0.1:9/x", "refused")
        assert "u:***@127.0.0.1:9" in said
        said += await refused("postgresql://u:hunter2%zz@127.0.0.1:9/x", "cannot be read")
        said += await refused("postgresql://u:hunter2@127.0.0.1:9/x?nonsense=1", "cannot be read")
        assert "hunter2" not in said
        assert "does the server run" in said

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.postgres
def test_an_old_database_is_migrated_through_a_url_of_several_servers(
    postgres_url: str, postgres_cluster: Cluster, book: Any
) -> None:
    """The first of them is away."""
    import_all_tables()
    command.upgrade(config(postgres_url), "0001")
    name = postgres_url.split("/")[3].partition("?")[0]
    for first in ("store_meta VALUES ('generation', 1)", "store_writer VALUES (1, 0, 0)"):
        postgres_cluster.run(f"INSERT INTO {first}", database=name)
    url = f"postgresql:///{name}?host=/nowhere,{postgres_cluster.folder}&port=5432,5432"

    async def main() -> None:
        kept = await book.open(f"{url}&user={postgres_cluster.owner}")
        assert await kept.try_add(1)
        await kept.check()
        await kept.store.close()

    asyncio.run(asyncio.wait_for(main(), 120))
    revision = "SELECT version_num FROM alembic_version"
    assert postgres_cluster.run(revision, database=name) == [(head_revision(),)]
