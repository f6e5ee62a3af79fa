"""Having IPython draw what nodes, proofs and stories say."""

from __future__ import annotations

from typing import Any

from opkit.lab.bars import in_notebook
from opkit.proof.checks import Verdict
from opkit.proof.genesis import GenesisView
from opkit.story.flow import Flow
from opkit.views.reprs import html_of
from opkit.wire.base import Wire

_HTML = "text/html"


def enable(ipython: Any = None) -> None:
    """Register what `opkit.views.reprs` draws, for values that know no IPython themselves.

    A value, or a list of values, that has no picture stays as IPython shows it. Doing it twice is
    allowed, and so is doing it where no notebook runs: nothing happens there.

    Args:
        ipython: the shell; None takes the one that this code runs in.
    """
    from opkit.client import TaskHandle, TaskResult

    shell = ipython or in_notebook()
    if shell is None:
        return
    formatter = shell.display_formatter.formatters[_HTML]
    for kind in (Wire, Verdict, GenesisView, Flow, TaskHandle, TaskResult, tuple, list):
        formatter.for_type(kind, _draw)


def _draw(value: Any) -> str | None:
    """Return a value's own picture if it has one: that of its base must not hide it."""
    own = getattr(value, "_repr_html_", None)
    return html_of(value) if own is None else own()
