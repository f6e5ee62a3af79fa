"""Whatever a ledger or an assembly says, its pages have the elements that views draw.

As `test_injection`, whose poisons and reader these are.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from hypothesis import given

from opkit.views import federation, governance, ledger, ledger_why
from opkit.views.federation import Looked
from opkit.views.figures import LastingFigure
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import ConfigurationEffect, MembershipEffect, RuleChange, TextEffect


def sibling(name: str) -> ModuleType:
    """Return a test module that lies beside this one; tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


POISON = sibling("test_injection")
MONEY = sibling("test_ledger")
VOTES = sibling("test_governance")
FEDERATION = sibling("federation_shown")
SPARED = POISON.FIXED | {"effective_on", "would_be", "action", "copy", "mirror", "role"}
"""Fields whose texts types allow a few words, or only a day."""

EFFECTS = (
    VOTES.SPEND,
    VOTES.DISTRIBUTION,
    TextEffect(),
    MembershipEffect(action="admit", member_id="harbor/x", name="X"),
    ConfigurationEffect(rule=RuleChange(votes_final=True)),
    AgreementEffect(action="adopt", agreement="1" * 64, terms=FEDERATION.TERMS),
    AgreementEffect(action="end", agreement="1" * 64),
)


def evil(value, text):
    return POISON.poisoned(value, text, spared=SPARED)


@POISON.SETTINGS
@given(text=POISON.poisons)
def test_no_text_on_the_page_of_ledgers_becomes_markup(networks, text):
    around, homes = evil(networks(3), text), evil(MONEY.HOMES, text)
    bad = replace(MONEY.TOLD, wrong=("sum",), trouble="silent", more_entries=True, more_holds=True)
    of_one = replace(bad, account=MONEY.ACCOUNTS[2].account, wrong=())
    for told in (evil(bad, text), evil(of_one, text)):
        cards = ledger.cards(lambda: around, homes=homes, coop=homes[0].coop, told=told)
        for draw in cards.values():
            POISON.Drawn(draw())
    opened = evil(MONEY.PATRONAGE, text)
    proof = replace(evil(MONEY.PROOF, text), subject=opened.hash)
    for seen in (None, proof, replace(proof, ok=False, trouble=text)):
        POISON.Drawn(
            ledger_why.why({}, entry=opened, proof=seen, account=text, now_ms=around.now_ms)
        )


@POISON.SETTINGS
@given(text=POISON.poisons)
def test_no_text_on_the_page_of_governance_becomes_markup(networks, text):
    around, homes = evil(networks(3), text), evil(VOTES.HOMES, text)
    for effect in EFFECTS:
        for changes in ({}, VOTES.CLOSED):
            view = VOTES.proposal(**changes).model_copy(update={"effect": effect})
            told = evil(VOTES.told(view, trouble="silent", more_proposals=True), text)
            assert told.chosen is not None
            proof = replace(evil(VOTES.PROOF, text), subject=told.chosen.view.proposal)
            cards = governance.cards(
                lambda: around, homes=homes, coop=homes[0].coop, told=told, proof=proof
            )
            for draw in cards.values():
                POISON.Drawn(draw())


@POISON.SETTINGS
@given(text=POISON.poisons)
def test_no_text_on_the_page_of_the_federation_becomes_markup(networks, text):
    around, homes = evil(networks(5), text), evil(FEDERATION.HOMES, text)
    lasting = LastingFigure(number=1, kind="partition", sentence=text, ends_ms=1)
    around = replace(around, lasting=(lasting,))
    silent = replace(FEDERATION.TOLD, silent=(("river", "down"),))
    copied = FEDERATION.copies("same", "other", "silent")
    odd = replace(FEDERATION.AGREED, state="odd", copies=copied)
    for sound in (silent, replace(silent, wrong=("bytes",), agreements=(odd,))):
        told = evil(sound, text)
        looked = Looked(moved=told.moved[1].hash, deeds="heal", may_act=True)
        proof = replace(evil(FEDERATION.PROOF, text), subject=told.agreements[0].agreement)
        passed = replace(proof, subject=looked.moved, ok=False, trouble=text)
        for seen in (None, passed):
            cards = federation.cards(
                lambda: around,
                told=told,
                homes=homes,
                looked=looked,
                proof=proof,
                moved_proof=seen,
            )
            for draw in cards.values():
                POISON.Drawn(draw())
