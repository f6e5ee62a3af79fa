"""Figures of runs as one page that opens offline: shapes in SVG, words as ordinary text.

Words keep their size however wide the page is, so that it can be read on a projector and on a
phone; colours are the tokens of all pages, so that both themes are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

from opkit.views.page import page

Tone = Literal["done", "shield", "run"]

STYLE: Final = """<style>
main.figures{grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr))}
.plot{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.3rem .6rem;margin-top:.8rem}
.plot .field{position:relative;height:17rem;border-left:1px solid var(--opkit-soft);
border-bottom:1px solid var(--opkit-soft)}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot svg *{vector-effect:non-scaling-stroke;fill:none;stroke-width:2.5}
.plot .grid{stroke:var(--opkit-line);stroke-width:1}
.plot .ys{position:relative;min-width:2.6rem}
.plot .xs{position:relative;grid-column:2;height:1.4rem}
.plot .ys span,.plot .xs span{position:absolute;color:var(--opkit-soft);font-size:.85rem;
white-space:nowrap;line-height:1}
.plot .ys span{right:0;transform:translateY(50%)}
.plot .xs span{transform:translateX(-50%)}
.plot .xs span:last-child{transform:translateX(-100%)}
.plot .below{grid-column:2;text-align:right;color:var(--opkit-soft);font-size:.85rem}
.plot .dot{position:absolute;width:9px;height:9px;margin:-4.5px;border-radius:50%;
background:currentColor}
.tone-done{color:var(--opkit-done);stroke:var(--opkit-done)}
.tone-shield{color:var(--opkit-shield);stroke:var(--opkit-shield);stroke-dasharray:7 5}
.tone-run{color:var(--opkit-run);stroke:var(--opkit-run);stroke-dasharray:2 5}
.keys{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:.6rem 0 0;padding:0;
font-size:.85rem}
.keys svg{width:2rem;height:.6rem;vertical-align:middle;margin-right:.4rem}
.keys svg *{stroke-width:2.5}
.numbers{display:flex;flex-wrap:wrap;gap:.6rem 2.4rem}
.numbers b{display:block;font-size:1.7rem;line-height:1.2}
</style>"""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A scale from `low` to `high` with the words that stand at it; `log`: by powers of ten."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value stands, in percent of the axis."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line. `dots` marks each point, where there are few of them."""

    name: str
    points: tuple[tuple[float, float], ...]
    tone: Tone = "done"
    dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A question and the lines that answer it; `said` is the answer in words."""

    question: str
    said: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]


def figures_page(
    *, title: str, said: str, numbers: Sequence[tuple[str, str]], figures: Sequence[Figure]
) -> str:
    """Return the whole page.

    Args:
        title: what was run.
        said: how it went, in one sentence.
        numbers: figures worth a large type, each with what it is.
        figures: what is drawn.
    """
    shown = "".join(
        f"<div><b>{escape(value)}</b><span class=soft>{escape(name)}</span></div>"
        for name, value in numbers
    )
    body = (
        f"{STYLE}<header><strong>opkit</strong><span class=soft>{escape(title)}</span>"
        '<button type="button" id="theme" class="act">Light or dark</button></header>'
        f'<main class="figures"><section class="card wide"><h1>{escape(said)}</h1>'
        f'<div class="numbers">{shown}</div></section>'
        f"{''.join(figure_card(each) for each in figures)}</main>"
    )
    return page(title=escape(title), body=body)


def figure_card(figure: Figure, *, heading: str = "h1") -> str:
    """Return one figure as a card; `heading` is the element of its question."""
    x, y = figure.x, figure.y
    levels = "".join(
        f'<path class="grid" d="M0 {100 - y.share(value)}H100"/>' for value, _ in y.ticks
    )
    lines = "".join(_line(each, x=x, y=y) for each in figure.series)
    dots = "".join(_dots(each, x=x, y=y) for each in figure.series if each.dots)
    ys = "".join(
        f'<span style="bottom:{y.share(value)}%">{escape(text)}</span>' for value, text in y.ticks
    )
    xs = "".join(
        f'<span style="left:{x.share(value)}%">{escape(text)}</span>' for value, text in x.ticks
    )
    return (
        f'<section class="card"><{heading}>{escape(figure.question)}</{heading}>'
        f"<p>{escape(figure.said)}</p>"
        f'<span class="soft">{escape(y.label)}</span>'
        f'<div class="plot" role="img" aria-label="{escape(figure.said)}">'
        f'<div class="ys">{ys}</div><div class="field">'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'{levels}{lines}</svg>{dots}</div><div class="xs">{xs}</div>'
        f'<div class="below">{escape(x.label)}</div></div>{_keys(figure.series)}</section>'
    )


def _line(series: Series, *, x: Axis, y: Axis) -> str:
    steps = " ".join(f"{x.share(at)} {round(100 - y.share(v), 2)}" for at, v in series.points)
    return f'<path class="tone-{series.tone}" d="M{steps}"/>' if steps else ""


def _dots(series: Series, *, x: Axis, y: Axis) -> str:
    return "".join(
        f'<span class="dot tone-{series.tone}" style="left:{x.share(at)}%;'
        f'bottom:{y.share(value)}%;margin:0 0 -4.5px -4.5px"></span>'
        for at, value in series.points
    )


def _keys(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    keys = "".join(
        f'<li><svg viewBox="0 0 32 8" aria-hidden="true"><path class="tone-{each.tone}" '
        f'd="M0 4H32"/></svg>{escape(each.name)}</li>'
        for each in series
    )
    return f'<ul class="keys">{keys}</ul>'


def shares_axis(label: str) -> Axis:
    """Return an axis of shares, 0 to 100 %."""
    ticks = tuple((value, f"{value} %") for value in (0, 25, 50, 75, 100))
    return Axis(label=label, low=0, high=100, ticks=ticks)


def counts_axis(label: str, *, high: float, unit: str = "") -> Axis:
    """Return an axis from nought to a round number at or above `high`."""
    high = max(high, 1)
    step = _round_step(high / 4)
    top = math.ceil(high / step) * step
    ticks = tuple((at * step, f"{at * step:g}{unit}") for at in range(round(top / step) + 1))
    return Axis(label=label, low=0, high=top, ticks=ticks)


def _round_step(least: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, 50 … that is no less; half a one is the smallest."""
    if least <= 0.5:
        return 0.5
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least - 1e-9)
