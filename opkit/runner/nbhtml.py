"""An executed notebook as one HTML file that opens offline and asks for nothing.

nbconvert's own page loads four scripts from elsewhere; this template leaves them out, and formulas,
diagrams and widgets with them. Source: ADR 0011.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from opkit.views.tokens import css_tokens

_CHILD = """
{%- extends 'nbconvert/templates/lab/index.html.j2' -%}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_css %}{{ super() }}<style>OPKIT_CSS</style>{% endblock %}
"""
_CSS = """
body.jp-Notebook{background:var(--opkit-paper);color:var(--opkit-ink);max-width:60rem;margin:auto}
.jp-RenderedHTMLCommon,.jp-RenderedText pre{color:var(--opkit-ink)!important}
.jp-OutputArea-output,.jp-Cell{background:transparent!important}
.jp-OutputPrompt,.jp-InputPrompt{display:none}
.jp-RenderedHTMLCommon :not(pre)>code{background:none;color:var(--opkit-soft);padding:0;
font-size:.8em}
.opkit-marker{background:var(--opkit-card);border:1px solid var(--opkit-line);border-radius:10px;
padding:.7rem 1rem;font-size:1.05rem;line-height:1.5}
"""


def notebook_html(notebook: Any) -> str:
    """Return a notebook with its outputs as HTML; code is left out."""
    jinja2: Any = import_module("jinja2")
    nbconvert: Any = import_module("nbconvert")
    template = _CHILD.replace("OPKIT_CSS", css_tokens() + _CSS)
    exporter = nbconvert.HTMLExporter(
        template_name="lab",
        exclude_input=True,
        extra_loaders=[jinja2.DictLoader({"offline.html.j2": template})],
        template_file="offline.html.j2",
    )
    body, _ = exporter.from_notebook_node(notebook)
    return str(body)
