"""What computing decides: pure judgements over manifests, standing state and verdicts.

Time, the verdict of every signature, and what is kept where are arguments. Source: ADR 0008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opkit.proof.cid import is_cid
from opkit.proof.membership import coop_of
from opkit.proof.receipt import ANY_EXECUTOR
from opkit.wire.base import Did, Jws, MemberId, RecordId, TimeMs
from opkit.wire.compute import (
    BLOB_BYTES_MAX,
    MODULE_BYTES_MAX,
    BlobUnknown,
    ExecutorUnavailable,
    HashMalformed,
    InputMismatch,
    LimitsExcessive,
    Manifest,
    ManifestExpired,
    ManifestRejected,
    ModuleInvalid,
    Outcome,
    QueueFull,
    QuotaExceeded,
    SubmitterMismatch,
    SubmitterNotAccepted,
    TaskConflict,
    TaskLimits,
    TaskState,
)
from opkit.wire.grants import (
    GRANT_TERM_MS_MAX,
    Grant,
    GrantLapsed,
    GrantNeeded,
    GrantNotYours,
    GrantRejected,
    GrantsFull,
    GrantState,
    GrantTakenBack,
    GrantTermTooLong,
)
from opkit.wire.membership import Member


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a node gives to computing at most. The configuration may only lower these.

    Attributes:
        manifest_ttl_ms_max: the longest time between a task's submission and its expiry.
        skew_ms_max: how far in the future a manifest may have been issued.
        unfinished_per_submitter_max: tasks of one member under way at their own node.
        jobs_per_submitter_max: tasks of one member under way at this executor.
        queue_max: tasks under way at this executor.
        queue_short: so many are taken however long each takes.
        wait_ms_max: how long a task may have to wait for a worker where the queue stands.
        crowd_ms_max: the same once tasks were refused for it.
        burst_ms_max: how long the wait may be longer than that before tasks are refused.
        burst_max: how many may be under way while it is longer.
        placing_max: tasks of this node's members that run elsewhere or look for an executor.
        placement_ms_max: how long a task waits for an executor that takes it.
        silence_ms_max: how long an executor may be silent before `any` moves on to another.
        offers_max: how many executors are tried for one task.
        peerless_ms_max: how long a node without any peer waits for one before it calls something
            unknown.
        waiters_max: asks held open until a task ends.
        member_bytes_max: how much of this node's blobs one member may fill.
        dead_letter_ms: how long after its expiry a task is still awaited from a silent executor.
        grants_per_member_max: grants of one member that are kept, lapsed ones not counted.
        grant_term_ms_max: the longest time that a grant may be good for.
    """

    module_bytes_max: int = MODULE_BYTES_MAX
    blob_bytes_max: int = BLOB_BYTES_MAX
    manifest_ttl_ms_max: int = 86_400_000
    skew_ms_max: int = 30_000
    fuel_max: int = 100_000_000_000
    time_ms_max: int = 60_000
    memory_bytes_max: int = 268_435_456
    output_bytes_max: int = 8_388_608
    unfinished_per_submitter_max: int = 256
    jobs_per_submitter_max: int = 64
    queue_max: int = 1_024
    queue_short: int = 64
    wait_ms_max: int = 1_700
    crowd_ms_max: int = 1_200
    burst_ms_max: int = 2_000
    burst_max: int = 512
    placing_max: int = 1_024
    placement_ms_max: int = 5_000
    silence_ms_max: int = 10_000
    offers_max: int = 32
    peerless_ms_max: int = 3_000
    waiters_max: int = 2_048
    dead_letter_ms: int = 10_000
    member_bytes_max: int = 268_435_456
    grants_per_member_max: int = 64
    grant_term_ms_max: int = GRANT_TERM_MS_MAX


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Whose tasks this executor runs: members of these coops, and these members."""

    accept_coops: frozenset[str]
    accept_members: frozenset[MemberId] = frozenset()

    def accepts(self, member_id: MemberId) -> bool:
        """Return whether tasks of this member are run here."""
        return member_id in self.accept_members or coop_of(member_id) in self.accept_coops


@dataclass(frozen=True, kw_only=True)
class ManifestCase:
    """A manifest and what is known of it.

    Attributes:
        manifest: None if it did not verify; `why` then says why.
        manifest_hash: its record id.
        taken_hash: the manifest that stands under this task id, if any.
    """

    manifest: Manifest | None
    why: str
    manifest_hash: RecordId
    taken_hash: RecordId | None
    now_ms: int


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A task that reached its submitter's node.

    Attributes:
        sender: the member whose token the ask carried.
        inline_hash: the name of the inline input; None if none came.
        input_kept: whether the input is kept here already.
        unfinished: how many tasks of this member are under way.
        placing: how many tasks run elsewhere or look for an executor, if it is to be one of them.
    """

    case: ManifestCase
    sender: MemberId
    inline_hash: str | None
    input_kept: bool
    unfinished: int
    placing: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A task that was offered to this executor.

    Attributes:
        me: this executor's DID.
        jobs_of_submitter: how many of the member's tasks are under way here.
        jobs: how many tasks are under way here in all.
        wait_ms: how long one more is expected to wait for a worker.
        crowded: whether there are too many, or that has been too long for too long.
        ready: whether workers run.
    """

    case: ManifestCase
    me: Did
    jobs_of_submitter: int
    jobs: int
    wait_ms: int
    crowded: bool
    ready: bool


@dataclass(frozen=True, kw_only=True)
class KeptGrant:
    """A grant as a node keeps it: what is signed, and what became of it."""

    grant_id: RecordId
    member_id: MemberId
    token: Jws
    tasks_used: int
    lapses_at_ms: TimeMs
    revoked_at_ms: TimeMs | None


@dataclass(frozen=True, kw_only=True)
class GrantCase:
    """A grant that a member gives, and what is known of it.

    Attributes:
        grant: None if it did not verify; `why` then says why.
        standing: this very grant, if it is kept already.
        sender: the member whose token the ask carried.
        me: this node's DID.
        kept: how many grants of the sender are kept.
    """

    grant: Grant | None
    why: str
    grant_id: RecordId
    standing: KeptGrant | None
    sender: MemberId
    me: Did
    kept: int
    now_ms: int


def judge_module(*, size_bytes: int, limits: Limits) -> None:
    """Pass a module of a size that this node keeps.

    Raises:
        ModuleInvalid: it is empty, or larger than the node's limit.
    """
    if not 0 < size_bytes <= limits.module_bytes_max:
        raise ModuleInvalid(why=f"{size_bytes} bytes, 1 to {limits.module_bytes_max} are taken")


def judge_submission(asked: Submission, limits: Limits) -> Manifest:
    """Return the manifest of a task that its submitter's node takes on.

    The same manifest once more is no conflict: the caller answers with the task that stands.

    Raises:
        ManifestRejected: it does not verify.
        SubmitterMismatch: another member sent it.
        HashMalformed: module or input is not named by a CID.
        ManifestExpired: past its time, or issued in the future.
        LimitsExcessive: it asks for more than anyone gets.
        TaskConflict: the task id was used for another manifest.
        InputMismatch: the inline input has another name.
        BlobUnknown: no inline input, and none of this name is kept.
        QuotaExceeded: too many of this member's tasks are under way.
        QueueFull: it is for another node, and too many are already.
    """
    manifest = _verified(asked.case)
    if manifest.member_id != asked.sender:
        raise SubmitterMismatch(signed_by=manifest.member_id, sent_by=asked.sender)
    _judge_terms(manifest, asked.case, limits)
    if asked.inline_hash is not None and asked.inline_hash != manifest.input_hash:
        raise InputMismatch(cid=manifest.input_hash)
    if asked.inline_hash is None and not asked.input_kept:
        raise BlobUnknown(cid=manifest.input_hash)
    if asked.case.taken_hash is None and asked.unfinished >= limits.unfinished_per_submitter_max:
        raise QuotaExceeded(limit=limits.unfinished_per_submitter_max)
    if asked.case.taken_hash is None and asked.placing >= limits.placing_max:
        raise QueueFull(limit=limits.placing_max)
    return manifest


def judge_offer(asked: Offer, limits: Limits, policy: Policy) -> Manifest:
    """Return the manifest of a task that this executor takes.

    The same manifest once more is no conflict and costs no quota: it is taken already.

    Raises:
        ManifestRejected: it does not verify, or names another executor.
        HashMalformed: module or input is not named by a CID.
        ManifestExpired: past its time, or issued in the future.
        LimitsExcessive: it asks for more than this executor gives.
        TaskConflict: the task id was used for another manifest.
        SubmitterNotAccepted: the policy does not name the member or their coop.
        QuotaExceeded: too many of this member's tasks are under way here.
        QueueFull: too many tasks are under way here, or it would have to wait for too long.
        ExecutorUnavailable: no worker runs.
    """
    manifest = _verified(asked.case)
    if manifest.aud not in (ANY_EXECUTOR, asked.me):
        raise ManifestRejected(why="it names another executor")
    _judge_terms(manifest, asked.case, limits)
    if not policy.accepts(manifest.member_id):
        raise SubmitterNotAccepted(member_id=manifest.member_id)
    if asked.case.taken_hash is None and asked.jobs_of_submitter >= limits.jobs_per_submitter_max:
        raise QuotaExceeded(limit=limits.jobs_per_submitter_max)
    if asked.case.taken_hash is None:
        _judge_room(asked, manifest, limits)
    if not asked.ready:
        raise ExecutorUnavailable(executor=asked.me)
    return manifest


def judge_grant(case: GrantCase, limits: Limits) -> Grant:
    """Return a grant that this node keeps; one that it keeps already is no second one.

    Raises:
        GrantRejected: it does not verify, or is for another node.
        GrantNotYours: another member sent it.
        GrantTermTooLong: it is good for longer than a grant may be.
        GrantLapsed: past its time, or issued further ahead than clocks differ.
        GrantTakenBack: it was revoked.
        GrantsFull: as many of this member's are kept as may be.
    """
    grant, now_ms = case.grant, case.now_ms
    if grant is None:
        raise GrantRejected(why=case.why)
    if grant.aud != case.me:
        raise GrantRejected(why="it is for another node")
    if grant.member_id != case.sender:
        raise GrantNotYours(signed_by=grant.member_id, sent_by=case.sender)
    term_ms = grant.lapses_at_ms - grant.issued_at_ms
    if term_ms > limits.grant_term_ms_max:
        raise GrantTermTooLong(term_ms=term_ms, limit_ms=limits.grant_term_ms_max)
    if now_ms >= grant.lapses_at_ms or grant.issued_at_ms > now_ms + limits.skew_ms_max:
        raise GrantLapsed(lapses_at_ms=grant.lapses_at_ms, now_ms=now_ms)
    if case.standing is not None and case.standing.revoked_at_ms is not None:
        raise GrantTakenBack(grant_id=case.grant_id)
    if case.standing is None and case.kept >= limits.grants_per_member_max:
        raise GrantsFull(limit=limits.grants_per_member_max)
    return grant


def state_of_grant(kept: KeptGrant, grant: Grant, *, now_ms: int) -> GrantState:
    """Return whether a grant may still be used, and if not, why."""
    if kept.revoked_at_ms is not None:
        return GrantState.REVOKED
    if now_ms >= grant.lapses_at_ms:
        return GrantState.LAPSED
    return GrantState.USED_UP if kept.tasks_used >= grant.tasks_max else GrantState.STANDING


def choose_grant(
    standing: Iterable[tuple[KeptGrant, Grant]],
    *,
    member: Member | None,
    wasm_hash: str,
    fuel: int | None,
) -> tuple[KeptGrant, Grant]:
    """Return the grant to use for a task: one for its very module first, then the next to lapse.

    Args:
        standing: the member's grants that may be used now.
        member: the member as they stand now: a grant ends with the key that signed it.
        fuel: what the task is to have; None takes what the grant allows.

    Raises:
        GrantNeeded: none covers it.
    """
    fitting = [
        (kept, grant)
        for kept, grant in standing
        if member is not None
        and member.active
        and grant.did == member.did
        and grant.module in (None, wasm_hash)
        and (fuel is None or fuel <= grant.fuel_max)
    ]
    if not fitting:
        raise GrantNeeded(wasm_hash=wasm_hash, fuel=fuel or 0)
    return min(fitting, key=lambda each: (each[1].module is None, each[1].lapses_at_ms))


def _judge_room(asked: Offer, manifest: Manifest, limits: Limits) -> None:
    """Pass a task that will begin soon; say no now rather than when its time has run out.

    Raises:
        QueueFull: it would expire before it begins, or there is a crowd; as many as `queue_short`
            are taken in any case.
    """
    too_late = asked.case.now_ms + asked.wait_ms >= manifest.expires_at_ms
    if asked.jobs >= limits.queue_max:
        raise QueueFull(limit=limits.queue_max)
    if asked.jobs >= limits.queue_short and (too_late or asked.crowded):
        raise QueueFull(limit=asked.jobs)


def _verified(case: ManifestCase) -> Manifest:
    if case.manifest is None:
        raise ManifestRejected(why=case.why)
    return case.manifest


def _judge_terms(manifest: Manifest, case: ManifestCase, limits: Limits) -> None:
    """Judge names, time, limits and task id: what submitter's node and executor share."""
    for name in (manifest.wasm_hash, manifest.input_hash):
        if not is_cid(name):
            raise HashMalformed(value=name)
    judge_time(manifest, now_ms=case.now_ms, limits=limits)
    for field, asked, limit in _asked(manifest, case.now_ms, limits):
        if asked > limit:
            raise LimitsExcessive(field=field, asked=asked, limit=limit)
    if case.taken_hash not in (None, case.manifest_hash):
        raise TaskConflict(task_id=manifest.task_id)


def judge_time(manifest: Manifest, *, now_ms: int, limits: Limits) -> None:
    """Pass a manifest whose time it is.

    Raises:
        ManifestExpired: past its time, or issued further ahead than clocks differ.
    """
    if now_ms >= manifest.expires_at_ms or manifest.issued_at_ms > now_ms + limits.skew_ms_max:
        raise ManifestExpired(expires_at_ms=manifest.expires_at_ms, now_ms=now_ms)


def _asked(manifest: Manifest, now_ms: int, limits: Limits) -> Iterable[tuple[str, int, int]]:
    asked: TaskLimits = manifest.limits
    yield "fuel", asked.fuel, limits.fuel_max
    yield "time_ms", asked.time_ms, limits.time_ms_max
    yield "memory_bytes", asked.memory_bytes, limits.memory_bytes_max
    yield "output_bytes", asked.output_bytes, limits.output_bytes_max
    yield "expires_at_ms", manifest.expires_at_ms, now_ms + limits.manifest_ttl_ms_max


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An executor that could run a task, and how busy it says it is."""

    did: Did
    running: int
    waiting: int
    slots: int
    accepts: bool
    local: bool


def rank(candidates: Iterable[Candidate]) -> list[Did]:
    """Return the executors that accept, the least loaded first.

    Load is tasks per slot, compared without division. At equal load the local one is first, since
    it costs no network; then the order of DIDs decides, so that the choice is reproducible.
    """
    accepting = [each for each in candidates if each.accepts and each.slots > 0]

    def load(each: Candidate) -> tuple[int, bool, str]:
        return ((each.running + each.waiting) * 1_000 // each.slots, not each.local, each.did)

    return [each.did for each in sorted(accepting, key=load)]


def state_of(outcome: Outcome) -> TaskState:
    """Return the final state of a task whose run ended so."""
    if outcome is Outcome.OK:
        return TaskState.DONE
    return TaskState.CANCELLED if outcome is Outcome.CANCELLED else TaskState.FAILED


def backoff_ms(attempt: int, *, steps: Sequence[int] = (20, 50, 100, 250, 500, 1_000)) -> int:
    """Return how long to wait before trying again for the `attempt`-th time, counted from 0."""
    return steps[min(attempt, len(steps) - 1)]
