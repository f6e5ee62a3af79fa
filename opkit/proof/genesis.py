"""Genesis: the record that trust in a network starts from, and how it is checked.

The operator signs the record; each coop's charter in it is signed by every one of its founders, so
an operator cannot found a coop in other people's names. Source: ADR 0002.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from opkit.proof import jws
from opkit.proof.canonical import canonical_of
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Jws, MemberId, NetworkId, RecordId, Slug
from opkit.wire.genesis import (
    CHARTER_TYP,
    GENESIS_TYP,
    Charter,
    Founder,
    Genesis,
    GenesisNode,
    SignedCharter,
)


@dataclass(frozen=True)
class GenesisView:
    """A verified genesis and what is looked up in it. Only `read_genesis` makes one."""

    genesis: Genesis
    token: Jws
    record_id: RecordId

    @property
    def network(self) -> NetworkId:
        """The network's random id."""
        return self.genesis.network

    @property
    def operator(self) -> Did:
        """The key that signed the genesis."""
        return self.genesis.operator

    @property
    def devnet(self) -> bool:
        """Whether time may be moved and faults injected here."""
        return self.genesis.devnet

    def node(self, did: str) -> GenesisNode | None:
        """Return the node of this key, if it belongs to the network."""
        return self._nodes.get(did)

    def node_of(self, org: str) -> GenesisNode | None:
        """Return the node of this organisation."""
        return self._orgs.get(org)

    def charter(self, coop: str) -> Charter | None:
        """Return the charter of this coop."""
        return self._charters.get(coop)

    def founder(self, member_id: str) -> Founder | None:
        """Return the founding member of this id."""
        return self._founders.get(member_id)

    def founders(self) -> tuple[tuple[Slug, Founder], ...]:
        """Return every founder with their coop, in the order of the charters."""
        return tuple(
            (charter.coop, founder)
            for charter in self._charters.values()
            for founder in charter.founders
        )

    def auditors_at(self, node: Did) -> frozenset[Slug]:
        """Return the coops whose auditors may read what the coop at home at a node keeps."""
        return frozenset(
            auditor
            for charter in self._charters.values()
            if charter.home_node == node
            for auditor in charter.auditors
        )

    @cached_property
    def _nodes(self) -> dict[str, GenesisNode]:
        return {node.did: node for node in self.genesis.nodes}

    @cached_property
    def _orgs(self) -> dict[str, GenesisNode]:
        return {node.org: node for node in self.genesis.nodes}

    @cached_property
    def _charters(self) -> dict[str, Charter]:
        return {signed.charter.coop: signed.charter for signed in self.genesis.charters}

    @cached_property
    def _founders(self) -> dict[str, Founder]:
        return {founder.member_id: founder for _, founder in self.founders()}


def sign_charter(charter: Charter, founders: Mapping[MemberId, Identity]) -> SignedCharter:
    """Return the charter with one signature per founder, ordered by founder DID.

    Raises:
        ProofError: an identity is missing, or is not the founder's.
    """
    signatures = []
    for founder in sorted(charter.founders, key=lambda founder: founder.did):
        identity = founders.get(founder.member_id)
        if identity is None or identity.did != founder.did:
            raise ProofError(f"there is no key of {founder.member_id} to sign the charter with")
        signatures.append(jws.sign(charter, typ=CHARTER_TYP, identity=identity))
    return SignedCharter(charter=charter, signatures=tuple(signatures))


def sign_genesis(genesis: Genesis, operator: Identity) -> Jws:
    """Return the genesis record, signed by the operator that it names.

    Raises:
        ProofError: `operator` is another key, or the record does not hold (`read_genesis`).
    """
    if operator.did != genesis.operator:
        raise ProofError("a genesis is signed by the operator that it names")
    token = jws.sign(genesis, typ=GENESIS_TYP, identity=operator)
    read_genesis(token)
    return token


def read_genesis(token: str) -> GenesisView:
    """Return a genesis after verifying it whole.

    It is self-signed by nature: that it is the right one is for the reader to know, who keeps it.

    Raises:
        ProofError: the operator's signature; a node, coop, member or key that occurs twice; a
            node of a coop without charter; a charter of another network, without home node here,
            with members of another coop, audited by itself, by no coop of the genesis or by one
            twice, or without exactly its founders' signatures, by DID.
    """
    claimed = jws.peek(token).payload
    genesis = jws.verify(
        token,
        typ=GENESIS_TYP,
        issuer=str(claimed.get("operator")),
        network=str(claimed.get("network")),
        of=Genesis,
    )
    charters = [signed.charter for signed in genesis.charters]
    _check_unique(genesis, charters)
    coops = {charter.coop for charter in charters}
    for node in genesis.nodes:
        if node.coop is not None and node.coop not in coops:
            raise ProofError(f"node {node.org} belongs to {node.coop}, which has no charter")
    for signed in genesis.charters:
        _check_charter(signed, genesis)
    return GenesisView(genesis=genesis, token=token, record_id=jws.record_id(token))


def _check_unique(genesis: Genesis, charters: list[Charter]) -> None:
    founders = [founder for charter in charters for founder in charter.founders]
    keys = [
        genesis.operator,
        *(node.did for node in genesis.nodes),
        *(founder.did for founder in founders),
    ]
    for key in keys:
        public_key_of(key)
    _check_once("key", keys)
    _check_once("organisation", (node.org for node in genesis.nodes))
    _check_once("coop", (charter.coop for charter in charters))
    _check_once("member", (founder.member_id for founder in founders))


def _check_once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ProofError(f"the {what} {name} occurs twice in the genesis")
        seen.add(name)


def _check_charter(signed: SignedCharter, genesis: Genesis) -> None:
    charter = signed.charter
    if charter.network != genesis.network:
        raise ProofError(f"the charter of {charter.coop} belongs to another network")
    homes = {node.did for node in genesis.nodes if node.coop == charter.coop}
    if charter.home_node not in homes:
        raise ProofError(f"the home node of {charter.coop} is no node of that coop")
    for founder in charter.founders:
        if not founder.member_id.startswith(f"{charter.coop}/"):
            raise ProofError(f"{founder.member_id} is no member id of {charter.coop}")
    others = {other.charter.coop for other in genesis.charters} - {charter.coop}
    if len(others.intersection(charter.auditors)) != len(charter.auditors):
        raise ProofError(f"the auditors of {charter.coop} are not other coops, each once")
    signers = sorted(founder.did for founder in charter.founders)
    if len(signers) != len(signed.signatures):
        raise ProofError(f"the charter of {charter.coop} lacks a founder's signature, or has more")
    stated = canonical_of(charter)
    for signer, signature in zip(signers, signed.signatures, strict=True):
        agreed = jws.verify(
            signature, typ=CHARTER_TYP, issuer=signer, network=genesis.network, of=Charter
        )
        if canonical_of(agreed) != stated:
            raise ProofError(f"a founder of {charter.coop} signed another charter")
