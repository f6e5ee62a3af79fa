"""What has to be true of agreements and names: always, and once all could talk.

Nothing is taken from the nodes that they might have wrong: what was really signed is kept beside
the story, and everything is verified anew from the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from nodeimpl.naming import store as registry
from opkit.proof.agreement import believe, read_agreement_file
from opkit.proof.names import read_name, view_name
from opkit.proof.terms import keepers
from opkit.wire.agreements import SignedBy
from opkit.wire.base import Did, Jws, RecordId, Slug, TimeMs
from opkit.wire.names import NameText
from opkit.wire.terms import Terms
from tests.simulation.full import FullTown
from tests.simulation.town import GENESIS, key_of


@dataclass(eq=False)
class Said:
    """What really was said in a story.

    Attributes:
        signed: every signature that a coop's home gave, with the agreement that it is under.
        claims: every claim that a member signed.
        answered: of each name what its home answered last: its sequence, and when it lapses.
        liars: of whom each home was given a lie.
    """

    signed: dict[Jws, RecordId] = field(default_factory=dict)
    claims: set[Jws] = field(default_factory=set)
    answered: dict[NameText, tuple[int, TimeMs]] = field(default_factory=dict)
    liars: dict[Slug, set[Did]] = field(default_factory=dict)


async def always(town: FullTown, said: Said) -> None:
    """Assert what holds at every moment, whoever cannot reach whom."""
    for coop, pacts in town.pacts.items():
        if pacts.touched:
            pacts.touched = False
            await _signed(town, coop, said)
        assert set(pacts.links.banned) <= said.liars.get(coop, set()), f"{coop} bans who is honest"
    for coop, names in town.names.items():
        assert not names.watch.proven, f"{coop} was told two things: {names.watch.proven}"
        for tokens in names.records().values():
            for token in tokens:
                assert _claim_in(token) in said.claims, f"{coop} believes what nobody claimed"


async def at_rest(town: FullTown, said: Said) -> None:
    """Assert what holds once all could talk: all who keep something keep the same."""
    for pacts in town.pacts.values():
        pacts.touched = True
    await always(town, said)
    await _alike_agreements(town, said)
    await _alike_names(town, said)


async def _signed(town: FullTown, coop: Slug, said: Said) -> None:
    """Assert that a home believes only what was signed, and uses only what all have signed."""
    for name, (view, data) in (await town.pacts[coop].files()).items():
        file = read_agreement_file(data)
        for each in file.signatures:
            assert said.signed.get(each.signature) == name, f"{coop} believes a forgery: {each}"
            _verify(each, file.terms)
        adopted = {each.coop for each in file.signatures if each.action == "adopt"}
        if adopted < set(file.terms.parties):
            alone = f"{coop} has {name} {view.state}, and only {adopted} signed"
            assert view.state in ("proposed", "ended", "superseded", "lapsed"), alone
            assert not await town.pacts[coop].in_force((name,)), alone


async def _alike_agreements(town: FullTown, said: Said) -> None:
    kept = {coop: await pacts.files() for coop, pacts in town.pacts.items()}
    terms: dict[RecordId, Terms] = {}
    for files in kept.values():
        terms |= {name: view.terms for name, (view, _) in files.items()}
    assert set(said.signed.values()) == set(terms), "an agreement that was signed is nowhere"
    for name, its in terms.items():
        dids = keepers(its, GENESIS)
        at = {coop: kept[coop].get(name) for coop in kept if key_of(coop).did in dids}
        assert None not in at.values(), f"{name} is not kept by all who should: {at}"
        files = {each[1] for each in at.values() if each is not None}
        assert len(files) == 1, f"{name} is not the same for all who keep it"
        states = {each[0].state for each in at.values() if each is not None}
        assert len(states) == 1, f"{name} does not stand the same for all: {states}"
        file = read_agreement_file(files.pop())
        given = {each for each, agreement in said.signed.items() if agreement == name}
        assert {each.signature for each in file.signatures} == given, f"{name} lost a signature"


async def _alike_names(town: FullTown, said: Said) -> None:
    shelves = {coop: names.records() for coop, names in town.names.items()}
    for name in {name for shelf in shelves.values() for name in shelf} | set(said.answered):
        found = {coop: shelf.get(name, ()) for coop, shelf in shelves.items()}
        assert len(set(found.values())) == 1, f"{name} is not the same record for all: {found}"
        held = {coop: await names.look_up(name) for coop, names in town.names.items()}
        records = {None if each is None else each.record for each in held.values()}
        assert len(records) == 1, f"{name} is not held the same for all: {held}"
        sequence, lapses_at_ms = said.answered.get(name, (0, 0))
        if lapses_at_ms > town.clock.now_ms():
            (stands,) = next(iter(found.values())) or ("",)
            assert stands and view_name(stands).sequence >= sequence, (
                f"{name} was answered, and lost"
            )


@lru_cache(maxsize=4_096)
def _verify(signed: SignedBy, terms: Terms) -> None:
    believe(signed, terms=terms, genesis=GENESIS)


@lru_cache(maxsize=4_096)
def _claim_in(record: Jws) -> Jws:
    """Return the claim in a record, once all of it verified."""
    read_name(record, GENESIS)
    return registry.value_in(record).claim
