"""IPython draws what nodes say, and leaves everything else as it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from IPython.core.formatters import DisplayFormatter

import opkit.lab
from opkit.lab.formats import enable
from opkit.lab.listing import Journal, Listing
from opkit.views.sentences import Names
from opkit.wire.events import JournalEntry
from opkit.wire.network import PeerLink

HASH = "0" * 64
LINK = PeerLink(
    did="did:key:z6Mk" + "a" * 44,
    org="bakery",
    round_trip_us=800,
    sent_bytes=1,
    received_bytes=2,
    since_ms=1,
)
ENTRY = JournalEntry(
    sequence=1, type="node.started", at_ms=1, body={"version": "1"}, previous=HASH, hash=HASH
)


@pytest.fixture
def shell() -> SimpleNamespace:
    """As much of a shell as draws values."""
    return SimpleNamespace(display_formatter=DisplayFormatter())


def drawn(shell: SimpleNamespace, value: object) -> str | None:
    bundle, _ = shell.display_formatter.format(value)
    return bundle.get("text/html")


def test_nothing_is_drawn_before_it_is_asked_for(shell):
    assert drawn(shell, LINK) is None


def test_values_and_lists_of_values_are_drawn(shell):
    opkit.lab.load_ipython_extension(shell)
    assert "0.80 ms" in drawn(shell, LINK)
    assert "0.80 ms" in drawn(shell, [LINK])
    assert "0.80 ms" in drawn(shell, (LINK, LINK))


@pytest.mark.parametrize("value", [[1, 2], (), "text", {"a": 1}])
def test_other_values_stay_as_they_are(shell, value):
    enable(shell)
    assert drawn(shell, value) is None


def test_a_values_own_picture_wins_over_that_of_its_base(shell):
    class Loaf(list[int]):
        def _repr_html_(self) -> str:
            return "a loaf"

    enable(shell)
    assert drawn(shell, Loaf()) == "a loaf"


def test_doing_it_twice_or_without_a_shell_is_allowed(shell):
    enable(shell)
    enable(shell)
    enable()
    assert "0.80 ms" in drawn(shell, LINK)


def test_an_empty_list_says_what_to_do(shell):
    enable(shell)
    empty = Listing(PeerLink, (), nothing="No link <yet>.", what_to_do="Start a node.")
    assert "No link &lt;yet&gt;." in drawn(shell, empty)
    assert "Start a node." in drawn(shell, empty)
    assert "No such entry" in drawn(shell, Journal("bakery", (), names=Names()))


def test_a_list_of_answers_is_a_sequence():
    links = Listing(PeerLink, [LINK, LINK], nothing="", what_to_do="")
    assert links[0] == LINK
    assert links[:1] == (LINK,)
    assert len(links) == 2
    assert "0.80 ms" in str(links._repr_html_())
    assert repr(links).startswith("[PeerLink(")


def test_a_journal_is_told_in_sentences_with_the_nodes_name():
    journal = Journal("bakery", [ENTRY], names=Names(titles={"bakery": "The Bakery"}))
    assert "The Bakery came up" in str(journal._repr_html_())


def test_every_public_name_can_be_loaded():
    for name in opkit.lab.__all__:
        assert getattr(opkit.lab, name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = opkit.lab.nonsense
