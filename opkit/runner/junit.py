"""JUnit XML: each flow a suite, each marker a case, for continuous integration."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from opkit.story.record import FlowRecord, RunRecord
from opkit.story.states import State

_BAD = {code: None for code in range(32) if code not in (9, 10, 13)}


def junit_xml(run: RunRecord) -> bytes:
    """Return a run as JUnit XML; what was not told counts as skipped after the failure."""
    suites = Element("testsuites", name="opkit", time=_seconds(run.took_ms))
    for flow in run.flows:
        suites.append(_suite(flow, run))
    indent(suites)
    return bytes(tostring(suites, encoding="utf-8", xml_declaration=True))


def _suite(flow: FlowRecord, run: RunRecord) -> Element:
    states = [flow.state_at(index) for index in range(len(flow.planned))]
    failed = states.count(State.FAILED)
    stray = flow.stopped is not None and failed == 0
    suite = Element(
        "testsuite",
        name=f"flow {flow.name}: {flow.title}",
        tests=str(len(flow.planned) + stray),
        failures=str(failed + stray),
        skipped=str(states.count(State.WAITING)),
        errors="0",
        time=_seconds(flow.took_ms),
        timestamp=datetime.fromtimestamp(run.created_ms / 1000, UTC).isoformat(),
    )
    for index, name in enumerate(flow.planned):
        took_ms = flow.markers[index].took_ms if index < len(flow.markers) else 0
        case = _case(suite, flow, name, took_ms)
        if states[index] is State.FAILED:
            _fail(case, flow)
        elif states[index] is State.WAITING:
            SubElement(case, "skipped", message="not told")
    if stray:
        _fail(_case(suite, flow, "the end of the story", 0), flow)
    return suite


def _case(suite: Element, flow: FlowRecord, name: str, took_ms: int) -> Element:
    where = f"flows.{flow.name}"
    return SubElement(suite, "testcase", name=name, classname=where, time=_seconds(took_ms))


def _fail(case: Element, flow: FlowRecord) -> None:
    why = flow.stopped.why if flow.stopped else ""
    failure = SubElement(case, "failure", message=why.translate(_BAD))
    if flow.failure is not None:
        failure.text = f"{flow.failure.source}\n\n{flow.failure.traceback}".translate(_BAD)


def _seconds(took_ms: int) -> str:
    return f"{took_ms / 1000:.3f}"
