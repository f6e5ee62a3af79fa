"""The page: sentences first, everything opens, nothing is fetched, nothing is injected."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import pytest

from opkit.story.report import AuditRecord, Stop
from opkit.story.states import State
from opkit.views.deeds import deed_sentence
from opkit.views.report import embedded_evidence, report_html
from opkit.views.values import text_html, value_html, values_table
from opkit.wire.audit import AuditFile

BROWSER = shutil.which("chromium")


class Outside(HTMLParser):
    """Collects what a page would fetch, and what is balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in {"link", "img", "iframe", "object", "embed"} or (
            tag == "script" and "src" in given
        ):
            self.fetched.append(tag)
        if tag not in {"meta", "br", "path", "circle"}:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"path", "circle"}:
            assert self.opened.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def parsed(html: str) -> Outside:
    parser = Outside()
    parser.feed(html)
    return parser


def test_a_page_fetches_nothing_and_closes_every_tag(run, stopped):
    for each in (run, stopped, run.model_copy(update={"interrupted": True, "ok": False})):
        html = report_html(each)
        parser = parsed(html)
        assert parser.fetched == []
        assert parser.opened == []
        assert "default-src 'none'" in html
        assert not re.search(r"(?:https?:)?//[a-z]", html.replace("http-equiv", ""))


def test_every_state_has_a_shape_and_a_word(run, stopped):
    html = report_html(run)

    assert "refused as promised" in html
    assert ">done<" in html
    assert "waiting" in report_html(stopped)
    assert "failed" in report_html(stopped)
    assert len({state.shape for state in State}) == len({state.word for state in State}) == 5


def test_a_failure_is_the_first_thing_on_the_page(stopped):
    html = report_html(stopped)
    body = html[html.index("<main>") :]

    assert body.index("Flow T stopped at THIEF_REFUSED") < body.index("Bread".lower())
    assert "Cell 4 of 9" in body
    assert "await &lt;x&gt;" in body
    assert "hot\n" in body


def test_a_sentence_stands_before_its_marker_and_is_escaped(run):
    html = report_html(run)

    assert html.index("&lt;b&gt;dough_made&lt;/b&gt; is told.") < html.index(">DOUGH_MADE<i>")
    assert "<b>dough_made" not in html
    assert "A bakery &lt;bakes&gt;." in html


def test_hashes_are_short_and_copied_whole():
    cid = "bafkrei" + "a" * 52

    assert ">bafkreia…aaaaa</button>" in text_html(cid)
    assert f'data-copy="{cid}"' in text_html(cid)
    assert ">did:key:z6Mka…aaaaa<" in text_html("did:key:z6Mk" + "a" * 44)
    assert text_html("a <word>") == "a &lt;word&gt;"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (True, "yes"), (False, "no"), ([1, 2], "1<br>2")],
)
def test_values_are_shown_for_people(value, shown):
    assert value_html(value) == shown


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_nothing_is_said_to_be_nothing(nothing):
    assert "none" in value_html(nothing)


def test_what_was_done_to_the_network_is_shown(run):
    assert "a link was cut" in report_html(run)
    quiet = run.flows[0].model_copy(update={"disturbances": ()})
    assert "no node was killed" in report_html(run.model_copy(update={"flows": (quiet,)}))
    moved = run.model_copy(update={"clock_moved_ms": 7 * 86_400_000})
    assert "moved ahead by 7 days" in report_html(moved)


@pytest.mark.parametrize(
    ("deed", "sentence"),
    [
        (
            {"what": "hostile", "kind": "tampering-provider", "against": ["bakery"]},
            "A liar joined and offered Bakery other bytes",
        ),
        (
            {"what": "hostile", "kind": "silent", "against": ["bakery", "mill"]},
            "A peer joined Bakery and mill and never answered",
        ),
        ({"what": "stop-hostile", "number": 1}, "The stranger left again"),
        ({"what": "kill", "org": "bakery"}, "The node of Bakery was killed"),
        ({"what": "cut", "a": "bakery", "b": "mill"}, "The link between Bakery and mill was cut"),
        ({"what": "pass-time", "days": 1}, "World time was moved ahead by one day"),
        ({"what": "pass_time", "days": 3}, "World time was moved ahead by 3 days"),
        ({"what": "hostile", "kind": "of-tomorrow"}, "hostile"),
    ],
)
def test_what_was_done_is_a_sentence_that_names_who_it_was_done_to(deed, sentence):
    assert deed_sentence(deed, titles={"bakery": "Bakery"}) == sentence


def test_a_run_that_somebody_ended_blames_no_cell(run):
    flow = run.flows[0]
    stop = Stop(at="DOUGH_MADE", why="cell 0 of 0: RuntimeError: Kernel died")
    cut = flow.model_copy(update={"ok": False, "markers": (), "stopped": stop})
    html = report_html(run.model_copy(update={"ok": False, "interrupted": True, "flows": (cut,)}))
    page = html.partition('<script type="application/json" id="opkit-evidence">')[0]
    assert "Flow T ended before its first step, DOUGH_MADE." in page
    assert "Kernel died" not in page
    assert "t-failed" in page.partition("<main>")[0], "the pill says that not all was shown"
    assert 'class="state t-failed"' not in page.partition("<main>")[2], "and no step has failed"


def test_a_time_in_the_evidence_is_a_date():
    html = values_table({"started_at_ms": 1_767_225_600_123, "at_ms": 1_767_225_600_000, "n_ms": 9})
    assert "2026-01-01 00:00:00.123 UTC" in html
    assert "<th scope=row>started at</th>" in html
    assert "<th scope=row>at</th>" in html
    assert "<th scope=row>n ms</th>" in html


def test_the_page_carries_its_evidence(run):
    html = report_html(run)

    assert embedded_evidence(html.encode()) == run
    assert embedded_evidence(b"<html></html>") is None
    assert embedded_evidence(html.replace('"seed": 7', '"seed": "x"').encode()) is None


def test_the_page_carries_an_audit_once_and_leads_to_its_files(run):
    file = AuditFile(network=run.network, auditor="bakery/zuri", gathered_ms=1, coops=())
    first = run.flows[0].markers[0]
    marker = first.model_copy(update={"proofs": (*first.proofs, AuditRecord(file=file))})
    flow = run.flows[0].model_copy(update={"markers": (marker, *run.flows[0].markers[1:])})
    audited = run.model_copy(update={"flows": (flow,)})
    html = report_html(audited)

    assert html.count("bakery/zuri") + html.count("bakery%2Fzuri") == 1
    assert embedded_evidence(html.encode()) == audited
    name = f"audit/t-dough_made-{len(first.proofs)}"
    for suffix in (".html", ".csv", ".json"):
        assert f'href="{name}{suffix}"' in html


def test_a_script_in_evidence_cannot_end_the_script_it_stands_in(run):
    marker = (
        run.flows[0]
        .markers[0]
        .model_copy(update={"evidence": {"x": "</script><script>alert(1)</script>"}})
    )
    flow = run.flows[0].model_copy(update={"markers": (marker, *run.flows[0].markers[1:])})
    html = report_html(run.model_copy(update={"flows": (flow,)}))

    assert "<script>alert" not in html
    assert embedded_evidence(html.encode()).flows[0] == flow


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_the_evidence_of_a_marker_is_copied_whole(tmp_path, run):
    marker = run.flows[0].markers[1]
    probe = (
        "<script>Object.defineProperty(navigator,'clipboard',{value:{writeText:text=>{"
        "document.body.dataset.copied=text;return Promise.resolve()}}});"
        f"document.querySelector('[data-marker={marker.name}]').click()</script></body>"
    )
    page = tmp_path / "index.html"
    page.write_text(report_html(run).replace("</body>", probe))

    said = dumped(page, tmp_path / "profile", width=1920)

    copied = re.search(r'<body[^>]* data-copied="([^"]*)"', said.stdout)
    assert copied is not None, said.stderr
    assert json.loads(unescape(copied[1])) == marker.model_dump(mode="json")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1920])
def test_a_browser_opens_it_without_a_complaint_and_nothing_is_too_wide(tmp_path, run, width):
    probe = (
        "<script>document.title=document.documentElement.scrollWidth<=innerWidth"
        "?'fits':'too wide'</script></body>"
    )
    page = tmp_path / "index.html"
    page.write_text(report_html(run).replace("<details", "<details open").replace("</body>", probe))

    said = dumped(page, tmp_path / "profile", width=width)

    assert "<title>fits</title>" in said.stdout
    assert "CONSOLE" not in said.stderr


def dumped(page, profile, *, width):
    """Return what a browser makes of a page, with its complaints."""
    return subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}"),
            *(f"--window-size={width},1080", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
