"""The harness sees what it is there to see: else every other test here would prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.browser import picture

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><title>A page</title><body style="margin:0">"""


def test_an_empty_page_is_told_from_a_full_one(visit, emptiness, tmp_path: Path):
    seen = visit()
    seen.page.set_content(f"{PAGE}<header style='background:teal'>opkit</header>")
    assert emptiness(picture(seen, tmp_path / "empty.png"))
    words = "<p style='color:#345'>Words and <b style='color:#a33'>colours</b> all over.</p>" * 30
    columns = "<main style='columns:3;background:linear-gradient(#fff,#8cf)'>"
    seen.page.set_content(f"{PAGE}{columns}{words}")
    assert not emptiness(picture(seen, tmp_path / "full.png"))
    assert (tmp_path / "full.png").read_bytes().startswith(b"\x89PNG")


def test_a_request_to_the_outside_is_noted_and_goes_nowhere(visit, eventually):
    seen = visit()
    seen.page.set_content(f"{PAGE}<img src='http://cdn.example/logo.png' alt=''>")
    eventually(lambda: seen.noted.outside("http://127.0.0.1:1"), what="the request")
    assert seen.noted.outside("http://cdn.example") == []
    assert seen.noted.statuses == []


def test_errors_of_scripts_are_noted(visit, eventually):
    seen = visit()
    seen.page.set_content(f"{PAGE}<script>console.error('one'); throw new Error('two')</script>")
    eventually(lambda: len(seen.noted.errors) == 2, what="both errors")
    assert any("one" in each for each in seen.noted.errors)
    assert any("two" in each for each in seen.noted.errors)


def test_a_page_that_some_cannot_use_is_found_out(visit, accessible):
    seen = visit()
    seen.page.set_content(f"{PAGE}<main><h1>One</h1><button></button></main>")
    with pytest.raises(AssertionError, match="button-name"):
        accessible(seen)
    seen.page.set_content(f"{PAGE}<main><h1>One</h1><button>Run</button></main>")
    accessible(seen)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_visitor_brings_a_theme_and_a_screen(visit, theme):
    seen = visit(size="phone", theme=theme)
    seen.page.set_content(f"{PAGE}<meta name='viewport' content='width=device-width'>")
    asked = seen.page.evaluate("t => matchMedia(`(prefers-color-scheme: ${t})`).matches", theme)
    assert asked
    assert seen.page.evaluate("[innerWidth, innerHeight]") == [390, 844]
