"""`opkit exchange offer` and `opkit clearing net` at a node that takes the ask and hangs up."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from opkit.cli import exits
from opkit.cli.clearings import named_for_good
from opkit.cli.failing import Mistake
from tests.simulation.town import GENESIS, key_of

AGREED = "7" * 64
OFFER = ("exchange", "offer", "--agreement", AGREED, "--payer", "apple", "--payee", "birch")
NET = ("clearing", "net", "--leg", f"apple:birch:9:{AGREED}")


@pytest.fixture
def heard() -> Iterator[tuple[str, list[str]]]:
    """Hold a node that hangs up on whoever asks it; its URL, and the ids that it was asked for."""
    ids: list[str] = []

    class HangsUp(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            ids.append(said["exchange_id"])

        def log_message(self, *_: Any) -> None:
            """Say nothing of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), HangsUp)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", ids
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("command", [(*OFFER, "--amount", 9), NET])
def test_who_hears_no_answer_is_told_the_id_by_which_it_is_not_done_twice(
    run: Callable[..., Any], heard: tuple[str, list[str]], tmp_path: Path, command: tuple[Any, ...]
) -> None:
    url, ids = heard
    (tmp_path / "token").write_text("a.b.c", "ascii")
    (tmp_path / "genesis.jws").write_text(GENESIS.token, "ascii")
    node = ("--url", url, "--did", key_of("apple").did, "--genesis", tmp_path / "genesis.jws")
    command = (*command, *node, "--token", tmp_path / "token")
    first = run(*command)
    assert first.code == exits.FAILED
    told = re.search(r"hint: .*does it run.*add --id (\w+)$", first.err, re.MULTILINE)
    assert told is not None, first.err
    assert {*ids} == {told[1]}
    ids.clear()
    again = run(*command, "--id", told[1], "--json")
    assert again.code == exits.FAILED and {*ids} == {told[1]}
    assert json.loads(again.err)["hint"].endswith(f"--id {told[1]}")


def test_whoever_names_no_id_gets_one_of_their_own() -> None:
    with named_for_good("") as one, named_for_good("") as other, named_for_good("x1") as said:
        assert one and other and one != other and said == "x1"


def test_who_interrupts_an_offer_is_told_its_id_too() -> None:
    with pytest.raises(Mistake) as interrupted, named_for_good("x1"):
        signal.raise_signal(signal.SIGINT)
    assert interrupted.value.code == exits.INTERRUPTED
    assert interrupted.value.hint.endswith("--id x1")
