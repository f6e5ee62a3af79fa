"""A telling as one page that plays by itself: what was on the screen, and the evidence behind it.

The page fetches nothing and runs one script that its own policy names by hash. All of it but the
signature is what the network's operator signed. Source: ADR 0015.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any, Final

from opkit.story.record import RunRecord
from opkit.views.assets import board_js
from opkit.views.report import EVIDENCE_ID
from opkit.views.style import board_css, chrome_css
from opkit.views.values import took

RECORDING_ID: Final = "opkit-recording"
BLOBS_ID: Final = "opkit-blobs"
SIGNATURE_ID: Final = "opkit-signature"

_JSON: Final = '<script type="application/json" id="{}">'
_SIGNATURE: Final = f'<script type="text/plain" id="{SIGNATURE_ID}">'
_CLOSING: Final = "</script>"


@dataclass(frozen=True, kw_only=True)
class ReplayPage:
    """A page that was recorded, with the markup around its cards."""

    name: str
    title: str
    frame: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A card's new markup: the first `head` and last `tail` characters of the old stay.

    Characters are counted as JavaScript counts them, in UTF-16 units.
    """

    page: int
    card: str
    head: int
    tail: int
    middle: str


@dataclass(frozen=True, kw_only=True)
class Patch:
    """What changed at one moment; `at_ms` counts from the beginning, time to read included."""

    at_ms: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a step had been told, and all that came of it was on the screen."""

    at_ms: int
    marker: str


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What was on the screen from beginning to end.

    Attributes:
        network: what people call the network.
        length_ms: until the end, time to read included.
        added_ms: how much of that is time to read, in which nothing happened.
    """

    network: str
    length_ms: int
    added_ms: int
    pages: tuple[ReplayPage, ...]
    patches: tuple[Patch, ...]
    moments: tuple[Moment, ...]

    @property
    def told_ms(self) -> int:
        """How long the story itself took."""
        return self.length_ms - self.added_ms

    def as_json(self) -> dict[str, Any]:
        """Return it as the player reads it."""
        return {
            "length": self.length_ms,
            "pages": [{"name": each.name, "frame": each.frame} for each in self.pages],
            "patches": [
                [
                    each.at_ms,
                    [[one.page, one.card, one.head, one.tail, one.middle] for one in each.changes],
                ]
                for each in self.patches
            ],
            "moments": [[each.at_ms, each.marker] for each in self.moments],
        }


def replay_html(
    run: RunRecord, recording: Recording, *, blobs: Mapping[str, bytes], signature: str = ""
) -> str:
    """Return the page. Signed is what `without_signature` returns of it."""
    script = f"{board_js()}\n{_asset('replay.js')}"
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    named = ", ".join(flow.title for flow in run.flows)
    encoded = {cid: base64.b64encode(data).decode("ascii") for cid, data in sorted(blobs.items())}
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(named)}: a replay</title>"
        f"<style>{board_css()}{chrome_css()}{_asset('replay.css')}</style></head>\n<body>"
        f'{_bar(run, recording)}<main><div id="replay"></div>'
        "<noscript><p>A replay needs JavaScript to play. Its evidence is in this file and can be "
        "verified without: <code>opkit report verify FILE</code></p></noscript></main>"
        f"{_player(recording)}"
        f"{_embedded(RECORDING_ID, recording.as_json())}"
        f"{_embedded(BLOBS_ID, encoded)}"
        f"{_embedded(EVIDENCE_ID, run.model_dump(mode='json'))}"
        f"{_SIGNATURE}{signature}{_CLOSING}"
        f'<script type="module">{script}</script></body></html>\n'
    )


def without_signature(html: str) -> tuple[bytes, str]:
    """Return what of a page is signed, and the signature that it carries.

    Raises:
        ValueError: it has no place for one.
    """
    start = html.rfind(_SIGNATURE)
    end = html.find(_CLOSING, start)
    if start < 0 or end < 0:
        raise ValueError("it is no replay: it has no place for a signature")
    start += len(_SIGNATURE)
    return f"{html[:start]}{html[end:]}".encode(), html[start:end].strip()


def embedded_evidence_text(html: str) -> str:
    """Return the evidence that a page carries, as it stands there; empty if it carries none."""
    return _part(html, EVIDENCE_ID) or ""


def embedded_blobs(html: str) -> dict[str, bytes]:
    """Return the bytes that a page carries, by the names that it gives them.

    Raises:
        ValueError: it carries none that can be read.
    """
    said = json.loads(_part(html, BLOBS_ID) or "")
    if not isinstance(said, dict):
        raise ValueError("its bytes are not named")  # noqa: TRY004 - a bad file, not a bad call
    return {str(cid): base64.b64decode(text, validate=True) for cid, text in said.items()}


def _part(html: str, name: str) -> str | None:
    opening = _JSON.format(name)
    start = html.rfind(opening)
    end = html.find(_CLOSING, start)
    return html[start + len(opening) : end] if 0 <= start < end else None


def _asset(name: str) -> str:
    return (files("opkit.views.assets") / name).read_text(encoding="utf-8")


def _embedded(name: str, value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Inside a script only `<` could end it; in JSON it only stands in strings, where it can be
    # written as an escape.
    return _JSON.format(name) + said.replace("<", "\\u003c") + _CLOSING


def _bar(run: RunRecord, recording: Recording) -> str:
    when = datetime.fromtimestamp(run.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    links = "".join(
        f'<a href="#{escape(each.name)}">{escape(each.title)}</a>' for each in recording.pages
    )
    return (
        '<header class="opkit bar"><span class="brand">opkit</span>'
        f'<span class="soft network">replay of {when}</span>'
        f'<nav aria-label="Pages">{links}</nav><span class="health" data-card="health"></span>'
        '<button type="button" class="act quiet" data-theme-switch aria-label="Light or dark" '
        'title="Light or dark">◐</button></header>'
    )


_BUTTONS: Final = (
    ("back", "ArrowLeft", "The step before", '<path d="M13 4.5L6 10l7 5.5z"/>'),
    ("play", " ", "Play or pause", ""),
    ("next", "ArrowRight", "The next step", '<path d="M7 4.5L14 10l-7 5.5z"/>'),
)


def _player(recording: Recording) -> str:
    buttons = "".join(_button(*each) for each in _BUTTONS)
    ticks = "".join(f'<option value="{each.at_ms}"></option>' for each in recording.moments)
    speeds = "".join(
        f'<option value="{each}"{" selected" if each == "1" else ""}>{each} ×</option>'
        for each in ("0.5", "1", "2", "4")
    )
    added = (
        f'<span class="soft replay-note">The story took {took(recording.told_ms)}; the rest is '
        "time to read.</span>"
        if recording.added_ms
        else ""
    )
    return (
        f'<footer class="opkit replay-bar" id="player">{buttons}'
        f'<input type="range" id="seek" min="0" max="{recording.length_ms}" value="0" step="10" '
        'list="moments" aria-label="Where the replay is">'
        f'<datalist id="moments">{ticks}</datalist><output id="clock"></output>{added}'
        f'<select id="speed" class="act" aria-label="Speed">{speeds}</select></footer>'
    )


def _button(name: str, key: str, label: str, drawing: str) -> str:
    inside = f'<svg viewBox="0 0 20 20" aria-hidden="true">{drawing}</svg>' if drawing else "Play"
    kind = "tell-shape" if drawing else "main"
    return (
        f'<button type="button" id="{name}" class="act {kind}" data-key="{key}" '
        f'aria-label="{label}" title="{label}">{inside}</button>'
    )
