"""Votes that were given in time and are missing in a tally: proofs that need no node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.ballots import commitment_of
from opkit.proof.checks import VERIFIED, Check, Verdict
from opkit.proof.keys import Identity
from opkit.proof.omission import verify_omission, verify_omission_attested
from tests.opkit.proof.assemblies import salt_of, tampered

TOOLS = "tool-library"
STRANGER = Identity.from_seed(b"\7" * 32)
CLOSES_MS = 605_800_000


class Missed:
    """A vote of four in which Kim's no was taken, and is missing in what was decided."""

    def __init__(self, assembly: Any, **changes: Any) -> None:
        """Cast four votes and leave one out."""
        self.assembly = assembly
        self.proposal = assembly.proposal(**changes)
        self.hash = jws.record_id(self.proposal)
        self.others = [assembly.ballot(name, "yes", self.hash) for name in ("ilse", "jan")]
        self.last = assembly.ballot("mira", "yes", self.hash)
        self.kim = assembly.ballot("kim", "no", self.hash)

    def file(self, *kims: str, **changes: Any) -> Any:
        """Return the decision's file with these ballots of Kim's."""
        ballots = [*self.others, *kims, self.last]
        return self.assembly.file(ballots, proposal=self.proposal, **changes)

    def attested(self, *kims: str) -> Any:
        """Return what leaves the coop of the decision with these ballots of Kim's."""
        return self.assembly.attested(self.file(*kims))

    def show(self, file: Any = None, **changes: Any) -> Any:
        """Return the verdict over the omission."""
        fields = {
            "ballot": self.kim,
            "receipt": self.assembly.receipt(self.kim),
            "genesis": self.assembly.network.view,
            **changes,
        }
        return verify_omission(self.file() if file is None else file, **fields)


@pytest.fixture(scope="module")
def missed(assembly: Any) -> Missed:
    return Missed(assembly)


def test_the_homes_own_receipt_proves_that_it_left_a_vote_out(missed: Missed) -> None:
    verdict = missed.show()
    assert verdict.status == VERIFIED, verdict.failures
    assert verdict.subject == f"vote of {TOOLS}/kim left out by the home"


def shown(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """Return what each check expected and what it found."""
    assert isinstance(verdict.checks, tuple) and verdict.anchored
    return {check.name: (check.expected, check.actual) for check in verdict.checks}


def failed(verdict: Verdict) -> dict[str, str]:
    """Return what was found where a check does not hold."""
    return {check.name: check.actual for check in verdict.failures}


def test_each_check_shows_what_was_expected_and_what_was_found(missed: Missed) -> None:
    kim = missed.assembly.keys[f"{TOOLS}/kim"].did
    same = {
        "decision-signature": "verifies",
        "ballot-signature": "verifies",
        "receipt-signature": "verifies",
        "proposal": missed.hash,
        "assembly": TOOLS,
        "elector-key": kim,
        "receipt-ballot": jws.record_id(missed.kim),
        "receipt-member": f"{TOOLS}/kim",
        "receipt-proposal": missed.hash,
        "given-in-time": "in time",
    }
    acknowledged = {
        **{name: (value, value) for name, value in same.items()},
        "missing-in-tally": ("neither it nor what replaced it", "not there"),
    }
    assert shown(missed.show()) == acknowledged
    lodged = missed.show(receipt=missed.assembly.receipt(missed.kim, lodged=True))
    assert shown(lodged) == {
        **acknowledged,
        "given-in-time": (f"before {CLOSES_MS}", "1000001"),
    }


def test_what_was_counted_of_the_member_is_told(missed: Missed) -> None:
    ballot = missed.assembly.ballot
    later = ballot("kim", "no", missed.hash, sequence=3)
    receipt = missed.assembly.receipt(later)
    counted = [ballot("kim", said, missed.hash, sequence=n) for n, said in ((1, "yes"), (2, "no"))]
    for kims, told in (
        (counted[:1], "yes with sequence 1"),
        (counted, "yes with sequence 1 and no with sequence 2"),
    ):
        verdict = missed.show(missed.file(*kims), ballot=later, receipt=receipt)
        assert verdict.ok, verdict.failures
        assert shown(verdict)["missing-in-tally"][1] == told
    # In whatever place it stands: what is there is not missing.
    assert not missed.show(missed.file(*counted, later), ballot=later, receipt=receipt).ok


def test_what_cannot_be_read_is_looked_at_no_further(missed: Missed) -> None:
    file = missed.file()
    signed = Check(name="decision-signature", ok=True, expected="verifies", actual="verifies")
    why = "not a compact JWS"
    first = Check(name="decision-signature", ok=False, expected="verifies", actual=why)
    assert missed.show(file.model_copy(update={"decision": "x"})) == Verdict(
        subject="vote left out", checks=(first,), anchored=True
    )
    second = Check(name="ballot-signature", ok=False, expected="verifies", actual=why)
    receipt = missed.assembly.receipt(missed.kim)
    assert missed.show(file, ballot="x", receipt=receipt) == Verdict(
        subject="vote left out", checks=(signed, second), anchored=True
    )


def test_nothing_of_another_network_shows_or_hides_an_omission(missed: Missed) -> None:
    elsewhere = missed.assembly.ballot("kim", "no", missed.hash, network="b" * 26, sequence=2)
    receipt = missed.assembly.receipt(missed.kim)
    why = "it belongs to another network"
    for verdict, name in (
        (missed.show(missed.file(network="b" * 26)), "decision-signature"),
        (missed.show(ballot=elsewhere, receipt=receipt), "ballot-signature"),
        (shown_by(missed, missed.attested(), ballot=elsewhere), "ballot-signature"),
    ):
        assert shown(verdict)[name] == ("verifies", why)
    assert missed.show(missed.file(elsewhere)).ok


def test_a_coop_that_is_none_has_no_home_that_leaves_out(missed: Missed) -> None:
    home = missed.assembly.home.did
    assert shown(missed.show(missed.file(aud="bakery"))) == {
        "decision-signature": ("verifies", f"{home} is not the home node of bakery")
    }


def test_of_a_copy_that_was_cut_it_says_that_the_copy_lacks_it(missed: Missed) -> None:
    whole = missed.file(missed.kim)
    cut = whole.model_copy(update={"ballots": whole.ballots[:2] + whole.ballots[3:]})
    verdict = missed.show(cut)
    assert verdict.ok
    assert verdict.subject.endswith("left out of this copy of the file")
    assert not missed.show(whole).ok


def test_what_another_node_was_given_in_time_proves_it_too(missed: Missed) -> None:
    for world_ms, shown in ((CLOSES_MS - 1, True), (CLOSES_MS, False)):
        receipt = missed.assembly.receipt(missed.kim, lodged=True, world_ms=world_ms)
        verdict = missed.show(receipt=receipt)
        assert verdict.ok is shown
        assert {check.name for check in verdict.failures} <= {"given-in-time"}


def test_what_was_lodged_after_an_early_close_was_too_late(missed: Missed) -> None:
    file = missed.file(closed_ms=1_000_500, challenge_ends_ms=1_000_500, outcome="cancelled")
    for world_ms, shown in ((1_000_499, True), (1_000_500, False)):
        receipt = missed.assembly.receipt(missed.kim, lodged=True, world_ms=world_ms)
        assert missed.show(file, receipt=receipt).ok is shown


def test_what_the_home_acknowledged_it_had_to_count_whenever_it_was(missed: Missed) -> None:
    receipt = missed.assembly.receipt(missed.kim, world_ms=CLOSES_MS + 5)
    assert missed.show(receipt=receipt).ok


@pytest.mark.parametrize(
    ("choice", "sequence", "lodged", "final", "shown"),
    [
        ("no", 1, False, False, False),
        ("no", 1, True, False, False),
        ("yes", 2, False, False, False),
        ("yes", 2, True, False, False),
        # The home acknowledged a no and counted a yes that the member signed with one sequence.
        ("yes", 1, False, False, True),
        # Elsewhere a member may have lodged a second choice with the same sequence.
        ("yes", 1, True, False, False),
        # Where votes are final the first one stands, and the home knows which was first.
        ("yes", 2, False, True, True),
        ("no", 2, False, True, True),
        ("yes", 2, True, True, False),
    ],
)
def test_what_rightly_stands_instead_of_a_vote_hides_nothing(
    assembly: Any, choice: str, sequence: int, lodged: bool, final: bool, shown: bool
) -> None:
    rule = jws.peek(assembly.proposal()).payload["rule"]
    missed = Missed(assembly, rule={**rule, "votes_final": final, "decision": "3" * 64})
    counted = assembly.ballot("kim", choice, missed.hash, sequence=sequence, issued_at_ms=12)
    receipt = assembly.receipt(missed.kim, lodged=lodged)
    verdict = missed.show(missed.file(counted), receipt=receipt)
    assert verdict.ok is shown
    assert {check.name for check in verdict.failures} <= {"missing-in-tally"}


@pytest.mark.parametrize("lodged", [False, True])
def test_an_earlier_vote_does_not_stand_instead_of_a_later_one(
    missed: Missed, lodged: bool
) -> None:
    later = missed.assembly.ballot("kim", "no", missed.hash, sequence=2)
    first = missed.assembly.ballot("kim", "yes", missed.hash)
    receipt = missed.assembly.receipt(later, lodged=lodged)
    verdict = missed.show(missed.file(first), ballot=later, receipt=receipt)
    assert verdict.ok, verdict.failures


def test_a_forged_ballot_in_the_file_hides_nothing(missed: Missed) -> None:
    start, _, signature = missed.kim.rpartition(".")
    forged = f"{start}.{signature[::-1]}"
    assert missed.show(missed.file(forged)).ok


@pytest.mark.parametrize("name", ["ilse", "jan", "mira"])
def test_whoever_may_vote_shows_it_by_whatever_chain_they_have(missed: Missed, name: str) -> None:
    """By the operator's link, by two, or by the charter alone."""
    ballot = missed.assembly.ballot(name, "no", missed.hash)
    file = missed.assembly.file([missed.kim], proposal=missed.proposal)
    verdict = missed.show(file, ballot=ballot, receipt=missed.assembly.receipt(ballot))
    assert verdict.status == VERIFIED, verdict.failures


def test_a_ballot_by_the_member_in_another_name_hides_nothing(missed: Missed) -> None:
    kim = missed.assembly.keys[f"{TOOLS}/kim"]
    misnamed = missed.assembly.ballot("ondrej", "yes", missed.hash, sequence=9, signer=kim)
    assert missed.show(missed.file(misnamed)).ok


def test_a_ballot_in_the_members_name_by_another_key_hides_nothing(missed: Missed) -> None:
    for signer in (STRANGER, missed.assembly.home, missed.assembly.keys[f"{TOOLS}/jan"]):
        forged = missed.assembly.ballot("kim", "yes", missed.hash, sequence=9, signer=signer)
        verdict = missed.show(missed.file(forged))
        assert verdict.status == VERIFIED, verdict.failures
        assert verdict.subject == f"vote of {TOOLS}/kim left out by the home"


def test_a_ballot_on_something_else_in_the_file_hides_nothing(missed: Missed) -> None:
    elsewhere = missed.assembly.ballot("kim", "no", "0" * 64, sequence=5)
    assert missed.show(missed.file(elsewhere)).ok
    assert not missed.show(missed.file(elsewhere, missed.kim)).ok


def test_what_is_no_ballot_at_all_in_the_file_hides_nothing(missed: Missed) -> None:
    file = missed.file()
    junk = file.ballots[0].model_copy(update={"ballot": "no-token"})
    verdict = missed.show(file.model_copy(update={"ballots": (*file.ballots, junk)}))
    assert verdict.subject == f"vote of {TOOLS}/kim left out of this copy of the file"
    whole = file.model_copy(update={"ballots": (junk, *missed.file(missed.kim).ballots)})
    assert {check.name for check in missed.show(whole).failures} == {"missing-in-tally"}


def stranger_shows(missed: Missed) -> Any:
    ballot = missed.assembly.ballot("kim", "no", missed.hash, signer=STRANGER)
    return missed.show(ballot=ballot, receipt=missed.assembly.receipt(ballot))


def outsider_shows(missed: Missed) -> Any:
    ballot = missed.assembly.ballot("zoe", "no", missed.hash, signer=STRANGER)
    return missed.show(ballot=ballot, receipt=missed.assembly.receipt(ballot))


def elsewhere_shown(missed: Missed) -> Any:
    ballot = missed.assembly.ballot("kim", "no", "0" * 64)
    return missed.show(ballot=ballot, receipt=missed.assembly.receipt(ballot))


def neighbour_shows(missed: Missed) -> Any:
    ruth = missed.assembly.network.members["building-yard/ruth"]
    ballot = missed.assembly.ballot(
        "", "no", missed.hash, member_id="building-yard/ruth", signer=ruth
    )
    yard = missed.assembly.network.nodes["building-yard"]
    return missed.show(ballot=ballot, receipt=missed.assembly.receipt(ballot, signer=yard))


def by_another_home(missed: Missed) -> Any:
    yard = missed.assembly.network.nodes["building-yard"]
    return missed.show(missed.file(signer=yard))


BREAKS: dict[str, tuple[Callable[[Missed], Any], set[str]]] = {
    "a forged decision": (
        lambda m: m.show(m.file().model_copy(update={"decision": tampered(m.file().decision)})),
        {"decision-signature"},
    ),
    "another node's decision": (by_another_home, {"decision-signature"}),
    "a forged ballot": (lambda m: m.show(ballot=tampered(m.kim)), {"ballot-signature"}),
    "a forged receipt": (
        lambda m: m.show(receipt=tampered(m.assembly.receipt(m.kim))),
        {"receipt-signature"},
    ),
    "a receipt by the member": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, signer=m.assembly.keys[f"{TOOLS}/kim"])),
        {"receipt-signature"},
    ),
    "lodged with the home": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, lodged=True, signer=m.assembly.home)),
        {"receipt-signature"},
    ),
    "lodged with nobody": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, lodged=True, signer=STRANGER)),
        {"receipt-signature"},
    ),
    "a vote on something else": (elsewhere_shown, {"proposal"}),
    "a neighbour's vote": (neighbour_shows, {"assembly", "elector-key"}),
    "a vote with no key of theirs": (stranger_shows, {"elector-key"}),
    "a vote of no elector": (outsider_shows, {"elector-key"}),
    "a receipt for another ballot": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, ballot="0" * 64)),
        {"receipt-ballot"},
    ),
    "a receipt for another member": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, member_id=f"{TOOLS}/jan")),
        {"receipt-member"},
    ),
    "a receipt on another proposal": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, proposal="0" * 64)),
        {"receipt-proposal"},
    ),
    "lodged too late": (
        lambda m: m.show(receipt=m.assembly.receipt(m.kim, lodged=True, world_ms=CLOSES_MS)),
        {"given-in-time"},
    ),
    "a vote that was counted": (lambda m: m.show(m.file(m.kim)), {"missing-in-tally"}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_nothing_else_proves_an_omission(missed: Missed, name: str) -> None:
    show, expected = BREAKS[name]
    assert {check.name for check in show(missed).failures} == expected


def test_every_check_is_broken_by_something(missed: Missed) -> None:
    broken = set().union(*(names for _, names in BREAKS.values()))
    assert {check.name for check in missed.show().checks} == broken


def test_an_elector_without_a_chain_proves_nothing(missed: Missed) -> None:
    electors = tuple(
        each.model_copy(update={"records": ()}) if each.member_id.endswith("kim") else each
        for each in missed.assembly.electors
    )
    why = f"nothing shows that {TOOLS}/kim is a member"
    assert failed(missed.show(missed.file(electors=electors))) == {"elector-key": why}
    # Nor does one that began after the opening: it shows no key of then.
    late = missed.assembly.network.record(
        f"{TOOLS}/kim", did=missed.assembly.keys[f"{TOOLS}/kim"].did
    )
    electors = tuple(
        each.model_copy(update={"later": (late,)}) if not each.records else each
        for each in electors
    )
    assert failed(missed.show(missed.file(electors=electors)))["elector-key"] == why


def test_a_vote_with_the_key_that_came_after_the_opening_is_the_electors(missed: Missed) -> None:
    later = Identity.generate()
    link = missed.assembly.decided(f"{TOOLS}/kim", did=later.did, sequence=3)
    electors = tuple(
        each.model_copy(update={"later": (link,)}) if each.member_id.endswith("kim") else each
        for each in missed.assembly.electors
    )
    ballot = missed.assembly.ballot("kim", "no", missed.hash, signer=later)
    receipt = missed.assembly.receipt(ballot)
    verdict = missed.show(missed.file(electors=electors), ballot=ballot, receipt=receipt)
    assert verdict.ok
    now = missed.assembly.keys[f"{TOOLS}/kim"].did
    assert shown(verdict)["elector-key"] == (f"{now} or {later.did}", later.did)
    assert missed.show(missed.file(electors=electors)).ok, "that of the opening still counts"
    assert not missed.show(ballot=ballot, receipt=receipt).ok


# With what leaves the coop.


def shown_by(missed: Missed, file: Any, **changes: Any) -> Any:
    """Return the verdict over an omission from what left the coop."""
    fields = {
        "ballot": missed.kim,
        "receipt": missed.assembly.receipt(missed.kim),
        "genesis": missed.assembly.network.view,
        **changes,
    }
    return verify_omission_attested(file, **fields)


def test_the_salt_in_the_receipt_shows_that_nothing_commits_to_a_vote(missed: Missed) -> None:
    verdict = shown_by(missed, missed.attested())
    assert verdict.status == VERIFIED
    assert verdict.subject == f"vote not committed to: {TOOLS}/kim"
    same = {
        "attestation": "verifies",
        "ballot-signature": "verifies",
        "receipt-signature": "verifies",
        "proposal": missed.hash,
        "receipt-ballot": jws.record_id(missed.kim),
        "receipt-member": f"{TOOLS}/kim",
        "receipt-proposal": missed.hash,
    }
    commitment = commitment_of(jws.record_id(missed.kim), salt_of(missed.kim))
    assert shown(verdict) == {
        **{name: (value, value) for name, value in same.items()},
        "commitment-missing": (f"no {commitment}", "it is not there"),
    }
    there = shown_by(missed, missed.attested(missed.kim))
    assert failed(there) == {"commitment-missing": "it is there"}


def test_of_what_left_the_coop_nothing_is_shown_by_what_cannot_be_read(missed: Missed) -> None:
    file, receipt = missed.attested(), missed.assembly.receipt(missed.kim)
    names = ("attestation", "ballot-signature", "receipt-signature")
    why = "not a compact JWS"
    for at, (said, changes, found) in enumerate(
        (
            (file.model_copy(update={"attested": "x"}), {}, "attestation-signature"),
            (file, {"ballot": "x", "receipt": receipt}, why),
            (file, {"receipt": "x"}, why),
        )
    ):
        verdict = shown_by(missed, said, **changes)
        assert verdict.subject == "vote not committed to"
        assert tuple(shown(verdict)) == names
        assert failed(verdict) == {names[at]: found}


def test_of_what_is_wrong_with_an_attestation_the_first_is_named(missed: Missed) -> None:
    file = missed.attested()
    cut = file.model_copy(update={"commitments": file.commitments[1:]})
    assert failed(shown_by(missed, cut)) == {"attestation": "commitments-root"}


ATTESTED_BREAKS: dict[str, tuple[Callable[[Missed], Any], set[str]]] = {
    "a forged ballot": (
        lambda m: shown_by(m, m.assembly.attested(m.file()), ballot=tampered(m.kim)),
        {"ballot-signature"},
    ),
    "a lodging receipt": (
        lambda m: shown_by(
            m, m.assembly.attested(m.file()), receipt=m.assembly.receipt(m.kim, lodged=True)
        ),
        {"receipt-signature"},
    ),
    "an attestation by somebody": (
        lambda m: shown_by(m, m.assembly.attested(m.file(), signer=STRANGER)),
        {"attestation"},
    ),
    "on something else": (
        lambda m: shown_by(
            m,
            m.assembly.attested(m.file()),
            ballot=m.assembly.ballot("kim", "no", "0" * 64),
            receipt=m.assembly.receipt(m.assembly.ballot("kim", "no", "0" * 64)),
        ),
        {"proposal"},
    ),
    "another ballot": (
        lambda m: shown_by(
            m, m.assembly.attested(m.file()), receipt=m.assembly.receipt(m.kim, ballot="0" * 64)
        ),
        {"receipt-ballot"},
    ),
}


@pytest.mark.parametrize("name", ATTESTED_BREAKS)
def test_nothing_else_shows_that_a_commitment_is_missing(missed: Missed, name: str) -> None:
    show, expected = ATTESTED_BREAKS[name]
    assert {check.name for check in show(missed).failures} == expected
