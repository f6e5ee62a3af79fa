"""World time of a devnet: only forward, signed, remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.spec import DAY_MS
from devnet.timekeeper import Timekeeper
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.wire.network import CLOCK_TYP, ClockRecord

NETWORK = "a" * 26


def test_a_new_network_has_real_time(tmp_path: Path) -> None:
    keeper = Timekeeper(folder=tmp_path, network=NETWORK, operator=Identity.generate())
    assert keeper.offset_ms == 0
    assert keeper.record is None


def test_time_adds_up_and_is_signed_by_the_operator(tmp_path: Path) -> None:
    operator = Identity.generate()
    keeper = Timekeeper(folder=tmp_path, network=NETWORK, operator=operator)
    keeper.move(7 * DAY_MS)
    token = keeper.move(DAY_MS)
    record = jws.verify(token, typ=CLOCK_TYP, issuer=operator.did, network=NETWORK, of=ClockRecord)
    assert (record.sequence, record.offset_ms) == (2, 8 * DAY_MS)


def test_time_goes_on_from_where_it_was_after_a_restart(tmp_path: Path) -> None:
    operator = Identity.generate()
    token = Timekeeper(folder=tmp_path, network=NETWORK, operator=operator).move(DAY_MS)
    again = Timekeeper(folder=tmp_path, network=NETWORK, operator=operator)
    assert again.record == token
    assert again.offset_ms == DAY_MS


def test_a_record_of_another_operator_is_not_gone_on_from(tmp_path: Path) -> None:
    Timekeeper(folder=tmp_path, network=NETWORK, operator=Identity.generate()).move(DAY_MS)
    with pytest.raises(ProofError):
        Timekeeper(folder=tmp_path, network=NETWORK, operator=Identity.generate())
