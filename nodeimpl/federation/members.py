"""Who belongs to the federation, by what has been said in it so far."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.federation import rules
from nodeimpl.kernel.crdt.log import Entry
from nodeimpl.kernel.store import Tx
from nodeimpl.sharing.service import Sharing
from opkit.proof import jws
from opkit.proof.federation import home_coop
from opkit.proof.genesis import GenesisView
from opkit.wire import federation as wire
from opkit.wire.base import Did, Slug
from opkit.wire.federation import FEDERATION, CoopStatement
from opkit.wire.operations import AUTHORS_MAX, AdmitAct, ExpelAct


@dataclass(frozen=True, kw_only=True)
class Roll:
    """The federation's members, those who might be, and what each said of its coop."""

    genesis: GenesisView
    founders: frozenset[Did]
    authors: frozenset[Did]
    expelled: frozenset[Did]
    said: tuple[Entry, ...]
    statements: dict[Did, str]

    def voices(self, did: Did, *, expel: bool) -> tuple[Did, ...]:
        """Return who said that somebody is to be a member, or is to be one no more, in order."""
        kind = ExpelAct if expel else AdmitAct
        by = {
            entry.said.did
            for entry in self.said
            if isinstance(entry.act, kind) and entry.act.did == did
        }
        return tuple(sorted(by))

    def coop(self, did: Did) -> Slug | None:
        """Return a node's coop: by the genesis, or by its own word if nobody else said it first."""
        home = home_coop(self.genesis, did)
        if home is not None:
            return home
        said = self.statement(did)
        return None if said is None else said.coop

    def coops(self) -> frozenset[Slug]:
        """Return the coops of all members."""
        found = (self.coop(did) for did in self.authors)
        return frozenset(coop for coop in found if coop is not None)

    def statement(self, did: Did) -> CoopStatement | None:
        """Return what a node said of its coop; it was verified when it was taken."""
        token = self.statements.get(did)
        return None if token is None else CoopStatement.model_validate(jws.reread(token))

    def known(self) -> tuple[Did, ...]:
        """Return members, and those of whom members said something, by coop and key."""
        named = {entry.act.did for entry in self.said if isinstance(entry.act, AdmitAct | ExpelAct)}
        every = (self.authors | self.founders | named) - self.expelled
        return tuple(sorted(every, key=lambda did: (self.coop(did) or "~", did)))

    def view(self, did: Did) -> wire.FederationMember:
        """Return how somebody stands."""
        said = self.statement(did)
        node = self.genesis.node(did)
        title = said.title if said is not None else node.title if node is not None else ""
        return wire.FederationMember(
            did=did,
            coop=self.coop(did),
            title=title,
            founder=did in self.founders,
            standing=did in self.authors,
            vouched_by=self.voices(did, expel=False)[:AUTHORS_MAX],
            against=self.voices(did, expel=True)[:AUTHORS_MAX],
            statement=self.statements.get(did),
            registered_at_ms=None if said is None else said.issued_at_ms,
        )


def roll_of(sharing: Sharing, tx: Tx, *, genesis: GenesisView, founders: frozenset[Did]) -> Roll:
    """Return the roll as the replica says; on the writer."""
    replica = sharing.as_it_stands(tx, FEDERATION)
    standing, begins = replica.standing, f"{rules.COOP}/"
    statements = {
        row.key.removeprefix(begins): row.value
        for row in sharing.values(tx, FEDERATION, begins)
        if row.value is not None
    }
    return Roll(
        genesis=genesis,
        founders=founders,
        authors=standing.authors,
        expelled=standing.expelled,
        said=replica.voices(),
        statements=statements,
    )
