"""Content names: what `sha256sum` and IPFS say, and one spelling of each."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from opkit.proof.checks import ProofError
from opkit.proof.cid import CidHasher, cid_of, is_cid, sha256_of_cid

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def test_the_empty_content_has_the_name_that_ipfs_gives_it() -> None:
    assert cid_of(b"") == EMPTY
    assert is_cid(EMPTY)


@given(st.binary(max_size=200))
def test_the_multiformats_library_gives_the_same_name(data: bytes) -> None:
    cid = cid_of(data)
    theirs = CID("base32", 1, "raw", ("sha2-256", hashlib.sha256(data).digest()))
    assert cid == str(theirs)
    assert CID.decode(cid) == theirs


@given(st.binary(max_size=200))
def test_a_name_holds_what_sha256sum_says(data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    assert sha256_of_cid(cid_of(data)) == digest


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_content_in_pieces_has_the_name_of_the_whole(pieces: list[bytes]) -> None:
    hasher = CidHasher()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.cid() == cid_of(b"".join(pieces))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bafkrei",
        EMPTY.upper(),
        EMPTY[:-1],
        EMPTY + "a",
        EMPTY + "\n",
        " " + EMPTY,
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "f01551220" + hashlib.sha256(b"").hexdigest(),
    ],
)
def test_other_text_is_no_content_name(text: str) -> None:
    assert is_cid(text) is False
    with pytest.raises(ProofError):
        sha256_of_cid(text)


def test_only_one_last_letter_spells_a_name() -> None:
    """The last letter carries spare bits, which must be zero: one content, one name."""
    first = EMPTY[:-1]
    spelled = [first + letter for letter in LETTERS if is_cid(first + letter)]
    assert EMPTY in spelled
    assert len({sha256_of_cid(text) for text in spelled}) == len(spelled) < len(LETTERS)
