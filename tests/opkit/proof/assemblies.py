"""An assembly to prove things about: what is signed here is signed as it is said, true or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opkit.proof import jws
from opkit.proof.ballots import commitments_of, commitments_root, ids_hash
from opkit.proof.canonical import sha256_hex
from opkit.proof.governance import count, electorate_hash, result_of
from opkit.proof.keys import Identity
from opkit.wire.base import Jws
from opkit.wire.membership import DECIDED_MEMBER_TYP, DecidedMember
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

    network: Any
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

    def delegation(self, name: str, to: str | None, /, **changes: Any) -> Jws:
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


def make_assembly(network: Any) -> Assembly:
    """Return the tool library's assembly in a network."""
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


NAMES = ("ilse", "jan", "kim", "mira", "ondrej")


def cast(assembly: Any, proposal: str, said: str = "yyny-") -> list[str]:
    """Return the ballots of the first electors, by member id."""
    named = {"y": "yes", "n": "no", "a": "abstain"}
    hashed = jws.record_id(proposal)
    return [
        assembly.ballot(name, named[each], hashed)
        for name, each in zip(NAMES, said, strict=True)
        if each in named
    ]


def good(assembly: Any, said: str = "yyny-", **changes: Any) -> Any:
    """Return the file of a vote, but for the `changes` of the decision."""
    proposal = changes.pop("proposal", None) or assembly.proposal()
    return assembly.file(cast(assembly, proposal, said), proposal=proposal, **changes)


def tampered(token: str) -> str:
    """Return a token whose signature does not verify."""
    start, _, signature = token.rpartition(".")
    return f"{start}.{signature[:9]}{'A' if signature[9] != 'A' else 'B'}{signature[10:]}"


def good_rule(assembly: Any) -> dict[str, Any]:
    rule: dict[str, Any] = jws.peek(assembly.proposal()).payload["rule"]
    return rule
