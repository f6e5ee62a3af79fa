"""The runner with real kernels: what is told whole, and each way in which a run can break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest

from opkit.runner.secrets import secrets_in
from opkit.story.record import RunRecord

pytestmark = pytest.mark.slow

LIMIT_S = 120


def test_a_flow_told_whole_is_ok_and_leaves_a_whole_folder(lab, whole, tmp_path):
    result = lab.run(*whole, junit=tmp_path / "junit.xml")

    assert result.ok
    assert result.run.flows[0].shown == ("DOUGH_MADE", "THIEF_REFUSED", "BREAD_BAKED")
    assert result.run.flows[0].disturbances[0]["what"] == "a link was cut"
    assert [step.sentence for step in result.run.flows[0].setup] == ["The oven is hot."]
    names = {path.name for path in lab.out.rglob("*") if path.is_file()}
    assert {"index.html", "evidence.json", "report.jws", "genesis-copy.jws"} < names
    assert {"t.ipynb", "t.html", "junit.xml"} < names
    kept = RunRecord.model_validate_json((lab.out / "evidence.json").read_bytes())
    assert kept == result.run
    suite = parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")


def test_progress_arrives_while_the_run_goes_on(lab, whole):
    lab.run(*whole)

    kinds = [event.kind for event in lab.events]
    assert kinds[:3] == ["opening", "network", "flow"]
    assert kinds[-2:] == ["end", "report"]
    steps = [(event.marker, event.state.value) for event in lab.events if event.kind == "step"]
    assert steps[:2] == [("DOUGH_MADE", "running"), ("DOUGH_MADE", "done")]
    assert steps[3] == ("THIEF_REFUSED", "refused")


def test_bytes_of_proofs_go_to_the_folder_and_not_into_the_notebook(lab, whole):
    result = lab.run(*whole)

    proof = result.run.flows[0].markers[0].proofs[0]
    assert (lab.out / proof.path).read_bytes() == b"flour"
    assert '"blobs"' not in (lab.out / "notebooks" / "t.ipynb").read_text()


def test_the_parameters_reach_the_notebook(lab, whole):
    result = lab.run(*whole)

    assert result.run.flows[0].markers[0].evidence["run"] == "run-t"


def test_a_notebook_says_nothing_of_this_machine(lab, whole):
    lab.run(*whole)

    assert str(lab.folder) not in (lab.out / "notebooks" / "t.ipynb").read_text()


def test_a_failed_step_stops_there_and_says_where(lab, whole, monkeypatch):
    monkeypatch.setenv("TINY_BURNS", "1")

    flow = lab.run(*whole).run.flows[0]

    assert not flow.ok
    assert flow.stopped.at == "BREAD_BAKED"
    assert "burnt" in flow.stopped.why
    assert flow.markers[-1].ok is False
    assert "BREAD_BAKED" in flow.failure.source
    assert "NotShown" in flow.failure.error


def test_a_failed_cell_fails_with_its_source_output_and_traceback(lab, cells):
    flow = lab.run(*cells("print('rising')\nraise KeyError('yeast')")).run.flows[0]

    assert not flow.ok
    assert flow.shown == ("DOUGH_MADE", "THIEF_REFUSED")
    assert flow.failure.output == "rising\n"
    assert "KeyError: 'yeast'" in flow.failure.error
    assert "raise KeyError" in flow.failure.traceback
    assert "\x1b" not in flow.failure.traceback
    assert flow.stopped.at == "BREAD_BAKED"
    assert flow.stopped.why.startswith("cell 6 of 6")


def test_a_notebook_that_stops_early_fails(lab, cells):
    flow = lab.run(*cells()).run.flows[0]

    assert not flow.ok
    assert flow.failure is None
    assert flow.stopped.at == "BREAD_BAKED"
    assert "ended before" in flow.stopped.why


def test_a_story_that_is_not_closed_fails(lab, whole):
    flow = lab.run(*whole[:-1]).run.flows[0]

    assert not flow.ok
    assert len(flow.shown) == 3
    assert "did not close" in flow.stopped.why


def test_a_marker_out_of_order_fails(lab, whole):
    swapped = (whole[0], whole[2], whole[1], *whole[3:])

    flow = lab.run(*swapped).run.flows[0]

    assert not flow.ok
    assert "next is DOUGH_MADE" in flow.failure.error


def test_a_marker_that_a_notebook_forges_is_not_believed(lab, whole):
    forged = """from IPython.display import display
from opkit.story.notebook import MIME
record = dict(name='BREAD_BAKED', ok=True, kind='shown', sentence='Ana bakes the bread.',
              evidence={'loaves': 3}, at_ms=1, took_ms=1)
display({MIME: {'v': 1, 'flow': 't', 'state': 'done', 'marker': 'BREAD_BAKED',
                'record': record}, 'text/plain': 'BREAD_BAKED'}, raw=True)"""

    flow = lab.run(forged, *whole).run.flows[0]

    assert not flow.ok
    assert flow.stopped.at == "BREAD_BAKED"
    assert "out of order" in flow.stopped.why


def test_a_cell_past_its_time_fails_and_later_cells_stay_pending(lab, cells):
    late = "import time; time.sleep(60)"

    # What takes its time on a busy machine, the imports, is done before the first cell.
    ahead = ("opkit.story.notebook", "tiny_flow")
    flow = lab.run(*cells(late, "1 + 1"), cell_seconds=10, preload=ahead).run.flows[0]

    assert not flow.ok
    assert "CellTimeoutError" in flow.failure.error
    assert flow.failure.source == late
    assert _statuses(lab.out)[-2:] == ["failed", "pending"]


def test_a_dead_kernel_fails_and_says_in_which_cell(lab, cells):
    death = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    flow = lab.run(*cells(death, "1 + 1")).run.flows[0]

    assert not flow.ok
    assert "DeadKernelError" in flow.failure.error
    assert flow.failure.source == death
    assert _statuses(lab.out)[-2:] == ["failed", "pending"]


def test_an_interrupted_run_keeps_what_was_told_and_says_so(lab, cells):
    lab.write(*cells("await __import__('asyncio').sleep(60)"))
    told = asyncio.Event()

    async def interrupt() -> None:
        loop = asyncio.get_running_loop()

        def watch(event):
            if event.kind == "step" and event.marker == "THIEF_REFUSED":
                loop.call_soon_threadsafe(told.set)

        running = asyncio.create_task(lab.go(on_event=watch))
        await told.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(interrupt(), LIMIT_S))

    kept = RunRecord.model_validate_json((lab.out / "evidence.json").read_bytes())
    assert kept.interrupted
    assert not kept.ok
    assert kept.flows[0].shown[0] == "DOUGH_MADE"
    assert "interrupted" in kept.flows[0].stopped.why
    assert "The run was interrupted" in (lab.out / "index.html").read_text()


def test_several_notebooks_run_at_once_and_disturbing_ones_after(lab, whole):
    lab.write(*whole)
    opening = whole[0].replace("import flow,", "import disturbing as flow,")
    lab.write(opening, "await story.step('LINK_CUT')", whole[-1], name="d.ipynb")
    flows = [lab.module.disturbing, lab.module.flow]

    result = asyncio.run(asyncio.wait_for(lab.go(flows=flows, parallel=2), LIMIT_S))

    assert result.ok
    assert [flow.name for flow in result.run.flows] == ["d", "t"]
    began = [event.flow for event in lab.events if event.kind == "flow"]
    ended = [event.flow for event in lab.events if event.kind == "end"]
    assert (began, ended) == (["t", "d"], ["t", "d"])


def test_a_notebook_that_is_none_fails_and_the_report_is_still_written(lab):
    (lab.folder / "t.ipynb").write_text("this is no notebook")

    result = asyncio.run(asyncio.wait_for(lab.go(), LIMIT_S))

    assert not result.ok
    assert result.run.flows[0].stopped.at == "DOUGH_MADE"
    assert (lab.out / "report.jws").exists()


def test_a_missing_notebook_and_a_used_folder_are_refused_before_anything_starts(lab, whole):
    with pytest.raises(FileNotFoundError):
        asyncio.run(lab.go())
    lab.write(*whole)
    lab.out.mkdir()
    (lab.out / "old").write_text("")
    with pytest.raises(FileExistsError):
        asyncio.run(lab.go())


def test_a_network_that_does_not_start_leaves_no_kernel(lab, whole):
    lab.write(*whole)

    def refuse():
        raise ConnectionError("no network")

    with pytest.raises(ConnectionError):
        asyncio.run(asyncio.wait_for(lab.go(open_network=refuse), LIMIT_S))


def test_no_secret_lands_in_the_folder(lab, whole):
    lab.run(*whole)
    world = lab.network.made
    seeds = [each.seed for each in (world.operator, *world.nodes.values(), *world.members.values())]

    assert secrets_in(lab.out, seeds=seeds) == ()


def _statuses(out: Path) -> list[str]:
    notebook = json.loads((out / "notebooks" / "t.ipynb").read_text())
    return [
        cell["metadata"]["papermill"]["status"]
        for cell in notebook["cells"]
        if "papermill" in cell["metadata"]
    ]
