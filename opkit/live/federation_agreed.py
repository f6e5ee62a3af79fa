"""Agreements as their holders tell of them: whose copies are the same, and which cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from opkit.live.examined import Examined
from opkit.live.federation_told import NodeTold, Places, Tells
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.terms import agreement_id, keepers
from opkit.views.federation_figures import AgreementFigure, Copy, CopyFigure
from opkit.wire.agreements import IN_FORCE, AgreementView
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms


def fold_agreements(
    tells: Tells, places: Places, genesis: GenesisView
) -> tuple[tuple[AgreementFigure, ...], list[str]]:
    """Return the agreements, newest first, and what cannot be if all who hold them are honest."""
    names = dict.fromkeys(each.agreement for told in tells.values() for each in told.agreements)
    found: list[AgreementFigure] = []
    wrong: list[str] = []
    for name in names:
        whole = _whole(name, tells)
        terms = whole.terms if whole is not None else _terms(name, tells)
        if terms is None:
            wrong += [
                f"{places.title(org)} tells of an agreement by terms that are not its own"
                for org in _tellers(name, tells)
            ]
            continue
        figure = _agreement(name, terms, whole, tells, genesis)
        found.append(figure)
        wrong += _wrong(figure, tells, places)
    return tuple(sorted(found, key=_age)), wrong


def _age(each: AgreementFigure) -> tuple[int, int, str]:
    signed = max((one.signed_ms for one in each.signed), default=0)
    return -signed, -each.terms.starts_ms, each.agreement


def _tellers(name: RecordId, tells: Tells) -> list[str]:
    return [org for org, told in tells.items() if _view(name, told) is not None]


def _view(name: RecordId, told: NodeTold) -> AgreementView | None:
    return next((each for each in told.agreements if each.agreement == name), None)


def _whole(name: RecordId, tells: Tells) -> Examined | None:
    """Return the file with most signatures of those that hold; of equal ones that most have."""
    files = [told.files[name] for told in tells.values() if name in told.files]
    good = [each for each in files if each.ok and each.agreement == name]
    often = Counter(each.hash for each in good)
    return max(good, key=lambda each: (len(each.signed), often[each.hash], each.hash), default=None)


def _terms(name: RecordId, tells: Tells) -> Terms | None:
    """Return the terms as somebody tells them, if they are those that the agreement is named by."""
    views = (_view(name, told) for told in tells.values())
    return next((each.terms for each in views if each is not None and _is_named(each)), None)


def _is_named(view: AgreementView) -> bool:
    try:
        return agreement_id(view.terms) == view.agreement
    except ProofError:
        return False


def _agreement(
    name: RecordId, terms: Terms, whole: Examined | None, tells: Tells, genesis: GenesisView
) -> AgreementFigure:
    shall = _holders(terms, genesis)
    orgs = [org for org in tells if org in shall or _view(name, tells[org]) is not None]
    copies = tuple(_copy(org, name, tells[org], whole) for org in orgs)
    # As whoever has most tells it; one that is behind may not know what has become of it.
    best = next((one.org for one in copies if one.copy == "same"), None)
    view = _view(name, tells[best]) if best is not None else None
    others = (_view(name, told) for told in tells.values())
    said = view or next((each for each in others if each is not None), None)
    assert said is not None, "somebody tells of it"
    return AgreementFigure(
        agreement=name,
        terms=terms,
        state=said.state,
        until_ms=said.until_ms or 0,
        superseded_by=said.superseded_by or "",
        signed=whole.signed if whole is not None else (),
        copies=copies,
    )


def _holders(terms: Terms, genesis: GenesisView) -> frozenset[str]:
    """Return the organisations whose nodes shall have it."""
    try:
        dids = keepers(terms, genesis)
    except ProofError:
        return frozenset()  # It names somebody who is not in the network: its copies say so.
    return frozenset(node.org for did in dids if (node := genesis.node(did)) is not None)


def _copy(org: str, name: RecordId, told: NodeTold, whole: Examined | None) -> CopyFigure:
    view, file = _view(name, told), told.files.get(name)
    if told.trouble:
        return CopyFigure(org=org, copy="silent", hash=file.hash if file else "", why=told.trouble)
    if view is None or file is None:
        return CopyFigure(org=org, copy="none")
    kind, why = _kind(file, whole)
    return CopyFigure(
        org=org,
        copy=kind,
        hash=file.hash,
        state=view.state,
        signatures=len(file.signed),
        why=why,
    )


def _kind(file: Examined, whole: Examined | None) -> tuple[Copy, str]:
    if not file.ok or whole is None:
        return "other", file.why
    if file.hash == whole.hash:
        return "same", ""
    if file.given == whole.given:
        return "other", "another signature of the same party"
    return "behind", f"{len(file.signed)} of {len(whole.signed)} signatures"


def _wrong(each: AgreementFigure, tells: Tells, places: Places) -> Iterable[str]:
    title = f"“{each.terms.title}”"
    for copy in each.copies:
        who, told = places.title(copy.org), tells[copy.org]
        if copy.copy == "other":
            yield f"{who} keeps other bytes of {title}: {copy.why}"
        if each.agreement in told.unlike:
            yield f"{who} tells another hash of {title} than its own file has"
        file = told.files.get(each.agreement)
        if copy.state in IN_FORCE and file is not None and file.ok and file.unsigned:
            lacking = _names(file.unsigned, places)
            yield f"{who} takes {title} to be {copy.state}, and {lacking} did not sign it"


def _names(coops: Sequence[str], places: Places) -> str:
    return " and ".join(places.title(coop) for coop in coops)
