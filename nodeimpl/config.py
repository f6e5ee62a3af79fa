"""The configuration of one node: TOML in, frozen sections out, every error at once with its key.

An operator who mistypes three keys is told of three, each by its path in the file, before anything
is started. Limits of the domains may be lowered here and never raised.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core import ErrorDetails

from opkit.proof.endpoints import check_endpoint
from opkit.wire.agents import PRICES_MAX, Price
from opkit.wire.base import Did, MemberId, Slug
from opkit.wire.records import HttpEndpoint

CONFIG_BYTES_MAX = 262_144

CONFIG_VERSION = 1
"""The newest form of the file that is known here. A file that says none is of version 1."""


_PASSWORD = re.compile(r"(?<=://)([^/?#@]*?):[^/?#]*@|(?<=[?&]password=)[^&#]*")


def masked_url(url: str) -> str:
    """Return `url` with its password, if it has one, replaced by `***`: for people and logs."""
    return _PASSWORD.sub(lambda found: f"{found[1]}:***@" if found[1] is not None else "***", url)


WHOLE_FILE = "(file)"
"""Stands for a key's path where a problem is the whole file's."""


class ConfigError(Exception):
    """The configuration cannot be used. `problems` are (key path, what is wrong), all of them."""

    def __init__(
        self, where: str, problems: tuple[tuple[str, str], ...], *, hint: str = ""
    ) -> None:
        """Keep the file's name, its problems, and what helps where they do not say it."""
        super().__init__(where, problems)
        self.where = where
        self.problems = problems
        self.hint = hint

    def __str__(self) -> str:
        """Return one line if there is one problem, else a line for each below their number."""
        told = [f"{path}: {why}" if path != WHOLE_FILE else why for path, why in self.problems]
        if len(told) == 1:
            lines = [f"{self.where}: {told[0]}"]
        else:
            lines = [f"{self.where}: {len(told)} problems", *(f"  {each}" for each in told)]
        return "\n".join(lines) + (f" (hint: {self.hint})" if self.hint else "")


class Section(BaseModel):
    """A frozen part of the configuration; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(Section):
    """Who the node is and where it keeps its things.

    Attributes:
        org: the node's name in the genesis record.
        folder: database, blobs and `ready.json`; made with mode 0700 when missing.
        genesis: the genesis record, the anchor of all trust.
        keystore: the sealed file with the node's key under the name `node`.
        key_file: 32 random bytes that open the keystore (mode 0600).
        stop_ms: how long running tasks may still take when the node is told to end.
        clock_skew_ms: by how much the node's clock is wrong, on purpose; refused where the genesis
            does not say devnet (ADR 0033).
    """

    org: Slug
    folder: Path
    genesis: Path
    keystore: Path
    key_file: Path
    stop_ms: Annotated[int, Field(ge=0, le=600_000)] = 10_000
    clock_skew_ms: Annotated[int, Field(ge=-86_400_000, le=86_400_000)] = 0


class GatewaySection(Section):
    """The front door. Plain HTTP is bound to loopback only; port 0 takes a free one.

    With `tls_certificate` and `tls_key`, files in PEM, the door speaks TLS and may be bound
    anywhere. `advertise` is where others are told that it can be called, as URLs of scheme, host
    and port; empty: where it is bound.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = Field(default=None, validate_default=True)
    host: str = "127.0.0.1"
    advertise: Annotated[tuple[str, ...], Field(max_length=4)] = Field(
        default=(), validate_default=True
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    asks_per_second: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    body_bytes_max: Annotated[int, Field(ge=1_024, le=33_554_432)] = 33_554_432

    @field_validator("tls_key")
    @classmethod
    def _has_certificate(cls, key: Path | None, said: ValidationInfo) -> Path | None:
        """Refuse one of the two without the other."""
        if (key is None) != (said.data.get("tls_certificate") is None):
            raise ValueError("TLS takes a certificate and its key")
        return key

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str, said: ValidationInfo) -> str:
        """Refuse to carry tokens over plain HTTP beyond this machine."""
        loopback = host == "localhost" or ip_address(host).is_loopback
        if not loopback and said.data.get("tls_certificate") is None:
            raise ValueError(
                "plain HTTP is served on loopback only; elsewhere set tls_certificate and tls_key"
            )
        return host

    @field_validator("advertise")
    @classmethod
    def _are_called(cls, urls: tuple[str, ...], said: ValidationInfo) -> tuple[str, ...]:
        """Refuse what no client would call, and an address that stands for all of them."""
        host = said.data.get("host", "localhost")
        if not urls and host != "localhost" and ip_address(host).is_unspecified:
            raise ValueError(f"{host} stands for every interface: say where clients call the node")
        shown = None if said.data.get("tls_certificate") is None else "0" * 64
        for url in urls:
            check_endpoint(HttpEndpoint(url=url, tls_key_hash=shown))
        return urls


class PeerSection(Section):
    """A peer to stay connected with, and where it can be dialled: nobody else's word counts.

    Without an address it is the peer that dials; this node never does, whatever it hears.
    """

    did: Did
    addresses: Annotated[tuple[str, ...], Field(max_length=8)]


class P2pSection(Section):
    """The peer-to-peer endpoint: bound to these addresses and to no other.

    With `fixed_paths` a connection stays on the address that was dialled: for devnets, whose links
    must be such that they can be cut (ADR 0006).

    `advertise` is where others are told that the node can be dialled; empty: where it listens.
    `lan` are IPv4 addresses of interfaces on which nodes of the same network find each other by
    multicast DNS; empty: on none (ADR 0034).
    """

    fixed_paths: bool = False
    bind: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)] = (
        "127.0.0.1:0",
        "[::1]:0",
    )
    advertise: Annotated[tuple[str, ...], Field(max_length=4)] = ()
    lan: Annotated[tuple[IPv4Address, ...], Field(max_length=4)] = ()
    peers: Annotated[tuple[PeerSection, ...], Field(max_length=64)] = ()

    @field_validator("advertise")
    @classmethod
    def _are_dialled(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what nobody could dial."""
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError(f"{address!r} has no port that can be dialled")
            if ip_address(host.strip("[]")).is_unspecified:
                raise ValueError(f"{address!r} stands for every interface, and is nowhere")
        return addresses


class StoreSection(Section):
    """Where state is kept: empty means SQLite in the node's folder; else `postgresql://…`.

    A password in the URL is never shown; libpq also finds one in `~/.pgpass` or `PGPASSFILE`.
    """

    url: str = Field(default="", repr=False)
    blob_bytes_max: Annotated[int, Field(ge=1_048_576, le=1_099_511_627_776)] = 1_073_741_824
    member_bytes_max: Annotated[int, Field(ge=65_536, le=1_099_511_627_776)] = 268_435_456
    """The most bytes of blobs that one member is charged for."""
    blob_grace_ms: Annotated[int, Field(ge=1_000, le=2_592_000_000)] = 86_400_000
    """How long a blob is kept that no task, receipt or module names."""

    @field_serializer("url")
    def _without_password(self, url: str) -> str:
        return masked_url(url)


class HistorySection(Section):
    """How much of the journal is kept at least; 0 does not count, and with both 0 all is kept.

    What is older and beyond that many goes behind a signed checkpoint (ADR 0021).
    """

    keep_entries: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    keep_days: Annotated[int, Field(ge=0, le=36_500)] = 0


class ComputeSection(Section):
    """Whose tasks this node runs, and how many at once.

    `accept_coops` empty means: every coop of the genesis. `accept_members` adds single members,
    such as those of no coop.
    """

    workers: Annotated[int, Field(ge=1, le=16)] = 2
    accept_coops: tuple[Slug, ...] = ()
    accept_members: tuple[MemberId, ...] = ()
    tasks_per_submitter: Annotated[int, Field(ge=1, le=256)] = 64
    module_bytes_max: Annotated[int, Field(ge=1_024, le=4_194_304)] = 4_194_304


class CardSection(Section):
    """What the node's own agent card says of it that nothing else here does (ADR 0036)."""

    region: Slug | None = None
    prices: Annotated[tuple[Price, ...], Field(max_length=PRICES_MAX)] = ()


class MembershipSection(Section):
    """Who may log in besides the members whose coop's home is this node, or who were added here.

    Visitors are members of other coops of the network: they may ask, have tasks run, and keep names
    and cards, and nothing else (ADR 0038).
    """

    visitors: bool = True


class LogSection(Section):
    """What is logged, as JSON lines on standard error.

    With `file` standard error leads to that file. A full one gets the suffix `.1`, earlier ones the
    next, and `files_kept` of them stay.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: Path | None = None
    file_bytes_max: Annotated[int, Field(ge=65_536, le=1_073_741_824)] = 16_777_216
    files_kept: Annotated[int, Field(ge=1, le=100)] = 3


class NodeConfig(Section):
    """The whole configuration of one node; `version` is that of the file's form."""

    version: Annotated[int, Field(strict=True, ge=1, le=CONFIG_VERSION)] = CONFIG_VERSION
    node: NodeSection
    gateway: GatewaySection = GatewaySection()
    p2p: P2pSection = P2pSection()
    store: StoreSection = StoreSection()
    history: HistorySection = HistorySection()
    compute: ComputeSection = ComputeSection()
    membership: MembershipSection = MembershipSection()
    card: CardSection = CardSection()
    log: LogSection = LogSection()

    def store_url(self) -> str:
        """Return the database's URL, the default being SQLite in the node's folder."""
        return self.store.url or f"sqlite:///{self.node.folder / 'node.db'}"

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Return the configuration that `text` spells.

        Args:
            text: TOML.
            where: the file's name, for messages.

        Raises:
            ConfigError: not TOML; of a newer version; or keys unknown, missing or out of range, all
                of them at once.
        """
        try:
            said = tomllib.loads(text)
        except tomllib.TOMLDecodeError as bad:
            raise ConfigError(where, ((WHOLE_FILE, str(bad)),)) from bad
        _check_version(said, where)
        try:
            return cls.model_validate(said)
        except ValidationError as bad:
            found = bad.errors(include_url=False, include_context=False)
            problems = tuple(_problem(cls, error["loc"], error) for error in found)
            raise ConfigError(where, problems) from bad


def _check_version(said: dict[str, Any], where: str) -> None:
    """Refuse a file of a newer version before its keys are judged: they may mean something else."""
    version = said.get("version")
    if isinstance(version, int) and version > CONFIG_VERSION:
        why = f"{version} is newer than this node knows, which is {CONFIG_VERSION}"
        raise ConfigError(
            where,
            (("version", why),),
            hint="run the version of opkit that the file was written for, or write it anew",
        )


def _problem(
    of: type[BaseModel], loc: tuple[int | str, ...], error: ErrorDetails
) -> tuple[str, str]:
    """Return the path of a key and what is wrong with it: of an unknown one, what was meant."""
    path = ".".join(str(part) for part in loc)
    if error["type"] != "extra_forbidden":
        return path, error["msg"].removeprefix("Value error, ")
    known = list(_section(of, loc[:-1]).model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    meant = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    return path, f"unknown key; {meant}"


def _section(of: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the section at a path below `of`; a number is a place in a list of sections."""
    for part in loc:
        if isinstance(part, str):
            annotation = of.model_fields[part].annotation
            inner = [annotation, *get_args(annotation)]
            of = next(
                kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section)
            )
    return of


def load_config(path: Path) -> NodeConfig:
    """Return the configuration in the file `path`.

    Raises:
        ConfigError: the file cannot be read, or as `NodeConfig.parse`.
    """
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(str(path), ((WHOLE_FILE, f"larger than {CONFIG_BYTES_MAX} bytes"),))
        text = path.read_text("utf-8")
    except OSError as bad:
        why = bad.strerror or str(bad)
        hint = "is the path right? `opkit node init` writes a configuration"
        raise ConfigError(str(path), ((WHOLE_FILE, why),), hint=hint) from bad
    except UnicodeDecodeError as bad:
        raise ConfigError(str(path), ((WHOLE_FILE, str(bad)),)) from bad
    return NodeConfig.parse(text, where=str(path))
