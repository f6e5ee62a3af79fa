"""Why exchanges that somebody has open are believed, verified again as they go on.

A proof is the picture of a moment: who looks at it while the other side accepts or posts shall not
be left with what was so before. So it is made again as soon as the exchange is told otherwise.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from opkit.live.federation_proof import prove_exchange
from opkit.live.federations import places_of
from opkit.live.live import Live
from opkit.live.ports import PageRefused
from opkit.views.federation_figures import MovedFigure
from opkit.views.ledger_figures import ProofFigure
from opkit.wire.base import RecordId

PROOFS_MAX: Final = 50
"""How many proofs are kept: as many exchanges as a node's list shows."""


@dataclass(frozen=True, kw_only=True)
class _Proved:
    """How an exchange verified when it was told like this."""

    of: MovedFigure
    proof: ProofFigure


class MovedProofs:
    """Proofs of open exchanges. Satisfies `Runs`: one for all pages of a `Live`."""

    def __init__(self, live: Live) -> None:
        """Have proved nothing yet."""
        self._live = live
        self._proved: dict[RecordId, _Proved] = {}
        self._due: dict[RecordId, MovedFigure] = {}
        self._in_hand: MovedFigure | None = None
        self._stirred = asyncio.Event()

    def want(self, figure: MovedFigure) -> ProofFigure | None:
        """Return how an exchange verified last; have it done again if it is told otherwise now.

        None: nobody has had it verified.
        """
        held = self._proved.get(figure.hash)
        if held is None:
            return None
        if figure not in (held.of, self._in_hand):
            self._due[figure.hash] = figure
            self._stirred.set()
        return held.proof

    async def prove(self, figure: MovedFigure) -> None:
        """Verify an exchange now, and keep how it did.

        Raises:
            PageRefused: no side hands it over.
        """
        proof = await prove_exchange(self._live, places_of(self._live), figure)
        self._keep(figure, proof)

    async def run(self) -> None:
        """Verify again what goes on, until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._due:
                _, self._in_hand = self._due.popitem()
                await self._prove_again(self._in_hand)
                self._in_hand = None

    async def _prove_again(self, figure: MovedFigure) -> None:
        try:
            await self.prove(figure)
        except PageRefused as no:
            held = self._proved.get(figure.hash)
            if held is not None:
                before = f"{no} It stands here as it verified before."
                self._keep(figure, replace(held.proof, trouble=before))

    def _keep(self, figure: MovedFigure, proof: ProofFigure) -> None:
        self._proved.pop(figure.hash, None)
        self._proved[figure.hash] = _Proved(of=figure, proof=proof)
        while len(self._proved) > PROOFS_MAX:
            self._proved.pop(next(iter(self._proved)))
        self._live.touch()
