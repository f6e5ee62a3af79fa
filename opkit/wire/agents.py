"""What an agent says of itself: a signed A2A 1.0 Agent Card, and the record that leads to it.

The card is what any A2A client reads and verifies. What only this network knows of an agent stands
in one declared extension of the card, under the card's own signature. The record of the namespace
`card` names the card by its content and, if it is small, has it in it. Source: ADR 0036; the
Agent2Agent protocol, version 1.0, sections 4.4 and 8.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from opkit.wire.base import B64, SAFE_INT_MAX, Cid, Count, Did, NetworkId, Slug, Wire

CARD_PATH = "/.well-known/agent-card.json"
"""Where A2A clients look for the card of whoever serves there. Source: RFC 8615."""

A2A_JSONRPC_PATH = "/a2a/"
"""Where a node answers A2A by JSON-RPC, below its HTTP endpoint."""

A2A_REST_PATH = "/a2a/v1"
"""Below what a node answers A2A by HTTP and JSON."""

A2A_VERSION = "1.0"
"""The version of A2A that nodes speak."""

EXTENSION_URI = "urn:opkit:a2a:agent:1"
"""Names the extension whose `params` are an `AgentParams`."""

CARD_INLINE_BYTES_MAX = 8_192
"""The largest card that stands in its record; a larger one is fetched by its CID."""

CARD_BYTES_MAX = 65_536
"""The largest card: bytes of its canonical JSON with its signatures."""

CARD_TERM_MS_MAX = 7 * 24 * 3_600_000
"""The longest term of a record that leads to a card."""

CARD_ADDRESSES_MAX = 4
PRICES_MAX = 8
POST_QUANTUM_KEY_BYTES_MAX = 4_096

PeerAddress = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,64}$")]
"""Where the node can be dialled by peers, in the words of the transport."""

CardSequence = Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
"""A card's place among those of its agent: of two, the higher one is the newer one."""


class Price(Wire):
    """What an agent asks for: so many millionths of a unit for each of something."""

    unit: Slug
    per: Slug
    micro: Count


class PostQuantumKey(Wire):
    """A key of the agent's for a time when Ed25519 does not hold any more; nothing uses it yet."""

    alg: Slug
    key: Annotated[B64, Field(max_length=POST_QUANTUM_KEY_BYTES_MAX)]


class AgentParams(Wire):
    """What this network knows of an agent beside A2A: the `params` of `EXTENSION_URI`.

    What is empty is left out of the card.

    Attributes:
        did: whose card it is: the agent's key, which signed it.
        node: the node at which the agent is served; where that is, the node's own record says.
        addresses: where peers may dial that node: hearsay until the key answers there.
        prices: what it asks for.
        post_quantum_key: room for a key of another kind.
    """

    network: NetworkId
    did: Did
    sequence: CardSequence
    node: Did | None = None
    addresses: Annotated[tuple[PeerAddress, ...], Field(max_length=CARD_ADDRESSES_MAX)] = ()
    region: Slug | None = None
    prices: Annotated[tuple[Price, ...], Field(max_length=PRICES_MAX)] = ()
    post_quantum_key: PostQuantumKey | None = None


class CardValue(Wire):
    """What an agent says in the namespace `card`, under its own DID: this is my card.

    Attributes:
        cid: names the card: canonical JSON with its signatures.
        size_bytes: how many bytes that are.
        card: the card itself if it is no larger than `CARD_INLINE_BYTES_MAX`, else None.
    """

    cid: Cid
    size_bytes: Annotated[int, Field(ge=1, le=CARD_BYTES_MAX)]
    card: dict[str, Any] | None
