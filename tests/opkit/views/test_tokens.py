"""One set of tokens: readable in both themes, the same for pages and terminals."""

from __future__ import annotations

import pytest

from opkit.views.terminal import theme
from opkit.views.tokens import DARK, LIGHT, contrast, css_tokens

TEXT = ("ink", "soft", "done", "shield", "run", "fail")


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", TEXT)
def test_text_is_readable_on_ground_card_and_tint(tokens, name):
    grounds = [tokens["paper"], tokens["card"]]
    grounds += [tokens[f"{name}-tint"]] if f"{name}-tint" in tokens else []
    for ground in grounds:
        assert contrast(tokens[name], ground) >= 4.5


def test_both_themes_have_the_same_tokens():
    assert LIGHT.keys() == DARK.keys()


def test_the_theme_follows_the_system_and_can_be_switched():
    css = css_tokens()

    assert "prefers-color-scheme:dark" in css
    assert ":root[data-theme=dark]" in css
    assert ":root:not([data-theme=light])" in css


def test_contrast_of_black_on_white_is_twenty_one():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_terminal_uses_the_same_colours():
    assert theme().styles["done"].color.triplet.hex == DARK["done"]
    assert theme(dark=False).styles["fail"].color.triplet.hex == LIGHT["fail"]
    assert theme(colours="standard").styles["shield"].color.name == "magenta"
