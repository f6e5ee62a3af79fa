"""Who may say what in the federation. Pure: time and verdicts on signatures are arguments.

Source: ADR 0044.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from opkit.proof.checks import ProofError
from opkit.proof.federation import home_coop, read_attestation, read_statement
from opkit.proof.genesis import GenesisView
from opkit.wire import federation as wire
from opkit.wire.base import SLUG_PATTERN, Did, MemberId, Slug, TimeMs
from opkit.wire.federation import Attestation
from opkit.wire.operations import Act, AdmitAct, ExpelAct, SetAct

COOP, ATTESTATION = "coop", "attestation"
"""How keys begin: `coop/<node>`, and `attestation/<node>/<subject>/<type>`."""

_SLUG = re.compile(SLUG_PATTERN)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the federation.

    Attributes:
        attestations_max: what one coop attests at once.
    """

    attestations_max: int = 1_000


def coop_key(node: Did) -> str:
    """Return under which key a node speaks of its coop."""
    return f"{COOP}/{node}"


def attestation_key(node: Did, *, subject: Slug, type_: Slug) -> str:
    """Return under which key a node attests something."""
    return f"{ATTESTATION}/{node}/{subject}/{type_}"


@dataclass(frozen=True, slots=True)
class Permitted:
    """What may be said in the federation of one network: by author and act alone."""

    genesis: GenesisView

    def __call__(self, did: Did, act: Act) -> bool:
        """Return whether a node may say this: of authors anything, else under its own keys.

        What it says there has to verify, so nobody can fill the map with what means nothing.
        """
        if isinstance(act, AdmitAct | ExpelAct):
            return True
        if not isinstance(act, SetAct):
            return False
        what, _, rest = act.key.partition("/")
        try:
            if what == COOP:
                return rest == did and (act.value is None or self._is_of_node(act.value, did))
            return what == ATTESTATION and self._is_attestation(did, rest, act.value)
        except ProofError:
            return False

    def _is_of_node(self, token: str, did: Did) -> bool:
        return read_statement(token, self.genesis).did == did

    def _is_attestation(self, did: Did, rest: str, token: str | None) -> bool:
        issuer, _, about = rest.partition("/")
        subject, _, type_ = about.partition("/")
        if issuer != did or not (_SLUG.fullmatch(subject) and _SLUG.fullmatch(type_)):
            return False
        if token is None:
            return True
        said = read_attestation(token, self.genesis)
        return (said.did, said.subject, said.type) == (did, subject, type_)


def judge_speaker(
    genesis: GenesisView, own: Did, *, member_id: MemberId, standing: bool
) -> Slug | None:
    """Return the coop for which a caller speaks at a node; None at a node of no coop.

    Refuses, in this order:
        NotCoopsHome: this node is the home of another coop than the caller's.
        NotFederated: it is no member of the federation.
    """
    coop = home_coop(genesis, own)
    if coop is not None and member_id.partition("/")[0] != coop:
        raise wire.NotCoopsHome(coop=coop)
    if not standing:
        raise wire.NotFederated(did=own)
    return coop


def judge_coop(genesis: GenesisView, own: Did, *, home_of: Slug | None, asked: Slug | None) -> Slug:
    """Return the coop that a node registers.

    Refuses, in this order:
        NotCoopsHome: it is no coop's home, and no coop was named.
        CoopNotYours: the coop has another home node, or this node another coop.
    """
    coop = asked or home_of
    if coop is None:
        raise wire.NotCoopsHome(coop="")
    charter = genesis.charter(coop)
    home = own if charter is None else charter.home_node
    if home != own or (home_of is not None and coop != home_of):
        raise wire.CoopNotYours(coop=coop, home=home)
    return coop


def judge_vouch(
    ask: wire.VouchFor,
    *,
    authors: frozenset[Did],
    expelled: frozenset[Did],
    said_before: bool,
) -> None:
    """Return if a member's voice about another says something new.

    Refuses, in this order:
        NotAMember: somebody is to be expelled who is none.
        MemberAlready: somebody is to be admitted who is one, or never can be again.
        VouchRepeated: this member has said so.
    """
    if ask.expel:
        if ask.did not in authors:
            raise wire.NotAMember(subject=ask.did)
    elif ask.did in expelled:
        raise wire.MemberAlready(did=ask.did, why="it was expelled, for good")
    elif ask.did in authors:
        raise wire.MemberAlready(did=ask.did, why="it is a member")
    if said_before:
        raise wire.VouchRepeated(did=ask.did)


def judge_attestation(
    ask: wire.IssueAttestation,
    *,
    issuer: Slug,
    coops: frozenset[Slug],
    is_new: bool,
    attested: int,
    limits: Limits,
) -> None:
    """Return if a coop may attest this of another.

    Refuses, in this order:
        AttestationSelf: it is of itself.
        NotAMember: no member of the federation is that coop.
        AttestationsFull: it attests as much as it may.
    """
    if ask.subject == issuer:
        raise wire.AttestationSelf(subject=ask.subject)
    if ask.subject not in coops:
        raise wire.NotAMember(subject=ask.subject)
    if is_new and attested >= limits.attestations_max:
        raise wire.AttestationsFull(limit=limits.attestations_max)


def state_of(said: Attestation, world_ms: TimeMs) -> str:
    """Return how an attestation stands at a moment of world time."""
    if world_ms < said.valid_from_ms:
        return "early"
    return "valid" if world_ms < said.valid_until_ms else "over"
