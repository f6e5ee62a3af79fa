"""Identity files: a sealed keystore, opened by a key file beside it or by a passphrase."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from opkit import home
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.proof.keys import Identity

PASSPHRASE_VARIABLE = "OPKIT_PASSPHRASE"
SEED_NAME = "identity"
FILE_BYTES_MAX = 65_536


def identity_file(name: str) -> Path:
    """Return where the identity `name` is kept; a path is taken as it is."""
    if "/" in name or name.endswith(".json"):
        return Path(name)
    return home.identities_folder() / f"{name}.json"


def key_file_of(path: Path) -> Path:
    """Return where the key file of an identity lies, if it has one."""
    return path.with_suffix(".key")


def make_identity(path: Path, *, with_passphrase: bool) -> Identity:
    """Make a new identity and write it sealed.

    Raises:
        Mistake: there is one already, or no folder to put it.
    """
    from opkit.proof import keystore
    from opkit.proof.keys import Identity

    if path.exists():
        raise Mistake(f"{path} exists already", hint="an identity is never overwritten")
    if path.parent != home.identities_folder() and not path.parent.is_dir():
        raise Mistake(f"there is no folder {path.parent}", hint="make it, or give a plain name")
    identity = Identity.generate()
    if with_passphrase:
        secret: bytes | str = _passphrase(confirm=True)
    else:
        secret = secrets.token_bytes(keystore.SECRET_BYTES)
        home.write_private(key_file_of(path), secret)
    home.write_private(path, keystore.seal({SEED_NAME: identity.seed}, secret=secret))
    return identity


def open_identity(path: Path) -> Identity:
    """Return the identity in a file, asking for its passphrase if it has no key file.

    Raises:
        Mistake: there is none, or it is no identity.
        ProofError: wrong secret, or damaged.
    """
    from opkit.proof import keystore
    from opkit.proof.keys import Identity

    if not path.is_file():
        raise Mistake(f"there is no identity {path}", hint="make one: opkit identity new NAME")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise Mistake(f"{path} is too large to be an identity")
    beside = key_file_of(path)
    secret = beside.read_bytes() if beside.exists() else _passphrase(confirm=False)
    seeds = keystore.unseal(path.read_bytes(), secret=secret)
    if len(seeds) != 1:
        raise Mistake(f"{path} holds {len(seeds)} keys", hint="an identity file holds one")
    return Identity.from_seed(next(iter(seeds.values())))


def _passphrase(*, confirm: bool) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    answer: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
