"""Copies beside the shelf: judged as the shelf judges, few, and the shorter the farther away."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.overlay.copies import Copies, CopiesLimits
from nodeimpl.overlay.namespaces import PROVIDERS_MAX
from nodeimpl.overlay.shelf import Shelf
from opkit.proof.cid import cid_of
from opkit.wire.dht import CONTACTS_MAX
from opkit.wire.records import (
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def far_copies(web: Any, limits: CopiesLimits | None = None) -> Copies:
    return Copies(Shelf(web.land.verifier), limits or CopiesLimits())


def take(copies: Copies, carried: Carried, now_ms: int, nearer: int = CONTACTS_MAX) -> bool:
    return copies.take(copies.read(carried), carried, now_ms=now_ms, nearer=nearer)


def test_a_copy_lapses_the_sooner_the_farther_away_it_is(web: Any, land: Any) -> None:
    note, now_ms = land.note(land.nodes[1]), web.now_ms
    name = f"{land.nodes[1].did}/a"
    for nearer, keeps_ms in ((20, 30 * MINUTE_MS), (25, 15 * MINUTE_MS), (60, MINUTE_MS)):
        copies = far_copies(web)
        assert take(copies, note, now_ms, nearer)
        assert not take(copies, note, now_ms, nearer)
        assert copies.get("note", name, now_ms + keeps_ms - 1) == (note,)
        copies.lapse(now_ms + keeps_ms - 1)
        assert copies.held() == 1
        copies.lapse(now_ms + keeps_ms)
        assert copies.held() == 0
        assert copies.get("note", name, now_ms) == ()


def test_a_copy_is_judged_as_the_shelf_judges(web: Any, land: Any) -> None:
    copies, now_ms, owner = far_copies(web), web.now_ms, land.nodes[1]
    with pytest.raises(SignedRecordRejected):
        take(copies, land.note(owner, signer=land.nodes[2]), now_ms)
    with pytest.raises(RecordNotOwners):
        take(copies, land.record(owner, "node", land.nodes[2].did, value={}), now_ms)
    with pytest.raises(RecordLapsed):
        take(copies, land.note(owner), now_ms + 31 * DAY_MS)
    assert take(copies, land.note(owner, sequence=5), now_ms)
    with pytest.raises(RecordOutdated) as outdated:
        take(copies, land.note(owner, sequence=4), now_ms)
    assert outdated.value.standing_sequence == 5
    for number in range(PROVIDERS_MAX):
        assert take(copies, land.provider(land.stranger(number)), now_ms)
    with pytest.raises(RecordsExhausted):
        take(copies, land.provider(land.stranger(99)), now_ms)


def test_copies_are_of_few_names_and_the_oldest_goes(web: Any, land: Any) -> None:
    copies = far_copies(web, CopiesLimits(names_max=2))
    for label in "abc":
        assert take(copies, land.note(land.nodes[1], label), web.now_ms)
    assert copies.held() == 2
    assert copies.get("note", f"{land.nodes[1].did}/a", web.now_ms) == ()


def test_of_shelf_and_copy_the_higher_is_told_of_each_owner(web: Any, land: Any) -> None:
    copies, now_ms = far_copies(web), web.now_ms
    a, b, c = land.nodes[:3]
    cid = cid_of(b"blob")
    assert take(copies, land.provider(a, sequence=2), now_ms)
    assert take(copies, land.provider(a, sequence=1), now_ms, nearer=0), "the shelf had nothing"
    assert take(copies, land.provider(b, sequence=1), now_ms)
    assert take(copies, land.provider(b, sequence=2), now_ms, nearer=0)
    assert take(copies, land.provider(c), now_ms)
    told = copies.get("blob", cid, now_ms)
    assert sorted(told, key=lambda one: one.jws) == sorted(
        (land.provider(a, sequence=2), land.provider(b, sequence=2), land.provider(c)),
        key=lambda one: one.jws,
    )


def test_what_the_shelf_has_is_kept_there_however_far_it_is(web: Any, land: Any) -> None:
    copies, now_ms, owner = far_copies(web), web.now_ms, land.nodes[1]
    assert take(copies, land.note(owner, sequence=1), now_ms, nearer=0)
    assert take(copies, land.note(owner, sequence=2), now_ms, nearer=99)
    assert copies.held() == 0
    assert copies.get("note", f"{owner.did}/a", now_ms + HOUR_MS) == (land.note(owner, sequence=2),)


def test_a_proof_that_comes_later_is_shown_to_the_shelf(web: Any, land: Any) -> None:
    shelf = Shelf(land.verifier)
    copies, member = Copies(shelf, CopiesLimits()), land.stranger(7)
    proof = (land.membership("yard/ilse", member.did),)
    bare, vouched = land.note(member), land.note(member, proof=proof)
    assert take(copies, bare, web.now_ms, nearer=0)
    assert shelf.held()["unsponsored"] == 1
    assert not take(copies, vouched, web.now_ms, nearer=0)
    assert shelf.held()["unsponsored"] == 0
