"""`opkit identity`: keys of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from opkit.cli import exits, out
from opkit.cli.identities import identity_file, key_file_of, make_identity, open_identity

app = out.group(
    """Make and show identities: Ed25519 keys, sealed in a file.

    Examples:

      opkit identity new ada               opened by a key file beside it

      opkit identity new ada --passphrase  opened by a passphrase

      opkit identity show ada
    """
)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its name, or the path of a file to make.")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Seal it with a passphrase that is asked for.")
    ] = False,
    as_json: out.Json = False,
) -> int:
    """Make an identity. An existing one is never overwritten.

    Example: opkit identity new ada
    """
    path = identity_file(name)
    identity = make_identity(path, with_passphrase=passphrase)
    said = {"did": identity.did, "file": str(path)}
    if not passphrase:
        said["key_file"] = str(key_file_of(path))
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Its name, or a file.")],
    as_json: out.Json = False,
) -> int:
    """Show the DID of an identity; never its key.

    Example: opkit identity show ada --json
    """
    path = identity_file(name)
    said = {"did": open_identity(path).did, "file": str(path)}
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE
