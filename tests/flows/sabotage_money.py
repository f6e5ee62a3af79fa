"""For each marker of flows 1, 2 and C one rule that, broken, must take it away; as `sabotage` has.

What is broken is broken where nodes and clients of this process look it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nodeimpl.governance.assemblies
import nodeimpl.governance.deciding
import nodeimpl.governance.executing
import nodeimpl.governance.rules
import nodeimpl.governance.states
import nodeimpl.governance.voting
import nodeimpl.ledger.reading
import nodeimpl.ledger.rules
import opkit.proof.omission
import opkit.proof.proposals
from nodeimpl.gateway.admit import Admission, Admitted
from nodeimpl.governance import store as tables
from nodeimpl.governance.proposing import Proposing
from nodeimpl.ledger.reading import Reading
from nodeimpl.ledger.service import Ledger
from opkit.proof.checks import Check
from opkit.proof.keys import Identity
from opkit.wire.deciding import DoubleVote, NonceFuture, NonceUsed, NotElector
from opkit.wire.endpoint import Scope
from opkit.wire.ledger import Cause

Patch = Callable[[pytest.MonkeyPatch], None]
Broken = dict[str, tuple[Patch, str]]


def _without(patch: pytest.MonkeyPatch, judge: str, refusal: type[Exception]) -> None:
    """Have a judgement of governance let through what it should refuse."""
    honest = getattr(nodeimpl.governance.rules, judge)

    def lenient(said: Any, **more: Any) -> Any:
        try:
            return honest(said, **more)
        except refusal:
            return getattr(said, "payload", None)

    patch.setattr(nodeimpl.governance.rules, judge, lenient)


def _votes_for_half_the_time(patch: pytest.MonkeyPatch) -> None:
    """Voting is over after half of what the charter promises."""
    honest = nodeimpl.governance.rules.opened

    def opened(draft: Any, *, rule: Any, now_ms: int) -> Any:
        said = honest(draft, rule=rule, now_ms=now_ms)
        return replace(said, closes_ms=now_ms + rule.voting_period_ms // 2)

    patch.setattr(nodeimpl.governance.rules, "opened", opened)


def _signs_receipts_with_a_strange_key(patch: pytest.MonkeyPatch) -> None:
    """Who votes gets a receipt of somebody else."""
    honest, stranger = nodeimpl.governance.voting.sign_ballot_receipt, Identity.generate()

    def sign(receipt: Any, _home: Identity) -> str:
        return honest(receipt.model_copy(update={"did": stranger.did}), stranger)

    patch.setattr(nodeimpl.governance.voting, "sign_ballot_receipt", sign)


def _counts_a_second_vote(patch: pytest.MonkeyPatch) -> None:
    """A second ballot of the same number replaces the first."""
    _without(patch, "judge_ballot", DoubleVote)


def _lets_anybody_vote(patch: pytest.MonkeyPatch) -> None:
    """Whose key a ballot is signed with does not matter."""
    _without(patch, "judge_ballot", NotElector)


def _closes_whenever_asked(patch: pytest.MonkeyPatch) -> None:
    """Voting ends as soon as somebody wants it to."""
    patch.setattr(nodeimpl.governance.rules, "judge_close", lambda *_, **__: None)


def _leaves_no_time_to_challenge(patch: pytest.MonkeyPatch) -> None:
    """The challenge window is over when voting is."""
    patch.setattr(
        nodeimpl.governance.rules, "challenge_end_of", lambda _, *, outcome, now_ms: now_ms
    )


def _finds_nothing_missing(patch: pytest.MonkeyPatch) -> None:
    """A verifier believes that every vote is in the file."""

    def missing(*_: Any, **__: Any) -> Check:
        return Check(name="missing-in-tally", ok=False, expected="not there", actual="there")

    patch.setattr(opkit.proof.omission, "_missing", missing)


def _hashes_other_ballots(patch: pytest.MonkeyPatch) -> None:
    """A home node signs that it counted other ballots than it did."""
    patch.setattr(nodeimpl.governance.deciding, "ids_hash", lambda _: "0" * 64)


def _waits_for_no_challenge(patch: pytest.MonkeyPatch) -> None:
    """A decision has its effect before anybody can object."""
    patch.setattr(nodeimpl.governance.rules, "judge_window", lambda *_, **__: None)


def _pays_less(patch: pytest.MonkeyPatch) -> None:
    """One unit of every decided payment stays where it was."""
    honest = nodeimpl.governance.executing.postings_of

    def postings(effect: Any) -> Any:
        gives, gets, *rest = honest(effect)
        less = (gives, 1), (gets, -1)
        return (
            *(each.model_copy(update={"amount": each.amount + by}) for each, by in less),
            *rest,
        )

    patch.setattr(nodeimpl.governance.executing, "postings_of", postings)


def _needs_no_decision(patch: pytest.MonkeyPatch) -> None:
    """Who may post at all may take from the treasury."""
    patch.setattr(nodeimpl.ledger.rules, "judge_right", lambda *_: None)


def _executes_again(patch: pytest.MonkeyPatch) -> None:
    """What was executed can be executed once more."""
    honest = nodeimpl.governance.states.check

    def check(action: Any, standing: Any) -> None:
        if (action, standing.state) != ("execute", "executed"):
            honest(action, standing)

    patch.setattr(nodeimpl.governance.states, "check", check)


def _accepts_everything(patch: pytest.MonkeyPatch) -> None:
    """How many said yes does not matter."""
    patch.setattr(nodeimpl.governance.assemblies, "result_of", lambda *_, **__: "accepted")


def _cites_another_decision(patch: pytest.MonkeyPatch) -> None:
    """An entry names a decision that it does not rest on."""
    honest = Ledger.post_decided

    def post(self: Ledger, tx: Any, **more: Any) -> Any:
        return honest(self, tx, **(more | {"decision": "0" * 64}))

    patch.setattr(Ledger, "post_decided", post)


def _takes_old_numbers(patch: pytest.MonkeyPatch) -> None:
    """A treasury nonce may be used again."""
    _without(patch, "judge_opening", NonceUsed)


def _gives_rejected_numbers_back(patch: pytest.MonkeyPatch) -> None:
    """The treasury nonce of what was voted down is free again."""
    honest = Proposing._open

    def opening(self: Proposing, tx: Any, draft: Any, said: Any, *, counts: bool) -> Any:
        try:
            return honest(self, tx, draft, said, counts=counts)
        except NonceUsed:
            taken = tables.by_nonce(tx, draft.coop, said.treasury_nonce)
            if taken is None or taken.state != "rejected":
                raise
        mine = self._assemblies
        electorate_hash, electors = mine.members.electorate(tx, draft.coop)
        stands = mine.state(tx, draft.coop)
        return self._opened(tx, draft, stands, electorate_hash, electors)

    patch.setattr(Proposing, "_open", opening)


def _takes_numbers_to_come(patch: pytest.MonkeyPatch) -> None:
    """A treasury nonce may be taken before it is due."""
    _without(patch, "judge_opening", NonceFuture)


def _compares_nothing(patch: pytest.MonkeyPatch) -> None:
    """What is asked to be executed is not compared with what was decided."""
    patch.setattr(nodeimpl.governance.executing, "judge_same", lambda *_: None)


def _leaves_an_entry_out(patch: pytest.MonkeyPatch) -> None:
    """A page of the history lacks its first entry."""
    honest = nodeimpl.ledger.reading._page

    def page(*asked: Any) -> Any:
        entries, next_after = honest(*asked)
        return entries[1:], next_after

    patch.setattr(nodeimpl.ledger.reading, "_page", page)


def _takes_a_key_for_another_members(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks how a member stands hears of another one."""
    honest = Reading.position

    def position(self: Reading, *asked: Any) -> Any:
        other = {"member_id": "brightworks-cooperative/nobody"}
        return honest(self, *asked).model_copy(update=other)

    patch.setattr(Reading, "position", position)


def _rounds_by_the_alphabet(patch: pytest.MonkeyPatch) -> None:
    """What is left over goes to who comes first, not to the largest remainders."""

    def allocate(surplus: int, weights: dict[str, int]) -> dict[str, int]:
        whole = sum(weights.values())
        parts = {name: surplus * weights[name] // whole for name in sorted(weights)}
        for name in sorted(weights)[: surplus - sum(parts.values())]:
            parts[name] += 1
        return parts

    patch.setattr(opkit.proof.proposals, "allocate", allocate)


def _shows_a_credit_less(patch: pytest.MonkeyPatch) -> None:
    """A member's own account is shown with one credit less than it has."""
    honest = nodeimpl.ledger.reading.view_of

    def view(coop: str, account: Any) -> Any:
        said = honest(coop, account)
        less = 1 if ":member/" in said.account else 0
        return said.model_copy(update={"balance": said.balance - less})

    patch.setattr(nodeimpl.ledger.reading, "view_of", view)


def _lends_to_everybody(patch: pytest.MonkeyPatch) -> None:
    """No account has a floor."""
    patch.setattr(nodeimpl.ledger.rules, "judge_funds", lambda *_, **__: None)


def _looks_at_no_scope(patch: pytest.MonkeyPatch) -> None:
    """A token of any scope may post to the ledger."""
    honest = Admission.admit

    async def admit(self: Admission, head: Any, scope: Any, **more: Any) -> Admitted:
        asked = Scope.LEDGER_READ if scope is Scope.LEDGER_WRITE else scope
        return await honest(self, head, asked, **more)

    patch.setattr(Admission, "admit", admit)


def _forgets_why(patch: pytest.MonkeyPatch) -> None:
    """Who asks for an entry hears that another decision caused it."""
    honest = Reading.entry

    def entry(self: Reading, *asked: Any) -> Any:
        said = honest(self, *asked)
        cause = Cause(kind="decision", id="0" * 64)
        return said.model_copy(update={"cause": cause}) if said.cause else said

    patch.setattr(Reading, "entry", entry)


SABOTAGE_1: Broken = {
    "PROPOSAL_OPENED": (_votes_for_half_the_time, "open for: expected '604800000'"),
    "VOTES_CAST": (_signs_receipts_with_a_strange_key, "receipt of .*: expected 'verifies'"),
    "DOUBLE_VOTE_REFUSED": (_counts_a_second_vote, "but it was allowed"),
    "OUTSIDER_REFUSED": (_lets_anybody_vote, "'not-elector'.*but it was allowed"),
    "EARLY_CLOSE_REFUSED": (_closes_whenever_asked, "but it was allowed"),
    "VOTE_CLOSED": (_leaves_no_time_to_challenge, "to be challenged for: expected '86400000'"),
    "OMITTED_VOTE_EXPOSED": (_finds_nothing_missing, "missing-in-tally: expected"),
    "DECISION_PROVED": (_hashes_other_ballots, "ballots-hash: expected"),
    "HASTY_SPEND_REFUSED": (_waits_for_no_challenge, "but it was allowed"),
    "SPEND_EXECUTED": (_pays_less, "left in the reserve: expected '36,000.00 \\$'"),
    "UNDECIDED_SPEND_REFUSED": (_needs_no_decision, "but it was allowed"),
    "REPLAYED_SPEND_REFUSED": (_executes_again, "but it was allowed"),
}
SABOTAGE_2: Broken = {
    "HISTORY_READ": (_leaves_an_entry_out, "each entry cites the one before"),
    "POSITION_READ": (_takes_a_key_for_another_members, "the key is Hugo's: expected"),
    "DISTRIBUTION_DECIDED": (_hashes_other_ballots, "ballots-hash: expected"),
    "ALLOCATIONS_COMPUTED": (_rounds_by_the_alphabet, "of 524 hours: expected"),
    "ALLOCATIONS_SETTLED": (_pays_less, "the surplus gives: expected"),
    "POSITIONS_MATCH": (_shows_a_credit_less, "has more by: expected"),
    "DOUBLE_SETTLE_REFUSED": (_executes_again, "but it was allowed"),
    "OVERDRAFT_REFUSED": (_lends_to_everybody, "but it was allowed"),
    "SCOPE_REFUSED": (_looks_at_no_scope, "'scope-missing'.*but got EffectExecuted"),
    "WHY_ANSWERED": (_forgets_why, "the entry's hash: expected"),
}
SABOTAGE_C: Broken = {
    "SPEND_DECIDED": (_accepts_everything, "carpet: expected 'rejected'"),
    "NONCE_SPENT": (_cites_another_decision, "namely this one: expected"),
    "POSITION_MOVED_ONCE": (_executes_again, "but it was allowed"),
    "USED_NONCE_REFUSED": (_takes_old_numbers, "but it was allowed"),
    "REJECTED_NONCE_REFUSED": (_gives_rejected_numbers_back, "but it was allowed"),
    "FUTURE_NONCE_REFUSED": (_takes_numbers_to_come, "but it was allowed"),
    "ALTERED_AMOUNT_REFUSED": (_compares_nothing, "but it was allowed"),
}
"""For each marker one rule that, broken, must take it away, and by what the flow notices.

The latter is a regular expression that is found in what the stopped flow says.
"""

SABOTAGE_MONEY: dict[str, Broken] = {"1": SABOTAGE_1, "2": SABOTAGE_2, "c": SABOTAGE_C}
"""The same by the flow's name."""
