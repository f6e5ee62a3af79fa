"""Operations and checkpoints as whoever holds them reads them, without any log."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.operations import (
    Base,
    Fork,
    ReadOperation,
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
    AUTHORS_MAX,
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
NOBODY = "did:key:z6Mk" + "1" * 44
"""The shape of a key, and none."""
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


def raw_checkpoint(said: Checkpoint, key: Identity = ADA, typ: str = CHECKPOINT_TYP) -> Jws:
    """Sign what `sign_checkpoint` would not."""
    return jws.sign(said, typ=typ, identity=key)


def next_of(said: Checkpoint, *keys: Identity, base: Base) -> tuple[Base, Checkpoint]:
    """Read what these members sign as what follows a base."""
    tokens = [raw_checkpoint(said.model_copy(update={"did": key.did}), key) for key in keys]
    return read_next(tokens, base=base, network=NETWORK, aud=AUD)


def whole(why: str) -> str:
    """Return the pattern of a whole reason."""
    return f"^{re.escape(why)}$"


def test_an_operation_is_read_by_whom_it_names_and_is_its_hash() -> None:
    signed = sign_operation(operation(), ADA)
    read = read_operation(signed.token, network=NETWORK, aud=AUD)
    assert read == signed == ReadOperation(jws.record_id(signed.token), operation(), signed.token)
    assert reread_operation(signed.token) == read


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 1, "previous": None},
        {"sequence": 1, "previous": None, "parents": ()},
        {"epoch": 1, "base": A},
        {"parents": (B,)},
        {"act": AdmitAct(did=BEN.did)},
        {"act": ExpelAct(did=BEN.did)},
        {"act": ExpelAct(did=BEN.did, fork=(A, B))},
        {"act": RemoveAct(over=(A, B, C))},
        {"act": AssignAct(value="x")},
        {"act": AssignAct(value="x", over=(A, C))},
    ],
)
def test_what_an_honest_author_signs_is_an_operation(changes: Any) -> None:
    signed = sign_operation(operation(**changes), ADA)
    assert read_operation(signed.token, network=NETWORK, aud=AUD) == signed


BASELESS = "the beginning has no checkpoint, every other epoch has one"
FIRST = "an author's first operation has none before it, every other one has"
FOLLOWED = "the operations that it follows are not in order, or one stands there twice"
TWICE = "it cites the author's previous operation twice"
COVERED = "the operations that it is over are not in order, or one stands there twice"
FORKED = "the operations of a fork are not in order, or one stands there twice"
NO_KEY = "the did:key holds no Ed25519 key"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch": 1}, BASELESS),
        ({"base": A}, BASELESS),
        ({"sequence": 1}, FIRST),
        ({"previous": None}, FIRST),
        ({"parents": (C, B)}, FOLLOWED),
        ({"parents": (B, B)}, FOLLOWED),
        ({"parents": (A, B)}, TWICE),
        ({"act": RemoveAct(over=(C, B))}, COVERED),
        ({"act": AssignAct(value="x", over=(B, B))}, COVERED),
        ({"act": ExpelAct(did=BEN.did, fork=(B, B))}, FORKED),
        ({"act": ExpelAct(did=NOBODY, fork=(B, B))}, NO_KEY),
        ({"act": ExpelAct(did=NOBODY)}, NO_KEY),
        ({"act": AdmitAct(did=NOBODY)}, NO_KEY),
    ],
)
def test_an_operation_that_contradicts_itself_is_neither_signed_nor_read(
    changes: Any, why: str
) -> None:
    said = operation(**changes)
    with pytest.raises(ProofError, match=whole(why)):
        sign_operation(said, ADA)
    with pytest.raises(ProofError, match=whole(why)):
        read_operation(token_of(said), network=NETWORK, aud=AUD)


def test_of_several_mistakes_the_first_in_order_is_told() -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"network": "b" * 26}, "it belongs to another network"),
        ({"aud": "pool"}, "it is an operation on pool, not on federation"),
        ({"epoch": 1}, BASELESS),
        ({"sequence": 1}, FIRST),
        ({"parents": (C, A, B)}, FOLLOWED),
        ({"parents": (A, B)}, TWICE),
        ({"act": AdmitAct(did=NOBODY)}, NO_KEY),
    ]
    while mistakes:
        # Of one field the earlier mistake stands.
        changes = {key: each for said, _ in reversed(mistakes) for key, each in said.items()}
        with pytest.raises(ProofError, match=whole(mistakes.pop(0)[1])):
            read_operation(token_of(operation(**changes)), network=NETWORK, aud=AUD)


def test_only_whom_it_names_signs_an_operation() -> None:
    with pytest.raises(ProofError, match="signed by the author whom it names"):
        sign_operation(operation(), BEN)
    with pytest.raises(ProofError, match="it is signed by"):
        read_operation(token_of(operation(did=BEN.did)), network=NETWORK, aud=AUD)


def test_no_other_type_and_nothing_too_long_is_an_operation() -> None:
    with pytest.raises(ProofError, match="not a 'opkit-operation"):
        read_operation(token_of(operation(), typ="opkit-name+jws"), network=NETWORK, aud=AUD)
    with pytest.raises(ProofError, match="not a compact JWS"):
        read_operation("x" * OPERATION_CHARACTERS_MAX, network=NETWORK, aud=AUD)
    with pytest.raises(ProofError, match="longer than any"):
        read_operation("x" * (OPERATION_CHARACTERS_MAX + 1), network=NETWORK, aud=AUD)
    # As many characters as a value may have, each of four bytes.
    long = AddAct(element="\N{GRINNING FACE}" * VALUE_CHARACTERS_MAX)
    with pytest.raises(ProofError, match="longer than any"):
        sign_operation(operation(act=long), ADA)


def test_two_operations_under_one_number_are_a_proof_whichever_is_shown_first() -> None:
    one = sign_operation(operation(epoch=3, base=A), ADA)
    other = sign_operation(operation(epoch=3, base=A, act=AddAct(element="lathe")), ADA)
    first, second = sorted((one, other), key=lambda signed: signed.id)
    for tokens in ((one.token, other.token), (other.token, one.token)):
        assert read_fork(*tokens, network=NETWORK, aud=AUD) == Fork(
            did=ADA.did, aud=AUD, epoch=3, sequence=2, first=first, second=second
        )


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (operation(), operation(), "it is one operation"),
        (operation(), operation(sequence=3), "stand at two places"),
        (operation(), operation(did=BEN.did), "stand at two places"),
        (operation(), operation(epoch=1, base=A), "stand at two places"),
        (operation(epoch=1, base=B), operation(epoch=1, base=A), "stand at two places"),
        (operation(), operation(parents=(C, B)), "not in order"),
        (operation(aud="pool"), operation(aud="pool", tick=1), "on pool"),
        (operation(network="b" * 26), operation(network="b" * 26, tick=1), "another network"),
    ],
)
def test_what_two_honest_operations_can_be_is_no_fork(
    one: Operation, other: Operation, why: str
) -> None:
    tokens = [token_of(each, BEN if each.did == BEN.did else ADA) for each in (one, other)]
    with pytest.raises(ProofError, match=why):
        read_fork(*tokens, network=NETWORK, aud=AUD)


def test_a_checkpoint_is_read_as_it_was_signed_by_whoever_signs_it() -> None:
    for said in (checkpoint(), checkpoint(epoch=2, base=A, heads=(), expelled=(EVE.did,))):
        token = sign_checkpoint(said, BEN)
        read = read_checkpoint(token, network=NETWORK, aud=AUD)
        assert read == said.model_copy(update={"did": BEN.did})


def test_the_id_of_a_checkpoint_is_a_hash_of_all_but_who_signed_it() -> None:
    said = checkpoint().model_dump(mode="json")
    del said["did"]
    spelled = json.dumps(said, sort_keys=True, separators=(",", ":"))
    expected = hashlib.sha256(f"opkit checkpoint 1\n{spelled}".encode()).hexdigest()
    assert checkpoint_id(checkpoint()) == checkpoint_id(checkpoint(did=BEN.did)) == expected


FOLLOWS = "the first checkpoint follows none, every other one follows one"
HEADS = "the heads are not in order, or one stands there twice"
AUTHORS = "the authors are not in order, or one stands there twice"
EXPELLED = "the expelled are not in order, or one stands there twice"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch": 2}, FOLLOWS),
        ({"base": A}, FOLLOWS),
        ({"heads": (B, A)}, HEADS),
        ({"heads": (A, A)}, HEADS),
        ({"authors": (BEN.did, ADA.did)}, AUTHORS),
        ({"expelled": (EVE.did, CY.did), "authors": (ADA.did,)}, EXPELLED),
        ({"expelled": (CY.did,)}, "somebody stands and is expelled at once"),
        ({"authors": (NOBODY,)}, NO_KEY),
        ({"expelled": (NOBODY,)}, NO_KEY),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_neither_signed_nor_read(
    changes: Any, why: str
) -> None:
    said = checkpoint(**changes)
    with pytest.raises(ProofError, match=whole(why)):
        sign_checkpoint(said, ADA)
    with pytest.raises(ProofError, match=whole(why)):
        read_checkpoint(raw_checkpoint(said), network=NETWORK, aud=AUD)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("x" * CHECKPOINT_CHARACTERS_MAX, "not a compact JWS"),
        ("x" * (CHECKPOINT_CHARACTERS_MAX + 1), "longer than any"),
        (raw_checkpoint(checkpoint(), key=BEN), "it is signed by"),
        (raw_checkpoint(checkpoint(), typ=OPERATION_TYP), "not a 'opkit-checkpoint"),
        (raw_checkpoint(checkpoint(network="b" * 26, aud="pool")), "another network"),
        (raw_checkpoint(checkpoint(aud="pool", epoch=2)), "of pool, not of federation"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(token: Jws, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        read_checkpoint(token, network=NETWORK, aud=AUD)


def test_a_checkpoint_by_more_than_half_is_what_the_next_epoch_begins_with() -> None:
    said = checkpoint(authors=(ADA.did, BEN.did), expelled=(EVE.did,))
    base = beginning(key.did for key in (ADA, BEN, CY))
    after, read = next_of(said, ADA, BEN, base=base)
    assert read == said
    assert after == Base(
        epoch=1,
        id=checkpoint_id(said),
        authors=frozenset((ADA.did, BEN.did)),
        expelled=frozenset((EVE.did,)),
        time_ms=9,
        state=C,
    )


def test_whoever_stands_alone_signs_alone() -> None:
    after, _ = next_of(checkpoint(), ADA, base=beginning([ADA.did]))
    assert after.epoch == 1


ALONE = "1 of 3 members are not more than half"
STRANGER = "somebody signed who did not stand at the checkpoint before"
UNORDERED = "the signatures are not in order of their keys, or one is there twice"
AFTER_ANOTHER = "it does not follow the checkpoint before"


@pytest.mark.parametrize(
    ("said", "keys", "stood", "why"),
    [
        (checkpoint(), (), 3, "0 signatures are none, or more than there are members"),
        (checkpoint(network="b" * 26), (ADA, BEN), 3, "it belongs to another network"),
        (checkpoint(aud="pool"), (ADA, BEN), 3, "it is a checkpoint of pool, not of federation"),
        (checkpoint(), (BEN, ADA, EVE), 3, UNORDERED),
        (checkpoint(), (ADA, ADA), 3, UNORDERED),
        (checkpoint(), (EVE,), 3, STRANGER),
        (checkpoint(epoch=2, base=A), (ADA,), 3, ALONE),
        (checkpoint(), (ADA, BEN), 4, "2 of 4 members are not more than half"),
        (checkpoint(epoch=2, base=A), (ADA, BEN), 3, AFTER_ANOTHER),
    ],
)
def test_a_checkpoint_of_too_few_or_of_another_place_is_none(
    said: Checkpoint, keys: Any, stood: int, why: str
) -> None:
    base = beginning(key.did for key in KEYS[:stood])
    with pytest.raises(ProofError, match=whole(why)):
        next_of(said, *keys, base=base)


def test_whoever_was_expelled_stays_so_and_time_does_not_go_back() -> None:
    first = checkpoint(expelled=(EVE.did,))
    base, _ = next_of(first, ADA, BEN, base=beginning(key.did for key in (ADA, BEN, CY)))

    def follow(**changes: Any) -> int:
        fields = {"epoch": 2, "base": base.id, "expelled": (EVE.did,), **changes}
        return next_of(checkpoint(**fields), ADA, BEN, base=base)[0].time_ms

    assert follow() == 9
    assert follow(authors=(ADA.did, BEN.did), expelled=(CY.did, EVE.did), time_ms=10) == 10
    with pytest.raises(ProofError, match="brings back"):
        follow(expelled=(), time_ms=8)
    with pytest.raises(ProofError, match="time lies before"):
        follow(time_ms=8)
    with pytest.raises(ProofError, match="does not follow"):
        follow(epoch=3, expelled=())
    with pytest.raises(ProofError, match="does not follow"):
        follow(base=A)


def test_signatures_under_two_checkpoints_are_no_agreement() -> None:
    base = beginning(key.did for key in (ADA, BEN, CY))
    tokens = [sign_checkpoint(checkpoint(), BEN), sign_checkpoint(checkpoint(state=A), ADA)]
    with pytest.raises(ProofError, match="two checkpoints"):
        read_next(tokens, base=base, network=NETWORK, aud=AUD)


def test_as_many_may_sign_as_there_may_be_members() -> None:
    many = sorted(
        (Identity.from_seed(number.to_bytes(32, "big")) for number in range(AUTHORS_MAX)),
        key=lambda key: key.did,
    )
    base = beginning(key.did for key in many)
    tokens = [sign_checkpoint(checkpoint(), key) for key in many]
    assert read_next(tokens, base=base, network=NETWORK, aud=AUD)[0].epoch == 1
    with pytest.raises(ProofError, match="257 signatures"):
        read_next([*tokens, tokens[0]], base=base, network=NETWORK, aud=AUD)


def test_an_object_begins_with_its_founders_and_not_with_too_many() -> None:
    assert beginning(iter((ADA.did, BEN.did, ADA.did))) == Base(
        epoch=0,
        id=None,
        authors=frozenset((ADA.did, BEN.did)),
        expelled=frozenset(),
        time_ms=0,
        state=None,
    )
    assert len(beginning([ADA.did]).authors) == 1
    assert len(beginning(str(number) for number in range(AUTHORS_MAX)).authors) == AUTHORS_MAX
    with pytest.raises(ProofError, match="1 to 256 founders, not 0"):
        beginning(())
    with pytest.raises(ProofError, match="1 to 256 founders, not 257"):
        beginning(str(number) for number in range(AUTHORS_MAX + 1))
