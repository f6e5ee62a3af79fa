"""Figures as a page: what is drawn where, and that nothing is fetched."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from devnet.sim.plot import Axis, Figure, Series, counts_axis, figures_page, shares_axis

HOPS = Figure(
    question="How far?",
    said="2 hops <on average>",
    x=Axis(label="nodes", low=10, high=1_000, ticks=((10, "10"), (1_000, "1,000")), log=True),
    y=counts_axis("hops", high=3.2),
    series=(
        Series(name="seen", points=((10, 1), (100, 2), (1_000, 3)), dots=True),
        Series(name="fitted", points=((10, 1), (1_000, 3)), tone="shield"),
    ),
)


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.opened = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "path"}:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self.opened.pop() == tag


def test_a_page_is_whole_fetches_nothing_and_escapes_words() -> None:
    html = figures_page(title="a < b", said="well", numbers=[("what", "7 %")], figures=[HOPS])
    parser = Balanced()
    parser.feed(html)
    assert parser.opened == []
    assert "2 hops &lt;on average&gt;" in html and "a &lt; b" in html
    assert "default-src 'none'" in html and "src=" not in html.replace("default-src", "")


def test_a_point_stands_where_its_axes_say() -> None:
    html = figures_page(title="t", said="s", numbers=[], figures=[HOPS])
    assert '<path class="tone-done" d="M0.0 75.0 50.0 50.0 100.0 25.0"/>' in html
    assert html.count('class="dot') == 3
    assert "fitted</li>" in html


def test_a_line_without_points_and_one_line_alone_are_figures_too() -> None:
    alone = Figure(
        question="q",
        said="s",
        x=shares_axis("x"),
        y=shares_axis("y"),
        series=(Series(name="none", points=()),),
    )
    html = figures_page(title="t", said="s", numbers=[], figures=[alone])
    assert "M0" not in html.split("</style>")[-1].replace("M0 ", "")
    assert "keys" not in html.split("</style>")[-1]


@pytest.mark.parametrize(
    ("high", "top", "ticks"), [(3.2, 4, 5), (0.7, 1, 3), (0, 1, 3), (95, 100, 3), (1_234, 1_500, 4)]
)
def test_an_axis_ends_at_a_round_number(high, top, ticks) -> None:
    axis = counts_axis("x", high=high)
    assert axis.high == top
    assert len(axis.ticks) == ticks
    assert axis.share(top * 2) == 100 and axis.share(0) == 0
