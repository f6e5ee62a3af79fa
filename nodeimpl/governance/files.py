"""The files of decisions: read in pages beside the writer, since nothing in them changes any more.

What was closed keeps its ballots and its electorate; chains only grow, and of each the file has the
part that stood when voting opened, and what is needed to read a ballot by a later key.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from nodeimpl.governance import ballots_store as votes
from nodeimpl.governance.assemblies import Assemblies
from nodeimpl.governance.ballots_store import Decided
from nodeimpl.governance.states import Standing
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Store, Tx
from opkit.proof import jws
from opkit.proof.ballots import commitments_of
from opkit.wire import deciding as no
from opkit.wire import governance as wire
from opkit.wire.base import Jws
from opkit.wire.votes import Elector

PAGE = 1_000
"""How many rows are read at once: others are answered between two pages."""


class Files:
    """Puts together the files of decisions of the assemblies whose home this node is."""

    def __init__(self, assemblies: Assemblies, *, store: Store) -> None:
        """Join the parts."""
        self._assemblies = assemblies
        self._store = store

    async def decision(self, ask: wire.AskDecision, caller: Caller | None) -> wire.DecisionAnswer:
        """Answer the file of a decision: whole for the coop's electors, attested for others.

        Refuses, in this order:
            RollCallNotYours: the whole is asked for by somebody who does not vote there.
            ProposalUnknown: there is no such proposal.
            DecisionMissing: nothing was decided on it.
        """
        self._assemblies.own(ask.coop)
        standing, decided = await self._store.read(lambda tx: self._decided(tx, ask, caller))
        ballots = await self._ballots(standing)
        if ask.form == "attested":
            commitments = commitments_of((each["id"], each["salt"]) for each in ballots)
            file = {"v": 1, "attested": decided.attested, "commitments": commitments}
            return wire.DecisionAnswer(file=_spell(file))
        electors = await self._electors(standing, ballots, decided)
        file = {
            "v": 1,
            "decision": decided.signed,
            "proposal": standing.signed,
            "electors": electors,
            "ballots": [{"ballot": each["ballot"], "salt": each["salt"]} for each in ballots],
            "delegations": decided.delegations,
        }
        return wire.DecisionAnswer(file=await asyncio.to_thread(_spell, file))

    def _decided(
        self, tx: Tx, ask: wire.AskDecision, caller: Caller | None
    ) -> tuple[Standing, Decided]:
        if ask.form == "full":
            self._assemblies.check_roll_call(tx, ask.coop, caller)
        standing = self._assemblies.standing(tx, ask.coop, ask.proposal_id)
        decided = votes.get_decision(tx, standing.hash)
        if decided is None:
            raise no.DecisionMissing(state=standing.state)
        return standing, decided

    async def _ballots(self, standing: Standing) -> list[dict[str, str]]:
        """Return the ballots that were counted, by member."""
        found: list[dict[str, str]] = []
        after = ""
        while True:
            look = partial(votes.page, proposal=standing.hash, after=after, count_max=PAGE)
            page = await self._store.read(look)
            found += (
                {
                    "member_id": each.member_id,
                    "id": each.id,
                    "did": each.did,
                    "ballot": each.ballot,
                    "salt": each.salt,
                }
                for each in page
            )
            if len(page) < PAGE:
                return found
            after = page[-1].member_id

    async def _electors(
        self, standing: Standing, ballots: list[dict[str, str]], decided: Decided
    ) -> list[dict[str, Any]]:
        """Return what shows that each elector was one, by member."""
        electorate = await self._store.read(lambda tx: self._assemblies.electorate(tx, standing))
        signed = [(each["member_id"], each["did"]) for each in ballots]
        for token in decided.delegations:
            said = jws.reread(token)
            signed.append((said["member_id"], said["did"]))
        newer = {
            member
            for member, did in signed
            if member in electorate and electorate[member].did != did
        }
        chains = {member: _Chain(elector) for member, elector in electorate.items()}
        after = ("", 0)
        links = self._assemblies.members.links
        while True:
            look = partial(links, coop=standing.coop, after=after, count_max=PAGE)
            page = await self._store.read(look)
            for member, number, token in page:
                if member in chains:
                    chains[member].add(number, token, later=member in newer)
            if len(page) < PAGE:
                break
            after = (page[-1][0], page[-1][1])
        return [
            {"member_id": member, "records": chain.records, "later": chain.later}
            for member, chain in sorted(chains.items())
        ]


class _Chain:
    """The links of one elector: those of when voting opened, and those since."""

    def __init__(self, elector: Elector) -> None:
        self.records: list[Jws] = []
        self.later: list[Jws] = []
        self._until = elector.sequence

    def add(self, number: int, token: Jws, *, later: bool) -> None:
        if number <= self._until:
            self.records.append(token)
        elif later:
            self.later.append(token)


def _spell(file: dict[str, Any]) -> bytes:
    return json.dumps(file, separators=(",", ":")).encode("ascii")
