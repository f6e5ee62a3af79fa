"""What coops do about agreements and names, and what liars do: true and forged side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from nodeimpl.agreeing import PREFIX
from opkit.proof.agreement import signing_of, spell_file
from opkit.proof.names import claim_in, home_of, make_claim
from opkit.proof.record import make_record
from opkit.proof.terms import agreement_id, spell_terms
from opkit.wire import agreements as pact_wire
from opkit.wire import names as wire
from opkit.wire import objects
from opkit.wire.agreements import SignedBy
from opkit.wire.base import Jws, Slug
from opkit.wire.dht import PUT, PutRecord
from opkit.wire.operations import AddAct
from opkit.wire.records import Carried, RecordNotOwners, SignedRecordRejected
from opkit.wire.terms import Action, Terms
from tests.operations import first_operation
from tests.simulation.beliefs import Said
from tests.simulation.full import FullTown
from tests.simulation.pacts import amended, decided_by
from tests.simulation.town import ARBITER, COOPS, NETWORK, key_of, terms_of

PAPERS_MAX = 8
THINGS = ("saw", "van")
TERMS_MS = (20_000, 600_000, 86_400_000)
"""For how long names are wanted: some lapse within a story."""


class Teller(Protocol):
    """What deeds need of the story."""

    town: FullTown
    draw: Random
    said: Said

    def count(self, what: str) -> None: ...

    async def attempt(self, who: Slug, doing: Callable[[], Awaitable[object]]) -> bool: ...


@dataclass(eq=False)
class Signing:
    """Agreements that are decided, ended, amended, and forged.

    Attributes:
        papers: the terms that coops speak of; given: what each signed, with its terms.
    """

    story: Teller
    papers: list[Terms] = field(default_factory=list)
    given: list[tuple[SignedBy, Terms]] = field(default_factory=list)

    async def sign(self, coop: Slug, terms: Terms, action: Action = "adopt") -> None:
        """Have a coop decide about terms, and its home sign it, if it runs."""
        town = self.story.town
        if coop not in town.homes:
            return
        signed = decided_by(coop, terms, action, at_ms=town.clock.world_ms())
        pacts = town.pacts[coop]
        if await self.story.attempt(coop, lambda: pacts.decide(terms, action, signed)):
            self.story.said.signed[signed.signature] = agreement_id(terms)
            self.given.append((signed, terms))
            self.story.count(f"agreement {action}")

    async def adopt(self) -> None:
        """Have a coop sign terms that are spoken of."""
        terms = self.story.draw.choice(self.papers)
        await self.sign(self.story.draw.choice(terms.parties), terms)

    async def draft(self) -> None:
        """Speak of other terms: of all, or in place of some that were signed; one signs."""
        draw = self.story.draw
        if len(self.papers) >= PAPERS_MAX:
            return
        title = f"Paper {len(self.papers)}"
        spare = [each for each in self.papers if each.title.startswith("Paper")]
        if spare and draw.random() < 0.5:
            terms = amended(draw.choice(spare), title)
        else:
            terms = terms_of(*draw.sample(COOPS, draw.choice((2, 3))), title=title)
        self.papers.append(terms)
        await self.sign(draw.choice(terms.parties), terms)

    async def end(self) -> None:
        """Have a coop give notice of what is not needed for exchanges."""
        spare = [each for each in self.papers if each.title.startswith("Paper")]
        if spare:
            terms = self.story.draw.choice(spare)
            await self.sign(self.story.draw.choice(terms.parties), terms, "end")

    async def lie(self) -> None:
        """Have the arbiter's home, a keeper itself, hand on what a coop never signed."""
        town, draw = self.story.town, self.story.draw
        victim = self._victim()
        if victim is None:
            return
        kept = await town.pacts[victim].files()
        if not kept:
            return
        terms = kept[draw.choice(sorted(kept))][0].terms
        element = self._forged(terms)
        object_id = PREFIX + agreement_id(terms)
        liar = key_of(ARBITER)
        said = first_operation(
            liar,
            AddAct(element=element),
            network=NETWORK,
            aud=object_id,
            at_ms=town.clock.now_ms(),
        )
        heads = objects.ObjectHeads(aud=object_id, epoch=0, base=None, heads=(said.id,))
        town.lies[victim, ARBITER, objects.LACKING.name] = objects.OperationsGiven(
            operations=(said.token,), more=False
        )
        await self._told(victim, heads)

    async def misname(self) -> None:
        """Have the arbiter's home tell of an agreement by terms that are not its own."""
        victim = self._victim()
        if victim is None:
            return
        terms = self.story.draw.choice(self.papers)
        other = terms.model_copy(update={"text": "And all that is owed is forgiven."})
        unheard = PREFIX + agreement_id(terms.model_copy(update={"text": "Of this nobody heard."}))
        heads = objects.ObjectHeads(
            aud=unheard, opening=spell_terms(other), epoch=0, base=None, heads=()
        )
        await self._told(victim, heads)

    async def hand_in(self) -> None:
        """Hand a home a file with a signature that a coop never gave: it is refused."""
        coop = self._somebody()
        if coop is None:
            return
        terms = self.story.draw.choice(self.papers)
        forged = self._by_liar(terms)
        before = await self.story.town.pacts[coop].files()
        try:
            await self.story.town.pacts[coop].bring(spell_file(terms, (forged,)))
        except (pact_wire.SignatureRejected, pact_wire.AgreementForeign):
            assert await self.story.town.pacts[coop].files() == before, (
                "a forgery changed something"
            )
            self.story.count("forged files")
            return
        raise AssertionError("a forged file was believed")

    # How it is done.

    async def _told(self, victim: Slug, heads: objects.ObjectHeads) -> None:
        """Have a home hear of heads by the arbiter's, and act upon it."""
        town = self.story.town
        self.story.said.liars.setdefault(victim, set()).add(key_of(ARBITER).did)
        talk = town.pacts[victim].talk
        before = talk.counts["lies"]
        ask = objects.TellHeads(objects=(heads,))
        await town.hear(victim, objects.TELL_HEADS.name, ask, asker=ARBITER)
        served = await self.story.attempt(victim, talk.serve_due)
        untold = [key for key in town.lies if key[0] == victim]
        for key in untold:
            del town.lies[key]
        if served and not untold:
            assert talk.counts["lies"] == before + 1, f"{victim} did not notice a lie"
            self.story.count("lies")

    def _forged(self, terms: Terms) -> str:
        """Return what is shared of a signature: a stranger's, or a true one under other terms."""
        elsewhere = [each for each in self.given if each[1] != terms]
        if elsewhere and self.story.draw.random() < 0.5:
            signed, its = self.story.draw.choice(elsewhere)
            return signing_of(signed, terms=its)
        return signing_of(self._by_liar(terms), terms=terms)

    def _by_liar(self, terms: Terms) -> SignedBy:
        liar = key_of("liar")
        coop = self.story.draw.choice(terms.parties)
        at_ms = self.story.town.clock.world_ms()
        return decided_by(coop, terms, at_ms=at_ms, home=liar, decision={"did": liar.did})

    def _somebody(self) -> Slug | None:
        running = [coop for coop in COOPS if coop in self.story.town.homes]
        return self.story.draw.choice(running) if running else None

    def _victim(self) -> Slug | None:
        """Return a home that the arbiter's reaches and that takes what it says."""
        town = self.story.town
        liar = key_of(ARBITER).did
        open_to = [coop for coop in COOPS if coop in town.homes]
        open_to = [coop for coop in open_to if liar in town.pacts[coop].links.connected()]
        return self.story.draw.choice(open_to) if open_to else None


@dataclass(eq=False)
class Naming:
    """Names that are claimed, renewed, given back, and forged."""

    story: Teller

    async def claim(self) -> None:
        """Have a member claim a name of the coop, or give it back, on any node."""
        town, draw = self.story.town, self.story.draw
        coop = draw.choice(COOPS)
        by = draw.choice((coop, *town.coops))
        if by not in town.homes:
            return
        claim = self._claim(coop, draw.choice(("officer", "clerk")), free=draw.random() < 0.2)
        self.story.said.claims.add(claim)
        names, name = town.names[by], claim_in(claim).name

        async def claimed() -> None:
            held = await names.claim(claim)
            before = self.story.said.answered.get(name, (0, 0))
            answer = (held.sequence, held.lapses_at_ms)
            self.story.said.answered[name] = max(before, answer)
            self.story.count("names" if held.target is not None else "names given back")

        await self.story.attempt(by, claimed)

    async def forge(self) -> None:
        """Hand a home a record that the name's home did not sign, or a claim that nobody made."""
        town, draw = self.story.town, self.story.draw
        running = [coop for coop in town.coops if coop in town.homes]
        if not running:
            return
        victim, coop = draw.choice(running), draw.choice(COOPS)
        true = self._claim(coop, "officer")
        forged = self._claim(coop, "officer", key="liar")
        home = home_of(claim_in(true).name, genesis=town.genesis)
        signer = next(each for each in town.coops if key_of(each).did == home)
        other = draw.choice([each for each in (*town.coops, "liar") if each != signer])
        by, claim = draw.choice(((other, true), (signer, forged)))
        record = make_record(
            key_of(by),
            network=NETWORK,
            namespace="name",
            name=claim_in(claim).name,
            value=wire.NameValue(claim=claim).model_dump(mode="json"),
            at_ms=town.clock.now_ms(),
            term_ms=TERMS_MS[-1],
        )
        # What has lapsed meanwhile goes whoever hands in what.
        town.names[victim].shelf.tick(town.clock.now_ms())
        before = town.names[victim].records()
        try:
            await town.hear(victim, PUT.name, PutRecord(record=Carried(jws=record)))
        except (SignedRecordRejected, RecordNotOwners):
            assert town.names[victim].records() == before, "a forged record changed something"
            self.story.count("forged records")
            return
        raise AssertionError("a forged record was believed")

    async def impersonate(self) -> None:
        """Hand a home a claim in the name of a member whose key did not sign it."""
        town, coop = self.story.town, self.story.draw.choice(COOPS)
        if coop not in town.homes:
            return
        ask = wire.PassClaim(claim=self._claim(coop, "officer", key="liar"))
        try:
            await town.hear(coop, wire.CLAIM_NAME.name, ask)
        except (wire.ClaimNotMembers, wire.ClaimRejected):
            self.story.count("forged claims")
            return
        raise AssertionError("a forged claim was countersigned")

    def _claim(self, coop: Slug, who: str, *, free: bool = False, key: str = "") -> Jws:
        town, draw = self.story.town, self.story.draw
        member_id = f"{coop}/{who}"
        return make_claim(
            key_of(key or member_id),
            network=NETWORK,
            name=f"{draw.choice(THINGS)}.{coop}",
            member_id=member_id,
            target=None if free else wire.NodeTarget(node=key_of(draw.choice(town.coops)).did),
            at_ms=town.clock.now_ms(),
            term_ms=draw.choice(TERMS_MS),
        )
