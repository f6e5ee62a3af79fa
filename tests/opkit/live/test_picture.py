"""From what nodes said to what is drawn: links, rates, initials, what moved."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.live.book import Book
from opkit.live.follow import Followed
from opkit.live.picture import happening_of, names_of, network_figures, traffic_of
from opkit.live.ports import NodeAt
from opkit.proof.membership import OPERATOR_ID
from opkit.story.states import State
from opkit.wire.events import Cursor, JournalEntry
from opkit.wire.network import PeerLink, Peers

NOW = 1_000_000
ORGS = ("amber", "birch", "cedar")


def did(org: str) -> str:
    return f"did:key:{org}"


def link(org: str, **changes: Any) -> PeerLink:
    said = {"round_trip_us": 900, "sent_bytes": 10, "received_bytes": 20, "since_ms": 500}
    return PeerLink.model_construct(did=did(org), org=org, **{**said, **changes})


def followed(org: str, *links: PeerLink, health: str = "up", looks: Any = None) -> Followed:
    at = NodeAt(org=org, title=org.title(), did=did(org), url="http://127.0.0.1:1")
    one = Followed(at, now_ms=NOW - 9_000)
    one.health, one.seen_ms = health, NOW  # type: ignore[assignment]  # a test's own text
    journal = Cursor.model_construct(generation=1, sequence=7, hash="ab")
    for at_ms, seen in looks or [(NOW, links)]:
        one.see(
            Peers.model_construct(links=seen, blobs=1, blob_bytes=2, journal=journal), now_ms=at_ms
        )
    return one


def drawn(*nodes: Followed, cut: Any = None, book: Book | None = None) -> Any:
    return network_figures(
        name="n",
        now_ms=NOW,
        followed={one.at.org: one for one in nodes},
        cut=cut or {},
        book=book or Book(orgs={did(org): org for org in ORGS}),
    )


def test_a_link_is_up_if_both_ends_say_so() -> None:
    figures = drawn(followed("amber", link("birch")), followed("birch", link("amber")))
    (found,) = figures.links
    assert (found.a, found.b, found.state) == ("amber", "birch", "up")
    assert (found.round_trip_us, found.sent_bytes, found.received_bytes) == (900, 10, 20)
    assert found.since_ms == 500
    assert found.recent == (900,)


def test_a_link_that_one_end_does_not_have_is_lost_since_it_was_last_seen() -> None:
    before = [(NOW - 800, (link("amber"),)), (NOW, ())]
    figures = drawn(followed("amber", link("birch")), followed("birch", looks=before))
    (found,) = figures.links
    assert found.state == "lost"
    assert found.round_trip_us is None
    assert found.bytes_per_s == 0


def test_a_link_to_a_node_that_is_down_is_lost_since_the_node_is_down() -> None:
    figures = drawn(
        followed("amber", link("birch")), followed("birch", link("amber"), health="down")
    )
    (found,) = figures.links
    assert (found.state, found.since_ms) == ("lost", NOW - 9_000)


def test_a_link_that_was_cut_is_called_cut_whatever_its_ends_still_say() -> None:
    pair = frozenset(("amber", "birch"))
    figures = drawn(
        followed("amber", link("birch")), followed("birch", link("amber")), cut={pair: 77}
    )
    (found,) = figures.links
    assert (found.state, found.since_ms) == ("cut", 77)


def test_the_figures_of_a_silent_end_come_from_the_other() -> None:
    figures = drawn(
        followed("amber", health="down"), followed("birch", link("amber", sent_bytes=5))
    )
    assert figures.links[0].sent_bytes == 5


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        pytest.param([(NOW - 1_000, 0), (NOW, 500)], 500, id="one second"),
        pytest.param([(NOW - 2_000, 0), (NOW, 500)], 250, id="two seconds"),
        pytest.param([(NOW - 60_000, 0), (NOW - 1_000, 400), (NOW, 500)], 100, id="only lately"),
        pytest.param([(NOW, 500)], 0, id="one look"),
        pytest.param([(NOW, 0), (NOW, 500)], 0, id="no time between"),
        pytest.param([(NOW - 1_000, 500), (NOW, 500)], 0, id="nothing said"),
    ],
)
def test_bytes_a_second_are_those_of_the_last_seconds(looks: Any, rate: int) -> None:
    seen = [(at, (link("birch", sent_bytes=sent, received_bytes=0),)) for at, sent in looks]
    amber = followed("amber", *seen[-1][1], looks=seen)
    (found,) = drawn(amber, followed("birch", link("amber"))).links
    assert found.bytes_per_s == rate


def test_a_connection_that_began_anew_counts_its_bytes_anew() -> None:
    old, new = link("birch", sent_bytes=10_000), link("birch", sent_bytes=5, since_ms=NOW)
    amber = followed("amber", new, looks=[(NOW - 1_000, (old,)), (NOW, (new,))])
    (found,) = drawn(amber, followed("birch", link("amber"))).links
    assert found.bytes_per_s == 0


def test_no_two_nodes_have_the_same_initials() -> None:
    figures = drawn(*map(followed, ("amber", "amity", "ample")))
    assert [one.initials for one in figures.nodes] == ["AM", "AI", "AP"]


def entry(kind: str, **body: Any) -> JournalEntry:
    return JournalEntry.model_construct(
        sequence=1, type=kind, at_ms=NOW, body=body, previous="0" * 64, hash="1" * 64
    )


@pytest.fixture
def book() -> Book:
    return Book(orgs={did(org): org for org in ORGS})


def test_what_moved_is_shown_between_two_nodes_for_a_while(book: Book) -> None:
    fetched = entry("compute.module-fetched", peer=did("amber"), size_bytes=23_000)
    moved = traffic_of("birch", fetched, book=book)
    assert moved is not None
    assert (moved.source, moved.target, moved.tone) == ("amber", "birch", State.DONE)
    assert "23 kB" in moved.words.replace("\u00a0", " ")
    book.traffic.append(moved)
    assert drawn(book=book).traffic == (moved,)
    assert not network_figures(name="", now_ms=NOW + 60_000, followed={}, cut={}, book=book).traffic


def test_bytes_that_were_refused_are_shown_as_refused(book: Book) -> None:
    lied = entry("network.provider-lied", peer=did("cedar"), received_bytes=9)
    moved = traffic_of("birch", lied, book=book)
    assert moved is not None and moved.tone is State.REFUSED


def test_a_task_that_stays_at_home_moves_nothing(book: Book) -> None:
    stays = entry("compute.task-placed", executor=did("birch"))
    assert traffic_of("birch", stays, book=book) is None
    assert traffic_of("birch", entry("node.started"), book=book) is None
    away = traffic_of("birch", entry("compute.task-placed", executor=did("amber")), book=book)
    assert away is not None and away.target == "amber"


def test_only_the_operators_own_logins_are_left_out(book: Book) -> None:
    names = names_of(book, {})
    kind, scopes = "membership.token-issued", ("node:read",)
    own = entry(kind, member_id=OPERATOR_ID, scopes=scopes, expires_at_ms=1)
    assert happening_of("amber", own, names=names) is None
    other = entry(kind, member_id="amber/ana", scopes=scopes, expires_at_ms=1)
    assert happening_of("amber", other, names=names) is not None
