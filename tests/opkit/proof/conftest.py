"""A small network to prove things about: one operator, two coops with nodes, their founders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from opkit.proof import genesis as genesis_proof
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.genesis import GenesisView
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
from opkit.wire.membership import MEMBER_TYP, MemberRecord
from opkit.wire.network import EngineId
from tests.opkit.proof.assemblies import Assembly, make_assembly

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


@pytest.fixture(scope="session")
def assembly(network: Network) -> Assembly:
    """The tool library's assembly."""
    return make_assembly(network)
