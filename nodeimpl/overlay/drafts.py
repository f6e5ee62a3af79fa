"""What is to be told one peer, gathered until it is sent: one frame, or as few as hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from nodeimpl.overlay.messages import Message
from opkit.wire.gossip import ENVELOPES_MAX, IDS_MAX, TOPICS_MAX, Gossip, Have, Prune, packed

LINKS_REMEMBERED = 256

Endings = Callable[[int], tuple[str, ...]]


@dataclass(slots=True, eq=False)
class Draft:
    """The parts of the next frame. What takes back what was said before takes its place."""

    subscriptions: dict[str, bool] = field(default_factory=dict)
    links: dict[str, int | None] = field(default_factory=dict)
    """Of a topic: None grafts, a number of milliseconds prunes for so long."""
    publish: list[Message] = field(default_factory=list)
    have: dict[str, list[bytes]] = field(default_factory=dict)
    want: list[bytes] = field(default_factory=list)

    def plain(self) -> bool:
        """Return whether it holds messages and nothing else."""
        return not (self.subscriptions or self.links or self.have or self.want)

    def held(self) -> int:
        """Return how much it holds."""
        ids = len(self.want) + sum(map(len, self.have.values()))
        return len(self.subscriptions) + len(self.links) + len(self.publish) + ids

    def frames(self, *, bytes_max: int, endings: Endings) -> list[Gossip]:
        """Return what it holds as frames, in the order in which they take effect.

        Args:
            bytes_max: what messages of one frame have, unless a single one has more.
            endings: by what a frame names the peers of these bits.
        """
        plain = self.plain()
        found = [] if plain else list(self._speak())
        batches = list(batched(self.publish, bytes_max=bytes_max, endings=endings))
        if len(found) == len(batches) == 1:
            told = {"publish": batches[0].publish, "also": batches[0].also}
            return [found[0].model_copy(update=told)]
        return [*found, *batches]

    def _speak(self) -> Iterator[Gossip]:
        """Yield frames of all but the messages; where one holds it all, that is one."""
        haves = [
            Have(topic=topic, ids=packed(ids[at : at + IDS_MAX]))
            for topic, ids in self.have.items()
            for at in range(0, len(ids), IDS_MAX)
        ]
        wants = [packed(self.want[at : at + IDS_MAX]) for at in range(0, len(self.want), IDS_MAX)]
        said, links = tuple(self.subscriptions.items()), tuple(self.links.items())
        first = _of_links(said, links)
        if haves or wants:
            told = {"have": tuple(haves[:TOPICS_MAX]), "want": wants[0] if wants else b""}
            first = first.model_copy(update=told)
        yield first
        for at in range(TOPICS_MAX, len(haves), TOPICS_MAX):
            yield Gossip(have=tuple(haves[at : at + TOPICS_MAX]))
        for want in wants[1:]:
            yield Gossip(want=want)


@lru_cache(maxsize=LINKS_REMEMBERED)
def _of_links(
    said: tuple[tuple[str, bool], ...], links: tuple[tuple[str, int | None], ...]
) -> Gossip:
    """Return the frame that says this of topics and meshes; most peers are told the same."""
    return Gossip(
        subscribe=tuple(topic for topic, wanted in said if wanted),
        unsubscribe=tuple(topic for topic, wanted in said if not wanted),
        graft=tuple(topic for topic, stays in links if stays is None),
        prune=tuple(
            Prune(topic=topic, back_off_ms=stays) for topic, stays in links if stays is not None
        ),
    )


def batched(messages: list[Message], *, bytes_max: int, endings: Endings) -> Iterator[Gossip]:
    """Yield frames of so many messages each as fit; a message that is larger has its own."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        if batch and (size + message.bytes > bytes_max or len(batch) == ENVELOPES_MAX):
            yield _of_messages(batch, endings)
            batch, size = [], 0
        batch.append(message)
        size += message.bytes
    if batch:
        yield _of_messages(batch, endings)


def _of_messages(batch: list[Message], endings: Endings) -> Gossip:
    """Return the frame of messages, and of those who have each of them or were sent it by us."""
    reached = -1
    for message in batch:
        reached &= (message.known_by | message.sent_to) & ~message.hinted
    # If it is one peer alone, it is the receiver.
    also = endings(reached) if reached & (reached - 1) else ()
    # Each part was checked when it came or was made.
    return Gossip.model_construct(publish=tuple(each.envelope for each in batch), also=also)
