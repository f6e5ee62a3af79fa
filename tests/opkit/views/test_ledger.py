"""The page of ledgers: what adds up and what does not, entries, accounts, holds, and reasons."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from opkit.story.report import CheckRecord
from opkit.views import ledger, ledger_accounts, ledger_why
from opkit.views.coops import chooser
from opkit.views.figures import ChainLink
from opkit.views.ledger_entries import moved, question_of
from opkit.views.ledger_figures import HomeFigure, LedgerFigures, ProofFigure
from opkit.views.money import MINUS
from opkit.wire.holds import Hold
from opkit.wire.ledger import (
    AccountView,
    Cause,
    Entry,
    GroupTotal,
    Posting,
    TrialBalance,
    UnitTotal,
)

BRIGHT, RIVER = "brightworks-cooperative", "river-city-tool-library"
NOW = 1_767_225_600_000
DAY = 86_400_000
HOMES = (
    HomeFigure(coop=BRIGHT, title="BrightWorks Cooperative", org=BRIGHT, state="sound"),
    HomeFigure(coop=RIVER, title="River City Tool Library", org=RIVER, state="unasked"),
)
TITLES = {each.coop: each.title for each in HOMES}
HASH = "{:064x}".format


def entry(sequence=1, *lines, **changes):
    said = {
        "network": "a" * 26,
        "coop": BRIGHT,
        "entry_id": f"e-{sequence}",
        "kind": "ordinary",
        "postings": tuple(
            Posting(account=f"{BRIGHT}:{path}", unit=unit, amount=amount)
            for path, amount, unit in lines
        ),
        "memo": "",
        "cause": None,
        "corrects": None,
        "effective_on": None,
        "sequence": sequence,
        "recorded_ms": NOW,
        "world_ms": NOW,
        "by": f"{BRIGHT}/hugo",
        "previous": HASH(sequence - 1),
        "hash": HASH(sequence),
    }
    return Entry(**{**said, **changes})


DUES = entry(
    7,
    ("due/fingerlakes-cdn", 20_000, "usd-cents"),
    ("cash", -20_000, "usd-cents"),
    memo="quarterly dues",
    effective_on="2026-02-10",
)
PATRONAGE = entry(
    8,
    ("surplus/2026-q1", -3_840, "patronage-credits"),
    ("member/ana", 2_000, "patronage-credits"),
    ("member/bo", 1_000, "patronage-credits"),
    ("member/chidi", 840, "patronage-credits"),
    kind="decided",
    cause=Cause(kind="decision", id=HASH(99)),
    memo="surplus of the first quarter",
)


def account(path, balance, unit="usd-cents", **changes):
    said = {
        "account": f"{BRIGHT}:{path}",
        "unit": unit,
        "balance": balance,
        "held": 0,
        "available": max(0, balance),
        "floor": 0,
        "closed": False,
        "decision": None,
        "sequence": 1,
    }
    return AccountView(**{**said, **changes})


ACCOUNTS = (
    account("cash", -20_000, floor=-100_000),
    account("due/fingerlakes-cdn", 20_000),
    account("member/ana", 2_000, "patronage-credits", held=120),
    account("member/bo", 1_840, "patronage-credits", closed=True),
    account("equity/opening", -3_840, "patronage-credits", floor=-3_840),
    account("surplus/2026-q1", 0, "patronage-credits"),
)
TOTAL = TrialBalance(
    coop=BRIGHT,
    units=(
        UnitTotal(unit="usd-cents", accounts=2, positive=20_000, negative=-20_000, sum=0, held=0),
        UnitTotal(
            unit="patronage-credits", accounts=4, positive=3_840, negative=-3_840, sum=0, held=120
        ),
    ),
    groups=(
        GroupTotal(group="surplus", unit="patronage-credits", accounts=1, balance=0),
        GroupTotal(group="reserve", unit="usd-cents", accounts=1, balance=4_800_000),
        GroupTotal(group="reserve", unit="commons-credits", accounts=1, balance=7),
    ),
    sequence=8,
    hash=HASH(8),
    checked_sequence=6,
)
HOLD = Hold(
    network="a" * 26,
    coop=BRIGHT,
    hold_id="h-1",
    from_account=f"{BRIGHT}:member/ana",
    to_account=f"{BRIGHT}:vendor/compute",
    unit="patronage-credits",
    amount=120,
    lapses_at_ms=NOW + DAY,
    memo="a task",
    by=f"{BRIGHT}/ana",
    made_world_ms=NOW,
    hash=HASH(5),
    sequence=1,
    state="held",
    made_ms=NOW,
)
TOLD = LedgerFigures(
    coop=BRIGHT,
    total=TOTAL,
    accounts=ACCOUNTS,
    entries=(PATRONAGE, DUES),
    holds=(HOLD,),
)
GOOD = CheckRecord(name="entry-hash", ok=True, expected=HASH(8), actual=HASH(8))
BAD = CheckRecord(name="entry-hash", ok=False, expected="<b>", actual="other")
PROOF = ProofFigure(
    subject=PATRONAGE.hash,
    ok=True,
    verified_ms=NOW,
    chain=(ChainLink(name="entry", title="entry 8", says="three lines", checks=(GOOD,)),),
    proof='{"entry": "<8>"}',
    file="entry-8.json",
)


def drawn(networks, told=TOLD, **changes):
    said = {"homes": HOMES, "coop": BRIGHT, "told": told, **changes}
    cards = ledger.cards(lambda: networks(3), **said)
    return {name: draw() for name, draw in cards.items()}


def test_the_frame_has_a_place_for_every_card(networks):
    cards = drawn(networks)

    assert set(re.findall(r'data-card="([^"]+)"></div>', ledger.frame())) == set(cards) - {"health"}
    assert set(ledger.made_of(networks(3), HOMES, TOLD, None, None)) == set(cards)


def test_before_anything_is_told_every_card_says_what_is_awaited(networks):
    cards = drawn(networks, told=None)

    assert cards["wrong"] == ""
    for name in ("entries", "accounts", "holds"):
        assert "Asking." in cards[name], name
    for name in ("sums", "posted", "set-aside", "treasury"):
        assert "–" in cards[name], name


def test_an_empty_ledger_says_how_it_is_filled(networks):
    nothing = TrialBalance(
        coop=BRIGHT, units=(), groups=(), sequence=0, hash=HASH(0), checked_sequence=0
    )
    cards = drawn(networks, told=LedgerFigures(coop=BRIGHT, total=nothing))

    assert "opkit devnet seed" in cards["entries"]
    assert "first entry" in cards["accounts"]
    assert "opkit hold create" in cards["holds"]
    assert "<b>0</b>" in cards["sums"] and "in 0 units" in cards["sums"]
    assert "<b>0</b>" in cards["posted"] and "0" in cards["treasury"]


def test_sums_stand_by_unit_and_must_be_zero(networks):
    html = drawn(networks)["sums"]

    assert "<b>0</b>" in html and "must be zero, in 2 units" in html
    assert "t-failed" not in html
    for words in ("US dollars", "200.00", f"{MINUS}200.00", "patronage credits", "3,840"):
        assert words in html, words


def test_a_sum_that_is_not_zero_is_the_first_thing_seen(networks):
    off = TOTAL.units[1].model_copy(update={"sum": 5})
    bad = replace(
        TOLD,
        total=TOTAL.model_copy(update={"units": (TOTAL.units[0], off)}),
        wrong=tuple(f"Entry {number} <b>" for number in range(12)),
    )
    cards = drawn(networks, told=bad)

    assert "t-failed" in cards["sums"] and "<b>5 pc</b>" in cards["sums"]
    assert 'role="alert"' in cards["wrong"] and "does not add up" in cards["wrong"]
    assert "Entry 7 &lt;b&gt;" in cards["wrong"] and "and 4 more" in cards["wrong"]
    assert "opkit ledger audit" in cards["wrong"]


def test_a_home_that_is_silent_is_said_to_be_with_since_when(networks):
    cards = drawn(networks, told=replace(TOLD, trouble="It is <gone>", since_ms=NOW))

    assert "does not tell" in cards["wrong"] and "&lt;gone&gt;" in cards["wrong"]
    assert "00:00:00 UTC" in cards["wrong"]
    assert "e-" in cards["entries"], "what was told before stays"
    unknown = drawn(networks, told=LedgerFigures(coop=BRIGHT, trouble="It is gone"))
    assert "of 00:00:00" not in unknown["wrong"]


def test_entries_say_from_whom_to_whom_how_much_and_why(networks):
    html = drawn(networks)["entries"]

    assert html.index(f'data-entry="{PATRONAGE.hash}"') < html.index(f'data-entry="{DUES.hash}"')
    for words in ("3 accounts", "Ana, Bo, Chidi", "3,840 <i>pc</i>", "200.00 <i>$</i>"):
        assert words in html, words
    assert '<span class="cause">decision</span>' in html
    assert "quarterly dues" in html and "for 10 Feb 2026" in html
    assert (
        "There are older ones" in drawn(networks, told=replace(TOLD, more_entries=True))["entries"]
    )


def test_of_one_account_its_own_postings_stand(networks):
    bo = f"{BRIGHT}:member/bo"
    cards = drawn(networks, told=replace(TOLD, account=bo, entries=(PATRONAGE,)))

    assert "What was posted to Bo?" in cards["entries"] and "1,000 <i>pc</i>" in cards["entries"]
    assert 'data-act="account" data-of=""' in cards["entries"]
    assert moved(PATRONAGE, account=f"{BRIGHT}:surplus/2026-q1") == [(-3_840, "patronage-credits")]


def test_an_entry_without_memo_or_cause_names_who_posted_it_and_a_correction_says_so(networks):
    lines = (("cash", -1, "usd-cents"), ("cost", 1, "usd-cents"))
    plain = entry(1, *lines)
    mended = entry(2, *lines, kind="correction", corrects=HASH(1), memo="wrong sign")
    html = drawn(networks, told=replace(TOLD, entries=(mended, plain)))["entries"]

    assert f"posted by {BRIGHT}/hugo" in html
    assert '<span class="cause">correction</span><small>wrong sign' in html


def test_accounts_stand_by_unit_treasury_first_then_members(networks):
    html = ledger_accounts.accounts(TOLD, TITLES)

    credits_ = html[html.index("patronage credits") :]
    order = [credits_.index(f"<small>{each}") for each in ("surplus", "member/ana", "member/bo")]
    assert order == sorted(order) and order[-1] < credits_.index("equity")
    for words in ("120 pc held", "closed", "may owe", f"{MINUS}200.00"):
        assert words in html, words
    assert 'class="gauge owes"' in html and 'style="width:100.0%"' in html
    assert "There are more" in ledger_accounts.accounts(replace(TOLD, more_accounts=True), TITLES)


def test_a_chosen_account_is_let_go_by_the_same_click():
    chosen = replace(TOLD, account=f"{BRIGHT}:member/ana")
    html = ledger_accounts.accounts(chosen, TITLES)

    assert html.count('aria-pressed="true"') == 1
    assert 'data-of="" aria-pressed="true"' in html
    assert f'data-of="{BRIGHT}:member/bo" aria-pressed="false"' in html


def test_holds_say_for_whom_and_until_when(networks):
    cards = drawn(networks, told=replace(TOLD, more_holds=True))

    for words in ("Ana", "Compute", "120 <i>pc</i>", "a task", "2 Jan 00:00", "There are more"):
        assert words in cards["holds"], words
    assert "hold or more, worth 120 pc" in cards["set-aside"]


def test_what_only_decisions_spend_stands_by_unit(networks):
    html = drawn(networks)["treasury"]
    assert "48,000.00 $" in html and "+ 7 cc" in html


@pytest.mark.parametrize(
    ("account", "question"),
    [
        ("", "Why did 3 accounts get 3,840 pc?"),
        (f"{BRIGHT}:member/ana", "Why did Ana get 2,000 pc?"),
        (f"{BRIGHT}:surplus/2026-q1", "Why did Surplus give 3,840 pc?"),
        ("nobody", "Why did 3 accounts get 3,840 pc?"),
    ],
)
def test_what_is_asked_of_an_entry_is_asked_in_words(account, question):
    assert question_of(PATRONAGE, TITLES, account=account) == question


def why(proof=PROOF, chosen=PATRONAGE):
    return ledger_why.why(TITLES, entry=chosen, proof=proof, account="", now_ms=NOW)


def test_reasons_stand_link_by_link_and_can_be_verified_copied_and_kept():
    html = why()

    for words in (
        "1 link verified here",
        "Entry 8",
        "three lines",
        "Verify again",
        "Save proof",
    ):
        assert words in html, words
    assert 'download="entry-8.json"' in html and "&lt;8&gt;" in html
    assert f'data-bring="{PATRONAGE.hash}"' in html


def test_reasons_that_break_say_where_and_those_that_lack_something_say_what():
    broken = replace(PROOF, ok=False, chain=(replace(PROOF.chain[0], checks=(BAD,)),))
    assert "it breaks here" in why(broken) and "<b>" not in why(broken).split("other")[0][-40:]
    assert "not all could be looked at" in why(replace(PROOF, trouble="The home is silent."))
    assert "The home is silent." in why(replace(PROOF, trouble="The home is silent."))


def test_reasons_of_another_entry_are_not_shown():
    assert "verifying" in why(proof=None)
    assert "verifying" in why(chosen=DUES)
    assert "No entry is chosen" in why(chosen=None)


def test_the_letter_of_an_entry_is_told_with_its_cause():
    html = why()
    assert "cause, a decision" in html and "world time" in html and "2026-01-01" in html
    assert "the node itself" in why(
        chosen=entry(9, *(("a", 1, "usd-cents"), ("b", -1, "usd-cents")), by="-")
    )


def test_coops_are_chosen_in_a_row_that_shows_which_books_are_wrong():
    homes = (replace(HOMES[0], state="wrong", words="does not add up"), HOMES[1])
    html = chooser("Whose ledger?", homes, chosen=RIVER)

    assert "s-failed" in html and "does not add up" in html
    assert html.count('aria-pressed="true"') == 1
    assert f'data-of="{RIVER}" aria-pressed="true"' in html
    assert "names no coop" in chooser("Whose ledger?", (), chosen="")
