"""What computing decides, and which refusal comes first when several apply."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.compute.rules import (
    Candidate,
    Limits,
    ManifestCase,
    Offer,
    Policy,
    Submission,
    backoff_ms,
    judge_grant,
    judge_module,
    judge_offer,
    judge_submission,
    judge_time,
    rank,
    state_of,
    state_of_grant,
)
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire import compute as wire
from opkit.wire import grants as granted
from opkit.wire.errors import Refusal
from opkit.wire.gateway import StoreBusy
from opkit.wire.peer import OFFER_TASK
from tests.nodeimpl.compute import grant_cases as cases

ME, OTHER = Identity.generate().did, Identity.generate().did
NOW = 1_800_000_000_000
LIMITS = Limits()
POLICY = Policy(accept_coops=frozenset({"coop"}), accept_members=frozenset({"-/guest"}))
HASH, RIVAL = "a" * 64, "b" * 64

MANIFEST = wire.Manifest(
    network="a" * 26,
    aud="any",
    task_id="0" * 32,
    member_id="coop/ann",
    wasm_hash=cid_of(b"module"),
    input_hash=cid_of(b"input"),
    limits=wire.TaskLimits(),
    issued_at_ms=NOW,
    expires_at_ms=NOW + 60_000,
)
CASE = ManifestCase(manifest=MANIFEST, why="", manifest_hash=HASH, taken_hash=None, now_ms=NOW)
SUBMISSION = Submission(
    case=CASE,
    sender="coop/ann",
    inline_hash=cid_of(b"input"),
    input_kept=False,
    unfinished=0,
    placing=0,
)
OFFER = Offer(case=CASE, me=ME, jobs_of_submitter=0, jobs=0, wait_ms=0, crowded=False, ready=True)


def changed(ask: Any, **fields: Any) -> Any:
    """Return an ask whose manifest, if it still has one, has these fields."""
    if ask.case.manifest is None:
        return ask
    manifest = ask.case.manifest.model_copy(update=fields)
    return replace(ask, case=replace(ask.case, manifest=manifest))


def unverified(ask: Any) -> Any:
    return replace(ask, case=replace(ask.case, manifest=None, why="bad signature"))


def taken(ask: Any) -> Any:
    return replace(ask, case=replace(ask.case, taken_hash=RIVAL))


SHARED: dict[type[Refusal], Callable[[Any], Any]] = {
    wire.ManifestRejected: unverified,
    wire.HashMalformed: lambda ask: changed(ask, wasm_hash="bafynot"),
    wire.ManifestExpired: lambda ask: replace(ask, case=replace(ask.case, now_ms=NOW + 60_000)),
    wire.LimitsExcessive: lambda ask: changed(
        ask, limits=wire.TaskLimits.model_construct(**{**dict(MANIFEST.limits), "fuel": 10**12})
    ),
}

SUBMISSION_BREAKS: dict[type[Refusal], Callable[[Any], Any]] = {
    **SHARED,
    wire.SubmitterMismatch: lambda ask: replace(ask, sender="coop/bob"),
    wire.TaskConflict: taken,
    wire.InputMismatch: lambda ask: replace(ask, inline_hash=cid_of(b"other")),
    wire.BlobUnknown: lambda ask: replace(ask, inline_hash=None),
    wire.QuotaExceeded: lambda ask: replace(ask, unfinished=LIMITS.unfinished_per_submitter_max),
    wire.QueueFull: lambda ask: replace(ask, placing=LIMITS.placing_max),
}

OFFER_BREAKS: dict[type[Refusal], Callable[[Any], Any]] = {
    **SHARED,
    wire.TaskConflict: taken,
    wire.SubmitterNotAccepted: lambda ask: changed(ask, member_id="elsewhere/ann"),
    wire.QuotaExceeded: lambda ask: replace(ask, jobs_of_submitter=LIMITS.jobs_per_submitter_max),
    wire.QueueFull: lambda ask: replace(ask, jobs=LIMITS.queue_max),
    wire.ExecutorUnavailable: lambda ask: replace(ask, ready=False),
}

SAID: dict[type[Refusal], dict[str, Any]] = {
    wire.HashMalformed: {"value": "bafynot"},
    wire.ManifestExpired: {"expires_at_ms": NOW + 60_000, "now_ms": NOW + 60_000},
    wire.LimitsExcessive: {"field": "fuel", "asked": 10**12, "limit": LIMITS.fuel_max},
    wire.SubmitterMismatch: {"signed_by": "coop/ann", "sent_by": "coop/bob"},
    wire.TaskConflict: {"task_id": "0" * 32},
    wire.InputMismatch: {"cid": cid_of(b"input")},
    wire.BlobUnknown: {"cid": cid_of(b"input")},
    wire.SubmitterNotAccepted: {"member_id": "elsewhere/ann"},
    wire.ExecutorUnavailable: {"executor": ME},
}
"""What a refusal says it is about, the same for submission and offer."""

SUBMISSION_SAID: dict[type[Refusal], dict[str, Any]] = {
    **SAID,
    wire.ManifestRejected: {"why": "bad signature"},
    wire.QuotaExceeded: {"limit": LIMITS.unfinished_per_submitter_max},
    wire.QueueFull: {"limit": LIMITS.placing_max},
}

OFFER_SAID: dict[type[Refusal], dict[str, Any]] = {
    **SAID,
    wire.ManifestRejected: {"why": "bad signature"},
    wire.QuotaExceeded: {"limit": LIMITS.jobs_per_submitter_max},
    wire.QueueFull: {"limit": LIMITS.queue_max},
}

EXCLUSIVE: list[set[type[Refusal]]] = [
    {wire.InputMismatch, wire.BlobUnknown},
    {granted.GrantTakenBack, granted.GrantsFull},
]
"""An inline input is there or it is not; a grant that stands is no further one."""


def pairs(declared: tuple[type[Refusal], ...]) -> list[Any]:
    return [
        pytest.param(first, second, id=f"{first.code} before {second.code}")
        for first, second in itertools.combinations(declared, 2)
        if {first, second} not in EXCLUSIVE
    ]


KEPT = (StoreBusy, wire.StorageFull)
"""What only keeping the input and the task can show, after they were judged."""
SUBMIT_REFUSES = tuple(leaf for leaf in wire.SUBMIT.refuses if leaf not in KEPT)
OFFER_REFUSES = tuple(leaf for leaf in OFFER_TASK.refuses if leaf not in KEPT)


def test_a_good_submission_passes() -> None:
    assert judge_submission(SUBMISSION, LIMITS) == MANIFEST


def test_a_good_offer_passes_for_any_and_for_me() -> None:
    assert judge_offer(OFFER, LIMITS, POLICY) == MANIFEST
    mine = changed(OFFER, aud=ME)
    assert judge_offer(mine, LIMITS, POLICY).aud == ME


@pytest.mark.parametrize("leaf", SUBMIT_REFUSES, ids=lambda leaf: leaf.code)
def test_each_declared_refusal_of_a_submission_is_given(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf) as no:
        judge_submission(SUBMISSION_BREAKS[leaf](SUBMISSION), LIMITS)
    assert no.value.details() == SUBMISSION_SAID[leaf]


@pytest.mark.parametrize(("first", "second"), pairs(SUBMIT_REFUSES))
def test_submissions_are_refused_in_the_declared_order(
    first: type[Refusal], second: type[Refusal]
) -> None:
    both = SUBMISSION_BREAKS[first](SUBMISSION_BREAKS[second](SUBMISSION))
    with pytest.raises(first):
        judge_submission(both, LIMITS)


@pytest.mark.parametrize("leaf", OFFER_REFUSES, ids=lambda leaf: leaf.code)
def test_each_declared_refusal_of_an_offer_is_given(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf) as no:
        judge_offer(OFFER_BREAKS[leaf](OFFER), LIMITS, POLICY)
    assert no.value.details() == OFFER_SAID[leaf]


@pytest.mark.parametrize(("first", "second"), pairs(OFFER_REFUSES))
def test_offers_are_refused_in_the_declared_order(
    first: type[Refusal], second: type[Refusal]
) -> None:
    both = OFFER_BREAKS[first](OFFER_BREAKS[second](OFFER))
    with pytest.raises(first):
        judge_offer(both, LIMITS, POLICY)


MANY = LIMITS.queue_short


@pytest.mark.parametrize(
    ("asked", "full"),
    [
        (replace(OFFER, jobs=MANY - 1, wait_ms=10**9, crowded=True), False),
        (replace(OFFER, jobs=MANY, crowded=True), True),
        (replace(OFFER, jobs=MANY, wait_ms=LIMITS.wait_ms_max * 2), False),
        (replace(OFFER, jobs=MANY, wait_ms=MANIFEST.expires_at_ms - CASE.now_ms - 1), False),
        (replace(OFFER, jobs=MANY, wait_ms=MANIFEST.expires_at_ms - CASE.now_ms), True),
        (replace(OFFER, jobs=LIMITS.queue_max - 1), False),
        (replace(OFFER, jobs=LIMITS.queue_max), True),
    ],
)
def test_what_would_wait_for_too_long_is_refused_at_once(asked: Offer, full: bool) -> None:
    if not full:
        assert judge_offer(asked, LIMITS, POLICY) == MANIFEST
        return
    with pytest.raises(wire.QueueFull) as no:
        judge_offer(asked, LIMITS, POLICY)
    assert no.value.limit == asked.jobs, "so many are ahead of it"
    again = replace(asked, case=replace(asked.case, taken_hash=HASH))
    assert judge_offer(again, LIMITS, POLICY) == MANIFEST, "what is taken already is not refused"


def test_an_offer_for_another_executor_is_rejected() -> None:
    with pytest.raises(wire.ManifestRejected, match="another executor"):
        judge_offer(changed(OFFER, aud=OTHER), LIMITS, POLICY)


def test_the_same_manifest_again_is_no_conflict_and_costs_no_quota() -> None:
    case = replace(CASE, taken_hash=HASH)
    again = replace(
        SUBMISSION,
        case=case,
        unfinished=LIMITS.unfinished_per_submitter_max,
        placing=LIMITS.placing_max,
    )
    assert judge_submission(again, LIMITS) == MANIFEST
    offered = replace(
        OFFER, case=case, jobs_of_submitter=LIMITS.jobs_per_submitter_max, jobs=LIMITS.queue_max
    )
    assert judge_offer(offered, LIMITS, POLICY) == MANIFEST


def test_an_input_that_is_kept_need_not_come_along() -> None:
    assert judge_submission(replace(SUBMISSION, inline_hash=None, input_kept=True), LIMITS)


@pytest.mark.parametrize("field", ["wasm_hash", "input_hash"])
def test_either_name_must_be_a_content_name(field: str) -> None:
    with pytest.raises(wire.HashMalformed) as no:
        judge_submission(changed(SUBMISSION, **{field: "Qm123"}), LIMITS)
    assert no.value.value == "Qm123"


@pytest.mark.parametrize(
    ("issued", "expires", "good"),
    [
        (NOW, NOW + 1, True),
        (NOW - 10, NOW, False),
        (NOW + LIMITS.skew_ms_max, NOW + 60_000, True),
        (NOW + LIMITS.skew_ms_max + 1, NOW + 60_000, False),
    ],
)
def test_a_manifest_counts_from_its_issue_to_just_before_its_expiry(
    issued: int, expires: int, good: bool
) -> None:
    manifest = MANIFEST.model_copy(update={"issued_at_ms": issued, "expires_at_ms": expires})
    if good:
        judge_time(manifest, now_ms=NOW, limits=LIMITS)
    else:
        with pytest.raises(wire.ManifestExpired):
            judge_time(manifest, now_ms=NOW, limits=LIMITS)


@pytest.mark.parametrize(
    ("field", "limits"),
    [
        ("fuel", Limits(fuel_max=10)),
        ("time_ms", Limits(time_ms_max=10)),
        ("memory_bytes", Limits(memory_bytes_max=65_536)),
        ("output_bytes", Limits(output_bytes_max=10)),
        ("expires_at_ms", Limits(manifest_ttl_ms_max=59_999)),
    ],
)
def test_each_limit_bounds_what_is_asked(field: str, limits: Limits) -> None:
    with pytest.raises(wire.LimitsExcessive) as no:
        judge_submission(SUBMISSION, limits)
    assert no.value.field == field


def test_what_is_asked_may_reach_each_limit_exactly() -> None:
    asked = MANIFEST.limits
    exact = Limits(
        fuel_max=asked.fuel,
        time_ms_max=asked.time_ms,
        memory_bytes_max=asked.memory_bytes,
        output_bytes_max=asked.output_bytes,
        manifest_ttl_ms_max=MANIFEST.expires_at_ms - SUBMISSION.case.now_ms,
    )
    assert judge_submission(SUBMISSION, exact) == MANIFEST


def test_a_module_has_one_byte_at_least_and_the_limit_at_most() -> None:
    small = Limits(module_bytes_max=8)
    judge_module(size_bytes=1, limits=small)
    judge_module(size_bytes=8, limits=small)
    for size in (0, 9):
        with pytest.raises(wire.ModuleInvalid):
            judge_module(size_bytes=size, limits=small)


def test_the_policy_names_coops_and_single_members() -> None:
    assert POLICY.accepts("coop/ann")
    assert POLICY.accepts("-/guest")
    assert not POLICY.accepts("-/other")
    assert not POLICY.accepts("elsewhere/ann")


def candidate(did: str, **fields: Any) -> Candidate:
    return Candidate(
        **{"did": did, "running": 0, "waiting": 0, "slots": 2, "accepts": True, "local": False}
        | fields
    )


def test_the_least_loaded_who_accepts_comes_first() -> None:
    busy, idle = candidate("a", running=2, waiting=2), candidate("c", running=1)
    unwilling, without = candidate("b", accepts=False), candidate("d", slots=0)
    assert rank([busy, unwilling, idle, without]) == ["c", "a"]


def test_at_equal_load_the_local_one_comes_first_then_the_order_of_names() -> None:
    assert rank([candidate("b"), candidate("a"), candidate("z", local=True)]) == ["z", "a", "b"]


def test_who_waits_counts_as_load_too() -> None:
    assert rank([candidate("a", waiting=1), candidate("b")]) == ["b", "a"]


def test_load_is_counted_per_slot() -> None:
    assert rank([candidate("a", running=2, slots=2), candidate("b", running=3, slots=8)]) == [
        "b",
        "a",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 4), st.booleans()),
        max_size=8,
    )
)
def test_the_choice_does_not_depend_on_the_order_of_answers(
    figures: list[tuple[int, int, int, bool]],
) -> None:
    candidates = [
        candidate(f"n{n}", running=running, waiting=waiting, slots=slots, accepts=accepts)
        for n, (running, waiting, slots, accepts) in enumerate(figures)
    ]
    assert rank(candidates) == rank(reversed(candidates))
    assert set(rank(candidates)) == {c.did for c in candidates if c.accepts and c.slots}


@pytest.mark.parametrize("outcome", list(wire.Outcome))
def test_every_outcome_has_a_final_state(outcome: wire.Outcome) -> None:
    expected = {
        wire.Outcome.OK: wire.TaskState.DONE,
        wire.Outcome.CANCELLED: wire.TaskState.CANCELLED,
    }
    assert state_of(outcome) is expected.get(outcome, wire.TaskState.FAILED)
    assert state_of(outcome) in wire.FINAL


def test_waiting_between_tries_grows_from_20_ms_to_a_second() -> None:
    waits = [backoff_ms(attempt) for attempt in range(8)]
    assert waits == [20, 50, 100, 250, 500, 1_000, 1_000, 1_000]


@pytest.mark.parametrize("leaf", granted.GIVE_GRANT.refuses, ids=lambda leaf: leaf.code)
def test_each_refusal_of_a_grant_is_given(leaf: type[Refusal]) -> None:
    with pytest.raises(leaf) as no:
        judge_grant(cases.grant_case(cases.FAULTS[leaf]), LIMITS)
    assert no.value.details() == cases.SAID[leaf]


@pytest.mark.parametrize(("first", "second"), pairs(granted.GIVE_GRANT.refuses))
def test_refusals_of_a_grant_come_in_the_declared_order(
    first: type[Refusal], second: type[Refusal]
) -> None:
    with pytest.raises(first):
        judge_grant(cases.grant_case(cases.FAULTS[first], cases.FAULTS[second]), LIMITS)


def test_what_does_not_verify_is_refused_with_the_reason() -> None:
    case = cases.grant_case({"case": {"grant": None, "why": "it is odd"}})
    with pytest.raises(granted.GrantRejected) as no:
        judge_grant(case, LIMITS)
    assert no.value.details() == {"why": "it is odd"}


def test_a_grant_that_is_kept_already_is_no_further_one() -> None:
    stands = replace(cases.KEPT, revoked_at_ms=None)
    for kept in (63, 64, 65):
        case = cases.grant_case({"case": {"standing": stands, "kept": kept}})
        assert judge_grant(case, LIMITS) == cases.grant()
    with pytest.raises(granted.GrantsFull):
        judge_grant(cases.grant_case({"case": {"kept": 65}}), LIMITS)


@pytest.mark.parametrize(
    ("after_ms", "good"),
    [
        (-LIMITS.skew_ms_max - 1, False),
        (-LIMITS.skew_ms_max, True),
        (0, True),
        (cases.TERM_MS - 1, True),
        (cases.TERM_MS, False),
    ],
)
def test_a_grant_counts_from_its_issue_to_just_before_it_lapses(after_ms: int, good: bool) -> None:
    case = cases.grant_case({"case": {"now_ms": cases.NOW_MS + after_ms}})
    if good:
        assert judge_grant(case, LIMITS) == cases.grant()
    else:
        with pytest.raises(granted.GrantLapsed):
            judge_grant(case, LIMITS)


@pytest.mark.parametrize(
    ("revoked_at_ms", "left_ms", "used", "state"),
    [
        (None, 1, 2, granted.GrantState.STANDING),
        (None, 1, 3, granted.GrantState.USED_UP),
        (None, 1, 4, granted.GrantState.USED_UP),
        (None, 0, 0, granted.GrantState.LAPSED),
        (None, -1, 3, granted.GrantState.LAPSED),
        (0, 1, 0, granted.GrantState.REVOKED),
        (0, 0, 3, granted.GrantState.REVOKED),
    ],
)
def test_a_grant_is_used_until_it_is_taken_back_or_lapses_or_has_no_place_left(
    revoked_at_ms: int | None, left_ms: int, used: int, state: granted.GrantState
) -> None:
    kept, grant = replace(cases.KEPT, revoked_at_ms=revoked_at_ms, tasks_used=used), cases.grant()
    assert state_of_grant(kept, grant, now_ms=grant.lapses_at_ms - left_ms) is state


@pytest.mark.parametrize("fuel", [None, 1, 6, 7])
@pytest.mark.parametrize("module", [None, cases.MODULE])
def test_a_grant_covers_its_module_or_any_with_so_much_fuel(
    fuel: int | None, module: str | None
) -> None:
    assert cases.chosen(cases.grant(module=module), fuel=fuel) == 0


@pytest.mark.parametrize(
    ("grants", "asked", "fuel"),
    [
        pytest.param([], {}, 7, id="none-is-kept"),
        pytest.param([cases.grant()], {"fuel": 8}, 8, id="too-much-fuel"),
        pytest.param([cases.grant(module=cases.ANOTHER)], {}, 7, id="another-module"),
        pytest.param([cases.grant(module=cases.ANOTHER)], {"fuel": None}, 0, id="whatever-fuel"),
        pytest.param([cases.grant()], {"member": None}, 7, id="no-member"),
        pytest.param(
            [cases.grant()],
            {"member": cases.STANDS.model_copy(update={"active": False})},
            7,
            id="a-revoked-member",
        ),
        pytest.param([cases.grant(did=cases.NODE)], {}, 7, id="a-key-of-before"),
    ],
)
def test_a_task_that_no_grant_covers_needs_one(
    grants: list[granted.Grant], asked: dict[str, Any], fuel: int
) -> None:
    with pytest.raises(granted.GrantNeeded) as no:
        cases.chosen(*grants, **asked)
    assert no.value.details() == {"wasm_hash": cases.MODULE, "fuel": fuel}


def test_the_grant_for_the_very_module_is_used_first_then_the_next_to_lapse() -> None:
    sooner = {"lapses_at_ms": cases.NOW_MS + 5}
    late, soon = cases.grant(), cases.grant(**sooner)
    own_late, own = (
        cases.grant(module=cases.MODULE),
        cases.grant(module=cases.MODULE, lapses_at_ms=10**12),
    )
    assert cases.chosen(late, soon) == 1
    assert cases.chosen(soon, late) == 0
    assert cases.chosen(soon, own, own_late) == 2
    assert cases.chosen(cases.grant(module=cases.ANOTHER, **sooner), own_late, own, late) == 1
    assert cases.chosen(late, soon, soon) == 1, "of two alike the first that is kept"
