"""Governance's endpoints bound to the service; the settlement of distributions is among them."""

from __future__ import annotations

from nodeimpl.governance.service import Governance
from nodeimpl.kernel.binding import Route, answer, serve
from opkit.wire import governance as wire


def routes(governance: Governance) -> list[Route]:
    """Return this domain's endpoints."""
    assemblies, proposing, voting = governance.assemblies, governance.proposing, governance.voting
    deciding, executing = governance.deciding, governance.executing
    return [
        serve(wire.READ_ASSEMBLY, assemblies.assembly),
        serve(wire.READ_TREASURY, assemblies.treasury),
        serve(wire.PROPOSE, proposing.propose, prepare=proposing.prove),
        serve(wire.OPEN_PROPOSAL, proposing.open),
        serve(wire.LIST_PROPOSALS, proposing.page),
        serve(wire.READ_PROPOSAL, proposing.show),
        serve(wire.CAST_VOTE, voting.cast, prepare=voting.prove),
        serve(wire.LIST_VOTES, voting.votes),
        serve(wire.DELEGATE, voting.delegate, prepare=voting.prove_delegation),
        serve(wire.LIST_DELEGATIONS, voting.delegations),
        serve(wire.CLOSE_PROPOSAL, deciding.close),
        serve(wire.CANCEL_PROPOSAL, deciding.cancel),
        serve(wire.CHALLENGE_DECISION, deciding.challenge, prepare=deciding.prove_missed),
        serve(wire.EXECUTE_PROPOSAL, executing.execute),
        serve(wire.LEDGER_SETTLE, executing.settle),
        answer(wire.READ_DECISION, governance.files.decision),
        answer(wire.LODGE_VOTE, governance.lodging.lodge),
    ]
