"""A devnet's folder: what lies where, the state file, and the keystores.

```
<home>/devnets/<name>/
  state.json          who, where, since when (0600); every reader begins here
  control.sock        the supervisor's socket, while it runs
  control.token       the owner's token for it (0600), while it runs; always beside the socket
  lock                held by the supervisor as long as it lives: the one sign that a devnet runs
  genesis.jws         the genesis; a second copy stands in <home>/genesis/
  keystore.json       operator's and members' keys, sealed; keystore.key opens it (0600)
  nodes/<org>/        config.toml keystore.json keystore.key node.log and the node's own data
  disturbances.jsonl  what was done to the network on purpose
  supervisor.log      starts, exits, failures
  tokens/             tokens got by `opkit login`
```
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from devnet.genesis import MadeWorld
from devnet.spec import DevnetSpec, ProfileName, load_world
from opkit import home
from opkit.proof import keystore
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.proof.keys import Identity
from opkit.wire.base import Did, MemberId, NetworkId, Slug, Text, TimeMs
from opkit.wire.flaws import first_flaw
from opkit.wire.kept import HINT, Kept, is_newer

STATE_BYTES_MAX = 1_048_576
OPERATOR = "operator"
"""Under which name the devnet's keystore holds the operator's key; members stand by their id."""
NODE = "node"
"""Under which name a node's own keystore holds its key."""


class DevnetError(Exception):
    """Something about a devnet that its user can mend; `hint` says how."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Keep what is wrong, and what to do."""
        super().__init__(why)
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # Shown below the error in a notebook.


def system_hint(failed: OSError) -> str:
    """Return what helps against what the system refused a supervisor."""
    if failed.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: make room, or name another disk with OPKIT_HOME"
    if failed.errno in (errno.EMFILE, errno.ENFILE):
        return "too few open files are allowed: ulimit -n 4096"
    return "opkit doctor says what is wrong with this machine"


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeState(_State):
    """A node; `url` and `peer_addresses` are empty until it has been ready once."""

    org: Slug
    title: Text
    did: Did
    url: str = ""
    peer_addresses: tuple[str, ...] = ()


class MemberState(_State):
    """A founding member and the organisation whose node is home."""

    member_id: MemberId
    name: Text
    title: Text
    did: Did
    org: Slug
    roles: tuple[Slug, ...]


class DevnetState(Kept):
    """What the state file says: no key, but where `keystore` and `key_file` lie."""

    spec: DevnetSpec
    network: NetworkId
    genesis: Path
    operator: Did
    created_ms: TimeMs
    socket: Path
    keystore: Path
    key_file: Path
    tokens: Path
    nodes: tuple[NodeState, ...]
    members: tuple[MemberState, ...]

    @property
    def name(self) -> str:
        """Return the devnet's name."""
        return self.spec.name

    @property
    def profile(self) -> ProfileName:
        """Return which organisations it runs."""
        return self.spec.profile

    @property
    def folder(self) -> Path:
        """Return the devnet's folder."""
        return self.keystore.parent

    def node(self, org: str) -> NodeState:
        """Return the node of `org`.

        Raises:
            DevnetError: there is none in this devnet.
        """
        for node in self.nodes:
            if node.org == org:
                return node
        known = ", ".join(node.org for node in self.nodes)
        raise DevnetError(f"devnet {self.name!r} has no node of {org!r}", hint=f"it has: {known}")

    def find(self, begins: str) -> NodeState:
        """Return the node of the organisation whose id begins so, if there is only one.

        Raises:
            DevnetError: there is none, or there are several.
        """
        found = [node for node in self.nodes if begins and node.org.startswith(begins)]
        exact = [node for node in found if node.org == begins]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            return self.node(begins)
        known = ", ".join(node.org for node in found)
        raise DevnetError(f"several nodes begin with {begins!r}", hint=f"say which: {known}")

    def member(self, member_id: str) -> MemberState:
        """Return a founding member by id, or by the part after the slash if that is unambiguous.

        Raises:
            DevnetError: there is none, or there are several.
        """
        found = [
            member
            for member in self.members
            if member_id in (member.member_id, member.member_id.split("/")[1])
        ]
        if len(found) == 1:
            return found[0]
        known = ", ".join(member.member_id for member in self.members)
        problem = "several members" if found else "no member"
        raise DevnetError(f"{problem} called {member_id!r} here", hint=f"members: {known}")

    def view(self) -> GenesisView:
        """Return the genesis, read from the file and verified."""
        return read_genesis(self.genesis.read_text("ascii"))


def node_folder(folder: Path, org: str) -> Path:
    """Return the folder of one node within the devnet's folder."""
    return folder / "nodes" / org


def write_world(folder: Path, *, spec: DevnetSpec, made: MadeWorld, socket: Path) -> DevnetState:
    """Write a new devnet's genesis, keystores and state file; return the state.

    The genesis is also kept in the state directory, where it outlives the devnet, so that what was
    proved on it can still be verified.
    """
    home.private_folder(folder)
    genesis = folder / "genesis.jws"
    for path in (genesis, home.genesis_file(made.view.network)):
        home.write_private(path, made.genesis.encode("ascii"))
    seeds = {OPERATOR: made.operator.seed}
    seeds |= {member_id: identity.seed for member_id, identity in made.members.items()}
    _seal(folder, seeds)
    for org, identity in made.nodes.items():
        _seal(home.private_folder(node_folder(folder, org)), {NODE: identity.seed})
    state = DevnetState(
        spec=spec,
        network=made.view.network,
        genesis=genesis,
        operator=made.operator.did,
        created_ms=made.view.genesis.created_ms,
        socket=socket,
        keystore=folder / "keystore.json",
        key_file=folder / "keystore.key",
        tokens=home.private_folder(folder / "tokens"),
        nodes=tuple(
            NodeState(org=node.org, title=node.title, did=node.did)
            for node in made.view.genesis.nodes
        ),
        members=_members(made),
    )
    save_state(state)
    return state


def _members(made: MadeWorld) -> tuple[MemberState, ...]:
    world = load_world()
    return tuple(
        MemberState(
            member_id=org.member_id(member),
            name=member.name,
            title=member.title,
            did=made.members[org.member_id(member)].did,
            org=org.id,
            roles=member.roles,
        )
        for org in world.orgs(made.profile)
        for member in org.members
    )


def _seal(folder: Path, seeds: Mapping[str, bytes]) -> None:
    key = secrets.token_bytes(32)
    home.write_private(folder / "keystore.key", key)
    home.write_private(folder / "keystore.json", keystore.seal(seeds, secret=key))


def save_state(state: DevnetState) -> None:
    """Write the state file, whole or not at all."""
    text = state.model_dump_json(indent=1)
    home.write_private(state.folder / "state.json", text.encode("utf-8"))


def load_state(name: str) -> DevnetState:
    """Return what the state file of the devnet `name` says.

    Raises:
        DevnetError: there is no such devnet, or its state file cannot be read.
    """
    return load_state_of(home.devnet_folder(name))


def load_running(name: str) -> DevnetState:
    """Return what the state file of the devnet `name` says, if it runs.

    Raises:
        DevnetError: there is no such devnet, its state file cannot be read, or it does not run.
    """
    state = load_state(name)
    if not is_running(state.folder):
        raise DevnetError(f"devnet {name!r} is stopped", hint=f"start it: opkit devnet up {name}")
    return state


def load_state_of(folder: Path) -> DevnetState:
    """Return what the state file in `folder` says.

    Raises:
        DevnetError: there is no devnet, or its state file cannot be read.
    """
    path = folder / "state.json"
    try:
        if path.stat().st_size > STATE_BYTES_MAX:
            raise DevnetError(f"{path} is too large to be a state file")
        return DevnetState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DevnetError(
            f"there is no devnet called {folder.name!r}", hint="start one: opkit devnet up"
        ) from None
    except ValidationError as bad:
        # What a newer version made is whole, and not to be thrown away.
        hint = HINT if is_newer(bad) else f"opkit devnet reset {folder.name}"
        raise DevnetError(f"{path} cannot be read: {first_flaw(bad).why}", hint=hint) from bad
    except OSError as bad:
        raise DevnetError(
            f"{path} cannot be read: {bad}", hint=f"opkit devnet reset {folder.name}"
        ) from bad


def load_identities(state: DevnetState) -> dict[str, Identity]:
    """Return the operator's identity under `operator`, and the members' under their ids.

    Raises:
        ProofError: the key file does not open the keystore.
    """
    seeds = keystore.unseal(state.keystore.read_bytes(), secret=state.key_file.read_bytes())
    return {name: Identity.from_seed(seed) for name, seed in seeds.items()}


_FLOCK = struct.Struct("@hhqqi")
"""`struct flock` of Linux: type, whence, start, length, pid (0: it belongs to a description)."""


class FolderLock:
    """Held by a devnet's supervisor as long as its process lives, however it ends.

    An open file description lock: the kernel drops it with the process, and others can look
    whether it is held without taking it. Source: fcntl(2).
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            DevnetError: another supervisor holds it.
        """
        self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            os.close(self._handle)
            raise DevnetError(
                f"devnet {folder.name!r} runs already",
                hint=f"look at it: opkit devnet status {folder.name}",
            ) from None

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._handle)


def is_running(folder: Path) -> bool:
    """Return whether a supervisor holds the lock of the devnet in `folder`."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0)
        found = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
    finally:
        os.close(handle)


def list_devnets() -> tuple[tuple[str, bool], ...]:
    """Return every devnet of this machine by name, and whether it runs."""
    folders = sorted(path for path in home.devnets_folder().iterdir() if path.is_dir())
    return tuple((folder.name, is_running(folder)) for folder in folders)


def the_running_one() -> str:
    """Return the name of the only running devnet.

    Raises:
        DevnetError: none runs, or several do.
    """
    running = [name for name, runs in list_devnets() if runs]
    if len(running) == 1:
        return running[0]
    if not running:
        raise DevnetError("no devnet is running", hint="start one: opkit devnet up")
    raise DevnetError(
        f"several devnets run: {', '.join(running)}", hint="say which one: --devnet NAME"
    )


def remove_devnet(folder: Path) -> None:
    """Remove a stopped devnet's folder with its keys and data. Its genesis stays."""
    shutil.rmtree(folder)
