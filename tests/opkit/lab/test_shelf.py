"""Things by name, as items and as attributes, and by any beginning that fits one only."""

from __future__ import annotations

import pytest

from opkit.lab.shelf import Shelf

MEMBERS = {"bakery/ana": 1, "bakery/bo": 2, "mill/bo": 3, "mill/dora": 4}


@pytest.fixture
def shelf() -> Shelf[int]:
    """Members of two coops, two of whom share a name."""
    return Shelf(MEMBERS, noun="member", short=lambda name: name.split("/")[1], about=str)


def test_a_thing_is_found_by_its_name(shelf):
    assert shelf["bakery/ana"] == 1
    assert dict(shelf) == MEMBERS


def test_a_thing_is_found_as_an_attribute_where_its_short_name_is_unique(shelf):
    assert shelf.ana == 1
    assert shelf.bakery_bo == 2
    assert shelf.mill_bo == 3


def test_a_beginning_that_fits_one_only_is_enough(shelf):
    assert shelf["do"] == 4
    assert shelf.mil == 3


def test_a_beginning_that_fits_several_names_them():
    shelf = Shelf({"ana": 1, "anton": 2}, noun="member")
    with pytest.raises(KeyError, match=r"several member.*ana, anton"):
        _ = shelf["an"]


def test_what_is_not_there_says_what_is(shelf):
    with pytest.raises(KeyError, match=r"no member by the name 'zoe'.*bakery/ana"):
        _ = shelf["zoe"]
    with pytest.raises(AttributeError, match="zoe"):
        _ = shelf.zoe
    assert "zoe" not in shelf


def test_tab_completes_attributes_and_items(shelf):
    assert dir(shelf) == ["ana", "bakery_bo", "dora", "mill_bo"]
    assert shelf._ipython_key_completions_() == list(MEMBERS)


def test_names_that_no_attribute_can_hold_are_written_with_underscores():
    shelf = Shelf({"river-city-tool-library": 1}, noun="node")
    assert shelf.river_city_tool_library == 1
    assert shelf["river-city"] == 1


def test_private_names_are_never_things():
    with pytest.raises(AttributeError):
        _ = Shelf({"_x": 1}, noun="thing")._repr_mimebundle_


def test_it_shows_what_to_type(shelf):
    assert "bakery_bo" in shelf._repr_html_()
    assert "ana, bakery_bo" in repr(shelf)
