"""What has to be true of coops that exchange: always, and once all could talk."""

from __future__ import annotations

from itertools import combinations

from nodeimpl.clearing import store as tables
from opkit.proof.clearing import GIVEN_FOR, entry_checks, read_evidence
from opkit.wire.ledger import Entry
from tests.simulation.town import MOST, UNIT, Town


async def always(town: Town) -> None:
    """Assert what holds at every moment, also while sides are in doubt or cut off.

    No side posts what its proposer did not commit, unless a ruling says so; no two sides end
    otherwise without a ruling; what is in doubt is counted, and no position goes too far with it.
    """
    for name, sides in (await town.sides()).items():
        ends = {
            side.state
            for side in sides.values()
            if side.state in ("committed", "aborted") and not side.ruled
        }
        assert len(ends) <= 1, f"{name} ended in two ways: {sides}"
        for coop, side in sides.items():
            assert side.in_doubt or side.entry is None or side.state != "offered", (coop, side)
    for coop, home in town.homes.items():
        for at in await home.store.read(
            lambda tx, coop=coop: tables.positions_of(tx, coop=coop, agreement="", count_max=999)
        ):
            assert at.balance - at.doubt_out >= -MOST, at
            assert at.balance + at.doubt_in <= MOST, at
            assert at.doubt_in >= 0 and at.doubt_out >= 0, at
        await _ledger_follows(town, coop)


async def at_rest(town: Town) -> None:
    """Assert what holds once all could talk: no doubt, all sides equal, every position mirrored."""
    await always(town)
    for name, sides in (await town.sides()).items():
        ends = {side.state for side in sides.values()}
        assert len(ends) == 1 and ends <= {"committed", "aborted"}, f"{name}: {sides}"
        first = next(iter(sides.values()))
        parties = {coop for leg in first.legs for coop in (leg.payer, leg.payee)}
        if ends == {"committed"}:
            assert set(sides) == parties, f"{name} is not known to all: {sorted(sides)}"
        for coop, side in sides.items():
            assert not side.in_doubt and not side.untold, (coop, side)
            posted = side.entry is not None and side.correction is None
            if not side.ruled:
                assert posted == (side.state == "committed"), (coop, side)
            await _proofs(town, coop, name, side.entry)
    known = {
        (coop, at.other, at.agreement): at
        for coop, home in town.homes.items()
        for at in await home.store.read(
            lambda tx, coop=coop: tables.positions_of(tx, coop=coop, agreement="", count_max=999)
        )
    }
    for (coop, other, agreement), at in known.items():
        mirror = known.get((other, coop, agreement))
        if other in town.homes:
            assert at.balance == -(mirror.balance if mirror else 0), (at, mirror)
        assert at.doubt_in == at.doubt_out == 0, at
    for one, other in combinations(sorted(town.homes), 2):
        due = (await town.account(one, f"due/{other}")).balance
        assert due == -(await town.account(other, f"due/{one}")).balance, (one, other)


async def _ledger_follows(town: Town, coop: str) -> None:
    """Assert that a ledger has what the positions say, and nothing else set aside."""
    home = town.homes[coop]
    kept = await home.store.read(
        lambda tx: tables.positions_of(tx, coop=coop, agreement="", count_max=999)
    )
    total = 0
    for other in town.coops:
        due = await town.account(coop, f"due/{other}")
        owed = sum(at.balance for at in kept if at.other == other)
        assert due.balance == owed, f"{coop}'s ledger says {due.balance} of {other}, not {owed}"
        assert due.unit == UNIT
        total += due.balance
    given = await town.account(coop, GIVEN_FOR)
    assert given.balance + total == 0, f"{coop} does not sum to zero"


async def _proofs(town: Town, coop: str, name: str, entry: str | None) -> None:
    """Assert that anybody can verify a side of an exchange, and the entry that posts it."""
    home = town.homes[coop]
    kept = await home.store.read(lambda tx: tables.get(tx, coop=coop, exchange=name))
    assert kept is not None
    told = read_evidence(kept.evidence, town.genesis)
    assert told.hash == name and told.ending == kept.side.ending
    if entry is None:
        return
    posted: Entry | None = await home.store.write(
        lambda tx: home.ledger.book(coop).find(tx, f"exchange:{name}")
    )
    assert posted is not None and posted.hash == entry
    failed = [each for each in entry_checks(posted, offer=told.offer, hash_=name) if not each.ok]
    assert not failed, failed
