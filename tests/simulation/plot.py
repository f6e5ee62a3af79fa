"""A story of coops that one seed tells: what members do, and what becomes of messages and homes.

Whatever is drawn depends on the seed and on what was asked so far, never on how fast anything was:
the same seed tells the same story.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from random import Random

from nodeimpl.clearing import store as tables
from opkit.proof.circles import circle_of
from opkit.proof.clearing import sign_outcome
from opkit.proof.terms import agreement_id
from opkit.wire import clearing as wire
from opkit.wire.base import SAFE_INT_MAX, RecordId, Slug
from opkit.wire.errors import Refusal
from tests.simulation import beliefs
from tests.simulation.deeds import Naming, Signing
from tests.simulation.full import FullTown
from tests.simulation.town import (
    COOPS,
    FATES,
    LIMITS,
    MOST,
    UNIT,
    Died,
    Fate,
    Message,
    key_of,
    terms_of,
)
from tests.simulation.truths import always, at_rest

STEPS = 40
"""How many things happen before all is mended."""

SERIAL = replace(LIMITS, at_once_max=1)
"""One message after another, so that nothing depends on which is quicker."""


@dataclass(eq=False)
class Plot:
    """One story.

    Attributes:
        done: what happened, in words, for whoever looks at a seed that failed.
        met: how often what happened, so that a test sees that the stories are about something.
        said: what really was signed and claimed.
    """

    seed: int
    town: FullTown
    draw: Random
    done: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    counted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    agreements: dict[frozenset[Slug], RecordId] = field(default_factory=dict)
    said: beliefs.Said = field(default_factory=beliefs.Said)
    named: int = 0
    bad: float = 0.3

    def weather(self, message: Message) -> Fate:
        """Return what becomes of a message: by its kind, and how many of it came before."""
        kind = (message.asker, message.asked, message.method)
        self.counted[kind] += 1
        text = f"{self.seed} {kind} {self.counted[kind]}"
        drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
        if drawn >= self.bad:
            return "pass"
        fate = FATES[int(drawn / self.bad * len(FATES))]
        self.met[fate] += 1
        return fate

    async def tell(self) -> None:
        """Have everything happen, with what must be true after each step; then mend all."""
        signing, naming = Signing(self), Naming(self)
        for pair in combinations(COOPS, 2):
            terms = terms_of(*pair)
            signing.papers.append(terms)
            self.agreements[frozenset(pair)] = agreement_id(terms)
            for coop in pair:
                await signing.sign(coop, terms)
        for coop in COOPS * 2:
            await self.attempt(coop, lambda coop=coop: self.town.serve(coop))
        deeds = [self.exchange] * 8 + [self.go_on] * 8 + [self.pass_time] * 3
        deeds += [self.settle, self.net, self.net, self.late, self.cut, self.heal, self.heal]
        deeds += [self.crash, self.leave, self.come_back, self.again] + [self.forge] * 2
        deeds += [signing.adopt, signing.adopt, signing.draft, signing.end, signing.end]
        deeds += [signing.lie, signing.misname, signing.hand_in]
        deeds += [naming.claim] * 5 + [naming.forge, naming.impersonate]
        for _ in range(STEPS):
            deed = self.draw.choice(deeds)
            self.done.append(deed.__qualname__.lower())
            await deed()
            await always(self.town)
            await beliefs.always(self.town, self.said)
        await self.mend()
        await at_rest(self.town)
        await beliefs.at_rest(self.town, self.said)
        for sides in (await self.town.sides()).values():
            for side in sides.values():
                ruled = ", ruled" if side.ruled else ""
                self.met[f"{side.kind} {side.state}{ruled}"] += 1
                self.met["corrections"] += side.correction is not None

    async def mend(self) -> None:
        """Let everybody be there, and everything pass."""
        self.bad = 0.0
        for one, other in sorted(sorted(pair) for pair in self.town.cut):
            self.town.mend(one, other)
        for coop in self.town.coops:
            if coop not in self.town.homes:
                await self.town.start(coop)
        await self.town.come_to_rest()
        await self.town.hear_all()

    # What members do.

    async def exchange(self) -> None:
        """Have something exchanged, by either of the two."""
        payer, payee = self.draw.sample(COOPS, 2)
        by = self.draw.choice((payer, payee))
        agreement = self.agreements[frozenset((payer, payee))]
        self.named += 1
        name, amount = f"x{self.named}", self.draw.randint(1, MOST // 2)
        await self.attempt(
            by,
            lambda: self.town.offer(
                payer, payee, amount, by=by, agreement=agreement, name=name, ttl_ms=3_000
            ),
        )

    async def again(self) -> None:
        """Ask for an exchange again whose answer got lost: it is the same one."""
        coop = self._somebody()
        if coop is None:
            return
        own = [each for each in await self._kept(coop) if each.side.role == "proposer"]
        own = [each for each in own if each.offer.kind == "exchange"]
        if not own:
            return
        kept = self.draw.choice(own)
        (leg,) = kept.offer.legs
        await self.attempt(
            coop,
            lambda: self.town.offer(
                leg.payer,
                leg.payee,
                leg.amount,
                by=coop,
                agreement=leg.agreement,
                name=kept.offer.exchange_id,
            ),
        )

    async def settle(self) -> None:
        """Have a period settled."""
        pair = self.draw.choice(sorted(sorted(each) for each in self.agreements))
        by = self.draw.choice(pair)
        agreement = self.agreements[frozenset(pair)]
        period = f"2026-{self.draw.randint(1, 12):02}"
        await self.attempt(by, lambda: self.town.settle(by, agreement, period))

    async def net(self) -> None:
        """Have debts netted that go around, as they stand at the moment."""
        found = []
        for coop in COOPS:
            if coop in self.town.homes:
                clearing = self.town.homes[coop].clearing
                found += (
                    await self.town.homes[coop].store.read(
                        lambda tx, clearing=clearing: clearing.positions(
                            tx, wire.ListPositions(), None
                        )
                    )
                ).positions
        legs = circle_of(found, UNIT)
        if not legs:
            return
        self.met["a circle"] += 1
        by = self.draw.choice(COOPS)
        self.named += 1
        name = f"n{self.named}"
        await self.attempt(by, lambda: self.town.net(by, legs, name=name))

    # What else happens.

    async def go_on(self) -> None:
        """Have a home say what it has to."""
        coop = self.draw.choice(self.town.coops)

        await self.attempt(coop, lambda: self.town.serve(coop))

    async def pass_time(self) -> None:
        """Let time pass: little, or so much that offers lapse and the arbiter is asked."""
        self.town.clock.advance(self.draw.choice((100, 1_000, 5_000, 30_000)))

    async def late(self) -> None:
        """Let what was late arrive."""
        try:
            await self.town.deliver_late()
        except Died as died:
            await self.town.restart(died.args[0])

    async def cut(self) -> None:
        """Cut two homes off from each other."""
        self.town.part(*self.draw.sample(self.town.coops, 2))

    async def heal(self) -> None:
        """Let two homes reach each other again."""
        if self.town.cut:
            self.town.mend(*self.draw.choice(sorted(sorted(pair) for pair in self.town.cut)))

    async def crash(self) -> None:
        """Have a home crash and start again."""
        coop = self._somebody()
        if coop is not None:
            await self.town.restart(coop)

    async def leave(self) -> None:
        """Have a home not run for a while; one at a time."""
        if len(self.town.homes) == len(self.town.coops):
            await self.town.stop(self.draw.choice(self.town.coops))

    async def come_back(self) -> None:
        """Have homes run again that did not."""
        for coop in self.town.coops:
            if coop not in self.town.homes:
                await self.town.start(coop)

    async def forge(self) -> None:
        """Tell a side of an end that nobody decided: it is refused, and changes nothing."""
        coop = self._somebody()
        if coop is None:
            return
        kept = await self._kept(coop)
        kept = [each for each in kept if each.side.ending is None] or kept
        if not kept:
            return
        victim, liar = self.draw.choice(kept), key_of("liar")
        abort = wire.Abort(
            network=victim.offer.network,
            did=liar.did,
            coop=victim.offer.coop,
            offer=victim.exchange,
            why="lapsed",
            decided_ms=1,
        )
        said = victim.evidence.model_copy(update={"outcome": sign_outcome(abort, liar)})
        self.met["forgeries"] += 1
        try:
            await self.town.hear(
                coop, wire.TELL_OUTCOME.name, wire.TellOutcome(coop=coop, evidence=said)
            )
        except wire.OfferRejected:
            after = await self._kept(coop)
            assert victim in after, "a forgery changed something"
            return
        raise AssertionError("a forgery was believed")

    # How it is done.

    def count(self, what: str) -> None:
        """Take note that something happened."""
        self.met[what] += 1

    async def attempt(self, who: Slug, doing: Callable[[], Awaitable[object]]) -> bool:
        """Do something by a home, if it runs; return whether it was done.

        What is refused is refused, and who dies is back.
        """
        if who not in self.town.homes:
            return False
        try:
            await doing()
        except Refusal as no:
            self.met[no.code] += 1
            self.done.append(f"  {no.code}")
        except Died:
            self.done.append(f"  {who} died")
            await self.town.restart(who)
        else:
            self.met["done"] += 1
            return True
        return False

    def _somebody(self) -> Slug | None:
        running = [coop for coop in COOPS if coop in self.town.homes]
        return self.draw.choice(running) if running else None

    async def _kept(self, coop: Slug) -> list[tables.Kept]:
        asked = {"coop": coop, "agreement": "", "doubt": False, "before": SAFE_INT_MAX}
        return await self.town.homes[coop].store.read(
            lambda tx: tables.page(tx, count_max=500, **asked)
        )


async def tell_seed(seed: int, folder: Path) -> Plot:
    """Tell the story of a seed.

    Raises:
        AssertionError: something is not as it must be; the message says how to tell it again.
    """
    town = FullTown(folder, limits=SERIAL)
    plot = Plot(seed, town, Random(seed))
    town.weather = plot.weather
    try:
        async with town:
            await plot.tell()
    except BaseException as broken:
        steps = "\n".join(plot.done)
        why = f"OPKIT_TOWN_SEED={seed} tells it again: {broken!r}\n{steps}"
        raise AssertionError(why) from broken
    plot.met["restarts"] += town.restarts
    return plot
