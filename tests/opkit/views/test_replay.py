"""A replay's page: one file that fetches nothing, and says what it rests on."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from opkit.proof.cid import cid_of
from opkit.story.record import RunRecord
from opkit.views.replay import (
    Change,
    Moment,
    Patch,
    Recording,
    ReplayPage,
    embedded_blobs,
    embedded_evidence_text,
    replay_html,
    without_signature,
)

FLOUR = b"flour\x00\xff"
CLOSING = "</script><script>alert(1)</script>"


@pytest.fixture
def recording() -> Recording:
    """Two pages, of which one has changed once."""
    return Recording(
        network="three",
        length_ms=5_000,
        added_ms=4_000,
        pages=(
            ReplayPage(name="console", title="Con<sole", frame=f"<div>{CLOSING}</div>"),
            ReplayPage(name="network", title="Network", frame="<div></div>"),
        ),
        patches=(
            Patch(at_ms=0, changes=(Change(page=0, card="s", head=0, tail=0, middle=CLOSING),)),
        ),
        moments=(Moment(at_ms=1_000, marker="DOUGH_MADE"),),
    )


@pytest.fixture
def html(run, recording) -> str:
    return replay_html(run, recording, blobs={cid_of(FLOUR): FLOUR}, signature="a.b.c")


def test_a_replay_fetches_nothing_and_runs_the_one_script_that_it_names(html):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert "default-src 'none'" in policy
    assert "unsafe-inline'; script" in policy
    assert "http" not in policy
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"<(?:link|img|iframe|object|embed)\b|@import|url\(", html)


def test_nothing_that_was_recorded_can_end_the_script_it_stands_in(html):
    kinds = re.findall(r"<script[^>]*>", html)
    assert len(kinds) == 5
    assert "alert(1)</script>" not in html


def test_a_replay_carries_its_recording_its_evidence_and_its_bytes(html, run, recording):
    (said,) = re.findall(r'id="opkit-recording">(.*?)</script>', html, re.DOTALL)
    assert json.loads(said) == recording.as_json()
    assert RunRecord.model_validate_json(embedded_evidence_text(html)) == run
    assert embedded_blobs(html) == {cid_of(FLOUR): FLOUR}


def test_what_is_signed_is_everything_but_the_signature(html, run, recording):
    data, token = without_signature(html)
    blank = replay_html(run, recording, blobs={cid_of(FLOUR): FLOUR})
    assert token == "a.b.c"
    assert data == blank.encode()
    assert without_signature(blank) == (data, "")


@pytest.mark.parametrize("page", ["", "<p>no</p>", '<script type="text/plain" id="opkit-signa'])
def test_a_page_that_is_no_replay_says_so(page):
    with pytest.raises(ValueError, match="no replay"):
        without_signature(page)
    assert embedded_evidence_text(page) == ""
    with pytest.raises(ValueError):
        embedded_blobs(page)


@pytest.mark.parametrize("said", ["[]", "1", '{"a": "*"}', "{"])
def test_bytes_that_cannot_be_read_are_refused(said):
    with pytest.raises(ValueError):
        embedded_blobs(f'<script type="application/json" id="opkit-blobs">{said}</script>')


def test_the_player_says_how_long_the_story_itself_took(html):
    assert "The story took 1.0 s" in html
    assert 'max="5000"' in html
    assert "Con&lt;sole" in html
