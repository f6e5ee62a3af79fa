"""The presenter's controls: transport below the story, and apart from it what does harm.

What cuts and kills says what it will do and how to undo it before it can be pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from opkit.story.stage import Mode, StageView
from opkit.story.states import State
from opkit.views.amounts import clock_text
from opkit.views.cards import control
from opkit.views.figures import ConsoleFigures, LinkFigure, NetworkFigures

_SHAPES: Final[dict[str, str]] = {
    "repeat": '<path d="M5 4v12M15.5 4.5L8 10l7.5 5.5z"/>',
    "back": '<path d="M13 4.5L6 10l7 5.5z"/>',
    "next": '<path d="M7 4.5L14 10l-7 5.5z"/>',
}
"""Drawings in a square of 20 units."""


LOSSES_PERMILLE: Final = (50, 200)
DELAYS_MS: Final = (50, 200)
"""What a presenter can choose from: enough to be seen, and little enough that stories go on."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A kind of deed: its opening button, the question, what it will do, why there is none."""

    opener: str
    question: str
    effect: str
    nothing: str
    controls_of: Callable[[NetworkFigures], list[str]]


def transport(figures: ConsoleFigures) -> str:
    """Return how far the story is, and for a presenter the buttons that lead it."""
    stage = figures.stage
    if stage is None:
        return ""
    buttons = _buttons(stage) if figures.may_act else ""
    total = len(stage.steps)
    return (
        f"{buttons}"
        f'<progress max="{total}" value="{stage.told}" aria-label="Sentences told"></progress>'
        f'<span class="tell-count">{stage.told} of {total}<i>{_mode(stage)}</i></span>'
        f"{_endings(stage) if figures.may_act else ''}"
    )


def deeds(figures: ConsoleFigures, *, chosen: str = "") -> str:
    """Return what can be done to the network; `chosen` is the kind whose list is open."""
    return disturb(figures.network, chosen=chosen) if figures.may_act else ""


def disturb(network: NetworkFigures, *, chosen: str = "", kinds: Sequence[str] = ()) -> str:
    """Return the buttons that disturb a network, for a presenter.

    Args:
        network: the network now.
        chosen: the kind whose list is open; empty if none is.
        kinds: which there are, in their order; none named: all.
    """
    listed = {name: _KINDS[name].controls_of(network) for name in kinds or _KINDS}
    buttons = "".join(
        _opener(name, count=len(each), is_open=name == chosen) for name, each in listed.items()
    )
    whole = _whole(network) if chosen == "heal" else ""
    panel = _panel(_KINDS[chosen], listed[chosen], whole) if chosen in listed else ""
    return f"{panel}{buttons}"


def _opener(name: str, *, count: int, is_open: bool) -> str:
    """Return the button that opens a list; how much is broken stands on the one that heals."""
    heals = name == "heal"
    return control(
        f"Heal ({count})…" if heals and count else _KINDS[name].opener,
        "deeds",
        kind="plain" if heals else "danger",
        about=_KINDS[name].effect,
        pressed=is_open,
        open="" if is_open else name,
    )


def _whole(network: NetworkFigures) -> str:
    """Return the button that ends all that lasts, if that is more than one thing."""
    if len(network.lasting) < 2:
        return ""
    return f"<li>{control('Heal everything', 'heal', kind='main')}</li>"


def _panel(kind: _Kind, listed: list[str], first: str) -> str:
    said = kind.effect if listed else kind.nothing
    rows = "".join(f"<li>{each}</li>" for each in listed)
    leave = control("Leave it as it is", "deeds", key="Escape", open="")
    return (
        f'<section class="card tell-panel" aria-label="{kind.question}"><h2>{kind.question}</h2>'
        f'<p class="soft">{said}</p><ul>{first}{rows}</ul>{leave}</section>'
    )


def _between(network: NetworkFigures, link: LinkFigure) -> str:
    titles = {node.org: node.title for node in network.nodes}
    return f"{titles.get(link.a, link.a)} – {titles.get(link.b, link.b)}"


def _cuts(network: NetworkFigures) -> list[str]:
    return [
        control(_between(network, link), "cut", a=link.a, b=link.b)
        for link in network.links
        if link.state != "cut"
    ]


def _kills(network: NetworkFigures) -> list[str]:
    return [
        control(node.title, "kill", org=node.org) for node in network.nodes if node.health != "down"
    ]


def _weather(_: NetworkFigures) -> list[str]:
    return [
        *(
            control(f"Lose {permille // 10} % on every link", "loss", permille=f"{permille}")
            for permille in LOSSES_PERMILLE
        ),
        *(
            control(f"Delay every link by {ms} ms each way", "delay", ms=f"{ms}")
            for ms in DELAYS_MS
        ),
    ]


def _parts(network: NetworkFigures) -> list[str]:
    return [
        control(f"{node.title} on one side, all others on the other", "partition", org=node.org)
        for node in network.nodes
    ]


def _heals(network: NetworkFigures) -> list[str]:
    lasting = [
        control(
            f"End: {each.sentence}",
            "heal",
            about=f"It ends by itself at {clock_text(each.ends_ms)} UTC",
            number=f"{each.number}",
        )
        for each in network.lasting
        if each.kind != "kill"
    ]
    parted = {pair for each in network.lasting for pair in each.links}
    links = [
        control(f"Mend {_between(network, link)}", "heal", a=link.a, b=link.b)
        for link in network.links
        if link.state == "cut" and frozenset((link.a, link.b)) not in parted
    ]
    harmed = {each.org for each in network.lasting if each.kind != "kill"}
    nodes = [
        control(f"Start {node.title} again", "restart", org=node.org)
        for node in network.nodes
        if node.health == "down" and node.org not in harmed
    ]
    return [*lasting, *links, *nodes]


_KINDS: Final[dict[str, _Kind]] = {
    "cut": _Kind(
        opener="Cut a link…",
        question="Which link shall be cut?",
        effect="No byte passes between the two until you heal it. The nodes are not told why.",
        nothing="There is no link left that could be cut.",
        controls_of=_cuts,
    ),
    "kill": _Kind(
        opener="Kill a node…",
        question="Which node shall be killed?",
        effect="Its process ends at once, without warning. Heal starts it again, with its data.",
        nothing="No node is up that could be killed.",
        controls_of=_kills,
    ),
    "weather": _Kind(
        opener="Bad links…",
        question="How shall every link be?",
        effect="What is lost or late is so for ten minutes, or until you heal it.",
        nothing="There is no link.",
        controls_of=_weather,
    ),
    "part": _Kind(
        opener="Partition…",
        question="Where shall the network be parted?",
        effect="No byte passes between the two sides for ten minutes, or until you heal it.",
        nothing="There is no node.",
        controls_of=_parts,
    ),
    "heal": _Kind(
        opener="Heal…",
        question="What shall be mended?",
        effect="Links carry again; nodes start again with the data they had.",
        nothing="Nothing is broken: every node is up and nothing hinders a link.",
        controls_of=_heals,
    ),
}


def _buttons(stage: StageView) -> str:
    over = stage.mode in {Mode.ENDED, Mode.STOPPED}
    busy = stage.mode in {Mode.OPENING, Mode.SKIPPING}
    running = any(step.state is State.RUNNING for step in stage.steps)
    at_last = stage.shown >= stage.told - 1 + running
    stuck = busy or (at_last and (running or over))
    fresh = stage.told == 0 and not running
    return (
        _shaped("repeat", "Repeat: tell it again up to this sentence", key="r", off=fresh)
        + _shaped("back", "Back: show the sentence before", key="ArrowLeft", off=stage.shown == 0)
        + _main(playing=stage.mode in {Mode.PLAYING, Mode.SKIPPING}, over=over)
        + _shaped("next", "Next: tell one sentence", key="ArrowRight", off=stuck)
    )


def _main(*, playing: bool, over: bool) -> str:
    if over:
        return control("Tell again", "again", kind="main", key=" ")
    if playing:
        return control("Pause", "pause", kind="main", key=" ")
    return control("Play", "play", kind="main", key=" ")


def _shaped(act: str, label: str, *, key: str, off: bool) -> str:
    return (
        f'<button type="button" class="act tell-shape" data-act="{act}" data-key="{key}" '
        f'aria-label="{label}" title="{label}"{" disabled" if off else ""}>'
        f'<svg viewBox="0 0 20 20" aria-hidden="true">{_SHAPES[act]}</svg></button>'
    )


def _endings(stage: StageView) -> str:
    """Return the way back to the choice of stories."""
    words = "Other story" if stage.mode in {Mode.ENDED, Mode.STOPPED} else "End"
    return control(words, "close", about="End this telling and choose another story")


def _mode(stage: StageView) -> str:
    if stage.mode is Mode.WAITING and any(step.state is State.RUNNING for step in stage.steps):
        return "telling"
    return {
        Mode.OPENING: "getting ready",
        Mode.WAITING: "waiting",
        Mode.PLAYING: "playing",
        Mode.SKIPPING: "skipping ahead",
        Mode.ENDED: "told whole",
        Mode.STOPPED: "stopped",
    }[stage.mode]
