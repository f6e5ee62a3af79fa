"""`opkit card`: what agents say of themselves: publish, update, revoke; resolve, verify, show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from opkit.cli import anchors, exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.client.cards import CardCalls, FoundCard
    from opkit.wire.cards import PublishedCard

T = TypeVar("T")

app = out.group(
    """Agent cards: what an agent can do and where to ask it, signed by its own key.

    A card is one of the Agent2Agent protocol, version 1.0. A node makes, signs and publishes its
    own; you publish yours, and take it back.

    Examples:

      opkit card publish agent.json

      opkit card resolve AGENT

      opkit card verify card.json
    """
)

DAY_MS = 86_400_000

CardFile = Annotated[Path, typer.Argument(help="An A2A card in JSON; it need not be signed.")]
AgentDid = Annotated[str, typer.Argument(help="The agent's DID.", metavar="AGENT")]
Days = Annotated[int, typer.Option(min=1, max=7, help="For how long; publish it again before.")]
Region = Annotated[str | None, typer.Option(help="Where the agent is, such as eu-west.")]
ServedAt = Annotated[str | None, typer.Option("--at", help="The node that serves it, by its DID.")]


class Format(StrEnum):
    """How a card is shown."""

    JSON = "json"
    JSONLD = "jsonld"


@app.command()
@addressed
def publish(
    address: Address,
    file: CardFile,
    days: Days = 7,
    region: Region = None,
    served_at: ServedAt = None,
    as_json: out.Json = False,
) -> int:
    """Sign a card with your key and have the network find it under your DID.

    Example: opkit card publish agent.json --region eu-west
    """
    card = _read(file)
    return _published(
        address,
        lambda cards: cards.publish(card, node=served_at, region=region, term_ms=days * DAY_MS),
        as_json=as_json,
    )


@app.command()
@addressed
def update(
    address: Address,
    file: CardFile,
    days: Days = 7,
    region: Region = None,
    served_at: ServedAt = None,
    as_json: out.Json = False,
) -> int:
    """Put a card in the place of the one that stands; exit code 1 if none does.

    Example: opkit card update agent.json
    """
    card = _read(file)

    async def replace(cards: CardCalls, did: str) -> PublishedCard:
        await cards.resolve(did)
        return await cards.publish(card, node=served_at, region=region, term_ms=days * DAY_MS)

    target = address.resolve()
    did = _speaker(target)
    return _published(address, lambda cards: replace(cards, did), as_json=as_json)


@app.command()
@addressed
def revoke(address: Address, as_json: out.Json = False) -> int:
    """Take your card back: whoever looks is told so, for as long as it could have stood.

    Example: opkit card revoke
    """
    return _published(address, lambda cards: cards.revoke(), as_json=as_json)


@app.command()
@addressed
def resolve(address: Address, agent: AgentDid, as_json: out.Json = False) -> int:
    """Find an agent's card in the network, check it here, and say what it says.

    Example: opkit card resolve AGENT
    """
    found = _called(address.resolve(), lambda cards: cards.resolve(_agent(agent)))
    view = found.view
    said = {
        "did": agent,
        "name": view.name,
        "version": view.version,
        "can": sorted(view.tags),
        "asked at": [f"{one.protocol_binding} {one.url}" for one in view.interfaces],
        "region": view.agent.region,
        "node": view.agent.node,
        "cid": view.cid,
        "size_bytes": view.size_bytes,
        "sequence": found.sequence,
        "card_sequence": view.agent.sequence,
        "lapses_at_ms": found.lapses_at_ms,
        "cached": found.cached,
        "hops": found.hops,
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, _for_people(said)))
    return exits.DONE


@app.command()
@addressed
def show(
    address: Address,
    agent: AgentDid,
    shape: Annotated[Format, typer.Option("--format", help="json, or jsonld for export.")] = (
        Format.JSON
    ),
    to: Annotated[Path | None, typer.Option("--out", help="Write it to a file, too.")] = None,
    as_json: out.Json = False,
) -> int:
    """Print an agent's card as it was signed, or as linked data that nothing verifies.

    Examples:
      opkit card show AGENT --out card.json

      opkit card show AGENT --format jsonld
    """
    from opkit.proof.cards import as_jsonld

    found: FoundCard = _called(address.resolve(), lambda cards: cards.resolve(_agent(agent)))
    card = found.view.card if shape is Format.JSON else as_jsonld(found.view)
    text = json.dumps(card, ensure_ascii=False, indent=2)
    if to is not None:
        to.write_text(text + "\n", "utf-8")

    def human(on: Any) -> None:
        for line in text.split("\n"):
            on.print(out.plain(line), markup=False, highlight=False, soft_wrap=True)

    out.show(card, as_json=as_json, human=human)
    return exits.DONE


@app.command()
def verify(
    file: CardFile,
    genesis: anchors.GenesisOption = None,
    verbose: anchors.Verbose = False,
    as_json: out.Json = False,
) -> int:
    """Check a card offline: its agent's signature, its network, and whether its key is known there.

    Exit code 4 if it is consistent but no genesis says whose key it is. No address in it is asked.

    Example: opkit card verify card.json --genesis network.jws
    """
    from opkit.proof.cards import claimed_agent, verify_card
    from opkit.proof.checks import ProofError

    card = _read(file)
    try:
        network = claimed_agent(card)[1]
    except ProofError:
        network = ""
    view = anchors.anchor(genesis, network=network)
    verdict = verify_card(card, genesis=view)
    about: dict[str, object] = {}
    if verdict.ok:
        about["name"] = out.plain(str(card["name"]))
    return anchors.answer(verdict, as_json=as_json, verbose=verbose, about=about)


def _published(
    address: Address, say: Callable[[CardCalls], Awaitable[PublishedCard]], *, as_json: bool
) -> int:
    target = address.resolve()
    _speaker(target)
    said = _called(target, say).model_dump(mode="json")
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


def _called(target: Target, say: Callable[[CardCalls], Awaitable[T]]) -> T:
    async def call() -> T:
        async with target.client() as client:
            return await say(client.cards)

    return asyncio.run(call())


def _speaker(target: Target) -> str:
    if target.identity is None:
        raise Mistake(
            "a card is signed by its agent, and a token signs nothing",
            hint="speak with an identity: --as, or --identity",
        )
    return target.identity.did


def _agent(text: str) -> str:
    """Return the DID that somebody typed."""
    from opkit.proof.cards import public_did
    from opkit.proof.checks import ProofError

    try:
        return public_did(text)
    except ProofError as bad:
        raise Mistake(f"{text!r} names no key: {bad.why}", hint="a DID: did:key:z6Mk…") from bad


def _read(file: Path) -> dict[str, Any]:
    from opkit.proof.cards import parse_card
    from opkit.proof.checks import ProofError
    from opkit.wire.agents import CARD_BYTES_MAX

    if file.stat().st_size > 2 * CARD_BYTES_MAX:
        raise Mistake(f"{file} is too large to be a card")
    try:
        return parse_card(file.read_bytes())
    except ProofError as bad:
        raise Mistake(f"{file} is no card: {bad.why}", hint="an A2A card in JSON") from bad


def _for_people(said: dict[str, Any]) -> dict[str, object]:
    """Return facts with lists as text, of which nothing but words is printed."""
    return {
        name: ", ".join(value) if isinstance(value, list) else value for name, value in said.items()
    }
