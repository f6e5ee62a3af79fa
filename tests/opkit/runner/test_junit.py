"""JUnit XML, for continuous integration."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from opkit.runner.junit import junit_xml
from opkit.story.record import CellFailure, FlowRecord, RunRecord
from opkit.story.report import MarkerRecord, Stop


def run_of(*markers: MarkerRecord, stopped: Stop | None = None) -> RunRecord:
    failure = CellFailure(cell=2, cells=3, source="cell()", error="E", traceback="tb\x0b")
    flow = FlowRecord(
        name="t",
        title="Bread",
        story="",
        ok=stopped is None,
        planned=("DOUGH_MADE", "BREAD_BAKED"),
        markers=markers,
        stopped=stopped,
        failure=failure if stopped else None,
        took_ms=1_500,
    )
    return RunRecord(
        run_id="run",
        seed=7,
        profile="three",
        network="a" * 26,
        operator="did:key:z6Mk" + "a" * 44,
        ok=flow.ok,
        interrupted=False,
        clock_moved_ms=0,
        created_ms=1,
        took_ms=2,
        versions={},
        nodes=(),
        flows=(flow,),
    )


def marker(name: str) -> MarkerRecord:
    return MarkerRecord(
        name=name, ok=True, kind="shown", sentence="It is.", evidence={}, at_ms=1, took_ms=20
    )


def test_a_flow_told_whole_has_no_failures():
    suite = fromstring(junit_xml(run_of(marker("DOUGH_MADE"), marker("BREAD_BAKED"))))[0]

    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "0")
    assert suite[0].get("name") == "DOUGH_MADE"
    assert suite.get("time") == "1.500"


def test_where_a_flow_stopped_is_the_failure_and_the_rest_is_skipped():
    stop = Stop(at="DOUGH_MADE", why="no\x00 yeast")
    suite = fromstring(junit_xml(run_of(stopped=stop)))[0]

    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")
    failure = suite[0].find("failure")
    assert failure.get("message") == "no yeast"
    assert "cell()" in failure.text


def test_a_story_that_was_not_closed_is_a_failure_of_its_own():
    stop = Stop(at="", why="the notebook did not close the story")
    suite = fromstring(
        junit_xml(run_of(marker("DOUGH_MADE"), marker("BREAD_BAKED"), stopped=stop))
    )[0]

    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert suite[2].get("name") == "the end of the story"
