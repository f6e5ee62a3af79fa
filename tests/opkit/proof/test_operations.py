"""Operations and checkpoints as whoever holds them reads them, without any log."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.operations import (
    beginning,
    checkpoint_id,
    read_checkpoint,
    read_fork,
    read_next,
    read_operation,
    reread_operation,
    sign_checkpoint,
    sign_operation,
)
from opkit.wire.base import Jws
from opkit.wire.operations import (
    CHECKPOINT_CHARACTERS_MAX,
    CHECKPOINT_TYP,
    OPERATION_CHARACTERS_MAX,
    OPERATION_TYP,
    VALUE_CHARACTERS_MAX,
    AddAct,
    AdmitAct,
    AssignAct,
    Checkpoint,
    ExpelAct,
    Operation,
    RemoveAct,
)

NETWORK = "a" * 26
AUD = "federation"
KEYS = sorted(
    (Identity.from_seed(bytes([number]) * 32) for number in range(1, 5)), key=lambda k: k.did
)
ADA, BEN, CY, EVE = KEYS
A, B, C = "a" * 64, "b" * 64, "c" * 64


def operation(**changes: Any) -> Operation:
    fields: dict[str, Any] = {
        "network": NETWORK,
        "aud": AUD,
        "did": ADA.did,
        "epoch": 0,
        "base": None,
        "sequence": 2,
        "previous": A,
        "parents": (B, C),
        "time_ms": 1,
        "tick": 0,
        "act": AddAct(element="saw"),
    }
    return Operation(**fields | changes)


def token_of(said: Operation, key: Identity = ADA, typ: str = OPERATION_TYP) -> Jws:
    """Sign what `sign_operation` would not."""
    return jws.sign(said, typ=typ, identity=key)


def test_an_operation_is_read_by_whom_it_names_and_is_its_hash() -> None:
    signed = sign_operation(operation(), ADA)
    read = read_operation(signed.token, network=NETWORK, aud=AUD)
    assert read == signed and read.id == jws.record_id(signed.token)
    assert reread_operation(signed.token) == read


@pytest.mark.parametrize("act", [AdmitAct(did=BEN.did), ExpelAct(did=BEN.did)])
def test_a_voice_about_a_key_is_an_operation(act: Any) -> None:
    signed = sign_operation(operation(act=act), ADA)
    assert read_operation(signed.token, network=NETWORK, aud=AUD).operation.act == act


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (operation(did=BEN.did), "signed by"),
        (operation(network="b" * 26), "another network"),
        (operation(aud="pool"), "on pool, not on federation"),
        (operation(epoch=1), "every other epoch has one"),
        (operation(base=A), "beginning has no checkpoint"),
        (operation(sequence=1), "first operation has none"),
        (operation(previous=None), "every other one has"),
        (operation(parents=(C, B)), "not in order"),
        (operation(parents=(B, B)), "not in order"),
        (operation(parents=(A, B)), "cites the author's previous operation twice"),
        (operation(act=RemoveAct(over=(C, B))), "not in order"),
        (operation(act=AssignAct(value="x", over=(B, B))), "not in order"),
        (operation(act=ExpelAct(did=BEN.did, fork=(B, B))), "not in order"),
        (operation(act=AdmitAct(did="did:key:z6Mk" + "1" * 44)), "did:key"),
    ],
)
def test_an_operation_that_contradicts_itself_or_its_reader_is_refused(
    said: Operation, why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        read_operation(token_of(said), network=NETWORK, aud=AUD)


def test_no_other_type_and_nothing_too_long_is_an_operation() -> None:
    with pytest.raises(ProofError, match="not a 'opkit-operation"):
        read_operation(token_of(operation(), typ="opkit-name+jws"), network=NETWORK, aud=AUD)
    with pytest.raises(ProofError, match="longer than any"):
        read_operation("x" * (OPERATION_CHARACTERS_MAX + 1), network=NETWORK, aud=AUD)
    with pytest.raises(ProofError, match="longer than any"):
        read_checkpoint("x" * (CHECKPOINT_CHARACTERS_MAX + 1), network=NETWORK, aud=AUD)
    with pytest.raises(ProofError, match="the author whom it names"):
        sign_operation(operation(), BEN)
    # As many characters as a value may have, each of four bytes.
    long = AddAct(element="\N{GRINNING FACE}" * VALUE_CHARACTERS_MAX)
    with pytest.raises(ProofError, match="longer than any"):
        sign_operation(operation(act=long), ADA)


def test_two_operations_under_one_number_are_a_proof_whichever_is_shown_first() -> None:
    one = sign_operation(operation(), ADA).token
    other = sign_operation(operation(act=AddAct(element="lathe")), ADA).token
    fork = read_fork(one, other, network=NETWORK, aud=AUD)
    assert fork == read_fork(other, one, network=NETWORK, aud=AUD)
    assert (fork.did, fork.sequence) == (ADA.did, 2)


@pytest.mark.parametrize(
    "other",
    [
        sign_operation(operation(), ADA),
        sign_operation(operation(sequence=3), ADA),
        sign_operation(operation(did=BEN.did), BEN),
        sign_operation(operation(epoch=1, base=A), ADA),
    ],
)
def test_what_two_honest_operations_can_be_is_no_fork(other: Any) -> None:
    with pytest.raises(ProofError):
        read_fork(sign_operation(operation(), ADA).token, other.token, network=NETWORK, aud=AUD)


def checkpoint(**changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {
        "network": NETWORK,
        "aud": AUD,
        "did": ADA.did,
        "epoch": 1,
        "base": None,
        "heads": (A, B),
        "authors": tuple(key.did for key in (ADA, BEN, CY)),
        "expelled": (),
        "state": C,
        "time_ms": 9,
    }
    return Checkpoint(**fields | changes)


def test_a_checkpoint_by_more_than_half_is_what_the_next_epoch_begins_with() -> None:
    base = beginning(key.did for key in (ADA, BEN, CY))
    tokens = [sign_checkpoint(checkpoint(), key) for key in (ADA, BEN)]
    after, said = read_next(tokens, base=base, network=NETWORK, aud=AUD)
    assert after.id == checkpoint_id(checkpoint()) == checkpoint_id(said)
    assert (after.epoch, after.state, after.time_ms) == (1, C, 9)


@pytest.mark.parametrize(
    ("said", "keys", "why"),
    [
        (checkpoint(), (ADA,), "not more than half"),
        (checkpoint(), (BEN, ADA), "not in order"),
        (checkpoint(), (ADA, ADA), "there twice"),
        (checkpoint(), (), "are none"),
        (checkpoint(), sorted((ADA, EVE), key=lambda key: key.did), "did not stand"),
        (checkpoint(epoch=2, base=A), (ADA, BEN), "does not follow"),
    ],
)
def test_a_checkpoint_of_too_few_or_of_another_place_is_none(
    said: Checkpoint, keys: Any, why: str
) -> None:
    base = beginning(key.did for key in (ADA, BEN, CY))
    tokens = [sign_checkpoint(said, key) for key in keys]
    with pytest.raises(ProofError, match=why):
        read_next(tokens, base=base, network=NETWORK, aud=AUD)


def test_whoever_was_expelled_stays_so_and_time_does_not_go_back() -> None:
    base = beginning(key.did for key in (ADA, BEN, CY))
    first = [sign_checkpoint(checkpoint(expelled=(EVE.did,)), key) for key in (ADA, BEN)]
    base, _ = read_next(first, base=base, network=NETWORK, aud=AUD)

    def follow(**changes: Any) -> int:
        said = checkpoint(epoch=2, base=base.id, expelled=(EVE.did,)).model_copy(update=changes)
        tokens = [sign_checkpoint(said, key) for key in (ADA, BEN)]
        return read_next(tokens, base=base, network=NETWORK, aud=AUD)[0].epoch

    assert follow() == 2
    with pytest.raises(ProofError, match="brings back"):
        follow(expelled=())
    with pytest.raises(ProofError, match="time lies before"):
        follow(time_ms=8)


def test_signatures_under_two_checkpoints_are_no_agreement() -> None:
    base = beginning(key.did for key in (ADA, BEN, CY))
    tokens = [sign_checkpoint(checkpoint(), ADA), sign_checkpoint(checkpoint(state=A), BEN)]
    with pytest.raises(ProofError, match="two checkpoints"):
        read_next(tokens, base=base, network=NETWORK, aud=AUD)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (checkpoint(epoch=2), "every other one follows one"),
        (checkpoint(base=A), "follows none"),
        (checkpoint(heads=(B, A)), "heads are not in order"),
        (checkpoint(authors=(BEN.did, ADA.did)), "authors are not in order"),
        (checkpoint(expelled=(CY.did, ADA.did)), "expelled are not in order"),
        (checkpoint(expelled=(CY.did,)), "at once"),
        (checkpoint(aud="pool"), "a checkpoint of pool"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(said: Checkpoint, why: str) -> None:
    token = jws.sign(said, typ=CHECKPOINT_TYP, identity=ADA)
    with pytest.raises(ProofError, match=why):
        read_checkpoint(token, network=NETWORK, aud=AUD)


def test_an_object_has_founders_and_not_too_many() -> None:
    with pytest.raises(ProofError, match="founders, not 0"):
        beginning(())
    with pytest.raises(ProofError, match="founders, not 257"):
        beginning(str(number) for number in range(257))
