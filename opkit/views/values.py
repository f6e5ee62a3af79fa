"""Values as markup: names shortened in the middle and copied whole, figures with separators."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from typing import Any

from opkit.story.record import FlowRecord
from opkit.story.states import State
from opkit.wire.membership import NO_COOP

_NAME = re.compile(
    r"\b(?:bafkrei[a-z2-7]{52}|did:key:z[1-9A-HJ-NP-Za-km-z]{40,}|[0-9a-f]{32,64})\b"
)
_LONG = 88
_YEAR_3000_MS = 32_503_680_000_000
_NUMBER_MAX = 2**64
_EMPTY = '<span class="soft">none</span>'


def value_html(value: Any) -> str:
    """Return any JSON value as markup."""
    if value is None or value in ("", [], {}):
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if abs(value) < _NUMBER_MAX else "a number too large to be shown"
    if isinstance(value, str):
        return text_html(value)
    if isinstance(value, dict):
        return _table(value)
    return "<br>".join(value_html(item) for item in value)


def text_html(text: str) -> str:
    """Return text; a hash, a key or something very long is shortened and copied by a click."""
    if _NAME.fullmatch(text):
        return _name_html(text)
    if len(text) > _LONG and " " not in text:
        return _copyable(text, f"{text[:16]}…{text[-8:]}")
    return escape(text)


def sentence_html(text: str) -> str:
    """Return a sentence in which hashes and keys are shortened and copied by a click."""
    parts, end = [], 0
    for name in _NAME.finditer(text):
        parts += [escape(text[end : name.start()]), _name_html(name.group())]
        end = name.end()
    return "".join([*parts, escape(text[end:])])


def member_html(member_id: str) -> str:
    """Return a member's id as a name with the organisation below it; whole in its title."""
    org, _, name = member_id.partition("/")
    if not name:
        return escape(member_id)
    home = "" if org == NO_COOP else f"<small>{escape(org)}</small>"
    return f'<span class="member" title="{escape(member_id)}">{escape(name)}{home}</span>'


def label(name: str) -> str:
    """Return a field's name as words: `wasm_hash` → `wasm hash`, `fuel_used` → `fuel used`."""
    return escape(name.replace("_", " ").strip())


def took(took_ms: int) -> str:
    """Return a duration for people: `40 ms`, `1.2 s`, `2 min 5 s`."""
    if took_ms < 1_000:
        return f"{took_ms} ms"
    if took_ms < 60_000:
        return f"{took_ms / 1_000:.1f} s"
    minutes, rest = divmod(round(took_ms / 1_000), 60)
    return f"{minutes} min {rest} s"


def was_cut_short(flow: FlowRecord, *, interrupted: bool) -> bool:
    """Return whether a flow ended only because somebody ended the run, by no fault of its own."""
    return interrupted and not flow.ok and all(marker.ok for marker in flow.markers)


def state_in(flow: FlowRecord, index: int, *, interrupted: bool) -> State:
    """Return the state of a planned step; in a run that was cut short, what is untold waits."""
    if index >= len(flow.markers) and was_cut_short(flow, interrupted=interrupted):
        return State.WAITING
    return flow.state_at(index)


def place(flow: FlowRecord) -> str:
    """Return where a flow ended, as the end of a sentence."""
    at = flow.stopped.at if flow.stopped is not None else ""
    if not at:
        return "after its last step"
    return f"at {at}" if flow.markers else f"before its first step, {at}"


def values_table(values: dict[str, Any]) -> str:
    """Return named values as a table with one row each."""
    return f'<table class="values"><tbody>{_rows(values)}</tbody></table>'


def _table(values: dict[str, Any]) -> str:
    return f"<table><tbody>{_rows(values)}</tbody></table>"


def _rows(values: dict[str, Any]) -> str:
    return "".join(_row(str(name), value) for name, value in values.items())


def _row(name: str, value: Any) -> str:
    shown = value_html(value)
    at = name == "at_ms" or name.endswith("_at_ms")
    if at and type(value) is int and 0 <= value < _YEAR_3000_MS:
        shown = datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        name, shown = name.removesuffix("_ms"), f"{shown} UTC"
    return f"<tr><th scope=row>{label(name)}</th><td>{shown}</td></tr>"


def _name_html(name: str) -> str:
    head, tail = (13, 5) if name.startswith("did:") else (8, 5)
    return _copyable(name, f"{name[:head]}…{name[-tail:]}")


def _copyable(whole: str, short: str) -> str:
    full = escape(whole, quote=True)
    return (
        f'<button type="button" class="hash" data-copy="{full}" title="copy {full}">'
        f"{escape(short)}</button>"
    )
