"""The demo world and a devnet as data, read from `devnet/world/*.toml` and checked while reading.

No identifier is pasted anywhere: what follows from these files (keys, DIDs, addresses) is made for
each devnet and stands in its state file.
"""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from opkit.wire.base import SAFE_INT_MAX, MemberId, Slug, Text
from opkit.wire.genesis import AccountFloor
from opkit.wire.terms import ClearingTerms, Provision

WORLD_FOLDER = Path(__file__).parent / "world"

DAY_MS = 86_400_000

OFFICER = "officer"
"""The role of who posts to the accounts of a coop, beside its members' own."""

ProfileName = Literal["three", "federation"]

Amount = Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
"""A positive number of a unit's smallest step."""

NAME = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"

DevnetName = Annotated[str, Field(pattern=NAME)]
"""A devnet's name: it becomes a folder's."""


class _Data(BaseModel):
    """A frozen value read from a data file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorldError(ValueError):
    """A data file of the world does not say what it must; the text names file and key."""


class MemberSpec(_Data):
    """A person: `id` is unique within the coop. Hours are those the figures of the coop rest on."""

    id: Slug
    name: Text
    title: Text
    roles: tuple[Slug, ...] = ("member",)
    contribution_hours: int = 0
    q1_hours: int = 0


class Figures(_Data):
    """What a coop's flows begin with, and what they must come to."""

    surplus_credits: int = 0
    allocations: tuple[int, ...] = ()
    reserve_usd_cents: int = 0
    roof_quote_usd_cents: int = 0
    reserve_after_usd_cents: int = 0
    dues_usd_cents: tuple[int, ...] = ()


class Organisation(_Data):
    """An organisation with a node of its own; `coop` is False for the unaffiliated one.

    `audited_by` are coops whose auditors read its books, where those have a node too.
    """

    id: Slug
    title: Text
    kind: Text
    coop: bool
    figures: Figures = Figures()
    members: tuple[MemberSpec, ...] = ()
    floors: tuple[AccountFloor, ...] = ()
    audited_by: tuple[Slug, ...] = ()

    @model_validator(mode="after")
    def _a_coop_has_members(self) -> Self:
        if self.coop != bool(self.members):
            raise ValueError("a coop has founding members, and only a coop has")
        if len({member.id for member in self.members}) != len(self.members):
            raise ValueError("two members share an id")
        if self.coop and not any(OFFICER in member.roles for member in self.members):
            raise ValueError("a coop has an officer, who keeps its books")
        return self

    def member_id(self, member: MemberSpec) -> MemberId:
        """Return the id that votes, names and accounts of `member` belong to."""
        return f"{self.id}/{member.id}"

    @property
    def bookkeeper(self) -> MemberId:
        """Return the id of the officer who keeps the books: the treasurer if there is one."""
        officers = [member for member in self.members if OFFICER in member.roles]
        keepers = [member for member in officers if member.title == "treasurer"]
        return self.member_id((keepers or officers)[0])


class Assembly(_Data):
    """What all electorates of the demo world share."""

    quorum_percent: Annotated[int, Field(ge=1, le=100)]
    approval_percent: Annotated[int, Field(ge=1, le=100)]
    voting_period_days: Annotated[int, Field(ge=1, le=365)]
    challenge_window_days: Annotated[int, Field(ge=0, le=365)]


class OperatorSpec(_Data):
    """Who runs the network."""

    name: Text
    title: Text


class Passed(_Data):
    """Something that passed from `payer` to `payee` before the demo begins."""

    id: Slug
    effective_on: date
    payer: Slug
    payee: Slug
    unit: Slug
    amount: Amount
    what: Text


class Opening(_Data):
    """An opening figure of one ledger, against `equity/opening`."""

    id: Slug
    effective_on: date
    coop: Slug
    account: Text
    unit: Slug
    amount: Amount
    what: Text


class AgreementSpec(_Data):
    """What coops of the demo world agree on; when it starts, each telling says."""

    parties: tuple[Slug, ...]
    facilitator: Slug
    arbiter: Slug
    title: Text
    provisions: tuple[Provision, ...]
    term_days: Annotated[int, Field(ge=1, le=36_500)]
    renewable: bool
    notice_days: Annotated[int, Field(ge=0, le=3_650)]
    clearing: ClearingTerms


class WorldSpec(_Data):
    """The whole demo world."""

    profiles: dict[ProfileName, tuple[Slug, ...]]
    assembly: Assembly
    operator: OperatorSpec
    organisations: dict[Slug, Organisation]
    passed: tuple[Passed, ...]
    opening: tuple[Opening, ...]
    agreement: AgreementSpec

    @model_validator(mode="after")
    def _everything_named_exists(self) -> Self:
        named = [org for orgs in self.profiles.values() for org in orgs]
        named += [org for line in self.passed for org in (line.payer, line.payee)]
        named += [line.coop for line in self.opening]
        named += [coop for org in self.organisations.values() for coop in org.audited_by]
        agreed = self.agreement
        named += [*agreed.parties, agreed.facilitator, agreed.arbiter]
        unknown = sorted(set(named) - set(self.organisations))
        if unknown:
            raise ValueError(f"no such organisation: {', '.join(unknown)}")
        return self

    def orgs(self, profile: ProfileName) -> tuple[Organisation, ...]:
        """Return the organisations of `profile`, in its order."""
        return tuple(self.organisations[org] for org in self.profiles[profile])


class DevnetSpec(_Data):
    """One devnet: which organisations it runs, under which name and seed.

    Attributes:
        seed: fixes figures, order and faults of the demo; never a key.
        node_module: the module whose `serve(config)` the fork server calls; a test may name one
            that breaks a rule on purpose.
        teller_module: the module whose `run` tells flows: the devnet itself imports none.
        temporary: the folder goes when the devnet does (its genesis stays), databases too.
        database: the PostgreSQL server that the nodes' databases are made on, as a URL without
            password; empty means SQLite in the nodes' folders.
    """

    name: DevnetName
    profile: ProfileName
    seed: Annotated[int, Field(ge=0, le=SAFE_INT_MAX)] = 7
    node_module: str = "nodeimpl.__main__"
    teller_module: str = "flows.teller"
    temporary: bool = False
    database: str = ""


HOSTILE_KINDS = (
    *("tampering-provider", "short-provider", "endless-provider", "silent"),
    *("unsigned", "forged", "stale", "replayed", "future", "oversized", "nested", "undecodable"),
    *("flood", "flood-puts", "fresh-keys", "half-frames", "unread", "half-open"),
    *("dht-empty", "dht-wrong", "dht-old", "dht-unasked", "dht-forging"),
    *("reconcile-endless", "reconcile-empty-handed", "eclipse"),
    *("name-unsigned", "name-forged", "name-stale", "relay"),
)
"""How a hostile peer can misbehave: it serves changed, too few, or too many bytes, or none; it
sends bad messages of a kind, or too many; it stalls; it lies about what the network keeps; it sends
records of a name that is not its own; it shows another node's challenge as its own."""

AFTER_A_NAME = frozenset({"name-unsigned", "name-forged", "name-stale"})
"""The kinds of hostile peers that are told which name they are after."""

PROFILES: tuple[ProfileName, ...] = ("three", "federation")
"""The networks a devnet can be, smallest first."""


@cache
def load_world(folder: Path = WORLD_FOLDER) -> WorldSpec:
    """Return the demo world; it is read once per process.

    Raises:
        WorldError: a file is missing, is no TOML, or does not say what it must.
    """
    network = _read(folder / "network.toml")
    history = _read(folder / "history.toml")
    agreement = _read(folder / "agreement.toml")
    own = ("network", "history", "agreement")
    files = sorted(path for path in folder.glob("*.toml") if path.stem not in own)
    try:
        organisations = {path.stem: Organisation.model_validate(_read(path)) for path in files}
        said = {**network, **history, "agreement": agreement, "organisations": organisations}
        return WorldSpec.model_validate(said)
    except ValidationError as bad:
        raise WorldError(f"{folder}: {bad}") from bad


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as gone:
        raise WorldError(f"{path}: {gone.strerror}") from gone
    except tomllib.TOMLDecodeError as bad:
        raise WorldError(f"{path}: {bad}") from bad
