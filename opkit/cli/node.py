"""`opkit node`: a single node of an existing network."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import backup, exits, feeling, out
from opkit.cli.anchors import read_genesis_file
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.proof.keys import Identity
    from opkit.wire.journal import HistoryPlace

app = out.group(
    """Set up and run a single node.

    A network's genesis names its nodes by their keys. So first make a key, hand its DID to the
    network's operator, and when the genesis is made, set the node up with it:

      opkit node init ~/node --org our-coop

      opkit node init ~/node --org our-coop --genesis network.jws

      opkit node run ~/node/config.toml

    A node that was given an old database does not start until it may go on as another history:

      opkit node new-generation ~/node/config.toml

    Back it up while it runs, and put the backup back:

      opkit node backup ~/node/config.toml /mnt/disk/monday

      opkit node restore /mnt/disk/monday ~/node/config.toml
    """
)
app.command()(backup.backup)
app.command()(backup.restore)
feeling.add_to(app)

NODE = "node"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where the node shall live.")],
    *,
    org: Annotated[str, typer.Option(help="Its organisation's id in the genesis.")],
    genesis: Annotated[Path | None, typer.Option(help="The network's genesis.")] = None,
    keystore: Annotated[
        Path | None, typer.Option(help="Take over this node key; its key file lies beside it.")
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option("--peer", help="DID@address to dial; repeat it.")
    ] = None,
    as_json: out.Json = False,
) -> int:
    """Write a node's key and configuration. A key or a configuration that is there stays.

    Example: opkit node init ~/node --org our-coop --genesis network.jws
    """
    config = folder / "config.toml"
    text = _config(folder.absolute(), _organisation(org), peer or [])
    if config.exists():
        _check_kept(config, org=org, peers=peer or [])
    home.private_folder(folder)
    identity = _key(folder, keystore)
    if genesis is not None:
        _take_genesis(folder, genesis, org=org, identity=identity)
    if not config.exists():
        home.write_private(config, text.encode("utf-8"))
    ready = (folder / "genesis.jws").exists()
    said = {
        "did": identity.did,
        "org": org,
        "config": str(config),
        "next": f"opkit node run {config}"
        if ready
        else "hand the DID to the operator, then run this again with --genesis",
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The node's configuration file.")],
    as_json: out.Json = False,
) -> int:
    """Serve a node until Ctrl-C or SIGTERM. It logs JSON lines on standard error.

    Example: opkit node run ~/node/config.toml
    """
    del as_json  # Its log is JSON lines already, and mistakes are told as JSON by the root.
    from nodeimpl.__main__ import serve
    from nodeimpl.config import load_config

    return serve(load_config(config))


@app.command()
def new_generation(
    config: Annotated[Path, typer.Argument(help="The node's configuration file.")],
    reason: Annotated[
        str, typer.Option(help="Why, in a few words; it stands in the journal for ever.")
    ] = "",
    as_json: out.Json = False,
) -> int:
    """Let a node go on with an older database than it had, as another history that says so.

    A node that finds itself behind its own mark signs nothing and does not start. First look for
    the newest database: what was signed since cannot be taken back, and stays with others. The
    node must not run. Old heads, proofs and receipts go on to verify.

    Example: opkit node new-generation ~/node/config.toml --reason "disk lost"
    """
    import asyncio

    import nodeimpl.node  # noqa: F401 - every domain declares its tables
    from nodeimpl.config import load_config
    from nodeimpl.history.renewal import open_generation
    from nodeimpl.kernel.clock import RealClock

    loaded = load_config(config)
    opened = asyncio.run(
        open_generation(
            url=loaded.store_url(), folder=loaded.node.folder, clock=RealClock(), reason=reason
        )
    )
    told = {**opened.model_dump(mode="json"), "next": f"opkit node run {config}"}
    said = {
        "generation": str(opened.generation),
        "after": _place(opened.after),
        "lost": _place(opened.lost) if opened.lost else "nothing that this node knows of",
        "next": f"opkit node run {config}",
    }
    out.show(told, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


def _place(place: HistoryPlace) -> str:
    return f"{place.size:,} entries of generation {place.generation}, root {place.root}"


def _key(folder: Path, source: Path | None) -> Identity:
    """Return the node's key: the one that is there, the one taken over, or a new one."""
    from opkit.proof import keystore
    from opkit.proof.keys import Identity

    sealed, key_file = folder / "keystore.json", folder / "keystore.key"
    if source is not None and not sealed.exists():
        shutil.copyfile(source, sealed)
        shutil.copyfile(source.with_suffix(".key"), key_file)
        sealed.chmod(0o600)
        key_file.chmod(0o600)
    if not sealed.exists():
        identity = Identity.generate()
        secret = secrets.token_bytes(keystore.SECRET_BYTES)
        home.write_private(key_file, secret)
        home.write_private(sealed, keystore.seal({NODE: identity.seed}, secret=secret))
        return identity
    seeds = keystore.unseal(sealed.read_bytes(), secret=key_file.read_bytes())
    if NODE not in seeds:
        raise Mistake(f"{sealed} holds no node key", hint="name another folder")
    return Identity.from_seed(seeds[NODE])


def _organisation(text: str) -> str:
    """Return an organisation's id, or say that no genesis can name this one."""
    from pydantic import TypeAdapter, ValidationError

    from opkit.wire.base import Slug

    try:
        return TypeAdapter(Slug).validate_python(text)
    except ValidationError as bad:
        hint = "use a-z, 0-9 and hyphens, as the genesis does"
        raise Mistake(f"{text!r} is no organisation's id", hint=hint) from bad


def _check_kept(config: Path, *, org: str, peers: list[str]) -> None:
    """Refuse to go on beside a configuration that says something else: it may have been edited."""
    from nodeimpl.config import load_config

    was = load_config(config)
    if was.node.org != org:
        why = f"{config} is there, and of {was.node.org!r}"
        raise Mistake(why, hint="edit it, or name another folder")
    known = {f"{each.did}@{address}" for each in was.p2p.peers for address in each.addresses}
    if not known.issuperset(peers):
        why = f"{config} is there, and knows other peers"
        raise Mistake(why, hint="add [[p2p.peers]] to it by hand")


def _take_genesis(folder: Path, source: Path, *, org: str, identity: Identity) -> None:
    """Keep a genesis that names this node by this key, also in the state directory."""
    view = read_genesis_file(source)
    node = view.node_of(org)
    if node is None:
        known = ", ".join(node.org for node in view.genesis.nodes)
        raise Mistake(f"the genesis names no organisation {org!r}", hint=f"it names: {known}")
    if node.did != identity.did:
        raise Mistake(
            f"the genesis names another key for {org!r}: {node.did}",
            hint="take that key over with --keystore, in a new folder",
        )
    data = view.token.encode("ascii")
    home.write_private(folder / "genesis.jws", data)
    home.write_private(home.genesis_file(view.network), data)


def _config(folder: Path, org: str, peers: list[str]) -> str:
    import json

    lines = [
        "# A node of a cooperative network. Unknown keys are errors.",
        "version = 1",
        "",
        "[node]",
    ]
    lines.append(f"org = {json.dumps(org)}")
    for key, name in (
        ("folder", "data"),
        ("genesis", "genesis.jws"),
        ("keystore", "keystore.json"),
        ("key_file", "keystore.key"),
    ):
        lines.append(f"{key} = {json.dumps(str(folder / name))}")
    lines += ["", "[gateway]", 'host = "127.0.0.1"', "port = 0", "", "[p2p]"]
    lines.append('bind = ["127.0.0.1:0", "[::1]:0"]')
    for peer in peers:
        did, at, address = peer.partition("@")
        if not at:
            raise Mistake(f"{peer!r} is no DID@address", hint="did:key:…@127.0.0.1:4433")
        lines += ["", "[[p2p.peers]]", f"did = {json.dumps(did)}"]
        lines.append(f"addresses = [{json.dumps(address)}]")
    return "\n".join(lines) + "\n"
