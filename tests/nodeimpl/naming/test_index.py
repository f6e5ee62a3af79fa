"""The names that are held, in order, by holder, by what they lead to, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.naming import index as module
from nodeimpl.naming.index import Index
from opkit.wire import names as wire
from opkit.wire.records import Carried

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


class Shelf:
    """What stands under each name, and an index that follows it."""

    def __init__(self, make_home: Any) -> None:
        self.make_home = make_home
        self.standing: dict[str, Carried] = {}
        self.homes: dict[str, Any] = {}
        self.index = Index(self.standing.get)

    def hold(self, name: str, who: str = "a", **changes: Any) -> None:
        home = self.homes.setdefault(name, self.make_home())
        home.name = name
        home.now_ms += 1
        self.standing[name] = Carried(jws=home.hand_in(home.claim(who, **changes)).record)
        self.index.see(name)

    def names(self, *, now_ms: int = NOW_MS + 99, **asked: Any) -> tuple[list[str], str]:
        said = {"prefix": "", "owner": "", "after": "", "names_max": 10}
        found, after = self.index.page(**{**said, **asked}, now_ms=now_ms)
        return [view.name for view in found], after


@pytest.fixture
def shelf(make_home: Any) -> Shelf:
    return Shelf(make_home)


def test_names_are_given_in_order_by_beginning_by_holder_and_page_by_page(shelf: Shelf) -> None:
    for name, who in (("b2.yard", "a"), ("a.yard", "b"), ("b1.yard", "a"), ("c.yard", "b")):
        shelf.hold(name, who)
    assert shelf.names() == (["a.yard", "b1.yard", "b2.yard", "c.yard"], "")
    assert shelf.names(prefix="b") == (["b1.yard", "b2.yard"], "")
    assert shelf.names(owner="yard/b") == (["a.yard", "c.yard"], "")
    assert shelf.names(owner="yard/x") == ([], "")
    assert shelf.names(owner="yard/b", prefix="c") == (["c.yard"], "")
    assert shelf.names(names_max=2) == (["a.yard", "b1.yard"], "b1.yard")
    assert shelf.names(names_max=2, after="b1.yard") == (["b2.yard", "c.yard"], "")
    assert shelf.names(prefix="b", after="z") == ([], "")


def test_what_is_withdrawn_or_gone_is_not_given(shelf: Shelf) -> None:
    for name in ("a.yard", "b.yard", "c.yard"):
        shelf.hold(name)
    shelf.hold("b.yard", target=None)
    del shelf.standing["c.yard"]
    assert shelf.names() == (["a.yard"], "")
    shelf.index.see("c.yard")
    assert len(shelf.index) == 1
    assert shelf.index.view("b.yard", now_ms=NOW_MS) is None


def test_a_name_lapses_once_and_is_not_given_from_then_on(shelf: Shelf) -> None:
    shelf.hold("a.yard", term_ms=1_000)
    shelf.hold("a.yard", term_ms=5_000)
    shelf.hold("b.yard", term_ms=2_000)
    assert shelf.index.due_ms() == NOW_MS + 1_001
    assert shelf.index.lapsed(NOW_MS + 1_001) == []
    assert shelf.names(now_ms=NOW_MS + 2_001) == (["a.yard"], "")
    ((name, listed),) = shelf.index.lapsed(NOW_MS + 2_001)
    assert (name, listed.member_id) == ("b.yard", "yard/a")
    assert shelf.index.lapsed(NOW_MS + 2_001) == []
    assert [each for each, _ in shelf.index.lapsed(NOW_MS + DAY_MS)] == ["a.yard"]
    assert shelf.index.due_ms() is None


def test_the_table_of_times_does_not_grow_with_renewals(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPARE", 3)
    for days in range(1, 20):
        shelf.hold("a.yard", term_ms=days * DAY_MS)
    assert len(shelf.index._times) <= 2 * 1 + 3
    ((name, _),) = shelf.index.lapsed(NOW_MS + 20 * DAY_MS)
    assert name == "a.yard"


def test_aliases_are_followed_so_far_and_no_further(shelf: Shelf) -> None:
    shelf.hold("n0.yard")
    for number in range(1, 7):
        shelf.hold(f"n{number}.yard", target=wire.AliasTarget(name=f"n{number - 1}.yard"))

    def depth(to: str, name: str = "new.yard") -> int:
        return shelf.index.depth(wire.AliasTarget(name=to), name=name, now_ms=NOW_MS)

    assert shelf.index.depth(None, name="new.yard", now_ms=NOW_MS) == 0
    assert [depth(f"n{number}.yard") for number in range(4)] == [1, 2, 3, 4]
    assert depth("n4.yard") == depth("n5.yard") == wire.ALIAS_DEPTH_MAX + 1
    assert depth("nobodys.yard") == 1
    assert depth("n2.yard", name="n1.yard") > wire.ALIAS_DEPTH_MAX
