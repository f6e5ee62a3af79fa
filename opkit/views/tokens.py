"""The tokens of the one visual language: colours, radii and sizes, for pages and terminals alike.

Contrast of text on its ground is at least 4.5 : 1 in both themes (tested).
"""

from __future__ import annotations

from typing import Final

LIGHT: Final[dict[str, str]] = {
    "paper": "#fbfaf6",
    "card": "#ffffff",
    "line": "#dedbd1",
    "ink": "#16222c",
    "soft": "#5b6871",
    "done": "#0a6b62",
    "done-tint": "#e3f1ee",
    "shield": "#6a3fb5",
    "shield-tint": "#eee7fa",
    "run": "#9a5b00",
    "run-tint": "#fbeed8",
    "fail": "#b3261e",
    "fail-tint": "#fbe4e1",
}
"""Colours on light ground."""

DARK: Final[dict[str, str]] = {
    "paper": "#0f161c",
    "card": "#172129",
    "line": "#2a3742",
    "ink": "#e9eef0",
    "soft": "#9aa8b0",
    "done": "#4fc3b2",
    "done-tint": "#12302e",
    "shield": "#b79bf0",
    "shield-tint": "#251e3c",
    "run": "#f0b35a",
    "run-tint": "#33260f",
    "fail": "#ff8a80",
    "fail-tint": "#3a1a18",
}
"""Colours on dark ground."""

SIZES: Final[dict[str, str]] = {
    "radius-card": "14px",
    "radius-row": "10px",
    "radius-pill": "99px",
    "gap": "24px",
}
"""Radii and the grid's gap."""


def css_tokens() -> str:
    """Return the tokens as CSS variables; the theme follows the system and can be switched.

    `data-theme` of the root element, if it is `light` or `dark`, wins over the system.
    """
    light, dark = css_variables(LIGHT), css_variables(DARK)
    return (
        f":root{{color-scheme:light;{css_variables(SIZES)}{light}}}"
        f"@media (prefers-color-scheme:dark){{"
        f":root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours. Source: WCAG 2.2, relative luminance."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def css_variables(values: dict[str, str]) -> str:
    """Return tokens as declarations of CSS variables."""
    return "".join(f"--opkit-{name}:{value};" for name, value in values.items())


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
