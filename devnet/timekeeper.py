"""World time of a devnet: the operator's clock records, the last one kept in a file."""

from __future__ import annotations

import time
from pathlib import Path

from opkit import home
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import Jws, NetworkId
from opkit.wire.network import CLOCK_TYP, ClockRecord


class Timekeeper:
    """Signs clock records that only move forward, and remembers the last across restarts."""

    def __init__(self, *, folder: Path, network: NetworkId, operator: Identity) -> None:
        """Go on from the last record if there is one.

        Raises:
            ProofError: the kept record is not this operator's.
        """
        self._file = folder / "clock.jws"
        self._network = network
        self._operator = operator
        self.record: Jws | None = None
        self._last: ClockRecord | None = None
        if self._file.exists():
            self.record = self._file.read_text("ascii")
            self._last = jws.verify(
                self.record, typ=CLOCK_TYP, issuer=operator.did, network=network, of=ClockRecord
            )

    @property
    def offset_ms(self) -> int:
        """By how much world time runs ahead of real time."""
        return self._last.offset_ms if self._last else 0

    def move(self, by_ms: int) -> Jws:
        """Sign and keep the record that moves world time ahead by `by_ms`, and return it."""
        self._last = ClockRecord(
            network=self._network,
            aud="clock",
            sequence=(self._last.sequence if self._last else 0) + 1,
            offset_ms=self.offset_ms + by_ms,
            issued_at_ms=time.time_ns() // 1_000_000,
        )
        self.record = jws.sign(self._last, typ=CLOCK_TYP, identity=self._operator)
        home.write_private(self._file, self.record.encode("ascii"))
        return self.record
