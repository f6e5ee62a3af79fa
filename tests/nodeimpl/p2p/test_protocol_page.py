"""The protocol's page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.transport import TransportLimits
from opkit.proof.journal import _DOMAIN
from opkit.proof.report import REPORT_TYP
from opkit.wire import genesis, membership, network
from opkit.wire.compute import BLOB_BYTES_MAX, RECEIPT_TYP, TASK_TYP
from opkit.wire.peer import COMMON_REFUSALS, FRAME_BYTES_MAX, METHODS, PROTOCOL

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()]


def row(first: str) -> list[str]:
    (found,) = [cells for cells in ROWS if cells[0] == first]
    return found


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_stands_there_with_its_types_refusals_and_deadline(method):
    _, types, refusals, deadline = row(f"`{method.name}`")
    assert re.findall(r"`(\w+)`", types) == [method.ask.__name__, method.answer.__name__]
    assert re.findall(r"`([\w-]+)`", refusals) == [leaf.code for leaf in method.refuses]
    assert deadline == f"{method.deadline_ms // 1000} s"
    assert ("bytes" in types) == method.streams_blob
    assert ("frames" in types) == method.takes_casts


def test_common_refusals_stand_there_in_order():
    text = PAGE[PAGE.index("Any question can also be refused") :][:300]
    codes = [leaf.code for leaf in COMMON_REFUSALS]
    assert re.findall(r"`([\w-]+)`", text)[: len(codes)] == codes


def test_limits_stand_there_as_they_are():
    ours, transport = PeersLimits(), TransportLimits()
    assert f"{FRAME_BYTES_MAX:,} bytes" in PAGE
    expected = {
        "connections in all; of strangers in all": f"{ours.connections_max}; {ours.strangers_max}",
        "streams a peer may have open": f"{transport.streams_per_peer_max}",
        "questions answered at once": f"{ours.streams_max}",
        "bytes under way and unread, a connection": f"{transport.window_bytes_max >> 20} MiB",
        "bytes of request frames held at once": f"{ours.frame_bytes_max >> 20} MiB",
        "a request frame's arrival": f"{ours.request_ms_max // 1000} s",
        "blobs sent to a peer at once": f"{ours.blob_streams_max}",
        "providers tried for a blob": f"{ours.providers_max}",
        "questions a second": (
            f"{ours.asks_per_second_max:,}, after a burst of {2 * ours.asks_per_second_max:,}"
        ),
        "handshakes under way, in all": (
            f"{transport.handshakes_max}, {transport.handshake_ms_max // 1000} s each"
        ),
        "refused questions": (
            f"{ours.blame_max:,}, of which {ours.forgiven_per_second} a second are forgiven"
        ),
        "casts read of a peer": (
            f"{ours.cast_bytes_per_second_max >> 20} MiB a second, after a burst of "
            f"{4 * ours.cast_bytes_per_second_max >> 20} MiB; each counts 1 KiB more"
        ),
        "a blob": f"{BLOB_BYTES_MAX >> 20} MiB, 30 s, {ours.piece_ms_max // 1000} s"
        " for each next piece",
    }
    for first, limit in expected.items():
        assert row(first)[1] == limit


def test_every_signed_type_stands_there():
    for typ in (
        genesis.GENESIS_TYP,
        genesis.CHARTER_TYP,
        membership.MEMBER_TYP,
        membership.LOGIN_TYP,
        membership.TOKEN_TYP,
        network.CLOCK_TYP,
        TASK_TYP,
        RECEIPT_TYP,
        REPORT_TYP,
    ):
        assert row(f"`{typ}`")
    assert PROTOCOL in PAGE
    assert _DOMAIN.decode().strip() in PAGE
