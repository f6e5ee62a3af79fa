"""What nodes journalled of governance, as sentences with a tone.

How somebody voted is for the page of governance; among all that happens it is only said that they
did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.telling import Body, Names, Told, of


def _drafted(body: Body, org: str, names: Names) -> Told:
    return Told(f"{_member(body, org, names)} drafted {_title(body)}", State.WAITING)


def _opened(body: Body, org: str, names: Names) -> Told:
    electors = counted(int(body.get("electors", 0)), "member")
    who = _member(body, org, names)
    return Told(f"{who} put {_title(body)} to the vote of {electors}", State.RUNNING)


def _voted(body: Body, org: str, names: Names) -> Told:
    return Told(f"{_member(body, org, names)} voted on {_id(body)}", State.DONE)


def _delegated(body: Body, org: str, names: Names) -> Told:
    who, to = _member(body, org, names), body.get("to")
    if to is None:
        return Told(f"{who} lets nobody vote for them any more", State.DONE)
    return Told(f"{who} lets {names.member(to, at=org)} vote for them", State.DONE)


def _closed(body: Body, org: str, names: Names) -> Told:
    what, outcome = _id(body), str(body.get("outcome", ""))
    said = body.get("tally")
    tally: Mapping[str, object] = said if isinstance(said, Mapping) else {}
    counts = f"{tally.get('yes', 0)} yes, {tally.get('no', 0)} no"
    members = f"{of(names.org(org))} members"
    if outcome == "accepted":
        return Told(f"{members} accepted {what}: {counts}", State.DONE)
    if outcome == "rejected":
        return Told(f"{members} rejected {what}: {counts}", State.REFUSED)
    if outcome == "no-quorum":
        cast, whole = tally.get("cast", 0), tally.get("electorate", 0)
        sentence = f"{members} did not decide {what}: {cast} of {whole} took part"
        return Told(sentence, State.REFUSED)
    return Told(f"The vote of {members} on {what} is over", State.WAITING)


def _cancelled(body: Body, org: str, names: Names) -> Told:
    return Told(f"{_id(body)} at {names.org(org)} was taken back by its proposer", State.WAITING)


def _executed(body: Body, org: str, names: Names) -> Told:
    return Told(f"{names.org(org)} did what was decided on {_id(body)}, once", State.DONE)


def _voided(body: Body, org: str, names: Names) -> Told:
    who = of(_member(body, org, names))
    sentence = f"{of(names.org(org))} decision on {_id(body)} is void: {who} vote is missing in it"
    return Told(sentence, State.FAILED)


def _expired(body: Body, org: str, names: Names) -> Told:
    sentence = f"{of(names.org(org))} decision on {_id(body)} expired: nobody had it done in time"
    return Told(sentence, State.WAITING)


def _lodged(body: Body, org: str, names: Names) -> Told:
    coop = of(names.org(str(body.get("coop", "")) or "another coop"))
    sentence = (
        f"{names.org(org)} witnessed {of(_member(body, org, names))} vote for {coop} assembly"
    )
    return Told(sentence, State.DONE)


def _member(body: Body, org: str, names: Names) -> str:
    return names.member(body.get("member_id"), at=org)


def _title(body: Body) -> str:
    """Return a proposal's title in quotes: its proposer chose it, and it may be any words."""
    title = str(body.get("title", ""))
    return f"“{title}”" if title else "a proposal"


def _id(body: Body) -> str:
    name = str(body.get("proposal_id", ""))
    return f"“{name}”" if name else "a proposal"


DECIDED: Final[dict[str, Callable[[Body, str, Names], Told]]] = {
    "governance.proposal-drafted": _drafted,
    "governance.proposal-opened": _opened,
    "governance.vote-cast": _voted,
    "governance.delegation-set": _delegated,
    "governance.proposal-closed": _closed,
    "governance.proposal-cancelled": _cancelled,
    "governance.effect-executed": _executed,
    "governance.decision-voided": _voided,
    "governance.decision-expired": _expired,
    "governance.vote-lodged": _lodged,
}
"""What tells each event of governance."""
