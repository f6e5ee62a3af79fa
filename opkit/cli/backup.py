"""`opkit node backup` and `opkit node restore`: commands of the group in `opkit.cli.node`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import anchors, exits, out
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from nodeimpl.config import NodeConfig
    from opkit.proof.backup import BackupStatement

Config = Annotated[Path, typer.Argument(help="The node's configuration file.")]


def backup(
    config: Config,
    to: Annotated[Path, typer.Argument(help="The folder to make; it must not be there.")],
    with_key: Annotated[
        bool, typer.Option(help="Also put the node's key into it: who has it is the node.")
    ] = False,
    as_json: out.Json = False,
) -> int:
    """Back a node up, while it runs or not: database, blobs, genesis, each signed for by its hash.

    All that the node acknowledged before is in it. The folder is there only when it is whole. The
    node's key is NOT in it: keep keystore.json and keystore.key elsewhere, once, or use --with-key
    and guard the folder like the key itself. Configuration and tokens are never in it.

    Example: opkit node backup ~/node/config.toml /mnt/disk/node-monday
    """
    import nodeimpl.node  # noqa: F401 - every domain declares its tables
    import opkit as package
    from nodeimpl.config import load_config
    from nodeimpl.history.backup import Source, back_up
    from nodeimpl.kernel.clock import RealClock
    from nodeimpl.kernel.opening import open_genesis, open_identity

    loaded = load_config(config)
    made = back_up(
        Source(
            url=loaded.store_url(),
            folder=loaded.node.folder,
            identity=open_identity(loaded),
            genesis=open_genesis(loaded),
            version=package.__version__,
            clock=RealClock(),
            key=(loaded.node.keystore, loaded.node.key_file) if with_key else None,
        ),
        to,
    )
    said = {
        "backup": str(to),
        "journal_entries": made.head.size,
        "generation": str(made.head.generation),
        "root": made.head.root,
        "blobs": made.blobs,
        "size_bytes": made.size_bytes,
        "key": "in it: guard this folder like the key" if with_key else "not in it: keep it too",
        "next": f"opkit node restore {to} --verify",
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of the backup.")],
    config: Annotated[
        Path | None, typer.Argument(help="The configuration of the node to restore.")
    ] = None,
    *,
    verify: Annotated[bool, typer.Option(help="Only look it through; restore nothing.")] = False,
    replace: Annotated[
        bool, typer.Option(help="Move aside what the node has now, and keep it there.")
    ] = False,
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Put a backup back, as another generation that says so; or with --verify only check it.

    Everything is hashed first: each file, each blob, each journal entry up to the signed head. The
    node must not run, and its key must be where its configuration says, unless the backup holds
    it. What was signed after the backup stays with others: the journal says that it is gone.

    Example: opkit node restore /mnt/disk/node-monday ~/node/config.toml
    """
    from nodeimpl.history.restoring import examine
    from nodeimpl.kernel.clock import RealClock

    if config is None and not verify:
        raise Mistake("no configuration to restore by", hint="name it, or --verify")
    loaded = _load(config)
    if genesis is None and loaded is not None and loaded.node.genesis.exists():
        genesis = loaded.node.genesis
    view = anchors.anchor(genesis, network=_claimed_network(folder))
    statement, verdict = examine(folder, genesis=view, clock=RealClock())
    if verify or not verdict.ok:
        return anchors.answer(verdict, as_json=as_json, verbose=verbose)
    assert statement is not None, "what holds was signed"
    assert loaded is not None, "without one it is only looked through"
    return _restore(folder, loaded, statement, replace=replace, as_json=as_json, config=config)


def _restore(
    folder: Path,
    loaded: NodeConfig,
    statement: BackupStatement,
    *,
    replace: bool,
    as_json: bool,
    config: Path | None,
) -> int:
    import nodeimpl.node  # noqa: F401 - every domain declares its tables
    from nodeimpl.history.backup import sqlite_path
    from nodeimpl.history.restoring import restore as put_back
    from nodeimpl.kernel.clock import RealClock

    if sqlite_path(loaded.store_url()) != loaded.node.folder / "node.db":
        raise Mistake(
            "the configuration has its database elsewhere than in the node's folder",
            hint="leave out store.url, or copy node.db there and `opkit node new-generation`",
        )
    _see_to_key(folder, loaded, statement)
    done = put_back(
        folder,
        folder=loaded.node.folder,
        created_at_ms=statement.created_at_ms,
        clock=RealClock(),
        replace=replace,
    )
    opened = done.opened
    lost = "nothing that this machine knows of"
    if opened.lost is not None:
        lost = f"it knew of {opened.lost.size:,} entries of generation {opened.lost.generation}"
    said = {
        "restored": str(loaded.node.folder),
        "journal_entries": opened.after.size,
        "generation": str(opened.generation),
        "lost": lost,
        "moved_aside": str(done.aside or ""),
        "next": f"opkit node run {config}",
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


def _see_to_key(folder: Path, loaded: NodeConfig, statement: BackupStatement) -> None:
    """Have key and genesis where the configuration wants them, and be those of the backup.

    Raises:
        Mistake: there is no key, or it is another node's.
    """
    from nodeimpl.history.backup import GENESIS, KEY_FILE, KEYSTORE
    from nodeimpl.kernel.opening import check_member_of_network, open_genesis, open_identity

    wanted = ((loaded.node.keystore, KEYSTORE), (loaded.node.key_file, KEY_FILE))
    for path, name in wanted:
        if path.exists():
            continue
        if not (folder / name).exists():
            raise Mistake(
                f"the node's key is not at {path}, nor in the backup",
                hint=f"put keystore.json and keystore.key of {statement.node} there",
                code=exits.FAILED,
            )
        home.write_private(path, (folder / name).read_bytes())
    identity = open_identity(loaded)
    if identity.did != statement.node:
        raise Mistake(
            f"the backup is of {statement.node}, and the key here of {identity.did}",
            hint="restore it with its own node's configuration",
            code=exits.FAILED,
        )
    if not loaded.node.genesis.exists():
        # This node's own key has signed for it.
        home.write_private(loaded.node.genesis, (folder / GENESIS).read_bytes())
    check_member_of_network(loaded, open_genesis(loaded), identity)


def _load(config: Path | None) -> NodeConfig | None:
    from nodeimpl.config import load_config

    return load_config(config) if config is not None else None


def _claimed_network(folder: Path) -> str:
    from nodeimpl.history.restoring import read_statement

    return anchors.claimed_network(read_statement(folder))
