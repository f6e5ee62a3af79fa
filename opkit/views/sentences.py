"""What nodes journalled and what was done to them on purpose, as sentences with a tone.

Sentences are plain text without a full stop; a task that a limit or a trap ended is no failure of
the network but a sandbox that held, so it is told as refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import brief_text, counted, round_trip_text, size_text
from opkit.views.deeds import deed_sentence
from opkit.views.outcomes import nobody_could
from opkit.views.sentences_decided import DECIDED
from opkit.views.sentences_federation import FEDERATED
from opkit.views.sentences_money import MONEY
from opkit.views.telling import Body, Names, Told, of

__all__ = ["Names", "Told", "deed_told", "event_told", "odd_told"]


def event_told(type_: str, body: Body, *, org: str, names: Names) -> Told:
    """Return one journalled event as a sentence.

    Args:
        type_: the event's stable name; an unknown one is told by it.
        body: the event as it was journalled.
        org: whose node journalled it.
        names: what ids mean.
    """
    tell = _TELLERS.get(type_)
    if tell is None:
        what = type_.replace(".", ": ").replace("-", " ")
        return Told(f"{names.org(org)} notes {what}", State.WAITING)
    told = tell(body, org, names)
    if told.sentence.startswith("the operator"):
        return told._replace(sentence=f"T{told.sentence[1:]}")
    return told


def odd_told(type_: str, *, org: str, names: Names) -> Told:
    """Return that a node journalled, or says so, what has not the form of an event of its type."""
    what = type_.replace(".", ": ").replace("-", " ")
    return Told(f"{names.org(org)} notes {what}, in no form that this has", State.REFUSED)


def deed_told(deed: Body, *, titles: Mapping[str, str]) -> Told:
    """Return one disturbance as a sentence: what was done on purpose, and is undone later.

    Args:
        deed: the line as the supervisor journalled it.
        titles: organisations' names by their ids.
    """
    what = str(deed.get("what", "")).replace("_", "-")
    mended = what in {"restart", "heal", "stop-hostile", "pass-time", "save"}
    return Told(
        deed_sentence(deed, titles=titles), State.DONE if mended else State.RUNNING, not mended
    )


def _node_started(_: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} came up", State.DONE)


def _generation_opened(_: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} goes on as another history", State.WAITING)


def _checkpointed(_: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} signs for its journal and lets old entries go", State.DONE)


def _peer_connected(body: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} is linked to {_peer(body, names)}", State.DONE)


def _witnessed(body: Body, org: str, names: Names) -> Told:
    whose = f"{of(names.node(body.get('node')))} journal"
    size = int(body.get("size", 0))
    return Told(f"{names.org(org)} has witnessed {whose} up to entry {size:,}", State.DONE)


def _fork_proven(body: Body, org: str, names: Names) -> Told:
    who = names.node(body.get("node"))
    sentence = f"{names.org(org)} has proof that {who} keeps two histories"
    return Told(sentence, State.FAILED, adversarial=True)


def _growth_unproven(body: Body, org: str, names: Names) -> Told:
    who, size = names.node(body.get("node")), int(body.get("size", 0))
    sentence = f"{names.org(org)} was not shown that {of(who)} journal grew from entry {size:,}"
    return Told(sentence, State.RUNNING)


def _peer_lost(body: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} lost its link to {_peer(body, names)}", State.WAITING)


def _link_worsened(body: Body, org: str, names: Names) -> Told:
    link = f"{of(names.org(org))} link to {_peer(body, names)}"
    if body.get("amiss") == "loss":
        lost = int(body.get("lost_permille", 0)) / 10
        return Told(f"{link} loses {lost:.0f} % of what is sent", State.RUNNING)
    trip = round_trip_text(int(body.get("round_trip_us", 0)))
    best = round_trip_text(int(body.get("best_round_trip_us", 0)))
    return Told(f"{link} has become slow: {trip} a round trip, {best} at its best", State.RUNNING)


def _link_recovered(body: Body, org: str, names: Names) -> Told:
    seconds = int(body.get("bad_ms", 0)) // 1_000
    link = f"{of(names.org(org))} link to {_peer(body, names)}"
    return Told(f"{link} is good again after {counted(seconds, 'second')}", State.DONE)


def _provider_lied(body: Body, org: str, names: Names) -> Told:
    who = names.org(org)
    sentence = f"{who} asked {_peer(body, names)} for bytes, got others, and refused them"
    return Told(sentence, State.REFUSED, True)


def _clock_moved(body: Body, org: str, names: Names) -> Told:
    days = int(body.get("offset_ms", 0)) / 86_400_000
    ahead = "one day" if days == 1 else f"{days:.4g} days"
    return Told(f"World time at {names.org(org)} runs {ahead} ahead", State.DONE)


def _module_deployed(body: Body, org: str, names: Names) -> Told:
    owner = names.member(body.get("owner"), at=org)
    module = names.module(body.get("wasm_hash"))
    return Told(f"{owner} put {module} on {of(names.org(org))} node{_size(body)}", State.DONE)


def _module_fetched(body: Body, org: str, names: Names) -> Told:
    module = names.module(body.get("wasm_hash"))
    peer = _peer(body, names)
    return Told(f"{names.org(org)} fetched {module} from {peer} and checked it{_size(body)}", _DONE)


def _task_accepted(body: Body, org: str, names: Names) -> Told:
    member = names.member(body.get("member_id"), at=org)
    module = names.module(body.get("wasm_hash"))
    return Told(f"{member} asked {names.org(org)} to have {module} run", State.RUNNING)


def _task_placed(body: Body, org: str, names: Names) -> Told:
    executor = names.node(body.get("executor"))
    chosen = "keeps the task" if executor == names.org(org) else f"gave the task to {executor}"
    return Told(f"{names.org(org)} {chosen}", State.RUNNING)


def _task_started(_: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} runs the task", State.RUNNING)


def _task_finished(body: Body, org: str, names: Names) -> Told:
    who, outcome = names.org(org), str(body.get("outcome", ""))
    if outcome == "ok":
        fuel = brief_text(int(body.get("fuel_used", 0)))
        return Told(f"{who} ran the task and signed a receipt, {fuel} fuel", State.DONE)
    if outcome == "cancelled":
        return Told(f"{who} ended the task as it was asked to, and signed a receipt", State.WAITING)
    why = _STOPPED.get(outcome, outcome or "a reason that its receipt gives")
    return Told(f"{who} stopped the task at {why}, and signed a receipt", State.REFUSED)


def _task_ended(body: Body, org: str, names: Names) -> Told:
    who, state, code = names.org(org), str(body.get("state", "")), str(body.get("code", ""))
    because = f": {code.replace('-', ' ')}" if code else ""
    if state == "done":
        return Told(f"{who} has the result and its receipt", State.DONE)
    if state == "cancelled":
        return Told(f"{who} has word that the task was cancelled{because}", State.WAITING)
    if state == "refused" and not nobody_could(code):
        return Told(f"{who} has word that the task was refused{because}", State.REFUSED)
    if not code:
        return Told(f"{who} has the receipt of a task that was stopped", State.REFUSED)
    return Told(f"{who} has no result of its task{because}", State.FAILED)


def _member_added(body: Body, org: str, names: Names) -> Told:
    return Told(f"{names.member(body.get('member_id'), at=org)} joined {names.org(org)}", _DONE)


def _member_revoked(body: Body, org: str, names: Names) -> Told:
    member = names.member(body.get("member_id"), at=org)
    return Told(f"{names.org(org)} revoked {of(member)} membership", State.DONE)


def _token_issued(body: Body, org: str, names: Names) -> Told:
    member = names.member(body.get("member_id"), at=org)
    return Told(f"{names.org(org)} gave {member} a token", State.WAITING)


def _record_published(body: Body, org: str, names: Names) -> Told:
    what = f"the {body.get('namespace', '')} record “{body.get('name', '')}”"
    return Told(f"{names.org(org)} published {what} for its owner", State.DONE)


def _owner_equivocated(body: Body, org: str, names: Names) -> Told:
    what = f"two {body.get('namespace', '')} records “{body.get('name', '')}” of one number"
    return Told(f"{names.org(org)} has proof that one owner signed {what}", State.FAILED)


def _peer_banned(body: Body, org: str, names: Names) -> Told:
    return Told(
        f"{names.org(org)} takes nothing of {_peer(body, names)} for a while", State.REFUSED
    )


def _peer_lied(body: Body, org: str, names: Names) -> Told:
    sentence = f"{names.org(org)} caught {_peer(body, names)} lying about its records"
    return Told(sentence, State.REFUSED)


def _records_repaired(body: Body, org: str, names: Names) -> Told:
    kept, pushed = int(body.get("kept", 0)), int(body.get("pushed", 0))
    got = [f"got {counted(kept, 'missing record')}"] if kept else []
    gave = [f"gave {pushed:,}" if got else f"gave {counted(pushed, 'record')}"] if pushed else []
    what = " and ".join(got + gave) or "found nothing to give"
    return Told(f"{names.org(org)} {what}, comparing with {_peer(body, names)}", State.DONE)


def _events_left_out(body: Body, org: str, names: Names) -> Told:
    many = sum(int(one.get("count", 0)) for one in body.get("counts", ()))
    left_out = counted(many, "event")
    return Told(f"{names.org(org)} left {left_out} out of its journal: too many", State.WAITING)


def _name_held(body: Body, org: str, names: Names) -> Told:
    member, name = names.member(body.get("member_id"), at=org), body.get("name", "")
    return Told(f"{names.org(org)} knows “{name}” as a name of {member}", State.DONE)


def _name_withdrawn(body: Body, org: str, names: Names) -> Told:
    member, name = names.member(body.get("member_id"), at=org), body.get("name", "")
    return Told(f"{names.org(org)} has forgotten “{name}”: {member} gave it back", State.DONE)


def _name_lapsed(body: Body, org: str, names: Names) -> Told:
    sentence = f"{names.org(org)} has forgotten “{body.get('name', '')}”: its time is over"
    return Told(sentence, State.WAITING)


def _home_equivocated(body: Body, org: str, names: Names) -> Told:
    home, name = names.node(body.get("home")), body.get("name", "")
    sentence = f"{names.org(org)} has proof that {home} gave “{name}” to two members at once"
    return Told(sentence, State.FAILED)


def _card_published(body: Body, org: str, names: Names) -> Told:
    whose = of(names.node(body.get("did")))
    return Told(f"{names.org(org)} published {whose} agent card", State.DONE)


def _card_revoked(body: Body, org: str, names: Names) -> Told:
    whose = of(names.node(body.get("did")))
    return Told(f"{names.org(org)} took {whose} agent card back", State.DONE)


def _grant_given(body: Body, org: str, names: Names) -> Told:
    member = names.member(body.get("member_id"), at=org)
    return Told(f"{member} lets {names.org(org)} ask for tasks in their name", State.DONE)


def _grant_revoked(body: Body, org: str, names: Names) -> Told:
    member = names.member(body.get("member_id"), at=org)
    return Told(f"{member} no longer lets {names.org(org)} ask for tasks in their name", _DONE)


def _home_unheard(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")))
    sentence = f"{names.org(org)} takes no token of {of(coop)} members: their home is silent"
    return Told(sentence, State.RUNNING)


def _home_heard(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")))
    sentence = f"{names.org(org)} takes tokens of {of(coop)} members again: their home speaks"
    return Told(sentence, State.DONE)


def _peer(body: Body, names: Names) -> str:
    org = body.get("org")
    return names.org(org) if isinstance(org, str) else names.node(body.get("peer"))


def _size(body: Body) -> str:
    return f", {size_text(int(body.get('size_bytes', 0)))}"


_DONE: Final = State.DONE

_STOPPED: Final[dict[str, str]] = {
    "fuel": "its limit of fuel",
    "time": "its limit of time",
    "memory": "its limit of memory",
    "stack": "its limit of stack",
    "trap": "an instruction that must not be run",
}

_TELLERS: Final[dict[str, Callable[[Body, str, Names], Told]]] = {
    "node.started": _node_started,
    "journal.generation-opened": _generation_opened,
    "journal.checkpointed": _checkpointed,
    "journal.witnessed": _witnessed,
    "journal.fork-proven": _fork_proven,
    "journal.growth-unproven": _growth_unproven,
    "network.peer-connected": _peer_connected,
    "network.peer-lost": _peer_lost,
    "network.link-worsened": _link_worsened,
    "network.link-recovered": _link_recovered,
    "network.provider-lied": _provider_lied,
    "network.clock-moved": _clock_moved,
    "compute.module-deployed": _module_deployed,
    "compute.module-fetched": _module_fetched,
    "compute.task-accepted": _task_accepted,
    "compute.task-placed": _task_placed,
    "compute.task-started": _task_started,
    "compute.task-finished": _task_finished,
    "compute.task-ended": _task_ended,
    "membership.member-added": _member_added,
    "membership.member-revoked": _member_revoked,
    "membership.token-issued": _token_issued,
    "overlay.record-published": _record_published,
    "overlay.owner-equivocated": _owner_equivocated,
    "overlay.peer-banned": _peer_banned,
    "overlay.peer-lied": _peer_lied,
    "overlay.records-repaired": _records_repaired,
    "overlay.events-left-out": _events_left_out,
    "names.held": _name_held,
    "names.withdrawn": _name_withdrawn,
    "names.lapsed": _name_lapsed,
    "names.equivocation": _home_equivocated,
    "cards.published": _card_published,
    "cards.revoked": _card_revoked,
    "grants.given": _grant_given,
    "grants.revoked": _grant_revoked,
    "standing.home-unheard": _home_unheard,
    "standing.home-heard": _home_heard,
    **MONEY,
    **DECIDED,
    **FEDERATED,
}
