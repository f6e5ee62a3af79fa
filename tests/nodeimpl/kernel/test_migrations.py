"""A fresh database is what the migrations make, on both engines, without loading them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl import migrations
from nodeimpl.kernel import birth
from nodeimpl.kernel.birth import head_revision, revisions
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.errors import SchemaBroken, SchemaNewer
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Store
from nodeimpl.migrations import FOLDER, config, driver_url, upgrade
from nodeimpl.migrations import __main__ as command


@pytest.fixture(autouse=True, scope="module")
def all_tables() -> None:
    command.import_all_tables()


def open_and_close(url: str) -> None:
    async def main() -> None:
        store = await Store.open(url=url, clock=VirtualClock())
        await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def copied(tmp_path: Path) -> Path:
    """Return the folder of a copy of the migrations."""
    copy = tmp_path / "migrations"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def change(url: str, *texts: str) -> None:
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for text in texts:
            connection.execute(sa.text(text))


def shape(url: str) -> dict[str, Any]:
    """Return all that the engine says about the schema."""
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        seen = sa.inspect(connection)
        return {
            name: {
                "columns": [
                    (one["name"], str(one["type"]), one["nullable"], one.get("default"))
                    for one in seen.get_columns(name)
                ],
                "primary": seen.get_pk_constraint(name),
                "indexes": sorted(seen.get_indexes(name), key=lambda one: str(one["name"])),
                "foreign": seen.get_foreign_keys(name),
                "unique": seen.get_unique_constraints(name),
            }
            for name in sorted(seen.get_table_names())
        }


@pytest.fixture
def second_url(store_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if store_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/second.db"
    make: Callable[[], str] = request.getfixturevalue("postgres_database")
    return make()


def test_a_fresh_database_is_what_the_migrations_make(store_url, second_url) -> None:
    open_and_close(store_url)
    upgrade(second_url)
    fresh, migrated = shape(store_url), shape(second_url)
    assert fresh == migrated
    assert set(metadata.tables) < set(fresh)


def test_the_migrations_make_what_the_tables_declare(store_url) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    upgrade(store_url)
    engine = sa.create_engine(driver_url(store_url), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_revision_is_known_without_alembic() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config("sqlite:///unused"))
    assert head_revision() == scripts.get_current_head()
    assert set(revisions()) == {one.revision for one in scripts.walk_revisions()}


def test_a_database_of_a_newer_version_is_refused_with_a_hint(store_url) -> None:
    open_and_close(store_url)
    change(store_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaNewer, match=r"9999.*newer version"):
        open_and_close(store_url)


def test_a_database_that_is_not_what_it_says_is_refused(store_url) -> None:
    open_and_close(store_url)
    change(store_url, "DROP TABLE journal_listener")
    with pytest.raises(SchemaBroken, match="journal_listener"):
        open_and_close(store_url)
    change(store_url, "DELETE FROM alembic_version")
    with pytest.raises(SchemaBroken, match="revision is missing"):
        open_and_close(store_url)
    change(store_url, "DROP TABLE alembic_version")
    with pytest.raises(SchemaBroken, match="no schema revision"):
        open_and_close(store_url)


def test_an_older_database_is_brought_forward_when_it_is_opened(
    store_url, tmp_path, monkeypatch
) -> None:
    """A later revision, made for this test in a copy of the migrations."""
    open_and_close(store_url)
    copy = copied(tmp_path)
    later = f"{int(head_revision()) + 1:04d}"
    (copy / "versions" / f"{later}_note.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '{later}'\ndown_revision = '{head_revision()}'\n"
        "def upgrade():\n"
        "    op.create_table('note', sa.Column('id', sa.BigInteger(), primary_key=True))\n"
    )
    monkeypatch.setattr(migrations, "FOLDER", copy)
    monkeypatch.setattr(birth, "VERSIONS", copy / "versions")
    revisions.cache_clear()
    try:
        assert head_revision() == later
        open_and_close(store_url)
        assert "note" in shape(store_url)
        open_and_close(store_url)
    finally:
        monkeypatch.undo()
        revisions.cache_clear()


def test_opening_a_store_that_is_up_to_date_loads_no_alembic(tmp_path) -> None:
    code = (
        "import asyncio, sys\n"
        "from nodeimpl.kernel.store import Store\n"
        "from nodeimpl.kernel.clock import RealClock\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        "        store = await Store.open(url=sys.argv[1], clock=RealClock())\n"
        "        await store.close()\n"
        "asyncio.run(main())\n"
        "sys.exit('alembic' in sys.modules)\n"
    )
    url = f"sqlite:///{tmp_path}/node.db"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)


def test_the_command_writes_what_differs_and_nothing_else(tmp_path) -> None:
    folder = copied(tmp_path)
    before = sorted((folder / "versions").glob("*.py"))
    assert command.make("nothing at all", folder=folder) is None
    assert sorted((folder / "versions").glob("*.py")) == before
    for path in before:
        if path.name[0].isdigit():
            path.unlink()
    made = command.make("initial", folder=folder)
    assert made is not None
    assert made.name == "0001_initial.py"
    assert made == command.make("initial", folder=folder)
    url = f"sqlite:///{tmp_path}/made.db"
    upgrade(url, folder=folder)
    assert set(metadata.tables) < set(shape(url))


def test_the_command_says_what_it_wrote(capsys, monkeypatch) -> None:
    said = {"initial": Path("0001_initial.py"), "nothing": None}
    monkeypatch.setattr(command, "make", said.get)
    assert command.main(["make", "initial"]) == command.main(["make", "nothing"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0001_initial.py",
        "the tables are what the revisions make: nothing to write",
    ]
