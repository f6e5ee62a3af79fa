"""One style sheet: scoped, from tokens, fetching nothing."""

from __future__ import annotations

import re

import pytest

from opkit.views import style
from opkit.views.nav import PAGES, PageEntry
from opkit.views.page import CSS
from opkit.views.style import board_css, chrome_css, common_css
from opkit.views.tokens import DARK, LIGHT

SHEETS = {"board": board_css, "chrome": chrome_css, "common": common_css, "report": lambda: CSS}


@pytest.mark.parametrize("name", SHEETS)
def test_a_style_sheet_is_balanced_and_fetches_nothing(name):
    css = re.sub(r"/\*.*?\*/", "", SHEETS[name](), flags=re.DOTALL)

    assert css.count("{") == css.count("}")
    assert not re.search(r"@import|url\(|//", css)


@pytest.mark.parametrize("name", SHEETS)
def test_colours_stand_in_tokens_only(name):
    said = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", SHEETS[name]()))

    assert said <= {*LIGHT.values(), *DARK.values()}


def test_a_boards_rules_touch_nothing_but_the_board():
    depth, outside = 0, []
    for piece in re.findall(r"[^{}]+|[{}]", board_css()):
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
        elif depth == 0 and piece.strip():
            outside.append(piece.strip())

    scoped = (".opkit", ":root", "@media (prefers-color-scheme:dark)")
    assert all(each.startswith(scoped) or each.endswith(".opkit") for each in outside)


def test_reports_and_boards_share_their_parts():
    assert common_css() in CSS
    assert common_css() in board_css()


def test_every_page_answers_a_question():
    assert all(each.question.endswith("?") for each in PAGES)


def test_a_page_may_have_a_style_of_its_own_and_need_not(monkeypatch):
    assert ".network-board" in board_css()
    toy = (*PAGES, PageEntry("toy", "Toy", "Is a style sheet missing?"))
    monkeypatch.setattr(style, "PAGES", toy)
    assert style.board_css.__wrapped__() == board_css()


def test_a_notebooks_own_theme_is_followed():
    css = board_css()

    assert "body[data-jp-theme-light=false] .jp-LabShell .opkit" in css
    assert css.count(f"--opkit-paper:{DARK['paper']}") == 3
