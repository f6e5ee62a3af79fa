"""Receipts and manifests: each named check can be lost, and only by what it names."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof import receipt as proof
from opkit.proof.checks import Check, ProofError, Verdict
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.membership import founding_members
from opkit.proof.receipt import (
    claimed_receipt,
    verify_chain,
    verify_manifest,
    verify_receipt,
)
from opkit.wire.base import Jws, Wire
from opkit.wire.compute import TASK_TYP, Outcome, ReceiptBundle, TaskLimits
from opkit.wire.network import EngineId
from tests.opkit.proof.grant_cases import CHECKS, grant_by, sabotaged, task_under

MIRA = "tool-library/mira"
STRANGER = Identity.generate()


def failed(verdict: Verdict) -> set[str]:
    """Return the names of the checks that do not hold."""
    assert verdict.status == "failed"
    return {check.name for check in verdict.failures}


def test_a_good_receipt_verifies_against_the_genesis(network: Any) -> None:
    verdict = verify_receipt(network.bundle(), genesis=network.view)
    assert verdict.status == "verified", verdict.failures
    assert network.nodes["building-yard"].did in verdict.subject
    assert [check.name for check in verdict.checks] == [
        "receipt-signature",
        "executor-known",
        "manifest-signature",
        "manifest-cited",
        "network",
        "submitter",
        "executor-asked",
        "task-id",
        "module-hash",
        "input-hash",
        "limits-agreed",
        "hashes-well-formed",
        "output-named",
        "fuel-kept",
        "memory-kept",
        "output-kept",
        "time-kept",
        "engine-named",
        "chain-start",
        "time-forward",
    ]


def shown(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """Return what each check expected and what it found."""
    assert isinstance(verdict.checks, tuple), "a verdict is not added to"
    return {check.name: (check.expected, check.actual) for check in verdict.checks}


def test_each_check_shows_what_was_expected_and_what_was_found(network: Any) -> None:
    """People read the evidence, not only its verdict."""
    asked = network.nodes["tool-library"].did
    manifest = network.manifest(aud=asked)
    bundle = ReceiptBundle(receipt=network.receipt(manifest, fuel_used=7), manifest=manifest)
    verdict = verify_receipt(bundle, genesis=network.view)
    executor, cited = network.nodes["building-yard"].did, jws.record_id(manifest)
    assert verdict.subject == f"receipt 1 of generation 1 by {executor}"
    limits = TaskLimits()
    assert shown(verdict) == {
        "receipt-signature": ("verifies", "verifies"),
        "executor-known": ("a node of the network", "Building-Yard"),
        "manifest-signature": ("verifies", "verifies"),
        "manifest-cited": (cited, cited),
        "network": (network.name, network.name),
        "submitter": (MIRA, MIRA),
        "executor-asked": (asked, executor),
        "task-id": ("0" * 32, "0" * 32),
        "module-hash": (cid_of(b"module"), cid_of(b"module")),
        "input-hash": (cid_of(b"input"), cid_of(b"input")),
        "limits-agreed": (str(limits), str(limits)),
        "hashes-well-formed": ("verifies", "verifies"),
        "output-named": ("an output", "an output"),
        "fuel-kept": (f"at most {limits.fuel}", "7"),
        "memory-kept": (f"at most {limits.memory_bytes}", "65536"),
        "output-kept": (f"at most {limits.output_bytes}", "6"),
        "time-kept": (f"at most {limits.time_ms * 1_000}", "2000"),
        "engine-named": ("name, version and settings", "wasmtime 50 abc"),
        "chain-start": ("no previous", "no previous"),
        "time-forward": ("at most 13", "11"),
    }


def test_a_strangers_receipt_shows_whose_it_is(network: Any) -> None:
    manifest = network.manifest(signer=STRANGER)
    bundle = ReceiptBundle(receipt=network.receipt(manifest, signer=STRANGER), manifest=manifest)
    found = shown(verify_receipt(bundle, genesis=network.view))
    assert found["executor-known"] == ("a node of the network", f"{STRANGER.did} is none")
    why = f"{STRANGER.did} is no key of {MIRA} by genesis and records"
    assert found["manifest-signature"] == ("verifies", why)


def test_what_is_no_manifest_is_cited_by_nobody(network: Any) -> None:
    broken = network.bundle().model_copy(update={"manifest": "x"})
    assert shown(verify_receipt(broken, genesis=None))["manifest-cited"] == (
        "verifies",
        "not a compact JWS",
    )


def test_a_receipt_that_cannot_be_read_has_one_check_and_no_name(network: Any) -> None:
    bundle = ReceiptBundle(receipt="x", manifest=network.manifest())
    signed = Check(
        name="receipt-signature", ok=False, expected="verifies", actual="not a compact JWS"
    )
    for genesis in (network.view, None):
        assert verify_receipt(bundle, genesis=genesis) == Verdict(
            subject="receipt", checks=(signed,), anchored=genesis is not None
        )


class Odd(Wire):
    """What somebody signs as a manifest whose names are no texts."""

    network: tuple[int, ...] = (5,)
    member_id: tuple[int, ...] = (7,)


def test_a_manifest_whose_names_are_no_texts_is_refused_like_any_other(network: Any) -> None:
    odd = jws.sign(Odd(), typ=TASK_TYP, identity=STRANGER)
    bundle = network.bundle().model_copy(update={"manifest": odd})
    for genesis in (network.view, None):
        assert "manifest-signature" in failed(verify_receipt(bundle, genesis=genesis))


def test_without_a_genesis_it_is_only_consistent(network: Any) -> None:
    verdict = verify_receipt(network.bundle(), genesis=None)
    assert verdict.status == "consistent, signer unknown"
    assert not verdict.anchored


def test_a_receipt_forged_whole_with_own_keys_is_consistent_but_never_verified(
    network: Any,
) -> None:
    manifest = network.manifest(signer=STRANGER)
    forged = ReceiptBundle(receipt=network.receipt(manifest, signer=STRANGER), manifest=manifest)
    assert verify_receipt(forged, genesis=None).status == "consistent, signer unknown"
    assert failed(verify_receipt(forged, genesis=network.view)) == {
        "executor-known",
        "manifest-signature",
    }


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"aud": "tool-library/ondrej"}, "submitter"),
        ({"manifest_hash": "0" * 64}, "manifest-cited"),
        ({"task_id": "1" * 32}, "task-id"),
        ({"wasm_hash": cid_of(b"other")}, "module-hash"),
        ({"input_hash": cid_of(b"other")}, "input-hash"),
        ({"limits": TaskLimits(fuel=999_999_999)}, "limits-agreed"),
        ({"output_hash": None}, "output-named"),
        ({"outcome": Outcome.TRAP}, "output-named"),
        ({"output_hash": cid_of(b"x")[:-1] + "z"}, "hashes-well-formed"),
        ({"fuel_used": 1_000_000_001}, "fuel-kept"),
        ({"memory_peak_bytes": 67_108_865}, "memory-kept"),
        ({"output_bytes": 1_048_577}, "output-kept"),
        ({"time_used_us": 5_000_001}, "time-kept"),
        ({"engine": EngineId(name="wasmtime", version="50", settings="")}, "engine-named"),
        ({"sequence": 2}, "chain-start"),
        ({"previous": "0" * 64}, "chain-start"),
        ({"ended_at_ms": 10}, "time-forward"),
        ({"signer": STRANGER}, "executor-known"),
    ],
)
def test_each_contradiction_loses_the_check_that_names_it(
    network: Any, changes: dict[str, Any], lost: str
) -> None:
    assert failed(verify_receipt(network.bundle(**changes), genesis=network.view)) == {lost}


@pytest.mark.parametrize(
    "changes",
    [
        {"fuel_used": 1_000_000_000},
        {"memory_peak_bytes": 67_108_864},
        {"output_bytes": 1_048_576},
        {"time_used_us": 5_000_000},
        {"ended_at_ms": 11},
        {"sequence": 2, "previous": "0" * 64},
        {"outcome": Outcome.TRAP, "output_hash": None},
        {"outcome": Outcome.TIME, "output_hash": None, "time_used_us": 5_300_000},
    ],
)
def test_exactly_at_a_limit_it_still_holds(network: Any, changes: dict[str, Any]) -> None:
    verdict = verify_receipt(network.bundle(**changes), genesis=network.view)
    assert verdict.ok, verdict.failures


def test_a_receipt_of_another_executor_than_the_named_one_is_caught(network: Any) -> None:
    asked = network.nodes["tool-library"].did
    manifest = network.manifest(aud=asked)
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    assert failed(verify_receipt(bundle, genesis=network.view)) == {"executor-asked"}


def test_a_receipt_in_a_nodes_name_by_another_key_is_caught(network: Any) -> None:
    """The executor that a receipt names is the key it is verified against, not its `kid`."""
    named = network.nodes["building-yard"].did
    forged = network.bundle(signer=STRANGER, executor=named)
    for genesis in (network.view, None):
        assert failed(verify_receipt(forged, genesis=genesis)) == {"receipt-signature"}


def test_a_receipt_that_is_no_receipt_fails_with_the_reason(network: Any) -> None:
    for receipt in ("x", network.manifest(), network.bundle().receipt[:-8] + "AAAAAAAA"):
        bundle = ReceiptBundle(receipt=receipt, manifest=network.manifest())
        for genesis in (network.view, None):
            assert failed(verify_receipt(bundle, genesis=genesis)) == {"receipt-signature"}


def test_a_manifest_that_is_no_manifest_fails_with_the_reason(network: Any) -> None:
    bundle = network.bundle()
    broken = bundle.model_copy(update={"manifest": "x"})
    both = {"manifest-signature", "manifest-cited"}
    assert failed(verify_receipt(broken, genesis=network.view)) == both
    assert failed(verify_receipt(broken, genesis=None)) == both


def test_a_manifest_that_ends_before_it_was_issued_is_refused(network: Any) -> None:
    manifest = network.manifest(expires_at_ms=10)
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    assert failed(verify_receipt(bundle, genesis=network.view)) == {"manifest-signature"}


def test_objects_of_an_earlier_network_of_the_same_people_are_refused(
    network: Any, rebuilt: Any
) -> None:
    assert failed(verify_receipt(rebuilt.bundle(), genesis=network.view)) == {"receipt-signature"}
    manifest = rebuilt.manifest()
    mixed = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    assert failed(verify_receipt(mixed, genesis=network.view)) == {"manifest-signature"}
    assert failed(verify_receipt(mixed, genesis=None)) == {"network"}


def test_a_later_members_receipt_needs_the_records_that_made_them_one(network: Any) -> None:
    ilse = Identity.generate()
    record = network.record("tool-library/ilse", did=ilse.did)
    manifest = network.manifest("tool-library/ilse", signer=ilse)
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    assert failed(verify_receipt(bundle, genesis=network.view)) == {"manifest-signature"}
    proven = bundle.model_copy(update={"records": (record,)})
    assert verify_receipt(proven, genesis=network.view).status == "verified"
    forged = network.record("tool-library/ilse", did=ilse.did, signer=ilse)
    claimed = bundle.model_copy(update={"records": (forged,)})
    assert failed(verify_receipt(claimed, genesis=network.view)) == {"manifest-signature"}


def test_a_receipt_outlives_its_submitters_revocation_and_new_key(network: Any) -> None:
    """The records that come with a bundle may tell what happened after the task."""
    did = network.members[MIRA].did
    bundle = network.bundle()
    records = (
        network.record(MIRA, did=did, action="revoke"),
        network.record(MIRA, did=Identity.generate().did, sequence=2),
    )
    later = bundle.model_copy(update={"records": records})
    assert verify_receipt(later, genesis=network.view).status == "verified"


def test_a_member_submits_with_the_key_that_they_were_given_last(network: Any) -> None:
    key = Identity.generate()
    records = (network.record(MIRA, did=key.did),)
    manifest = network.manifest(signer=key)
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest, records=records)
    assert verify_receipt(bundle, genesis=network.view).status == "verified"


def test_a_manifest_is_taken_from_its_active_member_with_their_current_key(network: Any) -> None:
    mira = founding_members(network.view)[MIRA]
    assert verify_manifest(network.manifest(), genesis=network.view, member=mira).aud == "any"


def test_a_manifest_of_a_revoked_or_other_member_or_old_key_is_refused(network: Any) -> None:
    mira = founding_members(network.view)[MIRA]
    ondrej = network.members["tool-library/ondrej"]
    for manifest, member, why in (
        (network.manifest(), mira.model_copy(update={"active": False}), "no active member"),
        (network.manifest(signer=ondrej), mira, "signed by"),
        (
            network.manifest(member_id="tool-library/ondrej", signer=network.members[MIRA]),
            mira,
            "a task of tool-library/ondrej",
        ),
        (network.manifest(), mira.model_copy(update={"did": STRANGER.did}), "signed by"),
    ):
        with pytest.raises(ProofError, match=why):
            verify_manifest(manifest, genesis=network.view, member=member)


# Of tasks under a grant.


@pytest.mark.parametrize("lost", CHECKS)
def test_a_task_that_goes_beyond_its_grant_is_not_taken(network: Any, lost: str) -> None:
    mira = founding_members(network.view)[MIRA]
    with pytest.raises(ProofError, match=f"^{lost} is .*, not "):
        verify_manifest(sabotaged(network)[lost], genesis=network.view, member=mira)
    covered = verify_manifest(
        task_under(network, grant_by(network)), genesis=network.view, member=mira
    )
    assert covered.member_id == MIRA


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("lost", CHECKS)
def test_a_receipt_shows_that_its_task_went_beyond_its_grant(
    network: Any, lost: str, anchored: bool
) -> None:
    manifest = sabotaged(network)[lost]
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    verdict = verify_receipt(bundle, genesis=network.view if anchored else None)
    wrong = {check.name for check in verdict.failures}
    # In the name of another member it is not even signed by the right key.
    assert wrong in ({lost}, {"manifest-signature"}), verdict.failures
    assert wrong == {lost} or lost == "grant-member"


def test_the_receipt_of_a_granted_task_verifies_offline(network: Any) -> None:
    manifest = task_under(network, grant_by(network))
    bundle = ReceiptBundle(receipt=network.receipt(manifest), manifest=manifest)
    verdict = verify_receipt(bundle, genesis=network.view)
    assert verdict.status == "verified", verdict.failures
    assert [each.name for each in verdict.checks if each.name.startswith("grant")] == list(CHECKS)
    assert verify_receipt(bundle, genesis=None).status == "consistent, signer unknown"


# Chains.


def chain(network: Any, length: int, **changes: Any) -> list[Jws]:
    """Return `length` receipts of one executor, linked; `changes` apply to the last."""
    receipts: list[Jws] = []
    for sequence in range(1, length + 1):
        previous = jws.record_id(receipts[-1]) if receipts else None
        manifest = network.manifest(task_id=f"{sequence:032x}")
        more = changes if sequence == length else {}
        receipts.append(
            network.receipt(manifest, **{"sequence": sequence, "previous": previous, **more})
        )
    return receipts


def test_an_unbroken_chain_verifies_whole_and_from_anywhere(network: Any) -> None:
    receipts = chain(network, 4)
    for piece in (receipts, receipts[2:], receipts[:1]):
        assert verify_chain(piece, genesis=network.view).status == "verified"
        assert verify_chain(piece, genesis=None).status == "consistent, signer unknown"


@pytest.mark.parametrize(
    "changes",
    [
        {"previous": "0" * 64},
        {"sequence": 4},
        {"generation": 2},
        {"previous": None},
    ],
)
def test_a_link_that_does_not_follow_is_named(network: Any, changes: dict[str, Any]) -> None:
    verdict = verify_chain(chain(network, 3, **changes), genesis=network.view)
    assert failed(verdict) == {"receipt 3 link"}


def test_a_receipt_left_out_doubled_or_moved_breaks_the_chain(network: Any) -> None:
    one, two, three = chain(network, 3)
    for broken in ([one, three], [one, two, two], [two, one, three]):
        assert "receipt 2 link" in failed(verify_chain(broken, genesis=network.view)) or (
            "receipt 3 link" in failed(verify_chain(broken, genesis=network.view))
        )


def test_two_executors_make_no_chain(network: Any) -> None:
    first = chain(network, 1)[0]
    other = network.receipt(
        network.manifest(),
        signer=network.nodes["tool-library"],
        sequence=2,
        previous=jws.record_id(first),
    )
    assert failed(verify_chain([first, other], genesis=network.view)) == {"receipt 2 link"}


def test_a_chain_that_starts_at_one_has_nothing_before_it(network: Any) -> None:
    verdict = verify_chain(chain(network, 1, previous="0" * 64), genesis=network.view)
    assert failed(verdict) == {"receipt 1 link"}


def test_a_strangers_chain_or_a_broken_signature_is_caught(network: Any) -> None:
    strangers = chain(network, 1, signer=STRANGER)
    assert failed(verify_chain(strangers, genesis=network.view)) == {"executor-known"}
    one, two = chain(network, 2)
    broken = [one, two[:-8] + "AAAAAAAA", "x"]
    assert failed(verify_chain(broken, genesis=network.view)) == {"receipt 2 signature"}


def test_no_receipts_are_no_chain(network: Any) -> None:
    for genesis in (network.view, None):
        length = Check(name="length", ok=False, expected="1 to 100000 receipts", actual="0")
        assert verify_chain([], genesis=genesis) == Verdict(
            subject="receipt chain", checks=(length,), anchored=genesis is not None
        )


@pytest.mark.parametrize(("length", "ok"), [(3, True), (4, False)])
def test_a_chain_is_not_looked_at_beyond_its_bound(
    network: Any, monkeypatch: pytest.MonkeyPatch, length: int, ok: bool
) -> None:
    monkeypatch.setattr(proof, "CHAIN_MAX", 3)
    verdict = verify_chain(chain(network, length), genesis=network.view)
    assert verdict.ok is ok
    assert len(verdict.checks) == (8 if ok else 1)


def test_a_chain_shows_each_signature_and_each_link(network: Any) -> None:
    receipts = chain(network, 2, sequence=5)
    verdict = verify_chain(receipts, genesis=network.view)
    by, before = network.nodes["building-yard"].did, jws.record_id(receipts[0])
    assert verdict.subject == "receipt chain"
    assert shown(verdict) == {
        "length": ("1 to 100000 receipts", "2"),
        "receipt 1 signature": ("verifies", "verifies"),
        "executor-known": ("a node of the network", "Building-Yard"),
        "receipt 1 link": ("no previous", "no previous"),
        "receipt 2 signature": ("verifies", "verifies"),
        "receipt 2 link": (
            f"{by} generation 1 sequence 2 after {before}",
            f"{by} generation 1 sequence 5 after {before}",
        ),
    }
    assert [check.name for check in verdict.checks].count("executor-known") == 1


def test_a_chain_of_another_network_is_none_of_this_one(network: Any, rebuilt: Any) -> None:
    assert failed(verify_chain(chain(rebuilt, 2), genesis=network.view)) == {"receipt 1 signature"}


def test_what_a_receipt_claims_is_read_without_believing_it(network: Any) -> None:
    token = network.bundle().receipt
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert claimed_receipt(forged) == claimed_receipt(token)
    assert claimed_receipt(token).executor == network.nodes["building-yard"].did
    with pytest.raises(ProofError):
        claimed_receipt("no.token")
