"""A replay is verified on any machine, and every way to change it is noticed."""

from __future__ import annotations

import time

import pytest

from devnet.genesis import make_world
from opkit.proof.cid import cid_of
from opkit.runner.replayed import read_replay, signed_replay, verify_replay
from opkit.views.replay import Change, Moment, Patch, Recording, ReplayPage

FLOUR = b"flour"
RECORDING = Recording(
    network="three",
    length_ms=2_000,
    added_ms=0,
    pages=(ReplayPage(name="console", title="Console", frame="<div></div>"),),
    patches=(Patch(at_ms=0, changes=(Change(page=0, card="s", head=0, tail=0, middle="bread"),)),),
    moments=(Moment(at_ms=1_000, marker="DOUGH_MADE"),),
)


@pytest.fixture
def replay_of(make_run):
    """What makes a signed replay: `(world, bundle, *, blobs, **changes)`."""

    def made(world, bundle, *, blobs=None, **changes) -> str:
        run = make_run(world, bundle, **changes)
        kept = {cid_of(FLOUR): FLOUR} if blobs is None else blobs
        return signed_replay(run, RECORDING, blobs=kept, operator=world.operator)

    return made


@pytest.fixture
def replay(made_world, make_receipt, replay_of) -> str:
    return replay_of(made_world, make_receipt(made_world))


def failures(verdict) -> str:
    return "; ".join(check.name for check in verdict.failures)


def test_an_honest_replay_verifies_with_every_proof_in_it(replay, made_world):
    verdict = verify_replay(replay, genesis=made_world.view)

    assert verdict.status == "verified", failures(verdict)
    names = {check.name for check in verdict.checks}
    assert "t DOUGH_MADE: bytes" in names
    assert any(name.startswith("t DOUGH_MADE: receipt, ") for name in names)


def test_without_a_genesis_it_is_consistent_at_most(replay):
    assert verify_replay(replay, genesis=None).status == "consistent, signer unknown"


def test_a_replay_forged_whole_with_own_keys_fails(made_world, make_receipt, replay_of):
    forger = make_world("three", now_ms=time.time_ns() // 1_000_000)
    forged = replay_of(forger, make_receipt(forger))

    assert verify_replay(forged, genesis=forger.view).ok
    assert verify_replay(forged, genesis=made_world.view).status == "failed"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bread", "break"),
        ("Ana makes the dough.", "Eve makes the dough."),
        ("painter(part(", "painter( part("),
        ("default-src 'none'", "default-src *"),
        ("<main>", "<main> "),
        ("</html>\n", "</html>\n "),
    ],
)
def test_whatever_is_changed_on_the_page_is_noticed(replay, made_world, old, new):
    assert old in replay
    verdict = verify_replay(replay.replace(old, new, 1), genesis=made_world.view)

    assert verdict.status == "failed"
    assert "file replay.html" in failures(verdict)


def test_bytes_that_are_not_what_a_marker_names_fail_though_they_are_signed(
    made_world, make_receipt, replay_of
):
    bundle = make_receipt(made_world)
    for blobs in ({}, {cid_of(FLOUR): b"chalk"}):
        verdict = verify_replay(replay_of(made_world, bundle, blobs=blobs), genesis=made_world.view)
        assert failures(verdict) == "t DOUGH_MADE: bytes"


def test_a_run_that_claims_more_than_its_markers_show_fails_though_it_is_signed(
    made_world, make_receipt, replay_of
):
    forged = replay_of(made_world, make_receipt(made_world), interrupted=True)
    assert "evidence adds up" in failures(verify_replay(forged, genesis=made_world.view))


@pytest.mark.parametrize("page", ["", "<p>no</p>", "<script>"])
def test_what_is_no_replay_fails_and_never_raises(page, made_world):
    verdict = verify_replay(page, genesis=made_world.view)
    assert failures(verdict) == "readable"


def test_a_signature_that_is_none_fails(replay, made_world):
    start = replay.index("eyJ", replay.index('id="opkit-signature"'))
    verdict = verify_replay(f"{replay[:start]}x{replay[start + 1 :]}", genesis=made_world.view)
    assert "statement-signature" in failures(verdict)


def test_a_file_that_is_too_large_or_no_text_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "replay.html"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="it is no text"):
        read_replay(path)
    monkeypatch.setattr("opkit.runner.replayed.REPLAY_BYTES_MAX", 1)
    with pytest.raises(ValueError, match="at most 1 bytes"):
        read_replay(path)
