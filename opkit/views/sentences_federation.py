"""What nodes journalled of the federation, of agreements and of clearing, as sentences.

A lie that was caught is told as refused; that somebody signed what contradicts itself is the only
failure among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.money import amount_text
from opkit.views.telling import Body, Names, Told, all_of


def _registered(body: Body, org: str, names: Names) -> Told:
    title = str(body.get("title", "")) or names.org(str(body.get("coop", "")))
    home = names.node(body.get("did"))
    return Told(f"{names.org(org)} heard {home} register {title or 'a coop'}", State.DONE)


def _vouched(body: Body, org: str, names: Names) -> Told:
    by, whom = names.node(body.get("by")), names.node(body.get("did"))
    if body.get("expel"):
        return Told(f"{names.org(org)} heard {by} say that {whom} shall be expelled", State.RUNNING)
    return Told(f"{names.org(org)} heard {by} vouch for {whom}", State.DONE)


def _joined(body: Body, org: str, names: Names) -> Told:
    whom = names.node(body.get("did"))
    return Told(f"{names.org(org)} takes {whom} as a member of the federation", State.DONE)


def _expelled(body: Body, org: str, names: Names) -> Told:
    whom = names.node(body.get("did"))
    sentence = f"{names.org(org)} takes {whom} as a member of the federation no more"
    return Told(sentence, State.REFUSED)


def _attested(body: Body, org: str, names: Names) -> Told:
    issuer, subject = (names.org(str(body.get(each, ""))) for each in ("issuer", "subject"))
    what = str(body.get("kind", "")).replace("-", " ")
    sentence = f"{names.org(org)} heard {issuer} attest “{what}” of {subject}"
    return Told(sentence, State.DONE)


def _revoked(body: Body, org: str, names: Names) -> Told:
    issuer, subject = names.node(body.get("issuer")), names.org(str(body.get("subject", "")))
    what = str(body.get("kind", "")).replace("-", " ")
    sentence = f"{names.org(org)} heard {issuer} take “{what}” of {subject} back"
    return Told(sentence, State.WAITING)


def _opened(body: Body, org: str, names: Names) -> Told:
    what = _object(body)
    if body.get("peer") is None:
        return Told(f"{names.org(org)} begins to share {what}", State.DONE)
    return Told(f"{names.org(org)} got {what} from {names.node(body['peer'])}", State.DONE)


def _merged(body: Body, org: str, names: Names) -> Told:
    many, what = counted(int(body.get("operations", 0)), "change"), _object(body)
    if body.get("peer") is None:
        return Told(f"{names.org(org)} signed {many} of {what}", State.DONE)
    peer = names.node(body["peer"])
    return Told(f"{names.org(org)} got {many} of {what} from {peer}", State.DONE)


def _forked(body: Body, org: str, names: Names) -> Told:
    who, what = names.node(body.get("did")), _object(body)
    sentence = f"{names.org(org)} has proof that {who} signed two histories of {what}"
    return Told(sentence, State.FAILED, adversarial=True)


def _lied(body: Body, org: str, names: Names) -> Told:
    who, what = names.node(body.get("peer")), _object(body)
    sentence = f"{names.org(org)} believed nothing that {who} gave of {what}, and ended the link"
    return Told(sentence, State.REFUSED, adversarial=True)


def _object(body: Body) -> str:
    kind, _, name = str(body.get("object_id", "")).partition("/")
    return f"an {kind}" if kind == "agreement" and name else f"the {kind or 'object'}"


def _proposed(body: Body, org: str, names: Names) -> Told:
    parties = all_of([names.org(str(each)) for each in body.get("parties", ())])
    between = f", between {parties}" if parties else ""
    return Told(f"{names.org(org)} keeps the terms of {_title(body)}{between}", State.RUNNING)


def _signed(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or "a coop")
    did = "gave notice of" if body.get("action") == "end" else "signed"
    sentence = f"{names.org(org)} has it that {coop} {did} {_title(body)}, as it had decided"
    return Told(sentence, State.DONE if did == "signed" else State.WAITING)


_TURNED: Final[Mapping[str, tuple[str, State]]] = {
    "signed": ("is signed by all and begins later", State.DONE),
    "active": ("is active: all have signed", State.DONE),
    "superseded": ("is superseded by another one that all signed", State.WAITING),
    "ending": ("ends: a party gave notice", State.WAITING),
    "ended": ("has ended", State.WAITING),
    "lapsed": ("has lapsed: its term is over", State.WAITING),
}


def _turned(body: Body, org: str, names: Names) -> Told:
    words, tone = _TURNED.get(str(body.get("after", "")), ("stands otherwise now", State.WAITING))
    return Told(f"{_title(body)} {words}, says {names.org(org)}", tone)


def _offered(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    return Told(f"{coop} proposed {_exchange(body, names)}", State.RUNNING)


def _accepted(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    proposer = names.org(str(body.get("proposer", "")) or "another coop")
    what = _exchange(body, names)
    return Told(f"{coop} accepted {what} that {proposer} proposed", State.RUNNING)


def _committed(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    return Told(f"{coop} posted its half of {_exchange(body, names)}", State.DONE)


def _aborted(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    why = str(body.get("why", "")).replace("-", " ")
    because = f": {why}" if why else ""
    tone = State.WAITING if why in ("", "lapsed") else State.REFUSED
    return Told(f"Nothing came of {_id(body)} at {coop}{because}", tone)


def _ruled(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    arbiter = names.org(str(body.get("arbiter", "")) or "the arbiter")
    ending = "is posted" if body.get("ending") == "committed" else "came to nothing"
    right = ", and put its ledger right" if body.get("correction") else ""
    sentence = f"{coop} follows {arbiter}, who ruled that {_id(body)} {ending}{right}"
    return Told(sentence, State.DONE)


def _stuck(body: Body, org: str, names: Names) -> Told:
    coop = names.org(str(body.get("coop", "")) or org)
    why = str(body.get("why", "")).replace("-", " ")
    because = f": {why}" if why else ""
    return Told(f"{coop} cannot post {_id(body)} for now{because}", State.RUNNING)


def _contradicted(body: Body, org: str, names: Names) -> Told:
    by = names.org(str(body.get("by", "")) or "somebody")
    sentence = f"{names.org(org)} has proof that {by} signed two ends of {_id(body)}"
    return Told(sentence, State.FAILED, adversarial=True)


def _ruling_given(body: Body, org: str, names: Names) -> Told:
    ending = "is posted" if body.get("ending") == "committed" else "comes to nothing"
    return Told(f"{names.org(org)} ruled that {_id(body)} of others {ending}", State.DONE)


def _exchange(body: Body, names: Names) -> str:
    """Return what an exchange is: `an exchange: 40 cc from A to B`, `the settlement of …`."""
    legs = _legs(body)
    kind = str(body.get("kind", ""))
    if kind == "netting":
        return f"the netting {_id(body)} of {counted(len(legs), 'debt')} in a circle"
    if len(legs) != 1:
        return f"the exchange {_id(body)}"
    leg, unit = legs[0], str(body.get("unit", ""))
    payer, payee = (names.org(str(leg.get(each, ""))) for each in ("payer", "payee"))
    amount = amount_text(int(leg.get("amount", 0)), unit)
    flow = f"{amount} from {payer} to {payee}"
    if kind == "settlement":
        return f"the settlement of {body.get('period') or 'a period'}: {flow}"
    return f"an exchange: {flow}"


def _legs(body: Body) -> Sequence[Mapping[str, Any]]:
    return [each for each in body.get("legs", ()) if isinstance(each, Mapping)]


def _title(body: Body) -> str:
    """Return an agreement's title in quotes: whoever proposed it chose it."""
    title = str(body.get("title", ""))
    return f"“{title}”" if title else "an agreement"


def _id(body: Body) -> str:
    name = str(body.get("exchange_id", ""))
    return f"“{name}”" if name else "an exchange"


FEDERATED: Final[dict[str, Callable[[Body, str, Names], Told]]] = {
    "federation.registered": _registered,
    "federation.vouched": _vouched,
    "federation.joined": _joined,
    "federation.expelled": _expelled,
    "federation.attested": _attested,
    "federation.revoked": _revoked,
    "objects.opened": _opened,
    "objects.merged": _merged,
    "objects.author-forked": _forked,
    "objects.peer-lied": _lied,
    "agreements.proposed": _proposed,
    "agreements.signed": _signed,
    "agreements.turned": _turned,
    "clearing.offered": _offered,
    "clearing.accepted": _accepted,
    "clearing.committed": _committed,
    "clearing.aborted": _aborted,
    "clearing.ruled": _ruled,
    "clearing.stuck": _stuck,
    "clearing.contradicted": _contradicted,
    "clearing.ruling-given": _ruling_given,
}
"""What tells each event of the federation, of what nodes share, of agreements and of clearing."""
