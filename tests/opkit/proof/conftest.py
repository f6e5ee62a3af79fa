"""A small network to prove things about: one operator, two coops with nodes, their founders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from opkit.proof import genesis as genesis_proof
from opkit.proof import jws
from opkit.proof.ballots import commitments_of, commitments_root, ids_hash
from opkit.proof.canonical import sha256_hex
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView
from opkit.proof.governance import count, electorate_hash, result_of
from opkit.proof.keys import Identity
from opkit.wire.base import Jws
from opkit.wire.compute import (
    RECEIPT_TYP,
    TASK_TYP,
    Manifest,
    Outcome,
    Receipt,
    ReceiptBundle,
    TaskLimits,
)
from opkit.wire.genesis import Charter, Founder, Genesis, GenesisNode, SignedCharter
from opkit.wire.membership import DECIDED_MEMBER_TYP, MEMBER_TYP, DecidedMember, MemberRecord
from opkit.wire.network import EngineId
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    BALLOT_RECEIPT_TYP,
    BALLOT_TYP,
    DECISION_TYP,
    DELEGATION_TYP,
    EXECUTE_WITHIN_MS,
    LODGING_RECEIPT_TYP,
    NO_DECISION,
    PROPOSAL_TYP,
    AttestedDecision,
    AttestedFile,
    Ballot,
    BallotReceipt,
    CountedBallot,
    Decision,
    DecisionFile,
    Delegation,
    Elector,
    ElectorChain,
    LodgingReceipt,
    Proposal,
    Rule,
    SpendEffect,
)

NETWORK = "a" * 26
COOPS = {"tool-library": ("mira", "ondrej"), "building-yard": ("ruth",)}


@dataclass(frozen=True)
class Network:
    """Every key of the network, and the way to sign with each."""

    name: str
    operator: Identity
    nodes: dict[str, Identity]
    members: dict[str, Identity]
    view: GenesisView

    def record(self, member_id: str, *, did: str, sequence: int = 1, **changes: Any) -> Jws:
        """Return a membership record by the operator, or by `signer`."""
        signer = changes.pop("signer", self.operator)
        fields = {
            "network": self.name,
            "aud": member_id.partition("/")[0],
            "action": "add",
            "member_id": member_id,
            "name": "Ilse",
            "title": "member",
            "did": did,
            "roles": ("member",),
            "sequence": sequence,
            "issued_at_ms": 5,
        }
        return jws.sign(MemberRecord(**{**fields, **changes}), typ=MEMBER_TYP, identity=signer)

    def manifest(self, member_id: str = "tool-library/mira", **changes: Any) -> Jws:
        """Return a task manifest by a member, or by `signer`."""
        signer = changes.pop("signer", None) or self.members[member_id]
        fields = {
            "network": self.name,
            "aud": "any",
            "task_id": "0" * 32,
            "member_id": member_id,
            "wasm_hash": cid_of(b"module"),
            "input_hash": cid_of(b"input"),
            "limits": TaskLimits(),
            "issued_at_ms": 10,
            "expires_at_ms": 20,
        }
        return jws.sign(Manifest(**{**fields, **changes}), typ=TASK_TYP, identity=signer)

    def receipt(self, manifest: Jws, **changes: Any) -> Jws:
        """Return a receipt by the building yard's node, or by `signer`."""
        signer = changes.pop("signer", None) or self.nodes["building-yard"]
        claimed = jws.peek(manifest).payload
        fields = {
            "network": self.name,
            "aud": claimed["member_id"],
            "executor": signer.did,
            "generation": 1,
            "sequence": 1,
            "previous": None,
            "manifest_hash": jws.record_id(manifest),
            "task_id": claimed["task_id"],
            "wasm_hash": claimed["wasm_hash"],
            "input_hash": claimed["input_hash"],
            "output_hash": cid_of(b"output"),
            "outcome": Outcome.OK,
            "reason": "",
            "limits": TaskLimits(**claimed["limits"]),
            "fuel_used": 100,
            "time_used_us": 2_000,
            "memory_peak_bytes": 65_536,
            "output_bytes": 6,
            "engine": EngineId(name="wasmtime", version="50", settings="abc"),
            "started_at_ms": 11,
            "ended_at_ms": 13,
            "world_offset_ms": 0,
        }
        return jws.sign(Receipt(**{**fields, **changes}), typ=RECEIPT_TYP, identity=signer)

    def bundle(self, **changes: Any) -> ReceiptBundle:
        """Return a good bundle, but for the receipt's `changes`."""
        manifest = self.manifest()
        return ReceiptBundle(receipt=self.receipt(manifest, **changes), manifest=manifest)


@dataclass(frozen=True)
class Parts:
    """What a genesis is made of, before it is signed: change one part and see it refused."""

    operator: Identity
    nodes: dict[str, Identity]
    members: dict[str, Identity]
    charters: tuple[SignedCharter, ...]
    genesis: Genesis

    def with_charter(self, charter: Charter) -> Genesis:
        """Return the genesis with the first charter replaced, signed by its true founders."""
        signed = genesis_proof.sign_charter(charter, self.members)
        return self.genesis.model_copy(update={"charters": (signed, *self.charters[1:])})

    def token(self, genesis: Genesis) -> Jws:
        """Return the operator's signature over `genesis`, whatever it says."""
        return jws.sign(genesis, typ="opkit-genesis+jws", identity=self.operator)


def make_parts(network: str = NETWORK, *, keys: Parts | None = None) -> Parts:
    """Make a genesis, with fresh keys unless some are given."""
    operator = keys.operator if keys else Identity.generate()
    nodes = keys.nodes if keys else {org: Identity.generate() for org in (*COOPS, "loner")}
    names = [f"{coop}/{name}" for coop, names in COOPS.items() for name in names]
    members = keys.members if keys else {name: Identity.generate() for name in names}
    charters = tuple(
        genesis_proof.sign_charter(charter_of(coop, network, nodes, members), members)
        for coop in COOPS
    )
    genesis = Genesis(
        network=network,
        devnet=True,
        operator=operator.did,
        created_ms=1,
        nodes=tuple(
            GenesisNode(org=org, title=org.title(), did=nodes[org].did, coop=coop)
            for org, coop in (*((coop, coop) for coop in COOPS), ("loner", None))
        ),
        charters=charters,
    )
    return Parts(
        operator=operator, nodes=nodes, members=members, charters=charters, genesis=genesis
    )


def charter_of(
    coop: str, network: str, nodes: dict[str, Identity], members: dict[str, Identity]
) -> Charter:
    """Return the coop's unsigned charter."""
    return Charter(
        network=network,
        coop=coop,
        title=coop.title(),
        home_node=nodes[coop].did,
        founders=tuple(
            Founder(
                member_id=f"{coop}/{name}",
                name=name.title(),
                title="member",
                did=members[f"{coop}/{name}"].did,
                roles=("member",),
            )
            for name in COOPS[coop]
        ),
        quorum_percent=60,
        approval_percent=67,
        voting_period_ms=604_800_000,
        challenge_window_ms=86_400_000,
    )


def make_network(parts: Parts) -> Network:
    """Sign the parts' genesis and return the network."""
    view = genesis_proof.read_genesis(genesis_proof.sign_genesis(parts.genesis, parts.operator))
    return Network(
        name=parts.genesis.network,
        operator=parts.operator,
        nodes=parts.nodes,
        members=parts.members,
        view=view,
    )


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The parts of the network's genesis."""
    return make_parts()


@pytest.fixture(scope="session")
def network(parts: Parts) -> Network:
    """The network."""
    return make_network(parts)


@pytest.fixture(scope="session")
def rebuilt(parts: Parts) -> Network:
    """A later network of the same people with the same keys: only its random id differs."""
    return make_network(make_parts("b" * 26, keys=parts))


TOOLS = "tool-library"
CHARTER_RULE = Rule(
    quorum_percent=60,
    approval_percent=67,
    voting_period_ms=604_800_000,
    challenge_window_ms=86_400_000,
    votes_final=False,
    decision=None,
)
OPENED_MS = 1_000_000
SPEND = SpendEffect(
    from_account=f"{TOOLS}:reserve",
    to_account=f"{TOOLS}:vendor/roofer",
    unit="usd-cents",
    amount=1_200_000,
)


@dataclass(frozen=True)
class Assembly:
    """The tool library's assembly: two founders, two members by the operator, one by decision.

    Whatever is signed here is signed as it is said, true or not.
    """

    network: Network
    keys: dict[str, Identity]
    chains: dict[str, tuple[Jws, ...]]

    @property
    def home(self) -> Identity:
        """The key of the assembly's home node."""
        return self.network.nodes[TOOLS]

    @property
    def electors(self) -> tuple[ElectorChain, ...]:
        """Everybody's chain, by member id."""
        return tuple(
            ElectorChain(member_id=each, records=self.chains[each]) for each in sorted(self.chains)
        )

    def electorate_hash(self) -> str:
        """Return the hash of everybody."""
        return electorate_hash(
            TOOLS,
            [
                Elector(
                    member_id=each,
                    did=self.keys[each].did,
                    sequence=len(chain),
                    link=jws.record_id(chain[-1]) if chain else None,
                )
                for each, chain in self.chains.items()
            ],
        )

    def decided(self, member_id: str, *, did: str, sequence: int = 1, **changes: Any) -> Jws:
        """Return a link of a membership chain by decision."""
        fields = {
            "network": self.network.name,
            "aud": TOOLS,
            "action": "add",
            "member_id": member_id,
            "name": "Kim",
            "title": "",
            "did": did,
            "roles": ("member",),
            "sequence": sequence,
            "issued_at_ms": 5,
            "node": self.home.did,
            "proposal": "1" * 64,
            "decision": "2" * 64,
        }
        link = DecidedMember(**{**fields, **changes})
        return jws.sign(link, typ=DECIDED_MEMBER_TYP, identity=self.home)

    def proposal(self, **changes: Any) -> Jws:
        """Return a proposal by Mira, or by `signer`."""
        signer = changes.pop("signer", self.keys[f"{TOOLS}/mira"])
        fields = {
            "network": self.network.name,
            "aud": TOOLS,
            "did": signer.did,
            "member_id": f"{TOOLS}/mira",
            "proposal_id": "roof",
            "title": "The roof",
            "text": "It leaks.",
            "effect": SPEND,
            "treasury_nonce": 7,
            "rule": CHARTER_RULE,
            "electorate_hash": self.electorate_hash(),
            "electors": len(self.chains),
            "issued_at_ms": 9,
        }
        return jws.sign(Proposal(**{**fields, **changes}), typ=PROPOSAL_TYP, identity=signer)

    def ballot(self, name: str, choice: str, proposal: str, **changes: Any) -> Jws:
        """Return a ballot by a member of the library, or by `signer`."""
        member_id = changes.pop("member_id", f"{TOOLS}/{name}")
        signer = changes.pop("signer", None) or self.keys[member_id]
        fields = {
            "network": self.network.name,
            "aud": member_id.partition("/")[0],
            "did": signer.did,
            "member_id": member_id,
            "proposal": proposal,
            "choice": choice,
            "sequence": 1,
            "issued_at_ms": 10,
        }
        return jws.sign(Ballot(**{**fields, **changes}), typ=BALLOT_TYP, identity=signer)

    def delegation(self, name: str, to: str | None, **changes: Any) -> Jws:
        """Return a delegation by a member of the library, or by `signer`."""
        member_id = changes.pop("member_id", f"{TOOLS}/{name}")
        signer = changes.pop("signer", None) or self.keys[member_id]
        fields = {
            "network": self.network.name,
            "aud": member_id.partition("/")[0],
            "did": signer.did,
            "member_id": member_id,
            "to": to and f"{TOOLS}/{to}",
            "sequence": 1,
            "issued_at_ms": 8,
        }
        return jws.sign(Delegation(**{**fields, **changes}), typ=DELEGATION_TYP, identity=signer)

    def receipt(self, ballot: Jws, /, *, lodged: bool = False, **changes: Any) -> Jws:
        """Return the home's receipt for a ballot, or that of another node, or by `signer`."""
        signer = changes.pop("signer", self.network.nodes["building-yard"] if lodged else self.home)
        said = jws.peek(ballot).payload
        fields = {
            "network": self.network.name,
            "aud": said["aud"],
            "did": signer.did,
            "proposal": said["proposal"],
            "member_id": said["member_id"],
            "ballot": jws.record_id(ballot),
            "sequence": said["sequence"],
            "received_ms": 11,
            "world_ms": OPENED_MS + 1,
        }
        if lodged:
            body: Any = LodgingReceipt(**{**fields, **changes})
            return jws.sign(body, typ=LODGING_RECEIPT_TYP, identity=signer)
        body = BallotReceipt(**{**fields, "salt": salt_of(ballot), **changes})
        return jws.sign(body, typ=BALLOT_RECEIPT_TYP, identity=signer)

    def file(
        self,
        ballots: Sequence[Jws],
        *,
        proposal: Jws,
        delegations: Sequence[Jws] = (),
        electors: Sequence[ElectorChain] | None = None,
        signer: Identity | None = None,
        cites: str | None = None,
        **changes: Any,
    ) -> DecisionFile:
        """Return a decision as it follows from what was cast, but for the `changes`.

        It cites the proposal, or another one by its hash.
        """
        electors = self.electors if electors is None else electors
        said = jws.peek(proposal).payload
        ids = [jws.record_id(each) for each in ballots]
        salts = [salt_of(each) for each in ballots]
        cast = [jws.peek(each).payload for each in ballots]
        given = [jws.peek(each).payload for each in delegations]
        counted = count(
            [each.member_id for each in electors],
            ballots={each["member_id"]: each["choice"] for each in cast},
            delegations={each["member_id"]: each["to"] for each in given if each["to"]},
        )
        rule = changes.get("rule", Rule.model_validate(said["rule"]))
        closes_ms = OPENED_MS + rule.voting_period_ms
        closed_ms = changes.get("closed_ms", closes_ms)
        ends_ms = changes.get("challenge_ends_ms", closed_ms + rule.challenge_window_ms)
        fields = {
            "network": self.network.name,
            "aud": TOOLS,
            "did": (signer or self.home).did,
            "sequence": 1,
            "previous": NO_DECISION,
            "proposal_id": said["proposal_id"],
            "proposal": cites or jws.record_id(proposal),
            "kind": said["effect"]["kind"],
            "treasury_nonce": said["treasury_nonce"],
            "rule": rule,
            "electorate_hash": said["electorate_hash"],
            "tally": counted.tally,
            "ballots_hash": ids_hash(ids),
            "delegations_hash": ids_hash(jws.record_id(each) for each in delegations),
            "commitments_root": commitments_root(commitments_of(zip(ids, salts, strict=True))),
            "outcome": result_of(
                counted,
                quorum_percent=rule.quorum_percent,
                approval_percent=rule.approval_percent,
            ),
            "opened_ms": OPENED_MS,
            "closes_ms": closes_ms,
            "closed_ms": closed_ms,
            "challenge_ends_ms": ends_ms,
            "executable_until_ms": ends_ms + EXECUTE_WITHIN_MS,
        }
        decision = Decision(**{**fields, **changes})
        return DecisionFile(
            decision=jws.sign(decision, typ=DECISION_TYP, identity=signer or self.home),
            proposal=proposal,
            electors=tuple(electors),
            ballots=tuple(
                CountedBallot(ballot=each, salt=salt)
                for each, salt in zip(ballots, salts, strict=True)
            ),
            delegations=tuple(delegations),
        )

    def attested(self, file: DecisionFile, **changes: Any) -> AttestedFile:
        """Return what leaves the coop of a decision, but for the `changes`."""
        signer = changes.pop("signer", self.home)
        said = jws.peek(file.decision).payload
        proposal = jws.peek(file.proposal).payload
        left = ("previous", "kind", "ballots_hash", "delegations_hash", "executable_until_ms")
        commitments = commitments_of(
            (jws.record_id(each.ballot), each.salt) for each in file.ballots
        )
        fields = {
            **{name: value for name, value in said.items() if name not in left},
            "did": signer.did,
            "decision": jws.record_id(file.decision),
            "title": proposal["title"],
            "effect": proposal["effect"],
            "commitments": len(commitments),
        }
        body = AttestedDecision.model_validate({**fields, **changes}, strict=False)
        token = jws.sign(body, typ=ATTESTED_DECISION_TYP, identity=signer)
        return AttestedFile(attested=token, commitments=commitments)


def salt_of(ballot: Jws) -> str:
    """Return the salt that the commitment to a ballot has here."""
    return sha256_hex(ballot.encode())[:32]


@pytest.fixture(scope="session")
def assembly(network: Network) -> Assembly:
    """The tool library's assembly."""
    names = [f"{TOOLS}/{name}" for name in ("ilse", "jan", "kim")]
    keys = {each: network.members[each] for each in network.members if each.startswith(TOOLS)}
    keys |= {name: Identity.generate() for name in names}
    earlier = Identity.generate().did
    made = Assembly(network=network, keys=keys, chains=dict.fromkeys(keys, ()))
    ilse, jan, kim = names
    made.chains[ilse] = (network.record(ilse, did=keys[ilse].did),)
    made.chains[jan] = (
        network.record(jan, did=earlier),
        network.record(jan, did=keys[jan].did, sequence=2),
    )
    made.chains[kim] = (
        network.record(kim, did=earlier),
        made.decided(kim, did=keys[kim].did, sequence=2),
    )
    return made
