"""Every disturbance as a sentence: when it begins, while it lasts, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.views.deeds import deed_sentence, lasting_sentence

TITLES = {"a": "Ana's", "b": "Ben's", "c": "Cleo's"}


@pytest.mark.parametrize(
    ("deed", "sentence"),
    [
        ({"what": "cut", "a": "a", "b": "b"}, "The link between Ana's and Ben's was cut"),
        ({"what": "cut", "orgs": ["a"]}, "All links of Ana's were cut"),
        (
            {"what": "loss", "orgs": [], "share_permille": 200},
            "All links lose 20 % of what passes",
        ),
        (
            {"what": "loss", "a": "a", "b": "b", "share_permille": 5},
            "The link between Ana's and Ben's loses 0.5 % of what passes",
        ),
        (
            {"what": "delay", "orgs": ["a", "b", "c"], "delay_ms": 50, "jitter_ms": 10},
            "The links among Ana's, Ben's, Cleo's hold what passes for 50 ms ± 10 ms",
        ),
        (
            {"what": "rate", "orgs": ["c"], "rate_kbit_s": 256},
            "All links of Cleo's carry 256 kbit/s and no more",
        ),
        (
            {"what": "partition", "groups": [["a"], ["b", "c"]]},
            "The network was parted: Ana's | Ben's and Cleo's",
        ),
        ({"what": "pause", "org": "a"}, "The node of Ana's was paused"),
        (
            {"what": "skew", "org": "a", "by_ms": 3_600_000},
            "The node of Ana's got a clock that is 1 h ahead",
        ),
        (
            {"what": "skew", "org": "a", "by_ms": -90_000},
            "The node of Ana's got a clock that is 90 s behind",
        ),
        (
            {"what": "old-state", "org": "a", "state": "monday"},
            "The node of Ana's was started with an older state, monday",
        ),
        ({"what": "save", "org": "a", "state": "monday"}, "The state of Ana's was copied"),
        ({"what": "heal", "a": "a", "b": "b"}, "The link between Ana's and Ben's was mended"),
        ({"what": "heal", "of": "cut", "orgs": ["a"]}, "All links of Ana's were mended"),
        ({"what": "heal", "of": "loss", "orgs": []}, "All links lose nothing on purpose any more"),
        ({"what": "heal", "of": "pause", "org": "a"}, "The node of Ana's goes on"),
        ({"what": "heal", "of": "kill", "org": "a"}, "The node of Ana's was started again"),
        ({"what": "heal", "of": "skew", "org": "a"}, "The clock of Ana's was set right"),
        (
            {"what": "heal", "of": "partition", "groups": [["a"], ["b"]]},
            "The parts of the network were joined again: Ana's | Ben's",
        ),
        (
            {"what": "heal-failed", "of": "kill", "org": "a"},
            "What was done to Ana's could not be undone; look at its log",
        ),
        ({"what": "something_new"}, "something-new"),
        (
            {"what": "hostile", "kind": "name-stale", "against": ["a", "b", "c"]},
            "A stranger sent Ana's, Ben's and Cleo's an old record of a name again",
        ),
        (
            {"what": "hostile", "kind": "relay", "against": ["a", "b"]},
            "A node that joined Ana's and Ben's shows another one's challenge as its own",
        ),
    ],
)
def test_each_is_told(deed: dict[str, Any], sentence: str) -> None:
    assert deed_sentence(deed, titles=TITLES) == sentence
    assert lasting_sentence({**deed, "id": 3, "left_ms": 9}, titles=TITLES) == sentence


@pytest.mark.parametrize(
    "deed",
    [
        {"what": "skew", "org": "a", "by_ms": "x"},
        {"what": "loss", "orgs": "a", "share_permille": None},
        {"what": "partition", "groups": 7},
        {"what": "cut"},
        {},
    ],
)
def test_a_line_that_is_not_whole_is_told_all_the_same(deed: dict[str, Any]) -> None:
    assert deed_sentence(deed, titles=TITLES)
