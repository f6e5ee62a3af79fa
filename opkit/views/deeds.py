"""What was done to a network on purpose, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_HOSTILE: Final[dict[str, str]] = {
    "tampering-provider": "A liar joined and offered {against} other bytes",
    "short-provider": "A liar joined and offered {against} bytes that end too early",
    "endless-provider": "A liar joined and offered {against} bytes that never end",
    "silent": "A peer joined {against} and never answered",
    "unsigned": "A stranger sent {against} records without signatures",
    "forged": "A stranger sent {against} records with others' signatures",
    "stale": "A stranger sent {against} records whose time is over",
    "replayed": "A stranger sent {against} an old record again and again",
    "future": "A stranger sent {against} records from the future",
    "oversized": "A stranger sent {against} frames that are too large",
    "nested": "A stranger sent {against} values without end within each other",
    "undecodable": "A stranger sent {against} bytes that are no text",
    "flood": "A stranger flooded {against} with forged announcements",
    "flood-puts": "A stranger flooded {against} with forged records to keep",
    "half-frames": "A stranger began many questions to {against} and ended none",
    "unread": "A stranger asked {against} a lot and read no answer",
    "half-open": "A stranger kept many connections to {against} and never said who it is",
}

_DEEDS: Final[dict[str, str]] = {
    "stop-hostile": "The stranger left again",
    "kill": "The node of {org} was killed",
    "restart": "The node of {org} was started again",
    "cut": "The link between {a} and {b} was cut",
    "heal": "The link between {a} and {b} was mended",
    "pass-time": "World time was moved ahead by {days}",
}


def deed_sentence(deed: Mapping[str, Any], *, titles: Mapping[str, str]) -> str:
    """Return one disturbance as a sentence without its full stop; plain text, not markup.

    Args:
        deed: the line as it was journalled: `what`, and what belongs to it.
        titles: the organisations' names for people, by their ids; an unknown id is shown as it is.
    """
    what = str(deed.get("what", "something was done")).replace("_", "-")
    sentence = _HOSTILE.get(str(deed.get("kind", ""))) if what == "hostile" else _DEEDS.get(what)
    if sentence is None:
        return what

    def title(org: Any) -> str:
        return titles.get(str(org), str(org))

    days = deed.get("days", 0)
    against = deed.get("against", [])
    return sentence.format(
        against=" and ".join(map(title, against)) if isinstance(against, list) else title(against),
        org=title(deed.get("org", "")),
        a=title(deed.get("a", "")),
        b=title(deed.get("b", "")),
        days="one day" if days == 1 else f"{days} days",
    )
