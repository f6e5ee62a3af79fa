"""From what is known to what is drawn: figures of the network and of computing, and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from opkit.live.book import Book, TaskFacts
from opkit.live.follow import Followed
from opkit.live.heard import is_sound
from opkit.live.initials import initials_among
from opkit.live.kept import Kept
from opkit.proof.membership import OPERATOR_ID
from opkit.story.states import State
from opkit.views.amounts import size_text
from opkit.views.figures import (
    ComputeFigures,
    Happening,
    LinkFigure,
    LinkState,
    ModuleFigure,
    NetworkFigures,
    NodeFigure,
    TaskFigure,
    Traffic,
)
from opkit.views.sentences import Names, event_told, odd_told
from opkit.wire.base import Did
from opkit.wire.events import JournalEntry
from opkit.wire.network import PeerLink

RATE_MS = 4_000
"""Over how long bytes a second are averaged."""

TRAFFIC_MS = 6_000
"""How long what moved is shown on the map."""

_OWN_LOGINS = "membership.token-issued"


def names_of(book: Book, titles: Mapping[str, str]) -> Names:
    """Return what ids mean, for sentences."""
    modules = {cid: module.name for cid, module in book.modules.items()}
    return Names(titles=titles, orgs=book.orgs, modules=modules)


def happening_of(org: str, entry: JournalEntry, *, names: Names) -> Happening | None:
    """Return a journal entry as a happening; None for those that only this console caused."""
    if entry.type == _OWN_LOGINS and entry.body.get("member_id") == OPERATOR_ID:
        return None
    if is_sound(entry):
        told = event_told(entry.type, entry.body, org=org, names=names)
    else:
        told = odd_told(entry.type, org=org, names=names)
    return Happening(
        key=f"{org}/{entry.sequence}",
        at_ms=entry.at_ms,
        org=org,
        kind=entry.type,
        sentence=told.sentence,
        tone=told.tone,
        adversarial=told.adversarial,
        entry=entry.model_dump(mode="json"),
    )


def traffic_of(org: str, entry: JournalEntry, *, book: Book) -> Traffic | None:
    """Return what an entry says moved between two nodes, if anything."""
    body = entry.body
    match entry.type:
        case "compute.module-fetched":
            words, tone = f"{size_text(int(body['size_bytes']))} verified", State.DONE
            source, target = book.org(body["peer"]), org
        case "network.provider-lied":
            words, tone = f"{size_text(int(body['received_bytes']))} refused", State.REFUSED
            source, target = book.org(body["peer"]), org
        case "compute.task-placed":
            words, tone = "a task", State.RUNNING
            source, target = org, book.org(body["executor"])
        case _:
            return None
    if source == target:
        return None
    return Traffic(source=source, target=target, words=words, tone=tone, at_ms=entry.at_ms)


def network_figures(
    *,
    name: str,
    now_ms: int,
    followed: Mapping[str, Followed],
    cut: Mapping[frozenset[str], int],
    book: Book,
    trouble: str = "",
    kept: Kept | None = None,
) -> NetworkFigures:
    """Return the network as it is now; links of nodes that said nothing since are as `kept`."""
    return NetworkFigures(
        name=name,
        trouble=trouble,
        now_ms=now_ms,
        nodes=_nodes(followed, book),
        links=(kept or Kept()).made(
            "links", _links_of(followed, cut), lambda: _links(followed, cut)
        ),
        happenings=book.happenings,
        traffic=tuple(one for one in book.traffic if now_ms - one.at_ms < TRAFFIC_MS),
        tasks=book.tasks_total,
        tasks_failed=book.tasks_failed,
    )


def _links_of(
    followed: Mapping[str, Followed], cut: Mapping[frozenset[str], int]
) -> tuple[object, ...]:
    """Return all that links are made of: each look at a node has another time."""
    said = tuple((one.at, one.seen_ms, one.health, one.since_ms) for one in followed.values())
    return said, dict(cut)


def _links(
    followed: Mapping[str, Followed], cut: Mapping[frozenset[str], int]
) -> tuple[LinkFigure, ...]:
    return tuple(
        _link(a, b, cut=cut.get(frozenset((a.at.org, b.at.org))))
        for a, b in combinations(followed.values(), 2)
    )


def _nodes(followed: Mapping[str, Followed], book: Book) -> tuple[NodeFigure, ...]:
    initials = initials_among([one.at.title for one in followed.values()])
    return tuple(
        _node(one, book, initials=each)
        for one, each in zip(followed.values(), initials, strict=True)
    )


def _node(one: Followed, book: Book, *, initials: str) -> NodeFigure:
    info, peers = one.info, one.peers
    world_ms = info.world_ms - info.now_ms + one.seen_ms if info else 0
    engine = f"{info.engine.name} {info.engine.version}" if info else ""
    return NodeFigure(
        org=one.at.org,
        title=one.at.title,
        initials=initials,
        did=one.at.did,
        url=one.at.url,
        health=one.health,
        since_ms=one.since_ms,
        seen_ms=one.seen_ms,
        why=one.why,
        busy=_busy(one, book),
        version=info.version if info else "",
        engine=engine,
        generation=info.generation if info else 0,
        started_ms=info.started_ms if info else 0,
        world_ms=world_ms,
        blobs=peers.blobs if peers else 0,
        blob_bytes=peers.blob_bytes if peers else 0,
        journal_sequence=_cursor(one)[0],
        journal_hash=_cursor(one)[1],
        links=peers.links if peers and one.health == "up" else (),
    )


def _cursor(one: Followed) -> tuple[int, str]:
    """Return the end of the journal as the stream or the last look knows it, the later of them."""
    ends = [(cursor.sequence, cursor.hash) for cursor in (one.cursor,) if cursor is not None]
    if one.peers is not None:
        ends.append((one.peers.journal.sequence, one.peers.journal.hash))
    return max(ends, default=(0, ""))


def _busy(one: Followed, book: Book) -> str:
    if one.health != "up":
        return ""
    running = book.running(one.at.org)
    if running:
        return "runs a task" if running == 1 else f"runs {running} tasks"
    return ""


def _link(a: Followed, b: Followed, *, cut: int | None) -> LinkFigure:
    there, back = _told_link(a, b), _told_link(b, a)
    state: LinkState = "cut" if cut is not None else "lost"
    if cut is None and there is not None and back is not None:
        state = "up"
    said = there or back
    reporter, other = (a, b) if there is not None or back is None else (b, a)
    looks = _seen(reporter, other.at.did)
    return LinkFigure(
        a=a.at.org,
        b=b.at.org,
        state=state,
        since_ms=_since(a, b, said, state=state, cut=cut),
        round_trip_us=said.round_trip_us if said is not None and state == "up" else None,
        sent_bytes=said.sent_bytes if said else 0,
        received_bytes=said.received_bytes if said else 0,
        bytes_per_s=_rate(looks) if state == "up" else 0,
        recent=tuple(link.round_trip_us for _, link in looks),
        lost_permille=max((link.lost_permille for link in (there, back) if link), default=0)
        if state == "up"
        else 0,
        amiss=next((link.amiss for link in (there, back) if link and link.amiss), None)
        if state == "up"
        else None,
    )


def _told_link(one: Followed, other: Followed) -> PeerLink | None:
    """Return the link to `other` as `one` reports it now; None if it does not, or is silent."""
    if one.health != "up" or not one.looks:
        return None
    _, links = one.looks[-1]
    return links.get(other.at.did)


def _seen(one: Followed, did: Did) -> list[tuple[int, PeerLink]]:
    """Return the looks at which a node reported its link to another one, oldest first."""
    return [(at, link) for at, links in one.looks if (link := links.get(did)) is not None]


def _since(
    a: Followed, b: Followed, said: PeerLink | None, *, state: LinkState, cut: int | None
) -> int:
    if state == "cut":
        return cut or 0
    if state == "up" and said is not None:
        return said.since_ms
    down = [one.since_ms for one in (a, b) if one.health != "up"]
    return max(down, default=max(_last_seen(a, b), _last_seen(b, a)))


def _last_seen(one: Followed, other: Followed) -> int:
    """Return when `one` last reported its link to `other`; 0 if never lately."""
    return max((at for at, _ in _seen(one, other.at.did)), default=0)


def _rate(looks: list[tuple[int, PeerLink]]) -> int:
    """Return bytes a second, both ways, over the last looks at one connection."""
    if len(looks) < 2:
        return 0
    last_ms, last = looks[-1]
    recent = [
        (at, link)
        for at, link in looks
        if last_ms - at <= RATE_MS and link.since_ms == last.since_ms
    ]
    first_ms, first = recent[0]
    moved = last.sent_bytes + last.received_bytes - first.sent_bytes - first.received_bytes
    return moved * 1000 // (last_ms - first_ms) if last_ms > first_ms and moved > 0 else 0


def compute_figures(*, book: Book, titles: Mapping[str, str], now_ms: int) -> ComputeFigures:
    """Return modules and tasks of the whole network, newest first."""
    runs: dict[str, int] = {}
    for task in book.tasks.values():
        if task.receipt_hash:
            runs[task.wasm_hash] = runs.get(task.wasm_hash, 0) + 1
    modules = [
        ModuleFigure(
            wasm_hash=module.wasm_hash,
            name=module.name,
            size_bytes=module.size_bytes,
            owner=module.owner,
            deployed_ms=module.deployed_ms,
            holders=tuple(titles.get(org, org) for org in module.holders),
            runs=runs.get(module.wasm_hash, 0),
        )
        for module in book.modules.values()
        if module.home
    ]
    tasks = [_task(task, book, titles) for task in book.tasks.values() if task.accepted_ms]
    return ComputeFigures(
        now_ms=now_ms,
        modules=tuple(sorted(modules, key=lambda one: (-one.deployed_ms, one.wasm_hash))),
        tasks=tuple(sorted(tasks, key=lambda one: (-one.accepted_ms, one.task_id))),
        tasks_total=book.tasks_total,
    )


def _task(task: TaskFacts, book: Book, titles: Mapping[str, str]) -> TaskFigure:
    module = book.modules.get(task.wasm_hash)
    fetched = book.fetched_from(task)
    return TaskFigure(
        task_id=task.task_id,
        member_id=task.member_id,
        home=titles.get(task.home, task.home),
        wasm_hash=task.wasm_hash,
        module=module.name if module else "",
        executor=titles.get(task.executor, task.executor),
        state=task.state,
        accepted_ms=task.accepted_ms,
        ended_ms=task.ended_ms,
        outcome=task.outcome,
        fuel_used=task.fuel_used,
        fetched_from=titles.get(fetched, fetched),
        code=task.code,
        receipt_hash=task.receipt_hash,
    )
