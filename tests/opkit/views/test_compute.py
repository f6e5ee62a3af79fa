"""The compute page: modules, tasks in every state, and a receipt whose every check is shown."""

from __future__ import annotations

import re
from dataclasses import replace

from opkit.views import compute
from opkit.wire.compute import TaskState


def task_of(figures, state, **changes):
    found = next(each for each in figures.tasks if each.state is state)
    return replace(found, **changes)


def test_the_frame_has_a_place_for_every_card(computing, networks):
    drawn = compute.cards(lambda: computing, lambda: networks(3))
    wanted = set(drawn) - {"health"}

    assert set(re.findall(r'data-card="([^"]+)"></div>', compute.frame())) == wanted
    assert all(draw() for draw in drawn.values())


def test_every_state_of_a_task_is_shown(computing):
    assert {each.state for each in computing.tasks} == set(TaskState)


def test_modules_show_hash_size_owner_and_holders(computing):
    html = compute.modules(computing)

    assert html.count("<tr id=") == 5
    assert computing.modules[0].wasm_hash in html
    assert "23 kB" in html
    assert "River City Tool Library, BrightWorks Cooperative" in html
    nobody = replace(computing.modules[0], holders=())
    assert "nobody now" in compute.modules(replace(computing, modules=(nobody,)))


def test_tasks_can_be_filtered(computing):
    def states(showing):
        return len(re.findall(r"<tr id=", compute.tasks(computing, showing=showing)))

    assert states("") == 24
    assert states("open") + states("done") + states("ended") == 24
    assert states("no such filter") == 24
    assert 'data-act="filter" data-of="done" aria-pressed="true"' in compute.tasks(
        computing, showing="done"
    )
    running = replace(computing, tasks=(task_of(computing, TaskState.RUNNING),))
    assert "No such task now." in compute.tasks(running, showing="done")


def test_a_selected_task_is_marked_and_closes(computing):
    chosen = computing.tasks[1].task_id

    html = compute.tasks(computing, selected=chosen)

    assert html.count("aria-current") == 1
    assert f'data-act="close" data-task="{chosen}" aria-expanded="true"' in html


def test_a_page_holds_no_more_than_it_can_show(computing):
    many = replace(
        computing,
        tasks=computing.tasks * 5,
        modules=computing.modules * 20,
    )

    assert compute.tasks(many).count("<tr id=") == compute.SHOWN_MAX
    assert compute.modules(many).count("<tr id=") == compute.SHOWN_MAX


def test_key_figures_count_and_name_failures(computing):
    assert "<b>5</b><span>programs, 52 kB</span>" in compute.programs(computing)
    assert "<b>10</b><span>tasks, 3 running</span>" in compute.open_tasks(computing)
    assert "<b>3</b><span>of 24 tasks</span>" in compute.done_tasks(computing)
    failed = compute.failed_tasks(computing)
    assert "<b>4</b><span>of 14 that ended</span>" in failed
    assert "module unknown" in failed
    assert 'class="shown"><span class="state t-failed"' in failed


def test_a_task_that_is_under_way_has_no_receipt_yet(computing):
    running = task_of(computing, TaskState.RUNNING)

    html = compute.task(computing, running.task_id, None)

    assert "It has no receipt yet" in html
    assert 'data-act="verify"' not in html


def test_a_task_that_nobody_ran_has_no_receipt(computing):
    refused = task_of(computing, TaskState.REFUSED)

    html = compute.task(computing, refused.task_id, None)

    assert "there is no receipt" in html
    assert "executor-unavailable" in html


def test_a_receipt_waits_to_be_verified(computing):
    done = task_of(computing, TaskState.DONE)

    html = compute.task(computing, done.task_id, None)

    assert f'data-act="verify" data-task="{done.task_id}"' in html
    assert done.receipt_hash in html
    assert 'data-key="Escape"' in html


def test_a_verified_receipt_shows_each_check_with_both_sides(computing, verifications):
    done = task_of(computing, TaskState.DONE)
    verified = verifications(done.task_id, ok=True)

    html = compute.task(computing, done.task_id, verified)

    assert "holds: 4 of 4 checks" in html
    assert html.count('data-side="expected"') == html.count('data-side="is"') == 4
    assert "Verify again" in html
    assert 'href="data:application/json,' in html
    assert f'download="{done.task_id[:12]}.receipt.json"' in html


def test_a_verdict_names_nobody_at_length(computing, verifications):
    done = task_of(computing, TaskState.DONE)
    did = "did:key:z6Mk" + "a" * 44
    verified = replace(verifications(done.task_id, ok=True), verdict=f"receipt 6 by {did}: <ok>")

    html = compute.task(computing, done.task_id, verified)

    assert f'receipt 6 by <button type="button" class="hash" data-copy="{did}"' in html
    assert "did:key:z6Mka…aaaaa</button>: &lt;ok&gt;" in html


def test_a_receipt_that_does_not_hold_says_which_check(computing, verifications):
    done = task_of(computing, TaskState.DONE)
    verified = replace(verifications(done.task_id, ok=False), bundle=None)

    html = compute.task(computing, done.task_id, verified)

    assert "holds: 3 of 4 checks" in html
    assert "pill t-failed" in html
    assert "Save proof" not in html


def test_a_verification_of_another_task_is_not_shown(computing, verifications):
    done = task_of(computing, TaskState.DONE)

    html = compute.task(computing, done.task_id, verifications("f" * 32, ok=True))

    assert "holds:" not in html


def test_empty_cards_say_what_to_do(computing):
    none = replace(computing, modules=(), tasks=(), tasks_total=0)

    assert "opkit wasm deploy" in compute.modules(none)
    assert "run flow A" in compute.tasks(none)
    assert "Click a task." in compute.task(none, "", None)


def test_a_name_cannot_inject_markup(computing, networks, verifications):
    done = task_of(computing, TaskState.DONE, module="<img>", executor="<img>", member_id="<i>/<b>")
    evil = replace(
        computing,
        tasks=(done,),
        modules=(replace(computing.modules[0], name="<img>", owner="<img>", holders=("<img>",)),),
    )
    verified = replace(
        verifications(done.task_id, ok=True), verdict="<img>", facts={"<img>": "<i>"}
    )

    drawn = compute.cards(
        lambda: evil, lambda: networks(3), selected=done.task_id, verification=verified
    )

    assert not any("<img" in draw() for draw in drawn.values())


def test_one_program_and_one_task_are_said_as_one(computing):
    waiting = next(each for each in computing.tasks if each.state is TaskState.RUNNING)
    one = replace(computing, modules=computing.modules[:1], tasks=(waiting,))

    assert "<span>program, 23 kB</span>" in compute.programs(one)
    assert "<span>task, 1 running</span>" in compute.open_tasks(one)
    assert "<span>programs, " in compute.programs(computing)
