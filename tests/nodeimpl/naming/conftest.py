"""A coop, its members' claims, and what its home node makes of them, without a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nodeimpl.naming import rules
from nodeimpl.naming.rules import Claimant, Countersign, Limits, Signed, Standing, Used
from opkit.proof import jws
from opkit.proof.genesis import GenesisView, read_genesis, sign_charter, sign_genesis
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_member
from opkit.proof.names import claim_in, make_claim, read_claim
from opkit.proof.record import make_record
from opkit.wire import names as wire
from opkit.wire.base import Jws
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode

NETWORK = "a" * 26
COOP = "yard"
NAME = "saw.yard"
DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000
FREE = Used(member=0, coop=0)


def key_of(who: str) -> Identity:
    return Identity.from_seed(who.encode().ljust(32, b"."))


def founder_of(name: str) -> Founder:
    return Founder(
        member_id=f"{COOP}/{name}",
        name=name,
        title="member",
        did=key_of(name).did,
        roles=("member",),
    )


def make_genesis() -> GenesisView:
    """Return a network with one coop of six founders, and a node beside its home."""
    members = {f"{COOP}/{name}": key_of(name) for name in "abcdef"}
    charter = Charter(
        network=NETWORK,
        coop=COOP,
        title="Yard",
        home_node=key_of("home").did,
        founders=tuple(founder_of(name) for name in "abcdef"),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=1,
        challenge_window_ms=1,
    )
    genesis = Genesis(
        network=NETWORK,
        devnet=True,
        operator=key_of("operator").did,
        created_ms=1,
        nodes=(
            GenesisNode(org=COOP, title="Yard", did=key_of("home").did, coop=COOP),
            GenesisNode(org="loner", title="Loner", did=key_of("loner").did, coop=None),
        ),
        charters=(sign_charter(charter, members),),
    )
    return read_genesis(sign_genesis(genesis, key_of("operator")))


GENESIS = make_genesis()


@dataclass
class Home:
    """The rules of a home node, asked as its service asks them; `now_ms` moves by hand."""

    genesis: GenesisView
    now_ms: int = NOW_MS
    standing: Standing | None = None
    name: str = NAME
    limits: Limits = field(default_factory=Limits)

    def claim(self, who: str = "a", **changes: Any) -> Jws:
        said = {
            "network": NETWORK,
            "name": self.name,
            "member_id": f"{COOP}/{who}",
            "target": wire.NodeTarget(node=key_of("loner").did),
            "at_ms": self.now_ms,
            "term_ms": DAY_MS,
        }
        return make_claim(changes.pop("key", None) or key_of(who), **{**said, **changes})

    def judge(self, claim: Jws, **changes: Any) -> Countersign | None:
        """Return what is to be countersigned, or raise the refusal."""
        said = read_claim(claim, network=NETWORK)
        member = founding_member(said.member_id, genesis=GENESIS)
        asked: dict[str, Any] = {
            "charter": True,
            "claimant": None if member is None else Claimant(member=member, chain=()),
            "standing": self.standing,
            "alias_depth": 0,
            "used": FREE,
            "now_ms": self.now_ms,
            "limits": self.limits,
        }
        signed = Signed(token=claim, id=jws.record_id(claim), payload=said)
        return rules.judge_claim(signed, **{**asked, **changes})

    def hand_in(self, claim: Jws, **changes: Any) -> Standing:
        """Have a claim judged and countersigned."""
        effect = self.judge(claim, **changes)
        if effect is not None:
            self.standing = self.sign(effect)
        assert self.standing is not None
        return self.standing

    def sign(self, effect: Countersign) -> Standing:
        """Return what stands once an effect was countersigned."""
        said = claim_in(effect.value.claim)
        record = make_record(
            key_of("home"),
            network=NETWORK,
            namespace="name",
            name=said.name,
            value=effect.value.model_dump(mode="json"),
            at_ms=effect.issued_at_ms,
            term_ms=effect.lapses_at_ms - effect.issued_at_ms,
        )
        return Standing(
            name=said.name,
            member_id=said.member_id,
            state=effect.state,
            sequence=effect.issued_at_ms,
            claim_sequence=said.sequence,
            claim_id=jws.record_id(effect.value.claim),
            lapses_at_ms=effect.lapses_at_ms,
            until_ms=effect.until_ms,
            keep_until_ms=effect.keep_until_ms,
            value=effect.value,
            record=record,
        )

    def lapse_if_due(self) -> None:
        """Do what the registry does on schedule."""
        standing = self.standing
        if standing is None:
            return
        if standing.state == "held" and self.now_ms >= standing.until_ms:
            self.standing = standing = rules.lapse(standing)
        if standing.state != "held" and self.now_ms >= standing.keep_until_ms:
            self.standing = None


@pytest.fixture
def home() -> Home:
    """Return a home under whose name nothing was countersigned yet."""
    return Home(GENESIS)


@pytest.fixture(scope="session")
def make_home() -> Callable[[], Home]:
    """Return what makes such a home."""
    return lambda: Home(GENESIS)


@pytest.fixture
def genesis() -> GenesisView:
    """Return the network's genesis."""
    return GENESIS


@pytest.fixture(scope="session")
def home_key() -> Identity:
    """Return the home node's key."""
    return key_of("home")


@pytest.fixture(scope="session")
def stranger() -> Identity:
    """Return a key that genesis gives no office."""
    return key_of("stranger")
