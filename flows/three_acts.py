"""Who does what in flow 3: terms, votes, and how two coops stand with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.money import entries_of, proven
from flows.runs import label_of
from flows.voting import all_yes, closed, drafted, opened, vote
from opkit.proof import jws
from opkit.proof.checks import Check
from opkit.proof.terms import agreement_id
from opkit.story import ExchangeProof, World, journal_head, same, until
from opkit.wire.agreements import (
    READ_AGREEMENT,
    READ_AGREEMENT_FILE,
    USE_AGREEMENT,
    AgreementFile,
    AgreementInForce,
    AgreementUnknown,
    AgreementView,
    ReadAgreement,
    ReadAgreementFile,
    UseAgreement,
)
from opkit.wire.clearing import (
    LIST_POSITIONS,
    POST_OFFER,
    READ_EXCHANGE,
    AskClearing,
    Exchange,
    ExchangeAnswer,
    ListPositions,
    PostOffer,
)
from opkit.wire.clearing import Evidence as Exchanged
from opkit.wire.errors import Unreachable
from opkit.wire.governance import EXECUTE_PROPOSAL, ExecuteProposal, ProposalView
from opkit.wire.ledger import Entry
from opkit.wire.network import NODE, AskNode
from opkit.wire.terms import AgreementEffect, ClearingTerms, Provision, Terms

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.wire.base import MemberId, RecordId, Slug

RIVER, BRIGHT, CDN = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "fingerlakes-cdn",
)
PARTIES = (BRIGHT, RIVER)
KEEPERS = (RIVER, BRIGHT, CDN)
"""Who holds a copy: both parties, and Finger Lakes, which facilitates."""

MARA, THEO, INES, PAVEL = (f"{RIVER}/{name}" for name in ("mara", "theo", "ines", "pavel"))
HUGO, LEILA, BRAM, YUKI = (f"{BRIGHT}/{name}" for name in ("hugo", "leila", "bram", "yuki"))
EDITH = f"{CDN}/edith"

VOTERS: Mapping[Slug, tuple[MemberId, ...]] = {
    RIVER: (MARA, THEO, INES, PAVEL),
    BRIGHT: (HUGO, LEILA, BRAM, YUKI),
}
SPEAKERS: Mapping[Slug, MemberId] = {RIVER: MARA, BRIGHT: HUGO, CDN: EDITH}
"""Who speaks for each organisation at its own node."""

UNIT = "commons-credits"
TITLE = "Machines for maintenance"
TERM_DAYS, NOTICE_DAYS, IMBALANCE_MAX, MORE = 90, 30, 100, 200
PROVISIONS = (
    Provision(by=RIVER, to=BRIGHT, what="off-peak access to lathe, drill press and bandsaw"),
    Provision(by=BRIGHT, to=RIVER, what="maintenance hours", quantity=20, per="quarter"),
)
PERIOD = "2026-03"
"""The month that is settled, with the telling's own label behind it."""


def speaker(world: World, org: Slug) -> NodeClient:
    """Return the client of who speaks for an organisation at its own node."""
    return world.client(org, SPEAKERS[org])


async def terms_of(world: World, **changes: Any) -> Terms:
    """Return this telling's own terms, in force from now on in world time."""
    now_ms = (await speaker(world, RIVER).call(NODE, AskNode())).world_ms
    said: dict[str, Any] = {
        "network": world.genesis.network,
        "parties": PARTIES,
        "facilitator": CDN,
        "arbiter": CDN,
        "title": TITLE,
        "text": f"For the quarter, as told under {label_of(world.run_id)}.",
        "provisions": PROVISIONS,
        "starts_ms": now_ms,
        "term_days": TERM_DAYS,
        "renewable": True,
        "notice_days": NOTICE_DAYS,
        "clearing": ClearingTerms(unit=UNIT, imbalance_max=IMBALANCE_MAX, settled="monthly"),
    }
    return Terms(**{**said, **changes})


async def put_to_vote(world: World, coop: Slug, terms: Terms, *, name: str) -> ProposalView:
    """Have a coop's speaker propose to adopt terms, and four of its five members vote for it."""
    by = SPEAKERS[coop]
    effect = AgreementEffect(action="adopt", agreement=agreement_id(terms), terms=terms)
    signed = await drafted(
        world,
        by,
        effect,
        proposal_id=f"{name}-{label_of(world.run_id)}",
        title=terms.title,
        text=terms.text,
    )
    view = await opened(world, by, signed)
    await vote(world, view, all_yes(*VOTERS[coop]))
    return view


async def counted(world: World, view: ProposalView) -> ProposalView:
    """Close a vote whose week is over."""
    return await closed(world, SPEAKERS[view.coop], view)


async def signed_by(world: World, view: ProposalView) -> AgreementView:
    """Have a coop's home sign what the coop decided, and return the agreement as it has it."""
    ask = ExecuteProposal(
        coop=view.coop,
        proposal_id=view.proposal_id,
        decision=view.decision,
        effect=view.effect,
        treasury_nonce=view.treasury_nonce,
    )
    done = await speaker(world, view.coop).call(EXECUTE_PROPOSAL, ask)
    return await held(world, view.coop, done.agreement or "")


async def held(world: World, org: Slug, agreement: RecordId) -> AgreementView:
    """Return an agreement as an organisation's node has it."""
    return await speaker(world, org).call(READ_AGREEMENT, ReadAgreement(agreement=agreement))


async def file_at(world: World, org: Slug, agreement: RecordId) -> bytes:
    """Return the bytes of an agreement's file as an organisation's node keeps them."""
    ask = ReadAgreementFile(agreement=agreement)
    return (await speaker(world, org).call(READ_AGREEMENT_FILE, ask)).file


async def used(world: World, org: Slug, agreement: RecordId) -> AgreementInForce:
    """Use an agreement at an organisation's node: it has to be in force."""
    return await speaker(world, org).call(USE_AGREEMENT, UseAgreement(agreement=agreement))


async def arrived(world: World, org: Slug, agreement: RecordId, *, signatures: int) -> bytes:
    """Return the file of an agreement once a node holds it with as many signatures."""

    async def look() -> bytes:
        try:
            return await file_at(world, org, agreement)
        except (AgreementUnknown, Unreachable):
            return b""

    return await until(
        look,
        lambda data: bool(data) and len(read(data).signatures) >= signatures,
        what=f"{signatures} signatures at {org}",
    )


async def silent(world: World, org: Slug) -> str:
    """Return how an organisation's node fails to answer; empty if it answers."""
    try:
        await speaker(world, org).ask_once(NODE, AskNode())
    except Unreachable as gone:
        return str(gone)
    return ""


def read(data: bytes) -> AgreementFile:
    """Return an agreement's file from its bytes; nothing in it is verified."""
    return AgreementFile.model_validate_json(data)


async def offer(
    world: World, by: Slug, agreement: RecordId, *, payer: Slug, payee: Slug, amount: int, what: str
) -> Exchange:
    """Have one side offer an exchange to the other."""
    ask = PostOffer(
        agreement=agreement,
        exchange_id=f"{what.replace(' ', '-')}-{label_of(world.run_id)}",
        payer=payer,
        payee=payee,
        unit=UNIT,
        amount=amount,
        what=what,
    )
    return await speaker(world, by).call(POST_OFFER, ask)


async def posted(world: World, org: Slug, exchange: RecordId) -> ExchangeAnswer:
    """Return an exchange once an organisation's node has posted its half of it."""

    async def look() -> ExchangeAnswer:
        ask = AskClearing(exchange=exchange, coop=org)
        return await speaker(world, org).call(READ_EXCHANGE, ask)

    return await until(
        look,
        lambda answer: answer.exchange.entry is not None,
        what=f"the half of {org}",
    )


async def entry_of(world: World, org: Slug, exchange: RecordId) -> list[Entry]:
    """Return the entries of an organisation's books that are for an exchange."""
    entries = await entries_of(speaker(world, org), org)
    return [each for each in entries if each.cause is not None and each.cause.id == exchange]


async def heads(world: World) -> dict[Slug, str]:
    """Return where the journal of each side is now: what is posted next comes after it."""
    return {org: await journal_head(speaker(world, org)) for org in PARTIES}


async def exchanged(
    world: World,
    evidence: Exchanged,
    entries: Mapping[Slug, list[Entry]],
    *,
    under: AgreementFile,
    after: Mapping[Slug, str],
) -> ExchangeProof:
    """Return an exchange with each side's entries, and that its home has them in its journal.

    Args:
        evidence: what was signed of it.
        entries: by side, those for it.
        under: the agreement of its leg.
        after: by side, where its journal was before.
    """
    halves = [
        await proven(speaker(world, org), entry, after=after[org])
        for org in PARTIES
        for entry in entries[org]
    ]
    return ExchangeProof(evidence=evidence, agreements=(under,), halves=tuple(halves))


async def position(world: World, org: Slug, agreement: RecordId) -> int:
    """Return how an organisation stands under an agreement: what the other side owes it."""
    ask = ListPositions(agreement=agreement, coop=org)
    found = await speaker(world, org).call(LIST_POSITIONS, ask)
    return sum(each.balance for each in found.positions if each.unit == UNIT)


async def mirrored(world: World, agreement: RecordId, *, bright: int) -> list[Check]:
    """Return the checks that both sides see the same position, with opposite sign."""
    at_bright, at_river = [await position(world, org, agreement) for org in (BRIGHT, RIVER)]
    return [
        same("BrightWorks has to come", expected=bright, actual=at_bright),
        same("River City has to come", expected=-bright, actual=at_river),
    ]


def cites(file: AgreementFile, decisions: Mapping[Slug, RecordId | None]) -> list[Check]:
    """Return the checks that each party's signature cites that coop's own decision."""
    cited = {each.coop: jws.record_id(each.decision) for each in file.signatures}
    return [
        *(
            same(f"{coop} signs because of", expected=decisions[coop], actual=cited.get(coop, ""))
            for coop in PARTIES
        ),
        same("who signs", expected=", ".join(PARTIES), actual=", ".join(sorted(cited))),
    ]
