"""Which node is spoken to, and as whom: the options that all commands against a node share.

On a devnet: `--devnet NAME` (default: the only running one), `--node ORG`, `--as MEMBER`. Any
other node: `--url`, `--did`, and `--identity FILE` or `--token FILE`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.keys import Identity
    from opkit.wire.endpoint import Scope

Result = TypeVar("Result")

TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""A compact JWS. Source: RFC 7515, section 3.1."""

_PANEL = "Which node, and as whom"


def _option(name: str, help_text: str, kind: Any = str) -> Any:
    return Annotated[kind | None, typer.Option(name, help=help_text, rich_help_panel=_PANEL)]


_OPTIONS = {
    "devnet": _option("--devnet", "The devnet; default: the only running one."),
    "org": _option("--node", "The organisation whose node it is; default: the speaker's own."),
    "speaker": _option("--as", "The member who speaks, such as `mara`; or `operator`."),
    "url": _option("--url", "Another node than a devnet's: where it listens."),
    "did": _option("--did", "Another node: its DID. Nothing is signed for any other."),
    "identity": _option("--identity", "Another node: your identity, a name or a file."),
    "token": _option("--token", "A token file of `opkit login`, instead of an identity.", Path),
    "genesis": _option("--genesis", "The network's genesis, if this machine keeps none.", Path),
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """What the options said."""

    devnet: str | None
    org: str | None
    speaker: str | None
    url: str | None
    did: str | None
    identity: str | None
    token: Path | None
    genesis: Path | None

    def resolve(self, *, default_speaker: str | None = None) -> Target:
        """Return whom to call.

        Args:
            default_speaker: who speaks on a devnet unless `--as` says so; None means the node's
                first founding member.

        Raises:
            Mistake: the options contradict each other, or name what is not there.
            DevnetError: there is no such devnet, node or member.
        """
        if self.url is not None:
            return _foreign(self)
        if self.did is not None or self.identity is not None:
            raise Mistake("--did and --identity go with --url", hint="say --url too, or neither")
        return _of_devnet(self, default_speaker)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A node, and who speaks to it. `operator` is set where this machine holds that key."""

    url: str
    did: str
    network: str
    speaker: str
    identity: Identity | None
    operator: Identity | None
    token: str | None
    tokens: Path

    def client(self, *, scopes: tuple[Scope, ...] | None = None) -> NodeClient:
        """Return a client; use it in `async with`."""
        from opkit.client import NodeClient

        client = NodeClient(
            url=self.url, node=self.did, network=self.network, identity=self.identity, scopes=scopes
        )
        return client if self.token is None else client.with_token(self.token)


def addressed(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the shared options; it gets them as its first argument, an `Address`."""
    own = inspect.signature(command, eval_str=True)
    _, *kept = own.parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    kept = [parameter.replace(kind=keyword) for parameter in kept]
    shared = [
        inspect.Parameter(field.name, keyword, default=None, annotation=_OPTIONS[field.name])
        for field in fields(Address)
    ]

    @functools.wraps(command)
    def with_address(**given: Any) -> Result:
        address = Address(**{field.name: given.pop(field.name) for field in fields(Address)})
        return command(address, **given)

    signature = inspect.Signature([*kept, *shared])
    with_address.__signature__ = signature  # type: ignore[attr-defined]  # read by `inspect`
    with_address.__annotations__ = {
        parameter.name: parameter.annotation for parameter in signature.parameters.values()
    }
    return with_address


def _of_devnet(address: Address, default_speaker: str | None) -> Target:
    from devnet.state import OPERATOR, DevnetError, load_identities, load_running, the_running_one

    state = load_running(address.devnet or the_running_one())
    speaker = address.speaker or default_speaker
    org = state.find(address.org).org if address.org else None
    if speaker is None:
        org = org or state.nodes[0].org
        own = [member.member_id for member in state.members if member.org == org]
        speaker = own[0] if own else OPERATOR
    if speaker != OPERATOR:
        member = state.member(speaker)
        speaker, org = member.member_id, org or member.org
    node = state.node(org or state.nodes[0].org)
    if not node.url:
        raise DevnetError(f"the node of {node.org!r} has never been ready", hint="opkit devnet up")
    identities = load_identities(state)
    token = _read_token(address.token)
    return Target(
        url=node.url,
        did=node.did,
        network=state.network,
        speaker=speaker,
        identity=identities[speaker] if token is None else None,
        operator=identities[OPERATOR],
        token=token,
        tokens=state.tokens,
    )


def _foreign(address: Address) -> Target:
    from opkit import home
    from opkit.cli.anchors import read_genesis_file
    from opkit.cli.identities import identity_file, open_identity

    if address.devnet or address.org or address.speaker:
        raise Mistake("--url does not go with --devnet, --node or --as", hint="say one or other")
    if address.did is None or address.genesis is None:
        raise Mistake(
            "another node needs --did and --genesis too",
            hint="they say whom you mean to sign for; ask the network's operator",
        )
    genesis = read_genesis_file(address.genesis)
    if genesis.node(address.did) is None:
        raise Mistake(
            f"the genesis names no node {address.did}", hint="compare --did and --genesis"
        )
    assert address.url is not None, "decided by the caller"
    return Target(
        url=address.url,
        did=address.did,
        network=genesis.network,
        speaker="",
        identity=None
        if address.identity is None
        else open_identity(identity_file(address.identity)),
        operator=None,
        token=_read_token(address.token),
        tokens=home.tokens_folder(),
    )


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    if path.stat().st_size > 262_144:
        raise Mistake(f"{path} is too large to be a token")
    token = path.read_text("ascii", "replace").strip()
    if not TOKEN.fullmatch(token):
        raise Mistake(f"{path} holds no token", hint="`opkit login` writes one")
    return token
