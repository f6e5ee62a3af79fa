"""Grants at work: kept, used for a member who calls by a protocol without keys, and taken back.

A task under a grant is a task like any other: the node signs its manifest, and from there on it
goes the way of all manifests, which everybody judges who sees it. Source: ADR 0037.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nodeimpl.compute import grantbook as book
from nodeimpl.compute import store as table
from nodeimpl.compute.grantbook import GrantedTask
from nodeimpl.compute.parts import Parts, Progress
from nodeimpl.compute.rules import (
    GrantCase,
    KeptGrant,
    choose_grant,
    judge_grant,
    state_of_grant,
)
from nodeimpl.compute.views import task_view_with
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.tx import Tx
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.grants import task_id_of, verify_grant
from opkit.wire import grants as wire
from opkit.wire.base import CidText, Jws, MemberId
from opkit.wire.compute import SubmitTask, TaskLimits, TaskView
from opkit.wire.membership import Member

MANIFEST_TTL_MS = 300_000
"""How long a manifest that the node signs is good for, unless its grant lapses before."""

TAKEN_MAX = 16
"""How many places in a row may turn out to be taken: their task ids are nobody's secret."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A task that a member wants the node to submit for them.

    Attributes:
        stdin: its input, if that came along; else it is kept under `input_hash`.
        limits: what the run may use; None for the usual, or less where the grant allows less.
        message_id: what asked for it: the same once more is the same task.
        context_id: what the asker counts it among.
    """

    wasm_hash: CidText
    input_hash: CidText
    stdin: bytes | None
    limits: TaskLimits | None
    executor: str
    message_id: str
    context_id: str


class MessageTaken(Exception):
    """The message id stands for another task already."""


class Submitting(Protocol):
    """How a manifest becomes a task of this node, and how one ends."""

    def submit(self, tx: Tx, ask: SubmitTask, caller: Caller | None, _: None) -> TaskView:
        """Take a task on."""
        ...


class Granting:
    """Keeps grants, and submits tasks under them."""

    def __init__(
        self,
        parts: Parts,
        tasks: Submitting,
        *,
        progress: Progress,
        cancel: Callable[[Tx, table.Task], table.Task],
    ) -> None:
        """Submit by `tasks`; end by `cancel` what runs under a grant that was taken back."""
        self._parts = parts
        self._progress = progress
        self._tasks = tasks
        self._cancel = cancel

    def give(self, tx: Tx, ask: wire.GiveGrant, caller: Caller | None, _: None) -> wire.GrantHeld:
        """Keep a grant; the same once more is the one that stands. Refuses as `judge_grant`."""
        assert caller is not None, "this endpoint asks for a token"
        book.drop_lapsed(tx, caller.member_id)
        case = self._case(tx, ask.grant, caller.member_id)
        grant = judge_grant(case, self._parts.limits)
        if case.standing is not None:
            return self._held(case.standing, now_ms=tx.now_ms)
        kept = KeptGrant(
            grant_id=case.grant_id,
            member_id=grant.member_id,
            token=ask.grant,
            tasks_used=0,
            lapses_at_ms=grant.lapses_at_ms,
            revoked_at_ms=None,
        )
        book.add_grant(tx, kept)
        given = wire.GrantGiven(
            grant_id=kept.grant_id, member_id=kept.member_id, lapses_at_ms=kept.lapses_at_ms
        )
        tx.announce(given)
        return self._held(kept, now_ms=tx.now_ms)

    def list(self, tx: Tx, ask: wire.ListGrants, caller: Caller | None, _: None) -> wire.GrantPage:
        """Return a page of the caller's own grants, by id."""
        assert caller is not None, "this endpoint asks for a token"
        count = ask.grants_max + 1
        found = book.grants_of(tx, caller.member_id, after=ask.after, count=count)
        page = found[: ask.grants_max]
        more = len(found) > ask.grants_max
        return wire.GrantPage(
            grants=tuple(self._held(kept, now_ms=tx.now_ms) for kept in page),
            next_after=page[-1].grant_id if more else "",
        )

    def revoke(
        self, tx: Tx, ask: wire.RevokeGrant, caller: Caller | None, _: None
    ) -> wire.GrantHeld:
        """Use a grant no more, and end what runs under it.

        Raises:
            GrantUnknown: there is none, or it is another member's.
        """
        assert caller is not None, "this endpoint asks for a token"
        kept = book.grant(tx, member_id=caller.member_id, grant_id=ask.grant_id)
        if kept is None:
            raise wire.GrantUnknown(grant_id=ask.grant_id)
        return self._held(self._take_back(tx, kept), now_ms=tx.now_ms)

    def member_revoked(self, tx: Tx, member_id: MemberId) -> None:
        """Take all grants back of a member whose membership ends, in the same transaction."""
        count = self._parts.limits.grants_per_member_max
        for kept in book.grants_of(tx, member_id, after="", count=count):
            self._take_back(tx, kept)

    def submit(self, tx: Tx, wanted: Wanted, caller: Caller) -> tuple[GrantedTask, TaskView | None]:
        """Submit a task in the caller's name; return it, and how it stands unless it stood before.

        Raises:
            MessageTaken: this message asked for another task before.
            GrantNeeded: no grant covers it.
            Refusal: as `compute.submit`.
        """
        who = caller.member_id
        before = book.task_of_message(tx, member_id=who, message_id=wanted.message_id)
        if before is not None:
            self._judge_repeat(tx, before, wanted)
            return before, None
        kept, grant = self._chosen(tx, wanted, who)
        place = self._free_place(tx, kept, grant, who)
        limits = wanted.limits or TaskLimits(fuel=min(TaskLimits().fuel, grant.fuel_max))
        issued_at_ms = max(tx.now_ms, grant.issued_at_ms)
        manifest = wire.GrantedManifest(
            network=self._parts.genesis.network,
            aud=wanted.executor,
            task_id=task_id_of(kept.grant_id, place),
            member_id=who,
            wasm_hash=wanted.wasm_hash,
            input_hash=wanted.input_hash,
            limits=limits,
            issued_at_ms=issued_at_ms,
            expires_at_ms=min(issued_at_ms + MANIFEST_TTL_MS, grant.lapses_at_ms),
            place=place,
            grant=kept.token,
        )
        token = jws.sign(manifest, typ=wire.GRANTED_TASK_TYP, identity=self._parts.identity)
        book.use_place(tx, kept, tasks_used=place)
        ask = SubmitTask(manifest=token, input_inline=wanted.stdin)
        view = self._tasks.submit(tx, ask, caller, None)
        task = GrantedTask(
            task_id=view.task_id,
            member_id=who,
            grant_id=kept.grant_id,
            context_id=wanted.context_id,
            message_id=wanted.message_id,
            accepted_at_ms=view.accepted_at_ms,
        )
        book.add_task(tx, task)
        return task, view

    def find(self, tx: Tx, task_id: str, who: MemberId) -> GrantedTask | None:
        """Return a task that the node submitted for this member."""
        return book.granted_task(tx, task_id=task_id, member_id=who)

    def shown(self, tx: Tx, who: MemberId, *, count: int) -> Sequence[tuple[GrantedTask, TaskView]]:
        """Return the tasks that were submitted for a member last, without their outputs."""
        found = []
        for task in book.newest_tasks(tx, who, count=count):
            row = table.task(tx, task.task_id)
            assert row is not None, "both rows were written by one transaction"
            view = task_view_with(tx, row, None, self._progress, self._parts.members)
            found.append((task, view))
        return found

    def _judge_repeat(self, tx: Tx, before: GrantedTask, wanted: Wanted) -> None:
        row = table.task(tx, before.task_id)
        assert row is not None, "both rows were written by one transaction"
        asked = jws.peek(row.manifest).payload
        if (asked["wasm_hash"], asked["input_hash"]) != (wanted.wasm_hash, wanted.input_hash):
            raise MessageTaken(wanted.message_id)

    def _chosen(self, tx: Tx, wanted: Wanted, who: MemberId) -> tuple[KeptGrant, wire.Grant]:
        """Return the grant to use."""
        member = self._parts.members.member(tx, who)
        fuel = None if wanted.limits is None else wanted.limits.fuel
        count = self._parts.limits.grants_per_member_max
        standing = [
            (kept, grant)
            for kept in book.grants_of(tx, who, after="", count=count)
            if state_of_grant(kept, grant := _grant_of(kept), now_ms=tx.now_ms)
            is wire.GrantState.STANDING
        ]
        return choose_grant(standing, member=member, wasm_hash=wanted.wasm_hash, fuel=fuel)

    def _free_place(self, tx: Tx, kept: KeptGrant, grant: wire.Grant, who: MemberId) -> int:
        """Return the next place whose task id nobody took.

        Whoever sees a grant can tell the ids of its tasks, and may have used one for their own.
        """
        first = kept.tasks_used + 1
        for place in range(first, min(grant.tasks_max, first + TAKEN_MAX) + 1):
            task_id = task_id_of(kept.grant_id, place)
            taken = table.task(tx, task_id) or table.job_of(tx, member_id=who, task_id=task_id)
            if taken is None:
                return place
        raise wire.GrantNeeded(wasm_hash=grant.module or "any", fuel=grant.fuel_max)

    def _take_back(self, tx: Tx, kept: KeptGrant) -> KeptGrant:
        if kept.revoked_at_ms is not None:
            return kept
        book.revoke_grant(tx, kept)
        for task_id in book.tasks_under(tx, kept.grant_id):
            row = table.task(tx, task_id)
            assert row is not None, "both rows were written by one transaction"
            self._cancel(tx, row)
        tx.announce(wire.GrantRevoked(grant_id=kept.grant_id, member_id=kept.member_id))
        return replace(kept, revoked_at_ms=tx.now_ms)

    def _case(self, tx: Tx, token: Jws, sender: MemberId) -> GrantCase:
        parts, grant, why, grant_id = self._parts, None, "", ""
        try:
            grant_id = jws.record_id(token)
            grant = verify_grant(
                token, network=parts.genesis.network, member=self._claimed(tx, token)
            )
        except ProofError as bad:
            why = bad.why
        standing = book.grant(tx, member_id=sender, grant_id=grant_id) if grant_id else None
        return GrantCase(
            grant=grant,
            why=why,
            grant_id=grant_id,
            standing=standing,
            sender=sender,
            me=parts.me,
            kept=book.count_grants(tx, sender),
            now_ms=tx.now_ms,
        )

    def _claimed(self, tx: Tx, token: Jws) -> Member:
        member_id = str(jws.peek(token).payload.get("member_id"))
        member = self._parts.members.member(tx, member_id)
        if member is None:
            raise ProofError(f"{member_id} is no member that is known here")
        return member

    def _held(self, kept: KeptGrant, *, now_ms: int) -> wire.GrantHeld:
        grant = _grant_of(kept)
        return wire.GrantHeld(
            grant_id=kept.grant_id,
            member_id=kept.member_id,
            module=grant.module,
            fuel_max=grant.fuel_max,
            tasks_max=grant.tasks_max,
            tasks_used=kept.tasks_used,
            issued_at_ms=grant.issued_at_ms,
            lapses_at_ms=grant.lapses_at_ms,
            revoked_at_ms=kept.revoked_at_ms,
            state=state_of_grant(kept, grant, now_ms=now_ms),
            grant=kept.token,
        )


def _grant_of(kept: KeptGrant) -> wire.Grant:
    """Return a grant that was verified when it was kept."""
    return wire.Grant.model_validate(jws.peek(kept.token).payload)
