"""For each marker of flow B one rule that, broken, must take it away; as `sabotage` has for flow A.

What is broken is broken where nodes and clients of this process look it up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nodeimpl.membership.rules
import nodeimpl.naming.registry
import nodeimpl.naming.rules
import nodeimpl.overlay.shelf
import nodeimpl.registering
import opkit.client.discovery
import opkit.client.session
from nodeimpl.gateway.admit import Admission, Admitted
from nodeimpl.naming.index import Index
from nodeimpl.overlay.shelf import Shelf
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.client.session import Session
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.record import Record, Verifier
from opkit.wire.base import b64decode
from opkit.wire.gateway import TokenMissing
from opkit.wire.membership import CHALLENGE, LOGIN_TYP, TOKEN, AskChallenge, AskToken, Login, Token
from opkit.wire.names import NameTaken
from opkit.wire.records import RecordBody, RecordNotOwners

Patch = Callable[[pytest.MonkeyPatch], None]


def _countersigns_with_a_strange_key(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks the home node gets the signature of somebody else."""
    honest, stranger = nodeimpl.naming.registry.make_record, Identity.generate()

    def make(_owner: Identity, **said: Any) -> str:
        return honest(stranger, **said)

    patch.setattr(nodeimpl.naming.registry, "make_record", make)


def _tells_nobody(patch: pytest.MonkeyPatch) -> None:
    """What a home node countersigned stays in its own tables."""
    patch.setattr(nodeimpl.registering._Shelved, "keep", lambda *_: None)


def _hides_where_nodes_are(patch: pytest.MonkeyPatch) -> None:
    """Services are found without the record in which their node says where it is."""
    honest = opkit.client.discovery.check_service

    def check(found: Any, **more: Any) -> Any:
        return honest(found.model_copy(update={"node_record": None}), **more)

    patch.setattr(opkit.client.discovery, "check_service", check)


def _computes_wrongly(patch: pytest.MonkeyPatch) -> None:
    """The worker's output is another."""
    honest = Sandbox.run

    async def run(self: Sandbox, job: Any, **more: Any) -> Any:
        result = await honest(self, job, **more)
        return replace(result, output=result.output.replace(b"1800", b"1801"))

    patch.setattr(Sandbox, "run", run)


def _needs_no_signature(patch: pytest.MonkeyPatch) -> None:
    """A record whose signature is missing is believed."""
    honest = Verifier.read

    def read(self: Verifier, token: str) -> Record:
        if not token.endswith("."):
            return honest(self, token)
        body = RecordBody.model_validate_json(b64decode(token.split(".")[1]))
        return Record(token, body, hashlib.sha256(token[:-1].encode()).digest())

    patch.setattr(Verifier, "read", read)


def _lets_anybody_write(patch: pytest.MonkeyPatch) -> None:
    """A name is anybody's to write who signs their own record."""
    honest = nodeimpl.overlay.shelf.judge

    def judge(record: Record, **more: Any) -> None:
        try:
            honest(record, **more)
        except RecordNotOwners:
            return

    patch.setattr(nodeimpl.overlay.shelf, "judge", judge)


def _lets_the_last_one_win(patch: pytest.MonkeyPatch) -> None:
    """A record replaces what stands, whatever its number is."""
    patch.setattr(Shelf, "_compare", lambda *_: None)


def _lets_strangers_in(patch: pytest.MonkeyPatch) -> None:
    """Who brings no token is let in."""
    honest = Admission.admit

    async def admit(self: Admission, *asked: Any, **more: Any) -> Admitted:
        try:
            return await honest(self, *asked, **more)
        except TokenMissing:
            return Admitted(None, self._membership.revision)

    patch.setattr(Admission, "admit", admit)


def _looks_at_no_clock(patch: pytest.MonkeyPatch) -> None:
    """A token is good for ever."""
    honest = nodeimpl.membership.rules.judge_token

    def judge(claims: Any, *, now_ms: int, **more: Any) -> None:
        honest(claims, now_ms=min(now_ms, claims.expires_at_ms - 1), **more)

    patch.setattr(nodeimpl.membership.rules, "judge_token", judge)


def _gives_to_anybody(patch: pytest.MonkeyPatch, *, but: Callable[[Any], bool]) -> None:
    """Have a home node ignore who holds a name."""
    honest = nodeimpl.naming.rules._judge_holder

    def judge(said: Any, standing: Any, **more: Any) -> None:
        try:
            honest(said, standing, **more)
        except NameTaken:
            if but(said):
                raise

    patch.setattr(nodeimpl.naming.rules, "_judge_holder", judge)


def _gives_a_held_name(patch: pytest.MonkeyPatch) -> None:
    """A name that somebody holds goes to whoever claims it next."""
    _gives_to_anybody(patch, but=lambda said: said.target is None)


def _lets_anybody_withdraw(patch: pytest.MonkeyPatch) -> None:
    """Any member of the coop may give any name back."""
    _gives_to_anybody(patch, but=lambda said: said.target is not None)


def _signs_any_challenge(patch: pytest.MonkeyPatch) -> None:
    """A client signs for whichever node a challenge names."""

    async def exchange(self: Session, ask_once: Any, *, scopes: Any, ttl_ms: int) -> Token:
        assert self.identity is not None
        challenge = await ask_once(CHALLENGE, AskChallenge(did=self.identity.did))
        login = Login(
            network=self.network,
            aud=challenge.node,
            did=self.identity.did,
            challenge=challenge.challenge,
            scopes=scopes,
            ttl_ms=ttl_ms,
        )
        signed = jws.sign(login, typ=LOGIN_TYP, identity=self.identity)
        granted: Token = await ask_once(TOKEN, AskToken(login=signed))
        return granted

    patch.setattr(opkit.client.session.Session, "_exchange", exchange)


def _forgets_nothing(patch: pytest.MonkeyPatch) -> None:
    """A node answers for a name with what it said first, whatever it heard since."""
    honest, said = Index.view, dict[str, Any]()

    def view(self: Index, name: str, **more: Any) -> Any:
        found = honest(self, name, **more)
        if found is not None:
            said[name] = found
        return found or said.get(name)

    patch.setattr(Index, "view", view)


SABOTAGE_B: dict[str, tuple[Patch, str]] = {
    "NAME_REGISTERED": (_countersigns_with_a_strange_key, "is not the home node of"),
    "NAME_PROPAGATED": (_tells_nobody, "answer for lathe-.* did not come about"),
    "SERVICE_DISCOVERED": (_hides_where_nodes_are, "a service named lathe-.* did not come about"),
    "AUTHENTICATED_CALL": (_computes_wrongly, "output: expected 'Kofi 1800"),
    "UNSIGNED_IGNORED": (_needs_no_signature, "answers, put: expected"),
    "FORGED_IGNORED": (_lets_anybody_write, "answers, put: expected"),
    "STALE_IGNORED": (_lets_the_last_one_win, "answers, put: expected|did not come about"),
    "NO_TOKEN_REFUSED": (_lets_strangers_in, "but it was allowed"),
    "BAD_TOKEN_REFUSED": (_looks_at_no_clock, "but it was allowed"),
    "RIVAL_REFUSED": (_gives_a_held_name, "but it was allowed"),
    "FOREIGN_WITHDRAWAL_REFUSED": (_lets_anybody_withdraw, "but it was allowed"),
    "RELAYED_CHALLENGE_REFUSED": (_signs_any_challenge, "but a call went through"),
    "NAME_WITHDRAWN": (_forgets_nothing, "answer for lathe-.* did not come about"),
}
"""For each marker one rule that, broken, must take it away, and by what the flow notices.

The latter is a regular expression that is found in what the stopped flow says.
"""
