"""What nodes tell each other without being asked: one frame that carries all of gossip.

A topic's messages are pushed to a few peers, announced by id to others, and asked for by whoever
missed them. Each is signed; its id is the record id of its JWS, so a copy that somebody signed
again is the same message. Source: ADR 0031.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.wire.base import B64, Wire
from opkit.wire.casts import PeerCast
from opkit.wire.records import Carried

ID_BYTES = 32
"""How long an id is: ids travel one after the other, as one text."""

IDS_MAX = 4_096
"""The most ids that one frame announces of a topic, or asks for."""

TOPICS_MAX = 64
"""The most topics that one frame speaks about in one way."""

ENVELOPES_MAX = 256
"""The most messages in one frame."""

ENDING_CHARACTERS = 8
"""So much of a DID's end names a peer among those of a node: a mistake costs a second."""

ENDINGS_MAX = 16
"""Of so many peers a frame says that they are sent its messages too."""

BACK_OFF_MS_MAX = 3_600_000
"""The longest time for which anybody can be told to stay away."""

Topic = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
"""What messages are about. One that a node does not know is not subscribed to, and no mistake."""

Ending = Annotated[
    str,
    StringConstraints(pattern=rf"^[1-9A-HJ-NP-Za-km-z]{{{ENDING_CHARACTERS}}}$"),
]
"""The last characters of a peer's DID."""

Topics = Annotated[tuple[Topic, ...], Field(max_length=TOPICS_MAX)]
PackedIds = Annotated[B64, Field(max_length=ID_BYTES * IDS_MAX)]


class Envelope(Wire):
    """One message on its way: the topic, and what somebody signed."""

    topic: Topic
    carried: Carried


class Have(Wire):
    """Messages that the sender has and hands out to whoever asks within half a minute."""

    topic: Topic
    ids: PackedIds


class Prune(Wire):
    """The sender pushes no more of this topic and wants no pushes, for so long at least."""

    topic: Topic
    back_off_ms: Annotated[int, Field(ge=0, le=BACK_OFF_MS_MAX)]


class Gossip(Wire):
    """Everything that one peer has to tell another at a time; each part may be missing.

    The parts take effect in the order in which they stand here.

    Attributes:
        subscribe: topics of which the sender wants to hear.
        unsubscribe: topics of which it wants to hear no more.
        graft: topics of which it pushes messages to the receiver from now on, and asks for the
            same.
        prune: topics of which it does so no longer.
        publish: messages.
        also: who has each of these messages, or was sent it by the sender, the receiver perhaps
            among them: they need not be pushed it once more. A hint, which may be wrong.
        have: ids of messages that the receiver may want.
        want: ids of messages that the sender wants, of whatever topic.
    """

    subscribe: Topics = ()
    unsubscribe: Topics = ()
    graft: Topics = ()
    prune: Annotated[tuple[Prune, ...], Field(max_length=TOPICS_MAX)] = ()
    publish: Annotated[tuple[Envelope, ...], Field(max_length=ENVELOPES_MAX)] = ()
    also: Annotated[tuple[Ending, ...], Field(max_length=ENDINGS_MAX)] = ()
    have: Annotated[tuple[Have, ...], Field(max_length=TOPICS_MAX)] = ()
    want: PackedIds = b""


def packed(ids: list[bytes]) -> bytes:
    """Return ids one after the other."""
    assert all(len(each) == ID_BYTES for each in ids), "an id is a SHA-256"
    return b"".join(ids)


def unpacked(ids: bytes) -> list[bytes]:
    """Return the single ids.

    Raises:
        ValueError: the last one is cut off.
    """
    if len(ids) % ID_BYTES:
        raise ValueError("an id is cut off")
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


GOSSIP = PeerCast(name="gossip", message=Gossip)
