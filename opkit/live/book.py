"""What the journals of all nodes say together: modules, tasks and happenings, within bounds.

Entries of different nodes arrive in any order, so every fact is merged: a task is the same whether
its executor's entries are read before or after those of its home. Nothing here waits or fetches.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opkit.story.states import State
from opkit.views.figures import Happening, Traffic
from opkit.views.outcomes import task_state
from opkit.wire.compute import FINAL, ModuleInfo, TaskState
from opkit.wire.events import EVENTS, JournalEntry

HAPPENINGS_MAX = 200
TASKS_MAX = 500
MODULES_MAX = 500
TRAFFIC_MAX = 32
POSTED_MAX = 1_000
"""Of how many entries of ledgers it is remembered where in the journal they stand."""

MOVED_MAX = 500
"""How many fetches are remembered for tasks that are not known yet."""

VOTED_MAX = 200
"""On how many proposals votes are remembered: the last ones that were voted on."""

BALLOTS_MAX = 99
"""Of how many earlier ballots of a member on one proposal it is remembered that they cast them."""

CONTRADICTED_MAX = 50
"""How many exchanges are remembered of which somebody signed both ends."""

_POSTED = "ledger.entry-posted"
_VOTE = "governance.vote-cast"
_CONTRADICTED = "clearing.contradicted"

_ORDER = {state: place for place, state in enumerate(TaskState)}
"""A task only goes forward; the states stand in their order."""


Merge = Callable[[str, JournalEntry, Mapping[str, Any]], None]
"""Merges one entry of an organisation's node: the organisation, the entry, its body."""


@dataclass(eq=False, kw_only=True)
class TaskFacts:
    """What is known of one task; empty is what no entry has said yet. Organisations by id."""

    task_id: str
    seen_ms: int
    member_id: str = ""
    home: str = ""
    manifest_hash: str = ""
    wasm_hash: str = ""
    executor: str = ""
    state: TaskState = TaskState.ACCEPTED
    accepted_ms: int = 0
    ended_ms: int = 0
    outcome: str = ""
    fuel_used: int = 0
    code: str = ""
    receipt_hash: str = ""

    def reach(self, state: TaskState) -> None:
        """Go forward to a state; a task that is final stays as it is."""
        if self.state not in FINAL and _ORDER[state] > _ORDER[self.state]:
            self.state = state


@dataclass(eq=False, kw_only=True)
class ModuleFacts:
    """What is known of one module; `holders` by organisation, the home first."""

    wasm_hash: str
    seen_ms: int
    home: str = ""
    name: str = ""
    owner: str = ""
    size_bytes: int = 0
    deployed_ms: int = 0
    fetched: dict[str, int] = field(default_factory=dict)

    @property
    def holders(self) -> tuple[str, ...]:
        """Who holds it, the home first."""
        others = (org for org in self.fetched if org != self.home)
        return (*((self.home,) if self.home else ()), *others)


class Voted(NamedTuple):
    """A member's last vote as it was journalled, and their ballots until then, by commitment."""

    entry: JournalEntry
    ballots: tuple[str, ...]


class Book:
    """All that the journals said, as far as it is kept.

    Attributes:
        changes: how often something was said of a task or a module.
        heard: how many entries of each domain came, by the first word of their type; `heard_from`
            by the organisation, too.
        posted: the journal entry of each entry of a ledger, by whose node journalled it and the
            latter's hash; the last ones.
        votes: the last vote of each member, by whose node journalled it and the proposal; on the
            last proposals that were voted on.
        contradicted: the last exchanges of which somebody signed both ends, by the exchange.
    """

    def __init__(self, *, orgs: Mapping[str, str]) -> None:
        """Begin empty. `orgs` names the organisation of each node's DID."""
        self.tasks: dict[str, TaskFacts] = {}
        self.modules: dict[str, ModuleFacts] = {}
        self.traffic: deque[Traffic] = deque(maxlen=TRAFFIC_MAX)
        self.tasks_total = 0
        self.tasks_failed = 0
        self.unnamed: set[tuple[str, str]] = set()
        self.orgs = dict(orgs)
        self.changes = 0
        self.heard: Counter[str] = Counter()
        self.heard_from: Counter[tuple[str, str]] = Counter()
        self.posted: dict[tuple[str, str], JournalEntry] = {}
        self.votes: dict[tuple[str, str], dict[str, Voted]] = {}
        self.contradicted: dict[str, JournalEntry] = {}
        self._happenings: list[Happening] = []
        self._shown: tuple[Happening, ...] | None = None
        self._keys: set[str] = set()
        self._moved: dict[str, str] = {}
        self._merges: dict[str, Merge] = {
            "compute.module-deployed": self._deployed,
            "compute.module-fetched": self._fetched,
            "compute.task-accepted": self._accepted,
            "compute.task-placed": self._placed,
            "compute.task-started": self._started,
            "compute.task-finished": self._finished,
            "compute.task-ended": self._ended,
        }

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """The last happenings, newest first; the same ones while none is added or told anew."""
        if self._shown is None:
            self._shown = tuple(reversed(self._happenings))
        return self._shown

    def org(self, did: str | None) -> str:
        """Return the organisation of a node, or what is left of its DID."""
        return self.orgs.get(did or "", did or "")

    def add(self, happening: Happening) -> None:
        """Keep a happening in its place by time; the oldest makes room."""
        if happening.key in self._keys:
            return
        insort(self._happenings, happening, key=lambda one: (one.at_ms, one.key))
        self._keys.add(happening.key)
        self._shown = None
        if len(self._happenings) > HAPPENINGS_MAX:
            self._keys.discard(self._happenings.pop(0).key)

    def retell(self, tell: Callable[[Happening], Happening | None]) -> None:
        """Tell every happening anew; one that is told as None keeps its words."""
        self._happenings = [tell(one) or one for one in self._happenings]
        self._shown = None

    def forget(self, org: str) -> None:
        """Drop the happenings of a node whose journal began anew; what others said stays."""
        self._happenings = [one for one in self._happenings if one.org != org]
        self._keys = {one.key for one in self._happenings}
        self._shown = None

    def take(self, org: str, entries: Sequence[JournalEntry]) -> None:
        """Merge what the node of an organisation journalled."""
        for entry in entries:
            if entry.type in EVENTS:  # A node may journal any type: only known ones are counted.
                domain = entry.type.partition(".")[0]
                self.heard[domain] += 1
                self.heard_from[org, domain] += 1
            if entry.type == _POSTED:
                self._note_posted(org, entry)
            elif entry.type == _VOTE:
                self._note_vote(org, entry)
            elif entry.type == _CONTRADICTED:
                self._note_contradicted(entry)
            merge = self._merges.get(entry.type)
            if merge is not None:
                self.changes += 1
                merge(org, entry, entry.body)

    def name(self, org: str, info: ModuleInfo) -> None:
        """Merge what a node says about a module that was deployed there."""
        self.unnamed.discard((org, info.wasm_hash))
        module = self.modules.get(info.wasm_hash)
        if module is None:
            return  # Newer ones took its place meanwhile.
        module.name, module.owner = info.name, info.owner
        module.size_bytes, module.deployed_ms = info.size_bytes, info.deployed_at_ms
        module.home = module.home or org
        self.changes += 1

    def fetched_from(self, task: TaskFacts) -> str:
        """Return the organisation that the task's module was fetched from, or nothing."""
        return self._moved.get(task.manifest_hash, "")

    def running(self, org: str) -> int:
        """Return how many tasks the node of an organisation runs now."""
        return sum(
            task.executor == org and task.state is TaskState.RUNNING for task in self.tasks.values()
        )

    def _task(self, entry: JournalEntry, body: Mapping[str, Any]) -> TaskFacts:
        task_id = str(body["task_id"])
        task = self.tasks.get(task_id)
        if task is None:
            task = self.tasks[task_id] = TaskFacts(task_id=task_id, seen_ms=entry.at_ms)
            if len(self.tasks) > TASKS_MAX:
                del self.tasks[min(self.tasks.values(), key=lambda one: one.seen_ms).task_id]
        task.seen_ms = max(task.seen_ms, entry.at_ms)
        task.manifest_hash = str(body["manifest_hash"])
        return task

    def _module(self, wasm_hash: str, at_ms: int) -> ModuleFacts:
        module = self.modules.get(wasm_hash)
        if module is None:
            module = self.modules[wasm_hash] = ModuleFacts(wasm_hash=wasm_hash, seen_ms=at_ms)
            if len(self.modules) > MODULES_MAX:
                oldest = min(self.modules.values(), key=lambda one: one.seen_ms)
                del self.modules[oldest.wasm_hash]
        module.seen_ms = max(module.seen_ms, at_ms)
        return module

    def _note_posted(self, org: str, entry: JournalEntry) -> None:
        self.posted[org, str(entry.body["hash"])] = entry
        if len(self.posted) > POSTED_MAX:
            del self.posted[next(iter(self.posted))]

    def _note_vote(self, org: str, entry: JournalEntry) -> None:
        key = (org, str(entry.body["proposal"]))
        votes = self.votes[key] = self.votes.pop(key, {})
        member_id = str(entry.body["member_id"])
        ballot = str(entry.body["commitment"])
        cast = votes[member_id].ballots if member_id in votes else ()
        # A journal that is another one than before is read again from its beginning.
        others = tuple(each for each in cast if each != ballot)[-BALLOTS_MAX:]
        votes[member_id] = Voted(entry, (*others, ballot))
        if len(self.votes) > VOTED_MAX:
            del self.votes[next(iter(self.votes))]

    def _note_contradicted(self, entry: JournalEntry) -> None:
        self.contradicted[str(entry.body["exchange"])] = entry
        if len(self.contradicted) > CONTRADICTED_MAX:
            del self.contradicted[next(iter(self.contradicted))]

    def _deployed(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        module = self._module(str(body["wasm_hash"]), entry.at_ms)
        module.home, module.owner = org, str(body["owner"])
        module.size_bytes, module.deployed_ms = int(body["size_bytes"]), entry.at_ms
        if not module.name and len(self.unnamed) < MODULES_MAX:
            self.unnamed.add((org, module.wasm_hash))

    def _fetched(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        source = self.org(body["peer"])
        self._module(str(body["wasm_hash"]), entry.at_ms).fetched[org] = entry.at_ms
        self._moved[str(body["manifest_hash"])] = source
        if len(self._moved) > MOVED_MAX:
            del self._moved[next(iter(self._moved))]

    def _accepted(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        task = self._task(entry, body)
        task.home, task.member_id = org, str(body["member_id"])
        # A journal that is another one than before is read again from its beginning.
        self.tasks_total += not task.accepted_ms
        task.wasm_hash, task.accepted_ms = str(body["wasm_hash"]), entry.at_ms

    def _placed(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        task = self._task(entry, body)
        task.executor = self.org(body["executor"])
        task.reach(TaskState.PLACED)

    def _started(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        task = self._task(entry, body)
        task.executor = org
        task.reach(TaskState.RUNNING)

    def _finished(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        task = self._task(entry, body)
        task.executor, task.outcome = org, str(body["outcome"])
        task.receipt_hash, task.fuel_used = str(body["receipt_hash"]), int(body["fuel_used"])
        task.ended_ms = task.ended_ms or entry.at_ms

    def _ended(self, org: str, entry: JournalEntry, body: Mapping[str, Any]) -> None:
        task = self._task(entry, body)
        task.home, task.code = org, str(body.get("code", ""))
        task.ended_ms = entry.at_ms
        was_open = task.state not in FINAL
        task.reach(TaskState(body["state"]))
        # Without a code it was a limit of its own that ended it, as its receipt says.
        drawn, _ = task_state(task.state, code=task.code)
        self.tasks_failed += was_open and drawn is State.FAILED and bool(task.code)
