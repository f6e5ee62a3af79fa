"""What a node opens before it joins anything: its anchor and its key, by its configuration.

The node does so when it starts, `opkit doctor` when it looks: both say the same of the same file.
"""

from __future__ import annotations

from pathlib import Path

from nodeimpl.config import ConfigError, NodeConfig
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.proof.keys import Identity
from opkit.proof.keystore import unseal

FILE_BYTES_MAX = 16 * 2**20
KEY_NAME = "node"
"""Under which name a node's keystore holds its key."""


def open_genesis(config: NodeConfig) -> GenesisView:
    """Return the genesis that the configuration names.

    Raises:
        ConfigError: it cannot be read, or does not verify.
    """
    data = _read(config.node.genesis, key="node.genesis")
    try:
        return read_genesis(data.decode("ascii", "replace").strip())
    except ProofError as bad:
        raise ConfigError(str(config.node.genesis), (("node.genesis", str(bad)),)) from bad


def open_identity(config: NodeConfig) -> Identity:
    """Return the node's identity from its sealed keystore.

    Raises:
        ConfigError: keystore or key file cannot be read or opened, others may read the key file,
            or there is no node's key.
    """
    sealed = _read(config.node.keystore, key="node.keystore")
    secret = _read(config.node.key_file, key="node.key_file")
    if config.node.key_file.stat().st_mode & 0o077:
        why = "others may read it: chmod 600"
        raise ConfigError(str(config.node.key_file), (("node.key_file", why),))
    try:
        seeds = unseal(sealed, secret=secret)
    except ProofError as bad:
        raise ConfigError(str(config.node.keystore), (("node.keystore", str(bad)),)) from bad
    if KEY_NAME not in seeds:
        why = f"holds no key named {KEY_NAME!r}"
        raise ConfigError(str(config.node.keystore), (("node.keystore", why),))
    return Identity.from_seed(seeds[KEY_NAME])


def check_member_of_network(config: NodeConfig, genesis: GenesisView, identity: Identity) -> None:
    """Raise `ConfigError` unless the genesis names this organisation with this node's key."""
    node = genesis.node_of(config.node.org)
    if node is None:
        why = "the genesis names no such organisation"
        raise ConfigError(str(config.node.genesis), (("node.org", why),))
    if node.did != identity.did:
        why = "the keystore's key is not the one that the genesis names for this organisation"
        raise ConfigError(str(config.node.keystore), (("node.keystore", why),))


def check_clock(config: NodeConfig, genesis: GenesisView) -> None:
    """Raise `ConfigError` if a clock shall be wrong on purpose, but not on a devnet (ADR 0033)."""
    if config.node.clock_skew_ms and not genesis.genesis.devnet:
        why = "only on a devnet may a clock be wrong on purpose"
        raise ConfigError(str(config.node.genesis), (("node.clock_skew_ms", why),))


def _read(path: Path, *, key: str) -> bytes:
    """Return a file's bytes, or say by which key of the configuration it cannot be had."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as bad:
        raise ConfigError(str(path), ((key, bad.strerror or str(bad)),)) from bad
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(str(path), ((key, f"larger than {FILE_BYTES_MAX} bytes"),))
    return data
