"""What was done to a network on purpose, as sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    "fresh-keys": "A stranger gave {against} a valid record of each of 10,000 new keys",
    "half-frames": "A stranger began many questions to {against} and ended none",
    "unread": "A stranger asked {against} a lot and read no answer",
    "dht-empty": "A node beside {against} says that it knows nobody and has nothing",
    "dht-wrong": "A node beside {against} names neighbours that do not exist",
    "dht-old": "A node beside {against} hands out old records",
    "dht-unasked": "A node beside {against} hands out records that nobody asked for",
    "dht-forging": "A node beside {against} hands out forged records",
    "reconcile-endless": "A node beside {against} never agrees about what both keep",
    "reconcile-empty-handed": "A node beside {against} lists records that it never gives",
    "name-unsigned": "A stranger sent {against} records of a name that nobody signed",
    "name-forged": "A stranger sent {against} records of a name that it signed itself",
    "name-stale": "A stranger sent {against} an old record of a name again",
    "relay": "A node that joined {against} shows another one's challenge as its own",
    "eclipse": "Many keys of one stranger surrounded the place of {against}",
    "half-open": "A stranger kept many connections to {against} and never said who it is",
}

_DEEDS: Final[dict[str, str]] = {
    "stop-hostile": "The stranger left again",
    "kill": "The node of {org} was killed",
    "restart": "The node of {org} was started again",
    "old-state": "The node of {org} was started with an older state, {state}",
    "save": "The state of {org} was copied",
    "pause": "The node of {org} was paused",
    "skew": "The node of {org} got a clock that is {off}",
    "cut": "{links} {were} cut",
    "loss": "{links} {lose} {share} of what passes",
    "delay": "{links} {hold} what passes for {delay}",
    "rate": "{links} {carry} {rate} and no more",
    "partition": "The network was parted: {groups}",
    "pass-time": "World time was moved ahead by {days}",
}

_HEALED: Final[dict[str, str]] = {
    "kill": "The node of {org} was started again",
    "old-state": "The node of {org} got its newest state back",
    "pause": "The node of {org} goes on",
    "skew": "The clock of {org} was set right",
    "loss": "{links} {lose} nothing on purpose any more",
    "delay": "{links} {hold} nothing back any more",
    "rate": "{links} {carry} as much as they can again",
    "partition": "The parts of the network were joined again: {groups}",
}

_FAILED: Final = "What was done to {org} could not be undone; look at its log"


def lasting_sentence(lasting: Mapping[str, Any], *, titles: Mapping[str, str]) -> str:
    """Return what lasts now as a sentence, as `deed_sentence` tells it when it begins."""
    return deed_sentence(lasting, titles=titles)


def deed_sentence(deed: Mapping[str, Any], *, titles: Mapping[str, str]) -> str:
    """Return one disturbance as a sentence without its full stop; plain text, not markup.

    Args:
        deed: the line as it was journalled: `what`, and what belongs to it.
        titles: the organisations' names for people, by their ids; an unknown id is shown as it is.
    """
    sentence = _sentence(deed)
    if sentence is None:
        return str(deed.get("what", "something was done")).replace("_", "-")

    def title(org: Any) -> str:
        return titles.get(str(org), str(org))

    def listed(orgs: Any) -> str:
        titled = list(map(title, orgs)) if isinstance(orgs, list) else [title(orgs)]
        return " and ".join((*([", ".join(titled[:-1])] if titled[:-1] else []), *titled[-1:]))

    groups = deed.get("groups")
    days = deed.get("days", 0)
    return sentence.format(
        against=listed(deed.get("against", [])),
        org=title(deed.get("org", "")),
        state=deed.get("state", ""),
        days="one day" if days == 1 else f"{days} days",
        groups=" | ".join(map(listed, groups)) if isinstance(groups, list) else "",
        share=_percent(deed.get("share_permille", 0)),
        delay=_delay(deed),
        rate=f"{deed.get('rate_kbit_s', 0)} kbit/s",
        off=_off(deed.get("by_ms", 0)),
        **_on_links(deed, title),
    )


def _sentence(deed: Mapping[str, Any]) -> str | None:
    """Return the sentence with its gaps; None for what is not known here."""
    what = str(deed.get("what", "")).replace("_", "-")
    if what == "hostile":
        return _HOSTILE.get(str(deed.get("kind", "")))
    if what == "heal":
        return _HEALED.get(str(deed.get("of", "")), "{links} {were} mended")
    if what == "heal-failed":
        return _FAILED
    return _DEEDS.get(what)


def _on_links(deed: Mapping[str, Any], title: Callable[[Any], str]) -> dict[str, str]:
    """Return which links are meant, and the verbs in their number."""
    orgs = deed.get("orgs")
    if "a" in deed or not isinstance(orgs, list):
        links = f"The link between {title(deed.get('a', ''))} and {title(deed.get('b', ''))}"
        return {"links": links, "were": "was", "lose": "loses", "hold": "holds", "carry": "carries"}
    links = "All links"
    if len(orgs) == 1:
        links = f"All links of {title(orgs[0])}"
    elif orgs:
        links = f"The links among {', '.join(map(title, orgs))}"
    return {"links": links, "were": "were", "lose": "lose", "hold": "hold", "carry": "carry"}


def _percent(permille: Any) -> str:
    return f"{permille / 10:g} %" if isinstance(permille, int) else "some"


def _delay(deed: Mapping[str, Any]) -> str:
    jitter_ms = deed.get("jitter_ms", 0)
    return f"{deed.get('delay_ms', 0)} ms" + (f" ± {jitter_ms} ms" if jitter_ms else "")


def _off(by_ms: Any) -> str:
    """Return by how much a clock is wrong, in the largest whole unit."""
    if not isinstance(by_ms, int):
        return "wrong"
    size = abs(by_ms)
    units = ((3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms"))
    unit_ms, unit = next(each for each in units if size % each[0] == 0)
    return f"{size // unit_ms} {unit} {'ahead' if by_ms > 0 else 'behind'}"
