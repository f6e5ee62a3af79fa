"""Rival versions of terms: whichever is shown to whom and when, each has its limit and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from opkit.proof.agreement import spell_file
from opkit.proof.terms import agreement_id
from opkit.wire.agreements import AgreementInactive, SignedBy
from opkit.wire.base import RecordId
from opkit.wire.clearing import Imbalance
from opkit.wire.terms import Terms
from tests.simulation.full import FullTown
from tests.simulation.pacts import decided_by
from tests.simulation.story import tell_in
from tests.simulation.town import MOST, terms_of
from tests.simulation.truths import at_rest

OLD = terms_of("apple", "birch")
SMALL, GREAT = 50, 80


def rival(most: int, old: Terms = OLD) -> Terms:
    """Return terms that take the place of others, with another greatest imbalance."""
    said = terms_of(*old.parties, title=f"At most {most}", most=most)
    return Terms.model_validate({**said.model_dump(), "amends": agreement_id(old)})


def in_town(folder: Path, story: Callable[[FullTown], Awaitable[None]]) -> None:
    """Tell a story in a fresh town."""
    tell_in(FullTown(folder), story)


async def bring(town: FullTown, terms: Terms, *signed: SignedBy, to: str) -> RecordId:
    """Show a home what was signed, as whoever has it may."""
    return (await town.pacts[to].bring(spell_file(terms, signed))).agreement


async def agreed(town: FullTown, terms: Terms) -> RecordId:
    """Have all parties sign, honestly, and all hear of it."""
    for coop in terms.parties:
        signed = decided_by(coop, terms, at_ms=town.clock.world_ms())
        await town.pacts[coop].decide(terms, "adopt", signed)
    await town.come_to_rest()
    return agreement_id(terms)


async def fill(
    town: FullTown, agreement: RecordId, name: str, *, by: str = "apple", payee: str = "birch"
) -> int:
    """Have apple come to owe another as much as it can, by ever less; return how much."""
    for amount in (64, 32, 16, 8, 4, 2, 1, 1):
        with suppress(AgreementInactive, Imbalance):
            named = f"{name}-{payee}-{amount}-{len(town.told)}"
            await town.offer("apple", payee, amount, agreement=agreement, by=by, name=named)
    return (await town.position(payee, "apple", agreement)).balance


async def in_force(town: FullTown, homes: str, *agreements: RecordId) -> list[set[RecordId]]:
    return [await town.pacts[each].in_force(agreements) for each in homes.split()]


@pytest.mark.parametrize("by", ["apple", "birch"])
def test_a_home_that_shows_two_versions_one_after_the_other_passes_neithers_limit(
    tmp_path: Path, by: str
) -> None:
    small, great = rival(SMALL), rival(GREAT)

    async def story(town: FullTown) -> None:
        old = await agreed(town, OLD)
        assert await fill(town, old, "old", by=by) == MOST
        town.clock.advance(1_000)
        # Birch decided on both versions. Apple's home signs the small one now, and shows that only
        # once all that the great one bears is owed.
        hidden = decided_by("apple", small, at_ms=town.clock.world_ms())
        signed = decided_by("birch", small, at_ms=town.clock.world_ms())
        await town.pacts["birch"].decide(small, "adopt", signed)
        town.clock.advance(1_000)
        shown = await agreed(town, great)
        assert await fill(town, old, "amended", by=by) == MOST
        assert await fill(town, shown, "great", by=by) == GREAT
        for home in ("birch", "apple"):
            await bring(town, small, hidden, to=home)
        await town.come_to_rest()
        assert (
            await in_force(town, "apple birch umpire", old, shown, agreement_id(small))
            == [{agreement_id(small)}] * 3
        )
        assert await fill(town, shown, "superseded", by=by) == GREAT
        assert await fill(town, agreement_id(small), "small", by=by) == SMALL
        assert await fill(town, old, "last", by=by) == MOST
        await town.come_to_rest()
        await at_rest(town)
        assert (await town.account("birch", "due/apple")).balance == MOST + GREAT + SMALL

    in_town(tmp_path, story)


def test_a_home_that_shows_each_party_another_version_owes_each_no_more_than_its_limit(
    tmp_path: Path,
) -> None:
    old = terms_of("apple", "birch", "cedar")
    small, great = rival(SMALL, old), rival(GREAT, old)

    async def story(town: FullTown) -> None:
        await agreed(town, old)
        town.clock.advance(1_000)
        others = {}
        for terms in (small, great):
            for coop in ("birch", "cedar"):
                others[coop] = decided_by(coop, terms, at_ms=town.clock.world_ms())
                await town.pacts[coop].decide(terms, "adopt", others[coop])
        await town.come_to_rest()
        for one, other in (("birch", "cedar"), ("birch", "umpire"), ("cedar", "umpire")):
            town.part(one, other)
        town.part("apple", "umpire")
        town.clock.advance(1_000)
        # Apple tells birch of the one alone and cedar of the other, which begins first.
        of_great = decided_by("apple", great, at_ms=town.clock.world_ms())
        town.clock.advance(1_000)
        of_small = decided_by("apple", small, at_ms=town.clock.world_ms())
        await bring(town, small, of_small, to="birch")
        await bring(town, great, of_great, to="cedar")
        names = agreement_id(old), agreement_id(small), agreement_id(great)
        assert await in_force(town, "birch cedar", *names) == [{names[1]}, {names[2]}]
        town.part("apple", "cedar")
        await bring(town, small, of_small, to="apple")
        assert await fill(town, names[2], "early") == 0
        assert await fill(town, names[1], "small") == SMALL
        town.mend("birch", "cedar")
        for agreement in names[1:]:
            with pytest.raises(AgreementInactive):
                await town.offer("birch", "cedar", 1, agreement=agreement, name=agreement)
        town.mend("apple", "cedar")
        for one, other in (("birch", "umpire"), ("cedar", "umpire"), ("apple", "umpire")):
            town.mend(one, other)
        await town.hear_all()
        assert await in_force(town, "apple birch cedar umpire", *names) == [{names[2]}] * 4
        assert await fill(town, names[1], "superseded") == SMALL
        for payee in ("birch", "cedar"):
            assert await fill(town, names[2], "great", payee=payee) == GREAT
        await town.come_to_rest()
        await at_rest(town)

    in_town(tmp_path, story)
