"""What an event of each type says, and the sentence by which it is told."""

from __future__ import annotations

from opkit.proof.cid import cid_of
from opkit.story.states import State
from opkit.views.sentences import Names

DID = "did:key:z6Mk" + "a" * 44
CID = cid_of(b"patronage")
NAMES = Names(
    titles={"bakery": "Bakery", "harbor-homes": "Harbor Homes"},
    orgs={DID: "harbor-homes"},
    modules={CID: "patronage"},
)
BODIES = {
    "federation.registered": (
        {"did": DID, "coop": "harbor-homes", "title": "Harbor Homes Cooperative"},
        "Bakery heard Harbor Homes register Harbor Homes Cooperative",
        State.DONE,
    ),
    "federation.vouched": (
        {"did": "x", "by": DID, "expel": False, "voices": 1},
        "Bakery heard Harbor Homes vouch for a stranger",
        State.DONE,
    ),
    "federation.joined": (
        {"did": DID},
        "Bakery takes Harbor Homes as a member of the federation",
        State.DONE,
    ),
    "federation.expelled": (
        {"did": DID},
        "Bakery takes Harbor Homes as a member of the federation no more",
        State.REFUSED,
    ),
    "federation.attested": (
        {"issuer": "harbor-homes", "subject": "bakery", "kind": "well-insured"},
        "Bakery heard Harbor Homes attest “well insured” of Bakery",
        State.DONE,
    ),
    "federation.revoked": (
        {"issuer": DID, "subject": "bakery", "kind": "insured"},
        "Bakery heard Harbor Homes take “insured” of Bakery back",
        State.WAITING,
    ),
    "objects.opened": (
        {"object_id": "agreement/9", "peer": DID},
        "Bakery got an agreement from Harbor Homes",
        State.DONE,
    ),
    "objects.merged": (
        {"object_id": "federation", "operations": 2, "peer": DID},
        "Bakery got 2 changes of the federation from Harbor Homes",
        State.DONE,
    ),
    "objects.author-forked": (
        {"object_id": "federation", "did": DID},
        "Bakery has proof that Harbor Homes signed two histories of the federation",
        State.FAILED,
    ),
    "objects.peer-lied": (
        {"object_id": "agreement/9", "peer": DID},
        "Bakery believed nothing that Harbor Homes gave of an agreement, and ended the link",
        State.REFUSED,
    ),
    "agreements.proposed": (
        {"title": "Ovens", "parties": ["bakery", "harbor-homes"]},
        "Bakery keeps the terms of “Ovens”, between Bakery and Harbor Homes",
        State.RUNNING,
    ),
    "agreements.signed": (
        {"title": "Ovens", "coop": "harbor-homes", "action": "adopt"},
        "Bakery has it that Harbor Homes signed “Ovens”, as it had decided",
        State.DONE,
    ),
    "agreements.turned": (
        {"title": "Ovens", "before": "proposed", "after": "active"},
        "“Ovens” is active: all have signed, says Bakery",
        State.DONE,
    ),
    "clearing.offered": (
        {
            "coop": "bakery",
            "kind": "exchange",
            "unit": "commons-credits",
            "legs": [{"payer": "bakery", "payee": "harbor-homes", "amount": 40}],
        },
        "Bakery proposed an exchange: 40 cc from Bakery to Harbor Homes",
        State.RUNNING,
    ),
    "clearing.accepted": (
        {"coop": "bakery", "proposer": "harbor-homes", "exchange_id": "x-1", "legs": []},
        "Bakery accepted the exchange “x-1” that Harbor Homes proposed",
        State.RUNNING,
    ),
    "clearing.committed": (
        {"coop": "bakery", "kind": "netting", "exchange_id": "x-1", "legs": [{}, {}, {}]},
        "Bakery posted its half of the netting “x-1” of 3 debts in a circle",
        State.DONE,
    ),
    "clearing.aborted": (
        {"coop": "bakery", "exchange_id": "x-1", "why": "agreement-inactive"},
        "Nothing came of “x-1” at Bakery: agreement inactive",
        State.REFUSED,
    ),
    "clearing.ruled": (
        {
            "coop": "bakery",
            "exchange_id": "x-1",
            "arbiter": "harbor-homes",
            "ending": "committed",
            "correction": "9",
        },
        "Bakery follows Harbor Homes, who ruled that “x-1” is posted, and put its ledger right",
        State.DONE,
    ),
    "clearing.stuck": (
        {"coop": "bakery", "exchange_id": "x-1", "why": "account-closed"},
        "Bakery cannot post “x-1” for now: account closed",
        State.RUNNING,
    ),
    "clearing.contradicted": (
        {"by": "harbor-homes", "exchange_id": "x-1"},
        "Bakery has proof that Harbor Homes signed two ends of “x-1”",
        State.FAILED,
    ),
    "clearing.ruling-given": (
        {"exchange_id": "x-1", "ending": "aborted"},
        "Bakery ruled that “x-1” of others comes to nothing",
        State.DONE,
    ),
    "ledger.entry-posted": (
        {
            "kind": "decided",
            "cause": {"kind": "decision", "id": "9"},
            "postings": [
                {"account": "bakery:surplus/q1", "unit": "usd-cents", "amount": -300},
                {"account": "bakery:member/ana", "unit": "usd-cents", "amount": 200},
                {"account": "bakery:member/bo", "unit": "usd-cents", "amount": 100},
            ],
        },
        "Bakery posted 3.00 $ from Surplus to 2 accounts, because of a decision",
        State.DONE,
    ),
    "ledger.account-configured": (
        {"account": "bakery:cash", "unit": "usd-cents", "floor": -500, "closed": False},
        "Cash of Bakery may owe 5.00 $, as was decided",
        State.DONE,
    ),
    "ledger.hold-created": (
        {"by": "bakery/ana", "to_account": "bakery:vendor/mill", "unit": "x", "amount": 7},
        "Ana set 7 x aside for Mill",
        State.RUNNING,
    ),
    "ledger.hold-posted": (
        {"by": "bakery/ana", "amount": 5, "released": 2},
        "Ana had paid what was set aside at Bakery, and the rest is free again",
        State.DONE,
    ),
    "ledger.hold-voided": (
        {"by": "bakery/ana", "released": 7},
        "Ana released what was set aside at Bakery",
        State.DONE,
    ),
    "ledger.hold-lapsed": (
        {"released": 7},
        "What was set aside in Bakery’s ledger is free again: its time is over",
        State.WAITING,
    ),
    "governance.proposal-drafted": (
        {"member_id": "bakery/ana", "title": "A new oven"},
        "Ana drafted “A new oven”",
        State.WAITING,
    ),
    "governance.proposal-opened": (
        {"member_id": "bakery/ana", "title": "A new oven", "electors": 5},
        "Ana put “A new oven” to the vote of 5 members",
        State.RUNNING,
    ),
    "governance.vote-cast": (
        {"member_id": "bakery/bo", "proposal_id": "oven", "sequence": 2},
        "Bo voted on “oven”",
        State.DONE,
    ),
    "governance.delegation-set": (
        {"member_id": "bakery/bo", "to": "bakery/ana"},
        "Bo lets Ana vote for them",
        State.DONE,
    ),
    "governance.proposal-closed": (
        {"proposal_id": "oven", "outcome": "accepted", "tally": {"yes": 3, "no": 1}},
        "Bakery’s members accepted “oven”: 3 yes, 1 no",
        State.DONE,
    ),
    "governance.proposal-cancelled": (
        {"proposal_id": "oven"},
        "“oven” at Bakery was taken back by its proposer",
        State.WAITING,
    ),
    "governance.effect-executed": (
        {"proposal_id": "oven"},
        "Bakery did what was decided on “oven”, once",
        State.DONE,
    ),
    "governance.decision-voided": (
        {"proposal_id": "oven", "member_id": "bakery/bo"},
        "Bakery’s decision on “oven” is void: Bo’s vote is missing in it",
        State.FAILED,
    ),
    "governance.decision-expired": (
        {"proposal_id": "oven"},
        "Bakery’s decision on “oven” expired: nobody had it done in time",
        State.WAITING,
    ),
    "governance.vote-lodged": (
        {"coop": "harbor-homes", "member_id": "harbor-homes/cora"},
        "Bakery witnessed Cora of Harbor Homes’ vote for Harbor Homes’ assembly",
        State.DONE,
    ),
    "node.started": ({"version": "0", "generation": 1}, "Bakery came up", State.DONE),
    "journal.checkpointed": (
        {"size": 256, "hash": "0", "peaks": [], "head": "x"},
        "Bakery signs for its journal and lets old entries go",
        State.DONE,
    ),
    "journal.witnessed": (
        {"node": DID, "generation": 1, "size": 1_204, "root": "0" * 64},
        "Bakery has witnessed Harbor Homes’ journal up to entry 1,204",
        State.DONE,
    ),
    "journal.fork-proven": (
        {"node": DID, "generation": 1, "size": 9, "first": "0" * 64, "second": "1" * 64},
        "Bakery has proof that Harbor Homes keeps two histories",
        State.FAILED,
    ),
    "journal.growth-unproven": (
        {"node": DID, "generation": 1, "size": 9, "why": "it is shorter"},
        "Bakery was not shown that Harbor Homes’ journal grew from entry 9",
        State.RUNNING,
    ),
    "journal.generation-opened": (
        {"generation": 2, "after": {"size": 9}},
        "Bakery goes on as another history",
        State.WAITING,
    ),
    "network.peer-connected": (
        {"peer": DID, "org": None},
        "Bakery is linked to Harbor Homes",
        State.DONE,
    ),
    "network.peer-lost": (
        {"peer": DID, "why": "closed"},
        "Bakery lost its link to Harbor Homes",
        State.WAITING,
    ),
    "network.link-worsened": (
        {
            "peer": DID,
            "org": None,
            "amiss": "loss",
            "lost_permille": 204,
            "round_trip_us": 2_000,
            "best_round_trip_us": 1_000,
        },
        "Bakery’s link to Harbor Homes loses 20 % of what is sent",
        State.RUNNING,
    ),
    "network.link-recovered": (
        {"peer": DID, "org": None, "bad_ms": 61_500, "lost_permille": 0, "round_trip_us": 0},
        "Bakery’s link to Harbor Homes is good again after 61 seconds",
        State.DONE,
    ),
    "network.provider-lied": (
        {"peer": "did:key:zStranger", "cid": CID, "received_bytes": 9},
        "Bakery asked a stranger for bytes, got others, and refused them",
        State.REFUSED,
    ),
    "network.clock-moved": (
        {"offset_ms": 86_400_000},
        "World time at Bakery runs one day ahead",
        State.DONE,
    ),
    "compute.module-deployed": (
        {"wasm_hash": CID, "owner": "bakery/mara", "size_bytes": 22_985},
        "Mara put “patronage” on Bakery’s node, 23 kB",
        State.DONE,
    ),
    "compute.module-fetched": (
        {"wasm_hash": CID, "peer": DID, "size_bytes": 22_985, "took_us": 1, "manifest_hash": "0"},
        "Bakery fetched “patronage” from Harbor Homes and checked it, 23 kB",
        State.DONE,
    ),
    "compute.task-accepted": (
        {"task_id": "0", "member_id": "harbor-homes/rosa-b", "wasm_hash": "unknown"},
        "Rosa B of Harbor Homes asked Bakery to have a program run",
        State.RUNNING,
    ),
    "compute.task-placed": (
        {"task_id": "0", "executor": DID},
        "Bakery gave the task to Harbor Homes",
        State.RUNNING,
    ),
    "compute.task-started": ({"task_id": "0"}, "Bakery runs the task", State.RUNNING),
    "compute.task-finished": (
        {"task_id": "0", "outcome": "ok", "fuel_used": 3_104_220},
        "Bakery ran the task and signed a receipt, 3.1 M fuel",
        State.DONE,
    ),
    "compute.task-ended": (
        {"task_id": "0", "state": "done", "code": ""},
        "Bakery has the result and its receipt",
        State.DONE,
    ),
    "membership.member-added": (
        {"member_id": "bakery/mara", "did": DID, "roles": ["member"]},
        "Mara joined Bakery",
        State.DONE,
    ),
    "membership.member-revoked": (
        {"member_id": "bakery/mara", "did": DID},
        "Bakery revoked Mara’s membership",
        State.DONE,
    ),
    "membership.token-issued": (
        {"member_id": "bakery/mara", "scopes": [], "expires_at_ms": 1},
        "Bakery gave Mara a token",
        State.WAITING,
    ),
    "overlay.record-published": (
        {"record": "0", "namespace": "blob", "name": "flour", "owner": DID},
        "Bakery published the blob record “flour” for its owner",
        State.DONE,
    ),
    "overlay.owner-equivocated": (
        {"owner": DID, "namespace": "note", "name": "hours", "sequence": 1},
        "Bakery has proof that one owner signed two note records “hours” of one number",
        State.FAILED,
    ),
    "overlay.peer-banned": (
        {"peer": DID, "why": "its messages do not verify"},
        "Bakery takes nothing of Harbor Homes for a while",
        State.REFUSED,
    ),
    "overlay.peer-lied": (
        {"peer": DID, "why": "the ids are not in order", "strikes": 1},
        "Bakery caught Harbor Homes lying about its records",
        State.REFUSED,
    ),
    "overlay.records-repaired": (
        {"peer": DID, "kept": 3, "pushed": 1_000},
        "Bakery got 3 missing records and gave 1,000, comparing with Harbor Homes",
        State.DONE,
    ),
    "overlay.events-left-out": (
        {"counts": [{"name": "a", "count": 3}, {"name": "b", "count": 4}]},
        "Bakery left 7 events out of its journal: too many",
        State.WAITING,
    ),
    "names.held": (
        {"name": "oven.bakery", "member_id": "bakery/mara", "home": DID, "sequence": 1},
        "Bakery knows “oven.bakery” as a name of Mara",
        State.DONE,
    ),
    "names.withdrawn": (
        {"name": "roof.harbor-homes", "member_id": "harbor-homes/rosa", "home": DID},
        "Bakery has forgotten “roof.harbor-homes”: Rosa of Harbor Homes gave it back",
        State.DONE,
    ),
    "names.lapsed": (
        {"name": "oven.bakery", "member_id": "bakery/mara", "home": DID, "sequence": 1},
        "Bakery has forgotten “oven.bakery”: its time is over",
        State.WAITING,
    ),
    "names.equivocation": (
        {"name": "roof.harbor-homes", "home": DID, "members": ["a/b", "c/d"]},
        "Bakery has proof that Harbor Homes gave “roof.harbor-homes” to two members at once",
        State.FAILED,
    ),
    "cards.published": (
        {"did": DID, "cid": CID, "sequence": 1},
        "Bakery published Harbor Homes’ agent card",
        State.DONE,
    ),
    "cards.revoked": (
        {"did": DID, "sequence": 2},
        "Bakery took Harbor Homes’ agent card back",
        State.DONE,
    ),
    "grants.given": (
        {"grant_id": "0", "member_id": "bakery/mara", "lapses_at_ms": 1},
        "Mara lets Bakery ask for tasks in their name",
        State.DONE,
    ),
    "grants.revoked": (
        {"grant_id": "0", "member_id": "bakery/mara"},
        "Mara no longer lets Bakery ask for tasks in their name",
        State.DONE,
    ),
    "standing.home-unheard": (
        {"coop": "harbor-homes", "home": DID, "agreed_at_ms": None},
        "Bakery takes no token of Harbor Homes’ members: their home is silent",
        State.RUNNING,
    ),
    "standing.home-heard": (
        {"coop": "harbor-homes", "home": DID},
        "Bakery takes tokens of Harbor Homes’ members again: their home speaks",
        State.DONE,
    ),
}
