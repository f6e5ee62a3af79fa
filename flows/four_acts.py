"""Who does what in flow 4: books, votes, exchanges, and what its auditor gathers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

import opkit.wire
from flows.money import OPENED_FROM, PERIOD, posting
from flows.runs import label_of
from flows.three_acts import PARTIES, arrived, offer, posted, signed_by
from flows.three_acts import PERIOD as MONTH
from opkit.proof.proposals import make_distribution
from opkit.story import World
from opkit.wire.audit import AUDIT_SCOPES, AuditFile, CoopEvidence
from opkit.wire.base import Wire
from opkit.wire.clearing import SETTLE_PERIOD, Exchange, SettlePeriod
from opkit.wire.endpoint import ENDPOINTS, Endpoint, Scope
from opkit.wire.governance import ProposalView
from opkit.wire.ledger import (
    LEDGER_POST,
    LEDGER_TRIAL_BALANCE,
    AccountId,
    AskTrialBalance,
    Cause,
    Entry,
    PostEntry,
)
from opkit.wire.membership import REVOKE_TOKEN, VISITORS
from opkit.wire.votes import Choice, DistributionEffect, SpendEffect

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.base import MemberId, RecordId, Slug

RIVER, BRIGHT, HARBOR, CDN = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
    "fingerlakes-cdn",
)
COOPS = (RIVER, BRIGHT, HARBOR, CDN)
"""Whose evidence is gathered: all coops of the network, the auditor's own included."""

NODES = (*COOPS, "unaffiliated")

ZURI = f"{CDN}/zuri"
THEO = f"{RIVER}/theo"
ROSA, FELIX, NADIA, KOFI = (f"{HARBOR}/{name}" for name in ("rosa", "felix", "nadia", "kofi"))
HUGO, LEILA, BRAM, YUKI, GWEN = (
    f"{BRIGHT}/{name}" for name in ("hugo", "leila", "bram", "yuki", "gwen")
)
KEEPERS: Mapping[Slug, MemberId] = {
    RIVER: THEO,
    BRIGHT: GWEN,
    HARBOR: FELIX,
    CDN: f"{CDN}/edith",
}
"""Who keeps each coop's own books, and is asked how long they are."""

DOLLARS, SHARES = "usd-cents", "patronage-credits"
RESERVE, QUOTE, SURPLUS, BILL, PASSED = 4_800_000, 1_200_000, 3_840, 25_000, 40
HOURS = {HUGO: 120, LEILA: 115, BRAM: 104, YUKI: 98, GWEN: 87}

ON_THE_ROOF: dict[MemberId, Choice] = {ROSA: "yes", FELIX: "yes", NADIA: "yes", KOFI: "no"}

ONLY_HERE = (Scope.NODE_READ, Scope.EVENTS_READ)
"""What an auditor may read at a node that no coop is at home at."""


def reads_at(org: Slug) -> tuple[Scope, ...]:
    """Return what Zuri's token for a node is for: reading, and nothing else."""
    return AUDIT_SCOPES if org in COOPS else ONLY_HERE


def reader(world: World, org: Slug) -> NodeClient:
    """Return Zuri's client of a node, with her token to read there."""
    return world.client(org, ZURI, scopes=reads_at(org))


def writes() -> list[Endpoint[Wire, Wire]]:
    """Return every endpoint that changes something for a token, but that which ends the token."""
    for module in pkgutil.walk_packages(opkit.wire.__path__, f"{opkit.wire.__name__}."):
        importlib.import_module(module.name)
    asked = (each for each in ENDPOINTS.values() if each.method != "GET" and each.scope)
    return sorted((each for each in asked if each.name != REVOKE_TOKEN.name), key=lambda e: e.name)


def nothing_in(endpoint: Endpoint[Wire, Wire]) -> Wire:
    """Return an ask with nothing in it: who may not ask is told so before it is read."""
    said: dict[str, str | bytes] = dict.fromkeys(endpoint.path_fields(), "audit")
    if endpoint.raw_ask is not None:
        said[endpoint.raw_ask] = b""
    return endpoint.ask.model_construct(**said)  # type: ignore[arg-type]  # whatever the fields


async def gathered(world: World) -> AuditFile:
    """Return what all coops show to Zuri."""
    coops = [await reader(world, coop).gather(coop) for coop in COOPS]
    return AuditFile(
        network=world.genesis.network,
        auditor=ZURI,
        gathered_ms=reader(world, CDN).now_ms(),
        coops=tuple(coops),
    )


def label(world: World) -> str:
    """Return what tells this telling's things from those of other tellings, and of other flows."""
    return label_of(f"{world.run_id} audit")


def account(world: World, coop: Slug, root: str) -> AccountId:
    """Return an account of this telling's own, such as its reserve."""
    return f"{coop}:{root}/{PERIOD}/{label(world)}"


async def open_books(world: World) -> None:
    """Have Felix and Gwen open this telling's reserve and surplus, by ordinary entries."""
    for by, root, unit, amount in (
        (FELIX, "reserve", DOLLARS, RESERVE),
        (GWEN, "surplus", SHARES, SURPLUS),
    ):
        coop = by.partition("/")[0]
        ask = PostEntry(
            coop=coop,
            entry_id=f"audited-{label(world)}",
            postings=(
                posting(account(world, coop, root), unit, amount),
                posting(f"{coop}:{OPENED_FROM}", unit, -amount),
            ),
            memo=f"Opening of {PERIOD}",
        )
        await world.client(coop, by).call(LEDGER_POST, ask)


def roof_of(world: World) -> SpendEffect:
    """Return what Harbor Homes decides on."""
    return SpendEffect(
        from_account=account(world, HARBOR, "reserve"),
        to_account=account(world, HARBOR, "vendor"),
        unit=DOLLARS,
        amount=QUOTE,
        memo="Roof repair",
    )


def shares_of(world: World) -> DistributionEffect:
    """Return what BrightWorks decides on."""
    return make_distribution(
        from_account=account(world, BRIGHT, "surplus"),
        unit=SHARES,
        surplus=SURPLUS,
        weights={f"{BRIGHT}:member/{who.split('/')[1]}": hours for who, hours in HOURS.items()},
        memo="Surplus of the first quarter, by hours",
    )


async def pass_something(world: World, votes: Mapping[Slug, ProposalView]) -> Exchange:
    """Have River City and BrightWorks sign what they decided, exchange once, and settle it."""
    agreements = [(await signed_by(world, view)).agreement for view in votes.values()]
    for org in PARTIES:
        await arrived(world, org, agreements[0], signatures=len(PARTIES))
    done = await offer(
        world,
        BRIGHT,
        agreements[0],
        payer=RIVER,
        payee=BRIGHT,
        amount=PASSED,
        what="Hours of maintenance",
    )
    for org in PARTIES:
        await posted(world, org, done.hash)
    ask = SettlePeriod(agreement=agreements[0], period=f"{MONTH}/{label(world)}")
    even = await world.client(BRIGHT, HUGO).call(SETTLE_PERIOD, ask)
    for org in PARTIES:
        await posted(world, org, even.hash)
    return done


async def bill_of(world: World, receipt: RecordId) -> Entry:
    """Have Theo book what computing cost, naming the receipt for it."""
    ask = PostEntry(
        coop=RIVER,
        entry_id=f"computing-{label(world)}",
        postings=(
            posting(f"{RIVER}:vendor/computing", DOLLARS, BILL),
            posting(f"{RIVER}:equity/opening", DOLLARS, -BILL),
        ),
        memo="Computing, by its receipt",
        cause=Cause(kind="receipt", id=receipt),
    )
    return await world.client(RIVER, THEO).call(LEDGER_POST, ask)


def with_(file: AuditFile, coop: Slug, **changes: object) -> AuditFile:
    """Return a copy of an audit in which what one coop showed is otherwise."""
    coops = tuple(
        each.model_copy(update=changes) if each.coop == coop else each for each in file.coops
    )
    return file.model_copy(update={"coops": coops})


def of(file: AuditFile, coop: Slug) -> CoopEvidence:
    """Return what one coop showed."""
    return next(each for each in file.coops if each.coop == coop)


def forged(entry: Entry) -> Entry:
    """Return an entry whose first posting is one less, its second one more, its hash the same."""
    first, second, *rest = entry.postings
    changed = (
        first.model_copy(update={"amount": first.amount - 1}),
        second.model_copy(update={"amount": second.amount + 1}),
    )
    return entry.model_copy(update={"postings": (*changed, *rest)})


def fee(world: World, coop: Slug) -> PostEntry:
    """Return an entry by which a coop would pay its auditor 1.00."""
    return PostEntry(
        coop=coop,
        entry_id=f"audit-{label(world)}",
        postings=(
            posting(f"{coop}:vendor/audit", DOLLARS, 100),
            posting(f"{coop}:equity/opening", DOLLARS, -100),
        ),
    )


async def lengths_of(world: World) -> dict[str, int]:
    """Return how many entries each coop's books have."""
    lengths = {}
    for coop in COOPS:
        ask = AskTrialBalance(coop=coop)
        lengths[coop] = (await reader(world, coop).call(LEDGER_TRIAL_BALANCE, ask)).sequence
    return lengths


async def may_write(world: World) -> dict[str, list[str]]:
    """Return what Zuri may write at each node by the most that she is given, but as a visitor."""
    kept = {each.scope for each in writes() if each.scope is not None} - VISITORS
    most = {org: (await world.client(org, ZURI).login()).scopes for org in NODES}
    return {org: sorted(kept & set(scopes)) for org, scopes in most.items()}
