"""The routing table: who is in it, who waits, who is doubted, and who is nearest."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeimpl.overlay.port import node_id
from nodeimpl.overlay.suspects import SuspectsLimits
from nodeimpl.overlay.table import Table, TableLimits
from opkit.proof.keys import Identity
from opkit.wire.base import Did
from opkit.wire.dht import ContactText

KEYS = 160
MINUTE_MS = 60_000
SMALL = TableLimits(bucket_max=3, spare_max=2, suspects=SuspectsLimits(count_max=8))


@cache
def did_of(number: int) -> Did:
    return Identity.from_seed(hashlib.sha256(b"table %d" % number).digest()).did


def prefix(address: str) -> str | None:
    return address.split(":", maxsplit=1)[0] if "." in address else None


def contact(number: int, *addresses: str) -> ContactText:
    return ContactText(did=did_of(number), addresses=addresses or (f"at-{number}",))


def far(count: int, *addresses: str) -> list[ContactText]:
    """Return contacts of the farthest range, the half of all places, as seen from key 0."""
    own = node_id(did_of(0))
    numbers = (n for n in range(1, 10_000) if (node_id(did_of(n)) ^ own) >> 255)
    return [contact(next(numbers), *addresses) for _ in range(count)]


def table(limits: TableLimits = SMALL) -> Table:
    return Table(did_of(0), limits=limits, prefix=prefix)


def test_an_old_contact_that_lives_stays_and_a_new_one_waits() -> None:
    seen = table()
    old = far(3)
    for one in old:
        assert seen.heard(one, 0) is None
    new = far(4)[3]
    assert seen.heard(new, 1) is None, "they were all heard of just now"
    assert seen.heard(new, 2 * MINUTE_MS) == old[0]
    assert new.did not in seen
    seen.alive(old[0].did, 2 * MINUTE_MS)
    assert seen.heard(new, 2 * MINUTE_MS) == old[1]
    assert set(seen.nearest(0, 20)) == set(old)
    assert [known.contact for known in seen.spares()] == [new]


def test_who_fails_thrice_gives_its_place_to_whoever_was_heard_of_last() -> None:
    seen = table()
    contacts = far(6)
    for at_ms, one in enumerate(contacts):
        seen.heard(one, at_ms)
    assert [known.contact for known in seen.spares()] == contacts[4:]
    assert [seen.failed(contacts[0], at_ms) for at_ms in (10, 20, 30)] == [False, False, True]
    assert contacts[0].did not in seen
    assert contacts[5].did in seen
    assert seen.ranges() == {255: (3, 1)}


def test_a_suspect_is_named_to_nobody_and_pinged_for_nobody() -> None:
    seen = table()
    contacts = far(4)
    for one in contacts[:3]:
        seen.heard(one, 0)
    seen.failed(contacts[0], 1)
    assert contacts[0] not in seen.nearest(0, 20)
    assert contacts[0] in seen.nearest(0, 20, suspects=True)
    assert seen.heard(contacts[3], 2 * MINUTE_MS) is None
    seen.heard(contacts[0], 3)
    assert contacts[0] in seen.nearest(0, 20)


def test_a_node_named_at_a_wrong_address_is_not_discredited() -> None:
    seen = table()
    right, wrong = contact(1, "1.1:1"), contact(1, "6.6:6")
    seen.heard(right, 0)
    for _ in range(5):
        assert not seen.failed(wrong, 1)
    assert seen.nearest(0, 20) == [right]
    seen.heard(wrong, 2, own_word=False)
    assert seen.get(right.did) == right
    seen.heard(wrong, 3)
    assert seen.get(right.did) == wrong


def test_one_address_prefix_has_few_places_in_a_range() -> None:
    seen = table(TableLimits(bucket_max=8, spare_max=4))
    for one in far(5, "6.6.6:1"):
        seen.heard(one, 0)
    assert seen.ranges() == {255: (2, 0)}
    unbounded = Table(did_of(0), limits=TableLimits())
    for one in far(5, "6.6.6:1"):
        unbounded.heard(one, 0)
    assert len(unbounded) == 5
    elsewhere = far(6)[5]
    seen.heard(elsewhere, 0)
    moved = ContactText(did=elsewhere.did, addresses=("6.6.6:1",))
    seen.heard(moved, 1)
    assert seen.get(elsewhere.did) == elsewhere, "it cannot move to where there are too many"


def test_who_does_not_say_where_they_are_is_bounded_as_one_place() -> None:
    """A link alone brings in contacts without addresses: else it would lead past the bound."""
    seen = table()
    for number in range(1, 9):
        seen.heard(ContactText(did=did_of(number)), 0)
    assert max(places for places, _ in seen.ranges().values()) == 2


def test_who_waits_aside_is_bounded_by_prefix_and_passed_over_if_it_does_not_fit() -> None:
    seen = table(TableLimits(bucket_max=3, spare_max=4))
    for one in far(2, "6.6:1"):
        seen.heard(one, 0)
    alone = far(3)[2]
    seen.heard(alone, 0)
    for one in far(8, "6.6:1")[3:]:
        seen.heard(one, 0)
    assert seen.ranges() == {255: (3, 2)}
    for _ in range(3):
        seen.failed(alone, 1)
    assert seen.ranges() == {255: (2, 2)}, "two of the prefix are there already"


def test_the_node_itself_is_never_in_its_table() -> None:
    seen = table()
    assert seen.heard(contact(0), 0) is None
    assert len(seen) == 0
    assert not seen.alive(did_of(5), 0)
    assert seen.get(did_of(5)) is None
    seen.looked(seen.place, 0)
    seen.looked(node_id(did_of(5)), 0)


def test_an_empty_range_is_forgotten() -> None:
    seen = table()
    one = contact(1)
    seen.heard(one, 0)
    for at_ms in range(3):
        seen.failed(one, at_ms)
    assert seen.ranges() == {}
    assert list(seen) == []
    assert not seen.failed(one, 9)


def test_a_range_is_unlooked_until_a_lookup_goes_there() -> None:
    seen = table()
    one = far(1)[0]
    seen.heard(one, 0)
    assert seen.unlooked(1) == [255]
    seen.looked(node_id(one.did), 5)
    assert seen.unlooked(5) == []


def test_suspicion_is_looked_at_later_and_later_and_lapses() -> None:
    limits = SuspectsLimits(retry_ms=10, lapse_ms=1_000)
    suspects = table(TableLimits(suspects=limits)).suspects
    one = contact(1)
    assert suspects.failed(one, 0) == 1
    assert suspects.due(9) == []
    assert suspects.due(10) == [one.did]
    assert suspects.failed(one, 10) == 2
    assert suspects.due(39) == []
    assert suspects.due(40) == [one.did]
    suspects.put_off(one.did, 40)
    suspects.put_off(did_of(2), 40)
    assert suspects.due(100) == []
    suspects.lapse(1_009)
    assert suspects.doubts(one)
    suspects.lapse(1_010)
    assert not suspects.doubts(one)
    assert not suspects.clear(one.did)


def test_who_failed_twice_in_a_row_at_its_addresses_is_gone() -> None:
    suspects = table().suspects
    one = contact(1, "1.1:1")
    assert suspects.failed_ms(one) is None
    suspects.failed(one, 5)
    assert not suspects.gone(one)
    assert suspects.failed_ms(one) == 5
    suspects.failed(one, 7)
    assert suspects.gone(one)
    assert suspects.failed_ms(one) == 7
    assert not suspects.gone(contact(1, "2.2:1"))
    assert suspects.failed_ms(contact(1, "2.2:1")) is None
    assert suspects.failed(contact(1, "2.2:1"), 8) == 1
    suspects.clear(one.did)
    assert not suspects.gone(one)


def test_a_look_again_that_is_to_come_is_not_put_off_by_another_failure() -> None:
    limits = SuspectsLimits(retry_ms=10)
    suspects = table(TableLimits(suspects=limits)).suspects
    one = contact(1)
    suspects.failed(one, 0)
    suspects.failed(one, 9)
    assert suspects.due(10) == [one.did]
    suspects.put_off(one.did, 10)
    suspects.failed(one, 20)
    assert suspects.due(109) == []
    assert suspects.due(110) == [one.did]


def test_no_more_suspects_are_remembered_than_may_be() -> None:
    suspects = table().suspects
    for number in range(1, 20):
        suspects.failed(contact(number), number)
    assert len(suspects) == 8
    assert suspects.doubts(contact(19))
    assert not suspects.doubts(contact(11))


ACTS = st.tuples(
    st.sampled_from(["heard", "alive", "failed", "hearsay", "looked"]),
    st.integers(0, KEYS - 1),
    st.sampled_from([(), ("1.1:1",), ("2.2:1", "1.1:2"), ("plain",)]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=250), st.integers(0, 2**256 - 1))
def test_whatever_happens_the_table_keeps_its_bounds_and_knows_who_is_nearest(
    acts: list[tuple[str, int, tuple[str, ...]]], target: int
) -> None:
    seen = table()
    for now_ms, (act, number, addresses) in enumerate(acts):
        one = contact(number, *addresses)
        if act == "heard":
            seen.heard(one, now_ms)
        elif act == "hearsay":
            seen.heard(one, now_ms, own_word=False)
        elif act == "alive":
            seen.alive(one.did, now_ms)
        elif act == "failed":
            seen.failed(seen.get(one.did) or one, now_ms)
        else:
            seen.looked(node_id(one.did), now_ms)
    check(seen)
    everybody = sorted((known.contact for known in seen), key=lambda c: node_id(c.did) ^ target)
    assert seen.nearest(target, 7, suspects=True) == everybody[:7]
    trusted = [one for one in everybody if not seen.suspects.doubts(one)]
    assert seen.nearest(target, 7) == trusted[:7]
    own = seen.place ^ target
    assert seen.nearer(target) == sum(node_id(one.did) ^ target < own for one in everybody)


def check(seen: Table) -> None:
    known = list(seen)
    assert len(known) == len(seen) == len({one.contact.did for one in known})
    assert did_of(0) not in {one.contact.did for one in known}
    assert len(seen.suspects) <= 8
    by_range: dict[int, list[ContactText]] = {}
    for one in known:
        assert one.place == node_id(one.contact.did)
        by_range.setdefault((one.place ^ seen.place).bit_length() - 1, []).append(one.contact)
    assert {index: len(live) for index, live in by_range.items()} == {
        index: live for index, (live, _) in seen.ranges().items()
    }
    for live, spare in seen.ranges().values():
        assert live <= 3
        assert spare <= 2
    for live_contacts in by_range.values():
        for place in ("1.1", "2.2"):
            assert sum(place in seen.prefixes(one) for one in live_contacts) <= 2


def test_the_check_of_bounds_notices_a_table_that_breaks_them() -> None:
    seen = table(TableLimits(bucket_max=4, spare_max=2))
    for one in far(4):
        seen.heard(one, 0)
    with pytest.raises(AssertionError):
        check(seen)
