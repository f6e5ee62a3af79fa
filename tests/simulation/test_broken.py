"""Rules broken on purpose: some seed notices each, by what must be true and nothing else."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.agreements import rules as pact_rules
from nodeimpl.naming import rules as name_rules
from nodeimpl.naming.rules import Claimant
from opkit.proof import jws
from opkit.proof.agreement_states import Course, Given, course_of
from opkit.wire.agreements import AgreementSignature, SignedBy
from opkit.wire.names import NameClaim
from opkit.wire.terms import Terms
from tests.simulation.plot import tell_seed

SEEDS_MAX = 40
"""Of so many stories one must notice."""


def believe_all(signed: SignedBy, **_: Any) -> AgreementSignature:
    """Believe a signature without a look at whose it is, and at what it cites."""
    return AgreementSignature.model_construct(**jws.reread(signed.signature))


def course_of_few(terms: Terms, given: Iterable[Given], **others: Any) -> Course:
    """Take an agreement to be made by those who signed it, whoever else is named."""
    given = list(given)
    signed = {each.coop for each in given if each.action == "adopt"}
    makers = tuple(sorted(signed)) or terms.parties
    return course_of(terms.model_copy(update={"parties": makers}), given, **others)


def claimant_by_any_key(said: NameClaim, *, claimant: Claimant | None, **others: Any) -> Claimant:
    """Take a claim for a member's, whatever key signed it."""
    if claimant is not None:
        same = claimant.member.model_copy(update={"did": said.did})
        claimant = replace(claimant, member=same)
    return CLAIMANT(said, claimant=claimant, **others)


CLAIMANT = name_rules._claimant


def nothing(*_: Any, **__: Any) -> None:
    """Do, and check, nothing."""


def never(*_: Any) -> bool:
    return False


def believe_ends(token: str, typ: str, node: str, genesis: Any, of: Any) -> Any:
    """Believe what somebody says of an exchange, whoever signed it."""
    return of.model_validate(jws.peek(token).payload, strict=False)


BROKEN: tuple[tuple[str, Callable[..., Any], str], ...] = (
    (f"{pact_rules.__name__}.course_of", course_of_few, "and only .* signed"),
    ("nodeimpl.agreements.service.believe", believe_all, "forge|lie"),
    ("nodeimpl.sharing.exchange.Exchange._compare", nothing, "all who (keep it|should)"),
    ("nodeimpl.overlay.shelf.outranks", never, "answered, and lost|same record for all"),
    ("nodeimpl.overlay.shelf.judge", nothing, "forged record"),
    (f"{name_rules.__name__}._claimant", claimant_by_any_key, "forged claim"),
    ("opkit.proof.clearing._verify", believe_ends, "forgery"),
    ("nodeimpl.clearing.books.Books._move", nothing, "'s ledger says"),
)
"""A rule, what stands in its place, and what a story says then."""


def tell(seed: int) -> AssertionError | None:
    """Tell a story; return what it noticed."""
    with tempfile.TemporaryDirectory(prefix="opkit-town-") as folder:
        try:
            asyncio.run(tell_seed(seed, Path(folder)))
        except AssertionError as noticed:
            return noticed
    return None


@pytest.mark.parametrize(("rule", "instead", "says"), BROKEN)
def test_a_broken_rule_is_noticed_and_its_seed_tells_it_again(
    rule: str, instead: Callable[..., Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, instead)
    for seed in range(SEEDS_MAX):
        noticed = tell(seed)
        if noticed is not None:
            assert isinstance(noticed.__cause__, AssertionError), noticed
            assert re.search(says, str(noticed.__cause__)), noticed
            assert str(noticed).startswith(f"OPKIT_TOWN_SEED={seed} ")
            assert str(tell(seed)) == str(noticed)
            return
    raise AssertionError(f"no story notices that {rule} is broken")
